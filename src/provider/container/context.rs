//! Docker contexts: which one is current, and which engine one names. Read from the files of `docker context`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::find::Address;

/// The context that is none: the default socket.
pub(super) const DEFAULT: &str = "default";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    current_context: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    name: String,
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Option<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    host: Option<String>,
}

/// What `docker context use` chose, if it was not the default.
pub(super) fn current(config: &Path) -> Option<String> {
    let text = std::fs::read(config.join("config.json")).ok()?;
    let config: Config = serde_json::from_slice(&text).ok()?;
    config.current_context.filter(|name| !name.is_empty() && name != DEFAULT)
}

/// The engine of a context, or why it can't be used.
///
/// A context's files are in a directory whose name is a digest of the context's; there are few, so all are read instead.
pub(super) fn address(config: &Path, name: &str) -> Result<Address, String> {
    let metas = std::fs::read_dir(config.join("contexts/meta")).into_iter().flatten().flatten();
    let read = |dir: PathBuf| {
        let text = std::fs::read(dir.join("meta.json")).ok()?;
        let meta: Meta = serde_json::from_slice(&text).ok()?;
        (meta.name == name).then_some((dir, meta))
    };
    let Some((dir, meta)) = metas.map(|entry| entry.path()).find_map(read) else {
        let there = config.display();
        return Err(format!("there is no context `{name}` in {there}; `docker context ls` shows those that there are"));
    };
    let Some(host) = meta.endpoints.docker.and_then(|endpoint| endpoint.host) else {
        return Err(format!("context `{name}` names no engine of Docker's kind"));
    };
    let digest = dir.file_name().unwrap_or_default();
    let tls = config.join("contexts/tls").join(digest).join("docker");
    Address::checked(&host, Some(tls).filter(|dir| dir.join("ca.pem").exists()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn the_current_context_is_read_and_damage_is_as_if_there_were_none() {
        let current = |text: &str| current(config(&[("config.json", text)]).path());
        assert_eq!(current(r#"{"auths":{},"currentContext":"ci"}"#), Some("ci".to_owned()));
        for text in
            [r#"{"currentContext":"default"}"#, r#"{"currentContext":""}"#, "{}", "{", r#"{"currentContext":1}"#]
        {
            assert_eq!(current(text), None, "{text}");
        }
        assert_eq!(super::current(Path::new("/nowhere")), None);
    }

    #[test]
    fn a_context_brings_its_certificates() {
        let meta =
            r#"{"Name":"ci","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://ci:2376","SkipTLSVerify":false}}}"#;
        let dir = config(&[
            ("contexts/meta/77/meta.json", "{"),
            ("contexts/meta/ab/meta.json", meta),
            ("contexts/tls/ab/docker/ca.pem", ""),
        ]);
        let found = address(dir.path(), "ci").unwrap();
        assert_eq!(
            (found.host.as_str(), found.tls),
            ("tcp://ci:2376", Some(dir.path().join("contexts/tls/ab/docker")))
        );
    }

    #[test]
    fn a_context_without_an_engine_or_with_a_strange_one_says_so() {
        let ssh = r#"{"Name":"ssh","Endpoints":{"docker":{"Host":"ssh://ada@ci"}}}"#;
        let none = r#"{"Name":"none","Endpoints":{"kubernetes":{}}}"#;
        let dir = config(&[("contexts/meta/a/meta.json", ssh), ("contexts/meta/b/meta.json", none)]);
        assert!(address(dir.path(), "ssh").unwrap_err().contains("ssh:// is not supported"));
        assert!(address(dir.path(), "none").unwrap_err().contains("names no engine"));
        assert!(address(dir.path(), "other").unwrap_err().contains("there is no context `other`"));
    }
}
