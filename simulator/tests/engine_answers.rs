//! Replays the recorded answers of a real CrateDB 6.4.3 against the embedded engine: equal or refused, never wrong.

use cratedb_cloud_simulator::engine::{Answer, Connection, Engine, EngineOptions, Request};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

const REFUSAL: &str = "not supported by the embedded engine";

/// Steps the engine answers as recorded; raise them when it learns more.
const EQUAL: usize = 1229;
const EQUAL_MORE: usize = 34;

const NAMES: [(&str, &str); 3] =
    [("{{schema}}", "cqtestschema"), ("{{schema2}}", "crtestschemb"), ("{{user}}", "cutestuserxy")];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Found {
    Equal,
    Refused,
    Unreached,
    Wrong,
}

/// Numbers become `{"#": text}`, so that they are compared as they were written.
fn lossless(text: &str) -> Option<Value> {
    let mut out = String::new();
    let mut chars = text.char_indices().peekable();
    let mut inside = false;
    while let Some((i, c)) = chars.next() {
        if inside {
            out.push(c);
            if c == '\\' {
                out.push(chars.next()?.1);
            } else if c == '"' {
                inside = false;
            }
        } else if c == '-' || c.is_ascii_digit() {
            let mut end = i + 1;
            while let Some((j, d)) = chars.peek().copied()
                && (d.is_ascii_digit() || "+-.eE".contains(d))
            {
                end = j + 1;
                chars.next();
            }
            out += &format!("{{\"#\":\"{}\"}}", &text[i..end]);
        } else {
            inside = c == '"';
            out.push(c);
        }
    }
    serde_json::from_str(&out).ok()
}

fn number(v: &Value) -> Option<&str> {
    let object = v.as_object()?;
    if object.len() == 1 { object.get("#")?.as_str() } else { None }
}

fn plain(v: &Value, out: &mut String) {
    match (v, number(v)) {
        (_, Some(n)) => out.push_str(n),
        (Value::Array(items), _) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                plain(item, out);
            }
            out.push(']');
        }
        (Value::Object(fields), _) => {
            out.push('{');
            for (i, (k, item)) in fields.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                *out += &format!("{}:", Value::String(k.clone()));
                plain(item, out);
            }
            out.push('}');
        }
        (v, _) => *out += &v.to_string(),
    }
}

fn text(v: &Value) -> String {
    let mut out = String::new();
    plain(v, &mut out);
    out
}

fn substitute(s: &str) -> String {
    NAMES.iter().fold(s.to_owned(), |s, (from, to)| s.replace(from, to))
}

fn generalise(s: &str) -> String {
    NAMES.iter().fold(s.to_owned(), |s, (to, from)| s.replace(from, to))
}

fn kind(v: &Value) -> &'static str {
    match v {
        _ if number(v).is_some() => "number",
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A decimal without exponent and trailing zeros, for NUMERIC.
fn decimal(n: &str) -> (String, i64) {
    let (mantissa, exponent) = n.split_once(['e', 'E']).unwrap_or((n, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let sign = if digits.starts_with('-') { "-" } else { "" };
    let digits = digits.trim_start_matches('-').trim_start_matches('0');
    let scale = exponent.parse::<i64>().unwrap_or(0) - fraction.len() as i64;
    let kept = digits.trim_end_matches('0');
    (format!("{sign}{kept}"), if kept.is_empty() { 0 } else { scale + (digits.len() - kept.len()) as i64 })
}

fn same(a: &Value, b: &Value, ty: Option<&Value>) -> bool {
    let ty = match ty {
        Some(Value::Array(of)) => of.get(1),
        ty => ty,
    };
    if let (Some(x), Some(y)) = (number(a), number(b)) {
        let id = ty.and_then(number).unwrap_or("");
        let (fx, fy) = (x.contains(['.', 'e', 'E']), y.contains(['.', 'e', 'E']));
        if id == "22" && (fx || fy) {
            return decimal(x) == decimal(y);
        }
        if !fx && !fy {
            return x == y;
        }
        let (Ok(p), Ok(q)) = (x.parse::<f64>(), y.parse::<f64>()) else { return false };
        return fx && fy && (p - q).abs() <= if id == "7" { 1e-6 } else { 1e-12 } * p.abs().max(q.abs());
    }
    if kind(a) != kind(b) {
        return false;
    }
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same(x, y, ty)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w, None)))
        }
        _ => a == b,
    }
}

fn same_row(expected: &Value, got: &Value, types: Option<&Value>, volatile: Option<&Value>) -> bool {
    let (Some(x), Some(y)) = (expected.as_array(), got.as_array()) else { return false };
    x.len() == y.len()
        && x.iter().zip(y).enumerate().all(|(i, (x, y))| {
            match volatile.and_then(|v| v.get(i.to_string())).and_then(Value::as_str) {
                Some(want) => kind(y) == want,
                None => same(x, y, types.and_then(|t| t.get(i))),
            }
        })
}

/// The first difference, or none.
fn compare(step: &Value, status: u16, got: Option<&Value>, raw: &str) -> Option<String> {
    if text(&step["status"]) != status.to_string() {
        return Some(format!("status {status} instead of {}: {raw:.300}", text(&step["status"])));
    }
    let Some(got) = got else {
        return step.get("text").is_none().then(|| format!("plain text instead of JSON: {raw}"));
    };
    if step.get("text").is_some() {
        return Some("JSON instead of plain text".into());
    }
    if let Some(error) = step.get("error").filter(|e| !e.is_null()) {
        let same = text(&error["code"]) == text(&got["error"]["code"]);
        return (!same).then(|| format!("error {} instead of {}", text(&got["error"]), text(&error["code"])));
    }
    if let Some(results) = step.get("results").and_then(Value::as_array) {
        let Some(items) = got["results"].as_array().filter(|items| items.len() == results.len()) else {
            return Some(format!("results {}", text(&got["results"])));
        };
        let fits = |(a, b): (&Value, &Value)| {
            a["rowcount"] == b["rowcount"] && a.get("error").map(|e| &e["code"]) == b.get("error").map(|e| &e["code"])
        };
        return (!results.iter().zip(items).all(fits)).then(|| format!("results {}", text(&got["results"])));
    }
    for key in ["cols", "col_types"] {
        if step.get(key).unwrap_or(&Value::Null) != got.get(key).unwrap_or(&Value::Null) {
            return Some(format!("{key} {} instead of {}", text(&got[key]), text(&step[key])));
        }
    }
    if step.get("volatile_rows").is_some() {
        return None;
    }
    if step["rowcount"] != got["rowcount"] {
        return Some(format!("rowcount {} instead of {}: {raw:.200}", text(&got["rowcount"]), text(&step["rowcount"])));
    }
    let (Some(want), Some(rows)) = (step["rows"].as_array(), got["rows"].as_array()) else {
        return Some("no rows".into());
    };
    let different = || Some(format!("rows {} instead of {}", text(&got["rows"]), text(&step["rows"])));
    if want.len() != rows.len() {
        return different();
    }
    let fits = |x: &Value, y: &Value| same_row(x, y, step.get("col_types"), step.get("volatile"));
    if step["order"] != Value::Bool(false) {
        return if want.iter().zip(rows).all(|(x, y)| fits(x, y)) { None } else { different() };
    }
    let mut left: Vec<&Value> = rows.iter().collect();
    for x in want {
        match left.iter().position(|y| fits(x, y)) {
            Some(place) => left.remove(place),
            None => return different(),
        };
    }
    None
}

fn send(connection: &mut Connection, step: &Value) -> Answer {
    let body = match step.get("body").and_then(Value::as_str) {
        Some(body) => body.to_owned(),
        None => {
            let mut body = format!("{{\"stmt\":{}", step["stmt"]);
            for key in ["args", "bulk_args"] {
                if let Some(value) = step.get(key) {
                    body += &format!(",\"{key}\":{}", text(value));
                }
            }
            body + "}"
        }
    };
    let path = match (step.get("path").and_then(Value::as_str), &step["types"]) {
        (Some(path), _) => path,
        (None, Value::Bool(true)) => "/_sql?types",
        _ => "/_sql",
    };
    let user = step.get("user").and_then(Value::as_str).map(substitute);
    let schema = step["headers"]["Default-Schema"].as_str().map(substitute);
    let body = substitute(&body);
    connection.handle(&Request {
        method: step.get("method").and_then(Value::as_str).unwrap_or("POST"),
        path,
        user: user.as_deref(),
        default_schema: schema.as_deref(),
        body: body.as_bytes(),
    })
}

fn is_read(stmt: &str) -> bool {
    let stmt = stmt.trim_start().to_ascii_lowercase();
    ["(", "select", "with", "values", "show", "explain", "-"].iter().any(|w| stmt.starts_with(w))
}

fn engine() -> Arc<Engine> {
    Engine::new(EngineOptions {
        version: "6.4.3".into(),
        cluster_name: "test".into(),
        cluster_id: "c0ffee".into(),
        node_name: "node".into(),
        http_address: "127.0.0.1:4200".into(),
        psql_port: Some(5432),
    })
}

#[test]
fn every_recorded_answer_is_equal_or_refused() {
    replay(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cratedb-6.4.3-answers.ndjson"), EQUAL);
}

/// What was recorded later, for statements that tools send.
#[test]
fn every_answer_recorded_later_is_equal_or_refused() {
    replay(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cratedb-6.4.3-more-answers.ndjson"), EQUAL_MORE);
}

fn replay(file: &str, least: usize) {
    let corpus = std::fs::read_to_string(file).expect("the recorded answers are there");
    let mut groups: BTreeMap<String, [usize; 4]> = BTreeMap::new();
    let (mut wrong, mut refused) = (vec![], vec![]);
    let (mut scenario, mut state_unknown) = (String::new(), false);
    let mut engine_now = engine();
    let mut connections: BTreeMap<String, Connection> = BTreeMap::new();
    for line in corpus.lines().filter(|l| !l.trim().is_empty()) {
        let step = lossless(line).expect("the recording is JSON");
        let name = step["scenario"].as_str().unwrap_or_default();
        if name != scenario {
            (scenario, state_unknown) = (name.to_owned(), false);
            engine_now = engine();
            connections.clear();
        }
        let key =
            format!("{}/{}", step.get("conn").map_or("1".into(), text), step.get("user").map_or(String::new(), text));
        let connection = connections.entry(key).or_insert_with(|| engine_now.connect());
        let answer = send(connection, &step);
        let raw = generalise(&String::from_utf8(answer.body.clone()).expect("answers are UTF-8"));
        let got = lossless(&raw).filter(Value::is_object);
        let stmt = step["stmt"].as_str().unwrap_or_default();
        let found = if raw.contains(REFUSAL) {
            state_unknown |= !is_read(stmt);
            refused.push(format!("{name} #{}: {stmt:.150}\n      {raw:.200}", text(&step["step"])));
            Found::Refused
        } else {
            match compare(&step, answer.status, got.as_ref(), &raw) {
                None => Found::Equal,
                Some(_) if state_unknown => Found::Unreached,
                Some(why) => {
                    wrong.push(format!("{name} #{}: {stmt:.150}\n      {why:.400}", text(&step["step"])));
                    Found::Wrong
                }
            }
        };
        groups.entry(step["group"].as_str().unwrap_or_default().to_owned()).or_default()[found as usize] += 1;
    }
    if std::env::var_os("ENGINE_REFUSED").is_some() {
        refused.iter().for_each(|line| println!("REFUSED {line}"));
    }
    println!("{:<10}{:>8}{:>9}{:>11}{:>7}", "group", "equal", "refused", "unreached", "wrong");
    let mut total = [0; 4];
    for (group, counts) in &groups {
        println!("{group:<10}{:>8}{:>9}{:>11}{:>7}", counts[0], counts[1], counts[2], counts[3]);
        total.iter_mut().zip(counts).for_each(|(t, c)| *t += c);
    }
    println!("{:<10}{:>8}{:>9}{:>11}{:>7}", "total", total[0], total[1], total[2], total[3]);
    assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(total[0] >= least, "{} answers are equal, {least} were", total[0]);
}
