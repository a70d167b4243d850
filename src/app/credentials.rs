//! Where the credentials of a site come from: the default chain, and the role that is assumed with it.

use crate::aws::{AccountOf, CredentialsSource, RenewingCredentials};
use crate::ids::SiteName;
use crate::outside::{Secret, Secrets};
use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_async::time::SharedTimeSource;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// A role to assume.
#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) session_name: String,
    /// How long a session lasts; without it, an hour: a session of a role that was reached through another role (role
    /// chaining) cannot last longer (<https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html>).
    pub(super) length: Option<Duration>,
}

/// Reads the configuration anew.
pub(super) type LoadConfig = Arc<dyn Fn() -> BoxFuture<'static, SdkConfig> + Send + Sync>;

/// Credentials that are fetched again before they end, and from the beginning (files, environment, role) when they are
/// refused. All of them are known to `secrets` before anything is asked with them: those of a role, and those that it is
/// assumed with.
pub(super) fn renewing(
    site: SiteName,
    load: LoadConfig,
    role: Option<Role>,
    account_of: AccountOf,
    time: SharedTimeSource,
    secrets: &Secrets,
) -> RenewingCredentials {
    let secrets = secrets.clone();
    let source: CredentialsSource = Arc::new(move || {
        let (load, role, secrets) = (load.clone(), role.clone(), secrets.clone());
        Box::pin(async move { provider(load().await, role, &secrets).await })
    });
    RenewingCredentials::new(site, source, account_of, time)
}

async fn provider(
    base: SdkConfig,
    role: Option<Role>,
    secrets: &Secrets,
) -> Result<SharedCredentialsProvider, CredentialsError> {
    let own = base.credentials_provider().map(|own| learned(own, secrets));
    let Some(role) = role else {
        let none = || CredentialsError::not_loaded("the environment and the profiles name none");
        return own.ok_or_else(none);
    };
    let mut base = base.into_builder();
    base.set_credentials_provider(own);
    let base = base.build();
    let mut assuming = AssumeRoleProvider::builder(role.arn).session_name(role.session_name);
    if let Some(length) = role.length {
        assuming = assuming.session_length(length);
    }
    let assumed = assuming.configure(&base).build().await;
    Ok(learned(SharedCredentialsProvider::new(assumed), secrets))
}

/// The same credentials, whose keys and tokens are known as secrets from the moment on that they are fetched: a service, or
/// somebody in its place, may repeat them in an error.
pub(super) fn learned(
    inner: SharedCredentialsProvider,
    secrets: &Secrets,
) -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(LearningProvider { inner, secrets: secrets.clone() })
}

#[derive(Debug)]
struct LearningProvider {
    inner: SharedCredentialsProvider,
    secrets: Secrets,
}

impl ProvideCredentials for LearningProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let credentials = self.inner.provide_credentials().await?;
            let parts = [Some(credentials.secret_access_key()), credentials.session_token()];
            // AWS's own are longer. Shorter ones are made up for test servers, and would hide words of messages.
            for part in parts.into_iter().flatten().filter(|part| part.len() >= 16) {
                self.secrets.learn(&Secret::new(part));
            }
            Ok(credentials)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{GuardPolicy, Place, SiteSession};
    use crate::client;
    use crate::sandbox::{self, Estate};
    use crate::time::Clock;
    use aws_config::identity::IdentityCache;
    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::Credentials;
    use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
    use aws_smithy_types::retry::RetryConfig;

    const ESTATE: &str = "estate: 1
now: 2026-11-20T02:00:00Z
seed: 7
accounts: { \"222222222222\": { roles: [redrill-drill] } }
places:
  - { account: \"222222222222\", region: ap-northeast-3 }
";

    /// A site whose sessions last for a quarter of an hour, in a world with a fault.
    fn site(fault: &[&str]) -> (SiteSession, Clock) {
        let estate = Estate::read("trial.yaml", ESTATE).unwrap();
        let clock = Clock::simulated(estate.now);
        let faults = fault.iter().map(|fault| fault.parse().unwrap()).collect();
        let world = sandbox::World::open(estate, clock.clone(), faults);
        let time = SharedTimeSource::new(super::super::simulated::VirtualTime(clock.clone()));
        let base = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("ap-northeast-3"))
            .credentials_provider(SharedCredentialsProvider::new(world.credentials("000000000000")))
            .endpoint_url(sandbox::endpoint("sts", "ap-northeast-3"))
            .http_client(world.connector())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(time.clone())
            .retry_config(RetryConfig::disabled())
            .build();
        let role = Role {
            arn: "arn:aws:iam::222222222222:role/redrill-drill".into(),
            session_name: "redrill-orders-db-0001".into(),
            length: Some(Duration::from_secs(900)),
        };
        let loaded = base.clone();
        let load: LoadConfig = Arc::new(move || Box::pin(std::future::ready(loaded.clone())));
        let account_of: AccountOf =
            Arc::new(|_| Box::pin(std::future::ready(Ok("222222222222".to_owned()))));
        let secrets = Secrets::default();
        let site = SiteName::new("dr");
        let renewing = renewing(site, load, Some(role), account_of, time, &secrets);
        let config = base
            .into_builder()
            .identity_cache(IdentityCache::no_cache())
            .credentials_provider(SharedCredentialsProvider::new(renewing.clone()))
            .build();
        let place = Place {
            site: SiteName::new("dr"),
            account: Some("222222222222".into()),
            region: "ap-northeast-3".into(),
        };
        let session = SiteSession::new(place, &config, Arc::new(GuardPolicy::default()));
        (session.renewing(renewing), clock)
    }

    #[tokio::test]
    async fn regression_credentials_are_known_from_the_moment_on_that_they_are_fetched() {
        let (key, token) = ("key-of-forty-characters", "IQoJb3JpZ2luX2VjEXAMPLE");
        let own = Credentials::new("AK", key, Some(token.to_owned()), None, "test");
        let own = SharedCredentialsProvider::new(own);
        let base = SdkConfig::builder().credentials_provider(own).build();
        let secrets = Secrets::default();
        let provider = provider(base, None, &secrets).await.unwrap();
        assert!(secrets.is_empty());
        provider.provide_credentials().await.unwrap();
        assert_eq!(secrets.conceal(&format!("{key} {token}")), "<secret> <secret>");
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_of_a_quarter_of_an_hour_carry_a_drill_of_three_hours() {
        let (session, clock) = site(&[]);
        for minute in 0..180 {
            let client = client!(session, aws_sdk_rds);
            let answer = client.describe_db_instances().send().await;
            assert!(answer.is_ok(), "minute {minute}: {answer:?}");
            clock.sleep(Duration::from_secs(60)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_that_cannot_be_assumed_any_more_is_an_expiry_and_works_again_by_itself() {
        let (session, clock) = site(&["sts:AssumeRole=expired_credentials:10m..40m"]);
        let mut expired = 0;
        for minute in 0..60 {
            let client = client!(session, aws_sdk_rds);
            if let Err(error) = client.describe_db_instances().send().await {
                let failure = crate::aws::failure_of("rds:DescribeDBInstances", &error);
                let class = crate::journal::FailureClass::CredentialsExpired;
                assert_eq!(failure.class, class, "minute {minute}: {}", failure.message);
                assert_eq!(crate::aws::site_of(&error), Some(SiteName::new("dr")));
                expired += 1;
            }
            clock.sleep(Duration::from_secs(60)).await;
        }
        // From the end of the session that was there when it began (minute 15) until its end.
        assert!((24..=25).contains(&expired), "{expired}");
    }
}
