//! The table of results, printed line by line as they are measured.

use crate::samples::Samples;

/// The quantiles of a quantity that have a limit.
pub type Target = &'static [(usize, f64)];

pub struct Table;

impl Table {
    pub fn begin() -> Self {
        println!("| what | target | p50 | p90 | p99 | max | samples | |");
        println!("|---|---|---|---|---|---|---|---|");
        Self
    }

    pub fn row(&mut self, what: &str, unit: &str, target: Target, samples: &Samples) {
        let wanted: Vec<String> =
            target.iter().map(|(percent, limit)| format!("{} ≤ {limit}", name(*percent))).collect();
        let missed = target.iter().filter(|(percent, limit)| samples.quantile(*percent) > *limit).count();
        let verdict = match (target.is_empty(), missed) {
            (true, _) => "",
            (false, 0) => "met",
            (false, _) => "missed",
        };
        let [p50, p90, p99, max] = [50, 90, 99, 100].map(|percent| format!("{:.3}", samples.quantile(percent)));
        println!(
            "| {what}, {unit} | {} | {p50} | {p90} | {p99} | {max} | {} | {verdict} |",
            wanted.join(", "),
            samples.count()
        );
    }
}

fn name(percent: usize) -> String {
    if percent == 100 { "max".to_owned() } else { format!("p{percent}") }
}
