use super::{StepContext, StepError};
use crate::journal::{Event, FailureClass, ResourceKey};
use futures_util::future::BoxFuture;
use std::future::Future;

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
        Err(error) if worth_a_look(&error) => match adopt(context, kind, &key).await? {
            Some(id) => return Ok((key, id)),
            None => return Err(error),
        },
        Err(error) => return Err(error),
    };
    context.recorder.record(Event::ResourceOwned { key: key.clone(), id: id.clone() }).await?;
    Ok((key, id))
}

fn worth_a_look(error: &StepError) -> bool {
    matches!(error.class(), FailureClass::Transient | FailureClass::AlreadyExists)
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
