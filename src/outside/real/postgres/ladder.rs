//! The rungs of a data check, from PostgreSQL's catalogs and by `COPY`.

use super::super::database::{Stop, answering, push_object};
use super::PostgresSession;
use super::catalog::{
    columns_sql, constraints_sql, details_sql, indexes_sql, keys_sql, not_hashed_alike_sql,
    others_sql, sequences_sql,
};
use crate::ids::Digest;
use crate::outside::OutsideError;
use crate::outside::ladder::{
    RowsOf, RowsSum, Sequence, Structure, Table, TableName, grid, hashed, quoted_list,
};
use futures_util::TryStreamExt;
use sha2::Digest as _;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Executor, Row, SqlSafeStr, ValueRef, raw_sql};
use std::collections::BTreeMap;

/// Names in definitions carry their schema, whatever the user's own settings are; and rows that a policy hides are an error.
pub(super) const CATALOG: &str = "SET LOCAL search_path = ''; SET LOCAL row_security = off;";

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

pub(super) fn table_in_sql(table: &TableName) -> String {
    let schema = table.schema.as_deref().unwrap_or("public");
    format!("{}.{}", quoted(schema), quoted(&table.name))
}

pub(super) fn literal(text: &str) -> String {
    // Backslashes mean nothing in plain literals: standard_conforming_strings is on by default since 9.1.
    format!("'{}'", text.replace('\'', "''"))
}

/// A column of a row, as text; empty for null.
pub(super) fn text(row: &[Option<String>], index: usize) -> &str {
    row.get(index).and_then(Option::as_deref).unwrap_or_default()
}

impl PostgresSession {
    /// All rows of a query of our own, as text.
    pub(super) async fn catalog(&mut self, sql: &str) -> Result<Texts, OutsideError> {
        self.catalog_under(CATALOG, sql).await
    }

    async fn catalog_under(&mut self, settings: &str, sql: &str) -> Result<Texts, OutsideError> {
        let limit = self.limit;
        answering(limit, async {
            let mut connection = self.begin(settings).await?;
            let answer = texts(&mut connection, sql).await;
            self.end(connection, answer).await
        })
        .await
    }

    /// As another program's session has it: what this one sets for itself is undone before the look. What it sends while
    /// it connects (the time zone, how dates are written) cannot be undone, and no answer is better than that one.
    /// <https://www.postgresql.org/docs/current/view-pg-settings.html>, "source"
    pub(super) async fn read_setting(
        &mut self,
        name: &str,
    ) -> Result<Option<String>, OutsideError> {
        let name_in_sql = literal(name);
        let sql = format!(
            "SELECT current_setting({name_in_sql}, true), (SELECT source FROM pg_catalog.pg_settings WHERE \
             lower(name) = lower({name_in_sql}))"
        );
        let mut found = self.catalog(&sql).await?.into_iter().next().unwrap_or_default();
        if text(&found, 1) == "session" && !name.to_lowercase().starts_with("transaction_") {
            let undone = format!("{CATALOG} SET LOCAL {} TO DEFAULT;", quoted(name));
            found = self.catalog_under(&undone, &sql).await?.into_iter().next().unwrap_or_default();
        }
        if ["session", "client"].contains(&text(&found, 1)) {
            return Err(OutsideError::Failed(format!(
                "{name} is what this program asks for in its own session: what the server gives others is not to be seen here"
            )));
        }
        Ok(found.into_iter().next().flatten())
    }

    pub(super) async fn count_rows(&mut self, table: &Table) -> Result<u64, OutsideError> {
        let sql = format!("SELECT count(*)::text FROM {}", table_in_sql(&table.name));
        let rows = self.catalog(&sql).await?;
        let count = rows.first().and_then(|row| text(row, 0).parse().ok());
        count.ok_or_else(|| OutsideError::Failed(format!("{} was not counted", table.name)))
    }

    pub(super) async fn look_for_a_row(&mut self, table: &Table) -> Result<bool, OutsideError> {
        let sql = format!("SELECT 'there' FROM {} LIMIT 1", table_in_sql(&table.name));
        Ok(!self.catalog(&sql).await?.is_empty())
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
        let not_alike = self.catalog(&not_hashed_alike_sql()).await?;
        for table in &mut structure.tables {
            let is_it = |row: &Vec<Option<String>>| {
                table.name == TableName::in_schema(text(row, 0), text(row, 1))
            };
            table.hashes_alike = !not_alike.iter().any(is_it);
        }
        let objects = [indexes_sql(), constraints_sql(), others_sql()];
        for sql in objects.into_iter().chain(details_sql()) {
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
        let mut connection = self.begin(WRITING).await?;
        let answer = match rows.hashed_by_server {
            true => hashed_sum(&mut connection, rows).await,
            false => copy_sum(&mut connection, &select(rows)).await,
        };
        self.end(connection, answer).await
    }

    pub(super) async fn read_sequences(&mut self) -> Result<Vec<Sequence>, OutsideError> {
        let mut found = Vec::new();
        for row in self.catalog(&sequences_sql()).await? {
            if text(&row, 7) == "false" {
                let text = format!("no right to read {}: grant select on it", text(&row, 0));
                return Err(OutsideError::Denied(text));
            }
            let table = TableName::in_schema(text(&row, 1), text(&row, 2));
            let (column, down) = (text(&row, 3), text(&row, 6).starts_with('-'));
            let end = if down { "min" } else { "max" };
            let sql =
                format!("SELECT {end}({})::text FROM {}", quoted(column), table_in_sql(&table));
            let farthest = self.catalog(&sql).await?;
            let sequence = TableName::in_schema(text(&row, 4), text(&row, 5));
            let next = self.next_of(&sequence, text(&row, 6)).await?;
            found.push(Sequence {
                name: text(&row, 0).to_owned(),
                column: format!("{table}.{column}"),
                next,
                farthest: farthest.first().and_then(|row| text(row, 0).parse().ok()),
                down,
            });
        }
        Ok(found)
    }

    /// What a sequence gives next. It holds the last number, or the first one while it has given none: after `restart`, too.
    /// <https://www.postgresql.org/docs/current/sql-createsequence.html>, "Notes"
    async fn next_of(
        &mut self,
        sequence: &TableName,
        increment: &str,
    ) -> Result<Option<i128>, OutsideError> {
        let from = table_in_sql(sequence);
        let rows =
            self.catalog(&format!("SELECT last_value::text, is_called::text FROM {from}")).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let step = if text(row, 1) == "false" { Some(0) } else { increment.parse().ok() };
        let last: Option<i128> = text(row, 0).parse().ok();
        Ok(last.zip(step).map(|(last, step)| last + step))
    }
}

/// The condition that rows must meet, with its `WHERE`.
fn condition(rows: &RowsOf<'_>) -> String {
    let table = rows.table;
    let mut conditions = Vec::new();
    if let Some(key) = table.key.first().map(|key| quoted(key)) {
        conditions.extend(rows.range.from.iter().map(|from| format!("{key} >= {}", literal(from))));
        conditions.extend(rows.range.to.iter().map(|to| format!("{key} < {}", literal(to))));
    }
    // On lines of its own: a comment at its end hides nothing of ours.
    conditions.extend(rows.only.map(|only| format!("(\n{only}\n)")));
    match conditions.as_slice() {
        [] => String::new(),
        some => format!(" WHERE {}", some.join(" AND ")),
    }
}

fn select(rows: &RowsOf<'_>) -> String {
    let (table, condition) = (rows.table, condition(rows));
    let order = match table.key.as_slice() {
        [] => "t::text COLLATE \"C\"".to_owned(),
        key => quoted_list(key, quoted),
    };
    let columns = quoted_list(&table.columns, quoted);
    format!("SELECT {columns} FROM {} t{condition} ORDER BY {order}", table_in_sql(&table.name))
}

/// Rows are hashed by their types' own functions, which PostgreSQL has for records since version 14.
async fn hashed_sum(connection: &mut PgConnection, rows: &RowsOf<'_>) -> Result<RowsSum, Stop> {
    let sql = format!(
        "SELECT count(*)::text, coalesce(bit_xor(hash_record_extended(t, 0)), 0)::text FROM {} t{}",
        table_in_sql(&rows.table.name),
        condition(rows)
    );
    // Preparing refuses several statements.
    let statement = AssertSqlSafe(sql.as_str()).into_sql_str();
    (&mut *connection).prepare(statement).await.map_err(|e| Stop::from(&e))?;
    let found = texts(connection, &sql).await?;
    let row = found.first().map_or(&[][..], Vec::as_slice);
    let count = text(row, 0).parse().map_err(|_| {
        Stop::Statement(OutsideError::Failed("the rows were not counted".to_owned()))
    })?;
    let digest = Digest::of(format!("hash_record_extended {}", text(row, 1)).as_bytes());
    Ok(RowsSum { rows: count, digest })
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
            structure.tables.push(Table {
                name,
                columns: Vec::new(),
                key,
                whole_number_key: false,
                inexact: Vec::new(),
                hashes_alike: false,
            });
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
        "view" | "materialized view" | "function" | "function clauses" | "trigger" | "policy"
        | "rule" => hashed(definition),
        _ => definition.to_owned(),
    };
    objects.insert(format!("{kind} {name}"), definition);
}
