//! What a database is compared with: how it was built and what it held, taken down at one time.

use super::checksums::{self, ChecksumsInput};
use super::origin::in_words;
use super::rows::RowsInput;
use crate::action::{StepContext, StepError};
use crate::ids::Digest;
use crate::limits;
use crate::outside::ladder::{KeyRange, RowsOf, Structure, Table, fingerprint};
use crate::outside::{DatabaseSession, OutsideError};
use crate::providers::earlier::Captured;
use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the format of references. Those of formats 1 and 2 are read, too.
const FORMAT: u32 = 3;

/// A database as it was at one time: `redrill sql fingerprint` and `sql.capture_reference` take it down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The version of this format: 3. Versions 1 and 2 hold fewer kinds of objects.
    pub redrill_sql_reference: u32,
    /// The server's own version.
    pub version: String,
    /// The host name of the database that it was taken of. Older references do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The name of that database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// When it was taken (UTC).
    pub taken: DateTime<Utc>,
    /// Digest of `schema`.
    pub fingerprint: Digest,
    /// Every object and its definition.
    pub schema: BTreeMap<String, String>,
    /// Kinds of objects that the server did not show to the user who took it, and what to grant: they cannot be compared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_seen: BTreeMap<String, String>,
    /// The rows of tables, by table.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, TableReference>,
}

/// The rows of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableReference {
    /// How many there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The condition that the checksums were taken under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
    /// Checksums by ranges of keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<RangeReference>,
}

/// The checksum of a range of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeReference {
    /// Which keys.
    #[serde(default)]
    pub keys: KeyRange,
    /// How many rows there were.
    pub rows: u64,
    /// SHA-256 over their text, as `copy (select … order by key) to stdout` of PostgreSQL writes it.
    pub digest: Digest,
}

/// What is taken down besides the structure.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The numbers of rows, of these tables.
    pub rows: Option<RowsInput>,
    /// Checksums, of these tables.
    pub checksums: Option<ChecksumsInput>,
    /// Keys must not be written down: ranges stand on round numbers, or there is one.
    pub without_keys: bool,
}

impl Wanted {
    /// Tables that are asked for by name and are not there: nothing of them can be taken down.
    pub fn not_there(&self, structure: &Structure) -> Vec<String> {
        let found: Vec<_> = structure.tables.iter().map(|table| &table.name).collect();
        let mut names: BTreeSet<&str> = BTreeSet::new();
        if let Some(rows) = &self.rows {
            names.extend(rows.tables.missing(&found));
        }
        if let Some(sums) = &self.checksums {
            names.extend(sums.tables.missing(&found));
            let is_there = |name: &str| found.iter().any(|table| table.is_meant_by(name));
            let conditions = sums.only.keys().map(String::as_str);
            names.extend(conditions.filter(|name| !is_there(name)));
        }
        names.into_iter().map(str::to_owned).collect()
    }
}

/// A reference that a scenario gives: the path of a file, or what a step has taken down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ReferenceInput {
    /// A file that `redrill sql fingerprint` has written.
    File(String),
    /// What a step of `sql.capture_reference` has given: `"{{steps.baseline.reference}}"`.
    Taken(Box<Reference>),
}

impl Captured for Reference {
    const OUTPUT: &'static str = "reference";

    fn origin_in_words(&self) -> Result<String, String> {
        self.clone().verified()?;
        let taken = self.taken.to_rfc3339_opts(SecondsFormat::Secs, true);
        let of = self.database.as_deref().map(|name| in_words(name, self.endpoint.as_deref()));
        let of = of.map_or_else(String::new, |of| format!("of {of}, "));
        Ok(format!("{of}of a server with version {} at {taken}", self.version))
    }
}

impl ReferenceInput {
    /// Reads the file, if it is one.
    pub(super) fn read(&self, context: &StepContext) -> Result<Reference, StepError> {
        let reference = match self {
            Self::Taken(reference) => (**reference).clone(),
            Self::File(path) => {
                let bytes = context.outside.file(path, limits::SQL_REFERENCE_BYTES)?;
                Reference::parse(&bytes)
                    .map_err(|why| StepError::broken(format!("reference: {path}: {why}")))?
            }
        };
        reference.verified().map_err(|why| StepError::broken(format!("reference: {why}")))
    }
}

impl Reference {
    /// Reads a reference from the text of a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice::<Self>(bytes)
            .map_err(|e| format!("it is not a reference as redrill sql fingerprint writes it: {e}"))
    }

    /// A file that was edited by hand may say one thing and mean another.
    fn verified(self) -> Result<Self, String> {
        if !(1..=FORMAT).contains(&self.redrill_sql_reference) {
            let format = self.redrill_sql_reference;
            return Err(format!(
                "it has format {format}; this program reads formats 1 to {FORMAT}"
            ));
        }
        let computed = fingerprint(&self.schema);
        if computed != self.fingerprint {
            return Err(format!(
                "its fingerprint is {}, but that of its schema is {computed}: it was edited, take it again",
                self.fingerprint
            ));
        }
        Ok(self)
    }

    /// Says of which database it was taken.
    pub fn of_database(self, endpoint: &str, database: &str) -> Self {
        Self { endpoint: Some(endpoint.to_owned()), database: Some(database.to_owned()), ..self }
    }

    /// What the server did not show when it was taken, in words. `None` when it showed everything.
    pub fn what_was_not_seen(&self) -> Option<String> {
        let kinds = self.not_seen.iter().map(|(kind, grant)| format!("{kind} ({grant})"));
        let kinds = kinds.collect::<Vec<_>>().join("; ");
        let text = || {
            format!(
                "the server did not show these to the user, so that they cannot be compared: {kinds}"
            )
        };
        (!kinds.is_empty()).then(text)
    }

    /// Whether it was taken before rows of MySQL were written as they are now, and with the fewest kinds of objects.
    pub(super) fn is_of_format_1(&self) -> bool {
        self.redrill_sql_reference == 1
    }

    fn of(structure: &Structure, taken: DateTime<Utc>) -> Self {
        Self {
            redrill_sql_reference: FORMAT,
            version: structure.version.clone(),
            endpoint: None,
            database: None,
            taken,
            fingerprint: structure.fingerprint(),
            schema: structure.objects.clone(),
            not_seen: structure.not_seen.clone(),
            tables: BTreeMap::new(),
        }
    }
}

/// Takes a reference of a database that is built so. Names of tables that are not there give nothing: [`Wanted::not_there`].
///
/// # Errors
/// The first thing that could not be read: a reference has no gaps.
pub async fn take(
    session: &mut dyn DatabaseSession,
    structure: &Structure,
    wanted: &Wanted,
    now: DateTime<Utc>,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Reference, OutsideError> {
    let mut reference = Reference::of(structure, now);
    for table in &structure.tables {
        let rows = wanted.rows.as_ref().filter(|rows| rows.tables.mean(&table.name));
        if rows.is_some() {
            progress(&format!("counting {}", table.name));
            let entry = reference.tables.entry(table.name.to_string()).or_default();
            entry.rows = Some(session.count(table).await?);
        }
        let sums = wanted.checksums.as_ref().filter(|sums| sums.tables.mean(&table.name));
        if let Some(sums) = sums {
            progress(&format!("reading {}", table.name));
            let (only, ranges) = sums_of(session, table, sums, wanted.without_keys).await?;
            let entry = reference.tables.entry(table.name.to_string()).or_default();
            (entry.only, entry.ranges) = (only, ranges);
        }
    }
    Ok(reference)
}

async fn sums_of(
    session: &mut dyn DatabaseSession,
    table: &Table,
    wanted: &ChecksumsInput,
    without_keys: bool,
) -> Result<(Option<String>, Vec<RangeReference>), OutsideError> {
    let only = wanted.only_of(&table.name);
    let ranges = checksums::ranges(session, table, wanted.ranges, without_keys).await?;
    let mut found = Vec::with_capacity(ranges.len());
    for keys in ranges {
        let sum = session
            .checksum(&RowsOf { table, range: &keys, only, hashed_by_server: false })
            .await?;
        found.push(RangeReference { keys, rows: sum.rows, digest: sum.digest });
    }
    Ok((only.map(str::to_owned), found))
}

#[cfg(test)]
mod tests {
    use super::super::tables::Tables;
    use super::*;
    use crate::outside::ladder::TableName;
    use crate::outside::{fake, real};

    #[test]
    fn a_reference_that_was_edited_is_not_believed() {
        let structure = Structure {
            objects: BTreeMap::from([("column t.a".into(), "integer".into())]),
            ..Structure::default()
        };
        let good = Reference::of(&structure, DateTime::UNIX_EPOCH);
        let text = serde_json::to_string(&good).unwrap();
        assert_eq!(Reference::parse(text.as_bytes()).unwrap().verified(), Ok(good));
        let edited = text.replace("\"integer\"", "\"bigint\"");
        let why = Reference::parse(edited.as_bytes()).unwrap().verified().unwrap_err();
        assert!(why.contains("it was edited"), "{why}");
        let of_format = |format: u32| {
            let written = format!("\"redrill_sql_reference\":{format}");
            let text = text.replace("\"redrill_sql_reference\":3", &written);
            Reference::parse(text.as_bytes()).unwrap().verified()
        };
        assert!(of_format(1).unwrap().is_of_format_1() && !of_format(2).unwrap().is_of_format_1());
        assert!(of_format(3).is_ok());
        for other in [0, 4] {
            let why = of_format(other).unwrap_err();
            assert!(why.contains(&format!("format {other}")), "{why}");
        }
        assert!(Reference::parse(b"{}").unwrap_err().contains("redrill sql fingerprint"));
    }

    #[test]
    fn regression_a_table_that_is_asked_for_by_name_and_is_not_there_is_named() {
        let table = |name: &str| Table {
            name: TableName::in_schema("public", name),
            columns: Vec::new(),
            key: Vec::new(),
            whole_number_key: false,
            inexact: Vec::new(),
            hashes_alike: true,
        };
        let structure =
            Structure { tables: vec![table("orders"), table("ledger")], ..Structure::default() };
        let tables =
            |names: &[&str]| Tables(Some(names.iter().map(|name| (*name).to_owned()).collect()));
        let rows = RowsInput { tables: tables(&["orders", "heartbeet"]), ..RowsInput::default() };
        let condition = |table: &str| (table.to_owned(), "id > 1".to_owned());
        let sums = ChecksumsInput {
            tables: tables(&["public.ledger", "heartbeet", "other.ledger"]),
            only: BTreeMap::from([condition("ledger"), condition("nosuch")]),
            ..ChecksumsInput::default()
        };
        let wanted = Wanted { rows: Some(rows), checksums: Some(sums), without_keys: false };
        assert_eq!(wanted.not_there(&structure), ["heartbeet", "nosuch", "other.ledger"]);
        let all = Wanted {
            rows: Some(RowsInput::default()),
            checksums: Some(ChecksumsInput::default()),
            without_keys: false,
        };
        assert!(all.not_there(&structure).is_empty());
    }

    #[test]
    fn a_reference_that_is_too_large_is_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.as_file_mut().set_len(limits::SQL_REFERENCE_BYTES + 1).unwrap();
        let (mut context, ..) = fake::context(fake::FakeOutside::default());
        context.outside = std::sync::Arc::new(real::RealOutside::new("unused"));
        let path = file.path().to_str().unwrap().to_owned();
        let error = ReferenceInput::File(path).read(&context).unwrap_err();
        assert!(error.to_string().contains("larger than 16777216 bytes"), "{error}");
    }
}
