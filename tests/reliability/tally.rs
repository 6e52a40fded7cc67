//! Counts and times, as rows of the tables in `docs/reliability.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The runs of one kind.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub runs: usize,
    /// Runs after which the cluster was left running.
    pub left: usize,
    /// Milliseconds from the end of the last process of the run to the request to suspend.
    pub times: Vec<f64>,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.left += other.left;
        self.times.extend(&other.times);
    }

    fn cell(&self) -> String {
        if self.runs == 0 { "–".into() } else { format!("{} / {}", self.runs, self.left) }
    }
}

/// Median and maximum, in milliseconds.
pub fn p50_and_max(times: &[f64]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.last() {
        None => "–".into(),
        Some(max) => format!("{:.1} / {max:.1}", sorted[(sorted.len() - 1) / 2]),
    }
}

/// Tallies by row and column.
#[derive(Default)]
pub struct Table {
    cells: BTreeMap<(String, String), Tally>,
}

impl Table {
    pub fn add(&mut self, row: &str, column: &str, tally: &Tally) {
        self.cells.entry((row.to_owned(), column.to_owned())).or_default().add(tally);
    }

    fn sum(&self, takes: impl Fn(&str, &str) -> bool) -> Tally {
        let mut sum = Tally::default();
        self.cells.iter().filter(|((row, column), _)| takes(row, column)).for_each(|(_, tally)| sum.add(tally));
        sum
    }

    pub fn left(&self) -> usize {
        self.sum(|_, _| true).left
    }

    /// Every row in the order of their names, `runs / left` for each column, then the times of those columns in which
    /// no operation had to end first.
    pub fn show(&self, columns: &[String]) -> String {
        let mut text = format!("| | {} | suspended after, p50 / max, ms |\n|---|", columns.join(" | "));
        let _ = writeln!(text, "{}", "---|".repeat(columns.len() + 1));
        let mut rows: Vec<&str> = self.cells.keys().map(|(row, _)| row.as_str()).collect();
        rows.dedup();
        for row in rows {
            let cells: Vec<String> =
                columns.iter().map(|column| self.sum(|r, c| r == row && c == column).cell()).collect();
            let times = p50_and_max(&self.sum(|r, c| r == row && !is_acquiring(c)).times);
            let _ = writeln!(text, "| {row} | {} | {times} |", cells.join(" | "));
        }
        let all = self.sum(|_, _| true);
        let _ = writeln!(text, "{} cells, {} runs, {} left", self.cells.len(), all.runs, all.left);
        for column in columns {
            let _ = writeln!(text, "{column}: {} ms", p50_and_max(&self.sum(|_, c| c == column).times));
        }
        text
    }
}

fn is_acquiring(column: &str) -> bool {
    column.starts_with("acquiring")
}
