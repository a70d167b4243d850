//! What the server itself finds wrong in tables and indexes.

use super::PostgresSession;
use super::catalog::{inspected_sql, other_indexes_sql, other_tables_sql};
use super::ladder::{Texts, quoted, text};
use crate::outside::OutsideError;
use crate::outside::ladder::{Inspected, Inspection, Table, TableName};
use std::collections::BTreeSet;

/// What amcheck can do in a database.
struct Amcheck {
    /// The schema that it is in, quoted.
    place: String,
    /// Why it inspects no tables; `None` where it does.
    no_tables: Option<String>,
}

impl PostgresSession {
    pub(super) async fn inspect_tables(
        &mut self,
        tables: &[Table],
    ) -> Result<Inspection, OutsideError> {
        let mut inspection = Inspection::default();
        let is_meant = |row: &[Option<String>]| {
            let name = root_of(row);
            tables.iter().any(|table| table.name == name)
        };
        for row in self.catalog(&other_indexes_sql()).await? {
            if is_meant(&row) {
                note_index(&mut inspection, text(&row, 2), text(&row, 3));
            }
        }
        let Some(amcheck) = self.amcheck().await? else {
            inspection.not_seen.push(
                "the extension amcheck is not installed in this database: create extension amcheck (on the source, so \
                 that its backups hold it)"
                    .to_owned(),
            );
            return Ok(inspection);
        };
        let others = self.catalog(&other_tables_sql()).await?;
        let rows = self.catalog(&inspected_sql()).await?;
        note_tables(&mut inspection, tables, &rows, &others);
        for row in rows {
            if !is_meant(&row) {
                continue;
            }
            let (kind, object, oid) = (text(&row, 2), text(&row, 3), text(&row, 4));
            let what = format!("{kind} {object}");
            if let Some(why) = amcheck.no_tables.as_ref().filter(|_| kind == "table") {
                inspection.not_seen.push(format!("{what}: {why}"));
                continue;
            }
            let place = &amcheck.place;
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

    /// `None` where the extension is not there.
    async fn amcheck(&mut self) -> Result<Option<Amcheck>, OutsideError> {
        const ASKED: &str = "SELECT n.nspname::text, e.extversion, current_setting('server_version_num'), \
             (SELECT count(*) FROM pg_proc p WHERE p.proname = 'verify_heapam' AND p.pronamespace = n.oid)::text \
             FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'";
        let found = self.catalog(ASKED).await?;
        Ok(found.first().map(|row| Amcheck {
            place: quoted(text(row, 0)),
            no_tables: (text(row, 3) == "0").then(|| no_tables(text(row, 1), text(row, 2))),
        }))
    }
}

/// Why an amcheck of this version inspects no tables, and the way out, by the number of the server's version. An extension stays
/// as old as it is when its server is upgraded. <https://www.postgresql.org/docs/14/release-14.html>, "amcheck"
fn no_tables(version: &str, server: &str) -> String {
    match server.parse::<u32>() {
        Ok(number) if number < 140_000 => {
            "amcheck inspects tables from PostgreSQL 14 on: upgrade the server, or leave inspect out".to_owned()
        }
        _ => format!(
            "this version of the extension amcheck ({version}) inspects no tables: alter extension amcheck update (on the \
             source, so that its backups hold it)"
        ),
    }
}

/// The table that was asked for, of a row that names it first.
fn root_of(row: &[Option<String>]) -> TableName {
    TableName::in_schema(text(row, 0), text(row, 1))
}

/// Tables that are not among those that are inspected, or in part: `others` says why. One of a storage that amcheck does not know
/// could be damaged all the same.
fn note_tables(inspection: &mut Inspection, tables: &[Table], inspected: &Texts, others: &Texts) {
    let of_tables = inspected.iter().filter(|row| text(row, 2) == "table");
    let inspected: BTreeSet<TableName> = of_tables.map(|row| root_of(row)).collect();
    for table in tables {
        let (mut skipped, mut unknown) = (Vec::new(), Vec::new());
        for row in others.iter().filter(|row| root_of(row) == table.name) {
            let what = format!("table {}", text(row, 2));
            match text(row, 3) {
                "unlogged" => skipped.push(format!("{what} (unlogged: no backup holds it)")),
                "foreign" => skipped.push(format!("{what} (its rows are on another server)")),
                storage => {
                    unknown.push(format!("{what}: amcheck does not know its storage ({storage})"))
                }
            }
        }
        let is_known = inspected.contains(&table.name) || !unknown.is_empty();
        inspection.not_seen.extend(unknown);
        match (is_known, skipped.is_empty()) {
            (true, _) => inspection.skipped.extend(skipped),
            (false, true) => {
                let why = format!("table {} (it has no partitions)", table.name);
                inspection.without.insert(table.name.clone(), vec![why]);
            }
            (false, false) => {
                inspection.without.insert(table.name.clone(), skipped);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> Table {
        Table {
            name: TableName::in_schema("public", name),
            columns: Vec::new(),
            key: Vec::new(),
            whole_number_key: false,
            inexact: Vec::new(),
            hashes_alike: true,
        }
    }

    fn rows(all: &[[&str; 3]]) -> Texts {
        let row = |[root, third, fourth]: &[&str; 3]| {
            let texts = ["public", *root, *third, *fourth];
            texts.iter().map(|text| Some((*text).to_owned())).collect()
        };
        all.iter().map(row).collect()
    }

    #[test]
    fn regression_no_table_is_left_out_in_silence() {
        let inspected = rows(&[
            ["orders", "table", "public.orders"],
            ["events", "table", "public.events_1"],
            ["scratch", "index", "public.scratch_pkey"],
        ]);
        let others = rows(&[
            ["events", "public.events_2", "unlogged"],
            ["scratch", "public.scratch", "unlogged"],
            ["far", "public.far_1", "foreign"],
            ["packed", "public.packed", "columnar"],
            ["elsewhere", "public.elsewhere", "columnar"],
        ]);
        let tables = ["orders", "events", "scratch", "far", "packed", "bare"].map(table);
        let mut inspection = Inspection::default();
        note_tables(&mut inspection, &tables, &inspected, &others);
        let skipped = "table public.events_2 (unlogged: no backup holds it)";
        assert_eq!(inspection.skipped, [skipped]);
        let unknown = "table public.packed: amcheck does not know its storage (columnar)";
        assert_eq!(inspection.not_seen, [unknown]);
        assert_eq!(
            inspection.without.into_values().flatten().collect::<Vec<_>>(),
            [
                "table public.bare (it has no partitions)",
                "table public.far_1 (its rows are on another server)",
                "table public.scratch (unlogged: no backup holds it)",
            ]
        );
        assert!(inspection.seen.is_empty());
    }

    #[test]
    fn an_amcheck_that_is_too_old_says_the_way_out() {
        assert!(
            no_tables("1.2", "150014")
                .contains("(1.2) inspects no tables: alter extension amcheck update")
        );
        assert!(no_tables("1.2", "130022").contains("upgrade the server"));
    }
}
