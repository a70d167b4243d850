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
        if let Some(mut still) = waiting.take() {
            // A failure of a moment does not show that they work again.
            if error.class().may_pass() {
                still.once_more(&error).await?;
                waiting = Some(still);
                continue;
            }
            still.end(true).await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StepId;
    use crate::outside::fake::{FakeOutside, context};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn failed(error: StepError) -> FailedCall {
        FailedCall { error, site: Some(SiteName::new("dr")) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_only_fails_is_soon_called_once_and_the_reason_is_said() {
        let (context, _, _) = context(FakeOutside::default());
        let sent = AtomicU32::new(0);
        let call = async || {
            let attempt = || async {
                sent.fetch_add(1, Ordering::SeqCst);
                Err::<(), _>(failed(StepError::transient("status 500")))
            };
            with_retries(&context, "rds:DescribeDBInstances", attempt).await.unwrap_err()
        };
        for _ in 0..20 {
            call().await;
        }
        // 35 retries are what 500 tokens pay for; a call that always fails would have 4 each.
        assert_eq!(sent.load(Ordering::SeqCst), 20 + 35);
        let error = call().await.to_string();
        assert!(error.contains("its retries are used up"), "{error}");
        let working = with_retries(&context, "ec2:DescribeVolumes", || async { Ok(7) }).await;
        assert_eq!(working, Ok(7));
    }

    /// A call that is refused for expired credentials until so many seconds have passed.
    async fn until(
        context: StepContext,
        seconds: u64,
        sent: Arc<AtomicU32>,
    ) -> Result<(), StepError> {
        let attempt = || async {
            sent.fetch_add(1, Ordering::SeqCst);
            context.clock.sleep(Duration::from_millis(20)).await;
            if context.clock.elapsed() >= Duration::from_secs(seconds) {
                return Ok(());
            }
            Err(failed(StepError::credentials_expired("ExpiredToken")))
        };
        with_retries(&context, "rds:DescribeDBInstances", attempt).await
    }

    fn waits(events: &[Event]) -> (usize, Vec<(bool, u64)>) {
        let began = events.iter().filter(|e| matches!(e, Event::CredentialsExpired { .. }));
        let ended = events.iter().filter_map(|event| match event {
            Event::CredentialsWaited { renewed, waited_ms, .. } => Some((*renewed, *waited_ms)),
            _ => None,
        });
        (began.count(), ended.collect())
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_steps_whose_credentials_are_expired_one_asks_and_all_go_on() {
        let (context, _, recorder) = context(FakeOutside::default());
        let sent = Arc::new(AtomicU32::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..50 {
            let step = StepId::new(format!("step-{n}"));
            tasks.spawn(until(StepContext { step, ..context.clone() }, 600, sent.clone()));
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap().unwrap();
        }
        // Each finds out once and succeeds once; every half minute one asks.
        let asked = sent.load(Ordering::SeqCst) - 100;
        assert!((19..=22).contains(&asked), "{asked}");
        let (began, ended) = waits(&recorder.events());
        assert_eq!((began, ended.len()), (1, 1));
        assert!(ended[0].0 && (590_000..=610_000).contains(&ended[0].1), "{ended:?}");
        let session = context.site().unwrap();
        assert!(session.credentials().waited(context.clock.elapsed()) >= Duration::from_secs(590));
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_step_that_asks_is_stopped_another_one_asks() {
        let (context, _, _) = context(FakeOutside::default());
        let sent = Arc::new(AtomicU32::new(0));
        let first = tokio::spawn(until(context.clone(), 600, sent.clone()));
        context.clock.sleep(Duration::from_secs(1)).await;
        let other = StepContext { step: StepId::new("other"), ..context.clone() };
        let other = tokio::spawn(until(other, 600, sent));
        context.clock.sleep(Duration::from_secs(100)).await;
        first.abort();
        other.await.unwrap().unwrap();
        assert!(context.clock.elapsed() < Duration::from_secs(640));
    }

    #[tokio::test(start_paused = true)]
    async fn while_releasing_patience_ends_and_the_failure_says_why() {
        let (context, _, recorder) = context(FakeOutside::default());
        context.site().unwrap().credentials().limit_patience(Duration::from_secs(1800));
        let sent = Arc::new(AtomicU32::new(0));
        let error = until(context.clone(), u64::MAX, sent.clone()).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::CredentialsExpired);
        assert!(error.to_string().contains("waited for in vain"), "{error}");
        assert!((1800..1810).contains(&context.clock.elapsed().as_secs()));
        let (_, ended) = waits(&recorder.events());
        assert!(ended.len() == 1 && !ended[0].0, "{ended:?}");
        // What comes after it does not wait all over again.
        until(context.clone(), u64::MAX, sent).await.unwrap_err();
        assert!(context.clock.elapsed() < Duration::from_secs(1811));
    }
}
