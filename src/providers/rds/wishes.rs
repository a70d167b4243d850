//! What a restored instance is to be like: the one place for the parameters that every restore has in common, and for how
//! they are written into a call.

use crate::action::{Given, InputProblem, StepContext, StepError};
use crate::time::HumanDuration;
use aws_sdk_rds::types::Tag;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a restored instance is to be like. Nothing of it is read from the source instance: in a disaster it is gone.
/// What is left out is chosen by RDS, which does not take it from the original: default groups, one zone, default VPC.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(super) struct Wishes {
    /// The instance class: `db.r6g.large`. A backup does not know it.
    pub(super) class: String,
    /// The VPC in which the instance must be, and in no other: the isolated one of a drill. The subnet group is looked at
    /// before anything is made, and the instance afterwards.
    #[serde(default)]
    pub(super) vpc: Option<String>,
    /// The DB subnet group. Without it RDS takes the default VPC, which is a finding.
    #[serde(default)]
    pub(super) subnet_group: Option<String>,
    /// The VPC security groups, exactly these. Without any RDS takes the default group of the VPC, which is a finding.
    #[serde(default)]
    pub(super) security_groups: Vec<String>,
    /// Whether to make a standby in another zone. RDS makes none unless asked.
    #[serde(default)]
    pub(super) multi_az: bool,
    /// The DB parameter group. Without it RDS takes the default group of the engine.
    #[serde(default)]
    pub(super) parameter_group: Option<String>,
    /// The option group. Without it RDS takes the default group of the engine.
    #[serde(default)]
    pub(super) option_group: Option<String>,
    /// The storage type: `gp3`, `io2`.
    #[serde(default)]
    pub(super) storage_type: Option<String>,
    /// Provisioned I/O operations per second.
    #[serde(default)]
    pub(super) iops: Option<i32>,
    /// Provisioned throughput of the storage, in MiB per second.
    #[serde(default)]
    pub(super) storage_throughput: Option<i32>,
    /// The port. Without it the port that the backup remembers.
    #[serde(default)]
    pub(super) port: Option<u16>,
    /// Whether the instance is protected from deletion. Releasing turns it off again.
    #[serde(default)]
    pub(super) deletion_protection: bool,
    /// Whether IAM database authentication is on.
    #[serde(default)]
    pub(super) iam_auth: Option<bool>,
    /// Whether the instance has an address that can be reached from outside its VPC, which is a finding.
    #[serde(default)]
    pub(super) publicly_accessible: bool,
    /// How long automated backups of the instance are kept, in whole days up to 35; `0s` turns them off.
    #[serde(default)]
    pub(super) backup_retention: Option<HumanDuration>,
    /// The logs that are sent to CloudWatch: `postgresql`, `upgrade`. RDS sends none unless asked.
    #[serde(default)]
    pub(super) log_exports: Vec<String>,
    /// The authority of the server certificate: `rds-ca-rsa2048-g1`.
    #[serde(default)]
    pub(super) ca: Option<String>,
    /// Enhanced Monitoring. A restore cannot ask for it, so it is turned on once the instance is available.
    #[serde(default)]
    pub(super) monitoring: Option<Monitoring>,
    /// Tags besides those that this program sets. Names must not begin with `redrill:` or `aws:`.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    /// How long it is expected to take: looks are rare until then.
    #[serde(default = "twenty_minutes")]
    pub(super) expected_duration: HumanDuration,
}

/// Enhanced Monitoring of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::providers) struct Monitoring {
    /// The time between two looks: 1, 5, 10, 15, 30 or 60 seconds.
    pub(in crate::providers) every: HumanDuration,
    /// The ARN of the role by which RDS writes what it sees.
    pub(in crate::providers) role: String,
}

impl Monitoring {
    /// The time between two looks, as RDS counts it.
    pub(in crate::providers) fn seconds(&self) -> i32 {
        i32::try_from(self.every.0.as_secs()).unwrap_or(i32::MAX)
    }
}

pub(super) fn twenty_minutes() -> HumanDuration {
    HumanDuration(Duration::from_secs(1200))
}

/// A day, in seconds.
const DAY: u64 = 86_400;
/// The longest retention of automated backups, in days.
const LONGEST_RETENTION: u64 = 35;
/// What Enhanced Monitoring can be set to, in seconds
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html>).
const MONITORING_SECONDS: [u64; 6] = [1, 5, 10, 15, 30, 60];

impl Wishes {
    /// The retention of automated backups in days, as RDS counts it.
    pub(super) fn retention_days(&self) -> Option<i32> {
        self.backup_retention.and_then(in_days)
    }

    /// The security groups, where any are named.
    pub(super) fn groups(&self) -> Option<Vec<String>> {
        (!self.security_groups.is_empty()).then(|| self.security_groups.clone())
    }

    /// The log exports, where any are named.
    pub(super) fn logs(&self) -> Option<Vec<String>> {
        (!self.log_exports.is_empty()).then(|| self.log_exports.clone())
    }

    /// Finds what RDS would refuse, or worse, take for something else.
    ///
    /// # Errors
    /// [`crate::journal::FailureClass::Broken`] with what to write instead.
    pub(super) fn check(&self) -> Result<(), StepError> {
        let retention = self.backup_retention.and_then(retention_problem);
        let every = self.monitoring.as_ref().and_then(|m| monitoring_problem(m.every));
        let alone = (self.vpc.is_some() && self.subnet_group.is_none()).then(vpc_alone);
        if let Some(problem) = retention.or(every).or(alone) {
            return Err(problem.into());
        }
        let reserved = |name: &&String| name.starts_with("redrill:") || name.starts_with("aws:");
        match self.tags.keys().find(reserved) {
            Some(name) => Err(StepError::broken(format!("the tag name {name} is reserved"))
                .help("choose another")),
            None => Ok(()),
        }
    }

    /// The tags of the new instance: the run's own and those of the step.
    pub(super) fn tags(&self, cx: &StepContext) -> Vec<Tag> {
        let wanted = self.tags.iter().map(|(name, value)| (name.clone(), value.clone()));
        let all = cx.tags().into_iter().chain(wanted);
        all.map(|(name, value)| Tag::builder().key(name).value(value).build()).collect()
    }
}

/// A retention as RDS counts it.
pub(in crate::providers) fn in_days(retention: HumanDuration) -> Option<i32> {
    i32::try_from(retention.0.as_secs() / DAY).ok()
}

/// What RDS would refuse of a retention.
pub(in crate::providers) fn retention_problem(retention: HumanDuration) -> Option<InputProblem> {
    let (seconds, nanos) = (retention.0.as_secs(), retention.0.subsec_nanos());
    let wrong = nanos != 0 || seconds % DAY != 0 || seconds / DAY > LONGEST_RETENTION;
    let what = format!("backup_retention: {retention} cannot be asked of RDS");
    let problem = || InputProblem::at("backup_retention", what);
    wrong.then(|| problem().help("write whole days from 0s to 35d"))
}

/// What RDS would refuse of Enhanced Monitoring.
pub(in crate::providers) fn monitoring_problem(every: HumanDuration) -> Option<InputProblem> {
    let wrong = !MONITORING_SECONDS.map(Duration::from_secs).contains(&every.0);
    let what = format!("monitoring.every: {every} cannot be asked of RDS");
    let problem = || InputProblem::at("monitoring.every", what);
    wrong.then(|| problem().help("write 1s, 5s, 10s, 15s, 30s or 60s"))
}

fn vpc_alone() -> InputProblem {
    InputProblem::at("vpc", "vpc: is given, and no subnet_group: RDS would take the default VPC")
        .help("name the DB subnet group of that VPC in subnet_group:")
}

/// What is wrong with the wishes of a step, as far as they are known; `more` are other texts that must say something.
pub(super) fn problems(given: &Given, more: &[&str]) -> Vec<InputProblem> {
    let texts = more.iter().copied().chain(["class"]);
    let mut found: Vec<_> = texts.filter_map(|path| InputProblem::empty(given, path)).collect();
    found.extend(given.duration("backup_retention").and_then(retention_problem));
    found.extend(given.duration("monitoring.every").and_then(monitoring_problem));
    found.extend((given.has("vpc") && !given.has("subnet_group")).then(vpc_alone));
    found.extend(InputProblem::reserved_tags(given));
    found
}

/// Writes wishes into a restoring call. The SDK's builders of these calls have nothing in common but the names of what they
/// take.
macro_rules! ask_for {
    ($builder:expr, $cx:expr, $wishes:expr) => {
        $builder
            .db_instance_class(&$wishes.class)
            .multi_az($wishes.multi_az)
            .publicly_accessible($wishes.publicly_accessible)
            .deletion_protection($wishes.deletion_protection)
            .set_db_subnet_group_name($wishes.subnet_group.clone())
            .set_vpc_security_group_ids($wishes.groups())
            .set_db_parameter_group_name($wishes.parameter_group.clone())
            .set_option_group_name($wishes.option_group.clone())
            .set_storage_type($wishes.storage_type.clone())
            .set_iops($wishes.iops)
            .set_storage_throughput($wishes.storage_throughput)
            .set_port($wishes.port.map(i32::from))
            .set_enable_iam_database_authentication($wishes.iam_auth)
            .set_backup_retention_period($wishes.retention_days())
            .set_enable_cloudwatch_logs_exports($wishes.logs())
            .set_ca_certificate_identifier($wishes.ca.clone())
            .set_tags(Some($wishes.tags($cx)))
    };
}
pub(super) use ask_for;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn wishes(more: Value) -> Wishes {
        let mut all = json!({ "class": "db.r6g.large" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn what_rds_would_refuse_is_refused_before_anything_is_made() {
        for good in [
            json!({}),
            json!({ "backup_retention": "0s" }),
            json!({ "backup_retention": "35d" }),
            json!({ "monitoring": { "every": "60s", "role": "arn" } }),
            json!({ "vpc": "vpc-1", "subnet_group": "drill" }),
            json!({ "tags": { "team": "a" } }),
        ] {
            assert!(wishes(good.clone()).check().is_ok(), "{good}");
        }
        for bad in [
            json!({ "backup_retention": "36h" }),
            json!({ "backup_retention": "36d" }),
            json!({ "monitoring": { "every": "7s", "role": "arn" } }),
            json!({ "vpc": "vpc-1" }),
            json!({ "tags": { "redrill:run": "a" } }),
            json!({ "tags": { "aws:x": "a" } }),
        ] {
            let failure = wishes(bad.clone()).check().unwrap_err().into_failure();
            assert!(failure.help.is_some(), "{bad}");
        }
    }

    #[test]
    fn regression_what_rds_would_refuse_is_found_before_the_run() {
        let places = |with: Value| {
            let given = Given::new("s", crate::ids::StepId::new("x"), None, with);
            problems(&given, &["snapshot"]).into_iter().map(|p| p.pointer).collect::<Vec<_>>()
        };
        let wrong = json!({
            "snapshot": "", "class": "c", "vpc": "vpc-1", "backup_retention": "36d",
            "monitoring": { "every": "7s", "role": "r" }, "tags": { "aws:x": "y" },
        });
        let expected =
            ["/snapshot", "/backup_retention", "/monitoring/every", "/vpc", "/tags/aws:x"];
        assert_eq!(places(wrong), expected);
        let later = Given::later_mark();
        let fine = json!({ "class": later, "vpc": later, "subnet_group": later, "backup_retention": later });
        assert_eq!(places(fine), Vec::<String>::new());
    }

    #[test]
    fn retention_is_asked_for_in_days_and_not_at_all_without_a_wish() {
        assert_eq!(wishes(json!({})).retention_days(), None);
        assert_eq!(wishes(json!({ "backup_retention": "0s" })).retention_days(), Some(0));
        assert_eq!(wishes(json!({ "backup_retention": "7d" })).retention_days(), Some(7));
    }
}
