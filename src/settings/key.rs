//! Keys of keepers, and the way back from a key to its target.

use std::path::Path;

use super::{cloud_target, project_of, url_target};
use crate::environment::Sources;
use crate::error::{Error, Kind, Result};
use crate::target::ClusterAddress;
use crate::target::{JvmCache, LocalKind, LocalTarget, Origin, Target};

const KINDS: [(&str, LocalKind); 3] =
    [("auto", LocalKind::Auto), ("container", LocalKind::Container), ("process", LocalKind::Process)];
/// The version of an installation that is named.
const ANY: &str = "any";

/// `local`, then kind, project, version, nodes, and where it comes from: two clusters are one if all of it is the same.
pub(super) fn of_local(target: &LocalTarget) -> String {
    let kind = KINDS.iter().find(|(_, kind)| *kind == target.kind).map_or("", |(name, _)| name);
    let version = target.version.map_or(ANY.to_owned(), |version| version.to_string());
    let nodes = target.nodes.to_string();
    let (home, image) = (target.home.as_deref().unwrap_or_default(), &target.image);
    ["local", kind, &target.project, &version, &nodes, home, image].map(escaped).join("|")
}

fn local(parts: &[&str], key: &str) -> Option<LocalTarget> {
    let [kind, project, version, nodes, home, image] = parts else { return None };
    let home = unescaped(home);
    Some(LocalTarget {
        kind: KINDS.iter().find(|(name, _)| name == kind)?.1,
        image: unescaped(image),
        version: if *version == ANY { None } else { Some(version.parse().ok()?) },
        nodes: nodes.parse().ok()?,
        project: unescaped(project),
        key: key.to_owned(),
        home: (!home.is_empty()).then_some(home),
        origin: Origin::default(),
        jvm_cache: JvmCache::Use,
        outlives: false,
        lacking: Vec::new(),
    })
}

/// Paths may have the sign that stands between the parts.
fn escaped(part: &str) -> String {
    part.replace('%', "%25").replace('|', "%7C")
}

fn unescaped(part: &str) -> String {
    part.replace("%7C", "|").replace("%25", "%")
}

/// The target of a key that other settings made, with the credentials that are at hand in `manifest_dir`: for whoever
/// repairs what is owed for that key.
///
/// # Errors
///
/// When the credentials are missing or belong to another key; the error names what is needed.
pub(crate) fn target_of_key(manifest_dir: &Path, key: &str) -> Result<Target> {
    let refuse = |cause: String| Error::new(Kind::Setting, "its credentials are not at hand").because(cause);
    let sources = || Sources::of_process(manifest_dir, &project_of(manifest_dir));
    match key.split_once('|') {
        Some(("local", rest)) => match local(&rest.split('|').collect::<Vec<_>>(), key) {
            Some(target) => Ok(Target::Local(target)),
            None => Err(refuse("its key can't be read".into())),
        },
        Some(("url", url)) => Ok(url_target(&sources()?, url)?.0),
        Some(("cloud", rest)) => {
            let parts = rest.rsplit_once('|').and_then(|(rest, api_key)| Some((rest.split_once('|')?, api_key)));
            let Some(((endpoint, address), api_key)) = parts else {
                return Err(refuse("its key can't be read".into()));
            };
            let cluster = match address.split_once(':') {
                Some(("id", id)) => ClusterAddress::Id(id.to_owned()),
                Some(("name", name)) => ClusterAddress::Name(name.to_owned()),
                _ => return Err(refuse("its key can't be read".into())),
            };
            let (target, own) = cloud_target(&sources()?, cluster)?;
            match (own == key, api_key.strip_prefix("login:")) {
                (true, _) => Ok(target),
                (false, None) => Err(refuse(format!("the key needs {endpoint} and the API key {api_key}")).hint(
                    "run it where CRATEDB_CLOUD_ENDPOINT, CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET are those",
                )),
                (false, Some(login)) => Err(refuse(format!("the key needs {endpoint} and the login {login}")).hint(
                    "run it where no API key is set and that profile of `croud`'s profile file is the current one",
                )),
            }
        }
        _ => Err(refuse("its key can't be read".into())),
    }
}
