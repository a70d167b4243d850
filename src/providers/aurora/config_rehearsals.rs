//! Captured configurations of clusters, compared in the sandbox with what a restore has made of them.

use crate::journal::Outcome;
use crate::providers::backups::rehearsal::Rehearsal;
use serde_json::{Value, json};

const ESTATE: &str = r#"
estate: 1
title: payments
now: 2026-11-22T10:00:00Z
accounts:
  "111111111111": {}
places:
  - account: "111111111111"
    region: ap-northeast-1
    kms_keys: [{ id: key-source }]
    subnet_groups:
      - name: prod
        vpc: vpc-prod
        subnets: [{ id: subnet-a, zone: ap-northeast-1a }, { id: subnet-c, zone: ap-northeast-1c }]
    security_groups: [{ id: sg-prod, vpc: vpc-prod }]
    cluster_parameter_groups:
      - { name: payments-cluster, family: aurora-postgresql16, parameters: { rds.force_ssl: "1" } }
    parameter_groups:
      - { name: payments-instance, family: aurora-postgresql16, parameters: { work_mem: "65536" } }
    clusters:
      - id: payments
        kms_key: key-source
        subnet_group: prod
        security_groups: [sg-prod]
        cluster_parameter_group: payments-cluster
        instance_parameter_group: payments-instance
        deletion_protection: true
        log_exports: [postgresql]
        tags: { system: payments }
        instances:
          - { id: payments-1, class: db.r6g.xlarge, tier: 0, zone: ap-northeast-1a }
          - { id: payments-2, class: db.r6g.large, tier: 1, zone: ap-northeast-1c }
        snapshots: [{ id: nightly, age: 1h }]
"#;

fn drill() -> Rehearsal {
    Rehearsal::at(ESTATE, "111111111111", "ap-northeast-1", &[])
}

async fn captured(drill: &Rehearsal) -> Value {
    let config = drill.run("aurora.capture_config", json!({ "cluster": "payments" })).await;
    config.unwrap()["config"].clone()
}

fn as_before() -> Value {
    json!({
        "snapshot": "nightly", "writer": { "class": "db.r6g.xlarge", "tier": 0, "zone": "ap-northeast-1a" },
        "readers": [{ "class": "db.r6g.large", "tier": 1, "zone": "ap-northeast-1c" }], "subnet_group": "prod",
        "security_groups": ["sg-prod"], "cluster_parameter_group": "payments-cluster",
        "instance_parameter_group": "payments-instance", "deletion_protection": true,
        "log_exports": ["postgresql"], "tags": { "system": "payments" },
    })
}

async fn compared(drill: &Rehearsal, restore: Value, terms: &Value) -> Value {
    let intended = captured(drill).await;
    let restored = drill.run("aurora.restore_cluster", restore).await.unwrap();
    let mut input = json!({ "cluster": restored["id"], "intended": intended });
    input.as_object_mut().unwrap().extend(terms.as_object().unwrap().clone());
    drill.run("aurora.compare_config", input).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_restored_as_it_was_differs_in_nothing() {
    let drill = drill();
    let source = json!({ "id": "payments", "at": "dr" });
    let terms = json!({ "max_age": "1d", "source": source });
    let output = compared(&drill, as_before(), &terms).await;
    assert_eq!((&output["compared"], &output["differences"]), (&json!(26), &json!(0)), "{output}");
    assert_eq!(output["unverified"], json!([]));
    assert!(drill.checks().values().all(|o| *o == Outcome::Passed), "{:?}", drill.checks());
    assert!(!drill.findings().iter().any(|code| code == "aurora.config_differs"));
}

#[tokio::test(start_paused = true)]
async fn what_rds_silently_leaves_at_its_defaults_is_found() {
    let drill = drill();
    let bare = json!({ "snapshot": "nightly", "writer": { "class": "db.r6g.xlarge" } });
    let output = compared(&drill, bare, &json!({})).await;
    let differing = output["differing"].as_array().unwrap();
    for name in [
        "multi_az",
        "readers",
        "classes",
        "tiers",
        "vpc",
        "subnet_group",
        "security_groups",
        "cluster_parameter_group",
        "cluster_parameters",
        "instance_parameter_groups",
        "instance_parameters",
        "deletion_protection",
        "log_exports",
        "tags",
    ] {
        assert!(differing.contains(&json!(name)), "{name} in {differing:?}");
        assert_eq!(drill.checks()[name], Outcome::Failed, "{name}");
    }
    let findings = drill.findings();
    let differs = findings.iter().filter(|code| *code == "aurora.config_differs").count();
    assert_eq!(differs, differing.len());
}

#[tokio::test(start_paused = true)]
async fn a_smaller_drill_varies_on_purpose_and_says_so() {
    let drill = drill();
    let mut restore = as_before();
    restore["writer"]["class"] = json!("db.r6g.large");
    restore["readers"] = json!([
        { "class": "db.r6g.large", "zone": "ap-northeast-1c" },
        { "class": "db.r6g.large", "zone": "ap-northeast-1a" },
    ]);
    let terms = json!({ "vary": ["classes", "tiers"], "at_least": ["readers"] });
    let output = compared(&drill, restore, &terms).await;
    assert_eq!(output["varied"], json!(["classes", "tiers"]));
    assert_eq!(output["differing"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_not_compared_with_itself_nor_with_another_original() {
    let drill = drill();
    let intended = captured(&drill).await;
    let itself = json!({ "cluster": "payments", "intended": intended });
    let output = drill.run("aurora.compare_config", itself).await.unwrap();
    let checks = drill.checks();
    assert_eq!(checks["origin of the intended configuration"], Outcome::Inconclusive);
    assert_eq!((checks["items compared"], &output["compared"]), (Outcome::Inconclusive, &json!(0)));
    let other =
        json!({ "cluster": "payments", "intended": intended, "source": { "id": "ledger" } });
    drill.run("aurora.compare_config", other).await.unwrap();
    assert_eq!(drill.checks()["source of the intended configuration"], Outcome::Failed);
    assert!(drill.findings().contains(&"aurora.config_of_another_source".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_gone_ends_the_capture() {
    let drill = drill();
    let gone = json!({ "cluster": "none" });
    assert!(drill.run("aurora.capture_config", gone).await.is_err());
}
