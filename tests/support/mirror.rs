//! A mirror of releases on this machine: it serves the stand-in packed as a release, whole or in parts.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use super::standin;

/// The requests to a mirror, and how it answers.
pub struct Mirror {
    pub url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    archive: Vec<u8>,
    /// The next answer stops in the middle and keeps the connection.
    stall: bool,
    /// First bytes of what was asked for.
    asked: Vec<usize>,
    open: Vec<TcpStream>,
}

impl Mirror {
    /// The stand-in as 6.4.3, whatever the path.
    pub fn with_stand_in() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { archive: packed("6.4.3"), ..State::default() }));
        let serving = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let serving = serving.clone();
                std::thread::spawn(move || answer(stream, &serving));
            }
        });
        Self { url, state }
    }

    pub fn stall_once(&self) {
        self.state.lock().unwrap().stall = true;
    }

    /// Returns the requested start of each answer.
    pub fn asked(&self) -> Vec<usize> {
        self.state.lock().unwrap().asked.clone()
    }

    pub fn half(&self) -> usize {
        self.state.lock().unwrap().archive.len() / 2
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let lines: Vec<String> =
        BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
    let first = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(": bytes=")?;
        name.eq_ignore_ascii_case("range").then(|| value.trim_end_matches('-').parse::<usize>().ok())?
    });
    let (mut head, archive, stalls) = {
        let mut state = state.lock().unwrap();
        if !lines.first()?.contains(".tar.gz HTTP") {
            let _ = stream.write_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return None;
        }
        state.asked.push(first.unwrap_or(0));
        let total = state.archive.len();
        let head = match first {
            Some(first) => format!("HTTP/1.1 206 Part\r\nContent-Range: bytes {first}-{}/{total}\r\n", total - 1),
            None => "HTTP/1.1 200 OK\r\n".to_owned(),
        };
        (head, state.archive[first.unwrap_or(0)..].to_owned(), std::mem::take(&mut state.stall))
    };
    head.push_str(&format!("ETag: \"1\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", archive.len()));
    let sent = if stalls { &archive[..archive.len() / 2] } else { &archive };
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(sent));
    if stalls {
        state.lock().unwrap().open.push(stream);
    }
    Some(())
}

/// A directory with releases in it, as the vendor's server has them.
pub fn directory(versions: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let platform = if cfg!(target_arch = "aarch64") { "aarch64_linux" } else { "x64_linux" };
    std::fs::create_dir(dir.path().join(platform)).unwrap();
    for version in versions {
        std::fs::write(dir.path().join(format!("{platform}/crate-{version}.tar.gz")), packed(version)).unwrap();
    }
    dir
}

/// The stand-in as a release of this version.
fn packed(version: &str) -> Vec<u8> {
    let files = tempfile::tempdir().unwrap();
    let name = format!("crate-{version}");
    let release = files.path().join(&name);
    for dir in ["bin", "lib"] {
        std::fs::create_dir_all(release.join(dir)).unwrap();
    }
    assert!(std::fs::copy(standin::binary(), release.join("lib/simulator")).unwrap() > 0);
    let script = format!(
        "#!/bin/sh\nexport CRATE_STAND_IN_VERSION={version}\nexec \"$(dirname \"$0\")/../lib/simulator\" crate \"$@\"\n"
    );
    std::fs::write(release.join("bin/crate"), script).unwrap();
    std::fs::set_permissions(release.join("bin/crate"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(release.join(format!("lib/crate-app-{version}.jar")), "").unwrap();
    pack(files.path(), &name)
}

fn pack(dir: &Path, name: &str) -> Vec<u8> {
    let archive = dir.join("archive.tar.gz");
    let packed = Command::new("tar").arg("-C").arg(dir).arg("-czf").arg(&archive).arg(name).status().unwrap();
    assert!(packed.success(), "tar failed");
    std::fs::read(archive).unwrap()
}
