//! Steps that direct the run itself: asking a person.
//!
//! Main type: [`Approve`]. How a person is reached belongs to [`crate::outside`].

use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, HandInput, InputProblem, Phase, Probe,
    Registry, SiteUse, StepContext, StepError,
};
use crate::journal::{Approval, Event};
use crate::outside::{
    AllowedPrincipals, ApprovalRequest, OutsideError, UNKNOWN_USER, is_same_person,
};
use crate::time::HumanDuration;
use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

mod before;
#[cfg(test)]
mod tests;

/// Adds what this provider knows.
pub(super) fn register(registry: &mut Registry) {
    registry.action(Approve);
}

/// `control.approve`: asks a person, and goes on only when they say yes.
pub struct Approve;

/// What a step of `control.approve` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What is asked: one question that can be answered with yes or no.
    pub ask: String,
    /// How long an answer is waited for (default 30m), which the step's `timeout` must allow. The time counts for the recovery time.
    #[serde(default = "half_an_hour")]
    pub within: HumanDuration,
    /// The file of those who may answer, as OpenSSH's allowed signers (`man ssh-keygen`, ALLOWED SIGNERS). With it an
    /// answer counts only when one of them has signed it: `redrill approve RUN STEP --sign-with KEY`.
    #[serde(default)]
    pub signed_by: Option<String>,
    /// Those who may answer, as AWS knows them. With it an answer counts only when one of them has given it with their AWS
    /// credentials: `redrill approve RUN STEP --with-aws-identity`. With `signed_by`, too, either is enough.
    #[serde(default)]
    pub identified_by: Option<AllowedPrincipals>,
    /// Another person than those who started the run or went on with it must approve (default false). With `signed_by` the signature
    /// tells who it is, with `identified_by` AWS, which also tells who runs it; without them the name of the operating system, which keeps only honest people from approving their own doing.
    #[serde(default)]
    pub second_person: bool,
}

fn half_an_hour() -> HumanDuration {
    Duration::from_secs(30 * 60).into()
}

/// What a step of `control.approve` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Output {
    /// Who approved, as the system knows them.
    pub approved_by: String,
    /// How long the answer took.
    pub waited: HumanDuration,
}

const ABOUT: &str = "\
Asks a question and waits for a person: at the terminal of the run, or from another one by `redrill approve` and `redrill \
reject`. Rejected, the step fails. When nobody answers in time it is inconclusive. Who answered, how they are known and what \
they wrote is in the journal. Without `signed_by` and `identified_by` the name is the one of the operating system: it keeps honest people from \
approving their own doing, and is no proof against others. With `signed_by` the answer carries an SSH signature over run, plan, question and \
decision, which stays in the journal and can be verified again by anyone; with `second_person` every name that the file gives the key is held against \
those who run the drill, and a pattern counts for nobody. With `identified_by` it carries a request to AWS STS that is \
signed for the same; the run sends it, and STS says whose it is. With `second_person`, a yes of a person who started the \
run or took it over does not count, and leaves the question open for another one; a no counts whoever of those who may answer says it. \
AWS tells this of whoever asks and has asked before, and of whom the sites without a role have seen; of one whose process ended before it asked, in \
a run whose sites all have roles, only the name of the operating system is known.";

/// Fails when the approval is the operator's own, and when that cannot be known.
fn another_person(approval: &Approval, operator: &str) -> Result<(), StepError> {
    let by = &approval.by;
    match operator {
        // AWS has told the two apart.
        UNKNOWN_USER if approval.identity.is_some() => Ok(()),
        UNKNOWN_USER => Err(StepError::broken(
            "second_person: who runs this drill is not known, so nobody can be another person",
        )
        .help("run it as a user whom the system knows (id -un), or ask with identified_by")),
        operator if is_same_person(operator, by) => Err(StepError::rejected(format!(
            "second_person: {by} runs this drill and cannot approve it"
        ))
        .help("let another person answer with redrill approve")),
        _ => Ok(()),
    }
}

fn not_their_own(
    context: &StepContext,
    input: &Input,
    approval: &Approval,
) -> Result<(), StepError> {
    let operators = if input.second_person { context.facts.operators.as_slice() } else { &[] };
    operators.iter().try_for_each(|operator| another_person(approval, operator))
}

/// What was answered before the process died. A yes that has become the operator's own since then does not count: where a step needs
/// it, such a run is not gone on with at all.
fn answered(context: &StepContext, input: &Input) -> Option<(Approval, Duration)> {
    let counts =
        |approval: &Approval| !approval.approved || not_their_own(context, input, approval).is_ok();
    context.recorder.answered(&context.step).filter(|(approval, _)| counts(approval))
}

async fn ask(context: &StepContext, input: &Input) -> Result<(Approval, Duration), StepError> {
    let began = context.clock.elapsed();
    let within = TimeDelta::from_std(input.within.0).unwrap_or(TimeDelta::days(3650));
    // Whoever was asked before was told another time. Only the journal is believed what that was, and whose answer counts: the
    // question's file can be written by others.
    let is_told = !context.outside.is_rehearsal();
    let before = context.recorder.asked(&context.step).filter(|_| is_told);
    let (told, now) = (before.as_ref().map(|before| before.deadline), context.clock.now());
    let signed_before = before.and_then(|before| before.signed_by);
    let request = ApprovalRequest {
        run: context.facts.run.clone(),
        plan: context.facts.plan,
        signed_by: input.signed_by.clone(),
        signed_before: signed_before.filter(|_| input.signed_by.is_some()),
        identified_by: input.identified_by.clone(),
        not: if input.second_person { context.facts.operators.clone() } else { Vec::new() },
        run_by: None,
        ran_as: context.recorder.ran_as(),
        step: context.step.clone(),
        text: input.ask.clone(),
        deadline: told.filter(|told| *told > now).unwrap_or(now + within),
        told,
    };
    // People are told of what is written down: by then nothing must stand in the question's way.
    let request = context.outside.prepared(request).await?;
    let requested = Event::ApprovalRequested {
        step: context.step.clone(),
        text: input.ask.clone(),
        deadline: request.deadline,
        signed_by: request.signed_by.clone().filter(|_| is_told),
    };
    context.recorder.record(requested).await?;
    context.progress(&format!("waiting for approval: {}", input.ask));
    let approval = match context.outside.approval(&request).await {
        Ok(approval) => approval,
        Err(OutsideError::NoAnswer) => {
            let text = format!("nobody answered within {}: {}", input.within, input.ask);
            return Err(StepError::broken(text).help(
                "answer at the terminal of the run, or with redrill approve or redrill reject",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let given = Event::ApprovalGiven { step: context.step.clone(), approval: approval.clone() };
    context.recorder.record(given).await?;
    Ok((approval, context.clock.elapsed().saturating_sub(began)))
}

impl Action for Approve {
    type Input = Input;
    type Output = Output;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "control.approve",
            title: "Ask a person for approval",
            about: ABOUT,
            phase: Phase::Recover,
            site: SiteUse::None,
            timeout: Duration::from_secs(24 * 60 * 60),
            effect: Effect::None,
            creates: &[],
            permissions: &[],
            checks: &[],
            populations: &[],
            proves: &[],
            exercised: Exercised { sandbox: true, servers: &[], aws: None },
        }
    }

    async fn run(&self, context: &StepContext, input: Input) -> Result<Output, StepError> {
        let (approval, waited) = match answered(context, &input) {
            Some(answered) => answered,
            None => ask(context, &input).await?,
        };
        if !approval.approved {
            let comment = approval.comment.map(|text| format!(": {text}")).unwrap_or_default();
            return Err(StepError::rejected(format!("{} rejected it{comment}", approval.by)));
        }
        not_their_own(context, &input, &approval)?;
        Ok(Output { approved_by: approval.by, waited: waited.into() })
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        let within = InputProblem::no_time(given, "within");
        let within = within.or_else(|| InputProblem::beyond_the_step(given, "within"));
        let usual = InputProblem::usual_beyond_the_step(given, "within", half_an_hour());
        InputProblem::empty(given, "ask").into_iter().chain(within).chain(usual).collect()
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        before::preflight(context, given)
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        let ask = input.word("ask").unwrap_or_default();
        ByHand {
            commands: vec![format!("printf 'Approval needed: %s\\n' {ask}")],
            expected: "A person who may decide it has said yes. Write down who, and when."
                .to_owned(),
            verify: vec![],
            if_it_fails: vec![
                "Somebody said no: stop here, and write down why.".to_owned(),
                "Nobody answers: go up the escalation path; silence is not approval.".to_owned(),
            ],
            ..ByHand::default()
        }
    }
}
