//! Images from a registry on loopback, where engines allow one without TLS: some can be pulled and some cannot.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn an_image_is_pulled_and_the_waiting_are_told_how_far_it_is() {
    let Some(image) = standin::image() else { return };
    let files = tempfile::tempdir().unwrap();
    let registry = Registry::of(&image, files.path());
    let pulled = format!("{}/crate:good", registry.host);
    // An engine pulls no layer that it has, so this one is new in every run.
    let mut bench = Bench::new(&pulled);
    let mut steps = Vec::new();
    let acquired = {
        let (sender, mut told) = mpsc::unbounded_channel();
        bench.progress = Progress::new(sender);
        let acquiring = bench.acquire();
        tokio::pin!(acquiring);
        loop {
            tokio::select! {
                acquired = &mut acquiring => break acquired,
                Some(step) = told.recv() => {
                    // Half of it has come, and the other half waits for these lines.
                    if step.contains(" layers, ") {
                        registry.open();
                    }
                    steps.push(step);
                }
            }
        }
    };
    let resource = acquired.map_err(|failed| failed.error.to_string()).unwrap();
    answers(&resource).await;
    bench.release(&resource.held, OnExit::Auto).await;
    docker(&["image", "rm", &pulled]).unwrap();
    let steps = steps.join("\n");
    says(&steps, &[&format!("pulling image {pulled}, which is not on this machine yet"), "0 of 1 layers, ", " MB"]);
}

#[tokio::test]
async fn what_a_registry_refuses_is_told_apart() {
    let Some(image) = standin::image() else { return };
    let files = tempfile::tempdir().unwrap();
    let registry = Registry::of(&image, files.path());
    let login = format!("`docker login {}`", registry.host);
    let cases = [
        ("limited", vec!["lets in no more requests", &login]),
        ("private", vec!["without credentials", &login]),
        ("other", vec!["no image of that name and tag", "docker pull"]),
    ];
    for (tag, parts) in cases {
        let bench = Bench::new(&format!("{}/crate:{tag}", registry.host));
        let failed = bench.acquire().await.err().unwrap();
        assert!(!failed.maybe_up);
        let text = failed.error.to_string();
        says(&text, &parts);
        says(&text, &["it is not on this machine and can't be pulled", "CRATEDB_TEST_IMAGE names another image"]);
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_told() {
    let Some(_) = standin::image() else { return };
    // A privileged port on which no service listens.
    let bench = Bench::new("127.0.0.1:1/crate:6.4.3");
    let failed = bench.acquire().await.err().unwrap();
    says(failed.error, &["the engine can't reach the registry", "refused", "docker load", "proxy"]);
}

/// A registry with one image, whose layer is handed out in two halves.
struct Registry {
    host: String,
    gate: Arc<Gate>,
}

/// A gate that is closed until the test has seen what it waits for.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

struct Blobs {
    manifest: Vec<u8>,
    /// Blobs by their digests.
    all: Vec<(String, Vec<u8>)>,
    gate: Arc<Gate>,
}

impl Registry {
    /// Starts a registry with a copy of `image` as `crate:good`. Other tags are refused in the way that their name
    /// says.
    fn of(image: &str, directory: &Path) -> Self {
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
            // A unique value, since engines know images by their content and would not pull the same one again.
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

    /// Lets the registry hand out the second half of layers.
    fn open(&self) {
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
            // In small parts, so that the engine reports progress.
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
