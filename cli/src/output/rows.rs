//! Rows as a table for people, and as comma-separated values.

use anstyle::Style;
use comfy_table::{Attribute, CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle};

use cratedb_test::private::foreign;

use super::cell::Cell;
use super::{Column, Rows};

const NULL: &str = "NULL";
const BOLD: Style = Style::new().bold();

/// Lines below the names and between columns only, of characters that every terminal has.
const LINES: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none().junction('|'))
    .header_separator(LineStyle::none().fill('-').junction('+'))
    .content_lines(ContentLineStyle::none().junction('|'));

/// Draws rows below a line of column names, aligned by the width of characters on a terminal. With a width, the cells
/// of a wider table are wrapped.
pub(super) fn table(rows: &Rows, width: Option<u16>, colors: bool) -> String {
    if rows.columns.is_empty() {
        return String::new();
    }
    let mut table = empty(width, colors);
    table.set_header(
        rows.columns
            .iter()
            .map(|Column { name, .. }| comfy_table::Cell::new(foreign::cell(name)).add_attribute(Attribute::Bold)),
    );
    for (column, of) in table.column_iter_mut().zip(&rows.columns) {
        column.set_cell_alignment(if of.right { CellAlignment::Right } else { CellAlignment::Left });
    }
    for row in &rows.rows {
        table.add_row(row.iter().map(|cell| match cell {
            Cell::Null => comfy_table::Cell::new(NULL).add_attribute(Attribute::Dim),
            Cell::Text(text) => comfy_table::Cell::new(foreign::cell(text)),
        }));
    }
    foreign::without_commands(&table.trim_fmt()).into_owned() + "\n"
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

/// Writes one line for each fact that has a value, with the names in a column of their own.
pub(super) fn facts(facts: &[(&'static str, String)], colors: bool) -> String {
    let known = || facts.iter().filter(|(_, value)| !value.is_empty());
    let widest = known().map(|(name, _)| name.len()).max().unwrap_or_default();
    let name = |name: &str| match colors {
        true => format!("{BOLD}{name:widest$}{BOLD:#}"),
        false => format!("{name:widest$}"),
    };
    let lines: String = known().map(|(fact, value)| format!("{}  {}\n", name(fact), foreign::cell(value))).collect();
    foreign::without_commands(&lines).into_owned()
}

/// Writes rows as CSV after RFC 4180, below a line of column names. NULL is an empty field. Lines end with a newline
/// alone, as other programs expect it.
pub(super) fn csv(rows: &Rows) -> String {
    let names = rows.columns.iter().map(|Column { name, .. }| quoted(name));
    let mut text = line(names);
    for row in &rows.rows {
        text += &line(row.iter().map(|cell| match cell {
            Cell::Null => String::new(),
            Cell::Text(text) => quoted(text),
        }));
    }
    text
}

fn line(fields: impl Iterator<Item = String>) -> String {
    fields.collect::<Vec<_>>().join(",") + "\n"
}

/// Quotes a text where needed. An empty text is quoted, to tell it from NULL. Libraries write both alike, so this is by
/// hand.
fn quoted(text: &str) -> String {
    let plain = !text.is_empty() && !text.contains(['"', ',', '\r', '\n']) && text.trim() == text;
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
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
            table(&rows(), None, false),
            " mountain       | height\n\
             ----------------+--------\n \
              Mont Blanc     |   4808\n \
              富士山         |   NULL\n \
              e\u{301}\\u{1b}[31m\\nx |      9\n"
        );
    }

    #[test]
    fn no_line_of_a_table_is_a_command_of_a_ci_service_and_csv_is_data() {
        let rows = Rows {
            columns: vec![Column::left("a")],
            rows: vec![vec!["::error::x".into()], vec!["##[group]x".into()], vec!["::1".into()]],
        };
        assert_eq!(table(&rows, None, false), " a\n------------\n \\u{3a}:error::x\n \\u{23}#[group]x\n ::1\n");
        assert_eq!(csv(&rows), "a\n::error::x\n##[group]x\n::1\n");
        assert_eq!(facts(&[("a", "##[b]\u{1b}".into())], false), "a  \\u{23}#[b]\\u{1b}\n");
    }

    #[test]
    fn a_table_that_is_too_wide_is_wrapped_and_one_that_fits_is_not() {
        let widest = |width| table(&rows(), Some(width), false).lines().map(|line| line.chars().count()).max();
        assert!(widest(20) <= Some(20), "{}", table(&rows(), Some(20), false));
        assert_eq!(table(&rows(), Some(200), false), table(&rows(), None, false));
    }

    #[test]
    fn colours_are_there_only_when_wanted() {
        assert!(!table(&rows(), None, false).contains('\u{1b}'));
        assert!(table(&rows(), None, true).contains("\u{1b}["));
        assert!(facts(&[("a", "b".into())], true).contains("\u{1b}["));
    }

    #[test]
    fn a_fact_without_value_is_left_out() {
        let known = [("name", "ci".to_owned()), ("region", String::new()), ("id", "e1".to_owned())];
        assert_eq!(facts(&known, false), "name  ci\nid    e1\n");
    }

    #[test]
    fn without_columns_there_is_no_table() {
        assert_eq!(table(&Rows::default(), None, false), "");
    }

    #[test]
    fn quotes_what_needs_it_and_tells_null_from_nothing() {
        let rows = Rows {
            columns: vec![Column::left("a"), Column::left("b, c")],
            rows: vec![
                vec![Cell::Null, "".into()],
                vec!["say \"hi\"".into(), "two\nlines".into()],
                vec![" x".into(), "日本".into()],
            ],
        };
        assert_eq!(csv(&rows), "a,\"b, c\"\n,\"\"\n\"say \"\"hi\"\"\",\"two\nlines\"\n\" x\",日本\n");
    }
}
