use super::before;
use super::effect::{EffectName, ExecEffect, Place, Sight, ending, said};
use super::input::{Input, Parse, by_hand, problems};
use crate::action::{
    Action, ActionFacts, ByHand, Effect, Exercised, Given, HandInput, InputProblem, Phase, Probe,
    ResourceKind, SiteUse, StepContext, StepError, own,
};
use crate::journal::{Check, Outcome, ResourceKey};
use crate::limits::PROGRAM_OUTPUT_BYTES;
use crate::outside::{CommandReply, CommandRequest, Held, conceal};
use regex::Regex;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The step's own limit ends the program, which is killed when the step is given up. This is only a number that is longer.
const LONGER_THAN_ANY_STEP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Why a program is not run whose effect is there.
const THERE_BEFORE: &str = "find sees the effect before the program has run: undoing it would remove what is not of this run";

/// `exec.run`: runs a program.
pub struct ExecRun;

/// What a step of `exec.run` gives.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Output {
    /// The exit status; null when a signal ended the program, or when an earlier attempt ran it.
    pub status: Option<i32>,
    /// Standard output, at most 64 KiB; withheld when the data class asks for it.
    pub stdout: String,
    /// True when the program wrote more than is kept.
    pub truncated: bool,
    /// With `parse: json`, the value that the program wrote; null otherwise, and when the data class withholds it.
    pub json: Value,
}

const ABOUT: &str = "\
Runs a program without a shell, in a process group of its own that is killed as a whole when the step's time is over, and \
checks how it ends and what it writes. It gets the declared environment and PATH, HOME, LANG and TZ, nothing else. Values \
from `from_env` are replaced where the program repeats them.

The scenario says what the program changes. With `effect: own`, `find` and `undo` go into the ledger before the program runs: \
`find` must not see the effect before (it would not be ours to undo) and must see it afterwards, and the run ends with \
`undo` until `find` says that it is gone. The folder in which redrill was started, in which programs run, and the name of the machine \
go into the ledger, too: whoever resumes, aborts or reaps the run runs `find` and `undo` there. On another machine, or when the folder is \
not there any more, nobody can say whether the effect is: nothing is run a second time, and it is reported as left behind, with the \
command that undoes it. Such a step needs `at:`; without `stdin` its program ends with redrill, however that ends, so that it is never \
started beside itself. With `effect: none` the program \
is kept from writing files where the system can do that (Linux 6.2 and later, by Landlock, without privileges): nothing but a temporary folder of its \
own (`TMPDIR`) and what `may_write` names; programs that gain rights when they start (`sudo`, `ping`) do not work then, unless with `hold: no`. What it \
does over the network, to modes, owners and times of files, and through devices and other processes is not held: there, `effect: none` is the word \
of the scenario's author. The check of the exit status notes whether it was held. With `effect: external` the program changes what cannot be undone: `guard.external` must name \
the step, it must need a `control.approve` step with `second_person: true`, and it is attempted once, never again after a \
crash.";

impl Action for ExecRun {
    type Input = Input;
    type Output = Output;

    fn facts(&self) -> ActionFacts {
        ActionFacts {
            name: "exec.run",
            title: "Run a program",
            about: ABOUT,
            phase: Phase::Verify,
            site: SiteUse::Optional,
            timeout: Duration::from_secs(10 * 60),
            effect: Effect::Own,
            creates: &["exec.effect"],
            permissions: &[],
            checks: &[
                ("exit status", "the program ends with the expected status"),
                ("output", "the pattern is found in standard output, when one is given"),
                ("effect", "with effect: own, find sees what the program made"),
            ],
            populations: &[],
            proves: &[],
            exercised: Exercised { sandbox: true, servers: &["programs of the system"], aws: None },
        }
    }

    async fn run(&self, context: &StepContext, input: Input) -> Result<Output, StepError> {
        let pattern = input.pattern()?;
        let reply = match input.effect {
            Effect::Own => run_owned(context, &input).await?,
            Effect::None | Effect::External => Some(run_program(context, &input, None).await?),
        };
        let Some(reply) = reply else {
            let why = "an earlier attempt ran the program: its effect is there, its answer is lost";
            let expected = input.expect_exit.to_string();
            context.check(Check::not_made("exit status", expected, why)).await?;
            return Ok(Output {
                status: None,
                stdout: String::new(),
                truncated: false,
                json: Value::Null,
            });
        };
        for check in checks(context, &input, pattern.as_ref(), &reply) {
            context.check(check).await?;
        }
        let json = match input.parse {
            Parse::Json if reply.status == Some(input.expect_exit) => parsed(context, &reply)?,
            Parse::Json | Parse::Text => Value::Null,
        };
        Ok(Output {
            status: reply.status,
            stdout: context.data(&reply.stdout),
            truncated: reply.truncated,
            json,
        })
    }

    fn check_input(&self, given: &Given) -> Vec<InputProblem> {
        problems(given)
    }

    async fn preflight(&self, context: &StepContext, given: &Given) -> Vec<Probe> {
        before::preflight(context, given)
    }

    fn by_hand(&self, input: &HandInput) -> ByHand {
        by_hand(input)
    }
}

async fn run_program(
    context: &StepContext,
    input: &Input,
    folder: Option<PathBuf>,
) -> Result<CommandReply, StepError> {
    let mut environment = BTreeMap::new();
    for (name, given) in &input.env {
        environment.insert(name.clone(), given.resolve(&*context.outside)?);
    }
    let request = CommandRequest {
        step: context.step.clone(),
        argv: input.argv.clone(),
        environment,
        stdin: input.stdin.clone(),
        timeout: LONGER_THAN_ANY_STEP,
        output_limit: PROGRAM_OUTPUT_BYTES,
        folder,
        hold: input.holding(),
        ends_with_us: input.effect == Effect::Own,
    };
    let reply = context.outside.command(&request).await?;
    let names = input.env.iter().filter(|(_, given)| given.variable().is_some());
    let secrets: Vec<_> = names.filter_map(|(name, _)| request.environment.get(name)).collect();
    let concealed = |text: &str| conceal(text, reply.truncated, secrets.iter().copied());
    Ok(CommandReply { stdout: concealed(&reply.stdout), stderr: concealed(&reply.stderr), ..reply })
}

/// Runs a program whose effect the ledger holds. `None` when an earlier attempt has made it already.
async fn run_owned(
    context: &StepContext,
    input: &Input,
) -> Result<Option<CommandReply>, StepError> {
    let here = Place::here(context)?;
    let wanted = EffectName {
        run: context.facts.run.clone(),
        step: context.step.clone(),
        find: input.find.clone().unwrap_or_default(),
        undo: input.undo.clone().unwrap_or_default(),
        env: input.env.clone(),
        place: Some(here),
    };
    let (effect, name) = wanted.or_held(context)?;
    let key = ResourceKey {
        kind: ExecEffect.kind().to_owned(),
        name: name.clone(),
        site: context.site()?.place().site.clone(),
    };
    if !context.recorder.holds(&key) {
        match effect.look(context).await? {
            Sight::Gone => {}
            Sight::There => return Err(StepError::broken(THERE_BEFORE)),
            Sight::Unknown(why) => return Err(StepError::broken(why)),
        }
    }
    let mut reply = None;
    let (answer, folder) = (&mut reply, effect.folder());
    own(context, &ExecEffect, name, || async move {
        *answer = Some(run_program(context, input, folder).await?);
        Ok(context.step.to_string())
    })
    .await?;
    // Without an answer it was adopted: own has just found it.
    if let Some(reply) = &reply
        && reply.status == Some(input.expect_exit)
    {
        context
            .check(match effect.look(context).await? {
                Sight::There => Check::made("effect", "found", "found", true),
                Sight::Gone => Check::made("effect", "found", "not found", false),
                Sight::Unknown(why) => Check::not_made("effect", "found", why),
            })
            .await?;
    }
    Ok(reply)
}

fn checks(
    context: &StepContext,
    input: &Input,
    pattern: Option<&Regex>,
    reply: &CommandReply,
) -> Vec<Check> {
    let holds = reply.status == Some(input.expect_exit);
    let observed = ending(reply.status);
    let mut exit =
        Check::made("exit status", format!("exit status {}", input.expect_exit), observed, holds);
    let said = said(context, reply);
    let said = Some(said.trim_start_matches("; ").to_owned())
        .filter(|said| exit.outcome == Outcome::Failed && !said.is_empty());
    let held = reply.held.as_ref().map(|held| held_to_it(input, held, exit.outcome));
    let notes: Vec<String> = held.into_iter().chain(said).collect();
    if !notes.is_empty() {
        exit = exit.note(notes.join("; "));
    }
    let output = pattern.map(|pattern| {
        let holds = pattern.is_match(&reply.stdout);
        let expected = format!("~ {pattern}");
        if !holds && reply.truncated {
            return Check::not_made(
                "output",
                expected,
                "the output is longer than what is kept of it",
            );
        }
        Check::made("output", expected, if holds { "found" } else { "not found" }, holds)
    });
    std::iter::once(exit).chain(output).collect()
}

/// Whether the program was kept from writing, and when it failed, what that may have to do with it.
fn held_to_it(input: &Input, held: &Held, outcome: Outcome) -> String {
    let program = input.argv.first().map_or("", String::as_str);
    let to_what = match input.may_write.as_slice() {
        [] => String::new(),
        paths => format!(" except to {}", paths.join(", ")),
    };
    match held {
        Held::By(what) if outcome == Outcome::Passed => {
            format!("held to effect: none by {what}: {program} could write no file{to_what}")
        }
        Held::By(what) => format!(
            "held to effect: none by {what}: {program} could write no file{to_what}; if it must, name the place in may_write, or say another effect"
        ),
        Held::Not(why) => format!("not held to effect: none: {why}"),
    }
}

/// Output that is data does not get into the journal; then later steps cannot refer to it either.
fn parsed(context: &StepContext, reply: &CommandReply) -> Result<Value, StepError> {
    if reply.truncated {
        return Err(StepError::broken(format!(
            "parse: json: the program wrote more than {PROGRAM_OUTPUT_BYTES} bytes"
        )));
    }
    // The parser's message gives a position, not the text.
    let value = serde_json::from_str(&reply.stdout)
        .map_err(|e| StepError::broken(format!("parse: json: the output is not JSON: {e}")))?;
    Ok(if context.facts.withhold_data { Value::Null } else { value })
}
