//! Inputs that cannot work are found by `redrill check`, at their place, and not on the day.

use redrill::scenario::{Diagnostic, Source, load_text};

const HEAD: &str = "\
redrill: 1
name: one
title: t
owner: o
disaster: { kind: region_loss, lost: [primary] }
sites: { primary: { region: ap-northeast-1 }, dr: { region: ap-northeast-3 } }
objectives: { rto: { target: 1h } }
guard: { write: [dr, primary], canaries: [uploads/canary/] }
";

/// What is found in a scenario with a gate and one step more, which is written as the inside of a flow mapping.
fn found(step: &str) -> Vec<Diagnostic> {
    let gate = "{ id: g, uses: http.check, gate: acceptance, with: { url: \"http://x/\" } }";
    let text = format!("{HEAD}steps:\n  - {gate}\n  - {{ id: x, required: false, {step} }}\n");
    load_text(Source::new("one.yaml", text), &redrill::providers::registry()).diagnostics
}

/// Exactly one thing is found: of this code, where this text stands first in the step, with these words.
#[track_caller]
fn one(step: &str, code: &str, place: &str, words: &str) {
    let found = found(step);
    let [only] = found.as_slice() else { panic!("{step}: {found:#?}") };
    let said = [Some(&only.message), only.expected.as_ref(), only.help.as_ref()];
    let said = said.into_iter().flatten().cloned().collect::<Vec<_>>().join(" | ");
    assert_eq!(only.code, code, "{step}: {said}");
    assert!(said.contains(words), "{step}: {said}");
    let line = format!("  - {{ id: x, required: false, {step} }}");
    let column = line.find(place).map(|at| line[..at].chars().count() + 1);
    assert_eq!((only.line, Some(only.column)), (11, column), "{step}: {said}");
}

#[track_caller]
fn sound(step: &str) {
    let found = found(step);
    assert!(found.is_empty(), "{step}: {found:#?}");
}

#[test]
fn regression_a_pattern_that_everything_matches_is_found() {
    for pattern in ["''", "'.*'", "'x*'", "'(a|)'"] {
        let http =
            format!("uses: http.check, with: {{ url: 'http://x', body_matches: {pattern} }}");
        one(&http, "RD223", pattern, "would check nothing");
        let exec = format!(
            "uses: exec.run, with: {{ argv: [a], effect: none, stdout_matches: {pattern} }}"
        );
        one(&exec, "RD223", pattern, "would check nothing");
        let of = format!(
            "uses: rds.find_snapshot, at: dr, with: {{ of: a }}, expect: {{ arn: '~ {} }}",
            &pattern[1..]
        );
        one(&of, "RD302", "'~", "would check nothing");
    }
    sound("uses: http.check, with: { url: 'http://x', body_matches: 'ok' }");
}

#[test]
fn regression_wrong_inputs_of_http_check_are_found() {
    let http = |input: &str| format!("uses: http.check, with: {{ {input} }}");
    one(&http("url: 'not a url'"), "RD223", "'not a url'", "not an address");
    one(&http("url: 'ftp://x'"), "RD223", "'ftp://x'", "only http and https");
    one(&http("url: 'http://u:p@x/'"), "RD223", "'http://u:p", "must not stand in the address");
    one(&http("url: 'http://x', method: HEAD, body_matches: x"), "RD223", "x }", "use GET");
    one(&http("url: 'http://x', body_matches: '(['"), "RD223", "'(['", "not a pattern");
    one(&http("url: 'http://x', expect_status: 999"), "RD223", "999", "100 to 599");
    let long = "uses: http.check, timeout: 1m, with: { url: 'http://x', within: 1h }";
    one(long, "RD223", "1h", "the step ends after 1m");
    sound("uses: http.check, timeout: 2h, with: { url: 'http://x', within: 1h }");
    // What comes from an earlier step is known only on the day.
    sound("uses: http.check, with: { url: '{{str steps.g.status}}' }");
}

#[test]
fn regression_wrong_inputs_of_sql_check_are_found() {
    let sql =
        |input: &str| format!("uses: sql.check, with: {{ endpoint: h, database: d, {input} }}");
    let user = "credentials: { password_from_env: X, user: u }";
    let queries = |queries: &str| sql(&format!("{user}, queries: [{queries}]"));
    one(&queries("{name: a, sql: select 1, expect: '<= '}"), "RD223", "'<= '", "no order");
    let twice =
        "{name: a, sql: select n from x, expect: 1}, {sql: select m from x, expect: 2, name: 'a'}";
    one(&queries(twice), "RD223", "'a'", "stands twice");
    one(&queries("{name: a, sql: '', expect: 1}"), "RD223", "''", "no statement");
    let several = "{name: a, sql: 'select n from x; drop table x', expect: 1}";
    one(&queries(several), "RD223", "'select n from x; drop", "2 statements");
    let nowhere = "{name: a, sql: 'select 1', expect: 1}";
    one(&queries(nowhere), "RD223", "'select 1'", "add population:");
    let change = "{name: a, sql: 'delete from x', expect: 1}";
    one(&queries(change), "RD223", "'delete", "statements that read");
    let mysql = sql(&format!("{user}, engine: mysql, queries: [{change}]"));
    one(&mysql, "RD223", "'delete", "statements that read");
    one(&sql(&format!("{user}, watermark: ' '")), "RD223", "' '", "no statement");
    one(&sql(&format!("{user}, connect: nohostport")), "RD223", "nohostport", "127.0.0.1:5433");
    one(&sql("credentials: { secret: s }"), "RD223", "s }", "add at:");
    one(&sql("credentials: { password_from_env: X }"), "RD223", "credentials", "no user");
    let counts = "{name: a, sql: select ';' from b, expect: '>= 1', population: select 1}";
    one(&queries(counts), "RD223", "select 1", "an outer join");
    sound(&queries(&counts.replace("select 1}", "select count(*) from b}")));
    let newest = format!("{user}, watermark: 'select coalesce(max(a), now()) from b'");
    one(&sql(&newest), "RD223", "'select coalesce", "select max(committed_at)");
    let sides =
        format!("{user}, point_in_time: {{ before: select count(*) from b, after: 'select 0' }}");
    one(&sql(&sides), "RD223", "'select 0'", "count rows of a table");
    one(&sql(&format!("{user}, version: '~ .*'")), "RD223", "'~ .*'", "empty text");
    one(&sql(&format!("{user}, settings: {{ a.b: '~ .*' }}")), "RD223", "'~ .*'", "empty text");
    sound(&sql("credentials: { secret: s, at: dr }"));
    sound(
        "uses: sql.check, at: dr, with: { endpoint: h, database: d, credentials: { secret: s } }",
    );
}

#[test]
fn regression_wrong_inputs_of_other_actions_are_found() {
    let object = "uses: etcd.verify_snapshot, with: { object: { bucket: b, key: k } }";
    one(object, "RD223", "object", "add at:");
    one("uses: ebs.find_snapshot, at: dr, with: {}", "RD223", "with", "give volume: or tags:");
    let find = |input: &str| format!("uses: rds.find_snapshot, at: dr, with: {{ {input} }}");
    one(&find("of: ''"), "RD223", "''", "of is empty");
    one(&find("of: a, schedule: 0s"), "RD223", "0s", "more than 0s");
    one("uses: control.approve, with: { ask: '' }", "RD223", "''", "ask is empty");
    let late = "uses: control.approve, timeout: 1m, with: { ask: q, within: 1h }";
    one(late, "RD223", "1h", "the step ends after 1m");
    let usual = "uses: control.approve, timeout: 10m, with: { ask: q }";
    one(usual, "RD223", "with", "within is 30m where it is not given");
    let own = "uses: exec.run, at: dr, with: { argv: [a], effect: own, find: [b], undo: [] }";
    one(own, "RD223", "undo", "a program is needed");
    let tags = "with: { snapshot: a, class: b, tags: { 'redrill:run': zz } }";
    one(&format!("uses: rds.restore_snapshot, at: dr, {tags}"), "RD223", "zz", "is reserved");
    let volume = |more: &str| {
        format!(
            "uses: ebs.restore_volume, at: dr, with: {{ snapshot: a, availability_zone: b, {more} }}"
        )
    };
    one(&volume("size: 1500 MiB"), "RD223", "1500 MiB", "size: 20 GiB");
    one(&volume("volume_type: floppy"), "RD223", "floppy", "gp3");
    sound(&volume("volume_type: io2, size: 20 GiB, tags: { team: sre }"));
}

#[test]
fn regression_a_canary_outside_of_the_guard_is_found() {
    let canary = |source: &str, replica: &str| {
        format!(
            "uses: s3.replicate_canary, at: primary, \
             with: {{ source: {source}, replica: {replica}, replica_at: dr, prefix: canary/ }}"
        )
    };
    one(&canary("uploads", "backups"), "RD223", "backups", "add backups/canary/ to guard.canaries");
    sound(&canary("uploads", "uploads"));
}

#[test]
fn regression_what_can_never_be_expected_of_a_list_is_found() {
    let config = "uses: rds.capture_config, phase: prepare, at: primary, with: { instance: a }";
    one(&format!("{config}, expect: {{ tags: '!= x' }}"), "RD302", "'!= x'", "a list or a mapping");
    sound(&format!("{config}, expect: {{ tags: '~ team' }}"));
}

/// What is found of a scenario with an RPO of an hour and one step that finds a snapshot.
fn of_an_hour(step: &str) -> Vec<(&'static str, String)> {
    let head = HEAD.replace("rto: { target: 1h }", "rpo: { target: 1h, measure: backup }");
    let text = format!("{head}steps:\n  - {{ id: x, uses: rds.find_snapshot, at: dr, {step} }}\n");
    let loaded = load_text(Source::new("one.yaml", text), &redrill::providers::registry());
    loaded.diagnostics.into_iter().map(|found| (found.code, found.message)).collect()
}

#[test]
fn regression_a_default_schedule_that_cannot_meet_the_rpo_is_found() {
    let found = of_an_hour("with: { of: a }");
    let [(code, message)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(*code, "RD405");
    assert!(message.contains("every 1d") && message.contains("by default"), "{message}");
    assert_eq!(of_an_hour("with: { of: a, schedule: 1h }"), []);
}

#[test]
fn regression_an_expectation_that_is_looser_than_the_rpo_is_found() {
    for looser in [
        "with: { of: a, schedule: 1h }, expect: { worst_gap: '<= 26h' }",
        "with: { of: a, schedule: 1h }, expect: { age: '0s..26h' }",
        "with: { of: a, schedule: 1h, max_age: 26h }",
    ] {
        let found = of_an_hour(looser);
        let [(code, message)] = found.as_slice() else { panic!("{looser}: {found:?}") };
        assert_eq!(*code, "RD407", "{looser}");
        assert!(message.contains("may be 1d 2h, the RPO is 1h"), "{message}");
    }
    assert_eq!(of_an_hour("with: { of: a, schedule: 1h }, expect: { worst_gap: '<= 1h' }"), []);
}

#[test]
fn regression_an_rto_of_no_time_is_found() {
    let head = HEAD.replace("target: 1h", "target: 0s");
    let gate = "{ id: g, uses: http.check, gate: acceptance, with: { url: \"http://x/\" } }";
    let text = format!("{head}steps:\n  - {gate}\n");
    let found = load_text(Source::new("one.yaml", text), &redrill::providers::registry());
    let [only] = found.diagnostics.as_slice() else { panic!("{:#?}", found.diagnostics) };
    assert_eq!((only.code, only.line), ("RD009", 7));
}
