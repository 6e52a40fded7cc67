//! Writes values as arguments and checks that they come back unchanged.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::sql::{Answer, Statement};

fn sent(value: impl Serialize) -> String {
    bind(&value).unwrap().get().to_owned()
}

fn refused(value: impl Serialize) -> String {
    bind(&value).unwrap_err().to_string()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum State {
    Up,
}

#[derive(Serialize)]
enum Shape {
    Circle(f64),
    Box { w: f64 },
    Line(f64, f64),
}

#[test]
fn numbers_are_sent_with_all_their_digits() {
    assert_eq!(sent(i64::MIN), "-9223372036854775808");
    assert_eq!(sent(i64::MAX as u64), "9223372036854775807");
    assert_eq!(sent(1u8), "1");
    assert_eq!(sent(0.1f64), "0.1");
    assert_eq!(sent(0.1f32), "0.1");
    assert_eq!(sent(1.0f64), "1.0");
    assert_eq!(sent(f64::MAX), "1.7976931348623157e308");
    assert_eq!(sent(-0.0f64), "-0.0");
}

#[test]
fn what_json_has_no_numbers_for_is_sent_as_text() {
    assert_eq!(sent(f64::NAN), r#""NaN""#);
    assert_eq!(sent(f32::INFINITY), r#""Infinity""#);
    assert_eq!(sent(vec![f64::NEG_INFINITY]), r#"["-Infinity"]"#);
    assert_eq!(sent(u64::MAX), r#""18446744073709551615""#);
    assert_eq!(sent(5i128), r#""5""#);
    assert_eq!(sent(u128::MAX), r#""340282366920938463463374607431768211455""#);
}

#[test]
fn text_is_escaped() {
    assert_eq!(sent("größer \"\\\n\u{0}"), r#""größer \"\\\n\u0000""#);
    assert_eq!(sent('\''), "\"'\"");
    assert_eq!(sent(State::Up), r#""Up""#);
    assert_eq!(sent(std::net::Ipv4Addr::LOCALHOST), r#""127.0.0.1""#);
}

#[test]
fn nothing_is_null() {
    assert_eq!(sent(None::<i32>), "null");
    assert_eq!(sent(()), "null");
    assert_eq!(sent(Some(1)), "1");
}

#[test]
fn sequences_and_tuples_are_arrays() {
    assert_eq!(sent([1, 2]), "[1,2]");
    assert_eq!(sent((1, "a", None::<i32>)), r#"[1,"a",null]"#);
    assert_eq!(sent(Vec::<i32>::new()), "[]");
    assert_eq!(sent(vec![vec![1], vec![]]), "[[1],[]]");
}

#[test]
fn structs_and_maps_are_objects() {
    #[derive(Serialize)]
    struct Station {
        name: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<i32>,
        at: (f64, f64),
    }
    assert_eq!(
        sent(Station { name: "Lyon", note: None, at: (4.85, f64::NAN) }),
        r#"{"name":"Lyon","at":[4.85,"NaN"]}"#
    );
    assert_eq!(sent(BTreeMap::from([(1, "a"), (-2, "b")])), r#"{"-2":"b","1":"a"}"#);
    assert_eq!(sent(HashMap::from([(State::Up, true)])), r#"{"Up":true}"#);
    assert_eq!(sent(json!({"a": [1, {"b": null}]})), r#"{"a":[1,{"b":null}]}"#);
    assert!(refused(HashMap::from([(vec![1], 1)])).contains("can't be a key"));
}

#[test]
fn json_that_is_written_already_is_sent_as_it_is() {
    let raw = RawValue::from_string("1.500".into()).unwrap();
    assert_eq!(sent(&raw), "1.500");
    assert_eq!(sent((raw, 1)), "[1.500,1]");
}

#[test]
fn what_cratedb_has_no_type_for_is_refused() {
    struct Bytes;
    impl Serialize for Bytes {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(b"abc")
        }
    }
    assert!(refused(Bytes).contains("no type for bytes"));
    assert!(refused(vec![Some(Bytes)]).contains("no type for bytes"));
    for shape in [Shape::Circle(1.0), Shape::Box { w: 1.0 }, Shape::Line(1.0, 2.0)] {
        assert!(refused(shape).contains("is an enum variant with data"));
    }
}

#[test]
fn a_row_has_an_argument_for_each_element() {
    let row = |value: &dyn Fn() -> Result<Vec<Box<RawValue>>, Error>| -> Vec<String> {
        value().unwrap().iter().map(|arg| arg.get().to_owned()).collect()
    };
    assert_eq!(row(&|| bind_row(&(1, "a", [1.5]))), ["1", "\"a\"", "[1.5]"]);
    assert_eq!(row(&|| bind_row(&vec![1, 2])), ["1", "2"]);
    assert_eq!(row(&|| bind_row("a")), ["\"a\""]);
    assert_eq!(row(&|| bind_row(&(vec![1, 2],))), ["[1,2]"]);
    assert!(bind_row(&json!({"a": 1})).unwrap_err().to_string().contains("has no positions"));
}

/// The answer of a server that echoes its argument.
fn echoed<T: Serialize + serde::de::DeserializeOwned>(value: &T, kind: i64) -> T {
    let body = format!(
        r#"{{"cols": ["c"], "col_types": [{kind}], "rows": [[{}]], "rowcount": 1}}"#,
        bind(value).unwrap().get()
    );
    Answer::read(body.as_bytes()).unwrap().scalars(Statement::new("SELECT ?")).unwrap().remove(0)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    small: i16,
    big: i64,
    unsigned: u64,
    float: f32,
    flag: bool,
    letter: char,
    text: String,
    maybe: Option<String>,
    state: State,
    pair: (i32, String),
    list: Vec<Option<i64>>,
    nested: Vec<Vec<f64>>,
    map: BTreeMap<String, Option<bool>>,
    by_number: BTreeMap<i32, i32>,
}

prop_compose! {
    fn everything()(
        numbers in any::<(i16, i64, bool, char)>(),
        unsigned in 0..=i64::MAX as u64,
        float in prop::num::f32::NORMAL | prop::num::f32::ZERO | prop::num::f32::SUBNORMAL,
        texts in any::<(String, Option<String>)>(),
        pair in any::<(i32, String)>(),
        list in any::<Vec<Option<i64>>>(),
        nested in prop::collection::vec(prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::INFINITE, 0..4), 0..4),
        map in any::<BTreeMap<String, Option<bool>>>(),
        by_number in any::<BTreeMap<i32, i32>>(),
    ) -> Everything {
        let ((small, big, flag, letter), (text, maybe)) = (numbers, texts);
        Everything { small, big, unsigned, float, flag, letter, text, maybe, state: State::Up, pair, list, nested, map, by_number }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn structs_come_back_as_they_were(value in everything()) {
        prop_assert_eq!(echoed(&value, 12), value);
    }

    #[test]
    fn doubles_come_back_bit_for_bit(value in any::<f64>()) {
        let back = echoed(&value, 6);
        prop_assert!(back.to_bits() == value.to_bits() || (back.is_nan() && value.is_nan()));
    }

    #[test]
    fn integers_come_back_exactly(value in any::<i64>()) {
        prop_assert_eq!(echoed(&value, 10), value);
    }

    #[test]
    fn text_comes_back_exactly(value in any::<String>()) {
        prop_assert_eq!(echoed(&value, 4), value);
    }

    #[test]
    fn arguments_are_valid_json(value in everything()) {
        let sent: Value = serde_json::from_str(bind(&value).unwrap().get()).unwrap();
        prop_assert_eq!(&sent["big"], &json!(value.big));
    }
}
