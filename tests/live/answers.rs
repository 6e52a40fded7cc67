//! The recorded answers, asked again: the real server and the embedded engine both judge the file, over HTTP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};

use crate::recorded::{Call, Names, Server, Tally, replay};
use crate::support::server;

const FILES: [&str; 2] = ["cratedb-6.4.3-answers.ndjson", "cratedb-6.4.3-more-answers.ndjson"];

/// A server that answers over HTTP. A connection is a session, so each client has a socket of its own.
struct Http {
    address: String,
}

/// A user without a password.
fn basic(user: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:"))
}

impl Server for Http {
    type Connection = BufReader<TcpStream>;

    fn begin(&mut self) -> Names {
        Names(["cq", "cr", "cu"].map(|kind| {
            let letters: String = std::iter::repeat_with(fastrand::lowercase).take(10).collect();
            format!("{kind}{letters}")
        }))
    }

    fn connect(&mut self) -> BufReader<TcpStream> {
        BufReader::new(TcpStream::connect(&self.address).unwrap())
    }

    fn send(&mut self, connection: &mut BufReader<TcpStream>, call: &Call<'_>) -> (u16, String) {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: crate\r\n", call.method, call.path);
        head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", call.body.len());
        if let Some(user) = call.user {
            head += &format!("Authorization: Basic {}\r\n", basic(user));
        }
        if let Some(schema) = call.default_schema {
            head += &format!("Default-Schema: {schema}\r\n");
        }
        connection.get_mut().write_all(format!("{head}\r\n{}", call.body).as_bytes()).unwrap();
        read(connection)
    }

    fn end(&mut self, Names([schema, second, user]): &Names) {
        let mut connection = self.connect();
        for stmt in [
            format!("DROP SCHEMA IF EXISTS \"{schema}\" CASCADE"),
            format!("DROP SCHEMA IF EXISTS \"{second}\" CASCADE"),
            format!("DROP USER IF EXISTS \"{user}\""),
        ] {
            let body = serde_json::json!({ "stmt": stmt }).to_string();
            let call = Call { method: "POST", path: "/_sql", user: None, default_schema: None, body: &body };
            self.send(&mut connection, &call);
        }
    }
}

/// One answer; both servers say how long it is.
fn read(connection: &mut BufReader<TcpStream>) -> (u16, String) {
    let mut line = String::new();
    connection.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let mut length = 0;
    loop {
        line.clear();
        connection.read_line(&mut line).unwrap();
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap();
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    (status, String::from_utf8(body).unwrap())
}

fn judged_by(address: &str) -> Vec<Tally> {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/simulator/tests/data");
    FILES.iter().map(|file| replay(&mut Http { address: address.to_owned() }, &format!("{data}/{file}"))).collect()
}

#[test]
fn a_real_server_answers_as_it_was_recorded() {
    let Some(home) = server::home() else { return };
    let server = server::Server::open(&home);
    for tally in judged_by(&server.address) {
        assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
        assert_eq!(tally.equal, tally.all);
    }
}

#[test]
fn the_embedded_engine_answers_as_a_real_server_over_http_too() {
    let cluster = ClusterOptions::running("replay").with("auth", "off").unwrap();
    let simulator = Simulator::start_blocking(Options::default().cluster(cluster)).unwrap();
    let url = simulator.cloud().cluster("replay").url;
    for tally in judged_by(url.trim_start_matches("http://").trim_end_matches('/')) {
        assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    }
}
