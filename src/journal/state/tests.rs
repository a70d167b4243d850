use super::*;
use crate::journal::FORMAT;
use serde_json::Value;

fn records(events: Vec<(i64, Event)>) -> Vec<Record> {
    let record = |(seq, (minutes, event)): (usize, (i64, Event))| Record {
        seq: seq as u64,
        at: DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes),
        elapsed_ms: 0,
        prev: Digest::ZERO,
        event,
    };
    events.into_iter().enumerate().map(record).collect()
}

fn start() -> Event {
    Event::RunStarted {
        format: FORMAT,
        run: RunId::new("test-0001-abcdef"),
        number: 1,
        scenario: "test".to_owned(),
        plan: Digest::ZERO,
        scenario_digest: Digest::ZERO,
        mode: "drill".to_owned(),
        world: WorldKind::Real,
        tool: "test".to_owned(),
        operator: "test".to_owned(),
        seed: 1,
        expires: DateTime::UNIX_EPOCH,
        keep: None,
        deviations: Vec::new(),
        limits: Vec::new(),
    }
}

#[test]
fn the_recovery_point_of_a_backup_is_certain_until_another_attempt_says_again_what_it_had_said() {
    let step = StepId::new("restore");
    let started =
        |attempt| Event::StepStarted { step: StepId::new("restore"), attempt, input: Value::Null };
    let seen = || Event::RecoveryPointSeen {
        step: StepId::new("restore"),
        point: RecoveryPoint {
            at: DateTime::UNIX_EPOCH,
            source: "RestoreWindow.LatestTime".to_owned(),
            measure: Measure::Backup,
            identity: "backup".to_owned(),
            worst_case: None,
            not_newer_than: None,
            kept_at: None,
            goes_on: false,
        },
    };
    let certain = |events: Vec<Event>| {
        let events = events.into_iter().map(|event| (0, event)).collect();
        RunState::of(&records(events)).unwrap().backup_points[&step].is_some()
    };
    assert!(certain(vec![start(), started(1), seen()]));
    assert!(!certain(vec![start(), started(1), seen(), started(2)]));
    assert!(certain(vec![start(), started(1), seen(), started(2), seen()]));
}

#[test]
fn regression_an_answer_is_kept_while_its_attempt_has_not_ended_and_no_longer() {
    let step = || StepId::new("ask");
    let began = |attempt| Event::StepStarted { step: step(), attempt, input: Value::Null };
    let asked = Event::ApprovalRequested {
        step: step(),
        text: "Go on?".to_owned(),
        deadline: DateTime::UNIX_EPOCH + TimeDelta::minutes(30),
        signed_by: None,
    };
    let approval = Approval {
        approved: true,
        by: "anna".to_owned(),
        identified_by: "test".to_owned(),
        comment: None,
        proof: None,
        identity: None,
    };
    let given = Event::ApprovalGiven { step: step(), approval: approval.clone() };
    let answer = |more: Vec<(i64, Event)>| {
        let first = vec![(0, start()), (1, began(1)), (2, asked.clone())];
        let state = RunState::of(&records([first, more].concat())).unwrap();
        let asked = state.questions.get(&step()).filter(|asked| asked.stands);
        asked.map(|asked| (asked.at, asked.answer.clone()))
    };
    let at = |minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
    assert_eq!(answer(vec![]), Some((at(2), None)));
    let died = vec![(5, given.clone()), (90, Event::resumed(0)), (90, began(2))];
    assert_eq!(answer(died), Some((at(2), Some((approval, at(5))))));
    let failure = crate::action::StepError::transient("not this time").into_failure();
    let retry_at = at(6);
    let failed = Event::AttemptFailed { step: step(), attempt: 1, failure, retry_at };
    assert_eq!(answer(vec![(5, given), (5, failed), (6, began(2))]), None);
}

/// Another attempt asks the same people, until the same time.
#[test]
fn what_was_asked_is_known_to_a_later_attempt() {
    let step = || StepId::new("ask");
    let began = |attempt| Event::StepStarted { step: step(), attempt, input: Value::Null };
    let deadline = DateTime::UNIX_EPOCH + TimeDelta::minutes(30);
    let signed_by = Some("/srv/drills/approvers".to_owned());
    let text = "Go on?".to_owned();
    let question = Question {
        text: text.clone(),
        at: DateTime::UNIX_EPOCH + TimeDelta::minutes(2),
        deadline,
        signed_by: signed_by.clone(),
        stands: false,
        answer: None,
    };
    let asked = Event::ApprovalRequested { step: step(), text, deadline, signed_by };
    let failure = crate::action::StepError::transient("not this time").into_failure();
    let failed = Event::AttemptFailed { step: step(), attempt: 1, failure, retry_at: deadline };
    let events = vec![(0, start()), (1, began(1)), (2, asked), (5, failed), (6, began(2))];
    let state = RunState::of(&records(events)).unwrap();
    assert_eq!(state.questions.get(&step()), Some(&question));
}

#[test]
fn regression_whom_the_sites_have_seen_is_known_of_every_process() {
    let seen = |identity: &str| Event::SiteIdentified {
        site: SiteName::new("dr"),
        account: "222222222222".to_owned(),
        region: "ap-northeast-3".to_owned(),
        identity: identity.to_owned(),
    };
    let events = vec![(0, start()), (0, seen("bert")), (5, Event::resumed(0)), (5, seen("carl"))];
    let state = RunState::of(&records(events)).unwrap();
    assert_eq!(state.identities.into_iter().collect::<Vec<_>>(), ["bert", "carl"]);
}

#[test]
fn regression_time_without_a_process_does_not_count_towards_the_limit_of_a_step() {
    let step = StepId::new("a");
    let began = |attempt| Event::StepStarted { step: step.clone(), attempt, input: Value::Null };
    let failure = crate::action::StepError::transient("not this time").into_failure();
    let retry_at = DateTime::UNIX_EPOCH + TimeDelta::minutes(31);
    let failed = Event::AttemptFailed { step: step.clone(), attempt: 2, failure, retry_at };
    // An attempt died with its process after 5 minutes; then nothing ran for 15. A later one took 10 and failed, and
    // nothing ran for 60 minutes before the next one.
    let all = records(vec![
        (0, start()),
        (0, began(1)),
        (5, Event::CancelRequested { by: "nobody: only a record".to_owned(), incident: false }),
        (20, Event::resumed(0)),
        (20, began(2)),
        (30, failed),
        (90, Event::resumed(0)),
        (90, began(3)),
    ]);
    let state = RunState::of(&all).unwrap();
    let Some(StepState::Running { since, .. }) = state.steps.get(&step) else { panic!() };
    assert_eq!(*since, DateTime::UNIX_EPOCH + TimeDelta::minutes(80), "10 of 90 minutes count");
}

#[test]
fn regression_a_halt_does_not_use_up_the_limit_of_a_step_that_waits_to_begin_again() {
    let step = StepId::new("a");
    let began = |attempt| Event::StepStarted { step: step.clone(), attempt, input: Value::Null };
    let by = || "anna".to_owned();
    let paused = || Event::RunPaused { by: by() };
    let note = || Event::SiteIdentified {
        site: SiteName::new("dr"),
        account: "222222222222".to_owned(),
        region: "ap-northeast-3".to_owned(),
        identity: by(),
    };
    let since = |events: Vec<(i64, Event)>| {
        let state = RunState::of(&records(events)).unwrap();
        match state.steps.get(&step) {
            Some(StepState::Running { since, .. } | StepState::Retrying { since, .. }) => {
                (*since - DateTime::UNIX_EPOCH).num_minutes()
            }
            other => panic!("{other:?}"),
        }
    };
    // Halted at 5; the process dies, others look at 20 and at 40, and it goes on at 70.
    let died = |last| {
        vec![
            (0, start()),
            (0, began(1)),
            (5, paused()),
            (20, Event::resumed(0)),
            (30, note()),
            (40, Event::resumed(0)),
            (50, note()),
            (70, Event::RunContinued { by: by() }),
            last,
        ]
    };
    assert_eq!(since(died((71, began(2)))), 70);
    // An attempt that is under way goes on in a halted run, and its time counts.
    let goes_on = vec![(0, start()), (0, began(1)), (5, paused()), (50, note())];
    assert_eq!(since(goes_on), 0);
    // It fails at 10, and the next one cannot begin before 60.
    let failure = crate::action::StepError::transient("not this time").into_failure();
    let retry_at = DateTime::UNIX_EPOCH + TimeDelta::minutes(11);
    let failed = Event::AttemptFailed { step: step.clone(), attempt: 1, failure, retry_at };
    let halted = vec![
        (0, start()),
        (0, began(1)),
        (5, paused()),
        (10, failed),
        (60, Event::RunContinued { by: by() }),
    ];
    assert_eq!(since(halted), 50);
}
