//! Copying snapshots: what those of instances and of clusters have in common.

use super::events::Bracket;
use super::snapshot::{Snapshot, owner_of};
use crate::action::{Given, Grant, Limit, Look, Permission, StepContext, StepError, WaitPlan};
use crate::aws::Place;
use crate::client;
use crate::journal::{Check, FailureClass};
use crate::time::HumanDuration;
use aws_sdk_rds::types::Tag;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a copy tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(in crate::providers) struct CopySnapshotOutput {
    /// The identifier of the copy.
    pub(in crate::providers) id: String,
    /// Its ARN.
    pub(in crate::providers) arn: String,
    /// The time of the newest data in it (UTC); absent when RDS does not tell.
    pub(in crate::providers) at: Option<DateTime<Utc>>,
    /// Where that time comes from.
    pub(in crate::providers) source: Option<String>,
    /// Whether it is encrypted.
    pub(in crate::providers) encrypted: Option<bool>,
    /// The KMS key.
    pub(in crate::providers) kms_key: Option<String>,
    /// The database engine.
    pub(in crate::providers) engine: Option<String>,
    /// Its version.
    pub(in crate::providers) engine_version: Option<String>,
    /// When it was available (UTC).
    pub(in crate::providers) available_at: DateTime<Utc>,
    /// Where that time comes from: an RDS event, or the look that noticed it.
    pub(in crate::providers) available_source: String,
    /// From asking for it until it was available. Absent when an earlier attempt or process had asked for it.
    pub(in crate::providers) copied_after: Option<HumanDuration>,
}

impl CopySnapshotOutput {
    /// What is told of a copy that is available since then.
    pub(in crate::providers) fn of(
        copy: Snapshot,
        (available_at, available_source): (DateTime<Utc>, String),
        asked_at: Option<DateTime<Utc>>,
    ) -> Self {
        let (at, source) = copy.time_of_data().unzip();
        Self {
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
            copied_after: asked_at.map(|asked| (available_at - asked).into()),
        }
    }
}

const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// A look-up right after the copy was asked for may not see it yet.
const MAY_BE_INVISIBLE: Duration = Duration::from_secs(120);
/// Statuses of a copy that is on its way.
pub(in crate::providers) const UNDER_WAY: [&str; 3] = ["copying", "creating", "pending"];

/// Between GovCloud regions a copy needs a URL that is signed for later use. In all others RDS ignores it
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBSnapshot.html>,
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBClusterSnapshot.html>).
pub(in crate::providers) fn refuse_what_needs_presigning(
    snapshot: &str,
    region: &str,
) -> Result<(), StepError> {
    match region_of(snapshot) {
        Some(from) if from != region && from.starts_with("us-gov-") => Err(StepError::broken(format!(
            "a copy from {from} to {region} needs a presigned URL, which this program does not make"
        ))
        .help("copy it with the AWS CLI (--source-region), which makes one, and find the copy with a step of find_snapshot")),
        _ => Ok(()),
    }
}

/// The region in an ARN; `None` for an identifier, which is of the same region.
pub(in crate::providers) fn region_of(snapshot: &str) -> Option<&str> {
    snapshot.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2))
}

/// The original as it goes into a policy. One that an earlier step tells may be in another region or account, where the permission is
/// asked for as well (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_CopySnapshot.html>).
pub(in crate::providers) fn original_in_policy(given: &Given, kind: &str) -> String {
    match given.text("snapshot") {
        Some(_) => given.pattern("snapshot"),
        None => format!("arn:*:rds:*:*:{kind}:*"),
    }
}

/// What RDS needs of the key of the original, which is in the region and account of the original; nothing more where it is named by its
/// identifier, and so is at the step's own place. To make something with a key of the customer's, it asks for `kms:CreateGrant` and `kms:DescribeKey`
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.Encryption.Keys.html>). AWS's example of a policy for copying what
/// another account shares allows more
/// (<https://github.com/awsdocs/amazon-rds-user-guide/blob/0598514cf7ab4d1a41619be1a4421b2314357ecf/doc_source/USER_ShareSnapshot.md>);
/// of that, only what reads is taken, `kms:Decrypt`, since nothing is encrypted with that key.
pub(in crate::providers) fn on_key_of_original(
    given: &Given,
    permissions: &[Permission],
) -> Vec<Grant> {
    let parts = given.text("snapshot").map(|arn| arn.split(':').collect::<Vec<_>>());
    let (region, keys) = match parts.as_deref() {
        Some(["arn", partition, _, region, account, ..]) => {
            (*region, format!("arn:{partition}:kms:{region}:{account}:key/*"))
        }
        Some(_) => return Vec::new(),
        None => ("*", "arn:*:kms:*:*:key/*".to_owned()),
    };
    let grant = |action| given.grant(permissions, action).map(|g| g.on("key", &keys));
    let by_rds =
        |grant: Grant| grant.limited(Limit::ViaIn { service: "rds", region: region.to_owned() });
    let all = [
        grant("kms:DescribeKey"),
        grant("kms:CreateGrant").map(by_rds),
        grant("kms:Decrypt").map(by_rds),
    ];
    all.into_iter().flatten().collect()
}

/// The tags of the step, and those that the scenario asks for.
///
/// # Errors
/// When a name is reserved.
pub(in crate::providers) fn tags_of_copy(
    cx: &StepContext,
    wanted: &BTreeMap<String, String>,
) -> Result<Vec<Tag>, StepError> {
    let reserved = |name: &&String| name.starts_with("redrill:") || name.starts_with("aws:");
    if let Some(name) = wanted.keys().find(reserved) {
        return Err(StepError::broken(format!("the tag name {name} is reserved: choose another")));
    }
    let wanted = wanted.iter().map(|(name, value)| (name.clone(), value.clone()));
    let all = cx.tags().into_iter().chain(wanted);
    Ok(all.map(|(name, value)| Tag::builder().key(name).value(value).build()).collect())
}

/// Waits until a copy is available. Tells between which looks it became so.
///
/// # Errors
/// Those of `describe`; an error of the recovery when the copy ends otherwise or disappears.
pub(in crate::providers) async fn wait_until_complete<F>(
    cx: &StepContext,
    name: &str,
    expected: Duration,
    asked_at: Option<DateTime<Utc>>,
    describe: impl Fn() -> F,
) -> Result<(Snapshot, Bracket), StepError>
where
    F: Future<Output = Result<Snapshot, StepError>>,
{
    let plan = WaitPlan::new("copy available", expected, LONGEST_WAIT);
    let began = cx.clock.elapsed();
    let last = Mutex::new(asked_at);
    let look = || async {
        let asked = cx.clock.now();
        let copy = match describe().await {
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

/// Whether the snapshot is not there: RDS says so, or answers with an empty list, which makes it an error of the recovery.
fn is_absent(error: &StepError) -> bool {
    matches!(error.class(), FailureClass::NotFound | FailureClass::Recovery)
}

/// The key of the original, where no other is asked for: within a region RDS takes it for the copy
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBSnapshot.html>). `None` where the original is elsewhere, is not
/// encrypted, has gone since an earlier attempt asked for the copy, or may not be looked at.
///
/// # Errors
/// All others of the look.
pub(in crate::providers) async fn key_of_original(
    kms_key: Option<&str>,
    snapshot: &str,
    region: &str,
    look: impl Future<Output = Result<Snapshot, StepError>>,
) -> Result<Option<String>, StepError> {
    if kms_key.is_some() || region_of(snapshot).is_some_and(|from| from != region) {
        return Ok(None);
    }
    match look.await {
        Ok(original) => Ok(original.key),
        Err(error) if is_absent(&error) || error.class() == FailureClass::Denied => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is lost stays lost: RDS would fetch the original from there, as long as it can.
///
/// # Errors
/// The original is at a site that is lost.
pub(in crate::providers) fn refuse_what_is_lost(
    cx: &StepContext,
    snapshot: &str,
) -> Result<(), StepError> {
    let Some(region) = region_of(snapshot) else { return Ok(()) };
    let owner = owner_of(snapshot);
    let is_there = |place: &Place| {
        let account = place.account.as_deref();
        place.region == region
            && account.zip(owner.as_deref()).is_none_or(|(account, owner)| account == owner)
    };
    let mut lost = cx.sessions.values().filter(|session| session.is_lost());
    match lost.find(|session| is_there(session.place())) {
        None => Ok(()),
        Some(session) => Err(StepError::broken(format!(
            "the original {snapshot} is at {}, which is lost: a copy from there proves nothing",
            session.place().site
        ))
        .help("copy before the loss (phase: prepare, or a schedule), and find the copy with a step of find_snapshot")),
    }
}

/// The ARN behind an id or an alias.
///
/// # Errors
/// Those of `kms:DescribeKey`, except that it is not allowed.
pub(in crate::providers) async fn arn_of_key(
    cx: &StepContext,
    key: Option<&str>,
) -> Result<Option<String>, StepError> {
    let Some(key) = key else { return Ok(None) };
    let client = client!(cx.site()?, aws_sdk_kms);
    let request = client.describe_key().key_id(key);
    match cx.call("kms:DescribeKey", || request.clone().send()).await {
        Ok(answer) => Ok(answer.key_metadata().and_then(|known| known.arn()).map(str::to_owned)),
        Err(error) if error.class() == FailureClass::Denied => Ok(None),
        Err(error) => Err(error),
    }
}

/// The checks of a copy: that it is complete, under which key it is, and whether it tells of which time its data is.
pub(in crate::providers) fn checks_of_a_copy(
    status: Option<&str>,
    key: Option<&str>,
    wanted_key: Option<&str>,
    time_of_data: Option<(DateTime<Utc>, String)>,
    untold: &str,
) -> Vec<Check> {
    let status = status.unwrap_or("no status");
    let complete = Check::made("complete", "available", status, status == "available");
    let key = match (wanted_key, key) {
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
    let time = match time_of_data {
        Some((at, source)) => {
            let observed = format!("{} ({source})", at.to_rfc3339());
            Check::made("time of the data", "known", observed, true)
        }
        None => Check::not_made("time of the data", "known", untold),
    };
    [Some(complete), key, Some(time)].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::GuardPolicy;
    use crate::ids::SiteName;
    use crate::journal::Outcome;
    use crate::outside::fake::{FakeOutside, context};
    use std::sync::Arc;

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

    #[tokio::test(start_paused = true)]
    async fn regression_a_copy_that_is_not_listed_yet_is_waited_for() {
        let (cx, ..) = context(FakeOutside::default());
        let looks = Mutex::new(0);
        let describe = || async {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            match *looks {
                1 => Err(StepError::recovery("there is no snapshot copy here")),
                _ => Ok(Snapshot { status: Some("available".into()), ..Snapshot::default() }),
            }
        };
        let expected = Duration::from_secs(60);
        let found = wait_until_complete(&cx, "copy", expected, None, describe).await;
        assert_eq!(found.unwrap().0.status.as_deref(), Some("available"));
        let gone = || async { Err(StepError::recovery("there is no snapshot copy here")) };
        let error = wait_until_complete(&cx, "copy", expected, None, gone).await.unwrap_err();
        assert!(error.to_string().contains("disappeared"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn regression_nothing_is_copied_from_a_place_that_is_lost() {
        let (mut cx, ..) = context(FakeOutside::default());
        let here = "arn:aws:rds:ap-northeast-3:111111111111:snapshot:a";
        assert!(refuse_what_is_lost(&cx, here).is_ok());
        let site = SiteName::new("dr");
        let policy = Arc::new(GuardPolicy::default());
        policy.set_lost(std::slice::from_ref(&site));
        let session = cx.site_named(&site).unwrap().under(policy);
        cx.sessions = Arc::new([(site, session)].into());
        let error = refuse_what_is_lost(&cx, here).unwrap_err();
        assert!(error.to_string().contains("at dr, which is lost"), "{error}");
        assert!(refuse_what_is_lost(&cx, "nightly").is_ok(), "the guard sees where that is");
        let elsewhere = "arn:aws:rds:ap-northeast-1:111111111111:snapshot:a";
        assert!(refuse_what_is_lost(&cx, elsewhere).is_ok());
    }

    #[test]
    fn regression_the_original_may_be_in_another_region() {
        let of = |snapshot: serde_json::Value| {
            let with = serde_json::json!({ "snapshot": snapshot });
            let given = Given::new("s", crate::ids::StepId::new("copy"), None, with);
            original_in_policy(&given, "snapshot")
        };
        assert_eq!(of("nightly".into()), "nightly");
        assert_eq!(of(Given::later_mark()), "arn:*:rds:*:*:snapshot:*");
    }

    #[test]
    fn a_copy_under_another_key_fails_and_one_that_tells_nothing_verifies_nothing() {
        let time = Some((DateTime::UNIX_EPOCH, "a tag".to_owned()));
        let outcomes = |status, key, wanted, time| {
            let checks = checks_of_a_copy(status, key, wanted, time, "RDS does not tell");
            checks.into_iter().map(|c| c.outcome).collect::<Vec<_>>()
        };
        let (passed, failed, open) = (Outcome::Passed, Outcome::Failed, Outcome::Inconclusive);
        let (there, key) = (Some("available"), Some("arn:key/1"));
        assert_eq!(outcomes(there, key, key, time.clone()), [passed, passed, passed]);
        assert_eq!(outcomes(there, key, Some("arn:key/2"), time.clone()), [passed, failed, passed]);
        assert_eq!(outcomes(there, key, None, time), [passed, open, passed]);
        assert_eq!(outcomes(Some("failed"), None, key, None), [failed, failed, open]);
    }
}
