//! EBS and S3 against moto: an implementation of AWS's protocols that is not ours. What moto lacks, replication above all,
//! is expected as the finding that it is, or played by the test.

use crate::server_support::{Aws, Drill, Drills, Ended, end, poll};
use serde_json::Value;
use std::time::Duration;

const HOME: &str = "eu-west-3";
const DR: &str = "eu-north-1";

#[test]
fn server_a_volume_is_restored_from_its_newest_snapshot_and_removed() {
    // The account of files-volume.yaml.
    let aws = Aws::assume("210987654322", HOME);
    let made =
        aws.json("ec2 create-volume --size 3 --volume-type gp2 --availability-zone eu-west-3a");
    let volume = made["VolumeId"].as_str().unwrap();
    let take = || aws.json(&format!("ec2 create-snapshot --volume-id {volume}"));
    let older = take();
    // Snapshots are told apart by whole seconds.
    let newer = poll("a later snapshot", Duration::from_secs(30), || {
        Some(take()).filter(|one| one["StartTime"] != older["StartTime"])
    });
    let drills = Drills::new();
    let drill = Drill::of(&end(&mut drills.run("files-volume", &[("volume", volume)])));
    drill.expect(0, "passed");
    assert_eq!(drill.check("restore", "snapshot").1, newer["SnapshotId"].as_str().unwrap());
    assert_eq!(drill.check("restore", "volume_type"), ("passed".into(), "gp3".into()));
    assert_eq!(drill.check("restore", "availability_zone").1, "eu-west-3b");
    assert_eq!(drill.at("/objectives/rpo/measured_from"), "backup");
    drill.nothing_is_left(1);
    let id = drill.at("/resources/0/id").as_str().unwrap();
    assert!(id.starts_with("vol-") && id != volume, "{id}");
    let refusal = aws.refusal(&format!("ec2 describe-volumes --volume-ids {id}"));
    assert!(refusal.contains("InvalidVolume.NotFound"), "{refusal}");
    let source = aws.json(&format!("ec2 describe-volumes --volume-ids {volume}"));
    assert_eq!(source["Volumes"][0]["State"], "available");
}

#[test]
fn server_a_volume_without_snapshots_fails_before_anything_is_made() {
    let aws = Aws::assume("210987654322", HOME);
    let made = aws.json("ec2 create-volume --size 3 --availability-zone eu-west-3a");
    let drills = Drills::new();
    let inputs = [("volume", made["VolumeId"].as_str().unwrap())];
    let drill = Drill::of(&end(&mut drills.run("files-volume", &inputs)));
    drill.expect(1, "failed");
    assert_eq!(drill.check("point", "usable recovery point").0, "failed");
    assert_eq!(drill.outcome("restore"), "not_run");
    drill.nothing_is_left(0);
}

/// Two buckets with a rule between them that moto keeps and does not follow.
struct Buckets {
    home: Aws,
    dr: Aws,
    source: String,
    replica: String,
}

impl Buckets {
    /// `source` is a name that `guard.canaries` of uploads-replica.yaml holds.
    fn create(source: &str) -> Self {
        let home = Aws::assume("210987654323", HOME);
        let dr = home.in_region(DR);
        let (source, replica) = (source.to_owned(), format!("{source}-dr"));
        let buckets = Self { home, dr, source, replica };
        buckets.create_one(&buckets.home, &buckets.source, HOME);
        buckets.create_one(&buckets.dr, &buckets.replica, DR);
        let rule = serde_json::json!({
            "Role": "arn:aws:iam::210987654323:role/replication",
            "Rules": [{
                "ID": "all", "Status": "Enabled", "Priority": 1, "Filter": { "Prefix": "" },
                "DeleteMarkerReplication": { "Status": "Disabled" },
                "Destination": { "Bucket": format!("arn:aws:s3:::{}", buckets.replica) },
            }],
        });
        let put = ["s3api", "put-bucket-replication", "--bucket", &buckets.source];
        let rule = rule.to_string();
        buckets.home.json_of(&[&put[..], &["--replication-configuration", &rule]].concat());
        for number in 1..=3 {
            let bucket = &buckets.source;
            buckets
                .home
                .json(&format!("s3api put-object --bucket {bucket} --key uploads/{number}"));
        }
        buckets
    }

    fn create_one(&self, aws: &Aws, name: &str, region: &str) {
        aws.json(&format!(
            "s3api create-bucket --bucket {name} --create-bucket-configuration LocationConstraint={region}"
        ));
        aws.json(&format!(
            "s3api put-bucket-versioning --bucket {name} --versioning-configuration Status=Enabled"
        ));
    }

    fn drill(&self, within: &str, meanwhile: impl FnOnce(&Self)) -> (Drill, Ended) {
        let drills = Drills::new();
        let inputs = [("source", &*self.source), ("replica", &*self.replica), ("within", within)];
        let mut command = drills.run("uploads-replica", &inputs);
        let ended = std::thread::scope(|scope| {
            let running = scope.spawn(|| end(&mut command));
            meanwhile(self);
            running.join().unwrap()
        });
        (Drill::of(&ended), ended)
    }

    /// The keys of all versions and delete markers.
    fn keys(&self, aws: &Aws, bucket: &str) -> Vec<String> {
        let answer = aws.json(&format!("s3api list-object-versions --bucket {bucket}"));
        let of = |kind: &str| answer[kind].as_array().cloned().unwrap_or_default();
        let all = of("Versions").into_iter().chain(of("DeleteMarkers"));
        all.map(|one: Value| one["Key"].as_str().unwrap().to_owned()).collect()
    }

    /// Asserts that of the canary nothing is left on either side, and that the source is as it was.
    fn are_clean(&self) {
        assert_eq!(self.keys(&self.home, &self.source), ["uploads/1", "uploads/2", "uploads/3"]);
        assert_eq!(self.keys(&self.dr, &self.replica), Vec::<String>::new());
    }

    /// Does what the rule says for the canary.
    fn replicate_canary(&self) {
        let canary = poll("the canary is written", Duration::from_secs(30), || {
            let keys = self.keys(&self.home, &self.source);
            keys.into_iter().find(|key| key.starts_with("redrill-canary/"))
        });
        let (source, replica) = (&self.source, &self.replica);
        self.dr.json(&format!(
            "s3api copy-object --copy-source {source}/{canary} --bucket {replica} --key {canary}"
        ));
    }
}

#[test]
fn server_a_replication_that_does_not_work_fails_and_its_canary_is_removed() {
    let buckets = Buckets::create("uploads-stalled");
    let (drill, ended) = buckets.drill("6s", |_| {});
    drill.expect(1, "failed");
    let (outcome, observed) = drill.check("canary", "canary at the replica");
    assert_eq!(outcome, "failed", "{}", ended.stderr);
    assert!(observed.contains("longer than 6s"), "{observed}");
    // What the rule promises, and what is there.
    assert_eq!(drill.check("compared", "replication rule").0, "passed");
    assert_eq!(drill.check("compared", "versioning of the replica").0, "passed");
    assert_eq!(drill.check("compared", "region of the replica"), ("passed".into(), DR.into()));
    assert_eq!(drill.check("compared", "versions at the replica").0, "failed");
    assert_eq!(drill.outcome("compared"), "failed");
    drill.nothing_is_left(2);
    buckets.are_clean();
}

#[test]
fn server_a_canary_that_arrives_passes_and_is_removed_on_both_sides() {
    let buckets = Buckets::create("uploads-played");
    let (drill, ended) = buckets.drill("1m", Buckets::replicate_canary);
    let (outcome, observed) = drill.check("canary", "canary at the replica");
    assert_eq!(outcome, "passed", "{observed}\n{}", ended.stderr);
    assert_eq!(drill.outcome("canary"), "passed");
    // The older objects were not replicated: one canary that arrives does not hide them.
    drill.expect(1, "failed");
    assert_eq!(drill.check("compared", "versions at the replica").0, "failed");
    drill.nothing_is_left(2);
    buckets.are_clean();
}
