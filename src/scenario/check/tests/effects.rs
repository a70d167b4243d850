use super::*;

#[test]
fn the_guard_is_kept() {
    one("write: [dr]", "write: []", "RD601", "dr", "add dr to guard.write");
    one("max_resources: 2", "max_resources: 0", "RD602", "0", "make 1 resources");
    one("lost: [primary]", "lost: [primry]", "RD603", "primry", "did you mean primary?");
    one("write: [dr]", "write: [dr, rd]", "RD605", "rd", "did you mean dr?");
    one("ttl: 12h", "ttl: 5h", "RD611", "ttl", "write ttl: 6h");
    let all = changed("lost: [primary]", "lost: []");
    assert!(all.iter().any(|(code, ..)| *code == "RD610"), "{all:?}");
    let all = changed("lost: [primary]", "lost: [primary, dr]");
    assert!(all.iter().any(|(code, ..)| *code == "RD604"), "{all:?}");
}

const DATA: &str = "  - id: data\n";
const GUARD: &str = "max_resources: 2 }";
const ASK: &str = "{{sites.dr.region}}?\" }";

/// The good scenario with a step `switch` of this effect.
fn with_effect(effect: &str, needs: &str, guard: &str, second_person: bool) -> String {
    let step = format!(
        "  - id: switch\n    uses: exec.run\n    required: false\n    with: {{ effect: {effect} }}\n    needs: [{needs}]\n{DATA}"
    );
    let guard = format!("max_resources: 2{guard} }}");
    let ask = format!(
        "{{{{sites.dr.region}}}}?\", second_person: {second_person}, signed_by: approvers }}"
    );
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

#[test]
fn regression_an_external_effect_behind_a_typed_name_is_warned_of() {
    let text = with_effect("external", "ask", ", external: [switch]", true);
    let by_name = text.replacen(", signed_by: approvers", "", 1);
    assert!(by_name != text);
    let found = check(&by_name);
    assert!(!found.iter().any(Diagnostic::is_error), "{found:?}");
    let found = codes_and_help(&by_name);
    assert_eq!(found.len(), 1, "{found:?}");
    let said = "that a second person approves switch is a typed name, and no proof | add signed_by or identified_by to ask";
    assert_eq!(found[0], ("RD612", said.to_owned()));
}

#[test]
fn regression_who_approves_what_cannot_be_undone_is_not_chosen_on_the_command_line() {
    let text = with_effect("external", "ask", ", external: [switch]", true);
    let found = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        codes_and_help(&changed)
    };
    for signers in ["\"{{inputs.suffix}}\"", "\"signers/{{inputs.suffix}}\""] {
        let found = found("signed_by: approvers", &format!("signed_by: {signers}"));
        assert_eq!(found.len(), 1, "{found:?}");
        let said = "who approves switch is an expression in ask | write them out: whoever starts the run chooses what an expression says";
        assert_eq!(found[0], ("RD609", said.to_owned()));
    }
    let asked = found("second_person: true", "second_person: \"{{inputs.deep}}\"");
    assert!(asked.iter().any(|(code, _)| *code == "RD607"), "{asked:?}");
}

/// A scenario that switches once somebody has approved.
const SWITCH: &str = "\
redrill: 1
name: switch
title: Traffic goes to the other region
owner: tests
disaster: { kind: corruption }
objectives: {}
guard: { external: [switch] }
inputs: { who: { type: text, default: approvers } }
sites: { dr: { account: \"222222222222\", region: ap-northeast-3 } }
steps:
  - { id: ask, uses: control.approve, with: { ask: Go on?, within: 5m, second_person: true, PROOF } }
  - { id: switch, uses: exec.run, needs: [ask], with: { argv: [switch], effect: external } }
";

#[test]
fn regression_one_of_two_ways_to_approve_that_is_an_expression_is_enough_to_choose_the_approver() {
    let chosen = "identified_by: { principals: [\"{{inputs.who}}\"], region: ap-northeast-3 }";
    let both = format!("signed_by: approvers, {chosen}");
    let written = "identified_by: { principals: [\"arn:aws:iam::111111111111:user/anna\"], region: \"{{sites.dr.region}}\" }";
    for (proof, expected) in [
        ("signed_by: approvers", None),
        (written, None),
        ("signed_by: \"{{inputs.who}}\"", Some("RD609")),
        (chosen, Some("RD609")),
        ("identified_by: \"{{inputs.who}}\"", Some("RD609")),
        (
            "identified_by: { principals: [\"arn:aws:iam::{{sites.dr.account}}:user/anna\"], region: eu-west-1 }",
            None,
        ),
        (both.as_str(), Some("RD609")),
        ("signed_by: null", Some("RD612")),
    ] {
        let source = Source::new("x.yaml", SWITCH.replacen("PROOF", proof, 1));
        let found = load_text(source, &crate::providers::registry()).diagnostics;
        let codes = found.iter().map(|one| one.code).filter(|c| ["RD609", "RD612"].contains(c));
        assert_eq!(codes.collect::<Vec<_>>(), Vec::from_iter(expected), "{proof}: {found:?}");
    }
}

#[test]
fn regression_canaries_are_written_into_what_can_be_a_bucket() {
    let found = |place: &str| {
        let guard = format!("max_resources: 2, canaries: [{place}] }}");
        changed("max_resources: 2 }", &guard)
    };
    for place in [
        "uploads",
        "uploads/redrill-canary/",
        "my.bucket-2/x",
        "Old_Uploads/x",
        "\"123\"",
        "1.2.3.4.5",
    ] {
        assert_eq!(found(place), [], "{place}");
    }
    let long = "a".repeat(256);
    for place in [
        "\"\"",
        "\"*\"",
        "\"a, b\"",
        "\"/redrill-canary/\"",
        "up load/x",
        "up/x",
        "a..b",
        "192.168.5.4/x",
        "up-/x",
        "s3://uploads/x",
        &long,
    ] {
        let found = found(place);
        assert_eq!(found.len(), 1, "{place}: {found:?}");
        let marked = found[0].1.trim_matches('"');
        assert_eq!((found[0].0, marked), ("RD616", place.trim_matches('"')), "{}", found[0].2);
        assert!(found[0].2.contains("no bucket can be named"), "{}", found[0].2);
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
fn regression_where_a_password_is_read_nothing_is_made() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/orders-db.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let errors = |changes: [(&str, &str); 2]| {
        let text = changes.iter().fold(text.clone(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        let found = load_text(Source::new("x.yaml", text), &crate::providers::registry());
        let errors = found.diagnostics.iter().filter(|d| d.is_error());
        errors.map(|d| (d.code, d.message.clone())).collect::<Vec<_>>()
    };
    // The instance, and the schema that is written into: the secret of its owner stands at a site, and makes nothing there.
    let said = "the steps make 2 resources, the guard allows 1".to_owned();
    let limited = ("max_resources: 2", "max_resources: 1");
    assert_eq!(errors([limited, ("tier: 1", "tier: 1")]), [("RD602", said)]);
    let vault =
        "\n  vault: { account: \"333333333333\", region: ap-northeast-3, role: redrill-drill }\n";
    let elsewhere = ("{ secret: orders/owner, at: dr }", "{ secret: orders/owner, at: vault }");
    assert_eq!(errors([("\n\nobjectives:", &format!("{vault}\nobjectives:")), elsewhere]), []);
}

#[test]
fn regression_every_reader_of_a_cluster_counts_for_the_limit_of_the_guard() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/payments-aurora.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let codes = |limit: &str| {
        let text = text.replacen("max_resources: 4", limit, 1);
        let found = load_text(Source::new("x.yaml", text), &crate::providers::registry());
        let errors = found.diagnostics.iter().filter(|d| d.is_error());
        errors.map(|d| (d.code, d.message.clone())).collect::<Vec<_>>()
    };
    // The cluster, its two members, and the schema that is written into.
    assert_eq!(codes("max_resources: 4"), []);
    let said = "the steps make 4 resources, the guard allows 3".to_owned();
    assert_eq!(codes("max_resources: 3"), [("RD602", said)]);
}

#[test]
fn an_approval_that_may_be_skipped_is_none() {
    let named = ", external: [switch]";
    let text = with_effect("external", "", named, true);
    let when = |condition: &str| {
        let with = format!("uses: exec.run\n    when: '{{{{eq {condition} \"anna\"}}}}'");
        text.replacen("uses: exec.run", &with, 1)
    };
    assert_eq!(codes_and_help(&when("steps.ask.by")), []);
    let found = codes_and_help(&when("(default steps.ask.by \"nobody\")"));
    assert!(found.iter().any(|(code, _)| *code == "RD607"), "{found:?}");
}

#[test]
fn regression_a_proof_waits_for_all_of_the_recovery() {
    // A page that is always there needs nothing, and would stop the clock before the restore begins.
    let alone = GOOD.replacen(
        "  - id: data\n",
        "  - id: other\n    uses: exec.run\n    with: { effect: none }\n  - id: data\n",
        1,
    );
    let found = codes_and_help(&alone);
    assert!(
        found.iter().any(|(code, text)| *code == "RD406" && text.contains("waits for other")),
        "{found:?}"
    );
    let optional =
        alone.replacen("with: { effect: none }", "with: { effect: none }\n    required: false", 1);
    assert!(!codes_and_help(&optional).iter().any(|(code, _)| *code == "RD406"));
    // What comes after the proof, such as moving traffic, need not be proven by it.
    let after =
        alone.replacen("with: { effect: none }", "with: { effect: none }\n    needs: [data]", 1);
    assert!(!codes_and_help(&after).iter().any(|(code, _)| *code == "RD406"));
}

#[test]
fn regression_a_lost_place_has_no_second_name() {
    let sites = "sites:\n";
    assert!(GOOD.contains(sites));
    let alias = GOOD.replacen(
        sites,
        "sites:\n  alias: { account: \"111111111111\", region: ap-northeast-1, role: another }\n",
        1,
    );
    let at = alias.replacen("    at: dr\n", "    at: alias\n", 1);
    let found = codes_and_help(&at);
    assert!(
        found.iter().any(|(code, text)| *code == "RD210" && text.contains("alias")),
        "{found:?}"
    );
}

#[test]
fn a_recovery_can_do_without_what_is_prepared_at_a_lost_site() {
    let found = |port: &str| {
        let good = "{{default steps.config.port 5432}}";
        assert!(GOOD.contains(good));
        let found = codes_and_help(&GOOD.replacen(good, port, 1));
        found.into_iter().filter(|(code, _)| *code == "RD408").collect::<Vec<_>>()
    };
    assert_eq!(found("{{default steps.config.port 5432}}"), []);
    let needing = found("{{steps.config.port}}");
    let named: Vec<_> = needing.iter().map(|(_, text)| text.split(' ').next().unwrap()).collect();
    assert_eq!(named, ["restore", "data"], "the step itself, and the gate that waits for it");
    assert!(needing.iter().all(|(_, text)| text.contains("{{default steps.config.… inputs.…}}")));
}

/// What is found of databases when the shipped drill writes to an endpoint, with entries in its guard.
fn writing_to(endpoint: &str, guard: &str) -> Vec<(&'static str, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/orders-db.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, write) = text.split_once("uses: sql.try_write").unwrap();
    let of_the_run = "endpoint: \"{{steps.restore.endpoint}}\"";
    assert!(write.contains(of_the_run) && before.contains("max_resources: 2 }"));
    let before = before.replacen("max_resources: 2 }", &format!("max_resources: 2{guard} }}"), 1);
    let write = write.replacen(of_the_run, endpoint, 1);
    let source = Source::new("x.yaml", format!("{before}uses: sql.try_write{write}"));
    let found = load_text(source, &crate::providers::registry()).diagnostics;
    let of_databases = found.into_iter().filter(|d| ["RD613", "RD614"].contains(&d.code));
    of_databases.map(|d| (d.code, [d.message, d.help.unwrap_or_default()].join(" | "))).collect()
}

#[test]
fn regression_what_a_program_prints_is_no_database_of_the_run() {
    let program = "  - id: own\n    at: dr\n    uses: exec.run\n    with: { command: [make-one], effect: own, find: [look], undo: [drop-one] }\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/orders-db.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, write) = text.split_once("uses: sql.try_write").unwrap();
    let write = write.replacen("{{steps.restore.endpoint}}", "{{steps.own.stdout}}", 1);
    let text = format!("{before}uses: sql.try_write{write}").replacen(
        "steps:\n",
        &format!("steps:\n{program}"),
        1,
    );
    let found = load_text(Source::new("x.yaml", text), &crate::providers::registry()).diagnostics;
    let found: Vec<_> =
        found.into_iter().filter(|d| d.code == "RD613").map(|d| d.message).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ends_with("and own runs a program, which may print any host"), "{found:?}");
}

#[test]
fn regression_a_drill_writes_into_databases_that_it_makes_or_that_its_guard_names() {
    let of_the_run = "endpoint: \"{{steps.restore.endpoint}}\"";
    let production = "endpoint: Orders.example.com";
    let tunnel = "endpoint: \"{{steps.restore.endpoint}}\"\n      connect: \"localhost:15432\"";
    for (endpoint, guard) in [
        (of_the_run, ""),
        (production, ", databases: [orders.example.com]"),
        (tunnel, ", databases: [localhost]"),
        (tunnel, ", databases: [\"LOCALHOST:15432\"]"),
        ("endpoint: \"[::1]:5432\"", ", databases: [\"::1\"]"),
    ] {
        assert_eq!(writing_to(endpoint, guard), [], "{endpoint}{guard}");
    }
    for (endpoint, guard, codes, words) in [
        (production, "", &["RD613"][..], "add orders.example.com to guard.databases"),
        (
            tunnel,
            "",
            &["RD613"],
            "write writes into localhost, which guard.databases does not name",
        ),
        (
            tunnel,
            ", databases: [\"localhost:5432\"]",
            &["RD613", "RD614"],
            "did you mean localhost",
        ),
        (
            production,
            ", databases: [orders.example.org]",
            &["RD613", "RD614"],
            "did you mean orders",
        ),
        (of_the_run, ", databases: [orders-prod]", &["RD614"], "no step writes"),
        ("endpoint: 127.0.0.1", "", &["RD613"], "127.0.0.1"),
        ("endpoint: \"{{inputs.last_drill}}\"", "", &["RD613"], "no output of a step alone"),
        ("endpoint: \"{{steps.restore.endpoint}}.evil.example\"", "", &["RD613"], "alone"),
        ("endpoint: \"{{default steps.restore.endpoint \\\"prod\\\"}}\"", "", &["RD613"], "alone"),
        ("endpoint: \"{{steps.config.instance}}\"", "", &["RD613"], "config makes nothing"),
    ] {
        let mut found = writing_to(endpoint, guard);
        found.sort();
        let said: Vec<_> = found.iter().map(|(code, _)| *code).collect();
        assert_eq!(said, codes, "{endpoint}{guard}: {found:?}");
        assert!(found.iter().any(|(_, said)| said.contains(words)), "{words}: {found:?}");
    }
}
