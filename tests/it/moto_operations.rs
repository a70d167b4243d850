//! Which operations of RDS the program is tried with against moto, over HTTP: by which drill, or why not at all.

use crate::server_support::{Drills, repository};
use serde_json::Value;
use std::collections::BTreeSet;

/// Drills that end as they should against moto, and what each must have called, with an answer: their tests hold it.
const TRIED: &[(&str, &[&str])] = &[
    (
        "orders-restored",
        &[
            "DeleteDBInstance",
            "DescribeDBInstances",
            "DescribeDBSnapshots",
            "DescribeEvents",
            "RestoreDBInstanceFromDBSnapshot",
        ],
    ),
    (
        "orders-point-in-time",
        &[
            "CopyDBSnapshot",
            "DeleteDBSnapshot",
            "DescribeDBEngineVersions",
            "DescribeDBInstanceAutomatedBackups",
            "DescribeDBParameters",
            "ModifyDBInstance",
            "RestoreDBInstanceToPointInTime",
        ],
    ),
    (
        "aurora-restored",
        &[
            "CreateDBInstance",
            "DeleteDBCluster",
            "DescribeDBClusterSnapshots",
            "DescribeDBClusters",
            "ModifyDBCluster",
            "RestoreDBClusterFromSnapshot",
            "RestoreDBClusterToPointInTime",
        ],
    ),
    (
        "aurora-copied",
        &[
            "AddTagsToResource",
            "CopyDBClusterSnapshot",
            "DeleteDBClusterSnapshot",
            "DescribeDBClusterParameterGroups",
            "DescribeDBClusterParameters",
            "DescribeDBParameterGroups",
            "DescribeDBSubnetGroups",
        ],
    ),
    ("replica-promoted", &["PromoteReadReplica"]),
];

/// What no drill against moto calls with success, and why.
const NOT_TRIED: &[(&str, &str)] = &[
    ("DescribeAccountAttributes", "moto 5.2.5 does not know it and answers 500"),
    ("ListTagsForResource", "moto tells the tags with whatever it describes"),
];

/// Asserts that a drill has called what the table says of it.
pub(crate) fn expect_calls(drill: &str, made: &BTreeSet<String>) {
    let (_, wanted) = TRIED.iter().find(|(name, _)| *name == drill).unwrap();
    let missing: Vec<_> =
        wanted.iter().filter(|one| !made.contains(&format!("rds:{one}"))).collect();
    assert!(missing.is_empty(), "{drill} has not called {missing:?}, but {made:?}");
}

/// The operations that the runs of a folder have called with success, as their journals say.
pub(crate) fn calls_of(drills: &Drills) -> BTreeSet<String> {
    let mut made = BTreeSet::new();
    for run in std::fs::read_dir(drills.path("runs")).unwrap() {
        let run = run.unwrap().file_name().into_string().unwrap();
        drills.journal(&run).iter().for_each(|record| add_calls(record, &mut made));
    }
    made
}

fn add_calls(value: &Value, made: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| add_calls(item, made)),
        Value::Object(fields) => {
            let count = |name: &str| fields.get(name).and_then(Value::as_u64).unwrap_or_default();
            if let Some(operation) = fields.get("operation").and_then(Value::as_str)
                && count("count") > count("failed")
            {
                made.insert(operation.to_owned());
            }
            fields.values().for_each(|field| add_calls(field, made));
        }
        _ => {}
    }
}

#[test]
fn every_operation_of_rds_is_tried_against_moto_or_it_is_said_why_not() {
    let operations = redrill::aws::OPERATIONS.iter().find(|(prefix, ..)| *prefix == "rds");
    let known: Vec<_> = operations.unwrap().2.iter().map(|(name, _)| *name).collect();
    let tried = TRIED.iter().flat_map(|(_, names)| names.iter().copied());
    let mut said: Vec<_> = tried.chain(NOT_TRIED.iter().map(|(name, _)| *name)).collect();
    said.sort_unstable();
    assert_eq!(said, known);
    assert!(NOT_TRIED.iter().all(|(_, why)| !why.is_empty()));
}

#[test]
fn each_drill_of_the_table_is_held_to_it_by_its_test() {
    let mut text = String::new();
    for file in std::fs::read_dir(repository("tests/it")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("server_") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    for (drill, _) in TRIED {
        assert!(text.contains(&format!("expect_calls(\"{drill}\"")), "{drill}");
    }
}
