//! What an RPO is measured by.

use super::super::samples::{self, human};
use super::super::{ObjectiveOutcome, Report, Verdict};
use super::{renumber, replanned, tried_twice};
use crate::ids::{SiteName, StepId};
use crate::journal::Event;

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
