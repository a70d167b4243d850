//! What can be asked of alarms before the day of a drill. Only calls that read.

use super::check_alarms::{Input, ask};
use super::judge::judge;
use crate::action::{Given, Probe, ProbeVerdict, StepContext};
use crate::journal::Outcome;

pub(super) async fn check_alarms(context: &StepContext, given: &Given) -> Vec<Probe> {
    let Some(input) = given.input::<Input>() else {
        let why = "their names come from an earlier step";
        return vec![Probe::not_before("alarms", why)];
    };
    let what = format!("alarms {}", input.alarms.join(", "));
    let answer = ask(context, &input.alarms).await;
    let region = context.site().map(|site| site.place().region.clone()).unwrap_or_default();
    let judged = |answered: Vec<_>| {
        let judged = judge(&input.alarms, &answered);
        if let Some(error) = judged.not_there(&region) {
            let failure = error.into_failure();
            return ProbeVerdict::fails(failure.message, failure.help.unwrap_or_default());
        }
        let worst = Outcome::worst(judged.checks.iter().map(|check| check.outcome));
        match worst {
            Some(Outcome::Passed) => ProbeVerdict::works("there, and OK"),
            Some(Outcome::Failed) => {
                let action = "look at what it watches; a watch of it would end the drill at once";
                ProbeVerdict::fails(judged.state(), action)
            }
            _ => ProbeVerdict::Unknown(judged.state()),
        }
    };
    vec![Probe::of(what, &["cloudwatch:DescribeAlarms"], answer, judged)]
}
