//! What the rungs of a data check ask of a database, in terms that every kind of server can answer.
//!
//! Sessions answer them in their own way: PostgreSQL from its catalogs and by `COPY`, MySQL from `information_schema`, the
//! estate of a rehearsal from its data. Whether an answer is good is not judged here.

mod writing;

pub(crate) use writing::{copy_text, grid, hashed, quoted_list};

use super::OutsideError;
use crate::ids::{Digest, RunId};
use crate::time::Clock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A table, as its server names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema; `None` where the database itself is the only one (MySQL).
    pub schema: Option<String>,
    /// The name within the schema.
    pub name: String,
}

impl TableName {
    /// In a schema.
    pub fn in_schema(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: Some(schema.into()), name: name.into() }
    }

    /// Where there are no schemas.
    pub fn plain(name: impl Into<String>) -> Self {
        Self { schema: None, name: name.into() }
    }

    /// Whether a scenario means this table by `text`: `public.orders`, or `orders` alone.
    pub fn is_meant_by(&self, text: &str) -> bool {
        text == self.name || text == self.to_string()
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A table that holds rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// All columns, in their order.
    pub columns: Vec<String>,
    /// The columns of the primary key, in its order. Empty when there is none.
    pub key: Vec<String>,
    /// Whether the first column of the key is a whole number.
    pub whole_number_key: bool,
    /// Columns whose own text says less than they hold (`float` of MySQL): they are read in a way that says all.
    pub inexact: Vec<String>,
    /// Whether another server hashes its rows alike, and others otherwise: not where a column holds numbers of the server's own,
    /// which stand for something else there (PostgreSQL: enum, oid, and what is made of them), nor where values can be equal and
    /// not the same (letters of either case to a collation), but for digits of `numeric`.
    pub hashes_alike: bool,
}

impl Table {
    /// Whether a reference of format 1 was taken of another text of its rows: MySQL's `float` with six digits, and rows
    /// without a key in the order of their collations.
    pub fn is_written_anew_since_format_1(&self) -> bool {
        let is_mysql = self.name.schema.is_none();
        is_mysql && (self.key.is_empty() || !self.inexact.is_empty())
    }
}

/// Kinds of objects that references of format 1 do not hold.
pub const KINDS_SINCE_FORMAT_2: [&str; 23] = [
    "aggregate",
    "collation",
    "composite type",
    "domain",
    "engine",
    "event",
    "event trigger",
    "function clauses",
    "function parameter",
    "generated",
    "grants",
    "identity",
    "options",
    "owner",
    "policy roles",
    "procedure clauses",
    "procedure parameter",
    "range type",
    "row security",
    "rule",
    "sequence limits",
    "unlogged table",
    "view clauses",
];

/// How a database is built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Structure {
    /// The server's own version.
    pub version: String,
    /// The tables that hold rows.
    pub tables: Vec<Table>,
    /// Every object and its definition, such as `column public.orders.id`: `integer not null`. Bodies of views, functions
    /// and triggers stand as digests.
    pub objects: BTreeMap<String, String>,
    /// Kinds of objects that the server does not show to this user, or without their definitions, as they begin the names in
    /// `objects`; with what to grant.
    pub not_seen: BTreeMap<String, String>,
}

impl Structure {
    /// The digest of all objects: SHA-256 over a line for each, in the order of their names.
    pub fn fingerprint(&self) -> Digest {
        fingerprint(&self.objects)
    }
}

/// The digest of objects and their definitions.
pub fn fingerprint(objects: &BTreeMap<String, String>) -> Digest {
    let lines = objects.iter().map(|(name, definition)| format!("{name}\t{definition}\n"));
    Digest::of(lines.collect::<String>().as_bytes())
}

/// A part of a table: keys from `from` (inclusive) up to `to` (exclusive), by the first column of the key, as text. Without
/// either, to that end of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRange {
    /// The first key that is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The first key that is not in it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl KeyRange {
    /// The ranges between boundaries, open at both ends: one more than there are boundaries.
    pub fn between(boundaries: &[String]) -> Vec<Self> {
        let mut ranges = Vec::with_capacity(boundaries.len() + 1);
        let mut from = None;
        for boundary in boundaries {
            ranges.push(Self { from: from.take(), to: Some(boundary.clone()) });
            from = Some(boundary.clone());
        }
        ranges.push(Self { from, to: None });
        ranges
    }
}

impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.from, &self.to) {
            (None, None) => f.write_str("all keys"),
            (Some(from), None) => write!(f, "keys from {from}"),
            (None, Some(to)) => write!(f, "keys before {to}"),
            (Some(from), Some(to)) => write!(f, "keys from {from} to before {to}"),
        }
    }
}

/// What is to be read of a table, in the order of its key.
#[derive(Clone, Debug)]
pub struct RowsOf<'a> {
    /// The table.
    pub table: &'a Table,
    /// Which keys.
    pub range: &'a KeyRange,
    /// A condition in SQL that rows must meet besides.
    pub only: Option<&'a str>,
    /// Lets the server hash the rows itself, where it can: the digest can then be compared with that of another server of
    /// the same major version only, and numbers that are equal (`1.0`, `1.00`) give the same.
    pub hashed_by_server: bool,
}

/// The checksum of rows.
///
/// As text, it is in the order of the key. Hashed by the server, it is the exclusive or of a hash of each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsSum {
    /// How many.
    pub rows: u64,
    /// SHA-256 over their text, in the order of the key (or over the server's hash): a line for each, columns with tabs between, null as `\N`, with
    /// the escapes of PostgreSQL's `COPY … TO STDOUT`
    /// (<https://www.postgresql.org/docs/current/sql-copy.html>, "Text Format").
    pub digest: Digest,
}

/// Where the numbers for a column come from, and how far they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The sequence; for MySQL, the table with the counter.
    pub name: String,
    /// The column that it numbers, with its table: `public.orders.id`.
    pub column: String,
    /// The number that it gives next; `None` where the server does not tell.
    pub next: Option<i128>,
    /// The number that the column is farthest at: the largest, or the smallest where it counts down. `None` without rows.
    pub farthest: Option<i128>,
    /// True when it counts down.
    pub down: bool,
}

impl Sequence {
    /// Whether the next number may be in use already.
    pub fn is_behind(&self) -> bool {
        match (self.next, self.farthest) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(next), Some(farthest)) if self.down => next >= farthest,
            (Some(next), Some(farthest)) => next <= farthest,
        }
    }
}

/// What the server's own inspection of a table or index says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// What was inspected: `index public.orders_pkey`, `table public.orders`.
    pub what: String,
    /// What is wrong with it; `None` when nothing is.
    pub damage: Option<String>,
}

/// What an inspection gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What was inspected, in order.
    pub seen: Vec<Inspected>,
    /// What could not be inspected, and why: a missing extension or one that is too old, a missing right, an engine that knows
    /// no inspection.
    pub not_seen: Vec<String>,
    /// What there is no inspection for, and why, of tables that were inspected: indexes of other kinds than B-trees, unlogged and
    /// foreign partitions.
    pub skipped: Vec<String>,
    /// Tables in which there was nothing to inspect, and why: unlogged, which no backup holds, or with their rows elsewhere.
    pub without: BTreeMap<TableName, Vec<String>>,
}

/// Reads whose time is taken.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    /// The table.
    pub table: &'a Table,
    /// Where in the table, in millionths of its length: one page is read at each.
    pub places: &'a [u32],
    /// By which the time is taken.
    pub clock: &'a Clock,
}

/// A schema that a run makes for itself. Nothing else of a database is ever changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSchema {
    /// Its name.
    pub name: String,
    /// The comment by which it says whose it is.
    pub mark: String,
}

impl OwnSchema {
    /// That of a run.
    pub fn of(name: impl Into<String>, run: &RunId) -> Self {
        Self { name: name.into(), mark: format!("made by redrill, run {run}; may be removed") }
    }

    /// Refuses names that this program would not give: they stand in statements that change something.
    ///
    /// # Errors
    /// When the name is not `redrill_` and lower-case letters, digits and underscores.
    pub fn verify(&self) -> Result<(), OutsideError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let rest = self.name.strip_prefix("redrill_").unwrap_or_default();
        if !rest.is_empty() && rest.bytes().all(plain) && self.name.len() <= 60 {
            return Ok(());
        }
        Err(OutsideError::Failed(format!("{:?} is no name of a schema of a run's own", self.name)))
    }

    /// Whose it is, by the comment that was found on it; `None` when there is none of this name.
    pub fn judge(&self, found: Option<&str>) -> SchemaState {
        match found {
            None => SchemaState::Gone,
            Some(mark) if mark == self.mark => SchemaState::Ours,
            Some("") => SchemaState::Foreign("it has no comment".to_owned()),
            Some(other) => SchemaState::Foreign(format!("its comment is {other:?}")),
        }
    }
}

/// What is done with a schema of a run's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaWork {
    /// Makes it, with a table in it, writes a row, and reads the row back. Once more is harmless.
    Try,
    /// Looks whether it is there.
    Find,
    /// Removes it with everything in it, if it is ours.
    Remove,
}

/// How that went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// It is there, and says that it is of this run.
    Ours,
    /// It is there, and says something else, or nothing.
    Foreign(String),
    /// It is not there.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_every_key_once() {
        let boundaries = ["10".to_owned(), "20".to_owned()];
        let shown: Vec<_> =
            KeyRange::between(&boundaries).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["keys before 10", "keys from 10 to before 20", "keys from 20"]);
        assert_eq!(KeyRange::between(&[]), [KeyRange::default()]);
    }

    #[test]
    fn a_sequence_is_behind_when_its_next_number_may_be_in_use() {
        let sequence = |next, farthest, down| Sequence {
            name: "s".into(),
            column: "t.id".into(),
            next,
            farthest,
            down,
        };
        assert!(sequence(Some(10), Some(10), false).is_behind());
        assert!(!sequence(Some(11), Some(10), false).is_behind());
        assert!(sequence(None, Some(1), false).is_behind());
        assert!(!sequence(None, None, false).is_behind());
        assert!(sequence(Some(-10), Some(-10), true).is_behind());
        assert!(!sequence(Some(-11), Some(-10), true).is_behind());
    }

    #[test]
    fn a_table_is_meant_by_its_name_with_or_without_schema() {
        let table = TableName::in_schema("public", "orders");
        assert!(table.is_meant_by("orders") && table.is_meant_by("public.orders"));
        assert!(!table.is_meant_by("sales.orders"));
    }

    #[test]
    fn only_names_and_comments_of_our_own_are_ours() {
        let run = RunId::new("orders-0001-3fa9");
        let ours = OwnSchema::of("redrill_orders_0001_3fa9_write", &run);
        assert_eq!(ours.verify(), Ok(()));
        for name in ["public", "redrill_", "redrill_a\"; drop schema public; --", "Redrill_a"] {
            assert!(OwnSchema::of(name, &run).verify().is_err(), "{name}");
        }
        assert_eq!(ours.judge(Some(&ours.mark)), SchemaState::Ours);
        assert_eq!(ours.judge(None), SchemaState::Gone);
        let other = OwnSchema::of("redrill_a", &RunId::new("orders-0002-17bc")).mark;
        for mark in ["", "reporting", other.as_str()] {
            assert!(matches!(ours.judge(Some(mark)), SchemaState::Foreign(_)), "{mark}");
        }
    }

    #[test]
    fn a_fingerprint_changes_with_every_definition() {
        let objects = |definition: &str| BTreeMap::from([("column t.a".into(), definition.into())]);
        assert_ne!(fingerprint(&objects("integer")), fingerprint(&objects("bigint")));
        assert_eq!(fingerprint(&objects("integer")), fingerprint(&objects("integer")));
    }
}
