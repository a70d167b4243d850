use super::objects::{Created, Objects};
use crate::app::runs::RunFolder;
use crate::error::{Error, Result};
use crate::ids::{Digest, RunId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Who works on a run, as it stands in the store. The one with the highest number counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::app) struct Owner {
    /// From 0, without gaps.
    pub(in crate::app) number: u32,
    /// The machine.
    pub(in crate::app) host: String,
    /// The process on it.
    pub(in crate::app) process: u32,
    /// The user, as the system knows them.
    pub(in crate::app) operator: String,
    /// Since when (UTC).
    pub(in crate::app) since: DateTime<Utc>,
    /// Tells this claim from any other.
    pub(in crate::app) token: String,
}

impl Owner {
    /// A claim of this process.
    pub(in crate::app) fn this_process(run: &RunId, number: u32, since: DateTime<Utc>) -> Self {
        let (host, process) = (host(), std::process::id());
        let unique = format!("{run}/{number}/{host}/{process}/{}", since.timestamp_micros());
        let token = Digest::of(unique.as_bytes()).short(16);
        Self { number, host, process, operator: crate::app::run::operator(), since, token }
    }

    fn name(number: u32) -> String {
        format!("owner/{number:04}.json")
    }

    /// Writes the claim, unless another process has taken its number.
    pub(in crate::app) async fn claim(&self, objects: &Objects) -> Result<Created> {
        let bytes = serde_json::to_vec(self)
            .map_err(|e| Error::broken(format!("a claim cannot be written as JSON: {e}")))?;
        let name = Self::name(self.number);
        let created = objects.create(&name, &bytes).await?;
        // An earlier attempt of our own whose answer was lost is no one else's claim.
        if created == Created::Exists && objects.read(&name).await? == Some(bytes) {
            return Ok(Created::New);
        }
        Ok(created)
    }

    /// True when the claim is that of this folder: whoever works on the run from there holds its journal's lock.
    pub(in crate::app) fn is_of(&self, folder: Option<&RunFolder>) -> bool {
        let stored =
            folder.filter(|folder| folder.has_store()).and_then(|folder| folder.store().ok());
        stored.is_some_and(|stored| stored.claimed(self))
    }

    /// Whoever claimed the run last.
    pub(in crate::app) async fn last(objects: &Objects) -> Result<Option<Self>> {
        let names = objects.list("owner/").await?;
        let Some(name) = names.last() else { return Ok(None) };
        let wrong = |why: String| Error::broken(format!("{} {why}", objects.shown(name)));
        let bytes = objects.read(name).await?.ok_or_else(|| wrong("is gone".to_owned()))?;
        let owner: Self = serde_json::from_slice(&bytes)
            .map_err(|e| wrong(format!("cannot be understood: {e}")))?;
        if Self::name(owner.number) != *name {
            return Err(wrong(format!("says that it is number {}", owner.number)));
        }
        Ok(Some(owner))
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let since = self.since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        write!(f, "process {} of {} on {} since {since}", self.process, self.operator, self.host)
    }
}

/// The machine's name, for people.
fn host() -> String {
    let name = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok());
    let name = name.unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "an unknown machine".to_owned() } else { name.to_owned() }
}
