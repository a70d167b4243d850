//! What only the journal of a run names: no listing has shown it.

use super::{Gathered, Leftover, Lookout, NotAsked, Site, Sought, ToldBy, is_at, is_denied};
use crate::action::{Found, Reach, ResourceKind, StepError};
use crate::engine::LOOK_FIRST;
use crate::ids::SiteName;
use crate::journal::ResourceKey;
use crate::reap::decide::{Decision, decide};
use crate::reap::past::{PastRun, PastThing};

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
pub(super) async fn by_journal(
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
