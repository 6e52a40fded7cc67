//! Which cache of the JVM belongs to an installation.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Process;
use super::user::User;
use crate::provider::jvm::{self, About, Cache, Training};
use crate::target::JvmCache;

impl Process {
    /// The cache, there or not; none where no JVM of this installation could use one, or it is switched off.
    pub(super) fn cache(&self, user: &User) -> Option<Training> {
        if self.jvm_cache == JvmCache::Off {
            return None;
        }
        let root = self.caches.clone().or_else(|| jvm::root(user.is_other()))?;
        let home = fs::canonicalize(&self.home).ok()?;
        let jdk = jvm::runtime_in(&fs::read_to_string(home.join("jdk/release")).ok()?)?;
        let parts = [home.display().to_string(), jdk.clone(), jvm::FLAGS.to_owned()];
        let cache = Cache::of(&root, &[parts.to_vec(), files_of(&home)?].concat());
        let about = About { home: home.display().to_string(), jdk, flags: jvm::FLAGS.to_owned(), size: 0, made: 0 };
        Some(Training { cache, about, with: serde_json::json!({ "provider": "process", "home": self.home }) })
    }
}

/// The class path, whose every file a JVM compares with its cache, and the script that decides on its flags.
fn files_of(home: &Path) -> Option<Vec<String>> {
    let jars = fs::read_dir(home.join("lib")).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let jars = jars.filter(|path| path.extension().is_some_and(|kind| kind == "jar"));
    let mut all: Vec<String> = jars.chain([home.join("bin/crate")]).filter_map(|path| identity_of(&path)).collect();
    all.sort();
    Some(all)
}

fn identity_of(path: &Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    Some(format!("{} {} {}.{}", path.display(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}
