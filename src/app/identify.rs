//! Who we are at each site, before a run does anything there.
//!
//! Main type: [`Asked`]. Nothing in here reads or writes a journal; what it finds out becomes the first records of a process.

use super::organisation::InForce;
use super::progress::Progress;
use crate::aws::SiteSession;
use crate::client;
use crate::engine::{Opening, World};
use crate::error::{Error, Result};
use crate::ids::SiteName;
use crate::journal::{Event, Failure, RunState};
use crate::plan::Plan;
use crate::time::{Clock, RetryPolicy};
use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityOutput;
use std::time::Duration;

/// What the sites of a run are asked for.
pub(super) struct Asked<'a> {
    pub(super) world: &'a World,
    pub(super) plan: &'a Plan,
    /// Where the run stood when it is gone on with.
    pub(super) before: Option<&'a RunState>,
    pub(super) limits: &'a InForce,
    /// It only removes what it made: a site that does not answer must not keep it from doing so at the others.
    pub(super) gives_back: bool,
}

impl<'a> Asked<'a> {
    /// Before the first record of a run.
    pub(super) fn first(world: &'a World, plan: &'a Plan, limits: &'a InForce) -> Self {
        Self { world, plan, before: None, limits, gives_back: false }
    }

    /// Who we are at each site, and whether that is the account that the scenario names, the one that it was when the run began,
    /// and one that the limits of the organisation allow: in another account everything that the run has made looks as if it
    /// were gone. In a recovery a lost site is not called, so it is not asked; one that was lost before may be silent.
    ///
    /// # Errors
    /// When a site that is needed cannot be reached, or is another account.
    pub(super) async fn identify(&self, progress: &Progress) -> Result<Vec<Opening>> {
        let mut events = Vec::new();
        for (name, session) in self.world.sessions.iter() {
            if self.is_lost(name) && self.loss_lasts() {
                self.pin_known(name, session);
                continue;
            }
            match who(session, &self.world.clock).await {
                Ok(answer) => events.push(self.hold(name, session, &answer)?),
                Err(failure) if self.may_be_silent(name) => {
                    if !self.is_lost(name) {
                        let why = self.world.outside.secrets().conceal(&failure.message);
                        let what = "what was made there is tried all the same";
                        progress.say(&format!("the site {name} does not answer ({why}); {what}"));
                    }
                    self.pin_known(name, session);
                }
                Err(failure) => {
                    let why = self.world.outside.secrets().conceal(&failure.message);
                    let nothing = self.nothing();
                    let help = format!("check credentials, region and endpoint; {nothing}");
                    let what = format!("the site {name} cannot be reached: {why}");
                    return Err(Error::broken(what).help(help));
                }
            }
        }
        Ok(events)
    }

    fn is_lost(&self, name: &SiteName) -> bool {
        self.plan.disaster.lost.contains(name)
    }

    fn loss_lasts(&self) -> bool {
        let is_over = |run: &RunState| run.disaster.is_none() || run.releasing;
        self.before.map_or(!self.plan.is_drill(), |run| !is_over(run))
    }

    fn may_be_silent(&self, name: &SiteName) -> bool {
        let declared = self.before.is_some_and(|run| run.disaster.is_some());
        self.gives_back || (self.is_lost(name) && declared)
    }

    fn nothing(&self) -> &'static str {
        if self.before.is_some() { "nothing was done" } else { "nothing has happened yet" }
    }

    fn known(&self, name: &SiteName) -> Option<&'a String> {
        self.before.and_then(|before| before.accounts.get(name))
    }

    /// What answers there later is held to the account of before.
    fn pin_known(&self, name: &SiteName, session: &SiteSession) {
        self.known(name).into_iter().for_each(|account| session.pin_account(account));
        // Those that were fetched for asking have not been held to it.
        session.renew_credentials();
    }

    fn hold(
        &self,
        name: &SiteName,
        session: &SiteSession,
        answer: &GetCallerIdentityOutput,
    ) -> Result<Opening> {
        let account = answer.account().unwrap_or_default().to_owned();
        let place = session.place();
        let wanted = place.account.as_ref().into_iter().chain(self.known(name));
        if let Some(wanted) = wanted.into_iter().find(|wanted| **wanted != account) {
            return Err(wrong_account(name, (wanted, &account), self.nothing()));
        }
        self.limits.hold_account(name, &account, self.nothing())?;
        session.pin_account(&account);
        let identified = Event::SiteIdentified {
            site: name.clone(),
            account,
            region: place.region.clone(),
            identity: answer.arn().unwrap_or_default().to_owned(),
        };
        Ok(Opening::now(&self.world.clock, identified))
    }
}

/// Asks STS, again where that may help: one broken connection is no reason to refuse a run.
async fn who(
    session: &SiteSession,
    clock: &Clock,
) -> std::result::Result<GetCallerIdentityOutput, Failure> {
    let policy = RetryPolicy {
        attempts: 3,
        pause: Duration::from_secs(1).into(),
        longest: Duration::from_secs(5).into(),
    };
    let mut schedule = policy.schedule(0, "identify");
    let client = client!(session, aws_sdk_sts);
    loop {
        let error = match client.get_caller_identity().send().await {
            Ok(answer) => return Ok(answer),
            Err(error) => crate::aws::failure_of("sts:GetCallerIdentity", &error),
        };
        let Some(pause) = schedule.next_pause().filter(|_| error.class.may_pass()) else {
            return Err(error);
        };
        clock.sleep(pause).await;
    }
}

fn wrong_account(site: &SiteName, (wanted, found): (&str, &str), nothing: &str) -> Error {
    Error::refused(format!(
        "the site {site} must be account {wanted}, but the credentials are those of {found}; {nothing}"
    ))
    .help("take the right profile, or name the role that is to be assumed in the scenario's sites")
}
