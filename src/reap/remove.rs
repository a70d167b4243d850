use super::decide::Decision;
use super::gather::{Leftover, Lookout, by_run};
use super::past::PastRun;
use crate::aws::GuardPolicy;
use crate::engine::{Keep, Released, release};
use crate::ids::StepId;
use crate::journal::{Hold, Holding, ResourceKey};
use std::sync::Arc;

/// What became of a leftover that was to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// A look-up said that it is gone; how, in words.
    Gone(String),
    /// It is still there, or nobody can say.
    Left {
        /// Why.
        why: String,
        /// What somebody can do about it: the command that deletes it, where that deletes nothing of others.
        command: String,
        /// True when the guard stopped a call.
        refused: bool,
        /// True when the service denied it to the role.
        denied: bool,
    },
    /// A process has taken its run over meanwhile.
    RunAtWork,
    /// The journal of its run is not what was decided by.
    RunChanged,
}

/// The lock of a run's journal, so that nobody goes on with the run while its things are removed.
pub enum RunLock {
    /// It is held for as long as this lives.
    Held(Hold),
    /// There is no journal here.
    NoJournal,
    /// A process is working on the run.
    AtWork,
    /// Nobody works on the run now, but somebody did since its journal was read.
    Changed,
    /// The lock could not be tried; the text says why.
    Unknown(String),
}

/// Removes a leftover whose decision says so, and believes that it is gone when a look-up says so. The lock of its run's journal is
/// held until then.
pub async fn remove(
    lookout: &Lookout,
    past: &[PastRun],
    leftover: &Leftover,
    lock: RunLock,
) -> Removal {
    let left = |why: &str| {
        let (why, command) = (why.to_owned(), leftover.command.clone());
        Removal::Left { why, command, refused: false, denied: false }
    };
    if leftover.decision != Decision::Remove {
        return left("it was not to be removed");
    }
    let held = match lock {
        RunLock::AtWork => return Removal::RunAtWork,
        RunLock::Changed => return Removal::RunChanged,
        RunLock::Unknown(why) => return left(&format!("its journal cannot be locked: {why}")),
        held => held,
    };
    let mut removal = remove_at(lookout, past, leftover, &leftover.key).await;
    for site in &leftover.others {
        // What one role is denied, another one of the same place may do. Whatever else went wrong would go wrong again.
        let Removal::Left { why, denied: true, .. } = removal else { break };
        let key = ResourceKey { site: site.clone(), ..leftover.key.clone() };
        removal = match remove_at(lookout, past, leftover, &key).await {
            Removal::Left { why: next, command, refused, denied } => {
                let why = format!("{why}; with another role: {next}");
                Removal::Left { why, command, refused, denied }
            }
            removed => removed,
        };
    }
    drop(held);
    removal
}

async fn remove_at(
    lookout: &Lookout,
    past: &[PastRun],
    leftover: &Leftover,
    key: &ResourceKey,
) -> Removal {
    let policy = policy_for(key, leftover);
    let guarded = |(name, session): (&_, &crate::aws::SiteSession)| {
        (Clone::clone(name), session.under(policy.clone()))
    };
    let sessions = Arc::new(lookout.sessions.iter().map(guarded).collect());
    let lookout = Lookout { sessions, ..lookout.clone() };
    let known = by_run(past);
    let mut context = lookout.context(&key.site, known.get(&leftover.run).copied());
    let mut facts = (*context.facts).clone();
    facts.run = leftover.run.clone();
    context.facts = Arc::new(facts);
    let kind = lookout.registry.resource_kind(&key.kind).cloned();
    let holding = Holding::Owned { step: StepId::new("reap"), id: leftover.id.clone() };
    match release(&context, kind.as_deref(), key, &holding, Keep::Nothing).await {
        Released::Gone(how) => Removal::Gone(how.to_owned()),
        Released::Left { why, command, refused, denied, .. } => {
            Removal::Left { why, command, refused, denied }
        }
    }
}

/// What the guard lets through while this is removed: the removal of exactly this.
fn policy_for(key: &ResourceKey, doomed: &Leftover) -> Arc<GuardPolicy> {
    Arc::new(GuardPolicy::removing([(key.clone(), Some(doomed.id.clone()))]))
}
