//! Credentials that are fetched anew when they end, and what is known of a site's credentials during a run.
//!
//! Main types: [`RenewingCredentials`] (the provider of a real site), [`SiteCredentials`] (worked, expired, waited for).
//! Who waits, and for how long, is decided by the retry layer of the steps.

use crate::ids::SiteName;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_async::time::SharedTimeSource;
use futures_util::future::BoxFuture;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Credentials are fetched anew when they would end within this time: a call that is under way when they end still
/// passes, and the next one does not have to find out.
const FETCHED_BEFORE_THEIR_END: Duration = Duration::from_secs(120);

/// Makes a provider from what the environment and the files say now: `aws sso login` and edited profiles count.
pub type CredentialsSource = Arc<
    dyn Fn() -> BoxFuture<'static, Result<SharedCredentialsProvider, CredentialsError>>
        + Send
        + Sync,
>;

/// Says which account credentials belong to.
pub type AccountOf =
    Arc<dyn Fn(Credentials) -> BoxFuture<'static, Result<String, CredentialsError>> + Send + Sync>;

/// The credentials of a site: kept until shortly before they end, then fetched anew, and at any time on request.
///
/// The SDK's own cache must be off in a configuration that uses it (`IdentityCache::no_cache()`): it would keep
/// credentials without an end for a quarter of an hour after they were replaced.
#[derive(Clone)]
pub struct RenewingCredentials {
    site: SiteName,
    source: CredentialsSource,
    time: SharedTimeSource,
    kept: Arc<tokio::sync::Mutex<Option<Kept>>>,
    forgotten: Arc<AtomicBool>,
    account_of: AccountOf,
    account: Arc<OnceLock<String>>,
}

struct Kept {
    provider: SharedCredentialsProvider,
    credentials: Credentials,
}

impl std::fmt::Debug for RenewingCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RenewingCredentials({})", self.site)
    }
}

/// Why there are no credentials, and for which site.
#[derive(Debug, thiserror::Error)]
#[error("the credentials of the site {site} cannot be had")]
pub(super) struct AtSite {
    pub(super) site: SiteName,
    source: CredentialsError,
}

/// Credentials that were renewed, and are not those of the account where the run has begun.
#[derive(Debug, thiserror::Error)]
#[error("the site is account {wanted}, and these credentials are those of {found}")]
pub(super) struct OtherAccount {
    wanted: String,
    found: String,
}

impl RenewingCredentials {
    /// Credentials of a site. `time` must be the time that calls are signed with.
    pub fn new(
        site: SiteName,
        source: CredentialsSource,
        account_of: AccountOf,
        time: SharedTimeSource,
    ) -> Self {
        let (kept, forgotten, account) = (Arc::default(), Arc::default(), Arc::default());
        Self { site, source, time, kept, forgotten, account_of, account }
    }

    /// From now on only credentials of this account count: in another one, all that a run has made looks as if it were gone.
    /// The account that is said first stays.
    pub fn pin_account(&self, account: &str) {
        let _ = self.account.set(account.to_owned());
    }

    /// Credentials that a provider gives now. Others than those that are `kept` may be those of another account, whether files
    /// were read again or the provider has renewed them by itself.
    async fn provided(
        &self,
        provider: &SharedCredentialsProvider,
        kept: Option<&Kept>,
    ) -> Result<Credentials, CredentialsError> {
        let credentials = provider.provide_credentials().await?;
        let same = |kept: &Kept| kept.credentials.access_key_id() == credentials.access_key_id();
        if !kept.is_some_and(same) {
            self.check_account(&credentials).await?;
        }
        Ok(credentials)
    }

    /// Refuses credentials that are those of another account.
    async fn check_account(&self, credentials: &Credentials) -> Result<(), CredentialsError> {
        let Some(wanted) = self.account.get() else { return Ok(()) };
        let found = (self.account_of)(credentials.clone()).await?;
        if found == *wanted {
            return Ok(());
        }
        Err(CredentialsError::provider_error(OtherAccount { wanted: wanted.clone(), found }))
    }

    /// From now on nothing that was fetched before is used: files and environment are read again.
    pub fn forget(&self) {
        self.forgotten.store(true, Ordering::SeqCst);
    }

    /// The credentials to sign with now. One fetches, the others wait for it.
    async fn fetch(&self) -> Result<Credentials, CredentialsError> {
        let mut kept = self.kept.lock().await;
        if self.forgotten.swap(false, Ordering::SeqCst) {
            *kept = None;
        }
        let now = self.time.now();
        let soon = now + FETCHED_BEFORE_THEIR_END;
        let provider = match &*kept {
            Some(kept) if kept.credentials.expiry().is_none_or(|end| end > soon) => {
                return Ok(kept.credentials.clone());
            }
            Some(kept) => kept.provider.clone(),
            None => (self.source)().await?,
        };
        match self.provided(&provider, kept.as_ref()).await {
            Ok(credentials) => {
                *kept = Some(Kept { provider, credentials: credentials.clone() });
                Ok(credentials)
            }
            Err(error) => {
                // Those that are there are good until their end.
                let good = |kept: &&Kept| kept.credentials.expiry().is_some_and(|end| end > now);
                let kept = kept.as_ref().filter(good);
                kept.map(|kept| kept.credentials.clone()).ok_or(error)
            }
        }
    }
}

impl ProvideCredentials for RenewingCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let at_site =
            |source| CredentialsError::provider_error(AtSite { site: self.site.clone(), source });
        future::ProvideCredentials::new(async move { self.fetch().await.map_err(at_site) })
    }
}

/// What a run knows of the credentials of one site, shared by all its steps. Times are those of the run's clock since its
/// beginning.
#[derive(Default)]
pub struct SiteCredentials {
    worked: AtomicBool,
    turn: tokio::sync::Mutex<()>,
    waits: Mutex<Waits>,
}

#[derive(Default)]
struct Waits {
    renewed_at: Option<Duration>,
    waiting_since: Option<Duration>,
    waited: Duration,
    patience: Option<Duration>,
}

impl SiteCredentials {
    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call was answered as wished.
    pub(super) fn note_success(&self) {
        self.worked.store(true, Ordering::Relaxed);
    }

    /// True once a call to the site has succeeded in this process.
    pub fn worked(&self) -> bool {
        self.worked.load(Ordering::Relaxed)
    }

    /// Waits until nobody else finds out whether the credentials work again: one call asks, the others wait for it.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Whether they were seen to work again at or after a time.
    pub fn renewed_since(&self, time: Duration) -> bool {
        self.waits().renewed_at.is_some_and(|at| at >= time)
    }

    /// They are expired, and waited for from `now` on, until the answer is dropped.
    pub fn expired(&self, now: Duration) {
        self.waits().waiting_since.get_or_insert(now);
    }

    /// Nobody waits any more: they work again, or whoever asked gave up.
    pub fn no_longer_waited_for(&self, now: Duration, renewed: bool) {
        let mut waits = self.waits();
        if let Some(since) = waits.waiting_since.take() {
            waits.waited += now.saturating_sub(since);
        }
        if renewed {
            waits.renewed_at = Some(now);
        }
    }

    /// How long the site's credentials were waited for until `now`.
    pub fn waited(&self, now: Duration) -> Duration {
        let waits = self.waits();
        let open = waits.waiting_since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        waits.waited + open
    }

    /// From now on they are waited for at most this long in all; without this, as long as the step's limit lets it.
    pub fn limit_patience(&self, patience: Duration) {
        self.waits().patience = Some(patience);
    }

    /// The next pause of a wait, at most `wish`; `None` when patience is at its end.
    pub fn take_pause(&self, wish: Duration) -> Option<Duration> {
        let mut waits = self.waits();
        let Some(left) = waits.patience else { return Some(wish) };
        let pause = wish.min(left);
        waits.patience = Some(left - pause);
        (!pause.is_zero()).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_async::time::TimeSource;
    use std::sync::atomic::AtomicU64;
    use std::time::SystemTime;

    #[derive(Clone, Debug, Default)]
    struct Seconds(Arc<AtomicU64>);

    impl TimeSource for Seconds {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::SeqCst))
        }
    }

    /// Credentials that last for a quarter of an hour, numbered.
    fn counted(time: &Seconds) -> (RenewingCredentials, Arc<AtomicU64>) {
        let made = Arc::new(AtomicU64::new(0));
        let (count, clock) = (made.clone(), time.clone());
        let source: CredentialsSource = Arc::new(move || {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let end = clock.now() + Duration::from_secs(900);
            let made = Credentials::new(format!("AK{number}"), "s", None, Some(end), "test");
            Box::pin(async move { Ok(SharedCredentialsProvider::new(made)) })
        });
        let time = SharedTimeSource::new(time.clone());
        // The account is the number of the credentials, modulo two.
        let account_of: AccountOf = Arc::new(|credentials| {
            let number: u64 = credentials.access_key_id()[2..].parse().unwrap();
            Box::pin(std::future::ready(Ok((number % 2).to_string())))
        });
        (RenewingCredentials::new(SiteName::new("dr"), source, account_of, time), made)
    }

    #[tokio::test]
    async fn regression_renewed_credentials_of_another_account_are_not_used() {
        let (credentials, _) = counted(&Seconds::default());
        assert_eq!(credentials.fetch().await.unwrap().access_key_id(), "AK0");
        credentials.pin_account("0");
        credentials.forget();
        let error = credentials.fetch().await.unwrap_err();
        let why = format!("{}", aws_smithy_types::error::display::DisplayErrorContext(&error));
        assert!(
            why.contains("the site is account 0, and these credentials are those of 1"),
            "{why}"
        );
        assert_eq!(credentials.fetch().await.unwrap().access_key_id(), "AK2", "asked for again");
    }

    /// As an assumed role does, or a program that a profile names: the provider stays, and what it gives changes.
    #[derive(Debug, Default)]
    struct ByItself(AtomicU64);

    impl ProvideCredentials for ByItself {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            let end = SystemTime::UNIX_EPOCH + Duration::from_secs(900 * (number + 1));
            let given = Credentials::new(format!("AK{number}"), "s", None, Some(end), "test");
            future::ProvideCredentials::ready(Ok(given))
        }
    }

    #[tokio::test]
    async fn regression_what_a_provider_renews_by_itself_is_held_to_the_account_too() {
        let time = Seconds::default();
        let (mut credentials, _) = counted(&time);
        let provider = SharedCredentialsProvider::new(ByItself::default());
        credentials.source = Arc::new(move || Box::pin(std::future::ready(Ok(provider.clone()))));
        assert_eq!(credentials.fetch().await.unwrap().access_key_id(), "AK0");
        credentials.pin_account("0");
        // Shortly before their end, those that are there are still good, and those of the other account are not taken.
        time.0.store(850, Ordering::SeqCst);
        assert_eq!(credentials.fetch().await.unwrap().access_key_id(), "AK0");
        assert_eq!(credentials.fetch().await.unwrap().access_key_id(), "AK2");
        time.0.store(2700, Ordering::SeqCst);
        credentials.fetch().await.unwrap_err();
    }

    #[tokio::test]
    async fn credentials_are_kept_until_they_are_to_be_forgotten() {
        let time = Seconds::default();
        let (credentials, made) = counted(&time);
        for _ in 0..10 {
            credentials.fetch().await.unwrap();
        }
        assert_eq!(made.load(Ordering::SeqCst), 1);
        credentials.forget();
        assert_eq!(credentials.fetch().await.unwrap().access_key_id(), "AK1");
        assert_eq!(credentials.fetch().await.unwrap().access_key_id(), "AK1");
    }

    #[test]
    fn waiting_is_counted_once_however_many_wait() {
        let site = SiteCredentials::default();
        let at = Duration::from_secs;
        site.expired(at(10));
        site.expired(at(20));
        assert_eq!(site.waited(at(40)), at(30));
        site.no_longer_waited_for(at(50), true);
        site.no_longer_waited_for(at(60), false);
        assert_eq!(site.waited(at(100)), at(40));
        assert!(site.renewed_since(at(50)) && !site.renewed_since(at(51)));
    }

    #[test]
    fn patience_ends_when_all_of_it_was_taken() {
        let site = SiteCredentials::default();
        let at = Duration::from_secs;
        assert_eq!(site.take_pause(at(30)), Some(at(30)));
        site.limit_patience(at(50));
        assert_eq!(site.take_pause(at(30)), Some(at(30)));
        assert_eq!(site.take_pause(at(30)), Some(at(20)));
        assert_eq!(site.take_pause(at(30)), None);
    }
}
