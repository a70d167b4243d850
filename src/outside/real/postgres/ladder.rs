//! The rungs of a data check, from PostgreSQL's catalogs and by `COPY`.

use super::super::database::{Stop, answering, push_object};
use super::PostgresSession;
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

/// Names in definitions carry their schema, whatever the user's own settings are.
const CATALOG: &str = "SET LOCAL search_path = '';";

/// How values are written, so that two servers with other defaults write the same.
/// <https://www.postgresql.org/docs/current/runtime-config-client.html>
const WRITING: &str = "SET LOCAL extra_float_digits = 1; SET LOCAL intervalstyle = 'postgres'; \
     SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'; SET LOCAL search_path = '';";

/// Schemas that belong to users.
const OURS: &str =
    "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'";

/// What an extension brings along changes with the extension, whose version stands for it.
const NOT_OF_EXTENSION: &str = "NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = c.oid AND e.deptype = 'e' \
     AND e.classid = 'pg_class'::regclass)";

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

fn columns_sql() -> String {
    format!(
        "SELECT n.nspname::text, c.relname::text, c.relkind::text, a.attname::text, \
         pg_catalog.format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 't' END, a.attidentity::text, \
         a.attgenerated::text, pg_catalog.pg_get_expr(d.adbin, d.adrelid) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND {OURS} AND {NOT_OF_EXTENSION} \
         ORDER BY n.nspname::text COLLATE \"C\", c.relname::text COLLATE \"C\", a.attnum"
    )
}

fn keys_sql() -> String {
    format!(
        "SELECT n.nspname::text, c.relname::text, a.attname::text FROM pg_index i \
         JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k (num, place) \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.num \
         WHERE i.indisprimary AND {OURS} ORDER BY c.oid, k.place"
    )
}

fn indexes_sql() -> String {
    format!(
        "SELECT CASE WHEN i.indisunique THEN 'unique index' ELSE 'index' END, \
         n.nspname || '.' || c.relname || ' ' || x.relname, \
         pg_catalog.pg_get_indexdef(x.oid) || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END \
         FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE {OURS} AND {NOT_OF_EXTENSION} AND NOT c.relispartition \
         AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x'))"
    )
}

fn constraints_sql() -> String {
    format!(
        "SELECT CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign key' \
         WHEN 'c' THEN 'check' ELSE 'constraint' END, \
         n.nspname || '.' || c.relname || CASE WHEN k.contype = 'f' THEN ' (' || (SELECT string_agg(a.attname, ', ' \
         ORDER BY u.place) FROM unnest(k.conkey) WITH ORDINALITY u (num, place) JOIN pg_attribute a \
         ON a.attrelid = k.conrelid AND a.attnum = u.num) || ')' WHEN k.contype = 'p' THEN '' ELSE ' ' || k.conname END, \
         CASE WHEN k.contype IN ('p', 'u') THEN substring(pg_catalog.pg_get_constraintdef(k.oid) from '\\(.*') \
         ELSE pg_catalog.pg_get_constraintdef(k.oid) END \
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE k.contype IN ('p', 'u', 'f', 'c', 'x') AND {OURS} AND {NOT_OF_EXTENSION} AND NOT c.relispartition"
    )
}

/// Views, functions, triggers, row policies, sequences of their own, types and extensions.
fn others_sql() -> String {
    format!(
        "SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, n.nspname || '.' || c.relname, \
         pg_catalog.pg_get_viewdef(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('v', 'm') AND {OURS} AND {NOT_OF_EXTENSION} \
         UNION ALL SELECT 'function', n.nspname || '.' || p.proname || '(' || \
         pg_catalog.pg_get_function_identity_arguments(p.oid) || ')', \
         concat_ws(' ', l.lanname, p.prokind::text, p.provolatile::text, pg_catalog.pg_get_function_result(p.oid), \
         p.prosrc) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang \
         WHERE {OURS} AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = p.oid AND e.deptype = 'e' \
         AND e.classid = 'pg_proc'::regclass) \
         UNION ALL SELECT 'trigger', n.nspname || '.' || c.relname || ' ' || t.tgname, \
         pg_catalog.pg_get_triggerdef(t.oid) || t.tgenabled::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND {OURS} AND {NOT_OF_EXTENSION} \
         UNION ALL SELECT 'policy', n.nspname || '.' || c.relname || ' ' || o.polname, concat_ws(' ', o.polcmd::text, \
         pg_catalog.pg_get_expr(o.polqual, o.polrelid), pg_catalog.pg_get_expr(o.polwithcheck, o.polrelid)) \
         FROM pg_policy o JOIN pg_class c ON c.oid = o.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS} \
         UNION ALL SELECT 'sequence', n.nspname || '.' || c.relname, \
         pg_catalog.format_type(s.seqtypid, NULL) || ' by ' || s.seqincrement FROM pg_sequence s \
         JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS} AND {NOT_OF_EXTENSION} \
         AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.objid = c.oid AND i.deptype = 'i' AND i.classid = 'pg_class'::regclass) \
         UNION ALL SELECT 'type', n.nspname || '.' || t.typname, 'enum ' || (SELECT string_agg(e.enumlabel, ', ' \
         ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) FROM pg_type t \
         JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'e' AND {OURS} \
         UNION ALL SELECT 'extension', e.extname, e.extversion FROM pg_extension e WHERE e.extname <> 'plpgsql'"
    )
}

/// Sequences that columns own, and those that their defaults call.
fn sequences_sql() -> String {
    format!(
        "SELECT DISTINCT n.nspname || '.' || s.relname, tn.nspname::text, t.relname::text, a.attname::text, \
         p.last_value::text, q.seqincrement::text, has_sequence_privilege(s.oid, 'SELECT, USAGE')::text FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid \
         JOIN pg_namespace n ON n.oid = s.relnamespace \
         JOIN pg_sequences p ON p.schemaname = n.nspname AND p.sequencename = s.relname \
         JOIN (SELECT d.objid AS seq, d.refobjid AS rel, d.refobjsubid AS num FROM pg_depend d \
         WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') \
         AND d.refobjsubid > 0 \
         UNION SELECT d.refobjid, f.adrelid, f.adnum FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid \
         WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass) w ON w.seq = s.oid \
         JOIN pg_class t ON t.oid = w.rel JOIN pg_namespace tn ON tn.oid = t.relnamespace \
         JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = w.num \
         WHERE {OURS} AND t.relkind IN ('r', 'p') ORDER BY 1, 2, 3, 4"
    )
}

/// Indexes that amcheck knows, and tables: permanent ones, since what is temporary or unlogged is not in a backup.
/// <https://www.postgresql.org/docs/current/amcheck.html>
fn inspected_sql() -> String {
    format!(
        "SELECT n.nspname::text, c.relname::text, 'index', n.nspname || '.' || x.relname, x.oid::text FROM pg_index i \
         JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam JOIN pg_class c ON c.oid = i.indrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE m.amname = 'btree' AND x.relkind = 'i' AND i.indisvalid AND i.indisready AND x.relpersistence = 'p' AND {OURS} \
         UNION ALL SELECT n.nspname::text, c.relname::text, 'table', n.nspname || '.' || c.relname, c.oid::text \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am m ON m.oid = c.relam \
         WHERE c.relkind = 'r' AND m.amname = 'heap' AND c.relpersistence = 'p' AND {OURS} ORDER BY 1, 2, 3, 4"
    )
}
