//! Reads the small files that settings and credentials come from. One that is there has to be usable: if it were
//! skipped, a run would go on with other settings than its author thinks.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Kind, Result};

/// No file of settings is larger.
const LARGEST: u64 = 1024 * 1024;

/// The time that a pipe may take to bring its content: a password manager may ask its user first.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads a file as text. Returns none if nothing has that name.
///
/// # Errors
///
/// When something has that name and can't be read: a directory, a link that leads nowhere, a file without permission
/// or too large, a pipe that brings nothing, bytes that are not UTF-8.
pub(super) fn read(path: &Path) -> Result<Option<String>> {
    read_within(path, PATIENCE)
}

fn read_within(path: &Path, patience: Duration) -> Result<Option<String>> {
    let fail = |cause: String| unreadable(path).because(cause);
    match fs::symlink_metadata(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(fail(error.to_string())),
        Ok(_) => {}
    }
    let metadata = fs::metadata(path).map_err(|error| match (error.kind(), fs::read_link(path)) {
        (ErrorKind::NotFound, Ok(to)) => fail(format!("it is a link to {}, which does not exist", to.display())),
        _ => fail(error.to_string()),
    })?;
    let bytes = match (metadata.is_dir(), metadata.is_file()) {
        (true, _) => return Err(fail("it is a directory".to_owned())),
        (_, true) => bounded(path).map_err(|error| fail(error.to_string()))?,
        (_, false) => streamed(path, patience)?,
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => Err(fail(not_utf8(&error)).hint("save it as UTF-8")),
    }
}

fn unreadable(path: &Path) -> Error {
    Error::new(Kind::Setting, format!("cannot read {}", path.display()))
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(io::Error::other("it is larger than 1 MiB")),
        false => Ok(bytes),
    }
}

/// Reads a pipe or a device, on another thread, since opening one may block for ever. Each is read once in a process,
/// since it may bring its content only once.
fn streamed(path: &Path, patience: Duration) -> Result<Vec<u8>> {
    static STREAMS: Mutex<Option<HashMap<PathBuf, Result<Vec<u8>>>>> = Mutex::new(None);
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // Held while it is read: who else wants it waits for the same content.
    let mut streams = STREAMS.lock().unwrap_or_else(PoisonError::into_inner);
    streams.get_or_insert_default().entry(place).or_insert_with(|| read_stream(path, patience)).clone()
}

fn read_stream(path: &Path, patience: Duration) -> Result<Vec<u8>> {
    let (sender, receiver) = channel();
    let stream = path.to_owned();
    let reader = move || drop(sender.send(bounded(&stream)));
    let started = std::thread::Builder::new().name("cratedb-test-file".to_owned()).spawn(reader);
    started.map_err(|error| unreadable(path).because(error))?;
    let late = format!("it is no regular file, and brought nothing within {}", humantime::format_duration(patience));
    match receiver.recv_timeout(patience) {
        Ok(read) => read.map_err(|error| unreadable(path).because(error)),
        Err(RecvTimeoutError::Timeout) => Err(unreadable(path)
            .because(late)
            .hint("the program that serves it, such as a password manager, has to run")),
        Err(RecvTimeoutError::Disconnected) => Err(unreadable(path).because("its reader ended")),
    }
}

/// Says where a text is not UTF-8, without showing it.
fn not_utf8(error: &std::string::FromUtf8Error) -> String {
    let bytes = error.as_bytes();
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return "it is UTF-16 and not UTF-8".to_owned();
    }
    let before = &bytes[..error.utf8_error().valid_up_to()];
    format!("line {} is not UTF-8", before.iter().filter(|byte| **byte == b'\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".env");
        fs::write(&path, content).unwrap();
        (dir, path)
    }

    #[track_caller]
    fn refused(path: &Path, why: &str) {
        let error = read_within(path, Duration::from_millis(200)).unwrap_err();
        let text = error.to_string();
        assert!(error.is_setting() && text.contains(&path.display().to_string()) && text.contains(why), "{text}");
    }

    #[test]
    fn what_is_not_there_is_none_and_what_is_there_is_read() {
        let (dir, path) = file("Ä=1\n".as_bytes());
        assert_eq!(read(&path).unwrap().as_deref(), Some("Ä=1\n"));
        assert_eq!(read(&dir.path().join("none")).unwrap(), None);
        assert_eq!(read(&path.join("below-a-file")).unwrap(), None);
        assert_eq!(read(&dir.path().join("none/deeper")).unwrap(), None);
    }

    #[test]
    fn what_is_there_and_no_text_is_refused_by_its_name() {
        let (dir, path) = file(b"A=1\nB=\xff\xff geheim\n");
        refused(&path, "line 2 is not UTF-8");
        refused(dir.path(), "it is a directory");
        fs::write(&path, [0xff, 0xfe, b'A', 0]).unwrap();
        refused(&path, "UTF-16");
        fs::write(&path, vec![b'#'; LARGEST as usize + 1]).unwrap();
        refused(&path, "larger than 1 MiB");
        fs::write(&path, vec![b'#'; LARGEST as usize]).unwrap();
        assert!(read(&path).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_leads_somewhere() {
        use std::os::unix::fs::symlink;
        let (dir, path) = file(b"A=1\n");
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert_eq!(read(&link).unwrap().as_deref(), Some("A=1\n"));
        fs::remove_file(&path).unwrap();
        refused(&link, &format!("it is a link to {}, which does not exist", path.display()));
        let circle = dir.path().join("circle");
        symlink(&circle, &circle).unwrap();
        refused(&circle, "cannot read");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_only_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_dir, path) = file(b"A=1\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
        match File::open(&path) {
            Err(_) => refused(&path, "denied"),
            // Root may read everything.
            Ok(_) => assert!(read(&path).unwrap().is_some()),
        }
    }

    /// Makes a pipe with a name.
    #[cfg(unix)]
    fn pipe() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".env");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        (dir, path)
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_read_once_and_its_content_kept() {
        let (_dir, path) = pipe();
        let served = path.clone();
        let server = std::thread::spawn(move || {
            let mut pipe = fs::OpenOptions::new().write(true).open(served).unwrap();
            ["A=1\n", "B=2\n"].iter().for_each(|line| io::Write::write_all(&mut pipe, line.as_bytes()).unwrap());
        });
        for _ in 0..2 {
            assert_eq!(read_within(&path, Duration::from_secs(20)).unwrap().as_deref(), Some("A=1\nB=2\n"));
        }
        server.join().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_that_brings_nothing_is_given_up_once() {
        let (_dir, path) = pipe();
        refused(&path, "brought nothing within 200ms");
        let again = std::time::Instant::now();
        refused(&path, "brought nothing within 200ms");
        assert!(again.elapsed() < Duration::from_millis(200));
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join(".env");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        assert_eq!(read(&link).unwrap().as_deref(), Some(""));
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        let error = read(&link).unwrap_err().to_string();
        assert!(error.contains("larger than 1 MiB"), "{error}");
    }
}
