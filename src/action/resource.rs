use super::{StepContext, StepError};
use crate::journal::{Event, FailureClass, ResourceKey};
use futures_util::future::BoxFuture;
use std::future::Future;
use std::time::Duration;

/// What is needed to look after a resource: a step's powers at the resource's site.
pub type ResourceContext = StepContext;

/// What a look-up of a resource has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is not there.
    Gone,
    /// It is there and is ours.
    Ours {
        /// What the service calls it: an ARN or an id.
        id: String,
        /// Its state, in the service's words.
        state: String,
    },
    /// Something of that name is there, but it is not of this run: it must not be touched.
    Foreign {
        /// What makes it foreign: the tags that it has.
        why: String,
    },
}

/// How to find, judge and remove one kind of thing. Must work after a crash with nothing but the key.
pub trait ResourceKind: Send + Sync {
    /// As in the ledger: `rds.db_instance`.
    fn kind(&self) -> &'static str;
    /// Looks it up. `id` is what the service called it, if that is known.
    fn find<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Found, StepError>>;
    /// Asks for its removal: one attempt. Returning `Ok` does not mean that it is gone: that is for `find` to say.
    /// Asking again while it is being removed must be harmless.
    fn remove<'a>(
        &'a self,
        context: &'a ResourceContext,
        key: &'a ResourceKey,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), StepError>>;
    /// The command that removes it by hand.
    fn command(&self, key: &ResourceKey, id: Option<&str>, region: &str) -> String;
    /// True for what is written among production data: the guard must name where (`guard.canaries`).
    fn is_canary(&self) -> bool {
        false
    }
    /// IAM actions that finding and removing it needs.
    fn permissions(&self) -> &'static [super::Permission];
}

/// Makes a resource, or adopts it where an earlier attempt has made it. The intent is on disk before `create` is called;
/// what `create` returns (ARN or id) is on disk before this returns.
///
/// # Errors
/// Those of the journal, the look-up and `create`. When `create` fails, the intent stays in the ledger: releasing looks it up.
pub async fn own<F>(
    context: &StepContext,
    kind: &dyn ResourceKind,
    name: String,
    create: impl FnOnce() -> F,
) -> Result<(ResourceKey, String), StepError>
where
    F: Future<Output = Result<String, StepError>>,
{
    let site = context.site()?.place().site.clone();
    let key = ResourceKey { kind: kind.kind().to_owned(), name, site };
    if context.recorder.holds(&key) {
        if let Some(id) = adopt(context, kind, &key).await? {
            return Ok((key, id));
        }
    } else {
        let intended = Event::ResourceIntended { step: context.step.clone(), key: key.clone() };
        context.recorder.record(intended).await?;
    }
    let id = match create().await {
        Ok(id) => id,
        // The answer may be lost while the effect happened: look before giving up.
        Err(error) if worth_a_look(&error) => match adopt_after(context, kind, &key, &error).await?
        {
            Some(id) => return Ok((key, id)),
            None => return Err(error),
        },
        Err(error) => return Err(error),
    };
    context.recorder.record(Event::ResourceOwned { key: key.clone(), id: id.clone() }).await?;
    Ok((key, id))
}

fn worth_a_look(error: &StepError) -> bool {
    error.class() == FailureClass::Transient || exists_already(error)
}

fn exists_already(error: &StepError) -> bool {
    error.code().is_some_and(|code| code.contains("AlreadyExists"))
}

/// How often, and with what pause, something is looked for that the service says is there: look-ups may lag behind.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>
const LOOKS: u32 = 12;
const PAUSE: Duration = Duration::from_secs(10);

/// Looks for what a call may have made all the same; for a while, when the service says that it exists already.
async fn adopt_after(
    context: &StepContext,
    kind: &dyn ResourceKind,
    key: &ResourceKey,
    error: &StepError,
) -> Result<Option<String>, StepError> {
    let mut looks = if exists_already(error) { LOOKS } else { 1 };
    loop {
        let found = adopt(context, kind, key).await?;
        looks -= 1;
        if found.is_some() || looks == 0 {
            return Ok(found);
        }
        context.clock.sleep(PAUSE).await;
    }
}

async fn adopt(
    context: &StepContext,
    kind: &dyn ResourceKind,
    key: &ResourceKey,
) -> Result<Option<String>, StepError> {
    match kind.find(context, key, None).await? {
        Found::Gone => Ok(None),
        Found::Ours { id, .. } => {
            context
                .recorder
                .record(Event::ResourceOwned { key: key.clone(), id: id.clone() })
                .await?;
            Ok(Some(id))
        }
        Found::Foreign { why } => {
            Err(StepError::broken(format!("{key} exists already and is not of this run: {why}")))
        }
    }
}
