//! The rungs of a data check, from PostgreSQL's catalogs and by `COPY`.

use super::super::database::{Stop, answering, push_object};
use super::PostgresSession;
use super::catalog::{
    columns_sql, constraints_sql, indexes_sql, inspected_sql, keys_sql, others_sql, sequences_sql,
};
use crate::ids::Digest;
use crate::outside::OutsideError;
use crate::outside::ladder::{
    Inspected, Inspection, Reading, RowsOf, RowsSum, Sequence, Structure, Table, TableName, grid,
    hashed, quoted_list,
};
use futures_util::TryStreamExt;
use sha2::Digest as _;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Executor, Row, SqlSafeStr, ValueRef, raw_sql};
use std::collections::BTreeMap;
use std::time::Duration;

/// Names in definitions carry their schema, whatever the user's own settings are; and rows that a policy hides are an error.
const CATALOG: &str = "SET LOCAL search_path = ''; SET LOCAL row_security = off;";

/// How values are written, so that two servers with other defaults write the same.
/// <https://www.postgresql.org/docs/current/runtime-config-client.html>
const WRITING: &str = "SET LOCAL extra_float_digits = 1; SET LOCAL intervalstyle = 'postgres'; \
     SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'; SET LOCAL search_path = ''; \
     SET LOCAL row_security = off;";

pub(super) type Texts = Vec<Vec<Option<String>>>;

/// A name as PostgreSQL reads it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn table_in_sql(table: &TableName) -> String {
    let schema = table.schema.as_deref().unwrap_or("public");
    format!("{}.{}", quoted(schema), quoted(&table.name))
}

fn literal(text: &str) -> String {
    // Backslashes mean nothing in plain literals: standard_conforming_strings is on by default since 9.1.
    format!("'{}'", text.replace('\'', "''"))
}

/// A column of a row, as text; empty for null.
fn text(row: &[Option<String>], index: usize) -> &str {
    row.get(index).and_then(Option::as_deref).unwrap_or_default()
}

impl PostgresSession {
    /// All rows of a query of our own, as text.
    async fn catalog(&mut self, sql: &str) -> Result<Texts, OutsideError> {
        let limit = self.limit;
        answering(limit, async {
            let mut connection = self.begin(CATALOG).await?;
            let answer = texts(&mut connection, sql).await;
            self.end(connection, answer).await
        })
        .await
    }

    pub(super) async fn read_setting(
        &mut self,
        name: &str,
    ) -> Result<Option<String>, OutsideError> {
        let sql = format!("SELECT current_setting({}, true)", literal(name));
        Ok(self.catalog(&sql).await?.into_iter().flatten().next().flatten())
    }

    pub(super) async fn count_rows(&mut self, table: &Table) -> Result<u64, OutsideError> {
        let sql = format!("SELECT count(*)::text FROM {}", table_in_sql(&table.name));
        let rows = self.catalog(&sql).await?;
        let count = rows.first().and_then(|row| text(row, 0).parse().ok());
        count.ok_or_else(|| OutsideError::Failed(format!("{} was not counted", table.name)))
    }

    pub(super) async fn read_structure(&mut self) -> Result<Structure, OutsideError> {
        let version = self.catalog("SHOW server_version").await?;
        let mut structure = Structure {
            version: version.first().map(|row| text(row, 0).to_owned()).unwrap_or_default(),
            ..Structure::default()
        };
        let columns = self.catalog(&columns_sql()).await?;
        let keys = self.catalog(&keys_sql()).await?;
        add_columns(&mut structure, &columns, &keys);
        for sql in [indexes_sql(), constraints_sql(), others_sql()] {
            for row in self.catalog(&sql).await? {
                add_object(&mut structure.objects, &row);
            }
        }
        Ok(structure)
    }

    pub(super) async fn find_boundaries(
        &mut self,
        table: &Table,
        parts: u32,
    ) -> Result<Vec<String>, OutsideError> {
        let Some(first) = table.key.first().filter(|_| parts > 1) else { return Ok(Vec::new()) };
        let (key, from) = (quoted(first), table_in_sql(&table.name));
        if table.whole_number_key {
            let sql = format!("SELECT min({key})::text, max({key})::text FROM {from}");
            let rows = self.catalog(&sql).await?;
            let ends = rows.first().map(|row| (text(row, 0).parse(), text(row, 1).parse()));
            return Ok(match ends {
                Some((Ok(least), Ok(most))) => grid(least, most, parts),
                _ => Vec::new(),
            });
        }
        let shares = (1..parts).map(|n| (f64::from(n) / f64::from(parts)).to_string());
        let shares: Vec<_> = shares.collect();
        let sql = format!(
            "SELECT v.k, v.k::text AS written FROM unnest((SELECT percentile_disc(array[{}]) WITHIN GROUP \
             (ORDER BY {key}) FROM {from})) v (k) WHERE v.k IS NOT NULL GROUP BY v.k ORDER BY v.k",
            shares.join(", ")
        );
        let rows = self.catalog(&sql).await?;
        Ok(rows.iter().map(|row| text(row, 1).to_owned()).collect())
    }

    /// By hand: `psql --command "copy (select …) to stdout" | sha256sum`.
    pub(super) async fn sum(&mut self, rows: &RowsOf<'_>) -> Result<RowsSum, OutsideError> {
        let select = select(rows);
        let mut connection = self.begin(WRITING).await?;
        let answer = copy_sum(&mut connection, &select).await;
        self.end(connection, answer).await
    }

    pub(super) async fn read_sequences(&mut self) -> Result<Vec<Sequence>, OutsideError> {
        let mut found = Vec::new();
        for row in self.catalog(&sequences_sql()).await? {
            if text(&row, 6) == "false" {
                let text = format!("no right to read {}: grant select on it", text(&row, 0));
                return Err(OutsideError::Denied(text));
            }
            let table = TableName::in_schema(text(&row, 1), text(&row, 2));
            let (column, down) = (text(&row, 3), text(&row, 5).starts_with('-'));
            let end = if down { "min" } else { "max" };
            let sql =
                format!("SELECT {end}({})::text FROM {}", quoted(column), table_in_sql(&table));
            let farthest = self.catalog(&sql).await?;
            found.push(Sequence {
                name: text(&row, 0).to_owned(),
                column: format!("{table}.{column}"),
                last: text(&row, 4).parse().ok(),
                farthest: farthest.first().and_then(|row| text(row, 0).parse().ok()),
                down,
            });
        }
        Ok(found)
    }

    /// A row by its place in the file: the page is read whether or not the row is there.
    pub(super) async fn time_reads(
        &mut self,
        reading: &Reading<'_>,
    ) -> Result<Vec<Duration>, OutsideError> {
        let pages = self.pages(reading.table).await?;
        if pages == 0 {
            return Ok(Vec::new());
        }
        let from = table_in_sql(&reading.table.name);
        let limit = self.limit;
        let mut connection = self.begin(CATALOG).await?;
        let mut took = Vec::with_capacity(reading.places.len());
        let mut answer = Ok(());
        for place in reading.places {
            let page = pages * u64::from(*place) / 1_000_000;
            let sql = format!("SELECT count(*) FROM {from} WHERE ctid = '({page},1)'::tid");
            let began = reading.clock.elapsed();
            let reads = async {
                let read = raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
                Ok(read.map(drop).map_err(|error| Stop::from(&error)))
            };
            answer = answering(limit, reads).await.unwrap_or_else(|late| Err(Stop::Session(late)));
            if answer.is_err() {
                break;
            }
            took.push(reading.clock.elapsed().saturating_sub(began));
        }
        self.end(connection, answer.map(|()| took)).await
    }

    /// By pages: from PostgreSQL 14 on, only these are read.
    /// <https://www.postgresql.org/docs/14/release-14.html>, "TID range scans"
    pub(super) async fn read_part(
        &mut self,
        table: &Table,
        part: u32,
        parts: u32,
    ) -> Result<(), OutsideError> {
        let pages = self.pages(table).await?;
        let bound = |part: u32| pages * u64::from(part) / u64::from(parts.max(1));
        let sql = format!(
            "SELECT count(*) FROM {} WHERE ctid >= '({},0)'::tid AND ctid < '({},0)'::tid",
            table_in_sql(&table.name),
            bound(part),
            bound(part + 1)
        );
        self.catalog(&sql).await.map(drop)
    }

    async fn pages(&mut self, table: &Table) -> Result<u64, OutsideError> {
        let sql = format!(
            "SELECT (pg_relation_size({}::regclass) / current_setting('block_size')::bigint)::text",
            literal(&table_in_sql(&table.name))
        );
        let rows = self.catalog(&sql).await?;
        Ok(rows.first().and_then(|row| text(row, 0).parse().ok()).unwrap_or_default())
    }

    pub(super) async fn inspect_tables(
        &mut self,
        tables: &[Table],
    ) -> Result<Inspection, OutsideError> {
        let mut inspection = Inspection::default();
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
            let name = TableName::in_schema(text(&row, 0), text(&row, 1));
            if !tables.iter().any(|table| table.name == name) {
                continue;
            }
            let (kind, object, oid) = (text(&row, 2), text(&row, 3), text(&row, 4));
            if kind == "table" && !knows_heap {
                continue;
            }
            let what = format!("{kind} {object}");
            let sql = match kind {
                "index" => format!("SELECT {place}.bt_index_check({oid}::regclass, true)"),
                _ => format!("SELECT msg FROM {place}.verify_heapam({oid}::regclass) LIMIT 1"),
            };
            let said = self.catalog(&sql).await;
            note(&mut inspection, what, kind, said)?;
        }
        Ok(inspection)
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

fn select(rows: &RowsOf<'_>) -> String {
    let table = rows.table;
    let mut conditions = Vec::new();
    if let Some(key) = table.key.first().map(|key| quoted(key)) {
        conditions.extend(rows.range.from.iter().map(|from| format!("{key} >= {}", literal(from))));
        conditions.extend(rows.range.to.iter().map(|to| format!("{key} < {}", literal(to))));
    }
    // On lines of its own: a comment at its end hides nothing of ours.
    conditions.extend(rows.only.map(|only| format!("(\n{only}\n)")));
    let condition = match conditions.as_slice() {
        [] => String::new(),
        some => format!(" WHERE {}", some.join(" AND ")),
    };
    let order = match table.key.as_slice() {
        [] => "t::text COLLATE \"C\"".to_owned(),
        key => quoted_list(key, quoted),
    };
    let columns = quoted_list(&table.columns, quoted);
    format!("SELECT {columns} FROM {} t{condition} ORDER BY {order}", table_in_sql(&table.name))
}

async fn copy_sum(connection: &mut PgConnection, select: &str) -> Result<RowsSum, Stop> {
    // Preparing refuses several statements; the empty look finds what the server would refuse at the start of a copy,
    // which the driver could not go on from.
    let statement = AssertSqlSafe(select).into_sql_str();
    (&mut *connection).prepare(statement).await.map_err(|e| Stop::from(&e))?;
    let look = format!("SELECT 1 FROM (\n{select}\n) x LIMIT 0");
    raw_sql(AssertSqlSafe(look)).execute(&mut *connection).await.map_err(|e| Stop::from(&e))?;
    let copy = format!("COPY (\n{select}\n) TO STDOUT");
    let copied = connection.copy_out_raw(&copy).await;
    let mut copied = copied.map_err(|e| Stop::Session(super::meaning(&e)))?;
    let (mut hasher, mut rows) = (sha2::Sha256::new(), 0);
    // One message holds one row: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY
    while let Some(row) = copied.try_next().await.map_err(|e| Stop::from(&e))? {
        hasher.update(&row);
        rows += 1;
    }
    Ok(RowsSum { rows, digest: Digest::finish(hasher) })
}

async fn texts(connection: &mut PgConnection, sql: &str) -> Result<Texts, Stop> {
    let mut rows = Vec::new();
    let mut answer = raw_sql(AssertSqlSafe(sql)).fetch(connection);
    while let Some(row) = answer.try_next().await.map_err(|e| Stop::from(&e))? {
        let values = (0..row.len()).map(|index| of_row(&row, index)).collect::<Result<_, _>>();
        let values = values.map_err(|e| Stop::from(&e))?;
        push_object(&mut rows, values).map_err(Stop::Session)?;
    }
    Ok(rows)
}

fn of_row(row: &PgRow, index: usize) -> Result<Option<String>, sqlx::Error> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(None);
    }
    raw.as_str().map(|text| Some(text.to_owned())).map_err(sqlx::Error::Decode)
}

/// Columns of tables, with what `columns_sql` gives of each.
fn add_columns(structure: &mut Structure, columns: &Texts, keys: &Texts) {
    let mut key_of: BTreeMap<TableName, Vec<String>> = BTreeMap::new();
    for row in keys {
        let table = TableName::in_schema(text(row, 0), text(row, 1));
        key_of.entry(table).or_default().push(text(row, 2).to_owned());
    }
    for row in columns {
        let name = TableName::in_schema(text(row, 0), text(row, 1));
        let (kind, column) = (text(row, 2), text(row, 3));
        if column.is_empty() {
            structure.objects.insert(format!("{} {name}", kind_of(kind)), "no columns".into());
            continue;
        }
        let mut definition = text(row, 4).to_owned();
        if text(row, 5) == "t" {
            definition.push_str(" not null");
        }
        if !text(row, 6).is_empty() {
            definition.push_str(" identity");
        }
        let default = text(row, 8);
        if !default.is_empty() {
            let word = if text(row, 7).is_empty() { "default" } else { "generated" };
            definition.push_str(&format!(" {word} {default}"));
        }
        let whole = ["smallint", "integer", "bigint"].contains(&text(row, 4));
        structure.objects.insert(format!("column {name}.{column}"), definition);
        if !matches!(kind, "r" | "p") {
            continue;
        }
        if structure.tables.last().is_none_or(|last| last.name != name) {
            let key = key_of.remove(&name).unwrap_or_default();
            let table = Table { name, columns: Vec::new(), key, whole_number_key: false };
            structure.tables.push(table);
        }
        if let Some(table) = structure.tables.last_mut() {
            table.whole_number_key |= whole && table.key.first().is_some_and(|key| key == column);
            table.columns.push(column.to_owned());
        }
    }
}

fn kind_of(relkind: &str) -> &'static str {
    match relkind {
        "p" => "partitioned table",
        "v" => "view",
        "m" => "materialized view",
        "f" => "foreign table",
        _ => "table",
    }
}

/// A row of kind, name and definition. Long definitions stand as digests.
fn add_object(objects: &mut BTreeMap<String, String>, row: &[Option<String>]) {
    let (kind, name, definition) = (text(row, 0), text(row, 1), text(row, 2));
    let definition = match kind {
        "foreign key" => definition
            .split_once(" REFERENCES ")
            .map_or(definition, |(_, target)| target)
            .to_owned(),
        "index" | "unique index" => {
            definition.split_once(" USING ").map_or(definition, |(_, method)| method).to_owned()
        }
        "view" | "materialized view" | "function" | "trigger" | "policy" => hashed(definition),
        _ => definition.to_owned(),
    };
    objects.insert(format!("{kind} {name}"), definition);
}
