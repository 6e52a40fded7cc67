//! Comma-separated values: read with quotes that may hold commas and line breaks, and written so.

/// The records of a text, the header among them. Empty lines are none.
pub(super) fn read(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut reader = Reader { rest: text.trim_start_matches('\u{feff}'), records: Vec::new(), record: Vec::new() };
    while !reader.rest.is_empty() {
        reader.field()?;
    }
    reader.end_record();
    Ok(reader.records)
}

struct Reader<'a> {
    rest: &'a str,
    records: Vec<Vec<String>>,
    record: Vec<String>,
}

impl Reader<'_> {
    /// Takes a field and what separates it from the next one.
    fn field(&mut self) -> Result<(), String> {
        let field = match self.rest.strip_prefix('"') {
            Some(inner) => {
                let (field, rest) = quoted(inner)
                    .ok_or_else(|| format!("Record {}: a quote is not closed.", self.records.len() + 1))?;
                self.rest = rest;
                field
            }
            None => {
                let end = self.rest.find([',', '\n', '\r']).unwrap_or(self.rest.len());
                let (field, rest) = self.rest.split_at(end);
                self.rest = rest;
                field.to_owned()
            }
        };
        self.record.push(field);
        self.separator()
    }

    fn separator(&mut self) -> Result<(), String> {
        let line_end = ["\r\n", "\n", "\r"].into_iter().find_map(|end| self.rest.strip_prefix(end));
        if let Some(rest) = self.rest.strip_prefix(',') {
            self.rest = rest;
            // A comma at the very end is followed by an empty field.
            if rest.is_empty() {
                self.record.push(String::new());
            }
        } else if let Some(rest) = line_end {
            self.rest = rest;
            self.end_record();
        } else if !self.rest.is_empty() {
            return Err(format!("Record {}: text after a closing quote.", self.records.len() + 1));
        }
        Ok(())
    }

    fn end_record(&mut self) {
        let record = std::mem::take(&mut self.record);
        if !record.is_empty() && record != [""] {
            self.records.push(record);
        }
    }
}

/// What stands before the closing quote, and what after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        field += &rest[..end];
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, rest)),
        }
    }
}

/// Appends one record.
pub(super) fn write<'a>(out: &mut String, fields: impl IntoIterator<Item = std::borrow::Cow<'a, str>>) {
    for (at, field) in fields.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        if field.contains(['"', ',', '\n', '\r']) {
            out.push('"');
            out.push_str(&field.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&field);
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas_lines_and_quotes() {
        let text = "\u{feff}a,b\r\n1,\"x, \"\"y\"\"\nz\"\n\n,\n3,";
        let read = read(text).unwrap();
        assert_eq!(read, [["a", "b"], ["1", "x, \"y\"\nz"], ["", ""], ["3", ""]]);
        let mut out = String::new();
        read.iter().for_each(|record| write(&mut out, record.iter().map(|field| field.into())));
        assert_eq!(super::read(&out).unwrap(), read, "what is written is read again");
    }

    #[test]
    fn what_is_no_csv_is_named_by_its_record() {
        assert_eq!(read("a\n\"b").unwrap_err(), "Record 2: a quote is not closed.");
        assert_eq!(read("\"a\"b").unwrap_err(), "Record 1: text after a closing quote.");
    }
}
