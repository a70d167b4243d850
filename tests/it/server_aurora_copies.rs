//! A copy of a cluster snapshot in another region, the cluster that is restored from it, and its parameters: against moto. It
//! copies at once and across regions, keeps the key that it is given, names no source, and knows of a parameter group only
//! what was set in it.

use crate::moto_operations::{calls_of, expect_calls};
use crate::server_support::{Aws, Drill, Drills, end, moto, repository};
use serde_json::{Value, json};

const HOME: &str = "eu-west-3";
const DR: &str = "eu-north-1";
const ACCOUNT: &str = "210987654333";

/// What a drill makes in the other region: how it is asked for, and where its name stands.
const MADE: [(&str, &str, &str); 3] = [
    (
        "db-cluster-snapshots --snapshot-type manual",
        "DBClusterSnapshots",
        "DBClusterSnapshotIdentifier",
    ),
    ("db-clusters", "DBClusters", "DBClusterIdentifier"),
    ("db-instances", "DBInstances", "DBInstanceIdentifier"),
];

/// What preflight looks for, and how.
const GROUPS: [(&str, &str); 3] = [
    ("DB subnet group", "rds:DescribeDBSubnetGroups"),
    ("cluster parameter group", "rds:DescribeDBClusterParameterGroups"),
    ("DB parameter group", "rds:DescribeDBParameterGroups"),
];

/// A cluster with one instance and a snapshot, and what another region has for it.
struct Source {
    home: Aws,
    dr: Aws,
    cluster: String,
    key: String,
}

impl Source {
    fn create(cluster: &str) -> Self {
        let home = Aws::assume(ACCOUNT, HOME);
        let dr = home.in_region(DR);
        let key = |aws: &Aws| {
            aws.json("kms create-key")["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
        };
        let subnets = dr.json("ec2 describe-subnets");
        let ids = subnets["Subnets"].as_array().unwrap().iter();
        let ids: Vec<_> = ids.filter_map(|subnet| subnet["SubnetId"].as_str()).collect();
        dr.json(&format!(
            "rds create-db-subnet-group --db-subnet-group-name {cluster} --db-subnet-group-description d --subnet-ids {}",
            ids.join(" ")
        ));
        dr.json(&format!(
            "rds create-db-parameter-group --db-parameter-group-name {cluster} --db-parameter-group-family aurora-postgresql16 \
             --description d"
        ));
        for aws in [&home, &dr] {
            aws.json(&format!(
                "rds create-db-cluster-parameter-group --db-cluster-parameter-group-name {cluster} \
                 --db-parameter-group-family aurora-postgresql16 --description d"
            ));
        }
        let (of_home, of_dr) = (key(&home), key(&dr));
        let source = Self { home, dr, cluster: cluster.to_owned(), key: of_dr };
        source.set_parameter(&source.home, "4096");
        source.set_parameter(&source.dr, "4096");
        source.home.json(&format!(
            "rds create-db-cluster --db-cluster-identifier {cluster} --engine aurora-postgresql --engine-version 16.4 \
             --master-username keeper --master-user-password not-a-real-password --storage-encrypted --kms-key-id {of_home} \
             --db-cluster-parameter-group-name {cluster}"
        ));
        source.home.json(&format!(
            "rds create-db-instance --db-instance-identifier {cluster}-1 --db-cluster-identifier {cluster} \
             --engine aurora-postgresql --db-instance-class db.r6g.large"
        ));
        source
    }

    fn set_parameter(&self, aws: &Aws, value: &str) {
        aws.json(&format!(
            "rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name {} --parameters \
             ParameterName=work_mem,ParameterValue={value},ApplyMethod=immediate",
            self.cluster
        ));
    }

    /// A snapshot of data of two hours ago.
    fn snapshot(&self, id: &str) {
        let now = redrill::time::Clock::system().now();
        let time = (now - chrono::TimeDelta::hours(2)).format("%Y-%m-%dT%H:%M:%SZ");
        self.home.json(&format!(
            "rds create-db-cluster-snapshot --db-cluster-snapshot-identifier {id} --db-cluster-identifier {} \
             --tags Key=data-time,Value={time}",
            self.cluster
        ));
    }

    fn inputs(&self) -> [(&'static str, &str); 3] {
        [("cluster", &self.cluster), ("key", &self.key), ("groups", &self.cluster)]
    }

    fn drill(&self, drills: &Drills, more: &[&str]) -> Drill {
        let mut command = drills.run("aurora-copied", &self.inputs());
        Drill::of(&end(command.args(more)))
    }

    /// What is looked at before the day: the calls behind the checks that pass.
    fn preflight(&self, drills: &Drills) -> Vec<String> {
        let mut command = drills.program();
        command.arg("preflight").arg(repository("tests/it/scenarios/aurora-copied.yaml"));
        command.args(["--format", "json", "--endpoint-url", &moto()]);
        for (name, value) in self.inputs() {
            command.arg("--set").arg(format!("{name}={value}"));
        }
        let ended = end(&mut command);
        let found: Value = serde_json::from_str(&ended.stdout).unwrap();
        let mut sites = found["sites"].as_array().unwrap().iter();
        let dr = sites.find(|site| site["site"] == "dr").unwrap();
        let outcome = |what: &str| {
            let checks = dr["checks"].as_array().unwrap();
            let one = checks.iter().find(|one| one["what"].as_str().unwrap().starts_with(what));
            one.unwrap_or_else(|| panic!("no {what} in {dr:#}"))["outcome"].clone()
        };
        // Nobody answers that here, and nothing is made of it.
        assert_eq!(outcome("quotas of RDS"), "not_checked", "{dr:#}");
        let answered = GROUPS.map(|(group, operation)| {
            assert_eq!(outcome(&format!("{group} {}", self.cluster)), "passed", "{dr:#}");
            operation.to_owned()
        });
        answered.into()
    }

    /// A copy, a cluster and its member, which say until when they stay.
    fn has_kept_all_of_it(&self) {
        for (words, list, name) in MADE {
            let found = self.dr.json(&format!("rds describe-{words}"));
            let found = found[list].as_array().unwrap();
            assert_eq!(found.len(), 1, "{name}: {found:#?}");
            let tags = found[0]["TagList"].as_array().unwrap();
            assert!(tags.iter().any(|tag| tag["Key"] == "redrill:expires"), "{name}: {tags:?}");
        }
    }

    fn remove(&self) {
        let name = |words: &str, list: &str, name: &str| {
            let found = self.dr.json(&format!("rds describe-{words}"));
            found[list][0][name].as_str().unwrap().to_owned()
        };
        let [copy, cluster, member] = MADE.map(|(words, list, field)| name(words, list, field));
        for words in [
            format!("delete-db-instance --skip-final-snapshot --db-instance-identifier {member}"),
            format!("delete-db-cluster --skip-final-snapshot --db-cluster-identifier {cluster}"),
            format!("delete-db-cluster-snapshot --db-cluster-snapshot-identifier {copy}"),
        ] {
            self.dr.json(&format!("rds {words}"));
        }
        self.is_alone();
    }

    /// Neither a copy nor a cluster of the drill is there any more.
    fn is_alone(&self) {
        let snapshots = self.dr.json("rds describe-db-cluster-snapshots --snapshot-type manual");
        assert_eq!(snapshots["DBClusterSnapshots"], json!([]));
        let clusters = self.dr.json("rds describe-db-clusters");
        assert_eq!(clusters["DBClusters"], json!([]));
    }
}

#[test]
fn server_a_copied_cluster_snapshot_is_restored_elsewhere_compared_and_removed() {
    let source = Source::create("payments-copied");
    source.snapshot("payments-copied-1");
    let drills = Drills::new();
    let drill = source.drill(&drills, &[]);
    // Nothing is red but the VPC, which moto does not tell.
    drill.expect(2, "inconclusive");
    let mut red = crate::rehearsals::red(&drill.report);
    red.retain(|what| !what.starts_with("finding "));
    assert_eq!(red, ["check fidelity: vpc inconclusive", "step fidelity inconclusive"]);
    assert_eq!(drill.check("copy", "complete").0, "passed");
    assert_eq!(drill.check("copy", "encryption key"), ("passed".into(), source.key.clone()));
    assert_eq!(drill.check("copy", "time of the data").0, "passed");
    assert_eq!(drill.check("config", "parameters read"), ("passed".into(), "1 changed".into()));
    let parameters = drill.check("fidelity", "cluster_parameters");
    assert_eq!((parameters.0.as_str(), parameters.1.contains("4096")), ("passed", true));
    drill.nothing_is_left(3);
    source.is_alone();

    // Somebody has changed the group of the other region only. What the drill made is looked at, and stays.
    source.set_parameter(&source.dr, "64");
    let kept = source.drill(&drills, &["--keep", "2h"]);
    kept.expect(1, "failed");
    let (outcome, observed) = kept.check("fidelity", "cluster_parameters");
    assert_eq!(outcome, "failed", "{observed}");
    assert!(observed.contains("64"), "{observed}");
    source.has_kept_all_of_it();
    source.remove();

    let mut made = calls_of(&drills);
    made.extend(source.preflight(&drills));
    expect_calls("aurora-copied", &made);
}

/// No copy, no restore: what was to be copied is gone.
#[test]
fn server_a_copy_of_a_cluster_snapshot_that_is_gone_fails_and_leaves_nothing() {
    let source = Source::create("payments-uncopied");
    let drill = source.drill(&Drills::new(), &[]);
    assert_eq!(drill.outcome("point"), "failed");
    assert_eq!(drill.outcome("copy"), "not_run");
    drill.nothing_is_left(0);
}
