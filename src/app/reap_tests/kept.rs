use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_kept_says_until_when_and_is_removed_after_that() {
    for name in ["orders-db-point-in-time", "ledger-volume"] {
        let all_listed = |text| if name == "ledger-volume" { text } else { without_write(text) };
        let trial = Trial::edited(name, all_listed, |estate| estate, &[]).await;
        let keep = HumanDuration(2 * HOUR);
        let state = trial.run(End::ByItself, Some(keep)).await;
        assert!(state.finished.is_some());
        let report = trial.report();
        assert_eq!(report.exit.left_behind, 0);
        assert!(report.deviations.iter().any(|d| d.contains("kept on purpose")), "{name}");
        let how = report.resources[0].how.clone().unwrap();
        assert!(how.contains("until 2026-11-20T0"), "{how}");
        assert!(report.inventory.claim.contains("known to have left"), "{:?}", report.inventory);

        let past = trial.past(false);
        let (early, removals) = trial.reap(&past).await;
        let leftover = &early.leftovers[0];
        assert_eq!(leftover.decision, Decision::Stay("not expired".into()), "{name}");
        assert_eq!((leftover.told_by, removals.len()), (ToldBy::Both, 0));
        // By its own tag, too: somebody without the journal would keep it as long, and no longer.
        let (by_tags, _) = trial.reap(&[]).await;
        let crate::action::Expiry::At(until) = by_tags.leftovers[0].expires else { panic!() };
        let left = until - trial.world.clock.now();
        assert!(left <= TimeDelta::hours(2) && left > TimeDelta::minutes(110), "{name}: {left}");

        trial.wait(2 * HOUR).await;
        let (_, removals) = trial.reap(&past).await;
        assert_eq!(removals, [gone("deleted")], "{name}");
        assert!(trial.reap(&past).await.0.leftovers.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_thing_whose_tag_could_not_be_moved_is_kept_all_the_same() {
    let faults = ["rds:AddTagsToResource=error:AccessDenied:403"];
    let trial = Trial::new("orders-db", &faults).await;
    trial.run(End::ByItself, Some(HumanDuration(20 * HOUR))).await;
    let how = trial.report().resources[0].how.clone().unwrap();
    assert!(how.contains("could not be changed") && how.contains("2026-11-20T14:00:00Z"), "{how}");
    trial.wait(14 * HOUR).await;
    let (found, removals) = trial.reap(&trial.past(false)).await;
    assert_eq!(found.leftovers[0].decision, Decision::Stay("not expired".into()));
    assert!(removals.is_empty());
}

#[tokio::test(start_paused = true)]
async fn regression_a_canary_that_a_recovery_could_not_remove_is_removed_once_it_has_expired() {
    for by_tags in [true, false] {
        let nothing_lost = |text: String| {
            let lost = "{ kind: region_loss, lost: [primary] }";
            assert!(text.contains(lost));
            text.replace(lost, "{ kind: corruption }")
        };
        let mut trial = Trial::edited("uploads-replication", nothing_lost, |e| e, &[]).await;
        trial.plan.mode = "recovery".to_owned();
        trial.run(End::Killed(owned), None).await;
        let past = if by_tags { Vec::new() } else { trial.past(false) };
        let (early, removals) = trial.reap(&past).await;
        let stays = |leftover: &Leftover| matches!(leftover.decision, Decision::Stay(_));
        assert!(early.leftovers.iter().all(stays) && removals.is_empty(), "{early:?}");
        trial.wait(13 * HOUR).await;
        let (found, removals) = trial.reap(&past).await;
        assert!(!removals.is_empty() && removals.len() == found.leftovers.len(), "{found:?}");
        assert!(removals.iter().all(|removal| *removal == gone("deleted")), "{removals:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_recovery_brought_back_is_never_removed() {
    let trial = Trial::in_recovery("orders-db").await;
    assert_eq!(trial.mode, RunMode::Recovery);
    trial.run(End::ByItself, None).await;
    trial.wait(1000 * HOUR).await;
    for past in [trial.past(false), Vec::new()] {
        let lookout = Lookout { all: true, ..trial.lookout() };
        let found = reap::gather(&lookout, &past).await;
        let stays = |d: &Decision| matches!(d, Decision::Stay(why) if why.contains("recovery"));
        assert!(stays(&found.leftovers[0].decision), "{found:?}");
    }
}
