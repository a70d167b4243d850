//! Whether tables hold as many rows as expected. Pure.

use super::judge::NoValue;
use super::percent::Percent;
use super::tables::Tables;
use crate::journal::Check;
use schemars::JsonSchema;
use serde::Deserialize;

/// How many tables are named in an observation.
const SHOWN: usize = 12;

/// How the numbers of rows are compared.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowsInput {
    /// How far a number may be from that of the reference, on either side: less than 100% (default 0%). A table that is
    /// empty here and was not in the reference is always wrong.
    #[serde(default, deserialize_with = "below_all")]
    pub tolerance: Percent,
    /// The tables; all of the reference's when left out.
    #[serde(default)]
    pub tables: Tables,
}

/// Why a tolerance cannot be one.
pub(super) const TOLERATES_ALL: &str = "a tolerance of 100% would let a table without rows pass";

fn below_all<'de, D: serde::Deserializer<'de>>(written: D) -> Result<Percent, D::Error> {
    let tolerance = Percent::deserialize(written)?;
    match tolerance {
        Percent::ALL => Err(serde::de::Error::custom(TOLERATES_ALL)),
        less => Ok(less),
    }
}

/// A table whose rows were to be counted.
pub(super) struct Counted {
    pub(super) table: String,
    pub(super) expected: u64,
    pub(super) found: Result<u64, NoValue>,
}

/// Compares the counts. A table that is empty here and in the reference proves nothing, and is only noted, unless it was
/// asked for by its name. Tables that the reference does not know leave it open, unless something is wrong.
pub(super) fn judge(input: &RowsInput, counted: &[Counted], not_known: &[&str]) -> Check {
    const NAME: &str = "row counts";
    let expected = format!("those of the reference ± {}", input.tolerance);
    let (mut wrong, mut unknown, mut empty) = (Vec::new(), Vec::new(), Vec::new());
    let (mut tables, mut rows) = (0, 0_u64);
    for one in counted {
        match &one.found {
            Ok(0) if one.expected == 0 => empty.push(one.table.as_str()),
            Ok(found) => {
                tables += 1;
                rows = rows.saturating_add(*found);
                let beyond = found.abs_diff(one.expected) > input.tolerance.of(one.expected);
                if beyond || *found == 0 {
                    wrong.push(format!("{} has {found} instead of {}", one.table, one.expected));
                }
            }
            Err(why) if why.damaged => wrong.push(format!("{}: {}", one.table, why.why)),
            Err(why) => unknown.push(format!("{}: {}", one.table, why.why)),
        }
    }
    if !not_known.is_empty() {
        unknown.push(format!("the reference knows no number of rows of {}", not_known.join(", ")));
    }
    if wrong.is_empty() && !unknown.is_empty() {
        return Check::not_made(NAME, expected, shortened(&unknown));
    }
    if wrong.is_empty() && input.tables.are_named() && !empty.is_empty() {
        let why = format!("empty here and in the reference: {}", empty.join(", "));
        return Check::not_made(NAME, expected, why);
    }
    let observed = match wrong.as_slice() {
        [] => format!("{tables} tables, {rows} rows, all within"),
        wrong => shortened(wrong),
    };
    let holds = wrong.is_empty();
    // What was seen to be missing was taken over what should be there.
    let should: u64 = counted.iter().map(|one| one.expected).fold(0, u64::saturating_add);
    let check =
        Check::made(NAME, expected, observed, holds).over(if holds { rows } else { should });
    match empty.as_slice() {
        [] => check,
        _ if check.note.is_some() => check,
        empty => check.note(format!("empty in the reference, too: {}", empty.join(", "))),
    }
}

/// The first ones, and how many there are more.
pub(super) fn shortened(texts: &[String]) -> String {
    let shown = texts[..texts.len().min(SHOWN)].join("; ");
    match texts.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;

    fn counted(table: &str, expected: u64, found: u64) -> Counted {
        Counted { table: table.into(), expected, found: Ok(found) }
    }

    fn judge(input: &RowsInput, counted: &[Counted]) -> Check {
        super::judge(input, counted, &[])
    }

    fn within(tolerance: &str) -> RowsInput {
        RowsInput { tolerance: tolerance.parse().unwrap(), ..RowsInput::default() }
    }

    #[test]
    fn counts_within_the_tolerance_pass_and_others_are_named() {
        let good = judge(&within("5%"), &[counted("orders", 100, 95), counted("items", 10, 10)]);
        assert_eq!((good.outcome, good.population), (Outcome::Passed, Some(105)));
        for (tolerance, found) in [("5%", 94), ("5%", 106), ("0%", 99)] {
            let bad = judge(&within(tolerance), &[counted("orders", 100, found)]);
            assert_eq!(bad.outcome, Outcome::Failed);
            assert_eq!(bad.observed, format!("orders has {found} instead of 100"));
        }
    }

    #[test]
    fn an_emptied_table_fails_and_one_that_was_always_empty_proves_nothing() {
        assert_eq!(judge(&within("5%"), &[counted("orders", 7, 0)]).outcome, Outcome::Failed);
        let both = [counted("orders", 7, 7), counted("archive", 0, 0)];
        let check = judge(&within("0%"), &both);
        assert_eq!(check.outcome, Outcome::Passed);
        assert!(check.note.unwrap().contains("archive"));
        assert_eq!(judge(&within("0%"), &both[1..]).outcome, Outcome::Inconclusive);
        assert_eq!(judge(&within("0%"), &[]).outcome, Outcome::Inconclusive);
        let named = RowsInput { tables: Tables(Some(vec!["archive".into()])), ..within("0%") };
        assert_eq!(judge(&named, &both).outcome, Outcome::Inconclusive);
    }

    #[test]
    fn regression_no_tolerance_lets_an_emptied_table_pass() {
        let check = judge(&within("100%"), &[counted("orders", 7, 0), counted("items", 5, 5)]);
        assert_eq!(check.outcome, Outcome::Failed);
        assert_eq!(check.observed, "orders has 0 instead of 7");
        let written = |text: &str| serde_json::json!({ "tolerance": text });
        assert!(serde_json::from_value::<RowsInput>(written("99.99%")).is_ok());
        let error = serde_json::from_value::<RowsInput>(written("100%")).unwrap_err();
        assert!(error.to_string().contains(TOLERATES_ALL), "{error}");
    }

    #[test]
    fn regression_a_table_that_the_reference_does_not_know_hides_no_failure() {
        let known = [counted("orders", 7, 6)];
        let bad = super::judge(&within("0%"), &known, &["nowhere"]);
        assert_eq!(
            (bad.outcome, bad.observed.as_str()),
            (Outcome::Failed, "orders has 6 instead of 7")
        );
        let open = super::judge(&within("0%"), &[counted("orders", 7, 7)], &["nowhere"]);
        assert_eq!(open.outcome, Outcome::Inconclusive);
        assert!(open.note.unwrap().contains("no number of rows of nowhere"));
    }

    #[test]
    fn a_table_that_could_not_be_counted_leaves_it_open_unless_damage_was_seen() {
        let cannot = |damaged| Counted {
            table: "ledger".into(),
            expected: 3,
            found: Err(NoValue { why: "SQLSTATE 42501: no".into(), damaged }),
        };
        let good = counted("orders", 7, 7);
        let open = judge(&within("0%"), &[cannot(false), good]);
        assert_eq!(open.outcome, Outcome::Inconclusive);
        assert!(open.note.unwrap().starts_with("ledger: SQLSTATE 42501"));
        assert_eq!(judge(&within("0%"), &[cannot(true)]).outcome, Outcome::Failed);
        let wrong = counted("orders", 7, 6);
        assert_eq!(judge(&within("0%"), &[cannot(false), wrong]).outcome, Outcome::Failed);
    }
}
