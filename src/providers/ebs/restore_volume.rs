use super::fidelity::compare;
use super::snapshot::{Snapshot, describe_snapshot, gibibytes};
use super::volume::{NAME_TAG, VOLUMES, VolumeKind};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, Grant, HandInput, InputProblem, Look,
    Permission, Phase, Probe, SiteUse, StepContext, StepError, WaitPlan, own,
};
use crate::client;
use crate::journal::ClockPoint;
use crate::time::{ByteSize, HumanDuration};
use aws_sdk_ec2::operation::create_volume::builders::CreateVolumeFluentBuilder;
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification, Volume, VolumeState, VolumeType};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// `ebs.restore_volume`: makes a volume of a snapshot and waits until it is available.
pub(super) struct RestoreVolume;

/// What `ebs.restore_volume` is given. Nothing of it is read from the source volume.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreVolumeInput {
    /// The id of the snapshot.
    pub(super) snapshot: String,
    /// The availability zone: `ap-northeast-3a`. A volume can be attached only to instances of its zone.
    pub(super) availability_zone: String,
    /// The volume type. A snapshot does not know it.
    #[serde(default = "gp3")]
    pub(super) volume_type: String,
    /// The size; whole GiB, at least that of the snapshot. Without it, the snapshot's.
    #[serde(default)]
    pub(super) size: Option<ByteSize>,
    /// Provisioned I/O operations per second.
    #[serde(default)]
    pub(super) iops: Option<i32>,
    /// Throughput in MiB per second (gp3).
    #[serde(default)]
    pub(super) throughput: Option<i32>,
    /// Whether to encrypt. A volume of an encrypted snapshot is always encrypted.
    #[serde(default)]
    pub(super) encrypted: Option<bool>,
    /// The KMS key: id or ARN. Without it the snapshot's, or the default key for EBS.
    #[serde(default)]
    pub(super) kms_key: Option<String>,
    /// Tags besides those that this program sets. Names must not begin with `redrill:` or `aws:`.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    /// How long it is expected to take.
    #[serde(default = "half_a_minute")]
    pub(super) expected_duration: HumanDuration,
}

fn gp3() -> String {
    "gp3".to_owned()
}

fn half_a_minute() -> HumanDuration {
    HumanDuration(Duration::from_secs(30))
}

/// What `ebs.restore_volume` tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct RestoreVolumeOutput {
    /// The id of the new volume.
    pub(super) id: String,
    /// Its state at the end.
    pub(super) state: String,
    /// Its size, in bytes.
    pub(super) size: Option<ByteSize>,
    /// The volume type.
    pub(super) volume_type: Option<String>,
    /// The availability zone.
    pub(super) availability_zone: Option<String>,
    /// Whether it is encrypted.
    pub(super) encrypted: Option<bool>,
    /// The KMS key.
    pub(super) kms_key: Option<String>,
    /// Provisioned I/O operations per second.
    pub(super) iops: Option<i32>,
    /// Throughput in MiB per second.
    pub(super) throughput: Option<i32>,
    /// The snapshot that it was made of.
    pub(super) snapshot: Option<String>,
    /// Whether fast snapshot restore had loaded its blocks beforehand; otherwise they are loaded when first read.
    pub(super) fast_restored: Option<bool>,
    /// From asking for it until it was available. Absent when an earlier attempt or process had asked for it.
    pub(super) available_after: Option<HumanDuration>,
}

/// The wait ends here even when the step's own limit is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(6 * 3600);

/// A new volume may be invisible for so long
/// (<https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>).
const MAY_BE_INVISIBLE: Duration = Duration::from_secs(120);

impl Action for RestoreVolume {
    type Input = RestoreVolumeInput;
    type Output = RestoreVolumeOutput;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "ebs.restore_volume",
            title: "Restore the snapshot as a new volume",
            about: "Makes a volume of an EBS snapshot with the parameters of the step, waits until it is available and \
                    compares what came out with what was asked for.\n\nA volume is available at once, but its blocks are \
                    loaded from the snapshot when they are first read: the first full read runs at 100 to 300 MiB per \
                    second unless fast snapshot restore is on. Attaching it and reading it is for later steps.",
            phase: Phase::Recover,
            site: SiteUse::Required,
            timeout: Duration::from_secs(1800),
            effect: Effect::Own,
            creates: &["ebs.volume"],
            permissions: &[
                Permission { action: "ec2:DescribeSnapshots", why: "read size and encryption" },
                Permission { action: "ec2:CreateVolume", why: "restore" },
                Permission { action: "ec2:CreateTags", why: "tag the new volume" },
                Permission { action: "ec2:DescribeVolumes", why: "wait for it and compare it" },
                Permission { action: "kms:DescribeKey", why: "encrypted snapshots" },
                Permission { action: "kms:CreateGrant", why: "encrypted snapshots" },
                Permission {
                    action: "kms:GenerateDataKeyWithoutPlaintext",
                    why: "encrypted volumes",
                },
                Permission { action: "kms:ReEncryptFrom", why: "another key than the snapshot's" },
                Permission { action: "kms:ReEncryptTo", why: "another key than the snapshot's" },
                Permission { action: "kms:Decrypt", why: "encrypted snapshots" },
            ],
            checks: &[
                ("snapshot", "it was made of the snapshot asked for"),
                ("size", "it is at least as large as asked for and as the snapshot"),
                ("volume_type", "the type is the one asked for"),
                ("availability_zone", "the zone is the one asked for"),
                ("encrypted", "it is encrypted when asked for and when the snapshot is"),
                ("kms_key", "the key is the one asked for"),
                ("iops", "the provisioned I/O is what was asked for"),
                ("throughput", "the throughput is what was asked for"),
            ],
            populations: &[],
            proves: &[],
            exercised: Exercised { sandbox: true, servers: &["moto 5.2.5"], aws: None },
        }
    }

    async fn run(
        &self,
        cx: &StepContext,
        input: RestoreVolumeInput,
    ) -> Result<RestoreVolumeOutput, StepError> {
        let snapshot = usable_snapshot(cx, &input).await?;
        let name = cx.name_of_mine(63);
        let request = create_request(cx, &name, &input)?;
        let asked_at = Mutex::new(None);
        let create = || async {
            *asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.clock.now());
            let answer = cx.call("ec2:CreateVolume", || request.clone().send()).await?;
            let id = answer.volume_id().filter(|id| !id.is_empty());
            id.map(str::to_owned)
                .ok_or_else(|| StepError::transient("ec2:CreateVolume answered without an id"))
        };
        let (_, id) = own(cx, &VolumeKind, name, create).await?;
        let asked_at = asked_at.into_inner().unwrap_or_else(PoisonError::into_inner);
        let volume = wait_until_ready(cx, &id, &input).await?;
        let at = cx.clock.now();
        cx.reached(ClockPoint::ResourceAvailable, at, "polled").await?;
        for check in compare(&input, &snapshot, &volume) {
            cx.check(check).await?;
        }
        let available_after = asked_at.map(|asked: DateTime<Utc>| HumanDuration::from(at - asked));
        Ok(told(id, &volume, available_after))
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let texts = ["snapshot", "availability_zone"];
        let mut found: Vec<_> =
            texts.into_iter().filter_map(|path| InputProblem::empty(given, path)).collect();
        let size = given.known("size").cloned();
        let size = size.and_then(|size| serde_json::from_value::<ByteSize>(size).ok());
        if let Some(why) = size.and_then(|size| whole_gibibytes(size).err()) {
            let problem = InputProblem::at("size", why.to_string());
            found.push(problem.help("write it as size: 20 GiB"));
        }
        let kind = given.text("volume_type");
        if let Some(kind) = kind.filter(|kind| !VolumeType::values().contains(kind)) {
            let problem =
                InputProblem::at("volume_type", format!("volume_type: EBS has no {kind}"));
            found.push(problem.expected(format!("one of: {}", VolumeType::values().join(", "))));
        }
        found.extend(InputProblem::reserved_tags(given));
        found
    }

    fn grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::restore_volume(given, self.facts().permissions)
    }

    fn preflight_grants(&self, given: &Given) -> Vec<Grant> {
        super::grants::preflight_of_restore(given)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        super::preflight::restore_volume(context, given).await
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        super::by_hand::restore_volume(input)
    }
}

async fn usable_snapshot(
    cx: &StepContext,
    input: &RestoreVolumeInput,
) -> Result<Snapshot, StepError> {
    let snapshot = describe_snapshot(cx, &input.snapshot).await?;
    if snapshot.archived {
        return Err(StepError::recovery(format!("the snapshot {} is in the archive", snapshot.id))
            .help("bring it back with aws ec2 restore-snapshot-tier (24 to 72 hours), or take another one"));
    }
    match snapshot.state.as_deref() {
        Some("completed") => Ok(snapshot),
        other => Err(StepError::recovery(format!(
            "the snapshot {} is not completed: {}",
            snapshot.id,
            other.unwrap_or("EC2 tells no state")
        ))
        .help("wait until it is completed, or restore another one")),
    }
}

/// A size in whole GiB, as EC2 wants it.
fn whole_gibibytes(size: ByteSize) -> Result<i32, StepError> {
    let gibibyte = 1 << 30;
    let whole = size.0.is_multiple_of(gibibyte) && size.0 > 0;
    let number = i32::try_from(size.0 / gibibyte).ok().filter(|_| whole);
    number.ok_or_else(|| {
        StepError::broken(format!("the size {size} is not a whole number of GiB"))
            .help("write it as size: 20 GiB")
    })
}

fn create_request(
    cx: &StepContext,
    name: &str,
    input: &RestoreVolumeInput,
) -> Result<CreateVolumeFluentBuilder, StepError> {
    let client = client!(cx.site()?, aws_sdk_ec2);
    let tags = TagSpecification::builder()
        .resource_type(ResourceType::Volume)
        .set_tags(Some(tags(cx, name, &input.tags)))
        .build();
    Ok(client
        .create_volume()
        // At most 64 ASCII characters; the same in every attempt, so that a second call makes no second volume.
        .client_token(name)
        .snapshot_id(&input.snapshot)
        .availability_zone(&input.availability_zone)
        .volume_type(VolumeType::from(input.volume_type.as_str()))
        .set_size(input.size.map(whole_gibibytes).transpose()?)
        .set_iops(input.iops)
        .set_throughput(input.throughput)
        .set_encrypted(input.encrypted.or(input.kms_key.as_ref().map(|_| true)))
        .set_kms_key_id(input.kms_key.clone())
        .tag_specifications(tags))
}

fn tags(cx: &StepContext, name: &str, wanted: &BTreeMap<String, String>) -> Vec<Tag> {
    let wanted = wanted.iter().map(|(name, value)| (name.clone(), value.clone()));
    let ours = cx.tags().into_iter().chain([(NAME_TAG.to_owned(), name.to_owned())]);
    let all = ours.chain(wanted);
    all.map(|(name, value)| Tag::builder().key(name).value(value).build()).collect()
}

async fn wait_until_ready(
    cx: &StepContext,
    id: &str,
    input: &RestoreVolumeInput,
) -> Result<Volume, StepError> {
    let plan = WaitPlan::new("volume available", input.expected_duration.0, LONGEST_WAIT);
    let began = cx.clock.elapsed();
    let judge = |volume: Option<Volume>, _| {
        let Some(volume) = volume else {
            if cx.clock.elapsed().saturating_sub(began) < MAY_BE_INVISIBLE {
                return Ok(Look::NotYet("not visible yet".to_owned()));
            }
            return Err(StepError::recovery(format!("the volume {id} disappeared")));
        };
        match volume.state().cloned() {
            Some(VolumeState::Available | VolumeState::InUse) => Ok(Look::Ready(volume)),
            Some(state @ VolumeState::Creating) => Ok(Look::NotYet(state.as_str().to_owned())),
            Some(state) => Err(ended(id, state.as_str())),
            None => Err(ended(id, "no state")),
        }
    };
    cx.wait_together(&plan, &VOLUMES, id, judge).await
}

fn ended(id: &str, state: &str) -> StepError {
    StepError::recovery(format!("the volume {id} ended in the state {state}")).help(
        "a volume that cannot be made mostly lacks permission on its KMS key: kms:CreateGrant, kms:Decrypt, \
         kms:GenerateDataKeyWithoutPlaintext",
    )
}

fn told(
    id: String,
    volume: &Volume,
    available_after: Option<HumanDuration>,
) -> RestoreVolumeOutput {
    let text = |value: Option<&str>| value.filter(|v| !v.is_empty()).map(str::to_owned);
    RestoreVolumeOutput {
        id,
        state: volume.state().map_or("no state", VolumeState::as_str).to_owned(),
        size: gibibytes(volume.size()),
        volume_type: text(volume.volume_type().map(VolumeType::as_str)),
        availability_zone: text(volume.availability_zone()),
        encrypted: volume.encrypted(),
        kms_key: text(volume.kms_key_id()),
        iops: volume.iops(),
        throughput: volume.throughput(),
        snapshot: text(volume.snapshot_id()),
        fast_restored: volume.fast_restored(),
        available_after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sizes_are_whole_gibibytes() {
        assert_eq!(whole_gibibytes(ByteSize(20 << 30)), Ok(20));
        for size in [0, 1, (20 << 30) + 1, u64::MAX] {
            assert!(whole_gibibytes(ByteSize(size)).is_err(), "{size}");
        }
    }

    #[test]
    fn the_type_is_gp3_unless_the_scenario_says_otherwise() {
        let written =
            json!({ "snapshot": "snap-1", "availability_zone": "eu-west-1a", "size": "20 GiB" });
        let input: RestoreVolumeInput = serde_json::from_value(written).unwrap();
        assert_eq!((input.volume_type.as_str(), input.size), ("gp3", Some(ByteSize(20 << 30))));
    }

    #[test]
    fn what_ec2_does_not_say_is_absent_in_the_output() {
        let output = told("vol-1".into(), &Volume::builder().build(), None);
        assert_eq!((output.size, output.encrypted, output.available_after), (None, None, None));
        assert_eq!(output.state, "no state");
    }
}
