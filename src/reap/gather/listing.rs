//! What the services list with the tags of runs.

use super::{Gathered, Leftover, Lookout, NotAsked, Site, Sought, ToldBy, is_denied};
use crate::action::{Listed, Listing, ResourceKind, StepError};
use crate::engine::LOOK_FIRST;
use crate::ids::RunId;
use crate::journal::ResourceKey;
use crate::reap::decide::decide;
use crate::reap::past::{PastRun, PastThing};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// How long the listing of one kind at one site may take: a large account, or a bucket, has hundreds of pages.
const LISTING_LIMIT: Duration = Duration::from_secs(600);

/// Lists a kind at every site.
pub(super) async fn list_kind(
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

/// A place is at one of the sites: the answer of that one counts.
pub(super) async fn list_canaries(
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

/// What journals know of what a listing shows.
pub(super) struct Known<'a> {
    /// The run that its tags name.
    pub(super) past: Option<&'a PastRun>,
    /// What the journal of that run says of it.
    pub(super) thing: Option<&'a PastThing>,
    /// Another run, whose journal says that it has made exactly this.
    pub(super) made_by: Option<&'a RunId>,
}

/// What a listing shows, with what is known of it besides, and what becomes of it.
pub(super) fn leftover(
    lookout: &Lookout,
    kind: &str,
    site: &Site,
    listed: &Listed,
    known: &Known<'_>,
    now: DateTime<Utc>,
) -> Leftover {
    let Known { past, thing, made_by } = *known;
    let key =
        ResourceKey { kind: kind.to_owned(), name: listed.name.clone(), site: site.name.clone() };
    let kept_until = thing.and_then(|thing| thing.kept_until);
    let expires = lookout.expiry_of(kind, Some(listed.expires), past, kept_until);
    // What a journal of this machine knows by its id is the run's, whatever it is called.
    let is_known =
        thing.is_some_and(|thing| thing.told_here && thing.id.as_ref() == Some(&listed.id));
    let of_another = made_by.map(|run| {
        format!("its tags name this run, and the journal of {run} says that {run} has made it")
    });
    let doubt = of_another.as_deref().or(listed.doubt.as_deref().filter(|_| !is_known));
    let decision = decide(expires, past, doubt, lookout.all, now);
    let scenario = listed.scenario.clone().or_else(|| past.map(|past| past.scenario.clone()));
    let command = match made_by {
        Some(_) => LOOK_FIRST.to_owned(),
        None => lookout.command(&key, Some(&listed.id), &site.region),
    };
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
