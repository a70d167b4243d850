//! What the server itself finds wrong in tables and indexes.

use super::PostgresSession;
use super::catalog::{inspected_sql, other_indexes_sql};
use super::ladder::{Texts, literal, quoted, text};
use crate::outside::OutsideError;
use crate::outside::ladder::{Inspected, Inspection, Table, TableName};

impl PostgresSession {
    pub(super) async fn inspect_tables(
        &mut self,
        tables: &[Table],
    ) -> Result<Inspection, OutsideError> {
        let mut inspection = Inspection::default();
        let is_meant = |row: &[Option<String>]| {
            let name = TableName::in_schema(text(row, 0), text(row, 1));
            tables.iter().any(|table| table.name == name)
        };
        for row in self.catalog(&other_indexes_sql()).await? {
            if is_meant(&row) {
                note_index(&mut inspection, text(&row, 2), text(&row, 3));
            }
        }
        let place = self
            .catalog(
                "SELECT n.nspname, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace \
                 WHERE e.extname = 'amcheck'",
            )
            .await?;
        let Some(place) = place.first().map(|row| quoted(text(row, 0))) else {
            inspection.not_seen.push(
                "the extension amcheck is not installed in this database: create extension amcheck (on the source, so \
                 that its backups hold it)"
                    .to_owned(),
            );
            return Ok(inspection);
        };
        let heap = format!(
            "SELECT count(*)::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
             WHERE p.proname = 'verify_heapam' AND n.nspname = {}",
            literal(place.trim_matches('"'))
        );
        let heap = self.catalog(&heap).await?;
        let knows_heap = heap.first().is_some_and(|row| text(row, 0) != "0");
        for row in self.catalog(&inspected_sql()).await? {
            if !is_meant(&row) {
                continue;
            }
            let (kind, object, oid) = (text(&row, 2), text(&row, 3), text(&row, 4));
            let what = format!("{kind} {object}");
            if kind == "table" && !knows_heap {
                let why = "this amcheck inspects no tables: PostgreSQL 14 brings one that does";
                inspection.skipped.push(format!("{what} ({why})"));
                continue;
            }
            let sql = match kind {
                "index" => format!("SELECT {place}.bt_index_check({oid}::regclass, true)"),
                // By itself it does not follow values into the TOAST table.
                _ => format!(
                    "SELECT msg FROM {place}.verify_heapam({oid}::regclass, check_toast := true) LIMIT 1"
                ),
            };
            let said = self.catalog(&sql).await;
            note(&mut inspection, what, kind, said)?;
        }
        Ok(inspection)
    }
}

/// An index that amcheck cannot say anything of.
fn note_index(inspection: &mut Inspection, index: &str, kind: &str) {
    match kind {
        "invalid" => inspection.seen.push(Inspected {
            what: format!("index {index}"),
            damage: Some("it is invalid: the server does not use it".to_owned()),
        }),
        kind => inspection.skipped.push(format!("index {index} ({kind})")),
    }
}

/// Takes down what one inspection said. `Err` when the database was lost.
fn note(
    inspection: &mut Inspection,
    what: String,
    kind: &str,
    said: Result<Texts, OutsideError>,
) -> Result<(), OutsideError> {
    match said {
        Ok(rows) => {
            let wrong = rows.first().filter(|_| kind == "table").map(|row| text(row, 0).to_owned());
            inspection.seen.push(Inspected { what, damage: wrong });
        }
        Err(error) if error.says_damaged() => {
            inspection.seen.push(Inspected { what, damage: Some(error.to_string()) });
        }
        Err(OutsideError::Failed(why) | OutsideError::Denied(why)) => {
            inspection.not_seen.push(format!("{what}: {why}"));
        }
        Err(lost) => return Err(lost),
    }
    Ok(())
}
