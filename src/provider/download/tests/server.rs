//! A mirror that does what a test tells it: serves ranges, cuts connections, stalls, and sends wrong sizes.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// An answer that differs from that of a good server.
#[derive(Clone, Debug)]
pub(super) enum Odd {
    /// Closes after so many bytes of the body.
    Cut(usize),
    /// Sends so many bytes of the body, and then nothing.
    Stall(usize),
    /// Does not answer.
    Silence,
    Status(u16),
    /// Sends neither a length nor a range.
    NoLength,
    /// Redirects to this address.
    To(String),
    /// Repeats this text for ever.
    Endless(&'static str),
}

#[derive(Default)]
struct State {
    files: HashMap<String, Vec<u8>>,
    /// The reactions to the next requests for an archive, in order. After these all answers are good.
    odd: VecDeque<Odd>,
    /// The reaction to the next request for a listing.
    odd_listing: Option<Odd>,
    no_ranges: bool,
    tag: Option<String>,
    /// The path of each request, and its range if it asks for one.
    requests: Vec<(String, Option<String>)>,
    /// Connections that stall, kept open.
    open: Vec<TcpStream>,
}

#[derive(Clone)]
pub(super) struct Server {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { tag: Some("\"one\"".into()), ..State::default() }));
        let server = Self { url, state };
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let serving = serving.clone();
                std::thread::spawn(move || serving.answer(stream));
            }
        });
        server
    }

    pub(super) fn has(&self, path: &str, bytes: &[u8]) {
        self.state.lock().unwrap().files.insert(format!("/{path}"), bytes.to_owned());
    }

    pub(super) fn next(&self, odd: &[Odd]) {
        self.state.lock().unwrap().odd.extend(odd.iter().cloned());
    }

    pub(super) fn next_listing(&self, odd: Odd) {
        self.state.lock().unwrap().odd_listing = Some(odd);
    }

    pub(super) fn without_ranges(&self) {
        self.state.lock().unwrap().no_ranges = true;
    }

    pub(super) fn tag(&self, tag: Option<&str>) {
        self.state.lock().unwrap().tag = tag.map(str::to_owned);
    }

    /// Returns the ranges that requests for archives asked for.
    pub(super) fn ranges(&self) -> Vec<Option<String>> {
        let requests = &self.state.lock().unwrap().requests;
        requests.iter().filter(|(path, _)| path.ends_with(".tar.gz")).map(|(_, range)| range.clone()).collect()
    }

    pub(super) fn requests(&self) -> usize {
        self.state.lock().unwrap().requests.len()
    }

    fn answer(&self, stream: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
        let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
        let mut headers = HashMap::new();
        for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':')?;
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let (answer, odd) = {
            let mut state = self.state.lock().unwrap();
            state.requests.push((path.clone(), headers.get("range").cloned()));
            let odd = match path.ends_with('/') {
                true => state.odd_listing.take(),
                false => state.odd.pop_front_if(|_| path.ends_with(".tar.gz")),
            };
            (made(&state, &path, &headers, odd.as_ref()), odd)
        };
        self.send(stream, answer, odd.as_ref());
        Some(())
    }

    fn send(&self, mut stream: TcpStream, (head, body): (String, Vec<u8>), odd: Option<&Odd>) {
        let keep = |stream| self.state.lock().unwrap().open.push(stream);
        let sent = match odd {
            Some(Odd::Silence) => return keep(stream),
            Some(Odd::Cut(length) | Odd::Stall(length)) => &body[..(*length).min(body.len())],
            _ => &body,
        };
        // The client may have gone.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(sent));
        match odd {
            Some(Odd::Stall(_)) => keep(stream),
            Some(Odd::Endless(text)) => while stream.write_all(text.repeat(1000).as_bytes()).is_ok() {},
            _ => {}
        }
    }
}

fn made(state: &State, path: &str, headers: &HashMap<String, String>, odd: Option<&Odd>) -> (String, Vec<u8>) {
    let simple = |status: u16, more: &str| {
        (format!("HTTP/1.1 {status} X\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n"), Vec::new())
    };
    match (odd, state.files.get(path)) {
        (Some(Odd::Status(status)), _) => simple(*status, ""),
        (Some(Odd::To(url)), _) => simple(302, &format!("Location: {url}\r\n")),
        (Some(Odd::Endless(_)), _) => ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".into(), Vec::new()),
        (_, None) => simple(404, ""),
        (Some(Odd::NoLength), Some(file)) => ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".into(), file.clone()),
        (_, Some(file)) => {
            let same = headers.get("if-range").is_none_or(|wanted| Some(wanted) == state.tag.as_ref());
            let first = headers.get("range").filter(|_| same && !state.no_ranges);
            let first = first.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
            let tag = state.tag.as_ref().map_or(String::new(), |tag| format!("ETag: {tag}\r\n"));
            let total = file.len();
            let (status, range, body) = match first {
                Some(first) if first >= total => (416, format!("Content-Range: bytes */{total}\r\n"), &[][..]),
                Some(first) => (206, format!("Content-Range: bytes {first}-{}/{total}\r\n", total - 1), &file[first..]),
                None => (200, String::new(), &file[..]),
            };
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} X\r\n{tag}{range}Content-Length: {length}\r\nConnection: close\r\n\r\n");
            (head, body.to_owned())
        }
    }
}
