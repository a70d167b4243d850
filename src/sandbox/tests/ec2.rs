use super::{PRIMARY, Rig, code, text};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, ResourceType, Snapshot, SnapshotState, Tag, TagSpecification};

const AWAY: (&str, &str) = ("111111111111", "ap-northeast-3");

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

fn tagged(kind: ResourceType) -> TagSpecification {
    let tag = Tag::builder().key("redrill:run").value("r-1").build();
    TagSpecification::builder().resource_type(kind).tags(tag).build()
}

async fn snapshots(ec2: &Client) -> Vec<Snapshot> {
    let mut all =
        ec2.describe_snapshots().owner_ids("self").send().await.unwrap().snapshots().to_vec();
    all.sort_by_key(|s| s.start_time().map(|t| t.secs()));
    all
}

#[tokio::test(start_paused = true)]
async fn copies_have_their_own_time_an_arbitrary_volume_and_the_tags_of_the_original() {
    let rig = Rig::open();
    let (here, there) = (snapshots(&rig.ec2(PRIMARY)).await, snapshots(&rig.ec2(AWAY)).await);
    assert_eq!(here.len(), 12, "every 6h for 3d");
    let original = here.iter().rfind(|s| s.state() == Some(&SnapshotState::Completed)).unwrap();
    let copy = there.iter().rfind(|s| s.state() == Some(&SnapshotState::Completed)).unwrap();
    assert_eq!(text(original.start_time()), "2026-11-21T18:00:00Z");
    assert_eq!(original.volume_id(), Some("vol-0aaaaaaaaaaaaaaa1"));
    assert_eq!(text(copy.start_time()), "2026-11-21T18:05:00Z");
    assert_eq!(copy.volume_id(), Some("vol-ffffffffffffffff"));
    assert!(copy.description().unwrap().contains(original.snapshot_id().unwrap()));
    assert_eq!(copy.tags().len(), 2);
    assert_ne!(copy.snapshot_id(), original.snapshot_id());
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_created_from_a_snapshot_once_per_client_token() {
    let rig = Rig::open();
    let ec2 = rig.ec2(AWAY);
    let source = snapshots(&ec2).await[0].snapshot_id().unwrap().to_owned();
    let create = || {
        ec2.create_volume()
            .availability_zone("ap-northeast-3a")
            .snapshot_id(&source)
            .volume_type("gp3".into())
            .client_token("token-1")
            .tag_specifications(tagged(ResourceType::Volume))
    };
    let dry = create().dry_run(true).send().await;
    assert_eq!(code(dry), "DryRunOperation");
    assert!(ec2.describe_volumes().send().await.unwrap().volumes().is_empty());
    let first = create().send().await.unwrap();
    let again = create().send().await.unwrap();
    assert_eq!(first.volume_id(), again.volume_id());
    assert_eq!((first.size(), first.state().unwrap().as_str()), (Some(50), "creating"));
    assert_eq!(code(create().size(60).send().await), "IdempotentParameterMismatch");
    rig.wait("20s").await;
    let found =
        ec2.describe_volumes().filters(filter("tag:redrill:run", "r-*")).send().await.unwrap();
    assert_eq!(found.volumes().len(), 1);
    assert_eq!(found.volumes()[0].state().unwrap().as_str(), "available");
    let tags = ec2.describe_tags().filters(filter("key", "redrill:run")).send().await.unwrap();
    assert_eq!(tags.tags()[0].resource_id(), first.volume_id());
    let id = first.volume_id().unwrap();
    assert_eq!(
        code(ec2.delete_volume().volume_id(id).dry_run(true).send().await),
        "DryRunOperation"
    );
    ec2.delete_volume().volume_id(id).send().await.unwrap();
    rig.wait("30s").await;
    let gone = ec2.describe_volumes().volume_ids(id).send().await;
    assert_eq!(code(gone), "InvalidVolume.NotFound");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_copied_between_regions_and_deleted() {
    let rig = Rig::open();
    let ec2 = rig.ec2(AWAY);
    let source = snapshots(&rig.ec2(PRIMARY)).await[0].snapshot_id().unwrap().to_owned();
    let copy = || ec2.copy_snapshot().source_region(PRIMARY.1).source_snapshot_id(&source);
    assert_eq!(code(copy().dry_run(true).send().await), "DryRunOperation");
    assert_eq!(code(copy().source_snapshot_id("snap-x").send().await), "InvalidSnapshot.NotFound");
    let made = copy().tag_specifications(tagged(ResourceType::Snapshot)).send().await.unwrap();
    let id = made.snapshot_id().unwrap();
    let state = || async {
        let found = ec2.describe_snapshots().snapshot_ids(id).send().await.unwrap();
        found.snapshots()[0].clone()
    };
    assert_eq!(state().await.state(), Some(&SnapshotState::Pending));
    let early =
        ec2.create_volume().availability_zone("ap-northeast-3a").snapshot_id(id).send().await;
    assert_eq!(code(early), "IncorrectState");
    rig.wait("5m").await;
    assert!(matches!(state().await.progress(), Some("49%" | "50%")));
    rig.wait("6m").await;
    assert_eq!(state().await.state(), Some(&SnapshotState::Completed));
    let tag = Tag::builder().key("a").value("b").build();
    ec2.create_tags().resources(id).tags(tag).send().await.unwrap();
    assert_eq!(state().await.tags().len(), 2);
    ec2.delete_snapshot().snapshot_id(id).send().await.unwrap();
    let gone = ec2.describe_snapshots().snapshot_ids(id).send().await;
    assert_eq!(code(gone), "InvalidSnapshot.NotFound");
}

#[tokio::test(start_paused = true)]
async fn what_is_attached_stays_and_what_does_not_exist_is_named() {
    let rig = Rig::open();
    let ec2 = rig.ec2(PRIMARY);
    let used = ec2.delete_volume().volume_id("vol-0aaaaaaaaaaaaaaa1").send().await;
    assert_eq!(code(used), "VolumeInUse");
    let missing = ec2.delete_volume().volume_id("vol-x").send().await;
    assert_eq!(code(missing), "InvalidVolume.NotFound");
    let create = || ec2.create_volume().size(8);
    let zone = create().availability_zone("ap-northeast-3a").send().await;
    assert_eq!(code(zone), "InvalidZone.NotFound");
    let here = || create().availability_zone("ap-northeast-1a");
    let snapshot = here().snapshot_id("snap-x").send().await;
    assert_eq!(code(snapshot), "InvalidSnapshot.NotFound");
    let unknown = ec2.describe_volumes().filters(filter("colour", "red")).send().await;
    assert_eq!(code(unknown), "InvalidParameterValue");
    let group = ec2.describe_security_groups().group_ids("sg-x").send().await;
    assert_eq!(code(group), "InvalidGroup.NotFound");
}

#[tokio::test(start_paused = true)]
async fn long_listings_come_in_pages_and_default_keys_exist() {
    let rig = Rig::open();
    let ec2 = rig.ec2(PRIMARY);
    let first = ec2.describe_snapshots().max_results(5).send().await.unwrap();
    assert_eq!(first.snapshots().len(), 5);
    let mut pages = ec2.describe_snapshots().into_paginator().page_size(5).items().send();
    let mut ids = std::collections::BTreeSet::new();
    while let Some(snapshot) = pages.next().await {
        assert!(ids.insert(snapshot.unwrap().snapshot_id().unwrap().to_owned()));
    }
    assert_eq!(ids.len(), 12);
    let zones = ec2.describe_availability_zones().send().await.unwrap();
    assert_eq!(zones.availability_zones().len(), 3);
    let groups = ec2.describe_security_groups().filters(filter("vpc-id", "vpc-prod")).send().await;
    assert_eq!(groups.unwrap().security_groups()[0].group_id(), Some("sg-orders"));
    let volume = ec2.create_volume().size(8).availability_zone("ap-northeast-1a").encrypted(true);
    let volume = volume.send().await.unwrap();
    assert!(volume.kms_key_id().unwrap().contains(":key/"));
}

#[tokio::test(start_paused = true)]
async fn with_a_key_that_cannot_be_used_the_call_succeeds_and_what_it_made_fails() {
    let rig = Rig::open();
    let ec2 = rig.ec2(super::DR);
    let volume = ec2.create_volume().size(8).availability_zone("ap-northeast-3a").encrypted(true);
    let volume = volume.kms_key_id("off-key").send().await.unwrap();
    rig.wait("10s").await;
    let gone = ec2.describe_volumes().volume_ids(volume.volume_id().unwrap()).send().await;
    assert_eq!(code(gone), "InvalidVolume.NotFound");
    let ec2 = rig.ec2(AWAY);
    let source = snapshots(&rig.ec2(PRIMARY)).await[0].snapshot_id().unwrap().to_owned();
    let copy = ec2.copy_snapshot().source_region(PRIMARY.1).source_snapshot_id(&source);
    let copy = copy.encrypted(true).kms_key_id("alias/x").send().await.unwrap();
    rig.wait("10s").await;
    let found = ec2.describe_snapshots().snapshot_ids(copy.snapshot_id().unwrap()).send().await;
    let found = found.unwrap().snapshots()[0].clone();
    assert_eq!(found.state(), Some(&SnapshotState::Error));
    assert_eq!(found.state_message(), Some("Given key ID is not accessible"));
}
