//! How a simulated database is built, told in the words of the engine that it stands for.

use super::query::{Contents, QueryRefused};
use crate::outside::ladder::{Structure, Table, TableName, hashed};
use rusqlite::Connection;

/// Type names that PostgreSQL writes in another way than people do.
/// <https://www.postgresql.org/docs/current/datatype.html>
const WRITTEN: [(&str, &str); 9] = [
    ("int", "integer"),
    ("int4", "integer"),
    ("int8", "bigint"),
    ("int2", "smallint"),
    ("bool", "boolean"),
    ("float8", "double precision"),
    ("timestamptz", "timestamp with time zone"),
    ("timestamp", "timestamp without time zone"),
    ("decimal", "numeric"),
];

/// What SQLite says of one column.
struct ColumnFacts {
    name: String,
    kind: String,
    not_null: bool,
    default: Option<String>,
    /// Its place in the primary key, from 1; 0 when it is not in it.
    key: u32,
}

impl Contents<'_> {
    /// As `public.orders` for PostgreSQL, and `orders` for MySQL.
    pub(super) fn table_name(&self, name: &str) -> TableName {
        match self.is_mysql() {
            true => TableName::plain(name),
            false => TableName::in_schema("public", name),
        }
    }

    pub(super) fn is_mysql(&self) -> bool {
        ["mysql", "mariadb"].iter().any(|engine| self.instance.settings.engine.contains(engine))
    }

    /// The structure of the database.
    pub(crate) fn structure(&self) -> Result<Structure, QueryRefused> {
        let version = self.instance.settings.version.clone();
        let mut structure = Structure { version, ..Structure::default() };
        let sql = "select name, sql, type from sqlite_master where type in ('table', 'view', 'trigger') \
                   and name not like 'sqlite_%' and name not like 'redrill\\_%' escape '\\' order by name";
        let mut statement = self.connection.prepare(sql)?;
        let all = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for found in all {
            let (name, sql, kind): (String, String, String) = found?;
            if kind == "table" {
                self.add_table(&mut structure, &name, &sql)?;
            } else {
                let object = format!("{kind} {}", self.table_name(&name));
                structure.objects.insert(object, hashed(&sql));
            }
        }
        Ok(structure)
    }

    fn add_table(
        &self,
        structure: &mut Structure,
        name: &str,
        sql: &str,
    ) -> Result<(), QueryRefused> {
        let table = self.table_name(name);
        let counted = sql.to_ascii_lowercase().contains("autoincrement");
        let columns = columns(self.connection, name)?;
        let mut key: Vec<_> = columns.iter().filter(|column| column.key > 0).collect();
        key.sort_by_key(|column| column.key);
        let whole = key.first().is_some_and(|first| first.kind.contains("int"));
        for column in &columns {
            let mut definition = column.kind.clone();
            if column.not_null || column.key > 0 {
                definition.push_str(" not null");
            }
            if counted && column.key > 0 {
                definition.push_str(if self.is_mysql() { " auto_increment" } else { " identity" });
            }
            if let Some(default) = &column.default {
                definition.push_str(&format!(" default {default}"));
            }
            structure.objects.insert(format!("column {table}.{}", column.name), definition);
        }
        let key: Vec<String> = key.into_iter().map(|column| column.name.clone()).collect();
        if !key.is_empty() {
            let definition = format!("({})", key.join(", "));
            structure.objects.insert(format!("primary key {table}"), definition);
        }
        self.add_indexes(structure, name, &table)?;
        self.add_foreign_keys(structure, name, &table)?;
        let columns = columns.into_iter().map(|column| column.name).collect();
        structure.tables.push(Table {
            name: table,
            columns,
            key,
            whole_number_key: whole,
            inexact: Vec::new(),
            hashes_alike: true,
        });
        Ok(())
    }

    fn add_indexes(
        &self,
        structure: &mut Structure,
        name: &str,
        table: &TableName,
    ) -> Result<(), QueryRefused> {
        for (index, unique, origin) in indexes(self.connection, name)? {
            let mut statement =
                self.connection.prepare("select name from pragma_index_info(?1) order by seqno")?;
            let columns = statement.query_map([&index], |row| row.get::<_, String>(0))?;
            let columns = columns.collect::<Result<Vec<_>, _>>()?.join(", ");
            match origin.as_str() {
                "c" => {
                    let kind = if unique { "unique index" } else { "index" };
                    structure
                        .objects
                        .insert(format!("{kind} {table} {index}"), format!("btree ({columns})"));
                }
                "u" => {
                    let named = format!("{name}_{}_key", columns.replace(", ", "_"));
                    structure
                        .objects
                        .insert(format!("unique {table} {named}"), format!("({columns})"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add_foreign_keys(
        &self,
        structure: &mut Structure,
        name: &str,
        table: &TableName,
    ) -> Result<(), QueryRefused> {
        let sql = "select group_concat(\"from\", ', '), \"table\", group_concat(\"to\", ', '), on_delete \
                   from (select * from pragma_foreign_key_list(?1) order by id, seq) group by id";
        let mut statement = self.connection.prepare(sql)?;
        let all = statement
            .query_map([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        for found in all {
            let (from, target, to, on_delete): (String, String, String, String) = found?;
            let mut definition = format!("{}({to})", self.table_name(&target));
            if on_delete != "NO ACTION" {
                definition.push_str(&format!(" ON DELETE {on_delete}"));
            }
            structure.objects.insert(format!("foreign key {table} ({from})"), definition);
        }
        Ok(())
    }
}

/// Indexes of a table: name, whether unique, and where it comes from (`c`: made by hand).
pub(super) fn indexes(
    connection: &Connection,
    table: &str,
) -> Result<Vec<(String, bool, String)>, QueryRefused> {
    let sql = "select name, \"unique\", origin from pragma_index_list(?1) order by name";
    let mut statement = connection.prepare(sql)?;
    let all = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(all.collect::<Result<_, _>>()?)
}

fn columns(connection: &Connection, table: &str) -> Result<Vec<ColumnFacts>, QueryRefused> {
    let sql =
        "select name, type, \"notnull\", dflt_value, pk from pragma_table_info(?1) order by cid";
    let mut statement = connection.prepare(sql)?;
    let all = statement.query_map([table], |row| {
        Ok(ColumnFacts {
            name: row.get(0)?,
            kind: written(&row.get::<_, String>(1)?),
            not_null: row.get(2)?,
            default: row.get(3)?,
            key: row.get(4)?,
        })
    })?;
    Ok(all.collect::<Result<_, _>>()?)
}

/// A type as PostgreSQL writes it.
fn written(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    let known = WRITTEN.iter().find(|(as_people_do, _)| *as_people_do == kind);
    known.map_or(kind.clone(), |(_, written)| (*written).to_owned())
}
