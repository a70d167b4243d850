//! Volumes, buckets, and the snapshot of an etcd.

use super::super::model::{Design, Draft};
use super::Workshop;
use std::fmt::Write as _;

impl Workshop {
    pub(super) fn volume(&mut self, n: u64) {
        let (size, encrypted) = (self.random.between(1, 200), self.random.chance(50));
        let key = if encrypted { "kms_key: alias/dr, " } else { "" };
        let mut snapshots = String::new();
        for (place, age) in [1, 7, 13, 19].into_iter().enumerate() {
            let _ = write!(
                snapshots,
                "{{ id: snap-{n}{place}, age: {age}h, tags: {{ app: v{n}, data-time: \"{time}\" }} }}, ",
                time = [
                    "2026-11-20T00:00:00Z",
                    "2026-11-19T18:00:00Z",
                    "2026-11-19T12:00:00Z",
                    "2026-11-19T06:00:00Z"
                ][place],
            );
        }
        let _ = writeln!(
            self.dr.volumes,
            "      - {{ id: vol-{n}, size: {size}, {key}zone: ap-northeast-3a, snapshots: [{snapshots}] }}"
        );
        let point = self.volume_point(n);
        let restores = 1 + u64::from(self.random.chance(25));
        for m in 0..restores {
            let volume = self.volume_restore(n, m, &point, encrypted);
            if self.random.chance(60) {
                self.fsck(n, m, &volume);
            }
        }
    }

    fn volume_point(&mut self, n: u64) -> String {
        let with =
            |app: &str| format!("{{ tags: {{ app: {app} }}, time_tag: data-time, schedule: 6h }}");
        let mut draft = Draft::new(
            format!("vpoint{n}"),
            "ebs.find_snapshot",
            "recover",
            with(&format!("v{n}")),
        );
        draft.at = Some("dr");
        let wrong = self.goes_wrong();
        if wrong && self.random.chance(40) {
            draft.with = with("nothing");
            draft.design = Design::Fails;
        } else {
            let age = if wrong { "<= 90m" } else { "<= 40h" };
            draft.expect.push(("age", age.to_owned()));
            draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        }
        self.add(draft)
    }

    fn volume_restore(&mut self, n: u64, m: u64, point: &str, encrypted: bool) -> String {
        let encrypt = encrypted || self.random.chance(30);
        let with = format!(
            "{{ snapshot: \"{{{{steps.{point}.id}}}}\", availability_zone: ap-northeast-3a, volume_type: gp3, encrypted: \
             {encrypt} }}"
        );
        let mut draft = Draft::new(format!("volume{n}-{m}"), "ebs.restore_volume", "recover", with);
        draft.at = Some("dr");
        draft.refers.insert(point.to_owned());
        if self.goes_wrong() {
            draft.expect.push(("volume_type", "= io2".to_owned()));
            draft.design = Design::FallsShort;
        } else {
            draft.expect.push(("encrypted", encrypt.to_string()));
        }
        self.add(draft)
    }

    fn fsck(&mut self, n: u64, m: u64, volume: &str) -> String {
        let id = format!("fsck{n}-{m}");
        let wrong = self.goes_wrong();
        let (status, takes) = (u64::from(wrong), self.random.between(1, 9));
        if wrong && self.random.chance(40) {
            // The estate has no answer.
        } else {
            let _ = writeln!(
                self.commands,
                "    {id}: {{ status: {status}, stdout: \"clean\", takes: {takes}m }}"
            );
        }
        let answered = self.commands.contains(&format!("    {id}:"));
        let with = format!("{{ argv: [fsck, \"{{{{steps.{volume}.id}}}}\"], effect: none }}");
        let mut draft = Draft::new(id, "exec.run", "verify", with);
        draft.refers.insert(volume.to_owned());
        draft.design = match (wrong, answered) {
            (false, _) => Design::Passes,
            (true, true) => Design::FallsShort,
            (true, false) => Design::Unanswered,
        };
        self.add(draft)
    }

    pub(super) fn bucket(&mut self) {
        let lag = self.random.between(1, 5);
        let count = self.random.between(1, 6);
        let wrong = self.goes_wrong();
        let stalled = if wrong { ", stalled: true" } else { "" };
        let _ = writeln!(
            self.primary.buckets,
            "      - {{ name: files, versioning: enabled, replication: [{{ to: {{ bucket: files-dr, account: \
             \"222222222222\", region: ap-northeast-3 }}, lag: {lag}m, delete_markers: true{stalled} }}], objects: [{{ \
             key: \"a/{{n}}.txt\", size: 2KiB, count: {count}, every: 2h, at: 3h }}] }}"
        );
        let _ = writeln!(
            self.dr.buckets,
            "      - {{ name: files-dr, versioning: enabled, readers: [\"111111111111\"] }}"
        );
        let both = "source: files, replica: files-dr, replica_at: dr";
        let mut canary = Draft::new(
            "canary".to_owned(),
            "s3.replicate_canary",
            "prepare",
            format!("{{ {both}, within: 25m }}"),
        );
        canary.at = Some("primary");
        canary.design = if wrong { Design::Fails } else { Design::Passes };
        let mut replicas = Draft::new(
            "replicas".to_owned(),
            "s3.check_replication",
            "prepare",
            format!("{{ {both}, grace: 15m }}"),
        );
        replicas.at = Some("primary");
        if wrong {
            replicas.expect.push(("missing", "= 0".to_owned()));
            replicas.design = Design::FallsShort;
        }
        self.add(canary);
        if self.random.chance(60) {
            self.add(replicas);
        }
    }

    pub(super) fn etcd(&mut self) {
        let _ = writeln!(
            self.dr.buckets,
            "      - {{ name: etcd, versioning: enabled, objects: [{{ key: latest.db, file: \
             files/cluster-state.snapshot.db, at: 1h, metadata: {{ snapshot-time: \"2026-11-20T00:55:00Z\" }} }}] }}"
        );
        let wrong = self.goes_wrong();
        let mut draft = Draft::new(
            "etcd".to_owned(),
            "etcd.verify_snapshot",
            "recover",
            "{ object: { bucket: etcd, key: latest.db } }".to_owned(),
        );
        draft.at = Some("dr");
        let keys = if wrong { ">= 1000000" } else { ">= 20" };
        draft.expect.push(("live_keys", keys.to_owned()));
        draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        self.add(draft);
        if self.random.chance(60) {
            self.etcd_inventory();
        }
        if self.random.chance(60) {
            self.etcd_restore();
        }
    }

    fn etcd_inventory(&mut self) {
        let wrong = self.goes_wrong();
        let pods = if wrong { ">= 10" } else { "= 9" };
        let with = format!(
            "{{ object: {{ bucket: etcd, key: latest.db }}, counts: [{{ resource: pods, expect: \"{pods}\" }}] }}"
        );
        let mut draft = Draft::new("objects".to_owned(), "etcd.inventory", "recover", with);
        draft.at = Some("dr");
        draft.design = if wrong { Design::FallsShort } else { Design::Passes };
        self.add(draft);
    }

    /// A simulated etcd of one or three members, which may lack keys, or not be answered for.
    fn etcd_restore(&mut self) {
        let wrong = self.goes_wrong();
        let unanswered = wrong && self.random.chance(40);
        let (takes, loses) = (self.random.between(1, 90), u64::from(wrong));
        if !unanswered {
            let _ = writeln!(
                self.etcds,
                "    trial: {{ restore_takes: {takes}s, ready_after: 4s, loses: {loses} }}"
            );
        }
        let members = *self.random.pick(&[1, 3]);
        let with = format!("{{ object: {{ bucket: etcd, key: latest.db }}, members: {members} }}");
        let mut draft = Draft::new("trial".to_owned(), "etcd.restore", "recover", with);
        draft.at = Some("dr");
        draft.design = match (wrong, unanswered) {
            (false, _) => Design::Passes,
            (true, false) => Design::FallsShort,
            (true, true) => Design::Unanswered,
        };
        self.add(draft);
    }

    /// A running cluster of three: a snapshot of one member before the disaster, and a comparison of all after it.
    pub(super) fn members(&mut self) {
        let wrong = self.goes_wrong();
        for n in 1..=3 {
            let file = if wrong && n == 2 { "differs" } else { "snapshot" };
            let _ = writeln!(
                self.etcd,
                "    \"http://127.0.0.{n}:2379\": {{ name: n{n}, file: files/cluster-of-three.{file}.db }}"
            );
        }
        let mut take = Draft::new(
            "take".to_owned(),
            "etcd.take_snapshot",
            "prepare",
            "{ endpoint: \"http://127.0.0.1:2379\", object: { bucket: etcd } }".to_owned(),
        );
        take.at = Some("dr");
        self.add(take);
        let mut compare = Draft::new(
            "members".to_owned(),
            "etcd.compare_members",
            "verify",
            "{ endpoints: [\"http://127.0.0.1:2379\"], all_members: true }".to_owned(),
        );
        compare.design = if wrong { Design::FallsShort } else { Design::Passes };
        self.add(compare);
    }
}
