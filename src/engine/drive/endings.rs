//! The end of a run: the exercise of the loss is over, resources are removed, inventories are compared.

use super::{DriveError, Ended, Loop, UnderWay};
use crate::action::StepContext;
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
            let mut free = outstanding.into_iter().filter(|(key, _)| !busy(key));
            let may_start = state.paused.is_none() && (state.incident || !one_runs);
            let next = free.next().filter(|_| state.releasing && may_start);
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
        let ledger = look(&self.state, |state| state.ledger.clone());
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
            Ended::Inventory(when, seen.unwrap_or_default())
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
            Ended::Inventory(when, seen) => {
                self.under_way.retain(|u| *u != UnderWay::Inventory);
                let mut ours = seen.iter().flat_map(|one| &one.ours).map(|item| item.name.clone());
                let there = ours.next().filter(|_| when == InventoryTime::Before);
                self.stage(Event::InventoryTaken { when, seen })?;
                match there {
                    None => Ok(()),
                    Some(name) => self.cancel(
                        format!("{name} carries the tags of this run, which has made nothing yet: another run has the same id"),
                        false,
                    ),
                }
            }
        }
    }
}
