//! What exists in the world, and how it comes and goes with time.
//!
//! Main type: [`State`]. Nothing runs in the background: [`State::advance`] brings everything up to the present
//! before a call looks at it.

use super::ec2::{EbsSnapshot, Volume};
use super::estate::{Estate, PlaceEstate};
use super::fault::Fault;
use super::fault_table::FaultTable;
use super::history::History;
use super::rds::{AutomatedBackup, Cluster, ClusterSnapshot, DbSnapshot, Instance, RdsEvent};
use super::sql::Databases;
use crate::ids::Digest;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A region of an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlaceKey {
    pub(crate) account: String,
    pub(crate) region: String,
}

impl PlaceKey {
    pub(crate) fn new(account: &str, region: &str) -> Self {
        Self { account: account.to_owned(), region: region.to_owned() }
    }

    /// The name of something in this place: `arn:aws:service:region:account:resource`.
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region, self.account)
    }
}

/// The states that something goes through, each with the time at which it begins.
#[derive(Clone, Debug)]
pub(crate) struct Timeline(Vec<(DateTime<Utc>, &'static str)>);

impl Timeline {
    /// The state of things that are no more.
    pub(crate) const GONE: &'static str = "gone";

    pub(crate) fn begin(at: DateTime<Utc>, state: &'static str) -> Self {
        Self(vec![(at, state)])
    }

    /// Goes over into another state, `after` the last change.
    #[must_use]
    pub(crate) fn then(mut self, after: Duration, state: &'static str) -> Self {
        let last = self.0.last().map_or(DateTime::UNIX_EPOCH, |step| step.0);
        self.0.push((later(last, after), state));
        self
    }

    /// The state now; none before it began.
    pub(crate) fn state(&self, now: DateTime<Utc>) -> Option<&'static str> {
        self.0.iter().rev().find(|step| step.0 <= now).map(|step| step.1)
    }

    pub(crate) fn is(&self, now: DateTime<Utc>, state: &str) -> bool {
        self.state(now) == Some(state)
    }

    /// When it last enters a state, be that past or future.
    pub(crate) fn enters(&self, state: &str) -> Option<DateTime<Utc>> {
        self.0.iter().rev().find(|step| step.1 == state).map(|step| step.0)
    }

    /// When the last change is.
    pub(crate) fn settles(&self) -> DateTime<Utc> {
        self.0.last().map_or(DateTime::UNIX_EPOCH, |step| step.0)
    }

    /// The last state.
    pub(crate) fn end(&self) -> &'static str {
        self.0.last().map_or(Self::GONE, |step| step.1)
    }

    /// Nothing changes any more after the first state.
    #[must_use]
    pub(crate) fn stuck(mut self) -> Self {
        self.0.truncate(1);
        self
    }

    /// Ends in another state than it should.
    #[must_use]
    pub(crate) fn ending(mut self, state: &'static str) -> Self {
        if let Some(last) = self.0.last_mut() {
            last.1 = state;
        }
        self
    }

    /// Nothing changes any more after `time`. False when it would not even begin.
    pub(crate) fn freeze(&mut self, time: DateTime<Utc>) -> bool {
        self.0.retain(|step| step.0 <= time);
        !self.0.is_empty()
    }

    /// How far the way to the last state is covered, in percent.
    pub(crate) fn percent(&self, now: DateTime<Utc>) -> i64 {
        if now >= self.settles() {
            return if matches!(self.end(), "available" | "completed") { 100 } else { 0 };
        }
        let start = self.0.first().map_or(now, |step| step.0);
        let (done, whole) = (now - start, self.settles() - start);
        (done.num_seconds().saturating_mul(100) / whole.num_seconds().max(1)).clamp(0, 99)
    }
}

/// The time `after` another.
pub(crate) fn later(time: DateTime<Utc>, after: Duration) -> DateTime<Utc> {
    let delta = TimeDelta::from_std(after).unwrap_or(TimeDelta::MAX);
    time.checked_add_signed(delta).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// What exists in one region of one account.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) spec: Option<Arc<PlaceEstate>>,
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) db_snapshots: BTreeMap<String, DbSnapshot>,
    pub(crate) clusters: BTreeMap<String, Cluster>,
    pub(crate) cluster_snapshots: BTreeMap<String, ClusterSnapshot>,
    pub(crate) rds_events: Vec<RdsEvent>,
    /// Automated backups that are not those of an instance that is here: replicated and retained ones.
    pub(crate) automated_backups: BTreeMap<String, AutomatedBackup>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) ebs_snapshots: BTreeMap<String, EbsSnapshot>,
    /// The ids that creating calls with a client token gave, by operation and token, with the parameters.
    pub(crate) tokens: BTreeMap<(String, String), (String, String)>,
}

/// Everything that exists.
pub(crate) struct State {
    pub(crate) estate: Arc<Estate>,
    pub(crate) faults: FaultTable,
    pub(crate) lost: BTreeMap<PlaceKey, DateTime<Utc>>,
    /// Lost places that can be called again. What was lost in them stays lost.
    pub(crate) regained: BTreeSet<PlaceKey>,
    pub(crate) places: BTreeMap<PlaceKey, Place>,
    pub(crate) databases: Databases,
    pub(crate) history: History,
    /// Folders of runs' own on the machine of the run, each with its mark.
    pub(crate) folders: BTreeMap<String, String>,
    calls: u64,
    made: u64,
}

impl State {
    pub(crate) fn open(estate: Estate, faults: Vec<Fault>) -> Self {
        let estate = Arc::new(estate);
        let faults = FaultTable::new(faults.into_iter().chain(estate.faults.iter().cloned()));
        let mut state = Self {
            faults,
            lost: BTreeMap::new(),
            regained: BTreeSet::new(),
            places: BTreeMap::new(),
            databases: Databases::default(),
            history: History::default(),
            folders: BTreeMap::new(),
            calls: 0,
            made: 0,
            estate: Arc::clone(&estate),
        };
        for spec in &estate.places {
            let key = PlaceKey::new(spec.account.as_str(), &spec.region);
            state.place(&key).spec = Some(Arc::new(spec.clone()));
        }
        state.begin();
        state
    }

    /// A place. Regions that the estate does not name are empty.
    pub(crate) fn place(&mut self, key: &PlaceKey) -> &mut Place {
        self.places.entry(key.clone()).or_default()
    }

    /// Takes a place down.
    pub(crate) fn lose(&mut self, place: PlaceKey, now: DateTime<Utc>) {
        self.advance(now);
        if self.lost.contains_key(&place) {
            return;
        }
        for (key, elsewhere) in &mut self.places {
            if *key == place {
                continue;
            }
            elsewhere
                .db_snapshots
                .retain(|_, s| s.source_place.as_ref() != Some(&place) || s.timeline.freeze(now));
            elsewhere
                .cluster_snapshots
                .retain(|_, s| s.source_place.as_ref() != Some(&place) || s.timeline.freeze(now));
            elsewhere
                .ebs_snapshots
                .retain(|_, s| s.source_place.as_ref() != Some(&place) || s.timeline.freeze(now));
            for backup in elsewhere.automated_backups.values_mut() {
                if backup.source == place {
                    backup.stop(now);
                }
            }
        }
        self.cut_off_replicas(&place, now);
        self.lost.insert(place, now);
    }

    /// Hexadecimal digits that only the seed and `what` decide.
    pub(crate) fn digits(&self, what: &str, count: usize) -> String {
        Digest::of(format!("{}/{what}", self.estate.seed).as_bytes()).short(count)
    }

    /// Hexadecimal digits that no earlier call gave.
    pub(crate) fn fresh_digits(&mut self, what: &str, count: usize) -> String {
        self.made += 1;
        self.digits(&format!("{what}/{}", self.made), count)
    }

    pub(crate) fn next_request_id(&mut self) -> String {
        self.calls += 1;
        uuid(&self.digits(&format!("request/{}", self.calls), 32))
    }

    /// The id of the account's key that AWS manages for a service, or of a key that the estate names.
    pub(crate) fn key_arn(&self, place: &PlaceKey, key: &str) -> String {
        let id = if key.starts_with("alias/") {
            uuid(&self.digits(&format!("key/{}/{}/{key}", place.account, place.region), 32))
        } else {
            key.to_owned()
        };
        place.arn("kms", &format!("key/{id}"))
    }

    pub(crate) fn inventory(&self, now: DateTime<Utc>) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for (key, place) in &self.places {
            super::rds::inventory(key, place, now, &mut all);
            super::rds::inventory_of_clusters(key, place, now, &mut all);
            super::ec2::inventory(key, place, now, &mut all);
        }
        all.extend(
            self.folders.iter().map(|(path, mark)| (format!("folder {path}"), mark.clone())),
        );
        all
    }
}

/// Writes 32 hexadecimal digits as a UUID is written.
pub(crate) fn uuid(digits: &str) -> String {
    let mut text = digits.to_owned();
    for at in [20, 16, 12, 8] {
        if text.is_char_boundary(at) && at <= text.len() {
            text.insert(at, '-');
        }
    }
    text
}

/// Tags in a line, for inventories.
pub(crate) fn tag_line(tags: &BTreeMap<String, String>) -> String {
    tags.iter().map(|(key, value)| format!(" {key}={value}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_goes_through_its_states_at_their_times() {
        let start: DateTime<Utc> = "2026-11-22T00:00:00Z".parse().unwrap();
        let line = Timeline::begin(start, "creating").then(Duration::from_secs(100), "available");
        let after = |s| later(start, Duration::from_secs(s));
        assert_eq!(line.state(start - TimeDelta::seconds(1)), None);
        assert_eq!(line.state(after(99)), Some("creating"));
        assert_eq!(line.state(after(100)), Some("available"));
        assert_eq!(line.percent(after(25)), 25);
        assert_eq!(line.clone().stuck().state(after(1000)), Some("creating"));
        assert_eq!(line.clone().ending("failed").state(after(1000)), Some("failed"));
        let mut frozen = line;
        assert!(frozen.freeze(after(50)));
        assert_eq!(frozen.state(after(1000)), Some("creating"));
    }

    #[test]
    fn a_uuid_has_its_dashes() {
        assert_eq!(uuid(&"0".repeat(32)), "00000000-0000-0000-0000-000000000000");
    }
}
