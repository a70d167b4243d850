//! The one composition root: real services, another endpoint, or the sandbox behind the same clients.

use super::runs::RunFolder;
use crate::aws::{GuardPolicy, Place, SiteSession};
use crate::engine::World;
use crate::error::{Error, Result};
use crate::ids::{RunId, SiteName};
use crate::journal::WorldKind;
use crate::outside::real::RealOutside;
use crate::plan::Plan;
use crate::sandbox::{self, Estate, EstateOutside, Fault};
use crate::scenario::Site;
use crate::time::Clock;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Which world a run takes place in, before it is opened.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// AWS.
    Real,
    /// A server at another address.
    Endpoint(String),
    /// The sandbox.
    Sandbox {
        /// What it simulates.
        estate: Box<Estate>,
        /// Faults from the command line.
        faults: Vec<Fault>,
    },
}

impl Target {
    /// As it stands in the journal.
    pub(super) fn kind(&self) -> WorldKind {
        match self {
            Self::Real => WorldKind::Real,
            Self::Endpoint(url) => WorldKind::Endpoint { url: url.clone() },
            Self::Sandbox { estate, .. } => WorldKind::Rehearsal { estate: estate.title.clone() },
        }
    }

    /// A runtime for one run: its time is paused in the sandbox, so that waiting costs nothing.
    pub(super) fn runtime(&self) -> Result<tokio::runtime::Runtime> {
        let paused = matches!(self, Self::Sandbox { .. });
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(paused)
            .build()
            .map_err(|e| Error::broken(format!("the runtime cannot be started: {e}")))
    }
}

/// Opens the world for a run. Must be called inside the runtime of [`Target::runtime`].
pub(super) async fn open(
    target: Target,
    plan: &Plan,
    run: &RunId,
    folder: &RunFolder,
) -> Result<World> {
    let policy = Arc::new(GuardPolicy::default());
    match target {
        Target::Sandbox { estate, faults } => {
            let clock = Clock::simulated(estate.now);
            let simulated = sandbox::World::open(*estate, clock.clone(), faults);
            Ok(sandboxed(&simulated, simulated.connector(), plan, clock, policy))
        }
        Target::Real => real(None, plan, run, folder, policy).await,
        Target::Endpoint(url) => real(Some(url), plan, run, folder, policy).await,
    }
}

fn place(name: &SiteName, site: &Site) -> Place {
    Place { site: name.clone(), account: site.account.clone(), region: site.region.clone() }
}

/// The sites of a plan in a simulated estate, reached through `transport`: the estate's own connector, or one that
/// watches it. The estate may have been in use before, as when a run is gone on with; `clock` is that of this process.
pub fn sandboxed(
    estate_world: &sandbox::World,
    transport: SharedHttpClient,
    plan: &Plan,
    clock: Clock,
    policy: Arc<GuardPolicy>,
) -> World {
    let sessions = plan.sites.iter().map(|(name, site)| {
        let account =
            site.account.clone().unwrap_or_else(|| estate_world.some_account(&site.region));
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(site.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(
                estate_world.credentials(&account),
            ))
            // One host for all services: the world knows them by their signatures, and S3 puts buckets before it.
            .endpoint_url(sandbox::endpoint("s3", &site.region))
            .http_client(transport.clone())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SharedTimeSource::new(VirtualTime(clock.clone())))
            .retry_config(RetryConfig::disabled())
            .build();
        (name.clone(), SiteSession::new(place(name, site), &config, policy.clone()))
    });
    let sessions: BTreeMap<_, _> = sessions.collect();
    let places: BTreeMap<SiteName, (String, String)> = plan
        .sites
        .iter()
        .map(|(name, site)| {
            let account =
                site.account.clone().unwrap_or_else(|| estate_world.some_account(&site.region));
            (name.clone(), (account, site.region.clone()))
        })
        .collect();
    let outside = Arc::new(EstateOutside::new(estate_world.clone()));
    let estate_world = estate_world.clone();
    let on_loss = move |sites: &[SiteName], lost: bool| {
        for (account, region) in sites.iter().filter_map(|site| places.get(site)) {
            if lost {
                estate_world.lose(account, region);
            } else {
                estate_world.regain(account, region);
            }
        }
    };
    World { clock, outside, sessions: Arc::new(sessions), policy, on_loss: Arc::new(on_loss) }
}

/// The virtual clock for the SDK, which signs with it.
#[derive(Debug)]
struct VirtualTime(Clock);

impl TimeSource for VirtualTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

async fn real(
    endpoint: Option<String>,
    plan: &Plan,
    run: &RunId,
    folder: &RunFolder,
    policy: Arc<GuardPolicy>,
) -> Result<World> {
    let clock = Clock::system();
    let mut sessions = BTreeMap::new();
    for (name, site) in &plan.sites {
        let config = real_config(endpoint.as_deref(), site, plan, run).await?;
        sessions.insert(name.clone(), SiteSession::new(place(name, site), &config, policy.clone()));
    }
    let outside = Arc::new(RealOutside::with_clock(&folder.path, clock.clone()));
    let on_loss = Arc::new(|_: &[SiteName], _: bool| {});
    Ok(World { clock, outside, sessions: Arc::new(sessions), policy, on_loss })
}

async fn real_config(
    endpoint: Option<&str>,
    site: &Site,
    plan: &Plan,
    run: &RunId,
) -> Result<SdkConfig> {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_secs(60))
        .operation_attempt_timeout(Duration::from_secs(120))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(site.region.clone()))
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::disabled());
    if let Some(url) = endpoint {
        loader = loader.endpoint_url(url);
    }
    let base = loader.load().await;
    let Some(role) = &site.role else { return Ok(base) };
    let arn = role_arn(role, site.account.as_deref())?;
    let provider = AssumeRoleProvider::builder(arn)
        .session_name(session_name(run, plan))
        .configure(&base)
        .build()
        .await;
    Ok(base.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build())
}

fn role_arn(role: &str, account: Option<&str>) -> Result<String> {
    if role.starts_with("arn:") {
        return Ok(role.to_owned());
    }
    let account = account.ok_or_else(|| {
        Error::bad_input(format!("the role {role:?} needs the site's account, or its whole ARN"))
    })?;
    Ok(format!("arn:aws:iam::{account}:role/{role}"))
}

/// Run and plan in the session's name: CloudTrail then holds them independently of this program. At most 64 characters.
fn session_name(run: &RunId, plan: &Plan) -> String {
    let digest = plan.digest().short(12);
    let mut name = format!("redrill-{run}");
    name.truncate(64 - digest.len() - 1);
    format!("{name}-{digest}")
}
