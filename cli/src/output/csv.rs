//! Rows as comma-separated values after RFC 4180, with NULL told from an empty text.

use super::cell::Cell;
use super::{Column, Rows};

/// All rows below a line of column names. Lines end as other programs here expect it, not as RFC 4180 has it.
pub(super) fn written(rows: &Rows) -> String {
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

/// Quoted where needed. An empty text is, since nothing at all is NULL: libraries write both alike, so this is by hand.
fn quoted(text: &str) -> String {
    let plain = !text.is_empty() && !text.contains(['"', ',', '\r', '\n']) && text.trim() == text;
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(written(&rows), "a,\"b, c\"\n,\"\"\n\"say \"\"hi\"\"\",\"two\nlines\"\n\" x\",日本\n");
    }
}
