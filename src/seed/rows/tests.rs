//! What files hold and what they can't, and how rows go together.

use super::*;

fn read(rows: impl Iterator<Item = Result<Row, Unreadable>>) -> Vec<(usize, String, String)> {
    let told = |row: Result<Row, Unreadable>| match row {
        Ok(Row { line, columns, values }) => {
            let values: Vec<&str> = values.iter().map(|value| value.get()).collect();
            (line, columns.join("|"), values.join("|"))
        }
        Err(Unreadable { line, why }) => (line, "error".to_owned(), why),
    };
    rows.map(told).collect()
}

fn row(line: usize, columns: &str, values: &str) -> (usize, String, String) {
    (line, columns.to_owned(), values.to_owned())
}

#[test]
fn objects_keep_their_values_as_they_are_written() {
    let text = "{\"b\": 9007199254740993, \"a\": \"x\\ny\"}\r\n\n  \n{\"o\": {\"z\": [1.50, null]}, \"e\": true}";
    assert_eq!(
        read(ndjson(text)),
        [row(1, "a|b", "\"x\\ny\"|9007199254740993"), row(4, "e|o", "true|{\"z\": [1.50, null]}")]
    );
    assert_eq!(read(ndjson("")), []);
}

#[test]
fn what_is_no_object_is_refused_with_its_line() {
    for (text, line, word) in [
        ("{\"a\": 1}\n[1]", 2, "a JSON object"),
        ("\n\n{\"a\": 1", 3, "EOF"),
        ("{\"a\": 1} {\"a\": 2}", 1, "trailing"),
        ("{\n\"a\": 1}", 1, "EOF"),
    ] {
        let found = read(ndjson(text)).into_iter().find(|(_, kind, _)| kind == "error").expect(text);
        assert!(found.0 == line && found.2.contains(word), "{text}: {found:?}");
    }
}

#[test]
fn fields_may_have_commas_quotes_and_lines_and_may_be_empty() {
    let text = "id,name\n1,\"Lyon, \"\"Part-Dieu\"\"\"\n2,\n3,\"two\nlines\"\r\n\n4,\u{e9}\n";
    assert_eq!(
        read(csv(text)),
        [
            row(2, "id|name", r#""1"|"Lyon, \"Part-Dieu\"""#),
            row(3, "id|name", r#""2"|null"#),
            row(4, "id|name", r#""3"|"two\nlines""#),
            row(7, "id|name", "\"4\"|\"\u{e9}\""),
        ]
    );
    assert_eq!((read(csv("")), read(csv("id,name\n"))), (vec![], vec![]));
}

#[test]
fn a_row_with_more_or_fewer_fields_than_columns_is_refused_with_both_numbers() {
    let found = read(csv("id,name\n1,a\n2,b,c\n3,d\n4"));
    assert_eq!(found[1], row(3, "error", "it has 3 fields, and the first line names 2 columns"));
    assert_eq!(found[3], row(5, "error", "it has 1 fields, and the first line names 2 columns"));
}

#[test]
fn columns_are_named_as_they_are() {
    let columns = ["id".to_owned(), "Odd \"name\"".to_owned()];
    assert_eq!(statement("doc.t", &columns), r#"INSERT INTO doc.t ("id", "Odd ""name""") VALUES (?, ?)"#);
}

#[test]
fn a_batch_ends_with_other_columns_and_when_it_is_full() {
    let row = |column: &str, value: &str| Row {
        line: 1,
        columns: vec![column.to_owned()],
        values: vec![RawValue::from_string(value.to_owned()).unwrap()],
    };
    let mut batch = Batch::default();
    assert!(batch.takes(&row("a", "1")));
    batch.add(row("a", "1"));
    assert!(batch.takes(&row("a", "2")) && !batch.takes(&row("b", "2")));
    batch.add(row("a", &format!("\"{}\"", "x".repeat(BYTES))));
    assert!(!batch.takes(&row("a", "3")));
    let mut many = Batch::default();
    (0..ROWS).for_each(|_| many.add(row("a", "1")));
    assert!(!many.takes(&row("a", "1")));
}
