//! Looking for what runs have left. Reads only.
//!
//! Main function: [`gather`]. What services list is in [`listing`], what only journals name in [`journal_told`]; what becomes of it is
//! decided in `decide`.

mod journal_told;
mod listing;

use self::journal_told::by_journal;
use self::listing::{Known, leftover, list_canaries, list_kind};
use super::decide::{Decision, expiry_of};
use super::past::{PastRun, PastThing};
use crate::action::{
    Expiry, Listed, Recorder, Registry, RunFacts, Sessions, StepContext, StepError,
};
use crate::aws::{CallLog, failure_of};
use crate::client;
use crate::ids::{Digest, RunId, SiteName, StepId};
use crate::journal::{Event, FailureClass, ResourceKey};
use crate::outside::Outside;
use crate::time::Clock;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Why nothing may be asked at a site in whose account somebody answers; `None` when it may be.
pub type Forbids = Arc<dyn Fn(&SiteName, &str) -> Option<String> + Send + Sync>;

/// Where is looked, and for what.
#[derive(Clone)]
pub struct Lookout {
    /// The kinds of resources.
    pub registry: Registry,
    /// The sites.
    pub sessions: Sessions,
    /// The clock.
    pub clock: Clock,
    /// What is not AWS.
    pub outside: Arc<dyn Outside>,
    /// Buckets, with an optional prefix, in which canaries are looked for.
    pub canaries: Vec<String>,
    /// Only this run.
    pub only: Option<RunId>,
    /// Also what has not expired.
    pub all: bool,
    /// True when nothing will be removed: no program is started either.
    pub dry_run: bool,
    /// Why nothing is asked at a site, given the account that answers there.
    pub forbids: Forbids,
    /// Told what is being waited for.
    pub progress: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Who says that a thing is a run's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldBy {
    /// Its own tags.
    Tags,
    /// The journal of its run.
    Journal,
    /// Both.
    Both,
}

/// Something that a run has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Kind, name in the ledger, and the site at which it was found.
    pub key: ResourceKey,
    /// Sites at the same place, with other roles: for what the role of that one is denied.
    pub others: Vec<SiteName>,
    /// What the service calls it.
    pub id: String,
    /// Its state, in the service's words.
    pub state: String,
    /// The account that it is in.
    pub account: String,
    /// The region that it is in.
    pub region: String,
    /// The run that made it.
    pub run: RunId,
    /// The scenario of the run, where it is known.
    pub scenario: Option<String>,
    /// When it was made (UTC), where the service says so.
    pub made: Option<DateTime<Utc>>,
    /// When it may be removed by anyone.
    pub expires: Expiry,
    /// Who says that it is the run's.
    pub told_by: ToldBy,
    /// What becomes of it.
    pub decision: Decision,
    /// The command that removes it by hand.
    pub command: String,
}

/// Something that could not be asked: what is there is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAsked {
    /// The site, or the run whose journal could not be read.
    pub place: String,
    /// What was asked for.
    pub what: Sought,
    /// Why there is no answer.
    pub why: String,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sought {
    /// Everything at a site: its role could not be used, or may not be.
    Everything,
    /// A kind, a thing or a journal, in words.
    One(String),
}

impl fmt::Display for Sought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Everything => "everything",
            Self::One(what) => what,
        })
    }
}

/// What was found, and what could not be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// What runs have left, in the order of removal.
    pub leftovers: Vec<Leftover>,
    /// What could not be asked.
    pub not_asked: Vec<NotAsked>,
    /// What the reader should know: kinds that cannot be listed, places that were not named.
    pub notes: Vec<String>,
}

/// A place that answered.
struct Site {
    name: SiteName,
    /// The same place with other roles.
    others: Vec<SiteName>,
    account: String,
    region: String,
}

/// Looks for everything that runs have left at the sites. Reads only.
///
/// What could not be asked is said; it does not stop the others.
pub async fn gather(lookout: &Lookout, past: &[PastRun]) -> Gathered {
    let mut gathered = Gathered::default();
    let sites = identify(lookout, &mut gathered).await;
    let mut listed = Vec::new();
    for kind in lookout.registry.resource_kinds() {
        if kind.is_canary() {
            list_canaries(lookout, &**kind, &sites, &mut listed, &mut gathered).await;
        } else {
            list_kind(lookout, &**kind, &sites, &mut listed, &mut gathered).await;
        }
    }
    let wanted = |run: &RunId| lookout.only.as_ref().is_none_or(|only| only == run);
    listed.retain(|(_, _, listed): &(String, usize, Listed)| wanted(&listed.run));
    let now = lookout.clock.now();
    let mut told = BTreeSet::new();
    for (kind, site, listed) in listed {
        let site = &sites[site];
        let made_by = past.iter().find(|other| {
            // Not by its name, which of a volume is a tag, too.
            let is_it = |thing: &PastThing| {
                thing.id.as_ref() == Some(&listed.id) && thing.kind == kind && is_at(thing, site)
            };
            other.run != listed.run && other.things.iter().any(is_it)
        });
        let past = past.iter().find(|past| past.run == listed.run);
        let thing =
            past.and_then(|past| past.things.iter().find(|t| is_same(t, &kind, &listed, site)));
        // What bears a name elsewhere says nothing of the one that the journal means; canaries are wherever their bucket is.
        let is_canary = lookout.registry.resource_kind(&kind).is_some_and(|kind| kind.is_canary());
        if thing.is_some() || is_canary {
            told.insert((listed.run.clone(), kind.clone(), listed.name.clone()));
        }
        let known = Known { past, thing, made_by: made_by.map(|other| &other.run) };
        gathered.leftovers.push(leftover(lookout, &kind, site, &listed, &known, now));
    }
    for past in past.iter().filter(|past| wanted(&past.run)) {
        for thing in &past.things {
            if !told.contains(&(past.run.clone(), thing.kind.clone(), thing.name.clone())) {
                by_journal(lookout, past, thing, &sites, &mut gathered).await;
            }
        }
    }
    // The newest first, as a run releases them; the order is that of the listing where nobody knows.
    let holds_others = |leftover: &Leftover| {
        lookout.registry.resource_kind(&leftover.key.kind).is_some_and(|kind| kind.holds_others())
    };
    gathered
        .leftovers
        .sort_by_key(|leftover| (holds_others(leftover), std::cmp::Reverse(leftover.made)));
    gathered
}

fn is_same(thing: &PastThing, kind: &str, listed: &Listed, site: &Site) -> bool {
    thing.kind == kind && thing.name == listed.name && is_at(thing, site)
}

fn is_at(thing: &PastThing, site: &Site) -> bool {
    thing.region == site.region
        && thing.account.as_ref().is_none_or(|account| *account == site.account)
}

/// Who answers at each site. A site where somebody else answers is not asked anything else.
async fn identify(lookout: &Lookout, gathered: &mut Gathered) -> Vec<Site> {
    let mut sites: Vec<Site> = Vec::new();
    for (name, session) in lookout.sessions.iter() {
        let place = session.place();
        let client = client!(session, aws_sdk_sts);
        let why = match client.get_caller_identity().send().await {
            Ok(answer) => {
                let account = answer.account().unwrap_or_default().to_owned();
                let forbidden = (lookout.forbids)(name, &account);
                match place.account.as_ref().filter(|wanted| **wanted != account) {
                    None if forbidden.is_some() => forbidden.unwrap_or_default(),
                    None => {
                        let region = place.region.clone();
                        let known = |s: &Site| s.account == account && s.region == region;
                        match sites.iter().position(known) {
                            Some(known) => sites[known].others.push(name.clone()),
                            None => {
                                let (name, others) = (name.clone(), Vec::new());
                                sites.push(Site { name, others, account, region });
                            }
                        }
                        continue;
                    }
                    Some(wanted) => {
                        format!(
                            "it must be account {wanted}, but the credentials are those of {account}"
                        )
                    }
                }
            }
            Err(error) => failure_of("sts:GetCallerIdentity", &error).message,
        };
        gathered.not_asked.push(NotAsked {
            place: name.to_string(),
            what: Sought::Everything,
            why,
        });
    }
    sites
}

fn is_denied<T>(answer: &Result<T, StepError>) -> bool {
    matches!(answer, Err(error) if error.class() == FailureClass::Denied)
}

impl Lookout {
    /// When a thing of this kind may be removed by anyone.
    fn expiry_of(
        &self,
        kind: &str,
        tag: Option<Expiry>,
        past: Option<&PastRun>,
        kept_until: Option<DateTime<Utc>>,
    ) -> Expiry {
        let kind = self.registry.resource_kind(kind);
        let serves_a_check = kind.is_some_and(|kind| kind.is_canary() || kind.is_temporary());
        expiry_of(serves_a_check, tag, past, kept_until)
    }

    /// The powers of a step of the run at a site, so that kinds judge as they do in the run.
    pub(super) fn context(&self, site: &SiteName, past: Option<&PastRun>) -> StepContext {
        let now = self.clock.now();
        let facts = RunFacts {
            operators: vec!["operator".to_owned()],
            run: past.map_or_else(|| RunId::new("reap"), |past| past.run.clone()),
            scenario: past.map_or_else(String::new, |past| past.scenario.clone()),
            plan: Digest::ZERO,
            seed: 0,
            expires: past.map_or(now, |past| past.expires),
            started: now,
            withhold_data: past.is_none_or(|past| past.withholds_data),
            is_drill: true,
            expected: Default::default(),
        };
        StepContext {
            facts: Arc::new(facts),
            step: StepId::new("reap"),
            at: Some(site.clone()),
            clock: self.clock.clone(),
            outside: self.outside.clone(),
            sessions: self.sessions.clone(),
            recorder: Arc::new(Unwritten(self.progress.clone())),
            calls: CallLog::default(),
        }
    }

    fn command(&self, key: &ResourceKey, id: Option<&str>, region: &str) -> String {
        let kind = self.registry.resource_kind(&key.kind);
        kind.map_or_else(String::new, |kind| kind.command(key, id, region))
    }
}

/// The journal of a run that is over takes no more records; what is done here is printed instead.
struct Unwritten(Arc<dyn Fn(&str) + Send + Sync>);

impl Recorder for Unwritten {
    fn record(&self, _: Event) -> BoxFuture<'_, Result<(), StepError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn holds(&self, _: &ResourceKey) -> bool {
        false
    }

    fn progress(&self, _: &StepId, text: &str) {
        (self.0)(text);
    }
}

/// The past runs by name; used where each leftover needs its own.
pub(super) fn by_run(past: &[PastRun]) -> BTreeMap<&RunId, &PastRun> {
    past.iter().map(|past| (&past.run, past)).collect()
}
