//! A small HTTP server on loopback, with files for imports.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Files that can be fetched, until the process ends.
pub(crate) struct Web {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
}

struct Shelf {
    files: HashMap<&'static str, Vec<u8>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Serves these texts at these paths.
    pub(crate) fn serve<const N: usize>(files: [(&'static str, &'static str); N]) -> Self {
        Self::serve_bytes(files.map(|(path, text)| (path, text.as_bytes().to_vec())))
    }

    pub(crate) fn serve_bytes<const N: usize>(files: [(&'static str, Vec<u8>); N]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let shelf = Arc::new(Shelf { files: files.into(), asked: asked.clone() });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shelf = shelf.clone();
                std::thread::spawn(move || shelf.converse(stream));
            }
        });
        Self { base, asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Returns the paths that were fetched.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Shelf {
    fn converse(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some((method, path)) = read(&mut reader) {
            if method == "GET" {
                self.asked.lock().unwrap().push(path.clone());
            }
            let found = self.files.get(path.as_str());
            let (status, body) = found.map_or(("404 Not Found", &b"gone"[..]), |bytes| ("200 OK", bytes));
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
            let body = if method == "HEAD" { &[] } else { body };
            if reader.get_mut().write_all(&[head.as_bytes(), body].concat()).is_err() {
                return;
            }
        }
    }
}

/// Reads method and path of the next request, which has no body here.
fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim_end().is_empty() {
            return Some((method, path));
        }
    }
}
