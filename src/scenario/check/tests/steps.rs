use super::*;

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
fn regression_a_backup_that_is_found_only_where_it_is_lost_measures_no_rpo() {
    let measured = "rpo: { target: 26h, authority: \"BIA-2026-014 §3\", measure: data }";
    let text = GOOD.replace(measured, "rpo: { target: 26h, measure: backup }");
    // Data that is read afterwards would measure it, too.
    let text = text.replace("      watermark: select max(committed_at) from heartbeat\n", "");
    let codes = |text: &str| {
        let loaded = load_text(Source::new("x.yaml", text), &registry());
        loaded.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>()
    };
    assert!(codes(&text).is_empty());
    let at_dr = "    at: dr\n    uses: db.find";
    let before = text.replace(at_dr, "    phase: prepare\n    at: dr\n    uses: db.find");
    assert!(codes(&before).is_empty(), "what is copied to the other site stays there");
    let lost = text.replace(at_dr, "    phase: prepare\n    at: primary\n    uses: db.find");
    assert!(codes(&lost).contains(&"RD402"), "{:?}", codes(&lost));
}

#[test]
fn regression_a_clone_of_what_is_there_now_measures_no_rpo() {
    let codes = |of: &str| {
        let text = format!(
            "redrill: 1\nname: clone\ntitle: A clone\nowner: sre\ndisaster: {{ kind: deletion }}\n\
             sites:\n  dr: {{ account: \"222222222222\", region: ap-northeast-3 }}\n\
             objectives:\n  rpo: {{ target: 1h, measure: backup }}\n\
             guard: {{ write: [dr] }}\nsteps:\n  - id: restore\n    at: dr\n    \
             uses: aurora.restore_cluster_point_in_time\n    with: {{ {of}, writer: {{ class: db.r6g.large }} }}\n"
        );
        let found = load_text(Source::new("x.yaml", text), &crate::providers::registry());
        found.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>()
    };
    assert_eq!(codes("of: shop"), [""; 0]);
    assert_eq!(codes("of: shop, restore_type: full-copy"), [""; 0]);
    // It would be younger than the declaration: no run could measure the objective, and none could pass.
    assert_eq!(codes("of: shop, restore_type: copy-on-write"), ["RD402"]);
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
fn regression_a_scenario_in_which_nothing_is_required_could_never_pass() {
    let lines = GOOD.lines().map(|line| match line.trim_start().strip_prefix("- id: ") {
        Some(_) => format!("{line}\n    required: false"),
        None => line.to_owned(),
    });
    let text: Vec<String> = lines.filter(|line| !line.contains("gate: acceptance")).collect();
    let loaded = load_text(Source::new("x.yaml", text.join("\n")), &registry());
    assert!(loaded.diagnostics.iter().any(|d| d.code == "RD409"), "{:?}", loaded.diagnostics);
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
