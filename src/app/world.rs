//! The one composition root: real services, another endpoint, or the sandbox behind the same clients.

use super::credentials::{self, Role, learned};
use super::journal_store::{self, StoreUrl};
use super::runs::RunFolder;
use super::simulated::{sandboxed, sandboxed_store};
use crate::action::Sessions;
use crate::aws::{self, AccountOf, GuardPolicy, Place, SiteSession};
use crate::client;
use crate::engine::World;
use crate::error::{Error, Result};
use crate::ids::{RunId, SiteName};
use crate::journal::WorldKind;
use crate::outside::real::{RealOutside, RunIdentity};
use crate::outside::{Outside, Secrets};
use crate::partition::Partition;
use crate::plan::Plan;
use crate::sandbox::{self, Estate, Fault};
use crate::scenario::Site;
use crate::time::Clock;
use aws_config::identity::IdentityCache;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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

    /// What a run there shows AWS; nothing in a rehearsal.
    ///
    /// # Errors
    /// A role that cannot be named.
    pub(super) fn identity(&self, sites: &BTreeMap<SiteName, Site>) -> Result<Option<RunIdentity>> {
        match self {
            Self::Sandbox { .. } => Ok(None),
            Self::Real => run_identity(sites, None, &Secrets::default()).map(Some),
            Self::Endpoint(url) => {
                run_identity(sites, Some(url.clone()), &Secrets::default()).map(Some)
            }
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
    open_sites(target, &plan.sites, &session_name(run, plan), &folder.path).await
}

/// Opens the world for some sites. `session_name` is that of assumed roles; `folder` is where people answer.
pub(super) async fn open_sites(
    target: Target,
    sites: &BTreeMap<SiteName, Site>,
    session_name: &str,
    folder: &Path,
) -> Result<World> {
    // Until the run begins, and once it is over, nothing may be changed.
    let policy = Arc::new(GuardPolicy::read_only());
    match target {
        Target::Sandbox { estate, faults } => {
            let clock = Clock::simulated(estate.now);
            let simulated = sandbox::World::open(*estate, clock.clone(), faults);
            sandboxed(&simulated, simulated.connector(), (sites, session_name), clock, policy)
        }
        Target::Real => real(None, sites, session_name, folder, policy).await,
        Target::Endpoint(url) => real(Some(url), sites, session_name, folder, policy).await,
    }
}

pub(super) fn place(name: &SiteName, site: &Site) -> Place {
    Place { site: name.clone(), account: site.account.clone(), region: site.region.clone() }
}

/// The session for the journal's store: the default credentials, and nothing may be changed with it but objects below the
/// store's own prefix. `sites` are those of the opened world, if there is one. Its credentials are known to `secrets` from the
/// moment on that they are used.
pub(super) async fn store_session(
    target: &Target,
    sites: Option<&Sessions>,
    url: &StoreUrl,
    region: Option<&str>,
    secrets: &Secrets,
) -> Result<SiteSession> {
    let policy = Arc::new(GuardPolicy::storing(&url.place()));
    let site = journal_store::site_name();
    let endpoint = match target {
        Target::Sandbox { .. } => return sandboxed_store(sites, region, policy),
        Target::Real => None,
        Target::Endpoint(url) => Some(url.clone()),
    };
    let region = match region {
        Some(region) => region.to_owned(),
        None => default_region().await?,
    };
    let place = Place { site, account: None, region };
    real_session(endpoint, place, None, &policy, secrets).await
}

async fn default_region() -> Result<String> {
    let region = load_config(None, None, https()).await.region().map(ToString::to_string);
    region.ok_or_else(|| {
        Error::bad_input("neither the environment nor the profile names a region for the store")
            .help("add --store-region")
    })
}

async fn real(
    endpoint: Option<String>,
    sites: &BTreeMap<SiteName, Site>,
    session_name: &str,
    folder: &Path,
    policy: Arc<GuardPolicy>,
) -> Result<World> {
    let clock = Clock::system();
    let outside = RealOutside::with_clock(folder, clock.clone());
    let identity = run_identity(sites, endpoint.clone(), &outside.secrets())?;
    let outside = Arc::new(outside.identified(identity));
    let mut sessions = BTreeMap::new();
    for (name, site) in sites {
        let role = role_of(site, session_name)?;
        let (endpoint, place) = (endpoint.clone(), place(name, site));
        let session = real_session(endpoint, place, role, &policy, &outside.secrets()).await?;
        sessions.insert(name.clone(), session);
    }
    let on_loss = Arc::new(|_: &[SiteName], _: bool| {});
    Ok(World { clock, outside, sessions: Arc::new(sessions), policy, on_loss })
}

/// A session at AWS's own endpoints, or at another one. Its credentials are fetched anew when they end or are refused, and
/// known to `secrets` from the moment on that they are used.
pub(super) async fn real_session(
    endpoint: Option<String>,
    place: Place,
    role: Option<Role>,
    policy: &Arc<GuardPolicy>,
    secrets: &Secrets,
) -> Result<SiteSession> {
    let http = https();
    let region = place.region.clone();
    let of_aws = endpoint.is_none();
    let load = move || -> BoxFuture<'static, SdkConfig> {
        Box::pin(load_config(endpoint.clone(), Some(region.clone()), http.clone()))
    };
    let config = load().await;
    if of_aws && config.endpoint_url().is_some() {
        return Err(endpoint_from_elsewhere());
    }
    let time = SharedTimeSource::new(SystemTimeSource::new());
    let account_of = account_of(place.clone(), config.clone(), policy.clone());
    let (site, load) = (place.site.clone(), Arc::new(load));
    let renewing = credentials::renewing(site, load, role, account_of, time, secrets);
    let config = config
        .into_builder()
        .identity_cache(IdentityCache::no_cache())
        .credentials_provider(SharedCredentialsProvider::new(renewing.clone()))
        .build();
    Ok(SiteSession::new(place, &config, policy.clone()).renewing(renewing))
}

/// Asks STS whose credentials are.
pub(super) fn account_of(place: Place, config: SdkConfig, policy: Arc<GuardPolicy>) -> AccountOf {
    Arc::new(move |credentials| {
        let provider = SharedCredentialsProvider::new(credentials);
        let config = config.clone().into_builder().credentials_provider(provider).build();
        let session = SiteSession::new(place.clone(), &config, policy.clone());
        Box::pin(async move {
            let client = client!(session, aws_sdk_sts);
            let answer = client.get_caller_identity().send().await;
            let answer = answer.map_err(CredentialsError::provider_error)?;
            Ok(answer.account().unwrap_or_default().to_owned())
        })
    })
}

/// What environment and files say now.
async fn load_config(
    endpoint: Option<String>,
    region: Option<String>,
    http: SharedHttpClient,
) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_secs(60))
        .operation_attempt_timeout(Duration::from_secs(120))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(aws::limited(http))
        .timeout_config(timeouts)
        .retry_config(RetryConfig::disabled());
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let Some(url) = endpoint {
        loader = loader.endpoint_url(url);
    }
    loader.load().await
}

/// The journal must say where a run took place: a run elsewhere is no evidence of recovery on AWS.
fn endpoint_from_elsewhere() -> Error {
    let text = "AWS_ENDPOINT_URL, or endpoint_url in the AWS profile, sends calls elsewhere than to AWS; nothing has happened";
    Error::refused(text).help(
        "give the address with --endpoint-url, so that the report says it, or remove the setting",
    )
}

/// Who the run is before it assumes any role.
fn run_identity(
    sites: &BTreeMap<SiteName, Site>,
    endpoint: Option<String>,
    secrets: &Secrets,
) -> Result<RunIdentity> {
    let with_role = sites.values().filter_map(|site| Some((site.role.as_deref()?, site)));
    let roles = with_role.map(|(role, site)| role_arn(role, site)).collect::<Result<_>>()?;
    let own = SharedCredentialsProvider::new(OwnCredentials { endpoint: endpoint.clone() });
    Ok(RunIdentity { credentials: learned(own, secrets), roles, endpoint })
}

/// Those of whoever runs this process, read when they are asked for.
#[derive(Debug)]
struct OwnCredentials {
    endpoint: Option<String>,
}

impl ProvideCredentials for OwnCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let loaded = load_config(self.endpoint.clone(), None, https()).await;
            let none =
                || CredentialsError::not_loaded("the environment and the profiles name none");
            loaded.credentials_provider().ok_or_else(none)?.provide_credentials().await
        })
    }
}

/// The credentials of whoever runs this process, to show who that is.
pub(super) async fn own_credentials(endpoint: Option<String>) -> Result<Credentials> {
    OwnCredentials { endpoint }.provide_credentials().await.map_err(|e| {
        let text = format!("you have no AWS credentials here: {}", DisplayErrorContext(&e));
        Error::broken(text).help("aws sts get-caller-identity says whether you have some")
    })
}

fn https() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

/// The role that is assumed for a site, in a session of this name.
pub(super) fn role_of(site: &Site, session_name: &str) -> Result<Option<Role>> {
    let Some(role) = &site.role else { return Ok(None) };
    let (arn, session_name) = (role_arn(role, site)?, session_name.to_owned());
    Ok(Some(Role { arn, session_name, length: None }))
}

fn role_arn(role: &str, site: &Site) -> Result<String> {
    if role.starts_with("arn:") {
        return Ok(role.to_owned());
    }
    let account = site.account.as_deref().ok_or_else(|| {
        Error::bad_input(format!("the role {role:?} needs the site's account, or its whole ARN"))
    })?;
    Ok(format!("arn:{}:iam::{account}:role/{role}", Partition::of(&site.region).name))
}

/// Run and plan in the session's name: CloudTrail then holds them independently of this program. At most 64 characters.
fn session_name(run: &RunId, plan: &Plan) -> String {
    let digest = plan.digest().short(12);
    let mut name = format!("redrill-{run}");
    name.truncate(64 - digest.len() - 1);
    format!("{name}-{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arn_of_a_role_is_one_of_the_partition_of_its_region() {
        for (region, arn) in [
            ("eu-west-1", "arn:aws:iam::111111111111:role/drill"),
            ("cn-north-1", "arn:aws-cn:iam::111111111111:role/drill"),
            ("us-gov-west-1", "arn:aws-us-gov:iam::111111111111:role/drill"),
        ] {
            let account = Some("111111111111".to_owned());
            let site = Site { account, region: region.to_owned(), role: Some("drill".to_owned()) };
            assert_eq!(role_arn("drill", &site).unwrap(), arn);
            assert_eq!(role_arn("arn:aws:iam::2:role/x", &site).unwrap(), "arn:aws:iam::2:role/x");
        }
    }
}
