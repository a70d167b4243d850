//! How something restored differs from what is intended: pure, and the same for whatever has a configuration (an instance, a
//! cluster). What is compared of each is a table of its own.

use crate::journal::{Check, Finding, Severity};
use crate::time::{ByteSize, HumanDuration};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A configuration that can be captured, and compared field by field.
pub(in crate::providers) trait Config:
    Serialize + DeserializeOwned + JsonSchema + Clone + Send + Sync
{
    /// What is compared of it.
    type Item: Item;

    /// From what it was captured.
    fn origin(&self) -> Origin<'_>;

    /// The key of the storage.
    fn kms_key(&self) -> Option<&str>;
}

/// From what a configuration was captured, and when (UTC). Nothing of it is there in what a person wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::providers) struct Origin<'a> {
    pub(in crate::providers) captured_at: Option<DateTime<Utc>>,
    pub(in crate::providers) arn: Option<&'a str>,
    /// The identity that no other instance or cluster of that name has.
    pub(in crate::providers) resource_id: Option<&'a str>,
}

/// What is compared of a configuration.
pub(in crate::providers) trait Item:
    Copy + Ord + Send + Sync + DeserializeOwned + JsonSchema + 'static
{
    /// Everything that is compared, in the order of the report.
    const ALL: &'static [Known<Self>];
    /// What has the configuration: `instance`.
    const OF: &'static str;
    /// What the codes of findings begin with: `rds`.
    const SERVICE: &'static str;
}

/// What is known of an item: its name in configurations, how much a difference matters, and why.
pub(in crate::providers) struct Known<I> {
    pub(super) item: I,
    pub(super) name: &'static str,
    pub(super) severity: Severity,
    why: &'static str,
    kind: Kind,
    may_be_nothing: bool,
    countable: bool,
    tolerable: bool,
}

/// How the values of an item are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::providers) enum Kind {
    /// They are the same, or they are not.
    Plain,
    /// An amount of bytes.
    Bytes,
    /// A name that RDS keeps in lower case, whatever was asked for.
    LowerCase,
    /// Lists in any order.
    Set,
    /// Lists in any order, in which it matters how often something stands.
    Bag,
    /// Tags: others may be there.
    Tags,
    /// Parameters: what differs is named.
    Parameters,
    /// The version of an engine: a newer minor one may be as good.
    Version,
}

/// An item that is compared as it is, of which something must be said, and whose difference the scenario may tolerate.
pub(in crate::providers) const fn known<I: Copy>(
    item: I,
    name: &'static str,
    severity: Severity,
    why: &'static str,
) -> Known<I> {
    let (kind, may_be_nothing) = (Kind::Plain, false);
    Known { item, name, severity, why, kind, may_be_nothing, countable: false, tolerable: true }
}

impl<I: Copy> Known<I> {
    /// Its values are compared in this way.
    pub(in crate::providers) const fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// RDS says nothing of it where there is nothing: that is an answer.
    pub(in crate::providers) const fn may_be_nothing(self) -> Self {
        Self { may_be_nothing: true, ..self }
    }

    /// There can be more or less of it.
    pub(in crate::providers) const fn countable(self) -> Self {
        Self { countable: true, ..self }
    }

    /// A difference is never only a finding.
    pub(in crate::providers) const fn never_tolerated(self) -> Self {
        Self { tolerable: false, ..self }
    }
}

/// What the scenario allows.
#[derive(Clone, Debug)]
pub(in crate::providers) struct Terms<I> {
    /// Not compared: a drill changes it on purpose.
    pub(in crate::providers) vary: BTreeSet<I>,
    /// More than intended is as good.
    pub(in crate::providers) at_least: BTreeSet<I>,
    /// A difference is a finding, and fails nothing.
    pub(in crate::providers) tolerate: BTreeSet<I>,
    /// A newer minor version is as good.
    pub(in crate::providers) newer_minor: bool,
}

impl<I> Default for Terms<I> {
    fn default() -> Self {
        Self {
            vary: BTreeSet::new(),
            at_least: BTreeSet::new(),
            tolerate: BTreeSet::new(),
            newer_minor: false,
        }
    }
}

/// The comparison of one item.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::providers) struct Compared {
    pub(in crate::providers) name: &'static str,
    pub(in crate::providers) check: Check,
    pub(in crate::providers) finding: Option<Finding>,
    pub(in crate::providers) differs: bool,
}

/// The names of items, in the order of the table.
pub(in crate::providers) fn names<I: Item>(items: &BTreeSet<I>) -> Vec<String> {
    let in_it = I::ALL.iter().filter(|known| items.contains(&known.item));
    in_it.map(|known| known.name.to_owned()).collect()
}

/// An item that cannot be `at_least`, if there is one.
pub(in crate::providers) fn not_countable<I: Item>(items: &BTreeSet<I>) -> Option<&'static str> {
    let wrong = I::ALL.iter().find(|known| items.contains(&known.item) && !known.countable);
    wrong.map(|known| known.name)
}

/// Compares what was found with what is intended. Of a configuration that a person wrote, only what is written is compared;
/// of a captured one, everything: what could not be captured is not verified.
pub(in crate::providers) fn compare<C: Config>(
    intended: &C,
    found: &C,
    terms: &Terms<C::Item>,
) -> Vec<Compared> {
    let captured = intended.origin().captured_at.is_some();
    let (intended, found) = (fields(intended), fields(found));
    let wanted = C::Item::ALL.iter().filter(|known| !terms.vary.contains(&known.item));
    let wanted = wanted.filter_map(|known| {
        let side = |of: &Map<String, Value>| of.get(known.name).filter(|v| !v.is_null()).cloned();
        let (intended, found) = (side(&intended), side(&found));
        (captured || intended.is_some()).then(|| judge(known, intended, found, terms))
    });
    wanted.collect()
}

/// What is left out because it varies on purpose, with both values, so that whoever reads the report sees what was not
/// compared.
pub(in crate::providers) fn left_out<C: Config>(
    intended: &C,
    found: &C,
    terms: &Terms<C::Item>,
) -> Vec<String> {
    let (intended, found) = (fields(intended), fields(found));
    let left_out = C::Item::ALL.iter().filter(|known| terms.vary.contains(&known.item));
    let values = left_out.map(|known| {
        let side = |of: &Map<String, Value>| {
            let value = of.get(known.name).filter(|v| !v.is_null());
            value.map_or_else(|| "not said".to_owned(), |value| said(known.kind, Some(value)))
        };
        format!("{}: {}, intended is {}", known.name, side(&found), side(&intended))
    });
    values.collect()
}

/// An item of which a difference cannot be tolerated, if one is named: it would lay data of production open, or be another
/// database.
pub(in crate::providers) fn not_tolerable<I: Item>(items: &BTreeSet<I>) -> Option<&'static str> {
    let wrong = |known: &&Known<I>| !known.tolerable;
    I::ALL.iter().filter(|known| items.contains(&known.item)).find(wrong).map(|known| known.name)
}

fn fields<C: Config>(config: &C) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn judge<I: Item>(
    known: &Known<I>,
    intended: Option<Value>,
    found: Option<Value>,
    terms: &Terms<I>,
) -> Compared {
    let may_be_nothing = known.may_be_nothing;
    let unverified = |expected: String, why: &str| Compared {
        name: known.name,
        check: Check::not_made(known.name, expected, why),
        finding: None,
        differs: false,
    };
    let (expected, observed) = match (&intended, &found) {
        (None, _) if !may_be_nothing => {
            return unverified("as captured".to_owned(), "it could not be captured");
        }
        (Some(intended), None) if !may_be_nothing => {
            let why = format!("RDS does not say it of the {}", I::OF);
            return unverified(text(intended), &why);
        }
        (intended, found) => {
            (said(known.kind, intended.as_ref()), said(known.kind, found.as_ref()))
        }
    };
    let difference = difference(known, intended.as_ref(), found.as_ref(), terms);
    let Some(observed) = difference.map(|words| words.unwrap_or_else(|| observed.clone())) else {
        let check = Check::made(known.name, expected, observed, true);
        return Compared { name: known.name, check, finding: None, differs: false };
    };
    let tolerated = terms.tolerate.contains(&known.item);
    let finding = differing(known, &expected, &observed, tolerated);
    let mut check = Check::made(known.name, expected, observed, tolerated);
    if tolerated {
        check = check.note("it differs, which the scenario tolerates");
    }
    Compared { name: known.name, check, finding: Some(finding), differs: true }
}

fn differing<I: Item>(
    known: &Known<I>,
    expected: &str,
    observed: &str,
    tolerated: bool,
) -> Finding {
    Finding {
        severity: if tolerated { known.severity.min(Severity::Warning) } else { known.severity },
        code: format!("{}.config_differs", I::SERVICE),
        what: format!("{} is {observed}, intended is {expected}", known.name),
        why: known.why.to_owned(),
        action: format!(
            "set it in the restore, or say that it differs on purpose (vary: [{}])",
            known.name
        ),
    }
}

/// `Some` when they differ, with words for the observed side where the values alone say too much or too little.
fn difference<I: Item>(
    known: &Known<I>,
    intended: Option<&Value>,
    found: Option<&Value>,
    terms: &Terms<I>,
) -> Option<Option<String>> {
    if intended == found {
        return None;
    }
    let (Some(intended), Some(found)) = (intended, found) else { return Some(None) };
    match known.kind {
        Kind::LowerCase => {
            let same = text(intended).eq_ignore_ascii_case(&text(found));
            (!same).then_some(None)
        }
        Kind::Set => {
            let set = |v: &Value| {
                let items = v.as_array().map_or(&[][..], Vec::as_slice);
                items.iter().map(text).collect::<BTreeSet<_>>()
            };
            (set(intended) != set(found)).then_some(None)
        }
        Kind::Bag => {
            let bag = |v: &Value| {
                let items = v.as_array().map_or(&[][..], Vec::as_slice);
                let mut items: Vec<String> = items.iter().map(text).collect();
                items.sort_unstable();
                items
            };
            (bag(intended) != bag(found)).then_some(None)
        }
        Kind::Tags => missing_tags(intended, found).map(Some),
        Kind::Parameters => changed(intended, found).map(Some),
        Kind::Version if terms.newer_minor && is_newer_minor(&text(intended), &text(found)) => None,
        _ if terms.at_least.contains(&known.item) && is_at_least(intended, found) => None,
        _ => Some(None),
    }
}

fn is_at_least(intended: &Value, found: &Value) -> bool {
    let amount = |value: &Value| match value {
        Value::Number(number) => number.as_u64().map(u128::from),
        Value::String(text) => text
            .parse::<HumanDuration>()
            .map(|duration| duration.0.as_nanos())
            .ok()
            .or_else(|| text.parse::<ByteSize>().ok().map(|size| u128::from(size.0))),
        _ => None,
    };
    amount(intended).zip(amount(found)).is_some_and(|(wanted, found)| found >= wanted)
}

/// The same major version, and not older. What is major depends on the engine: the first number of PostgreSQL from 10 on,
/// two numbers of MySQL and MariaDB. Two numbers are the stricter reading: a version of three numbers has a major of two. That of
/// Aurora MySQL (`8.0.mysql_aurora.3.05.2`) is the version of MySQL and the first number of Aurora's own.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraMySQL.Updates.Versions.html>
pub(super) fn is_newer_minor(intended: &str, found: &str) -> bool {
    const AURORA_MYSQL: &str = ".mysql_aurora.";
    if let Some(((mysql, intended), (same, found))) =
        intended.split_once(AURORA_MYSQL).zip(found.split_once(AURORA_MYSQL))
    {
        return mysql == same && is_newer(intended, found, 1);
    }
    let numbers = intended.split('.').count();
    is_newer(intended, found, if numbers > 2 { 2 } else { 1 })
}

/// Both are numbers with dots, as many, the first `major` of them the same, and the second version is not older.
fn is_newer(intended: &str, found: &str, major: usize) -> bool {
    let numbers = |version: &str| {
        version.split('.').map(str::parse::<u64>).collect::<Result<Vec<_>, _>>().ok()
    };
    let Some((intended, found)) = numbers(intended).zip(numbers(found)) else { return false };
    intended.len() == found.len()
        && intended.get(..major) == found.get(..major)
        && found >= intended
}

/// The intended tags that are missing or have another value. Tags of AWS and of this program are of no interest.
fn missing_tags(intended: &Value, found: &Value) -> Option<String> {
    let missing: Vec<_> = entries(intended)
        .filter(|(name, _)| !name.starts_with("aws:") && !name.starts_with("redrill:"))
        .filter(|(name, value)| found.get(name.as_str()) != Some(value))
        .map(|(name, _)| match found.get(name.as_str()) {
            Some(other) => format!("{name}={}", text(other)),
            None => format!("{name} is missing"),
        })
        .collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

/// The parameters of either side that differ.
fn changed(intended: &Value, found: &Value) -> Option<String> {
    let names = entries(intended).chain(entries(found)).map(|(name, _)| name);
    let names: BTreeSet<&String> = names.collect();
    let value = |of: &Value, name: &str| {
        of.get(name).map_or_else(|| "the engine's default".to_owned(), text)
    };
    let differing =
        names.into_iter().filter(|name| intended.get(name.as_str()) != found.get(name.as_str()));
    let differing: Vec<_> = differing
        .map(|name| {
            format!("{name} is {} instead of {}", value(found, name), value(intended, name))
        })
        .collect();
    (!differing.is_empty()).then(|| differing.join(", "))
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn said(kind: Kind, value: Option<&Value>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) => match value.as_u64().filter(|_| kind == Kind::Bytes) {
            Some(bytes) => ByteSize(bytes).to_string(),
            None => text(value),
        },
    }
}

/// A value as a person writes it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) if fields.is_empty() => "none".to_owned(),
        Value::Object(fields) => {
            let pairs = fields.iter().map(|(name, value)| format!("{name}={}", text(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
