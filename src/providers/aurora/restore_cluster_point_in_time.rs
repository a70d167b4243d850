use super::bring_up::{bring_up, tags};
use super::cluster::describe_cluster;
use super::fidelity::Expected;
use super::input::{ClusterOutput, Settings, cluster_input, problems};
use super::restore_cluster::{CHECKS, key_asked_for, scaling, some};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem, Latest,
    Permission, Phase, Probe, Proof, SiteUse, StepContext, StepError,
};
use crate::client;
use crate::journal::{Check, Measure, RecoveryPoint};
use crate::providers::backups::time_of;
use aws_sdk_rds::operation::restore_db_cluster_to_point_in_time::builders::RestoreDBClusterToPointInTimeFluentBuilder;
use aws_sdk_rds::types::DbCluster;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// `aurora.restore_cluster_point_in_time`: restores a cluster to a point in time as a new cluster, makes its members, and
/// waits for all of them.
pub(super) struct RestoreClusterPointInTime;

/// How the storage of the new cluster is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RestoreType {
    /// Every page is copied: the new cluster stands by itself.
    #[default]
    FullCopy,
    /// A clone of what is there now, which shares its pages with the source: quick, and lost with it.
    CopyOnWrite,
}

impl RestoreType {
    fn as_str(self) -> &'static str {
        match self {
            Self::FullCopy => "full-copy",
            Self::CopyOnWrite => "copy-on-write",
        }
    }
}

cluster_input! {
    /// What `aurora.restore_cluster_point_in_time` is given. The source must still be there; only its engine, and the times
    /// to which it can be restored, are read from it.
    RestoreClusterPointInTimeInput {
        /// The cluster to restore from: its identifier, in the region of the step's site.
        of: String,
        /// The time to restore to (UTC): the moment before a corruption, before the latest that is possible. Without it the
        /// latest.
        #[serde(default)]
        to: Option<DateTime<Utc>>,
        /// `full-copy`, or `copy-on-write` for a clone of what is there now, which takes no `to`.
        #[serde(default)]
        restore_type: RestoreType,
    }
}

impl Action for RestoreClusterPointInTime {
    type Input = RestoreClusterPointInTimeInput;
    type Output = ClusterOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "aurora.restore_cluster_point_in_time",
            title: "Restore the cluster to a point in time as a new cluster with its instances",
            about: "Restores a cluster that is still there to a point in time, as a new cluster beside it: to `to`, or to the \
                    latest time that is possible, as a full copy or as a clone. Makes the instance that writes and those \
                    that read, waits until the cluster *and* each instance are available and joined, and compares what came \
                    out with what was asked for.\n\nFor corruption and deletion of data; a region that is lost takes its \
                    backups along. A clone is of what is there now: it is no backup, and measures no RPO. A port that is not named is the engine's default, not the source's. The backups of a \
                    cluster that was deleted are not looked for.",
            phase: Phase::Recover,
            site: SiteUse::Required,
            timeout: Duration::from_secs(4 * 3600),
            effect: Effect::Own,
            // In the order in which they are removed.
            creates: &["aurora.instance", "aurora.cluster"],
            permissions: &[
                Permission {
                    action: "rds:DescribeDBClusters",
                    why: "read the engine and the times of the source, wait for the new one",
                },
                Permission { action: "rds:RestoreDBClusterToPointInTime", why: "restore" },
                Permission { action: "rds:CreateDBInstance", why: "make the instances" },
                Permission { action: "rds:AddTagsToResource", why: "tag what is made" },
                Permission {
                    action: "rds:DescribeDBInstances",
                    why: "wait for the instances and compare them",
                },
                Permission {
                    action: "rds:DescribeDBSubnetGroups",
                    why: "see in which VPC it will be",
                },
                Permission { action: "iam:PassRole", why: "Enhanced Monitoring of the instances" },
                Permission { action: "rds:DescribeEvents", why: "when RDS says it was available" },
                Permission { action: "kms:DescribeKey", why: "encrypted clusters" },
                Permission { action: "kms:CreateGrant", why: "encrypted clusters" },
            ],
            checks: PITR_CHECKS,
            populations: &[],
            proves: &[Proof::RecoveryPointOfBackup {
                kept_at: "",
                // A clone is of what is there now: after a disaster it is younger than the declaration.
                unless: Some(("restore_type", "copy-on-write")),
            }],
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
        input: RestoreClusterPointInTimeInput,
    ) -> Result<ClusterOutput, StepError> {
        let settings = input.settings();
        settings.check()?;
        check_combination(&input)?;
        let source = source(cx, &input.of).await?;
        let window = Window::of(&source);
        cx.check(window.check(input.to, input.restore_type)).await?;
        let point = window.point(&input, &source, cx.clock.now());
        let latest = match (input.to, point) {
            (Some(_), Some(point)) => {
                cx.recovery_point(point).await?;
                None
            }
            (_, point) => Some(Latest { point, moves: moves(input.restore_type) }),
        };
        let expected = Expected {
            engine: source.engine().map(str::to_owned),
            engine_version: source.engine_version().map(str::to_owned),
            encrypted: match settings.kms_key {
                Some(_) => Some(true),
                None => source.storage_encrypted(),
            },
            key: key_asked_for(cx, &settings).await?,
        };
        let request = restore_request(cx, &input, &settings)?;
        let create = || async {
            let answer =
                cx.call("rds:RestoreDBClusterToPointInTime", || request.clone().send()).await?;
            Ok(answer.db_cluster().and_then(DbCluster::db_cluster_arn).map(str::to_owned))
        };
        bring_up(cx, &settings, &expected, latest.as_ref(), create).await
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        problems(given, &["of"])
    }

    fn how_many(&self, given: &Given, kind: &str) -> usize {
        super::input::how_many(given, kind)
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::restore_point_in_time(given, self.facts().permissions)
    }

    fn preflight_grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::preflight_of_restore(given)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::restore_point_in_time(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::restore_by_hand::to_point_in_time(input)
    }
}

/// Aurora's latest restorable time is typically within the last five minutes, and moves on
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Managing.Backups.html>).
const WITHIN: TimeDelta = TimeDelta::minutes(5);

/// How far what is restored may move on after the call: a clone is of what was there by then.
fn moves(restore_type: RestoreType) -> TimeDelta {
    match restore_type {
        RestoreType::FullCopy => WITHIN,
        RestoreType::CopyOnWrite => TimeDelta::zero(),
    }
}

/// Those of every cluster that is restored, and one of the time.
const PITR_CHECKS: &[(&str, &str)] = &{
    let mut all = [("restorable time", "the cluster can be restored to the time asked for");
        CHECKS.len() + 1];
    let mut at = 0;
    while at < CHECKS.len() {
        all[at + 1] = CHECKS[at];
        at += 1;
    }
    all
};

/// A clone is of what is there now
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBClusterToPointInTime.html>).
fn check_combination(input: &RestoreClusterPointInTimeInput) -> Result<(), StepError> {
    if input.restore_type == RestoreType::CopyOnWrite && input.to.is_some() {
        return Err(StepError::broken(
            "restore_type: copy-on-write makes a clone of what is there now",
        )
        .help("leave out to:, or restore as a full-copy"));
    }
    Ok(())
}

async fn source(cx: &StepContext, name: &str) -> Result<DbCluster, StepError> {
    describe_cluster(cx, name).await?.ok_or_else(|| {
        StepError::recovery(format!("there is no cluster {name} here to restore from")).help(
            "check the name and the region of the step's site; a cluster that is gone is restored from a snapshot",
        )
    })
}

/// The times to which a cluster can be restored, as far as RDS tells (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    earliest: Option<DateTime<Utc>>,
    latest: Option<DateTime<Utc>>,
}

impl Window {
    fn of(cluster: &DbCluster) -> Self {
        Self {
            earliest: cluster.earliest_restorable_time().and_then(time_of),
            latest: cluster.latest_restorable_time().and_then(time_of),
        }
    }

    /// Whether the time that was asked for lies in it, before the latest, which is asked for in another way
    /// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBClusterToPointInTime.html>).
    fn check(self, to: Option<DateTime<Utc>>, restore_type: RestoreType) -> Check {
        let name = "restorable time";
        let text = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        let expected = match (to, restore_type) {
            (Some(to), _) => text(to),
            (None, RestoreType::FullCopy) => "the latest possible".to_owned(),
            (None, RestoreType::CopyOnWrite) => {
                return Check::made(name, "now", "now (a clone)", true);
            }
        };
        let (Some(earliest), Some(latest)) = (self.earliest, self.latest) else {
            return Check::not_made(
                name,
                expected,
                "RDS does not say to which times it can be restored",
            );
        };
        let observed = format!("from {} to {}", text(earliest), text(latest));
        let holds = to.is_none_or(|to| earliest <= to && to < latest);
        Check::made(name, expected, observed, holds)
    }

    /// What is restored to; `None` where its time is not known.
    fn point(
        self,
        input: &RestoreClusterPointInTimeInput,
        source: &DbCluster,
        now: DateTime<Utc>,
    ) -> Option<RecoveryPoint> {
        let (at, from) = match (input.to, input.restore_type) {
            (Some(to), _) => (to, "the time that was asked for"),
            (None, RestoreType::FullCopy) => (self.latest?, "LatestRestorableTime"),
            (None, RestoreType::CopyOnWrite) => (now, "the time of the clone"),
        };
        Some(RecoveryPoint {
            at,
            source: from.to_owned(),
            measure: Measure::Backup,
            identity: source.db_cluster_arn().unwrap_or(&input.of).to_owned(),
            worst_case: None,
            not_newer_than: None,
            kept_at: None,
            goes_on: false,
        })
    }
}

fn restore_request(
    cx: &StepContext,
    input: &RestoreClusterPointInTimeInput,
    settings: &Settings,
) -> Result<RestoreDBClusterToPointInTimeFluentBuilder, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let to = input.to.map(|to| {
        aws_smithy_types::DateTime::from_secs_and_nanos(to.timestamp(), to.timestamp_subsec_nanos())
    });
    Ok(client
        .restore_db_cluster_to_point_in_time()
        .db_cluster_identifier(cx.name_of_mine(63))
        .source_db_cluster_identifier(&input.of)
        .restore_type(input.restore_type.as_str())
        .set_use_latest_restorable_time(to.is_none().then_some(true))
        .set_restore_to_time(to)
        .set_engine_mode(settings.engine_mode.clone())
        .set_db_subnet_group_name(settings.subnet_group.clone())
        .set_vpc_security_group_ids(some(&settings.security_groups))
        .set_db_cluster_parameter_group_name(settings.cluster_parameter_group.clone())
        .deletion_protection(settings.deletion_protection)
        .set_port(settings.port.map(i32::from))
        .set_enable_iam_database_authentication(settings.iam_auth)
        .set_enable_cloudwatch_logs_exports(some(&settings.log_exports))
        .set_kms_key_id(settings.kms_key.clone())
        .set_serverless_v2_scaling_configuration(scaling(settings))
        .set_storage_type(settings.storage_type.clone())
        .set_backup_retention_period(settings.retention_days())
        .set_tags(Some(tags(cx, settings))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;
    use serde_json::json;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    const WINDOW: fn() -> Window = || Window { earliest: Some(at(10)), latest: Some(at(20)) };

    fn input(with: serde_json::Value) -> RestoreClusterPointInTimeInput {
        let mut all = json!({ "of": "payments", "writer": { "class": "db.r6g.large" } });
        all.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_time_outside_of_the_window_fails_and_a_window_that_is_not_told_is_inconclusive() {
        let outcome = |window: Window, to: Option<i64>| {
            window.check(to.map(at), RestoreType::FullCopy).outcome
        };
        assert_eq!(outcome(WINDOW(), Some(10)), Outcome::Passed);
        assert_eq!(outcome(WINDOW(), None), Outcome::Passed);
        assert_eq!(outcome(WINDOW(), Some(9)), Outcome::Failed);
        assert_eq!(outcome(WINDOW(), Some(21)), Outcome::Failed);
        assert_eq!(
            outcome(WINDOW(), Some(20)),
            Outcome::Failed,
            "the latest is asked for without to:"
        );
        let silent = Window { earliest: None, latest: None };
        assert_eq!(outcome(silent, Some(10)), Outcome::Inconclusive);
        assert_eq!(outcome(silent, None), Outcome::Inconclusive);
    }

    #[test]
    fn the_recovery_point_is_what_was_restored_to() {
        let source = DbCluster::builder().db_cluster_arn("arn:payments").build();
        let point = |with, window: Window| {
            window.point(&input(with), &source, at(30)).map(|point| (point.at, point.source))
        };
        let asked = point(json!({ "to": "1970-01-01T15:00:00Z" }), WINDOW()).unwrap();
        assert_eq!(asked, (at(15), "the time that was asked for".to_owned()));
        assert_eq!(point(json!({}), WINDOW()).unwrap().0, at(20));
        let clone = json!({ "restore_type": "copy-on-write" });
        assert_eq!(point(clone, WINDOW()).unwrap().0, at(30));
        assert_eq!(point(json!({}), Window { earliest: None, latest: None }), None);
    }

    #[test]
    fn a_clone_of_the_past_is_refused_before_anything_is_made() {
        let both = input(json!({ "restore_type": "copy-on-write", "to": "2026-11-22T00:00:00Z" }));
        let error = check_combination(&both).unwrap_err();
        assert!(error.to_string().contains("what is there now"), "{error}");
        assert!(check_combination(&input(json!({}))).is_ok());
    }

    #[test]
    fn the_checks_are_those_of_every_cluster_and_one_more() {
        assert_eq!(PITR_CHECKS[0].0, "restorable time");
        assert_eq!(&PITR_CHECKS[1..], CHECKS);
    }
}
