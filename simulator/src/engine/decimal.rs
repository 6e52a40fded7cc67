//! Exact decimal numbers of up to 38 digits: NUMERIC.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// `digits × 10^-scale`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decimal {
    #[serde(with = "super::persist::digits")]
    pub(crate) digits: i128,
    pub(crate) scale: i32,
}

const LIMIT: i128 = 10i128.pow(37);

impl Decimal {
    pub(crate) fn whole(digits: i64) -> Decimal {
        Decimal { digits: digits.into(), scale: 0 }
    }

    fn checked(digits: i128, scale: i32) -> Option<Decimal> {
        (digits.abs() < LIMIT && scale.abs() < 1000).then_some(Decimal { digits, scale })
    }

    pub(crate) fn parse(text: &str) -> Option<Decimal> {
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let body = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let all: String = [body, fraction].concat();
        if all.is_empty() || all.len() > 60 || !all.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_start_matches('0');
        let digits: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        let sign = if whole.starts_with('-') { -1 } else { 1 };
        Decimal::checked(sign * digits, i32::try_from(fraction.len()).ok()? - exponent)
    }

    /// Returns the value with another scale, rounded half away from zero.
    pub(crate) fn rescale(self, scale: i32) -> Option<Decimal> {
        let shift = scale - self.scale;
        if shift >= 0 {
            let factor = 10i128.checked_pow(u32::try_from(shift).ok()?)?;
            return Decimal::checked(self.digits.checked_mul(factor)?, scale);
        }
        let Some(factor) = 10i128.checked_pow(shift.unsigned_abs()) else { return Some(Decimal { digits: 0, scale }) };
        let (quotient, rest) = (self.digits / factor, self.digits % factor);
        let up = if rest.abs() * 2 >= factor { rest.signum() } else { 0 };
        Some(Decimal { digits: quotient + up, scale })
    }

    fn aligned(self, other: Decimal) -> Option<(i128, i128, i32)> {
        let scale = self.scale.max(other.scale);
        Some((self.rescale(scale)?.digits, other.rescale(scale)?.digits, scale))
    }

    pub(crate) fn add(self, other: Decimal) -> Option<Decimal> {
        let (a, b, scale) = self.aligned(other)?;
        Decimal::checked(a.checked_add(b)?, scale)
    }

    pub(crate) fn negate(self) -> Decimal {
        Decimal { digits: -self.digits, scale: self.scale }
    }

    pub(crate) fn multiply(self, other: Decimal) -> Option<Decimal> {
        Decimal::checked(self.digits.checked_mul(other.digits)?, self.scale + other.scale)
    }

    /// Returns the quotient if it has few digits; None if it doesn't end (or the divisor is 0).
    pub(crate) fn divide_exactly(self, other: Decimal) -> Option<Decimal> {
        let (a, b, _) = self.aligned(other)?;
        if b == 0 {
            return None;
        }
        (0..16).find_map(|scale| {
            let scaled = a.checked_mul(10i128.pow(scale))?;
            (scaled % b == 0).then(|| Decimal::checked(scaled / b, scale as i32)).flatten()
        })
    }

    pub(crate) fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// Returns the number without its fraction, if it fits.
    pub(crate) fn to_i64(self) -> Option<i64> {
        if self.scale <= 0 {
            return i64::try_from(self.rescale(0)?.digits).ok();
        }
        let factor = 10i128.checked_pow(self.scale.unsigned_abs());
        i64::try_from(factor.map_or(0, |f| self.digits / f)).ok()
    }

    /// Returns the number of decimal digits before the point.
    pub(crate) fn whole_digits(self) -> i32 {
        self.digits.unsigned_abs().to_string().len() as i32 - self.scale
    }

    pub(crate) fn compare(self, other: Decimal) -> Ordering {
        match self.aligned(other) {
            Some((a, b, _)) => a.cmp(&b),
            None => self.to_f64().total_cmp(&other.to_f64()),
        }
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = self.digits.unsigned_abs().to_string();
        let sign = if self.digits < 0 { "-" } else { "" };
        let exponent = digits.len() as i32 - 1 - self.scale;
        if self.scale == 0 {
            write!(f, "{sign}{digits}")
        } else if self.scale > 0 && exponent >= -6 {
            let padded = format!("{digits:0>width$}", width = self.scale as usize + 1);
            let (whole, fraction) = padded.split_at(padded.len() - self.scale as usize);
            write!(f, "{sign}{whole}.{fraction}")
        } else {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            write!(f, "{sign}{first}{point}{rest}E{exponent:+}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(d("0.1").add(d("0.20")).unwrap().to_string(), "0.30");
        assert_eq!(d("12345.678").rescale(2).unwrap().to_string(), "12345.68");
        assert_eq!(d("-0.005").rescale(2).unwrap().to_string(), "-0.01");
        assert_eq!(d("1e3").to_string(), "1E+3");
        assert_eq!(d("10").divide_exactly(d("4")).unwrap().to_string(), "2.5");
        assert_eq!(d("1").divide_exactly(d("3")), None);
        assert_eq!(d("-2.5").to_i64(), Some(-2));
        assert_eq!(d("0.0000001").to_string(), "1E-7");
    }
}
