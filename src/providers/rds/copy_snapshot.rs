use super::copying::{
    CopySnapshotOutput, arn_of_key, checks_of_a_copy, key_of_original, refuse_what_is_lost,
    refuse_what_needs_presigning, tags_of_copy, wait_until_complete,
};
use super::db_snapshot::DbSnapshotKind;
use super::describing::describe_snapshot;
use super::events::moment_of;
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem,
    Permission, Phase, Probe, SiteUse, StepContext, StepError, own,
};
use crate::client;
use crate::time::HumanDuration;
use aws_sdk_rds::types::{DbSnapshot, SourceType};
use schemars::JsonSchema;
use serde::Deserialize;
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
                ("time of the data", "the copy tells how old the data in it is"),
            ],
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
        input: CopySnapshotInput,
    ) -> Result<CopySnapshotOutput, StepError> {
        let region = cx.site()?.place().region.clone();
        refuse_what_needs_presigning(&input.snapshot, &region)?;
        refuse_what_is_lost(cx, &input.snapshot)?;
        let name = cx.name_of_mine(255);
        let client = client!(cx.site()?, aws_sdk_rds);
        let request = client
            .copy_db_snapshot()
            .source_db_snapshot_identifier(&input.snapshot)
            .target_db_snapshot_identifier(&name)
            .set_kms_key_id(input.kms_key.clone())
            .set_option_group_name(input.option_group.clone())
            .set_tags(Some(tags_of_copy(cx, &input.tags)?));
        let look = describe_snapshot(cx, &input.snapshot);
        let key = input.kms_key.as_deref();
        let original_key = key_of_original(key, &input.snapshot, &region, look).await?;
        let asked_at = Mutex::new(None);
        let create = || async {
            *asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.clock.now());
            let answer = cx.call("rds:CopyDBSnapshot", || request.clone().send()).await?;
            let arn = answer.db_snapshot().and_then(DbSnapshot::db_snapshot_arn);
            Ok(arn.unwrap_or(&name).to_owned())
        };
        own(cx, &DbSnapshotKind, name.clone(), create).await?;
        let asked_at = asked_at.into_inner().unwrap_or_else(PoisonError::into_inner);
        let describe = || describe_snapshot(cx, &name);
        let expected = input.expected_duration.0;
        let (copy, bracket) = wait_until_complete(cx, &name, expected, asked_at, describe).await?;
        let available = moment_of(cx, SourceType::DbSnapshot, &name, bracket, ENDS_A_COPY).await;
        let wanted_key = arn_of_key(cx, key).await?.or(original_key);
        let untold = "RDS tells no time that survives copying";
        let (status, key) = (copy.status.as_deref(), copy.key.as_deref());
        let time = copy.time_of_data();
        for check in checks_of_a_copy(status, key, wanted_key.as_deref(), time, untold) {
            cx.check(check).await?;
        }
        Ok(CopySnapshotOutput::of(copy, available, asked_at))
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let empty = ["snapshot", "kms_key"].map(|path| InputProblem::empty(given, path));
        empty.into_iter().flatten().chain(InputProblem::reserved_tags(given)).collect()
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
