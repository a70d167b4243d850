use super::input::{Input, by_hand, problems};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, HandInput, InputProblem, Look, Phase,
    Probe, SiteUse, StepContext, StepError, WaitPlan,
};
use crate::journal::{Check, FailureClass};
use crate::limits::{self, HTTP_REDIRECTS};
use crate::outside::{HttpReply, HttpRequest, OutsideError, Secret};
use crate::time::HumanDuration;
use regex::Regex;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// `http.check`: asks an HTTP endpoint.
pub struct HttpCheck;

/// What a step of `http.check` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Output {
    /// The status of the judged answer.
    pub status: u16,
    /// How long the judged answer took.
    pub took: HumanDuration,
    /// Time from the beginning of the step to the judged answer.
    pub answered_after: HumanDuration,
}

const ABOUT: &str = "\
Sends a GET or HEAD request and checks the status, and the body if asked to. With `within`, it asks again until the answer is \
as expected; the last answer is judged. Redirects are answers, unless `follow_redirects` says otherwise. A service that \
cannot be reached within that time has failed the check. Certificates are verified by the system's authorities; a \
certificate that does not verify makes the step inconclusive. Proxies that the environment names are used, as by curl. Bodies \
are not written down.";

impl Action for HttpCheck {
    type Input = Input;
    type Output = Output;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "http.check",
            title: "Check that the service answers",
            about: ABOUT,
            phase: Phase::Verify,
            site: SiteUse::None,
            timeout: Duration::from_secs(15 * 60),
            effect: Effect::None,
            creates: &[],
            permissions: &[],
            checks: &[
                ("status", "the answer has the expected status"),
                ("body", "the pattern is found in the body, when one is given"),
            ],
            populations: &[],
            proves: &[],
            exercised: Exercised {
                sandbox: true,
                servers: &["a plain HTTP server on loopback"],
                aws: None,
            },
        }
    }

    async fn run(&self, context: &StepContext, input: Input) -> Result<Output, StepError> {
        let began = context.clock.elapsed();
        let pattern = input.pattern()?;
        let asking = Asking {
            context,
            headers: headers(context, &input)?,
            pattern,
            last: Mutex::default(),
            input: &input,
        };
        let plan =
            WaitPlan::new(format!("an answer of {}", input.url), Duration::ZERO, input.within.0);
        let reply = match context.wait(&plan, || asking.look()).await {
            Ok(reply) => reply,
            // Out of time: what was answered last is judged. Without any answer, it is the time-out.
            Err(error) if error.class() == FailureClass::TimedOut => {
                asking.last.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(error)?
            }
            Err(error) => return Err(error),
        };
        for check in checks(&input, asking.pattern.as_ref(), &reply) {
            context.check(check).await?;
        }
        Ok(Output {
            status: reply.status,
            took: reply.took.into(),
            answered_after: context.clock.elapsed().saturating_sub(began).into(),
        })
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        problems(given)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        preflight(context, given)
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        by_hand(input)
    }
}

/// Looks for the variables of headers. Nothing is asked.
fn preflight(context: &StepContext, given: &Given) -> Vec<Probe> {
    let headers = given.known("headers").and_then(Value::as_object).into_iter().flatten();
    let named = headers.filter_map(|(_, value)| value.get("from_env").and_then(Value::as_str));
    let looks = named.map(|name| Probe::of_variable(&*context.outside, name));
    let asked = Probe::not_before("the answer of the service", "it is asked on the day only");
    looks.chain([asked]).collect()
}

fn headers(context: &StepContext, input: &Input) -> Result<BTreeMap<String, Secret>, StepError> {
    let resolve = |(name, given): (&String, &crate::outside::Given)| {
        Ok((name.clone(), given.resolve(&*context.outside)?))
    };
    input.headers.iter().map(resolve).collect()
}

/// The checks of an answer. Bodies are data: only whether the pattern is found is written down.
fn checks(input: &Input, pattern: Option<&Regex>, reply: &HttpReply) -> Vec<Check> {
    let wanted = input.expect_status;
    let status =
        Check::made("status", wanted.to_string(), reply.status.to_string(), reply.status == wanted);
    let body = pattern.map(|pattern| {
        let holds = pattern.is_match(&reply.body);
        let expected = format!("~ {pattern}");
        if !holds && reply.body.len() >= limits::HTTP_BODY_BYTES {
            return Check::not_made(
                "body",
                expected,
                "the body is longer than what was read of it",
            );
        }
        Check::made("body", expected, if holds { "found" } else { "not found" }, holds)
    });
    std::iter::once(status).chain(body).collect()
}

struct Asking<'c> {
    context: &'c StepContext,
    input: &'c Input,
    headers: BTreeMap<String, Secret>,
    pattern: Option<Regex>,
    last: Mutex<Option<HttpReply>>,
}

impl Asking<'_> {
    async fn look(&self) -> Result<Look<HttpReply>, StepError> {
        let answer = self.ask().await;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // An answer from before the service went away again must not be judged.
        *last = None;
        match answer {
            Ok(reply) => {
                let checks = checks(self.input, self.pattern.as_ref(), &reply);
                let holds =
                    checks.iter().all(|check| check.outcome == crate::journal::Outcome::Passed);
                if holds {
                    return Ok(Look::Ready(reply));
                }
                let state = format!("status {}", reply.status);
                *last = Some(reply);
                Ok(Look::NotYet(state))
            }
            Err(OutsideError::Unreachable(why)) => Ok(Look::NotYet(why)),
            Err(error) => Err(error.into()),
        }
    }

    async fn ask(&self) -> Result<HttpReply, OutsideError> {
        let mut request = HttpRequest {
            step: self.context.step.clone(),
            method: self.input.method.as_str().to_owned(),
            url: self.input.url.clone(),
            headers: self.headers.clone(),
            body: None,
            timeout: self.input.attempt_timeout.0,
            body_limit: limits::HTTP_BODY_BYTES,
        };
        let mut reply = self.context.outside.http(&request).await?;
        for _ in 0..HTTP_REDIRECTS {
            let Some(next) = self.redirect(&request.url, &reply)? else { return Ok(reply) };
            if !same_host(&request.url, &next) {
                request.headers.clear();
            }
            request.url = next;
            let took = reply.took;
            let answer = self.context.outside.http(&request).await;
            reply = answer.map_err(|error| without_query(&request.url, error))?;
            reply.took += took;
        }
        match self.redirect(&request.url, &reply)? {
            None => Ok(reply),
            Some(_) => Err(OutsideError::Failed(format!("more than {HTTP_REDIRECTS} redirects"))),
        }
    }

    /// Where a redirect leads; `None` when the answer is none, or none is to be followed.
    fn redirect(&self, from: &str, reply: &HttpReply) -> Result<Option<String>, OutsideError> {
        let is_redirect = matches!(reply.status, 301 | 302 | 303 | 307 | 308);
        let Some(location) = reply.headers.get("location") else { return Ok(None) };
        if !self.input.follow_redirects || !is_redirect {
            return Ok(None);
        }
        let next = reqwest::Url::parse(from).and_then(|from| from.join(location));
        match next {
            Ok(next) if ["http", "https"].contains(&next.scheme()) => Ok(Some(next.into())),
            // Where it leads may carry a signature: only how it is written is told.
            Ok(next) => Err(OutsideError::Failed(format!(
                "a redirect to an address of the scheme {} cannot be followed",
                next.scheme()
            ))),
            Err(e) => Err(OutsideError::Failed(format!("a redirect cannot be followed: {e}"))),
        }
    }
}

/// The error of a request to an address that a redirect gave, without what may be a token in it: user, query, fragment.
fn without_query(url: &str, error: OutsideError) -> OutsideError {
    let Ok(mut shown) = reqwest::Url::parse(url) else { return error };
    shown.set_query(None);
    shown.set_fragment(None);
    // Both fail only for addresses that have no host, which http always has.
    let _no_host = shown.set_username("");
    let _no_host = shown.set_password(None);
    let clean = |text: String| text.replace(url, shown.as_str());
    match error {
        OutsideError::Unreachable(text) => OutsideError::Unreachable(clean(text)),
        OutsideError::Failed(text) => OutsideError::Failed(clean(text)),
        OutsideError::Denied(text) => OutsideError::Denied(clean(text)),
        other => other,
    }
}

/// The same scheme, host and port: only there may headers with credentials go.
fn same_host(one: &str, other: &str) -> bool {
    match (reqwest::Url::parse(one), reqwest::Url::parse(other)) {
        (Ok(one), Ok(other)) => one.origin() == other.origin(),
        _ => false,
    }
}
