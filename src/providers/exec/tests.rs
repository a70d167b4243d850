use super::*;
use crate::action::{Action, Effect, Found, HandInput, Registry, ResourceKind};
use crate::ids::SiteName;
use crate::journal::{Event, Outcome, ResourceKey};
use crate::outside::fake::{FakeOutside, context, withholding};
use crate::outside::{Held, Holding};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn input(value: Value) -> Input {
    serde_json::from_value(value).unwrap()
}

fn own() -> Input {
    input(json!({"argv": ["make-it"], "effect": "own", "find": ["find-it"], "undo": ["undo-it"]}))
}

#[tokio::test(start_paused = true)]
async fn status_and_output_are_checked() {
    let program = json!({"argv": ["tool"], "effect": "none", "stdout_matches": "^ok$"});
    let (context_1, _, recorder) = context(FakeOutside::default().with_command(0, "ok"));
    ExecRun.run(&context_1, input(program.clone())).await.unwrap();
    assert_eq!(recorder.outcome("exit status"), Outcome::Passed);
    assert_eq!(recorder.outcome("output"), Outcome::Passed);

    let (context_2, _, recorder) = context(FakeOutside::default().with_command(2, "broken"));
    ExecRun.run(&context_2, input(program)).await.unwrap();
    assert_eq!(recorder.outcome("exit status"), Outcome::Failed);
    assert_eq!(recorder.outcome("output"), Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn json_becomes_an_output_and_rubbish_an_error() {
    let program = json!({"argv": ["tool"], "effect": "none", "parse": "json"});
    let (context_1, ..) = context(FakeOutside::default().with_command(0, r#"{"rows": 3}"#));
    let output = ExecRun.run(&context_1, input(program.clone())).await.unwrap();
    assert_eq!(output.json, json!({"rows": 3}));
    let (context_2, ..) = context(FakeOutside::default().with_command(0, "rows: 3"));
    let error = ExecRun.run(&context_2, input(program)).await.unwrap_err();
    assert_eq!(error.class().outcome(), Outcome::Inconclusive);
}

#[tokio::test(start_paused = true)]
async fn secrets_and_data_do_not_get_into_the_evidence() {
    let mut outside = FakeOutside::default().with_command(0, r#""hunter2 and a customer""#);
    outside.environment.insert("TOKEN".into(), "hunter2".into());
    let (context, outside, recorder) = context(outside);
    let program = json!({"argv": ["tool"], "effect": "none", "parse": "json",
        "env": {"PASSWORD": {"from_env": "TOKEN"}}});
    let output = ExecRun.run(&withholding(context), input(program)).await.unwrap();
    let written = format!("{} {}", recorder.written(), serde_json::to_string(&output).unwrap());
    assert!(!written.contains("hunter2") && !written.contains("customer"), "{written}");
    let seen = outside.commands_seen.lock().unwrap();
    assert_eq!(seen[0].environment["PASSWORD"].reveal(), "hunter2");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_a_program_repeats_is_replaced() {
    let mut outside = FakeOutside::default().with_command(0, "logged in with hunter2");
    outside.environment.insert("TOKEN".into(), "hunter2".into());
    let (context, ..) = context(outside);
    let program =
        json!({"argv": ["tool"], "effect": "none", "env": {"PASSWORD": {"from_env": "TOKEN"}}});
    let output = ExecRun.run(&context, input(program)).await.unwrap();
    assert_eq!(output.stdout, "logged in with <secret>");
}

#[tokio::test(start_paused = true)]
async fn an_own_effect_is_in_the_ledger_before_the_program_runs() {
    let outside =
        FakeOutside::default().with_command(1, "").with_command(0, "made").with_command(0, "");
    let (context, outside, recorder) = context(outside);
    ExecRun.run(&context, own()).await.unwrap();
    let programs: Vec<_> =
        outside.commands_seen.lock().unwrap().iter().map(|c| c.argv[0].clone()).collect();
    assert_eq!(programs, ["find-it", "make-it", "find-it"]);
    assert_eq!(recorder.outcome("effect"), Outcome::Passed);
    let kinds: Vec<_> = recorder.events().iter().map(std::mem::discriminant).collect();
    let intended =
        recorder.events().iter().position(|e| matches!(e, Event::ResourceIntended { .. }));
    let owned = recorder.events().iter().position(|e| matches!(e, Event::ResourceOwned { .. }));
    assert!(intended.unwrap() < owned.unwrap() && kinds.len() >= 4);
}

#[tokio::test(start_paused = true)]
async fn what_was_there_before_is_not_ours() {
    let (context, outside, recorder) = context(FakeOutside::default().with_command(0, ""));
    let error = ExecRun.run(&context, own()).await.unwrap_err();
    assert!(error.to_string().contains("before the program has run"));
    assert!(recorder.events().is_empty(), "nothing was intended, so nothing will be undone");
    assert_eq!(outside.commands_seen.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_find_does_not_see_fails() {
    let outside =
        FakeOutside::default().with_command(1, "").with_command(0, "").with_command(1, "");
    let (context, _, recorder) = context(outside);
    ExecRun.run(&context, own()).await.unwrap();
    assert_eq!(recorder.outcome("effect"), Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn an_effect_of_an_earlier_process_is_not_made_twice() {
    let outside =
        FakeOutside::default().with_command(1, "").with_command(0, "").with_command(0, "");
    let (context, outside, recorder) = context(outside);
    ExecRun.run(&context, own()).await.unwrap();
    outside
        .commands
        .lock()
        .unwrap()
        .extend(FakeOutside::default().with_command(0, "").commands.into_inner().unwrap());
    ExecRun.run(&context, own()).await.unwrap();
    let seen = outside.commands_seen.lock().unwrap();
    assert_eq!(seen.iter().filter(|c| c.argv[0] == "make-it").count(), 1);
    assert_eq!(recorder.checks().last().unwrap().outcome, Outcome::Inconclusive);
}

#[tokio::test(start_paused = true)]
async fn release_needs_nothing_but_the_key() {
    let outside = FakeOutside::default()
        .with_command(0, "")
        .with_command(0, "")
        .with_command(1, "")
        .with_command(7, "");
    let (context, outside, _) = context(outside);
    let name = r#"{"run":"r","step":"s","find":["find-it","a b"],"undo":["undo-it","$x"],"env":{"K":"v w"},
        "place":{"machine":"this machine","folder":"/srv/a b"}}"#;
    let key =
        ResourceKey { kind: "exec.effect".into(), name: name.into(), site: SiteName::new("dr") };
    let find = || ExecEffect.find(&context, &key, None);
    assert!(matches!(find().await.unwrap(), Found::Ours { .. }));
    ExecEffect.remove(&context, &key, "s").await.unwrap();
    assert_eq!(find().await.unwrap(), Found::Gone);
    assert!(find().await.is_err(), "any other status means that it cannot be known");
    let seen = outside.commands_seen.lock().unwrap();
    assert_eq!(seen[1].argv, ["undo-it", "$x"]);
    assert!(seen.iter().all(|ran| ran.folder.as_deref() == Some("/srv/a b".as_ref())));
    let command = "cd '/srv/a b' && K='v w' undo-it '$x'    # on the machine this machine";
    assert_eq!(ExecEffect.command(&key, None, "r"), command);
}

#[tokio::test(start_paused = true)]
async fn wrong_input_is_refused_before_anything_runs() {
    for (wrong, why) in [
        (json!({"argv": [], "effect": "none"}), "a program is needed"),
        (json!({"argv": ["a"], "effect": "own", "undo": ["b"]}), "find: effect: own needs it"),
        (json!({"argv": ["a"], "effect": "own", "find": ["f"], "undo": []}), "undo: a program"),
        (json!({"argv": ["a"], "effect": "none", "stdout_matches": "("}), "stdout_matches"),
        (json!({"argv": ["a"], "effect": "external", "hold": "required"}), "for effect: none"),
        (json!({"argv": ["a"], "effect": "none", "stdout_matches": ""}), "would check nothing"),
        (
            json!({"argv": ["a"], "effect": "own", "find": ["f"], "undo": ["u", "x".repeat(5000)]}),
            "longer than 4096 bytes",
        ),
    ] {
        let (context, outside, recorder) = context(FakeOutside::default());
        let mut registry = Registry::default();
        registry.action(ExecRun);
        let action = registry.get("exec.run").unwrap();
        let error = action.run(&context, wrong).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert!(outside.commands_seen.lock().unwrap().is_empty());
        assert!(recorder.events().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn whether_a_program_was_held_to_its_effect_is_in_the_journal() {
    let run = async |held: Option<Held>, status: i32, with: Value| {
        let outside = FakeOutside::default().with_command(status, "");
        if let Some(Ok(reply)) = outside.commands.lock().unwrap().front_mut() {
            reply.held = held;
        }
        let (context, outside, recorder) = context(outside);
        ExecRun.run(&context, input(with)).await.unwrap();
        let hold = outside.commands_seen.lock().unwrap()[0].hold.clone();
        (hold, recorder.checks()[0].note.clone().unwrap_or_default())
    };
    let none = json!({"argv": ["tool"], "effect": "none", "may_write": ["~/.cache"]});
    let (hold, note) = run(Some(Held::By("Landlock".into())), 0, none.clone()).await;
    assert_eq!(hold, Some(Holding { required: false, may_write: vec!["~/.cache".into()] }));
    assert_eq!(
        note,
        "held to effect: none by Landlock: tool could write no file except to ~/.cache"
    );
    let (_, note) = run(Some(Held::By("Landlock".into())), 1, none.clone()).await;
    assert!(note.contains("tool could write no file") && note.contains("may_write"), "{note}");
    let (_, note) = run(Some(Held::Not("no Landlock".into())), 0, none).await;
    assert_eq!(note, "not held to effect: none: no Landlock");
    let required = json!({"argv": ["tool"], "effect": "none", "hold": "required"});
    assert!(run(None, 0, required).await.0.is_some_and(|hold| hold.required));
    let free = json!({"argv": ["tool"], "effect": "none", "hold": "no"});
    assert_eq!(run(None, 0, free).await, (None, String::new()));
}

#[test]
fn the_schema_asks_for_find_and_undo_with_an_own_effect() {
    let mut registry = Registry::default();
    register(&mut registry);
    let schema = &registry.get("exec.run").unwrap().input;
    let validator = jsonschema::validator_for(schema).unwrap();
    let valid = |input: Value| validator.is_valid(&input);
    assert!(valid(json!({"argv": ["a"], "effect": "none"})));
    assert!(!valid(json!({"argv": ["a"], "effect": "own", "undo": ["b"]})));
    assert!(valid(json!({"argv": ["a"], "effect": "own", "undo": ["b"], "find": ["c"]})));
    assert!(!valid(json!({"argv": [], "effect": "none"})));
    assert!(!valid(json!({"argv": ["a"]})), "what it changes must be said");
}

#[test]
fn by_hand_the_same_program_is_run() {
    let with = json!({"argv": ["tool", HandInput::variable_mark("restore", "endpoint"), "a b"],
        "env": {"MODE": "drill", "PASSWORD": {"from_env": "TOKEN"}}, "parse": "json", "effect": "none"});
    let hand = ExecRun.by_hand(&HandInput::new("ask", None, with, BTreeMap::new()));
    assert_eq!(
        hand.commands[1],
        "if ASK_JSON=\"$(MODE=drill PASSWORD=\"${TOKEN:?}\" tool \"${RESTORE_ENDPOINT:?}\" 'a b' </dev/null)\"; \
         then ASK_STATUS=0; else ASK_STATUS=$?; fi"
    );
    assert!(hand.needs[0].starts_with("The program tool on the host of this shell"));
}

#[test]
fn by_hand_a_program_that_was_not_run_has_no_exit_status() {
    let with = json!({"argv": ["false"], "effect": "none", "expect_exit": 1});
    let hand = ExecRun.by_hand(&HandInput::new("ask", None, with, BTreeMap::new()));
    let said = |lines: &[String]| {
        let script = lines.join("\n");
        let ended = std::process::Command::new("sh").arg("-c").arg(&script).output().unwrap();
        (String::from_utf8(ended.stdout).unwrap(), ended.status.success())
    };
    assert_eq!(said(&hand.commands), ("exit status 1, expected 1\n".to_owned(), true));
    let without_it = [&hand.commands[..1], &hand.commands[2..]].concat();
    let (text, passed) = said(&without_it);
    assert!(!passed && text.contains("none: it was not run"), "{text}");
}

#[test]
fn a_program_that_changes_nothing_makes_no_resource() {
    let mut registry = Registry::default();
    register(&mut registry);
    let facts = &registry.get("exec.run").unwrap().facts;
    assert_eq!(facts.creates_of(Some("own")), ["exec.effect"]);
    assert!(facts.creates_of(Some("none")).is_empty());
    assert_eq!(facts.effect_of(Some("none")), Effect::None);
    assert_eq!(facts.effect_of(None), Effect::Own);
}
