//! The further rungs of a check, as a person climbs them.

use crate::action::{ByHand, HandInput};
use serde_json::Value;

/// What the rungs add to the commands of a step.
#[derive(Default)]
pub(super) struct Rungs {
    pub(super) commands: Vec<String>,
    pub(super) expected: Vec<String>,
    pub(super) if_it_fails: Vec<String>,
}

impl Rungs {
    fn command(&mut self, command: impl Into<String>) {
        self.commands.push(command.into());
    }

    fn expect(&mut self, text: impl Into<String>) {
        self.expected.push(text.into());
    }
}

/// How every row of every table is counted, in one query.
const COUNT_POSTGRES: &str = "select table_schema || '.' || table_name, (xpath('/row/c/text()', query_to_xml(format('select \
     count(*) as c from %I.%I', table_schema, table_name), false, true, '')))[1] from information_schema.tables where \
     table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema') order by 1";

const COUNT_MYSQL: &str = "select concat('select ''', table_name, ''', count(*) from `', table_name, '`;') from \
     information_schema.tables where table_schema = database() and table_type in ('BASE TABLE', 'SYSTEM VERSIONED') order by table_name";

/// The sequences themselves: in `pg_sequences` the value is null for who may not read it, and as long as none was given out.
/// <https://www.postgresql.org/docs/current/view-pg-sequences.html>
const SEQUENCES: &str = "select schemaname || '.' || sequencename, (xpath('/row/last_value/text()', state))[1]::text || case \
     (xpath('/row/is_called/text()', state))[1]::text when 'true' then '' else ' (not given out yet)' end from pg_sequences cross \
     join lateral query_to_xml(format('select last_value, is_called from %I.%I', schemaname, sequencename), false, true, '') as \
     found(state) order by 1";

const INDEXES: &str = "select c.oid::regclass, bt_index_check(c.oid, true) from pg_class c join pg_am a on a.oid = c.relam \
     where a.amname = 'btree' and c.relkind = 'i' and c.relnamespace::regnamespace::text !~ '^pg_'";

pub(super) fn rungs(input: &HandInput, ask: &str, is_mysql: bool) -> Rungs {
    let mut rungs = Rungs::default();
    let word = HandInput::quote;
    if let Some(version) = input.value("version") {
        let sql = if is_mysql { "select version()" } else { "show server_version" };
        rungs.command(format!("{ask} {}", word(sql)));
        rungs.expect(format!("The version: {}.", shown(version)));
    }
    for (name, expected) in input.value("settings").and_then(Value::as_object).into_iter().flatten()
    {
        // Without what this shell asks for in its own sessions: the question is what the server gives others.
        rungs.command(match is_mysql {
            true => format!("{ask} {}", word(&format!("show global variables like '{name}'"))),
            false => format!("PGOPTIONS= {ask} {}", word(&format!("show {name}"))),
        });
        rungs.expect(format!("The setting {name}: {}.", shown(expected)));
    }
    let file = input.value("reference").and_then(Value::as_str).filter(|text| !text.is_empty());
    let file = file.filter(|text| text.ends_with(".json"));
    if input.value("schema").is_some() {
        let dump = dump_of(input, ask, is_mysql, "--no-data");
        match file {
            Some(file) => rungs.command(format!(
                "jq -r '.schema | to_entries[] | \"\\(.key): \\(.value)\"' {}    # what must be there, an object a line",
                word(file)
            )),
            None => {
                rungs.command(format!("{dump} > after.sql    # compare it with that of the source"));
            }
        }
        rungs.expect("Every object is defined as it was in the source.");
    }
    if input.value("rows").is_some() {
        let counted = match is_mysql {
            true => count_in_mysql(ask),
            false => format!("{ask} {}", word(COUNT_POSTGRES)),
        };
        rungs.command(format!("{counted}    # rows of each table"));
        let tolerance = input.value("rows").and_then(|rows| rows.get("tolerance")?.as_str());
        rungs.expect(format!("Each table has its rows, ± {}.", tolerance.unwrap_or("0%")));
    }
    checksums(input, &mut rungs, ask, is_mysql);
    rungs.if_it_fails.extend(earlier(input));
    point(input, &mut rungs, ask);
    soundness(input, &mut rungs, ask, is_mysql);
    rungs
}

/// What the last drill has taken down is there when nothing else is.
fn earlier(input: &HandInput) -> Option<String> {
    let place = crate::providers::earlier::by_hand(input, "reference")?;
    Some(format!(
        "If nothing was taken down by hand, {place} Objects, rows and checksums of ranges of keys are named there; what has changed \
         since that drill differs."
    ))
}

/// mysql writes the counting statements of all tables, and mysql runs them.
fn count_in_mysql(ask: &str) -> String {
    let sql = HandInput::quote(COUNT_MYSQL);
    format!("{ask} {sql} | {}", ask.trim_end_matches(" --execute"))
}

/// The program that dumps, with the connection that is asked; `what` is the option of mysqldump.
pub(super) fn dump_of(input: &HandInput, ask: &str, is_mysql: bool, what: &str) -> String {
    if !is_mysql {
        return "pg_dump --schema-only --no-owner".to_owned();
    }
    let connect = ask.split(" --database").next().unwrap_or_default();
    let connect = connect.trim_start_matches("mysql ");
    let database = input.word("database").unwrap_or_else(|| "mysql".to_owned());
    format!("mysqldump {connect} {what} {database}")
}

fn checksums(input: &HandInput, rungs: &mut Rungs, ask: &str, is_mysql: bool) {
    let sums = sums(input, ask, is_mysql, "after.sums");
    if sums.is_empty() {
        return;
    }
    rungs.commands.extend(sums);
    rungs.command("cat after.sums    # a table a line");
    let of_step = input.value("reference").and_then(Value::as_str);
    if of_step.is_some_and(|text| !text.ends_with(".json")) {
        rungs.command("diff before.sums after.sums    # no line, where they are the same");
        rungs.if_it_fails.push(
            "There is no before.sums: bring the file here that was written before the disaster. Without it no content is compared."
                .to_owned(),
        );
    }
    rungs.expect("Checksums are those of the source, where the rows had not changed any more.");
}

/// Commands that write a line with its checksum for each table. One of a table that was not read, or is empty, ends them: two of
/// those would be the same.
fn sums(input: &HandInput, ask: &str, is_mysql: bool, file: &str) -> Vec<String> {
    let Some(checksums) = input.value("checksums") else { return Vec::new() };
    let tables = checksums.get("tables").and_then(Value::as_array);
    let tables = tables.into_iter().flatten().filter_map(Value::as_str);
    let line = |table: &str| {
        if is_mysql {
            let sql = HandInput::quote(&format!("checksum table {table}"));
            return format!("{ask} {sql} >> {file}.new");
        }
        let only = checksums.get("only").and_then(|only| only.get(table)?.as_str());
        let only = only.map(|only| format!(" where {only}")).unwrap_or_default();
        let rows = format!("copy (select * from {table}{only} order by 1) to stdout");
        format!(
            "printf '%s ' {} >> {file}.new\n\
             {{ {ask} {} || : > {file}.failed; }} | sha256sum >> {file}.new    # in the order of its first column",
            HandInput::quote(table),
            HandInput::quote(&rows)
        )
    };
    let mut commands: Vec<_> = tables.map(line).collect();
    if commands.is_empty() {
        return commands;
    }
    commands.insert(0, format!("rm -f {file}.new {file}.failed"));
    let nothing = if is_mysql { "[[:space:]]NULL$" } else { " e3b0c44298fc1c14" };
    commands.push(format!(
        "[ ! -e {file}.failed ]\n\
         if grep -e '{nothing}' {file}.new; then echo 'UNKNOWN: that is the checksum of nothing' >&2; exit 1; fi\n\
         mv {file}.new {file}"
    ));
    commands
}

fn point(input: &HandInput, rungs: &mut Rungs, ask: &str) {
    let word = |path: &str| input.word(path);
    if let (Some(before), Some(after)) = (word("point_in_time.before"), word("point_in_time.after"))
    {
        rungs.command(format!("{ask} {before}    # rows from before the point: must not be 0"));
        rungs.command(format!("{ask} {after}    # rows from after the point: must be 0"));
        rungs.expect("Rows from before the point in time are there, and none from after it.");
    }
}

fn soundness(input: &HandInput, rungs: &mut Rungs, ask: &str, is_mysql: bool) {
    if input.value("sequences").and_then(Value::as_bool) == Some(true) && !is_mysql {
        let sequences = HandInput::quote(SEQUENCES);
        rungs.command(format!("{ask} {sequences}    # compare with max(…) of the columns"));
        rungs.expect("No sequence is behind its column.");
    }
    if input.value("inspect").is_none() {
        return;
    }
    if is_mysql {
        let check = "mysqlcheck --check --extended";
        let connect = ask.split(" --batch").next().unwrap_or_default();
        let connect = connect.trim_start_matches("mysql ").replace("--database=", "--databases ");
        rungs.command(format!("{check} {connect}    # each table must say OK"));
    } else {
        rungs.command(format!("{ask} {}    # no error", HandInput::quote(INDEXES)));
        rungs.if_it_fails.push(
            "The function bt_index_check does not exist: the extension amcheck is not in this database. Make a copy that \
             you may change, and create extension amcheck there."
                .to_owned(),
        );
    }
    rungs.expect("The server finds no damage.");
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Takes down by hand what a step of `sql.capture_reference` does.
pub(super) fn capture_reference(input: &HandInput) -> ByHand {
    let is_mysql = input.value("engine").and_then(Value::as_str) == Some("mysql");
    let (mut commands, ask) = super::by_hand::asking(input);
    let ask_for = |sql: &str| format!("{ask} {}", HandInput::quote(sql));
    // A failed dump must not take the place of one that was taken while the source was there.
    let keep =
        |command: String, file: &str| format!("{command} > {file}.new\nmv {file}.new {file}");
    commands.push(keep(dump_of(input, &ask, is_mysql, "--no-data"), "before.sql"));
    let mut files = vec!["before.sql"];
    if input.value("rows").is_some() {
        let sql = if is_mysql { COUNT_MYSQL } else { COUNT_POSTGRES };
        let counted = if is_mysql { count_in_mysql(&ask) } else { ask_for(sql) };
        commands.push(keep(counted, "before.rows"));
        files.push("before.rows");
    }
    let sums = sums(input, &ask, is_mysql, "before.sums");
    if !sums.is_empty() {
        commands.extend(sums);
        files.push("before.sums");
    }
    ByHand {
        commands: super::by_hand::alone(&commands),
        then: vec![format!(
            "Keep the files {} where the disaster cannot reach them, and bring them into the folder in which the shell of the \
             recovery is.",
            files.join(", ")
        )],
        expected: "Files that say how the database is built and what it holds.".to_owned(),
        verify: vec!["The exit status is 0, and none of the files is empty.".to_owned()],
        if_it_fails: vec![
            "The source cannot be reached any more: use what was taken down for the last drill, and say so.".to_owned(),
        ],
        ..ByHand::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::process::Command;

    fn input(step: &str) -> HandInput {
        let with = json!({
            "endpoint": "db", "credentials": { "password_from_env": "HOME", "user": "reader" },
            "reference": HandInput::variable_mark("baseline", "reference"),
            "checksums": { "tables": ["orders", "ledger"], "only": { "orders": "placed_on < '2026-11-01'" } },
        });
        HandInput::new(step, None, with, BTreeMap::new())
    }

    /// Runs the commands in a folder, with a psql that gives rows for `orders` and does `ledger` for the other.
    fn run(folder: &Path, hand: &ByHand, ledger: &str) -> String {
        let stubs = format!(
            "exec 2>&1\npg_dump() {{ echo schema; }}\n\
             psql() {{ case \"$*\" in *orders*) echo 1;; *ledger*) {ledger};; *) echo other;; esac; }}\n"
        );
        let script = format!("{stubs}{}", hand.commands.join("\n"));
        let ended = Command::new("sh").arg("-c").arg(script).current_dir(folder).output().unwrap();
        String::from_utf8(ended.stdout).unwrap()
    }

    #[test]
    fn regression_by_hand_checksums_are_taken_down_before_and_compared_with_after() {
        let folder = tempfile::tempdir().unwrap();
        let before = capture_reference(&input("baseline"));
        assert!(
            before.then[0].contains("files before.sql, before.sums where"),
            "{:?}",
            before.then
        );
        let after = super::super::by_hand::by_hand(&input("content"));
        assert!(run(folder.path(), &after, "echo 2").contains("exit status 2"), "no before.sums");
        let said = run(folder.path(), &before, "echo 2");
        assert!(said.ends_with("exit status 0\n"), "{said}");
        let kept = std::fs::read_to_string(folder.path().join("before.sums")).unwrap();
        assert!(kept.starts_with("orders ") && kept.contains("\nledger "), "{kept}");
        assert!(run(folder.path(), &after, "echo 2").ends_with("exit status 0\n"));
        let other = run(folder.path(), &after, "echo 3");
        assert!(other.contains("> ledger ") && other.ends_with("exit status 1\n"), "{other}");
        // A table that is empty or that is not read to its end proves nothing, before and after.
        for nothing in [":", "{ echo 2; false; }"] {
            for hand in [&before, &after] {
                let said = run(folder.path(), hand, nothing);
                assert!(said.ends_with("exit status 1\n"), "{nothing}: {said}");
            }
        }
        assert_eq!(std::fs::read_to_string(folder.path().join("before.sums")).unwrap(), kept);
    }
}
