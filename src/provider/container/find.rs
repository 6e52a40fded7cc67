//! The addresses at which this machine may have a container engine, in their order, and what is wrong with the rest.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::host::paths_in;
use crate::provider::held::EngineAddress;

/// A place that is asked for an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The setting or product that names it, for people.
    pub(super) named_by: String,
    /// Its address, or why that can't be used.
    pub(super) address: Result<EngineAddress, String>,
}

/// The candidates of a machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidates {
    /// Set if the environment chose the only candidate.
    pub(super) chosen: bool,
    pub(super) all: Vec<Candidate>,
}

/// The state of the machine on which the candidates depend.
pub(super) struct Surroundings<'a> {
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(super) home: &'a Path,
    pub(super) user: u32,
    /// `/`, or another directory in tests.
    pub(super) root: &'a Path,
}

impl EngineAddress {
    pub(super) fn unix(path: &Path) -> Self {
        Self { host: format!("unix://{}", path.display()), tls: None }
    }

    pub(super) fn socket(&self) -> Option<&Path> {
        self.host.strip_prefix("unix://").map(Path::new)
    }

    /// Refuses schemes that the client does not support.
    pub(super) fn checked(host: &str, tls: Option<PathBuf>) -> Result<Self, String> {
        let accepted = "accepted: unix:///path, tcp://host:port, https://host:port";
        match host.split_once("://") {
            Some(("unix" | "tcp" | "http" | "https", rest)) if !rest.is_empty() => {
                Ok(Self { host: host.to_owned(), tls })
            }
            Some((scheme, _)) => Err(format!("{scheme}:// is not supported; {accepted}")),
            None => Err(format!("`{host}` is no address; {accepted}")),
        }
    }
}

impl Surroundings<'_> {
    /// Returns the candidates. One that the environment names is the only one. Otherwise the current context comes
    /// first, then the default sockets of engines, the system's before the user's and Docker's before Podman's.
    pub(super) fn places(&self) -> Candidates {
        let variable = |name: &str| (self.variable)(name).filter(|value| !value.is_empty());
        let chosen =
            |named_by: String, address| Candidates { chosen: true, all: vec![Candidate { named_by, address }] };
        let config = variable("DOCKER_CONFIG").map_or_else(|| self.home.join(".docker"), PathBuf::from);
        if let Some(host) = variable("DOCKER_HOST") {
            let tls = variable("DOCKER_TLS_VERIFY").is_some() || host.starts_with("https:");
            let certificates = || variable("DOCKER_CERT_PATH").map_or_else(|| config.clone(), PathBuf::from);
            return chosen("DOCKER_HOST".to_owned(), EngineAddress::checked(&host, tls.then(certificates)));
        }
        if let Some(name) = variable("DOCKER_CONTEXT").filter(|name| name != DEFAULT) {
            return chosen(format!("DOCKER_CONTEXT=`{name}`"), address_of_context(&config, &name));
        }
        if let Some(host) = variable("CONTAINER_HOST") {
            return chosen("CONTAINER_HOST".to_owned(), EngineAddress::checked(&host, None));
        }
        let current = if variable("DOCKER_CONTEXT").is_none() { current_context(&config) } else { Ok(None) };
        let mut all = Vec::new();
        match current {
            Ok(None) => {}
            Ok(Some(name)) => {
                let address = address_of_context(&config, &name);
                all.push(Candidate { named_by: format!("context `{name}`"), address });
            }
            Err(why) => all.push(Candidate { named_by: "Docker's configuration".to_owned(), address: Err(why) }),
        }
        let runtime = variable("XDG_RUNTIME_DIR")
            .map_or_else(|| self.root.join(format!("run/user/{}", self.user)), PathBuf::from);
        let sockets = [
            ("Docker", self.root.join("var/run/docker.sock")),
            ("rootless Docker", runtime.join("docker.sock")),
            ("Docker", self.home.join(".docker/run/docker.sock")),
            ("Docker Desktop", self.home.join(".docker/desktop/docker.sock")),
            ("OrbStack", self.home.join(".orbstack/run/docker.sock")),
            ("Colima", self.home.join(".colima/default/docker.sock")),
            ("rootless Podman", runtime.join("podman/podman.sock")),
            ("Podman", self.root.join("run/podman/podman.sock")),
        ];
        for (named_by, path) in sockets {
            let address = EngineAddress::unix(&path);
            // A context usually names one of these sockets, and one of them may be a link to another.
            let same = |place: &Candidate| place.address.as_ref().is_ok_and(|other| are_one(other, &address));
            if !all.iter().any(same) {
                all.push(Candidate { named_by: named_by.to_owned(), address: Ok(address) });
            }
        }
        Candidates { chosen: false, all }
    }
}

impl Candidates {
    /// Explains why what the user chose can't be used. What happens to be there must not take its place.
    pub(super) fn unusable(&self) -> Option<String> {
        let (named_by, why) = self.all.iter().find_map(|one| Some((&one.named_by, one.address.as_ref().err()?)))?;
        let instead = if self.chosen { "" } else { "; DOCKER_CONTEXT=default goes without it" };
        Some(format!("no engine: {named_by} can't be used: {why}{instead}"))
    }
}

fn are_one(one: &EngineAddress, other: &EngineAddress) -> bool {
    let real = |address: &EngineAddress| address.socket().and_then(|path| path.canonicalize().ok());
    one == other || real(one).is_some_and(|path| real(other) == Some(path))
}

/// Describes in one line the candidates, all of them usable, of which none answered. Sockets that do not exist are only
/// named.
pub(super) fn none_of(places: &Candidates, said: &[String]) -> String {
    if let ([place], [why], true) = (&places.all[..], said, places.chosen) {
        let host = place.address.as_ref().map_or("", |address| &address.host);
        return format!("no engine at {host}, which {} names: {why}", place.named_by);
    }
    let (mut refused, mut absent) = (Vec::new(), Vec::new());
    for (place, why) in places.all.iter().zip(said) {
        let Ok(address) = &place.address else { continue };
        match address.socket() {
            Some(path) if !path.exists() => absent.push(path.display().to_string()),
            _ => refused.push(format!("{} ({}): {why}", address.host, place.named_by)),
        }
    }
    let absent = if absent.is_empty() { None } else { Some(format!("no socket at {}", absent.join(", "))) };
    let said: Vec<String> = refused.into_iter().chain(absent).collect();
    format!("no engine answers: {}; start Docker or Podman, or set DOCKER_HOST", said.join("; "))
}

/// The name of the context that stands for no context.
const DEFAULT: &str = "default";

/// Reads a file of Docker's. Returns none if nothing has that name.
fn json_in(path: &Path) -> Result<Option<Value>, String> {
    let read = std::fs::metadata(path).and_then(|meta| match meta.is_file() {
        true => std::fs::read(path),
        // Opening a FIFO would wait for its other end.
        false => Err(io::Error::other("it is no regular file")),
    });
    let unusable = |why: String| format!("cannot read {}: {why}", path.display());
    match read {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| unusable(error.to_string())),
        // A link that leads nowhere is something.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) && !path.is_symlink() => {
            Ok(None)
        }
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// Returns the context that `docker context use` chose, if it is not the default one.
fn current_context(config: &Path) -> Result<Option<String>, String> {
    let Some(json) = json_in(&config.join("config.json"))? else { return Ok(None) };
    Ok(json["currentContext"].as_str().filter(|name| !name.is_empty() && *name != DEFAULT).map(str::to_owned))
}

/// Returns the engine of a context. The error says why it can't be used.
///
/// The name of a context's directory is a digest of the context's name. There are few, so all of them are read.
fn address_of_context(config: &Path, name: &str) -> Result<EngineAddress, String> {
    // One that can't be read is another's, for all that is known.
    let read = |dir: PathBuf| {
        let meta = json_in(&dir.join("meta.json")).ok().flatten();
        meta.filter(|meta| meta["Name"] == name).map(|meta| (dir, meta))
    };
    let Some((dir, meta)) = paths_in(&config.join("contexts/meta")).find_map(read) else {
        let there = config.display();
        return Err(format!("there is no context `{name}` in {there}; `docker context ls` shows those that there are"));
    };
    let Some(host) = meta["Endpoints"]["docker"]["Host"].as_str() else {
        return Err(format!("context `{name}` names no engine of Docker's kind"));
    };
    let tls = config.join("contexts/tls").join(dir.file_name().unwrap_or_default()).join("docker");
    EngineAddress::checked(host, Some(tls).filter(|dir| dir.join("ca.pem").symlink_metadata().is_ok()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Machine {
        dir: tempfile::TempDir,
        variables: Vec<(&'static str, String)>,
    }

    impl Machine {
        fn new(variables: &[(&'static str, &str)]) -> Self {
            let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            Self { dir: tempfile::tempdir().unwrap(), variables }
        }

        fn places(&self) -> Candidates {
            let variable = |name: &str| self.variables.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone());
            let home = self.dir.path().join("home");
            Surroundings { variable: &variable, home: &home, user: 7, root: self.dir.path() }.places()
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn context(&self, name: &str, host: &str) {
            self.write("home/.docker/config.json", &format!(r#"{{"currentContext":"{name}"}}"#));
            let meta = format!(r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
            self.write(&format!("home/.docker/contexts/meta/0{name}/meta.json"), &meta);
        }
    }

    fn hosts(places: &Candidates) -> Vec<String> {
        places.all.iter().map(|place| place.address.as_ref().map_or_else(Clone::clone, |a| a.host.clone())).collect()
    }

    #[test]
    fn what_the_environment_names_is_the_only_place() {
        let places = Machine::new(&[("DOCKER_HOST", "tcp://ci:2375"), ("DOCKER_CONTEXT", "other")]).places();
        let address = EngineAddress { host: "tcp://ci:2375".into(), tls: None };
        let place = Candidate { named_by: "DOCKER_HOST".into(), address: Ok(address) };
        assert_eq!(places, Candidates { chosen: true, all: vec![place] });
        let places = Machine::new(&[("CONTAINER_HOST", "unix:///p.sock")]).places();
        assert!(places.chosen && hosts(&places) == ["unix:///p.sock"]);
    }

    #[test]
    fn tls_takes_its_certificates_from_where_docker_does() {
        let tls = |variables: &[(&'static str, &str)]| {
            let machine = Machine::new(variables);
            let tls = machine.places().all.remove(0).address.unwrap().tls;
            tls.map(|path| path.display().to_string().replace(&machine.dir.path().display().to_string(), ""))
        };
        let host = ("DOCKER_HOST", "tcp://ci:2376");
        assert_eq!(tls(&[host]), None);
        assert_eq!(tls(&[host, ("DOCKER_TLS_VERIFY", "")]), None);
        assert_eq!(tls(&[host, ("DOCKER_TLS_VERIFY", "1")]).unwrap(), "/home/.docker");
        assert_eq!(tls(&[host, ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/c")]).unwrap(), "/c");
        assert_eq!(tls(&[("DOCKER_HOST", "https://ci:2376")]).unwrap(), "/home/.docker");
    }

    #[test]
    fn an_address_that_no_client_speaks_is_refused_with_those_that_one_does() {
        for host in ["ssh://ada@ci", "nonsense", "unix://", "npipe:////./pipe/docker_engine"] {
            let places = Machine::new(&[("DOCKER_HOST", host)]).places();
            let line = places.unusable().unwrap();
            assert!(line.starts_with("no engine: DOCKER_HOST can't be used: "), "{line}");
            assert!(
                line.contains("accepted: unix:///path, tcp://host:port") && !line.contains("goes without"),
                "{line}"
            );
        }
    }

    #[test]
    fn the_current_context_comes_first_and_the_others_follow() {
        let machine = Machine::new(&[]);
        machine.context("colima", "unix:///somewhere/docker.sock");
        let places = machine.places();
        assert!(!places.chosen && places.unusable().is_none());
        assert_eq!(places.all[0].named_by, "context `colima`");
        assert_eq!(hosts(&places)[0], "unix:///somewhere/docker.sock");
        assert_eq!(places.all.len(), 9);
        let last = hosts(&places).pop().unwrap();
        assert!(last.ends_with("/run/podman/podman.sock"), "{last}");
    }

    #[test]
    fn a_context_that_is_chosen_has_to_be_there() {
        let machine = Machine::new(&[("DOCKER_CONTEXT", "gone")]);
        machine.context("colima", "unix:///somewhere/docker.sock");
        let places = machine.places();
        let why = places.unusable().unwrap();
        assert!(places.chosen && why.contains("no context `gone`") && why.contains("docker context ls"), "{why}");
    }

    #[test]
    fn the_default_context_means_that_there_is_none() {
        let machine = Machine::new(&[("DOCKER_CONTEXT", "default")]);
        machine.context("colima", "unix:///somewhere/docker.sock");
        let places = machine.places();
        assert!(!places.chosen);
        assert!(hosts(&places)[0].ends_with("/var/run/docker.sock"), "{places:?}");
    }

    #[test]
    fn one_socket_under_two_names_is_one_place() {
        let machine = Machine::new(&[]);
        machine.write("run/podman/podman.sock", "");
        std::fs::create_dir_all(machine.dir.path().join("var/run")).unwrap();
        let (real, link) = (machine.dir.path().join("run/podman/podman.sock"), "var/run/docker.sock");
        symlink(real, machine.dir.path().join(link)).unwrap();
        let all = hosts(&machine.places());
        assert_eq!(all.len(), 7);
        assert!(!all.iter().any(|host| host.ends_with("run/podman/podman.sock")), "{all:?}");
    }

    #[test]
    fn the_error_says_what_each_place_said_and_only_names_those_that_are_not_there() {
        let machine = Machine::new(&[("XDG_RUNTIME_DIR", "/nowhere")]);
        machine.write("var/run/docker.sock", "");
        machine.context("ci", "tcp://ci:1");
        let places = machine.places();
        let said: Vec<String> = places.all.iter().map(|_| "refused".to_owned()).collect();
        let line = none_of(&places, &said);
        for part in
            ["tcp://ci:1 (context `ci`): refused", "docker.sock (Docker): refused; no socket at /nowhere/docker.sock, "]
        {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
        assert!(line.contains(".colima/") && line.contains("set DOCKER_HOST") && !line.contains('\n'), "{line}");
    }

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
    fn the_current_context_is_read() {
        let current = |text: &str| current_context(config(&[("config.json", text)]).path());
        assert_eq!(current(r#"{"auths":{},"currentContext":"ci"}"#), Ok(Some("ci".to_owned())));
        for text in [r#"{"currentContext":"default"}"#, r#"{"currentContext":""}"#, "{}", r#"{"currentContext":1}"#] {
            assert_eq!(current(text), Ok(None), "{text}");
        }
        assert_eq!(current_context(Path::new("/nowhere")), Ok(None));
    }

    #[test]
    fn a_configuration_that_is_there_has_to_be_usable() {
        type Make = fn(&Path);
        let said = |make: Make| {
            let machine = Machine::new(&[]);
            let path = machine.dir.path().join("home/.docker/config.json");
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            make(&path);
            let places = machine.places();
            assert_eq!(places.all.len(), 9, "a sweep asks the engines that it finds");
            places.unusable().unwrap()
        };
        let fifo = |path: &Path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        let cases: [(Make, &str); 4] = [
            (fifo, "it is no regular file"),
            (|path| std::fs::create_dir(path).unwrap(), "it is no regular file"),
            (|path| symlink("/nowhere", path).unwrap(), "No such file"),
            (|path| std::fs::write(path, "{").unwrap(), "EOF"),
        ];
        for (make, why) in cases {
            let line = said(make);
            assert!(line.starts_with("no engine: Docker's configuration can't be used: cannot read /"), "{line}");
            assert!(line.contains(why) && line.ends_with("; DOCKER_CONTEXT=default goes without it"), "{line}");
        }
    }

    #[test]
    fn a_current_context_that_can_not_be_used_is_not_replaced_by_what_is_there() {
        for (host, why) in [("ssh://ada@ci", "ssh:// is not supported"), ("nonsense", "is no address")] {
            let machine = Machine::new(&[]);
            machine.context("ci", host);
            let line = machine.places().unusable().unwrap();
            assert!(line.starts_with("no engine: context `ci` can't be used: ") && line.contains(why), "{line}");
        }
        let machine = Machine::new(&[("DOCKER_CONTEXT", "default")]);
        machine.context("ci", "ssh://ada@ci");
        assert_eq!(machine.places().unusable(), None);
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
        let found = address_of_context(dir.path(), "ci").unwrap();
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
        assert!(address_of_context(dir.path(), "ssh").unwrap_err().contains("ssh:// is not supported"));
        assert!(address_of_context(dir.path(), "none").unwrap_err().contains("names no engine"));
        assert!(address_of_context(dir.path(), "other").unwrap_err().contains("there is no context `other`"));
    }
}
