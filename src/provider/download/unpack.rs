//! Unpacking an archive to an installation that is inside its directory, readable by all users, and complete.

mod meter;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};

use self::meter::{Meter, Over};
use crate::foreign;

/// The limits of an archive, which is foreign until it is judged, and may be made to fill memory or disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnpackLimits {
    /// Bytes of the unpacked archive.
    bytes: u64,
    /// Files, directories and links.
    entries: usize,
    /// Bytes that describe one entry: its name, its extended headers. They are held in memory.
    about: u64,
    /// Directories on the way to a file.
    depth: usize,
}

impl UnpackLimits {
    /// Real installations have less than 1 GiB, some thousand files, and ten directories on the way to the deepest.
    pub(super) const USUAL: Self = Self { bytes: 4 << 30, entries: 200_000, about: 1 << 20, depth: 64 };

    fn exceeded(&self) -> UnpackError {
        let Self { bytes, entries, .. } = self;
        UnpackError::Archive(format!("it holds more than {entries} files or {} MiB", bytes >> 20))
    }
}

/// Enough of a name to find the entry.
const NAME: usize = 200;

/// The reason that an archive was not unpacked.
#[derive(Debug)]
pub(super) enum UnpackError {
    /// The archive is not an installation of CrateDB.
    Archive(String),
    /// This machine lacks space or a permission.
    Machine(io::Error),
    /// `stop` ended it.
    Stopped,
}

impl From<io::Error> for UnpackError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A path that no file can have is not this machine's fault.
            io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => {
                Self::Archive(format!("it holds a name that no file can have: {error}"))
            }
            _ => Self::Machine(error),
        }
    }
}

/// Unpacks what is below the archive's one directory into the new directory `into`. `stop` ends it early.
///
/// All users can read the result, whatever the modes in the archive and the umask, since the server may run as another
/// user.
pub(super) fn unpack(archive: &Path, into: &Path, stop: &AtomicBool) -> Result<(), UnpackError> {
    unpack_from(GzDecoder::new(File::open(archive)?), into, stop, UnpackLimits::USUAL)
}

fn unpack_from(tar: impl Read, into: &Path, stop: &AtomicBool, limits: UnpackLimits) -> Result<(), UnpackError> {
    let (tar, meter) = Meter::on(tar, limits.bytes);
    let damaged = |error: io::Error| match meter.over() {
        None => damaged(error),
        Some(Over::Total) => limits.exceeded(),
        Some(Over::Allowed) => UnpackError::Archive("it holds a name, a header or padding that is too long".to_owned()),
    };
    let mut archive = Archive::new(tar);
    make_dir(into)?;
    let mut tree = Tree { root: into, links: Vec::new(), limits, made: 0 };
    let mut entries = archive.entries().map_err(damaged)?;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(UnpackError::Stopped);
        }
        // What the reader of the archive skips or keeps before the next file: padding, headers, names.
        meter.allow(limits.about);
        let Some(entry) = entries.next() else { break };
        let entry = entry.map_err(damaged)?;
        if entry.size() > meter.left() {
            return Err(limits.exceeded());
        }
        if matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Continuous) {
            meter.allow(entry.size());
        }
        tree.take(entry, stop)?;
    }
    // Padding follows the last entry, and the checksum of the whole archive.
    meter.allow(limits.about);
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
    tree.check_links()
}

fn damaged(error: io::Error) -> UnpackError {
    UnpackError::Archive(format!("it is damaged: {error}"))
}

struct Tree<'a> {
    root: &'a Path,
    links: Vec<PathBuf>,
    limits: UnpackLimits,
    /// The number of entries, and of directories that none of them names.
    made: usize,
}

impl Tree<'_> {
    fn take<R: Read>(&mut self, mut entry: Entry<'_, R>, stop: &AtomicBool) -> Result<(), UnpackError> {
        self.count()?;
        let named = entry.path().map_err(damaged)?.into_owned();
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let Some(inside) = inside(&named)? else {
            return match kind {
                EntryType::Directory => Ok(()),
                _ => Err(refused(&named, "is not below a directory of the release")),
            };
        };
        let path = self.root.join(&inside);
        self.parents(&inside, &named)?;
        match kind {
            EntryType::Directory => self.dir(&path, &named),
            EntryType::Regular | EntryType::Continuous => {
                let mode = entry.header().mode().map_err(damaged)?;
                new_place(&path, &named)?;
                let size = entry.size();
                write(&mut entry, size, &path, mode, stop)
            }
            EntryType::Symlink => {
                let target = entry.link_name().map_err(damaged)?.ok_or_else(|| refused(&named, "leads nowhere"))?;
                if target.is_absolute() {
                    return Err(refused(&named, "leads out of the release"));
                }
                new_place(&path, &named)?;
                symlink(&target, &path)?;
                self.links.push(path);
                Ok(())
            }
            EntryType::Link => {
                let target = entry.link_name().map_err(damaged)?.ok_or_else(|| refused(&named, "leads nowhere"))?;
                let target = inside_of_link(&target, &named)?;
                self.parents(&target, &named)?;
                let target = self.root.join(target);
                if !fs::symlink_metadata(&target).is_ok_and(|meta| meta.is_file()) {
                    return Err(refused(&named, "is a link to what is no file of the release"));
                }
                new_place(&path, &named)?;
                Ok(fs::hard_link(target, path)?)
            }
            _ => Err(refused(&named, "is neither a file nor a directory nor a link")),
        }
    }

    fn count(&mut self) -> Result<(), UnpackError> {
        self.made += 1;
        if self.made > self.limits.entries { Err(self.limits.exceeded()) } else { Ok(()) }
    }

    /// Makes the directories above `inside`. Nothing is written through a link, wherever it leads.
    fn parents(&mut self, inside: &Path, named: &Path) -> Result<(), UnpackError> {
        let mut dir = self.root.to_owned();
        let parts: Vec<Component<'_>> = inside.components().collect();
        if parts.len() > self.limits.depth {
            return Err(refused(named, "is below too many directories"));
        }
        for part in parts.iter().take(parts.len().saturating_sub(1)) {
            dir.push(part);
            self.dir(&dir, named)?;
        }
        Ok(())
    }

    fn dir(&mut self, path: &Path, named: &Path) -> Result<(), UnpackError> {
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => Ok(()),
            Ok(_) => Err(refused(named, "goes through what is no directory")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.count()?;
                Ok(make_dir(path)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Checks where links lead, which is known only once all entries are unpacked.
    fn check_links(&self) -> Result<(), UnpackError> {
        let root = fs::canonicalize(self.root)?;
        for link in &self.links {
            if !fs::canonicalize(link).is_ok_and(|target| target.starts_with(&root)) {
                let named = link.strip_prefix(self.root).unwrap_or(link);
                return Err(refused(named, "leads out of the release, or nowhere"));
            }
        }
        Ok(())
    }
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Removes an earlier entry of the same name, since the last one counts.
fn new_place(path: &Path, named: &Path) -> Result<(), UnpackError> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => Err(refused(named, "takes the place of a directory")),
        Ok(_) => Ok(fs::remove_file(path)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn write(from: &mut impl Read, size: u64, path: &Path, mode: u32, stop: &AtomicBool) -> Result<(), UnpackError> {
    let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let mut buffer = vec![0; 256 << 10];
    let mut left = size;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(UnpackError::Stopped);
        }
        match from.read(&mut buffer).map_err(damaged)? {
            0 => break,
            count => {
                io::Write::write_all(&mut file, &buffer[..count])?;
                left = left.saturating_sub(count as u64);
            }
        }
    }
    if left > 0 {
        return Err(damaged(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(file.set_permissions(fs::Permissions::from_mode(mode))?)
}

/// Returns a path without the archive's one directory, or none for that directory itself.
fn inside(named: &Path) -> Result<Option<PathBuf>, UnpackError> {
    let mut parts = Vec::new();
    for part in named.components() {
        match part {
            Component::Normal(name) => parts.push(name),
            Component::CurDir => {}
            _ => return Err(refused(named, "leads out of the release")),
        }
    }
    let rest: PathBuf = parts.iter().skip(1).collect();
    Ok((!rest.as_os_str().is_empty()).then_some(rest))
}

fn inside_of_link(target: &Path, named: &Path) -> Result<PathBuf, UnpackError> {
    inside(target)?.ok_or_else(|| refused(named, "is a link to a directory"))
}

fn refused(named: &Path, why: &str) -> UnpackError {
    let named = foreign::line(&named.display().to_string(), NAME);
    UnpackError::Archive(format!("`{named}` in it {why}"))
}

#[cfg(test)]
mod tests;
