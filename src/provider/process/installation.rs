//! An installation: its version, and whether the server's user can start a server from it.

use std::fs;
use std::path::{Path, PathBuf};

use super::command::ServerUser;
use crate::error::{Error, Kind, Result};
use crate::host::paths_in;
use crate::version::Version;

/// Parts of every installation. The start script checks the runtime in `jdk/`.
const PARTS: [&str; 2] = ["bin/crate", "lib"];
/// A check that runs as the server's user, since a keeper that is root could read everything.
const LOOK: &str = r#"cd "$0" && [ -x bin/crate ] && [ -r bin/crate ] && ls lib >/dev/null"#;

/// Returns the version of the installation in `home` by the names of its archives, or none if they do not tell.
pub(crate) fn version(home: &Path) -> Option<Version> {
    let version = |path: PathBuf| {
        let name = path.file_name()?.to_str()?;
        let rest = ["crate-app-", "crate-server-"].iter().find_map(|prefix| name.strip_prefix(prefix))?;
        rest.strip_suffix(".jar")?.parse().ok()
    };
    paths_in(&home.join("lib")).filter_map(version).max()
}

/// Checks that `user` can start a server from `home`. `named` is whether `CRATEDB_HOME` names it. Otherwise it was
/// downloaded.
pub(super) async fn check(home: &Path, named: bool, user: &ServerUser) -> Result<()> {
    let (unusable, accepted) = match named {
        true => (
            Error::new(Kind::Setting, format!("cannot use CRATEDB_HOME=`{}`", home.display())),
            "accepted: the directory of an extracted release, with bin/crate and lib/; without CRATEDB_HOME, a container is used",
        ),
        false => (
            Error::new(Kind::Provider, format!("cannot use the downloaded release in {}", home.display())),
            "remove that directory, and the release is downloaded again",
        ),
    };
    let refused = |cause: String| Err(unusable.clone().because(cause).hint(accepted));
    match fs::metadata(home) {
        Ok(meta) if !meta.is_dir() => return refused("it is no directory".to_owned()),
        Ok(_) => {}
        Err(error) => return refused(error.to_string()),
    }
    for part in PARTS {
        if let Err(error) = fs::metadata(home.join(part)) {
            return refused(format!("{part}: {error}"));
        }
    }
    let mut look = std::process::Command::new("/bin/sh");
    look.args(["-c", LOOK]).arg(home);
    user.applied_to(&mut look);
    let refused = match tokio::process::Command::from(look).output().await {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().next().map(str::to_owned),
        Err(error) => Some(error.to_string()),
    };
    let cause = refused.unwrap_or_else(|| "bin/crate can't be read or run".to_owned());
    let error = unusable.because(format!("it can't be used{}", user.as_whom())).because(cause);
    Err(error
        .hint(format!("chmod -R a+rX {} lets everybody use it; the directories above it need `x`", home.display())))
}
