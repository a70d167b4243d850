//! Whether what a watermark gives is a time of the rows in tables, and nothing else: over nothing it gives no time. Pure.

use super::counted::is_grouped;
use super::parentheses::{outside, split};
use super::selecting::{from_part, has_outer_join, joined};
use super::vacuous::{
    is_aggregate, is_null_over_nothing, is_query_within, may_aggregate, parts, tokens,
};

/// What is said of a watermark that may be none.
pub(super) const NO_TIME_OF_ROWS: &str = "this may give a time that stands in no row, since no table is read, a value stands in for what \
     is not there, or the clock of the server is asked: it says nothing of how new the data is";

/// How it is written instead.
pub(super) const NEWEST_HELP: &str = "select a column of a table, as select max(committed_at) from heartbeat does, without coalesce \
     and now(); of several tables: select max(at) from (select max(paid_at) as at from a union all select max(sent_at) from b) newest";

/// Functions that give null when one of their arguments is null, in each kind of server.
const STRICT: [&str; 29] = [
    "abs",
    "cast",
    "ceil",
    "convert",
    "convert_tz",
    "date",
    "date_add",
    "date_bin",
    "date_format",
    "date_sub",
    "date_trunc",
    "datetime",
    "floor",
    "from_unixtime",
    "round",
    "str_to_date",
    "strftime",
    "timestamp",
    "timestampadd",
    "timezone",
    "to_char",
    "to_timestamp",
    "trunc",
    "unix_timestamp",
    "adddate",
    "subdate",
    "extract",
    "make_timestamp",
    "julianday",
];

/// Functions that give null only when all of their arguments are null, in one kind of server or another.
const OF_THE_FIRST: [&str; 5] = ["coalesce", "greatest", "ifnull", "least", "nvl"];

/// Words by which null becomes a value.
const CHOOSING: [&str; 16] = [
    "case", "is", "isnull", "notnull", "or", "and", "not", "in", "between", "like", "xor", "=",
    "<", ">", "|", "!",
];

/// Words that ask the clock, with parentheses or without.
const CLOCK: [&str; 19] = [
    "'now'",
    "'today'",
    "'tomorrow'",
    "'yesterday'",
    "clock_timestamp",
    "curdate",
    "current_date",
    "current_time",
    "current_timestamp",
    "curtime",
    "localtime",
    "localtimestamp",
    "now",
    "statement_timestamp",
    "sysdate",
    "timeofday",
    "transaction_timestamp",
    "utc_date",
    "utc_timestamp",
];

/// The time of the last transaction that a standby has replayed: null where nothing was.
/// <https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-RECOVERY-CONTROL>
const REPLAYED: &str = "pg_last_xact_replay_timestamp";

/// The tables (or views) whose rows a watermark takes its time from; none for the time of the last replayed transaction. `None`
/// when it may give a time where there is no row: rather too often than not often enough.
pub(super) fn tables_of_times(sql: &str) -> Option<Vec<String>> {
    let tokens = tokens(sql);
    let words: Vec<&str> = tokens.iter().map(String::as_str).collect();
    times_of(words.strip_suffix(&[";"]).unwrap_or(&words))
}

/// Of one select, or of several whose rows are put together.
fn times_of(words: &[&str]) -> Option<Vec<String>> {
    let Some((at, _)) = outside(words).find(|(_, word)| *word == "union") else {
        return of_one(words);
    };
    let more = &words[at + 1..];
    let more = more.strip_prefix(&["all"]).or(more.strip_prefix(&["distinct"])).unwrap_or(more);
    let mut tables = of_one(&words[..at])?;
    tables.extend(times_of(more)?);
    Some(tables)
}

fn of_one(words: &[&str]) -> Option<Vec<String>> {
    let (list, rest) = parts(words)?;
    if asks_the_clock(list) || !takes_from_rows(list) {
        return None;
    }
    let mut tables = Vec::new();
    if rest.is_empty() {
        return Nothing { columns: false, tables: &mut tables }.leaves(list).then_some(tables);
    }
    let from = from_part(rest)?;
    tables.extend(joined(from, &times_of)?);
    let columns = has_outer_join(from) || (0..from.len()).any(|at| is_query_within(from, at));
    let is_of_all = (0..list.len()).any(|at| is_aggregate(list, at) || is_query_within(list, at));
    let makes_a_row = columns || (is_of_all && !is_grouped(rest));
    let holds = !may_aggregate(list, rest)
        && (!makes_a_row || Nothing { columns, tables: &mut tables }.leaves(list));
    holds.then_some(tables)
}

/// Whether the server's clock is asked, and not a column that is called so.
fn asks_the_clock(list: &[&str]) -> bool {
    let is_asked = |at: usize| {
        let is_column = at > 0 && matches!(list[at - 1], "." | "as");
        let is_called = list.get(at + 1) == Some(&"(");
        let needs_call = matches!(list[at], "now" | "sysdate" | "timeofday");
        CLOCK.contains(&list[at]) && !is_column && (is_called || !needs_call)
    };
    // Without an argument it is the clock.
    let is_bare = list.windows(3).any(|words| words == ["unix_timestamp", "(", ")"]);
    is_bare || (0..list.len()).any(is_asked)
}

/// Whether the list names a column, or what stands for one.
fn takes_from_rows(list: &[&str]) -> bool {
    let at_all =
        |at: usize| list[at] == REPLAYED || is_query_within(list, at) || is_column(list, at);
    list == ["*"] || (0..list.len()).any(at_all)
}

fn is_column(list: &[&str], at: usize) -> bool {
    const BEFORE: [&str; 18] = [
        "(", ",", "+", "-", "*", "/", "|", "%", "=", "<", ">", "all", "distinct", "else", "from",
        "then", "when", "case",
    ];
    const NONE: [&str; 8] = ["null", "true", "false", "interval", "case", "not", "distinct", "all"];
    let word = list[at];
    let stands = at == 0 || BEFORE.contains(&list[at - 1]);
    // `timestamp '2026-11-22'` is a constant.
    let goes_on = list.get(at + 1).is_some_and(|next| *next == "(" || next.starts_with('\''));
    is_name(word) && stands && !goes_on && !NONE.contains(&word)
}

fn is_name(word: &str) -> bool {
    let unquoted = word.trim_start_matches(['"', '`']);
    unquoted.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// What a list comes to over nothing.
struct Nothing<'t> {
    /// Columns are null as well: they are of a row that was made for none.
    columns: bool,
    /// The tables of the queries within.
    tables: &'t mut Vec<String>,
}

impl Nothing<'_> {
    /// Whether it is null for certain.
    fn leaves(&mut self, list: &[&str]) -> bool {
        if outside(list).any(|(_, word)| CHOOSING.contains(&word)) {
            return false;
        }
        let (mut at, mut is_null) = (0, false);
        while let Some(word) = list.get(at) {
            let opens = at + usize::from(*word != "(");
            let may_open = *word == "(" || is_name(word);
            let Some((inner, _)) = list.get(opens..).filter(|_| may_open).and_then(split) else {
                is_null |= self.columns && is_column(list, at);
                at += 1;
                continue;
            };
            is_null |= match *word {
                "(" if inner.first() == Some(&"select") => self.within(inner),
                "(" => self.leaves(inner),
                REPLAYED => true,
                function if is_null_over_nothing(function) => !self.columns || self.leaves(inner),
                function if OF_THE_FIRST.contains(&function) => self.all(inner),
                function if STRICT.contains(&function) => self.any(inner),
                _ => false,
            };
            at = opens + inner.len() + 2;
        }
        is_null
    }

    fn within(&mut self, query: &[&str]) -> bool {
        let found = times_of(query);
        self.tables.extend(found.iter().flatten().cloned());
        found.is_some()
    }

    fn all(&mut self, arguments: &[&str]) -> bool {
        parted(arguments).into_iter().all(|argument| self.leaves(argument))
    }

    fn any(&mut self, arguments: &[&str]) -> bool {
        parted(arguments).into_iter().any(|argument| self.leaves(argument))
    }
}

/// The arguments of a function.
fn parted<'a, 'w>(words: &'a [&'w str]) -> Vec<&'a [&'w str]> {
    let commas = outside(words).filter(|(_, word)| *word == ",").map(|(at, _)| at);
    let ends: Vec<usize> = commas.chain([words.len()]).collect();
    let begins = [0].into_iter().chain(ends.iter().map(|end| end + 1));
    begins.zip(&ends).map(|(begin, end)| &words[begin..*end]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_rows_is_one_and_tables_are_told() {
        for (sql, tables) in [
            ("select max(committed_at) from heartbeat", &["heartbeat"][..]),
            (
                "SELECT max(h.at) AS newest FROM public.heartbeat h WHERE at <= now();",
                &["public.heartbeat"],
            ),
            ("select at from heartbeat order by at desc limit 1", &["heartbeat"]),
            ("select date_trunc('second', max(at)) at time zone 'utc' from beat", &["beat"]),
            ("select to_timestamp(max(epoch)) from beat", &["beat"]),
            ("select from_unixtime(max(epoch)) from beat", &["beat"]),
            ("select cast(max(at) as datetime) from beat", &["beat"]),
            ("select max(coalesce(updated_at, created_at)) from orders", &["orders"]),
            ("select '1 hour' + (max(at)) from beat", &["beat"]),
            ("select max(timestamp) from events", &["events"]),
            ("select max(at) filter (where kind = 'beat') from beat", &["beat"]),
            ("select coalesce(max(a), max(b)) from beat", &["beat"]),
            ("select greatest(max(a), max(b)) from beat", &["beat"]),
            ("select greatest((select max(at) from a), (select max(at) from b))", &["a", "b"]),
            (
                "select max(at) from (select max(paid) as at from a union all select max(sent) from b) n",
                &["a", "b"],
            ),
            ("select max(at) from (select at from a union select at from b) n", &["a", "b"]),
            ("select at from (select at from a order by at desc limit 1) n", &["a"]),
            ("select max(b.at) from a left join b on a.id = b.id", &["a", "b"]),
            ("select max(at) from a where id in (select id from b)", &["a"]),
            ("select max(at) from a group by kind order by 1 desc limit 1", &["a"]),
            ("table newest", &["newest"]),
            ("select pg_last_xact_replay_timestamp()", &[]),
        ] {
            assert_eq!(tables_of_times(sql).as_deref(), Some(&to_owned(tables)[..]), "{sql}");
        }
    }

    fn to_owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn regression_a_time_that_an_empty_table_gives_as_well_is_none_of_rows() {
        for sql in [
            "select now()",
            "select now() - interval '10 minutes'",
            "select '2026-11-19T18:00:00Z'",
            "select timestamp '2026-11-19 18:00:00'",
            "values ('2026-11-19T18:00:00Z')",
            "show now",
            "select datetime('now')",
            "select coalesce(max(committed_at), now()) from heartbeat",
            "select coalesce(max(committed_at), date_trunc('hour', now())) from heartbeat",
            "select coalesce(max(committed_at), '2026-11-19T18:00:00Z') from heartbeat where 1 = 0",
            "select ifnull(max(at), '2026-11-19') from heartbeat",
            "select greatest(max(at), '2026-11-19') from heartbeat",
            "select case when count(*) = 0 then '2026-11-19' else max(at) end from heartbeat",
            "select max('2026-11-19 18:00:00') from heartbeat",
            "select max(\"2026-11-19 18:00:00\") from heartbeat",
            "select timestamp '2026-11-19 18:00:00' from heartbeat limit 1",
            "select current_timestamp from heartbeat limit 1",
            "select max(least(at, now())) from heartbeat",
            "select pg_postmaster_start_time()",
            "select coalesce(pg_last_xact_replay_timestamp(), '2026-11-19')",
            "select to_timestamp(count(*) + 1795000000) from heartbeat",
            "select max(at) from (values ('2026-11-19')) v (at)",
            "select max(at) from (select at from a union all select '2026-11-19') n",
            "select max(at) from a union all select '2026-11-19'",
            "select coalesce(at, '2026-11-19') from (select max(at) as at from a) n",
            "select coalesce(b.at, '2026-11-19') from a left join b on true",
            "select max(coalesce(b.at, '2026-11-19')) from a left join b on true",
            "select coalesce((select max(at) from a), '2026-11-19') from b",
            "select audit.newest() from a",
            "select audit.newest()",
            "select at from audit.newest() n",
            "select '2026-11-19' || (max(at)) from a",
            "with n as (select now() as at) select at from n",
            "",
        ] {
            assert_eq!(tables_of_times(sql), None, "{sql}");
        }
    }
}
