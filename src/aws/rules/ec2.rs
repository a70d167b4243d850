//! Amazon EBS, which is part of EC2. Fields as in <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Operations.html>.
//!
//! EC2 names what it makes only in its answer. So a call that makes something carries the name of the intent as the tag
//! `redrill:name` and, where the operation has one, as its client token. `CopySnapshot` has none.

use super::kinds::{SNAPSHOT, VOLUME};
use super::{Claim, Meaning, NAME_TAG, Unclear, change_rule, required, tag_map, unclear};
use aws_sdk_ec2::operation::copy_snapshot::CopySnapshotInput;
use aws_sdk_ec2::operation::create_tags::CreateTagsInput;
use aws_sdk_ec2::operation::create_volume::CreateVolumeInput;
use aws_sdk_ec2::operation::delete_snapshot::DeleteSnapshotInput;
use aws_sdk_ec2::operation::delete_volume::DeleteVolumeInput;
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use std::collections::BTreeMap;

fn tags(tags: &[Tag]) -> Result<BTreeMap<String, String>, Unclear> {
    tag_map(tags.iter().map(|tag| (tag.key(), tag.value())))
}

/// What is to be made, by the one specification of tags, which must be for what is made.
fn made(
    kind: &'static str,
    wanted: &ResourceType,
    specifications: &[TagSpecification],
) -> Result<(String, Claim), Unclear> {
    let [specification] = specifications else {
        return unclear(format!("it has {} tag specifications, not one", specifications.len()));
    };
    if specification.resource_type() != Some(wanted) {
        return unclear(format!("its tags are not for the {}", wanted.as_str()));
    }
    let tags = tags(specification.tags())?;
    let name = required(tags.get(NAME_TAG).map(String::as_str), "the tag redrill:name")?;
    Ok((name.clone(), Claim::Made { kind, name, tags }))
}

fn identified(kind: &'static str, id: Option<&str>, field: &str) -> Result<Meaning, Unclear> {
    Ok(Meaning::Changes(vec![Claim::Identified { kind, id: required(id, field)? }]))
}

change_rule! {
    COPY_SNAPSHOT: CopySnapshotInput {
        source_region: Source,
        source_snapshot_id: Source,
        tag_specifications: Tags,
        kms_key_id: Uses,
        encrypted: Setting,
        description: Setting,
        dry_run: DryRun,
    }
    |input| {
        if input.dry_run() == Some(true) {
            return Ok(Meaning::Asks);
        }
        let (_, claim) = made(SNAPSHOT, &ResourceType::Snapshot, input.tag_specifications())?;
        Ok(Meaning::Changes(vec![claim]))
    }
}

change_rule! {
    CREATE_TAGS: CreateTagsInput { resources: Target, tags: Tags, dry_run: DryRun }
    |input| {
        if input.dry_run() == Some(true) {
            return Ok(Meaning::Asks);
        }
        let tags = tags(input.tags())?;
        let claims = input.resources().iter().map(|id| {
            let kind = match id.split_once('-') {
                Some(("vol", _)) => VOLUME,
                Some(("snap", _)) => SNAPSHOT,
                _ => return unclear(format!("{id} is neither a volume nor a snapshot")),
            };
            Ok(Claim::Tagged { kind, id: id.clone(), tags: tags.clone() })
        });
        Ok(Meaning::Changes(claims.collect::<Result<_, _>>()?))
    }
}

change_rule! {
    CREATE_VOLUME: CreateVolumeInput {
        client_token: Token,
        tag_specifications: Tags,
        snapshot_id: Source,
        kms_key_id: Uses,
        availability_zone: Setting,
        volume_type: Setting,
        size: Setting,
        iops: Setting,
        throughput: Setting,
        encrypted: Setting,
        dry_run: DryRun,
    }
    |input| {
        if input.dry_run() == Some(true) {
            return Ok(Meaning::Asks);
        }
        let (name, claim) = made(VOLUME, &ResourceType::Volume, input.tag_specifications())?;
        if input.client_token() != Some(name.as_str()) {
            return unclear("its client token is not the name in its tag redrill:name");
        }
        Ok(Meaning::Changes(vec![claim]))
    }
}

change_rule! {
    DELETE_SNAPSHOT: DeleteSnapshotInput { snapshot_id: Target, dry_run: DryRun }
    |input| match input.dry_run() {
        Some(true) => Ok(Meaning::Asks),
        _ => identified(SNAPSHOT, input.snapshot_id(), "snapshot_id"),
    }
}

change_rule! {
    DELETE_VOLUME: DeleteVolumeInput { volume_id: Target, dry_run: DryRun }
    |input| match input.dry_run() {
        Some(true) => Ok(Meaning::Asks),
        _ => identified(VOLUME, input.volume_id(), "volume_id"),
    }
}
