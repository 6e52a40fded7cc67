//! Replacements on macOS for calls that only Linux has: plain POSIX, and so compiled and tested on Linux, too.

use std::os::fd::AsFd;

use rustix::net::SocketAddrUnix;

/// Returns true for a Unix socket that is bound to a path and connected to nothing, as one that listens is.
///
/// macOS declares `SO_ACCEPTCONN`, but does not answer it, and has no `SO_DOMAIN`. A socket that was bound and never
/// listened looks the same, but is no program's standard input.
pub(crate) fn is_unix_listener<Fd: AsFd>(socket: Fd) -> bool {
    let bound = rustix::net::getsockname(&socket).and_then(SocketAddrUnix::try_from);
    bound.is_ok_and(|address| address.path_bytes().is_some_and(|path| !path.is_empty()))
        && matches!(rustix::net::getpeername(&socket), Err(rustix::io::Errno::NOTCONN))
}

/// The two parts of what `KERN_PROCARGS2` says of a process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments<'a> {
    pub(super) words: Vec<&'a [u8]>,
    /// As in `/proc/<pid>/environ`: entries, each with a NUL behind it.
    pub(super) environment: &'a [u8],
}

impl<'a> Arguments<'a> {
    /// Reads the number of arguments, the program's path with NULs behind it, the arguments, the environment, and an
    /// empty string, behind which the kernel has words of its own for the program's start.
    pub(super) fn of(raw: &'a [u8]) -> Option<Self> {
        let (count, rest) = raw.split_first_chunk::<4>()?;
        let count = usize::try_from(i32::from_ne_bytes(*count)).ok()?;
        let path = rest.iter().position(|byte| *byte == 0)?;
        let padding = rest[path..].iter().position(|byte| *byte != 0)?;
        let mut rest = &rest[path + padding..];
        let mut words = Vec::new();
        for _ in 0..count {
            let end = rest.iter().position(|byte| *byte == 0)?;
            words.push(&rest[..end]);
            rest = &rest[end + 1..];
        }
        let mut length = 0;
        while let Some(end @ 1..) = rest[length..].iter().position(|byte| *byte == 0) {
            length += end + 1;
        }
        Some(Self { words, environment: &rest[..length] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(count: i32, text: &str) -> Vec<u8> {
        [&count.to_ne_bytes(), text.as_bytes()].concat()
    }

    #[test]
    fn arguments_and_environment_are_told_apart() {
        let whole = raw(2, "/bin/crate\0\0\0\0crate\0a b\0PATH=/bin\0EMPTY=\0\0executable_path=/bin/crate\0\0");
        let read = Arguments::of(&whole).unwrap();
        assert_eq!(read.words, [&b"crate"[..], b"a b"]);
        assert_eq!(read.environment, b"PATH=/bin\0EMPTY=\0");
        // The environment of a program that is protected is not shown.
        let without = raw(1, "/bin/ps\0\0ps\0");
        assert_eq!(Arguments::of(&without).unwrap(), Arguments { words: vec![b"ps"], environment: b"" });
    }

    #[test]
    fn what_is_cut_short_is_no_panic() {
        let whole = raw(2, "/bin/crate\0\0\0\0crate\0a b\0PATH=/bin\0\0");
        for length in 0..whole.len() {
            let read = Arguments::of(&whole[..length]);
            assert!(read.is_none_or(|read| read.words == [&b"crate"[..], b"a b"]), "{length}");
        }
        assert_eq!(Arguments::of(&raw(-1, "/bin/crate\0\0crate\0")), None);
    }
}
