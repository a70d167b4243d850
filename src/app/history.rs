//! What earlier runs of a scenario say about the next one.

use super::report::earlier_runs;
use super::runs::{RunFolder, Store};
use crate::action::ExpectedTimes;
use crate::error::Result;
use crate::journal::{self, StepWait, WorldKind};
use crate::plan::Plan;
use crate::report::EarlierRun;

/// How many earlier runs tell how long waits take: times change with data and services.
const REMEMBERED: usize = 10;

/// The runs of a scenario before one of them.
pub(super) struct History {
    /// For the report: all of them.
    pub(super) earlier: Vec<EarlierRun>,
    /// How long its waits took, in the newest runs of the same kind.
    pub(super) expected: ExpectedTimes,
}

impl History {
    /// What stands in the folder of runs before the run of this number.
    pub(super) fn before(
        store: &Store,
        plan: &Plan,
        number: u32,
        world: &WorldKind,
    ) -> Result<Self> {
        let folders = store.earlier(&plan.name, number)?;
        let of_kind = folders.iter().rev().filter_map(|(_, folder)| waits_of(folder, plan, world));
        let expected = ExpectedTimes::of(of_kind.take(REMEMBERED).flatten());
        Ok(Self { earlier: earlier_runs(store, &plan.name, number)?, expected })
    }
}

/// The waits of a run in the same kind of world and in the same mode, of steps that do the same; `None` when it was another
/// kind of run. What cannot be read says nothing: the report names it.
fn waits_of(folder: &RunFolder, plan: &Plan, world: &WorldKind) -> Option<Vec<StepWait>> {
    let stored = folder.load().ok()?;
    let head = stored.state.head.as_ref()?;
    if head.world != *world || head.mode != plan.mode {
        return None;
    }
    let uses = |plan: &Plan, wait: &StepWait| plan.step(&wait.step).map(|step| step.uses.clone());
    let mut waits = journal::waits(&stored.contents.records);
    waits.retain(|wait| uses(&stored.plan, wait) == uses(plan, wait));
    Some(waits)
}
