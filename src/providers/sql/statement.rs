//! What can be seen of a statement without a server. Pure.

use crate::outside::{DatabaseEngine, real};

/// How statements begin that change something. PostgreSQL refuses them in the read-only transaction of a query.
const CHANGING: [&str; 18] = [
    "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "CREATE", "ALTER", "DROP", "GRANT",
    "REVOKE", "COPY", "CALL", "DO", "VACUUM", "REINDEX", "COMMIT", "ROLLBACK", "BEGIN",
];

/// Why a text cannot be asked, if so: it is not one statement that reads.
pub(super) fn refused(sql: &str, engine: DatabaseEngine) -> Option<String> {
    let statements = statements(sql, engine);
    match statements.as_slice() {
        [] => return Some("holds no statement".to_owned()),
        [_] => {}
        several => return Some(format!("holds {} statements: one is asked", several.len())),
    }
    let first = statements.first().map(String::as_str).unwrap_or_default();
    let changes = match engine {
        DatabaseEngine::Mysql => !real::reads(sql),
        DatabaseEngine::Postgres => CHANGING.iter().any(|word| word.eq_ignore_ascii_case(first)),
    };
    changes.then(|| format!("begins with {first:?}: only statements that read are asked"))
}

/// The first word of each statement of a text. Strings, quoted names and comments are not looked into; where a server would
/// read them otherwise (settings that change what a backslash means), rather one statement too few is seen.
fn statements(sql: &str, engine: DatabaseEngine) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let (mut rest, mut is_new) = (sql, true);
    while let Some(character) = rest.chars().next() {
        if let Some(behind) = after_comment(rest, engine) {
            rest = behind;
            continue;
        }
        if character == ';' {
            is_new = true;
        } else if is_new && !character.is_whitespace() && character != '(' {
            let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
            found.push(if word.is_empty() { character.to_string() } else { word });
            is_new = false;
        }
        rest = after_quoted(rest, engine).unwrap_or(&rest[character.len_utf8()..]);
    }
    found
}

/// What is behind a comment that begins here. What MySQL runs as code (`/*! … */`) is none.
fn after_comment(text: &str, engine: DatabaseEngine) -> Option<&str> {
    let is_mysql = engine == DatabaseEngine::Mysql;
    if text.starts_with("--") || (is_mysql && text.starts_with('#')) {
        return Some(text.split_once('\n').map_or("", |(_, behind)| behind));
    }
    let runs = is_mysql && (text.starts_with("/*!") || text.starts_with("/*M!"));
    let inside = text.strip_prefix("/*").filter(|_| !runs)?;
    let (mut depth, mut rest) = (1_u32, inside);
    while depth > 0 {
        let end = rest.find("*/").unwrap_or(rest.len());
        match rest[..end].find("/*").filter(|_| !is_mysql) {
            Some(begin) => (depth, rest) = (depth + 1, &rest[begin + 2..]),
            None => (depth, rest) = (depth - 1, rest.get(end + 2..).unwrap_or_default()),
        }
    }
    Some(rest)
}

/// What is behind a string or a quoted name that begins here.
fn after_quoted(text: &str, engine: DatabaseEngine) -> Option<&str> {
    let is_mysql = engine == DatabaseEngine::Mysql;
    if !is_mysql && text.starts_with('$') {
        let (tag, behind) = text[1..].split_once('$')?;
        let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_');
        let end = format!("${tag}$");
        return is_tag.then(|| behind.split_once(&end).map_or("", |(_, behind)| behind));
    }
    // E'…' of PostgreSQL; in MySQL every string has escapes.
    let escaped = text.strip_prefix(['e', 'E']).filter(|rest| !is_mysql && rest.starts_with('\''));
    let quoted = escaped.unwrap_or(text);
    let quote = quoted.chars().next().filter(|c| matches!(c, '\'' | '"' | '`'))?;
    let has_escapes = escaped.is_some() || (is_mysql && quote != '`');
    let mut skip = false;
    for (at, character) in quoted.char_indices().skip(1) {
        if skip {
            skip = false;
        } else if character == '\\' && has_escapes {
            skip = true;
        } else if character == quote {
            // Two of them are one inside; taken for the end of one string and the begin of the next, they do no harm.
            return Some(&quoted[at + 1..]);
        }
    }
    Some("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use DatabaseEngine::{Mysql, Postgres};

    #[test]
    fn one_statement_that_reads_is_asked() {
        for sql in [
            "select 1",
            "select 1;",
            "select 1; -- the only one; really",
            "select ';' from a where b = 'it''s; so' and \"c;d\" = 1 /* ; /* ; */ ; */",
            "select $$;$$, $a$ ; $$ ; $a$, E'it\\'s; so', price$ from a where a = $1",
            "with x as (select 1) select * from x",
            "(select 1) union (select 2)",
            "-- delete\nselect 1",
        ] {
            assert_eq!(refused(sql, Postgres), None, "{sql}");
        }
        for sql in ["select 'it\\'s; so', `a;b` # ;\n", "check table ledger", "(SELECT \"a;b\")"] {
            assert_eq!(refused(sql, Mysql), None, "{sql}");
        }
    }

    #[test]
    fn what_is_not_one_statement_that_reads_is_refused() {
        for sql in ["", " ", ";", "-- select 1", "/* select 1 */"] {
            assert!(refused(sql, Postgres).unwrap().contains("no statement"), "{sql}");
        }
        for sql in ["select 1; drop table x", "select 1;select 2;", "select ''; select 'a'"] {
            assert!(refused(sql, Postgres).unwrap().contains("2 statements"), "{sql}");
        }
        assert!(refused("delete from x", Postgres).unwrap().contains("\"delete\""));
        for sql in ["delete from x", "call f()", "set x = 1", "/*!50000 call writes() */"] {
            assert!(refused(sql, Mysql).unwrap().contains("that read"), "{sql}");
        }
    }
}
