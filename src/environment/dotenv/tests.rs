//! Compares the reader with what python-dotenv 1.2.4 makes of the same texts, and tests where it differs on purpose.

use super::*;

fn environment(name: &str) -> Option<String> {
    match name {
        "SET" => Some("of-env".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn ours(name: &str) -> bool {
    name.starts_with("OUR")
}

fn entries(text: &str) -> HashMap<String, Entry> {
    read(text, ours, environment).unwrap_or_else(|line| panic!("line {line} of {text:?}"))
}

fn value(text: &str, name: &str) -> Option<String> {
    entries(text).get(name).map(|entry| entry.value.clone())
}

#[test]
fn a_value_is_what_python_dotenv_makes_of_it() {
    let same = [
        // A dollar without braces.
        ("X=ab$cd", "ab$cd"),
        (r#"X="ab$cd""#, "ab$cd"),
        ("X='ab$cd'", "ab$cd"),
        (r#"X="ab$""#, "ab$"),
        ("X=a$$b$SET", "a$$b$SET"),
        ("X=$(cmd)`cmd`", "$(cmd)`cmd`"),
        ("X=p@s:w/o?r#d%!*()[]{}<>~^+,.;&|", "p@s:w/o?r#d%!*()[]{}<>~^+,.;&|"),
        // References.
        ("X=${SET}", "of-env"),
        (r#"X="a${SET}b""#, "aof-envb"),
        ("X=a${NO}b", "ab"),
        ("X=a${NO:-d}b${SET:-d}", "adbof-env"),
        ("X=${EMPTY:-d}", ""),
        ("X=${NO:-}${}", ""),
        ("X=${NO:d}", "${NO:d}"),
        ("X=a${b", "a${b"),
        ("X=${NO:-${SET}}", "${SET}"),
        ("A=1\nX=${A}2", "12"),
        ("X=${A}\nA=1", ""),
        ("SET=file\nX=${SET}", "of-env"),
        ("A=$b\nX=${A}", "$b"),
        // Backslashes.
        (r"X=ab\cd\n", r"ab\cd\n"),
        (r#"X="ab\cd\q""#, r"ab\cd\q"),
        (r"X='ab\cd\n'", r"ab\cd\n"),
        (r#"X="a\nb\t\"\'\\c""#, "a\nb\t\"'\\c"),
        (r"X='a\'b\\c'", r"a'b\c"),
        (r#"X="a\$b""#, r"a\$b"),
        (r#"X="a\${SET}b""#, r"a\of-envb"),
        ("X=\"ab\\\\\"\nY=\"c\"", r"ab\"),
        // Comments, blanks and quotes.
        ("X=a#b", "a#b"),
        ("X=a #b", "a"),
        ("X=a b # c", "a b"),
        (r#"X="a #b" # c"#, "a #b"),
        ("X='a'#c", "a"),
        ("X=#a", "#a"),
        ("X= # a", ""),
        ("X=", ""),
        ("X =  a  ", "a"),
        ("export  X = a", "a"),
        ("  X=a", "a"),
        ("'X'=a", "a"),
        (r#"X=a"b'c"#, r#"a"b'c"#),
        ("X==a=b", "=a=b"),
        // Lines.
        ("X=\"a\nb\"", "a\nb"),
        ("X='a\r\nb'", "a\nb"),
        ("X=a\r\nY=b", "a"),
        ("X=a\rX=b", "b"),
        ("X=a\nX=b", "b"),
        ("\u{feff}X=ä€", "ä€"),
        ("junk line\nX=a", "a"),
        ("Y='open\nX=a", "a"),
        ("Y='it\\'s'\nX=a", "a"),
        ("# X=b\nX=a # b\n#", "a"),
    ];
    for (text, expected) in same {
        assert_eq!(value(text, "X").as_deref(), Some(expected), "{text:?}");
    }
    for none in [
        "X",
        "exportX=a",
        "X: a",
        "\"X\"=a",
        "'X=a",
        "X'=a",
        "X='a'b",
        r#"X="a"b"#,
        "X='a",
        "X=\"a\nX2=1",
        "Y=\"open\nX=a\nZ=\"",
    ] {
        assert_eq!(value(none, "X"), None, "{none:?}");
    }
}

#[test]
fn nothing_is_replaced_in_single_quotes() {
    assert_eq!(value("X='a${SET}${NO}'", "X").as_deref(), Some("a${SET}${NO}"));
}

#[test]
fn a_line_of_ours_that_cannot_be_read_is_an_error_with_its_number() {
    for (text, line) in [
        ("OUR=a b", 1),
        ("\n# c\nexport OUR_X='geheim\n", 3),
        ("A=1\r\nOUR: x", 2),
        ("OUR", 1),
        ("OUR=\"a\"b", 1),
        ("A=\"\n\"\nOUR=\"a\nOUR2=b\"", 3),
        ("OUR=x\" unbalanced", 1),
        ("'OUR=x", 1),
    ] {
        assert_eq!(read(text, ours, environment).unwrap_err(), line, "{text:?}");
    }
    // A quote that another program leaves open ends before it.
    assert_eq!(value("Y='open\nOUR='a'\n", "OUR").as_deref(), Some("a"));
    assert_eq!(value("OUR=a\nexport OUR\nexport OUR # again", "OUR").as_deref(), Some("a"));
}

#[test]
fn what_was_put_in_is_known_also_by_way_of_another_line() {
    let text = "A=${SET}\nOUR_LENT=${A}\nOUR_MIXED=x${A}\nOUR_DEFAULT=${NO:-d}\nOUR_NONE=${NO}\nOUR_PLAIN=$SET";
    let all = entries(text);
    let taken = |name: &str| {
        let each = all[name].taken.iter().map(|taken| (taken.name.as_str(), taken.by));
        (each.collect::<Vec<_>>(), all[name].lent)
    };
    let by_line = vec![("SET", By::Environment), ("A", By::File)];
    assert_eq!(taken("A"), (vec![("SET", By::Environment)], true));
    assert_eq!(taken("OUR_LENT"), (by_line.clone(), true));
    assert_eq!(taken("OUR_MIXED"), (by_line, false));
    assert_eq!(taken("OUR_DEFAULT"), (vec![("NO", By::Default)], false));
    assert_eq!(taken("OUR_NONE"), (vec![("NO", By::Nothing)], false));
    assert_eq!(taken("OUR_PLAIN"), (Vec::new(), false));
}
