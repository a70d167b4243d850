//! Whether two databases are built in the same way. Pure.

use super::reference::Reference;
use crate::journal::{Check, Outcome};
use crate::outside::ladder::{KINDS_SINCE_FORMAT_2, Structure, fingerprint};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How many differences are written down.
const SHOWN: usize = 12;

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
    let check = judge_by_format(input, reference, &wanted, &here);
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

/// What a reference of an older format does not hold is no difference: it is noted.
fn judge_by_format(
    input: &SchemaInput,
    reference: &Reference,
    wanted: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Check {
    if !reference.is_of_format_1() {
        return judge(input, wanted, found);
    }
    let is_newer = |name: &str| {
        let mut kinds = KINDS_SINCE_FORMAT_2.iter();
        kinds.any(|kind| name.strip_prefix(kind).is_some_and(|rest| rest.starts_with(' ')))
    };
    let known = found.iter().filter(|(name, _)| !is_newer(name));
    let known = known.map(|(name, definition)| (name.clone(), definition.clone())).collect();
    let check = judge(input, wanted, &known);
    let earlier = check.note.as_ref().map(|note| format!("{note}; ")).unwrap_or_default();
    let note = format!(
        "{earlier}the reference has format 1, so these were not compared: {}; take it again",
        KINDS_SINCE_FORMAT_2.join(", ")
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
