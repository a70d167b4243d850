//! Runs of a store as they are for whoever looks afterwards: nothing is written.

use super::objects::Objects;
use super::owner::Owner;
use super::resume::segments;
use crate::app::runs::plan_of;
use crate::engine::LONGEST_REMOVAL;
use crate::error::{Error, Result};
use crate::ids::RunId;
use crate::journal::{Record, RunState};
use crate::plan::Plan;
use chrono::{DateTime, TimeDelta, Utc};

/// A run as it stands in its store.
pub(in crate::app) struct InStore {
    pub(in crate::app) plan: Plan,
    pub(in crate::app) records: Vec<Record>,
    pub(in crate::app) state: RunState,
    /// Whoever claimed it last.
    pub(in crate::app) owner: Owner,
}

/// The runs of a store, by name: folders that hold something of a run. What else lies there is passed over.
///
/// # Errors
/// When they cannot be listed.
pub(in crate::app) async fn runs(objects: &Objects) -> Result<Vec<RunId>> {
    objects.folders().await
}

/// Reads a run; `None` for one that has no journal, and so has made nothing: its first record is there before anything else.
///
/// # Errors
/// When something is missing, does not verify, or cannot be read.
pub(in crate::app) async fn past(objects: &Objects) -> Result<Option<InStore>> {
    let (_, records) = segments(objects).await?;
    if records.is_empty() {
        return Ok(None);
    }
    let place = objects.shown("");
    let place = place.trim_end_matches('/');
    let folded = RunState::of(&records);
    let state = folded.map_err(|e| Error::broken(format!("{place}/journal: {e}")))?;
    let missing = |what: &str| Error::broken(format!("{place} has a journal and no {what}"));
    let plan = objects.read("plan.json").await?.ok_or_else(|| missing("plan.json"))?;
    let plan = plan_of(&plan, &state, place)?;
    let owner = Owner::last(objects).await?.ok_or_else(|| missing("owner"))?;
    // A run that was copied to another name would be removed under that one.
    match state.head.as_ref().map(|head| &head.run) {
        Some(run) if run == objects.run() => {}
        other => {
            let other = other.map_or("none", |run| run.as_str());
            return Err(Error::broken(format!(
                "the journal in {place} is that of the run {other}"
            )));
        }
    }
    Ok(Some(InStore { plan, records, state, owner }))
}

impl InStore {
    /// Until when the process that claimed the run last may be working on it: so long its own limit lets it go on, and from
    /// then, or from its last record, so long as one removal takes at most. `None` for a run that is over.
    ///
    /// Nobody can see a process of another machine. After this time one that still lives is waiting for something: for a
    /// removal that was paused, for credentials.
    pub(in crate::app) fn may_live_until(&self) -> Option<DateTime<Utc>> {
        if self.state.finished.is_some() {
            return None;
        }
        let ends = TimeDelta::from_std(self.plan.guard.max_duration.0).ok();
        let ends = ends.and_then(|length| self.owner.since.checked_add_signed(length));
        let ends = ends.unwrap_or(DateTime::<Utc>::MAX_UTC);
        let last = self.state.last_at.map_or(ends, |last| last.max(ends));
        let removal = TimeDelta::from_std(LONGEST_REMOVAL).unwrap_or(TimeDelta::zero());
        Some(last.checked_add_signed(removal).unwrap_or(DateTime::<Utc>::MAX_UTC))
    }
}
