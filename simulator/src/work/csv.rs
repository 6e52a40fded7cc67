//! Comma-separated values: files that are imported and exported.

use std::borrow::Cow;

/// Reads the records of a text, the header among them. Empty lines are no records.
pub(super) fn read(text: &str) -> Result<Vec<Vec<String>>, String> {
    let text = text.trim_start_matches('\u{feff}');
    check_quotes(text)?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let records = reader.records().map(|record| record.map(|record| record.iter().map(str::to_owned).collect()));
    let records = records.collect::<Result<Vec<Vec<String>>, _>>().map_err(|error| error.to_string())?;
    Ok(records.into_iter().filter(|record| record != &[""]).collect())
}

/// Refuses malformed quotes, which the crate's reader accepts.
fn check_quotes(text: &str) -> Result<(), String> {
    let (mut record, mut line_is_empty) = (1, true);
    let (mut rest, mut starts_field) = (text, true);
    while let Some(first) = rest.chars().next() {
        let mut next = &rest[first.len_utf8()..];
        if starts_field && first == '"' {
            next = closed(next).ok_or_else(|| format!("Record {record}: a quote is not closed."))?;
            line_is_empty &= next.len() + 2 == rest.len();
            if !next.is_empty() && !next.starts_with([',', '\n', '\r']) {
                return Err(format!("Record {record}: text after a closing quote."));
            }
        } else if ['\n', '\r'].contains(&first) {
            record += usize::from(!line_is_empty);
            line_is_empty = true;
        } else {
            line_is_empty = false;
        }
        starts_field = [',', '\n', '\r'].contains(&first);
        rest = next;
    }
    Ok(())
}

/// Returns the text after the quote that closes a field.
fn closed(mut text: &str) -> Option<&str> {
    loop {
        text = &text[text.find('"')? + 1..];
        match text.strip_prefix('"') {
            Some(more) => text = more,
            None => return Some(text),
        }
    }
}

/// Writes records.
pub(super) struct Writer(csv::Writer<Vec<u8>>);

impl Writer {
    pub(super) fn new() -> Self {
        Self::onto(Vec::new())
    }

    fn onto(bytes: Vec<u8>) -> Self {
        Self(csv::WriterBuilder::new().flexible(true).from_writer(bytes))
    }

    pub(super) fn write<'a>(&mut self, fields: impl IntoIterator<Item = Cow<'a, str>>) -> Result<(), String> {
        let fields: Vec<_> = fields.into_iter().collect();
        if fields != [""] {
            return self.0.write_record(fields.iter().map(|field| field.as_bytes())).map_err(|error| error.to_string());
        }
        // The crate would write quotes for a single empty field.
        let mut bytes = std::mem::replace(self, Self::new()).into_bytes()?;
        bytes.push(b'\n');
        *self = Self::onto(bytes);
        Ok(())
    }

    pub(super) fn into_bytes(self) -> Result<Vec<u8>, String> {
        self.0.into_inner().map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas_lines_and_quotes() {
        let text = "\u{feff}a,b\r\n1,\"x, \"\"y\"\"\nz\"\n\n,\n3,";
        let read = read(text).unwrap();
        assert_eq!(read, [["a", "b"], ["1", "x, \"y\"\nz"], ["", ""], ["3", ""]]);
        let mut out = Writer::new();
        read.iter().for_each(|record| out.write(record.iter().map(|field| field.into())).unwrap());
        let out = String::from_utf8(out.into_bytes().unwrap()).unwrap();
        assert_eq!(super::read(&out).unwrap(), read, "what is written is read again");
    }

    #[test]
    fn what_is_no_csv_is_named_by_its_record() {
        assert_eq!(read("a\n\"b").unwrap_err(), "Record 2: a quote is not closed.");
        assert_eq!(read("\"a\"b").unwrap_err(), "Record 1: text after a closing quote.");
    }
    #[test]
    fn a_single_empty_field_is_an_empty_line() {
        let mut out = Writer::new();
        ["a", "", "b c", "d\re"].iter().for_each(|field| out.write([Cow::Borrowed(*field)]).unwrap());
        assert_eq!(out.into_bytes().unwrap(), b"a\n\nb c\n\"d\re\"\n");
    }

    #[test]
    fn quotes_inside_of_a_field_are_text() {
        assert_eq!(read("a\"b,c\"\n\"\"\n,\"\"\n").unwrap(), [["a\"b", "c\""], ["", ""]]);
        assert_eq!(read("x\n\n\"\"\n\"open").unwrap_err(), "Record 2: a quote is not closed.");
    }
}
