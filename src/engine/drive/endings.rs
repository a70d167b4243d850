//! The end of a run: the exercise of the loss is over, resources are removed, inventories are compared.

use super::{DriveError, Ended, Loop, UnderWay};
use crate::action::{Registry, StepContext};
use crate::aws::CallLog;
use crate::engine::inventory;
use crate::engine::recorder::look;
use crate::engine::release::{Released, release};
use crate::engine::world::Keep;
use crate::ids::{SiteName, StepId};
use crate::journal::{Event, Holding, InventoryTime, ResourceKey};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// How long expired credentials of a site are waited for while resources are removed, all of them together. After that
/// they are named as left behind.
const CREDENTIALS_WHILE_RELEASING: Duration = Duration::from_secs(30 * 60);

impl Loop<'_> {
    /// The exercise of the loss begins or ends: while resources are being removed, every site may be used again.
    pub(super) fn lose(&self, begins: bool) {
        let lost = &self.plan.disaster.lost;
        self.world.policy.set_lost(if begins { lost } else { &[] });
        if !begins {
            // Steps have limits of their own; releasing has none, and must come to its end.
            for session in self.world.sessions.values() {
                session.credentials().limit_patience(CREDENTIALS_WHILE_RELEASING);
            }
        }
        (self.world.on_loss)(lost, begins);
    }

    /// Starts the removal of the newest resource that may still be there: one at a time, or all at once when an incident
    /// needs the capacity. True when there may be another one to start.
    pub(super) fn release_next(&mut self) -> bool {
        let busy = |key: &ResourceKey| self.under_way.contains(&UnderWay::Release(key.clone()));
        let one_runs = self.under_way.iter().any(|u| matches!(u, UnderWay::Release(_)));
        let (next, incident) = look(&self.state, |state| {
            let outstanding = state.ledger.outstanding();
            let waits = |place: usize| may_still_be_copied(self.registry, &outstanding, place);
            let free = outstanding.iter().enumerate();
            let mut free = free.filter(|(place, (key, _))| !busy(key) && !waits(*place));
            let may_start = state.paused.is_none() && (state.incident || !one_runs);
            let next = free.next().map(|(_, next)| *next).filter(|_| state.releasing && may_start);
            (next.map(|(key, holding)| (key.clone(), holding.clone())), state.incident)
        });
        let Some((key, holding)) = next else { return false };
        let step = match &holding {
            Holding::Intended { step } | Holding::Owned { step, .. } => step.clone(),
            Holding::Released { .. } | Holding::Left { .. } => return false,
        };
        let kind = self.registry.resource_kind(&key.kind).cloned();
        // Those of a removal that an incident has overtaken count, too.
        let calls = self.removal_calls.entry(key.clone()).or_default().clone();
        let context = self.context(step, Some(key.site.clone()), calls.clone());
        let keep = if incident { self.keep.in_an_incident() } else { self.keep };
        self.under_way.push(UnderWay::Release(key.clone()));
        self.tasks.spawn(async move {
            let released = release(&context, kind.as_deref(), &key, &holding, keep).await;
            Ended::Release(key, released, calls)
        });
        true
    }

    /// Starts the inventory that is due, if one is.
    pub(super) fn take_inventory(&mut self) {
        let due = look(&self.state, |state| inventory::due(self.plan, state));
        let Some(when) = due.filter(|_| !self.under_way.contains(&UnderWay::Inventory)) else {
            return;
        };
        let (ledger, incident) = look(&self.state, |state| (state.ledger.clone(), state.incident));
        let targets = inventory::targets(self.plan, self.registry);
        let registry = self.registry.clone();
        let step = StepId::new("inventory");
        let template = self.context(step, None, CallLog::default());
        self.under_way.push(UnderWay::Inventory);
        self.tasks.spawn(async move {
            let at = |site: &SiteName| StepContext { at: Some(site.clone()), ..template.clone() };
            let taken = inventory::take(&targets, &registry, &ledger, at);
            let seen = AssertUnwindSafe(taken).catch_unwind().await;
            // Nothing was seen, so nothing is claimed.
            Ended::Inventory(when, incident, seen.unwrap_or_default())
        });
    }

    /// That a copy is not there says nothing as long as what it is made of stays: it may still come.
    fn believed(&self, key: &ResourceKey, released: Released) -> Released {
        let (Released::Gone(_), Some(kind)) = (&released, self.registry.resource_kind(&key.kind))
        else {
            return released;
        };
        let original = look(&self.state, |state| {
            let was_seen = !matches!(state.ledger.get(key), Some(Holding::Intended { .. }));
            let mut left = state.ledger.left().into_iter().filter(|_| !was_seen);
            let original = left.find(|(other, _)| kind.is_copy_of(key, other));
            original.map(|(other, kept)| (other.clone(), kept))
        });
        let Some((original, kept)) = original else { return released };
        let how = if kept { "kept" } else { "left behind" };
        let session = self.world.sessions.get(&key.site);
        let region = session.map(|session| session.place().region.clone()).unwrap_or_default();
        Released::Left {
            why: format!(
                "it is not there yet, and may still be copied from {original}, which is {how}"
            ),
            kept,
            refused: false,
            denied: false,
            command: kind.command(key, None, &region),
        }
    }

    fn keeps_nothing(&self) -> bool {
        let incident = look(&self.state, |state| state.incident);
        incident && self.keep.in_an_incident() == Keep::Nothing
    }

    pub(super) fn ended(&mut self, ended: Ended) -> Result<(), DriveError> {
        match ended {
            Ended::Step(step, attempt, calls) => {
                self.under_way.retain(|u| *u != UnderWay::Step(step.clone()));
                self.step_ended(step, attempt, &calls)
            }
            Ended::Release(key, released, calls) => {
                self.under_way.retain(|u| *u != UnderWay::Release(key.clone()));
                let calls = calls.seen();
                let event = match self.believed(&key, released) {
                    Released::Gone(how) => {
                        Event::ResourceReleased { key, how: how.to_owned(), calls }
                    }
                    // An incident has come up meanwhile: it stays in the ledger, and is removed as the rest.
                    Released::Left { kept: true, .. } if self.keeps_nothing() => return Ok(()),
                    Released::Left { why, kept, command, .. } => {
                        Event::ResourceLeft { key, why, kept, command, calls }
                    }
                };
                self.stage(event)
            }
            Ended::Inventory(when, in_incident, seen) => {
                self.under_way.retain(|u| *u != UnderWay::Inventory);
                // What was kept when the listing began has been removed since: it is listed once more.
                let is_stale = look(&self.state, |state| state.incident) && !in_incident;
                if is_stale && when == InventoryTime::After {
                    return Ok(());
                }
                self.stage(Event::InventoryTaken { when, seen })
            }
        }
    }
}

/// Whether one of these, newest first, may still come into being, since what it is a copy of is not removed yet: that it is not
/// there says nothing then.
fn may_still_be_copied(
    registry: &Registry,
    outstanding: &[(&ResourceKey, &Holding)],
    place: usize,
) -> bool {
    let Some((key, Holding::Intended { .. })) = outstanding.get(place) else { return false };
    let Some(kind) = registry.resource_kind(&key.kind) else { return false };
    outstanding[..place].iter().any(|(newer, _)| kind.is_copy_of(key, newer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_a_copy_that_was_not_seen_waits_for_its_original_to_be_removed() {
        let registry = crate::providers::registry();
        let key = |bucket: &str, site: &str| ResourceKey {
            kind: "s3.canary_object".to_owned(),
            name: format!("{bucket}/redrill-canary/run-canary"),
            site: SiteName::new(site),
        };
        let (copy, original) = (key("files-dr", "dr"), key("files", "primary"));
        let step = StepId::new("canary");
        let intended = Holding::Intended { step: step.clone() };
        let owned = Holding::Owned { step, id: "there".to_owned() };
        let waits = |outstanding: &[(&ResourceKey, &Holding)], place| {
            may_still_be_copied(&registry, outstanding, place)
        };
        // The source is intended last, so that it is the first to be removed.
        let both = [(&original, &owned), (&copy, &intended)];
        assert!(waits(&both, 1) && !waits(&both, 0));
        assert!(!waits(&[(&copy, &intended)], 0));
        // Nor does one wait that was seen, and neither waits for ever where no answer has come for both.
        assert!(!waits(&[(&original, &owned), (&copy, &owned)], 1));
        let neither = [(&original, &intended), (&copy, &intended)];
        assert!(waits(&neither, 1) && !waits(&neither, 0));
    }
}
