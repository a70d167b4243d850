//! What schedules make and take away while time passes.
//!
//! Main type: [`History`]. Everything that exists at a time depends on the estate, the calls before it and the time
//! alone, not on how often anybody looked.

use super::ec2::{EbsSnapshot, Volume};
use super::estate::{Cadence, ClusterEstate, DatabaseEstate, VolumeEstate};
use super::rds::{Content, DbSnapshot, Instance, Settings};
use super::state::{PlaceKey, State, Timeline, later};
use crate::time::HumanDuration;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where each schedule has got to.
#[derive(Debug, Default)]
pub(crate) struct History(Vec<Schedule>);

#[derive(Clone, Debug)]
struct Schedule {
    home: PlaceKey,
    cadence: Cadence,
    /// The slot whose snapshot is the first one in `skipped`.
    newest_at_start: i64,
    /// The next slot to come.
    next: i64,
    of: Of,
}

#[derive(Clone, Debug)]
pub(super) enum Of {
    Cluster(Arc<ClusterEstate>),
    Database(Arc<DatabaseEstate>),
    Volume(Arc<VolumeEstate>),
}

/// What a read replica is a replica of.
struct Source {
    name: String,
    content: Content,
}

/// The time at which estates say that things which are always there were made.
pub(super) const LONG_AGO: TimeDelta = TimeDelta::days(400);

impl State {
    /// Makes what exists when the simulation starts.
    pub(crate) fn begin(&mut self) {
        let estate = Arc::clone(&self.estate);
        for place in &estate.places {
            let key = PlaceKey::new(place.account.as_str(), &place.region);
            for database in &place.databases {
                self.begin_database(&key, &Arc::new(database.clone()));
            }
            for cluster in &place.clusters {
                self.begin_cluster(&key, &Arc::new(cluster.clone()));
            }
            for volume in &place.volumes {
                self.begin_volume(&key, &Arc::new(volume.clone()));
            }
        }
        self.advance(estate.now);
    }

    fn begin_database(&mut self, key: &PlaceKey, database: &Arc<DatabaseEstate>) {
        let start = self.estate.now;
        let name = format!("{}/{}/{}", key.account, key.region, database.id);
        let endpoint_code = self.digits(&format!("endpoint/{}/{}", key.account, key.region), 12);
        let instance = Instance {
            id: database.id.clone(),
            created: start - LONG_AGO,
            timeline: Timeline::begin(start - LONG_AGO, "available"),
            settings: Settings::of(database, key),
            pending: None,
            kms_key: database.kms_key.as_ref().map(|k| self.key_arn(key, k)),
            resource_id: format!("db-{}", self.digits(&name, 26).to_uppercase()),
            endpoint_code,
            tags: database.tags.clone(),
            replica_of: self.source_of(key, database).map(|source| source.name),
            promoted: None,
            content: self.source_of(key, database).map_or_else(
                || Content {
                    origin: Arc::clone(database),
                    home: key.clone(),
                    as_of: None,
                    damage: Vec::new(),
                },
                |source| source.content,
            ),
            member: None,
        };
        for manual in &database.snapshots {
            let taken = earlier(start, manual.age);
            let mut snapshot = self.snapshot_of(key, &instance, manual.id.clone(), taken);
            snapshot.kind = manual.taken_by.wire();
            snapshot.tags = manual.tags.clone();
            snapshot.shared_with = manual.shared_with.iter().map(ToString::to_string).collect();
            snapshot.timeline = Timeline::begin(taken, "available");
            snapshot.content.damage = manual.damage.clone();
            self.place(key).db_snapshots.insert(snapshot.id.clone(), snapshot);
        }
        self.begin_automated_backups(key, &instance);
        if database.deleted.is_none() {
            self.place(key).instances.insert(instance.id.clone(), instance);
        }
        if let Some(s) = &database.schedule {
            let keep = s.copies.as_ref().and_then(|c| c.keep).map_or(s.keep, |k| k.max(s.keep));
            let lag = s.copies.as_ref().map_or(HumanDuration::default(), |c| c.lag);
            let reach = HumanDuration(keep.0 + s.takes.0 + lag.0);
            let cadence = Cadence::new(s.every, s.at);
            self.add_schedule(key, cadence, reach, Of::Database(Arc::clone(database)));
        }
    }

    /// What a database is a replica of, if it is one.
    fn source_of(&self, key: &PlaceKey, database: &DatabaseEstate) -> Option<Source> {
        let of = database.replica_of.as_ref()?;
        let region = of.region.as_ref().unwrap_or(&key.region);
        let home = PlaceKey::new(&key.account, region);
        let is_home = |place: &&super::estate::PlaceEstate| {
            place.account.as_str() == home.account && place.region == home.region
        };
        let place = self.estate.places.iter().find(is_home)?;
        let origin = place.databases.iter().find(|source| source.id == of.id)?;
        let content = Content {
            origin: Arc::new(origin.clone()),
            home: home.clone(),
            as_of: None,
            damage: Vec::new(),
        };
        // A source in another region is named by its ARN.
        let name = match home == *key {
            true => of.id.clone(),
            false => home.arn("rds", &format!("db:{}", of.id)),
        };
        Some(Source { name, content })
    }

    fn begin_volume(&mut self, key: &PlaceKey, volume: &Arc<VolumeEstate>) {
        let start = self.estate.now;
        let state = if volume.attached_to.is_some() { "in-use" } else { "available" };
        let kms_key = volume.kms_key.as_ref().map(|k| self.key_arn(key, k));
        for manual in &volume.snapshots {
            let started = earlier(start, manual.age);
            let snapshot = EbsSnapshot {
                id: manual.id.clone(),
                volume: volume.id.clone(),
                size: volume.size,
                started,
                timeline: Timeline::begin(started, "completed"),
                kms_key: kms_key.clone(),
                description: String::new(),
                tags: manual.tags.clone(),
                shared_with: manual.shared_with.iter().map(ToString::to_string).collect(),
                expires: None,
                scheduled: false,
                source_place: None,
            };
            self.place(key).ebs_snapshots.insert(snapshot.id.clone(), snapshot);
        }
        let made = Volume {
            id: volume.id.clone(),
            size: volume.size,
            zone: volume.zone.clone().unwrap_or_else(|| format!("{}a", key.region)),
            kind: volume.volume_type.clone(),
            iops: None,
            throughput: None,
            kms_key,
            from_snapshot: None,
            attached_to: volume.attached_to.clone(),
            created: start - LONG_AGO,
            timeline: Timeline::begin(start - LONG_AGO, state),
            tags: volume.tags.clone(),
        };
        self.place(key).volumes.insert(made.id.clone(), made);
        if let Some(s) = &volume.schedule {
            let keep = s.copies.as_ref().and_then(|c| c.keep).map_or(s.keep, |k| k.max(s.keep));
            let lag = s.copies.as_ref().map_or(HumanDuration::default(), |c| c.lag);
            let reach = HumanDuration(keep.0 + s.takes.0 + lag.0);
            let cadence = Cadence::new(s.every, s.at);
            self.add_schedule(key, cadence, reach, Of::Volume(Arc::clone(volume)));
        }
    }

    pub(super) fn add_schedule(
        &mut self,
        key: &PlaceKey,
        cadence: Cadence,
        reach: HumanDuration,
        of: Of,
    ) {
        let start = self.estate.now;
        self.history.0.push(Schedule {
            home: key.clone(),
            cadence,
            newest_at_start: cadence.slot_at(start),
            next: cadence.slot_at(earlier(start, reach)),
            of,
        });
    }

    /// Brings everything up to the present: what schedules have made since, what has expired, what has ended.
    pub(crate) fn advance(&mut self, now: DateTime<Utc>) {
        let mut schedules = std::mem::take(&mut self.history.0);
        for schedule in &mut schedules {
            let lost = self.lost.get(&schedule.home).copied();
            while schedule.cadence.time_of(schedule.next) <= now {
                let time = schedule.cadence.time_of(schedule.next);
                let nth = u32::try_from(schedule.newest_at_start - schedule.next + 1).unwrap_or(0);
                schedule.next += 1;
                if lost.is_none_or(|lost| time <= lost) {
                    match &schedule.of {
                        Of::Cluster(c) => self.take_cluster_snapshot(&schedule.home, c, time, nth),
                        Of::Database(d) => self.take_db_snapshot(&schedule.home, d, time, nth),
                        Of::Volume(v) => self.take_ebs_snapshot(&schedule.home, v, time, nth),
                    }
                }
            }
        }
        self.history.0 = schedules;
        for place in self.places.values_mut() {
            let over = |end: Option<DateTime<Utc>>| end.is_some_and(|end| end <= now);
            place
                .db_snapshots
                .retain(|_, s| !over(s.expires) && !s.timeline.is(now, Timeline::GONE));
            place.cluster_snapshots.retain(|_, s| !over(s.expires));
            place.clusters.retain(|_, c| !c.timeline.is(now, Timeline::GONE));
            place.ebs_snapshots.retain(|_, s| !over(s.expires));
            place.volumes.retain(|_, v| !v.timeline.is(now, Timeline::GONE));
            place.instances.retain(|_, i| !i.timeline.is(now, Timeline::GONE));
            for instance in place.instances.values_mut() {
                if instance.promoted.take_if(|at| *at <= now).is_some() {
                    instance.replica_of = None;
                }
                if let Some((_, settings)) = instance.pending.take_if(|(at, _)| *at <= now) {
                    instance.settings = settings;
                }
            }
        }
    }

    /// A snapshot of an instance whose data are those of `time`.
    pub(crate) fn snapshot_of(
        &mut self,
        key: &PlaceKey,
        instance: &Instance,
        id: String,
        time: DateTime<Utc>,
    ) -> DbSnapshot {
        let mut content = instance.content.clone();
        content.as_of = Some(content.as_of.unwrap_or(time));
        DbSnapshot {
            id,
            kind: "automated",
            instance: instance.id.clone(),
            resource_id: instance.resource_id.clone(),
            instance_created: instance.created,
            timeline: Timeline::begin(time, "creating"),
            created: time,
            original_created: time,
            settings: instance.settings.clone(),
            vpc: self.vpc_of(key, &instance.settings.subnet_group),
            kms_key: instance.kms_key.clone(),
            tags: BTreeMap::new(),
            shared_with: Vec::new(),
            source_arn: None,
            source_place: None,
            expires: None,
            scheduled: false,
            content,
        }
    }

    fn take_db_snapshot(
        &mut self,
        home: &PlaceKey,
        database: &Arc<DatabaseEstate>,
        time: DateTime<Utc>,
        nth: u32,
    ) {
        let Some(schedule) = &database.schedule else { return };
        let Some(instance) = self.place(home).instances.get(&database.id).cloned() else { return };
        // One that was restored under the name of a deleted original has no part in its schedule.
        let original = instance.content.as_of.is_none();
        let alive = matches!(instance.timeline.state(time), None | Some("available" | "modifying"));
        if !original || !alive || schedule.skipped.contains(&nth) {
            return;
        }
        let stamp = time.format("%Y-%m-%d-%H-%M");
        let id = format!("rds:{}-{stamp}", database.id);
        let mut original = self.snapshot_of(home, &instance, id, time);
        original.timeline = original.timeline.then(schedule.takes.0, "available");
        original.expires = Some(later(time, schedule.keep.0));
        original.scheduled = true;
        original.content.damage.extend(schedule.damage.iter().cloned());
        if let Some(copies) = schedule.copies.as_ref().filter(|c| !c.skipped.contains(&nth)) {
            let account = copies.account.as_ref().map_or(home.account.as_str(), |a| a.as_str());
            let there = PlaceKey::new(account, &copies.region);
            let mut copy = original.clone();
            copy.id = format!("{}-{stamp}-copy", database.id);
            copy.kind = "manual";
            let begun = original.timeline.settles();
            copy.timeline = Timeline::begin(begun, "creating").then(copies.lag.0, "available");
            copy.created = copy.timeline.settles();
            copy.expires = Some(later(copy.created, copies.keep.unwrap_or(schedule.keep).0));
            copy.kms_key = copies.kms_key.as_ref().map(|k| self.key_arn(&there, k));
            copy.source_arn = Some(original.arn(home));
            copy.source_place = Some(home.clone());
            copy.tags = copies.tags.clone();
            let told = original.created.to_rfc3339_opts(SecondsFormat::Secs, true);
            copy.tags.extend(copies.time_tag.iter().map(|tag| (tag.clone(), told.clone())));
            copy.content.damage.extend(copies.damage.iter().cloned());
            self.place(&there).db_snapshots.insert(copy.id.clone(), copy);
        }
        self.place(home).db_snapshots.insert(original.id.clone(), original);
    }

    fn take_ebs_snapshot(
        &mut self,
        home: &PlaceKey,
        volume: &Arc<VolumeEstate>,
        time: DateTime<Utc>,
        nth: u32,
    ) {
        let Some(schedule) = &volume.schedule else { return };
        let Some(now) = self.place(home).volumes.get(&volume.id).cloned() else { return };
        if schedule.skipped.contains(&nth) {
            return;
        }
        let name = format!("{}/{}/{}/{}", home.account, home.region, volume.id, time.timestamp());
        let mut tags = if schedule.copy_tags { now.tags.clone() } else { BTreeMap::new() };
        tags.extend(schedule.tags.clone());
        let stamp = time.to_rfc3339_opts(SecondsFormat::Secs, true);
        tags.extend(schedule.time_tag.iter().map(|tag| (tag.clone(), stamp.clone())));
        let original = EbsSnapshot {
            id: format!("snap-{}", self.digits(&format!("snapshot/{name}"), 17)),
            volume: volume.id.clone(),
            size: now.size,
            started: time,
            timeline: Timeline::begin(time, "pending").then(schedule.takes.0, "completed"),
            kms_key: now.kms_key.clone(),
            description: String::new(),
            tags,
            shared_with: Vec::new(),
            expires: Some(later(time, schedule.keep.0)),
            scheduled: true,
            source_place: None,
        };
        if let Some(copies) = schedule.copies.as_ref().filter(|c| !c.skipped.contains(&nth)) {
            let account = copies.account.as_ref().map_or(home.account.as_str(), |a| a.as_str());
            let there = PlaceKey::new(account, &copies.region);
            let begun = original.timeline.settles();
            let mut copy = original.clone();
            copy.id = format!("snap-{}", self.digits(&format!("copy/{name}"), 17));
            copy.volume = EbsSnapshot::ARBITRARY_VOLUME.to_owned();
            copy.started = begun;
            copy.timeline = Timeline::begin(begun, "pending").then(copies.lag.0, "completed");
            copy.expires =
                Some(later(copy.timeline.settles(), copies.keep.unwrap_or(schedule.keep).0));
            copy.kms_key = copies.kms_key.as_ref().map(|k| self.key_arn(&there, k));
            copy.description = format!("[Copied {} from {}]", original.id, home.region);
            copy.source_place = Some(home.clone());
            if !copies.copy_tags {
                copy.tags.clear();
            }
            self.place(&there).ebs_snapshots.insert(copy.id.clone(), copy);
        }
        self.place(home).ebs_snapshots.insert(original.id.clone(), original);
    }

    /// The VPC of a subnet group.
    pub(crate) fn vpc_of(&self, key: &PlaceKey, group: &str) -> String {
        let spec = self.places.get(key).and_then(|p| p.spec.as_ref());
        let known = spec.and_then(|s| s.subnet_groups.iter().find(|g| g.name == group));
        known.map_or_else(|| super::rds::DEFAULT_VPC.to_owned(), |g| g.vpc.clone())
    }
}

pub(super) fn earlier(time: DateTime<Utc>, before: HumanDuration) -> DateTime<Utc> {
    let delta = TimeDelta::from_std(before.0).unwrap_or(TimeDelta::MAX);
    time.checked_sub_signed(delta).unwrap_or(DateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Estate;
    use proptest::prelude::*;

    fn open() -> State {
        let text = include_str!("tests/estate.yaml");
        State::open(Estate::read("estate.yaml", text).unwrap(), Vec::new())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]

        #[test]
        fn what_exists_does_not_depend_on_how_often_anybody_looked(
            looks in proptest::collection::vec(1_i64..50_000, 1..20),
        ) {
            let (mut often, mut once) = (open(), open());
            let mut now = often.estate.now;
            for look in looks {
                now += TimeDelta::seconds(look);
                often.advance(now);
            }
            once.advance(now);
            prop_assert_eq!(often.inventory(now), once.inventory(now));
        }
    }

    #[test]
    fn a_schedule_keeps_as_many_as_its_retention_says_whenever_one_looks() {
        let mut state = open();
        let start = state.estate.now;
        for hours in 0..200 {
            let now = start + TimeDelta::hours(hours) + TimeDelta::minutes(30);
            state.advance(now);
            let all = state.inventory(now);
            let hourly = all.keys().filter(|k| k.contains("rds:hourly-")).count();
            assert_eq!(hourly, 144, "after {hours} hours");
        }
    }
}
