//! A registry on loopback, enough of one for an engine to pull from: engines allow it there without TLS.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use super::docker;

/// What it has: one image, whose layer is handed out in two halves.
pub(super) struct Registry {
    pub(super) host: String,
    gate: Arc<Gate>,
}

/// Closed until the test has seen what it waits for.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

struct Blobs {
    manifest: Vec<u8>,
    /// By their digests.
    all: Vec<(String, Vec<u8>)>,
    gate: Arc<Gate>,
}

impl Registry {
    /// With a copy of `image` as `crate:good`. Other tags are refused in the way that their name says.
    pub(super) fn of(image: &str, directory: &Path) -> Self {
        let made = docker(&["create", image]).unwrap();
        let tar = directory.join("layer.tar");
        docker(&["export", "--output", &tar.display().to_string(), &made]).unwrap();
        docker(&["rm", "-v", &made]).unwrap();
        let layer = std::fs::read(&tar).unwrap();
        let config = json!({
            "architecture": docker(&["version", "--format", "{{.Server.Arch}}"]).unwrap(),
            "os": "linux",
            "config": { "Entrypoint": ["/docker-entrypoint.sh"], "Cmd": ["crate"], "Volumes": { "/data": {} } },
            "rootfs": { "type": "layers", "diff_ids": [digest(&tar)] },
            // Or engines take it for what they have: layers are known by their content.
            "created": format!("2026-01-01T00:00:{:02}Z", std::process::id() % 60),
        });
        let config = config.to_string().into_bytes();
        std::fs::write(directory.join("config.json"), &config).unwrap();
        let all = vec![(digest(&directory.join("config.json")), config), (digest(&tar), layer)];
        let described = |index: usize, kind: &str| {
            let (digest, bytes) = &all[index];
            let kind = format!("application/vnd.docker.{kind}");
            json!({ "mediaType": kind, "size": bytes.len(), "digest": digest })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described(0, "container.image.v1+json"),
            "layers": [described(1, "image.rootfs.diff.tar.gzip")],
        });
        let gate = Arc::<Gate>::default();
        let blobs = Arc::new(Blobs { manifest: manifest.to_string().into_bytes(), all, gate: gate.clone() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let blobs = blobs.clone();
                std::thread::spawn(move || drop(blobs.answer(connection)));
            }
        });
        Self { host, gate }
    }

    /// Hands out the second half of layers, too.
    pub(super) fn open(&self) {
        *self.gate.open.lock().unwrap() = true;
        self.gate.opened.notify_all();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.open();
    }
}

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

impl Blobs {
    fn answer(&self, mut connection: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(connection.try_clone()?).lines();
        let request = lines.next().unwrap_or(Ok(String::new()))?;
        for line in lines {
            if line?.is_empty() {
                break;
            }
        }
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if path == "/v2/" {
            return reply(&mut connection, 200, "application/json", b"{}", method);
        }
        if let Some(tag) = path.split("/manifests/").nth(1) {
            let known = tag == "good" || tag.starts_with("sha256:");
            return match tag {
                _ if known => reply(&mut connection, 200, MANIFEST, &self.manifest, method),
                "limited" => refuse(&mut connection, 429, "TOOMANYREQUESTS", "You have reached your pull rate limit"),
                "private" => refuse(&mut connection, 401, "UNAUTHORIZED", "authentication required"),
                _ => refuse(&mut connection, 404, "MANIFEST_UNKNOWN", "manifest unknown"),
            };
        }
        let named = path.split("/blobs/").nth(1).unwrap_or_default();
        match self.all.iter().find(|(digest, _)| digest == named) {
            Some((_, bytes)) if bytes.len() > 1 << 20 && method == "GET" => self.halves(&mut connection, bytes),
            Some((_, bytes)) => reply(&mut connection, 200, "application/octet-stream", bytes, method),
            None => refuse(&mut connection, 404, "BLOB_UNKNOWN", "blob unknown"),
        }
    }

    fn halves(&self, connection: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        head(connection, 200, "application/octet-stream", bytes.len())?;
        connection.write_all(first)?;
        let mut open = self.gate.open.lock().unwrap();
        while !*open {
            // In small parts, so that the engine has something to report.
            open = self.gate.opened.wait(open).unwrap();
        }
        connection.write_all(second)
    }
}

fn head(connection: &mut TcpStream, status: u16, kind: &str, length: usize) -> std::io::Result<()> {
    write!(
        connection,
        "HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nDocker-Distribution-Api-Version: \
         registry/2.0\r\nConnection: close\r\n\r\n"
    )
}

fn reply(connection: &mut TcpStream, status: u16, kind: &str, body: &[u8], method: &str) -> std::io::Result<()> {
    head(connection, status, kind, body.len())?;
    if method == "HEAD" { Ok(()) } else { connection.write_all(body) }
}

fn refuse(connection: &mut TcpStream, status: u16, code: &str, message: &str) -> std::io::Result<()> {
    let body: Value = json!({ "errors": [{ "code": code, "message": message }] });
    reply(connection, status, "application/json", body.to_string().as_bytes(), "GET")
}

fn digest(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    format!("sha256:{}", text.split(' ').next().unwrap())
}
