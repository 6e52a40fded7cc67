//! The key of a cluster, by which its keeper is found, and the target that a key leads back to.

use std::path::Path;

use super::{cloud_target, url_target};
use crate::environment::{Address, Given, Setting, Sources, address};
use crate::error::{Error, Kind, Result};
use crate::target::{ClusterAddress, JvmCache, LocalKind, LocalTarget, Origin, Security, ServerSettings, Target};

/// The words for kinds in keys.
const KINDS: [(&str, LocalKind); 3] =
    [("auto", LocalKind::Auto), ("container", LocalKind::Container), ("process", LocalKind::Process)];
/// Stands in a key for the version of an installation that is named.
const ANY: &str = "any";

/// Stands in a key before settings.
const OWN: &str = "settings:";

/// Stands in a key before how the server lets clients in.
const SECURITY: &str = "security:";

/// Ends the key of a server that no test uses.
const STANDS: &str = "up";

/// Returns `local`, then kind, project, version, nodes, where the cluster comes from, the archives that are accepted,
/// if not all are, the settings of the server, if there are any, how it lets clients in, if not all of them, and a last
/// part if no test uses it. Two clusters are one if all of it is the same: a server that was started without a pin must
/// not serve tests that have one.
pub(super) fn local_key(target: &LocalTarget) -> String {
    let kind = KINDS.iter().find(|(_, kind)| *kind == target.kind).map_or("", |(name, _)| name);
    let version = target.version.map_or(ANY.to_owned(), |version| version.to_string());
    let nodes = target.nodes.to_string();
    let (home, image) = (target.home.as_deref().unwrap_or_default(), &target.image);
    let pins = target.origin.digests.join(",");
    let pins = (target.kind != LocalKind::Container && !pins.is_empty()).then_some(&*pins);
    let settings = (!target.settings.is_empty()).then(|| format!("{OWN}{}", target.settings));
    let security = (!target.security.is_open()).then(|| format!("{SECURITY}{}", target.security));
    let parts = ["local", kind, &target.project, &version, &nodes, home, image];
    let stands = target.stands.then_some(STANDS);
    let more = pins.into_iter().chain(settings.as_deref()).chain(security.as_deref()).chain(stands);
    parts.into_iter().chain(more).map(escaped).collect::<Vec<_>>().join("|")
}

/// Returns the target of the key of a local server.
pub(crate) fn local_target(key: &str) -> Option<LocalTarget> {
    local_of_key(&key.strip_prefix("local|")?.split('|').collect::<Vec<_>>(), key)
}

/// Returns the target of a key that [`local_key`] made.
fn local_of_key(parts: &[&str], key: &str) -> Option<LocalTarget> {
    let [kind, project, version, nodes, home, image, more @ ..] = parts else { return None };
    let (stands, more) = match more {
        [more @ .., STANDS] => (true, more),
        more => (false, more),
    };
    let (security, more) = match more {
        [more @ .., last] if last.starts_with(SECURITY) => (Security::parse(&last[SECURITY.len()..])?, more),
        more => (Security::default(), more),
    };
    let (settings, pins) = match more {
        [pins @ .., last] if last.starts_with(OWN) => {
            (ServerSettings::parse(&unescaped(&last[OWN.len()..])).ok()?, pins)
        }
        pins => (ServerSettings::default(), pins),
    };
    let digests = match pins {
        [] => Vec::new(),
        [pins] => pins.split(',').map(str::to_owned).collect(),
        _ => return None,
    };
    let home = unescaped(home);
    Some(LocalTarget {
        kind: KINDS.iter().find(|(name, _)| name == kind)?.1,
        image: unescaped(image),
        version: if *version == ANY { None } else { Some(version.parse().ok()?) },
        nodes: nodes.parse().ok()?,
        settings,
        security,
        project: unescaped(project),
        key: key.to_owned(),
        home: (!home.is_empty()).then_some(home),
        origin: Origin { digests, ..Origin::default() },
        jvm_cache: JvmCache::Use,
        stands,
        outlives: false,
        lacking: Vec::new(),
    })
}

/// Escapes the sign that stands between the parts of a key: paths may contain it.
fn escaped(part: &str) -> String {
    part.replace('%', "%25").replace('|', "%7C")
}

fn unescaped(part: &str) -> String {
    part.replace("%7C", "|").replace("%25", "%")
}

/// Returns the target of a key that other settings made, with the credentials that are found from `manifest_dir`. A
/// repair of what is owed for that key needs it.
///
/// # Errors
///
/// When the credentials are missing or belong to another key; the error names what is needed.
pub(crate) fn target_of_key(manifest_dir: &Path, key: &str) -> Result<Target> {
    let refuse = |cause: &str| Error::new(Kind::Setting, "its credentials are not at hand").because(cause);
    let unreadable = || refuse("its key can't be read");
    let sources = || Sources::of_process(manifest_dir);
    let (provider, rest) = key.split_once('|').ok_or_else(unreadable)?;
    match provider {
        "local" => local_of_key(&rest.split('|').collect::<Vec<_>>(), key).map(Target::Local).ok_or_else(unreadable),
        "url" => url_target_of_key(&sources()?, rest),
        "cloud" => {
            let parts = rest.rsplit_once('|').and_then(|(rest, api_key)| Some((rest.split_once('|')?, api_key)));
            let ((endpoint, address), api_key) = parts.ok_or_else(unreadable)?;
            let cluster = match address.split_once(':') {
                Some(("id", id)) => ClusterAddress::Id(id.to_owned()),
                Some(("name", name)) => ClusterAddress::Name(name.to_owned()),
                _ => return Err(unreadable()),
            };
            let (target, own) = cloud_target(&sources()?, cluster)?;
            match (own == key, api_key.strip_prefix("login:")) {
                (true, _) => Ok(target),
                (false, None) => Err(refuse(&format!("the key needs {endpoint} and the API key {api_key}")).hint(
                    "run it where CRATEDB_CLOUD_ENDPOINT, CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET are those",
                )),
                (false, Some(login)) => Err(refuse(&format!("the key needs {endpoint} and the login {login}")).hint(
                    "run it where no API key is set and that profile of `croud`'s profile file is the current one",
                )),
            }
        }
        _ => Err(unreadable()),
    }
}

/// Returns the server of a key. The settings' own credentials go to it if they name it too: the journal's word alone is
/// not enough.
pub(super) fn url_target_of_key(sources: &Sources, url: &str) -> Result<Target> {
    let unheard = &mut Vec::new();
    if let Ok(Some(Address::Url(named))) = address(&Given::default(), sources, unheard)
        && let Ok((Target::Url(target), ..)) = url_target(sources, &named, unheard)
        && target.url == url
    {
        return Ok(Target::Url(target));
    }
    let kept = Setting::kept("CRATEDB_CLUSTER_URL", url, "the journal");
    url_target(sources, &kept, unheard).map(|(target, ..)| target)
}
