use super::resource::{EXPIRES_TAG, Expiry, NEVER, RUN_TAG, STEP_TAG};
use super::retry::{FailedCall, with_retries};
use super::{ExpectedTimes, StepError};
use crate::aws::{CallLog, SiteSession, failure_of, site_of};
use crate::ids::{Digest, RunId, SiteName, StepId};
use crate::journal::{
    Approval, Check, ClockPoint, Event, Finding, Question, RecoveryPoint, ResourceKey,
};
use crate::outside::Outside;
use crate::time::Clock;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Writes events to the journal on behalf of a step.
pub trait Recorder: Send + Sync {
    /// Appends an event and waits until it is on disk.
    fn record(&self, event: Event) -> BoxFuture<'_, Result<(), StepError>>;
    /// True when the ledger already holds this resource, intended or owned, and not gone: an earlier attempt or process may
    /// have made it.
    fn holds(&self, key: &ResourceKey) -> bool;
    /// What of this kind the ledger holds for a step and is not gone: an earlier attempt, perhaps on another machine, may have
    /// made it. Nothing where there is no run.
    fn held_for(&self, _step: &StepId, _kind: &str) -> Vec<ResourceKey> {
        Vec::new()
    }
    /// What a step has made is late when it is not ready at this time (UTC): the step's limit after it was made. A process
    /// that died meanwhile does not give a slow recovery more time than it would have had. `None` while nothing is made.
    fn late_from(&self, _step: &StepId) -> Option<DateTime<Utc>> {
        None
    }
    /// When the first attempt at a step began (UTC), in whichever process. `None` where there is no run.
    fn first_begun(&self, _step: &StepId) -> Option<DateTime<Utc>> {
        None
    }
    /// When the disaster was declared (UTC). `None` before, and where there is no run.
    fn declared(&self) -> Option<DateTime<Utc>> {
        None
    }
    /// The recovery point of the backup from which the data comes that an input of the step (`endpoint`) leads to, as the
    /// steps have established it that this input refers to: what was restored holds nothing newer. `None` when none has, or it
    /// is not certain, and where there is no run.
    fn backup_point(&self, _input: &str) -> Option<RecoveryPoint> {
        None
    }
    /// The recovery point that the step told last, in this attempt or an earlier one. `None` when it told none, and where there
    /// is no run.
    fn told_point(&self, _step: &StepId) -> Option<RecoveryPoint> {
        None
    }
    /// What the step has asked people before: in an earlier attempt, or in a process that has died. `None` where there is no run.
    fn asked(&self, _step: &StepId) -> Option<Question> {
        None
    }
    /// What a person has said to the step's question, and how long that took, when the process died before the step ended: they
    /// are not asked again. `None` where there is no run.
    fn answered(&self, _step: &StepId) -> Option<(Approval, Duration)> {
        None
    }
    /// ARNs by which the sites knew the processes of this run, this one and those before it. Nothing where there is no run.
    fn ran_as(&self) -> Vec<String> {
        Vec::new()
    }
    /// Tells whoever watches what the step is doing. Not kept.
    fn progress(&self, step: &StepId, text: &str);
}

/// What every step of a run may know about it.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// The run.
    pub run: RunId,
    /// Name of the scenario.
    pub scenario: String,
    /// Digest of the plan.
    pub plan: Digest,
    /// Seed of everything that looks random.
    pub seed: u64,
    /// When its resources may be removed by anyone (UTC).
    pub expires: DateTime<Utc>,
    /// When the run started (UTC).
    pub started: DateTime<Utc>,
    /// Who started it or went on with it, as the system knows them.
    pub operators: Vec<String>,
    /// True when observed data must not be written down.
    pub withhold_data: bool,
    /// True for mode `drill`.
    pub is_drill: bool,
    /// How long its waits took in earlier runs.
    pub expected: ExpectedTimes,
}

/// The sessions of a run's sites.
pub type Sessions = Arc<BTreeMap<SiteName, SiteSession>>;

/// An action's only powers: it cannot print, sleep, read the clock of the system or reach a service in another way.
#[derive(Clone)]
pub struct StepContext {
    /// The run.
    pub facts: Arc<RunFacts>,
    /// The step.
    pub step: StepId,
    /// Where it happens, if anywhere.
    pub at: Option<SiteName>,
    /// The clock.
    pub clock: Clock,
    /// What is not AWS.
    pub outside: Arc<dyn Outside>,
    /// The sites.
    pub sessions: Sessions,
    /// The journal.
    pub recorder: Arc<dyn Recorder>,
    /// The calls made.
    pub calls: CallLog,
}

impl StepContext {
    /// The session of the step's own site.
    ///
    /// # Errors
    /// When the step has no `at:`.
    pub fn site(&self) -> Result<SiteSession, StepError> {
        let at =
            self.at.as_ref().ok_or_else(|| StepError::broken("the step has no site: add at:"))?;
        self.site_named(at)
    }

    /// The time (UTC) to which ages, gaps and what may be lost are measured: the declaration of the disaster, else now. Afterwards
    /// nothing newer can come from what is lost, and the time that people take to decide is not the backup's.
    pub fn until_the_loss(&self) -> DateTime<Utc> {
        let now = self.clock.now();
        self.recorder.declared().map_or(now, |declared| declared.min(now))
    }

    /// The session of any site of the scenario.
    ///
    /// # Errors
    /// When there is no such site.
    pub fn site_named(&self, site: &SiteName) -> Result<SiteSession, StepError> {
        let session = self.sessions.get(site);
        let session = session
            .ok_or_else(|| StepError::broken(format!("there is no session for the site {site}")))?;
        Ok(session.noting(self.calls.clone()))
    }

    /// Makes a call, and makes it again (with seeded back-off) when it was throttled or failed for a moment. Expired
    /// credentials are waited for, until the step's limit. `operation` is as in IAM: `rds:DescribeDBSnapshots`.
    ///
    /// # Errors
    /// The classified error of the last attempt.
    pub async fn call<T, E, F>(
        &self,
        operation: &str,
        mut send: impl FnMut() -> F,
    ) -> Result<T, StepError>
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let attempt = || {
            self.calls.asks(self.clock.elapsed());
            let sent = send();
            async {
                sent.await.map_err(|error| FailedCall {
                    site: site_of(&error),
                    error: failure_of(operation, &error).into(),
                })
            }
        };
        with_retries(self, operation, attempt).await
    }

    /// How long the credentials of the sites that this step calls were waited for since the run's process began.
    pub fn waited_for_credentials(&self) -> Duration {
        // Without a site of its own it may call any, and a call that could not be signed leaves no trace.
        let concerned = |site: &SiteName| {
            self.at.as_ref().is_none_or(|at| at == site) || self.calls.has_called(site)
        };
        let sites = self.sessions.iter().filter(|(site, _)| concerned(site));
        let now = self.clock.elapsed();
        sites.map(|(_, session)| session.credentials().waited(now)).max().unwrap_or_default()
    }

    /// Writes down a check. Observed data is withheld here when the data class asks for it: say so with
    /// [`StepContext::data`] when building the text.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn check(&self, check: Check) -> Result<(), StepError> {
        self.recorder.record(Event::Checked { step: self.step.clone(), check }).await
    }

    /// A value that was read from recovered data, as it may be written down: withheld (with a digest, so that two
    /// drills can be compared) when the scenario's data class asks for it.
    pub fn data(&self, value: &str) -> String {
        if self.facts.withhold_data {
            // Keyed by the run: an unkeyed digest of a short value could be guessed.
            let salted = format!("{}\0{value}", self.facts.run);
            format!("withheld ({})", Digest::of(salted.as_bytes()).short(12))
        } else {
            value.to_owned()
        }
    }

    /// Writes down a finding.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn finding(&self, finding: Finding) -> Result<(), StepError> {
        self.recorder.record(Event::Found { step: self.step.clone(), finding }).await
    }

    /// Writes down a recovery point.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn recovery_point(&self, point: RecoveryPoint) -> Result<(), StepError> {
        self.recorder.record(Event::RecoveryPointSeen { step: self.step.clone(), point }).await
    }

    /// Writes down that a moment of the recovery was reached.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn reached(
        &self,
        point: ClockPoint,
        at: DateTime<Utc>,
        source: &str,
    ) -> Result<(), StepError> {
        let step = self.step.clone();
        self.recorder.record(Event::Reached { step, point, at, source: source.to_owned() }).await
    }

    /// Tells whoever watches what the step is doing.
    pub fn progress(&self, text: &str) {
        self.recorder.progress(&self.step, text);
    }

    /// The name of a thing that this step makes: the same in every attempt and after a crash, at most `limit` characters,
    /// lower-case letters, digits and single hyphens, starting with a letter.
    pub fn name_of_mine(&self, limit: usize) -> String {
        let mut name = plain_name(&format!("redrill-{}-{}", self.facts.run, self.step));
        if name.len() > limit {
            let digest = Digest::of(name.as_bytes()).short(DIGEST_DIGITS);
            name.truncate(limit.saturating_sub(DIGEST_DIGITS + 1));
            name = format!("{}-{digest}", name.trim_end_matches('-'));
        }
        name.trim_end_matches('-').to_owned()
    }

    /// The tags of everything that this step makes. What a recovery brings back is production from then on: it never
    /// expires.
    pub fn tags(&self) -> Vec<(String, String)> {
        if self.facts.is_drill {
            return self.tags_of_canary();
        }
        self.tags_with(NEVER.to_owned())
    }

    /// The tags of a canary. A run removes it in every mode, so that it expires in a recovery, too.
    pub fn tags_of_canary(&self) -> Vec<(String, String)> {
        self.tags_with(Expiry::written(self.facts.expires))
    }

    fn tags_with(&self, expires: String) -> Vec<(String, String)> {
        let facts = &self.facts;
        [
            (RUN_TAG, facts.run.to_string()),
            ("redrill:scenario", facts.scenario.clone()),
            (STEP_TAG, self.step.to_string()),
            ("redrill:plan", facts.plan.short(16)),
            (EXPIRES_TAG, expires),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// The length of the digest at the end of a name that was too long. It stays: what earlier versions have made must be known again.
const DIGEST_DIGITS: usize = 10;

/// Lower case letters and digits, with single hyphens between.
pub(super) fn plain_name(text: &str) -> String {
    let mut name = String::new();
    for character in text.chars() {
        let character = character.to_ascii_lowercase();
        let plain = character.is_ascii_alphanumeric();
        if plain || !name.ends_with('-') {
            name.push(if plain { character } else { '-' });
        }
    }
    name
}

/// How the names of things follow from run and step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// They are what [`StepContext::name_of_mine`] gives.
    Own,
    /// A hyphen and a number may follow: a step makes several.
    Numbered,
    /// A prefix of the scenario's stands before, which may be a path.
    Prefixed,
}

impl Naming {
    /// Whether a thing has a name as the steps of a run give them, or as this step of it does. Tags alone do not say that a run has made
    /// it: they are copied from one thing to another, by people and by AWS, and what was renamed is in use.
    pub(crate) fn fits(self, run: &RunId, step: Option<&str>, name: &str) -> bool {
        match self {
            Self::Own => is_own_name(run, step, name),
            Self::Numbered => is_own_name(run, step, without_number(name)),
            Self::Prefixed => {
                let last = plain_name(name.rsplit('/').next().unwrap_or_default());
                let mut begins = last.match_indices(OWN_NAMES);
                begins.any(|(at, _)| is_own_name(run, step, &last[at..]))
            }
        }
    }
}

/// How every name begins that a step gives.
const OWN_NAMES: &str = "redrill-";

/// A name without the number that follows a last hyphen. The name itself when there is none.
fn without_number(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((before, number))
            if matches!(number.len(), 1 | 2) && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            before
        }
        _ => name,
    }
}

/// Where the step is not known, any name will do that begins as those of the run.
fn is_own_name(run: &RunId, step: Option<&str>, name: &str) -> bool {
    let own = plain_name(&format!("{OWN_NAMES}{run}-{}", step.unwrap_or_default()));
    // Where the whole name was too long, it ends with a digest.
    let cut = name.rsplit_once('-').filter(|(kept, _)| kept.len() > 30 && own.starts_with(*kept));
    if step.is_some() {
        let digest = Digest::of(own.as_bytes()).short(DIGEST_DIGITS);
        return name == own.trim_end_matches('-') || cut.is_some_and(|(_, end)| end == digest);
    }
    let is_digest =
        |end: &str| end.len() == DIGEST_DIGITS && end.bytes().all(|b| b.is_ascii_hexdigit());
    // A name that a step gives has nothing but letters, digits and hyphens.
    plain_name(name) == name
        && (name.starts_with(&own) || cut.is_some_and(|(_, end)| is_digest(end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::fake::{FakeOutside, context};

    const RUN: &str = "orders-0001-abcdef";

    #[test]
    fn regression_what_bears_another_name_than_a_run_gives_is_not_taken_for_its_own() {
        let fits = |run: &str, name: &str| Naming::Own.fits(&RunId::new(run), None, name);
        assert!(fits(RUN, "redrill-orders-0001-abcdef-restore"));
        assert!(fits("Orders_db-0001-abcdef", "redrill-orders-db-0001-abcdef-restore"));
        // Hyphens beside each other are one in the names that a run gives.
        assert!(fits("a--b-0001-abcdef", "redrill-a-b-0001-abcdef-canary"));
        for other in [
            "orders-prod",
            "snap-1",
            "redrill-orders-0002-abcdef-restore",
            "redrill-orders-0001-abcdef0-restore",
            "redrill-orders-0001-abcdef-restore/data",
            "orders-0001-abcdef-restore",
            "keep-redrill-orders-0001-abcdef-restore",
            "kept/redrill-orders-0001-abcdef-restore",
            "",
        ] {
            assert!(!fits(RUN, other), "{other}");
        }
        let long = format!("{}-0001-abcdef", "x".repeat(80));
        let cut = format!("redrill-{}-0123456789", "x".repeat(44));
        assert!(fits(&long, &cut) && !fits(&long, &format!("{cut}-evidence")));
        assert!(!fits(&long, &format!("keep-{cut}")));
        // By the name of its step, nothing may follow either.
        let fits =
            |naming: Naming, name: &str| naming.fits(&RunId::new(RUN), Some("restore"), name);
        assert!(fits(Naming::Own, "redrill-orders-0001-abcdef-restore"));
        for other in [
            "redrill-orders-0001-abcdef-restore-evidence",
            "redrill-orders-0001-abcdef-restore-2",
            "redrill-orders-0001-abcdef-restore2",
            "redrill-orders-0001-abcdef-other",
            "keep-redrill-orders-0001-abcdef-restore",
            "keep-redrill-orders-0001-abcdef-evidence",
        ] {
            assert!(!fits(Naming::Own, other), "{other}");
        }
        assert!(fits(Naming::Numbered, "redrill-orders-0001-abcdef-restore-2"));
        assert!(fits(Naming::Numbered, "redrill-orders-0001-abcdef-restore-12"));
        for other in ["-2-evidence", "-evidence", "-123", "-2-2", "-"] {
            let name = format!("redrill-orders-0001-abcdef-restore{other}");
            assert!(!fits(Naming::Numbered, &name), "{name}");
        }
    }

    #[test]
    fn canaries_alone_have_a_prefix_of_the_scenario() {
        let fits = |step, name: &str| Naming::Prefixed.fits(&RunId::new(RUN), step, name);
        for step in [None, Some("canary")] {
            for before in
                ["", "bucket/", "bucket/canaries/", "canaries-", "b/Redrill_", "b/redrill-"]
            {
                let name = format!("{before}redrill-orders-0001-abcdef-canary");
                assert!(fits(step, &name), "{name}");
                assert!(!fits(step, &format!("{name}/data")), "{name}");
                assert_eq!(fits(step, &format!("{name}-evidence")), step.is_none(), "{name}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_name_that_a_step_gives_is_known_as_its_own_at_every_limit() {
        let (context, ..) = context(FakeOutside::default());
        let long_run = format!("{}-0001-abcdef", "long-name".repeat(9));
        let long_step = "long_step-".repeat(30);
        for (run, step) in [
            (RUN, "restore"),
            ("Orders_db-0001-abcdef", "restore_db_"),
            (long_run.as_str(), "restore"),
            (RUN, long_step.as_str()),
        ] {
            let facts = RunFacts { run: RunId::new(run), ..(*context.facts).clone() };
            let context =
                StepContext { facts: Arc::new(facts), step: StepId::new(step), ..context.clone() };
            for limit in [60, 63, 100, 200, 255] {
                let name = context.name_of_mine(limit);
                for step in [None, Some(step)] {
                    let fits =
                        |naming: Naming, name: &str| naming.fits(&RunId::new(run), step, name);
                    assert!(fits(Naming::Own, &name), "{name}");
                    assert!(fits(Naming::Numbered, &format!("{name}-1")), "{name}");
                    assert!(fits(Naming::Prefixed, &format!("bucket/a_{name}")), "{name}");
                }
                let run = RunId::new("orders-0002-abcdef");
                assert!(!Naming::Own.fits(&run, Some(step), &name), "{name}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn regression_a_canary_of_a_recovery_expires_and_what_it_brings_back_does_not() {
        let (context, ..) = context(FakeOutside::default());
        let expiry = |tags: Vec<(String, String)>| {
            tags.into_iter().find(|(name, _)| name == EXPIRES_TAG).map(|(_, value)| value)
        };
        let written = Expiry::written(context.facts.expires);
        for is_drill in [true, false] {
            let facts = RunFacts { is_drill, ..(*context.facts).clone() };
            let context = StepContext { facts: Arc::new(facts), ..context.clone() };
            let brought_back = if is_drill { written.as_str() } else { NEVER };
            assert_eq!(expiry(context.tags()).as_deref(), Some(brought_back));
            assert_eq!(expiry(context.tags_of_canary()), Some(written.clone()));
        }
    }
}
