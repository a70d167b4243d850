use crate::action::{EXPIRES_TAG, Expiry, RUN_TAG};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// True when a drill has made the thing with these tags, or something that it was taken of: it is removed again. What a recovery
/// has brought back never expires: it is production, and so are its backups.
pub(in crate::providers) fn is_of_a_drill(tags: &BTreeMap<String, String>) -> bool {
    let expiry = || Expiry::read(tags.get(EXPIRES_TAG).map(String::as_str));
    tags.contains_key(RUN_TAG) && expiry() != Expiry::Never
}

/// What a tag says of the time of the data in a backup, written down before the loss in RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::providers) enum TimeTag {
    /// No tag is named, or the backup does not carry it.
    #[default]
    Absent,
    /// The time (UTC), and which tag says it.
    Time { at: DateTime<Utc>, source: String },
    /// The tag cannot be right, and says nothing; the text says why.
    Wrong(String),
}

/// Who tags a backup with the present may do so a little after it was begun.
const TAGGED_LATE: TimeDelta = TimeDelta::minutes(5);

impl TimeTag {
    /// Reads the tag of that name. A backup holds nothing that was written after it, or its copy, was made (UTC): a later time
    /// is wrong, and would make an old backup the newest.
    pub(in crate::providers) fn read(
        tags: &BTreeMap<String, String>,
        name: Option<&str>,
        made: Option<DateTime<Utc>>,
    ) -> Self {
        let Some((name, text)) = name.and_then(|name| Some((name, tags.get(name)?.trim()))) else {
            return Self::Absent;
        };
        let Ok(time) = DateTime::parse_from_rfc3339(text) else {
            return Self::Wrong(format!("{name}={text} is no time in RFC 3339"));
        };
        let at = time.to_utc();
        match made {
            Some(made) if at > made + TAGGED_LATE => {
                Self::Wrong(format!("{name}={text} is later than {}", made.to_rfc3339()))
            }
            _ => Self::Time { at, source: format!("tag {name}") },
        }
    }

    /// The time (UTC) and where it comes from, where the tag says one.
    pub(in crate::providers) fn time(&self) -> Option<(DateTime<Utc>, String)> {
        match self {
            Self::Time { at, source } => Some((*at, source.clone())),
            Self::Absent | Self::Wrong(_) => None,
        }
    }

    /// What is wrong with it.
    pub(in crate::providers) fn wrong(&self) -> Option<String> {
        match self {
            Self::Wrong(why) => Some(why.clone()),
            Self::Absent | Self::Time { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> TimeTag {
        let tags = BTreeMap::from([("data-time".to_owned(), text.to_owned())]);
        // Made at 06:00 on the second day.
        let made = DateTime::UNIX_EPOCH + TimeDelta::hours(30);
        TimeTag::read(&tags, Some("data-time"), Some(made))
    }

    #[test]
    fn a_tag_tells_the_time_in_utc_and_by_its_name() {
        let (at, source) = read(" 1970-01-02T14:00:00+09:00 ").time().unwrap();
        assert_eq!(at, DateTime::UNIX_EPOCH + TimeDelta::hours(29));
        assert_eq!(source, "tag data-time");
        assert_eq!(TimeTag::read(&BTreeMap::new(), Some("data-time"), None), TimeTag::Absent);
        assert_eq!(TimeTag::read(&BTreeMap::new(), None, None), TimeTag::Absent);
    }

    #[test]
    fn regression_a_tag_later_than_the_backup_or_without_a_time_is_wrong() {
        assert!(read("1970-01-02T06:05:00Z").time().is_some(), "tagged a little late");
        for text in ["1970-01-02T14:00:00Z", "yesterday", "", "1970-01-02", "1760000000"] {
            assert_eq!(read(text).time(), None, "{text}");
            assert!(read(text).wrong().unwrap().starts_with("data-time="), "{text}");
        }
    }

    #[test]
    fn what_a_drill_made_is_told_from_what_a_recovery_brought_back() {
        let tags = |expires: Option<&str>| {
            let run = (RUN_TAG.to_owned(), "orders-0001".to_owned());
            let expires = expires.map(|text| (EXPIRES_TAG.to_owned(), text.to_owned()));
            is_of_a_drill(&[run].into_iter().chain(expires).collect())
        };
        assert!(tags(Some("2026-11-22T12:00:00Z")) && tags(None));
        assert!(!tags(Some("never")));
        assert!(!is_of_a_drill(&BTreeMap::from([("system".to_owned(), "orders".to_owned())])));
    }
}
