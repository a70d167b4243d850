use crate::action::{
    Found, HandInput, Listing, Permission, Reach, ResourceContext, ResourceKind, StepError,
};
use crate::ids::{RunId, StepId};
use crate::journal::ResourceKey;
use crate::limits::{self, EFFECT_NAME_BYTES};
use crate::outside::{CommandReply, CommandRequest, Given, conceal, is_same_machine};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const FIND_LIMIT: Duration = Duration::from_secs(60);
const UNDO_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Why a `find` that sees nothing is not believed where the place is not known.
const PLACE_UNKNOWN: &str = "the run's journal is of an earlier version, which did not write down in which folder and on which machine \
    the program ran; that find sees nothing here does not say that what it made is gone";

/// What a program of `exec.run` made. There is no service to ask: the scenario says by which programs it is found and
/// removed, and the ledger keeps them in the name.
pub struct ExecEffect;

/// What stands in the ledger, as JSON: enough to look for the effect, and to undo it, after a crash. Both are done where it was
/// made: a relative path means something else in another folder, and nothing at all on another machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EffectName {
    pub(super) run: RunId,
    pub(super) step: StepId,
    pub(super) find: Vec<String>,
    pub(super) undo: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) env: BTreeMap<String, Given>,
    /// Where it was made. Journals of earlier versions do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<Place>,
}

/// Where a program was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The machine, by its name and what tells it from others of that name.
    machine: String,
    /// The folder, an absolute path.
    folder: String,
}

/// What looking for an effect has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// `find` sees it.
    There,
    /// `find` sees that it is gone, in the place where it was made.
    Gone,
    /// That cannot be known here; why.
    Unknown(String),
}

impl Place {
    /// Where this process works.
    pub(super) fn here(context: &ResourceContext) -> Result<Self, StepError> {
        let folder = context.outside.working_folder()?;
        Ok(Self { machine: context.outside.machine(), folder })
    }

    /// Why nothing can be done there from here, if so.
    fn out_of_reach(&self, context: &ResourceContext) -> Option<String> {
        let (Self { machine, folder }, here) = (self, context.outside.machine());
        if !is_same_machine(machine, &here) {
            return Some(format!(
                "the program ran on the machine {machine}, in {folder}; this is {here}, where it cannot be known whether what it \
                 made is there"
            ));
        }
        (!context.outside.has_folder(folder)).then(|| {
            format!(
                "the program ran in the folder {folder}, which is not there any more; without it, it cannot be known whether what it made exists"
            )
        })
    }
}

impl EffectName {
    /// As an earlier attempt of the step has put it into the ledger, if one has, in whichever folder and on whichever machine: what
    /// it made is there, and nowhere else. And as it stands in the ledger.
    pub(super) fn or_held(self, context: &ResourceContext) -> Result<(Self, String), StepError> {
        for key in context.recorder.held_for(&self.step, ExecEffect.kind()) {
            let held = Self::read(&key)?;
            if (Self { place: self.place.clone(), ..held.clone() }) == self {
                return Ok((held, key.name));
            }
        }
        let name = self.written()?;
        Ok((self, name))
    }

    /// The folder in which its programs run; that of this process where nobody knows.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.place.as_ref().map(|place| PathBuf::from(&place.folder))
    }

    /// As in the ledger.
    pub(super) fn written(&self) -> Result<String, StepError> {
        let text = serde_json::to_string(self).map_err(|e| StepError::broken(e.to_string()))?;
        if text.len() > EFFECT_NAME_BYTES {
            return Err(StepError::broken(format!(
                "undo:, find:, env: and the folder's path are longer than {EFFECT_NAME_BYTES} bytes together: the ledger must \
                 hold them"
            ))
            .help("put the commands into a script"));
        }
        Ok(text)
    }

    fn read(key: &ResourceKey) -> Result<Self, StepError> {
        serde_json::from_str(&key.name)
            .map_err(|e| StepError::broken(format!("the ledger's entry cannot be read: {e}")))
    }

    async fn command(
        &self,
        context: &ResourceContext,
        argv: &[String],
        timeout: Duration,
    ) -> Result<CommandReply, StepError> {
        let mut environment = BTreeMap::new();
        for (name, given) in &self.env {
            environment.insert(name.clone(), given.resolve(&*context.outside)?);
        }
        let request = CommandRequest {
            step: self.step.clone(),
            argv: argv.to_vec(),
            environment,
            stdin: None,
            timeout,
            output_limit: limits::PROGRAM_OUTPUT_BYTES,
            folder: self.folder(),
            hold: None,
            ends_with_us: false,
        };
        let reply = context.outside.command(&request).await?;
        let secrets = || self.env.iter().filter(|(_, given)| given.variable().is_some());
        let secrets = secrets().filter_map(|(name, _)| request.environment.get(name));
        let stderr = conceal(&reply.stderr, reply.truncated, secrets);
        Ok(CommandReply { stderr, ..reply })
    }

    /// Looks for the effect where it was made: 0 there, 1 gone, anything else unknown.
    pub(super) async fn look(&self, context: &ResourceContext) -> Result<Sight, StepError> {
        let out_of_reach = self.place.as_ref().and_then(|place| place.out_of_reach(context));
        if let Some(why) = out_of_reach {
            return Ok(Sight::Unknown(why));
        }
        let reply = self.command(context, &self.find, FIND_LIMIT).await?;
        match reply.status {
            Some(0) => Ok(Sight::There),
            Some(1) if self.place.is_none() => Ok(Sight::Unknown(PLACE_UNKNOWN.to_owned())),
            Some(1) => Ok(Sight::Gone),
            _ => Err(StepError::broken(format!(
                "find ({}) ended with {}: 0 means that it is there, 1 that it is gone{}",
                program(&self.find),
                ending(reply.status),
                said(context, &reply),
            ))),
        }
    }
}

impl ResourceKind for ExecEffect {
    fn kind(&self) -> &'static str {
        "exec.effect"
    }

    fn find<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>> {
        Box::pin(async move {
            let name = EffectName::read(key)?;
            let id = name.step.to_string();
            Ok(match name.look(context).await? {
                Sight::There => Found::Ours { id, state: "found".to_owned() },
                Sight::Gone => Found::Gone,
                Sight::Unknown(why) => Found::Unknown { why },
            })
        })
    }

    fn remove<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        _id: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>> {
        Box::pin(async move {
            let name = EffectName::read(key)?;
            if let Some(why) = name.place.as_ref().and_then(|place| place.out_of_reach(context)) {
                return Err(StepError::broken(why));
            }
            let reply = name.command(context, &name.undo, UNDO_LIMIT).await?;
            if reply.status == Some(0) {
                return Ok(());
            }
            Err(StepError::broken(format!(
                "undo ({}) ended with {}{}",
                program(&name.undo),
                ending(reply.status),
                said(context, &reply),
            )))
        })
    }

    fn list<'a>(
        &'a self,
        _context: &'a ResourceContext,
        _place: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Listing, StepError>> {
        let why = "effects of programs carry no tags: only the journal of their run knows them";
        Box::pin(std::future::ready(Ok(Listing::Impossible(why))))
    }

    fn reach(&self) -> Reach {
        Reach::Program
    }

    fn out_of_reach(&self, context: &ResourceContext, key: &ResourceKey) -> Option<String> {
        EffectName::read(key).ok()?.place?.out_of_reach(context)
    }

    fn command(&self, key: &ResourceKey, _id: Option<&str>, _region: &str) -> String {
        let Ok(name) = EffectName::read(key) else {
            return format!("# run undo: of the step, as the scenario says it, for {}", key.name);
        };
        let mut words = Vec::new();
        for (variable, given) in &name.env {
            words.push(match given {
                Given::Text(text) => format!("{variable}={}", HandInput::quote(text)),
                Given::FromEnvironment(_) => {
                    format!("{variable}=\"${{{}}}\"", given.variable().unwrap_or_default())
                }
            });
        }
        words.extend(name.undo.iter().map(|word| HandInput::quote(word)));
        let undo = words.join(" ");
        match &name.place {
            Some(Place { machine, folder }) => {
                format!("cd {} && {undo}    # on the machine {machine}", HandInput::quote(folder))
            }
            None => format!("{undo}    # in the folder and on the machine in which the run began"),
        }
    }

    fn permissions(&self) -> &'static [Permission] {
        &[]
    }
}

fn program(argv: &[String]) -> &str {
    argv.first().map_or("", String::as_str)
}

pub(super) fn ending(status: Option<i32>) -> String {
    status.map_or_else(|| "a signal".to_owned(), |status| format!("exit status {status}"))
}

/// The beginning of what a program wrote to standard error, as far as it may be written down.
pub(super) fn said(context: &ResourceContext, reply: &CommandReply) -> String {
    let text: String = reply.stderr.trim().chars().take(500).collect();
    if text.is_empty() { String::new() } else { format!("; it wrote: {}", context.data(&text)) }
}
