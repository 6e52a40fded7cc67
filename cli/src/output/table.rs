//! Tables for people: aligned by what characters take on a terminal, and harmless there.

use anstyle::Style;
use comfy_table::{Attribute, CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle};

use super::cell::Cell;
use super::{Column, Rows};

const NULL: &str = "NULL";
const BOLD: Style = Style::new().bold();

/// Lines between names and columns only, of characters that every terminal has.
const LINES: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none().junction('|'))
    .header_separator(LineStyle::none().fill('-').junction('+'))
    .content_lines(ContentLineStyle::none().junction('|'));

/// Rows below a line of column names. With a width, cells of a table that is wider are wrapped.
pub(super) fn drawn(rows: &Rows, width: Option<u16>, colors: bool) -> String {
    if rows.columns.is_empty() {
        return String::new();
    }
    let mut table = empty(width, colors);
    table.set_header(
        rows.columns
            .iter()
            .map(|Column { name, .. }| comfy_table::Cell::new(harmless(name)).add_attribute(Attribute::Bold)),
    );
    for (column, of) in table.column_iter_mut().zip(&rows.columns) {
        column.set_cell_alignment(if of.right { CellAlignment::Right } else { CellAlignment::Left });
    }
    for row in &rows.rows {
        table.add_row(row.iter().map(|cell| match cell {
            Cell::Null => comfy_table::Cell::new(NULL).add_attribute(Attribute::Dim),
            Cell::Text(text) => comfy_table::Cell::new(harmless(text)),
        }));
    }
    table.trim_fmt() + "\n"
}

fn empty(width: Option<u16>, colors: bool) -> Table {
    let mut table = Table::new();
    table.load_style(LINES).force_no_tty();
    if colors {
        table.enforce_styling();
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table
}

/// One line for each fact that has a value, the names in a column of their own.
pub(super) fn facts(facts: &[(&'static str, String)], colors: bool) -> String {
    let known = || facts.iter().filter(|(_, value)| !value.is_empty());
    let widest = known().map(|(name, _)| name.len()).max().unwrap_or_default();
    let name = |name: &str| match colors {
        true => format!("{BOLD}{name:widest$}{BOLD:#}"),
        false => format!("{name:widest$}"),
    };
    known().map(|(fact, value)| format!("{}  {}\n", name(fact), harmless(value))).collect()
}

/// A text that does nothing to a terminal: what is stored in a table may come from anybody.
fn harmless(text: &str) -> String {
    let bidi = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() || bidi(c) {
            true => harmless.extend(c.escape_default()),
            false => harmless.push(c),
        }
    }
    harmless
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        Rows {
            columns: vec![Column::left("mountain"), Column::right("height")],
            rows: vec![
                vec!["Mont Blanc".into(), "4808".into()],
                vec!["富士山".into(), Cell::Null],
                vec!["e\u{301}\u{1b}[31m\nx".into(), "9".into()],
            ],
        }
    }

    #[test]
    fn columns_are_aligned_by_what_characters_take() {
        assert_eq!(
            drawn(&rows(), None, false),
            " mountain       | height\n\
             ----------------+--------\n \
              Mont Blanc     |   4808\n \
              富士山         |   NULL\n \
              e\u{301}\\u{1b}[31m\\nx |      9\n"
        );
    }

    #[test]
    fn a_table_that_is_too_wide_is_wrapped_and_one_that_fits_is_not() {
        let widest = |width| drawn(&rows(), Some(width), false).lines().map(|line| line.chars().count()).max();
        assert!(widest(20) <= Some(20), "{}", drawn(&rows(), Some(20), false));
        assert_eq!(drawn(&rows(), Some(200), false), drawn(&rows(), None, false));
    }

    #[test]
    fn colours_are_there_only_when_wanted() {
        assert!(!drawn(&rows(), None, false).contains('\u{1b}'));
        assert!(drawn(&rows(), None, true).contains("\u{1b}["));
        assert!(facts(&[("a", "b".into())], true).contains("\u{1b}["));
    }

    #[test]
    fn a_fact_without_value_is_left_out() {
        let known = [("name", "ci".to_owned()), ("region", String::new()), ("id", "e1".to_owned())];
        assert_eq!(facts(&known, false), "name  ci\nid    e1\n");
    }

    #[test]
    fn without_columns_there_is_no_table() {
        assert_eq!(drawn(&Rows::default(), None, false), "");
    }
}
