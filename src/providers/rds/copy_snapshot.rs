use super::db_snapshot::DbSnapshotKind;
use super::events::{Bracket, moment_of};
use super::snapshot::{Snapshot, describe_snapshot};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem, Look,
    Permission, Phase, Probe, SiteUse, StepContext, StepError, WaitPlan, own,
};
use crate::client;
use crate::journal::{Check, FailureClass};
use crate::time::HumanDuration;
use aws_sdk_rds::types::{DbSnapshot, SourceType, Tag};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// `rds.copy_snapshot`: copies a DB snapshot to the region and account of the step's site.
pub(super) struct CopySnapshot;

/// What `rds.copy_snapshot` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CopySnapshotInput {
    /// The snapshot to copy: its ARN; an identifier is enough for one of the same region and account.
    pub(super) snapshot: String,
    /// The KMS key that encrypts the copy: id, ARN or alias of a key in the region of the step's site. Needed for encrypted
    /// snapshots of another region or account; within a region the key of the original is the default.
    #[serde(default)]
    pub(super) kms_key: Option<String>,
    /// The option group of the copy. Without it the default group of the engine.
    #[serde(default)]
    pub(super) option_group: Option<String>,
    /// Tags besides those that this program sets: the copy has none of the original's. Names must not begin with `redrill:` or `aws:`.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    /// How long it is expected to take: looks are rare until then.
    #[serde(default = "half_an_hour")]
    pub(super) expected_duration: HumanDuration,
}

fn half_an_hour() -> HumanDuration {
    HumanDuration(Duration::from_secs(1800))
}

/// What `rds.copy_snapshot` tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct CopySnapshotOutput {
    /// The identifier of the copy.
    pub(super) id: String,
    /// Its ARN.
    pub(super) arn: String,
    /// The time of the newest data in it (UTC); absent when RDS does not tell.
    pub(super) at: Option<DateTime<Utc>>,
    /// Where that time comes from.
    pub(super) source: Option<String>,
    /// Whether it is encrypted.
    pub(super) encrypted: Option<bool>,
    /// The KMS key.
    pub(super) kms_key: Option<String>,
    /// The database engine.
    pub(super) engine: Option<String>,
    /// Its version.
    pub(super) engine_version: Option<String>,
    /// When it was available (UTC).
    pub(super) available_at: DateTime<Utc>,
    /// Where that time comes from: an RDS event, or the look that noticed it.
    pub(super) available_source: String,
    /// From asking for it until it was available. Absent when an earlier attempt or process had asked for it.
    pub(super) copied_after: Option<HumanDuration>,
}

const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// A look-up right after the copy was asked for may not see it yet.
const MAY_BE_INVISIBLE: Duration = Duration::from_secs(120);
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html>
const ENDS_A_COPY: &[&str] = &["finished copy of snapshot"];

const ABOUT: &str = "Copies a DB snapshot into the region and account of the step's site, under a key of that region, and waits until the \
copy is available. A run's copy is the run's own: it is removed at the end of a drill. Copying takes place before the disaster: afterwards \
the original is gone, so that a step of a later phase proves nothing about a loss of the region.\n\nRDS is asked in the region that the copy \
goes to, and fetches the original by itself. Only the GovCloud regions need a presigned URL for that; the guard forbids to make one, so \
that copies between those are refused.";

impl Action for CopySnapshot {
    type Input = CopySnapshotInput;
    type Output = CopySnapshotOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "rds.copy_snapshot",
            title: "Copy the snapshot to this region",
            about: ABOUT,
            phase: Phase::Prepare,
            site: SiteUse::Required,
            timeout: Duration::from_secs(6 * 3600),
            effect: Effect::Own,
            creates: &["rds.db_snapshot"],
            permissions: &[
                Permission { action: "rds:CopyDBSnapshot", why: "copy" },
                Permission { action: "rds:AddTagsToResource", why: "tag the copy" },
                Permission {
                    action: "rds:DescribeDBSnapshots",
                    why: "wait for it, and look at the original in the same region",
                },
                Permission { action: "rds:DescribeEvents", why: "when RDS says it was complete" },
                Permission { action: "kms:DescribeKey", why: "encrypted snapshots" },
                Permission { action: "kms:CreateGrant", why: "encrypted snapshots" },
            ],
            checks: &[
                ("complete", "RDS calls the copy available"),
                (
                    "encryption key",
                    "the copy is encrypted with the key that was asked for, else the original's",
                ),
                ("time of the data", "the copy tells how old the data in it is"),
            ],
            populations: &[],
            proves: &[],
            exercised: Exercised { sandbox: true, servers: &[], aws: None },
        }
    }

    async fn run(
        &self,
        cx: &StepContext,
        input: CopySnapshotInput,
    ) -> Result<CopySnapshotOutput, StepError> {
        let region = cx.site()?.place().region.clone();
        refuse_what_needs_presigning(&input.snapshot, &region)?;
        let name = cx.name_of_mine(255);
        let client = client!(cx.site()?, aws_sdk_rds);
        let request = client
            .copy_db_snapshot()
            .source_db_snapshot_identifier(&input.snapshot)
            .target_db_snapshot_identifier(&name)
            .set_kms_key_id(input.kms_key.clone())
            .set_option_group_name(input.option_group.clone())
            .set_tags(Some(tags(cx, &input.tags)?));
        let original_key = key_of_original(cx, &input, &region).await?;
        let asked_at = Mutex::new(None);
        let create = || async {
            *asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.clock.now());
            let answer = cx.call("rds:CopyDBSnapshot", || request.clone().send()).await?;
            let arn = answer.db_snapshot().and_then(DbSnapshot::db_snapshot_arn);
            Ok(arn.unwrap_or(&name).to_owned())
        };
        own(cx, &DbSnapshotKind, name.clone(), create).await?;
        let asked_at = asked_at.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (copy, bracket) = wait_until_complete(cx, &name, &input, asked_at).await?;
        let (at, source) = moment_of(cx, SourceType::DbSnapshot, &name, bracket, ENDS_A_COPY).await;
        let wanted_key = arn_of_key(cx, input.kms_key.as_deref()).await?.or(original_key);
        for check in checks(&copy, wanted_key.as_deref()) {
            cx.check(check).await?;
        }
        Ok(told(copy, at, source, asked_at.map(|asked| (at - asked).into())))
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let empty = InputProblem::empty(given, "snapshot");
        empty.into_iter().chain(InputProblem::reserved_tags(given)).collect()
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::copy_snapshot(given, self.facts().permissions)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::copy_snapshot(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::copy_snapshot_by_hand::by_hand(input)
    }
}

/// Between GovCloud regions a copy needs a URL that is signed for later use. In all others RDS ignores it
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBSnapshot.html>).
fn refuse_what_needs_presigning(snapshot: &str, region: &str) -> Result<(), StepError> {
    let from = snapshot.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2));
    match from {
        Some(from) if from != region && from.starts_with("us-gov-") => {
            Err(StepError::broken(format!(
                "a copy from {from} to {region} needs a presigned URL, which this program does not make"
            ))
            .help("copy it with the AWS CLI (--source-region), which makes one, and find the copy with rds.find_snapshot"))
        }
        _ => Ok(()),
    }
}

fn tags(cx: &StepContext, wanted: &BTreeMap<String, String>) -> Result<Vec<Tag>, StepError> {
    let reserved = |name: &&String| name.starts_with("redrill:") || name.starts_with("aws:");
    if let Some(name) = wanted.keys().find(reserved) {
        return Err(StepError::broken(format!("the tag name {name} is reserved: choose another")));
    }
    let wanted = wanted.iter().map(|(name, value)| (name.clone(), value.clone()));
    let all = cx.tags().into_iter().chain(wanted);
    Ok(all.map(|(name, value)| Tag::builder().key(name).value(value).build()).collect())
}

/// Statuses of a copy that is on its way.
const UNDER_WAY: [&str; 3] = ["copying", "creating", "pending"];

async fn wait_until_complete(
    cx: &StepContext,
    name: &str,
    input: &CopySnapshotInput,
    asked_at: Option<DateTime<Utc>>,
) -> Result<(Snapshot, Bracket), StepError> {
    let plan = WaitPlan::new("copy available", input.expected_duration.0, LONGEST_WAIT);
    let began = cx.clock.elapsed();
    let last = Mutex::new(asked_at);
    let look = || async {
        let asked = cx.clock.now();
        let copy = match describe_snapshot(cx, name).await {
            Ok(copy) => copy,
            Err(error) if is_absent(&error) => {
                if cx.clock.elapsed().saturating_sub(began) < MAY_BE_INVISIBLE {
                    return Ok(Look::NotYet("not visible yet".to_owned()));
                }
                let what = format!("the copy {name} disappeared while it was being made");
                return Err(StepError::recovery(what));
            }
            Err(error) => return Err(error),
        };
        match copy.status.as_deref() {
            Some("available") => Ok(Look::Ready(copy)),
            Some(status) if UNDER_WAY.contains(&status) => {
                *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
                Ok(Look::NotYet(status.to_owned()))
            }
            other => {
                let status = other.unwrap_or("no status");
                cx.check(Check::made("complete", "available", status, false)).await?;
                Err(StepError::recovery(format!("the copy {name} ended in the status {status}"))
                    .help("look into the RDS events of the copy; the original may have been deleted meanwhile"))
            }
        }
    };
    let copy = cx.wait(&plan, look).await?;
    let from = last.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((copy, Bracket { from, until: cx.clock.now() }))
}

fn is_absent(error: &StepError) -> bool {
    error.class() == FailureClass::NotFound
}

/// The ARN behind an id or an alias.
async fn arn_of_key(cx: &StepContext, key: Option<&str>) -> Result<Option<String>, StepError> {
    let Some(key) = key else { return Ok(None) };
    let client = client!(cx.site()?, aws_sdk_kms);
    let request = client.describe_key().key_id(key);
    match cx.call("kms:DescribeKey", || request.clone().send()).await {
        Ok(answer) => Ok(answer.key_metadata().and_then(|known| known.arn()).map(str::to_owned)),
        Err(error) if error.class() == FailureClass::Denied => Ok(None),
        Err(error) => Err(error),
    }
}

/// The key of the original, where no other is asked for: within a region RDS takes it for the copy. `None` where the original
/// is elsewhere, is not encrypted, or has gone since an earlier attempt asked for the copy.
async fn key_of_original(
    cx: &StepContext,
    input: &CopySnapshotInput,
    region: &str,
) -> Result<Option<String>, StepError> {
    let from = input.snapshot.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2));
    if input.kms_key.is_some() || from.is_some_and(|from| from != region) {
        return Ok(None);
    }
    match describe_snapshot(cx, &input.snapshot).await {
        Ok(original) => Ok(original.key),
        Err(error)
            if is_absent(&error)
                || matches!(error.class(), FailureClass::Recovery | FailureClass::Denied) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn checks(copy: &Snapshot, wanted_key: Option<&str>) -> Vec<Check> {
    let status = copy.status.as_deref().unwrap_or("no status");
    let complete = Check::made("complete", "available", status, status == "available");
    let key = match (wanted_key, copy.key.as_deref()) {
        (Some(wanted), Some(found)) => {
            Some(Check::made("encryption key", wanted, found, wanted == found))
        }
        (Some(wanted), None) => Some(Check::made("encryption key", wanted, "none", false)),
        (None, Some(_)) => {
            let why = "no key was asked for, or neither it nor the original could be looked up";
            Some(Check::not_made("encryption key", "the key asked for, else the original's", why))
        }
        (None, None) => None,
    };
    let time = match copy.time_of_data() {
        Some((at, source)) => {
            let observed = format!("{} ({source})", at.to_rfc3339());
            Check::made("time of the data", "known", observed, true)
        }
        None => {
            Check::not_made("time of the data", "known", "RDS tells no time that survives copying")
        }
    };
    [Some(complete), key, Some(time)].into_iter().flatten().collect()
}

fn told(
    copy: Snapshot,
    available_at: DateTime<Utc>,
    available_source: String,
    copied_after: Option<HumanDuration>,
) -> CopySnapshotOutput {
    let (at, source) = copy.time_of_data().unzip();
    CopySnapshotOutput {
        id: copy.id,
        arn: copy.arn,
        at,
        source,
        encrypted: copy.encrypted,
        kms_key: copy.key,
        engine: copy.engine,
        engine_version: copy.engine_version,
        available_at,
        available_source,
        copied_after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;

    #[test]
    fn only_copies_between_govcloud_regions_are_refused() {
        let arn = |region: &str| format!("arn:aws:rds:{region}:111111111111:snapshot:a");
        assert!(refuse_what_needs_presigning(&arn("eu-west-1"), "eu-central-1").is_ok());
        assert!(refuse_what_needs_presigning("nightly", "us-gov-west-1").is_ok());
        let gov = "arn:aws-us-gov:rds:us-gov-east-1:111111111111:snapshot:a";
        assert!(refuse_what_needs_presigning(gov, "us-gov-east-1").is_ok());
        let refused = refuse_what_needs_presigning(gov, "us-gov-west-1").unwrap_err();
        assert!(refused.into_failure().help.unwrap().contains("--source-region"));
    }

    #[test]
    fn a_copy_under_another_key_fails_and_one_that_tells_nothing_verifies_nothing() {
        let copy = Snapshot {
            status: Some("available".into()),
            key: Some("arn:key/1".into()),
            original_created: Some(DateTime::UNIX_EPOCH),
            ..Snapshot::default()
        };
        let outcomes = |copy: &Snapshot, key| {
            checks(copy, key).into_iter().map(|c| c.outcome).collect::<Vec<_>>()
        };
        let (passed, failed, open) = (Outcome::Passed, Outcome::Failed, Outcome::Inconclusive);
        assert_eq!(outcomes(&copy, Some("arn:key/1")), [passed, passed, passed]);
        assert_eq!(outcomes(&copy, Some("arn:key/2")), [passed, failed, passed]);
        assert_eq!(outcomes(&copy, None), [passed, open, passed]);
        let silent = Snapshot { status: Some("failed".into()), ..Snapshot::default() };
        assert_eq!(outcomes(&silent, Some("arn:key/1")), [failed, failed, open]);
    }
}
