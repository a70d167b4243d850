use super::cluster_snapshot::ClusterSnapshotKind;
use super::snapshot::describe_snapshot;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, SiteUse, StepContext, StepError, own,
};
use crate::client;
use crate::ids::SiteName;
use crate::journal::FailureClass;
use crate::providers::rds::{
    CopySnapshotOutput, arn_of_key, checks_of_a_copy, key_of_original, owner_of,
    refuse_what_is_lost, refuse_what_needs_presigning, region_of, tags_of_copy,
    wait_until_complete,
};
use crate::time::HumanDuration;
use aws_sdk_rds::types::DbClusterSnapshot;
use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// `aurora.copy_snapshot`: copies a cluster snapshot to the region and account of the step's site.
pub(super) struct CopySnapshot;

/// What `aurora.copy_snapshot` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CopySnapshotInput {
    /// The cluster snapshot to copy: its ARN; an identifier is enough for one of the same region and account.
    pub(super) snapshot: String,
    /// The KMS key that encrypts the copy: id, ARN or alias of a key in the region of the step's site. Needed for encrypted
    /// snapshots of another region or account; within a region the key of the original is the default. RDS refuses a key for
    /// a cluster snapshot that is not encrypted.
    #[serde(default)]
    pub(super) kms_key: Option<String>,
    /// The time of the data in the original (UTC), as `at` of `aurora.find_snapshot` tells it where the original is. With
    /// `time_tag`. A time after the original was taken is refused; where nobody can be asked when that was, nothing is verified.
    #[serde(default)]
    pub(super) data_time: Option<DateTime<Utc>>,
    /// The tag of the copy into which that time is written: RDS keeps it nowhere else.
    #[serde(default)]
    pub(super) time_tag: Option<String>,
    /// The site of the original: there RDS is asked when it was taken. Without it, the step's own site for an original of its
    /// region, else the site of the region and account in the ARN, if the scenario has it.
    #[serde(default)]
    pub(super) original_at: Option<SiteName>,
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

const ABOUT: &str = "Copies a cluster snapshot into the region and account of the step's site, under a key of that region, and waits until \
the copy is available. A run's copy is the run's own: it is removed at the end of a drill. Copying takes place before the disaster: \
afterwards the original is gone, so that a step of a later phase proves nothing about a loss of the region.\n\nA copy of a cluster snapshot \
knows only when it was made itself. So the time of the data must be written on it while somebody knows it: give `data_time` and `time_tag`, \
or nobody can say what was recovered. It is compared with when the original was taken, for which the site of the original is asked.\n\nRDS is asked in the region that the copy goes to, and fetches the original by itself. Only the \
GovCloud regions need a presigned URL for that; the guard forbids to make one, so that copies between those are refused.";

const NO_TIME: &str = "RDS tells no time of the original: give data_time and time_tag";

impl Action for CopySnapshot {
    type Input = CopySnapshotInput;
    type Output = CopySnapshotOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "aurora.copy_snapshot",
            title: "Copy the cluster snapshot to this region",
            about: ABOUT,
            phase: Phase::Prepare,
            site: SiteUse::Required,
            timeout: Duration::from_secs(6 * 3600),
            effect: Effect::Own,
            creates: &["aurora.cluster_snapshot"],
            permissions: &[
                Permission { action: "rds:CopyDBClusterSnapshot", why: "copy" },
                Permission { action: "rds:AddTagsToResource", why: "tag the copy" },
                Permission {
                    action: "rds:DescribeDBClusterSnapshots",
                    why: "wait for it, and look at the original",
                },
                Permission { action: "kms:DescribeKey", why: "encrypted snapshots" },
                Permission { action: "kms:CreateGrant", why: "encrypted snapshots" },
                Permission {
                    action: "kms:Decrypt",
                    why: "encrypted snapshots of another region or account",
                },
            ],
            checks: &[
                ("complete", "RDS calls the copy available"),
                (
                    "encryption key",
                    "the copy is encrypted with the key that was asked for, else the original's",
                ),
                (
                    "time of the data",
                    "the copy tells how old the data in it is, and that is not after the original was taken",
                ),
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
        input: CopySnapshotInput,
    ) -> Result<CopySnapshotOutput, StepError> {
        let region = cx.site()?.place().region.clone();
        refuse_what_needs_presigning(&input.snapshot, &region)?;
        refuse_what_is_lost(cx, &input.snapshot)?;
        let name = cx.name_of_mine(63);
        let client = client!(cx.site()?, aws_sdk_rds);
        let request = client
            .copy_db_cluster_snapshot()
            .source_db_cluster_snapshot_identifier(&input.snapshot)
            .target_db_cluster_snapshot_identifier(&name)
            .set_kms_key_id(input.kms_key.clone())
            .set_tags(Some(tags_of_copy(cx, &tags(&input)?)?));
        let look = describe_snapshot(cx, &input.snapshot);
        let key = input.kms_key.as_deref();
        let original_key = key_of_original(key, &input.snapshot, &region, look).await?;
        let doubt = doubt_of_time(cx, &input, &region).await?;
        let asked_at = Mutex::new(None);
        let create = || async {
            *asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.clock.now());
            let answer = cx.call("rds:CopyDBClusterSnapshot", || request.clone().send()).await?;
            let copy = answer.db_cluster_snapshot();
            let arn = copy.and_then(DbClusterSnapshot::db_cluster_snapshot_arn);
            Ok(arn.unwrap_or(&name).to_owned())
        };
        own(cx, &ClusterSnapshotKind, name.clone(), create).await?;
        let asked_at = asked_at.into_inner().unwrap_or_else(PoisonError::into_inner);
        let describe = || describe_snapshot(cx, &name);
        let expected = input.expected_duration.0;
        let (mut copy, bracket) =
            wait_until_complete(cx, &name, expected, asked_at, describe).await?;
        copy.read_time_in(input.time_tag.as_deref());
        let wanted_key = arn_of_key(cx, key).await?.or(original_key);
        let untold = copy.wrong_tag();
        let untold = untold.as_deref().or(doubt.as_deref()).unwrap_or(NO_TIME);
        let (status, key) = (copy.status.as_deref(), copy.key.as_deref());
        let time = copy.time_of_data().filter(|_| doubt.is_none());
        for check in checks_of_a_copy(status, key, wanted_key.as_deref(), time, untold) {
            cx.check(check).await?;
        }
        // RDS documents no event for the end of such a copy.
        Ok(CopySnapshotOutput::of(copy, bracket.polled(), asked_at))
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let empty =
            ["snapshot", "kms_key", "time_tag"].map(|path| InputProblem::empty(given, path));
        let reserved = InputProblem::reserved_tags(given);
        let all = empty.into_iter().flatten().chain(reserved);
        let half = (given.has("data_time") != given.has("time_tag")).then(half_a_time);
        all.chain(half).chain(unusable_tag(given)).collect()
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::copy_snapshot(given, self.facts().permissions)
    }

    fn preflight_grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::preflight_of_copy(given)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::copy_snapshot(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::copy_snapshot_by_hand::by_hand(input)
    }
}

fn half_a_time() -> InputProblem {
    InputProblem::new(
        "",
        "data_time and time_tag belong together: the time of the data is written into that tag",
    )
    .help("give both: data_time takes at of aurora.find_snapshot")
}

/// A tag in which the time of the data cannot be written down.
fn unusable_tag(given: &Given) -> Option<InputProblem> {
    let name = given.text("time_tag")?;
    let why = if name.starts_with("redrill:") || name.starts_with("aws:") {
        "is reserved"
    } else if given.known("tags").is_some_and(|tags| tags.get(name).is_some()) {
        "stands in tags:, too, with another value"
    } else {
        return None;
    };
    let problem = InputProblem::at("time_tag", format!("time_tag: the tag {name} {why}"));
    Some(problem.help("choose another name"))
}

/// The tags that the scenario asks for, the time of the data among them.
fn tags(input: &CopySnapshotInput) -> Result<BTreeMap<String, String>, StepError> {
    let mut tags = input.tags.clone();
    match (&input.data_time, &input.time_tag) {
        (Some(time), Some(tag)) => {
            tags.insert(tag.clone(), time.to_rfc3339_opts(SecondsFormat::Secs, true));
        }
        (None, None) => {}
        _ => return Err(half_a_time().into()),
    }
    Ok(tags)
}

/// Why nobody can say that `data_time` is right, if so. Without one there is nothing to say.
///
/// # Errors
/// When the original was taken before: no data in it is newer. And those of the call, where they do not mean that the original
/// cannot be asked.
async fn doubt_of_time(
    cx: &StepContext,
    input: &CopySnapshotInput,
    region: &str,
) -> Result<Option<String>, StepError> {
    let Some(data_time) = input.data_time else { return Ok(None) };
    let Some(site) = site_of_original(cx, input, region) else {
        return Ok(Some(
            "no site of the scenario is where the original is: name one in original_at:".to_owned(),
        ));
    };
    if cx.site_named(&site)?.is_lost() {
        return Ok(Some(format!("the original is at {site}, which is lost")));
    }
    let there = StepContext { at: Some(site.clone()), ..cx.clone() };
    let taken = match describe_snapshot(&there, &input.snapshot).await {
        Ok(original) => original.created,
        Err(error) if cannot_be_asked(&error) => {
            return Ok(Some(format!(
                "when the original was taken could not be asked at {site}: {error}"
            )));
        }
        Err(error) => return Err(error),
    };
    match taken {
        Some(taken) if data_time > taken => Err(StepError::broken(format!(
            "data_time: {data_time} is later than the snapshot {} was taken, at {taken}: no data in it is newer",
            input.snapshot
        ))
        .help("nothing was copied: give at of the step of aurora.find_snapshot that finds the original")),
        Some(_) => Ok(None),
        None => Ok(Some("RDS does not say when the original was taken".to_owned())),
    }
}

fn cannot_be_asked(error: &StepError) -> bool {
    matches!(error.class(), FailureClass::NotFound | FailureClass::Recovery | FailureClass::Denied)
}

fn site_of_original(cx: &StepContext, input: &CopySnapshotInput, region: &str) -> Option<SiteName> {
    let from = region_of(&input.snapshot).unwrap_or(region);
    let account = owner_of(&input.snapshot);
    let is_there = |site: &SiteName| {
        cx.sessions.get(site).map(|session| session.place()).is_some_and(|place| {
            let known = place.account.as_deref().zip(account.as_deref());
            place.region == from && known.is_none_or(|(here, there)| here == there)
        })
    };
    let own = cx.at.clone().filter(|_| from == region);
    let elsewhere = || cx.sessions.keys().find(|site| is_there(site)).cloned();
    input.original_at.clone().or(own).or_else(elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_time_of_the_data_is_written_where_it_will_be_looked_for_or_not_at_all() {
        let input = |more: serde_json::Value| -> CopySnapshotInput {
            let mut all = json!({ "snapshot": "a", "tags": { "system": "payments" } });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(all).unwrap()
        };
        let both = input(json!({ "data_time": "2026-11-19T18:00:00Z", "time_tag": "data-time" }));
        let tags_of_both = tags(&both).unwrap();
        assert_eq!(tags_of_both["data-time"], "2026-11-19T18:00:00Z");
        assert_eq!((tags_of_both.len(), tags(&input(json!({}))).unwrap().len()), (2, 1));
        assert!(tags(&input(json!({ "time_tag": "data-time" }))).is_err());
    }

    #[test]
    fn regression_a_tag_that_cannot_hold_the_time_is_found_before_the_run() {
        let places = |tag: &str| {
            let with = json!({ "snapshot": "a", "tags": { "system": "payments" },
                "data_time": "2026-11-19T18:00:00Z", "time_tag": tag });
            let given = Given::new("s", crate::ids::StepId::new("copy"), None, with);
            CopySnapshot.check_input(&given).into_iter().map(|p| p.pointer).collect::<Vec<_>>()
        };
        assert_eq!(places("data-time"), Vec::<String>::new());
        for tag in ["system", "redrill:run", "aws:time"] {
            assert_eq!(places(tag), ["/time_tag"], "{tag}");
        }
    }
}
