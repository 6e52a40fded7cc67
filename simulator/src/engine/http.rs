//! The HTTP shapes of requests and answers.

use super::connection::Connection;
use super::context::Outcome;
use super::error::{Fault, SqlError, invalid, refuse};
use super::json::{self, Json};
use super::run::SqlRequest;
use super::types::Type;
use super::value::Value;
use super::{run, users};
use std::fmt::Write;
use std::time::Instant;

const JSON: &str = "application/json; charset=UTF-8";
const PLAIN: &str = "text/plain; charset=UTF-8";

/// One HTTP request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `POST` and so on.
    pub method: &'a str,
    /// Path with query.
    pub path: &'a str,
    /// The authenticated user; none is `crate`.
    pub user: Option<&'a str>,
    /// The header `Default-Schema`.
    pub default_schema: Option<&'a str>,
    /// The body, decompressed.
    pub body: &'a [u8],
}

/// One HTTP answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// True if the server closes the connection after this.
    pub close: bool,
}

impl Connection {
    /// Answers a request as CrateDB's HTTP port does.
    pub fn handle(&mut self, request: &Request<'_>) -> Answer {
        let user = request.user.unwrap_or("crate");
        if !users::is_user(&self.engine.state(), user) {
            return Answer { close: true, ..plain(401, format!("trust authentication failed for user \"{user}\"\n")) };
        }
        let (path, query) = request.path.split_once('?').unwrap_or((request.path, ""));
        if path.starts_with("/_sql") {
            self.open(user, request.default_schema);
            let types = query.split('&').any(|flag| matches!(flag, "types" | "types=" | "types=true"));
            return sql(self, request.body, types);
        }
        match (request.method, request.path) {
            ("GET" | "HEAD", "/" | "/admin") => about(self),
            ("GET" | "HEAD", _) => plain(404, format!("Requested file [{path}] was not found")),
            (method, _) => plain(403, format!("{method} method is not allowed for [{path}]")),
        }
    }
}

fn plain(status: u16, text: String) -> Answer {
    Answer { status, content_type: PLAIN, body: text.into_bytes(), close: false }
}

fn about(connection: &Connection) -> Answer {
    let options = &connection.engine.options;
    let mut out = String::from("{\"ok\":true,\"status\":200,\"name\":");
    json::write_text(&mut out, &options.node_name);
    out.push_str(",\"cluster_name\":");
    json::write_text(&mut out, &options.cluster_name);
    out.push_str(",\"version\":{\"number\":");
    json::write_text(&mut out, &options.version);
    out.push_str(
        ",\"build_hash\":\"embedded\",\"build_timestamp\":\"NA\",\"build_snapshot\":false,\"lucene_version\":\"NA\"}}",
    );
    Answer { status: 200, content_type: JSON, body: out.into_bytes(), close: false }
}

fn sql(connection: &mut Connection, body: &[u8], types: bool) -> Answer {
    let started = Instant::now();
    let Ok(text) = std::str::from_utf8(body) else { return failed(&invalid("Can't parse a body that isn't UTF-8")) };
    let body = match read(text) {
        Ok(body) => body,
        Err(e) => return failed(&e),
    };
    if connection.spoilt {
        return Answer { close: true, ..failed(&refuse("a connection that had a query with bulk_args")) };
    }
    let Connection { engine, session: Some(session), spoilt, .. } = connection else {
        return failed(&refuse("no session"));
    };
    let mut out = String::from("{");
    let done = if body.is_bulk && !body.bulk.is_empty() {
        run::bulk(engine, session, &body).map(|items| write_items(&mut out, &items))
    } else if body.is_bulk && run::is_write(&body.stmt) {
        run::bulk_of_none(engine, session, &body.stmt).map(|()| write_items(&mut out, &[]))
    } else {
        run::single(engine, session, &body).map(|outcome| write_outcome(&mut out, &outcome, types))
    };
    if let Err(e) = done {
        run::withhold(engine, session, &body.stmt, &e);
        *spoilt |= body.is_bulk && e.fault == Fault::BulkQuery;
        return failed(&e);
    }
    let _ = write!(out, "\"duration\":{:?}}}", started.elapsed().as_secs_f64() * 1000.0);
    Answer { status: 200, content_type: JSON, body: out.into_bytes(), close: false }
}

fn read(text: &str) -> Result<SqlRequest, SqlError> {
    let source = |text: &str| SqlError::new(5000, "SQLParseSourceException", text);
    if text.is_empty() {
        return Err(invalid("Missing request body"));
    }
    let fields = match text.trim_start_matches([' ', '\t', '\r', '\n']) {
        "" => vec![],
        text => match json::parse(text) {
            Ok(Json::Object(fields)) => fields,
            Ok(Json::Null | Json::Array(_)) => vec![],
            Ok(_) => return Err(refuse("a body of this form")),
            Err(_) => {
                return Err(invalid(format!(
                    "Can't parse [{text}]. Expecting payload with `stmt` string and `args` or `bulk_args` arrays"
                )));
            }
        },
    };
    let mut body = SqlRequest { stmt: String::new(), args: vec![], bulk: vec![], is_bulk: false };
    let mut has_stmt = false;
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("stmt", Json::Text(stmt)) => (body.stmt, has_stmt) = (stmt, true),
            ("stmt", Json::Number(number)) => (body.stmt, has_stmt) = (number, true),
            ("stmt", Json::Bool(b)) => (body.stmt, has_stmt) = (b.to_string(), true),
            ("stmt", _) => return Err(source("Field [stmt] has an invalid value")),
            ("args", Json::Array(args)) => body.args = args,
            ("args", _) => return Err(source("`args` must start with an array")),
            ("bulk_args", Json::Array(rows)) => {
                body.is_bulk = true;
                for row in rows {
                    let Json::Array(row) = row else { return Err(source("`bulk_args` must contain a list of `args`")) };
                    body.bulk.push(row);
                }
            }
            ("bulk_args", _) => return Err(source("Field [bulk_args] has an invalid value")),
            _ => {
                return Err(invalid(format!(
                    "Can't parse [{text}]. Expecting payload with `stmt` string and `args` or `bulk_args` arrays"
                )));
            }
        }
    }
    if !has_stmt {
        return Err(source("Field [stmt] is missing"));
    }
    if body.stmt.is_empty() {
        return Err(source("Field [stmt] has no value"));
    }
    if !body.args.is_empty() && !body.bulk.is_empty() {
        return Err(invalid("request body contains args and bulk_args. It's forbidden to provide both"));
    }
    Ok(body)
}

fn failed(error: &SqlError) -> Answer {
    let mut out = String::from("{\"error\":");
    write_error(&mut out, error);
    out.push('}');
    Answer { status: error.status(), content_type: JSON, body: out.into_bytes(), close: false }
}

fn write_error(out: &mut String, error: &SqlError) {
    out.push_str("{\"message\":");
    json::write_text(out, &error.message);
    let _ = write!(out, ",\"code\":{}}}", error.code);
}

fn write_items(out: &mut String, items: &[Result<i64, SqlError>]) {
    out.push_str("\"cols\":[],\"results\":[");
    for (i, item) in items.iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        match item {
            Ok(count) => {
                let _ = write!(out, "{comma}{{\"rowcount\":{count}}}");
            }
            Err(error) => {
                let _ = write!(out, "{comma}{{\"rowcount\":-2,\"error\":");
                write_error(out, error);
                out.push('}');
            }
        }
    }
    out.push_str("],");
}

fn write_outcome(out: &mut String, outcome: &Outcome, types: bool) {
    let nothing: (Vec<(String, Type)>, Vec<Vec<Value>>) = (vec![], vec![vec![]]);
    let (columns, rows, count) = match outcome {
        Outcome::Rows { columns, rows } => (columns, rows, rows.len() as i64),
        Outcome::Count(count) => (&nothing.0, &nothing.1, *count),
    };
    out.push_str("\"cols\":[");
    for (i, (name, _)) in columns.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        json::write_text(out, name);
    }
    if types {
        out.push_str("],\"col_types\":[");
        for (i, (_, ty)) in columns.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            ty.write_id(out);
        }
    }
    out.push_str("],\"rows\":[");
    for (i, row) in rows.iter().enumerate() {
        out.push_str(if i > 0 { ",[" } else { "[" });
        for (j, value) in row.iter().enumerate() {
            if j > 0 {
                out.push(',');
            }
            value.write_json(out);
        }
        out.push(']');
    }
    let _ = write!(out, "],\"rowcount\":{count},");
}
