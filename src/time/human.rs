use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration as people write it: `90s`, `15m`, `4h`, `7d`, `1h 30m`. Units: `ms`, `s`, `m`, `h`, `d`, each once at most.
///
/// Written to JSON as the same text, so that journals and reports read as scenarios do. JSON Schema format:
/// `redrill-duration`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

impl HumanDuration {
    /// True for no time at all: for serde, which leaves such a field out.
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}

const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The longest duration that people can write: ten years.
const LONGEST_MS: u64 = crate::limits::DURATION_DAYS * 86_400_000;

/// The longest duration that is read from what programs write: a thousand times as long. Between two times of four-digit
/// years no more lies.
const LONGEST_MEASURED_MS: u64 = 1_000 * LONGEST_MS;

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read(text)?
            .filter(|ms| *ms <= LONGEST_MS)
            .map(|ms| Self(Duration::from_millis(ms)))
            .ok_or_else(|| format!("{text:?} is longer than ten years"))
    }
}

/// A text in milliseconds; `None` when they are too many to be counted.
fn read(text: &str) -> Result<Option<u64>, String> {
    let wrong = || {
        format!(
            "{text:?} is not a duration: write a number and a unit, such as 90s, 15m, 4h, 7d or \"1h 30m\""
        )
    };
    let mut rest = text.trim();
    let mut total = Some(0_u64);
    let mut seen = Vec::new();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let unit = UNITS.iter().find(|(name, _)| *name == &rest[..letters]).ok_or_else(wrong)?;
        if seen.contains(&unit.0) {
            return Err(format!("{text:?} is not a duration: the unit {} stands twice", unit.0));
        }
        seen.push(unit.0);
        rest = rest[letters..].trim_start();
        total = number.checked_mul(unit.1).and_then(|ms| total?.checked_add(ms));
    }
    Ok(total)
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        let mut first = true;
        for (unit, size) in UNITS {
            let count = rest / size;
            rest %= size;
            if count > 0 {
                write!(f, "{}{count}{unit}", if first { "" } else { " " })?;
                first = false;
            }
        }
        Ok(())
    }
}

impl HumanDuration {
    /// Reads what a program measured and wrote: it may be longer than what people may write, up to ten thousand years.
    ///
    /// # Errors
    /// When the text is not a duration, or longer than that.
    pub fn measured(text: &str) -> Result<Self, String> {
        read(text)?
            .filter(|ms| *ms <= LONGEST_MEASURED_MS)
            .map(|ms| Self(Duration::from_millis(ms)))
            .ok_or_else(|| format!("{text:?} is longer than ten thousand years"))
    }

    /// In whole seconds, rounded up: for a loss or a delay that was measured, which must not look shorter than it is.
    #[must_use]
    pub fn rounded_up(self) -> Self {
        let more = u64::from(self.0.subsec_nanos() > 0);
        Self(Duration::from_secs(self.0.as_secs().saturating_add(more)))
    }

    /// In whole seconds, rounded down: for a stretch that is good to have, which must not look longer than it is.
    #[must_use]
    pub fn rounded_down(self) -> Self {
        Self(Duration::from_secs(self.0.as_secs()))
    }
}

impl From<Duration> for HumanDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<chrono::TimeDelta> for HumanDuration {
    /// Negative differences become zero.
    fn from(delta: chrono::TimeDelta) -> Self {
        Self(delta.to_std().unwrap_or_default())
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    /// As [`HumanDuration::measured`]: a journal must be readable whatever was measured. The schema of the language holds
    /// scenarios to ten years.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::measured(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for HumanDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "HumanDuration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "redrill-duration" })
    }
}

/// A number of bytes. Written to JSON as a number; read from a number or from text such as `512 KiB` or `20 GB`.
/// JSON Schema format: `redrill-size`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            format!(
                "{text:?} is not a size: write a number and a unit, such as 512 KiB, 20 GiB or 100 B"
            )
        };
        let trimmed = text.trim();
        let digits = trimmed.len() - trimmed.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = trimmed[..digits].parse().map_err(|_| wrong())?;
        let unit = trimmed[digits..].trim();
        let (_, factor) = SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        number.checked_mul(*factor).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = SIZES[..4]
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match exact {
            Some((unit, factor)) => write!(f, "{} {unit}", self.0 / factor),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Number(n) => n
                .as_u64()
                .map(Self)
                .ok_or_else(|| serde::de::Error::custom("a size is a whole number of bytes")),
            serde_json::Value::String(text) => text.parse().map_err(serde::de::Error::custom),
            _ => Err(serde::de::Error::custom(
                "a size is a number of bytes, or text such as 512 KiB",
            )),
        }
    }
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["integer", "string"], "format": "redrill-size", "minimum": 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_duration_reads_back_what_it_prints(ms in 0..LONGEST_MS) {
            let duration = HumanDuration(Duration::from_millis(ms));
            prop_assert_eq!(duration.to_string().parse::<HumanDuration>(), Ok(duration));
        }

        #[test]
        fn every_size_reads_back_what_it_prints(bytes: u64) {
            prop_assert_eq!(ByteSize(bytes).to_string().parse::<ByteSize>(), Ok(ByteSize(bytes)));
        }

        #[test]
        fn no_text_makes_the_readers_panic(text in ".*") {
            let _ = text.parse::<HumanDuration>();
            let _ = text.parse::<ByteSize>();
        }
    }

    #[test]
    fn regression_a_loss_of_decades_can_be_read_back_from_the_journal() {
        let since_1970 = HumanDuration(Duration::from_secs(57 * 365 * 86_400));
        let written = serde_json::to_string(&since_1970).unwrap();
        assert_eq!(serde_json::from_str::<HumanDuration>(&written).unwrap(), since_1970);
        assert!(serde_json::from_str::<HumanDuration>("\"99999999999d\"").is_err());
    }

    #[test]
    fn regression_a_unit_that_stands_twice_is_a_mistake() {
        for text in ["1h1h", "1h 30m 1h", "5m5m", "1d 2d"] {
            let error = text.parse::<HumanDuration>().unwrap_err();
            assert!(error.contains("stands twice"), "{text}: {error}");
        }
        let read = "1m 1ms".parse::<HumanDuration>();
        assert_eq!(read, Ok(HumanDuration(Duration::from_millis(60_001))));
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        let read = |text: &str| text.parse::<HumanDuration>().map(|d| d.0.as_secs());
        assert_eq!(read("1h 30m"), Ok(5400));
        assert_eq!(read("26h"), Ok(93_600));
        assert_eq!(HumanDuration(Duration::from_secs(93_600)).to_string(), "1d 2h");
        assert!(read("4x").unwrap_err().contains("write a number and a unit"));
        assert!(read("4").is_err());
        assert!(read("99999999d").unwrap_err().contains("ten years"));
    }
}
