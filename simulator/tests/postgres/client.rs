//! A client that sends exactly the given messages, and shows exactly the received ones.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use pgwire::messages::data::DataRow;
use pgwire::messages::startup::{Authentication, Password, Startup};
use pgwire::messages::{
    DecodeContext, Message, PgWireBackendMessage as Answer, PgWireFrontendMessage as Said, ProtocolVersion,
};
use serde_json::{Value, json};

/// One connection.
pub struct Client {
    stream: TcpStream,
    read: BytesMut,
    formats: Vec<i16>,
}

impl Client {
    /// Connects without sending anything.
    pub fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, read: BytesMut::new(), formats: vec![] }
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads bytes as they are. Fewer if the server closes.
    pub fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count && self.fill() {}
        self.read.split_to(count.min(self.read.len())).to_vec()
    }

    /// Starts up with these parameters. Returns the messages until the server waits.
    pub fn greet(&mut self, parameters: &[(&str, &str)], password: Option<&str>) -> Vec<Value> {
        let mut startup = Startup::new();
        startup.parameters = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut out = BytesMut::new();
        startup.encode(&mut out).unwrap();
        self.send_bytes(&out);
        let mut heard = vec![];
        while let Some(answer) = self.hear() {
            if let (Answer::Authentication(Authentication::CleartextPassword), Some(password)) = (&answer, password) {
                let mut out = BytesMut::new();
                Password::new(password.to_owned()).encode(&mut out).unwrap();
                self.send_bytes(&out);
            }
            let end = matches!(answer, Answer::ReadyForQuery(_));
            heard.push(self.shown(answer));
            if end {
                break;
            }
        }
        heard
    }

    /// Sends messages at once. Returns the answers until the server was ready this number of times.
    pub fn say(&mut self, messages: &[Said], times: usize) -> Vec<Value> {
        let mut out = BytesMut::new();
        for message in messages {
            message.encode(&mut out).unwrap();
        }
        self.send_bytes(&out);
        let (mut heard, mut ready) = (vec![], 0);
        while ready < times {
            let Some(answer) = self.hear() else {
                heard.push(json!(["closed or silent"]));
                break;
            };
            ready += usize::from(matches!(answer, Answer::ReadyForQuery(_)));
            heard.push(self.shown(answer));
        }
        heard
    }

    /// Returns whether there is more to read.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 65_536];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the server is silent, and the connection goes on")
            }
            // A reset counts as the end.
            Err(_) => false,
        }
    }

    /// Returns the next answer; none if the server closed the connection.
    pub fn hear(&mut self) -> Option<Answer> {
        let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
        (context.awaiting_frontend_ssl, context.awaiting_frontend_startup) = (false, false);
        loop {
            if let Some(answer) = Answer::decode(&mut self.read, &context).unwrap() {
                return Some(answer);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Returns an answer as JSON: its letter and the parts that count.
    pub fn shown(&mut self, answer: Answer) -> Value {
        match answer {
            Answer::Authentication(Authentication::Ok) => json!(["R", 0]),
            Answer::Authentication(Authentication::CleartextPassword) => json!(["R", 3]),
            Answer::ParameterStatus(status) => json!(["S", status.name, status.value]),
            Answer::BackendKeyData(_) => json!(["K"]),
            Answer::ParseComplete(_) => json!(["1"]),
            Answer::BindComplete(_) => json!(["2"]),
            Answer::CloseComplete(_) => json!(["3"]),
            Answer::NoData(_) => json!(["n"]),
            Answer::PortalSuspended(_) => json!(["s"]),
            Answer::EmptyQueryResponse(_) => json!(["I"]),
            Answer::CommandComplete(complete) => json!(["C", complete.tag]),
            Answer::ReadyForQuery(ready) => json!(["Z", char::from(ready.status as u8).to_string()]),
            Answer::ParameterDescription(description) => json!(["t", description.types]),
            Answer::RowDescription(description) => {
                self.formats = description.fields.iter().map(|field| field.format_code).collect();
                let field = |f: &pgwire::messages::data::FieldDescription| {
                    json!([f.name, f.type_id, f.type_size, f.type_modifier, f.format_code])
                };
                json!(["T", description.fields.iter().map(field).collect::<Vec<_>>()])
            }
            Answer::DataRow(row) => json!(["D", cells(&row)]),
            Answer::ErrorResponse(error) => {
                let field = |letter| error.fields.iter().find(|f| f.0 == letter).map(|f| f.1.clone());
                json!(["E", field(b'S'), field(b'C'), field(b'M')])
            }
            other => json!(["?", format!("{other:?}")]),
        }
    }
}

/// Returns cells as text if they are text, else as hexadecimal digits.
fn cells(row: &DataRow) -> Vec<Value> {
    let mut rest = &row.data[..];
    let mut out = vec![];
    while !rest.is_empty() {
        let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
        rest = &rest[4..];
        let Ok(length) = usize::try_from(length) else {
            out.push(Value::Null);
            continue;
        };
        let (cell, behind) = rest.split_at(length);
        rest = behind;
        out.push(match std::str::from_utf8(cell) {
            Ok(text) if !text.contains(char::is_control) => json!(text),
            _ => json!({ "hex": cell.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
        });
    }
    out
}
