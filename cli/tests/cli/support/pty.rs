//! Runs the program in a pseudo-terminal, with the screen and the keyboard of a user.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};

use super::{assert_no_secret, eventually};

const ROWS: NonZero<u16> = NonZero::new(24).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(100).unwrap();

/// A program in a terminal.
pub(crate) struct Screen {
    child: Child,
    keys: std::fs::File,
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

/// Runs a program that leads the session of a terminal until `ready`, closes the terminal and returns the exit status.
pub(super) fn hung_up(
    program: &OsString,
    arguments: &[OsString],
    environment: HashMap<OsString, OsString>,
    directory: &Path,
    ready: impl FnMut() -> Option<()>,
) -> ExitStatus {
    let (pty, pts) = pty_process::blocking::open().unwrap();
    let command = pty_process::blocking::Command::new(program).args(arguments).env_clear().envs(environment);
    let mut child = command.current_dir(directory).spawn(pts).unwrap();
    eventually("the moment to close the terminal", ready);
    drop(pty);
    eventually("the end of the program", || child.try_wait().unwrap())
}

impl Screen {
    pub(super) fn start(
        program: &OsString,
        arguments: &[OsString],
        environment: HashMap<OsString, OsString>,
        directory: &Path,
    ) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(ROWS.get(), COLUMNS.get())).unwrap();
        let term = |name: &str| OsString::from(name);
        let mut environment = environment;
        environment.entry(term("TERM")).or_insert_with(|| term("xterm-256color"));
        let command = pty_process::blocking::Command::new(program).args(arguments).env_clear().envs(environment);
        let child = command.current_dir(directory).spawn(pts).unwrap();
        let own = |fd: std::os::fd::BorrowedFd<'_>| -> OwnedFd { fd.try_clone_to_owned().unwrap() };
        let (mut screen, keys) = (std::fs::File::from(own(pty.as_fd())), std::fs::File::from(own(pty.as_fd())));
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = bytes.clone();
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            // An error is the end: the last program closed its side.
            while let Ok(n @ 1..) = screen.read(&mut part) {
                shared.lock().unwrap().extend_from_slice(&part[..n]);
            }
        });
        Self { child, keys, bytes, reader: Some(reader) }
    }

    /// Returns all that was written, with escape sequences.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// Returns the text that is on the screen now.
    pub(crate) fn seen(&self) -> String {
        let mut terminal = vt100::Parser::new(ROWS, COLUMNS, 0);
        terminal.process(&self.bytes.lock().unwrap());
        terminal.screen().contents()
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub(crate) fn until(&self, text: &str) {
        self.until_any(&[text]);
    }

    /// Waits until one of some texts is on the screen.
    #[track_caller]
    pub(crate) fn until_any(&self, texts: &[&str]) {
        let begun = std::time::Instant::now();
        while !texts.iter().any(|text| self.seen().contains(text)) {
            assert!(begun.elapsed() < super::DEADLINE, "not seen: {texts:?}\n{}\n{:?}", self.seen(), self.raw());
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn ctrl_c(&mut self) {
        self.press("\u{3}");
    }

    /// Waits for the end of the program and returns its exit code and the last screen.
    #[track_caller]
    pub(crate) fn done(mut self) -> (Option<i32>, String) {
        let status: ExitStatus = eventually("the end of the program", || self.child.try_wait().unwrap());
        drop(self.keys);
        let reader = self.reader.take().unwrap();
        reader.join().unwrap();
        let bytes = self.bytes.lock().unwrap();
        assert_no_secret(&String::from_utf8_lossy(&bytes));
        let mut terminal = vt100::Parser::new(ROWS, COLUMNS, 0);
        terminal.process(&bytes);
        (status.code(), terminal.screen().contents())
    }
}
