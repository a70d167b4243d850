//! What a statement selects its rows from, as far as its text tells. Pure.

use super::parentheses::{outside, split};
use super::vacuous::{is_query_within, may_aggregate, parts};
use crate::outside::ladder::Structure;

/// Words at which the tables of a statement end.
const ENDS: [&str; 12] = [
    "where", "group", "having", "order", "limit", "window", "for", "fetch", "offset", "into",
    "lock", ";",
];

/// Words that stand before another select, whose rows are added or taken away.
const SETS: [&str; 4] = ["union", "intersect", "except", "minus"];

/// What the catalogs of the servers hold stands there by itself.
const CATALOGS: [&str; 6] =
    ["pg_catalog.", "information_schema.", "performance_schema.", "mysql.", "sys.", "pg_"];

/// What may stand behind a condition that asks for a row of a query within.
const BEHIND: [&str; 7] = ["and", "join", "inner", "cross", "straight_join", ",", ")"];

/// Words that make of a condition one of several, or a value.
const LOOSENING: [&str; 4] = ["or", "xor", "between", "|"];

/// The names that stand where tables do, in lower case and without quotes: `rest` begins with `from`. `None` when something else is
/// among them that may give a row over nothing: a function, values, `dual`, a second select, an outer join, a query within that may
/// aggregate.
pub(super) fn sources(rest: &[&str]) -> Option<Vec<String>> {
    let from = from_part(rest)?;
    if has_outer_join(from) { None } else { joined(from, &of_parentheses) }
}

/// What stands between `from` and the next clause. `None` where there is no `from`, or another select is added or taken away.
pub(super) fn from_part<'a, 'w>(rest: &'a [&'w str]) -> Option<&'a [&'w str]> {
    let from = rest.strip_prefix(&["from"])?;
    if outside(from).any(|(_, word)| SETS.contains(&word)) {
        return None;
    }
    let end = outside(from).find(|(_, word)| ENDS.contains(word)).map_or(from.len(), |(at, _)| at);
    Some(&from[..end])
}

/// Whether a row of one table is given where the other one has none.
pub(super) fn has_outer_join(words: &[&str]) -> bool {
    words.windows(2).any(|pair| matches!(pair, ["left" | "right" | "full", "join" | "outer"]))
}

/// Whether a condition may hold because a table is empty: each that asks a query within, but for `… in (select` and `exists (select`
/// that have to hold.
pub(super) fn may_hold_over_nothing(rest: &[&str]) -> bool {
    let is_open = |at: usize| {
        let is_query = rest.get(at) == Some(&"(") && is_query_within(rest, at);
        is_query && !is_source(rest, at) && !demands_a_row(rest, at)
    };
    (0..rest.len()).any(is_open)
}

/// Whether rows are taken from the query within that begins here.
fn is_source(rest: &[&str], at: usize) -> bool {
    let in_list = || {
        let from = from_part(rest).map_or(0, <[_]>::len);
        at <= from && is_outside(rest, at)
    };
    match before(rest, at, 1) {
        Some("from" | "join" | "straight_join" | "lateral") => true,
        Some(",") => in_list(),
        _ => false,
    }
}

/// Whether no row is selected unless the query within that begins here gives one.
fn demands_a_row(rest: &[&str], at: usize) -> bool {
    let begins = |word: Option<&str>| matches!(word, Some("where" | "and" | "on"));
    let has_to_hold = match before(rest, at, 1) {
        Some("exists") => begins(before(rest, at, 2)),
        Some("in") => {
            // Behind the name of a column, with that of its table.
            let mut name = 2;
            while before(rest, at, name + 1) == Some(".") {
                name += 2;
            }
            begins(before(rest, at, name + 1))
        }
        _ => false,
    };
    let behind = split(&rest[at..]).and_then(|(_, behind)| behind.first().copied());
    has_to_hold
        && is_outside(rest, at)
        && behind.is_none_or(|word| BEHIND.contains(&word) || ENDS.contains(&word))
        && !rest.iter().any(|word| LOOSENING.contains(word))
}

fn before<'w>(words: &[&'w str], at: usize, by: usize) -> Option<&'w str> {
    words.get(at.checked_sub(by)?).copied()
}

/// Whether this place is in no parentheses.
fn is_outside(words: &[&str], at: usize) -> bool {
    let count = |sign: &str| words[..at].iter().filter(|word| **word == sign).count();
    count("(") == count(")")
}

/// The tables of a list: by commas and joins. `within` tells those of a query in parentheses.
pub(super) fn joined(
    words: &[&str],
    within: &dyn Fn(&[&str]) -> Option<Vec<String>>,
) -> Option<Vec<String>> {
    let (mut found, mut at, mut begins) = (Vec::new(), 0, true);
    while let Some(word) = words.get(at) {
        let length = match *word {
            "only" | "lateral" if begins => 1,
            "(" => {
                let (inner, _) = split(&words[at..])?;
                if std::mem::take(&mut begins) {
                    let is_query = inner.first() == Some(&"select");
                    found.extend(if is_query { within(inner)? } else { joined(inner, within)? });
                }
                inner.len() + 2
            }
            "dual" if begins => return None,
            word if SETS.contains(&word) => return None,
            _ if begins => {
                let (name, length) = name(&words[at..])?;
                found.push(name);
                begins = false;
                length
            }
            word => {
                begins = matches!(word, "," | "join" | "straight_join");
                1
            }
        };
        at += length;
    }
    (!begins).then_some(found)
}

/// A query within, whose rows are those of its tables.
fn of_parentheses(words: &[&str]) -> Option<Vec<String>> {
    let (list, rest) = parts(words)?;
    if may_aggregate(list, rest) { None } else { sources(rest) }
}

/// The name at the beginning, with that of its schema, and how many words it takes. `None` for the call of a function, and for
/// what is no name.
fn name(words: &[&str]) -> Option<(String, usize)> {
    let first = words.first().copied().unwrap_or_default();
    let is_name = first.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '"' | '`'));
    if !is_name || matches!(first, "select" | "values" | "table" | "with") {
        return None;
    }
    let mut path = vec![first];
    while let Some([".", part]) = words.get(path.len() * 2 - 1..path.len() * 2 + 1) {
        path.push(part);
    }
    let length = path.len() * 2 - 1;
    let is_called = words.get(length) == Some(&"(");
    let unquoted = path.iter().map(|part| part.trim_matches(['"', '`']));
    (!is_called).then(|| (unquoted.collect::<Vec<_>>().join("."), length))
}

/// Whether a name, as `sources` gives it, is that of a table whose rows stand in it: a view of the same name is none, nor is what
/// lies on another server, whatever it is called: `pg_orphans` need not be the server's own.
pub(super) fn is_table(structure: &Structure, name: &str) -> bool {
    let is_it = |found: &str| {
        let found = found.to_lowercase();
        found == name || found.rsplit_once('.').is_some_and(|(_, alone)| alone == name)
    };
    let is_one = |object: &str| match object.split_once(' ') {
        Some(("view", of)) => is_it(of),
        _ => object.strip_prefix("materialized view ").is_some_and(is_it),
    };
    // Every relation of PostgreSQL has an owner, and stands in its schema; schemas have one, too, and stand in none.
    let relations = structure.objects.keys().filter_map(|object| object.strip_prefix("owner "));
    let mut relations = relations.filter(|found| found.contains('.') && is_it(found)).peekable();
    let is_of_users = relations.peek().is_some();
    if structure.objects.keys().any(|object| is_one(object))
        || relations.any(|found| !holds_rows(structure, found))
    {
        return false;
    }
    let is_part = |object: &String| object.strip_prefix("partition ").is_some_and(is_it);
    let is_catalog = || CATALOGS.iter().any(|catalog| name.starts_with(catalog));
    (!is_of_users && is_catalog())
        || structure.tables.iter().any(|table| is_it(&table.name.to_string()))
        || structure.objects.keys().any(is_part)
}

/// Whether this is a table with rows of its own, or a part of one.
fn holds_rows(structure: &Structure, relation: &str) -> bool {
    structure.tables.iter().any(|table| table.name.to_string() == relation)
        || structure.objects.contains_key(&format!("partition {relation}"))
}

#[cfg(test)]
mod tests {
    use super::super::vacuous::tables_of;
    use super::*;
    use crate::outside::ladder::{Table, TableName};
    use std::collections::BTreeMap;

    #[test]
    fn tables_are_found_by_their_names_and_nothing_else_is_taken_for_one() {
        for (sql, tables) in [
            ("select total from orders where id = 1", &["orders"][..]),
            (
                "select o.total from Public.\"Orders\" o, only `lines` l where l.id = o.id",
                &["public.orders", "lines"],
            ),
            (
                "select a.x from a inner join b using (id) join c on (c.id = a.id) limit 1",
                &["a", "b", "c"],
            ),
            (
                "select x from (select x from orders where x in (1, 2)) q join b on true",
                &["orders", "b"],
            ),
            ("select x from (a join b on a.id = b.id) order by x limit 1", &["a", "b"]),
        ] {
            assert_eq!(tables_of(sql).unwrap_or_default(), tables, "{sql}");
        }
        for sql in [
            "select n from audit.count_orphans() n",
            "select n from orders, counted() n",
            "select 0 from dual",
            "select n from (values (0)) v (n)",
            "select n from (select 0 as n) x",
            "select n from (select damaged(x) n from orders) x",
            "select id from orders union select 0",
            "select a.x from a left join b using (id) limit 1",
            "select a.x from (a natural full join b) limit 1",
            "select x from ((select x from a) union (select 0)) b",
            "select 1",
        ] {
            assert_eq!(tables_of(sql), None, "{sql}");
        }
    }

    #[test]
    fn a_view_is_no_table_and_catalogs_and_partitions_are() {
        let table = |name: &str| Table {
            name: TableName::in_schema("public", name),
            columns: Vec::new(),
            key: Vec::new(),
            whole_number_key: false,
            inexact: Vec::new(),
            hashes_alike: true,
        };
        let object = |name: &str| (name.to_owned(), "sha256:0".to_owned());
        let structure = Structure {
            tables: vec![table("orders"), table("Lines"), table("shadowed")],
            objects: BTreeMap::from([
                object("view public.orphans"),
                object("view audit.shadowed"),
                object("materialized view public.totals"),
                object("partition public.events_1"),
            ]),
            ..Structure::default()
        };
        for name in [
            "orders",
            "public.orders",
            "lines",
            "events_1",
            "pg_settings",
            "information_schema.tables",
        ] {
            assert!(is_table(&structure, name), "{name}");
        }
        for name in ["orphans", "public.orphans", "shadowed", "totals", "nowhere", "other.orders"] {
            assert!(!is_table(&structure, name), "{name}");
        }
    }

    #[test]
    fn regression_a_foreign_table_is_none_whatever_its_name() {
        let table = |name: &str| Table {
            name: TableName::in_schema("public", name),
            columns: Vec::new(),
            key: Vec::new(),
            whole_number_key: false,
            inexact: Vec::new(),
            hashes_alike: true,
        };
        let owned = |name: &str| (format!("owner {name}"), "admin".to_owned());
        let structure = Structure {
            tables: vec![table("pg_orders"), table("orders"), table("shadowed")],
            objects: BTreeMap::from([
                owned("public.pg_orders"),
                owned("public.orders"),
                owned("public.shadowed"),
                owned("public.pg_orphans"),
                owned("sys.orphans"),
                owned("far.shadowed"),
                // A schema and a function are no relations.
                owned("orders"),
                owned("public.pg_settings(integer)"),
            ]),
            ..Structure::default()
        };
        for name in
            ["pg_orders", "public.pg_orders", "orders", "pg_settings", "pg_catalog.pg_class"]
        {
            assert!(is_table(&structure, name), "{name}");
        }
        for name in ["pg_orphans", "public.pg_orphans", "sys.orphans", "orphans", "shadowed"] {
            assert!(!is_table(&structure, name), "{name}");
        }
    }
}
