//! What every restore of an instance has in common: asking for it once, waiting, timing, monitoring, comparing.

use super::db_instance::{DbInstanceKind, INSTANCES};
use super::events::{Bracket, moment_of};
use super::fidelity::{Progress, compare, progress_of};
use super::network::{NetworkOf, closed_in_a_drill, in_the_vpc, vpc_before, warn_of_network};
use super::wishes::Wishes;
use crate::action::{Latest, Look, StepContext, StepError, WaitPlan, own, own_latest};
use crate::journal::ClockPoint;
use crate::time::HumanDuration;
use aws_sdk_rds::types::{DbInstance, SourceType};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a restored instance tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Restored {
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

/// What an instance is restored from, as far as the instance must be like it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// `snapshot` or `backup`.
    pub(super) what: &'static str,
    pub(super) engine: Option<String>,
    pub(super) engine_version: Option<String>,
    pub(super) encrypted: Option<bool>,
}

/// The beginnings, in lower case, of the messages that end a restore: it was restored, or its first backup was done.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html>
const ENDS_A_RESTORE: &[&str] = &["restored from", "finished db instance backup"];

/// The wait ends here even when the step's own limit is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// A look-up right after the restore was asked for may not see the new instance yet: a look that does not find it says
/// nothing about the backup.
const MAY_BE_INVISIBLE: Duration = Duration::from_secs(120);

/// Restores once, whatever an earlier attempt has done; waits, and compares what came out with what was asked for. `create`
/// makes the call under the given name and gives the ARN. `latest` is the recovery point of a restore that takes the latest data
/// there is.
///
/// # Errors
/// Those of the calls; [`crate::journal::FailureClass::Recovery`] when the instance ends in another status.
pub(super) async fn restore<F>(
    cx: &StepContext,
    wishes: &Wishes,
    origin: &Origin,
    latest: Option<&Latest>,
    create: impl FnOnce(String) -> F,
) -> Result<Restored, StepError>
where
    F: Future<Output = Result<Option<String>, StepError>>,
{
    vpc_before(cx, wishes.vpc.as_deref(), wishes.subnet_group.as_deref()).await?;
    warn(cx, wishes).await?;
    let name = cx.name_of_mine(63);
    let asked_at = Mutex::new(None);
    let asking = || async {
        *asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.clock.now());
        Ok(create(name.clone()).await?.unwrap_or_else(|| name.clone()))
    };
    match latest {
        Some(latest) => own_latest(cx, &DbInstanceKind, name.clone(), latest, asking).await?,
        None => own(cx, &DbInstanceKind, name.clone(), asking).await?,
    };
    let asked_at = asked_at.into_inner().unwrap_or_else(PoisonError::into_inner);
    let ready = wait_until_ready(cx, &name, wishes).await?;
    let bracket = Bracket { from: ready.last_not_ready.or(asked_at), until: ready.first_ready };
    // Storage that is still being optimised says nothing about when the instance could be used first.
    let (at, source) = match ready.status.as_str() {
        "available" => moment_of(cx, SourceType::DbInstance, &name, bracket, ENDS_A_RESTORE).await,
        _ => bracket.polled(),
    };
    cx.reached(ClockPoint::ResourceAvailable, at, &source).await?;
    let instance = super::monitoring::turn_on(cx, &name, wishes, ready.instance).await?;
    let checks = compare(wishes, origin, &instance);
    for check in closed_in_a_drill(cx, wishes.publicly_accessible, checks) {
        cx.check(check).await?;
    }
    if let Some(check) = in_the_vpc(wishes.vpc.as_deref(), std::slice::from_ref(&instance)) {
        cx.check(check).await?;
    }
    let available_after = asked_at.map(|asked| (at - asked).into());
    Ok(told(name, &instance, available_after))
}

/// The checks that every restore makes, for [`crate::action::ActionFacts`]; `$what` is `snapshot` or `backup`.
macro_rules! checks_of_a_restore {
    ($what:literal $(, $more:expr)*) => {
        &[
            $($more,)*
            ("class", "the instance class is the one asked for"),
            ("vpc", "the subnet group, and then the instance, is in the VPC asked for"),
            ("multi_az", "a standby exists exactly when asked for"),
            ("publicly_accessible", "it can be reached from outside exactly when asked for, and never in a drill"),
            ("deletion_protection", "deletion protection is as asked for"),
            ("subnet_group", "the subnet group is the one asked for"),
            ("security_groups", "the security groups are exactly those asked for"),
            ("parameter_group", "the parameter group is the one asked for"),
            ("parameters applied", "no parameter waits for a reboot"),
            ("option_group", "the option group is the one asked for"),
            ("options applied", "the option group is in force"),
            ("storage_type", "the storage type is the one asked for"),
            ("iops", "the provisioned I/O is what was asked for"),
            ("storage_throughput", "the provisioned throughput is what was asked for"),
            ("port", "the port is the one asked for"),
            ("iam_auth", "IAM database authentication is as asked for"),
            ("backup_retention", "automated backups are kept as long as asked for"),
            ("log_exports", "the logs sent to CloudWatch are exactly those asked for"),
            ("ca", "the authority of the server certificate is the one asked for"),
            ("monitoring", "Enhanced Monitoring looks as often as asked for"),
            (concat!("engine as in the ", $what), concat!("the engine is the ", $what, "'s")),
            (
                concat!("engine version as in the ", $what),
                concat!("the engine version is the ", $what, "'s"),
            ),
            (
                concat!("encrypted as the ", $what),
                concat!("the storage is encrypted exactly when the ", $what, " is"),
            ),
        ]
    };
}
pub(super) use checks_of_a_restore;

async fn warn(cx: &StepContext, wishes: &Wishes) -> Result<(), StepError> {
    let network = NetworkOf {
        code: "rds",
        subnet_group: wishes.subnet_group.is_some(),
        security_groups: !wishes.security_groups.is_empty(),
        public: wishes.publicly_accessible,
    };
    warn_of_network(cx, network).await
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
    wishes: &Wishes,
) -> Result<Ready, StepError> {
    let plan = WaitPlan::new("instance available", wishes.expected_duration.0, LONGEST_WAIT);
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

pub(super) fn ended(name: &str, status: &str) -> StepError {
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

fn told(id: String, instance: &DbInstance, available_after: Option<HumanDuration>) -> Restored {
    let text = |value: Option<&str>| value.map(str::to_owned);
    let endpoint = instance.endpoint();
    Restored {
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
