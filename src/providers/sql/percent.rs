use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A share, written `5%`: from 0 to 100, at most two digits behind the point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent {
    /// In hundredths of a percent.
    hundredths: u32,
}

impl Percent {
    /// All of it.
    pub(super) const ALL: Self = Self { hundredths: 10_000 };

    /// This share of a number, rounded down.
    pub(super) fn of(self, number: u64) -> u64 {
        let share = u128::from(number) * u128::from(self.hundredths) / 10_000;
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// This share of a number, rounded up.
    pub(super) fn of_rounded_up(self, number: u64) -> u64 {
        let share = (u128::from(number) * u128::from(self.hundredths)).div_ceil(10_000);
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is not a share from 0% to 100%, such as 5% or 0.25%");
        let number = text.trim().strip_suffix('%').ok_or_else(wrong)?;
        let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || rest.is_empty() || rest.len() > 2 || !digits(whole) || !digits(rest)
        {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let rest: u32 = format!("{rest:0<2}").parse().map_err(|_| wrong())?;
        let hundredths = whole.checked_mul(100).and_then(|whole| whole.checked_add(rest));
        let hundredths = hundredths.filter(|hundredths| *hundredths <= 10_000).ok_or_else(wrong)?;
        Ok(Self { hundredths })
    }
}

impl TryFrom<String> for Percent {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        percent.to_string()
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.hundredths / 100, self.hundredths % 100);
        match rest {
            0 => write!(f, "{whole}%"),
            tenths if tenths % 10 == 0 => write!(f, "{whole}.{}%", tenths / 10),
            rest => write!(f, "{whole}.{rest:02}%"),
        }
    }
}

impl JsonSchema for Percent {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": r"^(100(\.00?)?|[0-9]{1,2}(\.[0-9]{1,2})?)%$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_read_back_what_they_print() {
        for text in ["0%", "5%", "0.2%", "0.25%", "0.05%", "100%"] {
            assert_eq!(text.parse::<Percent>().unwrap().to_string(), text);
        }
        for text in ["", "5", "%", "-1%", "101%", "1.234%", "1.%", "100.01%", "five%"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_of_a_number_is_rounded_as_asked() {
        let half: Percent = "0.5%".parse().unwrap();
        assert_eq!((half.of(1_000), half.of(199), half.of_rounded_up(199)), (5, 0, 1));
        assert_eq!(Percent::ALL.of(u64::MAX), u64::MAX);
    }
}
