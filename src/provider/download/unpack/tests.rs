//! Archives that are releases, and such that want to be something else.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::Header;

use super::*;

/// An entry: a name, a kind, a mode, and the content or the target of a link.
type Packed<'a> = (&'a str, EntryType, u32, &'a str);

/// Written by hand, since the library refuses to pack what it would refuse to unpack.
fn packed(entries: &[Packed<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, mode, text) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(*mode);
        header.set_entry_type(*kind);
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        let content = if is_link { "" } else { text };
        if is_link {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(content.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&bytes).unwrap();
    encoder.finish().unwrap()
}

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("into")
    }

    fn unpack(&self, archive: &[u8]) -> Result<(), UnpackError> {
        self.unpack_unless(archive, &AtomicBool::new(false))
    }

    fn unpack_unless(&self, archive: &[u8], stop: &AtomicBool) -> Result<(), UnpackError> {
        let path = self.dir.path().join("a.tar.gz");
        fs::write(&path, archive).unwrap();
        unpack(&path, &self.target(), stop)
    }

    /// Returns the reason for which an archive is refused. Nothing may be written outside.
    #[track_caller]
    fn refuses(entries: &[Packed<'_>]) -> String {
        let bench = Self::new();
        let Err(UnpackError::Archive(why)) = bench.unpack(&packed(entries)) else { panic!("{entries:?} is unpacked") };
        let mut names: Vec<_> =
            fs::read_dir(bench.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a.tar.gz", "into"], "{entries:?}");
        why
    }
}

const FILE: EntryType = EntryType::Regular;
const DIR: EntryType = EntryType::Directory;
const SYMLINK: EntryType = EntryType::Symlink;
const LINK: EntryType = EntryType::Link;

#[test]
fn what_is_below_the_one_directory_is_unpacked_and_everybody_can_read_it() {
    let bench = Bench::new();
    let archive = packed(&[
        ("crate-6.4.3/", DIR, 0o700, ""),
        ("crate-6.4.3/bin/", DIR, 0o500, ""),
        ("crate-6.4.3/bin/crate", FILE, 0o700, "#!/bin/sh"),
        ("./crate-6.4.3/lib/crate-app-6.4.3.jar", FILE, 0o600, "jar"),
        ("crate-6.4.3/jdk/legal/a", FILE, 0o6644, "law"),
        ("crate-6.4.3/jdk/legal/b/c", SYMLINK, 0o777, "../a"),
        ("crate-6.4.3/jdk/d", LINK, 0o644, "crate-6.4.3/jdk/legal/a"),
        ("crate-6.4.3/jdk/legal/a", FILE, 0o644, "law 2"),
    ]);
    bench.unpack(&archive).unwrap();
    let (mode, root) = (|path: &str| fs::metadata(bench.target().join(path)).unwrap().mode() & 0o7777, bench.target());
    assert_eq!((mode(""), mode("bin"), mode("lib"), mode("jdk/legal")), (0o755, 0o755, 0o755, 0o755));
    assert_eq!((mode("bin/crate"), mode("lib/crate-app-6.4.3.jar"), mode("jdk/legal/a")), (0o755, 0o644, 0o644));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    assert_eq!((read("jdk/legal/b/c").as_str(), read("jdk/d").as_str()), ("law 2", "law"));
}

#[test]
fn nothing_gets_out() {
    for path in ["crate/../../x", "crate/a/../../../x", "../x", "/x", "crate//../x"] {
        let why = Bench::refuses(&[(path, FILE, 0o644, "x")]);
        assert!(why.contains("leads out of the release"), "{path}: {why}");
    }
    let why = Bench::refuses(&[("x", FILE, 0o644, "x")]);
    assert!(why.contains("`x` in it is not below a directory"), "{why}");
    for target in ["/etc/passwd", "../../x", "../into/../../x", "nowhere"] {
        let why = Bench::refuses(&[("crate/a", FILE, 0o644, ""), ("crate/link", SYMLINK, 0o777, target)]);
        assert!(why.contains("link` in it leads out of the release"), "{target}: {why}");
    }
    // Each is inside by its text; together they lead out.
    let chain = [("crate/a/b/x", SYMLINK, 0o777, "../.."), ("crate/a/b/y", SYMLINK, 0o777, "x/..")];
    assert!(Bench::refuses(&chain).contains("leads out"));
}

#[test]
fn nothing_is_written_through_a_link() {
    for entry in [("crate/link/x", FILE, 0o644, "x"), ("crate/link", DIR, 0o755, ""), ("crate/link/x/", DIR, 0o755, "")]
    {
        let why = Bench::refuses(&[("crate/link", SYMLINK, 0o777, ".."), entry]);
        assert!(why.contains("goes through what is no directory"), "{entry:?}: {why}");
    }
    // In the place of a link, not through it.
    let bench = Bench::new();
    fs::write(bench.dir.path().join("precious"), "precious").unwrap();
    let archive = packed(&[("c/link", SYMLINK, 0o777, "../precious"), ("c/link", FILE, 0o644, "x")]);
    bench.unpack(&archive).unwrap();
    assert_eq!(fs::read_to_string(bench.dir.path().join("precious")).unwrap(), "precious");
}

#[test]
fn hard_links_are_to_files_of_the_release() {
    for target in
        ["../x", "/etc/passwd", "crate/../../a.tar.gz", "crate", "crate/nothing", "crate/link", "crate/link/x"]
    {
        let why = Bench::refuses(&[("crate/link", SYMLINK, 0o777, ".."), ("crate/hard", LINK, 0o644, target)]);
        assert!(why.contains("in it") && !why.contains("damaged"), "{target}: {why}");
    }
}

#[test]
fn devices_and_pipes_are_refused() {
    for kind in [EntryType::Fifo, EntryType::Char, EntryType::Block] {
        let why = Bench::refuses(&[("crate/odd", kind, 0o644, "")]);
        assert!(why.contains("neither a file nor a directory nor a link"), "{why}");
    }
    assert!(Bench::refuses(&[("c/a/b", FILE, 0o644, ""), ("c/a", FILE, 0o644, "")]).contains("place of a directory"));
}

#[test]
fn what_is_damaged_is_no_release_wherever_the_damage_is() {
    let text = (0..20_000).map(|n| char::from(b'a' + (n * n % 26) as u8)).collect::<String>();
    let whole = packed(&[("crate/bin/crate", FILE, 0o755, &text), ("crate/lib/x", FILE, 0o644, "y")]);
    Bench::new().unpack(&whole).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x55;
    // The checksum at the end.
    let mut other = whole.clone();
    other[whole.len() - 8] ^= 1;
    for damaged in [&whole[..whole.len() / 2], &whole[..whole.len() - 4], &flipped, &other, b"<html>", b""] {
        let Err(UnpackError::Archive(why)) = Bench::new().unpack(damaged) else { panic!("{} bytes", damaged.len()) };
        assert!(why.starts_with("it is damaged: "), "{why}");
    }
}

#[test]
fn it_stops_when_nobody_wants_it() {
    let archive = packed(&[("crate/a", FILE, 0o644, "x")]);
    assert!(matches!(Bench::new().unpack_unless(&archive, &AtomicBool::new(true)), Err(UnpackError::Stopped)));
}

/// A file system of 64 KiB, where this user may make one.
#[test]
fn a_full_disk_is_the_trouble_of_the_machine() {
    let bench = Bench::new();
    let small = bench.dir.path().join("small");
    fs::create_dir(&small).unwrap();
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&small);
    if !mount.output().is_ok_and(|output| output.status.success()) {
        return;
    }
    let archive = packed(&[("crate/a", FILE, 0o644, &"x".repeat(1 << 20))]);
    let path = bench.dir.path().join("a.tar.gz");
    fs::write(&path, archive).unwrap();
    let failed = unpack(&path, &small.join("into"), &AtomicBool::new(false));
    std::process::Command::new("umount").arg(&small).status().unwrap();
    let Err(UnpackError::Machine(error)) = failed else { panic!("{failed:?}") };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
