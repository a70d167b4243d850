//! Which cluster snapshots are recovery points, and in what network clusters are made, in the sandbox.

use super::rehearsals::{
    ACCOUNT, ESTATE, RESTORE, point_input, recovery_site, restore_input, restored_as,
};
use crate::journal::{FailureClass, Outcome};
use crate::providers::backups::rehearsal::Rehearsal;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn regression_a_public_cluster_in_the_default_network_is_pointed_out() {
    let drill = recovery_site(&[]);
    let point = drill.run("aurora.find_snapshot", point_input()).await.unwrap();
    let input = json!({
        "snapshot": point["arn"], "writer": { "class": "db.r6g.large" }, "publicly_accessible": true,
    });
    let output = drill.run(RESTORE, input).await.unwrap();
    assert_eq!(output["reader_endpoint"], Value::Null, "there is no reader");
    let found = drill.findings();
    for code in [
        "aurora.publicly_accessible",
        "aurora.default_subnet_group",
        "aurora.default_security_group",
    ] {
        assert!(found.contains(&code.to_owned()), "{code} in {found:?}");
    }
    assert_eq!(drill.checks()["publicly_accessible"], Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_made_in_the_vpc_that_is_asked_for_or_not_at_all() {
    let drill = recovery_site(&[]);
    restored_as(&drill, |input| input["vpc"] = json!("vpc-drill")).await.unwrap();
    assert_eq!(drill.checks()["vpc"], Outcome::Passed);
    let elsewhere = recovery_site(&[]);
    let error =
        restored_as(&elsewhere, |input| input["vpc"] = json!("vpc-prod")).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert_eq!(elsewhere.checks()["vpc"], Outcome::Failed);
    assert!(elsewhere.ledger().is_empty(), "nothing was made");
}

fn with_version_gone() -> String {
    ESTATE.replace(
        "    kms_keys: [{ id: key-copy }",
        "    engine_versions_gone: [aurora-postgresql 16.4]\n    kms_keys: [{ id: key-copy }",
    )
}

#[tokio::test(start_paused = true)]
async fn regression_snapshots_of_a_version_that_is_gone_are_no_recovery_points() {
    let drill = Rehearsal::at(&with_version_gone(), ACCOUNT, "ap-northeast-3", &[]);
    let error = drill.run("aurora.find_snapshot", point_input()).await.unwrap_err();
    assert!(error.to_string().contains("aurora-postgresql 16.4 is not offered"), "{error}");
    assert_eq!(drill.checks()["engine version offered"], Outcome::Failed);
    let fault = "rds:DescribeDBEngineVersions=error:AccessDenied:403";
    let dark = Rehearsal::at(&with_version_gone(), ACCOUNT, "ap-northeast-3", &[fault]);
    let point = dark.run("aurora.find_snapshot", point_input()).await.unwrap();
    assert_eq!(dark.checks()["engine version offered"], Outcome::Inconclusive);
    let mut input = restore_input(&point["arn"]);
    let error = dark.run(RESTORE, input.clone()).await.unwrap_err();
    assert!(error.to_string().contains("Cannot find version 16.4"), "{error}");
    input["engine_version"] = json!("16.6");
    let output = dark.run(RESTORE, input).await.unwrap();
    assert_eq!(output["engine_version"], "16.6", "{output}");
}

/// Another account's region, with a snapshot that is shared with it, and one of AWS Backup that is not.
fn neighbour() -> Rehearsal {
    let snapshots = "        snapshots:\n          - { id: given, age: 1h, shared_with: [\"222222222222\"] }\n          \
                     - { id: \"awsbackup:job-1\", age: 2h, taken_by: awsbackup }\n        data:";
    let estate = ESTATE
        .replace("        kms_key: key-source\n", "")
        .replace("        data:", snapshots)
        .replace("  \"111111111111\": {}\n", "  \"111111111111\": {}\n  \"222222222222\": {}\n");
    Rehearsal::at(&estate, "222222222222", "ap-northeast-1", &[])
}

#[tokio::test(start_paused = true)]
async fn regression_a_snapshot_of_another_account_is_found_when_asked_for() {
    let drill = neighbour();
    let error = drill.run("aurora.find_snapshot", json!({ "of": "payments" })).await.unwrap_err();
    assert!(error.into_failure().help.unwrap().ends_with("shared: true"));
    let input = json!({ "of": "payments", "shared": true, "types": ["shared"] });
    let point = drill.run("aurora.find_snapshot", input).await.unwrap();
    assert_eq!((&point["id"], &point["owner"]), (&json!("given"), &json!("111111111111")));
    assert_eq!(point["snapshots_considered"], 1);
    let input = json!({ "snapshot": point["arn"], "writer": { "class": "db.r6g.large" } });
    let output = drill.run(RESTORE, input).await.unwrap();
    assert_eq!(output["status"], "available");
}

#[tokio::test(start_paused = true)]
async fn regression_a_cluster_snapshot_of_aws_backup_is_of_that_type() {
    let estate = ESTATE.replace(
        "        data:",
        "        snapshots: [{ id: \"awsbackup:job-1\", age: 2h, taken_by: awsbackup }]\n        data:",
    );
    let drill = Rehearsal::at(&estate, ACCOUNT, "ap-northeast-1", &[]);
    let input = json!({ "of": "payments", "types": ["awsbackup"] });
    let point = drill.run("aurora.find_snapshot", input).await.unwrap();
    assert_eq!((&point["id"], &point["kind"]), (&json!("awsbackup:job-1"), &json!("awsbackup")));
}

#[tokio::test(start_paused = true)]
async fn regression_a_retention_that_aurora_does_not_take_makes_nothing() {
    let drill = recovery_site(&[]);
    let error = restored_as(&drill, |input| input["backup_retention"] = json!("0s")).await;
    assert!(error.unwrap_err().to_string().contains("at least one day"));
    assert!(drill.ledger().is_empty());
}
