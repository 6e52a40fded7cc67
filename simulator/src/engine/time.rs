//! Timestamps in milliseconds since the epoch, and intervals.

/// An interval. Months and days are kept apart from the time, since their lengths differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Interval {
    pub(crate) months: i64,
    pub(crate) days: i64,
    pub(crate) millis: i64,
}

pub(crate) const DAY: i64 = 86_400_000;

/// Returns the days since the epoch of a date of the Gregorian calendar.
pub(crate) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Returns year, month and day of `days` since the epoch.
pub(crate) fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

fn days_in(year: i64, month: i64) -> i64 {
    let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days_of(next_year, next, 1) - days_of(year, month, 1)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let head = text.get(..digits)?;
    head.bytes().all(|b| b.is_ascii_digit()).then(|| head.parse().ok()).flatten()
}

/// Reads ISO 8601 with day, optional time and zone, or milliseconds as digits. The zone counts only if `zoned`.
pub(crate) fn parse_timestamp(text: &str, zoned: bool) -> Option<i64> {
    if let Ok(millis) = text.parse::<i64>()
        && !text.starts_with('+')
    {
        return Some(millis);
    }
    let (year, month, day) = (number(text, 4)?, number(text.get(5..)?, 2)?, number(text.get(8..)?, 2)?);
    let valid = text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-' && (1..=12).contains(&month);
    if !valid || day < 1 || day > days_in(year, month) {
        return None;
    }
    let midnight = days_of(year, month, day) * DAY;
    let Some(rest) = text.get(10..).filter(|rest| !rest.is_empty()) else { return Some(midnight) };
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = parse_time(rest)?;
    let offset = parse_zone(rest)?;
    Some(midnight + time - if zoned { offset } else { 0 })
}

fn parse_time(text: &str) -> Option<(i64, &str)> {
    let (hour, minute) = (number(text, 2)?, number(text.get(3..)?, 2)?);
    if text.as_bytes()[2] != b':' || hour > 23 || minute > 59 {
        return None;
    }
    let mut out = (hour * 60 + minute) * 60_000;
    let mut rest = text.get(5..)?;
    if let Some(seconds) = rest.strip_prefix(':') {
        let second = number(seconds, 2)?;
        if second > 59 {
            return None;
        }
        out += second * 1000;
        rest = seconds.get(2..)?;
        if let Some(fraction) = rest.strip_prefix('.') {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 || digits > 9 {
                return None;
            }
            out += format!("{:0<3}", &fraction[..digits])[..3].parse::<i64>().ok()?;
            rest = &fraction[digits..];
        }
    }
    Some((out, rest))
}

/// Reads a zone as milliseconds east of Greenwich: nothing, `Z`, `±hh`, `±hhmm`, `±hh:mm`.
pub(crate) fn parse_zone(text: &str) -> Option<i64> {
    if text.is_empty() || text == "Z" || text == "z" {
        return Some(0);
    }
    let sign = match text.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = &text[1..];
    let (hours, minutes) = match digits.len() {
        2 => (number(digits, 2)?, 0),
        4 => (number(digits, 2)?, number(digits.get(2..)?, 2)?),
        5 if digits.as_bytes()[2] == b':' => (number(digits, 2)?, number(digits.get(3..)?, 2)?),
        _ => return None,
    };
    (hours <= 18 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
}

impl Interval {
    /// Reads `3 days 4 hours`: whole numbers with unit words.
    pub(crate) fn parse(text: &str) -> Option<Interval> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.is_empty() || !words.len().is_multiple_of(2) {
            return None;
        }
        let mut out = Interval::default();
        for pair in words.chunks(2) {
            let n = i64::from(pair[0].parse::<i16>().ok().filter(|_| !pair[0].starts_with('+'))?);
            let unit = pair[1].strip_suffix('s').unwrap_or(pair[1]);
            match unit {
                "year" => out.months += n * 12,
                "month" => out.months += n,
                "week" => out.days += n * 7,
                "day" => out.days += n,
                "hour" => out.millis += n * 3_600_000,
                "minute" => out.millis += n * 60_000,
                "second" => out.millis += n * 1000,
                _ => return None,
            }
        }
        Some(out)
    }

    /// Returns the time between two timestamps, with whole days apart from the rest.
    pub(crate) fn between(millis: i64) -> Interval {
        Interval { months: 0, days: millis / DAY, millis: millis % DAY }
    }

    /// Returns the sum. Hours are not carried over to days.
    pub(crate) fn plus(self, other: Interval) -> Option<Interval> {
        Some(Interval {
            months: self.months.checked_add(other.months)?,
            days: self.days.checked_add(other.days)?,
            millis: self.millis.checked_add(other.millis)?,
        })
    }

    pub(crate) fn times(self, n: i64) -> Option<Interval> {
        Some(Interval {
            months: self.months.checked_mul(n)?,
            days: self.days.checked_mul(n)?,
            millis: self.millis.checked_mul(n)?,
        })
    }

    pub(crate) fn negate(self) -> Interval {
        Interval { months: -self.months, days: -self.days, millis: -self.millis }
    }

    /// Returns `at` plus this interval. A day that the month doesn't have becomes its last.
    pub(crate) fn after(self, at: i64) -> Option<i64> {
        let mut days = at.div_euclid(DAY);
        if self.months != 0 {
            let (year, month, day) = date_of(days);
            let months = year * 12 + month - 1 + self.months;
            let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
            days = days_of(year, month, day.min(days_in(year, month)));
        }
        days.checked_add(self.days)?.checked_mul(DAY)?.checked_add(at.rem_euclid(DAY))?.checked_add(self.millis)
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [(self.months / 12, "year"), (self.months % 12, "mon"), (self.days, "day")];
        for (n, unit) in units.into_iter().filter(|u| u.0 != 0) {
            write!(f, "{n} {unit}{} ", if n == 1 { "" } else { "s" })?;
        }
        // Every part has the sign, and none that is zero.
        let sign = |n: i64| if self.millis < 0 && n != 0 { "-" } else { "" };
        let all = self.millis.abs();
        let (hours, minutes, seconds, rest) = (all / 3_600_000, all / 60_000 % 60, all / 1000 % 60, all % 1000);
        write!(f, "{}{hours:02}:{}{minutes:02}:{}{seconds:02}", sign(hours), sign(minutes), sign(all % 60_000))?;
        if rest == 0 { Ok(()) } else { write!(f, ".{rest:03}") }
    }
}

/// Returns the beginning of the unit in which `at` lies.
pub(crate) fn truncate(unit: &str, at: i64) -> Option<i64> {
    let days = at.div_euclid(DAY);
    let (year, month, _) = date_of(days);
    let start = match unit {
        "second" => return Some(at - at.rem_euclid(1000)),
        "minute" => return Some(at - at.rem_euclid(60_000)),
        "hour" => return Some(at - at.rem_euclid(3_600_000)),
        "day" => days,
        // The epoch was a Thursday.
        "week" => days - (days + 3).rem_euclid(7),
        "month" => days_of(year, month, 1),
        "quarter" => days_of(year, (month - 1) / 3 * 3 + 1, 1),
        "year" => days_of(year, 1, 1),
        _ => return None,
    };
    Some(start * DAY)
}

/// Returns a field of EXTRACT as a whole number.
pub(crate) fn extract(field: &str, at: i64) -> Option<i64> {
    let days = at.div_euclid(DAY);
    let (year, month, day) = date_of(days);
    let of_day = at.rem_euclid(DAY);
    let weekday = (days + 3).rem_euclid(7) + 1;
    Some(match field {
        "CENTURY" => year / 100,
        "YEAR" => year,
        "QUARTER" => (month - 1) / 3 + 1,
        "MONTH" => month,
        "DAY" | "DAY_OF_MONTH" => day,
        "DAY_OF_WEEK" | "DOW" => weekday,
        "DAY_OF_YEAR" | "DOY" => days - days_of(year, 1, 1) + 1,
        "WEEK" => {
            // A week belongs to the year of its Thursday.
            let thursday = days + 4 - weekday;
            (thursday - days_of(date_of(thursday).0, 1, 1)) / 7 + 1
        }
        "HOUR" => of_day / 3_600_000,
        "MINUTE" => of_day / 60_000 % 60,
        "SECOND" => of_day / 1000 % 60,
        _ => return None,
    })
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Names of the days of a week. The epoch was a Thursday.
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// Formats by MySQL's patterns, except those of weeks.
pub(crate) fn format(pattern: &str, at: i64) -> Option<String> {
    let days = at.div_euclid(DAY);
    let (year, month, day) = date_of(days);
    let (named, weekday) = (MONTHS[month as usize - 1], DAYS[days.rem_euclid(7) as usize]);
    let of_day = at.rem_euclid(DAY);
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let half = if hour < 12 { "AM" } else { "PM" };
        let twelfth = (hour + 11) % 12 + 1;
        out += &match chars.next()? {
            'a' => weekday[..3].into(),
            'b' => named[..3].into(),
            'c' => month.to_string(),
            'D' => ordinal(day),
            'e' => day.to_string(),
            'h' | 'I' => format!("{twelfth:02}"),
            'j' => format!("{:03}", days - days_of(year, 1, 1) + 1),
            'k' => hour.to_string(),
            'l' => twelfth.to_string(),
            'M' => named.into(),
            'p' => half.into(),
            'r' => format!("{twelfth:02}:{minute:02}:{second:02} {half}"),
            'T' => format!("{hour:02}:{minute:02}:{second:02}"),
            'W' => weekday.into(),
            'w' => (days + 4).rem_euclid(7).to_string(),
            'y' => format!("{:02}", year.rem_euclid(100)),
            'Y' => format!("{year:04}"),
            'm' => format!("{month:02}"),
            'd' => format!("{day:02}"),
            'H' => format!("{hour:02}"),
            'i' => format!("{minute:02}"),
            's' | 'S' => format!("{second:02}"),
            'f' => format!("{:03}000", of_day % 1000),
            '%' => "%".into(),
            _ => return None,
        };
    }
    Some(out)
}

/// Returns `1st`, `2nd` and so on.
fn ordinal(day: i64) -> String {
    let ending = match (day / 10, day % 10) {
        (1, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{day}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        for days in [-719_468, -1, 0, 59, 60, 11_016, 19_782, 100_000] {
            let (y, m, d) = date_of(days);
            assert_eq!(days_of(y, m, d), days);
        }
    }

    #[test]
    fn timestamps_are_iso_and_strict() {
        assert_eq!(parse_timestamp("2024-05-06T07:08:09.123456Z", true), Some(1_714_979_289_123));
        assert_eq!(parse_timestamp("2024-01-01T12:30:00+01:00", true), Some(1_704_108_600_000));
        assert_eq!(parse_timestamp("2024-05-06 07:08", true), Some(1_714_979_280_000));
        for bad in
            ["2024-5-6", "2024-05", "now", "2024-02-30", "2024-05-06T25:00", "2024-05-06x", "", "2024-05-06T07:08:09."]
        {
            assert_eq!(parse_timestamp(bad, true), None, "{bad}");
        }
    }

    #[test]
    fn intervals_respect_the_calendar() {
        let month = Interval::parse("1 month").unwrap();
        assert_eq!(month.after(parse_timestamp("2024-01-31", true).unwrap()), parse_timestamp("2024-02-29", true));
        assert_eq!(Interval::between(30 * DAY).to_string(), "30 days 00:00:00");
        assert_eq!(Interval::parse("1 day 2"), None);
    }
}
