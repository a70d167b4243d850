//! The engine and the guard: what a step may change, and from when on, with real calls into the sandbox.

use super::rig::{Nowhere, rig, start, step};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, HandInput, Phase, Registry, RunFacts, SiteUse,
    StepContext, StepError,
};
use crate::aws::{GuardPolicy, Place, SiteSession, failure_of};
use crate::client;
use crate::engine::{Drive, Keep, Opening, World, drive};
use crate::ids::{RunId, SiteName, StepId};
use crate::journal::{Event, Journal, Outcome, RunState, StepState};
use crate::sandbox::{self, Estate, endpoint};
use crate::time::Clock;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_rds::config::BehaviorVersion;
use aws_sdk_rds::types::Tag;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const ESTATE: &str = r#"
estate: 1
now: 2026-11-22T10:00:00Z
accounts: { "111111111111": {} }
places:
  - account: "111111111111"
    region: xx-test-1
    databases: [{ id: orders-db, snapshots: [{ id: before-migration, age: 3d }] }]
"#;

/// Restores a snapshot under a name, as the input says: what it intends, and whether it waits for that.
struct Restore;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// What it writes down as its intent.
    intends: String,
    /// Under which name it restores.
    restores: String,
    /// Whether it waits until the intent is on disk.
    waits: bool,
}

#[derive(Serialize, JsonSchema)]
struct Output {
    /// Nothing of interest.
    done: bool,
}

impl Action for Restore {
    type Input = Input;
    type Output = Output;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "test.work",
            title: "Restore",
            about: "",
            phase: Phase::Recover,
            site: SiteUse::Required,
            timeout: Duration::from_secs(3600),
            effect: Effect::Own,
            creates: &[],
            permissions: &[],
            checks: &[],
            populations: &[],
            proves: &[],
            exercised: Exercised { sandbox: true, servers: &[], aws: None },
        }
    }

    async fn run(&self, context: &StepContext, input: Input) -> Result<Output, StepError> {
        let site = context.site()?;
        let key = crate::journal::ResourceKey {
            kind: "rds.db_instance".to_owned(),
            name: input.intends.clone(),
            site: site.place().site.clone(),
        };
        let step = context.step.clone();
        let intent = context.recorder.record(Event::ResourceIntended { step, key });
        let tag = |(key, value): (String, String)| Tag::builder().key(key).value(value).build();
        let restore = async {
            let request = client!(site, aws_sdk_rds)
                .restore_db_instance_from_db_snapshot()
                .db_instance_identifier(&input.restores)
                .db_snapshot_identifier("before-migration")
                .set_tags(Some(context.tags().into_iter().map(tag).collect()));
            let answer = request.send().await;
            answer.map_err(|e| failure_of("rds:RestoreDBInstanceFromDBSnapshot", &e))
        };
        let restored = if input.waits {
            intent.await?;
            restore.await
        } else {
            // The intent is under way to the disk while the call is made.
            let (recorded, restored) = tokio::join!(intent, restore);
            recorded?;
            restored
        };
        restored.map_err(StepError::from)?;
        Ok(Output { done: true })
    }

    fn by_hand(&self, _: &HandInput) -> ByHand {
        ByHand::default()
    }
}

/// What a run with one such step left in the world, and how the step ended.
async fn ran(input: serde_json::Value) -> (BTreeMap<String, String>, RunState, Arc<GuardPolicy>) {
    let estate = Estate::read("estate.yaml", ESTATE).unwrap();
    let clock = Clock::simulated(estate.now);
    let simulated = sandbox::World::open(estate, clock.clone(), Vec::new());
    let policy = Arc::new(GuardPolicy::read_only());
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("xx-test-1"))
        .credentials_provider(SharedCredentialsProvider::new(simulated.credentials("111111111111")))
        .endpoint_url(endpoint("rds", "xx-test-1"))
        .http_client(simulated.connector())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(RetryConfig::disabled())
        .build();
    let site = SiteName::new("dr");
    let place = Place { site: site.clone(), account: None, region: "xx-test-1".to_owned() };
    let session = SiteSession::new(place, &config, policy.clone());
    let world = World {
        clock: clock.clone(),
        outside: Arc::new(Nowhere),
        sessions: Arc::new([(site, session)].into()),
        policy: policy.clone(),
        on_loss: Arc::new(|_, _| {}),
    };
    let plan = rig(vec![step("restore", input)]).plan;
    let facts = RunFacts {
        run: RunId::new("test-0001-abcdef"),
        scenario: "test".to_owned(),
        plan: plan.digest(),
        seed: 1,
        expires: clock.now() + chrono::TimeDelta::hours(12),
        started: clock.now(),
        operators: vec!["operator".to_owned()],
        withhold_data: false,
        is_drill: true,
        expected: Default::default(),
    };
    let mut registry = Registry::default();
    registry.action(Restore);
    let (_sender, orders) = tokio::sync::mpsc::unbounded_channel();
    let opening = vec![Opening::now(&world.clock, start(&plan, &facts))];
    let state = drive(Drive {
        plan: &plan,
        registry: &registry,
        world: &world,
        facts,
        journal: Journal::new(Vec::new()),
        state: RunState::default(),
        opening,
        unheard: Vec::new(),
        // Nothing knows how to remove it: it stays in the world for the test to see.
        keep: Keep::Nothing,
        orders,
        observer: &mut (),
    })
    .await
    .unwrap();
    (simulated.lasting_inventory(), state, policy)
}

fn has_instance(world: &BTreeMap<String, String>, name: &str) -> bool {
    world.keys().any(|thing| thing.contains(&format!(":db:{name}")) || thing.ends_with(name))
}

fn refusal(state: &RunState) -> String {
    match state.steps.values().next() {
        Some(StepState::Done(result)) => result.failure.clone().unwrap().message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_intended_and_is_on_disk_may_be_made() {
    let input = json!({ "intends": "redrill-a", "restores": "redrill-a", "waits": true });
    let (world, state, _) = ran(input).await;
    assert_eq!(state.outcome(&StepId::new("restore")), Some(Outcome::Passed));
    assert!(has_instance(&world, "redrill-a"), "{world:?}");
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_is_still_on_its_way_to_the_disk_lets_nothing_pass() {
    let input = json!({ "intends": "redrill-a", "restores": "redrill-a", "waits": false });
    let (world, state, _) = ran(input).await;
    assert_eq!(
        refusal(&state),
        "rds:RestoreDBInstanceFromDBSnapshot at dr was refused: rds.db_instance redrill-a is not in the ledger of the run"
    );
    assert_eq!(state.ledger.len(), 1, "the intent itself was written");
    assert!(!has_instance(&world, "redrill-a"), "{world:?}");
}

#[tokio::test(start_paused = true)]
async fn under_another_name_than_the_intended_nothing_is_made() {
    let input = json!({ "intends": "redrill-a", "restores": "orders-db-2", "waits": true });
    let (world, state, policy) = ran(input).await;
    assert!(refusal(&state).contains("rds.db_instance orders-db-2 is not in the ledger"));
    assert!(!has_instance(&world, "orders-db-2"), "{world:?}");
    assert!(format!("{policy:?}").contains("Nothing"), "after the run only reading is left");
}
