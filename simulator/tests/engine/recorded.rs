//! Replays recorded answers of a real CrateDB against a server with `/_sql`, and counts equal, refused and wrong
//! answers.

use std::collections::BTreeMap;

use serde_json::Value;

/// The words in every refusal of the embedded engine.
const REFUSAL: &str = "not supported by the embedded engine";

/// The server under test.
pub trait Server {
    /// A session, as one connection is.
    type Connection;

    /// Begins a scenario. Returns the names of its schemas and its user.
    fn begin(&mut self) -> Names;
    fn connect(&mut self) -> Self::Connection;
    /// Sends a request. Returns status and body of the answer.
    fn send(&mut self, connection: &mut Self::Connection, call: &Call<'_>) -> (u16, String);
    /// Ends a scenario.
    fn end(&mut self, _names: &Names) {}
}

/// The values of `{{schema}}`, `{{schema2}}` and `{{user}}`: twelve characters each, as in the recording.
pub struct Names(pub [String; 3]);

/// One request.
pub struct Call<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub user: Option<&'a str>,
    pub default_schema: Option<&'a str>,
    pub body: &'a str,
}

/// The result of a replay.
#[derive(Debug, Default)]
pub struct Tally {
    pub equal: usize,
    /// Equal, refused, or different after something that changes the state was refused; and wrong.
    pub all: usize,
    /// The differences, with their reasons.
    pub wrong: Vec<String>,
}

#[derive(Clone, Copy)]
enum Found {
    Equal,
    Refused,
    /// Different, but the state isn't the recorded one.
    Unreached,
    Wrong,
}

impl Names {
    const MARKS: [&str; 3] = ["{{schema}}", "{{schema2}}", "{{user}}"];

    fn substitute(&self, text: &str) -> String {
        Self::MARKS.iter().zip(&self.0).fold(text.to_owned(), |text, (mark, name)| text.replace(mark, name))
    }

    fn generalise(&self, text: &str) -> String {
        Self::MARKS.iter().zip(&self.0).fold(text.to_owned(), |text, (mark, name)| text.replace(name, mark))
    }
}

/// Replays the corpus in `file` and prints a table.
pub fn replay<S: Server>(server: &mut S, file: &str) -> Tally {
    let corpus = std::fs::read_to_string(file).expect("the recorded answers are there");
    let steps: Vec<Value> =
        corpus.lines().filter(|line| !line.trim().is_empty()).map(|line| lossless(line).expect("JSON")).collect();
    let mut groups: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    let mut wrong = Vec::new();
    for scenario in steps.chunk_by(|a, b| a["scenario"] == b["scenario"]) {
        let names = server.begin();
        let (mut connections, mut state_unknown) = (BTreeMap::new(), false);
        for step in scenario {
            let key = [step.get("conn"), step.get("user")].map(|part| part.map_or(String::new(), text));
            let connection = connections.entry(key).or_insert_with(|| server.connect());
            let (status, body) = send(server, connection, step, &names);
            let found = judge(step, status, &names.generalise(&body), &mut state_unknown, &mut wrong);
            groups.entry(step["group"].as_str().unwrap_or_default()).or_default()[found as usize] += 1;
        }
        drop(connections);
        server.end(&names);
    }
    let mut total = [0; 4];
    println!("{:<10}{:>8}{:>9}{:>11}{:>7}", "group", "equal", "refused", "unreached", "wrong");
    for (group, counts) in &groups {
        println!("{group:<10}{:>8}{:>9}{:>11}{:>7}", counts[0], counts[1], counts[2], counts[3]);
        total.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
    }
    println!("{:<10}{:>8}{:>9}{:>11}{:>7}", "total", total[0], total[1], total[2], total[3]);
    Tally { equal: total[0], all: steps.len(), wrong }
}

fn judge(step: &Value, status: u16, raw: &str, state_unknown: &mut bool, wrong: &mut Vec<String>) -> Found {
    let stmt = step["stmt"].as_str().unwrap_or_default();
    let place = format!("{} #{}: {stmt:.150}", step["scenario"].as_str().unwrap_or_default(), text(&step["step"]));
    if raw.contains(REFUSAL) {
        *state_unknown |= !is_read(stmt);
        if std::env::var_os("ENGINE_REFUSED").is_some() {
            println!("REFUSED {place}\n      {raw:.200}");
        }
        return Found::Refused;
    }
    match compare(step, status, lossless(raw).filter(Value::is_object).as_ref(), raw) {
        None => Found::Equal,
        Some(why) if *state_unknown => {
            if std::env::var_os("ENGINE_REFUSED").is_some() {
                println!("UNREACHED {place}\n      {why:.400}");
            }
            Found::Unreached
        }
        Some(why) => {
            wrong.push(format!("{place}\n      {why:.400}"));
            Found::Wrong
        }
    }
}

fn send<S: Server>(server: &mut S, connection: &mut S::Connection, step: &Value, names: &Names) -> (u16, String) {
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
    let user = step.get("user").and_then(Value::as_str).map(|user| names.substitute(user));
    let schema = step["headers"]["Default-Schema"].as_str().map(|schema| names.substitute(schema));
    let call = Call {
        method: step.get("method").and_then(Value::as_str).unwrap_or("POST"),
        path,
        user: user.as_deref(),
        default_schema: schema.as_deref(),
        body: &names.substitute(&body),
    };
    server.send(connection, &call)
}

fn is_read(stmt: &str) -> bool {
    let stmt = stmt.trim_start().to_ascii_lowercase();
    ["(", "select", "with", "values", "show", "explain", "-"].iter().any(|w| stmt.starts_with(w))
}

/// Turns numbers into `{"#": text}`, so that they are compared as they were written.
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

/// Returns a decimal without exponent and trailing zeros, for NUMERIC.
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

/// Returns the first difference, if there is one.
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
