//! What is done to SQL before SQLite sees it: its own clock, randomness and files are out of bounds.

use chrono::{DateTime, Utc};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Text,
    Space,
    Other,
}

/// A part of SQL and what it is.
type Token<'a> = (Kind, &'a str);

/// Cuts SQL into words, quoted texts, spaces (with comments), and single other characters.
fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (kind, length) = match first {
            c if c.is_whitespace() => (Kind::Space, c.len_utf8()),
            '-' if rest.starts_with("--") => (Kind::Space, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => {
                (Kind::Space, rest.find("*/").map_or(rest.len(), |end| end + 2))
            }
            '\'' => (Kind::Text, quoted(rest, '\'')),
            '"' | '`' => (Kind::Other, quoted(rest, first)),
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                (Kind::Word, end.unwrap_or(rest.len()))
            }
            c => (Kind::Other, c.len_utf8()),
        };
        let (token, after) = rest.split_at(length);
        tokens.push((kind, token));
        rest = after;
    }
    tokens
}

/// The length of a quoted text at the start of `text`; a doubled quote does not end it.
fn quoted(text: &str, quote: char) -> usize {
    let mut inside = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = inside.next() {
        if c != quote {
            continue;
        }
        if inside.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

/// The SQL with the simulated time in place of SQLite's clock.
///
/// # Errors
/// In words: SQL that reaches outside the database or is not repeatable.
pub(super) fn confined(sql: &str, now: DateTime<Utc>) -> Result<String, String> {
    let tokens = tokens(sql);
    let stamp = format!("'{}'", now.format("%Y-%m-%d %H:%M:%S"));
    let mut out = String::with_capacity(sql.len() + 32);
    let mut closing: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some((kind, text)) = tokens.get(at).copied() {
        let word = if kind == Kind::Word { text.to_ascii_lowercase() } else { String::new() };
        let call = arguments(&tokens, at);
        match (word.as_str(), &call) {
            ("attach" | "detach" | "vacuum" | "pragma", _) => {
                return Err(format!("{word} is not possible in a simulated database"));
            }
            ("random" | "randomblob" | "load_extension", Some(_)) => {
                return Err(format!("{word}() is not possible in a simulated database"));
            }
            ("current_timestamp", _) => out.push_str(&stamp),
            ("current_date", _) => out.push_str(&format!("date({stamp})")),
            ("current_time", _) => out.push_str(&format!("time({stamp})")),
            ("now", Some(call)) if call.count == 0 => {
                out.push_str(&stamp);
                at = call.close;
            }
            ("date" | "time" | "datetime" | "julianday" | "unixepoch", Some(call))
                if call.count == 0 =>
            {
                out.push_str(&format!("{word}({stamp})"));
                at = call.close;
            }
            ("strftime", Some(call)) if call.count == 1 => {
                out.push_str(text);
                closing.push(call.close);
            }
            _ if kind == Kind::Text && text.eq_ignore_ascii_case("'now'") => out.push_str(&stamp),
            _ if closing.contains(&at) => out.push_str(&format!(", {stamp})")),
            _ => out.push_str(text),
        }
        at += 1;
    }
    Ok(out)
}

struct Arguments {
    count: usize,
    /// The position of the closing parenthesis.
    close: usize,
}

/// The arguments of the call whose name stands at `name`, if it is one.
fn arguments(tokens: &[Token<'_>], name: usize) -> Option<Arguments> {
    let mut inside = tokens.iter().enumerate().skip(name + 1).filter(|(_, t)| t.0 != Kind::Space);
    let (_, open) = inside.next()?;
    if open.1 != "(" {
        return None;
    }
    let (mut depth, mut commas, mut empty) = (1, 0, true);
    for (at, (_, text)) in inside {
        match *text {
            "(" => depth += 1,
            ")" => depth -= 1,
            "," if depth == 1 => commas += 1,
            _ => {}
        }
        if depth == 0 {
            return Some(Arguments { count: if empty { 0 } else { commas + 1 }, close: at });
        }
        empty = false;
    }
    None
}

/// SQL with white space folded, for comparing with canned answers.
pub(super) fn folded(sql: &str) -> String {
    let words: Vec<&str> = sql.trim().trim_end_matches(';').split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sql: &str) -> Result<String, String> {
        confined(sql, "2026-11-22T01:02:03Z".parse().unwrap())
    }

    #[test]
    fn the_clock_of_sqlite_is_replaced_by_the_simulated_time() {
        for (sql, expected) in [
            ("select CURRENT_TIMESTAMP", "select '2026-11-22 01:02:03'"),
            ("select now( )", "select '2026-11-22 01:02:03'"),
            ("select datetime()", "select datetime('2026-11-22 01:02:03')"),
            ("select date('now', '-1 day')", "select date('2026-11-22 01:02:03', '-1 day')"),
            ("select strftime('%s')", "select strftime('%s', '2026-11-22 01:02:03')"),
            ("select strftime('%s', x)", "select strftime('%s', x)"),
            ("select 'it''s now', \"now\" -- now()\n", "select 'it''s now', \"now\" -- now()\n"),
        ] {
            assert_eq!(at(sql).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn files_and_randomness_are_out_of_bounds() {
        for sql in ["ATTACH '/etc/passwd' as x", "vacuum into 'x'", "select random()", "pragma x"] {
            assert!(at(sql).unwrap_err().contains("not possible"), "{sql}");
        }
        assert!(at("select random from t").is_ok());
    }
}
