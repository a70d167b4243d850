//! People hear of what happens, and what they hear never decides about the run.

use super::rig::{ending, making, rig, step};
use crate::journal::{Event, Moment, Outcome};
use crate::scenario::Hook;

fn hook(on: &[Moment]) -> Hook {
    Hook { on: on.iter().copied().collect(), post: None, run: Some(vec!["page".to_owned()]) }
}

fn told(ran: &super::rig::Ran) -> Vec<(Moment, Option<String>)> {
    let told = ran.records.iter().filter_map(|record| match &record.event {
        Event::Notified { moment, problem, .. } => Some((*moment, problem.clone())),
        _ => None,
    });
    told.collect()
}

#[test]
fn each_moment_is_told_once_and_the_record_says_whether_it_worked() {
    let mut rig = rig(vec![step("a", making()), step("b", ending("fail")).needs("a")]);
    rig.estate.0.lock().unwrap().cannot_delete = true;
    rig.plan.hooks = vec![
        hook(&[Moment::Started, Moment::Failed]),
        hook(&[Moment::Leftover, Moment::ApprovalNeeded, Moment::Finished]),
    ];
    let ran = rig.run();
    // Nothing is outside of this world, so nobody could be told, and that is all that it changes.
    let nobody = Some("nobody answered before the deadline (3 tries)".to_owned());
    let moments = [Moment::Started, Moment::Failed, Moment::Leftover];
    let mut told = told(&ran);
    told.sort();
    assert_eq!(told, moments.map(|moment| (moment, nobody.clone())));
    assert_eq!(ran.state().finished, Some(Outcome::Failed));
    let last = ran.records.last().unwrap();
    assert!(matches!(last.event, Event::RunFinished { .. }), "the last message is waited for");
}

#[test]
fn without_hooks_nothing_is_written_down_about_them() {
    assert_eq!(told(&rig(vec![step("a", ending("fail"))]).run()), []);
}

#[test]
fn regression_a_message_that_ended_with_its_process_is_told_by_the_next_one() {
    let failing = || {
        let mut rig = rig(vec![step("a", ending("fail")).going_on(), step("b", making())]);
        rig.plan.hooks = vec![hook(&[Moment::Started, Moment::Failed])];
        rig
    };
    let whole = failing().run();
    let heard = |record: &crate::journal::Record| {
        matches!(record.event, Event::Notified { moment: Moment::Failed, .. })
    };
    let heard = whole.records.iter().position(heard).expect("a failed step is told");
    let told_after = |records: &[crate::journal::Record]| -> Vec<Moment> {
        let resumed = failing().after(records, 60).run();
        told(&resumed).into_iter().map(|(moment, _)| moment).collect()
    };
    // Nobody was reached in this world, so that all are told again.
    let unheard = whole.records.clone();
    let twice = [Moment::Started, Moment::Failed, Moment::Started, Moment::Failed];
    assert_eq!(told_after(&unheard[..=heard]), twice);
    // What was told is not told again. The process dies after the record of the failure, and before that of its message.
    let mut reached = whole.records;
    for record in &mut reached {
        if let Event::Notified { problem, .. } = &mut record.event {
            *problem = None;
        }
    }
    assert_eq!(told_after(&reached[..heard]), [Moment::Started, Moment::Failed]);
    assert_eq!(told_after(&reached[..=heard]), [Moment::Started, Moment::Failed]);
}

#[test]
fn regression_a_failure_in_the_last_moment_is_told_too() {
    // Nothing is made, so that nothing is to be removed: the failure is followed by the end at once.
    let mut rig = rig(vec![step("a", ending("fail"))]);
    rig.plan.hooks = vec![hook(&[Moment::Failed])];
    let ran = rig.run();
    let moments: Vec<Moment> = told(&ran).into_iter().map(|(moment, _)| moment).collect();
    assert_eq!(moments, [Moment::Failed]);
    assert!(matches!(ran.records.last().unwrap().event, Event::RunFinished { .. }));
}
