//! The rungs that compare with a reference, or with a database that is still there.

use super::asking::Asking;
use super::checksums::{self, Against, ChecksumsInput, Compared, hold_no_row, sampled};
use super::input::{Input, SourceInput};
use super::judge::{NoValue, no_value};
use super::origin;
use super::reference::{Reference, ReferenceInput, TableReference, Wanted, take};
use super::rows::{Counted, RowsInput, judge as judge_rows, shortened};
use super::schema;
use super::tables::{Tables, named_so};
use crate::action::{StepContext, StepError};
use crate::journal::Check;
use crate::outside::DatabaseSession;
use crate::outside::ladder::{KeyRange, Structure, Table};
use crate::providers::earlier::EarlierRun;
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::BTreeSet;

/// What the database is compared with.
pub(super) struct Original {
    pub(super) reference: Reference,
    /// The source and its tables, where it is still there: its checksums are read together with those of the restored
    /// database.
    live: Option<(Box<dyn DatabaseSession>, Vec<Table>)>,
}

/// What a comparison can be made with.
pub(super) enum Comparison {
    /// The original, or what was taken down of it.
    With(Box<Original>),
    /// Nothing that would prove something, and why.
    Without(String),
}

impl Comparison {
    /// Reads the reference, or what is needed of the source. `None` when no rung compares.
    pub(super) async fn of(
        context: &StepContext,
        input: &Input,
    ) -> Result<Option<Self>, StepError> {
        let reference = match (&input.reference, &input.earlier, &input.source) {
            (None, None, None) if !input.compares() => return Ok(None),
            (Some(reference), _, None) => reference.read(context)?,
            (None, Some(earlier), None) if earlier.is_given() => {
                earlier.captured::<Reference>(context).await?
            }
            (None, Some(_), None) => {
                let problem = EarlierRun::missing("the reference");
                let why = problem.help.map_or_else(String::new, |help| format!("; {help}"));
                return Ok(Some(Self::Without(format!("{}{why}", problem.message))));
            }
            (None, None, Some(source)) => {
                let original = Original::source(context, input, source).await?;
                return Ok(Some(Self::With(Box::new(original))));
            }
            _ => {
                return Err(StepError::broken(
                    "give exactly one of reference and source (earlier stands in for a reference): schema, rows and checksums compare with it",
                ));
            }
        };
        let is_file = matches!(input.reference, Some(ReferenceInput::File(_)));
        let max_age = input.max_age.filter(|_| !(is_file && context.outside.is_rehearsal()));
        let now = context.clock.now();
        for check in origin::judge(input.reference_of.as_ref(), max_age, &reference, now) {
            context.check(check).await?;
        }
        let is_of_another_clock = match &input.reference {
            Some(_) => is_file,
            None => context.outside.is_rehearsal(),
        };
        Ok(Some(match doubt(context, &reference).filter(|_| !is_of_another_clock) {
            Some(doubt) => Self::Without(doubt),
            None => Self::With(Box::new(Original { reference, live: None })),
        }))
    }
}

impl Original {
    async fn source(
        context: &StepContext,
        input: &Input,
        source: &SourceInput,
    ) -> Result<Self, StepError> {
        if source.connection().is_same_as(&input.connection())? {
            let text = "the source is the database that is checked: compared with itself, everything is the same";
            return Err(StepError::broken(text).help(
                "name the original as the source, or take a reference of it before the disaster: sql.capture_reference",
            ));
        }
        if context.site_named(&source.at)?.is_lost() {
            let text = format!(
                "the source is at {}, which is lost: a comparison with it proves nothing",
                source.at
            );
            return Err(StepError::broken(text)
                .help("take a reference of it before the disaster: sql.capture_reference"));
        }
        let (mut session, _) = source.connection().open(context, "the source").await?;
        let wanted = Wanted {
            rows: input.rows.clone(),
            checksums: None,
            without_keys: context.facts.withhold_data,
        };
        let progress = |text: &str| context.progress(&format!("source: {text}"));
        let now = context.clock.now();
        let structure = session.structure().await?;
        let reference = take(&mut *session, &structure, &wanted, now, &progress).await?;
        Ok(Self { reference, live: Some((session, structure.tables)) })
    }

    /// The tables whose checksums can be compared.
    fn with_checksums(&self) -> BTreeSet<String> {
        match &self.live {
            Some((_, tables)) => names(tables).into_iter().collect(),
            None => {
                let tables = self.reference.tables.iter();
                let known = tables.filter(|(_, known)| !known.ranges.is_empty());
                known.map(|(table, _)| table.clone()).collect()
            }
        }
    }
}

/// What a step took down after the disaster was declared may be of the restored database itself. The times in files are of
/// another clock, and the clock of a rehearsal begins again with each.
fn doubt(context: &StepContext, reference: &Reference) -> Option<String> {
    let declared = context.recorder.declared().filter(|declared| reference.taken > *declared)?;
    let written = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    Some(format!(
        "the reference was taken at {}, after the disaster was declared ({}): it may be of the restored database itself; \
         take it in the phase prepare",
        written(reference.taken),
        written(declared)
    ))
}

impl Asking<'_> {
    pub(super) async fn compare_schema(
        &mut self,
        input: &schema::SchemaInput,
        reference: &Reference,
    ) -> Result<Check, StepError> {
        let (name, expected) = ("schema", "as in the reference");
        Ok(match self.structure().await? {
            Ok(structure) => schema::judge_by(input, reference, &structure),
            Err(why) => why.check(name, expected),
        })
    }

    pub(super) async fn compare_rows(
        &mut self,
        input: &RowsInput,
        reference: &Reference,
    ) -> Result<Check, StepError> {
        let structure = match self.structure().await? {
            Ok(structure) => structure,
            Err(why) => return Ok(why.check("row counts", "those of the reference")),
        };
        let mut counted = Vec::new();
        for (table, known) in &reference.tables {
            let Some(expected) = known.rows.filter(|_| input.tables.mean_text(table)) else {
                continue;
            };
            self.context.progress(&format!("counting {table}"));
            let found = self.count(&structure, table).await?;
            counted.push(Counted { table: table.clone(), expected, found });
        }
        let named = input.tables.0.iter().flatten();
        let known = |name: &&String| {
            let mut tables = reference.tables.iter();
            tables.any(|(table, known)| known.rows.is_some() && named_so(table, name))
        };
        let unknown: Vec<_> = named.filter(|name| !known(name)).map(String::as_str).collect();
        let check = judge_rows(input, &counted, &unknown);
        let known = reference.tables.iter().filter(|(_, known)| known.rows.is_some());
        let known: BTreeSet<String> = known.map(|(table, _)| table.clone()).collect();
        Ok(noting_left_out(check, &input.tables, &structure, &known))
    }

    /// A table that is not there has no rows: that is an observation.
    async fn count(
        &mut self,
        structure: &Structure,
        table: &str,
    ) -> Result<Result<u64, NoValue>, StepError> {
        let found = structure.tables.iter().find(|found| found.name.to_string() == table);
        let Some(found) = found else { return Ok(Ok(0)) };
        match self.session.count(found).await {
            Ok(count) => {
                self.note_readable().await?;
                Ok(Ok(count))
            }
            Err(error) => Ok(Err(no_value(error, self.context.facts.withhold_data)?)),
        }
    }

    pub(super) async fn compare_checksums(
        &mut self,
        input: &ChecksumsInput,
        original: &mut Original,
    ) -> Result<Check, StepError> {
        let structure = match self.structure().await? {
            Ok(structure) => structure,
            Err(why) => return Ok(why.check("checksums", "those of the reference")),
        };
        let with_checksums = original.with_checksums();
        let (mut compared, mut missing) = (Vec::new(), Vec::new());
        if let Some((source, tables)) = &mut original.live {
            let hashed =
                !input.exact && same_major(&original.reference.version, &structure.version);
            let of_source = LiveSource { session: &mut **source, tables, hashed };
            (compared, missing) = self.compare_live(input, of_source, &structure).await?;
            missing.extend(missing_of(input, tables, &structure));
            let nowhere = nowhere(input.tables.0.iter().flatten(), &structure, &with_checksums);
            let why = "is neither here nor in the source";
            compared.extend(nowhere.into_iter().map(|table| Compared::not_read(table, why)));
            let here_alone = not_in_source(input, tables, &structure);
            compared.extend(
                here_alone.iter().map(|table| Compared::not_read(table, "is not in the source")),
            );
        } else {
            for (name, known) in &original.reference.tables {
                if known.ranges.is_empty() || !input.tables.mean_text(name) {
                    continue;
                }
                let found = structure.tables.iter().find(|found| found.name.to_string() == *name);
                let is_anew = found.is_some_and(Table::is_written_anew_since_format_1);
                if original.reference.is_of_format_1() && is_anew {
                    let why = "the reference has format 1, where its rows are written in another way: take it again";
                    compared.push(Compared::not_read(name, why));
                    continue;
                }
                match self.compare_known(input, name, known, found).await? {
                    Ok(ranges) => compared.extend(ranges),
                    Err(why) => missing.push(why),
                }
            }
            let unknown = unknown_of(input, &original.reference).into_iter();
            let why = "the reference holds no checksums of it";
            compared.extend(unknown.map(|table| Compared::not_read(table, why)));
        }
        let why = "there is a condition for it (only), and nothing to compare it with";
        let alone = conditions_alone(input, &structure, &with_checksums).into_iter();
        let untold: Vec<Compared> = alone
            .filter(|name| !compared.iter().any(|told| named_so(&told.table, name)))
            .map(|name| Compared::not_read(name, why))
            .collect();
        compared.extend(untold);
        let check = checksums::judge(input, &missing, &compared, |keys| self.keys(keys));
        Ok(noting_left_out(check, &input.tables, &structure, &with_checksums))
    }

    /// Keys are data.
    fn keys(&self, keys: &KeyRange) -> String {
        match keys {
            KeyRange { from: None, to: None } => keys.to_string(),
            keys => self.data(&keys.to_string()),
        }
    }

    async fn compare_known(
        &mut self,
        input: &ChecksumsInput,
        name: &str,
        known: &TableReference,
        found: Option<&Table>,
    ) -> Result<Result<Vec<Compared>, String>, StepError> {
        let Some(table) = found else { return Ok(Err(format!("{name} is not there"))) };
        if input.only_of(&table.name) != known.only.as_deref() {
            let text = format!(
                "checksums: the reference was taken of {name} with another condition than only: says ({:?})",
                known.only.as_deref().unwrap_or("none")
            );
            return Err(StepError::broken(text));
        }
        self.context.progress(&format!("reading {name}"));
        let seed = self.context.facts.seed;
        let (mut ranges, mut others) = sampled(known.ranges.clone(), input.sample, seed);
        // Keys that lie far apart leave most ranges between them without a row.
        while ranges.iter().all(|range| range.rows == 0)
            && let Some(other) = others.pop()
        {
            ranges.push(other);
        }
        let only = known.only.as_deref();
        let withhold = self.context.facts.withhold_data;
        let against = Against::Known(ranges);
        let all = checksums::compare(&mut *self.session, against, table, only, withhold).await?;
        self.note_readable().await?;
        Ok(Ok(all))
    }

    /// What was compared, and what is built differently, so that its rows cannot be the same.
    async fn compare_live(
        &mut self,
        input: &ChecksumsInput,
        of_source: LiveSource<'_>,
        structure: &Structure,
    ) -> Result<(Vec<Compared>, Vec<String>), StepError> {
        let LiveSource { session: source, tables, hashed } = of_source;
        let (mut compared, mut wrong) = (Vec::new(), Vec::new());
        let withhold = self.context.facts.withhold_data;
        for table in tables.iter().filter(|table| input.tables.mean(&table.name)) {
            let found = structure.tables.iter().find(|found| found.name == table.name);
            let Some(found) = found else { continue };
            if let Some(difference) = built_differently(table, found) {
                wrong.push(difference);
                continue;
            }
            self.context.progress(&format!("reading {}", table.name));
            // Keys by the source: what is beyond the copy's own would go unnoticed.
            let ranges = match checksums::ranges(&mut *source, table, input.ranges, false).await {
                Ok(ranges) => ranges,
                Err(error) => {
                    // Its own damage says nothing of the copy.
                    let why = no_value(error, withhold)?.why;
                    let why = format!("its keys in the source: {why}");
                    compared.push(Compared::not_read(&table.name.to_string(), &why));
                    continue;
                }
            };
            let (ranges, mut others) = sampled(ranges, input.sample, self.context.facts.seed);
            let only = input.only_of(&table.name);
            // Without a key there may be pairs of equal rows, whose hashes would cancel each other out.
            let alike = table.hashes_alike && found.hashes_alike && table.columns == found.columns;
            let hashed = hashed && alike && !table.key.is_empty();
            let mut all = Vec::new();
            let mut next = Some(ranges);
            while let Some(ranges) = next {
                let against = match hashed {
                    true => Against::LiveHashed(&mut *source, ranges),
                    false => Against::Live(&mut *source, ranges),
                };
                let read = checksums::compare(&mut *self.session, against, table, only, withhold);
                all.extend(read.await?);
                self.note_readable().await?;
                // Keys that lie far apart leave most ranges between them without a row.
                next = others.pop().filter(|_| hold_no_row(&all)).map(|other| vec![other]);
            }
            compared.extend(all);
        }
        Ok((compared, wrong))
    }
}

/// A source that is still there.
struct LiveSource<'s> {
    session: &'s mut dyn DatabaseSession,
    /// Its tables.
    tables: &'s [Table],
    /// Whether its hashes of rows can be compared with those of the restored database.
    hashed: bool,
}

/// Hashes are the same within a major version.
fn same_major(one: &str, other: &str) -> bool {
    let major = |version: &str| version.split(['.', ' ']).next().map(str::to_owned);
    !one.is_empty() && major(one) == major(other)
}

/// Why the rows of a table cannot be those of the source, by its columns and its key.
fn built_differently(source: &Table, found: &Table) -> Option<String> {
    let mut differences = Vec::new();
    let without = |one: &Table, other: &Table| {
        let missing = one.columns.iter().filter(|column| !other.columns.contains(column));
        missing.cloned().collect::<Vec<_>>()
    };
    let (missing, extra) = (without(source, found), without(found, source));
    if !missing.is_empty() {
        differences.push(format!("column {} is missing", missing.join(", ")));
    }
    if !extra.is_empty() {
        differences.push(format!("column {} is not in the source", extra.join(", ")));
    }
    if source.key != found.key {
        let key = |table: &Table| table.key.join(", ");
        differences.push(format!("its key is ({}), not ({})", key(found), key(source)));
    }
    (!differences.is_empty()).then(|| format!("{}: {}", source.name, differences.join("; ")))
}

/// Tables of the source that are not here.
fn missing_of(input: &ChecksumsInput, of_source: &[Table], structure: &Structure) -> Vec<String> {
    let (here, of_source) = (names(&structure.tables), names(of_source));
    let meant = of_source.iter().filter(|table| input.tables.mean_text(table));
    let gone = meant.filter(|table| !here.contains(*table));
    gone.map(|table| format!("{table} is not there")).collect()
}

/// Names that mean no table on either side.
fn nowhere<'n>(
    given: impl Iterator<Item = &'n String>,
    here: &Structure,
    original: &BTreeSet<String>,
) -> Vec<&'n str> {
    let here = names(&here.tables);
    let is_somewhere = |name: &str| here.iter().chain(original).any(|table| named_so(table, name));
    given.map(String::as_str).filter(|name| !is_somewhere(name)).collect()
}

/// Says which tables are here and were not compared, since the original has nothing to compare them with. Where tables were
/// chosen by their names, the others are not meant.
fn noting_left_out(
    check: Check,
    chosen: &Tables,
    here: &Structure,
    original: &BTreeSet<String>,
) -> Check {
    let mut left_out = names(&here.tables);
    let all = left_out.len();
    left_out.retain(|table| !original.contains(table));
    if chosen.are_named() || left_out.is_empty() {
        return check;
    }
    let taken = check.note.as_ref().map(|note| format!("{note}; ")).unwrap_or_default();
    let note = format!(
        "{taken}not compared, since there is nothing to compare with: {} of {all} tables here ({})",
        left_out.len(),
        shortened(&left_out)
    );
    check.note(note)
}

fn names(tables: &[Table]) -> Vec<String> {
    tables.iter().map(|table| table.name.to_string()).collect()
}

/// Tables that were asked for by name, and are here and not in the source.
fn not_in_source(input: &ChecksumsInput, of_source: &[Table], here: &Structure) -> Vec<String> {
    let asked = here.tables.iter().filter(|table| {
        input.tables.are_named()
            && input.tables.mean(&table.name)
            && !of_source.iter().any(|source| source.name == table.name)
    });
    asked.map(|table| table.name.to_string()).collect()
}

/// Tables that have a condition and nothing that they could be compared with. A condition for one that is here and was left out is
/// for another check.
fn conditions_alone<'i>(
    input: &'i ChecksumsInput,
    here: &Structure,
    original: &BTreeSet<String>,
) -> Vec<&'i str> {
    let has_other_side = |name: &str| original.iter().any(|table| named_so(table, name));
    let is_left_out = |name: &str| {
        let mut fitting =
            here.tables.iter().filter(|table| table.name.is_meant_by(name)).peekable();
        fitting.peek().is_some() && fitting.all(|table| !input.tables.mean(&table.name))
    };
    let names = input.only.keys().map(String::as_str);
    names.filter(|name| !has_other_side(name) && !is_left_out(name)).collect()
}

/// Tables that were asked for by name, and of which the reference holds no checksums.
fn unknown_of<'i>(input: &'i ChecksumsInput, reference: &Reference) -> Vec<&'i str> {
    let named = input.tables.0.iter().flatten();
    let known = |name: &&String| {
        let mut tables = reference.tables.iter();
        tables.any(|(table, known)| !known.ranges.is_empty() && named_so(table, name))
    };
    named.filter(|name| !known(name)).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::super::reference::RangeReference;
    use super::*;
    use crate::ids::Digest;
    use crate::journal::Outcome;
    use crate::outside::fake::{FakeOutside, context};
    use crate::outside::ladder::{RowsOf, RowsSum, TableName};
    use crate::outside::{Answer, OutsideError, Rows};
    use std::collections::BTreeMap;
    use std::future::ready;
    use std::time::Duration;

    fn table(name: &str, columns: &[&str], key: &[&str]) -> Table {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Table {
            name: TableName::in_schema("public", name),
            columns: owned(columns),
            key: owned(key),
            whole_number_key: true,
            inexact: Vec::new(),
            hashes_alike: true,
        }
    }

    #[test]
    fn regression_a_column_or_key_that_is_not_as_in_the_source_is_a_difference() {
        let source = table("orders", &["id", "total", "note"], &["id"]);
        let say = |found: &Table| built_differently(&source, found).unwrap_or_default();
        assert_eq!(say(&source), "");
        assert_eq!(say(&table("orders", &["note", "id", "total"], &["id"])), "");
        assert_eq!(
            say(&table("orders", &["id", "total", "extra"], &[])),
            "public.orders: column note is missing; column extra is not in the source; its key is (), not (id)"
        );
    }

    #[test]
    fn regression_a_table_asked_for_by_name_that_the_source_does_not_have_is_not_left_out() {
        let here = Structure {
            tables: vec![table("orders", &["id"], &["id"]), table("newer", &["id"], &["id"])],
            ..Structure::default()
        };
        let source = [table("orders", &["id"], &["id"])];
        let asked = |names: Option<&[&str]>| ChecksumsInput {
            tables: Tables(
                names.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            ),
            ..ChecksumsInput::default()
        };
        let named = asked(Some(&["orders", "newer"]));
        assert_eq!(not_in_source(&named, &source, &here), ["public.newer"]);
        assert!(not_in_source(&asked(None), &source, &here).is_empty());
    }

    #[test]
    fn regression_a_table_on_neither_side_is_not_compared_and_no_difference() {
        let orders = || table("orders", &["id"], &["id"]);
        let here = Structure { tables: vec![orders()], ..Structure::default() };
        let given = ["orders", "lines", "heartbeet"].map(str::to_owned);
        let input =
            ChecksumsInput { tables: Tables(Some(given.to_vec())), ..ChecksumsInput::default() };
        let source = [orders(), table("lines", &["id"], &["id"])];
        let original: BTreeSet<String> = names(&source).into_iter().collect();
        assert_eq!(nowhere(given.iter(), &here, &original), ["heartbeet"]);
        assert_eq!(missing_of(&input, &source, &here), ["public.lines is not there"]);
        let not_read = [Compared::not_read("heartbeet", "is neither here nor in the source")];
        let check = checksums::judge(&input, &[], &not_read, ToString::to_string);
        assert_eq!(check.outcome, Outcome::Inconclusive);
        assert!(check.note.unwrap().contains("heartbeet, all keys: is neither here"));
    }

    #[test]
    fn regression_tables_that_the_reference_does_not_know_are_said_to_be_not_compared() {
        let here = Structure {
            tables: vec![table("orders", &["id"], &["id"]), table("heartbeat", &["id"], &[])],
            ..Structure::default()
        };
        let note = |chosen: &Tables, known: &[&str], check: Check| {
            let known: BTreeSet<String> = known.iter().map(|name| (*name).to_owned()).collect();
            let check = noting_left_out(check, chosen, &here, &known);
            assert_eq!(check.outcome, Outcome::Passed);
            check.note.unwrap_or_default()
        };
        let passed = || Check::made("row counts", "those of the reference", "all within", true);
        let all = Tables::default();
        let said = note(&all, &["public.orders"], passed().note("before"));
        assert!(said.starts_with("before; not compared"), "{said}");
        assert!(said.ends_with("1 of 2 tables here (public.heartbeat)"), "{said}");
        assert_eq!(note(&all, &["public.orders", "public.heartbeat"], passed()), "");
        let chosen = Tables(Some(vec!["orders".into()]));
        assert_eq!(note(&chosen, &["public.orders"], passed()), "");
    }

    /// A server whose tables all hold the same two rows.
    struct Alike(Vec<Table>);

    fn two_rows() -> RowsSum {
        RowsSum { rows: 2, digest: Digest::of(b"two rows") }
    }

    impl DatabaseSession for Alike {
        fn query<'a>(&'a mut self, sql: &'a str) -> Answer<'a, Rows> {
            Box::pin(ready(Err(OutsideError::NotRehearsed(sql.to_owned()))))
        }

        fn structure(&mut self) -> Answer<'_, Structure> {
            let structure = Structure { tables: self.0.clone(), ..Structure::default() };
            Box::pin(ready(Ok(structure)))
        }

        fn boundaries<'a>(&'a mut self, _: &'a Table, _: u32) -> Answer<'a, Vec<String>> {
            Box::pin(ready(Ok(Vec::new())))
        }

        fn checksum<'a>(&'a mut self, _: &'a RowsOf<'a>) -> Answer<'a, RowsSum> {
            Box::pin(ready(Ok(two_rows())))
        }
    }

    /// The check of a database with two tables, with a condition for each of these names. The original has one of the tables: it is
    /// still there, or was taken down.
    async fn with_conditions(tables: Tables, only: &[&str], is_live: bool) -> Check {
        let orders = || table("orders", &["id"], &["id"]);
        let here = vec![orders(), table("newer", &["id"], &["id"])];
        let (context, ..) = context(FakeOutside::default());
        let mut asking = Asking::new(&context, Duration::ZERO, Box::new(Alike(here)));
        let RowsSum { rows, digest } = two_rows();
        let ranges = vec![RangeReference { keys: KeyRange::default(), rows, digest }];
        let known = TableReference { ranges, ..TableReference::default() };
        let reference = Reference {
            redrill_sql_reference: 3,
            version: "15.4".into(),
            endpoint: None,
            database: None,
            taken: DateTime::UNIX_EPOCH,
            fingerprint: Digest::ZERO,
            schema: BTreeMap::new(),
            not_seen: BTreeMap::new(),
            tables: BTreeMap::from([("public.orders".to_owned(), known)]),
        };
        let source: Box<dyn DatabaseSession> = Box::new(Alike(vec![orders()]));
        let live = is_live.then(|| (source, vec![orders()]));
        let only = only.iter().map(|name| ((*name).to_owned(), "id < 9".to_owned())).collect();
        let input = ChecksumsInput { tables, only, ..ChecksumsInput::default() };
        let mut original = Original { reference, live };
        asking.compare_checksums(&input, &mut original).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn regression_a_condition_for_a_table_that_is_only_here_leaves_the_checksums_open() {
        for is_live in [true, false] {
            let without = with_conditions(Tables(None), &[], is_live).await;
            assert_eq!((without.outcome, without.population), (Outcome::Passed, Some(2)));
            for newer in ["newer", "public.newer"] {
                let check = with_conditions(Tables(None), &[newer], is_live).await;
                assert_eq!(check.outcome, Outcome::Inconclusive, "{check:?}");
                let note = check.note.unwrap();
                let why = "there is a condition for it (only), and nothing to compare it with";
                assert!(note.contains(&format!("{newer}, all keys: {why}")), "{note}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn regression_a_condition_for_a_table_that_was_left_out_is_for_another_check() {
        for is_live in [true, false] {
            let of = |named: &[&str], only| {
                let named = named.iter().map(|name| (*name).to_owned()).collect();
                with_conditions(Tables(Some(named)), only, is_live)
            };
            let left_out = of(&["orders"], &["newer"]).await;
            assert_eq!(left_out.outcome, Outcome::Passed, "{left_out:?}");
            let mistyped = of(&["orders"], &["newest"]).await;
            assert_eq!(mistyped.outcome, Outcome::Inconclusive, "{mistyped:?}");
            // What is told already is not told again.
            let meant = of(&["orders", "newer"], &["newer"]).await;
            assert_eq!(meant.outcome, Outcome::Inconclusive, "{meant:?}");
            assert_eq!(meant.note.unwrap().matches("newer").count(), 1);
        }
    }
}
