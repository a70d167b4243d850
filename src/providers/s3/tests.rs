//! The actions against the sandbox.

use crate::action::Found;
use crate::journal::{FailureClass, Outcome::*};
use crate::providers::trial::Trial;
use serde_json::{Value, json};

/// A source bucket with these rules and objects, and an empty replica bucket.
fn buckets(rules: &str, objects: &str) -> Trial {
    buckets_with_faults(rules, objects, &[])
}

fn buckets_with_faults(rules: &str, objects: &str, faults: &[&str]) -> Trial {
    let source = format!(
        "[{{ name: uploads, versioning: enabled, replication: [{rules}], objects: [{objects}] }}]"
    );
    Trial::with_faults(&source, "[{ name: uploads-dr, versioning: enabled }]", "primary", faults)
}

const RULE: &str = "{ id: all, to: { bucket: uploads-dr } }";
const OBJECTS: &str = "{ key: 'a/{n}.txt', text: hello, count: 1500, every: 1m, at: 2h }";

fn input() -> Value {
    json!({ "source": "uploads", "replica": "uploads-dr", "replica_at": "dr" })
}

async fn check(trial: &Trial) -> Value {
    trial.run("s3.check_replication", input()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_complete_replica_passes_over_several_pages() {
    let trial = buckets(RULE, OBJECTS);
    let began = trial.context.clock.now();
    let found = check(&trial).await;
    assert_eq!(trial.not_passed(), []);
    assert_eq!(trial.findings(), [] as [&str; 0]);
    assert_eq!(found["versions_compared"], 1500);
    assert_eq!(found["missing"], 0);
    assert_eq!(found["sampled"], 20);
    assert_eq!(found["behind"], "0s");
    assert_eq!(found.get("oldest_missing_age"), Some(&Value::Null));
    assert_eq!(found["rule_enabled"], true);
    let point = trial.recovery_point().unwrap();
    assert_eq!(point.kept_at, Some(crate::ids::SiteName::new("dr")), "not where it was compared");
    assert!(point.at >= began && point.at <= trial.context.clock.now());
}

#[tokio::test(start_paused = true)]
async fn every_way_of_missing_is_found_and_told_apart() {
    let objects = "{ key: ok, text: x, at: 3h }, { key: failed, text: x, at: 5h, replicated: failed }, \
                   { key: pending, text: x, at: 4h, replicated: pending }, \
                   { key: never, text: x, at: 30d, replicated: never }, \
                   { key: removed, text: x, at: 6h, replicated: missing }, \
                   { key: young, text: x, at: 2m, replicated: pending }";
    let trial = buckets(RULE, objects);
    let found = check(&trial).await;
    assert_eq!(trial.not_passed(), [("versions at the replica".to_owned(), Failed)]);
    assert_eq!((&found["missing"], &found["lagging"]), (&json!(4), &json!(1)));
    assert_eq!(found["missing_failed"], 1);
    assert_eq!(found["missing_pending"], 1);
    assert_eq!(found["missing_never_replicated"], 1);
    assert!(found["oldest_missing_age"].as_str().unwrap().starts_with("30d"));
    let expected = [
        "s3.replication_failed",
        "s3.replication_stalled",
        "s3.never_replicated",
        "s3.replica_removed",
    ];
    assert_eq!(trial.findings(), expected);
    let point = trial.recovery_point().unwrap();
    assert_eq!(point.at.to_rfc3339(), "2026-10-21T02:00:00+00:00");
}

#[tokio::test(start_paused = true)]
async fn other_content_at_the_replica_is_found_by_etag_and_checksum() {
    let objects =
        "{ key: same, text: abc, at: 3h }, { key: other, text: abc, at: 2h, replicated: differs }";
    let trial = buckets(RULE, objects);
    let found = check(&trial).await;
    assert_eq!(trial.not_passed(), [("content".to_owned(), Failed)]);
    assert_eq!(found["differing"], 1);
    assert_eq!(trial.findings(), ["s3.replica_differs"]);
    assert_eq!(trial.recovery_point().unwrap().at.to_rfc3339(), "2026-11-20T00:00:00+00:00");
}

#[tokio::test(start_paused = true)]
async fn unusual_keys_do_not_stop_the_comparison() {
    let objects = r#"{ key: "a b+c%&<>\u0001", text: x }, { key: "日本語/é", text: x }"#;
    let trial = buckets(RULE, objects);
    assert_eq!(check(&trial).await["versions_compared"], 2);
    assert_eq!(trial.not_passed(), []);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_a_narrow_and_an_absent_rule_fail() {
    for rules in [
        "{ to: { bucket: uploads-dr }, status: Disabled }",
        "{ to: { bucket: uploads-dr }, prefix: b/ }",
        "",
    ] {
        let trial = buckets(rules, "{ key: a/1, text: x }");
        let found = check(&trial).await;
        assert_eq!(trial.checks()["replication rule"].outcome, Failed, "{rules}");
        assert_eq!(trial.checks()["versions at the replica"].outcome, Failed, "{rules}");
        assert_eq!(found["rule_enabled"], false, "{rules}");
    }
}

#[tokio::test(start_paused = true)]
async fn empty_buckets_prove_nothing() {
    let trial = buckets(RULE, "");
    let found = check(&trial).await;
    assert_eq!(found["versions_compared"], 0);
    assert_eq!(trial.checks()["versions at the replica"].outcome, Inconclusive);
    assert_eq!(trial.checks()["content"].outcome, Inconclusive);
    assert_eq!(trial.recovery_point(), None);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_was_cut_short_proves_nothing() {
    let trial = buckets(RULE, OBJECTS);
    let mut input = input();
    input["max_versions"] = json!(1000);
    trial.run("s3.check_replication", input).await.unwrap();
    assert_eq!(trial.checks()["versions at the replica"].outcome, Inconclusive);
    assert_eq!(trial.recovery_point(), None);
}

#[tokio::test(start_paused = true)]
async fn a_lost_source_is_not_asked() {
    let trial = buckets(RULE, OBJECTS);
    trial.lose("primary");
    let error = trial.run("s3.check_replication", input()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Refused);
}

#[tokio::test(start_paused = true)]
async fn a_canary_arrives_with_the_lag_of_the_rule_and_leaves_nothing() {
    let trial = buckets("{ to: { bucket: uploads-dr }, lag: 4m }", "");
    let before = trial.world.inventory();
    let found = trial.run("s3.replicate_canary", input()).await.unwrap();
    assert_eq!(trial.not_passed(), []);
    assert_eq!(trial.checks().len(), 1);
    let lag: crate::time::HumanDuration = serde_json::from_value(found["lag"].clone()).unwrap();
    assert!((240..=280).contains(&lag.0.as_secs()), "{lag}");
    assert_eq!(found["status_replica"], "REPLICA");
    assert_eq!(found["same_version"], true);
    assert_eq!(trial.intended().len(), 2);
    assert_ne!(trial.world.inventory(), before);
    trial.release().await;
    assert_eq!(trial.world.inventory(), before);
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_adopts_the_canary_of_the_first() {
    let trial = buckets(RULE, "");
    let first = trial.run("s3.replicate_canary", input()).await.unwrap();
    let second = trial.run("s3.replicate_canary", input()).await.unwrap();
    assert_eq!(first["version_id"], second["version_id"]);
    trial.release().await;
}

#[tokio::test(start_paused = true)]
async fn regression_a_canary_that_arrived_while_nobody_looked_is_inconclusive() {
    let trial = buckets(RULE, "");
    trial.run("s3.replicate_canary", input()).await.unwrap();
    trial.context.clock.sleep(std::time::Duration::from_secs(3600)).await;
    let second = trial.run("s3.replicate_canary", input()).await.unwrap();
    assert_eq!(trial.checks()["canary at the replica"].outcome, Inconclusive);
    assert!(second["lag"].is_null(), "{second}");
    trial.release().await;
}

#[tokio::test(start_paused = true)]
async fn regression_a_canary_is_not_replicated_to_its_own_bucket() {
    let trial = buckets(RULE, "");
    let before = trial.world.inventory();
    let mut own = input();
    own["replica"] = own["source"].clone();
    let error = trial.run("s3.replicate_canary", own).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Broken);
    assert!(error.to_string().contains("source and replica at once"), "{error}");
    assert_eq!((trial.checks().len(), trial.intended().len()), (0, 0));
    assert_eq!(trial.world.inventory(), before);
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_does_not_arrive_fails_and_is_removed() {
    let trial = buckets("{ to: { bucket: uploads-dr }, stalled: true }", "");
    let before = trial.world.inventory();
    let error = trial.run("s3.replicate_canary", input()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::TimedOut);
    assert_eq!(trial.checks()["canary at the replica"].outcome, Failed);
    trial.release().await;
    assert_eq!(trial.world.inventory(), before);
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_fails_is_not_waited_for() {
    let trial = buckets("{ to: { bucket: uploads-dr }, failing: [redrill-canary/] }", "");
    let error = trial.run("s3.replicate_canary", input()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Recovery);
    assert_eq!(trial.findings(), ["s3.replication_failed"]);
    assert!(trial.context.clock.elapsed().as_secs() < 300);
    trial.release().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_of_someone_else_is_foreign() {
    let trial = buckets(RULE, "{ key: redrill-canary/redrill-other-run-probe, text: x }");
    trial.run("s3.replicate_canary", input()).await.unwrap();
    let mut key = trial.intended().remove(1);
    key.name = "uploads/redrill-canary/redrill-other-run-probe".into();
    assert!(matches!(trial.find(&key).await, Found::Foreign { .. }));
}

#[tokio::test(start_paused = true)]
async fn lost_replies_and_throttling_change_nothing() {
    let faults = [
        "s3:PutObject#1=lost_reply",
        "s3:ListObjectVersions#1=throttle",
        "s3:GetBucketReplication#1=server_error",
        "s3:GetObject#1=reset",
        "s3:DeleteObject#1=lost_reply",
    ];
    let trial = buckets_with_faults(RULE, "{ key: a, text: x }", &faults);
    let before = trial.world.inventory();
    trial.run("s3.replicate_canary", input()).await.unwrap();
    check(&trial).await;
    assert_eq!(trial.not_passed(), []);
    trial.release().await;
    assert_eq!(trial.world.inventory(), before);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_read_is_an_error_and_never_a_result() {
    for operation in ["GetBucketReplication", "ListObjectVersions", "HeadObject"] {
        let fault = format!("s3:{operation}=error:AccessDenied:403");
        let trial = buckets_with_faults(RULE, "{ key: a, text: x }", &[&fault]);
        let error = trial.run("s3.check_replication", input()).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Denied, "{operation}");
        assert!(trial.checks().is_empty() && trial.recovery_point().is_none(), "{operation}");
    }
    let trial = buckets_with_faults(RULE, "", &["s3:GetObject=error:AccessDenied:403"]);
    let error = trial.run("s3.replicate_canary", input()).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Denied);
    assert_eq!(trial.checks()["canary at the replica"].outcome, Inconclusive);
    trial.release().await;
}

#[tokio::test(start_paused = true)]
async fn keys_are_withheld_when_the_data_class_asks_for_it() {
    let mut trial = buckets(RULE, "{ key: Aoki-Taro.pdf, text: x, at: 3h, replicated: failed }");
    let facts = crate::action::RunFacts { withhold_data: true, ..(*trial.context.facts).clone() };
    trial.context.facts = std::sync::Arc::new(facts);
    check(&trial).await;
    let written = serde_json::to_string(&trial.events()).unwrap();
    assert!(written.contains("withheld") && !written.contains("Aoki"), "{written}");
}

#[test]
fn scenarios_may_expect_what_the_actions_give() {
    let text = r#"
redrill: 1
name: uploads
title: Uploads, served from the replica bucket in the DR region
owner: payments-sre
disaster: { kind: region_loss, lost: [primary] }
sites:
  primary: { account: "111111111111", region: ap-northeast-1 }
  dr: { account: "222222222222", region: ap-northeast-3 }
objectives: { rpo: { target: 1h, measure: backup } }
guard: { write: [primary, dr], canaries: [uploads/redrill-canary/, uploads-dr/redrill-canary/] }
steps:
  - id: canary
    at: primary
    uses: s3.replicate_canary
    with: { source: uploads, replica: uploads-dr, replica_at: dr }
    expect: { lag: "<= 15m", same_version: true }
  - id: replica
    at: primary
    uses: s3.check_replication
    with: { source: uploads, replica: uploads-dr, replica_at: dr, prefix: "uploads/" }
    expect: { missing: "= 0", behind: "<= 15m", rule_enabled: true, newest_replicated: "~ 2026" }
"#;
    let source = crate::scenario::Source::new("uploads.yaml", text);
    let loaded = crate::scenario::load_text(source, &crate::providers::registry());
    assert!(!loaded.has_errors(), "{}", loaded.render(false));
}
