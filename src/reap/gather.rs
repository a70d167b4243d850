use super::decide::{Decision, decide, expiry_of};
use super::past::{PastRun, PastThing};
use crate::action::{
    Expiry, Found, Listed, Listing, Reach, Recorder, Registry, ResourceKind, RunFacts, Sessions,
    StepContext, StepError,
};
use crate::aws::{CallLog, failure_of};
use crate::client;
use crate::engine::LOOK_FIRST;
use crate::ids::{Digest, RunId, SiteName, StepId};
use crate::journal::{Event, FailureClass, ResourceKey};
use crate::outside::Outside;
use crate::time::Clock;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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
        let is_of_another = past.iter().any(|other| {
            let is_it = |thing: &PastThing| {
                thing.id.as_ref() == Some(&listed.id) && is_same(thing, &kind, &listed, site)
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
        let mut found = leftover(lookout, &kind, site, &listed, (past, thing), now);
        // It has the tags of one run, and another one has made it.
        if is_of_another && listed.doubt.is_some() {
            found.command = LOOK_FIRST.to_owned();
        }
        gathered.leftovers.push(found);
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

/// How long the listing of one kind at one site may take: a large account, or a bucket, has hundreds of pages.
const LISTING_LIMIT: Duration = Duration::from_secs(600);

async fn list_kind(
    lookout: &Lookout,
    kind: &dyn ResourceKind,
    sites: &[Site],
    listed: &mut Vec<(String, usize, Listed)>,
    gathered: &mut Gathered,
) {
    let name = kind.kind();
    for (index, site) in sites.iter().enumerate() {
        match listing_at(lookout, kind, site, None).await {
            Ok(Listing::Seen { ours, .. }) => {
                listed.extend(ours.into_iter().map(|one| (name.to_owned(), index, one)));
            }
            Ok(Listing::Elsewhere) => {}
            Ok(Listing::Impossible(why)) => {
                gathered.notes.push(format!("{name}: {why}"));
                break;
            }
            Err(error) => gathered.not_asked.push(NotAsked {
                place: site.name.to_string(),
                what: Sought::One(name.to_owned()),
                why: error.to_string(),
            }),
        }
    }
}

/// Lists what is there with the first of the roles that is not denied it.
async fn listing_at(
    lookout: &Lookout,
    kind: &dyn ResourceKind,
    site: &Site,
    place: Option<&str>,
) -> Result<Listing, StepError> {
    let listing = async {
        let mut listing = kind.list(&lookout.context(&site.name, None), place).await;
        for name in &site.others {
            if is_denied(&listing) {
                listing = kind.list(&lookout.context(name, None), place).await;
            }
        }
        listing
    };
    tokio::select! {
        biased;
        listing = listing => listing,
        () = lookout.clock.sleep(LISTING_LIMIT) => {
            Err(StepError::timed_out("the listing took longer than 10m"))
        }
    }
}

/// Looks for a thing with the first of the roles that is not denied it.
async fn find_at(
    lookout: &Lookout,
    kind: &dyn ResourceKind,
    (past, thing): (&PastRun, &PastThing),
    site: &Site,
) -> Result<Found, StepError> {
    let (context, key) = (lookout.context(&site.name, Some(past)), key_of(thing, &site.name));
    let mut found = kind.find(&context, &key, thing.id.as_deref()).await;
    for name in &site.others {
        if is_denied(&found) {
            let (context, key) = (lookout.context(name, Some(past)), key_of(thing, name));
            found = kind.find(&context, &key, thing.id.as_deref()).await;
        }
    }
    found
}

fn key_of(thing: &PastThing, site: &SiteName) -> ResourceKey {
    ResourceKey { kind: thing.kind.clone(), name: thing.name.clone(), site: site.clone() }
}

fn is_denied<T>(answer: &Result<T, StepError>) -> bool {
    matches!(answer, Err(error) if error.class() == FailureClass::Denied)
}

/// A place is at one of the sites: the answer of that one counts.
async fn list_canaries(
    lookout: &Lookout,
    kind: &dyn ResourceKind,
    sites: &[Site],
    listed: &mut Vec<(String, usize, Listed)>,
    gathered: &mut Gathered,
) {
    let name = kind.kind();
    if lookout.canaries.is_empty() {
        let why =
            "looked for only in buckets that guard.canaries or --canaries names; none is named";
        gathered.notes.push(format!("{name}: {why}"));
    }
    for place in &lookout.canaries {
        let (mut whys, mut seen) = (Vec::new(), false);
        for (index, site) in sites.iter().enumerate() {
            match listing_at(lookout, kind, site, Some(place)).await {
                Ok(Listing::Seen { ours, .. }) => {
                    seen = true;
                    listed.extend(ours.into_iter().map(|one| (name.to_owned(), index, one)));
                    break;
                }
                Ok(Listing::Elsewhere) => {}
                Ok(Listing::Impossible(why)) => whys.push(why.to_owned()),
                Err(error) => whys.push(format!("at {}: {error}", site.name)),
            }
        }
        if !seen {
            if whys.is_empty() {
                whys.push("it is at none of the sites that answered".to_owned());
            }
            let why = whys.join("; ");
            let what = Sought::One(name.to_owned());
            gathered.not_asked.push(NotAsked { place: place.clone(), what, why });
        }
    }
}

fn leftover(
    lookout: &Lookout,
    kind: &str,
    site: &Site,
    listed: &Listed,
    (past, thing): (Option<&PastRun>, Option<&PastThing>),
    now: DateTime<Utc>,
) -> Leftover {
    let key =
        ResourceKey { kind: kind.to_owned(), name: listed.name.clone(), site: site.name.clone() };
    let kept_until = thing.and_then(|thing| thing.kept_until);
    let expires = lookout.expiry_of(kind, Some(listed.expires), past, kept_until);
    // What a journal of this machine knows by its id is the run's, whatever it is called.
    let is_known =
        thing.is_some_and(|thing| thing.told_here && thing.id.as_ref() == Some(&listed.id));
    let doubt = listed.doubt.as_deref().filter(|_| !is_known);
    let decision = decide(expires, past, doubt, lookout.all, now);
    let scenario = listed.scenario.clone().or_else(|| past.map(|past| past.scenario.clone()));
    let command = lookout.command(&key, Some(&listed.id), &site.region);
    Leftover {
        key,
        others: site.others.clone(),
        id: listed.id.clone(),
        state: listed.state.clone(),
        account: site.account.clone(),
        region: site.region.clone(),
        run: listed.run.clone(),
        scenario,
        made: listed.made,
        expires,
        told_by: if thing.is_some() { ToldBy::Both } else { ToldBy::Tags },
        decision,
        command,
    }
}

/// What was found where the journal says, as far as it can be told: id, state, and what speaks against its being ours.
fn told_by_journal(
    lookout: &Lookout,
    (past, thing): (&PastRun, &PastThing),
    site: &Site,
    (key, command): (ResourceKey, String),
    (id, state, doubt): (String, String, Option<String>),
) -> Leftover {
    let expires = lookout.expiry_of(&thing.kind, None, Some(past), thing.kept_until);
    let now = lookout.clock.now();
    let decision = decide(expires, Some(past), doubt.as_deref(), lookout.all, now);
    Leftover {
        key,
        others: site.others.clone(),
        id,
        state,
        account: site.account.clone(),
        region: site.region.clone(),
        run: past.run.clone(),
        scenario: Some(past.scenario.clone()),
        made: None,
        expires,
        told_by: ToldBy::Journal,
        decision,
        command,
    }
}

/// What speaks against what the journal of a store names and no listing has shown: that the tags and the name are those of the run,
/// a kind finds by the kind and the name that the journal says.
const UNLISTED: &str =
    "only the store's journal names it, and no listing has shown it under this kind and name";

/// Looks up what only a journal knows of: no listing has shown it.
async fn by_journal(
    lookout: &Lookout,
    past: &PastRun,
    thing: &PastThing,
    sites: &[Site],
    gathered: &mut Gathered,
) {
    let PastThing { kind: kind_name, name, .. } = thing;
    let Some(site) = sites.iter().find(|site| is_at(thing, site)) else {
        let account = thing.account.as_deref().unwrap_or("an unknown account");
        gathered.notes.push(format!(
            "{kind_name} {name} of {} would be at {account}/{}, where nobody was asked",
            past.run, thing.region
        ));
        return;
    };
    let key = key_of(thing, &site.name);
    let Some(kind) = lookout.registry.resource_kind(kind_name) else {
        let why = "this version does not know the kind".to_owned();
        let (place, what) = (site.name.to_string(), Sought::One(format!("{kind_name} {name}")));
        gathered.not_asked.push(NotAsked { place, what, why });
        return;
    };
    let command = lookout.command(&key, thing.id.as_deref(), &site.region);
    let found = match unsought(lookout, &**kind, &key, (past, thing)) {
        Some(unsought) => unsought,
        None => find_at(lookout, &**kind, (past, thing), site).await,
    };
    match found {
        Ok(Found::Gone) => {}
        Ok(Found::Ours { id, state }) => {
            let seen = (id, state, (!thing.told_here).then(|| UNLISTED.to_owned()));
            gathered.leftovers.push(told_by_journal(
                lookout,
                (past, thing),
                site,
                (key, command),
                seen,
            ));
        }
        // Somebody may have taken the tag away from what the run has made; without an id, the name was taken by somebody else,
        // and nothing of the run's is there.
        Ok(Found::Foreign { why, claimed }) => {
            gathered.leftovers.extend(thing.id.clone().map(|id| {
                let command = if claimed { LOOK_FIRST.to_owned() } else { command };
                let doubt = format!("{why}, and the journal says that the run has made it");
                let seen = (id, "unknown".to_owned(), Some(doubt));
                told_by_journal(lookout, (past, thing), site, (key, command), seen)
            }))
        }
        // On this machine nobody can say; it may be there all the same.
        Ok(Found::Unknown { why }) => {
            let id = thing.id.clone().unwrap_or_else(|| "unknown".to_owned());
            let seen = (id, "unknown".to_owned(), Some(why));
            let told = told_by_journal(lookout, (past, thing), site, (key, command), seen);
            gathered.leftovers.push(told);
        }
        Err(error) => gathered.not_asked.push(NotAsked {
            place: site.name.to_string(),
            what: Sought::One(format!("{kind_name} {name} of {}", past.run)),
            why: format!("{error}; by hand: {command}"),
        }),
    }
}

/// What is known of a thing that is not looked for: looking would do what its journal says, and that is either not this machine's,
/// or nothing is to be done. `None` when it is looked for.
fn unsought(
    lookout: &Lookout,
    kind: &dyn ResourceKind,
    key: &ResourceKey,
    (past, thing): (&PastRun, &PastThing),
) -> Option<Result<Found, StepError>> {
    let reach = kind.reach();
    let would = reach.would()?;
    if !thing.told_here {
        let why = format!(
            "not looked for: {would}, and only the store's journal names it, in which others may write; look at the command first"
        );
        return Some(Ok(Found::Unknown { why }));
    }
    if !lookout.dry_run || reach != Reach::Program {
        return None;
    }
    // Nothing would be started here.
    if let Some(why) = kind.out_of_reach(&lookout.context(&key.site, Some(past)), key) {
        return Some(Ok(Found::Unknown { why }));
    }
    let why = format!("not looked for: {would}");
    let expires = lookout.expiry_of(&thing.kind, None, Some(past), thing.kept_until);
    let stays = decide(expires, Some(past), None, lookout.all, lookout.clock.now());
    Some(match stays {
        Decision::Stay(_) => Ok(Found::Unknown { why }),
        Decision::Remove | Decision::Unclear(_) => Err(StepError::broken(why)),
    })
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
