use super::db_instance::{INSTANCES, describe_instance};
use super::events::{Bracket, moment_of};
use super::fidelity::{Progress, progress_of};
use super::promoted_replica::PromotedReplicaKind;
use super::restoring::ended;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Found, Given, Grant, HandInput, Look,
    Permission, Phase, Probe, ProbeVerdict, SiteUse, StepContext, StepError, WaitPlan, own,
};
use crate::client;
use crate::journal::{Check, ClockPoint, ResourceKey};
use crate::time::HumanDuration;
use aws_sdk_rds::types::{DbInstance, SourceType};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// `rds.promote_replica`: makes a read replica an instance of its own.
pub(super) struct PromoteReplica;

/// What `rds.promote_replica` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PromoteReplicaInput {
    /// The identifier of the read replica.
    pub(super) instance: String,
    /// Written out as `external`: a promotion cannot be undone, so that `guard.external` must name the step, and a second
    /// person must have approved.
    #[expect(dead_code, reason = "read by the check of scenarios and by the engine")]
    pub(super) effect: External,
    /// How long automated backups are kept from then on, in whole days up to 35. Without it RDS keeps what the replica has.
    #[serde(default)]
    pub(super) backup_retention: Option<HumanDuration>,
    /// How long it is expected to take: looks are rare until then.
    #[serde(default = "ten_minutes")]
    pub(super) expected_duration: HumanDuration,
}

/// What the step changes: what the run cannot undo.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum External {
    External,
}

fn ten_minutes() -> HumanDuration {
    HumanDuration(Duration::from_secs(600))
}

/// What `rds.promote_replica` tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct PromoteReplicaOutput {
    /// The identifier of the instance.
    pub(super) id: String,
    /// Its ARN.
    pub(super) arn: Option<String>,
    /// The host name at which it is connected to: that of the replica.
    pub(super) endpoint: Option<String>,
    /// The port.
    pub(super) port: Option<i32>,
    /// The instance that it was a replica of.
    pub(super) replica_of: Option<String>,
    /// From asking for it until it was done. Absent when an earlier attempt or process had asked for it.
    pub(super) promoted_after: Option<HumanDuration>,
    /// Its status at the end.
    pub(super) status: String,
}

const LONGEST_WAIT: Duration = Duration::from_secs(6 * 3600);
const DAY: u64 = 86_400;
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html>
const ENDS_A_PROMOTION: &[&str] = &["promoted read replica"];

const ABOUT: &str = "Promotes a read replica to an instance of its own, and waits until it is one. That cannot be undone, and the replica is \
not of the run's making: so it happens in mode `recovery` only, where `guard.external` names the step and a second person has approved. In a \
drill the step refuses; leave it out with `when:`.\n\nRDS does not say how far a replica is behind: look at a watermark on the replica in an \
earlier step, since what has not arrived is lost. Nothing of it is removed at the end of the run.";

impl Action for PromoteReplica {
    type Input = PromoteReplicaInput;
    type Output = PromoteReplicaOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "rds.promote_replica",
            title: "Promote the read replica",
            about: ABOUT,
            phase: Phase::Recover,
            site: SiteUse::Required,
            timeout: Duration::from_secs(3600),
            effect: Effect::External,
            creates: &["rds.promoted_replica"],
            permissions: &[
                Permission {
                    action: "rds:DescribeDBInstances",
                    why: "see that it is a replica, and wait",
                },
                Permission { action: "rds:PromoteReadReplica", why: "promote it" },
                Permission { action: "rds:DescribeEvents", why: "when RDS says it was done" },
            ],
            checks: &[
                ("is a read replica", "RDS calls it a replica that is available"),
                ("stands alone", "RDS does not call it a replica any more"),
                ("backup_retention", "automated backups are kept as long as asked for"),
            ],
            populations: &[],
            proves: &[],
            exercised: Exercised {
                sandbox: true,
                servers: &["moto 5.2.5, without databases"],
                aws: None,
            },
        }
    }

    async fn run(
        &self,
        cx: &StepContext,
        input: PromoteReplicaInput,
    ) -> Result<PromoteReplicaOutput, StepError> {
        if cx.facts.is_drill {
            return Err(StepError::broken("a drill promotes nothing: that cannot be undone")
                .help("leave the step out of drills with when:, and rehearse it in the sandbox in mode recovery"));
        }
        let days = days(input.backup_retention)?;
        let name = input.instance.to_ascii_lowercase();
        let before = instance_of(cx, &name).await?;
        let replica_of = before.read_replica_source_db_instance_identifier().map(str::to_owned);
        if !is_under_way(cx, &name)? {
            let check = replica_check(&before);
            let holds = check.outcome == crate::journal::Outcome::Passed;
            cx.check(check).await?;
            if !holds {
                return Err(StepError::recovery(format!("{name} cannot be promoted"))
                    .help("nothing was changed: check the name and the status of the replica"));
            }
        }
        let client = client!(cx.site()?, aws_sdk_rds);
        let request = client
            .promote_read_replica()
            .db_instance_identifier(&name)
            .set_backup_retention_period(days);
        let asked_at = Mutex::new(None);
        let create = || async {
            *asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.clock.now());
            let answer = cx.call("rds:PromoteReadReplica", || request.clone().send()).await;
            match answer {
                Ok(answer) => {
                    let arn = answer.db_instance().and_then(DbInstance::db_instance_arn);
                    Ok(arn.unwrap_or(&name).to_owned())
                }
                // A call whose answer was lost has asked for it already.
                Err(error) if error.code() == Some("InvalidDBInstanceState") => {
                    let busy = || StepError::transient(format!("{name} is busy: {error}"));
                    promoted_all_the_same(cx, &name).await?.ok_or_else(busy)
                }
                Err(error) => Err(error),
            }
        };
        own(cx, &PromotedReplicaKind, name.clone(), create).await?;
        let asked_at = asked_at.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (after, bracket) = wait_until_alone(cx, &name, &input, asked_at).await?;
        let (at, source) =
            moment_of(cx, SourceType::DbInstance, &name, bracket, ENDS_A_PROMOTION).await;
        cx.reached(ClockPoint::ResourceAvailable, at, &source).await?;
        for check in checks_after(&after, days) {
            cx.check(check).await?;
        }
        Ok(told(name, &after, replica_of, asked_at.map(|asked| (at - asked).into())))
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::promote_replica(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        let Some(name) = given.text("instance") else {
            return vec![Probe::not_before("read replica", "an earlier step tells it")];
        };
        let answer = instance_of(context, name).await;
        let judge = |instance: DbInstance| match replica_check(&instance) {
            check if check.outcome == crate::journal::Outcome::Passed => {
                ProbeVerdict::works(format!("a replica of {}", check.observed))
            }
            check => ProbeVerdict::fails(check.observed, "name a read replica that is available"),
        };
        vec![Probe::of(format!("read replica {name}"), &["rds:DescribeDBInstances"], answer, judge)]
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::promote_replica_by_hand::by_hand(input)
    }
}

fn days(retention: Option<HumanDuration>) -> Result<Option<i32>, StepError> {
    let Some(retention) = retention else { return Ok(None) };
    let seconds = retention.0.as_secs();
    match i32::try_from(seconds / DAY) {
        Ok(days) if seconds % DAY == 0 && days <= 35 => Ok(Some(days)),
        _ => {
            Err(StepError::broken(format!("backup_retention: {retention} cannot be asked of RDS"))
                .help("write whole days from 0s to 35d"))
        }
    }
}

async fn instance_of(cx: &StepContext, name: &str) -> Result<DbInstance, StepError> {
    describe_instance(cx, name).await?.ok_or_else(|| {
        StepError::recovery(format!("there is no instance {name} here"))
            .help("check the name, and the account and region of the step's site")
    })
}

/// True when an earlier attempt of this run has asked for it.
fn is_under_way(cx: &StepContext, name: &str) -> Result<bool, StepError> {
    let kind = "rds.promoted_replica".to_owned();
    let key = ResourceKey { kind, name: name.to_owned(), site: cx.site()?.place().site.clone() };
    Ok(cx.recorder.holds(&key))
}

/// The ARN of an instance whose promotion is under way or done.
async fn promoted_all_the_same(cx: &StepContext, name: &str) -> Result<Option<String>, StepError> {
    match super::promoted_replica::find(cx, name).await? {
        Found::Ours { id, .. } => Ok(Some(id)),
        Found::Gone | Found::Foreign { .. } => Ok(None),
        Found::Unknown { why } => Err(StepError::broken(why)),
    }
}

fn replica_check(instance: &DbInstance) -> Check {
    let name = "is a read replica";
    let status = instance.db_instance_status().unwrap_or("no status");
    let source = instance.read_replica_source_db_instance_identifier().filter(|s| !s.is_empty());
    match source {
        Some(source) if status == "available" => Check::made(name, "available", source, true),
        Some(_) => Check::made(name, "available", format!("a replica that is {status}"), false),
        None => Check::made(name, "available", "not a replica of another instance", false),
    }
}

async fn wait_until_alone(
    cx: &StepContext,
    name: &str,
    input: &PromoteReplicaInput,
    asked_at: Option<DateTime<Utc>>,
) -> Result<(DbInstance, Bracket), StepError> {
    let plan = WaitPlan::new("replica promoted", input.expected_duration.0, LONGEST_WAIT);
    let mut from = asked_at;
    let judge = |found: Option<DbInstance>, asked| {
        let gone = || StepError::recovery(format!("the instance {name} disappeared"));
        let instance = found.ok_or_else(gone)?;
        let status = instance.db_instance_status().unwrap_or("no status").to_owned();
        let source = instance.read_replica_source_db_instance_identifier();
        let alone = source.is_none_or(str::is_empty);
        match progress_of(&status) {
            Progress::Ready if alone => Ok(Look::Ready(instance)),
            Progress::Ready | Progress::UnderWay => {
                from = Some(asked);
                Ok(Look::NotYet(status))
            }
            Progress::Ended => Err(ended(name, &status)),
        }
    };
    let instance = cx.wait_together(&plan, &INSTANCES, name, judge).await?;
    Ok((instance, Bracket { from, until: cx.clock.now() }))
}

fn checks_after(instance: &DbInstance, days: Option<i32>) -> Vec<Check> {
    let source = instance.read_replica_source_db_instance_identifier().filter(|s| !s.is_empty());
    let alone = Check::made(
        "stands alone",
        "no replica",
        source.map_or_else(|| "no replica".to_owned(), |s| format!("a replica of {s}")),
        source.is_none(),
    );
    let retention = days.map(|days| match instance.backup_retention_period() {
        Some(found) => Check::made(
            "backup_retention",
            format!("{days} days"),
            format!("{found} days"),
            found == days,
        ),
        None => Check::not_made("backup_retention", format!("{days} days"), "RDS does not say it"),
    });
    [Some(alone), retention].into_iter().flatten().collect()
}

fn told(
    id: String,
    instance: &DbInstance,
    replica_of: Option<String>,
    promoted_after: Option<HumanDuration>,
) -> PromoteReplicaOutput {
    let endpoint = instance.endpoint();
    PromoteReplicaOutput {
        id,
        arn: instance.db_instance_arn().map(str::to_owned),
        endpoint: endpoint.and_then(|e| e.address()).map(str::to_owned),
        port: endpoint.and_then(|e| e.port()),
        replica_of,
        promoted_after,
        status: instance.db_instance_status().unwrap_or("no status").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;
    use serde_json::json;

    fn instance(source: Option<&str>, status: &str) -> DbInstance {
        DbInstance::builder()
            .set_read_replica_source_db_instance_identifier(source.map(str::to_owned))
            .db_instance_status(status)
            .backup_retention_period(1)
            .build()
    }

    #[test]
    fn only_a_replica_that_is_available_is_promoted() {
        let outcome = |source, status| replica_check(&instance(source, status)).outcome;
        assert_eq!(outcome(Some("orders-db"), "available"), Outcome::Passed);
        for status in ["backing-up", "storage-optimization", "storage-initialization", "modifying"]
        {
            assert_eq!(outcome(Some("orders-db"), status), Outcome::Failed, "{status}");
        }
        assert_eq!(outcome(None, "available"), Outcome::Failed);
    }

    #[test]
    fn what_is_still_a_replica_afterwards_fails() {
        let outcomes = |source, days| {
            let checks = checks_after(&instance(source, "available"), days);
            checks.into_iter().map(|check| check.outcome).collect::<Vec<_>>()
        };
        assert_eq!(outcomes(None, Some(1)), [Outcome::Passed, Outcome::Passed]);
        assert_eq!(outcomes(Some("a"), Some(7)), [Outcome::Failed, Outcome::Failed]);
        assert_eq!(outcomes(None, None), [Outcome::Passed]);
    }

    #[test]
    fn the_effect_must_be_written_out() {
        let with = |more: serde_json::Value| serde_json::from_value::<PromoteReplicaInput>(more);
        assert!(with(json!({ "instance": "a", "effect": "external" })).is_ok());
        assert!(with(json!({ "instance": "a" })).is_err());
        assert!(with(json!({ "instance": "a", "effect": "own" })).is_err());
        assert_eq!(days(Some("7d".parse().unwrap())).unwrap(), Some(7));
        assert!(days(Some("36h".parse().unwrap())).is_err());
    }
}
