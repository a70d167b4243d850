//! Whether sequences are behind the columns that they number, and what servers found wrong in tables and indexes. Pure.

use super::rows::shortened;
use super::tables::Tables;
use crate::journal::Check;
use crate::outside::ladder::{Inspection, Sequence};
use schemars::JsonSchema;
use serde::Deserialize;

/// Which tables the server inspects for damage.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InspectInput {
    /// The tables, with their indexes; all when left out.
    #[serde(default)]
    pub tables: Tables,
}

/// A number that is given twice is refused, or worse, overwrites. `shown` writes numbers of the data down as far as they
/// may be.
pub(super) fn judge_sequences(all: &[Sequence], shown: impl Fn(&str) -> String) -> Check {
    const NAME: &str = "sequences";
    const EXPECTED: &str = "none behind its column";
    let used: Vec<_> = all.iter().filter(|sequence| sequence.farthest.is_some()).collect();
    let behind: Vec<_> = used.iter().filter(|sequence| sequence.is_behind()).collect();
    let number = |number: Option<i128>| number.map_or("none".into(), |n| shown(&n.to_string()));
    let texts: Vec<_> = behind
        .iter()
        .map(|sequence| {
            let (next, farthest) = (number(sequence.next), number(sequence.farthest));
            format!("{} gives {next} next, but {} holds {farthest}", sequence.name, sequence.column)
        })
        .collect();
    let observed = match texts.as_slice() {
        [] => format!("{} sequences, none behind", used.len()),
        texts => shortened(texts),
    };
    let population = u64::try_from(used.len()).unwrap_or(u64::MAX);
    Check::made(NAME, EXPECTED, observed, texts.is_empty()).over(population)
}

/// What could not be inspected leaves the check open, unless damage was seen; and so does a table without anything to inspect that
/// was asked for by its name.
pub(super) fn judge_inspection(missing: &[&str], are_named: bool, found: Inspection) -> Check {
    const NAME: &str = "tables and indexes";
    const EXPECTED: &str = "no damage that the server can see";
    let Inspection { seen, mut not_seen, mut skipped, without } = found;
    let group = if are_named { &mut not_seen } else { &mut skipped };
    group.extend(without.into_values().flatten());
    let damaged = seen.iter().filter_map(|one| {
        let damage = one.damage.as_ref()?;
        Some(format!("{}: {damage}", one.what))
    });
    let gone = missing.iter().map(|name| format!("table {name} is not there"));
    let wrong: Vec<_> = damaged.chain(gone).collect();
    if wrong.is_empty() && !not_seen.is_empty() {
        return Check::not_made(NAME, EXPECTED, shortened(&not_seen));
    }
    let observed = match wrong.as_slice() {
        [] => format!("{} inspected, no damage", seen.len()),
        wrong => shortened(wrong),
    };
    let population = u64::try_from(seen.len()).unwrap_or(u64::MAX);
    let check = Check::made(NAME, EXPECTED, observed, wrong.is_empty()).over(population);
    not_seen.extend(skipped);
    match not_seen.as_slice() {
        [] => check,
        skipped => {
            let taken = check.note.as_ref().map(|note| format!("{note}; ")).unwrap_or_default();
            let note = format!("{taken}not inspected: {}", shortened(skipped));
            check.note(note)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;
    use crate::outside::ladder::{Inspected, TableName};

    fn sequence(next: Option<i128>, farthest: Option<i128>) -> Sequence {
        let (name, column) = ("orders_id_seq".into(), "orders.id".into());
        Sequence { name, column, next, farthest, down: false }
    }

    #[test]
    fn a_sequence_that_was_set_back_fails() {
        let good = judge_sequences(&[sequence(Some(10), Some(9))], str::to_owned);
        assert_eq!((good.outcome, good.population), (Outcome::Passed, Some(1)));
        let bad = judge_sequences(
            &[sequence(Some(10), Some(9)), sequence(Some(2), Some(9)), sequence(None, Some(2))],
            str::to_owned,
        );
        assert_eq!(bad.outcome, Outcome::Failed);
        assert_eq!(
            bad.observed,
            "orders_id_seq gives 2 next, but orders.id holds 9; orders_id_seq gives none next, but orders.id holds 2"
        );
    }

    #[test]
    fn sequences_of_empty_tables_prove_nothing() {
        let none = judge_sequences(&[sequence(None, None)], str::to_owned);
        assert_eq!(none.outcome, Outcome::Inconclusive);
        assert_eq!(judge_sequences(&[], str::to_owned).outcome, Outcome::Inconclusive);
    }

    fn seen(damage: Option<&str>) -> Inspected {
        Inspected { what: "index i".into(), damage: damage.map(str::to_owned) }
    }

    #[test]
    fn damage_fails_and_what_could_not_be_inspected_is_never_a_pass() {
        let of = |seen: Vec<Inspected>, not_seen: &[&str]| Inspection {
            seen,
            not_seen: not_seen.iter().map(|text| (*text).to_owned()).collect(),
            ..Inspection::default()
        };
        let outcome = |inspection: Inspection| judge_inspection(&[], false, inspection).outcome;
        assert_eq!(outcome(of(vec![seen(None)], &[])), Outcome::Passed);
        assert_eq!(outcome(of(vec![seen(None), seen(Some("broken"))], &[])), Outcome::Failed);
        assert_eq!(outcome(of(vec![seen(None)], &["no amcheck"])), Outcome::Inconclusive);
        assert_eq!(outcome(of(vec![seen(Some("broken"))], &["late"])), Outcome::Failed);
        assert_eq!(outcome(of(vec![], &[])), Outcome::Inconclusive);
        let gone = judge_inspection(&["t"], false, of(vec![seen(None)], &[]));
        assert_eq!(gone.outcome, Outcome::Failed);
    }

    #[test]
    fn regression_what_the_server_cannot_inspect_is_named() {
        let skipped = vec!["index public.by_hash (hash)".to_owned()];
        let with = |seen| Inspection { seen, skipped: skipped.clone(), ..Inspection::default() };
        let check = judge_inspection(&[], false, with(vec![seen(None)]));
        assert_eq!(check.outcome, Outcome::Passed);
        assert!(check.note.unwrap().contains("public.by_hash (hash)"));
        let nothing = judge_inspection(&[], false, with(vec![]));
        assert_eq!(nothing.outcome, Outcome::Inconclusive);
        assert!(nothing.note.unwrap().contains("public.by_hash (hash)"));
    }

    #[test]
    fn regression_a_table_asked_for_by_name_in_which_nothing_was_inspected_leaves_it_open() {
        let with = |seen: Vec<Inspected>| Inspection {
            seen,
            without: [(
                TableName::in_schema("public", "scratch"),
                vec!["table public.scratch (unlogged: no backup holds it)".to_owned()],
            )]
            .into(),
            ..Inspection::default()
        };
        for (are_named, found, outcome) in [
            (true, vec![seen(None)], Outcome::Inconclusive),
            (false, vec![seen(None)], Outcome::Passed),
            (false, vec![], Outcome::Inconclusive),
            (true, vec![seen(Some("broken"))], Outcome::Failed),
        ] {
            let check = judge_inspection(&[], are_named, with(found));
            assert_eq!(check.outcome, outcome, "{check:?}");
            assert!(check.note.unwrap().contains("table public.scratch (unlogged"));
        }
    }
}
