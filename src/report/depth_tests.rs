use super::depth::{DepthReport, depth};
use super::fold::Fold;
use super::ladders::{LADDERS, Named, SHOWS_NOTHING};
use super::samples::{self};
use super::{Report, selfcheck};
use crate::action::Phase;
use crate::ids::{SiteName, StepId};
use crate::journal::{Check, Event, Outcome};
use crate::plan::{Plan, PlannedStep};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const DOCUMENTED: &str = include_str!("../../docs/report.md");

fn step(id: &str, uses: &str) -> PlannedStep {
    let mut step = samples::plan().steps.remove(0);
    step.id = StepId::new(id);
    step.uses = uses.to_owned();
    step.phase = Phase::Verify;
    step.with = json!({});
    step.expect = BTreeMap::new();
    step
}

fn asked(with: Value) -> PlannedStep {
    PlannedStep { with, ..step("data", "sql.check") }
}

fn holds(name: &str) -> Check {
    Check::made(name, "so", "so", true)
}

fn fails(name: &str) -> Check {
    Check::made(name, "so", "otherwise", false)
}

fn open(name: &str) -> Check {
    Check::not_made(name, "so", "nobody knows")
}

/// A run of these steps, each of which makes these checks.
fn run(steps: Vec<(PlannedStep, Vec<Check>)>) -> (Plan, samples::Sample) {
    let mut sample = samples::passed();
    let started = sample.tape.records.remove(0).event;
    sample.tape = samples::Tape::new();
    sample.tape.add(started);
    let mut plan = samples::plan();
    plan.steps = steps.iter().map(|(step, _)| step.clone()).collect();
    for (step, checks) in steps {
        sample.tape.start(step.id.as_str());
        for check in checks {
            sample.tape.check(step.id.as_str(), check);
        }
        sample.tape.finish(step.id.as_str(), Outcome::Passed, &[]);
    }
    (plan, sample)
}

fn climbed(steps: Vec<(PlannedStep, Vec<Check>)>) -> DepthReport {
    let (plan, sample) = run(steps);
    depth_of(&plan, &sample)
}

fn depth_of(plan: &Plan, sample: &samples::Sample) -> DepthReport {
    let fold = Fold::of(plan, &sample.tape.records).unwrap();
    let mut all = depth(plan, &fold);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// Reached without a gap, and above one.
fn rungs(report: &DepthReport) -> (Option<&str>, Vec<&str>) {
    (report.reached.as_deref(), report.above_a_gap.iter().map(String::as_str).collect())
}

#[test]
fn every_action_shows_a_part_of_a_rung_or_says_why_it_does_not() {
    let registry = crate::providers::registry();
    let proofs: Vec<_> = LADDERS
        .iter()
        .flat_map(|ladder| ladder.rungs)
        .flat_map(|rung| rung.parts)
        .flat_map(|part| part.proofs)
        .collect();
    let showing: BTreeSet<&str> = proofs.iter().map(|proof| proof.action).collect();
    let silent: BTreeSet<&str> = SHOWS_NOTHING.iter().map(|(action, _)| *action).collect();
    assert!(showing.is_disjoint(&silent), "{showing:?} {silent:?}");
    let all: BTreeSet<&str> = registry.actions().map(|action| action.facts.name).collect();
    assert_eq!(&showing | &silent, all);
    assert!(SHOWS_NOTHING.iter().all(|(_, why)| why.len() > 10));
    for proof in proofs {
        let action = registry.get(proof.action).unwrap();
        match proof.check {
            Named::Its(check) => {
                let known = action.facts.checks.iter().any(|(name, _)| *name == check);
                assert!(known, "{} makes no check {check}", proof.action);
            }
            Named::Each(input) | Named::EachAs(_, input) => {
                let item =
                    action.input.pointer(&format!("/properties/{input}/items/properties/name"));
                assert!(item.is_some(), "{} has no names in {input}", proof.action);
            }
        }
        if let super::ladders::Besides::Also(checks) = proof.besides {
            let known = |check: &&str| action.facts.checks.iter().any(|(name, _)| name == check);
            assert!(checks.iter().all(known), "{checks:?}");
        }
    }
}

#[test]
fn ladders_are_numbered_from_the_ground_and_say_what_each_rung_means() {
    for ladder in LADDERS {
        let letter = &ladder.rungs[0].name[..1];
        for (number, rung) in ladder.rungs.iter().enumerate() {
            assert_eq!(rung.name, format!("{letter}{number}"));
            assert!(!rung.parts.is_empty() && rung.meaning.split(' ').count() > 4, "{}", rung.name);
            assert!(!rung.meaning.ends_with('.'), "{}", rung.name);
            let row = format!("| {} | {} |", rung.name, rung.meaning);
            assert!(DOCUMENTED.contains(&row), "docs/report.md lacks {row}");
        }
    }
}

#[test]
fn only_a_check_that_passed_over_something_reaches_a_rung() {
    let found = |checks: Vec<Check>| {
        let report = climbed(vec![(step("point", "rds.find_snapshot"), checks)]);
        report.reached.is_some()
    };
    let (usable, time) = ("usable recovery point", "time of the data");
    assert!(!found(vec![]), "the step passed, and nothing was looked at");
    assert!(!found(vec![holds(usable)]), "one of two parts");
    assert!(!found(vec![holds(usable), open(time)]));
    assert!(!found(vec![holds(usable), fails(time)]));
    assert!(!found(vec![holds(usable).over(0), holds(time)]));
    assert!(found(vec![holds(usable).over(7), holds(time)]));
}

#[test]
fn a_rung_above_one_that_was_not_reached_is_told_apart() {
    let restored =
        (step("restore", "rds.restore_snapshot"), vec![holds("engine as in the snapshot")]);
    let answers = (asked(json!({})), vec![holds("database answers")]);
    let report = climbed(vec![restored, answers]);
    assert_eq!(rungs(&report), (None, vec!["R1", "R2"]));
    assert_eq!(report.missing.len(), 2, "{:?}", report.missing);
    let usable = "a usable recovery point: no step looks at it; it takes rds.find_snapshot (usable recovery point) or ";
    assert!(report.missing[0].starts_with(usable), "{:?}", report.missing);
    let time = "the time of its data: not looked at by sql.check (newest data)";
    assert_eq!(report.missing[1], time);
}

#[test]
fn what_the_original_answers_before_the_loss_shows_nothing_of_its_recovery() {
    let mut early = asked(json!({}));
    early.phase = Phase::Prepare;
    let report = climbed(vec![(early, vec![holds("database answers")])]);
    assert_eq!(rungs(&report), (None, vec![]));
    let mut members = step("members", "etcd.compare_members");
    members.phase = Phase::Prepare;
    let report = climbed(vec![(members, vec![holds("backup")])]);
    assert_eq!(rungs(&report), (None, vec!["E6"]), "members can be asked only then");
}

const WHOLE: [&str; 4] = ["complete", "trailing SHA-256", "meta pages", "structure"];

/// What the step that verifies a snapshot has checked, but for one of it.
fn verified(but: Option<&str>, checks: Vec<Check>) -> DepthReport {
    let whole = WHOLE.into_iter().filter(|name| but != Some(name)).map(holds);
    climbed(vec![(step("snapshot", "etcd.verify_snapshot"), whole.chain(checks).collect())])
}

#[test]
fn regression_the_time_of_leases_counts_only_where_it_was_looked_at() {
    let reaches = |report: DepthReport| report.rungs[4].reached;
    assert!(reaches(verified(None, vec![])), "no lease of a node, or no time that is stated");
    assert!(reaches(verified(None, vec![holds("time of the data")])));
    assert!(!reaches(verified(None, vec![fails("time of the data")])));
    assert!(!reaches(verified(None, vec![open("time of the data")])));
    // Of a snapshot that is not whole, or not vouched for, nobody has looked at the time of its leases.
    assert!(!reaches(verified(None, vec![fails("packing")])));
    for name in WHOLE {
        assert!(!reaches(verified(Some(name), vec![open(name)])), "{name}");
        assert!(!reaches(verified(Some(name), vec![fails(name)])), "{name}");
    }
    assert!(!reaches(verified(Some("structure"), vec![])), "nothing looked at its leases");
    assert!(!reaches(verified(Some("structure"), vec![holds("time of the data")])));
}

#[test]
fn regression_a_member_that_differs_or_is_silent_keeps_the_rung_of_the_members() {
    let all = || ["every member", "one cluster", "same data", "sound snapshot", "backup"];
    let reaches = |changed: Option<Check>, taken: Option<Check>| {
        let named = |name: &str| changed.iter().find(|check| check.name == name).cloned();
        let checks = all().map(|name| named(name).unwrap_or_else(|| holds(name)));
        let mut steps = vec![(step("members", "etcd.compare_members"), checks.to_vec())];
        steps.extend(taken.map(|check| (step("taken", "etcd.take_snapshot"), vec![check])));
        climbed(steps).rungs[6].reached
    };
    assert!(reaches(None, None) && reaches(None, Some(holds("as the member"))));
    for name in all() {
        assert!(!reaches(Some(fails(name)), None), "{name}");
        assert!(!reaches(Some(open(name)), Some(holds("as the member"))), "{name}");
    }
    assert!(!reaches(None, Some(fails("as the member"))));
    assert!(!reaches(None, Some(open("as the member"))));
}

#[test]
fn regression_what_took_a_rung_away_is_named_with_its_record() {
    let checks =
        vec![open("every member"), fails("same data"), holds("one cluster"), holds("backup")];
    let report = climbed(vec![(step("members", "etcd.compare_members"), checks)]);
    let part = &report.rungs[6].parts[0];
    assert_eq!(part.how, "failed: backup in step members, because of same data");
    assert_eq!((part.outcome, part.evidence.len()), (Outcome::Failed, 2));
}

#[test]
fn a_snapshot_that_is_what_one_member_stores_says_nothing_of_the_others() {
    let taken = (step("taken", "etcd.take_snapshot"), vec![holds("as the member")]);
    let report = climbed(vec![taken]);
    assert_eq!(rungs(&report), (None, vec![]));
    assert_eq!(report.rungs[6].parts[0].outcome, Outcome::NotRun);
}

#[test]
fn of_several_checks_of_one_thing_the_worst_counts() {
    let inspected = |second: Check| {
        let first = (asked(json!({})), vec![holds("tables and indexes")]);
        let more = (step("again", "sql.check"), vec![second]);
        let report = climbed(vec![first, more]);
        (report.rungs[5].reached, report.rungs[5].parts[0].clone())
    };
    assert!(inspected(holds("tables and indexes")).0);
    let (reached, part) = inspected(fails("tables and indexes"));
    assert!(!reached);
    assert_eq!(
        (part.outcome, part.how.as_str()),
        (Outcome::Failed, "failed: tables and indexes in step again")
    );
    assert!(!inspected(open("tables and indexes")).0);
}

#[test]
fn regression_a_query_or_an_expectation_that_is_called_like_a_check_shows_nothing() {
    let named = json!({ "queries": [{ "name": "tables and indexes", "sql": "select 1" }] });
    let report = climbed(vec![(asked(named), vec![holds("tables and indexes")])]);
    assert_eq!(rungs(&report), (None, vec![]));
    let mut expecting = asked(json!({}));
    expecting.expect.insert("tables and indexes".to_owned(), json!("= 1"));
    let report = climbed(vec![(expecting, vec![holds("tables and indexes")])]);
    assert_eq!(rungs(&report), (None, vec![]));
}

#[test]
fn data_that_is_not_from_the_backup_is_no_recovered_data() {
    let content = |origin: Check| {
        let checks = vec![holds("schema"), holds("row counts"), holds("newest data"), origin];
        climbed(vec![(asked(json!({})), checks)]).rungs[4].reached
    };
    assert!(content(holds("newest data is from the backup")));
    assert!(!content(fails("newest data is from the backup")));
}

#[test]
fn one_item_that_differs_keeps_the_configuration_from_being_the_original_s() {
    let compared = |item: Check| {
        let checks = vec![holds("items compared"), item];
        climbed(vec![(step("fidelity", "rds.compare_config"), checks)]).rungs[3].reached
    };
    assert!(compared(holds("multi_az")));
    assert!(!compared(fails("multi_az")));
    assert!(!compared(open("multi_az")));
}

/// Fast reads, a query and a write, and what else the step with the query has seen.
fn working(more: Vec<Check>) -> DepthReport {
    let fast = (step("fast", "sql.hydrate"), vec![holds("read latency").over(200)]);
    let write = (step("write", "sql.try_write"), vec![holds("write")]);
    let with = json!({ "queries": [{ "name": "ledger balances" }],
        "logins": [{ "name": "the application" }], "sequences": true });
    climbed(vec![fast, write, (asked(with), more)])
}

#[test]
fn an_application_can_work_when_reads_are_fast_and_queries_and_a_write_succeed() {
    let reached = |more: Vec<Check>| working(more).rungs[6].reached;
    assert!(reached(vec![holds("ledger balances")]));
    assert!(!reached(vec![fails("ledger balances")]));
    assert!(!reached(vec![]), "a write alone, in a schema of its own, says nothing of the data");
    let queries = json!({ "queries": [{ "name": "ledger balances" }] });
    let fast = (step("fast", "sql.hydrate"), vec![holds("read latency").over(200)]);
    let no_write = climbed(vec![fast, (asked(queries), vec![holds("ledger balances")])]);
    assert!(!no_write.rungs[6].reached);
}

#[test]
fn regression_an_application_that_cannot_log_in_or_meets_numbers_that_are_taken_cannot_work() {
    let reached = |name: &str, check: fn(&str) -> Check| {
        working(vec![holds("ledger balances"), check(name)]).rungs[6].reached
    };
    for name in ["login the application", "sequences"] {
        assert!(reached(name, holds) && !reached(name, fails) && !reached(name, open), "{name}");
    }
}

#[test]
fn regression_a_reference_of_another_database_shows_neither_structure_nor_rows() {
    let content = |of_reference: Check| {
        let checks = vec![holds("schema"), holds("row counts"), holds("newest data"), of_reference];
        climbed(vec![(asked(json!({})), checks)]).rungs[4].reached
    };
    for name in ["source of the reference", "age of the reference", "evidence of the earlier run"] {
        assert!(content(holds(name)) && !content(fails(name)) && !content(open(name)), "{name}");
    }
}

#[test]
fn regression_a_failed_check_is_not_hidden_by_a_query_of_its_name() {
    let name = "newest data is from the backup";
    let asked = asked(json!({ "queries": [{ "name": name }] }));
    let checks = vec![holds("schema"), holds("row counts"), holds("newest data"), fails(name)];
    assert!(!climbed(vec![(asked, checks)]).rungs[4].reached);
}

#[test]
fn a_recovery_point_that_was_found_before_the_loss_counts_where_it_stays() {
    let found = |at: &str| {
        let mut early = step("point", "rds.find_snapshot");
        (early.phase, early.at) = (Phase::Prepare, Some(SiteName::new(at)));
        let checks = vec![holds("usable recovery point").over(7), holds("time of the data")];
        climbed(vec![(early, checks)])
    };
    let lost = samples::plan().disaster.lost[0].to_string();
    assert_eq!(rungs(&found("dr")), (Some("R0"), vec![]));
    let gone = found(&lost);
    assert_eq!(rungs(&gone), (None, vec![]));
    assert!(gone.missing[0].contains("not looked at after the loss by rds.find_snapshot"));
}

#[test]
fn over_how_many_things_a_check_was_made_stands_beside_it() {
    let inspected = (asked(json!({})), vec![holds("tables and indexes").over(2)]);
    let part = &climbed(vec![inspected]).rungs[5].parts[0];
    assert_eq!(part.how, "tables and indexes in step data, over 2");
}

#[test]
fn checks_of_an_attempt_that_was_made_again_do_not_count() {
    let (plan, mut sample) = run(vec![(asked(json!({})), vec![holds("database answers")])]);
    assert_eq!(rungs(&depth_of(&plan, &sample)), (None, vec!["R2"]));
    sample.tape.records.pop();
    let again = Event::StepStarted { step: StepId::new("data"), attempt: 2, input: json!({}) };
    sample.tape.add(again).check("data", open("database answers"));
    assert_eq!(rungs(&depth_of(&plan, &sample)), (None, vec![]));
}

#[test]
fn a_rung_that_the_journal_does_not_show_is_never_told() {
    let sample = samples::passed();
    let told = |change: fn(&mut Report)| {
        let mut report = sample.report();
        change(&mut report);
        selfcheck::check(&sample.plan, &sample.tape.records, &report).is_ok()
    };
    assert!(told(|_| {}));
    assert!(!told(|report| report.depth[0].rungs[5].reached = true));
    assert!(!told(|report| report.depth[0].rungs[5].parts[0].outcome = Outcome::Passed));
    assert!(!told(|report| {
        let part = &mut report.depth[0].rungs[5].parts[0];
        (part.outcome, part.evidence) = (Outcome::Passed, vec![0]);
    }));
}
