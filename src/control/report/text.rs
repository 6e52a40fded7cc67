//! Times as people read them.

/// Returns a length in at most two units: `12 ms`, `3.4 s`, `5 min 2 s`, `1 h 12 min`.
pub fn span(millis: u64) -> String {
    let seconds = (millis + 500) / 1000;
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{:.1} s", (millis as f64 / 100.0).floor() / 10.0),
        60_000..3_599_500 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => {
            let minutes = (millis + 30_000) / 60_000;
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_two_units_at_most_and_is_never_rounded_into_the_next() {
        let all = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1.0 s"),
            (59_999, "59.9 s"),
            (60_000, "1 min 0 s"),
            (119_499, "1 min 59 s"),
            (119_500, "2 min 0 s"),
            (3_599_499, "59 min 59 s"),
            (3_599_500, "1 h 0 min"),
            (7_169_999, "1 h 59 min"),
            (7_170_000, "2 h 0 min"),
        ];
        for (millis, text) in all {
            assert_eq!(span(millis), text, "{millis}");
        }
    }
}
