//! What is replicated, when, and what goes wrong with it.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_replica_appears_exactly_after_the_lag_with_the_same_version_id() {
    let sandbox = Sandbox::open(PAIR);
    let (s3, dr) = (sandbox.source(), sandbox.replica());
    let id = put(&s3, "orders", "a", "hello").await;
    assert_eq!(status(&s3, "orders", "a").await, Some(ReplicationStatus::Pending));
    sandbox.wait(299).await;
    assert!(!exists(&dr, "orders-dr", "a").await);
    assert_eq!(status(&s3, "orders", "a").await, Some(ReplicationStatus::Pending));
    sandbox.wait(1).await;
    let replica = dr.head_object().bucket("orders-dr").key("a").send().await.unwrap();
    assert_eq!(replica.version_id(), Some(id.as_str()));
    assert_eq!(replica.replication_status(), Some(&ReplicationStatus::Replica));
    assert_eq!(status(&s3, "orders", "a").await, Some(ReplicationStatus::Completed));
    let source = s3.head_object().bucket("orders").key("a").send().await.unwrap();
    assert_eq!(replica.e_tag(), source.e_tag());
    assert_eq!(replica.last_modified(), source.last_modified());
}

#[tokio::test(start_paused = true)]
async fn delete_markers_follow_the_rule_and_version_deletes_are_never_replicated() {
    let sandbox = Sandbox::open(PAIR);
    let (s3, dr) = (sandbox.source(), sandbox.replica());
    put(&s3, "orders", "a", "hello").await;
    let kept = put(&s3, "orders", "b", "hello").await;
    sandbox.wait(300).await;
    s3.delete_object().bucket("orders").key("a").send().await.unwrap();
    s3.delete_object().bucket("orders").key("b").version_id(&kept).send().await.unwrap();
    assert!(exists(&dr, "orders-dr", "a").await);
    sandbox.wait(300).await;
    assert!(!exists(&dr, "orders-dr", "a").await);
    assert!(!exists(&s3, "orders", "b").await);
    assert!(exists(&dr, "orders-dr", "b").await);

    let without = Sandbox::open(&PAIR.replace("delete_markers: true", "delete_markers: false"));
    put(&without.source(), "orders", "a", "hello").await;
    without.source().delete_object().bucket("orders").key("a").send().await.unwrap();
    without.wait(600).await;
    assert!(exists(&without.replica(), "orders-dr", "a").await);
}

#[tokio::test(start_paused = true)]
async fn a_version_deleted_before_its_replica_was_due_is_never_replicated() {
    let sandbox = Sandbox::open(PAIR);
    let id = put(&sandbox.source(), "orders", "a", "hello").await;
    let delete = sandbox.source().delete_object().bucket("orders").key("a").version_id(id);
    delete.send().await.unwrap();
    sandbox.wait(600).await;
    assert!(!exists(&sandbox.replica(), "orders-dr", "a").await);
}

#[tokio::test(start_paused = true)]
async fn stalled_replication_stays_pending_and_failing_prefixes_fail() {
    let sandbox = Sandbox::open(&PAIR.replace("failing:", "stalled_since: +1h, failing:"));
    let (s3, dr) = (sandbox.source(), sandbox.replica());
    put(&s3, "orders", "bad/a", "x").await;
    put(&s3, "orders", "early", "x").await;
    sandbox.wait(3600).await;
    put(&s3, "orders", "late", "x").await;
    sandbox.wait(86_400).await;
    assert_eq!(status(&s3, "orders", "bad/a").await, Some(ReplicationStatus::Failed));
    assert!(!exists(&dr, "orders-dr", "bad/a").await);
    assert_eq!(status(&s3, "orders", "early").await, Some(ReplicationStatus::Completed));
    assert_eq!(status(&s3, "orders", "late").await, Some(ReplicationStatus::Pending));
    assert!(!exists(&dr, "orders-dr", "late").await);
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_the_rule_or_outside_its_prefix_has_no_status() {
    let sandbox = Sandbox::open(
        "
- name: orders
  versioning: enabled
  replication: [{to: {bucket: orders-dr}, prefix: in/, since: 2d}, {to: {bucket: orders-dr}, prefix: off/, status: Disabled}]
  objects:
    - {key: in/old, text: x, at: 3d}
    - {key: in/new, text: x, at: 1d}
    - {key: out/new, text: x, at: 1d}
    - {key: off/new, text: x, at: 1d}
- {name: orders-dr, versioning: enabled}
",
    );
    let s3 = sandbox.source();
    assert_eq!(status(&s3, "orders", "in/old").await, None);
    assert_eq!(status(&s3, "orders", "in/new").await, Some(ReplicationStatus::Completed));
    assert_eq!(status(&s3, "orders", "out/new").await, None);
    assert_eq!(status(&s3, "orders", "off/new").await, None);
    let listed = sandbox.replica().list_objects_v2().bucket("orders-dr").send().await.unwrap();
    let keys: Vec<_> = listed.contents().iter().map(|o| o.key().unwrap()).collect();
    assert_eq!(keys, ["in/new"]);
}

#[tokio::test(start_paused = true)]
async fn replicas_are_not_replicated_further() {
    let sandbox = Sandbox::open(
        "
- {name: first, versioning: enabled, replication: [{to: {bucket: second}}]}
- {name: second, versioning: enabled, replication: [{to: {bucket: third-dr}}]}
- {name: third-dr, versioning: enabled}
",
    );
    put(&sandbox.source(), "first", "a", "x").await;
    put(&sandbox.source(), "second", "b", "x").await;
    sandbox.wait(600).await;
    assert!(exists(&sandbox.source(), "second", "a").await);
    assert!(!exists(&sandbox.replica(), "third-dr", "a").await);
    assert!(exists(&sandbox.replica(), "third-dr", "b").await);
}

#[tokio::test(start_paused = true)]
async fn with_several_destinations_all_must_succeed() {
    let sandbox = Sandbox::open(
        "
- name: orders
  versioning: enabled
  replication: [{to: {bucket: one-dr}, lag: 1m}, {to: {bucket: two-dr}, lag: 10m}]
- {name: one-dr, versioning: enabled}
- {name: two-dr, versioning: enabled}
",
    );
    put(&sandbox.source(), "orders", "a", "x").await;
    sandbox.wait(60).await;
    assert!(exists(&sandbox.replica(), "one-dr", "a").await);
    assert_eq!(status(&sandbox.source(), "orders", "a").await, Some(ReplicationStatus::Pending));
    sandbox.wait(540).await;
    assert_eq!(status(&sandbox.source(), "orders", "a").await, Some(ReplicationStatus::Completed));
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_a_place_was_lost_never_arrives() {
    for (account, region) in [(OWNER, TOKYO), (DR, OSAKA)] {
        let sandbox = Sandbox::open(PAIR);
        put(&sandbox.source(), "orders", "early", "x").await;
        sandbox.wait(300).await;
        put(&sandbox.source(), "orders", "late", "x").await;
        sandbox.wait(299).await;
        sandbox.state.lose(account, region);
        sandbox.wait(86_400).await;
        assert!(exists(&sandbox.replica(), "orders-dr", "early").await);
        assert!(!exists(&sandbox.replica(), "orders-dr", "late").await);
        let late = status(&sandbox.source(), "orders", "late").await;
        assert_eq!(late, Some(ReplicationStatus::Pending));
    }
}

#[tokio::test(start_paused = true)]
async fn the_estate_can_hold_each_way_in_which_replication_goes_wrong() {
    let sandbox = Sandbox::open(
        "
- name: orders
  versioning: enabled
  replication: [{to: {bucket: orders-dr}}]
  objects:
    - {key: by-rule, text: hello}
    - {key: never, text: hello, replicated: never}
    - {key: pending, text: hello, replicated: pending}
    - {key: failed, text: hello, replicated: failed}
    - {key: missing, text: hello, replicated: missing}
    - {key: differs, text: hello, replicated: differs}
- {name: orders-dr, versioning: enabled}
",
    );
    let (s3, dr) = (sandbox.source(), sandbox.replica());
    use ReplicationStatus::{Completed, Failed, Pending};
    for (key, expected, replica) in [
        ("by-rule", Some(Completed), true),
        ("never", None, false),
        ("pending", Some(Pending), false),
        ("failed", Some(Failed), false),
        ("missing", Some(Completed), false),
        ("differs", Some(Completed), true),
    ] {
        assert_eq!(status(&s3, "orders", key).await, expected, "{key}");
        assert_eq!(exists(&dr, "orders-dr", key).await, replica, "{key}");
    }
    assert_eq!(get(&dr, "orders-dr", "by-rule").await, "hello");
    let differs = get(&dr, "orders-dr", "differs").await;
    assert_ne!(differs, "hello");
    assert_eq!(differs.len(), 5);
}
