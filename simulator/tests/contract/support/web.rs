//! A small HTTP server on loopback: what jobs import from, and the ground for a stand-in database.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it came.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: String,
    pub(crate) body: Vec<u8>,
}

/// Answers requests until the process ends; each connection has a thread of its own.
pub(crate) fn answer(handler: impl Fn(&Asked) -> (u16, Vec<u8>) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let handler = Arc::new(handler);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handler = handler.clone();
            std::thread::spawn(move || converse(stream, &*handler));
        }
    });
    url
}

fn converse(stream: TcpStream, handler: &dyn Fn(&Asked) -> (u16, Vec<u8>)) {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader) {
        let (status, mut body) = handler(&asked);
        let head = format!(
            "HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if asked.method == "HEAD" {
            body.clear();
        }
        if reader.get_mut().write_all(&[head.as_bytes(), &body].concat()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, authorization, body })
}

/// Files that can be fetched.
pub(crate) struct Web {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Serves these texts at these paths.
    pub(crate) fn serve<const N: usize>(files: [(&'static str, &'static str); N]) -> Self {
        Self::serve_bytes(files.map(|(path, text)| (path, text.as_bytes().to_vec())))
    }

    pub(crate) fn serve_bytes<const N: usize>(files: [(&'static str, Vec<u8>); N]) -> Self {
        let files: HashMap<&str, Vec<u8>> = files.into();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = asked.clone();
        let base = answer(move |request| {
            if request.method == "GET" {
                seen.lock().unwrap().push(request.path.clone());
            }
            files.get(request.path.as_str()).map_or((404, b"gone".to_vec()), |bytes| (200, bytes.clone()))
        });
        Self { base, asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The paths that were fetched.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}
