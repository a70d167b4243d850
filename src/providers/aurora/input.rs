//! What both ways of restoring a cluster are given. Nothing of it is read from the source: everything that RDS would choose
//! badly by itself can be said.

use crate::action::{Given, InputProblem, StepError};
use crate::providers::rds::{Monitoring, in_days, monitoring_problem, retention_problem};
use crate::time::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Member {
    /// The instance class: `db.r6g.large`, or `db.serverless` where `serverless` is given.
    pub(super) class: String,
    /// Its place in the order in which members take over the writing: 0 comes first, 15 last. RDS takes 1.
    #[serde(default)]
    #[schemars(range(max = 15))]
    pub(super) tier: Option<u8>,
    /// The availability zone. Without it RDS chooses one.
    #[serde(default)]
    pub(super) zone: Option<String>,
}

/// The limits of Aurora Serverless v2, in capacity units.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Serverless {
    /// The fewest: 0, 0.5, 1, …
    pub(super) min: f64,
    /// The most: up to 256.
    pub(super) max: f64,
}

/// The class of members whose size follows their load.
pub(super) const SERVERLESS_CLASS: &str = "db.serverless";

/// Makes the input of an action: fields of its own, and those of every cluster that is restored.
macro_rules! cluster_input {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }
        of every cluster { $($(#[$common_meta:meta])* $common:ident: $common_type:ty,)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$field_meta])* pub(super) $field: $type,)*
            $($(#[$common_meta])* pub(super) $common: $common_type,)*
        }
    };
    ($(#[$meta:meta])* $name:ident { $($own:tt)* }) => {
        $crate::providers::aurora::input::cluster_input! {
            $(#[$meta])*
            $name { $($own)* }
            of every cluster {
                /// The member that writes. Restoring makes a cluster without members: this one is made after it.
                writer: $crate::providers::aurora::input::Member,
                /// The members that only read. None named means none.
                #[serde(default)]
                readers: Vec<$crate::providers::aurora::input::Member>,
                /// The VPC in which the cluster must be, and in no other: the isolated one of a drill. The subnet group is
                /// looked at before anything is made, and the members afterwards.
                #[serde(default)]
                vpc: Option<String>,
                /// The DB subnet group. Without it RDS takes the default VPC, which is a finding.
                #[serde(default)]
                subnet_group: Option<String>,
                /// The VPC security groups, exactly these. Without any RDS takes the default group of the VPC, which is a
                /// finding.
                #[serde(default)]
                security_groups: Vec<String>,
                /// The cluster parameter group. Without it RDS takes the default group of the engine.
                #[serde(default)]
                cluster_parameter_group: Option<String>,
                /// The DB parameter group of every member. Without it RDS takes the default group of the engine.
                #[serde(default)]
                instance_parameter_group: Option<String>,
                /// Whether the cluster is protected from deletion. Releasing turns it off again.
                #[serde(default)]
                deletion_protection: bool,
                /// The port. Without it that of the snapshot, or, to a point in time, the default of the engine.
                #[serde(default)]
                port: Option<u16>,
                /// Whether IAM database authentication is on. RDS turns it off unless asked.
                #[serde(default)]
                iam_auth: Option<bool>,
                /// The logs that are sent to CloudWatch: `postgresql`, `audit`, … RDS sends none unless asked.
                #[serde(default)]
                log_exports: Vec<String>,
                /// How long automated backups of the cluster are kept, in whole days from 1 to 35. Without it as long as those
                /// of the source.
                #[serde(default)]
                backup_retention: Option<$crate::time::HumanDuration>,
                /// The authority of the server certificate of every member: `rds-ca-rsa2048-g1`.
                #[serde(default)]
                ca: Option<String>,
                /// Enhanced Monitoring of every member. RDS turns it off unless asked.
                #[serde(default)]
                monitoring: Option<$crate::providers::rds::Monitoring>,
                /// The KMS key of the storage: id, ARN or alias. Without it the one of the backup.
                #[serde(default)]
                kms_key: Option<String>,
                /// The engine mode: `provisioned`, also for Aurora Serverless v2.
                #[serde(default)]
                engine_mode: Option<String>,
                /// The limits of Aurora Serverless v2; members of the class `db.serverless` need them.
                #[serde(default)]
                serverless: Option<$crate::providers::aurora::input::Serverless>,
                /// The storage type: `aurora`, or `aurora-iopt1` for I/O-Optimized.
                #[serde(default)]
                storage_type: Option<String>,
                /// Whether members have an address that can be reached from outside their VPC, which is a finding.
                #[serde(default)]
                publicly_accessible: bool,
                /// Tags besides those that this program sets. Names must not begin with `redrill:` or `aws:`.
                #[serde(default)]
                tags: std::collections::BTreeMap<String, String>,
                /// How long the cluster, and then its members, are expected to take together: looks are rare until then.
                #[serde(default = "crate::providers::aurora::input::forty_minutes")]
                expected_duration: $crate::time::HumanDuration,
                /// How long each instance may take until it has joined, counted from when all were asked for. Then the step
                /// fails and names those that have not, instead of waiting until its own limit.
                #[serde(default = "crate::providers::aurora::input::ninety_minutes")]
                joins_within: $crate::time::HumanDuration,
            }
        }

        impl $name {
            /// What is asked for, however the cluster is made.
            pub(super) fn settings(&self) -> $crate::providers::aurora::input::Settings {
                $crate::providers::aurora::input::Settings {
                    writer: self.writer.clone(),
                    readers: self.readers.clone(),
                    vpc: self.vpc.clone(),
                    subnet_group: self.subnet_group.clone(),
                    security_groups: self.security_groups.clone(),
                    cluster_parameter_group: self.cluster_parameter_group.clone(),
                    instance_parameter_group: self.instance_parameter_group.clone(),
                    deletion_protection: self.deletion_protection,
                    port: self.port,
                    iam_auth: self.iam_auth,
                    log_exports: self.log_exports.clone(),
                    backup_retention: self.backup_retention,
                    ca: self.ca.clone(),
                    monitoring: self.monitoring.clone(),
                    kms_key: self.kms_key.clone(),
                    engine_mode: self.engine_mode.clone(),
                    serverless: self.serverless,
                    storage_type: self.storage_type.clone(),
                    publicly_accessible: self.publicly_accessible,
                    tags: self.tags.clone(),
                    expected_duration: self.expected_duration,
                    joins_within: self.joins_within,
                }
            }
        }
    };
}
pub(super) use cluster_input;

pub(super) fn forty_minutes() -> HumanDuration {
    HumanDuration(Duration::from_secs(2400))
}

/// Instances have been seen to take forty minutes more than their cluster
/// (<https://github.com/aws/aws-cli/issues/9046>).
pub(super) fn ninety_minutes() -> HumanDuration {
    HumanDuration(Duration::from_secs(5400))
}

/// What is asked for, however the cluster is made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) writer: Member,
    pub(super) readers: Vec<Member>,
    pub(super) vpc: Option<String>,
    pub(super) subnet_group: Option<String>,
    pub(super) security_groups: Vec<String>,
    pub(super) cluster_parameter_group: Option<String>,
    pub(super) instance_parameter_group: Option<String>,
    pub(super) deletion_protection: bool,
    pub(super) port: Option<u16>,
    pub(super) iam_auth: Option<bool>,
    pub(super) log_exports: Vec<String>,
    pub(super) backup_retention: Option<HumanDuration>,
    pub(super) ca: Option<String>,
    pub(super) monitoring: Option<Monitoring>,
    pub(super) kms_key: Option<String>,
    pub(super) engine_mode: Option<String>,
    pub(super) serverless: Option<Serverless>,
    pub(super) storage_type: Option<String>,
    pub(super) publicly_accessible: bool,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) expected_duration: HumanDuration,
    pub(super) joins_within: HumanDuration,
}

/// Members of one cluster, at most: a writer and fifteen readers
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/CHAP_Limits.html>).
const MOST_READERS: usize = 15;

impl Settings {
    /// The members in the order in which they are asked for: RDS makes the first one of a cluster its writer.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        std::iter::once(&self.writer).chain(&self.readers)
    }

    /// What can be said to be wrong before anything is made.
    ///
    /// # Errors
    /// A VPC without the subnet group that is in it, too many readers, reserved names of tags, and what Aurora Serverless v2 needs.
    pub(super) fn check(&self) -> Result<(), StepError> {
        let reserved = |name: &&String| name.starts_with("redrill:") || name.starts_with("aws:");
        if let Some(name) = self.tags.keys().find(reserved) {
            let what = format!("the tag name {name} is reserved: choose another");
            return Err(StepError::broken(what));
        }
        if self.vpc.is_some() && self.subnet_group.is_none() {
            return Err(vpc_alone().into());
        }
        if self.readers.len() > MOST_READERS {
            let what = format!("a cluster has at most {MOST_READERS} readers");
            return Err(StepError::broken(what));
        }
        if self.serverless.is_none() && self.members().any(|m| m.class == SERVERLESS_CLASS) {
            let what =
                format!("members of the class {SERVERLESS_CLASS} need the limits in serverless:");
            return Err(StepError::broken(what));
        }
        let kept = self.backup_retention.and_then(kept_problem);
        let every = self.monitoring.as_ref().and_then(|m| monitoring_problem(m.every));
        kept.or(every).map_or(Ok(()), |problem| Err(problem.into()))
    }

    /// The retention of automated backups in days, as RDS counts it.
    pub(super) fn retention_days(&self) -> Option<i32> {
        self.backup_retention.and_then(in_days)
    }
}

/// What RDS would refuse of a retention: it cannot be turned off
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBClusterFromSnapshot.html>).
fn kept_problem(retention: HumanDuration) -> Option<InputProblem> {
    let none = retention.0.is_zero().then(|| {
        InputProblem::at("backup_retention", "backup_retention: Aurora keeps at least one day")
    });
    let problem = none.or_else(|| retention_problem(retention));
    problem.map(|problem| problem.help("write whole days from 1d to 35d"))
}

fn vpc_alone() -> InputProblem {
    InputProblem::at("vpc", "vpc: is given, and no subnet_group: RDS would take the default VPC")
        .help("name the DB subnet group of that VPC in subnet_group:")
}

/// How many things of a kind a restore makes: one cluster, and an instance for the writer and for each reader.
pub(super) fn how_many(given: &Given, kind: &str) -> usize {
    if kind == super::instance::KIND { 1 + given.count("readers") } else { 1 }
}

/// What is wrong with the settings of a cluster, as far as they are known; `more` are the texts that must say something.
pub(super) fn problems(given: &Given, more: &[&str]) -> Vec<InputProblem> {
    let texts = more.iter().copied().chain(["writer.class"]);
    let mut found: Vec<_> = texts.filter_map(|path| InputProblem::empty(given, path)).collect();
    found.extend(InputProblem::reserved_tags(given));
    if given.has("vpc") && !given.has("subnet_group") {
        found.push(vpc_alone());
    }
    found.extend(given.duration("backup_retention").and_then(kept_problem));
    found.extend(given.duration("monitoring.every").and_then(monitoring_problem));
    let readers = given.count("readers");
    if readers > MOST_READERS {
        let what = format!("readers: there are {readers} of them");
        found.push(InputProblem::at("readers", what).expected(format!("at most {MOST_READERS}")));
    }
    let of_readers = (0..readers).map(|number| format!("readers.{number}.class"));
    let classes = std::iter::once("writer.class".to_owned()).chain(of_readers);
    let mut serverless = classes.filter(|path| given.text(path) == Some(SERVERLESS_CLASS));
    if let Some(path) = serverless.next().filter(|_| !given.has("serverless")) {
        let what =
            format!("members of the class {SERVERLESS_CLASS} need the limits in serverless:");
        found.push(InputProblem::at(&path, what).help("give serverless: { min: 0.5, max: 8 }"));
    }
    found
}

/// What restoring a cluster tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct ClusterOutput {
    /// The identifier of the new cluster.
    pub(super) id: String,
    /// Its ARN.
    pub(super) arn: Option<String>,
    /// The host name of the member that writes, whichever that is: the cluster endpoint.
    pub(super) endpoint: Option<String>,
    /// The host name at which the readers answer; absent without readers.
    pub(super) reader_endpoint: Option<String>,
    /// The port.
    pub(super) port: Option<i32>,
    /// The database engine.
    pub(super) engine: Option<String>,
    /// Its version.
    pub(super) engine_version: Option<String>,
    /// The identifier of the member that writes.
    pub(super) writer: Option<String>,
    /// The identifiers of the members that read.
    pub(super) readers: Vec<String>,
    /// How many members have joined.
    pub(super) members: u64,
    /// Whether its storage is encrypted.
    pub(super) encrypted: Option<bool>,
    /// The KMS key of its storage.
    pub(super) kms_key: Option<String>,
    /// The name of the first database in it.
    pub(super) database: Option<String>,
    /// The name of the master user.
    pub(super) master_user: Option<String>,
    /// From asking for it until the cluster was available, still without members. Absent when an earlier attempt or
    /// process had asked for it.
    pub(super) cluster_after: Option<HumanDuration>,
    /// From asking for it until all members were available, too. Absent as above.
    pub(super) available_after: Option<HumanDuration>,
    /// Its status at the end.
    pub(super) status: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    cluster_input! {
        /// Of a test.
        TestInput {
            /// Its own.
            own: String,
        }
    }

    fn settings(with: serde_json::Value) -> Settings {
        let mut all = json!({ "own": "x", "writer": { "class": "db.r6g.large" } });
        all.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        let input: TestInput = serde_json::from_value(all).unwrap();
        assert_eq!(input.own, "x");
        input.settings()
    }

    #[test]
    fn drills_are_private_unprotected_and_without_readers_unless_the_scenario_says_otherwise() {
        let settings = settings(json!({}));
        assert!(!settings.publicly_accessible && !settings.deletion_protection);
        assert!(settings.readers.is_empty() && settings.check().is_ok());
        let unknown = json!({ "own": "x", "writer": { "class": "c" }, "reader": [] });
        assert!(serde_json::from_value::<TestInput>(unknown).is_err());
    }

    #[test]
    fn what_cannot_be_made_is_said_before_anything_is() {
        let wrong = |with| settings(with).check().unwrap_err().to_string();
        let many = vec![json!({ "class": "db.r6g.large" }); 16];
        assert!(wrong(json!({ "readers": many })).contains("at most 15 readers"));
        assert!(wrong(json!({ "tags": { "redrill:run": "x" } })).contains("is reserved"));
        let serverless = json!({ "readers": [{ "class": "db.serverless" }] });
        assert!(wrong(serverless).contains("serverless:"));
        assert!(wrong(json!({ "vpc": "vpc-1" })).contains("no subnet_group"));
        assert!(wrong(json!({ "backup_retention": "0s" })).contains("at least one day"));
        assert!(wrong(json!({ "backup_retention": "36d" })).contains("cannot be asked"));
        let often = json!({ "monitoring": { "every": "7s", "role": "r" } });
        assert!(wrong(often).contains("monitoring.every: 7s"));
        let kept =
            json!({ "backup_retention": "7d", "monitoring": { "every": "60s", "role": "r" } });
        assert_eq!(
            (settings(kept.clone()).check().is_ok(), settings(kept).retention_days()),
            (true, Some(7))
        );
        let limits = json!({ "writer": { "class": "db.serverless" }, "serverless": { "min": 0.5, "max": 8.0 } });
        assert!(settings(limits).check().is_ok());
    }

    #[test]
    fn regression_what_cannot_be_made_is_found_before_the_run() {
        let pointers = |with: serde_json::Value| {
            let given = Given::new("s", crate::ids::StepId::new("x"), None, with);
            let found = problems(&given, &["snapshot"]).into_iter();
            found.map(|problem| problem.pointer).collect::<Vec<_>>()
        };
        let many = vec![json!({ "class": "db.serverless" }); 16];
        let wrong = json!({
            "snapshot": " ", "writer": { "class": "db.r6g.large" }, "vpc": "vpc-1", "readers": many,
            "tags": { "aws:x": "y" }, "backup_retention": "0s", "monitoring": { "every": "7s", "role": "r" },
        });
        let places = [
            "/snapshot",
            "/tags/aws:x",
            "/vpc",
            "/backup_retention",
            "/monitoring/every",
            "/readers",
            "/readers/0/class",
        ];
        assert_eq!(pointers(wrong), places);
        let later = Given::later_mark();
        let fine = json!({ "snapshot": later, "writer": { "class": later }, "vpc": later, "subnet_group": later });
        assert_eq!(pointers(fine), Vec::<String>::new());
    }

    #[test]
    fn the_writer_is_asked_for_first() {
        let settings = settings(json!({ "readers": [{ "class": "db.r6g.xlarge", "tier": 3 }] }));
        let classes: Vec<_> = settings.members().map(|m| m.class.as_str()).collect();
        assert_eq!(classes, ["db.r6g.large", "db.r6g.xlarge"]);
    }
}
