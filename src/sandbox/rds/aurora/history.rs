//! What exists of clusters when the simulation begins, and what their schedules make.

use super::model::{Cluster, ClusterSettings, ClusterSnapshot};
use crate::sandbox::estate::{Cadence, ClusterEstate, ClusterSnapshotCopies, MemberEstate};
use crate::sandbox::history::{LONG_AGO, Of, earlier};
use crate::sandbox::rds::model::{Content, Instance, Membership, Settings};
use crate::sandbox::state::{PlaceKey, State, Timeline, later};
use crate::time::HumanDuration;
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;

impl State {
    pub(in crate::sandbox) fn begin_cluster(&mut self, key: &PlaceKey, of: &Arc<ClusterEstate>) {
        let start = self.estate.now;
        let name = format!("{}/{}/{}", key.account, key.region, of.id);
        let content = Content {
            origin: Arc::new(of.as_database()),
            home: key.clone(),
            as_of: None,
            damage: Vec::new(),
        };
        let cluster = Cluster {
            id: of.id.clone(),
            created: start - LONG_AGO,
            timeline: Timeline::begin(start - LONG_AGO, "available"),
            settings: ClusterSettings::of(of),
            kms_key: of.kms_key.as_ref().map(|k| self.key_arn(key, k)),
            resource_id: format!("cluster-{}", self.digits(&name, 26).to_uppercase()),
            endpoint_code: self.digits(&format!("endpoint/{}/{}", key.account, key.region), 12),
            tags: of.tags.clone(),
            content,
            member_takes: of.instance_takes.0,
        };
        for (member, nth) in of.instances.iter().zip(0..) {
            let created = start - LONG_AGO + chrono::TimeDelta::seconds(nth);
            let instance = self.original_member(key, of, &cluster, member, created);
            self.place(key).instances.insert(instance.id.clone(), instance);
        }
        for manual in &of.snapshots {
            let taken = earlier(start, manual.age);
            let mut snapshot = self.snapshot_of_cluster(key, of, &cluster, &manual.id, taken);
            snapshot.kind = manual.taken_by.wire();
            snapshot.tags = manual.tags.clone();
            snapshot.shared_with = manual.shared_with.iter().map(ToString::to_string).collect();
            snapshot.timeline = Timeline::begin(taken, "available");
            snapshot.content.damage = manual.damage.clone();
            self.place(key).cluster_snapshots.insert(snapshot.id.clone(), snapshot);
        }
        self.place(key).clusters.insert(cluster.id.clone(), cluster);
        if let Some(s) = &of.schedule {
            let keep = s.copies.as_ref().and_then(|c| c.keep).map_or(s.keep, |k| k.max(s.keep));
            let lag = s.copies.as_ref().map_or(HumanDuration::default(), |c| c.lag);
            let reach = HumanDuration(keep.0 + s.takes.0 + lag.0);
            let cadence = Cadence::new(s.every, s.at);
            self.add_schedule(key, cadence, reach, Of::Cluster(Arc::clone(of)));
        }
    }

    /// A member that has always been there.
    fn original_member(
        &self,
        key: &PlaceKey,
        of: &ClusterEstate,
        cluster: &Cluster,
        member: &MemberEstate,
        created: DateTime<Utc>,
    ) -> Instance {
        let name = format!("{}/{}/{}", key.account, key.region, member.id);
        let settings = cluster.settings.of_member(key);
        let parameter_group =
            of.instance_parameter_group.clone().unwrap_or(settings.parameter_group.clone());
        let zone = member.zone.clone().unwrap_or(settings.zone.clone());
        Instance {
            id: member.id.clone(),
            created,
            timeline: Timeline::begin(created, "available"),
            settings: Settings { class: member.class.clone(), parameter_group, zone, ..settings },
            pending: None,
            kms_key: cluster.kms_key.clone(),
            resource_id: format!("db-{}", self.digits(&name, 26).to_uppercase()),
            endpoint_code: cluster.endpoint_code.clone(),
            tags: of.tags.clone(),
            content: cluster.content.clone(),
            replica_of: None,
            promoted: None,
            member: Some(Membership { cluster: cluster.id.clone(), tier: member.tier }),
        }
    }

    fn snapshot_of_cluster(
        &self,
        key: &PlaceKey,
        of: &ClusterEstate,
        cluster: &Cluster,
        id: &str,
        time: DateTime<Utc>,
    ) -> ClusterSnapshot {
        let mut content = cluster.content.clone();
        content.as_of = Some(content.as_of.unwrap_or(time));
        ClusterSnapshot {
            id: id.to_owned(),
            kind: "automated",
            cluster: cluster.id.clone(),
            resource_id: cluster.resource_id.clone(),
            cluster_created: cluster.created,
            timeline: Timeline::begin(time, "creating"),
            created: time,
            settings: cluster.settings.clone(),
            vpc: self.vpc_of(key, &cluster.settings.subnet_group),
            kms_key: cluster.kms_key.clone(),
            tags: BTreeMap::new(),
            shared_with: Vec::new(),
            source_arn: None,
            source_place: None,
            expires: None,
            scheduled: false,
            content,
            restore_takes: of.restore_takes.0,
            member_takes: of.instance_takes.0,
        }
    }

    pub(in crate::sandbox) fn take_cluster_snapshot(
        &mut self,
        home: &PlaceKey,
        of: &Arc<ClusterEstate>,
        time: DateTime<Utc>,
        nth: u32,
    ) {
        let Some(schedule) = &of.schedule else { return };
        let Some(cluster) = self.place(home).clusters.get(&of.id).cloned() else { return };
        // One that was restored under the name of a deleted original has no part in its schedule.
        let original = cluster.content.as_of.is_none();
        let alive = matches!(cluster.timeline.state(time), None | Some("available"));
        if !original || !alive || schedule.skipped.contains(&nth) {
            return;
        }
        let stamp = time.format("%Y-%m-%d-%H-%M");
        let id = format!("rds:{}-{stamp}", of.id);
        let mut original = self.snapshot_of_cluster(home, of, &cluster, &id, time);
        original.timeline = original.timeline.then(schedule.takes.0, "available");
        original.expires = Some(later(time, schedule.keep.0));
        original.scheduled = true;
        original.content.damage.extend(schedule.damage.iter().cloned());
        if let Some(copies) = schedule.copies.as_ref().filter(|c| !c.skipped.contains(&nth)) {
            let account = copies.account.as_ref().map_or(home.account.as_str(), |a| a.as_str());
            let there = PlaceKey::new(account, &copies.region);
            let mut copy = copied(&original, home, copies);
            copy.expires = Some(later(copy.created, copies.keep.unwrap_or(schedule.keep).0));
            copy.id = format!("{}-{stamp}-copy", of.id);
            copy.kms_key = copies.kms_key.as_ref().map(|k| self.key_arn(&there, k));
            self.place(&there).cluster_snapshots.insert(copy.id.clone(), copy);
        }
        self.place(home).cluster_snapshots.insert(original.id.clone(), original);
    }
}

/// A copy: with a time of its own, and what the copying job writes on it.
fn copied(
    original: &ClusterSnapshot,
    home: &PlaceKey,
    copies: &ClusterSnapshotCopies,
) -> ClusterSnapshot {
    let mut copy = original.clone();
    copy.kind = "manual";
    let begun = original.timeline.settles();
    copy.timeline = Timeline::begin(begun, "creating").then(copies.lag.0, "available");
    copy.created = copy.timeline.settles();
    copy.source_arn = Some(original.arn(home));
    copy.source_place = Some(home.clone());
    copy.tags = copies.tags.clone();
    let stamp = original.created.to_rfc3339_opts(SecondsFormat::Secs, true);
    copy.tags.extend(copies.time_tag.iter().map(|tag| (tag.clone(), stamp.clone())));
    copy.content.damage.extend(copies.damage.iter().cloned());
    copy
}
