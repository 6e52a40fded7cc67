//! The price of a cluster for an hour, an amount with or without a currency, and the costs that follow from it.

use super::bill::priced_ms;
use super::model::{Cost, Session};
use crate::error::{Error, Kind, Result};

/// The price of a cluster for an hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    /// The amount.
    pub per_hour: f64,
    /// The currency, such as `USD`; empty if none was given.
    pub currency: String,
    /// The source, for people.
    pub source: String,
}

/// More than any cluster costs; an amount with more digits is a mistake.
const LARGEST: f64 = 1_000_000.0;
const MILLIS_PER_HOUR: f64 = 3_600_000.0;

impl Price {
    /// Reads a price such as `0.35`, `0.35 USD` or `EUR 2`. `source` is the setting that has it.
    ///
    /// # Errors
    ///
    /// When the text is not a price. The error names the setting and what it accepts.
    pub fn read(text: &str, source: &str) -> Result<Self> {
        let refused = || {
            Error::new(Kind::Setting, format!("cannot use {source}=`{text}`"))
                .because("it is no price")
                .hint("accepted: the price for an hour with or without a currency, such as `0.35` or `0.35 USD`")
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (amount, currency) = match words[..] {
            [amount] => (amount, ""),
            [first, second] if first.starts_with(|c: char| c.is_ascii_digit() || c == '.') => (first, second),
            [first, second] => (second, first),
            _ => return Err(refused()),
        };
        let digits = amount.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let per_hour = amount.parse::<f64>().ok().filter(|_| digits).filter(|amount| *amount <= LARGEST);
        let letters = |c: char| c.is_alphabetic() || matches!(c, '€' | '$' | '£' | '¥');
        if currency.chars().count() > 8 || !currency.chars().all(letters) {
            return Err(refused());
        }
        let per_hour = per_hour.ok_or_else(refused)?;
        Ok(Self { per_hour, currency: currency.to_owned(), source: source.to_owned() })
    }
}

impl Session {
    /// Sets what its running time cost. If it had a cluster of CrateDB Cloud, local servers beside it are free.
    pub fn price(&mut self, price: &Price) {
        self.bill.cost = Some(Cost {
            amount: price.per_hour * priced_ms([&*self]) as f64 / MILLIS_PER_HOUR,
            currency: price.currency.clone(),
            per_hour: Some(price.per_hour),
            source: price.source.clone(),
        });
    }
}

/// Returns what the running time of `sum` cost, if all sessions have one price; the sum of their costs if they have
/// several of one currency; none if one has none.
pub(super) fn cost_of(sessions: &[Session]) -> Option<Cost> {
    let costs: Vec<&Cost> = sessions.iter().map(|one| one.bill.cost.as_ref()).collect::<Option<_>>()?;
    let first = costs.first()?;
    if costs.iter().any(|cost| cost.currency != first.currency) {
        return None;
    }
    let one_price = costs.iter().all(|cost| cost.per_hour == first.per_hour);
    let amount = match first.per_hour {
        // Time that sessions shared is paid once.
        Some(per_hour) if one_price => per_hour * priced_ms(sessions) as f64 / MILLIS_PER_HOUR,
        _ => costs.iter().map(|cost| cost.amount).sum(),
    };
    let source = if one_price { first.source.clone() } else { "the prices of the sessions".to_owned() };
    let per_hour = first.per_hour.filter(|_| one_price);
    Some(Cost { amount, currency: first.currency.clone(), per_hour, source })
}

impl Cost {
    /// Returns the amount with its currency: two digits after the point, or more for a small one.
    pub fn text(&self) -> String {
        let digits = match self.amount {
            amount if amount == 0.0 || amount >= 1.0 => 2,
            amount if amount >= 0.01 => 3,
            _ => 5,
        };
        format!("{:.digits$} {}", self.amount, self.currency).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_an_amount_with_or_without_a_currency() {
        for (text, amount, currency) in [
            ("0.35", 0.35, ""),
            (" 0.35  USD ", 0.35, "USD"),
            ("EUR 2", 2.0, "EUR"),
            ("0", 0.0, ""),
            (".5 €", 0.5, "€"),
        ] {
            let price = Price::read(text, "CRATEDB_TEST_PRICE").unwrap();
            assert_eq!((price.per_hour, &*price.currency), (amount, currency), "{text}");
        }
    }

    #[test]
    fn what_is_no_price_is_an_error_that_says_what_is_one() {
        let bad = [
            "",
            " ",
            "x",
            "1 2 3",
            "-1",
            "+1",
            "1e9",
            "inf",
            "NaN",
            "1,5",
            "1 <b>",
            "2000000",
            "1 ABCDEFGHI",
            "USD",
            "1..2",
        ];
        for text in bad {
            let error = Price::read(text, "--price").unwrap_err().to_string();
            assert!(error.contains(&format!("--price=`{text}`")) && error.contains("0.35 USD"), "{error}");
        }
    }

    #[test]
    fn an_amount_has_digits_that_say_something() {
        let text = |amount| Cost { amount, currency: "USD".into(), per_hour: None, source: String::new() }.text();
        assert_eq!(text(0.0), "0.00 USD");
        assert_eq!(text(12.345), "12.35 USD");
        assert_eq!(text(0.0123), "0.012 USD");
        assert_eq!(text(0.000_123), "0.00012 USD");
        let bare = Cost { amount: 2.0, currency: String::new(), per_hour: None, source: String::new() };
        assert_eq!(bare.text(), "2.00");
    }
}
