//! Sites in a simulated estate, reached through the same clients, with roles that are assumed as those of real sites are.
//!
//! Main function: [`sandboxed`]. What the estate does stands in `sandbox`.

use super::credentials;
use super::journal_store;
use super::world::{account_of, place, role_of};
use crate::action::Sessions;
use crate::aws::{GuardPolicy, Place, SiteSession};
use crate::engine::World;
use crate::error::{Error, Result};
use crate::ids::SiteName;
use crate::outside::Secrets;
use crate::sandbox::estate::AccountId;
use crate::sandbox::{self, EstateOutside};
use crate::scenario::Site;
use crate::time::Clock;
use aws_config::identity::IdentityCache;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::time::SystemTime;

/// Sites in a simulated estate, reached through `transport`: the estate's own connector, or one that watches it. The estate
/// may have been in use before, as when a run is gone on with; `clock` is that of this process. Sessions of assumed roles have
/// the name that comes with the sites.
///
/// # Errors
/// A role that cannot be named.
pub fn sandboxed(
    estate_world: &sandbox::World,
    transport: SharedHttpClient,
    (sites, session_name): (&BTreeMap<SiteName, Site>, &str),
    clock: Clock,
    policy: Arc<GuardPolicy>,
) -> Result<World> {
    let account = |site: &Site| {
        site.account.clone().unwrap_or_else(|| estate_world.some_account(&site.region))
    };
    let mut sessions = BTreeMap::new();
    let mut places = BTreeMap::new();
    for (name, site) in sites {
        let placed = Site { account: Some(account(site)), ..site.clone() };
        let base = base(estate_world, &transport, &placed, &clock);
        let role = role_of(&placed, session_name)?;
        sessions.insert(name.clone(), session(place(name, site), base, role, &policy));
        places.insert(name.clone(), (account(site), site.region.clone()));
    }
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
    Ok(World { clock, outside, sessions: Arc::new(sessions), policy, on_loss: Arc::new(on_loss) })
}

/// The configuration of whoever starts the run: somebody of the site's account or, where the site has a role, somebody who may do
/// nothing but assume it.
fn base(
    estate_world: &sandbox::World,
    transport: &SharedHttpClient,
    site: &Site,
    clock: &Clock,
) -> SdkConfig {
    let account = site.account.as_deref().filter(|_| site.role.is_none());
    let credentials = estate_world.credentials(account.unwrap_or(AccountId::CALLER));
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(site.region.clone()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        // One host for all services: the world knows them by their signatures, and S3 puts buckets before it.
        .endpoint_url(sandbox::endpoint("s3", &site.region))
        .http_client(transport.clone())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(SharedTimeSource::new(VirtualTime(clock.clone())))
        .retry_config(RetryConfig::disabled())
        .build()
}

/// As [`super::world::real_session`], with a configuration that never changes.
fn session(
    place: Place,
    base: SdkConfig,
    role: Option<credentials::Role>,
    policy: &Arc<GuardPolicy>,
) -> SiteSession {
    let Some((role, time)) = role.zip(base.time_source()) else {
        return SiteSession::new(place, &base, policy.clone());
    };
    let loaded = base.clone();
    let load: credentials::LoadConfig = Arc::new(move || Box::pin(ready(loaded.clone())));
    let account_of = account_of(place.clone(), base.clone(), policy.clone());
    let (site, secrets) = (place.site.clone(), Secrets::default());
    let renewing = credentials::renewing(site, load, Some(role), account_of, time, &secrets);
    let config = base
        .into_builder()
        .identity_cache(IdentityCache::no_cache())
        .credentials_provider(SharedCredentialsProvider::new(renewing.clone()))
        .build();
    SiteSession::new(place, &config, policy.clone()).renewing(renewing)
}

/// In a rehearsal the store is a bucket of the estate, reached as a site of its region would.
pub(super) fn sandboxed_store(
    sites: Option<&Sessions>,
    region: Option<&str>,
    policy: Arc<GuardPolicy>,
) -> Result<SiteSession> {
    let in_region =
        |session: &&SiteSession| region.is_none_or(|region| session.place().region == region);
    let like = sites.and_then(|sites| sites.values().find(in_region));
    let like = like.ok_or_else(|| {
        Error::bad_input("in a rehearsal, the store must be in the region of one of the sites")
            .help("add --store-region with the region of a site")
    })?;
    let region = like.place().region.clone();
    let place = Place { site: journal_store::site_name(), account: None, region };
    Ok(SiteSession::new(place, like.config(), policy))
}

/// The virtual clock for the SDK, which signs with it.
#[derive(Debug)]
pub(super) struct VirtualTime(pub(super) Clock);

impl TimeSource for VirtualTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}
