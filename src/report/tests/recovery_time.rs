//! What an RTO is measured by.

use super::super::samples::{self, Sample, human};
use super::super::{DecidedBy, Moment, ObjectiveOutcome, Verdict};
use super::{renumber, replanned};
use crate::ids::StepId;
use crate::journal::Event;

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
    resumed.event = Event::resumed(gap_ms);
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
fn regression_a_torn_line_that_was_dropped_is_said_where_the_absence_is() {
    let mut sample = taken_over_after(60_000);
    for record in &mut sample.tape.records {
        if let Event::RunResumed { torn_bytes, .. } = &mut record.event {
            *torn_bytes = 20;
        }
    }
    let report = sample.report();
    let why = &report.run.standstills[0].why;
    assert!(why.starts_with("no process was at work; the journal ended in a torn"), "{why}");
    for page in [crate::render::html(&report), crate::render::markdown(&report)] {
        let page = String::from_utf8(page.unwrap()).unwrap();
        assert!(page.contains("a torn line of 20 bytes"), "{page}");
    }
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
