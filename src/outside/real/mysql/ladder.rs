//! The rungs of a data check, from `information_schema` of MySQL and MariaDB.

use super::super::database::{Stop, answering, push_object};
use super::MysqlSession;
use super::catalog::{
    CHECKS_OF_MARIADB, CHECKS_OF_MYSQL, COLUMNS, COUNTERS, DETAILS, DRAWN, FLOATS, FOREIGN_KEYS,
    INDEXES, KEYS, OTHERS,
};
use super::rights::hidden_kinds;
use crate::ids::Digest;
use crate::outside::OutsideError;
use crate::outside::ladder::{
    Inspected, Inspection, RowsOf, RowsSum, Sequence, Structure, Table, TableName, copy_text, grid,
    hashed, quoted_list,
};
use futures_util::TryStreamExt;
use sha2::Digest as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Executor, Row, SqlSafeStr, ValueRef, raw_sql};
use std::collections::BTreeMap;

pub(super) type Texts = Vec<Vec<Option<String>>>;

/// A name as MySQL reads it.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A column of a row, as text; empty for null.
pub(super) fn text(row: &[Option<String>], index: usize) -> &str {
    row.get(index).and_then(Option::as_deref).unwrap_or_default()
}

impl MysqlSession {
    /// All rows of a query of our own, as text.
    pub(super) async fn catalog(&mut self, sql: &str) -> Result<Texts, OutsideError> {
        let limit = self.limit;
        answering(limit, async {
            let mut connection = self.begin().await?;
            let answer = texts(&mut connection, sql).await;
            self.end(connection, answer).await
        })
        .await
    }

    /// What a new session gets: that of this one has limits, a time zone and a mode of its own.
    /// <https://dev.mysql.com/doc/refman/8.4/en/show-variables.html>
    pub(super) async fn read_setting(
        &mut self,
        name: &str,
    ) -> Result<Option<String>, OutsideError> {
        let sql = format!("SHOW GLOBAL VARIABLES WHERE Variable_name = {}", literal(name));
        Ok(self.catalog(&sql).await?.first().map(|row| text(row, 1).to_owned()))
    }

    pub(super) async fn count_rows(&mut self, table: &Table) -> Result<u64, OutsideError> {
        let sql = format!("SELECT count(*) FROM {}", quoted(&table.name.name));
        let rows = self.catalog(&sql).await?;
        let count = rows.first().and_then(|row| text(row, 0).parse().ok());
        count.ok_or_else(|| OutsideError::Failed(format!("{} was not counted", table.name)))
    }

    pub(super) async fn look_for_a_row(&mut self, table: &Table) -> Result<bool, OutsideError> {
        let sql = format!("SELECT 'there' FROM {} LIMIT 1", quoted(&table.name.name));
        Ok(!self.catalog(&sql).await?.is_empty())
    }

    pub(super) async fn read_structure(&mut self) -> Result<Structure, OutsideError> {
        let version = self.catalog("SELECT version()").await?;
        let mut structure = Structure {
            version: version.first().map(|row| text(row, 0).to_owned()).unwrap_or_default(),
            ..Structure::default()
        };
        let columns = self.catalog(COLUMNS).await?;
        let keys = self.catalog(KEYS).await?;
        add_columns(&mut structure, &columns, &keys);
        for row in self.catalog(FLOATS).await? {
            let mut tables = structure.tables.iter_mut();
            if let Some(table) = tables.find(|table| table.name.name == text(&row, 0)) {
                table.inexact.push(text(&row, 1).to_owned());
            }
        }
        let checks = match self.catalog(CHECKS_OF_MARIADB).await {
            Err(OutsideError::Failed(_)) => self.catalog(CHECKS_OF_MYSQL).await,
            answer => answer,
        };
        // Before MySQL 8.0.16 there are none.
        let mut rows = match checks {
            Err(OutsideError::Failed(_)) => Texts::new(),
            answer => answer?,
        };
        for sql in [INDEXES, FOREIGN_KEYS, OTHERS, DETAILS] {
            rows.extend(self.catalog(sql).await?);
        }
        structure.not_seen = self.hidden_kinds(&structure.version).await?;
        for row in &rows {
            let (kind, name, definition) = (text(row, 0), text(row, 1), text(row, 2));
            let long = ["view", "trigger", "function", "procedure", "event"].contains(&kind);
            // Whatever the rights are called: nothing is defined by nothing.
            if long && definition.is_empty() {
                let hidden = || format!("the server does not show the definition of {name}");
                structure.not_seen.entry(kind.to_owned()).or_insert_with(hidden);
            }
            let definition = if long { hashed(definition) } else { definition.to_owned() };
            structure.objects.insert(format!("{kind} {name}"), definition);
        }
        Ok(structure)
    }

    /// Kinds of objects that the user lacks the rights to see, with what to grant.
    async fn hidden_kinds(
        &mut self,
        version: &str,
    ) -> Result<BTreeMap<String, String>, OutsideError> {
        let database = self.catalog("SELECT database()").await?;
        let database = database.first().map(|row| text(row, 0).to_owned()).unwrap_or_default();
        let grants = match self.catalog("SHOW GRANTS").await {
            // Where nobody says what is granted, it is not known.
            Err(OutsideError::Failed(_) | OutsideError::Denied(_)) => Texts::new(),
            answer => answer?,
        };
        let grants: Vec<_> = grants.iter().map(|row| text(row, 0).to_owned()).collect();
        Ok(hidden_kinds(&grants, &database, version))
    }

    pub(super) async fn find_boundaries(
        &mut self,
        table: &Table,
        parts: u32,
    ) -> Result<Vec<String>, OutsideError> {
        let Some(first) = table.key.first().filter(|_| parts > 1) else { return Ok(Vec::new()) };
        let (key, from) = (quoted(first), quoted(&table.name.name));
        if table.whole_number_key {
            let rows = self.catalog(&format!("SELECT min({key}), max({key}) FROM {from}")).await?;
            let ends = rows.first().map(|row| (text(row, 0).parse(), text(row, 1).parse()));
            return Ok(match ends {
                Some((Ok(least), Ok(most))) => grid(least, most, parts),
                _ => Vec::new(),
            });
        }
        let binary = format!(
            "SELECT count(*) FROM information_schema.columns WHERE table_schema = database() AND table_name = {} \
             AND column_name = {} AND data_type IN ('binary', 'varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob', 'bit')",
            literal(&table.name.name),
            literal(first)
        );
        let binary = self.catalog(&binary).await?;
        if binary.first().is_none_or(|row| text(row, 0) != "0") {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT min(k) FROM (SELECT {key} k, ntile({parts}) OVER (ORDER BY {key}) part FROM {from}) x \
             GROUP BY part HAVING part > 1 ORDER BY min(k)"
        );
        let mut found: Vec<_> =
            self.catalog(&sql).await?.iter().map(|row| text(row, 0).to_owned()).collect();
        found.dedup();
        Ok(found)
    }

    pub(super) async fn sum(&mut self, rows: &RowsOf<'_>) -> Result<RowsSum, OutsideError> {
        let select = select(rows);
        let mut connection = self.begin().await?;
        let answer = stream_sum(&mut connection, &select).await;
        self.end(connection, answer).await
    }

    pub(super) async fn read_sequences(&mut self) -> Result<Vec<Sequence>, OutsideError> {
        // MySQL 8 would answer from statistics of up to a day ago:
        // https://dev.mysql.com/doc/refman/8.0/en/information-schema-optimization.html
        if let Some(connection) = self.connection.as_mut() {
            let fresh = "SET SESSION information_schema_stats_expiry = 0";
            let _unknown_to_mariadb = super::command(connection, fresh).await;
        }
        let mut found = Vec::new();
        for row in self.catalog(COUNTERS).await? {
            let (table, column) = (text(&row, 0), text(&row, 1));
            found.push(Sequence {
                name: format!("auto_increment of {table}"),
                column: format!("{table}.{column}"),
                next: text(&row, 2).parse().ok(),
                farthest: self.number(&format!("max({})", quoted(column)), table).await?,
                down: false,
            });
        }
        for row in self.catalog(DRAWN).await? {
            let (sequence, table, column) = (text(&row, 0), text(&row, 1), text(&row, 2));
            let down = self.number("increment", sequence).await?.is_some_and(|step| step < 0);
            let end = if down { "min" } else { "max" };
            found.push(Sequence {
                name: format!("sequence {sequence}"),
                column: format!("{table}.{column}"),
                next: self.number("next_not_cached_value", sequence).await?,
                farthest: self.number(&format!("{end}({})", quoted(column)), table).await?,
                down,
            });
        }
        Ok(found)
    }

    async fn number(&mut self, what: &str, table: &str) -> Result<Option<i128>, OutsideError> {
        let rows = self.catalog(&format!("SELECT {what} FROM {}", quoted(table))).await?;
        Ok(rows.first().and_then(|row| text(row, 0).parse().ok()))
    }

    pub(super) async fn inspect_tables(
        &mut self,
        tables: &[Table],
    ) -> Result<Inspection, OutsideError> {
        let mut inspection = Inspection::default();
        for table in tables {
            let what = format!("table {}", table.name);
            let sql = format!("CHECK TABLE {} EXTENDED", quoted(&table.name.name));
            match self.catalog(&sql).await {
                Ok(rows) => note(&mut inspection, what, &rows),
                Err(error) if error.says_damaged() => {
                    inspection.seen.push(Inspected { what, damage: Some(error.to_string()) });
                }
                Err(OutsideError::Failed(why) | OutsideError::Denied(why)) => {
                    inspection.not_seen.push(format!("{what}: {why}"));
                }
                Err(lost) => return Err(lost),
            }
        }
        Ok(inspection)
    }
}

/// The last row says how it went; those before, what was found.
/// <https://dev.mysql.com/doc/refman/8.0/en/check-table.html>
fn note(inspection: &mut Inspection, what: String, rows: &Texts) {
    let said = |row: &[Option<String>]| format!("{}: {}", text(row, 2), text(row, 3));
    match rows.last() {
        Some(last) if text(last, 2) == "status" && text(last, 3) == "OK" => {
            inspection.seen.push(Inspected { what, damage: None });
        }
        Some(last) if text(last, 2) == "note" => {
            inspection.not_seen.push(format!("{what}: {}", text(last, 3)));
        }
        Some(_) => {
            let damage = rows.iter().map(|row| said(row)).collect::<Vec<_>>().join("; ");
            inspection.seen.push(Inspected { what, damage: Some(damage) });
        }
        None => inspection.not_seen.push(format!("{what}: the server said nothing")),
    }
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
    let column = |name: &str| match table.inexact.iter().any(|inexact| inexact == name) {
        // As a double it is written with all its digits.
        true => format!("({} + 0e0)", quoted(name)),
        false => quoted(name),
    };
    // Without a key there may be rows that are equal to a collation and not the same: digests of their bytes put them into
    // one order, also where they are longer than what the server sorts by (max_sort_length).
    let order = match table.key.as_slice() {
        [] => quoted_list(&table.columns, |name| {
            format!("sha2(CAST({} AS BINARY), 256)", column(name))
        }),
        key => quoted_list(key, quoted),
    };
    format!(
        "SELECT {} FROM {}{condition} ORDER BY {order}",
        quoted_list(&table.columns, column),
        quoted(&table.name.name),
    )
}

async fn stream_sum(connection: &mut MySqlConnection, select: &str) -> Result<RowsSum, Stop> {
    // Preparing refuses several statements.
    let statement = AssertSqlSafe(select).into_sql_str();
    (&mut *connection).prepare(statement).await.map_err(|e| Stop::from(&e))?;
    let mut answer = raw_sql(AssertSqlSafe(select)).fetch(connection);
    let (mut hasher, mut rows, mut line) = (sha2::Sha256::new(), 0, Vec::new());
    while let Some(row) = answer.try_next().await.map_err(|e| Stop::from(&e))? {
        line.clear();
        for index in 0..row.len() {
            if index > 0 {
                line.push(b'\t');
            }
            copy_text(&mut line, bytes(&row, index).map_err(|e| Stop::from(&e))?);
        }
        line.push(b'\n');
        hasher.update(&line);
        rows += 1;
    }
    Ok(RowsSum { rows, digest: Digest::finish(hasher) })
}

fn bytes(row: &MySqlRow, index: usize) -> Result<Option<&[u8]>, sqlx::Error> {
    if row.try_get_raw(index)?.is_null() {
        return Ok(None);
    }
    row.try_get_unchecked::<&[u8], _>(index).map(Some)
}

pub(super) async fn texts(connection: &mut MySqlConnection, sql: &str) -> Result<Texts, Stop> {
    let mut rows = Vec::new();
    let mut answer = raw_sql(AssertSqlSafe(sql)).fetch(connection);
    while let Some(row) = answer.try_next().await.map_err(|e| Stop::from(&e))? {
        let values = (0..row.len()).map(|index| {
            let bytes = bytes(&row, index)?;
            Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
        });
        let values: Result<Vec<_>, sqlx::Error> = values.collect();
        let values = values.map_err(|e| Stop::from(&e))?;
        push_object(&mut rows, values).map_err(Stop::Session)?;
    }
    Ok(rows)
}

fn add_columns(structure: &mut Structure, columns: &Texts, keys: &Texts) {
    let mut key_of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in keys {
        key_of.entry(text(row, 0)).or_default().push(text(row, 1).to_owned());
    }
    for (table, key) in &key_of {
        let definition = format!("({})", key.join(", "));
        structure.objects.insert(format!("primary key {table}"), definition);
    }
    for row in columns {
        let (name, column) = (text(row, 0), text(row, 2));
        let mut definition = text(row, 3).to_owned();
        if text(row, 4) == "NO" {
            definition.push_str(" not null");
        }
        if let Some(default) = row.get(5).and_then(Option::as_deref) {
            definition.push_str(&format!(" default {default}"));
        }
        if !text(row, 6).is_empty() {
            definition.push_str(&format!(" {}", text(row, 6).to_ascii_lowercase()));
        }
        structure.objects.insert(format!("column {name}.{column}"), definition);
        if text(row, 1) != "BASE TABLE" {
            continue;
        }
        if structure.tables.last().is_none_or(|last| last.name.name != name) {
            let key = key_of.remove(name).unwrap_or_default();
            let name = TableName::plain(name);
            structure.tables.push(Table {
                name,
                columns: Vec::new(),
                key,
                whole_number_key: false,
                inexact: Vec::new(),
                hashes_alike: true,
            });
        }
        if let Some(table) = structure.tables.last_mut() {
            let whole = text(row, 3).contains("int");
            table.whole_number_key |= whole && table.key.first().is_some_and(|key| key == column);
            table.columns.push(column.to_owned());
        }
    }
}
