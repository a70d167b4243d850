//! How the guard reads the operations that change something: per operation, the role of every field that may be set, and what
//! the call claims to change.
//!
//! Main types: [`ChangeRule`], [`Claim`]. Whether a claim holds is for the policy to say; nothing in here looks at a ledger.

mod aurora;
mod ec2;
mod rds;
mod s3;

pub(super) use aurora::*;
pub(super) use ec2::*;
pub(super) use rds::*;
pub(super) use s3::*;

use aws_smithy_runtime_api::client::interceptors::context::Input;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// The kinds of resources as they stand in ledgers.
pub(super) mod kinds {
    pub(in crate::aws) const DB_INSTANCE: &str = "rds.db_instance";
    pub(in crate::aws) const DB_SNAPSHOT: &str = "rds.db_snapshot";
    pub(in crate::aws) const PROMOTED_REPLICA: &str = "rds.promoted_replica";
    pub(in crate::aws) const AURORA_CLUSTER: &str = "aurora.cluster";
    pub(in crate::aws) const AURORA_SNAPSHOT: &str = "aurora.cluster_snapshot";
    pub(in crate::aws) const AURORA_INSTANCE: &str = "aurora.instance";
    pub(in crate::aws) const VOLUME: &str = "ebs.volume";
    pub(in crate::aws) const SNAPSHOT: &str = "ebs.snapshot";
    pub(in crate::aws) const CANARY: &str = "s3.canary_object";

    /// The kind whose names AWS does not tell from those of this one: a member of a cluster is a DB instance like any
    /// other to whoever deletes or tags it.
    pub(in crate::aws) fn also(kind: &str) -> Option<&'static str> {
        (kind == DB_INSTANCE).then_some(AURORA_INSTANCE)
    }
}

/// The tag by which every resource names the run that made it.
pub(super) const RUN_TAG: &str = "redrill:run";
/// The tag that names the step.
pub(super) const STEP_TAG: &str = "redrill:step";
/// The tag that says from when on anyone may remove it (UTC).
pub(super) const EXPIRES_TAG: &str = "redrill:expires";
/// The tag that holds the deterministic name of what AWS itself gives an id.
pub(super) const NAME_TAG: &str = "redrill:name";

/// How the guard reads one operation that changes something.
pub struct ChangeRule {
    /// Every field that a call may set, as the SDK names it, and its role. A call that sets another one is refused.
    pub fields: &'static [(&'static str, Role)],
    /// What a call means.
    pub(super) read: fn(&Input) -> Result<Meaning, Unclear>,
}

/// What a field of a call is to the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Names what is made, changed or deleted: it must be the run's own.
    Target,
    /// Names an object by bucket and key: it must be the run's own, and lie where `guard.canaries` says.
    Place,
    /// The client token of what AWS gives an id: it must be the name of an intent.
    Token,
    /// Tags or metadata of what is made: they must name the run and the step of the intent. Of what exists: they must not
    /// contradict it.
    Tags,
    /// Is read, and stays as it is.
    Source,
    /// Is used by what is made, and stays as it is: a key, a security group.
    Uses,
    /// Is no resource.
    Setting,
    /// Set to true, EC2 only says whether it would do it: the call counts as one that reads.
    DryRun,
}

impl Role {
    /// The role in a few words, for the reference.
    pub fn words(self) -> &'static str {
        match self {
            Self::Target => "own target",
            Self::Place => "own target in a named place",
            Self::Token => "token of an intent",
            Self::Tags => "ownership tags",
            Self::Source => "read source",
            Self::Uses => "used as it is",
            Self::Setting => "setting",
            Self::DryRun => "dry run",
        }
    }
}

/// What a call means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It changes nothing: EC2's dry run.
    Asks,
    /// It changes all of these.
    Changes(Vec<Claim>),
}

/// One thing that a call would make, change or delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Something that is known by its name.
    Named { kind: &'static str, name: String },
    /// Something that is known by what AWS calls it: an id or an ARN.
    Identified { kind: &'static str, id: String },
    /// Something that is to be made under this name, with these tags.
    Made { kind: &'static str, name: String, tags: BTreeMap<String, String> },
    /// Something that is known by id or ARN, and gets these tags.
    Tagged { kind: &'static str, id: String, tags: BTreeMap<String, String> },
    /// An object of S3 that is to be written with these marks, or to be deleted.
    Object { name: String, written: Option<BTreeMap<String, String>> },
}

/// Why a call cannot be judged, and so is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unclear(pub(super) String);

fn unclear<T>(why: impl Into<String>) -> Result<T, Unclear> {
    Err(Unclear(why.into()))
}

/// The input of the operation that the table expects.
fn typed<T: Debug + Send + Sync + 'static>(input: &Input) -> Result<&T, Unclear> {
    let typed = input.downcast_ref::<T>();
    typed.ok_or_else(|| Unclear("its input is not the one that the guard's table expects".into()))
}

/// A field that names a resource must be there.
fn required(value: Option<&str>, field: &str) -> Result<String, Unclear> {
    match value {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => unclear(format!("{field} is missing")),
    }
}

/// Refuses what is left of an input once every field with a role is taken out of it.
fn nothing_else<T: PartialEq + Debug>(rest: &T, empty: Option<T>) -> Result<(), Unclear> {
    if empty.as_ref() == Some(rest) {
        return Ok(());
    }
    // Only the names of fields, never their values.
    let shown = format!("{rest:#?}");
    let fields = shown.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("    ")?.split_once(": ")?;
        (!name.starts_with(' ') && value.starts_with("Some(")).then_some(name)
    });
    let fields: Vec<&str> = fields.collect();
    unclear(match fields.as_slice() {
        [] => "it sets a field that has no role in the guard's table".to_owned(),
        fields => format!("it sets {}, which has no role in the guard's table", fields.join(", ")),
    })
}

/// Tags as a map. A key that stands twice could mean either value.
fn tag_map<'t>(
    tags: impl Iterator<Item = (Option<&'t str>, Option<&'t str>)>,
) -> Result<BTreeMap<String, String>, Unclear> {
    let mut map = BTreeMap::new();
    for (key, value) in tags {
        let Some(key) = key else { return unclear("a tag has no key") };
        if map.insert(key.to_owned(), value.unwrap_or_default().to_owned()).is_some() {
            return unclear(format!("the tag {key} stands twice"));
        }
    }
    Ok(map)
}

/// Makes a [`ChangeRule`]: the fields that a call may set, with their roles, and what it means. The same list is the
/// documentation, and what every other field is refused by.
macro_rules! change_rule {
    ($name:ident: $input:ty { $($field:ident: $role:ident),+ $(,)? } $read:expr) => {
        pub(in crate::aws) static $name: $crate::aws::rules::ChangeRule =
            $crate::aws::rules::ChangeRule {
                fields: &[$((stringify!($field), $crate::aws::rules::Role::$role)),+],
                read: {
                    fn read(
                        input: &$crate::aws::rules::Input,
                    ) -> Result<$crate::aws::rules::Meaning, $crate::aws::rules::Unclear> {
                        let typed = $crate::aws::rules::typed::<$input>(input)?;
                        let mut rest = typed.clone();
                        $(rest.$field = None;)+
                        $crate::aws::rules::nothing_else(&rest, <$input>::builder().build().ok())?;
                        let meaning: fn(
                            &$input,
                        ) -> Result<
                            $crate::aws::rules::Meaning,
                            $crate::aws::rules::Unclear,
                        > = $read;
                        meaning(typed)
                    }
                    read
                },
            };
    };
}
use change_rule;
