//! The directories of sockets, locks, journals and logs, and the names of a keeper's files in them.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::directories::writable;
use super::hash::short_hash;
use super::platform::{home, initial_environment};
use crate::error::{Error, Kind, Result};

/// The variable that moves all files. It is read from the process's initial environment: tests change variables, and
/// processes that look for the keeper in two places start two keepers.
pub(crate) const DIR_VARIABLE: &str = "CRATEDB_TEST_DIR";

/// The two directories of all keepers of a user.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Holds sockets and locks. Its path is short, since those of sockets are limited to about 104 bytes.
    pub(crate) runtime: PathBuf,
    /// Holds journals, logs and reports, which should survive a cleaner of temporary files.
    pub(crate) state: PathBuf,
}

/// The files of one keeper.
#[derive(Clone, Debug)]
pub(crate) struct KeyFiles {
    pub(crate) hash: String,
    pub(crate) socket: PathBuf,
    /// The lock that is held while a keeper is started.
    pub(crate) birth: PathBuf,
    /// The lock that the keeper holds all its life. Its content says where the keeper's socket is.
    pub(crate) lifetime: PathBuf,
    pub(crate) journal: PathBuf,
    pub(crate) log: PathBuf,
    /// The directory of the recordings of all keepers.
    pub(crate) recordings: PathBuf,
}

impl Places {
    /// Finds both directories, and makes the missing ones with access for this user only.
    pub(crate) fn find() -> Result<Self> {
        let (places, user) = (Self::planned()?, rustix::process::getuid().as_raw());
        make_own(&places.runtime, user)?;
        match make_own(&places.state, user) {
            Ok(()) => Ok(places),
            // The home can't be written, as in a build sandbox: the sockets' directory is used for both.
            Err(_) => Ok(Self { state: places.runtime.clone(), ..places }),
        }
    }

    /// Returns where both directories are, or will be when they are made.
    pub(crate) fn planned() -> Result<Self> {
        let user = rustix::process::getuid().as_raw();
        let places = match initial_environment(DIR_VARIABLE).filter(|dir| !dir.is_empty()) {
            Some(dir) => {
                let dir = PathBuf::from(dir);
                if !dir.is_absolute() {
                    return Err(Error::new(Kind::Setting, format!("cannot use {DIR_VARIABLE}=`{}`", dir.display()))
                        .because("the path is not absolute")
                        .hint("accepted: the absolute path of a directory that belongs to you"));
                }
                Self { runtime: dir.clone(), state: dir }
            }
            None => {
                let runtime = PathBuf::from(format!("/tmp/cratedb-test-{user}"));
                // Not `$HOME`: tests change variables, and a keeper must find its journal again.
                let state = home(user).map_or_else(|| runtime.clone(), |home| home.join(".local/state/cratedb-test"));
                Self { runtime, state }
            }
        };
        check_length(&places.runtime)?;
        Ok(places)
    }

    /// Checks that [`Places::find`] can use or make the directory without which there is no session. Makes nothing.
    pub(crate) fn check(&self) -> Result<()> {
        let dir = &self.runtime;
        if dir.symlink_metadata().is_ok() {
            return check_own(dir, rustix::process::getuid().as_raw());
        }
        let above = dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir);
        writable(above).map_err(|error| unfit(dir, format!("{}: {error}", above.display())))
    }

    /// Returns the files of a key.
    pub(crate) fn key(&self, key: &str) -> KeyFiles {
        self.hashed(&short_hash(key))
    }

    /// Returns the directory of the recordings of sessions.
    pub(crate) fn recordings(&self) -> PathBuf {
        self.state.join("recordings")
    }

    /// Returns the files of a key by its hash.
    pub(crate) fn hashed(&self, hash: &str) -> KeyFiles {
        let runtime = |kind| self.runtime.join(format!("{hash}.{kind}"));
        let state = |kind| self.state.join(format!("{hash}.{kind}"));
        KeyFiles {
            hash: hash.to_owned(),
            socket: runtime("sock"),
            birth: runtime("birth"),
            lifetime: runtime("keeper"),
            journal: state("journal"),
            log: state("log"),
            recordings: self.recordings(),
        }
    }
}

impl KeyFiles {
    /// Says where a keeper's log is, or why it wrote none: perhaps its path is taken by what is no file, which ends a
    /// keeper.
    pub(crate) fn about_log(&self) -> String {
        let log = self.log.display();
        match fs::symlink_metadata(&self.log) {
            Ok(meta) if meta.is_file() => format!("its log is {log}"),
            Ok(_) => format!("it wrote no log, since {log} is no regular file; remove that"),
            Err(_) => format!("it wrote no log, which would be {log}"),
        }
    }
}

/// Refuses a directory in which a socket's path would exceed the system's limit. The system's own error is hard to
/// understand.
fn check_length(dir: &Path) -> Result<()> {
    // With the NUL at the end.
    let field = size_of::<libc::sockaddr_un>() - std::mem::offset_of!(libc::sockaddr_un, sun_path);
    let limit = field - 1 - "/0123456789abcdef.sock".len();
    let length = dir.as_os_str().len();
    if length <= limit {
        return Ok(());
    }
    Err(Error::new(Kind::Setting, format!("cannot use {DIR_VARIABLE}=`{}`", dir.display()))
        .because(format!(
            "the path has {length} bytes, and sockets in it can have a path only if it has at most {limit}"
        ))
        .hint(format!("accepted: an absolute path of at most {limit} bytes to a directory that belongs to you")))
}

/// Makes `dir` for this user alone if it is missing. A directory that another user owns or may write to is refused.
fn make_own(dir: &Path, user: u32) -> Result<()> {
    if let Err(error) = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(unfit(dir, error.to_string()));
    }
    check_own(dir, user)
}

fn unfit(dir: &Path, cause: String) -> Error {
    Error::new(Kind::Session, format!("cannot use {} for the files of the session", dir.display()))
        .because(cause)
        .hint(format!("set {DIR_VARIABLE} to the absolute path of a directory of your own"))
}

fn check_own(dir: &Path, user: u32) -> Result<()> {
    let refuse = |cause| unfit(dir, cause);
    let meta = fs::symlink_metadata(dir).map_err(|error| refuse(error.to_string()))?;
    if !meta.is_dir() {
        return Err(refuse("it is no directory".into()));
    }
    if meta.uid() != user {
        return Err(refuse(format!("it belongs to user {}", meta.uid())));
    }
    // Its mode is not changed, since the directory may have other purposes. Others may list it, but not read the files,
    // which have no permissions for them.
    if meta.mode() & 0o022 != 0 {
        return Err(refuse(format!("others may write to it (mode {:o})", meta.mode() & 0o7777)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_private_and_anothers_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let own = rustix::process::getuid().as_raw();
        let inside = dir.path().join("a/b");
        make_own(&inside, own).unwrap();
        assert_eq!(fs::metadata(&inside).unwrap().mode() & 0o777, 0o700);
        let error = make_own(&inside, own + 1).unwrap_err().to_string();
        assert!(error.contains("belongs to user") && error.contains(DIR_VARIABLE), "{error}");
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(make_own(&file, own).unwrap_err().to_string().contains("no directory"));
    }

    #[test]
    fn a_log_that_can_not_be_written_is_told_apart_from_one_that_was_not() {
        let dir = tempfile::tempdir().unwrap();
        let files = Places { runtime: dir.path().to_owned(), state: dir.path().to_owned() }.key("a key");
        let log = files.log.display();
        assert_eq!(files.about_log(), format!("it wrote no log, which would be {log}"));
        fs::write(&files.log, "").unwrap();
        assert_eq!(files.about_log(), format!("its log is {log}"));
        let other = dir.path().join("other");
        fs::rename(&files.log, &other).unwrap();
        let taken = format!("it wrote no log, since {log} is no regular file; remove that");
        std::os::unix::fs::symlink(&other, &files.log).unwrap();
        assert_eq!(files.about_log(), taken);
        fs::remove_file(&files.log).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&files.log).status().unwrap().success());
        assert_eq!(files.about_log(), taken);
        fs::remove_file(&files.log).unwrap();
        fs::create_dir(&files.log).unwrap();
        assert_eq!(files.about_log(), taken);
    }

    #[test]
    fn a_directory_too_deep_for_sockets_is_refused_with_both_numbers() {
        let limit = (1..200).take_while(|n| check_length(Path::new(&"x".repeat(*n))).is_ok()).count();
        let error = check_length(Path::new(&"x".repeat(limit + 1))).unwrap_err().to_string();
        assert!(error.contains(&format!("has {} bytes", limit + 1)), "{error}");
        assert!(error.contains(&format!("at most {limit}")), "{error}");
        // The system agrees.
        let dir = tempfile::Builder::new().prefix("l").rand_bytes(3).tempdir_in("/tmp").unwrap();
        let deep = |length: usize| dir.path().join("x".repeat(length - dir.path().as_os_str().len() - 1));
        let bind = |dir: PathBuf| {
            fs::create_dir_all(&dir).unwrap();
            std::os::unix::net::UnixListener::bind(dir.join("0123456789abcdef.sock")).is_ok()
        };
        assert!(bind(deep(limit)) && !bind(deep(limit + 1)));
    }
}
