//! Archives that are releases, and such that want to be something else.

use std::cell::Cell;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::rc::Rc;

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

const SMALL: UnpackLimits = UnpackLimits { bytes: 100_000, entries: 5, about: 4096, depth: 4 };

/// Returns the reason for which a tar stream is refused, whose gzip is left out.
#[track_caller]
fn refusal_of(tar: impl Read, limits: UnpackLimits) -> String {
    let bench = Bench::new();
    match unpack_from(tar, &bench.target(), &AtomicBool::new(false), limits) {
        Err(UnpackError::Archive(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Returns the header of an entry that says it has `size` bytes.
fn header(name: &str, kind: EntryType, size: u64) -> io::Cursor<Vec<u8>> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    io::Cursor::new(header.as_bytes().to_vec())
}

/// Sends the same entry for ever.
struct Forever(Vec<u8>, usize);

impl Read for Forever {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self(bytes, at) = self;
        let count = (&bytes[*at..]).read(buffer)?;
        *at = (*at + count) % bytes.len();
        Ok(count)
    }
}

fn forever(header: io::Cursor<Vec<u8>>) -> Forever {
    Forever(header.into_inner(), 0)
}

#[test]
fn what_describes_an_entry_is_not_read_without_end() {
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        let long = header("long", kind, 512 << 20).chain(io::repeat(b'a'));
        assert_eq!(refusal_of(long, SMALL), "it holds a name, a header or padding that is too long", "{kind:?}");
    }
    // What is passed over counts, too: the content of directories and global headers, and padding.
    for kind in [DIR, EntryType::XGlobalHeader] {
        let passed = header("c/d/", kind, 90_000).chain(io::repeat(0));
        assert!(refusal_of(passed, SMALL).contains("too long"), "{kind:?}");
    }
    assert!(refusal_of(io::repeat(0), SMALL).contains("too long"));
}

#[test]
fn neither_the_size_nor_the_number_of_its_entries_is_without_end() {
    let too_much = "it holds more than 5 files or 0 MiB";
    assert_eq!(refusal_of(header("c/a", FILE, 100_000).chain(io::repeat(0)), SMALL), too_much);
    assert_eq!(refusal_of(header("c/a", FILE, u64::MAX >> 2).chain(io::repeat(0)), SMALL), too_much);
    for kind in [FILE, DIR] {
        assert_eq!(refusal_of(forever(header("c/a", kind, 0)), SMALL), too_much, "{kind:?}");
    }
    let headers = refusal_of(forever(header("g", EntryType::XGlobalHeader, 0)), SMALL);
    assert_eq!(headers, too_much);
    assert_eq!(refusal_of(header("c/1/2/3/a", FILE, 0).chain(header("c/1/b/c/d", FILE, 0)), SMALL), too_much);
    assert!(refusal_of(header("c/1/2/3/4/a", FILE, 0), SMALL).contains("below too many directories"));
    // Nothing is written of a file that is said to have gaps.
    let sparse = refusal_of(header("c/a", EntryType::GNUSparse, 1 << 40).chain(io::repeat(0)), SMALL);
    assert!(!sparse.is_empty());
}

/// Counts the bytes that are read.
struct Counting<R>(R, Rc<Cell<usize>>);

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.set(self.1.get() + count);
        Ok(count)
    }
}

/// 512 MiB as the name of one file, of which about one is read.
#[test]
fn the_shipped_limits_hold_for_an_archive_that_comes_without_end() {
    let read = Rc::new(Cell::new(0));
    let long = header("long", EntryType::GNULongName, 512 << 20).chain(io::repeat(b'a'));
    let why = refusal_of(Counting(long, read.clone()), UnpackLimits::USUAL);
    assert!(why.contains("too long") && read.get() <= (1 << 20) + 1024, "{why}: {} bytes", read.get());
}

#[test]
fn a_name_that_no_file_can_have_is_the_fault_of_the_archive() {
    let name = format!("c/{}", "n".repeat(300));
    let long = header("long", EntryType::GNULongName, name.len() as u64);
    let mut text = name.into_bytes();
    text.resize(512, 0);
    let why = refusal_of(long.chain(&text[..]).chain(header("c/n", FILE, 0)), SMALL);
    assert!(why.contains("no file can have"), "{why}");
}

#[test]
fn a_name_is_shown_as_text() {
    let why = Bench::refuses(&[("crate/\u{1b}[2J\n::error::x", EntryType::Fifo, 0o644, "")]);
    assert!(why.starts_with("`crate/\\u{1b}[2J ::error::x` in it"), "{why}");
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
