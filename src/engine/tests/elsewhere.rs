//! Things of which nobody can say here whether they are there, or which are not the run's any more.

use crate::action::{Found, Permission, ResourceContext, ResourceKind, StepError};
use crate::engine::{Keep, LOOK_FIRST, Released, release};
use crate::ids::{SiteName, StepId};
use crate::journal::{Holding, ResourceKey};
use crate::outside::fake::{FakeOutside, context};
use futures_util::future::BoxFuture;
use std::sync::Mutex;
use std::time::Duration;

/// A kind whose things are seen so, one look after the other.
struct Looks(Mutex<Vec<Found>>);

impl ResourceKind for Looks {
    fn kind(&self) -> &'static str {
        "test.elsewhere"
    }
    fn find<'a>(
        &'a self,
        _: &'a ResourceContext,
        _: &'a ResourceKey,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        let found = self.0.lock().unwrap().remove(0);
        Box::pin(std::future::ready(Ok(found)))
    }
    fn remove<'a>(
        &'a self,
        _: &'a ResourceContext,
        _: &'a ResourceKey,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn command(&self, _: &ResourceKey, _: Option<&str>, _: &str) -> String {
        "undo it there".to_owned()
    }
    fn permissions(&self) -> &'static [Permission] {
        &[]
    }
}

#[tokio::test(start_paused = true)]
async fn regression_what_cannot_be_looked_for_here_is_left_at_once_and_never_called_gone() {
    let unknown = || Found::Unknown { why: "it is on host-a".to_owned() };
    let there = Found::Ours { id: "one".to_owned(), state: "there".to_owned() };
    let step = StepId::new("make");
    for (looks, holding, said) in [
        (vec![unknown()], Holding::Intended { step: step.clone() }, "it is on host-a"),
        (
            vec![unknown()],
            Holding::Owned { step: step.clone(), id: "one".to_owned() },
            "it is on host-a",
        ),
        (
            vec![there, unknown()],
            Holding::Owned { step: step.clone(), id: "one".to_owned() },
            "its removal was asked for; it is on host-a",
        ),
    ] {
        let (context, ..) = context(FakeOutside::default());
        let kind = Looks(Mutex::new(looks));
        let (name, site) = ("one".to_owned(), SiteName::new("dr"));
        let key = ResourceKey { kind: kind.kind().to_owned(), name, site };
        let began = context.clock.elapsed();
        let released = release(&context, Some(&kind), &key, &holding, Keep::Nothing).await;
        let Released::Left { why, kept: false, refused: false, command, .. } = released else {
            panic!("{released:?}");
        };
        assert_eq!((why.as_str(), command.as_str()), (said, "undo it there"));
        assert!(context.clock.elapsed() - began < Duration::from_secs(10), "{said}");
    }
}

fn foreign(claimed: bool) -> Found {
    Found::Foreign { why: "one has the tag redrill:run=other".to_owned(), claimed }
}

/// How the removal of a thing ends that the run owns and that is seen so, and how long that took.
async fn removed(looks: Vec<Found>) -> (Released, Duration) {
    let (context, ..) = context(FakeOutside::default());
    let kind = Looks(Mutex::new(looks));
    let (name, site) = ("one".to_owned(), SiteName::new("dr"));
    let key = ResourceKey { kind: kind.kind().to_owned(), name, site };
    let holding = Holding::Owned { step: StepId::new("make"), id: "one".to_owned() };
    let began = context.clock.elapsed();
    let released = release(&context, Some(&kind), &key, &holding, Keep::Nothing).await;
    (released, context.clock.elapsed() - began)
}

/// It was tried for nine minutes, and then told with the command that deletes what is another run's.
#[tokio::test(start_paused = true)]
async fn regression_what_another_run_has_claimed_is_left_at_once_without_a_command_that_deletes_it()
{
    let there = Found::Ours { id: "one".to_owned(), state: "there".to_owned() };
    for looks in [vec![foreign(true)], vec![there, foreign(true)]] {
        let (released, took) = removed(looks).await;
        let why = "it is not ours any more: one has the tag redrill:run=other".to_owned();
        let command = LOOK_FIRST.to_owned();
        let left = Released::Left { why, kept: false, refused: false, denied: false, command };
        assert_eq!(released, left);
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    assert!(LOOK_FIRST.starts_with("# "), "a shell takes it for a comment");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_say_yet_whose_it_is_is_looked_for_again() {
    let there = Found::Ours { id: "one".to_owned(), state: "there".to_owned() };
    let (released, took) = removed(vec![foreign(false), there, Found::Gone]).await;
    assert_eq!(released, Released::Gone("deleted"));
    assert!(took >= Duration::from_secs(1), "{took:?}");
}
