use super::*;
use crate::scenario::testing::{GOOD, registry};
use proptest::prelude::*;

fn check(text: &str) -> Vec<Diagnostic> {
    load_text(Source::new("x.yaml", text), &registry()).diagnostics
}

/// What is found when one part of the good scenario is replaced: code, marked text, message and help.
fn changed(from: &str, to: &str) -> Vec<(&'static str, String, String)> {
    assert!(GOOD.contains(from), "{from:?} is not in the scenario");
    let text = GOOD.replacen(from, to, 1);
    check(&text)
        .into_iter()
        .map(|d| {
            let words = [Some(d.message), d.expected, d.help].into_iter().flatten();
            (d.code, text[d.span].to_owned(), words.collect::<Vec<_>>().join(" | "))
        })
        .collect()
}

/// Exactly one thing is found, at this place and with these words.
fn one(from: &str, to: &str, code: &str, marked: &str, words: &str) {
    let found = changed(from, to);
    let [(found_code, place, said)] = found.as_slice() else { panic!("{to}: {found:#?}") };
    assert_eq!((*found_code, place.as_str()), (code, marked), "{to}: {said}");
    assert!(said.contains(words), "{to}: {said}");
}

#[test]
fn a_good_scenario_has_no_diagnostics_and_can_be_read() {
    let loaded = load_text(Source::new("x.yaml", GOOD), &registry());
    assert_eq!(loaded.render(false), "");
    assert_eq!(loaded.scenario.unwrap().steps.len(), 6);
}

#[test]
fn mistakes_of_shape_are_found_at_their_place() {
    one("owner: payments-sre", "ownr: payments-sre", "RD003", "ownr", "did you mean owner?");
    one("tier: 1", "tier: high", "RD005", "high", "a whole number");
    one("target: 4h", "target: 4", "RD007", "4", "90s, 15m, 4h");
    one("target: 4h", "target: 4 hours", "RD007", "4 hours", "4 hours");
    one(
        "kind: region_loss",
        "kind: region_los",
        "RD006",
        "region_los",
        "did you mean region_loss?",
    );
    one("name: orders-db\n", "name: Orders\n", "RD008", "Orders", "matches");
    one("redrill: 1", "redrill: 2", "RD009", "2", "at most 1");
    one("redrill: 1", "redrill: 2", "RD009", "2", "reads version 1 of the language");
    one("\"111111111111\"", "111111111111", "RD005", "111111111111", "quote it");
    one("attempts: 2", "attempts: 0", "RD009", "0", "at least 1");
    one("measure: data", "measure: [data]", "RD005", "measure", "text");
    one("lost: [primary]", "lost: primary", "RD005", "primary", "a list");
    one("max_resources: 2", "max_resources:", "RD005", "max_resources", "empty");
}

#[test]
fn missing_keys_are_named_with_what_they_are_for() {
    one(
        "title: Orders database, restored in the DR region from its copied snapshot\n",
        "",
        "RD004",
        "redrill",
        "has no title",
    );
    one("    uses: db.capture\n", "", "RD004", "id", "has no uses");
    one(
        "    with: { instance: orders-db }\n",
        "",
        "RD222",
        "id",
        "db.capture needs inputs: instance",
    );
    one("instance: orders-db", "", "RD222", "with", "db.capture needs the input instance");
}

#[test]
fn inputs_of_actions_are_checked_by_action() {
    one(
        "{ instance: orders-db }",
        "{ instance: orders-db, depth: 3 }",
        "RD221",
        "depth",
        "db.capture has no input depth",
    );
    one("multi_az: true", "multi_az: maybe", "RD005", "maybe", "true or false");
    one("storage: gp3", "storage: gp4", "RD006", "gp4", "did you mean gp3?");
    one("schedule: 24h", "schedule: daily", "RD007", "daily", "a duration");
    one("size: \"{{vars.size}}\"", "size: 20 gigs", "RD007", "20 gigs", "a size");
    one("uses: db.find", "uses: db.fnd", "RD202", "db.fnd", "did you mean db.find?");
    one(
        "{ from_env: PASSWORD }",
        "{ from_evn: PASSWORD }",
        "RD003",
        "from_evn",
        "did you mean from_env?",
    );
    one("{ from_env: PASSWORD }", "hunter2", "RD011", "hunter2", "none of its forms");
}

#[test]
fn alternatives_are_named() {
    let ask = "{{sites.dr.region}}?\" }";
    let with = |approver: &str| format!("{{{{sites.dr.region}}}}?\", approver: {approver} }}");
    assert!(changed(ask, &with("{ team: sre }")).is_empty());
    one(ask, &with("{}"), "RD004", "approver", "one of: person, team");
    one(ask, &with("{ team: a, person: b }"), "RD011", "approver", "only one of: person, team");
}

#[test]
fn references_are_checked_before_anything_runs() {
    one(
        "{{steps.point.arn}}\"\n      class",
        "{{steps.pint.arn}}\"\n      class",
        "RD110",
        "steps.pint.arn",
        "did you mean point?",
    );
    one(
        "{{steps.restore.endpoint}}",
        "{{steps.restore.endpiont}}",
        "RD111",
        "steps.restore.endpiont",
        "did you mean endpoint?",
    );
    one("{{vars.class}}", "{{vars.clas}}", "RD112", "vars.clas", "did you mean class?");
    one("{{inputs.wait}}\"\n", "{{inputs.wiat}}\"\n", "RD113", "inputs.wiat", "did you mean wait?");
    one("{{sites.dr.region}}", "{{sites.dr.role}}", "RD114", "sites.dr.role", "region");
    one("{{run.id}}", "{{run.started}}", "RD114", "run.started", "run.id");
    one("{{run.id}}", "{{step.id}}", "RD103", "step.id", "did you mean steps?");
    one(
        "{{vars.class}}",
        "{{#if vars.class}}a{{/if}}",
        "RD101",
        "{{#if vars.class}}a{{/if}}",
        "not part of the language",
    );
    one(
        "owner: payments-sre",
        "owner: \"{{vars.class}}\"",
        "RD102",
        "{{vars.class}}",
        "no expression",
    );
    one(
        "name: orders }",
        "name: \"{{vars.class}}\" }",
        "RD103",
        "vars.class",
        "a variable cannot use",
    );
    one(
        "{{steps.restore.endpoint}}",
        "{{steps.restore}}",
        "RD111",
        "steps.restore",
        "a step, not a value",
    );
}

#[test]
fn phases_and_conditions_of_referenced_steps_are_checked() {
    one(
        "{ instance: orders-db }",
        "{ instance: \"{{steps.point.arn}}\" }",
        "RD116",
        "steps.point.arn",
        "phase prepare",
    );
    let when = "    uses: db.find\n    when: \"{{inputs.deep}}\"\n";
    let found = changed("    uses: db.find\n", when);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found
            .iter()
            .all(|(code, place, _)| (*code, place.as_str()) == ("RD115", "steps.point.arn"))
    );
}

#[test]
fn values_must_fit_where_they_are_used() {
    one(
        "{{steps.config.port}}\"\n",
        "{{steps.point.arn}}\"\n",
        "RD117",
        "steps.point.arn",
        "a whole number",
    );
    one("{{inputs.wait}}\"\n", "{{inputs.suffix}}\"\n", "RD117", "inputs.suffix", "a duration");
    one(
        "port: \"{{steps.config.port}}\"\n",
        "port: \"1{{steps.config.port}}\"\n",
        "RD117",
        "1{{steps.config.port}}",
        "a whole number",
    );
    one(
        "multi_az: true",
        "multi_az: \"{{lower inputs.suffix}}\"",
        "RD117",
        "{{lower inputs.suffix}}",
        "true or false",
    );
    one("\"{{vars.name}}-", "\"{{steps.config.tags}}-", "RD118", "steps.config.tags", "a mapping");
    one(
        "when: \"{{inputs.deep}}\"",
        "when: \"{{inputs.suffix}}\"",
        "RD117",
        "inputs.suffix",
        "true or false",
    );
    one("when: \"{{inputs.deep}}\"", "when: yes", "RD117", "yes", "true or false");
    let found = changed("groups: [sg-drill]", "groups: sg-drill");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].2.contains("in mode drill") && found[0].0 == "RD117");
}

#[test]
fn modes_and_inputs_agree_with_their_declarations() {
    one("size: 40 GiB, ", "", "RD501", "size", "mode recovery has no variable size");
    one("default: false", "default: no", "RD502", "no", "true or false");
    one("default: 20m", "default: 20", "RD502", "20", "a duration");
}

#[test]
fn steps_are_checked_one_by_one() {
    one("- id: deeper", "- id: data", "RD201", "data", "already");
    one(
        "    at: dr\n    uses: db.find",
        "    at: rd\n    uses: db.find",
        "RD203",
        "rd",
        "did you mean dr?",
    );
    one("    at: dr\n    uses: db.find", "    uses: db.find", "RD204", "point", "primary, dr");
    one(
        "    gate: acceptance\n",
        "    gate: acceptance\n    at: dr\n",
        "RD205",
        "dr",
        "remove at:",
    );
    one("needs: [ask]", "needs: [aks]", "RD206", "aks", "did you mean ask?");
    one(
        "with: { question: \"Restore {{steps.point.arn}}",
        "needs: [restore]\n    with: { question: \"Restore",
        "RD207",
        "restore",
        "ask → restore → ask",
    );
    one(
        "    needs: [ask]\n",
        "    needs: [ask]\n    gate: assurance\n",
        "RD208",
        "assurance",
        "phase: verify",
    );
    one(
        "    gate: acceptance\n",
        "    gate: acceptance\n    required: false\n",
        "RD209",
        "false",
        "not required",
    );
    one(
        "    at: dr\n    uses: db.find",
        "    at: primary\n    uses: db.find",
        "RD210",
        "primary",
        "lost by then",
    );
    one(
        "orders/readonly, at: dr",
        "orders/readonly, at: primary",
        "RD211",
        "primary",
        "lost by then",
    );
    one("timeout: 3h", "timeout: 7h", "RD212", "7h", "raise guard.max_duration");
}

#[test]
fn expectations_can_be_judged() {
    one("key_usable: true", "key_usble: true", "RD301", "key_usble", "did you mean key_usable?");
    one("\"<= 26h\"", "\"<= 26\"", "RD302", "\"<= 26\"", "write a number and a unit");
    one(
        "\"<= {{inputs.wait}}\"",
        "\"< {{inputs.suffix}}\"",
        "RD302",
        "\"< {{inputs.suffix}}\"",
        "in mode drill",
    );
    one(
        "key_usable: true",
        "key_usable: true, average: \"> 1\"",
        "RD303",
        "average",
        "over how many",
    );
}

#[test]
fn what_is_expected_is_known_before_the_run() {
    one(
        "\"<= {{inputs.wait}}\"",
        "\"<= {{steps.config.port}}\"",
        "RD103",
        "steps.config.port",
        "cannot use",
    );
}

#[test]
fn objectives_can_be_measured() {
    one("    gate: acceptance\n", "", "RD401", "rto", "gate: acceptance");
    one(
        "      watermark: select max(committed_at) from heartbeat\n",
        "",
        "RD402",
        "rpo",
        "sql.check with watermark",
    );
    one("proven_by: [data]", "proven_by: [dta]", "RD403", "dta", "did you mean data?");
    one("schedule: 24h", "schedule: 27h", "RD405", "27h", "26h");
    assert!(
        changed(
            "rpo: { target: 26h, authority: \"BIA-2026-014 §3\", measure: data }",
            "rpo: { target: 26h, measure: backup }"
        )
        .is_empty()
    );
}

#[test]
fn the_guard_is_kept() {
    one("write: [dr]", "write: []", "RD601", "dr", "add dr to guard.write");
    one("max_resources: 2", "max_resources: 0", "RD602", "0", "make 1 resources");
    one("lost: [primary]", "lost: [primry]", "RD603", "primry", "did you mean primary?");
    one("write: [dr]", "write: [dr, rd]", "RD605", "rd", "did you mean dr?");
    let all = changed("lost: [primary]", "lost: [primary, dr]");
    assert!(all.iter().any(|(code, ..)| *code == "RD604"), "{all:?}");
}

#[test]
fn an_objective_is_missed_only_as_a_warning() {
    let start = GOOD.find("objectives:\n").unwrap();
    let end = GOOD.find("data: { class").unwrap();
    let text = format!("{}objectives: {{}}\n{}", &GOOD[..start], &GOOD[end..]);
    let loaded = load_text(Source::new("x.yaml", text), &registry());
    assert_eq!(loaded.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), ["RD404"]);
    assert!(!loaded.has_errors() && loaded.scenario.is_some());
}

#[test]
fn every_error_is_reported_in_one_go_and_by_place() {
    let text = GOOD
        .replacen("tier: 1", "teir: 1", 1)
        .replacen("uses: db.find", "uses: db.fnd", 1)
        .replacen("{{vars.class}}", "{{vars.clas}}", 1)
        .replacen("needs: [ask]", "needs: [aks]", 1)
        .replacen("timeout: 3h", "timeout: soon", 1);
    let found = check(&text);
    let codes: Vec<_> = found.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["RD003", "RD202", "RD007", "RD206", "RD112"]);
    assert!(found.is_sorted_by_key(|d| (d.line, d.column)));
}

#[test]
fn places_inside_folded_and_quoted_text_are_exact() {
    let text = GOOD.replacen(
        "question: \"Restore {{steps.point.arn}} in {{sites.dr.region}}?\" }",
        "question: \"a \\\"b\\\" \\u00e4 {{vars.class}}\n        and {{vars.nope}}\" }",
        1,
    );
    let found = check(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(&text[found[0].span.clone()], "vars.nope");
    let text = GOOD.replacen(
        "watermark: select max(committed_at) from heartbeat",
        "watermark: >\n        select {{vars.class}}\n        from {{vars.nope}}",
        1,
    );
    let found = check(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(&text[found[0].span.clone()], "vars.nope");
}

#[test]
fn a_diagnostic_is_drawn_with_line_mark_and_help() {
    let text = GOOD.replacen("tier: 1", "teir: 1", 1);
    let loaded = load_text(Source::new("orders.yaml", text), &registry());
    let drawn = loaded.render(false);
    for part in [
        "error[RD003]: unknown key teir",
        "orders.yaml:7:1",
        "teir: 1",
        "^^^^",
        "did you mean tier?",
        "1 error, 0 warnings",
    ] {
        assert!(drawn.contains(part), "{part}\n{drawn}");
    }
    let json = serde_json::to_value(&loaded.diagnostics[0]).unwrap();
    assert_eq!(
        (&json["code"], &json["line"], &json["severity"]),
        (&"RD003".into(), &7.into(), &"error".into())
    );
}

/// One change to a text: characters removed at a place, and something put there.
fn mutation() -> impl Strategy<Value = (usize, usize, String)> {
    let piece = prop_oneof![
        "[ \n:{}\\[\\]\"'#|>&*!%@,a-z0-9.-]{0,12}",
        Just("{{steps.point.arn}}".to_owned()),
        Just("\"{{vars.class}}\"".to_owned()),
        Just("null".to_owned()),
        Just("\n  - ".to_owned()),
        Just("é\u{feff}".to_owned()),
    ];
    (0..GOOD.len(), 0..40usize, piece)
}

const DATA: &str = "  - id: data\n";
const GUARD: &str = "max_resources: 2 }";
const ASK: &str = "{{sites.dr.region}}?\" }";

/// The good scenario with a step `switch` of this effect.
fn with_effect(effect: &str, needs: &str, guard: &str, second_person: bool) -> String {
    let step = format!(
        "  - id: switch\n    uses: exec.run\n    with: {{ effect: {effect} }}\n    needs: [{needs}]\n{DATA}"
    );
    let guard = format!("max_resources: 2{guard} }}");
    let ask = format!("{{{{sites.dr.region}}}}?\", second_person: {second_person} }}");
    assert!([DATA, GUARD, ASK].iter().all(|part| GOOD.contains(part)));
    GOOD.replacen(DATA, &step, 1).replacen(GUARD, &guard, 1).replacen(ASK, &ask, 1)
}

fn codes_and_help(text: &str) -> Vec<(&'static str, String)> {
    let found = check(text);
    found
        .into_iter()
        .map(|d| (d.code, [d.message, d.help.unwrap_or_default()].join(" | ")))
        .collect()
}

#[test]
fn an_external_effect_is_named_by_the_guard_and_approved_by_a_second_person() {
    let named = ", external: [switch]";
    assert_eq!(codes_and_help(&with_effect("external", "ask", named, true)), []);
    // Through another step: restore needs ask.
    assert_eq!(codes_and_help(&with_effect("external", "restore", named, true)), []);
    assert_eq!(codes_and_help(&with_effect("none", "", "", false)), []);
    for (effect, needs, guard, second_person, code, words) in [
        (
            "external",
            "ask",
            "",
            true,
            "RD606",
            "guard.external does not name switch | if it may, add switch",
        ),
        ("external", "ask", named, false, "RD607", "second_person: true"),
        ("external", "config", named, true, "RD607", "switch needs no approval of a second person"),
        (
            "none",
            "ask",
            named,
            true,
            "RD608",
            "switch is no step with effect: external | remove it",
        ),
        ("external", "ask", ", external: [switch, swich]", true, "RD608", "did you mean switch?"),
        ("\"{{inputs.suffix}}\"", "ask", "", true, "RD609", "write none, own or external"),
    ] {
        let text = with_effect(effect, needs, guard, second_person);
        let found = codes_and_help(&text);
        assert_eq!(found[0].0, code, "{found:?}");
        assert!(found[0].1.contains(words), "{found:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn no_text_makes_the_checker_panic_and_what_passes_can_be_planned(
        mutations in proptest::collection::vec(mutation(), 1..4),
    ) {
        let mut text = GOOD.to_owned();
        for (at, removed, piece) in mutations {
            let start = text.floor_char_boundary(at.min(text.len()));
            let end = text.floor_char_boundary((start + removed).min(text.len()));
            text.replace_range(start..end.max(start), &piece);
        }
        let loaded = load_text(Source::new("x.yaml", text), &registry());
        let _ = loaded.render(true);
        prop_assert_eq!(loaded.scenario.is_none(), loaded.has_errors());
        if let Some(scenario) = loaded.scenario {
            for mode in [crate::plan::RunMode::Drill, crate::plan::RunMode::Recovery] {
                let options = crate::plan::Options { mode, ..Default::default() };
                let digest = loaded.source.digest();
                if let Err(error) = crate::plan::compile(&scenario, digest, &registry(), options) {
                    // What is given on the command line is not part of the scenario.
                    prop_assert!(error.to_string().contains("RD701"), "{}\n{}", error, loaded.source.text);
                }
            }
        }
    }
}

/// The good scenario with a watch before the last step, and something changed in it.
fn watched(from: &str, to: &str) -> Vec<(&'static str, String)> {
    let watch = "  - id: light\n    uses: sql.check\n    watch: 1m\n    \
                 with: { endpoint: orders.example, credentials: { from_env: PASSWORD } }\n    \
                 expect: { rows: \">= 1\" }\n  - id: deeper\n";
    let text = GOOD.replacen("  - id: deeper\n", watch, 1);
    assert!(text.contains(from), "{from:?} is not in the scenario");
    let text = text.replacen(from, to, 1);
    check(&text).into_iter().map(|d| (d.code, text[d.span].to_owned())).collect()
}

#[test]
fn a_watch_only_looks_at_something_that_can_turn_red_and_nothing_waits_for_it() {
    assert_eq!(watched("1m", "30s"), []);
    assert_eq!(watched("    expect: { rows: \">= 1\" }\n", ""), [("RD214", "1m".to_owned())]);
    let needed = watched("needs: [ask]", "needs: [ask, light]");
    assert!(needed.contains(&("RD215", "light".to_owned())), "{needed:?}");
    let used =
        watched("endpoint: \"{{steps.restore.endpoint}}\"", "endpoint: \"{{steps.light.rows}}\"");
    assert!(used.iter().any(|(code, _)| *code == "RD215"), "{used:?}");
    let gate = watched("    watch: 1m\n", "    watch: 1m\n    gate: assurance\n");
    assert_eq!(gate, [("RD208", "assurance".to_owned())]);
    let changing = watched("    timeout: 3h\n", "    watch: 3m\n");
    assert!(changing.contains(&("RD213", "3m".to_owned())), "{changing:?}");
    let lost = watched(
        "    at: primary\n    uses: db.capture\n",
        "    at: primary\n    uses: db.capture\n    watch: 3m\n    expect: { port: 5432 }\n",
    );
    assert!(lost.contains(&("RD210", "primary".to_owned())), "{lost:?}");
}

#[test]
fn regression_a_canary_is_made_at_both_of_its_sites() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/uploads-replication.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let codes = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let source = Source::new("x.yaml", text.replacen(from, to, 1));
        let found = load_text(source, &crate::providers::registry()).diagnostics;
        found.iter().filter(|d| d.is_error()).map(|d| d.code).collect::<Vec<_>>()
    };
    assert!(codes("redrill: 1", "redrill: 1").is_empty());
    assert_eq!(codes("write: [primary, dr]", "write: [primary]"), ["RD601"]);
    assert_eq!(codes("max_resources: 2", "max_resources: 1"), ["RD602"]);
}

#[test]
fn regression_a_part_that_a_variable_does_not_have_is_found_at_its_place() {
    let class = "class: \"{{vars.class}}\"";
    let words = "in mode drill, vars.class has no family";
    one(class, "class: \"{{vars.class.family}}\"", "RD117", "vars.class.family", words);
    one(class, "class: \"x-{{vars.groups}}\"", "RD117", "{{vars.groups}}", "a list cannot");
    one(class, "class: \"{{not vars.class}}\"", "RD117", "{{not vars.class}}", "true or false");
    let when = "{{inputs.deep}}";
    one(when, "{{not vars.class}}", "RD117", "{{not vars.class}}", "not true or false");
    let name = "\"drill-{{inputs.suffix}}\"";
    one(
        name,
        "\"drill-{{not inputs.suffix}}\"",
        "RD117",
        "{{not inputs.suffix}}",
        "not true or false",
    );
}

#[test]
fn regression_a_lost_site_is_found_behind_an_expression() {
    let secret = "{ secret: orders/readonly, at: dr }";
    let by_expression =
        |site: &str| format!("{{ secret: orders/readonly, at: '{{{{str \"{site}\"}}}}' }}");
    one(secret, &by_expression("primary"), "RD211", "{{str \"primary\"}}", "lost by then");
    one(secret, &by_expression("drr"), "RD203", "{{str \"drr\"}}", "did you mean dr?");
    assert!(changed(secret, &by_expression("dr")).is_empty());
}

#[test]
fn regression_no_time_at_all_is_no_limit() {
    one("timeout: 3h", "timeout: 0s", "RD009", "0s", "at least 1s");
}

#[test]
fn regression_what_ran_before_the_disaster_proves_no_recovery() {
    one("proven_by: [data]", "proven_by: [config]", "RD403", "config", "before the disaster");
    one("proven_by: [data]", "proven_by: []", "RD009", "proven_by", "at least 1");
    let found = changed("phase: verify\n    gate: acceptance", "phase: prepare");
    assert!(found.iter().any(|(code, ..)| *code == "RD402"), "{found:?}");
}

#[test]
fn regression_positions_are_the_same_whatever_ends_the_lines() {
    let wrong = GOOD.replacen("{{vars.class}}", "{{vars.clas}}", 1);
    let plain = check(&wrong);
    let place = |found: &[Diagnostic]| {
        found.iter().map(|d| (d.code, d.line, d.column, d.length)).collect::<Vec<_>>()
    };
    assert_eq!(place(&plain).len(), 1);
    assert_eq!(place(&check(&wrong.replace('\n', "\r\n"))), place(&plain));
    let marked = format!("\u{feff}{wrong}");
    let found = check(&marked);
    assert_eq!(&marked[found[0].span.clone()], "vars.clas");
}
