//! The HTTP server to which the browser brings the session at the end of a login.
//!
//! Any web page can make a browser send requests to a port of this machine. A request that does not end a login is
//! answered and ignored: another method or host, an image or script of another page, no token, several tokens.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::failure::Failure;

/// Limits one connection, since browsers open some in advance and send nothing on them for a while.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);
/// Enough for the headers of a browser with several long cookies.
const LONGEST_HEAD: usize = 64 * 1024;

const WELCOME: &str = "<!doctype html><meta charset=utf-8><title>cargo cratedb</title>\
<script>history.replaceState(null, \"\", \"/\")</script>\
<h1>You are logged in.</h1><p>You can close this window and continue in the terminal.</p>";

/// A listener on localhost, which has one address or two.
#[derive(Debug)]
pub(super) struct Listener {
    sockets: Vec<TcpListener>,
}

impl Listener {
    /// Listens on IPv4 and, where there is one, IPv6: a browser may try either.
    pub(super) async fn bind(port: u16) -> Result<Self, Failure> {
        let mut sockets = vec![bound(Ipv4Addr::LOCALHOST.into(), port).await.map_err(|error| refused(port, &error))?];
        // With port 0 both must be the same.
        let port = sockets[0].local_addr().map_or(port, |address| address.port());
        match bound(Ipv6Addr::LOCALHOST.into(), port).await {
            Ok(socket) => sockets.push(socket),
            // Another program would receive what the browser sends there.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(refused(port, &error)),
            Err(_) => {}
        }
        Ok(Self { sockets })
    }

    /// Waits for the token, forever if none comes.
    pub(super) async fn token(self) -> String {
        let (found, mut tokens) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        for socket in self.sockets {
            tasks.spawn(serve(socket, found.clone()));
        }
        drop(found);
        match tokens.recv().await {
            Some(token) => token,
            // Unreachable: the tasks that serve the sockets hold senders and do not end.
            None => std::future::pending().await,
        }
    }
}

async fn bound(ip: IpAddr, port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(ip, port)).await
}

fn refused(port: u16, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot listen on localhost:{port}, to which the browser brings the session: {error}"))
        .hint("end the other login (`cargo cratedb login`, `croud login`), or the program that listens there")
}

async fn serve(socket: TcpListener, found: mpsc::Sender<String>) {
    // Ends with this task, and with it all connections.
    let mut connections = JoinSet::new();
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                let found = found.clone();
                connections.spawn(async move {
                    let _ = tokio::time::timeout(CONNECTION_LIMIT, answer(stream, &found)).await;
                });
            }
            // Too many open files, for example, which passes.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn answer(mut stream: TcpStream, found: &mpsc::Sender<String>) -> io::Result<()> {
    let judged = judge(&head(&mut stream).await?);
    let (status, body) = match &judged {
        Ok(_) => ("200 OK", WELCOME),
        Err(Ignored { status, why }) => (*status, *why),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {length}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n{body}"
    );
    // A token counts even if the browser does not wait for the page.
    let written = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    if let Ok(token) = judged {
        let _ = found.send(token).await;
    }
    written
}

/// Reads a request up to the empty line after its headers.
async fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") && bytes.len() < LONGEST_HEAD {
        match stream.read(&mut part).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => bytes.extend_from_slice(&part[..n]),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The answer to a request that does not end a login.
#[derive(Debug, PartialEq, Eq)]
struct Ignored {
    status: &'static str,
    why: &'static str,
}

fn judge(head: &str) -> Result<String, Ignored> {
    let mut request = head.split("\r\n").next().unwrap_or_default().split(' ');
    let (method, target) = (request.next().unwrap_or_default(), request.next().unwrap_or_default());
    let header = |wanted: &str| {
        let mut pairs = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    if method != "GET" {
        return Err(Ignored { status: "405 Method Not Allowed", why: "only GET is accepted here" });
    }
    if !header("host").is_some_and(is_here) {
        return Err(Ignored { status: "421 Misdirected Request", why: "this is not that host" });
    }
    // Browsers say what a request is for. A login ends with a page, never with an image or a script of another page.
    if header("sec-fetch-dest").is_some_and(|dest| dest != "document") {
        return Err(Ignored { status: "403 Forbidden", why: "other pages cannot load this one" });
    }
    token(target).ok_or(Ignored {
        status: "400 Bad Request",
        why: "this does not end a login: it has no token, or more than one",
    })
}

fn is_here(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// Returns the one token in the query, if it can be the value of a cookie, as which it is sent later.
fn token(target: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    let mut all = form_urlencoded::parse(query.as_bytes()).filter(|(name, value)| name == "token" && !value.is_empty());
    let (_, token) = all.next()?;
    let in_a_cookie = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | ',' | ';' | '\\');
    (all.next().is_none() && token.chars().all(in_a_cookie)).then(|| token.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(line: &str, headers: &str) -> Result<String, &'static str> {
        judge(&format!("{line}\r\n{headers}\r\n\r\n")).map_err(|ignored| &ignored.status[..3])
    }

    const HERE: &str = "Host: localhost:8400";

    #[test]
    fn the_end_of_a_login_brings_one_token_on_any_path() {
        for (target, expected) in [
            ("/?token=abc", "abc"),
            ("/any/path?x=1&token=a%2Bb%3D", "a+b="),
            ("/?token=&token=abc", "abc"),
            ("/?token=eyJ.a-b_c.d", "eyJ.a-b_c.d"),
        ] {
            assert_eq!(judged(&format!("GET {target} HTTP/1.1"), HERE), Ok(expected.into()), "{target}");
        }
    }

    #[test]
    fn what_brings_no_token_or_several_is_answered_and_ignored() {
        for target in ["/", "/favicon.ico", "/?token=", "/?token=a&token=b", "/?Token=a", "/#token=a", ""] {
            assert_eq!(judged(&format!("GET {target} HTTP/1.1"), HERE), Err("400"), "{target}");
        }
    }

    #[test]
    fn a_token_that_is_no_cookie_is_none() {
        for token in ["a%0d%0aX:%20y", "a%3B%20b", "a+b", "%C3%A4", "a%22"] {
            assert_eq!(judged(&format!("GET /?token={token} HTTP/1.1"), HERE), Err("400"), "{token}");
        }
    }

    #[test]
    fn other_pages_cannot_log_in() {
        let get = "GET /?token=abc HTTP/1.1";
        assert_eq!(judged(get, &format!("{HERE}\r\nSec-Fetch-Dest: image")), Err("403"));
        assert_eq!(judged(get, &format!("{HERE}\r\nsec-fetch-dest: document")), Ok("abc".into()));
        assert_eq!(judged("POST /?token=abc HTTP/1.1", HERE), Err("405"));
        for host in ["Host: evil.example:8400", "Host: localhost.evil.example", "X: y"] {
            assert_eq!(judged(get, host), Err("421"), "{host}");
        }
        for host in ["Host: 127.0.0.1:8400", "host: [::1]:8400", "HOST: localhost"] {
            assert_eq!(judged(get, host), Ok("abc".into()), "{host}");
        }
    }
}
