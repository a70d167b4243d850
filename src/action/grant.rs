use super::Permission;
use super::context::plain_name;
use crate::ids::{SiteName, StepId};
use crate::time::HumanDuration;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// A permission at a site, limited as far as the scenario says on what it is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Where.
    pub site: SiteName,
    /// The IAM action: `rds:DescribeDBSnapshots`.
    pub action: &'static str,
    /// What it is needed for.
    pub why: &'static str,
    /// On what; nothing said means on anything that the action can be used on.
    pub on: Vec<Target>,
    /// Under which conditions.
    pub limits: Vec<Limit>,
}

/// A resource as the Service Authorization Reference of AWS calls it, and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The type of the resource: `db`, `snapshot`, `bucket`, `object`, `Secret`.
    pub kind: &'static str,
    /// Its name as it stands in its ARN; `*` and `?` stand for what is not known, as in policies.
    pub name: String,
    /// Whether it may belong to another account than the site's: one that shares it.
    pub shared: bool,
}

/// A condition that a permission can carry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Only where this service uses the permission on behalf of the role: `rds`, `ec2`, `s3`.
    Via(&'static str),
    /// The same, where the service does so in a region that need not be the site's; `*` stands for any.
    ViaIn {
        /// `rds`
        service: &'static str,
        /// `ap-northeast-1`
        region: String,
    },
    /// Only where the role is passed to this service: `monitoring.rds.amazonaws.com`.
    To(&'static str),
    /// Only listings of keys that begin in one of these ways, written as in policies. Where one of them is empty, every listing: one
    /// without a prefix has nothing that a condition could ask for.
    Prefixes(Vec<String>),
    /// On what the drills of any scenario have made, not only of this one.
    AnyScenario,
}

/// A text as it goes into a policy, in which it stands for itself
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>).
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '*' | '?' | '$' => {
                pattern.push_str("${");
                pattern.push(character);
                pattern.push('}');
            }
            plain => pattern.push(plain),
        }
    }
    pattern
}

impl Grant {
    /// Adds on what it is used.
    #[must_use]
    pub fn on(mut self, kind: &'static str, name: impl Into<String>) -> Self {
        self.on.push(Target { kind, name: name.into(), shared: false });
        self
    }

    /// Adds on what it is used, of whichever account: what others share is theirs.
    #[must_use]
    pub fn on_shared(mut self, kind: &'static str, name: impl Into<String>) -> Self {
        self.on.push(Target { kind, name: name.into(), shared: true });
        self
    }

    /// Adds a condition.
    #[must_use]
    pub fn limited(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }
}

/// The input of a step before the run: what comes from earlier steps is not known yet.
#[derive(Clone, Debug)]
pub struct Given {
    /// Name of the scenario.
    pub scenario: String,
    /// The step.
    pub step: StepId,
    /// Its site.
    pub at: Option<SiteName>,
    /// How long the step may take, where that is known.
    pub timeout: Option<HumanDuration>,
    /// Where the guard lets canaries be written, where that is known.
    pub canaries: Option<Vec<String>>,
    /// How many things of each kind the whole run makes at the place of the step, where that is known.
    made: Option<BTreeMap<String, u64>>,
    with: Value,
}

/// What stands for text that is known only on the day.
const LATER: &str = "\u{1}";

/// A field of a mapping, or an item of a list.
fn part<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    }
}

fn holds_later(value: &Value) -> bool {
    match value {
        Value::String(text) => text == LATER,
        Value::Array(items) => items.iter().any(holds_later),
        Value::Object(fields) => fields.values().any(holds_later),
        _ => false,
    }
}

impl Given {
    /// `with` has every text that refers to an earlier step, or to the run, replaced by [`Given::later_mark`].
    pub fn new(scenario: &str, step: StepId, at: Option<SiteName>, with: Value) -> Self {
        let scenario = scenario.to_owned();
        Self { scenario, step, at, timeout: None, canaries: None, made: None, with }
    }

    /// Says how long the step may take.
    #[must_use]
    pub fn in_time(mut self, timeout: HumanDuration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Says where the guard lets canaries be written: `guard.canaries`.
    #[must_use]
    pub fn with_canaries(mut self, places: impl IntoIterator<Item = String>) -> Self {
        self.canaries = Some(places.into_iter().collect());
        self
    }

    /// Says how many things of each kind the whole run makes at the place of the step: at its site, and at others that are in the
    /// same account and region.
    #[must_use]
    pub fn in_a_run_that_makes(mut self, made: BTreeMap<String, u64>) -> Self {
        self.made = Some(made);
        self
    }

    /// How many things of a kind the whole run makes at the place of the step; none where that was not said.
    pub fn run_makes(&self, kind: &str) -> u64 {
        self.made.as_ref().and_then(|made| made.get(kind)).copied().unwrap_or(0)
    }

    /// See [`Given::new`].
    pub fn later_mark() -> Value {
        Value::String(LATER.to_owned())
    }

    /// An input by a path of names, and of numbers of items in lists, with dots; `None` when it is not given, or known only on the day.
    pub fn known(&self, path: &str) -> Option<&Value> {
        self.value(path).filter(|value| value.as_str() != Some(LATER))
    }

    /// A text input that is known.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.known(path).and_then(Value::as_str)
    }

    /// A duration that is known.
    pub fn duration(&self, path: &str) -> Option<HumanDuration> {
        self.text(path)?.parse().ok()
    }

    /// How many items a list input has; none when it is not given, or known only on the day.
    pub fn count(&self, path: &str) -> usize {
        self.known(path).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// The texts of a list input that are known.
    pub fn texts(&self, path: &str) -> Vec<&str> {
        let items = self.known(path).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        items.iter().filter_map(Value::as_str).filter(|text| *text != LATER).collect()
    }

    /// True for an input that is given and known only on the day, as a whole or in a part.
    pub fn comes_later(&self, path: &str) -> bool {
        self.value(path).is_some_and(holds_later)
    }

    /// The whole input, when all of it is known; what is wrong with it otherwise is for the check of scenarios to say.
    pub fn input<T: DeserializeOwned>(&self) -> Option<T> {
        if holds_later(&self.with) {
            return None;
        }
        serde_json::from_value(self.with.clone()).ok()
    }

    /// True for an input that is given.
    pub fn has(&self, path: &str) -> bool {
        self.value(path).is_some()
    }

    fn value(&self, path: &str) -> Option<&Value> {
        let found = path.split('.').try_fold(&self.with, part)?;
        (!found.is_null()).then_some(found)
    }

    /// A text input as it goes into an ARN: `*` for what is not known. Characters that mean something in policies are
    /// written so that they stand for themselves.
    pub fn pattern(&self, path: &str) -> String {
        self.text(path).map_or_else(|| "*".to_owned(), literal)
    }

    /// What the keys begin with that are listed in a bucket, which the input `bucket` names, on account of a step that writes a
    /// canary there: `own`, a pattern that the step's key begins with, and the places of `guard.canaries`, which inventories
    /// list as they are written. Empty for a whole bucket. None of them begins with another.
    pub fn canary_listings(&self, bucket: &str, own: &str) -> Vec<String> {
        let bucket = self.text(bucket);
        let there = |place: &String| {
            let (name, prefix) = place.split_once('/').unwrap_or((place.as_str(), ""));
            bucket.is_none_or(|bucket| bucket == name).then(|| literal(prefix))
        };
        let places = self.canaries.iter().flatten().filter_map(there);
        let own = own.trim_end_matches('*').to_owned();
        let mut all: Vec<String> = places.chain([own]).collect();
        all.sort();
        all.dedup_by(|next, kept| next.starts_with(kept.as_str()));
        all
    }

    /// What all names begin with that steps of this scenario give to what they make, in any run
    /// (see [`super::StepContext::name_of_mine`]).
    pub fn own_names(&self) -> String {
        format!("{}*", plain_name(&format!("redrill-{}-", self.scenario)))
    }

    /// The site that an input names; the step's own without it.
    pub fn site(&self, path: &str) -> Option<SiteName> {
        self.text(path).map(SiteName::new).or_else(|| self.at.clone())
    }

    /// A permission of a list at the step's own site. `None` when the step has none.
    pub fn grant(&self, permissions: &[Permission], action: &str) -> Option<Grant> {
        self.grant_at(self.at.clone(), permissions, action)
    }

    /// The same at another site.
    pub fn grant_at(
        &self,
        site: Option<SiteName>,
        permissions: &[Permission],
        action: &str,
    ) -> Option<Grant> {
        let found = permissions.iter().find(|permission| permission.action == action);
        debug_assert!(found.is_some(), "{action} is not declared");
        let permission = found?;
        Some(Grant {
            site: site?,
            action: permission.action,
            why: permission.why,
            on: Vec::new(),
            limits: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn given() -> Given {
        let later = Given::later_mark();
        let with = json!({ "of": "orders", "snapshot": later, "groups": ["sg-1", later], "in": { "secret": "s" } });
        Given::new("orders-db", StepId::new("restore"), Some(SiteName::new("dr")), with)
    }

    #[test]
    fn what_an_earlier_step_tells_is_not_known_before_the_day() {
        let given = given();
        assert_eq!((given.text("of"), given.text("snapshot")), (Some("orders"), None));
        assert_eq!((given.pattern("of"), given.pattern("snapshot")), ("orders".into(), "*".into()));
        assert!(given.comes_later("snapshot") && given.comes_later("groups"));
        assert!(!given.comes_later("of") && !given.comes_later("absent"));
        assert_eq!(given.texts("groups"), ["sg-1"]);
        assert_eq!(given.text("in.secret"), Some("s"));
        let odd = Given::new("s", StepId::new("a"), None, json!({ "key": "a*b?${c}" }));
        assert_eq!(odd.pattern("key"), "a${*}b${?}${$}{c}");
        assert!(given.has("snapshot") && !given.has("absent"));
    }

    #[test]
    fn regression_a_policy_knows_the_names_of_a_scenario_with_hyphens_beside_each_other() {
        let names = |scenario: &str| {
            Given::new(scenario, StepId::new("restore"), None, json!({})).own_names()
        };
        for (scenario, own) in [
            ("orders-db", "redrill-orders-db-*"),
            ("canary--only", "redrill-canary-only-*"),
            ("orders-", "redrill-orders-*"),
            ("a---b--", "redrill-a-b-*"),
        ] {
            assert_eq!(names(scenario), own);
            // What the steps of a run of it are called.
            let named = plain_name(&format!("redrill-{scenario}-0001-abcdef-restore"));
            assert!(named.starts_with(own.trim_end_matches('*')), "{named}");
        }
    }

    #[test]
    fn places_of_canaries_are_listed_as_they_are_written_and_none_that_another_covers() {
        let with = json!({ "bucket": "uploads", "later": Given::later_mark() });
        let listed = |bucket: &str, own: &str, places: &[&str]| {
            let given = Given::new("s", StepId::new("a"), None, with.clone());
            let places = places.iter().map(|place| (*place).to_owned());
            given.with_canaries(places).canary_listings(bucket, own)
        };
        let elsewhere = ["uploads-dr/x/", "uploads-dr"];
        assert_eq!(listed("bucket", "canary/", &elsewhere), ["canary/"]);
        assert_eq!(listed("bucket", "canary/", &["uploads/canary"]), ["canary"]);
        assert_eq!(listed("bucket", "b/", &["uploads/c/", "uploads/a/"]), ["a/", "b/", "c/"]);
        assert_eq!(listed("bucket", "b/", &["uploads/c*/"]), ["b/", "c${*}/"]);
        for whole in ["uploads", "uploads/"] {
            assert_eq!(listed("bucket", "canary/", &["uploads/a/", whole]), [""]);
        }
        // What only the day tells can be anything.
        assert_eq!(listed("later", "canary/", &["a/x/", "b/y/"]), ["canary/", "x/", "y/"]);
        assert_eq!(listed("bucket", "*", &["uploads/a/"]), [""]);
    }
}
