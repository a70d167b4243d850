use super::*;
use crate::action::Phase;
use crate::ids::{Digest, SiteName, StepId};
use crate::scenario::expression::resolve;
use crate::scenario::testing::{GOOD, registry};
use crate::scenario::{Gate, Scenario, Source, load_text};
use serde_json::{Value, json};

fn scenario(text: &str) -> Scenario {
    let loaded = load_text(Source::new("x.yaml", text), &registry());
    assert!(!loaded.has_errors(), "{}", loaded.render(false));
    loaded.scenario.unwrap()
}

fn planned(text: &str, mode: RunMode, inputs: &[(&str, Value)]) -> crate::error::Result<Plan> {
    let inputs = inputs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let options = Options { mode, inputs, deviations: vec!["--set suffix".to_owned()] };
    compile(&scenario(text), Digest::of(text.as_bytes()), &registry(), options)
}

fn good() -> Plan {
    planned(GOOD, RunMode::Drill, &[]).unwrap()
}

fn step<'a>(plan: &'a Plan, id: &str) -> &'a PlannedStep {
    plan.step(&StepId::new(id)).unwrap()
}

#[test]
fn defaults_are_filled_in_and_what_is_known_is_put_in() {
    let plan = good();
    let restore = step(&plan, "restore");
    assert_eq!(restore.with["class"], "db.r6g.large");
    assert_eq!(restore.with["security_groups"], json!(["sg-drill"]));
    assert_eq!(restore.with["snapshot"], "{{steps.point.arn}}");
    assert_eq!(restore.with["tags"]["name"], "drill-x-{{run.id}}");
    assert_eq!(restore.expect["available_after"], "<= 20m");
    assert_eq!(restore.creates, ["db.instance"]);
    assert_eq!(step(&plan, "point").timeout.to_string(), "10m");
    assert_eq!(step(&plan, "point").title, "Find the snapshot");
    assert_eq!(step(&plan, "point").retry.attempts, 1);
    assert_eq!(step(&plan, "config").phase, Phase::Prepare);
    assert_eq!(step(&plan, "data").gate, Some(Gate::Acceptance));
    assert_eq!(step(&plan, "deeper").gate, Some(Gate::Assurance));
    assert_eq!(step(&plan, "deeper").when, Some(json!(false)));
    assert_eq!(plan.vars["name"], "drill-x");
    let recovery = planned(GOOD, RunMode::Recovery, &[]).unwrap();
    assert_eq!(step(&recovery, "restore").with["class"], "db.r6g.4xlarge");
    assert_ne!(recovery.digest(), plan.digest());
    assert_eq!(good().digest(), plan.digest());
}

#[test]
fn what_only_a_default_refers_to_may_be_skipped() {
    let plan = planned(GOOD, RunMode::Drill, &[]).unwrap();
    assert!(!step(&plan, "restore").may_be_skipped.contains(&StepId::new("point")));
    let instead = "snapshot: \"{{default steps.point.arn \\\"none\\\"}}\"";
    let text = GOOD.replacen("snapshot: \"{{steps.point.arn}}\"", instead, 1);
    assert_ne!(text, GOOD);
    let plan = planned(&text, RunMode::Drill, &[]).unwrap();
    let restore = step(&plan, "restore");
    assert!(restore.needs.contains(&StepId::new("point")), "it waits all the same");
    let may = |id: &str| restore.may_be_skipped.contains(&StepId::new(id));
    assert!(may("point"));
    assert!(!may("ask"), "a written need is one");
}

#[test]
fn references_are_needs_and_order_follows_needs_then_phase_then_file() {
    let plan = good();
    let needs: Vec<&str> = step(&plan, "restore").needs.iter().map(StepId::as_str).collect();
    assert_eq!(needs, ["ask", "config", "point"]);
    let order = |plan: &Plan| plan.steps.iter().map(|s| s.id.to_string()).collect::<Vec<_>>();
    assert_eq!(order(&plan), ["config", "point", "ask", "restore", "data", "deeper"]);
    let start = GOOD.find("  - id: deeper").unwrap();
    let moved = GOOD.replacen("steps:\n", &format!("steps:\n{}", &GOOD[start..]), 1);
    let moved = &moved[..moved.rfind("  - id: deeper").unwrap()];
    let plan = planned(moved, RunMode::Drill, &[]).unwrap();
    assert_eq!(order(&plan), ["config", "point", "ask", "restore", "deeper", "data"]);
}

#[test]
fn inputs_are_read_by_their_declared_type_or_refused() {
    let given = [("suffix", json!("y")), ("deep", json!("true")), ("wait", json!("1h 30m"))];
    let plan = planned(GOOD, RunMode::Drill, &given).unwrap();
    assert_eq!(plan.inputs["deep"], json!(true));
    assert_eq!(step(&plan, "restore").with["expected_duration"], "1h 30m");
    let without_default = GOOD.replacen("default: 20m", "about: how long", 1);
    let error = planned(&without_default, RunMode::Drill, &[]).unwrap_err().to_string();
    assert!(error.contains("[RD701] input wait (how long)"), "{error}");
    let error = planned(GOOD, RunMode::Drill, &[("dep", json!("x"))]).unwrap_err().to_string();
    assert!(error.contains("RD703") && error.contains("dep"), "{error}");
}

#[test]
fn regression_an_expectation_that_an_input_makes_unreadable_is_found_before_the_run() {
    let without_default = GOOD.replacen("type: duration, default: 20m", "type: text", 1);
    let text = without_default.replacen("      expected_duration: \"{{inputs.wait}}\"\n", "", 1);
    let error = planned(&text, RunMode::Drill, &[("wait", json!("soon"))]).unwrap_err().to_string();
    assert!(error.contains("step restore: expectation of available_after"), "{error}");
    assert!(planned(&text, RunMode::Drill, &[("wait", json!("20m"))]).is_ok());
}

#[test]
fn regression_a_given_input_that_stands_in_thousands_of_places_is_refused_before_it_fills_the_memory()
 {
    let long = [("suffix", json!("x".repeat(60_000)))];
    let question = |times: usize| "{{inputs.suffix}}".repeat(times);
    let text = GOOD.replacen("{{steps.point.arn}} in", &question(20), 1);
    let error = planned(&text, RunMode::Drill, &long).unwrap_err().to_string();
    let told = "step ask: with its expressions replaced it is too large: the most is 1 MiB";
    assert!(error.contains(told), "{error}");
    let asked = question(17);
    let step = |number| {
        format!(
            "  - id: ask{number}\n    uses: control.approve\n    required: false\n    with: {{ question: \"{asked}\" }}\n"
        )
    };
    let steps: String = (0..20).map(step).collect();
    let text = GOOD.replacen("steps:\n", &format!("steps:\n{steps}"), 1);
    assert!(planned(&text, RunMode::Drill, &[]).is_ok());
    let error = planned(&text, RunMode::Drill, &long).unwrap_err().to_string();
    assert!(error.contains("step ask8: [RD002] up to here"), "{error}");
    assert!(!error.contains("ask9"), "the rest is not evaluated: {error}");
}

#[test]
fn regression_a_plan_that_is_refused_quotes_no_more_of_an_input_than_anybody_reads() {
    let error = planned(GOOD, RunMode::Drill, &[("deep", json!("x".repeat(100_000)))]);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("RD702") && error.contains("bytes more)"), "{error}");
    assert!(error.len() < 3_000, "{}", error.len());
}

#[test]
fn an_input_is_never_read_as_an_expression() {
    let given = [("suffix", json!("{{steps.point.arn}}"))];
    let plan = planned(GOOD, RunMode::Drill, &given).unwrap();
    let restore = step(&plan, "restore");
    assert_eq!(plan.vars["name"], "drill-{{steps.point.arn}}");
    let scope = plan.names().with("run", json!({ "id": "r1" }));
    let name = resolve(&restore.with["tags"]["name"], &scope).unwrap();
    assert_eq!(name, "drill-{{steps.point.arn}}-r1");
}

#[test]
fn the_outline_shows_what_will_happen_where() {
    let plan = good();
    let outline = outline(&plan, &registry());
    assert_eq!(outline.creates["db.instance"], 1);
    assert_eq!(outline.asks, [StepId::new("ask")]);
    // config 10m, then point 10m, ask 10m, restore 3h, data 10m.
    assert_eq!(outline.longest.to_string(), "3h 40m");
    assert_eq!(outline.longest_to_acceptance.unwrap().to_string(), "3h 30m");
    let path: Vec<&str> = outline.critical_path.iter().map(StepId::as_str).collect();
    assert_eq!(path, ["config", "point", "ask", "restore", "deeper"]);
    let verify = &outline.phases[2];
    assert_eq!(verify.groups.len(), 1);
    assert_eq!(verify.groups[0].len(), 2);
    let text = outline.render();
    for part in [
        "orders-db (drill)",
        "deviation: --set suffix",
        "⚡ region_loss is declared; lost: primary",
        "db.restore at dr; at most 3h; makes db.instance; after ask, config, point",
        "makes 1 × db.instance, released at the end",
        "asks a person: ask",
        "permissions at primary: db:Describe",
        "∥ deeper",
        "with instance: orders-db",
        "named redrill-orders-db-…-restore",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn regression_a_scenario_cannot_write_over_its_outline() {
    let mut plan = good();
    plan.title = "Orders\u{1b}[2K\rmakes nothing\n\nmakes nothing".to_owned();
    plan.steps[0].title = "Find\u{202e} it\nmakes nothing".to_owned();
    plan.deviations = vec!["--set a=\u{1b}]0;b\u{7}".to_owned()];
    let shown = outline(&plan, &registry()).render();
    assert!(shown.contains("(drill): Orders\\u{1b}[2K makes nothing makes nothing\n"), "{shown}");
    assert!(shown.contains("Find\\u{202e} it makes nothing\n"), "{shown}");
    assert!(shown.contains("deviation: --set a=\\u{1b}]0;b\\u{7}\n"), "{shown}");
    assert!(!shown.chars().any(|c| c != '\n' && crate::visible::is_hidden(c)), "{shown:?}");
}

#[test]
fn a_plan_reads_back_what_it_writes() {
    let plan = good();
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(serde_json::from_value::<Plan>(json).unwrap(), plan);
}

#[test]
fn what_the_run_makes_is_counted_at_its_place_whatever_name_that_has() {
    let mut plan = good();
    let dr = step(&plan, "restore").at.clone().unwrap();
    let count = |plan: &Plan, site: &SiteName| {
        made_at(plan, &registry(), site).get("db.instance").copied().unwrap_or(0)
    };
    assert_eq!(count(&plan, &dr), 1);
    let (other, mut place) = (SiteName::new("other"), plan.sites[&dr].clone());
    let account = place.account.get_or_insert("222222222222".to_owned()).clone();
    plan.sites.insert(dr, place.clone());
    // A site without an account may be in any: what is made there may be made here.
    for (at, made) in [(Some(account), 1), (None, 1), (Some("999999999999".to_owned()), 0)] {
        place.account = at;
        plan.sites.insert(other.clone(), place.clone());
        assert_eq!(count(&plan, &other), made, "{place:?}");
    }
    place.region = "us-east-1".to_owned();
    place.account = None;
    plan.sites.insert(other.clone(), place);
    assert_eq!(count(&plan, &other), 0);
}
