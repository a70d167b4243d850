use super::*;
use crate::action::Reach;
use crate::reap::PastThing;

#[tokio::test(start_paused = true)]
async fn what_a_killed_run_left_is_found_by_its_journal_alone_and_removed_once_it_has_expired() {
    let mut trial = Trial::new("orders-db", &[]).await;
    trial.run(End::Killed(owned), None).await;
    let listed = trial.registry.resource_kind("rds.db_instance").unwrap().clone();
    trial.registry.resource(Unlisted(listed));
    let past = trial.past(false);

    let (before, removals) = trial.reap(&past).await;
    assert_eq!(before.leftovers.len(), 1, "{before:?}");
    assert_eq!(before.leftovers[0].told_by, ToldBy::Journal);
    let resumable = |d: &Decision| matches!(d, Decision::Stay(why) if why.contains("resume"));
    assert!(resumable(&before.leftovers[0].decision) && removals.is_empty());
    assert!(before.notes.iter().any(|note| note.contains("rds.db_instance: this version cannot")));

    trial.wait(13 * HOUR).await;
    let (found, removals) = trial.reap(&past).await;
    assert_eq!((found.leftovers.len(), removals), (1, vec![gone("deleted")]));
    let (again, removals) = trial.reap(&past).await;
    assert!(again.leftovers.is_empty() && removals.is_empty(), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn regression_what_the_journal_owns_and_has_lost_its_tags_is_told_and_not_removed() {
    let mut trial = Trial::new("orders-db", &[]).await;
    trial.run(End::Killed(owned), None).await;
    let tagged = trial.registry.resource_kind("rds.db_instance").unwrap().clone();
    let why = "it has no tag redrill:run".to_owned();
    trial.registry.resource(Seen(tagged, Found::Foreign { why, claimed: false }));
    trial.wait(13 * HOUR).await;
    let (found, removals) = trial.reap(&trial.past(false)).await;
    assert_eq!((found.leftovers.len(), removals.len()), (1, 0), "{found:?}");
    let Decision::Unclear(why) = &found.leftovers[0].decision else { panic!("{found:?}") };
    assert!(why.contains("no tag redrill:run") && why.contains("the journal says"), "{why}");
    assert!(found.leftovers[0].command.contains("delete-db-instance"));
}

#[tokio::test(start_paused = true)]
async fn regression_what_another_run_has_claimed_is_told_without_a_command_that_deletes_it() {
    let mut trial = Trial::new("orders-db", &[]).await;
    trial.run(End::Killed(owned), None).await;
    let tagged = trial.registry.resource_kind("rds.db_instance").unwrap().clone();
    let why = "it has the tag redrill:run=other".to_owned();
    let claimed = Found::Foreign { why, claimed: true };
    trial.registry.resource(Unlisted(Arc::new(Seen(tagged, claimed))));
    trial.wait(13 * HOUR).await;
    let (found, removals) = trial.reap(&trial.past(false)).await;
    assert_eq!((found.leftovers.len(), removals.len()), (1, 0), "{found:?}");
    assert!(matches!(found.leftovers[0].decision, Decision::Unclear(_)), "{found:?}");
    assert_eq!(found.leftovers[0].command, engine::LOOK_FIRST);
}

/// It was the run's when it was listed.
#[tokio::test(start_paused = true)]
async fn regression_what_is_claimed_before_its_removal_is_told_without_a_command_that_deletes_it() {
    let mut trial = Trial::new("orders-db", &[]).await;
    trial.run(End::Killed(owned), None).await;
    trial.wait(13 * HOUR).await;
    let past = trial.past(false);
    let found = reap::gather(&trial.lookout(), &past).await;
    assert_eq!(found.leftovers[0].decision, Decision::Remove, "{found:?}");
    let tagged = trial.registry.resource_kind("rds.db_instance").unwrap().clone();
    let why = "it has the tag redrill:run=other".to_owned();
    trial.registry.resource(Seen(tagged, Found::Foreign { why, claimed: true }));
    let lookout = trial.lookout();
    let removed = reap::remove(&lookout, &past, &found.leftovers[0], RunLock::NoJournal).await;
    let Removal::Left { why, command, .. } = removed else { panic!("{removed:?}") };
    assert!(why.contains("redrill:run=other"), "{why}");
    assert_eq!(command, engine::LOOK_FIRST);
}

#[tokio::test(start_paused = true)]
async fn regression_what_has_the_tags_of_one_run_and_was_made_by_another_is_not_deleted_by_a_command()
 {
    let (made, other) =
        ("redrill-orders-db-0001-abcdef-restore", "redrill-other-0003-aaaaaa-restore");
    let copied =
        format!("\"redrill:run\": other-0003-aaaaaa, \"redrill:step\": restore, {EXPIRED}");
    // By its name it could be of either; that of a volume is a tag, and is copied with the others.
    for name in [made, other] {
        let estate = |text| in_dr(text, "databases:", &database(name, &copied));
        made_by_another("rds.db_instance", name, estate).await;
    }
    let volume = format!(
        "      - {{ id: vol-0bbbbbbbbbbbbbbb1, tags: {{ \"redrill:name\": {other}, {copied} }} }}\n"
    );
    made_by_another("ebs.volume", made, |text| in_dr(text, "volumes:", &volume)).await;
}

async fn made_by_another(kind: &str, name: &str, estate: impl Fn(String) -> String) {
    let trial = Trial::edited("orders-db", |s| s, estate, &[]).await;
    // Whose it is, only a journal tells.
    let unknown = reap::gather(&trial.lookout(), &[]).await.leftovers.remove(0);
    assert!(unknown.command.contains(" delete-"), "{unknown:?}");
    let meant = thing(kind, &serde_json::Value::Null);
    let meant = PastThing { name: name.to_owned(), id: Some(unknown.id), ..meant };

    let (found, removals) = trial.reap(&[finished(&trial, vec![meant])]).await;
    assert!(removals.is_empty(), "{removals:?}");
    let is_listed = |one: &&Leftover| one.run == RunId::new("other-0003-aaaaaa");
    let listed = found.leftovers.iter().find(is_listed).unwrap();
    assert_eq!(listed.told_by, ToldBy::Tags);
    let Decision::Unclear(why) = &listed.decision else { panic!("{listed:?}") };
    assert!(why.contains("has made it"), "{why}");
    // Nor does what is told of the run that has made it.
    assert_eq!(found.leftovers.len(), 2, "{found:?}");
    for leftover in &found.leftovers {
        assert!(matches!(leftover.decision, Decision::Unclear(_)), "{leftover:?}");
        assert_eq!(leftover.command, engine::LOOK_FIRST, "{leftover:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn regression_what_nobody_can_look_for_here_is_told_with_its_command_and_not_called_gone() {
    let mut trial = Trial::new("orders-db", &[]).await;
    trial.run(End::Killed(owned), None).await;
    let listed = trial.registry.resource_kind("rds.db_instance").unwrap().clone();
    let why = "the program ran on the machine host-a".to_owned();
    trial.registry.resource(Unlisted(Arc::new(Seen(listed, Found::Unknown { why: why.clone() }))));
    trial.wait(13 * HOUR).await;
    let (found, removals) = trial.reap(&trial.past(false)).await;
    assert_eq!((found.leftovers.len(), removals.len()), (1, 0), "{found:?}");
    assert_eq!(found.leftovers[0].decision, Decision::Unclear(why));
    assert!(found.leftovers[0].command.contains("delete-db-instance"));
}

fn second_member_owned(event: &Event) -> bool {
    let is_second = |key: &ResourceKey| key.kind == "aurora.instance" && key.name.ends_with("-2");
    matches!(event, Event::ResourceOwned { key, .. } if is_second(key))
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_removed_after_its_members_however_it_is_found() {
    // An instance that never leaves `creating` has no time at which it was made.
    for fault in ["rds:CreateDBInstance#2=slow:1s", "rds:CreateDBInstance=stuck"] {
        for journal in [true, false] {
            let trial = Trial::new("payments-aurora", &[fault]).await;
            trial.run(End::Killed(second_member_owned), None).await;
            let past = if journal { trial.past(false) } else { Vec::new() };
            trial.wait(13 * HOUR).await;
            let (found, removals) = trial.reap(&past).await;
            let kinds: Vec<_> = found.leftovers.iter().map(|l| l.key.kind.as_str()).collect();
            assert_eq!(kinds, ["aurora.instance", "aurora.instance", "aurora.cluster"]);
            assert_eq!(removals, [gone("deleted"), gone("deleted"), gone("deleted")]);
            assert_eq!(trial.listing("aurora.instance", "dr").await, (Some(0), 0));
            assert_eq!(trial.listing("aurora.cluster", "dr").await, (Some(0), 0));
            assert_eq!(trial.listing("aurora.cluster", "primary").await, (Some(1), 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_left_is_found_by_its_tags_when_the_journal_is_lost() {
    let trial = Trial::new("ledger-volume", &[]).await;
    trial.run(End::Killed(owned), None).await;
    let (early, removals) = trial.reap(&[]).await;
    assert_eq!(early.leftovers[0].decision, Decision::Stay("not expired".into()));
    assert!(removals.is_empty());
    trial.wait(7 * HOUR).await;
    let before = trial.listing("ebs.volume", "dr").await;
    let (found, removals) = trial.reap(&[]).await;
    let leftover = &found.leftovers[0];
    assert_eq!((leftover.told_by, leftover.key.kind.as_str()), (ToldBy::Tags, "ebs.volume"));
    assert_eq!(leftover.scenario.as_deref(), Some("ledger-volume"));
    assert_eq!(leftover.run, trial.run_id());
    assert_eq!(removals, [gone("deleted")]);
    let after = trial.listing("ebs.volume", "dr").await;
    assert_eq!((before.1, after.1), (1, 0));
    assert_eq!(before.0, after.0.map(|total| total + 1), "one volume, and no other");
    assert!(trial.reap(&[]).await.0.leftovers.is_empty());
}

/// What another run has made.
const OTHER: &str = "redrill-other-0003-aaaaaa-restore";

#[tokio::test(start_paused = true)]
async fn regression_what_has_the_tags_of_a_run_and_another_name_is_for_a_person_to_look_at() {
    // They were renamed and taken into use or kept as evidence, or somebody copied the tags.
    let run = format!("\"redrill:run\": other-0003-aaaaaa, {EXPIRED}");
    let of_step = format!("\"redrill:step\": restore, {run}");
    let things = [
        database("orders-prod", &run),
        database(&format!("keep-{OTHER}"), &run),
        database(&format!("keep-{OTHER}-evidence"), &of_step),
        database(&format!("{OTHER}-evidence"), &of_step),
        database(&format!("{OTHER}-2"), &of_step),
        database("redrill-other-0003-aaaaaa-look", &of_step),
    ];
    let estate = |text| in_dr(text, "databases:", &things.concat());
    let trial = Trial::edited("orders-db", |s| s, estate, &[]).await;
    let (found, removals) = trial.reap(&[]).await;
    assert_eq!((found.leftovers.len(), removals.len()), (things.len(), 0), "{found:?}");
    for leftover in &found.leftovers {
        let Decision::Unclear(why) = &leftover.decision else { panic!("{leftover:?}") };
        assert!(why.contains("no name as that run gives them"), "{why}");
    }
    assert_eq!(trial.listing("rds.db_instance", "dr").await.0, Some(6));
}

#[tokio::test(start_paused = true)]
async fn things_of_others_are_not_even_listed_whatever_they_are_called() {
    let things = [
        database("redrill-orders-db-0001-abcdef-restore", "owner: somebody"),
        database("redrill-orders-db-0002-abcdef-restore", &format!("run: r, {EXPIRED}")),
        database("orders-db-2", "\"redrill:scenario\": orders-db"),
        database(
            OTHER,
            &format!("\"redrill:run\": other-0003-aaaaaa, \"redrill:step\": restore, {EXPIRED}"),
        ),
    ];
    let estate = |text| in_dr(text, "databases:", &things.concat());
    let trial = Trial::edited("orders-db", |s| s, estate, &[]).await;
    let (found, removals) = trial.reap(&[]).await;
    assert_eq!(names(&found), BTreeSet::from([OTHER]));
    assert_eq!(removals, [gone("deleted")]);
    assert_eq!(trial.listing("rds.db_instance", "dr").await, (Some(3), 0));
    assert_eq!(trial.listing("rds.db_instance", "primary").await, (Some(1), 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_run_at_work_is_touched_even_when_it_has_expired() {
    let trial = Trial::new("orders-db", &[]).await;
    trial.run(End::Killed(owned), None).await;
    trial.wait(13 * HOUR).await;
    let past = trial.past(true);
    let (found, removals) = trial.reap(&past).await;
    assert_eq!(found.leftovers[0].told_by, ToldBy::Both);
    let at_work = |d: &Decision| matches!(d, Decision::Stay(why) if why.contains("working"));
    assert!(at_work(&found.leftovers[0].decision) && removals.is_empty(), "{found:?}");
    // A process that takes the run over while others are being removed is noticed, too.
    let past = trial.past(false);
    let lookout = trial.lookout();
    let found = reap::gather(&lookout, &past).await;
    let taken = reap::remove(&lookout, &past, &found.leftovers[0], RunLock::AtWork).await;
    assert_eq!(taken, Removal::RunAtWork);
    assert_eq!(trial.listing("rds.db_instance", "dr").await.1, 1);
}

#[tokio::test(start_paused = true)]
async fn a_site_that_cannot_be_asked_is_said_and_stops_nobody() {
    let expired = database(OTHER, &format!("\"redrill:run\": other-0003-aaaaaa, {EXPIRED}"));
    let estate = |text| in_dr(text, "databases:", &expired);
    let faults = ["rds:*@ap-northeast-1=error:AccessDenied:403"];
    let trial = Trial::edited("orders-db", |s| s, estate, &faults).await;
    let (found, removals) = trial.reap(&[]).await;
    let said: Vec<_> =
        found.not_asked.iter().map(|n| (n.place.as_str(), n.what.to_string())).collect();
    let kinds = [
        "aurora.cluster",
        "aurora.cluster_snapshot",
        "aurora.instance",
        "rds.db_instance",
        "rds.db_snapshot",
    ];
    assert_eq!(said, kinds.map(|kind| ("primary", kind.to_owned())));
    assert_eq!(removals, [gone("deleted")]);

    let faults = ["sts:GetCallerIdentity@ap-northeast-3=error:ExpiredToken:403"];
    let trial = Trial::edited("orders-db", |s| s, |e| e, &faults).await;
    let (found, _) = trial.reap(&[]).await;
    assert_eq!(found.not_asked.len(), 1, "{found:?}");
    assert_eq!(found.not_asked[0].place, "dr");
    assert_eq!(found.not_asked[0].what, reap::Sought::Everything);
}

#[tokio::test(start_paused = true)]
async fn every_page_is_read() {
    let mut databases = String::new();
    let mut volumes = String::new();
    for n in 0..130 {
        let tags = match n % 50 {
            49 => format!("\"redrill:run\": r-0001-aaaaaa, {EXPIRED}"),
            _ => "app: x".to_owned(),
        };
        databases.push_str(&database(&format!("redrill-r-0001-aaaaaa-{n:03}"), &tags));
    }
    for n in 0..1100 {
        let tags = match n % 500 {
            499 => format!(
                "\"redrill:run\": r-0001-aaaaaa, \"redrill:name\": redrill-r-0001-aaaaaa-v{n}, {EXPIRED}"
            ),
            _ => "app: x".to_owned(),
        };
        volumes.push_str(&format!(
            "      - {{ id: vol-{n:017}, size: 1, zone: ap-northeast-3a, tags: {{ {tags} }} }}\n"
        ));
    }
    let estate = |text| in_dr(in_dr(text, "databases:", &databases), "volumes:", &volumes);
    let trial = Trial::edited("orders-db", |s| s, estate, &[]).await;
    assert_eq!(trial.listing("rds.db_instance", "dr").await, (Some(130), 2));
    assert_eq!(trial.listing("ebs.volume", "dr").await, (Some(1100), 2));
    let (found, removals) = trial.reap(&[]).await;
    let names_of_r = ["049", "099", "v499", "v999"].map(|n| format!("redrill-r-0001-aaaaaa-{n}"));
    assert_eq!(names(&found), BTreeSet::from(names_of_r.each_ref().map(String::as_str)));
    assert!(removals.iter().all(|removal| *removal == gone("deleted")), "{removals:?}");
    assert_eq!(trial.listing("rds.db_instance", "dr").await, (Some(128), 0));
}

#[tokio::test(start_paused = true)]
async fn canaries_of_a_killed_run_are_found_in_the_named_places_and_removed_with_all_versions() {
    let trial = Trial::new("uploads-replication", &[]).await;
    trial.run(End::Killed(owned), None).await;
    trial.wait(13 * HOUR).await;
    let (found, removals) = trial.reap(&[]).await;
    assert!(found.not_asked.is_empty(), "{:?}", found.not_asked);
    let buckets: BTreeSet<&str> =
        names(&found).iter().map(|name| name.split('/').next().unwrap()).collect();
    assert_eq!(buckets, BTreeSet::from(["uploads-prod", "uploads-prod-dr"]), "and its replica");
    assert!(!removals.is_empty() && removals.iter().all(|removal| *removal == gone("deleted")));
    assert!(trial.reap(&trial.past(false)).await.0.leftovers.is_empty());

    let elsewhere = Lookout { canaries: vec!["no-such-bucket/x/".into()], ..trial.lookout() };
    let found = reap::gather(&elsewhere, &[]).await;
    assert_eq!(found.not_asked.len(), 1);
    assert_eq!(found.not_asked[0].place, "no-such-bucket/x/");
}

#[tokio::test(start_paused = true)]
async fn regression_a_canary_whose_prefix_is_no_folder_is_found() {
    let prefixed =
        |text: String| text.replace("within: 15m }", "within: 15m, prefix: redrill-canary/of- }");
    let trial = Trial::edited("uploads-replication", prefixed, |e| e, &[]).await;
    trial.run(End::Killed(owned), None).await;
    trial.wait(13 * HOUR).await;
    let (found, removals) = trial.reap(&[]).await;
    let source = "uploads-prod/redrill-canary/of-redrill-uploads-replication-0001-abcdef-canary";
    assert!(names(&found).contains(source), "{found:?}");
    assert!(removals.iter().all(|removal| *removal == gone("deleted")), "{removals:?}");
}

/// Canaries of a bucket whose listing never comes to its end.
struct Endless(Arc<dyn ResourceKind>);

impl ResourceKind for Endless {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }
    fn is_canary(&self) -> bool {
        self.0.is_canary()
    }
    fn list<'a>(
        &'a self,
        _: &'a ResourceContext,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Listing, StepError>> {
        Box::pin(std::future::pending())
    }
    fn find<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        self.0.find(context, key, id)
    }
    fn remove<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        self.0.remove(context, key, id)
    }
    fn command(&self, key: &ResourceKey, id: Option<&str>, region: &str) -> String {
        self.0.command(key, id, region)
    }
    fn permissions(&self) -> &'static [Permission] {
        self.0.permissions()
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_listing_of_canaries_that_does_not_end_is_given_up_and_said() {
    let mut trial = Trial::new("uploads-replication", &[]).await;
    let canary = trial.registry.resource_kind("s3.canary_object").unwrap().clone();
    assert!(canary.is_canary());
    trial.registry.resource(Endless(canary));
    let found = reap::gather(&trial.lookout(), &[]).await;
    assert!(!found.not_asked.is_empty() && found.leftovers.is_empty(), "{found:?}");
    let is_given_up = |one: &reap::NotAsked| one.why.contains("took longer than 10m");
    assert!(found.not_asked.iter().all(is_given_up), "{found:?}");
}

/// A run that is over and has expired, and what it may have left.
fn finished(trial: &Trial, things: Vec<PastThing>) -> PastRun {
    PastRun {
        run: trial.run_id(),
        scenario: "orders-db".into(),
        expires: trial.world.clock.now(),
        recovery: false,
        life: reap::Life::Finished,
        withholds_data: false,
        things,
    }
}

#[tokio::test(start_paused = true)]
async fn regression_what_bears_a_name_elsewhere_does_not_hide_what_the_journal_means() {
    let name = "redrill-orders-db-0001-abcdef-restore";
    let tagged = database(name, &format!("\"redrill:run\": orders-db-0001-abcdef, {EXPIRED}"));
    let estate = |text| in_dr(text, "databases:", &tagged);
    let trial = Trial::edited("orders-db", |s| s, estate, &[]).await;
    let meant = thing("rds.db_instance", &serde_json::Value::Null);
    let meant = PastThing { name: name.to_owned(), region: "eu-west-1".into(), ..meant };
    let found = reap::gather(&trial.lookout(), &[finished(&trial, vec![meant])]).await;
    assert_eq!(names(&found), BTreeSet::from([name]));
    assert_eq!(found.leftovers[0].told_by, ToldBy::Tags);
    let told = format!("{name} of {} would be at 222222222222/eu-west-1", trial.run_id());
    assert!(found.notes.iter().any(|note| note.contains(&told)), "{found:?}");
}

/// What no service knows.
fn thing(kind: &str, name: &serde_json::Value) -> PastThing {
    PastThing {
        kind: kind.into(),
        name: name.to_string(),
        account: Some("222222222222".into()),
        region: "ap-northeast-3".into(),
        id: Some("load".into()),
        kept_until: None,
        told_here: true,
    }
}

fn effect(trial: &Trial) -> PastThing {
    let name = serde_json::json!({
        "run": trial.run_id(), "step": "load", "find": ["find-it"], "undo": ["undo-it"],
        "place": { "machine": "this machine", "folder": "/srv/drill" },
    });
    thing("exec.effect", &name)
}

#[tokio::test(start_paused = true)]
async fn regression_a_dry_run_starts_no_program_and_says_so() {
    let trial = Trial::new("orders-db", &[]).await;
    let outside = Arc::new(FakeOutside::default());
    let lookout = Lookout { outside: outside.clone(), dry_run: true, ..trial.lookout() };
    let mut past = [finished(&trial, vec![effect(&trial)])];
    let found = reap::gather(&lookout, &past).await;
    assert!(found.leftovers.is_empty() && found.not_asked.len() == 1, "{found:?}");
    let why = &found.not_asked[0].why;
    let words = "not looked for: that would start a program";
    assert!(why.contains(words) && why.contains("undo-it"), "{why}");
    // What would stay anyway is no question.
    past[0].expires += TimeDelta::hours(1);
    let found = reap::gather(&lookout, &past).await;
    assert!(found.not_asked.is_empty(), "{found:?}");
    assert_eq!(found.leftovers[0].decision, Decision::Stay("not expired".into()));
    assert!(outside.commands_seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn regression_a_dry_run_says_that_an_effect_is_on_another_machine() {
    let trial = Trial::new("orders-db", &[]).await;
    let effect = effect(&trial);
    let name = effect.name.replace("this machine", "host-a");
    let past = [finished(&trial, vec![PastThing { name, ..effect }])];
    let outside = Arc::new(FakeOutside::default());
    for dry_run in [true, false] {
        let lookout = Lookout { outside: outside.clone(), dry_run, ..trial.lookout() };
        let found = reap::gather(&lookout, &past).await;
        assert!(found.leftovers.len() == 1 && found.not_asked.is_empty(), "{found:?}");
        let Decision::Unclear(why) = &found.leftovers[0].decision else { panic!("{found:?}") };
        assert!(why.contains("on the machine host-a"), "{why}");
    }
    assert!(outside.commands_seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn regression_what_only_a_store_names_is_neither_run_nor_logged_in_to() {
    let trial = Trial::new("orders-db", &[]).await;
    let folder = serde_json::json!({
        "run": trial.run_id(), "machine": "this machine", "folder": "/tmp/redrill-a",
    });
    let things = [
        effect(&trial),
        thing("sql.schema", &serde_json::json!({})),
        thing("etcd.trial_folder", &folder),
    ];
    let things = things.map(|thing| PastThing { told_here: false, ..thing });
    let past = [finished(&trial, things.to_vec())];
    let outside = Arc::new(FakeOutside::default());
    for dry_run in [false, true] {
        let lookout = Lookout { outside: outside.clone(), dry_run, all: true, ..trial.lookout() };
        let found = reap::gather(&lookout, &past).await;
        assert_eq!((found.leftovers.len(), found.not_asked.len()), (3, 0), "{found:?}");
        for leftover in &found.leftovers {
            let Decision::Unclear(why) = &leftover.decision else { panic!("{leftover:?}") };
            assert!(why.contains("not looked for") && why.contains("only the store"), "{why}");
            assert!(!leftover.command.is_empty(), "{leftover:?}");
            let removed = reap::remove(&lookout, &past, leftover, RunLock::NoJournal).await;
            assert!(matches!(removed, Removal::Left { .. }), "{removed:?}");
        }
        let command = |kind: &str| {
            found.leftovers.iter().find(|one| one.key.kind == kind).unwrap().command.as_str()
        };
        assert!(command("exec.effect").contains("undo-it"));
        assert!(command("etcd.trial_folder").contains("rm -rf -- /tmp/redrill-a"));
    }
    assert!(outside.commands_seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn regression_every_kind_that_no_service_lists_says_what_looking_for_it_takes() {
    let trial = Trial::new("orders-db", &[]).await;
    let at = Some(SiteName::new("dr"));
    let context = ResourceContext { at, ..trial.context() };
    for kind in trial.registry.resource_kinds().filter(|kind| !kind.is_canary()) {
        let listing = kind.list(&context, None).await.unwrap();
        let unlisted = matches!(listing, Listing::Impossible(_));
        assert_eq!(unlisted, kind.reach() != Reach::Service, "{}", kind.kind());
    }
}

/// A second role at the place of the drill.
fn two_roles(text: String) -> String {
    let dr = "  dr: { account: \"222222222222\", region: ap-northeast-3, role: redrill-drill }\n";
    assert!(text.contains(dr));
    text.replace(dr, &format!("{dr}{}", dr.replace("  dr:", "  dr-other:")))
}

#[tokio::test(start_paused = true)]
async fn regression_what_fails_with_one_role_is_not_done_again_with_another_one() {
    let mut trial = Trial::edited("orders-db", two_roles, |e| e, &[]).await;
    trial.run(End::Killed(owned), None).await;
    trial.wait(13 * HOUR).await;
    let tried = Arc::new(Mutex::new(BTreeSet::new()));
    let kind = trial.registry.resource_kind("rds.db_instance").unwrap().clone();
    trial.registry.resource(Stuck(kind, tried.clone()));
    let (found, removals) = trial.reap(&trial.past(false)).await;
    assert_eq!(found.leftovers[0].others, [SiteName::new("dr-other")]);
    let [Removal::Left { why, denied: false, .. }] = &removals[..] else { panic!("{removals:?}") };
    assert!(why.contains("ended with 3") && !why.contains("another role"), "{why}");
    assert_eq!(*tried.lock().unwrap(), BTreeSet::from([SiteName::new("dr")]));
}

#[tokio::test(start_paused = true)]
async fn regression_what_only_a_store_names_and_no_listing_shows_so_is_left_to_a_person() {
    // Somebody keeps it as evidence: its tags are copies, and its listing says that its name is not the run's.
    let kept = format!("keep-{OTHER}-evidence");
    let of_step =
        format!("\"redrill:run\": orders-db-0001-abcdef, \"redrill:step\": restore, {EXPIRED}");
    let estate = |text| in_dr(text, "databases:", &database(&kept, &of_step));
    let trial = Trial::edited("orders-db", |s| s, estate, &[]).await;
    let forged = |kind: &str, name: &str| PastThing {
        kind: kind.to_owned(),
        name: name.to_owned(),
        told_here: false,
        ..thing("", &serde_json::Value::Null)
    };
    let things = vec![
        forged("aurora.instance", &kept),
        forged("rds.db_instance", &kept.to_uppercase()),
        forged("rds.db_instance", &kept),
    ];
    let (found, removals) = trial.reap(&[finished(&trial, things)]).await;
    assert!(removals.is_empty() && found.not_asked.is_empty(), "{found:?} {removals:?}");
    let told: Vec<ToldBy> = found.leftovers.iter().map(|one| one.told_by).collect();
    assert!(told.contains(&ToldBy::Journal), "the journal is looked after: {found:?}");
    for leftover in &found.leftovers {
        let Decision::Unclear(why) = &leftover.decision else { panic!("{leftover:?}") };
        let listed = leftover.told_by == ToldBy::Both;
        let words = if listed { "no name as that run" } else { "no listing has shown it" };
        assert!(why.contains(words), "{why}");
    }
    assert_eq!(trial.listing("rds.db_instance", "dr").await.0, Some(1));
}

#[tokio::test(start_paused = true)]
async fn regression_what_one_role_is_denied_another_one_at_the_place_is_asked_for() {
    for unlisted in [false, true] {
        let mut trial = Trial::edited("orders-db", two_roles, |e| e, &[]).await;
        trial.run(End::Killed(owned), None).await;
        trial.wait(13 * HOUR).await;
        let mut kind = trial.registry.resource_kind("rds.db_instance").unwrap().clone();
        if unlisted {
            kind = Arc::new(Unlisted(kind));
        }
        trial.registry.resource(Denied(kind, "dr"));
        let (found, removals) = trial.reap(&trial.past(false)).await;
        let told_by = if unlisted { ToldBy::Journal } else { ToldBy::Both };
        assert_eq!(found.leftovers[0].told_by, told_by, "{found:?}");
        assert_eq!(found.leftovers[0].others, [SiteName::new("dr-other")]);
        assert_eq!((found.not_asked.len(), removals), (0, vec![gone("deleted")]), "{found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn effects_of_programs_are_found_and_undone_by_the_journal_alone() {
    let trial = Trial::new("orders-db", &[]).await;
    let thing = effect(&trial);
    let past = [finished(&trial, vec![thing.clone()])];
    // Looking, looking again before undoing, undoing, and looking whether it is gone.
    let outside = FakeOutside::default()
        .with_command(0, "")
        .with_command(0, "")
        .with_command(0, "")
        .with_command(1, "");
    let outside = Arc::new(outside);
    let lookout = Lookout { outside: outside.clone(), ..trial.lookout() };
    let found = reap::gather(&lookout, &past).await;
    assert_eq!(found.leftovers.len(), 1, "{found:?}");
    let removed = reap::remove(&lookout, &past, &found.leftovers[0], RunLock::NoJournal).await;
    assert_eq!(removed, gone("deleted"));
    let programs: Vec<String> =
        outside.commands_seen.lock().unwrap().iter().map(|c| c.argv[0].clone()).collect();
    assert_eq!(programs, ["find-it", "find-it", "undo-it", "find-it"]);

    // At a place that nobody named it is not looked for, and that is said.
    let mut elsewhere = past.to_vec();
    elsewhere[0].things = vec![PastThing { region: "eu-west-1".into(), ..thing }];
    let found = reap::gather(&trial.lookout(), &elsewhere).await;
    assert!(found.leftovers.is_empty());
    assert!(found.notes.iter().any(|note| note.contains("222222222222/eu-west-1")), "{found:?}");
}
