use super::*;
use crate::journal::Outcome;

#[tokio::test(start_paused = true)]
async fn the_inventory_shows_that_nothing_is_left_over() {
    let trial = Trial::all_listed(&[]).await;
    trial.run(End::ByItself, None).await;
    let taken = trial.inventories();
    let dr = |when| {
        let seen: &Vec<Inventory> = &taken[&when];
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!((seen[0].kind.as_str(), seen[0].site.as_str()), ("rds.db_instance", "dr"));
        (seen[0].total, seen[0].ours.len())
    };
    assert_eq!(dr(InventoryTime::Before), (Some(0), 0));
    assert_eq!(dr(InventoryTime::After), (Some(0), 0));
    let report = trial.report();
    assert_eq!(report.inventory.lines[0].outcome, Outcome::Passed);
    // Nothing lists the log group, to which RDS has sent what the scenario asks for.
    let claim = &report.inventory.claim;
    assert!(claim.starts_with("Nothing that this run has made itself is left"), "{claim}");
    assert!(claim.contains("the log group /aws/rds/instance/") && !report.inventory.verified);
}

#[tokio::test(start_paused = true)]
async fn a_denied_inventory_is_not_verified_and_no_failure() {
    // The first listing, before the steps; and every one at the end is the last call but those of the release.
    let mut trial = Trial::all_listed(&[]).await;
    let listed = trial.registry.resource_kind("rds.db_instance").unwrap().clone();
    trial.registry.resource(Unlisted(listed));
    trial.run(End::ByItself, None).await;
    let report = trial.report();
    assert_eq!(report.verdict.outcome, Verdict::Passed, "{:?}", report.verdict.reasons());
    assert!(!report.inventory.verified);
    assert!(report.inventory.claim.starts_with("Not verified by inventory: rds.db_instance at dr"));
    assert!(report.omissions.iter().any(|o| o.what == "that nothing is left over"));
    assert_eq!(report.exit_code().number(), 0);

    let faults = ["rds:DescribeDBInstances@ap-northeast-3#1=error:AccessDenied:403"];
    let trial = Trial::all_listed(&faults).await;
    trial.run(End::ByItself, None).await;
    let before = &trial.inventories()[&InventoryTime::Before][0];
    assert!(
        before.not_listed.as_deref().is_some_and(|why| why.contains("AccessDenied")),
        "{before:?}"
    );
    let report = trial.report();
    assert_eq!(report.verdict.outcome, Verdict::Passed);
    let of_the_end = report.inventory.lines[0].outcome;
    assert_eq!(of_the_end, Outcome::Passed, "what counts is the listing of the end");
    assert!(report.inventory.lines[0].said.contains("not known before"));
}

#[tokio::test(start_paused = true)]
async fn regression_what_carries_the_tags_of_a_run_that_has_made_nothing_yet_stops_it_and_is_left_behind()
 {
    // Somebody gave another instance the tags of this run: the ledger knows nothing of it.
    let stray = "\"redrill:run\": orders-db-0001-abcdef";
    let estate = |text| in_dr(text, "databases:", &database("stray", stray));
    let trial = Trial::edited("orders-db", |s| s, estate, &[]).await;
    trial.run(End::ByItself, None).await;
    let report = trial.report();
    assert_eq!(report.exit.left_behind, 1);
    // Nothing was begun: two runs that take each other's things for their own must not both go on.
    assert_eq!(report.exit_code().number(), 130);
    let steps = |event: &Event| matches!(event, Event::StepStarted { .. });
    assert!(!trial.records().iter().any(|record| steps(&record.event)));
    assert!(report.inventory.claim.contains("stray"), "{}", report.inventory.claim);
    assert!(report.verdict.reasons().iter().any(|why| why.contains("by inventory")));
}

#[tokio::test(start_paused = true)]
async fn a_journal_from_before_inventories_still_gives_a_report_that_says_so() {
    let trial = Trial::new("orders-db", &[]).await;
    trial.run(End::ByItself, None).await;
    let records = trial.records();
    let events = records.iter().filter(|r| !matches!(r.event, Event::InventoryTaken { .. }));
    let bytes = Bytes::default();
    let mut journal = Journal::new(bytes.clone());
    for record in events {
        let elapsed = Duration::from_millis(record.elapsed_ms);
        journal.stage(record.at, elapsed, record.event.clone()).unwrap();
        journal.commit().unwrap();
    }
    let old = read_bytes(&bytes.0.lock().unwrap()).unwrap().records;
    assert!(RunState::of(&old).unwrap().finished.is_some());
    let report = report::report(&trial.plan, &old, &[], &trial.registry).unwrap();
    assert!(report.inventory.claim.contains("holds no listing"), "{}", report.inventory.claim);
    assert_eq!(report.verdict.outcome, Verdict::Passed);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_during_its_first_inventory_still_takes_the_last() {
    let trial = Trial::all_listed(&[]).await;
    let start = |event: &Event| matches!(event, Event::RunStarted { .. });
    let state = trial.run(End::Cancelled(start), None).await;
    assert!(state.finished.is_some());
    assert_eq!(state.inventories, BTreeSet::from([InventoryTime::After]));
    let report = trial.report();
    assert!(report.inventory.verified);
    assert_eq!(report.inventory.lines[0].said, "not known before, 0 after, none of this run");
}

#[tokio::test(start_paused = true)]
async fn places_of_canaries_are_listed_where_they_are() {
    let trial = Trial::new("uploads-replication", &[]).await;
    trial.run(End::ByItself, None).await;
    let report = trial.report();
    assert!(report.inventory.verified, "{:?}", report.inventory);
    let lines = report.inventory.lines.iter();
    let lines: Vec<_> =
        lines.map(|line| (line.place.as_deref().unwrap(), line.site.as_str())).collect();
    assert_eq!(
        lines,
        [("uploads-prod-dr/redrill-canary/", "dr"), ("uploads-prod/redrill-canary/", "primary"),]
    );
}
