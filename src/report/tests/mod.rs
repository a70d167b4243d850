mod recovery_point;
mod recovery_time;

use super::samples::{self, Sample, human};
use super::{
    EarlierRun, OmissionKind, Report, ReportError, ResourceState, Verdict, journal_digest, report,
    schema,
};
use crate::ids::{SiteName, StepId};
use crate::journal::{CallSeen, Check, Event, Failure, FailureClass, Journal, Outcome};
use proptest::prelude::*;

fn renumber(sample: &mut Sample) {
    for (index, record) in sample.tape.records.iter_mut().enumerate() {
        record.seq = index as u64;
    }
}

/// The report after the plan was changed, as if the run had been one of that plan.
fn replanned(mut sample: Sample) -> Report {
    let digest = sample.plan.digest();
    if let Event::RunStarted { plan, .. } = &mut sample.tape.records[0].event {
        *plan = digest;
    }
    sample.report()
}

/// The good run, in which a step was tried a second time; what its first attempt saw stands in the journal, too.
fn tried_twice(of: &str) -> Sample {
    let mut sample = samples::passed();
    let begins = |record: &crate::journal::Record| matches!(&record.event, Event::StepStarted { step, .. } if step.as_str() == of);
    let ends = |record: &crate::journal::Record| matches!(&record.event, Event::StepFinished { step, .. } if step.as_str() == of);
    let start = sample.tape.records.iter().position(begins).unwrap();
    let end = sample.tape.records.iter().position(ends).unwrap();
    let first: Vec<_> = sample.tape.records[start..end].to_vec();
    let mut failed = sample.tape.records[end].clone();
    let failure = Failure {
        class: FailureClass::Refused,
        code: None,
        message: "the guard refused it".to_owned(),
        help: None,
    };
    let (step, retry_at) = (StepId::new(of), failed.at);
    failed.event = Event::AttemptFailed { step, attempt: 1, failure, retry_at };
    if let Event::StepStarted { attempt, .. } = &mut sample.tape.records[start].event {
        *attempt = 2;
    }
    for record in &mut sample.tape.records[start..] {
        record.elapsed_ms += 1_000;
    }
    sample.tape.records.splice(start..start, first.into_iter().chain([failed]));
    renumber(&mut sample);
    sample
}

#[test]
fn a_run_passes_when_everything_was_verified_met_and_removed() {
    let report = samples::passed().report();
    assert_eq!(report.verdict.outcome, Verdict::Passed, "{:?}", report.verdict.reasons());
    assert_eq!(report.exit.code, 0);
    assert_eq!(report.verdict.text, "passed");
    assert_eq!(report.verdict.notice, None);
}

#[test]
fn a_failed_check_and_a_missed_target_fail_the_run() {
    let report = samples::failed().report();
    assert_eq!((report.verdict.outcome, report.exit.code), (Verdict::Failed, 1));
    let reasons = report.verdict.reasons().join("\n");
    assert!(
        reasons.contains("missing objects of step files: expected = 0, observed 3"),
        "{reasons}"
    );
    assert!(reasons.contains("RTO missed"), "{reasons}");
    assert_eq!(report.findings[0].finding.code, "s3.missing_copies", "the gravest comes first");
}

/// A step that was begun again after a resume: its warnings stood twice in the summary and the report.
#[test]
fn regression_what_a_step_has_found_again_is_told_once_with_all_its_records() {
    let mut sample = samples::failed();
    let once = sample.report();
    let is_found = |record: &crate::journal::Record| matches!(record.event, Event::Found { .. });
    let at = sample.tape.records.iter().position(is_found).unwrap();
    let again = sample.tape.records[at].clone();
    sample.tape.records.insert(at + 1, again);
    renumber(&mut sample);
    let report = sample.report();
    assert_eq!(report.findings.len(), once.findings.len());
    let told = report.findings.iter().find(|told| told.evidence.contains(&(at as u64))).unwrap();
    assert_eq!(told.evidence, [at as u64, at as u64 + 1]);
    assert_eq!(report.verdict.outcome, once.verdict.outcome);
    // What differs in a word is another one.
    if let Event::Found { finding, .. } = &mut sample.tape.records[at + 1].event {
        finding.what.push_str(", elsewhere");
    }
    assert_eq!(sample.report().findings.len(), once.findings.len() + 1);
}

#[test]
fn an_empty_population_makes_the_run_inconclusive_whatever_the_step_says() {
    let mut sample = samples::passed();
    for record in &mut sample.tape.records {
        if let Event::Checked { step, check } = &mut record.event
            && step.as_str() == "deep"
        {
            check.population = Some(0);
        }
    }
    let report = sample.report();
    assert_eq!(report.verdict.outcome, Verdict::Inconclusive);
    assert!(report.omissions.iter().any(|omission| omission.kind == OmissionKind::Check));
}

#[test]
fn a_run_without_a_single_check_proves_nothing() {
    let mut sample = samples::passed();
    sample.tape.records.retain(|record| !matches!(record.event, Event::Checked { .. }));
    renumber(&mut sample);
    assert_eq!(sample.report().verdict.outcome, Verdict::Inconclusive);
}

#[test]
fn what_is_left_behind_is_counted_and_changes_the_exit_code() {
    let report = samples::cancelled().report();
    assert_eq!((report.exit.code, report.exit.left_behind), (130, 1));
    assert_eq!(report.verdict.outcome, Verdict::Inconclusive);
    assert!(report.resources[0].command.as_ref().unwrap().contains("delete-db-instance"));
    let mut sample = samples::passed();
    sample.tape.records.retain(|record| !matches!(record.event, Event::ResourceReleased { .. }));
    renumber(&mut sample);
    let report = sample.report();
    assert_eq!((report.exit.code, report.verdict.outcome), (5, Verdict::Inconclusive));
    assert_eq!(report.resources[0].state, ResourceState::Owned);
}

#[test]
fn what_is_kept_on_purpose_is_a_deviation_and_not_left_behind() {
    let mut sample = samples::passed();
    for record in &mut sample.tape.records {
        if let Event::ResourceReleased { key, .. } = &record.event {
            let (key, why) = (key.clone(), "--keep".to_owned());
            let command = "aws rds delete-db-instance".to_owned();
            record.event = Event::ResourceLeft { key, why, kept: true, command, calls: Vec::new() };
        }
    }
    let report = sample.report();
    assert_eq!((report.exit.code, report.exit.left_behind), (0, 0));
    assert!(report.deviations.iter().any(|text| text.contains("kept on purpose")));
}

#[test]
fn regression_an_incident_stands_in_the_report() {
    let mut sample = samples::cancelled();
    for record in &mut sample.tape.records {
        match &mut record.event {
            Event::CancelRequested { incident, .. } => *incident = true,
            Event::RunStarted { deviations, .. } => {
                deviations.push("--keep 2h: what was made is to stay for that long".to_owned());
            }
            _ => {}
        }
    }
    let report = sample.report();
    assert!(report.exit.incident);
    let said = report.deviations.join("\n");
    assert!(said.contains("--keep 2h: given up, since a real incident"), "{said}");
    assert!(said.contains("--incident by sre@bastion"), "{said}");
    assert!(report.verdict.reasons().join("\n").contains("a real incident needed the capacity"));
    assert!(!samples::cancelled().report().exit.incident);
}

#[test]
fn regression_calls_that_remove_are_among_the_calls() {
    let mut sample = samples::passed();
    let before = sample.report().calls.len();
    let seen = CallSeen {
        operation: "rds:DeleteDBInstance".to_owned(),
        site: SiteName::new("dr"),
        count: 2,
        failed: 1,
        last_request_id: Some("req-of-the-deletion".to_owned()),
    };
    for record in &mut sample.tape.records {
        if let Event::ResourceReleased { calls, .. } = &mut record.event {
            calls.push(seen.clone());
        }
    }
    let calls = sample.report().calls;
    let found = calls.iter().find(|call| call.operation == seen.operation).unwrap();
    assert_eq!((calls.len(), found.count, found.failed, found.removing), (before + 1, 2, 1, 2));
    assert_eq!(found.last_request_id, seen.last_request_id);
    assert_eq!(found.steps, [StepId::new("restore")]);
}

#[test]
fn a_rehearsal_says_that_it_is_none_of_the_real_thing() {
    let report = samples::rehearsal().report();
    assert_eq!(report.verdict.text, "rehearsal: passed, not evidence of recovery");
    assert!(report.rehearsal);
    assert!(report.verdict.notice.unwrap().starts_with("REHEARSAL"));
    assert!(report.omissions.iter().any(|omission| omission.kind == OmissionKind::Run));
}

#[test]
fn the_journal_of_another_plan_makes_no_report() {
    let mut sample = samples::passed();
    sample.plan.title.push('!');
    let made = report(&sample.plan, &sample.tape.records, &[], &samples::registry());
    assert!(matches!(made, Err(ReportError::OtherPlan { .. })));
}

#[test]
fn records_that_cannot_be_are_refused() {
    let made = |change: &dyn Fn(&mut Sample)| {
        let mut sample = samples::passed();
        change(&mut sample);
        report(&sample.plan, &sample.tape.records, &[], &samples::registry()).unwrap_err()
    };
    assert_eq!(made(&|sample| sample.tape.records.clear()), ReportError::Empty);
    assert_eq!(made(&|sample| drop(sample.tape.records.remove(0))), ReportError::NoStart);
    let gap = made(&|sample| drop(sample.tape.records.remove(5)));
    assert_eq!(gap, ReportError::Gap { expected: 5, found: 6 });
    let stranger = made(&|sample| {
        sample.tape.check("stranger", Check::made("a", "b", "c", true));
    });
    assert!(matches!(stranger, ReportError::UnknownStep { .. }));
    let twice = made(&|sample| {
        sample.tape.finish("data", Outcome::Passed, &[]);
    });
    assert!(matches!(twice, ReportError::Contradiction(_)));
}

#[test]
fn the_selfcheck_catches_a_report_that_claims_too_much() {
    let sample = samples::failed();
    let mut report = sample.report();
    report.verdict.outcome = Verdict::Passed;
    report.exit.code = 0;
    for rule in &mut report.verdict.rules {
        rule.holds = true;
    }
    let found = super::selfcheck::check(&sample.plan, &sample.tape.records, &report).unwrap_err();
    assert!(found.to_string().contains("passed although required step files did not"), "{found}");
    let sample = samples::passed();
    let mut report = sample.report();
    report.objectives.rto.as_mut().unwrap().target = human("1h");
    assert!(super::selfcheck::check(&sample.plan, &sample.tape.records, &report).is_err());
}

#[test]
fn missing_earlier_runs_and_unexercised_actions_are_named() {
    let report = samples::passed().report();
    let of = |kind| report.omissions.iter().filter(move |omission| omission.kind == kind);
    assert_eq!(of(OmissionKind::History).count(), 1);
    let actions: Vec<_> = of(OmissionKind::Action).map(|omission| omission.what.as_str()).collect();
    assert_eq!(actions, ["s3.compare_replica"]);
    assert!(of(OmissionKind::Scope).any(|omission| omission.what == "cut-over"));
}

#[test]
fn a_report_reads_back_what_it_writes_and_fits_its_schema() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    for (name, sample) in samples::all() {
        let report = sample.report();
        let written = serde_json::to_value(&report).unwrap();
        assert!(schema.is_valid(&written), "{name}: {:?}", schema.validate(&written).err());
        assert_eq!(serde_json::from_value::<Report>(written).unwrap(), report, "{name}");
    }
}

#[test]
fn the_published_schema_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema/report.json");
    let fresh = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("REDRILL_UPDATE").is_some() {
        std::fs::write(path, &fresh).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap_or_default();
    assert!(published == fresh, "run the tests with REDRILL_UPDATE=1");
}

#[test]
fn an_earlier_run_is_judged_as_its_own_report_judges_it() {
    let sample = samples::cancelled();
    let earlier = EarlierRun::of(&sample.plan, &sample.tape.records);
    assert_eq!((earlier.number, earlier.verdict), (7, Some(Verdict::Inconclusive)));
    assert!(earlier.cancelled && earlier.unreadable.is_none());
    let cut = EarlierRun::of(&sample.plan, &sample.tape.records[..4]);
    assert_eq!(cut.verdict, None);
    let wrong = EarlierRun::of(&samples::failed().plan, &sample.tape.records);
    assert!(wrong.unreadable.is_some_and(|why| why.contains("the plan")));
}

#[test]
fn the_digest_of_the_journal_is_the_one_that_the_journal_wrote() {
    let mut journal = Journal::new(Vec::new());
    let mut records = Vec::new();
    for record in samples::passed().tape.records {
        let elapsed = std::time::Duration::from_millis(record.elapsed_ms);
        records.push(journal.stage(record.at, elapsed, record.event).unwrap());
        assert_eq!(journal_digest(&records), journal.head());
    }
    assert_eq!(records, samples::passed().tape.records);
}

#[test]
fn regression_a_refusal_cites_the_record_that_says_so() {
    let sample = tried_twice("deep");
    let report = sample.report();
    let rule = report.verdict.rules.iter().find(|rule| rule.id == "guard").unwrap();
    let cited = &sample.tape.records[rule.evidence[0] as usize].event;
    assert!(matches!(cited, Event::AttemptFailed { .. }), "{cited:?}");
}

#[test]
fn regression_the_number_of_a_run_is_not_trusted_with_memory() {
    let mut sample = samples::passed();
    if let Event::RunStarted { number, .. } = &mut sample.tape.records[0].event {
        *number = u32::MAX;
    }
    let omissions = sample.report().omissions;
    let history = omissions.iter().find(|omission| omission.kind == OmissionKind::History).unwrap();
    assert!(history.what.ends_with("and 4294967279 more"), "{}", history.what);
}

#[test]
fn regression_a_cancelled_run_is_called_so() {
    let report = samples::cancelled().report();
    assert_eq!(report.verdict.text, "cancelled, inconclusive");
}

proptest! {
    /// Whatever a journal lacks, and wherever it ends: no panic, and never a pass of what is incomplete.
    #[test]
    fn a_journal_that_lacks_records_never_passes(keep in prop::collection::vec(any::<bool>(), 80)) {
        let mut sample = samples::passed();
        let mut removed = false;
        let mut index = 0;
        sample.tape.records.retain(|record| {
            index += 1;
            let proof = matches!(&record.event,
                Event::StepFinished { .. } | Event::DisasterDeclared { .. } | Event::RunFinished { .. }
                | Event::ResourceReleased { .. });
            let kept = index == 1 || !proof || keep[index % keep.len()];
            removed |= !kept;
            kept
        });
        renumber(&mut sample);
        if let Ok(report) = report(&sample.plan, &sample.tape.records, &[], &samples::registry()) {
            prop_assert!(!removed || report.verdict.outcome != Verdict::Passed);
            prop_assert!(!removed || report.exit.code != 0);
        }
    }

    #[test]
    fn a_journal_cut_anywhere_makes_a_report_that_is_not_passed(length in 1_usize..40) {
        let mut sample = samples::passed();
        let whole = sample.tape.records.len();
        sample.tape.records.truncate(length.min(whole - 1));
        let report = sample.report();
        prop_assert!(report.verdict.outcome != Verdict::Passed && report.exit.code != 0);
        prop_assert!(report.exit.unfinished);
    }
}
