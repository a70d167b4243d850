use super::refused::Refused;
use super::rules::kinds::{self, CANARY};
use super::rules::{Claim, EXPIRES_TAG, RUN_TAG, STEP_TAG};
use crate::ids::{RunId, SiteName, StepId};
use crate::journal::{Event, Holding, Ledger, ResourceKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the clients of some sites may do, shared by all of them. Everything may be read, except at lost sites; what may be
/// changed is said by how the policy was made.
#[derive(Debug, Default)]
pub struct GuardPolicy(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lost: BTreeSet<SiteName>,
    may_change: MayChange,
}

#[derive(Debug, Default)]
enum MayChange {
    /// Nothing: before a run, after it, and for whoever only looks.
    #[default]
    Nothing,
    /// What this run's ledger holds. The ledger is the one on disk: see [`GuardPolicy::on_disk`].
    Of(Box<(RunLimits, Ledger)>),
    /// The removal of exactly these, with the ids of those that have one.
    Removing(BTreeMap<ResourceKey, Option<String>>),
    /// Writing objects whose `bucket/key` lies in this place.
    Storing(String),
}

/// The limits of a run that the guard enforces by itself, besides its ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLimits {
    /// The run: what it makes must carry its tags.
    pub run: RunId,
    /// Sites at which it may make things: `guard.write`.
    pub write: Vec<SiteName>,
    /// Buckets, with an optional prefix, in which it may write canaries: `guard.canaries`.
    pub canaries: Vec<String>,
}

impl GuardPolicy {
    /// Only reading.
    pub fn read_only() -> Self {
        Self::default()
    }

    /// What a run may do whose ledger stands where `ledger` says, on disk.
    pub fn of_run(limits: RunLimits, ledger: Ledger) -> Self {
        let policy = Self::default();
        policy.begin_run(limits, ledger);
        policy
    }

    /// Reading, and the removal of exactly these resources: each with what AWS calls it, for those that AWS names. For
    /// removing what other runs have left: whoever lists them has looked at their tags.
    pub fn removing(these: impl IntoIterator<Item = (ResourceKey, Option<String>)>) -> Self {
        let policy = Self::default();
        policy.state().may_change = MayChange::Removing(these.into_iter().collect());
        policy
    }

    /// Adds to what may be removed, for a policy made by [`GuardPolicy::removing`]; any other refuses as before.
    pub fn also_remove(&self, key: ResourceKey, id: Option<String>) {
        if let MayChange::Removing(these) = &mut self.state().may_change {
            these.insert(key, id);
        }
    }

    /// Reading, and writing objects below `place` (a bucket, with an optional prefix).
    pub fn storing(place: &str) -> Self {
        let policy = Self::default();
        policy.state().may_change = MayChange::Storing(place.to_owned());
        policy
    }

    /// From now on what the ledger holds may be changed. `ledger` must be the one on disk.
    pub fn begin_run(&self, limits: RunLimits, ledger: Ledger) {
        self.state().may_change = MayChange::Of(Box::new((limits, ledger)));
    }

    /// From now on nothing may be changed.
    pub fn end_run(&self) {
        self.state().may_change = MayChange::Nothing;
    }

    /// Learns of an event that is *on disk*. An intent that is only about to be written does not count: if the process died
    /// then, nobody would know of what was made.
    pub fn on_disk(&self, event: &Event) {
        if let MayChange::Of(run) = &mut self.state().may_change {
            // An event that cannot be is not learned: what it would allow stays refused.
            let _ = run.1.apply(event);
        }
    }

    /// From now on every call to exactly these sites is refused, reads included.
    pub fn set_lost(&self, sites: &[SiteName]) {
        self.state().lost = sites.iter().cloned().collect();
    }

    pub(super) fn is_lost(&self, site: &SiteName) -> bool {
        self.state().lost.contains(site)
    }

    /// Whether a call at this site may make all these changes. `operation` is as in IAM.
    pub(super) fn permit(
        &self,
        operation: &str,
        site: &SiteName,
        claims: &[Claim],
    ) -> Result<(), Refused> {
        let (operation, site) = (operation.to_owned(), site.clone());
        if claims.is_empty() {
            let why = "it names nothing that it would change".to_owned();
            return Err(Refused::Unclear { operation, site, why });
        }
        let state = self.state();
        for claim in claims {
            let verdict = match &state.may_change {
                MayChange::Nothing => return Err(Refused::ReadOnly { operation, site }),
                MayChange::Of(run) => of_run(&run.0, &run.1, &site, claim),
                MayChange::Removing(these) => of_removal(these, &site, claim),
                MayChange::Storing(place) => of_store(place, claim),
            };
            if let Err(why) = verdict {
                return Err(Refused::NotOurs { operation, site, resource: shown(claim), why });
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `bucket/key` lies in a place: a bucket, with an optional prefix.
pub fn lies_in(name: &str, place: &str) -> bool {
    let place = place.trim_end_matches('/');
    let below = name.strip_prefix(place).and_then(|rest| rest.strip_prefix('/'));
    !place.is_empty() && below.is_some_and(|key| !key.is_empty())
}

fn shown(claim: &Claim) -> String {
    match claim {
        Claim::Named { kind, name } | Claim::Made { kind, name, .. } => format!("{kind} {name}"),
        Claim::Identified { kind, id } | Claim::Tagged { kind, id, .. } => format!("{kind} {id}"),
        Claim::Object { name, .. } => format!("{CANARY} {name}"),
    }
}

/// `Err` says why a claim is none of this run.
fn of_run(
    limits: &RunLimits,
    ledger: &Ledger,
    site: &SiteName,
    claim: &Claim,
) -> Result<(), String> {
    if !limits.write.contains(site) {
        return Err(format!("may not be changed: guard.write does not name {site}"));
    }
    let named = |kind: &str, name: &str| {
        let key = ResourceKey { kind: kind.to_owned(), name: name.to_owned(), site: site.clone() };
        held_by(ledger.get(&key))
    };
    match claim {
        Claim::Named { kind, name } => {
            let other = kinds::also(kind).and_then(|other| named(other, name).ok());
            other.map_or_else(|| named(kind, name), Ok).map(drop)
        }
        Claim::Made { kind, name, tags } => owned_by(tags, &limits.run, named(kind, name)?),
        Claim::Identified { kind, id } => identified(ledger, site, kind, id).map(drop),
        Claim::Tagged { kind, id, tags } => {
            not_disowned_by(tags, &limits.run, identified(ledger, site, kind, id)?)
        }
        Claim::Object { name, written } => {
            if !limits.canaries.iter().any(|place| lies_in(name, place)) {
                return Err("may not be changed: guard.canaries does not name its place".to_owned());
            }
            let step = named(CANARY, name)?;
            written.as_ref().map_or(Ok(()), |marks| owned_by(marks, &limits.run, step))
        }
    }
}

/// The step whose resource it is, as long as the run holds it.
fn held_by(holding: Option<&Holding>) -> Result<&StepId, String> {
    match holding {
        Some(Holding::Intended { step } | Holding::Owned { step, .. }) => Ok(step),
        Some(Holding::Released { how }) => {
            Err(format!("is not the run's any more: its ledger says {how}"))
        }
        Some(Holding::Left { .. }) => {
            Err("is not the run's any more: its ledger says that it was left".to_owned())
        }
        None => Err("is not in the ledger of the run".to_owned()),
    }
}

/// The step whose resource is called so by AWS.
fn identified<'l>(
    ledger: &'l Ledger,
    site: &SiteName,
    kind: &str,
    id: &str,
) -> Result<&'l StepId, String> {
    let bound = ledger.outstanding().into_iter().find_map(|(key, holding)| match holding {
        Holding::Owned { step, id: owned }
            if owned == id && is_of_kind(key, kind) && key.site == *site =>
        {
            Some(step)
        }
        _ => None,
    });
    bound.ok_or_else(|| "is not in the ledger of the run: no intent is bound to it".to_owned())
}

/// True also for a kind that AWS does not tell from this one.
fn is_of_kind(key: &ResourceKey, kind: &str) -> bool {
    key.kind == kind || kinds::also(kind) == Some(key.kind.as_str())
}

/// What is made must be found again by its tags, without the journal.
fn owned_by(tags: &BTreeMap<String, String>, run: &RunId, step: &StepId) -> Result<(), String> {
    for (tag, wanted) in [(RUN_TAG, run.as_str()), (STEP_TAG, step.as_str())] {
        if tags.get(tag).map(String::as_str) != Some(wanted) {
            return Err(format!("would be made without the tag {tag}={wanted}"));
        }
    }
    match tags.contains_key(EXPIRES_TAG) {
        true => Ok(()),
        false => Err(format!("would be made without the tag {EXPIRES_TAG}")),
    }
}

/// New tags of what exists must leave it recognisable.
fn not_disowned_by(
    tags: &BTreeMap<String, String>,
    run: &RunId,
    step: &StepId,
) -> Result<(), String> {
    let changed = tags.iter().find(|(tag, value)| {
        let kept = match tag.as_str() {
            RUN_TAG => value.as_str() == run.as_str(),
            STEP_TAG => value.as_str() == step.as_str(),
            EXPIRES_TAG => true,
            other => !other.starts_with("redrill:"),
        };
        !kept
    });
    match changed {
        None => Ok(()),
        Some((tag, _)) => Err(format!("would lose what its tag {tag} says")),
    }
}

fn of_removal(
    these: &BTreeMap<ResourceKey, Option<String>>,
    site: &SiteName,
    claim: &Claim,
) -> Result<(), String> {
    let listed = |kind: &str, name: &str| {
        let key = ResourceKey { kind: kind.to_owned(), name: name.to_owned(), site: site.clone() };
        these.contains_key(&key)
    };
    let allowed = match claim {
        Claim::Named { kind, name } => {
            listed(kind, name) || kinds::also(kind).is_some_and(|other| listed(other, name))
        }
        Claim::Identified { kind, id } => these.iter().any(|(key, known)| {
            is_of_kind(key, kind) && key.site == *site && known.as_deref() == Some(id.as_str())
        }),
        Claim::Object { name, written: None } => listed(CANARY, name),
        Claim::Made { .. } | Claim::Tagged { .. } | Claim::Object { .. } => {
            return Err("may not be made or tagged here, only removed".to_owned());
        }
    };
    if allowed { Ok(()) } else { Err("is not among what may be removed".to_owned()) }
}

fn of_store(place: &str, claim: &Claim) -> Result<(), String> {
    match claim {
        Claim::Object { name, written: Some(_) } if lies_in(name, place) => Ok(()),
        _ => Err(format!("may not be changed here: only objects below {place} are written")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_or_a_prefix_and_never_a_part_of_a_name() {
        for (name, place) in [
            ("uploads/canary/x", "uploads"),
            ("uploads/canary/x", "uploads/"),
            ("uploads/canary/x", "uploads/canary/"),
            ("uploads/canary/x/y", "uploads/canary"),
        ] {
            assert!(lies_in(name, place), "{name} in {place}");
        }
        for (name, place) in [
            ("uploads-prod/x", "uploads"),
            ("uploads/canaryx", "uploads/canary"),
            ("uploads/canary/", "uploads/canary/"),
            ("uploads/x", ""),
            ("uploads/x", "/"),
            ("/x", "/"),
        ] {
            assert!(!lies_in(name, place), "{name} in {place}");
        }
    }
}
