//! Tests the client against a server that answers from a script: requests, retries and errors.

mod foreign;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;
use crate::cloud::is_conflict;

const SECRET: &str = "hunter2-is-no-good-secret";

/// One answer per connection. Requests are kept as they came, head and body.
struct Script {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

enum Say {
    Answer(&'static str, &'static str, String),
    /// Closes the connection without an answer.
    Nothing,
    /// Keeps the connection open without an answer.
    Hang,
}

fn json(status: &'static str, body: &str) -> Say {
    Say::Answer(status, "content-type: application/json", body.to_owned())
}

impl Script {
    fn new(script: Vec<Say>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for say in script {
                let Ok((mut stream, _)) = listener.accept() else { return };
                kept.lock().unwrap().push(read(&stream));
                match say {
                    Say::Answer(status, header, body) => {
                        let length = body.len();
                        let answer = format!(
                            "HTTP/1.1 {status}\r\n{header}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                        );
                        stream.write_all(answer.as_bytes()).unwrap();
                    }
                    Say::Nothing => {}
                    Say::Hang => open.push(stream),
                }
            }
            // Refuses connections after the script, but keeps those that hang.
            drop(listener);
            while !open.is_empty() {
                std::thread::park();
            }
        });
        Self { url, requests }
    }

    fn client(&self) -> Client {
        Client::builder()
            .env(false)
            .endpoint(&self.url)
            .api_key("ada", SECRET)
            .timeout(Duration::from_millis(300))
            .build()
            .unwrap()
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        if reader.read_line(&mut text).unwrap_or(0) == 0 {
            return text;
        }
    }
    let length = text.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    text + &String::from_utf8(body).unwrap()
}

#[tokio::test]
async fn asks_with_basic_credentials_and_its_own_name() {
    let server = Script::new(vec![json("200 OK", "[]")]);
    assert!(server.client().clusters().await.unwrap().is_empty());
    let request = server.requests().remove(0);
    assert!(request.starts_with("GET /api/v2/clusters/ HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Basic YWRhOmh1bnRlcjItaXMtbm8tZ29vZC1zZWNyZXQ=\r\n"), "{request}");
    assert!(request.contains(concat!("user-agent: cratedb-test/", env!("CARGO_PKG_VERSION"), "\r\n")), "{request}");
}

#[tokio::test]
async fn sends_a_suspension_as_the_service_wants_it() {
    let server = Script::new(vec![json("200 OK", r#"{"id": "c1", "suspended": false}"#)]);
    assert!(!server.client().set_suspended("c1", true).await.unwrap().suspended);
    let request = server.requests().remove(0);
    assert!(request.starts_with("PUT /api/v2/clusters/c1/suspend/ HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"suspended\":true}"), "{request}");
}

#[tokio::test]
async fn tries_reads_three_times_when_the_service_is_in_trouble() {
    let trouble = || json("500 Internal Server Error", r#"{"message": "An error occured."}"#);
    let server = Script::new(vec![trouble(), Say::Nothing, json("200 OK", r#"{"id": "c1"}"#)]);
    assert_eq!(server.client().cluster("c1").await.unwrap().id, "c1");
    assert_eq!(server.requests().len(), 3);

    let server = Script::new(vec![trouble(), trouble(), trouble(), trouble()]);
    let error = server.client().cluster("c1").await.unwrap_err();
    assert_eq!(server.requests().len(), 3);
    let expected = format!(
        "CrateDB Cloud at {} refused GET /api/v2/clusters/c1/: 500 Internal Server Error: An error occured.\n  tried 3 times; try again later",
        server.url
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn never_repeats_a_write() {
    let trouble = || json("503 Service Unavailable", "");
    for say in [trouble(), Say::Nothing] {
        let server = Script::new(vec![say, trouble()]);
        server.client().set_suspended("c1", false).await.unwrap_err();
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_read_that_is_refused_is_not_repeated() {
    let server = Script::new(vec![json("404 Not Found", r#"{"message": "Resource not found."}"#)]);
    let error = server.client().cluster("c1").await.unwrap_err();
    assert_eq!((error.status(), error.message()), (Some(404), Some("Resource not found.")));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_connection_that_hangs_is_given_up_in_time_and_said() {
    let server = Script::new(vec![Say::Hang]);
    let error = server.client().set_suspended("c1", false).await.unwrap_err();
    assert!(error.is_timeout());
    let text = error.to_string();
    assert!(text.starts_with(&format!("CrateDB Cloud at {} did not answer PUT ", server.url)), "{text}");
    assert!(text.contains("/suspend/ within 300ms") && text.contains("CRATEDB_CLOUD_TIMEOUT"), "{text}");
}

#[tokio::test]
async fn nobody_listening_is_said_with_the_address() {
    let server = Script::new(Vec::new());
    let error = server.client().set_suspended("c1", false).await.unwrap_err();
    assert!(error.is_transport());
    let text = error.to_string();
    assert!(text.contains(&server.url) && text.contains("CRATEDB_CLOUD_ENDPOINT"), "{text}");
    assert!(text.contains("onnection refused") || text.contains("onnection reset"), "{text}");
}

#[tokio::test]
async fn follows_no_redirection() {
    let moved = Say::Answer("302 Found", "location: /?rd=%2Fapi&token=abc", String::new());
    let server = Script::new(vec![moved, json("200 OK", "[]")]);
    let error = server.client().clusters().await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
    let text = error.to_string();
    assert!(text.contains("302 Found: it redirects to `/`") && !text.contains("abc"), "{text}");
}

#[tokio::test]
async fn a_page_of_a_proxy_is_no_answer() {
    let page = Say::Answer("200 OK", "content-type: text/html", "<html>Please log in</html>".to_owned());
    let server = Script::new(vec![page]);
    let text = server.client().clusters().await.unwrap_err().to_string();
    assert!(text.contains("answered GET /api/v2/clusters/ strangely"), "{text}");
    assert!(text.contains("`<html>Please log in</html>`") && text.contains("a proxy, a login page"), "{text}");
}

#[tokio::test]
async fn a_wrong_key_is_said_without_the_secret_whatever_the_service_repeats() {
    let echo = format!("401 for ada:{SECRET}");
    let server = Script::new(vec![Say::Answer("401 Unauthorized", "content-type: text/plain", echo)]);
    let error = server.client().clusters().await.unwrap_err();
    assert_eq!(error.status(), Some(401));
    let text = error.to_string();
    assert!(text.contains("401 Unauthorized: 401 for ada:***"), "{text}");
    assert!(text.contains("CRATEDB_CLOUD_API_KEY") && text.contains("90 days"), "{text}");
    assert!(!error.message().unwrap().contains(SECRET) && !text.contains(SECRET));
}

#[tokio::test]
async fn an_answer_about_another_cluster_is_no_answer() {
    for body in [r#"{"id": "c2", "suspended": true}"#, r#"{"suspended": true}"#, "{}"] {
        let server = Script::new(vec![json("200 OK", body), json("200 OK", body)]);
        let client = server.client();
        for error in [client.cluster("c1").await.unwrap_err(), client.set_suspended("c1", true).await.unwrap_err()] {
            let text = error.to_string();
            assert!(text.contains("/api/v2/clusters/c1/") && text.contains("strangely: it is about cluster"), "{text}");
        }
    }
    let server = Script::new(vec![json("200 OK", r#"{"id": "c1-ab"}"#)]);
    assert_eq!(server.client().cluster("C1-AB").await.unwrap().id, "c1-ab");
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_is_no_token() {
    for token in [r"a\nb", r"a b", r"a\u0000b", "ä"] {
        let server = Script::new(vec![json("200 OK", &format!(r#"{{"token": "{token}", "expiry": ""}}"#))]);
        let text = server.client().jwt("c1").await.unwrap_err().to_string();
        assert!(text.contains("GET /api/v2/clusters/c1/jwt/ with a token that no header can carry"), "{text}");
    }
}

#[tokio::test]
async fn a_region_that_no_header_can_carry_is_said() {
    let client = Client::builder().env(false).endpoint("http://127.0.0.1:1").api_key("a", "b").region("eu\nwest");
    let error = client.build().unwrap_err();
    assert!(error.is_setting() && error.to_string().contains(r#"cannot send the region "eu\nwest""#), "{error}");
}

#[tokio::test]
async fn a_pause_is_kept_whether_it_is_a_number_or_a_date() {
    for header in
        ["retry-after: 1", "date: Wed, 21 Oct 2015 07:28:00 GMT\r\nretry-after: Wed, 21 Oct 2015 07:28:01 GMT"]
    {
        let busy = Say::Answer("429 Too Many Requests", header, String::new());
        let server = Script::new(vec![busy, json("200 OK", "[]")]);
        let begun = std::time::Instant::now();
        server.client().clusters().await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(990), "{header}");
    }
}

#[tokio::test]
async fn a_write_keeps_the_pause_and_is_not_repeated() {
    let busy = Say::Answer("503 Service Unavailable", "retry-after: 1", String::new());
    let server = Script::new(vec![busy, json("200 OK", r#"{"id": "c1"}"#)]);
    let (client, begun) = (server.client(), std::time::Instant::now());
    let text = client.set_suspended("c1", true).await.unwrap_err().to_string();
    assert!(text.contains("503 Service Unavailable: it asks for a pause of 1 s") && !text.contains("tried"), "{text}");
    assert!(begun.elapsed() < Duration::from_millis(900));
    client.set_suspended("c1", true).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(990));
}

#[tokio::test]
async fn the_time_is_what_the_last_good_answer_said_and_goes_on_from_there() {
    let here = OffsetDateTime::now_utc().unix_timestamp();
    for (header, expected) in [
        ("date: Wed, 21 Oct 2015 07:28:00 GMT", 1_445_412_480),
        ("date: Fri, 01 Jan 2100 00:00:00 GMT", 4_102_444_800),
        ("date: yesterday", here),
        ("x-date: Wed, 21 Oct 2015 07:28:00 GMT", here),
    ] {
        let wrong = "date: Thu, 01 Jan 1970 00:00:00 GMT";
        let script = [("200 OK", header, "[]"), ("404 Not Found", wrong, "")];
        let says = script.map(|(status, header, body)| Say::Answer(status, header, body.to_owned()));
        let client = Script::new(says.into()).client();
        client.clusters().await.unwrap();
        client.clusters().await.unwrap_err();
        assert!((expected - 2..expected + 60).contains(&client.now()), "{header}: {}", client.now());
    }
}

#[tokio::test]
async fn a_conflict_is_known() {
    let body = r#"{"message": "Another cluster operation is currently in progress, please try again later."}"#;
    let server = Script::new(vec![json("400 Bad Request", body)]);
    assert!(is_conflict(&server.client().set_suspended("c1", true).await.unwrap_err()));
}

#[test]
fn an_endpoint_that_is_none_is_said() {
    for endpoint in ["console.cratedb.cloud", "ftp://x", ""] {
        let access = Access {
            endpoint: endpoint.to_owned(),
            login: Login::ApiKey { key: String::new(), secret: crate::secret::Secret::default() },
            organization_id: None,
            region: None,
            timeout: Duration::from_secs(1),
            origin: String::new(),
        };
        let error = Client::new(access, Home::Here);
        let text = error.err().unwrap().to_string();
        assert!(text.starts_with(&format!("cannot use CRATEDB_CLOUD_ENDPOINT=`{endpoint}`")), "{text}");
    }
}

#[test]
fn ids_cannot_leave_their_place() {
    let path = Path::of(&["clusters", "a/../b?c#d e", "jwt"]).unwrap();
    assert_eq!(path.as_str(), "/api/v2/clusters/a%2F..%2Fb%3Fc%23d%20e/jwt/");
    let url = path.on(&Url::parse("http://host/prefix/").unwrap());
    assert_eq!(url.as_str(), "http://host/prefix/api/v2/clusters/a%2F..%2Fb%3Fc%23d%20e/jwt/");
    for nothing in ["", ".", ".."] {
        let error = Path::of(&["clusters", nothing]).unwrap_err().to_string();
        assert!(error.contains("is no id"), "{error}");
    }
}
