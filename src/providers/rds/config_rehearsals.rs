//! Captured configurations, compared in the sandbox with what a restore has made of them.

use crate::journal::Outcome;
use crate::providers::backups::rehearsal::Rehearsal;
use serde_json::{Value, json};

const ESTATE: &str = r#"
estate: 1
title: orders
now: 2026-11-22T10:00:00Z
accounts:
  "111111111111": {}
places:
  - account: "111111111111"
    region: ap-northeast-1
    kms_keys: [{ id: key-source }, { id: alias/orders }]
    subnet_groups: [{ name: prod, vpc: vpc-prod }]
    security_groups: [{ id: sg-prod, vpc: vpc-prod }]
    parameter_groups:
      - { name: orders16, family: postgres16, parameters: { work_mem: "65536" } }
    databases:
      - id: orders-db
        class: db.r6g.large
        multi_az: true
        kms_key: key-source
        iops: 12000
        storage_throughput: 500
        subnet_group: prod
        security_groups: [sg-prod]
        parameter_group: orders16
        deletion_protection: true
        iam_auth: true
        log_exports: [postgresql]
        tags: { system: orders }
        snapshots: [{ id: nightly, age: 1h }]
"#;

fn drill() -> Rehearsal {
    Rehearsal::at(ESTATE, "111111111111", "ap-northeast-1", &[])
}

async fn captured(drill: &Rehearsal) -> Value {
    let config = drill.run("rds.capture_config", json!({ "instance": "orders-db" })).await.unwrap();
    config["config"].clone()
}

async fn compared(drill: &Rehearsal, restore: &Value, terms: &Value) -> Value {
    let intended = captured(drill).await;
    let mut input = json!({ "snapshot": "nightly", "class": "db.r6g.large" });
    input.as_object_mut().unwrap().extend(restore.as_object().unwrap().clone());
    let restored = drill.run("rds.restore_snapshot", input).await.unwrap();
    let mut input = json!({ "instance": restored["id"], "intended": intended });
    input.as_object_mut().unwrap().extend(terms.as_object().unwrap().clone());
    drill.run("rds.compare_config", input).await.unwrap()
}

fn as_before() -> Value {
    json!({
        "multi_az": true, "subnet_group": "prod", "security_groups": ["sg-prod"], "parameter_group": "orders16",
        "deletion_protection": true, "iam_auth": true, "log_exports": ["postgresql"], "tags": { "system": "orders" },
    })
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_restored_as_it_was_differs_in_nothing() {
    let drill = drill();
    let output = compared(&drill, &as_before(), &json!({ "max_age": "1d" })).await;
    assert_eq!((&output["compared"], &output["differences"]), (&json!(25), &json!(0)), "{output}");
    assert_eq!(output["unverified"], json!([]));
    assert!(drill.checks().values().all(|o| *o == Outcome::Passed), "{:?}", drill.checks());
    assert!(drill.findings().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_rds_silently_leaves_at_its_defaults_is_found() {
    let drill = drill();
    let output = compared(&drill, &json!({}), &json!({})).await;
    let differing = output["differing"].as_array().unwrap();
    for name in [
        "multi_az",
        "vpc",
        "subnet_group",
        "security_groups",
        "parameter_group",
        "parameters",
        "deletion_protection",
        "iam_auth",
        "log_exports",
        "tags",
    ] {
        assert!(differing.contains(&json!(name)), "{name} in {differing:?}");
        assert_eq!(drill.checks()[name], Outcome::Failed, "{name}");
    }
    assert_eq!(output["differences"], json!(differing.len()));
    let findings = drill.findings();
    let differs = findings.iter().filter(|code| *code == "rds.config_differs").count();
    assert_eq!(differs, differing.len());
}

#[tokio::test(start_paused = true)]
async fn what_varies_on_purpose_is_listed_and_another_key_is_looked_up_by_its_alias() {
    let drill = drill();
    let restore = json!({ "subnet_group": "prod", "security_groups": ["sg-prod"], "parameter_group": "orders16",
        "iam_auth": true, "log_exports": ["postgresql"], "tags": { "system": "orders" } });
    let terms = json!({ "vary": ["multi_az", "deletion_protection"], "instead": { "kms_key": "alias/orders" } });
    let output = compared(&drill, &restore, &terms).await;
    assert_eq!(output["varied"], json!(["multi_az", "deletion_protection"]));
    assert_eq!(output["differing"], json!(["kms_key"]));
    assert_eq!(drill.checks()["kms_key"], Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn an_old_configuration_is_a_finding_and_nothing_to_compare_is_inconclusive() {
    let drill = drill();
    let old = json!({ "instance": "orders-db", "max_age": "30d",
        "intended": { "captured_at": "2026-01-01T00:00:00Z", "arn": "arn:aws:rds:other", "multi_az": true } });
    drill.run("rds.compare_config", old).await.unwrap();
    assert_eq!(drill.checks()["age of the intended configuration"], Outcome::Failed);
    assert!(drill.findings().contains(&"rds.config_outdated".to_owned()));
    let nothing = json!({ "instance": "orders-db", "intended": {} });
    let output = drill.run("rds.compare_config", nothing).await.unwrap();
    assert_eq!(
        (&output["compared"], drill.checks()["items compared"]),
        (&json!(0), Outcome::Inconclusive)
    );
}

#[tokio::test(start_paused = true)]
async fn regression_a_restored_instance_is_not_compared_with_itself() {
    let drill = drill();
    let restore = json!({ "snapshot": "nightly", "class": "db.t4g.micro" });
    let restored = drill.run("rds.restore_snapshot", restore).await.unwrap();
    let captured =
        drill.run("rds.capture_config", json!({ "instance": restored["id"] })).await.unwrap();
    let input =
        json!({ "instance": restored["id"], "intended": captured["config"], "max_age": "1d" });
    let output = drill.run("rds.compare_config", input).await.unwrap();
    let checks = drill.checks();
    assert_eq!(checks["origin of the intended configuration"], Outcome::Inconclusive);
    assert_eq!((checks["items compared"], &output["compared"]), (Outcome::Inconclusive, &json!(0)));
    // The source is still there: what is captured of it now is no more what was captured before the loss.
    let late = captured_late(&drill).await;
    let input = json!({ "instance": restored["id"], "intended": late });
    drill.run("rds.compare_config", input).await.unwrap();
    assert_eq!(drill.checks()["origin of the intended configuration"], Outcome::Inconclusive);
}

async fn captured_late(drill: &Rehearsal) -> Value {
    drill.cx.clock.sleep(std::time::Duration::from_secs(60)).await;
    captured(drill).await
}
