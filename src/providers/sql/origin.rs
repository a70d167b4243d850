//! Of which database a reference was taken, and how long ago. Pure.

use super::reference::Reference;
use crate::journal::Check;
use crate::time::HumanDuration;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;

/// The database that a reference must have been taken of.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceOf {
    /// Its host name, or the beginning of it up to a dot: `orders-db` for an instance of RDS.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The name of the database.
    pub database: String,
}

/// The check of what a reference was taken of, for [`crate::action::ActionFacts`].
pub(super) const SOURCE: (&str, &str) =
    ("source of the reference", "it was taken of the database that reference_of names");

/// The check of when.
pub(super) const AGE: (&str, &str) = ("age of the reference", "it is not older than max_age");

/// What is asked of a reference, judged.
pub(super) fn judge(
    wanted: Option<&ReferenceOf>,
    limit: Option<HumanDuration>,
    reference: &Reference,
    now: DateTime<Utc>,
) -> Vec<Check> {
    let source = wanted.map(|wanted| source_check(wanted, reference));
    let age = limit.map(|limit| age_check(limit, reference.taken, now));
    source.into_iter().chain(age).collect()
}

fn source_check(wanted: &ReferenceOf, reference: &Reference) -> Check {
    let name = SOURCE.0;
    let expected = in_words(&wanted.database, wanted.endpoint.as_deref());
    let Some(database) = reference.database.as_deref() else {
        return Check::not_made(
            name,
            expected,
            "it does not say of what it was taken: take it again",
        );
    };
    let endpoint = reference.endpoint.as_deref();
    let is_host = |wanted: &String| endpoint.is_some_and(|found| is_named(wanted, found));
    let holds = wanted.database == database && wanted.endpoint.as_ref().is_none_or(is_host);
    Check::made(name, expected, in_words(database, endpoint), holds)
}

/// Names of hosts know no case.
fn is_named(wanted: &str, found: &str) -> bool {
    let (wanted, found) = (wanted.to_ascii_lowercase(), found.to_ascii_lowercase());
    let rest = found.strip_prefix(wanted.trim_end_matches('.'));
    !wanted.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn age_check(limit: HumanDuration, taken: DateTime<Utc>, now: DateTime<Utc>) -> Check {
    let (name, expected) = (AGE.0, format!("<= {limit}"));
    if taken > now {
        return Check::not_made(name, expected, "it says that it was taken in the future");
    }
    let age = HumanDuration::from(now - taken).rounded_up();
    Check::made(name, expected, age.to_string(), age <= limit)
}

/// `orders at db.example.com`.
pub(super) fn in_words(database: &str, endpoint: Option<&str>) -> String {
    endpoint.map_or_else(|| database.to_owned(), |endpoint| format!("{database} at {endpoint}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;
    use crate::outside::ladder::fingerprint;
    use chrono::TimeDelta;
    use std::collections::BTreeMap;

    fn reference(endpoint: Option<&str>, database: Option<&str>) -> Reference {
        let schema = BTreeMap::new();
        Reference {
            redrill_sql_reference: 2,
            version: "15.4".into(),
            endpoint: endpoint.map(str::to_owned),
            database: database.map(str::to_owned),
            taken: DateTime::UNIX_EPOCH,
            fingerprint: fingerprint(&schema),
            schema,
            not_seen: BTreeMap::new(),
            tables: BTreeMap::new(),
        }
    }

    #[test]
    fn regression_a_reference_of_another_database_fails_and_one_that_says_nothing_verifies_nothing()
    {
        let judged = |endpoint: Option<&str>, found: &Reference| {
            let wanted =
                ReferenceOf { endpoint: endpoint.map(str::to_owned), database: "orders".into() };
            judge(Some(&wanted), None, found, DateTime::UNIX_EPOCH).remove(0).outcome
        };
        let of_orders = reference(Some("Orders-db.c1.eu-west-1.rds.amazonaws.com"), Some("orders"));
        for endpoint in [None, Some("orders-db"), Some("orders-db.c1.eu-west-1.rds.amazonaws.com")]
        {
            assert_eq!(judged(endpoint, &of_orders), Outcome::Passed, "{endpoint:?}");
        }
        for endpoint in [Some("orders"), Some("orders-db-2"), Some("payments-db"), Some("")] {
            assert_eq!(judged(endpoint, &of_orders), Outcome::Failed, "{endpoint:?}");
        }
        let other = reference(Some("orders-db"), Some("payments"));
        assert_eq!(judged(Some("orders-db"), &other), Outcome::Failed);
        assert_eq!(judged(None, &reference(None, None)), Outcome::Inconclusive);
        assert_eq!(judged(Some("orders-db"), &reference(None, Some("orders"))), Outcome::Failed);
    }

    #[test]
    fn regression_an_old_reference_fails_and_one_of_the_future_has_no_age() {
        let judged = |hours: i64| {
            let now = DateTime::UNIX_EPOCH + TimeDelta::hours(hours);
            let limit = Some("1d".parse().unwrap());
            judge(None, limit, &reference(None, None), now).remove(0).outcome
        };
        assert_eq!(judged(24), Outcome::Passed);
        assert_eq!(judged(25), Outcome::Failed);
        assert_eq!(judged(-1), Outcome::Inconclusive);
        assert!(judge(None, None, &reference(None, None), DateTime::UNIX_EPOCH).is_empty());
    }
}
