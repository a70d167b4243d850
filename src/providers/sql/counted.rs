//! Whether a statement counts rows that stand in tables, so that it gives no number above zero where these are empty. Pure.

use super::parentheses::{outside, split};
use super::selecting::{from_part, sources};
use super::vacuous::{
    is_aggregate, is_query_within, may_aggregate, parts, single_aggregate, tokens,
};

/// The tables (or views) whose rows are counted: a population, or the rows on one side of a point in time. `None` for what gives a
/// number without them: a constant, `count(*) + 1`, a function, an outer join.
///
/// `coalesce(sum(n), 0)` and a cast are allowed around the one aggregate, and a sum of such statements: `(select count(*) from a) +
/// (select count(*) from b)`.
pub(super) fn counted(sql: &str) -> Option<Vec<String>> {
    let tokens = tokens(sql);
    let words: Vec<&str> = tokens.iter().map(String::as_str).collect();
    counted_by(words.strip_suffix(&[";"]).unwrap_or(&words))
}

fn counted_by(words: &[&str]) -> Option<Vec<String>> {
    let (list, rest) = parts(words)?;
    if rest.is_empty() {
        return sum_of_counts(list);
    }
    let tables = sources(rest)?;
    let gives_numbers = is_count(list) || !looks_at_rows(list);
    (gives_numbers && !may_aggregate(list, rest) && !counts_groups_of_all(rest)).then_some(tables)
}

fn looks_at_rows(words: &[&str]) -> bool {
    (0..words.len()).any(|at| is_aggregate(words, at) || is_query_within(words, at))
}

/// One aggregate, with no more around it than what leaves nothing nothing.
fn is_count(list: &[&str]) -> bool {
    if single_aggregate(list).is_some() {
        return true;
    }
    let Some((function, arguments)) = list.split_first() else { return false };
    let Some((inner, behind)) = split(arguments) else { return false };
    let is_named = matches!(behind, [] | [_] | ["as", _]);
    let first = outside(inner).find(|(_, word)| matches!(*word, "," | "as" | "using"));
    let Some((end, _)) = first else { return false };
    let holds = match *function {
        "cast" | "convert" => true,
        "coalesce" | "ifnull" => inner[end..] == [",", "0"],
        _ => false,
    };
    is_named && holds && is_count(&inner[..end])
}

/// Whether a query within gives a row of its own over nothing: `from (select count(*) from orders) counted`.
fn counts_groups_of_all(rest: &[&str]) -> bool {
    let from = from_part(rest).unwrap_or_default();
    let is_of_all = |at: usize| {
        let within = (from.get(at) == Some(&"(") && is_query_within(from, at))
            .then(|| split(&from[at..]))
            .flatten();
        within.and_then(|(inner, _)| parts(inner)).is_some_and(|(list, rest)| {
            (0..list.len()).any(|at| is_aggregate(list, at)) && !is_grouped(rest)
        })
    };
    (0..from.len()).any(is_of_all)
}

/// Whether there is a row for each group only: `group by ()` and its like have one for all.
pub(super) fn is_grouped(rest: &[&str]) -> bool {
    const OF_ALL: [&str; 4] = ["(", "rollup", "cube", "grouping"];
    let by = outside(rest).find(|(at, word)| *word == "group" && rest.get(at + 1) == Some(&"by"));
    by.is_some_and(|(at, _)| {
        let groups = &rest[at + 2..];
        !groups.first().is_none_or(|word| OF_ALL.contains(word))
            && !groups.iter().any(|word| OF_ALL[1..].contains(word))
    })
}

/// `(select count(*) from a) + (select count(*) from b)`.
fn sum_of_counts(mut list: &[&str]) -> Option<Vec<String>> {
    let mut tables = Vec::new();
    loop {
        let (within, behind) = split(list)?;
        tables.extend(counted_by(within)?);
        match behind {
            [] | ["as", _] => return Some(tables),
            ["+", more @ ..] => list = more,
            _ => return None,
        }
    }
}

/// Whether nothing is known of a table that is counted in the second statement by what the first one has counted.
pub(super) fn are_others(first: &[String], second: &[String]) -> bool {
    let is_same = |one: &str, other: &str| {
        let ends = |long: &str, short: &str| {
            long.strip_suffix(short).is_some_and(|schema| schema.ends_with('.'))
        };
        one == other || ends(one, other) || ends(other, one)
    };
    second.iter().any(|table| !first.iter().any(|known| is_same(known, table)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_tables_are_counted() {
        for (sql, tables) in [
            ("select count(*) from orders", &["orders"][..]),
            ("SELECT count(*) AS n FROM public.orders WHERE at > 'x';", &["public.orders"]),
            ("select count(*)::int from a join b on a.id = b.id", &["a", "b"]),
            ("select coalesce(sum(n), 0) from a", &["a"]),
            ("select cast(sum(n) as unsigned) from a", &["a"]),
            ("select cast(coalesce(sum(n), 0) as unsigned) as n from a", &["a"]),
            ("select 1 from a where at > 'x' limit 1", &["a"]),
            ("select n from a where id = 1", &["a"]),
            ("select count(*) from a where id not in (select id from b)", &["a"]),
            ("select count(*) from a where total > (select avg(total) from a)", &["a"]),
            ("select count(*) from (select n from a where n > 0) x", &["a"]),
            ("select count(*) from (select n, count(*) c from a group by n) x", &["a"]),
            ("select (select count(*) from a) + (select count(*) from b)", &["a", "b"]),
        ] {
            assert_eq!(counted(sql).unwrap_or_default(), tables, "{sql}");
        }
    }

    #[test]
    fn regression_what_gives_a_number_over_nothing_counts_no_rows() {
        for sql in [
            "select 1",
            "select 1 from dual",
            "values (1)",
            "select count(*) + 1 from a",
            "select 1 + count(*) from a",
            "select greatest(count(*), 1) from a",
            "select coalesce(sum(n), 1) from a",
            "select coalesce(sum(n), 0) + 1 from a",
            "select exists (select 1 from a)",
            "select (select count(*) from a) + 1",
            "select (select count(*) from a) + (select 1)",
            "select count(*) from (select count(*) from a) x",
            "select count(*) from (select max(n) from a group by ()) x",
            "select count(*) from (select n, max(n) from a group by rollup (n)) x",
            "select count(*) from one left join a on true",
            "select count(*) from (values (1)) v (n)",
            "select count(*) from generate_series(1, 10)",
            "select audit.rows()",
            "select case when count(*) = 0 then 1 else count(*) end from a",
            "select 1 from a union all select 1",
        ] {
            assert_eq!(counted(sql), None, "{sql}");
        }
    }

    #[test]
    fn tables_are_the_same_with_their_schema_and_without() {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let are_others =
            |first: &[&str], second: &[&str]| are_others(&names(first), &names(second));
        assert!(!are_others(&["public.a", "b"], &["a"]));
        assert!(!are_others(&["a"], &["public.a"]));
        assert!(are_others(&["a"], &["a", "b"]));
        assert!(are_others(&["public.ba"], &["a"]));
        assert!(are_others(&[], &["a"]));
    }
}
