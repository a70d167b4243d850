//! Restored storage that loads its blocks in the background, and those that are read at once.
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_RestoreFromSnapshot.html>, "lazy loading"

use super::query::{Contents, DatabaseLogin, QueryRefused};
use crate::outside::ladder::Table;
use crate::sandbox::world::World;
use chrono::TimeDelta;
use std::time::Duration;

/// How long a read of a loaded block takes.
const LOADED: Duration = Duration::from_millis(1);

impl Contents<'_> {
    /// How long a read at this place (in millionths) takes; `None` where nothing is to be read.
    pub(crate) fn latency(
        &self,
        table: &Table,
        place: u32,
    ) -> Result<Option<Duration>, QueryRefused> {
        if self.count(table)? == 0 {
            return Ok(None);
        }
        let content = &self.instance.content;
        let Some(hydration) = content.origin.hydration.filter(|_| content.as_of.is_some()) else {
            return Ok(Some(LOADED));
        };
        let passed = (self.now - self.instance.created).max(TimeDelta::zero());
        let takes = u64::try_from(hydration.takes.0.as_millis()).unwrap_or(u64::MAX).max(1);
        let passed = u64::try_from(passed.num_milliseconds()).unwrap_or(0);
        let in_background = passed.saturating_mul(1_000_000) / takes;
        let warmed = self.warmed.get(&table.name.to_string()).copied().unwrap_or(0);
        let is_loaded = u64::from(place) < in_background || place < warmed;
        Ok(Some(if is_loaded { LOADED } else { hydration.cold.0 }))
    }

    /// How long reading everything takes.
    pub(crate) fn warming_takes(&self) -> Duration {
        let content = &self.instance.content;
        let hydration = content.origin.hydration.filter(|_| content.as_of.is_some());
        hydration.map_or(LOADED, |hydration| hydration.warm_up.0)
    }
}

impl World {
    /// A part of a table was read, after those before it.
    pub(crate) fn warmed(
        &self,
        login: &DatabaseLogin,
        table: &Table,
        part: u32,
        parts: u32,
    ) -> Result<(), QueryRefused> {
        let id = self.with_contents(login, |c| Ok(c.instance.resource_id.clone()))?;
        let end = u64::from(part + 1) * 1_000_000 / u64::from(parts.max(1));
        let end = u32::try_from(end).unwrap_or(u32::MAX);
        self.state().databases.note_warmed(&id, &table.name.to_string(), end);
        Ok(())
    }
}
