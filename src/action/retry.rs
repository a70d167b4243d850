use super::{StepContext, StepError};
use crate::aws::{SiteSession, is_expiry};
use crate::ids::SiteName;
use crate::journal::{Event, FailureClass};
use crate::time::{HumanDuration, RetryPolicy};
use std::future::Future;
use std::time::Duration;
use tokio::sync::MutexGuard;

/// How calls are tried again: five attempts over at most about a quarter of a minute.
fn policy() -> RetryPolicy {
    RetryPolicy {
        attempts: 5,
        pause: Duration::from_secs(1).into(),
        longest: Duration::from_secs(20).into(),
    }
}

/// How often expired credentials are tried: often enough that a person sees the drill go on, and one call each time.
const CREDENTIALS_TRIED_EVERY: Duration = Duration::from_secs(30);

/// An attempt that failed, and the site it was made to, where the failure tells.
pub(super) struct FailedCall {
    pub(super) error: StepError,
    pub(super) site: Option<SiteName>,
}

/// The one retry layer for calls. What may pass is tried again, with seeded full jitter, as long as the site's retry budget
/// lasts; expired credentials are waited for.
pub(super) async fn with_retries<T, F>(
    context: &StepContext,
    operation: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T, StepError>
where
    F: Future<Output = Result<T, FailedCall>>,
{
    let what = format!("{}/{operation}", context.step);
    let mut schedule = policy().schedule(context.facts.seed, &what).full_jitter();
    let mut waiting: Option<Waiting<'_>> = None;
    let mut paid = None;
    loop {
        let began = context.clock.elapsed();
        let failed = match attempt().await {
            Ok(value) => {
                if let Some(waiting) = waiting {
                    waiting.end(true).await?;
                }
                if let Some((session, price)) = paid {
                    let _: &SiteSession = session;
                    session.budget().refund(operation, price);
                }
                return Ok(value);
            }
            Err(failed) => failed,
        };
        let session = failed.site.as_ref().or(context.at.as_ref());
        let session = session.and_then(|site| context.sessions.get(site));
        let error = failed.error;
        if let Some(session) = session.filter(|session| has_expired(&error, session)) {
            match &mut waiting {
                None => waiting = Waiting::turn(context, session, began).await,
                Some(waiting) => waiting.once_more(&error).await?,
            }
            continue;
        }
        if let Some(waiting) = waiting.take() {
            waiting.end(true).await?;
        }
        if !error.class().may_pass() {
            return Err(error);
        }
        let Some(pause) = schedule.next_pause() else { return Err(error) };
        if let Some(session) = session {
            let throttled = error.class() == FailureClass::Throttled;
            let Some(price) = session.budget().pay(operation, throttled) else {
                let site = &session.place().site;
                return Err(error.noting(&format!(
                    "not tried again: so many calls to this service at {site} have failed that its retries are used up"
                )));
            };
            paid = Some((session, price));
        }
        context.progress(&format!("{operation}: {error}; again in {:.1} s", pause.as_secs_f64()));
        context.clock.sleep(pause).await;
    }
}

fn has_expired(error: &StepError, session: &SiteSession) -> bool {
    is_expiry((error.class(), error.code()), session.credentials().worked())
}

/// The one call of a site that finds out whether expired credentials work again, while the others wait for it.
struct Waiting<'a> {
    context: &'a StepContext,
    session: &'a SiteSession,
    since: Duration,
    announced: bool,
    _turn: MutexGuard<'a, ()>,
}

impl<'a> Waiting<'a> {
    /// Fetches the credentials anew and takes the turn to try them. `None` when somebody else has seen them work since
    /// `began`: then there is nothing to wait for.
    async fn turn(
        context: &'a StepContext,
        session: &'a SiteSession,
        began: Duration,
    ) -> Option<Self> {
        let turn = session.credentials().turn().await;
        if session.credentials().renewed_since(began) {
            return None;
        }
        session.renew_credentials();
        Some(Self { context, session, since: began, announced: false, _turn: turn })
    }

    /// They were tried again and are still expired: says so, the first time to the journal, and pauses.
    async fn once_more(&mut self, error: &StepError) -> Result<(), StepError> {
        let site = self.session.place().site.clone();
        if !self.announced {
            self.announced = true;
            self.session.credentials().expired(self.since);
            let (step, message) = (self.context.step.clone(), error.to_string());
            let event = Event::CredentialsExpired { step, site: site.clone(), message };
            self.context.recorder.record(event).await?;
        }
        let waited = self.context.clock.elapsed().saturating_sub(self.since);
        let waited = HumanDuration(Duration::from_secs(waited.as_secs()));
        self.context.progress(&format!(
            "the credentials of the site {site} are expired, for {waited} now: renew them (aws sso login, or however you \
             get them), and the drill goes on by itself"
        ));
        let Some(pause) = self.session.credentials().take_pause(CREDENTIALS_TRIED_EVERY) else {
            self.close(false).await?;
            let expired = StepError::credentials_expired(format!(
                "{error}; the credentials of the site {site} were waited for in vain"
            ));
            return Err(expired);
        };
        self.context.clock.sleep(pause).await;
        self.session.renew_credentials();
        Ok(())
    }

    /// The service takes them again, whatever else it says.
    async fn end(mut self, renewed: bool) -> Result<(), StepError> {
        self.close(renewed).await
    }

    async fn close(&mut self, renewed: bool) -> Result<(), StepError> {
        let now = self.context.clock.elapsed();
        self.session.credentials().no_longer_waited_for(now, renewed);
        if !std::mem::take(&mut self.announced) {
            return Ok(());
        }
        let waited = now.saturating_sub(self.since).as_millis();
        let event = Event::CredentialsWaited {
            step: self.context.step.clone(),
            site: self.session.place().site.clone(),
            renewed,
            waited_ms: u64::try_from(waited).unwrap_or(u64::MAX),
        };
        self.context.recorder.record(event).await
    }
}

/// A step that is stopped while it asks leaves the turn to the next; nothing counts as renewed.
impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let now = self.context.clock.elapsed();
        self.session.credentials().no_longer_waited_for(now, false);
    }
}
