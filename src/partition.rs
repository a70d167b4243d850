//! The partitions of AWS: which one a region belongs to, and so how ARNs and host names are written there.
//!
//! <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>. A test compares the list
//! with the SDK's own.

/// A partition: a part of AWS with accounts, credentials and names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// As ARNs name it: `aws`, `aws-cn`.
    pub name: &'static str,
    /// The end of the host names of its services.
    pub suffix: &'static str,
}

const fn partition(name: &'static str, suffix: &'static str) -> Partition {
    Partition { name, suffix }
}

/// The beginnings of the names of regions. What begins in no such way is in the partition `aws`.
const BY_BEGINNING: &[(&str, Partition)] = &[
    ("cn-", partition("aws-cn", "amazonaws.com.cn")),
    ("us-gov-", partition("aws-us-gov", "amazonaws.com")),
    ("us-iso-", partition("aws-iso", "c2s.ic.gov")),
    ("us-isob-", partition("aws-iso-b", "sc2s.sgov.gov")),
    ("eu-isoe-", partition("aws-iso-e", "cloud.adc-e.uk")),
    ("us-isof-", partition("aws-iso-f", "csp.hci.ic.gov")),
    ("eusc-", partition("aws-eusc", "amazonaws.eu")),
];

impl Partition {
    /// That of a region.
    pub fn of(region: &str) -> Self {
        let found = BY_BEGINNING.iter().find(|(beginning, _)| region.starts_with(beginning));
        found.map_or(partition("aws", "amazonaws.com"), |(_, found)| *found)
    }

    /// The one that an ARN names; `None` when there is no such partition.
    pub fn named(name: &str) -> Option<Self> {
        let all = BY_BEGINNING.iter().map(|(_, one)| *one).chain([Self::of("")]);
        all.into_iter().find(|one| one.name == name)
    }
}

/// True for what can be the name of a region: words of small letters with hyphens between them, and a number at the end.
pub fn is_region(text: &str) -> bool {
    let mut parts = text.split('-').rev();
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    parts.next().is_some_and(number) && parts.clone().count() >= 2 && parts.all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_says_its_partition() {
        for (region, name, suffix) in [
            ("ap-northeast-3", "aws", "amazonaws.com"),
            ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
            ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
            ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
        ] {
            assert_eq!(Partition::of(region), Partition { name, suffix }, "{region}");
            assert_eq!(Partition::named(name), Some(Partition { name, suffix }));
        }
        assert_eq!(Partition::named("aws-mars"), None);
    }

    #[test]
    fn what_is_no_region_is_told() {
        for region in ["eu-west-1", "us-gov-west-1", "eusc-de-east-1"] {
            assert!(is_region(region), "{region}");
        }
        for text in ["", "eu-west", "1", "eu-1", "eu-west-1.example.com/", "EU-west-1", "eu--1"] {
            assert!(!is_region(text), "{text}");
        }
    }
}
