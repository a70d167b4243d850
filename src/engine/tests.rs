//! The engine, driven with small actions of its own under paused time.

use super::{Drive, DriveError, Keep, World, drive};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Found, HandInput, Permission, Phase, Registry,
    ResourceContext, ResourceKind, RunFacts, SiteUse, StepContext, StepError, own,
};
use crate::aws::{GuardPolicy, Place, SiteSession};
use crate::ids::{Digest, RunId, SiteName, StepId};
use crate::journal::{
    Event, FORMAT, Journal, Outcome, Record, ResourceKey, RunState, Sink, StepState, WorldKind,
    read_bytes,
};
use crate::outside::{
    Answer, ApprovalRequest, CommandReply, CommandRequest, DatabaseLogin, DatabaseSession,
    HttpReply, HttpRequest, Outside, OutsideError, Secret,
};
use crate::plan::{Plan, PlannedStep};
use crate::scenario::{DataClass, Disaster, DisasterKind, Guard, Objectives, OnFailure, Site};
use crate::time::{Clock, RetryPolicy};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What exists in the tests' world, and how it misbehaves.
#[derive(Clone, Default)]
struct Estate(Arc<Mutex<EstateState>>);

#[derive(Default)]
struct EstateState {
    things: BTreeSet<String>,
    log: Vec<String>,
    cannot_delete: bool,
    /// How many look-ups still do not see what is there.
    late_looks: u32,
    failures_left: BTreeMap<String, u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(default)]
    seconds: u64,
    #[serde(default)]
    end: String,
    #[serde(default)]
    make: bool,
    #[serde(default)]
    lose_reply: bool,
    #[serde(default)]
    value: i64,
}

#[derive(Serialize, JsonSchema)]
struct Output {
    value: i64,
    population: u64,
}

struct Work(Estate);

impl Action for Work {
    type Input = Input;
    type Output = Output;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "test.work",
            title: "Work",
            about: "",
            phase: Phase::Recover,
            site: SiteUse::Optional,
            timeout: Duration::from_secs(3600),
            effect: Effect::Own,
            creates: &["test.thing"],
            permissions: &[],
            checks: &[],
            populations: &[("value", "population")],
            proves: &[],
            exercised: Exercised { sandbox: true, servers: &[], aws: None },
        }
    }

    async fn run(&self, context: &StepContext, input: Input) -> Result<Output, StepError> {
        self.0.0.lock().unwrap().log.push(format!("start {}", context.step));
        if input.make {
            let name = context.name_of_mine(63);
            own(context, &Thing(self.0.clone()), name.clone(), || async {
                self.0.0.lock().unwrap().things.insert(name.clone());
                if input.lose_reply {
                    return Err(StepError::transient("no answer in time"));
                }
                Ok(format!("id-of-{name}"))
            })
            .await?;
        }
        context.clock.sleep(Duration::from_secs(input.seconds)).await;
        let left = self.0.0.lock().unwrap().failures_left.get(context.step.as_str()).copied();
        if let Some(left) = left.filter(|left| *left > 0) {
            self.0.0.lock().unwrap().failures_left.insert(context.step.to_string(), left - 1);
            return Err(StepError::transient("not this time"));
        }
        match input.end.as_str() {
            "fail" => Err(StepError::recovery("a bad backup")),
            "break" => Err(StepError::broken("a broken tool")),
            "panic" => panic!("on purpose"),
            "nothing" => Ok(Output { value: input.value, population: 0 }),
            _ => Ok(Output { value: input.value, population: 1 }),
        }
    }

    fn by_hand(&self, _: &HandInput) -> ByHand {
        ByHand::default()
    }
}

struct Thing(Estate);

impl ResourceKind for Thing {
    fn kind(&self) -> &'static str {
        "test.thing"
    }

    fn find<'a>(
        &'a self,
        _: &'a ResourceContext,
        key: &'a ResourceKey,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        let mut estate = self.0.0.lock().unwrap();
        let late = estate.late_looks > 0;
        estate.late_looks = estate.late_looks.saturating_sub(1);
        let there = !late && estate.things.contains(&key.name);
        let ours = Found::Ours { id: format!("id-of-{}", key.name), state: "there".to_owned() };
        Box::pin(async move { Ok(if there { ours } else { Found::Gone }) })
    }

    fn remove<'a>(
        &'a self,
        _: &'a ResourceContext,
        key: &'a ResourceKey,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(async move {
            let mut estate = self.0.0.lock().unwrap();
            estate.log.push(format!("remove {}", key.name));
            if estate.cannot_delete {
                return Err(StepError::denied("no permission to delete"));
            }
            estate.things.remove(&key.name);
            Ok(())
        })
    }

    fn command(&self, key: &ResourceKey, _: Option<&str>, _: &str) -> String {
        format!("remove-thing {}", key.name)
    }

    fn permissions(&self) -> &'static [Permission] {
        &[]
    }
}

/// Nothing is outside.
struct Nowhere;

impl Outside for Nowhere {
    fn command<'a>(&'a self, _: &'a CommandRequest) -> Answer<'a, CommandReply> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }
    fn http<'a>(&'a self, _: &'a HttpRequest) -> Answer<'a, HttpReply> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }
    fn database<'a>(&'a self, _: &'a DatabaseLogin) -> Answer<'a, Box<dyn DatabaseSession>> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }
    fn approval<'a>(&'a self, _: &'a ApprovalRequest) -> Answer<'a, crate::journal::Approval> {
        Box::pin(async { Err(OutsideError::NoAnswer) })
    }
    fn environment(&self, _: &str) -> Result<Secret, OutsideError> {
        Err(OutsideError::NoAnswer)
    }
    fn file(&self, _: &str, _: u64) -> Result<Vec<u8>, OutsideError> {
        Err(OutsideError::NoAnswer)
    }
}

/// A journal's bytes, and after how many writes the disk is full.
#[derive(Clone, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    writes: Arc<Mutex<usize>>,
    full_after: Option<usize>,
}

impl Sink for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut writes = self.writes.lock().unwrap();
        if self.full_after.is_some_and(|limit| *writes >= limit) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *writes += 1;
        self.bytes.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    }
}

/// A run under construction: steps read like the scenario would.
#[derive(Clone)]
struct Rig {
    plan: Plan,
    estate: Estate,
    disk: Disk,
    keep: Keep,
    /// Interrupts the run after this many seconds.
    interrupt_after: Option<u64>,
    state: RunState,
}

struct Ran {
    result: Result<RunState, DriveError>,
    records: Vec<Record>,
    estate: Estate,
    seconds: u64,
}

fn step(id: &str, with: Value) -> PlannedStep {
    PlannedStep {
        id: StepId::new(id),
        title: id.to_owned(),
        at: Some(SiteName::new("dr")),
        uses: "test.work".to_owned(),
        with,
        needs: BTreeSet::new(),
        phase: Phase::Recover,
        gate: None,
        timeout: Duration::from_secs(3600).into(),
        retry: RetryPolicy::default(),
        on_failure: OnFailure::Stop,
        when: None,
        required: true,
        expect: BTreeMap::new(),
        creates: vec!["test.thing".to_owned()],
    }
}

impl PlannedStep {
    fn needs(mut self, other: &str) -> Self {
        self.needs.insert(StepId::new(other));
        self
    }
    fn prepare(mut self) -> Self {
        self.phase = Phase::Prepare;
        self
    }
    fn going_on(mut self) -> Self {
        self.on_failure = OnFailure::Continue;
        self
    }
    fn expecting(mut self, name: &str, expectation: &str) -> Self {
        self.expect.insert(name.to_owned(), json!(expectation));
        self
    }
    fn within(mut self, seconds: u64) -> Self {
        self.timeout = Duration::from_secs(seconds).into();
        self
    }
    fn when(mut self, value: Value) -> Self {
        self.when = Some(value);
        self
    }
}

fn rig(steps: Vec<PlannedStep>) -> Rig {
    let site = Site { account: None, region: "xx-test-1".to_owned(), role: None };
    let plan = Plan {
        format: 1,
        name: "test".to_owned(),
        title: "Test".to_owned(),
        about: None,
        system: None,
        tier: None,
        owner: "tests".to_owned(),
        contacts: BTreeMap::new(),
        scenario_digest: Digest::ZERO,
        mode: "drill".to_owned(),
        disaster: Disaster { kind: DisasterKind::RegionLoss, lost: Vec::new() },
        sites: [(SiteName::new("dr"), site)].into(),
        objectives: Objectives { rto: None, rpo: None, rlo: None },
        data: DataClass::default(),
        guard: Guard { write: vec![SiteName::new("dr")], ..Guard::default() },
        vars: BTreeMap::new(),
        inputs: BTreeMap::new(),
        steps,
        deviations: Vec::new(),
    };
    Rig {
        plan,
        estate: Estate::default(),
        disk: Disk::default(),
        keep: Keep::Nothing,
        interrupt_after: None,
        state: RunState::default(),
    }
}

impl Rig {
    fn fails_at_first(self, step: &str, times: u32) -> Self {
        self.estate.0.lock().unwrap().failures_left.insert(step.to_owned(), times);
        self
    }

    fn run(self) -> Ran {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(self.run_inside())
    }

    async fn run_inside(self) -> Ran {
        let clock = Clock::simulated("2026-11-22T00:00:00Z".parse().unwrap());
        let policy = Arc::new(GuardPolicy::default());
        let place =
            Place { site: SiteName::new("dr"), account: None, region: "xx-test-1".to_owned() };
        let session =
            SiteSession::new(place, &aws_types::SdkConfig::builder().build(), policy.clone());
        let world = World {
            clock: clock.clone(),
            outside: Arc::new(Nowhere),
            sessions: Arc::new([(SiteName::new("dr"), session)].into()),
            policy,
            on_loss: Arc::new(|_, _| {}),
        };
        let mut registry = Registry::default();
        registry.action(Work(self.estate.clone()));
        registry.resource(Thing(self.estate.clone()));
        let (sender, interrupt) = tokio::sync::watch::channel(None);
        if let Some(seconds) = self.interrupt_after {
            let clock = clock.clone();
            tokio::spawn(async move {
                clock.sleep(Duration::from_secs(seconds)).await;
                sender.send_replace(Some("a test".to_owned()));
                // The sender lives as long as the run.
                std::future::pending::<()>().await;
            });
        }
        let facts = RunFacts {
            run: RunId::new("test-0001-abcdef"),
            scenario: "test".to_owned(),
            plan: self.plan.digest(),
            seed: 1,
            expires: clock.now(),
            started: clock.now(),
            withhold_data: false,
            is_drill: true,
        };
        let opening = match self.state.head {
            None => start(&self.plan, &facts),
            Some(_) => Event::RunResumed { torn_bytes: 0, gap_ms: 0 },
        };
        let before = read_bytes(&self.disk.bytes.lock().unwrap());
        let journal = match before {
            Ok(contents) => Journal::after(self.disk.clone(), &contents),
            Err(_) => Journal::new(self.disk.clone()),
        };
        let result = drive(Drive {
            plan: &self.plan,
            registry: &registry,
            world: &world,
            facts,
            journal,
            state: self.state,
            opening: vec![opening],
            keep: self.keep,
            interrupt,
            observer: &mut (),
        })
        .await;
        let bytes = self.disk.bytes.lock().unwrap().clone();
        let records = read_bytes(&bytes).map(|c| c.records).unwrap_or_default();
        Ran { result, records, estate: self.estate, seconds: clock.elapsed().as_secs() }
    }
}

fn start(plan: &Plan, facts: &RunFacts) -> Event {
    Event::RunStarted {
        format: FORMAT,
        run: facts.run.clone(),
        number: 1,
        scenario: plan.name.clone(),
        plan: facts.plan,
        scenario_digest: Digest::ZERO,
        mode: plan.mode.clone(),
        world: WorldKind::Rehearsal { estate: "test".to_owned() },
        tool: "test".to_owned(),
        operator: "test".to_owned(),
        seed: facts.seed,
        expires: facts.expires,
        keep: None,
        deviations: Vec::new(),
    }
}

impl Ran {
    fn state(&self) -> &RunState {
        self.result.as_ref().unwrap()
    }
    fn outcome(&self, step: &str) -> Outcome {
        self.state().outcome(&StepId::new(step)).unwrap()
    }
    fn log(&self) -> Vec<String> {
        self.estate.0.lock().unwrap().log.clone()
    }
    fn left(&self) -> usize {
        self.estate.0.lock().unwrap().things.len()
    }
}

fn lasting(seconds: u64) -> Value {
    json!({ "seconds": seconds })
}

fn making() -> Value {
    json!({ "make": true, "seconds": 10 })
}

fn ending(end: &str) -> Value {
    json!({ "end": end })
}

#[test]
fn steps_run_as_soon_as_their_needs_are_met_and_together_where_they_can() {
    let ran = rig(vec![
        step("a", lasting(60)),
        step("b", lasting(100)),
        step("c", lasting(60)).needs("a"),
        step("d", lasting(1)).needs("b").needs("c"),
    ])
    .run();
    assert_eq!(ran.state().finished, Some(Outcome::Passed));
    assert_eq!(ran.seconds, 121);
    assert_eq!(ran.log(), ["start a", "start b", "start c", "start d"]);
}

#[test]
fn the_disaster_is_declared_after_the_last_prepare_step_and_before_any_other() {
    let ran = rig(vec![step("recover", lasting(1)), step("prepare", lasting(50)).prepare()]).run();
    let place = |wanted: &dyn Fn(&Event) -> bool| {
        ran.records.iter().position(|r| wanted(&r.event)).unwrap()
    };
    let ended =
        place(&|e| matches!(e, Event::StepFinished { step, .. } if step.as_str() == "prepare"));
    let declared = place(&|e| matches!(e, Event::DisasterDeclared { .. }));
    let started =
        place(&|e| matches!(e, Event::StepStarted { step, .. } if step.as_str() == "recover"));
    assert!(ended < declared && declared < started);
}

#[test]
fn a_failed_prepare_step_means_that_no_disaster_is_declared() {
    let ran =
        rig(vec![step("prepare", ending("fail")).prepare(), step("recover", lasting(1))]).run();
    assert_eq!(ran.state().disaster, None);
    assert_eq!(ran.outcome("recover"), Outcome::NotRun);
    assert_eq!(ran.state().finished, Some(Outcome::Failed));
}

#[test]
fn a_bad_backup_fails_and_a_broken_tool_is_inconclusive() {
    assert_eq!(rig(vec![step("a", ending("fail"))]).run().state().finished, Some(Outcome::Failed));
    assert_eq!(
        rig(vec![step("a", ending("break"))]).run().state().finished,
        Some(Outcome::Inconclusive)
    );
    assert_eq!(
        rig(vec![step("a", ending("panic"))]).run().state().finished,
        Some(Outcome::Inconclusive)
    );
}

#[test]
fn an_unmet_expectation_fails_the_step_and_an_empty_population_makes_it_inconclusive() {
    let met = rig(vec![step("a", json!({ "value": 3 })).expecting("value", "<= 3")]).run();
    assert_eq!(met.outcome("a"), Outcome::Passed);
    let unmet = rig(vec![step("a", json!({ "value": 4 })).expecting("value", "<= 3")]).run();
    assert_eq!(unmet.outcome("a"), Outcome::Failed);
    let vacuous = rig(vec![step("a", ending("nothing")).expecting("value", "<= 3")]).run();
    assert_eq!(vacuous.outcome("a"), Outcome::Inconclusive);
    let absent = rig(vec![step("a", lasting(0)).expecting("nothing_of_that_name", "= 1")]).run();
    assert_eq!(absent.outcome("a"), Outcome::Inconclusive);
}

#[test]
fn continue_lets_others_go_on_but_never_turns_the_failure_green() {
    let steps = vec![
        step("a", ending("fail")).going_on(),
        step("b", lasting(1)),
        step("c", lasting(1)).needs("a"),
    ];
    let ran = rig(steps).run();
    assert_eq!(ran.outcome("b"), Outcome::Passed);
    assert_eq!(ran.outcome("c"), Outcome::NotRun);
    assert_eq!(ran.state().finished, Some(Outcome::Failed));
}

#[test]
fn with_continue_an_unmet_expectation_leaves_the_output_usable() {
    let steps = vec![
        step("a", json!({ "value": 4 })).expecting("value", "<= 3").going_on(),
        step("b", lasting(1)).needs("a"),
    ];
    let ran = rig(steps).run();
    assert_eq!(ran.outcome("b"), Outcome::Passed);
    assert_eq!(ran.state().finished, Some(Outcome::Failed));
}

#[test]
fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let ran = rig(vec![step("a", lasting(1))]).fails_at_first("a", 2).run();
    assert_eq!(ran.outcome("a"), Outcome::Passed);
    assert_eq!(ran.log(), ["start a", "start a", "start a"]);
    let ran = rig(vec![step("a", lasting(1))]).fails_at_first("a", 3).run();
    assert_eq!(ran.outcome("a"), Outcome::Inconclusive);
    assert_eq!(rig(vec![step("a", ending("fail"))]).run().log(), ["start a"]);
}

#[test]
fn a_step_ends_at_its_limit() {
    let ran = rig(vec![step("a", lasting(500)).within(30)]).run();
    assert_eq!(ran.outcome("a"), Outcome::Failed);
    assert_eq!(ran.seconds, 30);
}

#[test]
fn a_run_ends_at_the_guards_limit_and_removes_what_it_made() {
    let mut rig = rig(vec![step("a", json!({ "make": true, "seconds": 3000 }))]);
    rig.plan.guard.max_duration = Duration::from_secs(100).into();
    let ran = rig.run();
    assert!(ran.state().cancelled.as_ref().unwrap().contains("guard.max_duration"));
    assert_eq!(ran.left(), 0);
}

#[test]
fn a_step_is_skipped_when_its_condition_is_false_and_those_that_need_it_are_not_run() {
    let steps = vec![step("a", lasting(1)).when(json!(false)), step("b", lasting(1)).needs("a")];
    let ran = rig(steps).run();
    assert_eq!((ran.outcome("a"), ran.outcome("b")), (Outcome::Skipped, Outcome::Skipped));
    assert_eq!(
        ran.state().finished,
        Some(Outcome::Inconclusive),
        "a required step that did not run"
    );
    assert!(ran.log().is_empty());
}

#[test]
fn what_was_made_is_removed_in_reverse_order_whatever_the_end() {
    for end in ["", "fail", "break", "panic"] {
        let steps = vec![
            step("a", making()),
            step("b", making()).needs("a"),
            step("c", ending(end)).needs("b"),
        ];
        let ran = rig(steps).run();
        assert_eq!(ran.left(), 0, "{end}");
        let removed: Vec<String> =
            ran.log().into_iter().filter(|l| l.starts_with("remove")).collect();
        assert_eq!(
            removed,
            ["remove redrill-test-0001-abcdef-b", "remove redrill-test-0001-abcdef-a"]
        );
    }
}

#[test]
fn an_interrupted_run_stops_removes_and_reports() {
    let mut rig = rig(vec![
        step("a", json!({ "make": true, "seconds": 500 })),
        step("b", lasting(1)).needs("a"),
    ]);
    rig.interrupt_after = Some(60);
    let ran = rig.run();
    assert_eq!(ran.state().cancelled.as_deref(), Some("a test"));
    assert_eq!(ran.outcome("a"), Outcome::Inconclusive);
    assert_eq!(ran.outcome("b"), Outcome::NotRun);
    assert_eq!((ran.left(), ran.seconds), (0, 60));
}

#[test]
fn what_cannot_be_removed_is_left_with_the_command_that_removes_it() {
    let rig = rig(vec![step("a", making())]);
    rig.estate.0.lock().unwrap().cannot_delete = true;
    let ran = rig.run();
    let left = ran.records.iter().find_map(|r| match &r.event {
        Event::ResourceLeft { command, kept: false, .. } => Some(command.clone()),
        _ => None,
    });
    assert_eq!(left.as_deref(), Some("remove-thing redrill-test-0001-abcdef-a"));
}

#[test]
fn what_was_made_without_an_answer_and_is_seen_late_is_removed_all_the_same() {
    let mut making = step("a", json!({ "make": true, "lose_reply": true }));
    making.retry = RetryPolicy::once();
    let rig = rig(vec![making]);
    // Neither the step's own look nor the first one of the release sees it.
    rig.estate.0.lock().unwrap().late_looks = 2;
    let ran = rig.run();
    assert_eq!(ran.outcome("a"), Outcome::Inconclusive);
    assert_eq!(ran.left(), 0);
}

#[test]
fn regression_what_is_owned_and_not_seen_yet_is_removed_all_the_same() {
    let rig = rig(vec![step("a", making())]);
    // The first look of the release does not see what was made: that is no sign that it is gone.
    rig.estate.0.lock().unwrap().late_looks = 1;
    let ran = rig.run();
    assert_eq!(ran.outcome("a"), Outcome::Passed);
    assert_eq!(ran.left(), 0);
}

#[test]
fn keeping_leaves_it_on_purpose() {
    let mut rig = rig(vec![step("a", making())]);
    rig.keep = Keep::For(Duration::from_secs(3600));
    let ran = rig.run();
    assert_eq!(ran.left(), 1);
    assert!(ran.state().ledger.left_behind().is_empty());
}

#[test]
fn a_recovery_keeps_what_it_brought_back_and_says_so() {
    let mut rig = rig(vec![step("a", making())]);
    rig.plan.mode = "recovery".to_owned();
    rig.keep = Keep::of(&rig.plan, None);
    let ran = rig.run();
    assert_eq!(ran.left(), 1);
    let why = ran.records.iter().find_map(|r| match &r.event {
        Event::ResourceLeft { why, kept: true, .. } => Some(why.clone()),
        _ => None,
    });
    assert!(why.unwrap().contains("mode recovery removes nothing"));
}

#[test]
fn the_guard_limits_where_and_how_many_things_are_made() {
    let mut elsewhere = rig(vec![step("a", making())]);
    elsewhere.plan.guard.write.clear();
    let ran = elsewhere.run();
    assert_eq!((ran.outcome("a"), ran.left()), (Outcome::Inconclusive, 0));
    assert!(ran.state().ledger.is_empty());
    let mut few = rig(vec![step("a", making()), step("b", making()).needs("a")]);
    few.plan.guard.max_resources = 1;
    assert_eq!(few.run().outcome("b"), Outcome::Inconclusive);
}

#[test]
fn the_intent_is_on_disk_before_anything_is_made() {
    // With room for n writes only: whatever exists afterwards was intended on disk.
    for writes in 0..8 {
        let mut rig = rig(vec![step("a", making()), step("b", making()).needs("a")]);
        rig.disk.full_after = Some(writes);
        let estate = rig.estate.clone();
        let ran = rig.run();
        let intended: BTreeSet<String> = ran
            .records
            .iter()
            .filter_map(|r| match &r.event {
                Event::ResourceIntended { key, .. } => Some(key.name.clone()),
                _ => None,
            })
            .collect();
        let made = estate.0.lock().unwrap().things.clone();
        assert!(made.is_subset(&intended), "{writes} writes: {made:?} without {intended:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_journal_byte_for_byte() {
    let bytes = || {
        let steps =
            vec![step("a", making()), step("b", lasting(3)), step("c", lasting(4)).needs("a")];
        let rig = rig(steps).fails_at_first("c", 1);
        let disk = rig.disk.clone();
        assert!(rig.run().result.is_ok());
        disk.bytes.lock().unwrap().clone()
    };
    assert_eq!(bytes(), bytes());
}

/// Promise 2 of the design, exhaustively: the journal cut after every record, and then resumed.
#[test]
fn a_run_cut_after_any_record_resumes_to_the_same_outcome_and_leaves_nothing() {
    let steps = || {
        vec![
            step("p", lasting(5)).prepare(),
            step("a", making()),
            step("b", json!({ "make": true, "value": 2 })).needs("a").expecting("value", "= 2"),
            step("c", lasting(4)).needs("a"),
        ]
    };
    let whole = rig(steps()).run();
    assert_eq!(whole.state().finished, Some(Outcome::Passed));
    let lines: Vec<String> = {
        let rig = rig(steps());
        let disk = rig.disk.clone();
        rig.run();
        let bytes = disk.bytes.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().split_inclusive('\n').map(str::to_owned).collect()
    };
    for cut in 1..lines.len() {
        let mut again = rig(steps());
        let bytes = lines[..cut].concat().into_bytes();
        again.state = RunState::of(&read_bytes(&bytes).unwrap().records).unwrap();
        // What the journal says was intended may exist: the reply could have been lost.
        for (key, _) in again.state.ledger.outstanding() {
            again.estate.0.lock().unwrap().things.insert(key.name.clone());
        }
        *again.disk.bytes.lock().unwrap() = bytes;
        let ran = again.run();
        assert_eq!(ran.state().finished, Some(Outcome::Passed), "cut after record {cut}");
        assert_eq!(ran.left(), 0, "cut after record {cut}");
        let twice = |id: &str| {
            let over = ran.records.iter().filter(
                |r| matches!(&r.event, Event::StepFinished { step, .. } if step.as_str() == id),
            );
            over.count() > 1
        };
        assert!(!["p", "a", "b", "c"].iter().any(|id| twice(id)), "cut after record {cut}");
    }
}

#[test]
fn regression_attempts_that_died_with_their_process_do_not_use_up_the_retries() {
    let disk = Disk::default();
    let with = |full_after, failures| {
        let mut rig = rig(vec![step("a", lasting(1))]).fails_at_first("a", failures);
        let contents = read_bytes(&disk.bytes.lock().unwrap());
        rig.state = contents.map(|c| RunState::of(&c.records).unwrap()).unwrap_or_default();
        rig.disk = Disk { full_after, ..disk.clone() };
        rig.run()
    };
    // Each process writes that an attempt begins, and dies.
    for writes in 1..=3 {
        assert!(with(Some(writes), 0).result.is_err());
    }
    let ran = with(None, 1);
    let begun = ran.records.iter().filter(|r| matches!(r.event, Event::StepStarted { .. }));
    assert_eq!((ran.outcome("a"), begun.count()), (Outcome::Passed, 5));
}

#[test]
fn a_step_is_never_both_running_and_over() {
    let ran = rig(vec![step("a", lasting(1)), step("b", lasting(2)).needs("a")]).run();
    let over = |s: &StepState| s.outcome().is_some();
    assert!(ran.state().steps.values().all(over));
    assert_eq!(ran.state().steps.len(), 2);
}
