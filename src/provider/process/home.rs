//! An installation: which version it has, and whether a server can be started from there, by the user that will run it.

use std::fs;
use std::path::Path;

use super::user::User;
use crate::error::{Error, Kind, Result};
use crate::version::Version;

/// What every release has. The runtime in `jdk/` is its start script's business.
const PARTS: [&str; 2] = ["bin/crate", "lib"];
/// Looks with the eyes of whoever runs the server; permissions of the keeper say nothing if it is root.
const LOOK: &str = r#"cd "$0" && [ -x bin/crate ] && [ -r bin/crate ] && ls lib >/dev/null"#;

/// The version of the installation in `home`, from the names of its archives. None if they don't tell.
pub(crate) fn version(home: &Path) -> Option<Version> {
    let names = fs::read_dir(home.join("lib")).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let version = |name: String| {
        let rest = ["crate-app-", "crate-server-"].iter().find_map(|prefix| name.strip_prefix(prefix))?;
        rest.strip_suffix(".jar")?.parse().ok()
    };
    names.filter_map(version).max()
}

/// `named` is whether `CRATEDB_HOME` names it; else it is a release that was downloaded.
pub(super) async fn check(home: &Path, named: bool, user: &User) -> Result<()> {
    let unusable = || match named {
        true => Error::new(Kind::Setting, format!("cannot use CRATEDB_HOME=`{}`", home.display())),
        false => Error::new(Kind::Provider, format!("cannot use the downloaded release in {}", home.display())),
    };
    let accepted = match named {
        true => {
            "accepted: the directory of an extracted release, with bin/crate and lib/; without CRATEDB_HOME, a container is used"
        }
        false => "remove that directory, and the release is downloaded again",
    };
    match fs::metadata(home) {
        Ok(meta) if !meta.is_dir() => return Err(unusable().because("it is no directory").hint(accepted)),
        Ok(_) => {}
        Err(error) => return Err(unusable().because(error).hint(accepted)),
    }
    for part in PARTS {
        if let Err(error) = fs::metadata(home.join(part)) {
            return Err(unusable().because(format!("{part}: {error}")).hint(accepted));
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
    let error = unusable().because(format!("it can't be used{}", user.as_whom())).because(cause);
    Err(error
        .hint(format!("chmod -R a+rX {} lets everybody use it; the directories above it need `x`", home.display())))
}
