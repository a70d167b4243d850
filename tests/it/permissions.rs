//! The permissions that actions declare, against the calls that go over the wire in every shipped scenario, in every
//! estate that is shipped with it, in both modes: what is called is declared, and what is declared is called, or stands
//! in a table with the reason why not.

use crate::program::repository;
use crate::rehearsals::yaml_files;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::retry::RetryConfig;
use redrill::action::RunFacts;
use redrill::aws::{GuardPolicy, Place, SiteSession};
use redrill::engine::{Drive, Keep, Opening, World, drive};
use redrill::iam::{actions_of, never_called};
use redrill::ids::{RunId, SiteName};
use redrill::journal::{Event, FORMAT, Journal, RunState, WorldKind};
use redrill::plan::{self, Options, Plan, RunMode};
use redrill::providers;
use redrill::sandbox::{self, Estate, EstateOutside};
use redrill::time::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// IAM actions by site: of calls, or of declarations.
type BySite = BTreeSet<(String, String)>;

/// The calls that a site's clients send, releasing included.
#[derive(Clone, Debug)]
struct Listening {
    inner: SharedHttpClient,
    site: SiteName,
    heard: Arc<Mutex<BySite>>,
}

#[derive(Debug)]
struct ListeningConnector(SharedHttpConnector, Listening);

impl HttpClient for Listening {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(ListeningConnector(inner, self.clone()))
    }
}

impl HttpConnector for ListeningConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let call = (self.1.site.to_string(), name_of(&request));
        self.1.heard.lock().unwrap().insert(call);
        self.0.call(request)
    }
}

/// The call, as the guard names it. The service is in the scope of the signature.
fn name_of(request: &HttpRequest) -> String {
    let signature = request.headers().get("authorization").unwrap();
    let service = signature.split('/').nth(3).unwrap();
    let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
    let operation = match service {
        "s3" => sandbox::s3::operation_name(request).unwrap().to_owned(),
        // https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
        "monitoring" => request.uri().rsplit('/').next().unwrap().to_owned(),
        "kms" | "secretsmanager" => request
            .headers()
            .get("x-amz-target")
            .unwrap()
            .split('.')
            .next_back()
            .unwrap()
            .to_owned(),
        _ => {
            let action = body.split('&').find_map(|pair| pair.strip_prefix("Action="));
            action.unwrap().to_owned()
        }
    };
    let service = if service == "monitoring" { "cloudwatch" } else { service };
    format!("{service}:{operation}")
}

#[derive(Debug)]
struct VirtualTime(Clock);

impl TimeSource for VirtualTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

fn plan_of(scenario: &str, mode: RunMode) -> Plan {
    let registry = providers::registry();
    let path = repository(&format!("scenarios/{scenario}.yaml"));
    let loaded = redrill::scenario::load(&path, &registry);
    let options = Options { mode, ..Options::default() };
    plan::compile(&loaded.scenario.unwrap(), loaded.source.digest(), &registry, options).unwrap()
}

fn declared(plan: &Plan) -> BySite {
    let grants = plan::grants(plan, &providers::registry());
    grants.iter().map(|g| (g.grant.site.to_string(), g.grant.action.to_owned())).collect()
}

/// The world of an estate, its wires listened to.
fn open(estate: Estate, plan: &Plan, heard: &Arc<Mutex<BySite>>) -> World {
    let clock = Clock::simulated(estate.now);
    let world = sandbox::World::open(estate, clock.clone(), Vec::new());
    let policy = Arc::new(GuardPolicy::default());
    let session = |(name, site): (&SiteName, &redrill::scenario::Site)| {
        let account = site.account.clone().unwrap();
        let listening =
            Listening { inner: world.connector(), site: name.clone(), heard: heard.clone() };
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(site.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(world.credentials(&account)))
            .endpoint_url(sandbox::endpoint("s3", &site.region))
            .http_client(SharedHttpClient::new(listening))
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SharedTimeSource::new(VirtualTime(clock.clone())))
            .retry_config(RetryConfig::disabled())
            .build();
        let place =
            Place { site: name.clone(), account: Some(account), region: site.region.clone() };
        (name.clone(), SiteSession::new(place, &config, policy.clone()))
    };
    let sessions: BTreeMap<_, _> = plan.sites.iter().map(session).collect();
    World {
        clock,
        outside: Arc::new(EstateOutside::new(world)),
        sessions: Arc::new(sessions),
        policy,
        on_loss: Arc::new(|_: &[SiteName], _: bool| {}),
    }
}

/// Runs a plan in an estate to its end, releasing included; gives the calls.
fn calls_of(plan: &Plan, estate: Estate, keep: Keep) -> BySite {
    let heard = Arc::new(Mutex::new(BySite::new()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let state = runtime.block_on(async {
        let seed = estate.seed;
        let world = open(estate, plan, &heard);
        let started = world.clock.now();
        let facts = RunFacts {
            operators: vec!["operator".to_owned()],
            run: RunId::new(format!("{}-0001-abcdef", plan.name)),
            scenario: plan.name.clone(),
            plan: plan.digest(),
            seed,
            expires: started + chrono::TimeDelta::hours(12),
            started,
            withhold_data: false,
            is_drill: true,
            expected: Default::default(),
        };
        let opening = Event::RunStarted {
            format: FORMAT,
            run: facts.run.clone(),
            number: 1,
            scenario: plan.name.clone(),
            plan: facts.plan,
            scenario_digest: plan.scenario_digest,
            mode: plan.mode.clone(),
            world: WorldKind::Rehearsal { estate: "listened to".to_owned() },
            tool: "test".to_owned(),
            operator: "test".to_owned(),
            seed,
            expires: started + chrono::TimeDelta::hours(12),
            keep: None,
            deviations: Vec::new(),
            limits: Vec::new(),
        };
        let (_ending, orders) = tokio::sync::mpsc::unbounded_channel();
        let registry = providers::registry();
        drive(Drive {
            plan,
            registry: &registry,
            world: &world,
            facts,
            journal: Journal::new(Vec::new()),
            state: RunState::default(),
            opening: vec![Opening::now(&world.clock, opening)],
            unheard: Vec::new(),
            keep,
            orders,
            observer: &mut (),
        })
        .await
        .unwrap()
    });
    assert!(state.finished.is_some());
    let heard = heard.lock().unwrap();
    heard.clone()
}

/// Declared, and not called in any shipped scenario and estate: why it is declared all the same. What AWS asks for
/// besides a call (`kms:CreateGrant` …) is said in the table of IAM actions.
const NEVER_CALLED: &[(&str, &str)] =
    &[("rds:ListTagsForResource", "only where RDS describes an instance without its tags")];

#[test]
fn every_call_on_the_wire_is_declared_and_every_declaration_is_used() {
    let mut all_declared = BySite::new();
    let mut all_called = BySite::new();
    let mut runs = 0;
    for scenario in yaml_files("scenarios") {
        for mode in [RunMode::Drill, RunMode::Recovery] {
            let plan = plan_of(&scenario, mode);
            let declared = declared(&plan);
            let estates = yaml_files("scenarios/estates");
            let mut called = BySite::new();
            for name in estates.iter().filter(|e| e.split('.').next() == Some(&scenario)) {
                let path = repository(&format!("scenarios/estates/{name}.yaml"));
                let text = std::fs::read_to_string(&path).unwrap();
                let estate = Estate::read(&path.display().to_string(), &text).unwrap();
                // Also what a recovery keeps is removed here, so that removing it is seen; and what `--keep` writes on it.
                let kept = Keep::For(Duration::from_secs(3600));
                let mut calls = calls_of(&plan, estate.clone(), Keep::Nothing);
                if *name == scenario {
                    calls.extend(calls_of(&plan, estate, kept));
                }
                for (site, call) in calls {
                    let wanted = actions_of(&call);
                    let may =
                        |action: &&str| declared.contains(&(site.clone(), (*action).to_owned()));
                    assert!(
                        wanted.is_empty() || wanted.iter().any(&may),
                        "{scenario} in {name}: {call} at {site} is not declared"
                    );
                    let used = wanted.into_iter().filter(&may);
                    called.extend(used.map(|action| (site.clone(), action.to_owned())));
                }
                runs += 1;
            }
            let of_scenario = |set: BySite| -> BySite {
                set.into_iter()
                    .map(|(site, action)| (format!("{scenario} {site}"), action))
                    .collect()
            };
            all_declared.extend(of_scenario(declared));
            all_called.extend(of_scenario(called));
        }
    }
    assert!(runs > 50, "only {runs} runs");
    let listed: BTreeSet<&str> = NEVER_CALLED.iter().map(|(action, _)| *action).collect();
    let unused: BTreeSet<String> = all_declared
        .difference(&all_called)
        .filter(|(_, action)| !never_called(action) && !listed.contains(action.as_str()))
        .map(|(site, action)| format!("{action} at {site}"))
        .collect();
    assert!(unused.is_empty(), "declared, and never called: {unused:#?}");
    for action in listed {
        let called = all_called.iter().any(|(_, called)| called == action);
        assert!(!called, "{action} is called after all: strike it from the table");
    }
}
