use crate::outside::SqlValue;
use chrono::{DateTime, NaiveDateTime, Utc};

/// How the text of a value is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextKind {
    Integer,
    Float,
    Bool,
    Time,
    Text,
}

/// A value from its text. What does not fit its kind stays text, so that nothing is lost: unsigned numbers beyond 63
/// bits, `infinity`, zero dates.
pub(super) fn from_text(text: &str, kind: TextKind) -> SqlValue {
    let read = match kind {
        TextKind::Integer => text.parse().ok().map(SqlValue::Integer),
        TextKind::Float => text.parse().ok().map(SqlValue::Float),
        TextKind::Bool => match text {
            "t" => Some(SqlValue::Bool(true)),
            "f" => Some(SqlValue::Bool(false)),
            _ => None,
        },
        TextKind::Time => time(text).map(SqlValue::Time),
        TextKind::Text => None,
    };
    read.unwrap_or_else(|| SqlValue::Text(text.to_owned()))
}

/// A value whose bytes are not text.
pub(super) fn from_bytes(bytes: &[u8]) -> SqlValue {
    SqlValue::Text(format!("\\x{}", hex::encode(bytes)))
}

/// `2026-11-22 03:00:00.25+00` (ISO style of PostgreSQL) or `2026-11-22 03:00:00.25` (taken as UTC).
fn time(text: &str) -> Option<DateTime<Utc>> {
    let with_offset = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z");
    with_offset.map(|time| time.to_utc()).ok().or_else(|| {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok().map(|time| time.and_utc())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_offset() {
        let expected = "2026-11-22T03:00:00.250Z".parse::<DateTime<Utc>>().unwrap();
        assert_eq!(time("2026-11-22 03:00:00.25+00"), Some(expected));
        assert_eq!(time("2026-11-22 12:00:00.25+09"), Some(expected));
        assert_eq!(time("2026-11-22 08:30:00.25+05:30"), Some(expected));
        assert_eq!(time("2026-11-22 03:00:00.25"), Some(expected));
        assert_eq!(time("infinity"), None);
        assert_eq!(time("0000-00-00 00:00:00"), None);
    }

    #[test]
    fn what_does_not_fit_its_kind_stays_text() {
        let text = |text: &str| SqlValue::Text(text.to_owned());
        assert_eq!(
            from_text("18446744073709551615", TextKind::Integer),
            text("18446744073709551615")
        );
        assert_eq!(from_text("-7", TextKind::Integer), SqlValue::Integer(-7));
        assert_eq!(from_text("0.10", TextKind::Text), text("0.10"));
        assert_eq!(from_text("t", TextKind::Bool), SqlValue::Bool(true));
        assert_eq!(from_text("infinity", TextKind::Time), text("infinity"));
    }
}
