//! What a program made is looked for, and undone, where it was made.

use super::*;
use crate::action::{Action, Found, ResourceContext, ResourceKind};
use crate::ids::SiteName;
use crate::journal::{Event, Outcome, ResourceKey};
use crate::outside::fake::{FakeOutside, FakeRecorder, context};
use crate::outside::is_same_machine;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// A world in which this process works in a folder, and its programs end with these statuses.
fn at(folder: &str, statuses: &[i32]) -> FakeOutside {
    let world = FakeOutside { folder: Some(folder.to_owned()), ..FakeOutside::default() };
    statuses.iter().fold(world, |world, status| world.with_command(*status, ""))
}

fn own() -> Input {
    let with =
        json!({"argv": ["make-it"], "effect": "own", "find": ["find-it"], "undo": ["undo-it"]});
    serde_json::from_value(with).unwrap()
}

/// The journal of a run whose process has died after its program was begun in `/srv/drill`.
async fn begun() -> Arc<FakeRecorder> {
    let (context, _, recorder) = context(at("/srv/drill", &[1]));
    ExecRun.run(&context, own()).await.unwrap_err();
    recorder
}

/// Another process that goes on with it.
fn going_on(
    recorder: &Arc<FakeRecorder>,
    world: FakeOutside,
) -> (ResourceContext, Arc<FakeOutside>) {
    let (mut context, outside, _) = context(world);
    context.recorder = recorder.clone();
    (context, outside)
}

fn programs(outside: &FakeOutside) -> Vec<(String, Option<String>)> {
    let folder = |folder: &Path| folder.to_str().unwrap().to_owned();
    let seen = outside.commands_seen.lock().unwrap();
    seen.iter().map(|ran| (ran.argv[0].clone(), ran.folder.as_deref().map(folder))).collect()
}

fn key(name: &str) -> ResourceKey {
    ResourceKey { kind: "exec.effect".into(), name: name.into(), site: SiteName::new("dr") }
}

#[tokio::test(start_paused = true)]
async fn regression_whoever_goes_on_in_another_folder_works_in_that_of_the_program() {
    let recorder = begun().await;
    let (context, outside) = going_on(&recorder, at("/elsewhere", &[1, 0, 0]));
    ExecRun.run(&context, own()).await.unwrap();
    let there = Some("/srv/drill".to_owned());
    let wanted = ["find-it", "make-it", "find-it"].map(|name| (name.to_owned(), there.clone()));
    assert_eq!(programs(&outside), wanted);
    assert_eq!(recorder.outcome("effect"), Outcome::Passed);
    let intents = recorder.events();
    let intents = intents.iter().filter(|event| matches!(event, Event::ResourceIntended { .. }));
    assert_eq!(intents.count(), 1, "there is one thing, in one place");
}

#[tokio::test(start_paused = true)]
async fn regression_nothing_is_made_twice_where_nobody_knows_whether_it_was_made() {
    let recorder = begun().await;
    for (world, why) in [
        (FakeOutside { machine: Some("host-b".into()), ..at("/srv/drill", &[]) }, "this is host-b"),
        (
            FakeOutside { no_folder: Some("/srv/drill".into()), ..at("/", &[]) },
            "is not there any more",
        ),
    ] {
        let (context, outside) = going_on(&recorder, world);
        let error = ExecRun.run(&context, own()).await.unwrap_err();
        assert_eq!(error.class().outcome(), Outcome::Inconclusive);
        let said = error.to_string();
        assert!(said.contains("nothing is made twice") && said.contains(why), "{said}");
        assert!(said.contains("/srv/drill"), "{said}");
        assert_eq!(programs(&outside), []);
    }
}

#[tokio::test(start_paused = true)]
async fn regression_what_is_on_another_machine_or_in_a_lost_folder_is_not_called_gone() {
    let place = r#""place":{"machine":"host-a","folder":"/srv/drill"}"#;
    let key =
        key(&format!(r#"{{"run":"r","step":"s","find":["find-it"],"undo":["undo-it"],{place}}}"#));
    for (world, why) in [
        (FakeOutside { machine: Some("host-b".into()), ..at("/srv/drill", &[]) }, "machine host-a"),
        (
            FakeOutside {
                machine: Some("host-a".into()),
                no_folder: Some("/srv/drill".into()),
                ..at("/", &[])
            },
            "is not there any more",
        ),
    ] {
        let (context, outside, _) = context(world);
        let Found::Unknown { why: said } =
            ExecEffect.find(&context, &key, Some("s")).await.unwrap()
        else {
            panic!("{why}");
        };
        assert!(said.contains(why), "{said}");
        assert!(ExecEffect.remove(&context, &key, "s").await.is_err());
        assert_eq!(programs(&outside), [], "nothing is undone that is not known to be there");
    }
    let command = "cd /srv/drill && undo-it    # on the machine host-a";
    assert_eq!(ExecEffect.command(&key, None, ""), command);
}

#[tokio::test(start_paused = true)]
async fn regression_a_journal_of_an_earlier_version_is_believed_when_it_is_seen_only() {
    let (context, outside, _) = context(at("/elsewhere", &[0, 1]));
    let key = key(r#"{"run":"r","step":"s","find":["find-it"],"undo":["undo-it"]}"#);
    let found = async || ExecEffect.find(&context, &key, Some("s")).await.unwrap();
    assert!(matches!(found().await, Found::Ours { .. }));
    let unseen = found().await;
    assert!(matches!(&unseen, Found::Unknown { why } if why.contains("earlier version")));
    assert!(unseen.is_to_be_removed().is_err());
    assert!(programs(&outside).iter().all(|(_, folder)| folder.is_none()));
    let command = "undo-it    # in the folder and on the machine in which the run began";
    assert_eq!(ExecEffect.command(&key, None, ""), command);
}

#[test]
fn regression_a_machine_that_an_earlier_version_wrote_down_by_its_name_is_still_that_machine() {
    for (written, here, is_same) in [
        ("host-a", "host-a", true),
        ("host-a", "host-a (1a2b3c4d)", true),
        ("host-a (1a2b3c4d)", "host-a (1a2b3c4d)", true),
        ("host-a (ffffffff)", "host-a (1a2b3c4d)", false),
        ("host-a (1a2b3c4d)", "host-a", false),
        ("host-b", "host-a (1a2b3c4d)", false),
        ("", "host-a (1a2b3c4d)", false),
    ] {
        assert_eq!(is_same_machine(written, here), is_same, "{written} {here}");
    }
}
