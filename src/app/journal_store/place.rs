use super::owner::Owner;
use crate::error::{Error, Result};
use crate::ids::RunId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where journals are kept besides the disk: `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::app) struct StoreUrl {
    pub(in crate::app) bucket: String,
    /// Without slashes at its ends; empty for none.
    pub(in crate::app) prefix: String,
}

impl StoreUrl {
    /// Bucket and prefix, as the guard names places.
    pub(in crate::app) fn place(&self) -> String {
        if self.prefix.is_empty() {
            self.bucket.clone()
        } else {
            format!("{}/{}", self.bucket, self.prefix)
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.place())
    }
}

impl FromStr for StoreUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::bad_input(format!("{text:?} is no place for journals: {why}"))
                .help("write s3://BUCKET/PREFIX, such as s3://drill-evidence/redrill")
        };
        let rest =
            text.strip_prefix("s3://").ok_or_else(|| wrong("it does not begin with s3://"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(plain) {
            return Err(wrong("the bucket's name is not one that S3 has"));
        }
        let prefix = prefix.trim_end_matches('/');
        let fits = |c: char| c.is_ascii_alphanumeric() || "/-_.=".contains(c);
        if prefix.starts_with('/') || prefix.contains("//") || !prefix.chars().all(fits) {
            return Err(wrong(
                "the prefix has other characters than letters, digits, - _ . = and single slashes",
            ));
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

/// The store and the run that `s3://bucket/prefix/run` names; `None` when the text is no such address.
pub(in crate::app) fn run_at(text: &str) -> Option<Result<(StoreUrl, RunId)>> {
    text.strip_prefix("s3://")?;
    let trimmed = text.trim_end_matches('/');
    let split = trimmed
        .rsplit_once('/')
        .filter(|(store, run)| store.len() > "s3://".len() && !run.is_empty());
    Some(match split {
        Some((store, run)) => store.parse().map(|url| (url, RunId::new(run))),
        None => Err(Error::bad_input(format!("{text:?} names no run"))
            .help("write s3://BUCKET/PREFIX/RUN, with the id of the run at the end")),
    })
}

/// What a run's folder remembers of its store, in `store.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::app) struct Stored {
    /// As it was given: `s3://bucket/prefix`.
    pub(in crate::app) url: String,
    /// The region to sign for, as it was given.
    pub(in crate::app) region: Option<String>,
    /// The number of our claim in the store; `None` before there is one.
    pub(in crate::app) owner: Option<u32>,
    /// What tells our claim from others.
    pub(in crate::app) token: String,
    /// The token of a claim that was about to be made: whether it arrived, only the store tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::app) pending: Option<String>,
    /// True when the run went on without the store, whose journal ends earlier since then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::app) behind: bool,
}

impl Stored {
    /// True when the claim is that of this folder.
    pub(super) fn claimed(&self, claim: &Owner) -> bool {
        let is_last = self.owner == Some(claim.number) && self.token == claim.token;
        is_last || self.pending.as_ref() == Some(&claim.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_they_are_shown() {
        for text in ["s3://drill-evidence", "s3://drill-evidence/redrill", "s3://a.b-c/x/y_z=1"] {
            assert_eq!(text.parse::<StoreUrl>().unwrap().to_string(), text);
        }
        let slash: StoreUrl = "s3://drill-evidence/redrill/".parse().unwrap();
        assert_eq!(slash.place(), "drill-evidence/redrill");
        for bad in [
            "",
            "drills",
            "s3://",
            "s3:///x",
            "s3://AB/x",
            "s3://drills//x",
            "s3://drills/x y",
            "http://x",
        ] {
            assert!(bad.parse::<StoreUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_run_is_the_last_part_of_its_address() {
        let (url, run) = run_at("s3://drills/redrill/orders-db-0001-ab12cd").unwrap().unwrap();
        assert_eq!(
            (url.place().as_str(), run.as_str()),
            ("drills/redrill", "orders-db-0001-ab12cd")
        );
        assert!(run_at("orders-db-0001").is_none());
        assert!(run_at("s3://drills").unwrap().is_err());
    }
}
