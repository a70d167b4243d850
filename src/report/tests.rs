use super::samples::{self, Sample, human};
use super::{
    DecidedBy, EarlierRun, Moment, ObjectiveOutcome, OmissionKind, Report, ReportError,
    ResourceState, Verdict, journal_digest, report, schema,
};
use crate::ids::{SiteName, StepId};
use crate::journal::{CallSeen, Check, Event, Failure, FailureClass, Journal, Outcome};
use proptest::prelude::*;

#[test]
fn a_run_passes_when_everything_was_verified_met_and_removed() {
    let report = samples::passed().report();
    assert_eq!(report.verdict.outcome, Verdict::Passed, "{:?}", report.verdict.reasons());
    assert_eq!(report.exit.code, 0);
    assert_eq!(report.verdict.text, "passed");
    assert_eq!(report.verdict.notice, None);
}

#[test]
fn the_recovery_time_is_measured_from_the_declaration_to_the_last_acceptance_gate() {
    let report = samples::passed().report();
    let rto = report.objectives.rto.unwrap();
    // 1s + 14s + 4m + 6m 30s + 1s + 2s + 47m + 1s + 40s
    assert_eq!(rto.measured, Some(human("58m 29s")));
    assert_eq!(rto.actual, Some(human("1h 28m 29s")), "30m of decision are assumed");
    assert_eq!(rto.waiting_for_people, human("10m 30s"));
    assert_eq!(rto.uncertainty, human("30s"));
    assert!(rto.lower_bound.is_some());
    assert_eq!(rto.outcome, ObjectiveOutcome::Met);
}

#[test]
fn the_worst_case_of_the_schedule_decides_when_it_is_worse_than_the_day() {
    let rpo = samples::passed().report().objectives.rpo.unwrap();
    assert_eq!(rpo.of_the_day, Some(human("7h 58m 25s 600ms")));
    assert_eq!(rpo.actual, Some(human("25h 40m")));
    assert_eq!(rpo.decided_by, Some(DecidedBy::Schedule));
    let mut sample = samples::passed();
    sample.plan.objectives.rpo.as_mut().unwrap().target = human("25h");
    assert_eq!(replanned(sample).objectives.rpo.unwrap().outcome, ObjectiveOutcome::Missed);
}

/// The report after the plan was changed, as if the run had been one of that plan.
fn replanned(mut sample: Sample) -> Report {
    let digest = sample.plan.digest();
    if let Event::RunStarted { plan, .. } = &mut sample.tape.records[0].event {
        *plan = digest;
    }
    sample.report()
}

#[test]
fn a_point_of_the_backup_does_not_measure_an_objective_about_the_data() {
    let mut sample = samples::passed();
    for record in &mut sample.tape.records {
        if let Event::RecoveryPointSeen { point, .. } = &mut record.event {
            point.measure = crate::journal::Measure::Backup;
        }
    }
    let report = sample.report();
    assert_eq!(report.objectives.rpo.as_ref().unwrap().outcome, ObjectiveOutcome::NotMeasured);
    assert_eq!(report.verdict.outcome, Verdict::Inconclusive);
    assert_eq!(report.exit.code, 2);
}

#[test]
fn of_several_proven_steps_the_oldest_point_counts() {
    let mut sample = samples::passed();
    let (index, mut record) = sample
        .tape
        .records
        .iter()
        .enumerate()
        .find(|(_, record)| matches!(&record.event, Event::RecoveryPointSeen { step, .. } if step.as_str() == "data"))
        .map(|(index, record)| (index, record.clone()))
        .unwrap();
    if let Event::RecoveryPointSeen { step, point } = &mut record.event {
        *step = StepId::new("files");
        point.at -= chrono::TimeDelta::hours(20);
    }
    sample.tape.records.insert(index, record);
    renumber(&mut sample);
    let rpo = sample.report().objectives.rpo.unwrap();
    assert_eq!(rpo.of_the_day, Some(human("27h 58m 25s 600ms")));
    assert_eq!(rpo.outcome, ObjectiveOutcome::Missed);
}

fn renumber(sample: &mut Sample) {
    for (index, record) in sample.tape.records.iter_mut().enumerate() {
        record.seq = index as u64;
    }
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
fn the_critical_path_is_the_chain_that_held_up_the_last_acceptance_gate() {
    let report = samples::passed().report();
    let path: Vec<_> = report.timeline.critical_path.iter().map(StepId::as_str).collect();
    assert_eq!(path, ["point", "approve", "restore", "data"]);
    let files = report.timeline.steps.iter().find(|step| step.id.as_str() == "files").unwrap();
    assert!(!files.critical);
}

#[test]
fn without_a_declaration_nothing_is_measured() {
    let mut sample = samples::passed();
    sample.tape.records.retain(|record| !matches!(record.event, Event::DisasterDeclared { .. }));
    renumber(&mut sample);
    let report = sample.report();
    assert_eq!(report.objectives.rto.as_ref().unwrap().outcome, ObjectiveOutcome::NotMeasured);
    assert_eq!(report.objectives.rpo.as_ref().unwrap().outcome, ObjectiveOutcome::NotMeasured);
    assert!(!report.clock.iter().any(|moment| moment.moment == Moment::Declared));
}

#[test]
fn a_clock_that_is_set_during_the_run_does_not_change_the_measure() {
    let mut sample = samples::passed();
    for record in sample.tape.records.iter_mut().skip(20) {
        record.at -= chrono::TimeDelta::hours(3);
    }
    assert_eq!(sample.report().objectives.rto.unwrap().measured, Some(human("58m 29s")));
}

/// The good run, whose process died while it restored; another one went on after a gap.
fn taken_over_after(gap_ms: u64) -> Sample {
    let mut sample = samples::passed();
    let at = sample
        .tape
        .records
        .iter()
        .position(|record| matches!(&record.event, Event::ResourceOwned { .. }));
    let at = at.unwrap() + 1;
    let mut resumed = sample.tape.records[at].clone();
    resumed.event = Event::RunResumed {
        torn_bytes: 0,
        gap_ms,
        operator: None,
        tool: None,
        limits: Vec::new(),
        without_store: None,
    };
    resumed.elapsed_ms = 5;
    sample.tape.records.insert(at, resumed);
    let shift = sample.tape.records[at + 1].elapsed_ms;
    for record in sample.tape.records.iter_mut().skip(at + 1) {
        record.elapsed_ms = record.elapsed_ms - shift + 5 + 47 * 60_000;
    }
    renumber(&mut sample);
    sample
}

#[test]
fn the_time_over_a_resume_counts_and_is_stated() {
    let report = taken_over_after(60_000).report();
    let rto = report.objectives.rto.unwrap();
    assert_eq!(rto.measured, Some(human("59m 29s")));
    assert_eq!(rto.unattended, Some(human("1m")));
    assert_eq!(rto.outcome, ObjectiveOutcome::Met);
    assert_eq!(report.run.resumed, 1);
    let still = &report.run.standstills[0];
    assert_eq!((still.why.as_str(), still.duration), ("no process was at work", human("1m")));
}

#[test]
fn when_only_an_absence_decides_between_met_and_missed_the_rto_is_not_measured() {
    let report = taken_over_after(10 * 3_600_000).report();
    let rto = report.objectives.rto.unwrap();
    assert_eq!((rto.outcome, rto.actual), (ObjectiveOutcome::NotMeasured, None));
    assert!(rto.why.unwrap().contains("lies between"));
    assert_eq!(report.verdict.outcome, Verdict::Inconclusive);
}

#[test]
fn regression_a_clock_that_was_behind_when_another_process_went_on_measures_no_recovery_time() {
    let mut sample = taken_over_after(0);
    let resumed = |r: &crate::journal::Record| matches!(r.event, Event::RunResumed { .. });
    let at = sample.tape.records.iter().position(resumed).unwrap();
    for record in sample.tape.records.iter_mut().skip(at) {
        record.at -= chrono::TimeDelta::hours(3);
    }
    let rto = sample.report().objectives.rto.unwrap();
    assert_eq!((rto.outcome, rto.actual), (ObjectiveOutcome::NotMeasured, None));
    assert!(rto.why.unwrap().contains(" behind the last record"));
}

#[test]
fn time_in_which_somebody_halted_the_run_is_waiting_for_people() {
    let mut sample = samples::passed();
    let before = sample.report().objectives.rto.unwrap();
    let made =
        |record: &crate::journal::Record| matches!(&record.event, Event::ResourceOwned { .. });
    let at = sample.tape.records.iter().position(made).unwrap();
    let mut paused = sample.tape.records[at].clone();
    paused.event = Event::RunPaused { by: "anna".to_owned() };
    let mut continued = sample.tape.records[at + 1].clone();
    continued.event = Event::RunContinued { by: "bert".to_owned() };
    let halted = continued.elapsed_ms - paused.elapsed_ms;
    sample.tape.records.insert(at + 1, paused);
    sample.tape.records.insert(at + 2, continued);
    renumber(&mut sample);
    let report = sample.report();
    let rto = report.objectives.rto.unwrap();
    let more = rto.waiting_for_people.0 - before.waiting_for_people.0;
    assert_eq!((more.as_millis() as u64, rto.measured), (halted, before.measured));
    assert_eq!(report.run.standstills[0].why, "halted by anna");
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
fn regression_a_point_that_an_earlier_attempt_saw_does_not_count() {
    let mut sample = tried_twice("data");
    let mut points = sample.tape.records.iter_mut().filter_map(|record| match &mut record.event {
        Event::RecoveryPointSeen { step, point } if step.as_str() == "data" => Some(point),
        _ => None,
    });
    points.next().unwrap().at += chrono::TimeDelta::hours(5);
    let report = sample.report();
    let rpo = report.objectives.rpo.unwrap();
    assert_eq!(rpo.newest.unwrap().to_rfc3339(), "2026-11-19T17:01:58+00:00");
    let why: Vec<_> =
        report.recovery_points.iter().map(|point| point.does_not_count.as_deref()).collect();
    let again = Some("the step was tried again");
    assert_eq!(why, [Some("the target is about the data itself"), again, None]);
}

#[test]
fn regression_the_time_in_which_nobody_looks_at_a_replica_is_no_loss() {
    let nine_hours = chrono::TimeDelta::hours(9);
    let loss = |goes_on_then: bool, target: &str| {
        let mut sample = samples::passed();
        let rpo = sample.plan.objectives.rpo.as_mut().unwrap();
        (rpo.measure, rpo.target) = (crate::journal::Measure::Backup, human(target));
        for record in &mut sample.tape.records {
            match &mut record.event {
                // Somebody halted the drill between the look and the declaration.
                Event::DisasterDeclared { .. } => record.at += nine_hours,
                Event::RecoveryPointSeen { point, .. } => {
                    (point.goes_on, point.worst_case) = (goes_on_then, None);
                }
                _ => {}
            }
        }
        let rpo = replanned(sample).objectives.rpo.unwrap();
        (rpo.of_the_day.unwrap().0, rpo.notes.join(" "), rpo.outcome)
    };
    let ((replica, said, outcome), (backup, _, of_backup)) =
        (loss(true, "26h"), loss(false, "26h"));
    assert_eq!((outcome, of_backup), (ObjectiveOutcome::Met, ObjectiveOutcome::Met));
    let by = backup.saturating_sub(replica);
    let about_nine_hours = human("8h 59m").0..nine_hours.to_std().unwrap();
    assert!(about_nine_hours.contains(&by), "{replica:?} {backup:?}");
    assert!(said.contains("the copy goes on being written: it was looked at 8h 59m"), "{said}");
    // The loss of the day is eight hours at the look, and seventeen if the copy stood still since.
    assert_eq!(loss(true, "12h").2, ObjectiveOutcome::NotMeasured);
    assert_eq!(loss(false, "12h").2, ObjectiveOutcome::Missed);
    assert_eq!(loss(true, "7h").2, ObjectiveOutcome::Missed);
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
fn regression_data_that_was_read_before_the_disaster_proves_no_recovery_point() {
    let mut sample = samples::passed();
    let data = sample.plan.steps.iter_mut().find(|step| step.id.as_str() == "data").unwrap();
    data.phase = crate::action::Phase::Prepare;
    let rpo = replanned(sample).objectives.rpo.unwrap();
    assert_eq!(rpo.outcome, ObjectiveOutcome::NotMeasured);
}

/// The good run with a target for backups, whose backup was found before the disaster, at this site.
fn found_before(site: &str, kept_at: Option<&str>) -> Report {
    let mut sample = samples::passed();
    sample.plan.objectives.rpo.as_mut().unwrap().measure = crate::journal::Measure::Backup;
    let point = sample.plan.steps.iter_mut().find(|step| step.id.as_str() == "point").unwrap();
    point.phase = crate::action::Phase::Prepare;
    point.at = Some(SiteName::new(site));
    for record in &mut sample.tape.records {
        if let Event::RecoveryPointSeen { point, .. } = &mut record.event {
            point.kept_at = kept_at.map(SiteName::new);
        }
    }
    let records = &mut sample.tape.records;
    let is_of_it = |event: &Event| event.step().is_some_and(|step| step.as_str() == "point");
    let declared = |event: &Event| matches!(event, Event::DisasterDeclared { .. });
    let at = records.iter().position(|record| declared(&record.event)).unwrap();
    let (seq, ms) = (records[at].seq, records[at].elapsed_ms);
    let moved: Vec<_> = records.iter().filter(|record| is_of_it(&record.event)).cloned().collect();
    records.retain(|record| !is_of_it(&record.event));
    let moved =
        moved.into_iter().map(|record| crate::journal::Record { seq, elapsed_ms: ms, ..record });
    records.splice(at..at, moved);
    renumber(&mut sample);
    replanned(sample)
}

#[test]
fn regression_a_backup_at_a_site_that_is_lost_afterwards_proves_no_recovery_point() {
    let here = found_before("dr", None).objectives.rpo.unwrap();
    assert_eq!(here.measured_from, Some(crate::journal::Measure::Backup));
    assert_eq!(here.actual, Some(human("25h 40m")), "the worst case of its schedule");
    let report = found_before("primary", None);
    let why = report.recovery_points[0].does_not_count.as_deref().unwrap();
    assert!(why.contains("at a site that was lost"), "{why}");
    let lost = report.objectives.rpo.unwrap();
    assert_eq!(lost.measured_from, Some(crate::journal::Measure::Data), "what was read afterwards");
    assert_eq!(lost.worst_case, None, "its schedule is lost with it");
    let replica = found_before("primary", Some("dr")).objectives.rpo.unwrap();
    assert_eq!(replica.worst_case, Some(human("25h 40m")), "a replica is where it is");
}

#[test]
fn regression_a_point_that_is_told_again_with_its_end_is_one_point() {
    let mut sample = samples::passed();
    let seen = |record: &crate::journal::Record| matches!(&record.event, Event::RecoveryPointSeen { step, .. } if step.as_str() == "point");
    let at = sample.tape.records.iter().position(seen).unwrap();
    let mut again = sample.tape.records[at].clone();
    if let Event::RecoveryPointSeen { point, .. } = &mut again.event {
        let end = point.at + chrono::TimeDelta::hours(1);
        point.not_newer_than = Some(crate::journal::NewestPossible { at: end, certain: true });
    }
    let points = sample.report().recovery_points.len();
    sample.tape.records.insert(at + 1, again);
    renumber(&mut sample);
    let report = sample.report();
    assert_eq!(report.recovery_points.len(), points);
    let point = &report.recovery_points[0];
    assert!(point.point.not_newer_than.is_some());
    assert_eq!(point.evidence, [at as u64, at as u64 + 1], "both records are cited");
}

#[test]
fn regression_a_recovery_time_without_the_cut_over_after_it_is_a_lower_bound() {
    let with_cut_over = |before: &str| {
        let mut sample = samples::passed();
        let ends = |record: &crate::journal::Record| matches!(&record.event, Event::StepFinished { step, .. } if step.as_str() == before);
        let at = sample.tape.records.iter().position(ends).unwrap();
        let mut record = sample.tape.records[at].clone();
        record.event = Event::Reached {
            step: StepId::new(before),
            point: crate::journal::ClockPoint::CutOver,
            at: record.at,
            source: "journal".to_owned(),
        };
        sample.tape.records.insert(at, record);
        renumber(&mut sample);
        sample.report().objectives.rto.unwrap().lower_bound
    };
    assert_eq!(with_cut_over("data"), None);
    assert!(
        with_cut_over("deep").is_some_and(|why| why.contains("after the last acceptance gate"))
    );
}

#[test]
fn regression_moments_and_recovery_time_agree_although_the_clock_was_set() {
    let mut sample = samples::passed();
    for record in sample.tape.records.iter_mut().skip(20) {
        record.at += chrono::TimeDelta::hours(3);
    }
    let report = sample.report();
    let accepted = report.clock.iter().find(|moment| moment.moment == Moment::Accepted).unwrap();
    assert_eq!(accepted.since_declared, report.objectives.rto.unwrap().measured);
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

#[test]
fn regression_a_gate_that_waits_for_nothing_stops_no_clock() {
    let mut sample = samples::passed();
    for step in sample.plan.steps.iter_mut().filter(|step| step.id.as_str() == "data") {
        step.needs.clear();
    }
    let report = replanned(sample);
    let rto = report.objectives.rto.unwrap();
    assert_eq!(rto.outcome, ObjectiveOutcome::NotMeasured);
    assert!(rto.why.unwrap().contains("no acceptance gate waits for"));
    assert_ne!(report.verdict.outcome, Verdict::Passed);
}

#[test]
fn regression_a_gate_that_looked_at_nothing_proves_nothing() {
    let mut sample = samples::passed();
    sample.tape.records.retain(|record| {
        !matches!(&record.event, Event::Checked { step, .. } if ["data", "deep"].contains(&step.as_str()))
    });
    renumber(&mut sample);
    let report = sample.report();
    assert_eq!(report.objectives.rto.unwrap().outcome, ObjectiveOutcome::NotMeasured);
    assert_eq!(report.objectives.rlo.unwrap().outcome, ObjectiveOutcome::NotMeasured);
}

#[test]
fn regression_data_from_after_the_disaster_was_not_recovered() {
    let mut sample = samples::passed();
    let declared = sample.tape.records.iter().find_map(|record| {
        matches!(record.event, Event::DisasterDeclared { .. }).then_some(record.at)
    });
    for record in &mut sample.tape.records {
        if let Event::RecoveryPointSeen { step, point } = &mut record.event
            && step.as_str() == "data"
        {
            point.at = declared.unwrap() + chrono::TimeDelta::minutes(5);
        }
    }
    let rpo = sample.report().objectives.rpo.unwrap();
    assert_eq!(rpo.outcome, ObjectiveOutcome::NotMeasured);
    assert!(rpo.why.unwrap().contains("5m younger than the declaration"));
}
