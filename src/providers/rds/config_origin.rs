//! Whether an intended configuration can say anything about the instance that is compared with it: pure.

use super::config_diff::Origin;
use crate::journal::Check;
use crate::providers::backups::time_of;
use aws_sdk_rds::types::DbInstance;
use chrono::{DateTime, Utc};

/// What RDS says of which instance or cluster it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::providers) struct Told {
    pub(in crate::providers) arn: Option<String>,
    /// `DbiResourceId`, `DbClusterResourceId`.
    pub(in crate::providers) resource_id: Option<String>,
    /// When it was made (UTC).
    pub(in crate::providers) made: Option<DateTime<Utc>>,
}

pub(super) fn told_of(instance: &DbInstance) -> Told {
    let text = |value: Option<&str>| value.filter(|v| !v.is_empty()).map(str::to_owned);
    Told {
        arn: text(instance.db_instance_arn()),
        resource_id: text(instance.dbi_resource_id()),
        made: instance.instance_create_time().and_then(time_of),
    }
}

/// The check that a captured configuration was not captured from the instance that is compared, nor after that had been made
/// in this run (begun at `started`, UTC): it would be compared with itself. None for what a person wrote.
pub(super) fn origin_check(
    intended: Origin<'_>,
    compared: &Told,
    started: DateTime<Utc>,
) -> Option<Check> {
    let captured_at = intended.captured_at?;
    let (name, expected) =
        ("origin of the intended configuration", "another instance, before this one was made");
    let not_made = |why: &str| Some(Check::not_made(name, expected, why));
    match is_same(intended, compared) {
        Some(true) => {
            return not_made("it was captured from the very instance that is compared with it");
        }
        None => return not_made("nobody says of which instance it was captured"),
        Some(false) => {}
    }
    let made_here = compared.made.filter(|made| *made >= started);
    if made_here.is_some_and(|made| captured_at >= made) {
        return not_made("it was captured after this instance had been made: after the disaster");
    }
    let of = intended.arn.or(intended.resource_id).unwrap_or("another");
    let observed = format!("{of}, {}", captured_at.to_rfc3339());
    Some(Check::made(name, expected, observed, true))
}

/// Whether both are of one instance. The identity decides where both sides tell it: a name can be given again.
fn is_same(intended: Origin<'_>, compared: &Told) -> Option<bool> {
    let same = |one: Option<&str>, other: &Option<String>| {
        Some(one?.eq_ignore_ascii_case(other.as_ref()?))
    };
    same(intended.resource_id, &compared.resource_id).or_else(|| same(intended.arn, &compared.arn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome::{self, Inconclusive, Passed};
    use crate::providers::rds::config::DbConfig;
    use crate::providers::rds::config_diff::Config as _;
    use chrono::TimeDelta;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn captured(arn: &str, resource_id: Option<&str>, hour: i64) -> DbConfig {
        DbConfig {
            captured_at: Some(at(hour)),
            arn: Some(arn.to_owned()),
            resource_id: resource_id.map(str::to_owned),
            ..DbConfig::default()
        }
    }

    /// Of a run that began at hour 10; the instance was made at hour 12.
    fn outcome(intended: &DbConfig) -> Option<Outcome> {
        let (arn, resource_id) = (Some("arn:new".to_owned()), Some("db-NEW".to_owned()));
        let compared = Told { arn, resource_id, made: Some(at(12)) };
        origin_check(intended.origin(), &compared, at(10)).map(|check| check.outcome)
    }

    #[test]
    fn regression_an_instance_that_is_compared_with_itself_verifies_nothing() {
        assert_eq!(outcome(&captured("arn:old", Some("db-OLD"), 11)), Some(Passed));
        assert_eq!(outcome(&captured("arn:new", Some("db-NEW"), 11)), Some(Inconclusive));
        assert_eq!(outcome(&captured("arn:new", None, 11)), Some(Inconclusive));
        let earlier = captured("arn:new", Some("db-OLD"), 11);
        assert_eq!(outcome(&earlier), Some(Passed), "an earlier one of that name");
    }

    #[test]
    fn regression_what_was_captured_after_the_restore_verifies_nothing() {
        assert_eq!(outcome(&captured("arn:other", Some("db-OTHER"), 13)), Some(Inconclusive));
        let old = Told { arn: Some("arn:b".into()), made: Some(at(1)), ..Told::default() };
        let check = origin_check(captured("arn:a", None, 11).origin(), &old, at(10)).unwrap();
        assert_eq!(check.outcome, Passed, "a replica is older than the run");
    }

    #[test]
    fn what_nobody_says_verifies_nothing_and_what_a_person_wrote_is_compared() {
        let silent = DbConfig { captured_at: Some(at(1)), ..DbConfig::default() };
        assert_eq!(outcome(&silent), Some(Inconclusive));
        assert_eq!(outcome(&DbConfig::default()), None);
    }
}
