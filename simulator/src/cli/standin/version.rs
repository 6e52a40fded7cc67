//! Which version of CrateDB the stand-in claims to be.

use std::fs;
use std::path::Path;

use crate::state::catalog;

/// For an image, whose files tell nothing.
const VARIABLE: &str = "CRATE_STAND_IN_VERSION";

/// What `CRATE_STAND_IN_VERSION` says, else what the archives of the installation are called in which this program is
/// `bin/crate`, else the simulator's newest.
pub(super) fn claimed() -> String {
    let said = std::env::var(VARIABLE).ok().filter(|version| !version.is_empty());
    let installed = || of_installation(std::env::current_exe().ok()?.parent()?.parent()?);
    said.or_else(installed).unwrap_or_else(|| catalog::STABLE.to_owned())
}

fn of_installation(home: &Path) -> Option<String> {
    let names = fs::read_dir(home.join("lib")).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let version = |name: String| Some(name.strip_prefix("crate-server-")?.strip_suffix(".jar")?.to_owned());
    names.filter_map(version).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_archives_tell_the_version() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(of_installation(home.path()), None);
        fs::create_dir(home.path().join("lib")).unwrap();
        assert_eq!(of_installation(home.path()), None);
        for name in ["crate-server-5.10.16.jar", "lucene-9.jar"] {
            fs::write(home.path().join("lib").join(name), "").unwrap();
        }
        assert_eq!(of_installation(home.path()).as_deref(), Some("5.10.16"));
    }
}
