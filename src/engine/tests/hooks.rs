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
    let nobody = Some("nobody answered before the deadline".to_owned());
    let moments = [Moment::Started, Moment::Failed, Moment::Leftover];
    assert_eq!(told(&ran), moments.map(|moment| (moment, nobody.clone())));
    assert_eq!(ran.state().finished, Some(Outcome::Failed));
    let last = ran.records.last().unwrap();
    assert!(matches!(last.event, Event::RunFinished { .. }), "the last message is waited for");
}

#[test]
fn without_hooks_nothing_is_written_down_about_them() {
    assert_eq!(told(&rig(vec![step("a", ending("fail"))]).run()), []);
}
