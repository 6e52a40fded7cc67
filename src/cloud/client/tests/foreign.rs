//! Answers that are longer than is good for this machine, and such that do not end.

use super::*;

/// A body that a server sends piece by piece until the client has enough.
#[derive(Clone, Copy)]
enum Endless {
    /// Zeros as fast as the connection takes them.
    Zeros,
    /// A byte now and then.
    Drip,
}

/// Answers each request with a body of chunks without end. Returns the address.
fn server(status: &'static str, body: Endless) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(&stream, status, body));
        }
    });
    url
}

/// Writes until the client is gone.
fn answer(mut stream: &TcpStream, status: &str, body: Endless) -> std::io::Result<()> {
    read(stream);
    write!(stream, "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let zeros = "0".repeat(0x10000);
    loop {
        match body {
            Endless::Zeros => write!(stream, "10000\r\n{zeros}\r\n")?,
            Endless::Drip => {
                write!(stream, "1\r\n0\r\n")?;
                // The pause, which the client's end cuts short.
                stream.set_read_timeout(Some(Duration::from_millis(20)))?;
                if matches!(stream.read(&mut [0]), Ok(0)) {
                    return Ok(());
                }
            }
        }
    }
}

fn client(url: &str, timeout: Duration) -> Client {
    Client::builder().env(false).endpoint(url).api_key("ada", SECRET).timeout(timeout).build().unwrap()
}

#[tokio::test]
async fn an_answer_without_end_is_given_up_at_the_limit_and_not_asked_for_again() {
    let url = server("200 OK", Endless::Zeros);
    let error = client(&url, Duration::from_secs(60)).clusters().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("answered GET /api/v2/clusters/ at length: its answer is longer than 32 MiB"), "{text}");
    assert!(!error.is_timeout() && !error.is_transport(), "{text}");
}

#[tokio::test]
async fn of_a_refusal_without_end_the_beginning_is_enough() {
    let url = server("400 Bad Request", Endless::Zeros);
    let error = client(&url, Duration::from_secs(60)).clusters().await.unwrap_err();
    let text = error.to_string();
    assert!(error.status() == Some(400) && text.contains("400 Bad Request: 0000") && text.len() < 1000, "{text}");
}

#[tokio::test]
async fn the_time_for_an_answer_includes_its_body() {
    let url = server("200 OK", Endless::Drip);
    let asked = client(&url, Duration::from_millis(300));
    let answer = tokio::time::timeout(Duration::from_secs(30), asked.set_suspended("c1", true)).await;
    let error = answer.expect("the body is not waited for").unwrap_err();
    assert!(error.is_timeout() && error.to_string().contains("within 300ms"), "{error}");
}
