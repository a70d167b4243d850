//! Whether RDS still offers the version of an engine here: a backup of one that is gone cannot be restored as it is.

use crate::action::{Probe, ProbeVerdict, StepContext, StepError};
use crate::client;
use crate::journal::{Check, FailureClass};
use crate::providers::backups::Obstacle;
use aws_sdk_rds::types::DbEngineVersion;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::providers) enum Offer {
    Offered,
    /// RDS lists no such version here.
    Gone,
    /// That could not be found out; the text says why.
    Unknown(String),
}

impl Offer {
    /// Whether it is offered; `None` when that is not known.
    pub(in crate::providers) fn known(&self) -> Option<bool> {
        match self {
            Self::Offered => Some(true),
            Self::Gone => Some(false),
            Self::Unknown(_) => None,
        }
    }

    /// The check of it.
    pub(in crate::providers) fn check(&self, version: &str) -> Check {
        let (name, expected) = ("engine version offered", "offered here");
        match self {
            Self::Offered => Check::made(name, expected, format!("{version} is offered"), true),
            Self::Gone => {
                Check::made(name, expected, format!("{version} is not offered here"), false)
            }
            Self::Unknown(why) => Check::not_made(name, expected, why),
        }
    }
}

/// Asks whether a version is offered in the region of the step's site. Without `IncludeAll` RDS lists only what is available
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBEngineVersions.html>).
async fn is_offered(cx: &StepContext, engine: &str, version: &str) -> Result<bool, StepError> {
    let client = client!(cx.site()?, aws_sdk_rds);
    let request = client.describe_db_engine_versions().engine(engine).engine_version(version);
    let answer = cx.call(ASKED_BY, || request.clone().send()).await?;
    let same = |one: &DbEngineVersion| {
        one.engine() == Some(engine) && one.engine_version() == Some(version)
    };
    Ok(answer.db_engine_versions().iter().any(same))
}

const ASKED_BY: &str = "rds:DescribeDBEngineVersions";
const UNTOLD: &str = "RDS does not say of which engine and version it is";

/// Whether a version is offered, as [`is_offered`].
///
/// # Errors
/// Those of the call, except that it is not allowed or not understood: then it is unknown.
async fn offer_of(
    cx: &StepContext,
    engine: Option<&str>,
    version: Option<&str>,
) -> Result<Offer, StepError> {
    let Some((engine, version)) = engine.zip(version) else {
        return Ok(Offer::Unknown(UNTOLD.to_owned()));
    };
    match is_offered(cx, engine, version).await {
        Ok(true) => Ok(Offer::Offered),
        Ok(false) => Ok(Offer::Gone),
        Err(error) if error.class() == FailureClass::Denied => {
            Ok(Offer::Unknown(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

/// A look at the version of a backup before the day of a drill.
pub(super) async fn version_probe(
    cx: &StepContext,
    engine: Option<&str>,
    version: Option<&str>,
) -> Probe {
    let what = format!("engine version {}", named(engine, version));
    let Some((engine, version)) = engine.zip(version) else {
        return Probe::new(what, ProbeVerdict::Unknown(UNTOLD.to_owned()));
    };
    let judge = |offered| match offered {
        true => ProbeVerdict::works("offered here"),
        false => ProbeVerdict::fails(
            "it is not offered here",
            "upgrade the source, so that new backups of it can be restored",
        ),
    };
    Probe::of(what, &[ASKED_BY], is_offered(cx, engine, version).await, judge)
}

/// What is known of the versions of some backups, each asked for once.
#[derive(Clone, Debug, Default)]
pub(in crate::providers) struct Offers(BTreeMap<(Option<String>, Option<String>), Offer>);

impl Offers {
    /// Asks for the engines and versions of backups. As [`offer_of`].
    ///
    /// # Errors
    /// As [`offer_of`].
    pub(in crate::providers) async fn of(
        cx: &StepContext,
        versions: BTreeSet<(Option<&str>, Option<&str>)>,
    ) -> Result<Self, StepError> {
        let mut offers = BTreeMap::new();
        for (engine, version) in versions {
            let offer = offer_of(cx, engine, version).await?;
            offers.insert((engine.map(str::to_owned), version.map(str::to_owned)), offer);
        }
        Ok(Self(offers))
    }

    /// For tests: this version is gone, and nothing is known of others.
    #[cfg(test)]
    pub(super) fn gone(engine: &str, version: &str) -> Self {
        let of = (Some(engine.to_owned()), Some(version.to_owned()));
        Self(BTreeMap::from([(of, Offer::Gone)]))
    }

    /// What is known of one.
    pub(in crate::providers) fn get(&self, engine: Option<&str>, version: Option<&str>) -> Offer {
        let known = self.0.get(&(engine.map(str::to_owned), version.map(str::to_owned)));
        known.cloned().unwrap_or_else(|| Offer::Unknown("it was not asked for".to_owned()))
    }

    /// What keeps a backup of that version from being restored.
    pub(in crate::providers) fn obstacle(
        &self,
        engine: Option<&str>,
        version: Option<&str>,
    ) -> Option<Obstacle> {
        let gone = self.get(engine, version) == Offer::Gone;
        gone.then(|| Obstacle::VersionGone(named(engine, version)))
    }
}

/// Engine and version in a few words.
pub(in crate::providers) fn named(engine: Option<&str>, version: Option<&str>) -> String {
    format!("{} {}", engine.unwrap_or("unknown engine"), version.unwrap_or("of unknown version"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome;

    #[test]
    fn a_version_that_is_gone_fails_and_one_that_is_not_known_verifies_nothing() {
        assert_eq!(Offer::Offered.check("postgres 16.4").outcome, Outcome::Passed);
        assert_eq!(Offer::Gone.check("postgres 13.3").outcome, Outcome::Failed);
        assert_eq!(Offer::Unknown("denied".into()).check("x").outcome, Outcome::Inconclusive);
    }

    #[test]
    fn only_a_version_that_is_known_to_be_gone_hinders_a_restore() {
        let of = |version: &str| (Some("postgres".to_owned()), Some(version.to_owned()));
        let offers = Offers(BTreeMap::from([
            (of("13.3"), Offer::Gone),
            (of("16.4"), Offer::Offered),
            (of("15.1"), Offer::Unknown("denied".into())),
        ]));
        let obstacle = |version| offers.obstacle(Some("postgres"), Some(version));
        assert_eq!(obstacle("13.3"), Some(Obstacle::VersionGone("postgres 13.3".into())));
        assert_eq!((obstacle("16.4"), obstacle("15.1"), obstacle("9.6")), (None, None, None));
    }
}
