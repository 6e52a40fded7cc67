//! Reads rows as CrateDB writes them into the types that tests use.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::Result;
use crate::sql::{Answer, Statement};

const STMT: Statement<'_> = Statement::new("SELECT …");

fn answer(columns: &[(&str, Value)], rows: &str) -> Answer {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let kinds: Vec<&Value> = columns.iter().map(|(_, kind)| kind).collect();
    let body = format!(r#"{{"cols": {}, "col_types": {}, "rows": {rows}, "rowcount": 1}}"#, json!(names), json!(kinds));
    Answer::read(body.as_bytes()).unwrap()
}

/// Reads the only row of one column.
fn cell<T: serde::de::DeserializeOwned>(kind: Value, json: &str) -> Result<T> {
    answer(&[("c", kind)], &format!("[[{json}]]")).scalars(STMT).map(|mut values| values.remove(0))
}

/// Returns the error of reading the only row of one column.
fn refusal<T: serde::de::DeserializeOwned>(kind: Value, json: &str) -> String {
    cell::<T>(kind, json).map(drop).unwrap_err().to_string()
}

fn row<T: serde::de::DeserializeOwned>(columns: &[(&str, Value)], cells: &str) -> Result<T> {
    answer(columns, &format!("[{cells}]")).rows(STMT).map(|mut rows| rows.remove(0))
}

fn id_and_value() -> [(&'static str, Value); 2] {
    [("id", json!(9)), ("value", json!(6))]
}

#[derive(Debug, Deserialize, PartialEq)]
struct Reading {
    id: i32,
    value: Option<f64>,
}

#[test]
fn tuples_are_read_by_position() {
    let rows: Vec<(i32, f64)> = answer(&id_and_value(), "[[1, 2.5], [2, 0.1]]").rows(STMT).unwrap();
    assert_eq!(rows, [(1, 2.5), (2, 0.1)]);
    let none: Vec<(i32, f64)> = answer(&id_and_value(), "[]").rows(STMT).unwrap();
    assert_eq!(none, []);
}

#[test]
fn structs_and_maps_are_read_by_name() {
    assert_eq!(row::<Reading>(&id_and_value(), "[1, null]").unwrap(), Reading { id: 1, value: None });
    let reordered = [("value", json!(6)), ("other", json!(4)), ("id", json!(9))];
    assert_eq!(row::<Reading>(&reordered, r#"[2.5, "x", 1]"#).unwrap(), Reading { id: 1, value: Some(2.5) });
    let map: BTreeMap<String, Option<i64>> = row(&[("a", json!(10)), ("b", json!(10))], "[1, null]").unwrap();
    assert_eq!(map, BTreeMap::from([("a".into(), Some(1)), ("b".into(), None)]));
    assert_eq!(row::<Value>(&id_and_value(), "[1, 2.5]").unwrap(), json!({"id": 1, "value": 2.5}));
}

#[test]
fn parts_of_a_row_can_be_structs_of_their_own() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Named {
        name: String,
        #[serde(flatten)]
        reading: Reading,
    }
    let columns = [("name", json!(4)), ("id", json!(9)), ("value", json!(6))];
    let expected = Named { name: "a".into(), reading: Reading { id: 1, value: Some(0.5) } };
    assert_eq!(row::<Named>(&columns, r#"["a", 1, 0.5]"#).unwrap(), expected);
}

#[test]
fn a_name_that_two_columns_have_is_refused_where_one_of_them_would_be_lost() {
    let twice = [("a", json!(10)), ("b", json!(10)), ("a", json!(10))];
    let refused = [
        row::<BTreeMap<String, i64>>(&twice, "[1, 2, 3]").map(drop),
        row::<HashMap<String, Value>>(&twice, "[1, 2, 3]").map(drop),
        row::<Value>(&twice, "[1, 2, 3]").map(drop),
        row::<Option<Value>>(&twice, "[1, 2, 3]").map(drop),
    ];
    for error in refused.map(|refused| refused.unwrap_err().to_string()) {
        for word in ["`a` (BIGINT), `b` (BIGINT), `a` (BIGINT)", "several columns have the name `a`", "with `AS`"] {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
    }
    #[derive(Debug, Deserialize, PartialEq)]
    struct Named {
        b: i64,
    }
    #[derive(Debug, Deserialize)]
    #[expect(dead_code)]
    struct Both {
        a: i64,
    }
    assert_eq!(row::<Named>(&twice, "[1, 2, 3]").unwrap(), Named { b: 2 });
    assert!(row::<Both>(&twice, "[1, 2, 3]").unwrap_err().to_string().contains("duplicate field `a`"));
    assert_eq!(row::<(i64, i64, i64)>(&twice, "[1, 2, 3]").unwrap(), (1, 2, 3));
    assert_eq!(row::<Vec<i64>>(&twice, "[1, 2, 3]").unwrap(), [1, 2, 3]);
    // Names are told apart by their case, as in the server.
    let cased = [("a", json!(10)), ("A", json!(10))];
    assert_eq!(row::<Value>(&cased, "[1, 2]").unwrap(), json!({"a": 1, "A": 2}));
}

#[test]
fn one_column_is_read_as_a_value() {
    assert_eq!(row::<i64>(&[("n", json!(10))], "[5]").unwrap(), 5);
    assert_eq!(row::<String>(&[("n", json!(4))], r#"["größer \"\n"]"#).unwrap(), "größer \"\n");
    assert_eq!(row::<Option<i64>>(&[("n", json!(10))], "[null]").unwrap(), None);
    assert_eq!(row::<(Option<i64>,)>(&[("n", json!(10))], "[null]").unwrap(), (None,));
    assert!(row::<bool>(&[("n", json!(3))], "[true]").unwrap());
}

#[test]
fn newtypes_are_read_as_what_is_in_them() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Id(i32);
    #[derive(Debug, Deserialize, PartialEq)]
    struct Pair(Id, String);
    #[derive(Debug, Deserialize, PartialEq)]
    struct Wrapped(Reading);
    assert_eq!(row::<Id>(&[("id", json!(9))], "[7]").unwrap(), Id(7));
    assert_eq!(row::<Pair>(&[("id", json!(9)), ("t", json!(4))], r#"[7, "x"]"#).unwrap(), Pair(Id(7), "x".into()));
    assert_eq!(row::<Wrapped>(&id_and_value(), "[1, null]").unwrap(), Wrapped(Reading { id: 1, value: None }));
}

#[test]
fn a_row_of_one_array_needs_a_tuple_or_scalar() {
    let column = [("tags", json!([100, 4]))];
    assert_eq!(row::<(Vec<String>,)>(&column, r#"[["a", "b"]]"#).unwrap().0, ["a", "b"]);
    assert_eq!(cell::<Vec<String>>(json!([100, 4]), r#"["a", "b"]"#).unwrap(), ["a", "b"]);
    assert_eq!(row::<Vec<i32>>(&[("a", json!(9)), ("b", json!(9))], "[1, 2]").unwrap(), [1, 2]);
}

#[test]
fn integers_are_exact_or_refused() {
    assert_eq!(cell::<i64>(json!(10), "9007199254740993").unwrap(), 9_007_199_254_740_993);
    assert_eq!(cell::<i64>(json!(10), "-9223372036854775808").unwrap(), i64::MIN);
    assert_eq!(cell::<u64>(json!(10), "18446744073709551615").unwrap(), u64::MAX);
    assert_eq!(cell::<i128>(json!(22), "170141183460469231731687303715884105727").unwrap(), i128::MAX);
    assert_eq!(cell::<f64>(json!(10), "9007199254740992").unwrap(), 9_007_199_254_740_992.0);
    assert_eq!(
        refusal::<i32>(json!(10), "3000000000"),
        "cannot read row 1 of `SELECT …` as `i32`: column 1, `c` (BIGINT): invalid value: integer `3000000000`, expected i32"
    );
    assert!(refusal::<u8>(json!(9), "-1").contains("(INTEGER): invalid value: integer `-1`, expected u8"));
    assert!(refusal::<i64>(json!(22), "9223372036854775808").contains("9223372036854775808"));
    assert!(refusal::<f64>(json!(10), "9007199254740993").contains("number `9007199254740993`, expected f64"));
    assert!(refusal::<f32>(json!(9), "16777217").contains("number `16777217`, expected f32"));
    assert!(refusal::<i32>(json!(6), "1.0").contains("(DOUBLE PRECISION): invalid type: number `1.0`, expected i32"));
    assert!(refusal::<i32>(json!(4), "\"1\"").contains("(TEXT): invalid type: string \"1\", expected i32"));
    assert!(refusal::<String>(json!(9), "1").contains("(INTEGER): invalid type: number `1`, expected a string"));
}

#[test]
fn floats_are_read_as_they_are() {
    assert_eq!(cell::<f64>(json!(6), "0.1").unwrap(), 0.1);
    assert_eq!(cell::<f32>(json!(7), "0.1").unwrap(), 0.1);
    assert_eq!(cell::<f64>(json!(6), "1.7976931348623157E308").unwrap(), f64::MAX);
    assert_eq!(cell::<f64>(json!(6), "-0.0").unwrap().to_bits(), (-0.0f64).to_bits());
    assert_eq!(cell::<f64>(json!(9), "3").unwrap(), 3.0);
    assert!(cell::<f64>(json!(6), "\"NaN\"").unwrap().is_nan());
    assert_eq!(cell::<f64>(json!(6), "\"Infinity\"").unwrap(), f64::INFINITY);
    assert_eq!(cell::<f32>(json!(7), "\"-Infinity\"").unwrap(), f32::NEG_INFINITY);
    assert!(cell::<Vec<f32>>(json!(28), "[1.5, \"NaN\"]").unwrap()[1].is_nan());
    assert!(cell::<HashMap<String, f64>>(json!(12), r#"{"a": "NaN"}"#).unwrap()["a"].is_nan());
    assert!(refusal::<f64>(json!(4), "\"NaN\"").contains("invalid type: string \"NaN\", expected f64"));
    assert!(refusal::<f32>(json!(6), "1e300").contains("number `1e300`, expected f32"));
}

#[test]
fn numerics_keep_all_their_digits() {
    let digits = "123456789012345678901234567890.123456789012345678901234567890";
    assert_eq!(cell::<String>(json!(22), digits).unwrap(), digits);
    assert_eq!(cell::<Value>(json!(22), digits).unwrap(), json!(digits));
    assert_eq!(cell::<Value>(json!(22), "1.5").unwrap(), json!("1.5"));
    assert_eq!(cell::<Vec<String>>(json!([100, 22]), "[1.50, 2]").unwrap(), ["1.50", "2"]);
    assert_eq!(cell::<f64>(json!(22), "1.5").unwrap(), 1.5);
    assert_eq!(cell::<f64>(json!(22), "9007199254740993").unwrap(), 9_007_199_254_740_992.0);
    assert_eq!(cell::<i64>(json!(22), "15").unwrap(), 15);
    assert_eq!(cell::<Value>(json!(12), &format!("{{\"n\": {digits}}}")).unwrap(), json!({"n": digits}));
    assert_eq!(cell::<HashMap<String, String>>(json!(12), &format!("{{\"n\": {digits}}}")).unwrap()["n"], digits);
}

#[test]
fn dynamic_values_lose_nothing() {
    let object = r#"{"i": 9007199254740993, "u": 18446744073709551615, "big": 18446744073709551616, "f": 0.1, "t": "x", "n": null, "a": [true]}"#;
    let expected = json!({
        "i": 9_007_199_254_740_993_i64, "u": u64::MAX, "big": "18446744073709551616", "f": 0.1, "t": "x", "n": null, "a": [true]
    });
    assert_eq!(cell::<Value>(json!(12), object).unwrap(), expected);
    assert_eq!(cell::<Value>(json!(6), "\"NaN\"").unwrap(), json!("NaN"), "never NULL");
    let raw: Box<serde_json::value::RawValue> = cell(json!(22), "1.500").unwrap();
    assert_eq!(raw.get(), "1.500");
    let raw: (Box<serde_json::value::RawValue>, i32) = row(&[("a", json!(22)), ("b", json!(9))], "[1.500, 1]").unwrap();
    assert_eq!(raw.0.get(), "1.500");
}

#[test]
fn null_needs_an_option() {
    let error = row::<(i32, f64)>(&id_and_value(), "[1, null]").unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot read row 1 of `SELECT …` as `(i32, f64)`: column 2, `value` (DOUBLE PRECISION): it is NULL, expected f64\n  \
         read it into an `Option` where it may be NULL"
    );
    for error in [
        refusal::<String>(json!(4), "null"),
        refusal::<Vec<i32>>(json!([100, 9]), "null"),
        refusal::<bool>(json!(3), "null"),
    ] {
        assert!(error.contains("column 1, `c` (") && error.contains("it is NULL"), "{error}");
    }
    assert_eq!(cell::<Option<Vec<Option<i32>>>>(json!([100, 9]), "[1, null]").unwrap(), Some(vec![Some(1), None]));
    assert!(refusal::<Vec<i32>>(json!([100, 9]), "[1, null]").contains("`c[2]` (ARRAY(INTEGER)): it is NULL"));
}

#[test]
fn timestamps_are_milliseconds_or_text() {
    let (with_zone, without, date) = (json!(11), json!(15), json!(24));
    let at = "1767323045678";
    assert_eq!(cell::<i64>(with_zone.clone(), at).unwrap(), 1_767_323_045_678);
    assert_eq!(cell::<Value>(with_zone.clone(), at).unwrap(), json!(1_767_323_045_678_i64));
    assert_eq!(cell::<String>(with_zone.clone(), at).unwrap(), "2026-01-02T03:04:05.678Z");
    assert_eq!(cell::<String>(without, at).unwrap(), "2026-01-02T03:04:05.678");
    assert_eq!(cell::<String>(date, "1767312000000").unwrap(), "2026-01-02");
    assert_eq!(cell::<String>(with_zone.clone(), "-1").unwrap(), "1969-12-31T23:59:59.999Z");
    assert_eq!(cell::<Vec<String>>(json!([100, 11]), "[0]").unwrap(), ["1970-01-01T00:00:00.000Z"]);
    assert!(refusal::<String>(with_zone, "9223372036854775807").contains("outside of the years"));
}

#[test]
fn types_of_other_crates_read_timestamps_by_an_attribute() {
    #[derive(Debug, Deserialize)]
    struct Event {
        #[serde(deserialize_with = "from_milliseconds")]
        at: time::OffsetDateTime,
    }
    fn from_milliseconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<time::OffsetDateTime, D::Error> {
        let milliseconds = i64::deserialize(deserializer)?;
        time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
            .map_err(serde::de::Error::custom)
    }
    let event: Event = row(&[("at", json!(11))], "[1767323045678]").unwrap();
    assert_eq!((event.at.year(), event.at.millisecond()), (2026, 678));
}

#[test]
fn nested_values_are_read_into_nested_types() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Station {
        name: String,
        sensors: Vec<Sensor>,
        #[serde(default)]
        note: Option<String>,
    }
    #[derive(Debug, Deserialize, PartialEq)]
    struct Sensor {
        id: u8,
    }
    let json = r#"{"name": "Lyon", "sensors": [{"id": 1}, {"id": 2}], "unknown": [[{}]]}"#;
    let expected = Station { name: "Lyon".into(), sensors: vec![Sensor { id: 1 }, Sensor { id: 2 }], note: None };
    assert_eq!(cell::<Station>(json!(12), json).unwrap(), expected);
    let error = refusal::<Station>(json!(12), r#"{"name": "Lyon", "sensors": [{"id": 1}, {"id": 300}]}"#);
    assert!(
        error.contains("column 1, `c['sensors'][2]['id']` (OBJECT): invalid value: integer `300`, expected u8"),
        "{error}"
    );
    assert!(refusal::<Station>(json!(12), r#"{"sensors": []}"#).contains("`c` (OBJECT): missing field `name`"));
    let by_number: BTreeMap<i32, String> = cell(json!(12), r#"{"1": "a", "-2": "b"}"#).unwrap();
    assert_eq!(by_number, BTreeMap::from([(1, "a".into()), (-2, "b".into())]));
}

#[test]
fn arrays_have_the_length_that_is_asked_for() {
    assert_eq!(cell::<(f64, f64)>(json!(13), "[4.85, 45.76]").unwrap(), (4.85, 45.76));
    assert_eq!(cell::<[f64; 2]>(json!(13), "[4.85, 45.76]").unwrap(), [4.85, 45.76]);
    assert_eq!(cell::<Vec<Vec<i32>>>(json!([100, [100, 9]]), "[[1], []]").unwrap(), [vec![1], vec![]]);
    assert!(refusal::<(f64,)>(json!(13), "[4.85, 45.76]").contains("an array of 2 elements, expected 1"));
    assert!(
        refusal::<[f64; 3]>(json!(13), "[4.85, 45.76]").contains("invalid length 2, expected an array of length 3")
    );
}

#[test]
fn enums_are_read_from_names_and_from_objects_with_one_key() {
    #[derive(Debug, Deserialize, PartialEq, Eq, Hash)]
    #[serde(rename_all = "snake_case")]
    enum State {
        Up,
        Down,
    }
    #[derive(Debug, Deserialize, PartialEq)]
    enum Shape {
        Circle(f64),
        Box { w: f64 },
        Line(f64, f64),
        Dot,
    }
    assert_eq!(cell::<State>(json!(4), "\"up\"").unwrap(), State::Up);
    assert_eq!(row::<(State, i32)>(&[("s", json!(4)), ("i", json!(9))], "[\"down\", 1]").unwrap(), (State::Down, 1));
    assert!(refusal::<State>(json!(4), "\"sideways\"").contains("unknown variant `sideways`, expected `up` or `down`"));
    assert_eq!(cell::<Shape>(json!(12), r#"{"Circle": 1.5}"#).unwrap(), Shape::Circle(1.5));
    assert_eq!(cell::<Shape>(json!(12), r#"{"Box": {"w": 2}}"#).unwrap(), Shape::Box { w: 2.0 });
    assert_eq!(cell::<Shape>(json!(12), r#"{"Line": [1, 2]}"#).unwrap(), Shape::Line(1.0, 2.0));
    assert_eq!(cell::<Shape>(json!(4), "\"Dot\"").unwrap(), Shape::Dot);
    assert!(refusal::<Shape>(json!(12), r#"{"Circle": 1, "Dot": null}"#).contains("an object with one key"));
    assert_eq!(cell::<HashMap<State, i32>>(json!(12), r#"{"up": 1}"#).unwrap()[&State::Up], 1);
}

#[test]
fn text_is_read_into_what_text_stands_for() {
    assert_eq!(cell::<IpAddr>(json!(5), "\"192.168.0.1\"").unwrap(), IpAddr::from([192, 168, 0, 1]));
    assert_eq!(cell::<char>(json!(27), "\"x\"").unwrap(), 'x');
    assert_eq!(cell::<()>(json!(0), "null").unwrap(), ());
    assert_eq!(cell::<serde::de::IgnoredAny>(json!(12), "{\"a\": [1]}").map(drop).unwrap(), ());
}

#[test]
fn a_shape_that_does_not_fit_names_the_columns() {
    let error = |error: crate::Error| error.to_string();
    let three = error(row::<(i32, f64, i32)>(&id_and_value(), "[1, 2.5]").unwrap_err());
    assert!(three.contains("a tuple of 3 can't hold 2 columns, `id` (INTEGER), `value` (DOUBLE PRECISION)"), "{three}");
    let one = error(row::<i32>(&id_and_value(), "[1, 2.5]").unwrap_err());
    assert!(one.contains("one value can't hold 2 columns, `id` (INTEGER)"), "{one}");
    let missing = error(row::<Reading>(&[("ident", json!(9))], "[1]").unwrap_err());
    assert!(missing.contains("the row has 1 column, `ident` (INTEGER): missing field `id`"), "{missing}");
    let twice = error(row::<Reading>(&[("id", json!(9)), ("id", json!(9))], "[1, 2]").unwrap_err());
    assert!(twice.contains("duplicate field `id`"), "{twice}");
    let scalar = answer(&id_and_value(), "[[1, 2.5]]").scalars::<i32>(STMT).unwrap_err().to_string();
    assert!(scalar.contains("one value can't hold 2 columns"), "{scalar}");
    let wide: Vec<(String, Value)> = (0..300).map(|number| (format!("c{number}"), json!(9))).collect();
    let wide: Vec<(&str, Value)> = wide.iter().map(|(name, kind)| (name.as_str(), kind.clone())).collect();
    let cells = format!("[{}]", vec!["1"; 300].join(","));
    assert!(error(row::<(i32,)>(&wide, &cells).unwrap_err()).len() < 600);
}

#[test]
fn an_error_names_the_row() {
    let error = answer(&id_and_value(), "[[1, 2.5], [2, true]]").rows::<(i32, f64)>(STMT).unwrap_err().to_string();
    assert!(
        error.contains("cannot read row 2 of `SELECT …`") && error.contains("boolean `true`, expected f64"),
        "{error}"
    );
}

#[test]
fn a_statement_without_rows_is_told_from_one_that_found_none() {
    let error = answer(&[], "[[]]").rows::<(i32,)>(STMT).unwrap_err().to_string();
    assert!(error.contains("returns no rows") && error.contains("`execute`"), "{error}");
}

#[test]
fn an_answer_without_types_can_be_read() {
    let body = br#"{"cols": ["a"], "rows": [[1]], "rowcount": 1}"#;
    assert_eq!(Answer::read(body).unwrap().rows::<(i32,)>(STMT).unwrap(), [(1,)]);
}

#[test]
fn a_row_with_too_few_cells_is_an_error() {
    let error = answer(&id_and_value(), "[[1]]").rows::<(i32, f64)>(STMT).unwrap_err().to_string();
    assert!(error.contains("it has 1 cells for 2 columns"), "{error}");
}
