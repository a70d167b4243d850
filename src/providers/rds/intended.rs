//! Where an intended configuration comes from: an earlier run, and which original it was captured from.

use super::config_diff::{Config, Item, Origin};
use crate::action::{Given, InputProblem, StepContext, StepError};
use crate::ids::SiteName;
use crate::journal::{Check, Finding, Severity};
use crate::providers::earlier::{Captured, EarlierRun};
use schemars::JsonSchema;
use serde::Deserialize;

/// The original whose configuration is meant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::providers) struct SourceOf {
    /// Its identifier, its ARN or its identity (`DbiResourceId`, `DbClusterResourceId`).
    pub(in crate::providers) id: String,
    /// The site where it is, or was: its account and region must be those of the captured one.
    #[serde(default)]
    pub(in crate::providers) at: Option<SiteName>,
}

impl<C: Config> Captured for C {
    const OUTPUT: &'static str = "config";

    fn origin_in_words(&self) -> Result<String, String> {
        let origin = self.origin();
        let at = origin.captured_at.ok_or("the configuration has no date")?;
        let of = origin.arn.unwrap_or("nobody says what");
        Ok(format!("of {of} at {}", at.to_rfc3339()))
    }
}

/// What can be wrong with where a configuration comes from, before the run.
pub(super) fn problems_of_origin(given: &Given) -> Vec<InputProblem> {
    let mut found: Vec<InputProblem> = ["earlier.step", "source.id"]
        .iter()
        .filter_map(|path| InputProblem::empty(given, path))
        .collect();
    // Beside what is captured in the run itself, a journal is needed only when that could not be.
    if !given.has("intended") && InputProblem::empty(given, "earlier.journal").is_some() {
        found.push(EarlierRun::missing("the configuration"));
    }
    // `intended` is known where a person wrote it, or when the step starts: then it says when it was captured.
    if given.has("earlier")
        && given.known("intended").is_some()
        && !given.has("intended.captured_at")
    {
        let text =
            "earlier: intended: is written in the scenario, so that no journal would be read";
        found.push(InputProblem::at("earlier", text).help("give one of them"));
    }
    for (needed, why) in [
        ("max_age", "how old it may be is for the policy to say"),
        ("source", "what it was captured of must be what was lost"),
    ] {
        if given.has("earlier") && !given.has(needed) {
            let text = format!("earlier: {needed} is missing: {why}");
            found.push(InputProblem::at("earlier", text).help(format!("add {needed}:")));
        }
    }
    found
}

/// Whether the configuration was captured of the original that is meant. The finding is there when it was of another one.
///
/// # Errors
/// When there is no such site.
pub(super) fn source_check<I: Item>(
    source: &SourceOf,
    cx: &StepContext,
    origin: Origin<'_>,
) -> Result<(Check, Option<Finding>), StepError> {
    let place = source.at.as_ref().map(|at| cx.site_named(at)).transpose()?;
    let place = place.as_ref().map(|session| session.place());
    let place = place.map(|place| (place.account.as_deref(), place.region.as_str()));
    Ok(judge_source::<I>(source, place, origin))
}

fn judge_source<I: Item>(
    source: &SourceOf,
    place: Option<(Option<&str>, &str)>,
    origin: Origin<'_>,
) -> (Check, Option<Finding>) {
    let name = "source of the intended configuration";
    let mut expected = source.id.clone();
    if let Some((account, region)) = place {
        let account = account.map_or_else(String::new, |account| format!(" of {account}"));
        expected = format!("{expected} in {region}{account}");
    }
    let Some(arn) = origin.arn else {
        let why = match origin.captured_at {
            Some(_) => "nobody says of what it was captured",
            None => "it was written by hand",
        };
        return (Check::not_made(name, expected, why), None);
    };
    let observed = match origin.resource_id {
        Some(identity) => format!("{arn} ({identity})"),
        None => arn.to_owned(),
    };
    let holds = is_named(&source.id, origin) && place.is_none_or(|place| is_at(arn, place));
    let finding = || Finding {
        severity: Severity::Serious,
        code: format!("{}.config_of_another_source", I::SERVICE),
        what: format!("the intended configuration was captured of {observed}, not of {expected}"),
        why: format!("what another {} is like says nothing of the one that was lost", I::OF),
        action: "capture the configuration of the original that is recovered, before the disaster"
            .to_owned(),
    };
    let finding = (!holds).then(finding);
    (Check::made(name, expected, observed, holds), finding)
}

/// Whether it is what is named: by identifier, ARN or identity. RDS keeps identifiers in lower case.
fn is_named(id: &str, origin: Origin<'_>) -> bool {
    let arn = origin.arn.unwrap_or_default();
    let name = arn.rsplit(':').next().unwrap_or_default();
    let identity = origin.resource_id.unwrap_or_default();
    [arn, name, identity].iter().any(|known| !known.is_empty() && known.eq_ignore_ascii_case(id))
}

/// Whether an ARN (`arn:PARTITION:rds:REGION:ACCOUNT:…`) is of that account and region.
fn is_at(arn: &str, (account, region): (Option<&str>, &str)) -> bool {
    let mut parts = arn.split(':').skip(3);
    parts.next() == Some(region) && {
        let of = parts.next();
        account.is_none_or(|account| of == Some(account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;
    use crate::providers::rds::config::DbConfig;
    use crate::providers::rds::config_items::DbItem;
    use chrono::DateTime;

    const ARN: &str = "arn:aws:rds:ap-northeast-1:111111111111:db:orders-db";
    const PLACE: (Option<&str>, &str) = (Some("111111111111"), "ap-northeast-1");

    fn judged(id: &str, place: Option<(Option<&str>, &str)>) -> (Outcome, bool) {
        let source = SourceOf { id: id.to_owned(), at: None };
        let origin = Origin {
            captured_at: Some(DateTime::UNIX_EPOCH),
            arn: Some(ARN),
            resource_id: Some("db-ABC"),
        };
        let (check, finding) = judge_source::<DbItem>(&source, place, origin);
        (check.outcome, finding.is_some())
    }

    #[test]
    fn only_what_was_captured_of_the_named_original_says_something() {
        for id in ["orders-db", "Orders-DB", ARN, "db-ABC"] {
            assert_eq!(judged(id, Some(PLACE)), (Outcome::Passed, false), "{id}");
        }
        assert_eq!(judged("orders", Some(PLACE)), (Outcome::Failed, true));
        assert_eq!(judged("orders-db", Some((None, "ap-northeast-3"))), (Outcome::Failed, true));
        let other_account = Some((Some("222222222222"), "ap-northeast-1"));
        assert_eq!(judged("orders-db", other_account), (Outcome::Failed, true));
        assert_eq!(judged("orders-db", None), (Outcome::Passed, false));
    }

    #[test]
    fn what_an_earlier_run_has_captured_says_of_what_and_when() {
        let config = |captured_at| DbConfig {
            captured_at,
            arn: Some(ARN.to_owned()),
            ..DbConfig::default()
        };
        let words = config(Some(DateTime::UNIX_EPOCH)).origin_in_words().unwrap();
        assert!(words.contains(ARN) && words.contains("1970-01-01T00:00:00"), "{words}");
        assert!(config(None).origin_in_words().unwrap_err().contains("no date"));
    }

    #[test]
    fn what_nobody_says_verifies_nothing() {
        let source = SourceOf { id: "orders-db".to_owned(), at: None };
        let (check, finding) = judge_source::<DbItem>(&source, None, Origin::default());
        assert_eq!((check.outcome, finding), (Outcome::Inconclusive, None));
    }
}
