//! What is left to do when a run is over: its reports, and telling whoever wants to hear of it.

use super::journal_store::{END_TOLD, Objects};
use super::run_one::{Ended, write_reports};
use super::runs::RunFolder;
use crate::action::{Registry, RunFacts};
use crate::engine::{self, Due, Message, World};
use crate::error::Result;
use crate::journal::{Hold, Moment};
use crate::plan::Plan;
use crate::report::EarlierRun;
use futures_util::future::LocalBoxFuture;

/// What whoever ends a run knows of it.
pub(super) struct AtItsEnd<'a> {
    pub(super) plan: &'a Plan,
    pub(super) facts: &'a RunFacts,
    pub(super) folder: &'a RunFolder,
    pub(super) registry: &'a Registry,
    pub(super) earlier: &'a [EarlierRun],
}

impl AtItsEnd<'_> {
    /// Writes the reports, and tells whoever wants to hear of the end. The journal is closed by then, so what could not be told
    /// stands on the terminal only. Its lock is held until the reports are there: who waits for the end of the run reads them next.
    pub(super) async fn end(
        &self,
        world: &World,
        store: Option<&Objects>,
        lock: Option<Hold>,
    ) -> Result<Ended> {
        let mut ended = write_reports(self.folder, self.registry, self.earlier)?;
        drop(lock);
        self.tell(world, store, &mut ended).await;
        Ok(ended)
    }

    /// What is left to do of a run that was over before: its reports, and telling its end when the process died before it had.
    /// `open` gives its world, and its store when that can be reached.
    pub(super) async fn end_again<'o>(
        &self,
        open: impl FnOnce() -> LocalBoxFuture<'o, Result<(World, Option<Objects>)>>,
    ) -> Result<Ended> {
        let mut ended = write_reports(self.folder, self.registry, self.earlier)?;
        if !self.wants_the_end() || self.was_told_here() || self.folder.is_rehearsal() {
            return Ok(ended);
        }
        let (world, store) = open().await?;
        match was_told_elsewhere(store.as_ref()).await {
            true => self.remember(None).await,
            false => self.tell(&world, store.as_ref(), &mut ended).await,
        }
        Ok(ended)
    }

    fn wants_the_end(&self) -> bool {
        self.plan.hooks.iter().any(|hook| hook.on.contains(&Moment::Finished))
    }

    fn was_told_here(&self) -> bool {
        self.folder.path.join(END_TOLD).exists()
    }

    async fn tell(&self, world: &World, store: Option<&Objects>, ended: &mut Ended) {
        let report = &ended.report;
        let text = format!("{}: {}", report.run.id, report.verdict.text);
        let message = Message { moment: Moment::Finished, step: None, text };
        for hook in self.plan.hooks.iter().filter(|hook| hook.on.contains(&Moment::Finished)) {
            let due = Due { hook: hook.clone(), message: message.clone() };
            let told = engine::tell(&*world.outside, &world.clock, &due, self.facts).await;
            if let Err(why) = told {
                let how = hook.describe();
                ended.untold.push(format!("nobody was told of the end by {how}: {why}"));
            }
        }
        if self.wants_the_end() && ended.untold.is_empty() {
            self.remember(store).await;
        }
    }

    /// Without this, whoever resumes the run tells its end to all of them again: better than not at all.
    async fn remember(&self, store: Option<&Objects>) {
        let _ = self.folder.write(END_TOLD, b"");
        if let Some(store) = store {
            let _ = store.clone().in_a_hurry().create(END_TOLD, b"told\n").await;
        }
    }
}

/// Whether another machine has told the end. A store that does not answer has not said so.
async fn was_told_elsewhere(store: Option<&Objects>) -> bool {
    let Some(store) = store else { return false };
    matches!(store.clone().in_a_hurry().read(END_TOLD).await, Ok(Some(_)))
}
