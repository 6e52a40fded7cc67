//! Fetches a file by its address, over plain HTTP.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{HOST, LOCATION};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::LARGEST_FILE;

/// Time that one file may take.
const LIMIT: Duration = Duration::from_secs(120);
const MOST_REDIRECTS: usize = 5;

/// Returns the bytes at an address.
pub(super) async fn fetch(url: &str) -> Result<Bytes, String> {
    tokio::time::timeout(LIMIT, follow(url)).await.unwrap_or_else(|_| Err(format!("No answer within {LIMIT:?}.")))
}

async fn follow(url: &str) -> Result<Bytes, String> {
    let mut url = url.to_owned();
    for _ in 0..=MOST_REDIRECTS {
        match get(&url).await? {
            Found::Bytes(bytes) => return Ok(bytes),
            Found::Elsewhere(next) => url = next,
        }
    }
    Err("The address redirects too often.".into())
}

enum Found {
    Bytes(Bytes),
    Elsewhere(String),
}

async fn get(url: &str) -> Result<Found, String> {
    let (authority, target) = split(url)?;
    let lost = |error: &dyn std::fmt::Display| format!("The file cannot be fetched: {error}.");
    let response = request(&authority, &target).await.map_err(|error| lost(&error))?;
    let status = response.status();
    if status.is_redirection() {
        let next = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let absolute = if next.starts_with('/') { format!("http://{authority}{next}") } else { next.to_owned() };
        return Ok(Found::Elsewhere(absolute));
    }
    if !status.is_success() {
        return Err(format!("The file cannot be fetched: the server answers {status}."));
    }
    let limit = usize::try_from(LARGEST_FILE).unwrap_or(usize::MAX);
    let body = Limited::new(response.into_body(), limit).collect().await.map_err(|error| lost(&error))?;
    Ok(Found::Bytes(body.to_bytes()))
}

/// Splits an address into host with port, and path with query.
fn split(url: &str) -> Result<(String, String), String> {
    let Some(rest) = url.strip_prefix("http://") else {
        return Err("The simulator fetches files over http:// only.".into());
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let target = target.split('#').next().unwrap_or_default();
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    Ok((if has_port { host.to_owned() } else { format!("{host}:80") }, target))
}

async fn request(authority: &str, target: &str) -> io::Result<hyper::Response<hyper::body::Incoming>> {
    let stream = TcpStream::connect(authority).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Ends when the body was read or dropped.
    tokio::spawn(connection);
    let request = hyper::Request::get(target).header(HOST, authority).body(Empty::<Bytes>::new());
    sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn an_address_is_a_host_with_a_port_and_a_path_with_a_query() {
        let ok = |url: &str| split(url).unwrap();
        assert_eq!(ok("http://a/b.csv?x=1#top"), ("a:80".into(), "/b.csv?x=1".into()));
        assert_eq!(ok("http://u:p@127.0.0.1:81"), ("127.0.0.1:81".into(), "/".into()));
        assert!(split("https://a/b").unwrap_err().contains("http:// only"));
    }
}
