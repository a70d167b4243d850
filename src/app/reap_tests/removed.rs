use super::*;

#[tokio::test(start_paused = true)]
async fn protection_from_deletion_is_switched_off_on_what_is_ours_alone() {
    let protected = |id: &str, tags: &str| {
        format!("      - {{ id: {id}, deletion_protection: true, tags: {{ {tags} }} }}\n")
    };
    let things = [
        protected(
            "redrill-r-0001-aaaaaa-ours",
            &format!("\"redrill:run\": r-0001-aaaaaa, {EXPIRED}"),
        ),
        protected("theirs", "app: x"),
    ];
    let estate = |text| in_dr(text, "databases:", &things.concat());
    let trial = Trial::edited("orders-db", |s| s, estate, &[]).await;
    let (found, removals) = trial.reap(&[]).await;
    assert_eq!(
        (names(&found), removals),
        (BTreeSet::from(["redrill-r-0001-aaaaaa-ours"]), vec![gone("deleted")])
    );
    assert_eq!(trial.listing("rds.db_instance", "dr").await, (Some(1), 0));
    // No final snapshot was taken: the estate had no manual one here, and has none now.
    assert_eq!(trial.listing("rds.db_snapshot", "dr").await.1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_protected_instance_that_is_still_being_made_is_waited_for_and_removed() {
    let protect = |text: String| text.replace("protected: false", "protected: true");
    let trial = Trial::edited("orders-db", protect, |e| e, &[]).await;
    let state = trial.run(End::Cancelled(owned), None).await;
    assert!(state.ledger.left_behind().is_empty(), "{:?}", state.ledger.all());
    assert_eq!(trial.listing("rds.db_instance", "dr").await, (Some(0), 0));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_removed_is_left_with_its_reason_and_command() {
    let faults = ["rds:DeleteDBInstance=error:AccessDenied:403"];
    let trial = Trial::new("orders-db", &faults).await;
    trial.run(End::Killed(owned), None).await;
    trial.wait(13 * HOUR).await;
    let (found, removals) = trial.reap(&[]).await;
    assert!(
        matches!(&removals[0], Removal::Left { refused: false, denied: true, .. }),
        "{removals:?}"
    );
    assert!(
        found.leftovers[0].command.contains("aws rds delete-db-instance --region ap-northeast-3")
    );
}

#[tokio::test(start_paused = true)]
async fn removal_outlasts_an_hour_without_a_way_to_the_service() {
    // About as many attempts as fit into an hour of waiting between them, once the retries within a call are used up.
    let trial = Trial::new("orders-db", &["rds:DeleteDBInstance<50=reset"]).await;
    let state = trial.run(End::ByItself, None).await;
    assert!(state.ledger.left_behind().is_empty(), "{:?}", state.ledger.all());
}
