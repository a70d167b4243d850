//! The rungs of a data check, from the data of a simulated database.

use super::dialect::{confined, folded};
use super::query::{Contents, QueryRefused};
use super::structure::indexes;
use crate::ids::Digest;
use crate::outside::OutsideError;
use crate::outside::ladder::{
    Inspected, Inspection, RowsOf, RowsSum, Sequence, Table, copy_text, grid, quoted_list,
};
use rusqlite::types::ValueRef;
use sha2::Digest as _;

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Contents<'_> {
    /// A setting: the server's version, or what the parameter group sets.
    pub(crate) fn setting(&self, name: &str) -> Option<String> {
        match name {
            "server_version" | "version" => Some(self.instance.settings.version.clone()),
            _ => self.parameters.get(name).cloned(),
        }
    }

    /// The number of rows of a table.
    pub(crate) fn count(&self, table: &Table) -> Result<u64, QueryRefused> {
        let sql = format!("select count(*) from {}", quoted(&table.name.name));
        let count: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Keys that cut a table into parts.
    pub(crate) fn boundaries(
        &self,
        table: &Table,
        parts: u32,
    ) -> Result<Vec<String>, QueryRefused> {
        let first = table.key.first().filter(|_| table.whole_number_key);
        let Some(key) = first.map(|key| quoted(key)) else { return Ok(Vec::new()) };
        let sql = format!("select min({key}), max({key}) from {}", quoted(&table.name.name));
        let ends = self.connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(match ends {
            (Some(least), Some(most)) => grid(least, most, parts),
            _ => Vec::new(),
        })
    }

    /// The checksum of rows.
    pub(crate) fn checksum(&self, rows: &RowsOf<'_>) -> Result<RowsSum, QueryRefused> {
        let table = rows.table;
        let mut conditions = Vec::new();
        if let (Some(key), true) = (table.key.first(), table.whole_number_key) {
            // Whole numbers, that a session has given or a reference holds.
            let number = |text: &String| text.parse::<i64>().unwrap_or(0);
            let key = quoted(key);
            conditions
                .extend(rows.range.from.iter().map(|from| format!("{key} >= {}", number(from))));
            conditions.extend(rows.range.to.iter().map(|to| format!("{key} < {}", number(to))));
        }
        conditions.extend(rows.only.map(|only| format!("(\n{only}\n)")));
        let condition = match conditions.as_slice() {
            [] => String::new(),
            some => format!(" where {}", some.join(" and ")),
        };
        let order = if table.key.is_empty() { &table.columns } else { &table.key };
        let sql = format!(
            "select {} from {}{condition} order by {}",
            quoted_list(&table.columns, quoted),
            quoted(&table.name.name),
            quoted_list(order, quoted)
        );
        let confined = confined(&sql, self.now).map_err(QueryRefused::Sql)?;
        self.sum(&confined, table.columns.len())
    }

    fn sum(&self, sql: &str, width: usize) -> Result<RowsSum, QueryRefused> {
        let mut statement = self.connection.prepare(sql)?;
        let (mut hasher, mut count, mut line) = (sha2::Sha256::new(), 0, Vec::new());
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            line.clear();
            for index in 0..width {
                if index > 0 {
                    line.push(b'\t');
                }
                match row.get_ref(index)? {
                    ValueRef::Null => copy_text(&mut line, None),
                    ValueRef::Integer(i) => copy_text(&mut line, Some(i.to_string().as_bytes())),
                    ValueRef::Real(r) => copy_text(&mut line, Some(r.to_string().as_bytes())),
                    ValueRef::Text(text) => copy_text(&mut line, Some(text)),
                    ValueRef::Blob(blob) => {
                        let text = format!("\\x{}", hex::encode(blob));
                        copy_text(&mut line, Some(text.as_bytes()));
                    }
                }
            }
            line.push(b'\n');
            hasher.update(&line);
            count += 1;
        }
        Ok(RowsSum { rows: count, digest: Digest::finish(hasher) })
    }

    /// The counters of columns that count by themselves.
    pub(crate) fn sequences(&self) -> Result<Vec<Sequence>, QueryRefused> {
        let mut found = Vec::new();
        for table in self.structure()?.tables {
            let Some(key) = table.key.first() else { continue };
            let name = &table.name.name;
            let counted = "select count(*) from sqlite_master where name = ?1 and lower(sql) like '%autoincrement%'";
            let counted: i64 = self.connection.query_row(counted, [name], |row| row.get(0))?;
            if counted == 0 {
                continue;
            }
            let last = "select max(seq) from sqlite_sequence where name = ?1";
            let last: Option<i64> = self.connection.query_row(last, [name], |row| row.get(0))?;
            let most = format!("select max({}) from {}", quoted(key), quoted(name));
            let most: Option<i64> = self.connection.query_row(&most, [], |row| row.get(0))?;
            let counter = match self.is_mysql() {
                true => format!("auto_increment of {name}"),
                false => format!("{}_{key}_seq", table.name),
            };
            found.push(Sequence {
                name: counter,
                column: format!("{}.{key}", table.name),
                next: Some(last.map_or(1, |last| i128::from(last) + 1)),
                farthest: most.map(i128::from),
                down: false,
            });
        }
        Ok(found)
    }

    /// SQLite's own inspection of each table and its indexes, and what the estate's answers say to the statement by which
    /// the engine would do it: `select bt_index_check('public.orders_pkey')`, `check table orders`.
    pub(crate) fn inspect(&self, tables: &[Table]) -> Result<Inspection, QueryRefused> {
        let mut inspection = Inspection::default();
        for table in tables {
            let name = &table.name.name;
            let mut statement =
                self.connection.prepare("select * from pragma_integrity_check(?1)")?;
            let said = statement.query_map([name], |row| row.get::<_, String>(0))?;
            let said = said.collect::<Result<Vec<_>, _>>()?;
            let damage = (said != ["ok"]).then(|| said.join("; "));
            if self.is_mysql() {
                let asked = format!("check table {name}");
                self.note(&mut inspection, format!("table {name}"), &asked, damage);
                continue;
            }
            self.note(&mut inspection, format!("table {}", table.name), "", damage);
            let key = (!table.key.is_empty()).then(|| format!("{}_pkey", table.name));
            let made = indexes(self.connection, name)?.into_iter();
            let made = made.filter(|(_, _, origin)| origin == "c");
            let made = made.map(|(index, ..)| self.table_name(&index).to_string());
            for index in key.into_iter().chain(made) {
                let asked = format!("select bt_index_check('{index}')");
                self.note(&mut inspection, format!("index {index}"), &asked, None);
            }
        }
        Ok(inspection)
    }

    fn note(&self, inspection: &mut Inspection, what: String, asked: &str, damage: Option<String>) {
        let answers = &self.instance.content.origin.data.answers;
        let answer = answers.iter().find(|answer| folded(&answer.sql) == asked);
        match answer.and_then(|answer| answer.error.clone()) {
            Some(error) if !OutsideError::Failed(error.clone()).says_damaged() => {
                inspection.not_seen.push(format!("{what}: {error}"));
            }
            error => inspection.seen.push(Inspected { what, damage: error.or(damage) }),
        }
    }
}
