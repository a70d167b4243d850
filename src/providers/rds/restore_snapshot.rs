use super::db_instance::{DbInstanceKind, INSTANCES};
use super::fidelity::{Progress, compare, progress_of};
use super::snapshot::{Snapshot, describe_snapshot};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem, Look,
    Permission, Phase, Probe, SiteUse, StepContext, StepError, WaitPlan, own,
};
use crate::client;
use crate::journal::{ClockPoint, Finding, Severity};
use crate::providers::backups::time_of;
use crate::time::HumanDuration;
use aws_sdk_rds::operation::restore_db_instance_from_db_snapshot::builders::RestoreDBInstanceFromDBSnapshotFluentBuilder;
use aws_sdk_rds::types::{DbInstance, Event, SourceType, Tag};
use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// `rds.restore_snapshot`: restores a DB snapshot as a new instance and waits until it is available.
pub(super) struct RestoreSnapshot;

/// What `rds.restore_snapshot` is given. Nothing of it is read from the source instance.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreSnapshotInput {
    /// The snapshot to restore: identifier or ARN.
    pub(super) snapshot: String,
    /// The instance class: `db.r6g.large`. A snapshot does not know it.
    pub(super) class: String,
    /// The DB subnet group. Without it RDS takes the default VPC.
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
    /// The port. Without it the port that the snapshot remembers.
    #[serde(default)]
    pub(super) port: Option<u16>,
    /// Whether the instance is protected from deletion. Releasing turns it off again.
    #[serde(default)]
    pub(super) deletion_protection: bool,
    /// Whether IAM database authentication is on.
    #[serde(default)]
    pub(super) iam_auth: Option<bool>,
    /// Whether the instance has an address that can be reached from outside its VPC.
    #[serde(default)]
    pub(super) publicly_accessible: bool,
    /// Tags besides those that this program sets. Names must not begin with `redrill:` or `aws:`.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    /// How long it is expected to take: looks are rare until then.
    #[serde(default = "twenty_minutes")]
    pub(super) expected_duration: HumanDuration,
}

fn twenty_minutes() -> HumanDuration {
    HumanDuration(Duration::from_secs(1200))
}

/// What `rds.restore_snapshot` tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct RestoreSnapshotOutput {
    /// The identifier of the new instance.
    pub(super) id: String,
    /// Its ARN.
    pub(super) arn: Option<String>,
    /// The host name at which it is connected to.
    pub(super) endpoint: Option<String>,
    /// The port.
    pub(super) port: Option<i32>,
    /// The database engine.
    pub(super) engine: Option<String>,
    /// Its version.
    pub(super) engine_version: Option<String>,
    /// The instance class.
    pub(super) class: Option<String>,
    /// Whether it has a standby in another zone.
    pub(super) multi_az: Option<bool>,
    /// Whether its storage is encrypted.
    pub(super) encrypted: Option<bool>,
    /// The name of the first database in it.
    pub(super) database: Option<String>,
    /// The name of the master user.
    pub(super) master_user: Option<String>,
    /// From asking for it until it was available. Absent when an earlier attempt or process had asked for it.
    pub(super) available_after: Option<HumanDuration>,
    /// Its status at the end.
    pub(super) status: String,
}

/// The wait ends here even when the step's own limit is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// A look-up right after the restore was asked for may not see the new instance yet: a look that does not find it says
/// nothing about the backup.
const MAY_BE_INVISIBLE: Duration = Duration::from_secs(120);

impl Action for RestoreSnapshot {
    type Input = RestoreSnapshotInput;
    type Output = RestoreSnapshotOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "rds.restore_snapshot",
            title: "Restore the snapshot as a new instance",
            about: "Restores a DB snapshot as a new instance with the parameters of the step, waits until RDS calls it \
                    available, and compares what came out with what was asked for: RDS silently falls back to default \
                    security, parameter and option groups, to a single zone and to the default VPC.\n\nAvailable is not \
                    yet usable: connect to it and look at the data in a later step. Blocks are loaded from the snapshot \
                    when they are first read, so that it is slow at first.",
            phase: Phase::Recover,
            site: SiteUse::Required,
            timeout: Duration::from_secs(3 * 3600),
            effect: Effect::Own,
            creates: &["rds.db_instance"],
            permissions: &[
                Permission { action: "rds:DescribeDBSnapshots", why: "read engine and encryption" },
                Permission { action: "rds:RestoreDBInstanceFromDBSnapshot", why: "restore" },
                Permission { action: "rds:AddTagsToResource", why: "tag the new instance" },
                Permission { action: "rds:DescribeDBInstances", why: "wait for it and compare it" },
                Permission { action: "rds:DescribeEvents", why: "when RDS says it was available" },
                Permission { action: "kms:DescribeKey", why: "encrypted snapshots" },
                Permission { action: "kms:CreateGrant", why: "encrypted snapshots" },
            ],
            checks: CHECKS,
            populations: &[],
            proves: &[],
            exercised: Exercised {
                sandbox: true,
                servers: &["moto 5.2.5 with PostgreSQL 15"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        cx: &StepContext,
        input: RestoreSnapshotInput,
    ) -> Result<RestoreSnapshotOutput, StepError> {
        let snapshot = usable_snapshot(cx, &input).await?;
        warn_of_defaults(cx, &input).await?;
        let name = cx.name_of_mine(63);
        let request = restore_request(cx, &name, &input)?;
        let asked_at = Mutex::new(None);
        let create = || async {
            *asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.clock.now());
            let answer =
                cx.call("rds:RestoreDBInstanceFromDBSnapshot", || request.clone().send()).await?;
            let arn = answer.db_instance().and_then(DbInstance::db_instance_arn);
            Ok(arn.unwrap_or(&name).to_owned())
        };
        own(cx, &DbInstanceKind, name.clone(), create).await?;
        let asked_at = asked_at.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ready = wait_until_ready(cx, &name, &input).await?;
        let (at, source) = moment_of(cx, &name, &ready, asked_at).await;
        cx.reached(ClockPoint::ResourceAvailable, at, &source).await?;
        for check in compare(&input, &snapshot, &ready.instance) {
            cx.check(check).await?;
        }
        let available_after = asked_at.map(|asked| (at - asked).into());
        Ok(told(name, &ready.instance, available_after))
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let empty = ["snapshot", "class"].into_iter().filter_map(|p| InputProblem::empty(given, p));
        empty.chain(InputProblem::reserved_tags(given)).collect()
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::restore_snapshot(given, self.facts().permissions)
    }

    fn preflight_grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::preflight_of_restore(given)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::restore_snapshot(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::restore_snapshot_by_hand::by_hand(input)
    }
}

const CHECKS: &[(&str, &str)] = &[
    ("class", "the instance class is the one asked for"),
    ("multi_az", "a standby exists exactly when asked for"),
    ("publicly_accessible", "it can be reached from outside exactly when asked for"),
    ("deletion_protection", "deletion protection is as asked for"),
    ("subnet_group", "the subnet group is the one asked for"),
    ("security_groups", "the security groups are exactly those asked for"),
    ("parameter_group", "the parameter group is the one asked for"),
    ("parameters applied", "no parameter waits for a reboot"),
    ("option_group", "the option group is the one asked for"),
    ("storage_type", "the storage type is the one asked for"),
    ("iops", "the provisioned I/O is what was asked for"),
    ("port", "the port is the one asked for"),
    ("iam_auth", "IAM database authentication is as asked for"),
    ("engine as in the snapshot", "the engine is the snapshot's"),
    ("engine version as in the snapshot", "the engine version is the snapshot's"),
    ("encrypted as the snapshot", "the storage is encrypted exactly when the snapshot is"),
];

async fn usable_snapshot(
    cx: &StepContext,
    input: &RestoreSnapshotInput,
) -> Result<Snapshot, StepError> {
    let snapshot = describe_snapshot(cx, &input.snapshot).await?;
    match snapshot.status.as_deref() {
        Some("available") => Ok(snapshot),
        other => Err(StepError::recovery(format!(
            "the snapshot {} is not available: {}",
            snapshot.id,
            other.unwrap_or("RDS tells no status")
        ))
        .help("wait until it is available, or restore another one")),
    }
}

async fn warn_of_defaults(cx: &StepContext, input: &RestoreSnapshotInput) -> Result<(), StepError> {
    if !input.security_groups.is_empty() {
        return Ok(());
    }
    cx.finding(Finding {
        severity: Severity::Warning,
        code: "rds.default_security_group".to_owned(),
        what: "the step names no security group, so RDS takes the default group of the VPC"
            .to_owned(),
        why: "the restored database may be unreachable for its clients, or reachable for others"
            .to_owned(),
        action: "name the groups in security_groups:".to_owned(),
    })
    .await
}

fn restore_request(
    cx: &StepContext,
    name: &str,
    input: &RestoreSnapshotInput,
) -> Result<RestoreDBInstanceFromDBSnapshotFluentBuilder, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let groups = (!input.security_groups.is_empty()).then(|| input.security_groups.clone());
    Ok(client
        .restore_db_instance_from_db_snapshot()
        .db_instance_identifier(name)
        .db_snapshot_identifier(&input.snapshot)
        .db_instance_class(&input.class)
        .multi_az(input.multi_az)
        .publicly_accessible(input.publicly_accessible)
        .deletion_protection(input.deletion_protection)
        .set_db_subnet_group_name(input.subnet_group.clone())
        .set_vpc_security_group_ids(groups)
        .set_db_parameter_group_name(input.parameter_group.clone())
        .set_option_group_name(input.option_group.clone())
        .set_storage_type(input.storage_type.clone())
        .set_iops(input.iops)
        .set_port(input.port.map(i32::from))
        .set_enable_iam_database_authentication(input.iam_auth)
        .set_tags(Some(tags(cx, &input.tags))))
}

fn tags(cx: &StepContext, wanted: &BTreeMap<String, String>) -> Vec<Tag> {
    let wanted = wanted.iter().map(|(name, value)| (name.clone(), value.clone()));
    let all = cx.tags().into_iter().chain(wanted);
    all.map(|(name, value)| Tag::builder().key(name).value(value).build()).collect()
}

/// An instance that is ready, and the bracket of looks in which it became so (UTC).
struct Ready {
    instance: DbInstance,
    status: String,
    last_not_ready: Option<DateTime<Utc>>,
    first_ready: DateTime<Utc>,
}

async fn wait_until_ready(
    cx: &StepContext,
    name: &str,
    input: &RestoreSnapshotInput,
) -> Result<Ready, StepError> {
    let plan = WaitPlan::new("instance available", input.expected_duration.0, LONGEST_WAIT);
    let mut last_not_ready = None;
    let began = cx.clock.elapsed();
    let judge = |instance: Option<DbInstance>, asked| {
        let Some(instance) = instance else {
            if cx.clock.elapsed().saturating_sub(began) < MAY_BE_INVISIBLE {
                return Ok(Look::NotYet("not visible yet".to_owned()));
            }
            let message = format!("the instance {name} disappeared while it was being restored");
            return Err(StepError::recovery(message));
        };
        let status = instance.db_instance_status().unwrap_or("no status").to_owned();
        match progress_of(&status) {
            Progress::Ready => Ok(Look::Ready((instance, status))),
            Progress::UnderWay => {
                last_not_ready = Some(asked);
                Ok(Look::NotYet(status))
            }
            Progress::Ended => Err(ended(name, &status)),
        }
    };
    let (instance, status) = cx.wait_together(&plan, &INSTANCES, name, judge).await?;
    Ok(Ready { instance, status, last_not_ready, first_ready: cx.clock.now() })
}

fn ended(name: &str, status: &str) -> StepError {
    let help = match status {
        "incompatible-network" => "check the subnet group: free addresses, zones, default VPC",
        "incompatible-parameters" => {
            "check the parameter group against the engine version and class"
        }
        "incompatible-option-group" => "check the option group against the engine version",
        "incompatible-restore" => {
            "check the RDS events: the snapshot does not fit what was asked for"
        }
        "insufficient-capacity" => "ask for another class or other zones",
        "storage-full" => "ask for more storage",
        "inaccessible-encryption-credentials"
        | "inaccessible-encryption-credentials-recoverable" => "check the KMS key and its policy",
        _ => "look into the RDS events of the instance",
    };
    StepError::recovery(format!("the restore of {name} ended in the status {status}")).help(help)
}

/// When it became available: the time of an RDS event where one lies in the bracket of looks, else the look that found it
/// ready. Events are told on a best-effort basis
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/working-with-events.html>), so that they only refine.
async fn moment_of(
    cx: &StepContext,
    name: &str,
    ready: &Ready,
    asked_at: Option<DateTime<Utc>>,
) -> (DateTime<Utc>, String) {
    let polled = (ready.first_ready, "polled".to_owned());
    let Some(from) = ready.last_not_ready.or(asked_at) else { return polled };
    let Ok(site) = cx.site() else { return polled };
    let client = client!(site, aws_sdk_rds);
    // A minute of room: event times are whole seconds of another clock.
    let start = from - TimeDelta::minutes(1);
    let request = client
        .describe_events()
        .source_type(SourceType::DbInstance)
        .source_identifier(name)
        .start_time(aws_smithy_types::DateTime::from_secs(start.timestamp()))
        .max_records(100);
    match cx.call("rds:DescribeEvents", || request.clone().send()).await {
        Ok(answer) => {
            refined(answer.events(), from, ready.first_ready, &ready.status).unwrap_or(polled)
        }
        Err(error) => {
            cx.progress(&format!(
                "the RDS events could not be read ({error}); the polled time is used"
            ));
            polled
        }
    }
}

/// The last event between the looks that ends a restore: it was restored, or its first backup was done.
fn refined(
    events: &[Event],
    after: DateTime<Utc>,
    until: DateTime<Utc>,
    status: &str,
) -> Option<(DateTime<Utc>, String)> {
    if status != "available" {
        return None;
    }
    let ends = |message: &str| {
        let message = message.to_ascii_lowercase();
        message.starts_with("restored from") || message.starts_with("finished db instance backup")
    };
    let candidates = events.iter().filter_map(|event| {
        let message = event.message().filter(|message| ends(message))?;
        let at = event.date().and_then(time_of)?;
        (after < at && at <= until).then(|| (at, format!("RDS event: {message}")))
    });
    candidates.max()
}

fn told(
    id: String,
    instance: &DbInstance,
    available_after: Option<HumanDuration>,
) -> RestoreSnapshotOutput {
    let text = |value: Option<&str>| value.map(str::to_owned);
    let endpoint = instance.endpoint();
    RestoreSnapshotOutput {
        id,
        arn: text(instance.db_instance_arn()),
        endpoint: text(endpoint.and_then(|e| e.address())),
        port: endpoint.and_then(|e| e.port()),
        engine: text(instance.engine()),
        engine_version: text(instance.engine_version()),
        class: text(instance.db_instance_class()),
        multi_az: instance.multi_az(),
        encrypted: instance.storage_encrypted(),
        database: text(instance.db_name()),
        master_user: text(instance.master_username()),
        available_after,
        status: text(instance.db_instance_status()).unwrap_or_else(|| "no status".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn event(seconds: i64, message: &str) -> Event {
        let date = aws_smithy_types::DateTime::from_secs(seconds);
        Event::builder().date(date).message(message).build()
    }

    #[test]
    fn an_event_counts_only_between_the_looks() {
        let events = [
            event(5, "Restored from snapshot a"),
            event(15, "Restored from snapshot a"),
            event(18, "Finished DB Instance backup"),
            event(19, "DB instance restarted"),
            event(30, "Finished DB Instance backup"),
        ];
        let found = refined(&events, at(10), at(20), "available").unwrap();
        assert_eq!(found, (at(18), "RDS event: Finished DB Instance backup".to_owned()));
        assert_eq!(refined(&events, at(18), at(20), "available"), None);
        assert_eq!(refined(&events, at(10), at(20), "storage-optimization"), None);
    }

    #[test]
    fn drills_are_private_unprotected_and_single_unless_the_scenario_says_otherwise() {
        let input: RestoreSnapshotInput =
            serde_json::from_value(json!({ "snapshot": "s", "class": "c" })).unwrap();
        assert!(!input.publicly_accessible && !input.deletion_protection && !input.multi_az);
        assert_eq!(input.expected_duration, twenty_minutes());
        let unknown = json!({ "snapshot": "s", "class": "c", "multi_zone": true });
        assert!(serde_json::from_value::<RestoreSnapshotInput>(unknown).is_err());
    }

    #[test]
    fn an_end_that_is_not_available_is_an_error_of_the_recovery_with_something_to_do() {
        for status in ["incompatible-network", "insufficient-capacity", "failed", "never-seen"] {
            let failure = ended("x", status).into_failure();
            assert_eq!(failure.class, crate::journal::FailureClass::Recovery);
            assert!(failure.message.contains(status) && failure.help.is_some());
        }
    }

    #[test]
    fn what_rds_does_not_say_is_absent_in_the_output() {
        let output = told("x".into(), &DbInstance::builder().build(), None);
        assert_eq!((output.endpoint, output.multi_az, output.available_after), (None, None, None));
        assert_eq!(output.status, "no status");
    }
}
