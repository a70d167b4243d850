//! Whether a value may have been taken over nothing: an empty table gives it, too. Pure.

use super::parentheses::{outside, split};
use super::selecting::{may_hold_over_nothing, sources};
use crate::outside::SqlValue;

/// Aggregates that give a value over nothing.
const OVER_NOTHING: [&str; 5] = ["count", "total", "bit_or", "bit_xor", "regr_count"];

/// Aggregates that give null over nothing. A `sum` is among them; its zero is no more than that of a `count`, where people
/// write it for one.
const NULL_OVER_NOTHING: [&str; 35] = [
    "any_value",
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "corr",
    "every",
    "group_concat",
    "json_agg",
    "json_arrayagg",
    "json_object_agg",
    "json_objectagg",
    "jsonb_agg",
    "jsonb_object_agg",
    "max",
    "min",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "range_agg",
    "regr_avgx",
    "regr_avgy",
    "regr_slope",
    "std",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
    "xmlagg",
    "covar_pop",
    "covar_samp",
];

/// Functions that give a value for each row: over no row, they give none.
const OF_ONE_ROW: [&str; 139] = [
    "abs",
    "age",
    "ascii",
    "btrim",
    "case",
    "cast",
    "ceil",
    "ceiling",
    "char_length",
    "character_length",
    "coalesce",
    "concat",
    "concat_ws",
    "convert",
    "crc32",
    "curdate",
    "current_setting",
    "date",
    "date_add",
    "date_bin",
    "date_diff",
    "date_format",
    "date_part",
    "date_sub",
    "date_trunc",
    "datediff",
    "day",
    "decode",
    "degrees",
    "div",
    "encode",
    "exp",
    "extract",
    "floor",
    "format",
    "from_unixtime",
    "greatest",
    "hex",
    "hour",
    "if",
    "ifnull",
    "inet_aton",
    "initcap",
    "instr",
    "isnull",
    "json_array_length",
    "json_extract",
    "json_length",
    "json_unquote",
    "json_value",
    "jsonb_array_length",
    "jsonb_typeof",
    "justify_days",
    "justify_hours",
    "justify_interval",
    "last_day",
    "lcase",
    "least",
    "left",
    "length",
    "ln",
    "locate",
    "log",
    "log10",
    "lower",
    "lpad",
    "ltrim",
    "make_date",
    "make_interval",
    "make_timestamp",
    "md5",
    "mid",
    "minute",
    "mod",
    "month",
    "now",
    "nullif",
    "nvl",
    "octet_length",
    "overlay",
    "pg_relation_size",
    "pg_total_relation_size",
    "position",
    "pow",
    "power",
    "quarter",
    "radians",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    "repeat",
    "replace",
    "reverse",
    "right",
    "round",
    "row",
    "rpad",
    "rtrim",
    "second",
    "sha1",
    "sha2",
    "sha256",
    "sign",
    "split_part",
    "sqrt",
    "str_to_date",
    "strftime",
    "strpos",
    "substr",
    "substring",
    "substring_index",
    "time",
    "time_to_sec",
    "timediff",
    "timestamp",
    "timestampadd",
    "timestampdiff",
    "timezone",
    "to_char",
    "to_date",
    "to_days",
    "to_hex",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_seconds",
    "to_timestamp",
    "translate",
    "trim",
    "trunc",
    "truncate",
    "typeof",
    "ucase",
    "unhex",
    "unix_timestamp",
    "upper",
    "week",
    "weekday",
    "year",
];

/// Words before a parenthesis that are no function.
const NO_FUNCTIONS: [&str; 33] = [
    "all",
    "and",
    "any",
    "array",
    "as",
    "between",
    "by",
    "char",
    "decimal",
    "distinct",
    "else",
    "end",
    "filter",
    "from",
    "in",
    "interval",
    "is",
    "like",
    "not",
    "numeric",
    "on",
    "or",
    "over",
    "partition",
    "select",
    "some",
    "then",
    "using",
    "values",
    "varchar",
    "when",
    "where",
    "with",
];

/// Functions and words by which a server speaks of itself: no table is needed for that.
const OF_THE_SERVER: [&str; 22] = [
    "connection_id",
    "current_catalog",
    "current_database",
    "current_role",
    "current_schema",
    "current_setting",
    "current_user",
    "has_database_privilege",
    "has_schema_privilege",
    "has_table_privilege",
    "inet_server_addr",
    "inet_server_port",
    "pg_current_wal_lsn",
    "pg_has_role",
    "pg_is_in_recovery",
    "pg_is_wal_replay_paused",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_postmaster_start_time",
    "session_user",
    "to_regclass",
    "version",
];

/// True for a value that an empty table gives as well, so that it proves nothing without a population: a zero of a count or
/// sum, and whatever is made of an aggregate, an `exists` or a query within (`count(*) = 0`, `case when count(*) = 0 …`,
/// `max(amount) is null`). A null never comes here: it is no value, and leaves its check inconclusive. A function that is not
/// known may be an aggregate of somebody's own, or read a table without saying so. What is selected from no table is the same
/// whatever the tables hold, unless the server is asked of itself. An outer join gives a row where one of its tables is empty, and
/// a `not exists` or `not in` holds because one is.
///
/// Rather too often than not often enough: a population that is asked for needlessly costs a line.
pub(super) fn is_vacuous(sql: &str, value: &SqlValue) -> bool {
    let tokens = tokens(sql);
    let words: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let looks_at_rows =
        (0..words.len()).any(|at| is_aggregate(&words, at) || is_query_within(&words, at));
    let Some((list, rest)) = parts(&words) else {
        return looks_at_rows || words.first() != Some(&"show");
    };
    let reads_tables = match rest.first() {
        Some(&"from") => sources(rest).is_some(),
        _ => asks_the_server(&words),
    };
    if !reads_tables || may_aggregate(list, rest) || may_hold_over_nothing(rest) {
        return true;
    }
    if !looks_at_rows {
        return false;
    }
    let aggregates = (0..rest.len()).any(|at| is_aggregate(rest, at));
    if let Some(aggregate) = single_aggregate(list).filter(|_| !aggregates) {
        let over_nothing = OVER_NOTHING.contains(&aggregate);
        return match value {
            SqlValue::Integer(number) => *number == 0 && (over_nothing || aggregate == "sum"),
            SqlValue::Float(number) => *number == 0.0 && (over_nothing || aggregate == "sum"),
            SqlValue::Text(text) => match text.parse::<f64>() {
                Ok(number) => number == 0.0 && (over_nothing || aggregate == "sum"),
                Err(_) => over_nothing,
            },
            SqlValue::Bool(_) => over_nothing,
            SqlValue::Null | SqlValue::Time(_) => false,
        };
    }
    let of_list = (0..list.len()).any(|at| is_aggregate(list, at) || is_query_within(list, at));
    // A row that stands in a table was there to be selected.
    of_list || aggregates || rest.first().is_none_or(|word| *word != "from")
}

/// The tables (or views) that a plain select takes its rows from. `None` when it takes them from something else, or from nowhere.
pub(super) fn tables_of(sql: &str) -> Option<Vec<String>> {
    let tokens = tokens(sql);
    let words: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let (_, rest) = parts(&words)?;
    sources(rest)
}

/// Whether the server is asked of itself: by `version()`, `current_user`, `@@read_only`.
fn asks_the_server(words: &[&str]) -> bool {
    let is_asked = |at: usize| {
        let is_name = at > 0 && words.get(at - 1) == Some(&"as");
        let is_word = |word: &str| word.starts_with("current_") || word == "session_user";
        let is_called = words.get(at + 1) == Some(&"(");
        words.get(at).is_some_and(|word| {
            OF_THE_SERVER.contains(word) && !is_name && (is_called || is_word(word))
        })
    };
    words.windows(2).any(|pair| pair == ["@", "@"]) || (0..words.len()).any(is_asked)
}

/// Whether something is selected by a function that is not known, from all rows together or from nowhere: one of a server's
/// extensions or of its users may give a value over nothing.
pub(super) fn may_aggregate(list: &[&str], rest: &[&str]) -> bool {
    let grouped = rest.windows(2).any(|words| words == ["group", "by"]);
    let is_unknown = |at: usize| {
        let Some(word) = list.get(at).filter(|_| list.get(at + 1) == Some(&"(")) else {
            return false;
        };
        let is_name = word.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '"' | '`'));
        let known = OF_ONE_ROW.contains(word)
            || OF_THE_SERVER.contains(word)
            || NO_FUNCTIONS.contains(word);
        is_name && !known && !is_aggregate(list, at)
    };
    !grouped && (0..list.len()).any(is_unknown)
}

/// True for a query whose answer never proves anything without a population, or only while it does not pass: every value that
/// an expectation accepts is one that an empty table gives, too.
pub(super) fn needs_population(sql: &str, accepts: impl Fn(&SqlValue) -> bool) -> bool {
    let samples = [
        SqlValue::Integer(0),
        SqlValue::Integer(1),
        SqlValue::Integer(-1),
        SqlValue::Integer(1_000_000),
        SqlValue::Float(0.5),
        SqlValue::Bool(true),
        SqlValue::Bool(false),
        SqlValue::Text("a".to_owned()),
    ];
    let always = samples.iter().all(|value| is_vacuous(sql, value));
    let mut accepted = samples.iter().filter(|value| accepts(value)).peekable();
    always || (accepted.peek().is_some() && accepted.all(|value| is_vacuous(sql, value)))
}

/// A function that makes one value of all rows.
pub(super) fn is_aggregate(words: &[&str], at: usize) -> bool {
    let Some(word) = words.get(at).filter(|_| words.get(at + 1) == Some(&"(")) else {
        return false;
    };
    OVER_NOTHING.contains(word) || NULL_OVER_NOTHING.contains(word) || *word == "bit_and"
}

/// Whether this is an aggregate that gives null over nothing.
pub(super) fn is_null_over_nothing(word: &str) -> bool {
    NULL_OVER_NOTHING.contains(&word)
}

/// `exists (` and `(select`.
pub(super) fn is_query_within(words: &[&str], at: usize) -> bool {
    let next = words.get(at + 1).copied();
    match words.get(at).copied() {
        Some("exists") => next == Some("("),
        Some("(") => matches!(next, Some("select" | "with" | "table" | "values")),
        _ => false,
    }
}

/// What is selected, and the rest from `from` (or what stands in its place) on. `None` for what is no plain `select`.
pub(super) fn parts<'w>(words: &'w [&'w str]) -> Option<(&'w [&'w str], &'w [&'w str])> {
    let (first, words) = words.split_first()?;
    if *first != "select" {
        return None;
    }
    const ENDS: [&str; 11] = [
        "from",
        "where",
        "group",
        "having",
        "order",
        "limit",
        "union",
        "intersect",
        "except",
        "window",
        ";",
    ];
    let end = outside(words).find(|(_, word)| ENDS.contains(word));
    Some(end.map_or((words, &[][..]), |(at, _)| words.split_at(at)))
}

/// The one aggregate that is selected with nothing around it but a filter, a cast and a name.
pub(super) fn single_aggregate<'w>(list: &[&'w str]) -> Option<&'w str> {
    if !is_aggregate(list, 0) {
        return None;
    }
    let (name, arguments) = list.split_first()?;
    // Over nothing it gives null in PostgreSQL, and all bits in MySQL.
    if *name == "bit_and" {
        return None;
    }
    let (_, mut rest) = split(arguments)?;
    if (0..arguments.len() - rest.len()).any(|at| is_query_within(arguments, at)) {
        return None;
    }
    if let Some(filter) = rest.strip_prefix(&["filter"]) {
        (_, rest) = split(filter)?;
    }
    while let Some((_, behind)) = rest.strip_prefix(&[":", ":"]).and_then(<[_]>::split_first) {
        rest = behind;
    }
    rest = rest.strip_prefix(&["as"]).unwrap_or(rest);
    let is_name = |word: &str| {
        word.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '"' | '`'))
            && !matches!(word, "isnull" | "notnull")
    };
    match rest {
        [] => Some(name),
        [alias] if is_name(alias) => Some(name),
        _ => None,
    }
}

/// Words in lower case, and single other characters; no comments. `table orders` is `select * from orders`.
pub(super) fn tokens(sql: &str) -> Vec<String> {
    let mut found = plain_tokens(sql);
    if found.first().is_some_and(|word| word == "table") {
        found.splice(..1, ["select", "*", "from"].map(str::to_owned));
    }
    found
}

fn plain_tokens(sql: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), sql);
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let length = if rest.starts_with("--") {
            rest = rest.split_once('\n').map_or("", |(_, behind)| behind);
            continue;
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, behind)| behind);
            continue;
        } else if first.is_whitespace() {
            rest = rest.trim_start();
            continue;
        } else if matches!(first, '\'' | '"' | '`') {
            rest[1..].find(first).map_or(rest.len(), |end| end + 2)
        } else if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, behind) = rest.split_at(length);
        found.push(token.to_ascii_lowercase());
        rest = behind;
    }
    found
}

#[cfg(test)]
mod tests;
