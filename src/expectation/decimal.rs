use std::cmp::Ordering;
use std::str::FromStr;

/// An exact decimal number: sums of money must not be compared as floating numbers.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    digits: i128,
    scale: u32,
}

impl FromStr for Decimal {
    type Err = ();

    /// Reads `-12.50`; no exponents.
    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let signed = whole.strip_prefix('-').or_else(|| whole.strip_prefix('+')).unwrap_or(whole);
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if signed.is_empty() || !all_digits(signed) || !all_digits(fraction) {
            return Err(());
        }
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}").parse().map_err(drop)?;
        Ok(Self { digits, scale: u32::try_from(fraction.len()).map_err(drop)? })
    }
}

impl Decimal {
    /// Compares exactly; `None` when the numbers are too long for that.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        let scale = self.scale.max(other.scale);
        Some(self.at(scale)?.cmp(&other.at(scale)?))
    }

    fn at(self, scale: u32) -> Option<i128> {
        self.digits.checked_mul(10i128.checked_pow(scale - self.scale)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(a: &str, b: &str) -> Option<Ordering> {
        a.parse::<Decimal>().unwrap().compare(b.parse().unwrap())
    }

    #[test]
    fn decimals_are_compared_exactly() {
        assert_eq!(compare("0.00", "0"), Some(Ordering::Equal));
        assert_eq!(compare("12345678901234567.01", "12345678901234567.02"), Some(Ordering::Less));
        assert_eq!(compare("-1.5", "-1.49"), Some(Ordering::Less));
        assert!("1e5".parse::<Decimal>().is_err());
        assert!("".parse::<Decimal>().is_err());
        assert!("-".parse::<Decimal>().is_err());
    }
}
