use crate::action::{
    Found, HandInput, Listing, Permission, ResourceContext, ResourceKind, StepError,
};
use crate::ids::{RunId, StepId};
use crate::journal::ResourceKey;
use crate::limits::{self, EFFECT_NAME_BYTES};
use crate::outside::{CommandReply, CommandRequest, Given, conceal};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

const FIND_LIMIT: Duration = Duration::from_secs(60);
const UNDO_LIMIT: Duration = Duration::from_secs(15 * 60);

/// What a program of `exec.run` made. There is no service to ask: the scenario says by which programs it is found and
/// removed, and the ledger keeps them in the name.
pub struct ExecEffect;

/// What stands in the ledger, as JSON: enough to look for the effect, and to undo it, after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EffectName {
    pub(super) run: RunId,
    pub(super) step: StepId,
    pub(super) find: Vec<String>,
    pub(super) undo: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) env: BTreeMap<String, Given>,
}

impl EffectName {
    /// As in the ledger.
    pub(super) fn written(&self) -> Result<String, StepError> {
        let text = serde_json::to_string(self).map_err(|e| StepError::broken(e.to_string()))?;
        if text.len() > EFFECT_NAME_BYTES {
            return Err(StepError::broken(format!(
                "undo:, find: and env: are longer than {EFFECT_NAME_BYTES} bytes together: the ledger must hold them"
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
            folder: None,
            hold: None,
            ends_with_us: false,
        };
        let reply = context.outside.command(&request).await?;
        let secrets = || self.env.iter().filter(|(_, given)| given.variable().is_some());
        let secrets = secrets().filter_map(|(name, _)| request.environment.get(name));
        let stderr = conceal(&reply.stderr, reply.truncated, secrets);
        Ok(CommandReply { stderr, ..reply })
    }

    /// Looks for the effect: 0 there, 1 gone, anything else unknown.
    pub(super) async fn is_there(&self, context: &ResourceContext) -> Result<bool, StepError> {
        let reply = self.command(context, &self.find, FIND_LIMIT).await?;
        match reply.status {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
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
            if !name.is_there(context).await? {
                return Ok(Found::Gone);
            }
            let id = name.step.to_string();
            Ok(Found::Ours { id, state: "found".to_owned() })
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
        words.join(" ")
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
