//! Whole drills in simulation: a few seeds here, many in `cargo bench --bench sim`. See `docs/simulation.md`.

#[path = "../sim/mod.rs"]
mod harness;

use harness::campaign::{Campaign, campaign};
use harness::disk::{Death, Written};
use harness::disturbance::{Disturbance, Kill, fault};
use harness::exhaustive::exhaust;
use harness::generate::generate;
use harness::model::{Draft, allowed};
use harness::oracle::{as_modelled, compare, heard, judge, verdict};
use harness::rig::run;
use harness::subject::{Subject, shipped, shipped_healthy};
use harness::watch;
use redrill::action::Registry;
use redrill::providers;
use redrill::report::Verdict;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// A seed that went wrong once. (Those of shipped scenarios mean something else once there is another estate.)
const FOUND: &str = "18064 33735 38921 50384 106287 302114 400019 401178 507774 716617 816995 846074 2008090 2023487";

/// Enough to meet most mistakes within seconds.
const SEEDS: u64 = 24;

fn words(wrong: &[(u64, String)]) -> String {
    let one = |(seed, what): &(u64, String)| {
        format!("seed {seed}: {what}\nagain: cargo bench --bench sim -- --seed {seed}\n")
    };
    wrong.iter().map(one).collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the variable is of the tests alone")]
fn seeds_that_are_asked_for_keep_every_promise() {
    let asked = std::env::var("REDRILL_SIM_SEEDS").unwrap_or_default();
    let asked = if asked.is_empty() { FOUND } else { asked.as_str() };
    for seed in asked.split_whitespace() {
        let from = seed.parse().expect("REDRILL_SIM_SEEDS has numbers with spaces between");
        let one = Campaign { from, seeds: 1, scenario: None, threads: 1, enough: 1 };
        let outcome = campaign(&one, &|_| {});
        assert!(outcome.wrong.is_empty(), "{}", words(&outcome.wrong));
        assert!(outcome.coverage.runs() >= 2);
    }
}

#[test]
fn random_drills_with_faults_and_deaths_keep_every_promise() {
    let two = Campaign { from: 1, seeds: SEEDS, scenario: None, threads: 2, enough: 20 };
    let outcome = campaign(&two, &|_| {});
    assert!(outcome.wrong.is_empty(), "{}", words(&outcome.wrong));
    let (steps, creating) = outcome.medians();
    assert!(steps >= 8 && creating >= 2, "median {steps} steps, {creating} of which make things");
    assert!(outcome.coverage.runs() >= 2 * SEEDS);
    println!("{}\nnot met: {}", outcome.coverage, outcome.coverage.unkilled().join(" "));
}

#[test]
fn shipped_scenarios_survive_a_sample_of_every_single_disturbance() {
    let registry = providers::registry();
    for subject in shipped_healthy(&registry) {
        let (runs, wrong) = exhaust(&subject, &registry, 12);
        assert!(runs > 5 && wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn the_reference_model_and_the_engine_agree_on_undisturbed_drills() {
    let registry = providers::registry();
    let calm = Disturbance { mild: true, ..Disturbance::default() };
    let mut verdicts = Vec::new();
    for seed in 1000..1012 {
        let subject = generate(seed, &registry).unwrap();
        let ran = run(&subject, &calm, &registry);
        let wrong = [judge(&subject, &ran), as_modelled(&subject, &ran)].concat();
        assert!(wrong.is_empty(), "seed {seed}: {}", wrong.join("\n"));
        verdicts.push(verdict(&ran).unwrap());
    }
    for one in [Verdict::Passed, Verdict::Failed] {
        assert!(verdicts.contains(&one), "no generated drill {}", one.as_str());
    }
}

#[test]
fn regression_a_process_that_dies_when_its_schema_is_gone_and_its_step_is_not_over_is_resumed() {
    let registry = providers::registry();
    let writes = |subject: &Subject| {
        let drafts = subject.drafts.as_deref().unwrap_or_default();
        let written = drafts.iter().any(|draft| draft.uses == "sql.try_write");
        written && allowed(drafts, false) == BTreeSet::from([Verdict::Passed])
    };
    let mut subjects = (1..=500).map(|seed| generate(seed, &registry).unwrap());
    let subject = subjects.find(writes).expect("a drill that writes and passes");
    let kills = vec![Kill::Write(Death::After("resource_released"))];
    let gap = Duration::from_secs(30);
    let ran =
        run(&subject, &Disturbance { kills, gap, mild: true, ..Disturbance::default() }, &registry);
    let wrong = judge(&subject, &ran);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(verdict(&ran), Some(Verdict::Passed));
    let journal = String::from_utf8(ran.bytes).unwrap();
    let made = |line: &&str| {
        line.contains("\"type\":\"resource_intended\"") && line.contains("\"kind\":\"sql.schema\"")
    };
    assert_eq!(journal.lines().filter(made).count(), 2);
}

#[test]
fn regression_a_restore_to_the_latest_time_keeps_its_recovery_point_when_its_process_dies() {
    let registry = providers::registry();
    let restores =
        |draft: &Draft| draft.uses == "rds.restore_point_in_time" && !draft.with.contains("to:");
    let wanted = |subject: &Subject| {
        let drafts = subject.drafts.as_deref().unwrap_or_default();
        drafts.iter().any(restores) && allowed(drafts, false) == BTreeSet::from([Verdict::Passed])
    };
    let mut subjects = (1..=500).map(|seed| generate(seed, &registry).unwrap());
    let subject = subjects.find(wanted).expect("a drill that restores to the latest time");
    let step =
        &subject.drafts.as_deref().unwrap_or_default().iter().find(|d| restores(d)).unwrap().id;
    let kills = vec![Kill::Write(Death::After("resource_intended")); 2];
    let gap = Duration::from_secs(30);
    let dies = Disturbance { kills, gap, mild: true, ..Disturbance::default() };
    let ran = run(&subject, &dies, &registry);
    let wrong = judge(&subject, &ran);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(verdict(&ran), Some(Verdict::Passed));
    let report = ran.report.unwrap();
    let proven: Vec<_> =
        report.recovery_points.iter().filter(|p| p.step.as_str() == step).collect();
    assert!(proven.iter().any(|point| point.does_not_count.is_none()), "{proven:?}");
}

/// A shipped scenario in one of its estates.
fn in_the_estate(name: &str, registry: &Registry) -> Subject {
    shipped(registry).into_iter().find(|subject| subject.name == name).expect(name)
}

#[test]
fn regression_a_broken_estate_stays_broken_when_answers_are_lost_and_requests_arrive_twice() {
    let registry = providers::registry();
    let calm = Disturbance { mild: true, ..Disturbance::default() };
    for (estate, call) in [
        ("orders-db-point-in-time.no-capacity", "rds:Restore*"),
        ("payments-aurora.incompatible", "rds:CreateDBInstance"),
        ("payments-aurora.never-joins", "rds:CreateDBInstance"),
    ] {
        let subject = in_the_estate(estate, &registry);
        let undisturbed = run(&subject, &calm, &registry);
        assert_eq!(verdict(&undisturbed), Some(Verdict::Failed), "{estate}");
        for effect in ["lost_reply", "garbage", "server_error"] {
            for twice in [None, Some(1), Some(2), Some(3)] {
                let faults = vec![fault(&format!("{call}#1={effect}"))];
                let disturbance =
                    Disturbance { faults, twice, mild: true, ..Disturbance::default() };
                let ran = run(&subject, &disturbance, &registry);
                let mut wrong = judge(&subject, &ran);
                wrong.extend(compare(&subject, &undisturbed, &ran, &disturbance));
                assert!(wrong.is_empty(), "{estate} {disturbance}: {}", wrong.join("\n"));
            }
        }
    }
}

#[test]
fn regression_an_estate_is_as_broken_in_the_drills_in_which_it_once_looked_healthy() {
    let registry = providers::registry();
    let write = |nth, written| Kill::Write(Death::Write(nth, written));
    let once = |estate: &'static str, faults: &[&str], kills: &[Kill], gap, twice| {
        let faults = faults.iter().map(|text| fault(text)).collect();
        let (kills, gap) = (kills.to_vec(), Duration::from_secs(gap));
        let disturbance =
            Disturbance { faults, kills, gap, twice, mild: true, ..Disturbance::default() };
        (estate, disturbance)
    };
    let late = Kill::Request(watch::Death { nth: 7, after: true });
    let moment = Kill::Moment(Duration::from_millis(3433));
    let deaths =
        [write(9, Written::Whole), write(21, Written::Nothing), write(20, Written::Torn(725))];
    for (estate, disturbance) in [
        once(
            "payments-aurora.incompatible",
            &["*#41=throttle", "*#11=server_error"],
            &deaths,
            51,
            Some(2),
        ),
        once(
            "orders-db-point-in-time.no-capacity",
            &["*#9=lost_reply"],
            &[write(14, Written::Torn(202))],
            47,
            None,
        ),
        once(
            "orders-db-point-in-time.no-capacity",
            &["*#9=lost_reply", "ec2:*#1=garbage", "*#6=stale:10s"],
            &[moment, write(15, Written::Whole), late],
            39,
            None,
        ),
    ] {
        let subject = in_the_estate(estate, &registry);
        let ran = run(&subject, &disturbance, &registry);
        let wrong = judge(&subject, &ran);
        assert!(wrong.is_empty(), "{estate} {disturbance}: {}", wrong.join("\n"));
        assert_eq!(verdict(&ran), Some(Verdict::Failed), "{estate} {disturbance}");
    }
}

/// The actions that no generated scenario uses, each with the reason.
const NOT_GENERATED: [(&str, &str); 1] =
    [("rds.promote_replica", "a drill refuses to promote: it cannot be undone")];

#[test]
fn generated_scenarios_use_every_action_but_those_that_are_named_here() {
    let registry = providers::registry();
    let uses = |seed| generate(seed, &registry).unwrap().drafts.unwrap();
    let used: BTreeSet<&str> = (1..=300).flat_map(uses).map(|draft| draft.uses).collect();
    let all: BTreeSet<&str> = registry.actions().map(|action| action.facts.name).collect();
    let named = BTreeSet::from(NOT_GENERATED.map(|(name, _)| name));
    assert_eq!(all.difference(&used).copied().collect::<BTreeSet<_>>(), named);
}

#[test]
fn every_estate_of_every_shipped_scenario_satisfies_the_oracle() {
    let registry = providers::registry();
    let calm = Disturbance { mild: true, ..Disturbance::default() };
    for subject in shipped(&registry) {
        let ran = run(&subject, &calm, &registry);
        let wrong = judge(&subject, &ran);
        assert!(wrong.is_empty(), "{}: {}", subject.name, wrong.join("\n"));
        let passed = verdict(&ran) == Some(Verdict::Passed);
        assert_eq!(passed, subject.name == subject.plan.name, "{}", subject.name);
    }
}

/// The values of a key in the list of planted bugs, in order: its strings are written as JSON writes them.
fn planted(bug: &str, key: &str) -> Vec<String> {
    let lines = bug.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
    let read = |text: &str| {
        let one = serde_json::from_str::<String>(text).map(|one| vec![one]);
        one.or_else(|_| serde_json::from_str(text)).expect("a string or a list of strings")
    };
    lines.flat_map(read).collect()
}

#[test]
fn every_planted_bug_has_its_place_in_the_sources() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_to_string(root.join("tests/planted/bugs.toml")).unwrap();
    let bugs: Vec<&str> = list.split("[[bug]]").skip(1).collect();
    assert!(bugs.len() >= 30);
    for bug in bugs {
        let (name, file) = (planted(bug, "name"), planted(bug, "file"));
        let source = std::fs::read_to_string(root.join(&file[0])).expect(&file[0]);
        let also = planted(bug, "also").into_iter().take(1);
        for search in planted(bug, "search").into_iter().chain(also) {
            assert_eq!(source.matches(&search).count(), 1, "{}: {search}", name[0]);
        }
    }
}

/// What was told twice counted for a message that nobody had heard.
#[test]
fn regression_the_oracle_lets_no_message_that_is_told_again_pay_for_another_one() {
    let left = json!({ "type": "resource_left", "kept": false });
    let told = json!({ "type": "notified", "moment": "leftover" });
    let resumed = json!({ "type": "run_resumed" });
    let asked = json!({ "type": "approval_requested", "step": "ask" });
    let wrong_with = |events: &[&Value]| {
        let events: Vec<Value> = events.iter().copied().cloned().collect();
        let mut wrong = Vec::new();
        heard(&events, &mut wrong);
        wrong
    };
    let again = [&left, &left, &left, &told, &told, &resumed, &told, &told, &told];
    assert!(wrong_with(&again).is_empty());
    let one_more = [&again[..], &[&left, &resumed]].concat();
    assert_eq!(wrong_with(&one_more), ["1 times nobody was told: leftover "]);
    assert!(wrong_with(&[&one_more[..], &[&told]].concat()).is_empty());
    assert_eq!(wrong_with(&[&resumed, &asked]), ["1 times nobody was told: approval_needed ask"]);
    assert!(wrong_with(&[&asked, &resumed]).is_empty(), "the dead process need not have told it");
}
