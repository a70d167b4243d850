use super::context::Naming;
use super::{Beside, StepContext, StepError, WaitPlan};
use crate::ids::RunId;
use crate::journal::{Event, FailureClass, ResourceKey};
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
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
        /// True when it names another run. Else it does not say whose it is, which may only not be seen yet: look-ups are
        /// eventually consistent.
        claimed: bool,
    },
    /// Whether it is there cannot be known here, now or later: it was made on another machine. It is left, and said so.
    Unknown {
        /// Why, and where it can be known.
        why: String,
    },
}

impl Found {
    /// Whose something is, by its tags (key and value): ours when it carries all that are `expected`.
    pub fn by_tags<'t>(
        tags: impl IntoIterator<Item = (&'t str, &'t str)>,
        expected: &[(&str, &str)],
        id: String,
        state: String,
    ) -> Self {
        let tags: BTreeMap<&str, &str> = tags.into_iter().collect();
        for (tag, wanted) in expected {
            match tags.get(tag) {
                Some(value) if value == wanted => {}
                Some(value) => {
                    let why = format!("{id} has the tag {tag}={value}");
                    return Self::Foreign { why, claimed: *tag == RUN_TAG && !value.is_empty() };
                }
                None => {
                    let why = format!("{id} has no tag {tag}");
                    return Self::Foreign { why, claimed: false };
                }
            }
        }
        Self::Ours { id, state }
    }

    /// Whether it is being removed, or was removed and is shown for a while (RDS, Aurora and EBS call that so).
    pub fn is_going(&self) -> bool {
        matches!(self, Self::Ours { state, .. } if matches!(state.as_str(), "deleting" | "deleted"))
    }

    /// Whether its removal is still to be asked for: not when it is gone, or is going.
    ///
    /// # Errors
    /// When it is not of this run.
    pub fn is_to_be_removed(&self) -> Result<bool, StepError> {
        match self {
            Self::Gone => Ok(false),
            Self::Ours { .. } => Ok(!self.is_going()),
            Self::Foreign { why, .. } => {
                Err(StepError::broken(format!("it is not of this run: {why}")))
            }
            Self::Unknown { why } => Err(StepError::broken(why.clone())),
        }
    }
}

/// What the answer to asking for a removal means: what is not there need not be removed, and what is `busy` (the code by
/// which its service says so) may be removed later.
///
/// # Errors
/// The error of the call.
pub fn removal<T>(answer: Result<T, StepError>, busy: &str) -> Result<(), StepError> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.class() == FailureClass::NotFound => Ok(()),
        Err(error) if error.code() == Some(busy) => {
            Err(StepError::transient(format!("it is busy: {error}")))
        }
        Err(error) => Err(error),
    }
}

/// The tag by which everything that this program makes names its run.
pub const RUN_TAG: &str = "redrill:run";
/// The tag that names the step.
pub(super) const STEP_TAG: &str = "redrill:step";
/// The tag that says when a thing may be removed by anyone.
pub const EXPIRES_TAG: &str = "redrill:expires";
/// The value of [`EXPIRES_TAG`] on what a recovery has brought back: it is production now.
pub const NEVER: &str = "never";

/// When a thing may be removed by anyone, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// From this time on (UTC).
    At(DateTime<Utc>),
    /// Never: a recovery has brought it back.
    Never,
    /// It does not say, or not in a way that can be read.
    Unsaid,
}

impl Expiry {
    /// Reads the value of the tag.
    pub fn read(written: Option<&str>) -> Self {
        match written {
            Some(NEVER) => Self::Never,
            Some(text) => DateTime::parse_from_rfc3339(text)
                .map_or(Self::Unsaid, |time| Self::At(time.to_utc())),
            None => Self::Unsaid,
        }
    }

    /// As it is written into the tag.
    pub fn written(time: DateTime<Utc>) -> String {
        time.to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}

/// Something that carries this program's tags, as a listing has shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name that the ledger of its run holds.
    pub name: String,
    /// What the service calls it: an ARN or an id.
    pub id: String,
    /// Its state, in the service's words.
    pub state: String,
    /// The run that made it, by its tag.
    pub run: RunId,
    /// The scenario of the run, by its tag.
    pub scenario: Option<String>,
    /// When it may be removed by anyone, by its tag.
    pub expires: Expiry,
    /// When the service says that it was made (UTC).
    pub made: Option<DateTime<Utc>>,
    /// Why it cannot be told to be ours, although it names a run: a tag is missing.
    pub doubt: Option<String>,
}

impl Listed {
    /// Something with these tags, of which its step makes one; `None` when it carries none of this program's.
    pub fn of<'t>(
        tags: impl IntoIterator<Item = (&'t str, &'t str)>,
        name: impl Into<String>,
        id: impl Into<String>,
        state: impl Into<String>,
    ) -> Option<Self> {
        Self::named(Naming::Own, tags, name, id, state)
    }

    /// The same, where steps name things in this way.
    pub(crate) fn named<'t>(
        naming: Naming,
        tags: impl IntoIterator<Item = (&'t str, &'t str)>,
        name: impl Into<String>,
        id: impl Into<String>,
        state: impl Into<String>,
    ) -> Option<Self> {
        let (mut run, mut step, mut scenario, mut expires) = (None, None, None, None);
        for (tag, value) in tags {
            match tag {
                RUN_TAG => run = Some(RunId::new(value)),
                STEP_TAG => step = Some(value),
                "redrill:scenario" => scenario = Some(value.to_owned()),
                EXPIRES_TAG => expires = Some(value),
                _ => {}
            }
        }
        let (name, run) = (name.into(), run.filter(|run| !run.as_str().is_empty())?);
        let doubt = (!naming.fits(&run, step, &name))
            .then(|| format!("it has the tags of {run}, and no name as that run gives them"));
        Some(Self {
            name,
            id: id.into(),
            state: state.into(),
            run,
            scenario,
            expires: Expiry::read(expires),
            made: None,
            doubt,
        })
    }

    /// Adds when it was made (UTC).
    #[must_use]
    pub fn made(self, made: Option<DateTime<Utc>>) -> Self {
        Self { made, ..self }
    }
}

/// What a listing of one kind at one site has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// It was listed, to the last page.
    Seen {
        /// How many there are, whoever made them; `None` when only this program's were asked for.
        total: Option<u64>,
        /// Those that carry this program's tags, of whichever run.
        ours: Vec<Listed>,
    },
    /// The place that was asked for is not at this site.
    Elsewhere,
    /// This kind cannot be listed; the text says why.
    Impossible(&'static str),
}

/// What looking for a thing takes. Whoever has written the ledger decides what becomes of it, unless a service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The service of its site is asked, which knows its tags.
    Service,
    /// A program is started that the ledger names.
    Program,
    /// Somebody logs in where the ledger says, with the secret that it names.
    Login,
    /// A folder of this machine is looked into that the ledger names.
    Folder,
}

impl Reach {
    /// What looking would do besides asking a service, in words.
    pub fn would(self) -> Option<&'static str> {
        match self {
            Self::Service => None,
            Self::Program => Some("that would start a program"),
            Self::Login => Some("that would log in to a database"),
            Self::Folder => Some("that would look into a folder of this machine"),
        }
    }
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
    /// Waits until a look-up does not see it any more, with look-ups that are shared with all other waits at the site
    /// ([`StepContext::wait_together`]); `stands` hears its state whenever it is seen, and may end the wait. `None` for kinds of which
    /// only one can be looked up in a call.
    ///
    /// Not to be seen is not to be gone yet: that is for `find` to say. The end of this wait stands in the journal all the same, and that
    /// of another one behind it where `find` still sees it.
    fn vanishes<'a>(
        &'a self,
        _context: &'a ResourceContext,
        _key: &'a ResourceKey,
        _id: &'a str,
        _plan: &'a WaitPlan,
        _stands: &'a (dyn Fn(&str) -> Result<(), StepError> + Sync),
    ) -> Option<BoxFuture<'a, Result<(), StepError>>> {
        None
    }
    /// Lists what carries this program's tags at the context's site, of all runs and to the last page. Kinds of canaries
    /// are listed place by place (`bucket/prefix`); the others get `None`.
    ///
    /// An error is never an empty listing.
    fn list<'a>(
        &'a self,
        _context: &'a ResourceContext,
        _place: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Listing, StepError>> {
        let why = "this version cannot list things of this kind";
        Box::pin(std::future::ready(Ok(Listing::Impossible(why))))
    }
    /// Writes on it when it may be removed by anyone (UTC). `Ok(false)`: nothing can be written on things of this kind.
    fn set_expiry<'a>(
        &'a self,
        _context: &'a ResourceContext,
        _key: &'a ResourceKey,
        _id: &'a str,
        _expires: DateTime<Utc>,
    ) -> BoxFuture<'a, Result<bool, StepError>> {
        Box::pin(std::future::ready(Ok(false)))
    }
    /// The command that removes it by hand.
    fn command(&self, key: &ResourceKey, id: Option<&str>, region: &str) -> String;
    /// What looking for it takes.
    fn reach(&self) -> Reach {
        Reach::Service
    }
    /// Why nobody can say from here whether it is there, where that is known without looking.
    fn out_of_reach(&self, context: &ResourceContext, key: &ResourceKey) -> Option<String> {
        let _ = (context, key);
        None
    }
    /// True for what is written among production data: the guard must name where (`guard.canaries`).
    fn is_canary(&self) -> bool {
        false
    }
    /// True for what served a check and nothing else (copies of backups, schemas of trials): it is removed in every mode, and never
    /// kept.
    fn is_temporary(&self) -> bool {
        false
    }
    /// True when `key` may be a copy that the service makes of `other` by itself, some time after `other` was made.
    fn is_copy_of(&self, key: &ResourceKey, other: &ResourceKey) -> bool {
        let _ = (key, other);
        false
    }
    /// True for what can be removed only when nothing of other kinds is in it any more: a cluster and its members.
    fn holds_others(&self) -> bool {
        false
    }
    /// What the service makes beside it and keeps when it is deleted, by the input of the step that has made it.
    fn beside(&self, key: &ResourceKey, input: &serde_json::Value, region: &str) -> Vec<Beside> {
        let _ = (key, input, region);
        Vec::new()
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
    error.class() == FailureClass::AlreadyExists
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
        Found::Foreign { why, .. } => {
            Err(StepError::broken(format!("{key} exists already and is not of this run: {why}")))
        }
        Found::Unknown { why } => Err(StepError::broken(format!(
            "an earlier attempt may have made {} already, and nothing is made twice: {why}",
            key.kind
        ))
        .help("go on with the run there, or end it and remove by hand what it leaves behind")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_carries_every_expected_tag_is_ours() {
        let expected = [(RUN_TAG, "run-1"), ("redrill:name", "name-1")];
        let found = |tags: &[(&'static str, &'static str)]| {
            Found::by_tags(tags.iter().copied(), &expected, "id-1".into(), "available".into())
        };
        let ours = found(&[("a", "b"), (RUN_TAG, "run-1"), ("redrill:name", "name-1")]);
        assert!(ours.is_to_be_removed().unwrap());
        for tags in [
            &[(RUN_TAG, "run-2"), ("redrill:name", "name-1")][..],
            &[(RUN_TAG, "run-1"), ("redrill:name", "name-2")],
            &[("run", "run-1"), ("redrill:name", "name-1")],
            &[(RUN_TAG, "run-1")],
            &[],
        ] {
            let foreign = found(tags);
            assert!(foreign.is_to_be_removed().is_err(), "{foreign:?}");
            let names_another = tags.contains(&(RUN_TAG, "run-2"));
            let is_claimed = matches!(foreign, Found::Foreign { claimed: true, .. });
            assert_eq!(is_claimed, names_another, "{foreign:?}");
        }
    }

    #[test]
    fn what_is_gone_or_going_is_not_removed_again_and_what_is_busy_later() {
        let going = Found::Ours { id: "id-1".into(), state: "deleting".into() };
        assert!(!going.is_to_be_removed().unwrap() && !Found::Gone.is_to_be_removed().unwrap());
        assert!(removal(Ok(()), "Busy").is_ok());
        let class = |error: StepError| removal::<()>(Err(error), "Busy").unwrap_err().class();
        assert_eq!(class(StepError::broken("odd")), StepError::broken("odd").class());
    }
}
