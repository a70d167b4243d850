//! For any ledger and any call: it passes exactly when everything that it would change is the run's own. The model beside it
//! knows nothing of roles and claims.

use super::*;
use crate::aws::CallLog;
use crate::aws::guard::Guard;
use crate::aws::hosts::Hosts;
use aws_sdk_ec2::operation::create_tags::CreateTagsInput;
use aws_sdk_ec2::operation::create_volume::CreateVolumeInput;
use aws_sdk_ec2::operation::delete_snapshot::DeleteSnapshotInput;
use aws_sdk_ec2::operation::delete_volume::DeleteVolumeInput;
use aws_sdk_ec2::types::ResourceType;
use aws_sdk_rds::operation::copy_db_cluster_snapshot::CopyDbClusterSnapshotInput;
use aws_sdk_rds::operation::copy_db_snapshot::CopyDbSnapshotInput;
use aws_sdk_rds::operation::create_db_instance::CreateDbInstanceInput;
use aws_sdk_rds::operation::delete_db_cluster_snapshot::DeleteDbClusterSnapshotInput;
use aws_sdk_rds::operation::delete_db_instance::DeleteDbInstanceInput;
use aws_sdk_rds::operation::modify_db_instance::ModifyDbInstanceInput;
use aws_sdk_s3::operation::delete_objects::DeleteObjectsInput;
use aws_sdk_s3::operation::put_object::PutObjectInput;
use aws_smithy_runtime_api::client::interceptors::context::Input;
use proptest::prelude::*;
use std::collections::BTreeMap;

const KINDS: [&str; 8] = [
    "rds.db_instance",
    "rds.db_snapshot",
    "ebs.volume",
    "ebs.snapshot",
    "s3.canary_object",
    "aurora.cluster",
    "aurora.instance",
    "aurora.cluster_snapshot",
];
const NAMES: [&str; 4] = ["redrill-a", "redrill-b", "orders-db", "backup"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Intended,
    Owned,
    Released,
    Left,
}

fn stage() -> impl Strategy<Value = Stage> {
    prop_oneof![Just(Stage::Intended), Just(Stage::Owned), Just(Stage::Released), Just(Stage::Left)]
}

/// What is in the ledger, by kind, name and site.
type Model = BTreeMap<(usize, usize, bool), Stage>;

fn model() -> impl Strategy<Value = Model> {
    let key = (0..KINDS.len(), 0..NAMES.len(), proptest::bool::weighted(0.8));
    proptest::collection::btree_map(key, stage(), 0..14)
}

/// What AWS calls the resource: an id for EC2's, a name otherwise.
fn id(kind: usize, name: usize) -> String {
    match KINDS[kind] {
        "ebs.volume" => format!("vol-{name}"),
        "ebs.snapshot" => format!("snap-{name}"),
        _ => NAMES[name].to_owned(),
    }
}

/// The name in the ledger.
fn ledger_name(kind: usize, name: usize) -> String {
    match KINDS[kind] {
        "s3.canary_object" => format!("uploads/redrill-canary/{}", NAMES[name]),
        _ => NAMES[name].to_owned(),
    }
}

fn events(model: &Model) -> Vec<Event> {
    let mut events = Vec::new();
    for ((kind, name, here), stage) in model {
        let mut key = key(KINDS[*kind], &ledger_name(*kind, *name));
        if !here {
            key.site = SiteName::new("dr");
        }
        let step = StepId::new(STEP);
        events.push(Event::ResourceIntended { step, key: key.clone() });
        let id = id(*kind, *name);
        match stage {
            Stage::Intended => {}
            Stage::Owned => events.push(Event::ResourceOwned { key, id }),
            Stage::Released => {
                events.push(Event::ResourceOwned { key: key.clone(), id });
                events.push(Event::ResourceReleased {
                    key,
                    how: "deleted".to_owned(),
                    calls: Vec::new(),
                });
            }
            Stage::Left => {
                events.push(Event::ResourceOwned { key: key.clone(), id });
                let (why, command) = (String::new(), String::new());
                events.push(Event::ResourceLeft {
                    key,
                    why,
                    kept: true,
                    command,
                    calls: Vec::new(),
                });
            }
        }
    }
    events
}

#[derive(Clone, Debug)]
enum Call {
    DeleteInstance { name: usize },
    ModifyInstance { name: usize },
    AddMember { cluster: usize, name: usize, tagged: bool },
    CopySnapshot { source: usize, target: usize, tagged: bool },
    CopyClusterSnapshot { source: usize, target: usize, tagged: bool },
    DeleteClusterSnapshot { name: usize },
    CreateVolume { token: usize, name: usize, tagged: bool },
    DeleteVolume { name: usize },
    DeleteSnapshot { name: usize },
    TagVolumes { names: Vec<usize> },
    Put { name: usize, marked: bool, in_place: bool },
    DeleteObjects { names: Vec<usize>, in_place: bool },
}

fn call() -> impl Strategy<Value = Call> {
    let name = || 0..NAMES.len();
    let names = || proptest::collection::vec(0..NAMES.len(), 0..3);
    let mostly = || proptest::bool::weighted(0.8);
    prop_oneof![
        name().prop_map(|name| Call::DeleteInstance { name }),
        name().prop_map(|name| Call::ModifyInstance { name }),
        (name(), name(), mostly()).prop_map(|(cluster, name, tagged)| Call::AddMember {
            cluster,
            name,
            tagged
        }),
        (name(), name(), mostly()).prop_map(|(source, target, tagged)| Call::CopySnapshot {
            source,
            target,
            tagged
        }),
        (name(), name(), mostly()).prop_map(|(source, target, tagged)| {
            Call::CopyClusterSnapshot { source, target, tagged }
        }),
        name().prop_map(|name| Call::DeleteClusterSnapshot { name }),
        (name(), name(), mostly()).prop_map(|(token, name, tagged)| Call::CreateVolume {
            token,
            name,
            tagged
        }),
        name().prop_map(|name| Call::DeleteVolume { name }),
        name().prop_map(|name| Call::DeleteSnapshot { name }),
        names().prop_map(|names| Call::TagVolumes { names }),
        (name(), mostly(), mostly()).prop_map(|(name, marked, in_place)| Call::Put {
            name,
            marked,
            in_place
        }),
        (names(), mostly()).prop_map(|(names, in_place)| Call::DeleteObjects { names, in_place }),
    ]
}

fn object_key(name: usize, in_place: bool) -> String {
    let prefix = if in_place { "redrill-canary/" } else { "invoices/" };
    format!("{prefix}{}", NAMES[name])
}

fn tags_if(tagged: bool) -> &'static [(&'static str, &'static str)] {
    if tagged { &TAGS } else { &TAGS[1..] }
}

/// Service, operation and input, as the SDK hands them over.
fn asked(call: &Call) -> (&'static str, &'static str, Input) {
    match call {
        Call::DeleteInstance { name } => {
            let input = DeleteDbInstanceInput::builder().db_instance_identifier(NAMES[*name]);
            ("RDS", "DeleteDBInstance", Input::erase(input.build().unwrap()))
        }
        Call::ModifyInstance { name } => {
            let input = ModifyDbInstanceInput::builder().db_instance_identifier(NAMES[*name]);
            ("RDS", "ModifyDBInstance", Input::erase(input.build().unwrap()))
        }
        Call::AddMember { cluster, name, tagged } => {
            let input = CreateDbInstanceInput::builder()
                .db_instance_identifier(NAMES[*name])
                .db_cluster_identifier(NAMES[*cluster])
                .set_tags(rds_tags(tags_if(*tagged)));
            ("RDS", "CreateDBInstance", Input::erase(input.build().unwrap()))
        }
        Call::CopySnapshot { source, target, tagged } => {
            let input = CopyDbSnapshotInput::builder()
                .source_db_snapshot_identifier(NAMES[*source])
                .target_db_snapshot_identifier(NAMES[*target])
                .set_tags(rds_tags(tags_if(*tagged)));
            ("RDS", "CopyDBSnapshot", Input::erase(input.build().unwrap()))
        }
        Call::CopyClusterSnapshot { source, target, tagged } => {
            let input = CopyDbClusterSnapshotInput::builder()
                .source_db_cluster_snapshot_identifier(NAMES[*source])
                .target_db_cluster_snapshot_identifier(NAMES[*target])
                .set_tags(rds_tags(tags_if(*tagged)));
            ("RDS", "CopyDBClusterSnapshot", Input::erase(input.build().unwrap()))
        }
        Call::DeleteClusterSnapshot { name } => {
            let input = DeleteDbClusterSnapshotInput::builder();
            let input = input.db_cluster_snapshot_identifier(NAMES[*name]).build().unwrap();
            ("RDS", "DeleteDBClusterSnapshot", Input::erase(input))
        }
        Call::CreateVolume { token, name, tagged } => {
            let tags = specification(ResourceType::Volume, tags_if(*tagged), NAMES[*name]);
            let input = CreateVolumeInput::builder().client_token(NAMES[*token]);
            let input = input.tag_specifications(tags).build().unwrap();
            ("EC2", "CreateVolume", Input::erase(input))
        }
        Call::DeleteVolume { name } => {
            let input = DeleteVolumeInput::builder().volume_id(id(2, *name)).build().unwrap();
            ("EC2", "DeleteVolume", Input::erase(input))
        }
        Call::DeleteSnapshot { name } => {
            let input = DeleteSnapshotInput::builder().snapshot_id(id(3, *name)).build().unwrap();
            ("EC2", "DeleteSnapshot", Input::erase(input))
        }
        Call::TagVolumes { names } => {
            let ids = names.iter().map(|name| id(2, *name)).collect();
            let tags = Some(ec2_tags(&[("a", "b")]));
            let input = CreateTagsInput::builder().set_resources(Some(ids)).set_tags(tags);
            ("EC2", "CreateTags", Input::erase(input.build().unwrap()))
        }
        Call::Put { name, marked, in_place } => {
            let input =
                PutObjectInput::builder().bucket("uploads").key(object_key(*name, *in_place));
            let input = tags_if(*marked)
                .iter()
                .fold(input, |input, (tag, value)| input.metadata(tag.replace(':', "-"), *value));
            ("S3", "PutObject", Input::erase(input.build().unwrap()))
        }
        Call::DeleteObjects { names, in_place } => {
            let keys: Vec<String> = names.iter().map(|name| object_key(*name, *in_place)).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let input = DeleteObjectsInput::builder().bucket("uploads").delete(deletion(&keys));
            ("S3", "DeleteObjects", Input::erase(input.build().unwrap()))
        }
    }
}

/// What the model says.
fn is_ours(model: &Model, call: &Call) -> bool {
    let stage = |kind: usize, name: usize| model.get(&(kind, name, true)).copied();
    let held = |kind, name| matches!(stage(kind, name), Some(Stage::Intended | Stage::Owned));
    let bound = |kind, name| stage(kind, name) == Some(Stage::Owned);
    match call {
        // A member of a cluster is a DB instance, too.
        Call::DeleteInstance { name } | Call::ModifyInstance { name } => {
            held(0, *name) || held(6, *name)
        }
        Call::AddMember { cluster, name, tagged } => *tagged && held(6, *name) && held(5, *cluster),
        Call::CopySnapshot { target, tagged, .. } => *tagged && held(1, *target),
        Call::CopyClusterSnapshot { target, tagged, .. } => *tagged && held(7, *target),
        Call::DeleteClusterSnapshot { name } => held(7, *name),
        Call::CreateVolume { token, name, tagged } => *tagged && token == name && held(2, *name),
        Call::DeleteVolume { name } => bound(2, *name),
        Call::DeleteSnapshot { name } => bound(3, *name),
        Call::TagVolumes { names } => !names.is_empty() && names.iter().all(|name| bound(2, *name)),
        Call::Put { name, marked, in_place } => *marked && *in_place && held(4, *name),
        Call::DeleteObjects { names, in_place } => {
            !names.is_empty() && *in_place && names.iter().all(|name| held(4, *name))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_call_passes_exactly_when_all_that_it_changes_is_in_the_ledger_on_disk(
        model in model(),
        call in call(),
        may_write in proptest::bool::weighted(0.9),
    ) {
        let write = if may_write { limits().write } else { Vec::new() };
        let policy = GuardPolicy::of_run(RunLimits { write, ..limits() }, Ledger::default());
        events(&model).iter().for_each(|event| policy.on_disk(event));
        let guard = Guard::new(place(), Hosts::Aws, Arc::new(policy), CallLog::default());
        let (service, operation, input) = asked(&call);
        let judged = guard.judge(service, operation, Some(REGION), &input);
        prop_assert_eq!(judged.is_ok(), may_write && is_ours(&model, &call), "{:?}", judged);
    }
}
