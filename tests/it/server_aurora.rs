//! Aurora against moto. moto has no databases behind its clusters, makes everything at once, restores no cluster snapshot by
//! its ARN and names no source on copies; what the drills need of it is there.

use crate::moto_operations::{calls_of, expect_calls};
use crate::server_support::{Aws, Drill, Drills, end};
use serde_json::Value;

const HOME: &str = "eu-west-3";
const ACCOUNT: &str = "210987654331";

/// A cluster with one instance, and what a restored one refers to.
struct Source {
    aws: Aws,
    cluster: String,
    subnets: String,
    group: String,
}

impl Source {
    fn create(cluster: &str) -> Self {
        let aws = Aws::assume(ACCOUNT, HOME);
        let key = aws.json("kms create-key")["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
        let password = "not-a-real-password";
        aws.json(&format!(
            "rds create-db-cluster --db-cluster-identifier {cluster} --engine aurora-postgresql --engine-version 16.4 \
             --master-username keeper --master-user-password {password} --database-name payments --storage-encrypted \
             --kms-key-id {key}"
        ));
        aws.json(&format!(
            "rds create-db-instance --db-instance-identifier {cluster}-1 --db-cluster-identifier {cluster} \
             --engine aurora-postgresql --db-instance-class db.r6g.large"
        ));
        let vpc = aws.json("ec2 describe-vpcs")["Vpcs"][0]["VpcId"].as_str().unwrap().to_owned();
        let subnets = aws.json("ec2 describe-subnets");
        let ids = subnets["Subnets"].as_array().unwrap().iter();
        let ids: Vec<_> = ids.filter_map(|subnet| subnet["SubnetId"].as_str()).collect();
        let name = format!("{cluster}-drill");
        aws.json(&format!(
            "rds create-db-subnet-group --db-subnet-group-name {name} --db-subnet-group-description d --subnet-ids {}",
            ids.join(" ")
        ));
        let group = aws.json(&format!(
            "ec2 create-security-group --group-name {name} --description d --vpc-id {vpc}"
        ));
        let group = group["GroupId"].as_str().unwrap().to_owned();
        Self { aws, cluster: cluster.to_owned(), subnets: name, group }
    }

    fn snapshot(&self, id: &str, tag: Option<&str>) {
        let tags = tag.map(|time| format!(" --tags Key=data-time,Value={time}"));
        self.aws.json(&format!(
            "rds create-db-cluster-snapshot --db-cluster-snapshot-identifier {id} --db-cluster-identifier {}{}",
            self.cluster,
            tags.unwrap_or_default()
        ));
    }

    fn drill(&self, drills: &Drills) -> Drill {
        let inputs =
            [("cluster", &*self.cluster), ("subnets", &*self.subnets), ("group", &*self.group)];
        Drill::of(&end(&mut drills.run("aurora-restored", &inputs)))
    }

    /// The source is as it was, and nothing else of its name is there.
    fn is_alone(&self) {
        let clusters = self.aws.json("rds describe-db-clusters");
        let names = |all: &Value, list: &str, name: &str| -> Vec<String> {
            let all = all[list].as_array().unwrap().iter();
            all.map(|one| one[name].as_str().unwrap().to_owned()).collect()
        };
        let found = names(&clusters, "DBClusters", "DBClusterIdentifier");
        assert!(found.contains(&self.cluster), "{found:?}");
        assert!(found.iter().all(|name| !name.starts_with("redrill-aurora")), "{found:?}");
        let instances = self.aws.json("rds describe-db-instances");
        let found = names(&instances, "DBInstances", "DBInstanceIdentifier");
        assert!(found.contains(&format!("{}-1", self.cluster)), "{found:?}");
        assert!(found.iter().all(|name| !name.starts_with("redrill-aurora")), "{found:?}");
    }
}

fn hours_ago(hours: i64) -> String {
    let now = redrill::time::Clock::system().now();
    (now - chrono::TimeDelta::hours(hours)).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[test]
fn server_a_cluster_is_restored_with_its_members_from_a_snapshot_and_to_a_time_and_removed() {
    let source = Source::create("payments-whole");
    let newest = hours_ago(3);
    source.snapshot("payments-whole-old", Some(&hours_ago(27)));
    source.snapshot("payments-whole-new", Some(&newest));
    let drills = Drills::new();
    let drill = source.drill(&drills);
    drill.expect(0, "passed");
    assert_eq!(drill.check("point", "encryption key"), ("passed".into(), "enabled".into()));
    let (outcome, time) = drill.check("point", "time of the data");
    assert_eq!((outcome.as_str(), time.contains("tag data-time")), ("passed", true), "{time}");
    for (check, observed) in [
        ("members", "writers: 1, readers: 1"),
        ("writer class", "db.r6g.large"),
        ("reader classes", "db.r6g.xlarge"),
        ("security_groups", &*source.group),
        ("subnet_group", &*source.subnets),
        ("port", "5439"),
        ("iam_auth", "true"),
        ("log_exports", "postgresql"),
        ("serverless", "0.5 to 8"),
        ("engine_mode", "provisioned"),
        ("deletion_protection", "true"),
        ("publicly_accessible", "false"),
        ("engine version", "16.4"),
        ("encrypted", "true"),
    ] {
        let found = drill.check("restore", check);
        assert_eq!(found, ("passed".to_owned(), observed.to_owned()), "{check}");
    }
    assert_eq!(drill.check("clock", "restorable time").0, "passed");
    assert_eq!(drill.check("clock", "members").1, "writers: 1, readers: 0");
    drill.nothing_is_left(5);
    expect_calls("aurora-restored", &calls_of(&drills));
    source.is_alone();
}

#[test]
fn server_a_snapshot_without_a_tag_leaves_the_time_of_its_data_inconclusive() {
    let source = Source::create("payments-untagged");
    source.snapshot("payments-untagged-1", None);
    source.snapshot("payments-untagged-2", None);
    let drill = source.drill(&Drills::new());
    assert_eq!(drill.check("point", "time of the data").0, "inconclusive");
    assert_eq!(drill.outcome("point"), "inconclusive");
    source.is_alone();
}

#[test]
fn server_a_cluster_without_snapshots_fails_before_anything_is_made() {
    let source = Source::create("payments-bare");
    let drill = source.drill(&Drills::new());
    drill.expect(1, "failed");
    assert_eq!(drill.check("point", "usable recovery point").0, "failed");
    assert_eq!(drill.outcome("restore"), "not_run");
    drill.nothing_is_left(0);
}
