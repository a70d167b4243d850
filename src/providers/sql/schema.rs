//! Whether two databases are built in the same way. Pure.

use super::reference::Reference;
use crate::journal::{Check, Outcome};
use crate::outside::ladder::{KINDS_SINCE_FORMAT_2, Structure, fingerprint};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How many differences are written down.
const SHOWN: usize = 12;

/// Kinds of objects that references of formats 1 and 2 do not hold, and that only PostgreSQL has. Sequences and versioned tables of
/// MariaDB, which they do not hold either, are of older kinds: they differ until the reference is taken again.
const KINDS_SINCE_FORMAT_3: [&str; 10] = [
    "grants partition",
    "large objects",
    "partition check",
    "partition column",
    "partition constraint",
    "partition foreign key",
    "partition index",
    "partition primary key",
    "partition unique",
    "partition unique index",
];

/// How the schema is compared.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaInput {
    /// Objects that may differ, by name; `*` at the end stands for any rest: `extension *`, `column public.audit.*`.
    #[serde(default)]
    pub ignore: Vec<String>,
}

impl SchemaInput {
    fn counts(&self, object: &str) -> bool {
        !self.ignore.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => object.starts_with(beginning),
            None => object == pattern,
        })
    }

    fn of<'o>(&self, objects: &'o BTreeMap<String, String>) -> BTreeMap<&'o str, &'o str> {
        let counted = objects.iter().filter(|(name, _)| self.counts(name));
        counted.map(|(name, definition)| (name.as_str(), definition.as_str())).collect()
    }
}

/// Compares with a reference. What a server did not show, on either side, is no difference and no match: it leaves the check open
/// when nothing else differs.
pub(super) fn judge_by(input: &SchemaInput, reference: &Reference, found: &Structure) -> Check {
    let sides = [("here", &found.not_seen), ("in the reference", &reference.not_seen)];
    let mut unseen = Vec::new();
    let (mut wanted, mut here) = (reference.schema.clone(), found.objects.clone());
    for (side, kinds) in sides {
        for (kind, grant) in kinds {
            let beginning = format!("{kind} ");
            if input.counts(&beginning) {
                unseen.push(format!("{kind} {side} ({grant})"));
            }
            wanted.retain(|name, _| !name.starts_with(&beginning));
            here.retain(|name, _| !name.starts_with(&beginning));
        }
    }
    let check = judge_by_format(input, &wanted, &here, &lacking(reference, found));
    if unseen.is_empty() {
        return check;
    }
    let unseen = format!("the server does not show these to the user: {}", unseen.join("; "));
    match check.outcome {
        Outcome::Failed => {
            let taken = check.note.as_ref().map(|note| format!("{note}; ")).unwrap_or_default();
            check.note(format!("{taken}{unseen}"))
        }
        _ => {
            let why = format!("{unseen}; of the others: {}", check.observed);
            Check::not_made(&check.name, &check.expected, why)
        }
    }
}

/// Why some objects are not compared: the format of a reference, and kinds that were not taken down in it.
struct Lacking {
    format: u32,
    kinds: Vec<&'static str>,
}

/// What a reference of an older format does not hold. Tables of MySQL and MariaDB stand in no schema.
fn lacking(reference: &Reference, found: &Structure) -> Lacking {
    let format = reference.redrill_sql_reference;
    let is_mysql = found.tables.iter().any(|table| table.name.schema.is_none());
    let mut kinds: Vec<&'static str> = Vec::new();
    if format < 2 {
        kinds.extend(KINDS_SINCE_FORMAT_2);
    }
    if format < 3 && !is_mysql {
        kinds.extend(KINDS_SINCE_FORMAT_3);
    }
    Lacking { format, kinds }
}

/// What a reference of an older format does not hold is no difference: it is noted.
fn judge_by_format(
    input: &SchemaInput,
    wanted: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
    Lacking { format, kinds }: &Lacking,
) -> Check {
    if kinds.is_empty() {
        return judge(input, wanted, found);
    }
    let is_newer = |name: &str| {
        let mut kinds = kinds.iter();
        kinds.any(|kind| name.strip_prefix(kind).is_some_and(|rest| rest.starts_with(' ')))
    };
    let known = found.iter().filter(|(name, _)| !is_newer(name));
    let known = known.map(|(name, definition)| (name.clone(), definition.clone())).collect();
    let check = judge(input, wanted, &known);
    let earlier = check.note.as_ref().map(|note| format!("{note}; ")).unwrap_or_default();
    let note = format!(
        "{earlier}the reference has format {format}, so these were not compared: {}; take it again",
        kinds.join(", ")
    );
    check.note(note)
}

/// Compares every object with the reference.
fn judge(
    input: &SchemaInput,
    reference: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Check {
    const NAME: &str = "schema";
    let (wanted, here) = (input.of(reference), input.of(found));
    let digest = |objects: &BTreeMap<&str, &str>| {
        let owned = objects.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        fingerprint(&owned.collect()).short(16)
    };
    let expected = format!("as in the reference, fingerprint {}", digest(&wanted));
    let differences = differences(&wanted, &here);
    let observed = match differences.len() {
        0 => format!("the same, fingerprint {}", digest(&here)),
        1 => format!("1 difference: {}", differences.join("")),
        count => {
            let shown = differences[..count.min(SHOWN)].join("; ");
            let more = count.saturating_sub(SHOWN);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            format!("{count} differences: {shown}{more}")
        }
    };
    let population = u64::try_from(wanted.len()).unwrap_or(u64::MAX);
    Check::made(NAME, expected, observed, differences.is_empty()).over(population)
}

fn differences(wanted: &BTreeMap<&str, &str>, here: &BTreeMap<&str, &str>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, definition) in wanted {
        match here.get(name) {
            None => found.push(format!("{name} is missing")),
            Some(other) if other != definition => found.push(changed(name, definition, other)),
            Some(_) => {}
        }
    }
    let extra = here.iter().filter(|(name, _)| !wanted.contains_key(*name));
    found.extend(extra.map(|(name, _)| format!("{name} is not in the reference")));
    found
}

fn changed(name: &str, wanted: &str, found: &str) -> String {
    if wanted.starts_with("sha256:") {
        format!("{name} has another definition")
    } else {
        format!("{name} is {found:?}, not {wanted:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::ladder::{Table, TableName};

    fn objects(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect()
    }

    #[test]
    fn the_same_schema_passes_and_every_kind_of_difference_is_named() {
        let all = SchemaInput::default();
        let reference = objects(&[("column t.a", "integer"), ("index t i", "btree (a)")]);
        let same = judge(&all, &reference, &reference);
        assert_eq!((same.outcome, same.population), (Outcome::Passed, Some(2)));
        let other = objects(&[("column t.a", "bigint"), ("column t.b", "text")]);
        let check = judge(&all, &reference, &other);
        assert_eq!(check.outcome, Outcome::Failed);
        assert_eq!(
            check.observed,
            "3 differences: column t.a is \"bigint\", not \"integer\"; index t i is missing; \
             column t.b is not in the reference"
        );
    }

    fn of_format(format: u32, schema: BTreeMap<String, String>) -> Reference {
        Reference {
            redrill_sql_reference: format,
            version: "15.4".into(),
            endpoint: None,
            database: None,
            taken: chrono::DateTime::UNIX_EPOCH,
            fingerprint: fingerprint(&schema),
            schema,
            not_seen: BTreeMap::new(),
            tables: BTreeMap::new(),
        }
    }

    fn built(objects: BTreeMap<String, String>) -> Structure {
        Structure { objects, ..Structure::default() }
    }

    #[test]
    fn regression_what_the_server_does_not_show_is_neither_the_same_nor_missing() {
        let all = SchemaInput::default();
        let reference = objects(&[("column t.a", "int"), ("trigger t x", "sha256:1")]);
        let hidden = || BTreeMap::from([("trigger".to_owned(), "grant trigger".to_owned())]);
        let same = built(objects(&[("column t.a", "int")]));
        let other = built(objects(&[("column t.a", "bigint")]));
        for (here, there, outcome) in [
            (BTreeMap::new(), BTreeMap::new(), Outcome::Failed),
            (hidden(), BTreeMap::new(), Outcome::Inconclusive),
            (BTreeMap::new(), hidden(), Outcome::Inconclusive),
            (hidden(), hidden(), Outcome::Inconclusive),
        ] {
            let reference = Reference { not_seen: there, ..of_format(2, reference.clone()) };
            let found = Structure { not_seen: here.clone(), ..same.clone() };
            let check = judge_by(&all, &reference, &found);
            assert_eq!(check.outcome, outcome, "{check:?}");
            if outcome == Outcome::Inconclusive {
                assert!(check.note.unwrap().contains("trigger"));
                // What differs besides differs, and what may differ leaves nothing open.
                let found = Structure { not_seen: here, ..other.clone() };
                let failed = judge_by(&all, &reference, &found);
                assert_eq!(failed.outcome, Outcome::Failed);
                assert_eq!(failed.observed, "1 difference: column t.a is \"bigint\", not \"int\"");
                assert!(failed.note.unwrap().contains("grant trigger"));
                let but = SchemaInput { ignore: vec!["trigger *".into()] };
                let found = Structure { not_seen: hidden(), ..same.clone() };
                assert_eq!(judge_by(&but, &reference, &found).outcome, Outcome::Passed);
            }
        }
    }

    #[test]
    fn regression_a_reference_of_format_1_makes_no_difference_of_what_it_does_not_hold() {
        let all = SchemaInput::default();
        let older = objects(&[("column t.a", "integer"), ("function public.f()", "x")]);
        let found = built(objects(&[
            ("column t.a", "integer"),
            ("function public.f()", "x"),
            ("function clauses public.f()", "y"),
            ("row security t", "enabled"),
        ]));
        let check = judge_by(&all, &of_format(1, older.clone()), &found);
        assert_eq!((check.outcome, check.population), (Outcome::Passed, Some(2)));
        assert!(check.note.unwrap().contains("row security"));
        let newer = judge_by(&all, &of_format(2, older), &found);
        assert_eq!(newer.outcome, Outcome::Failed);
        assert!(newer.observed.contains("row security t is not in the reference"));
    }

    #[test]
    fn regression_a_reference_of_format_2_makes_no_difference_of_partitions_and_large_objects() {
        let all = SchemaInput::default();
        let older = objects(&[("column public.t.a", "integer"), ("partition public.t_1", "t")]);
        let mut newer = older.clone();
        newer.extend(objects(&[
            ("grants partition public.t_1.a", "reader=r/admin"),
            ("large objects count", "3"),
            ("partition index public.t_1 i", "btree (a)"),
            ("partition unique index public.t_1 u", "btree (a)"),
        ]));
        let check = judge_by(&all, &of_format(2, older.clone()), &built(newer.clone()));
        assert_eq!((check.outcome, check.population), (Outcome::Passed, Some(2)));
        let note = check.note.unwrap();
        assert!(note.contains("format 2") && note.contains("large objects"), "{note}");
        assert!(!note.contains("row security"), "{note}");
        // What it holds is compared.
        let found = objects(&[("column public.t.a", "integer"), ("large objects count", "3")]);
        let check = judge_by(&all, &of_format(2, older.clone()), &built(found));
        assert_eq!(check.observed, "1 difference: partition public.t_1 is missing");
        let same = judge_by(&all, &of_format(3, newer.clone()), &built(newer.clone()));
        assert_eq!((same.outcome, same.note), (Outcome::Passed, None));
        let check = judge_by(&all, &of_format(3, older), &built(newer));
        assert_eq!(check.outcome, Outcome::Failed);
        assert!(check.observed.contains("large objects count is not in the reference"));
    }

    #[test]
    fn regression_a_reference_of_mysql_of_format_2_lacks_nothing_that_only_postgresql_has() {
        let schema = objects(&[("column t.a", "int")]);
        let table = Table {
            name: TableName::plain("t"),
            columns: vec!["a".into()],
            key: Vec::new(),
            whole_number_key: false,
            inexact: Vec::new(),
            hashes_alike: false,
        };
        let found = Structure { tables: vec![table], ..built(schema.clone()) };
        let check = judge_by(&SchemaInput::default(), &of_format(2, schema.clone()), &found);
        assert_eq!((check.outcome, check.note), (Outcome::Passed, None));
        let check = judge_by(&SchemaInput::default(), &of_format(1, schema), &found);
        assert!(!check.note.unwrap().contains("large objects"));
    }

    #[test]
    fn what_is_ignored_counts_on_neither_side_and_ignoring_everything_proves_nothing() {
        let reference = objects(&[("column t.a", "integer"), ("extension x", "1.0")]);
        let found = objects(&[("column t.a", "integer"), ("extension y", "1.0")]);
        let but_extensions = SchemaInput { ignore: vec!["extension *".into()] };
        assert_eq!(judge(&but_extensions, &reference, &found).outcome, Outcome::Passed);
        let nothing = SchemaInput { ignore: vec!["*".into()] };
        assert_eq!(judge(&nothing, &reference, &found).outcome, Outcome::Inconclusive);
    }

    #[test]
    fn a_database_without_objects_is_no_match_for_an_empty_reference() {
        let none = objects(&[]);
        assert_eq!(judge(&SchemaInput::default(), &none, &none).outcome, Outcome::Inconclusive);
    }
}
