//! Whether ranges of keys hold the same rows.

use super::judge::{NoValue, no_value};
use super::percent::Percent;
use super::reference::RangeReference;
use super::rows::shortened;
use super::tables::{Tables, named_so};
use crate::journal::{Check, Outcome};
use crate::outside::ladder::{KeyRange, RowsOf, RowsSum, Table, TableName};
use crate::outside::{DatabaseSession, OutsideError};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Which rows are compared by checksums, and in which parts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChecksumsInput {
    /// The tables; all of the reference's when left out.
    #[serde(default)]
    pub tables: Tables,
    /// Conditions in SQL that rows must meet to be compared, by table: where the restored data is older than the source,
    /// those that had not changed any more, `{ orders: "created_at < '2026-01-01'" }`.
    #[serde(default)]
    pub only: BTreeMap<String, String>,
    /// Into how many ranges of keys a table is cut at most, from 1 to 1000 (default 16). Each is read by one statement.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 1, max = 1000))]
    pub ranges: u32,
    /// The share of the ranges of each table that is read, chosen anew in every run by its seed (default 100%).
    #[serde(default = "all")]
    pub sample: Percent,
    /// Reads all rows as text and in order, also where two PostgreSQL servers of the same major version could hash them by
    /// themselves, which takes about half of the time and knows no difference between `1.0` and `1.00` (default false). A
    /// reference is always of text.
    #[serde(default)]
    pub exact: bool,
}

fn sixteen() -> u32 {
    16
}

fn all() -> Percent {
    Percent::ALL
}

impl Default for ChecksumsInput {
    fn default() -> Self {
        let (tables, only) = (Tables::default(), BTreeMap::new());
        Self { tables, only, ranges: sixteen(), sample: all(), exact: false }
    }
}

impl ChecksumsInput {
    /// The condition for a table.
    pub(super) fn only_of(&self, table: &TableName) -> Option<&str> {
        let mut conditions = self.only.iter().filter(|(name, _)| table.is_meant_by(name));
        conditions.next().map(|(_, condition)| condition.as_str())
    }

    /// Whether there is a condition for this table (`public.orders`).
    fn has_condition(&self, table: &str) -> bool {
        self.only.keys().any(|name| named_so(table, name))
    }
}

/// The ranges that a table is read in. Where keys must not be written down, only ranges on round numbers.
pub(super) async fn ranges(
    session: &mut dyn DatabaseSession,
    table: &Table,
    parts: u32,
    without_keys: bool,
) -> Result<Vec<KeyRange>, OutsideError> {
    let parts = if without_keys && !table.whole_number_key { 1 } else { parts };
    let boundaries = match parts {
        0 | 1 => Vec::new(),
        parts => session.boundaries(table, parts).await?,
    };
    Ok(KeyRange::between(&boundaries))
}

/// Chooses ranges to read: always at least one, the same for the same seed. And the others, for when those hold no row.
pub(super) fn sampled<T>(ranges: Vec<T>, sample: Percent, seed: u64) -> (Vec<T>, Vec<T>) {
    let count = u64::try_from(ranges.len()).unwrap_or(u64::MAX);
    let wanted = usize::try_from(sample.of_rounded_up(count).max(1)).unwrap_or(usize::MAX);
    if wanted >= ranges.len() {
        return (ranges, Vec::new());
    }
    let mut order: Vec<(u64, usize)> =
        (0..ranges.len()).map(|index| (mixed(seed, index as u64), index)).collect();
    order.sort_unstable();
    let chosen: Vec<usize> = order[..wanted].iter().map(|(_, index)| *index).collect();
    let (chosen, others): (Vec<_>, Vec<_>) =
        ranges.into_iter().enumerate().partition(|(index, _)| chosen.contains(index));
    let without_index = |all: Vec<(usize, T)>| all.into_iter().map(|(_, range)| range).collect();
    (without_index(chosen), without_index(others))
}

/// Whether nothing stands in any of the ranges, on neither side.
pub(super) fn hold_no_row(compared: &[Compared]) -> bool {
    let is_empty = |sum: &Result<RowsSum, NoValue>| sum.as_ref().is_ok_and(|sum| sum.rows == 0);
    compared.iter().all(|one| is_empty(&one.found) && is_empty(&one.wanted))
}

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>): neighbouring numbers become unrelated ones.
pub(super) fn mixed(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Where the checksums to compare with come from.
pub(super) enum Against<'s> {
    /// They were taken down before.
    Known(Vec<RangeReference>),
    /// They are read at the same time.
    Live(&'s mut dyn DatabaseSession, Vec<KeyRange>),
    /// They are read at the same time, hashed by the servers if they can.
    LiveHashed(&'s mut dyn DatabaseSession, Vec<KeyRange>),
}

/// One range on both sides.
pub(super) struct Compared {
    pub(super) table: String,
    pub(super) keys: KeyRange,
    pub(super) found: Result<RowsSum, NoValue>,
    pub(super) wanted: Result<RowsSum, NoValue>,
}

impl Compared {
    /// A table whose rows were not read.
    pub(super) fn not_read(table: &str, why: &str) -> Self {
        let why = || NoValue { why: why.to_owned(), damaged: false };
        let (found, wanted) = (Err(why()), Err(why()));
        Self { table: table.to_owned(), keys: KeyRange::default(), found, wanted }
    }
}

/// Reads the ranges of a table, on both sides at the same time where both are there. `Err` when a database was lost.
pub(super) async fn compare(
    restored: &mut dyn DatabaseSession,
    against: Against<'_>,
    table: &Table,
    only: Option<&str>,
    withhold: bool,
) -> Result<Vec<Compared>, OutsideError> {
    let mut all = Vec::new();
    let mut add = |keys: &KeyRange, found, wanted| -> Result<(), OutsideError> {
        let kept = |answer: Result<RowsSum, OutsideError>| match answer {
            Ok(sum) => Ok(Ok(sum)),
            Err(error) => no_value(error, withhold).map(Err),
        };
        let (table, keys) = (table.name.to_string(), keys.clone());
        all.push(Compared { table, keys, found: kept(found)?, wanted: kept(wanted)? });
        Ok(())
    };
    match against {
        Against::Known(ranges) => {
            for range in ranges {
                let rows = RowsOf { table, range: &range.keys, only, hashed_by_server: false };
                let found = restored.checksum(&rows).await;
                add(&range.keys, found, Ok(RowsSum { rows: range.rows, digest: range.digest }))?;
            }
        }
        Against::Live(source, ranges) => {
            for range in &ranges {
                let rows = RowsOf { table, range, only, hashed_by_server: false };
                let (found, wanted) = both(restored, source, &rows).await;
                add(range, found, wanted)?;
            }
        }
        Against::LiveHashed(source, ranges) => {
            let mut hashed_by_server = true;
            for range in &ranges {
                let rows = RowsOf { table, range, only, hashed_by_server };
                let (mut found, mut wanted) = both(restored, source, &rows).await;
                if hashed_by_server && (cannot_hash(&found) || cannot_hash(&wanted)) {
                    hashed_by_server = false;
                    let rows = RowsOf { hashed_by_server, ..rows };
                    (found, wanted) = both(restored, source, &rows).await;
                }
                add(range, found, wanted)?;
            }
        }
    }
    Ok(all)
}

async fn both(
    restored: &mut dyn DatabaseSession,
    source: &mut dyn DatabaseSession,
    rows: &RowsOf<'_>,
) -> (Result<RowsSum, OutsideError>, Result<RowsSum, OutsideError>) {
    futures_util::future::join(restored.checksum(rows), source.checksum(rows)).await
}

/// A type without a hash function (undefined_function), or a server that hashes no records.
fn cannot_hash(answer: &Result<RowsSum, OutsideError>) -> bool {
    matches!(answer, Err(OutsideError::Failed(why)) if why.starts_with("SQLSTATE 42883:"))
}

/// Judges what was compared. `shown` writes a range down as far as keys may be.
pub(super) fn judge(
    input: &ChecksumsInput,
    missing: &[String],
    compared: &[Compared],
    shown: impl Fn(&KeyRange) -> String,
) -> Check {
    const NAME: &str = "checksums";
    let expected = match input.sample {
        Percent::ALL => "every range of keys as in the reference".to_owned(),
        share => format!("{share} of the ranges of keys as in the reference"),
    };
    let (mut wrong, mut unknown) = (missing.to_vec(), Vec::new());
    let (mut rows, mut should) = (0_u64, 0_u64);
    let mut differing: BTreeMap<&str, Vec<(String, &RowsSum, &RowsSum)>> = BTreeMap::new();
    for one in compared {
        let place = format!("{}, {}", one.table, shown(&one.keys));
        match (&one.found, &one.wanted) {
            (Ok(found), Ok(wanted)) => {
                rows = rows.saturating_add(found.rows);
                should = should.saturating_add(wanted.rows);
                if found != wanted {
                    differing.entry(one.table.as_str()).or_default().push((place, found, wanted));
                }
            }
            (Err(why), _) if why.damaged => wrong.push(format!("{place}: {}", why.why)),
            (Err(why), _) => unknown.push(format!("{place}: {}", why.why)),
            (_, Err(why)) => unknown.push(format!("{place}, in the source: {}", why.why)),
        }
    }
    wrong.extend(differing.into_values().filter_map(|ranges| in_words(&ranges)));
    if wrong.is_empty() && !unknown.is_empty() {
        return Check::not_made(NAME, expected, shortened(&unknown));
    }
    if !wrong.is_empty() {
        let observed = shortened(&wrong);
        return Check::made(NAME, expected, observed, false).over(should);
    }
    let (unmet, empty): (Vec<_>, Vec<_>) =
        empty_tables(compared).into_iter().partition(|table| input.has_condition(table));
    if !unmet.is_empty() {
        let why = format!("no row meets the condition (only) of {}", unmet.join(", "));
        return Check::not_made(NAME, expected, why);
    }
    let observed = format!("{} ranges, {rows} rows, all the same", compared.len());
    let check = Check::made(NAME, expected, observed, true).over(rows);
    match empty {
        empty if empty.is_empty() || check.outcome != Outcome::Passed => check,
        empty if input.tables.are_named() => {
            let why = format!("empty here and in the reference: {}", empty.join(", "));
            Check::not_made(NAME, check.expected, why)
        }
        empty => check.note(format!("empty in the reference, too: {}", empty.join(", "))),
    }
}

/// The ranges of a table that differ: the first of them, and how many.
fn in_words(ranges: &[(String, &RowsSum, &RowsSum)]) -> Option<String> {
    let (place, found, wanted) = ranges.first()?;
    let first = format!("{place}: {}", difference(found, wanted));
    Some(match ranges.len() {
        1 => first,
        more => format!("{first} (the first of {more} ranges that differ)"),
    })
}

fn difference(found: &RowsSum, wanted: &RowsSum) -> String {
    if found.rows == wanted.rows {
        format!("other content in {} rows", found.rows)
    } else {
        format!("{} rows instead of {}", found.rows, wanted.rows)
    }
}

fn empty_tables(compared: &[Compared]) -> Vec<&str> {
    let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
    for one in compared {
        let found = one.found.as_ref().map_or(0, |sum| sum.rows);
        *rows.entry(one.table.as_str()).or_default() += found;
    }
    rows.into_iter().filter(|(_, rows)| *rows == 0).map(|(table, _)| table).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;

    fn sum(rows: u64, text: &str) -> Result<RowsSum, NoValue> {
        Ok(RowsSum { rows, digest: Digest::of(text.as_bytes()) })
    }

    fn compared(
        table: &str,
        found: Result<RowsSum, NoValue>,
        wanted: Result<RowsSum, NoValue>,
    ) -> Compared {
        Compared { table: table.into(), keys: KeyRange::default(), found, wanted }
    }

    fn outcome(all: &[Compared]) -> Check {
        judge(&ChecksumsInput::default(), &[], all, ToString::to_string)
    }

    fn cannot(damaged: bool) -> Result<RowsSum, NoValue> {
        Err(NoValue { why: "SQLSTATE 57014: canceling statement".into(), damaged })
    }

    #[test]
    fn equal_ranges_pass_and_a_changed_byte_fails() {
        let good = outcome(&[compared("t", sum(2, "a"), sum(2, "a"))]);
        assert_eq!((good.outcome, good.population), (Outcome::Passed, Some(2)));
        let bad = outcome(&[
            compared("t", sum(2, "a"), sum(2, "b")),
            compared("u", sum(1, "a"), sum(2, "ab")),
        ]);
        assert_eq!(bad.outcome, Outcome::Failed);
        assert_eq!(
            bad.observed,
            "t, all keys: other content in 2 rows; u, all keys: 1 rows instead of 2"
        );
    }

    #[test]
    fn nothing_read_proves_nothing() {
        assert_eq!(outcome(&[]).outcome, Outcome::Inconclusive);
        let empty = || compared("t", sum(0, ""), sum(0, ""));
        assert_eq!(outcome(&[empty()]).outcome, Outcome::Inconclusive);
        let full = || compared("u", sum(1, "a"), sum(1, "a"));
        assert_eq!(outcome(&[empty(), full()]).outcome, Outcome::Passed);
        let tables = Tables(Some(vec!["t".into(), "u".into()]));
        let named = ChecksumsInput { tables, ..ChecksumsInput::default() };
        let check = judge(&named, &[], &[empty(), full()], ToString::to_string);
        assert_eq!(check.outcome, Outcome::Inconclusive);
    }

    #[test]
    fn regression_a_condition_that_no_row_meets_is_not_called_an_empty_table() {
        let all = [
            compared("public.orders", sum(0, ""), sum(0, "")),
            compared("public.lines", sum(1, "a"), sum(1, "a")),
        ];
        let only = BTreeMap::from([("orders".to_owned(), "false".to_owned())]);
        let with = ChecksumsInput { only, ..ChecksumsInput::default() };
        let check = judge(&with, &[], &all, ToString::to_string);
        assert_eq!(check.outcome, Outcome::Inconclusive);
        assert_eq!(
            check.note.as_deref(),
            Some("no row meets the condition (only) of public.orders")
        );
    }

    #[test]
    fn a_range_that_could_not_be_read_leaves_it_open_unless_damage_was_seen() {
        let good = || compared("t", sum(1, "a"), sum(1, "a"));
        let open = outcome(&[good(), compared("t", cannot(false), sum(1, "a"))]);
        assert_eq!(open.outcome, Outcome::Inconclusive);
        let open = outcome(&[good(), compared("t", sum(1, "a"), cannot(false))]);
        assert!(open.note.unwrap().contains("in the source"));
        let damaged = outcome(&[good(), compared("t", cannot(true), sum(1, "a"))]);
        assert_eq!(damaged.outcome, Outcome::Failed);
        // The source's own damage says nothing of the copy.
        let source = outcome(&[good(), compared("t", sum(1, "a"), cannot(true))]);
        assert_eq!(source.outcome, Outcome::Inconclusive);
    }

    #[test]
    fn a_missing_table_fails() {
        let good = [compared("t", sum(1, "a"), sum(1, "a"))];
        let missing = ["u is not there".to_owned()];
        let check = judge(&ChecksumsInput::default(), &missing, &good, ToString::to_string);
        assert_eq!(check.outcome, Outcome::Failed);
    }

    #[test]
    fn a_sample_is_of_its_size_and_the_same_for_the_same_seed() {
        let all: Vec<u32> = (0..100).collect();
        let quarter: Percent = "25%".parse().unwrap();
        let (chosen, others) = sampled(all.clone(), quarter, 7);
        assert_eq!((chosen.len(), others.len()), (25, 75));
        assert!(others.iter().all(|other| !chosen.contains(other)));
        assert_eq!(chosen, sampled(all.clone(), quarter, 7).0);
        assert_ne!(chosen, sampled(all.clone(), quarter, 8).0);
        assert_eq!(sampled(all.clone(), "0%".parse().unwrap(), 7).0.len(), 1);
        assert_eq!(sampled(all.clone(), Percent::ALL, 7), (all, Vec::new()));
    }

    #[test]
    fn ranges_without_a_row_are_known_from_those_that_hold_one_or_were_not_read() {
        assert!(hold_no_row(&[compared("t", sum(0, ""), sum(0, ""))]));
        for other in [
            compared("t", sum(1, "a"), sum(0, "")),
            compared("t", sum(0, ""), sum(1, "a")),
            compared("t", cannot(false), sum(0, "")),
        ] {
            assert!(!hold_no_row(&[compared("t", sum(0, ""), sum(0, "")), other]));
        }
    }
}
