//! A second place for the journal, in S3: what a run is about to do is there, too, before it is done, so that another machine
//! can go on when the runner's disk is gone.
//!
//! Main types: [`JournalStore`] (one run's segments), [`StoreUrl`], [`Objects`] (the few calls that are needed). Everything is
//! written with `If-None-Match: *`: nothing that is there is ever replaced, and of two writers one is refused. What the lines
//! mean is not known in here.
//!
//! Below the store's prefix, for each run: `plan.json`, `scenario.yaml`, `owner/<n>.json` (who works on it, the last one
//! counts), `self-test/<n>`, `journal/<number of the first record>.jsonl`, one object for each write of the journal, and `end-told`
//! once everybody was told of the end.

mod objects;
mod owner;
mod past;
mod place;
mod resume;
#[cfg(test)]
mod tests;
mod trial;

pub(super) use objects::{Created, Objects, Tell};
pub(super) use owner::Owner;
pub(super) use past::{InStore, past, runs};
pub(super) use place::{StoreUrl, Stored, run_at};
pub(super) use resume::{claim, ends_earlier, fetch, leave_out, look};
pub(super) use trial::try_out;

use super::runs::RunFolder;
use crate::error::{Error, Result};
use crate::ids::SiteName;
use crate::journal::SegmentStore;
use crate::plan::Plan;
use futures_util::future::BoxFuture;
use std::io;

/// A file in the folder of a run, and an object in its store: everybody was told of its end.
pub(super) const END_TOLD: &str = "end-told";

/// The segments of one run.
pub(super) struct JournalStore {
    objects: Objects,
}

impl JournalStore {
    /// Goes on writing: whoever calls this owns the run in the store.
    pub(super) fn of(objects: Objects) -> Self {
        Self { objects }
    }
}

impl SegmentStore for JournalStore {
    fn put<'a>(&'a mut self, first: u64, lines: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            let key = segment(first);
            let failed = |error: Error| io::Error::other(StoreFailed(error.to_string()));
            match self.objects.create(&key, lines).await.map_err(failed)? {
                Created::New => Ok(()),
                // An earlier attempt of our own whose answer was lost, or somebody else's.
                Created::Exists => match self.objects.read(&key).await.map_err(failed)? {
                    Some(there) if there == lines => Ok(()),
                    _ => Err(io::Error::other(TakenOver {
                        segment: self.objects.shown(&key),
                        address: format!("{}/{}", self.objects.place(), self.objects.run()),
                    })),
                },
            }
        })
    }
}

/// The store did not do what was asked of it. Another process that has taken the run over is no such failure.
#[derive(Debug, thiserror::Error)]
#[error("the store: {0}")]
struct StoreFailed(String);

/// The next lines are there already, and are not ours.
#[derive(Debug, thiserror::Error)]
#[error(
    "the store: {segment} was written by somebody else: another process has taken this run over"
)]
struct TakenOver {
    segment: String,
    /// Of the run in its store.
    address: String,
}

/// The address of the run in its store, when a journal cannot be written because another process has taken the run over.
pub(super) fn taken_over_at(error: &io::Error) -> Option<&str> {
    error.get_ref()?.downcast_ref::<TakenOver>().map(|taken| taken.address.as_str())
}

/// True when a journal cannot be written because its store does not do its part.
pub(super) fn is_of_the_store(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<StoreFailed>())
}

/// The name of the segment that begins with this record. Names sort as numbers do.
fn segment(first: u64) -> String {
    format!("journal/{first:010}.jsonl")
}

/// Prepares the store for a new run: it must honour conditional writes, and must not be lost with a site.
///
/// # Errors
/// A refusal; nothing has happened yet then.
pub(super) async fn begin(
    objects: &Objects,
    plan: &Plan,
    folder: &RunFolder,
    owner: Owner,
) -> Result<()> {
    survives_the_disaster(objects, plan).await?;
    honours_conditions(objects, &self_test(owner.number)).await?;
    if owner.claim(objects).await? == Created::Exists {
        return Err(Error::refused(format!(
            "{} exists already: another process has begun this run; nothing was done",
            objects.shown("owner")
        ))
        .help("run it again: it gets another number"));
    }
    for name in ["plan.json", "scenario.yaml"] {
        let bytes = folder.read(name)?;
        if objects.create(name, &bytes).await? == Created::Exists
            && objects.read(name).await?.as_deref() != Some(bytes.as_slice())
        {
            let shown = objects.shown(name);
            return Err(Error::refused(format!("{shown} exists already and says something else")));
        }
    }
    Ok(())
}

/// A journal that is lost with the site is no second place.
async fn survives_the_disaster(objects: &Objects, plan: &Plan) -> Result<()> {
    let region = objects.region().await?;
    let lost = plan.disaster.lost.iter();
    let mut there =
        lost.filter(|site| plan.sites.get(*site).is_some_and(|site| site.region == region));
    let Some(site) = there.next() else { return Ok(()) };
    Err(Error::refused(format!(
        "the store {} is in {region}, the region of the site {site}, which this scenario loses; nothing was done",
        objects.place()
    ))
    .help("choose a bucket in a region that is not lost"))
}

/// What a self-test writes first, and expects to be kept.
const FIRST: &[u8] = b"written once";

/// The name of the self-test of a claim.
fn self_test(number: u32) -> String {
    format!("self-test/{number:04}")
}

/// Writes an object twice: the second write must be refused. Some servers that speak S3 silently ignore the condition.
async fn honours_conditions(objects: &Objects, key: &str) -> Result<()> {
    objects.create(key, FIRST).await?;
    let second = objects.create(key, b"written twice").await?;
    let is_kept = objects.read(key).await?.as_deref() == Some(FIRST);
    match second {
        Created::Exists if is_kept => Ok(()),
        _ => Err(Error::refused(format!(
            "the store {} does not honour conditional writes (If-None-Match): two machines could write one journal; \
             nothing was done",
            objects.place()
        ))
        .help("use a bucket of AWS, or a server that refuses the second write with status 412 and keeps the first")),
    }
}

/// The name under which the store stands in messages and in the guard's policy, where a site would.
pub(super) fn site_name() -> SiteName {
    SiteName::new("journal-store")
}
