//! Reads every setting once: its variable, its forms, its default; and the target, key and policies that follow from
//! them.

mod key;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use self::key::local_key;
pub(crate) use self::key::{local_target, target_of_key};
use crate::environment::{
    Access, Address, Given, Package, Remarks, Setting, Sources, address, cloud_target as cloud, http_url,
    mirror_is_safe, project_of, server, unreadable,
};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::target::{
    ClusterAddress, JvmCache, LocalKind, LocalTarget, OnExit, OnSuspended, Origin, Security, ServerSettings, Target,
    UrlTarget,
};
use crate::version::RequestedVersion;
use crate::wire::{Named, Policy, Spec};

/// The version of local servers unless something says otherwise: the newest release when this crate was released.
const VERSION: RequestedVersion = RequestedVersion { major: 6, minor: 4, patch: Some(3) };

/// The session of a server that no test uses.
pub(crate) const STANDING: &str = "up";
/// Longer than it can be asked for.
const STANDS_AT_MOST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// When the schema of an attempt outlives it: `CRATEDB_TEST_KEEP_SCHEMA`, or `keep_schema` of the attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepSchema {
    /// After every test.
    Always,
    /// After no test.
    Never,
    /// After a test that failed.
    OnFailure,
}

/// The cluster that a test asks for. It takes precedence over the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub(crate) version: Option<RequestedVersion>,
    pub(crate) nodes: Option<u32>,
    pub(crate) settings: ServerSettings,
    pub(crate) security: Security,
}

impl Wanted {
    /// The attribute knows the same limit.
    const MOST_NODES: u32 = 9;

    /// Checks settings that code gives.
    pub(crate) fn settings_of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<ServerSettings> {
        ServerSettings::of(pairs).map_err(|why| {
            Error::new(Kind::Setting, "no server can be started with these settings of CrateDB").because(why)
        })
    }

    /// Reads how a server is to let clients in, from code or a command.
    pub(crate) fn security_of(auth: Option<&str>, tls: bool) -> Result<Security> {
        let password = match auth {
            None | Some("trust") => false,
            Some("password") => true,
            Some(other) => {
                return Err(Error::new(Kind::Setting, format!("cannot use auth=`{other}`"))
                    .hint("accepted for `auth`: `password`, or `trust`, which asks for none"));
            }
        };
        Ok(Security { password, tls })
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.nodes {
            Some(nodes) if !(1..=Self::MOST_NODES).contains(&nodes) => {
                Err(Error::new(Kind::Setting, format!("no cluster can have this number of nodes: {nodes}"))
                    .hint(format!("accepted: 1 to {}", Self::MOST_NODES)))
            }
            _ => Ok(()),
        }
    }
}

/// The settings of one package's tests.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) spec: Spec,
    pub(crate) keep_schema: KeepSchema,
    pub(crate) start_timeout: Duration,
    /// `CRATEDB_TEST_OUTER`: this process and everything above it are no runners.
    pub(crate) outer: Option<u32>,
    /// `CRATEDB_TEST_SESSION_IDLE`: how long an explicit session lives without a lease.
    pub(crate) session_idle: Duration,
    /// `CRATEDB_TEST_SESSION`: the explicit session of this process.
    pub(crate) session: Option<Named>,
    /// Notes on settings from which a failure to get the cluster may come.
    pub(crate) remarks: Remarks,
}

impl Settings {
    /// Reads the settings of a package whose tests run.
    pub(crate) fn of_package(package: &Package, wanted: Wanted) -> Result<Self> {
        let mut settings = Self::load(&package.dir, wanted)
            .map_err(|error| package.note.iter().fold(error, |error, note| error.hint(note)))?;
        settings.spec.notes.extend(package.note.clone());
        Ok(settings)
    }

    /// Reads the environment of this process, then `.env` files from `manifest_dir` up to the root of the project, then
    /// the one in the working directory.
    pub(crate) fn load(manifest_dir: &Path, wanted: Wanted) -> Result<Self> {
        let sources = Sources::of_process(manifest_dir)?;
        Self::read(&sources, manifest_dir, wanted).map_err(|error| Remarks::of(&sources).on(error))
    }

    /// Reads the settings of a server of this machine that no test uses, and that stands for so long after it was last
    /// asked for. Clusters that settings name are left alone.
    pub(crate) fn standing(manifest_dir: &Path, wanted: Wanted, lasting: Duration) -> Result<Self> {
        let sources = Sources::of_process(manifest_dir)?;
        let read = Self::read_standing(&sources, manifest_dir, wanted, lasting);
        read.map_err(|error| Remarks::of(&sources).on(error))
    }

    fn read_standing(sources: &Sources, manifest_dir: &Path, wanted: Wanted, lasting: Duration) -> Result<Self> {
        let mut read = Self::with(sources, manifest_dir, wanted, |reader| reader.standing())?;
        // Its session ends it, and no limit beside that.
        let policy =
            Policy { keep_warm: 0, max_lifetime: millis(STANDS_AT_MOST), on_exit: OnExit::Auto, ..read.spec.policy };
        (read.spec.policy, read.spec.report, read.session_idle) = (policy, None, lasting);
        read.spec.project.clear();
        read.in_session(STANDING)
    }

    fn read(sources: &Sources, manifest_dir: &Path, wanted: Wanted) -> Result<Self> {
        Self::with(sources, manifest_dir, wanted, |reader| reader.target())
    }

    fn with(
        sources: &Sources,
        manifest_dir: &Path,
        wanted: Wanted,
        target: impl FnOnce(&mut TargetReader<'_>) -> Result<(Target, String)>,
    ) -> Result<Self> {
        let start_timeout = sources.lasting("CRATEDB_TEST_START_TIMEOUT", Duration::from_secs(15 * 60))?;
        let on_exit = sources.choice(
            "CRATEDB_TEST_ON_EXIT",
            &[("auto", OnExit::Auto), ("suspend", OnExit::Suspend), ("keep", OnExit::Keep), ("delete", OnExit::Delete)],
            OnExit::Auto,
        )?;
        let on_suspended = sources.choice(
            "CRATEDB_TEST_ON_SUSPENDED",
            &[("fail", OnSuspended::Fail), ("resume", OnSuspended::Resume)],
            OnSuspended::Fail,
        )?;
        let policy = Policy {
            keep_warm: millis(sources.duration("CRATEDB_TEST_KEEP_WARM", Duration::ZERO)?),
            max_lifetime: millis(sources.lasting("CRATEDB_TEST_MAX_LIFETIME", Duration::from_secs(2 * 60 * 60))?),
            start_timeout: millis(start_timeout),
            on_exit,
            on_suspended,
        };
        let keep_default = if sources.get("CI").is_some() { KeepSchema::Never } else { KeepSchema::OnFailure };
        let keep_schema = sources.choice(
            "CRATEDB_TEST_KEEP_SCHEMA",
            &[("always", KeepSchema::Always), ("never", KeepSchema::Never), ("on-failure", KeepSchema::OnFailure)],
            keep_default,
        )?;
        let project = project_of(manifest_dir);
        let remarks = Remarks::of(sources);
        let mut reader =
            TargetReader { sources, project: &project, wanted, on_exit, stands: false, notes: Vec::new(), remarks };
        let (target, key) = target(&mut reader)?;
        let spec = Spec {
            key,
            target,
            policy,
            // The keeper's working directory is the root.
            report: sources.get("CRATEDB_TEST_REPORT").map(|path| project.join(path).display().to_string()),
            log: sources.get("CRATEDB_TEST_LOG").unwrap_or_else(|| "info".into()),
            notes: reader.notes,
            project: project.display().to_string(),
        };
        let outer = sources.number("CRATEDB_TEST_OUTER")?;
        let session_idle = sources.lasting("CRATEDB_TEST_SESSION_IDLE", Duration::from_secs(10 * 60))?;
        let remarks = reader.remarks;
        let read = Self { spec, keep_schema, start_timeout, outer, session_idle, session: None, remarks };
        match sources.get("CRATEDB_TEST_SESSION") {
            Some(name) => read.in_session(&name),
            None => Ok(read),
        }
    }

    /// Returns where releases come from, for a command that fetches one without a session.
    #[cfg(feature = "process")]
    pub(crate) fn origin(manifest_dir: &Path) -> Result<Origin> {
        origin(&Sources::of_process(manifest_dir)?)
    }

    /// Returns the time limit for a download that no test waits for: `CRATEDB_TEST_START_TIMEOUT`, or else an hour.
    pub(crate) fn time_to_fetch(manifest_dir: &Path) -> Result<Duration> {
        Sources::of_process(manifest_dir)?.lasting("CRATEDB_TEST_START_TIMEOUT", Duration::from_secs(60 * 60))
    }

    /// Returns what an hour of a cluster costs: `CRATEDB_TEST_PRICE`, an amount with or without a currency.
    pub(crate) fn price(manifest_dir: &Path) -> Result<Option<String>> {
        Ok(Sources::of_process(manifest_dir)?.get("CRATEDB_TEST_PRICE"))
    }

    /// Returns these settings in the explicit session `name`.
    pub(crate) fn in_session(self, name: &str) -> Result<Self> {
        let session = Some(named(name.to_owned(), millis(self.session_idle))?);
        Ok(Self { session, ..self })
    }
}

/// Checks a session's name, which goes into commands, messages and lists.
fn named(name: String, idle: u64) -> Result<Named> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err(
            unreadable("CRATEDB_TEST_SESSION", &name).hint("accepted: 1 to 64 of letters, digits, `.`, `_` and `-`")
        );
    }
    Ok(Named { name, idle })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Auto,
    Url,
    Cloud,
    Container,
    Process,
}

/// Finds which cluster is meant.
struct TargetReader<'a> {
    sources: &'a Sources,
    project: &'a Path,
    wanted: Wanted,
    on_exit: OnExit,
    stands: bool,
    /// Lines about the settings that people should know.
    notes: Vec<String>,
    remarks: Remarks,
}

impl TargetReader<'_> {
    /// Returns the target and the key of its keeper. They follow from settings alone, so that no test probes an engine.
    ///
    /// A test that wants a version, a number of nodes, settings, a password or TLS gets a cluster of this machine,
    /// unless the provider is named: neither a server given by its URL nor a cluster of the Cloud can be had in another
    /// version.
    fn target(&mut self) -> Result<(Target, String)> {
        let choice = self.choice()?;
        let excluded =
            |provider| ["url", "cloud"].map(|name| format!("{name}: CRATEDB_TEST_PROVIDER={provider} excludes it"));
        match (choice, address(&Given::default(), self.sources, &mut self.notes)?) {
            (Choice::Auto, Some(_)) if self.wanted != Wanted::default() => {
                let excluded = |name| {
                    format!(
                        "{name}: a test that wants a version, nodes, settings, a password or TLS runs on this machine"
                    )
                };
                let local = self.local(LocalKind::Auto, ["url", "cloud"].map(excluded).into())?;
                let wishes = "a version, nodes, settings, a password or TLS";
                self.notes.push(format!("the configured cluster is not used for tests that want {wishes}"));
                Ok(local)
            }
            (Choice::Auto | Choice::Url, Some(Address::Url(url))) => {
                self.without_settings("url")?;
                self.without_security("url")?;
                let (target, key, remarks) = url_target(self.sources, &url, &mut self.notes)?;
                self.remarks = remarks;
                Ok((target, key))
            }
            (Choice::Auto | Choice::Cloud, Some(Address::Cluster(cluster))) => {
                self.without_settings("cloud")?;
                self.without_security("cloud")?;
                cloud_target(self.sources, cluster)
            }
            (Choice::Url, _) => Err(missing("url", "CRATEDB_CLUSTER_URL is not set")
                .hint("set CRATEDB_CLUSTER_URL, for example to http://localhost:4200")),
            (Choice::Cloud, _) => Err(missing("cloud", "neither CRATEDB_CLUSTER_ID nor CRATEDB_CLUSTER_NAME is set")
                .hint("set one of them, or CRATEDB_TEST_PROVIDER=auto")),
            (Choice::Auto, None) => self.local(LocalKind::Auto, lacking(self.sources)),
            (Choice::Process, _) => self.local(LocalKind::Process, excluded("process").into()),
            (Choice::Container, _) => self.local(LocalKind::Container, excluded("container").into()),
        }
    }

    fn choice(&self) -> Result<Choice> {
        self.sources.choice(
            "CRATEDB_TEST_PROVIDER",
            &[
                ("auto", Choice::Auto),
                ("url", Choice::Url),
                ("cloud", Choice::Cloud),
                ("container", Choice::Container),
                ("process", Choice::Process),
            ],
            Choice::Auto,
        )
    }

    /// Returns a server of this machine that no test uses.
    fn standing(&mut self) -> Result<(Target, String)> {
        (self.stands, self.on_exit) = (true, OnExit::Auto);
        let kind = match self.choice()? {
            Choice::Container => LocalKind::Container,
            Choice::Process => LocalKind::Process,
            Choice::Auto | Choice::Url | Choice::Cloud => LocalKind::Auto,
        };
        self.local(kind, Vec::new())
    }

    /// Refuses settings for a server that the harness does not start.
    fn without_settings(&self, provider: &str) -> Result<()> {
        let asked = match (self.wanted.settings.is_empty(), self.sources.get(SETTINGS)) {
            (false, _) => "the settings that the test wants",
            (true, Some(_)) => SETTINGS,
            (true, None) => return Ok(()),
        };
        Err(Error::new(Kind::Setting, format!("cannot use {asked} with the provider `{provider}`"))
            .because(format!(
                "CrateDB reads them when it starts, and the harness does not start {}",
                server_of(provider)
            ))
            .hint("CRATEDB_TEST_PROVIDER=container or process starts servers on this machine")
            .hint("an `exclusive` test can change by SET GLOBAL what CrateDB lets change while it runs"))
    }

    /// Refuses `auth` and `tls` for a server that the harness does not start.
    fn without_security(&self, provider: &str) -> Result<()> {
        let Security { password, tls } = self.wanted.security;
        let set = security(self.sources)?;
        let asked = match (password, tls, set.password) {
            (true, _, _) => "the `auth = \"password\"` that the test wants",
            (false, true, _) => "the `tls` that the test wants",
            _ if set.is_open() => return Ok(()),
            (.., true) => "CRATEDB_TEST_AUTH=`password`",
            (.., false) => "CRATEDB_TEST_TLS=`1`",
        };
        let (own, hint) = match provider {
            "url" => ("lets clients in as it was set up to", "CRATEDB_USERNAME and CRATEDB_PASSWORD log in there"),
            _ => ("has a password and TLS of its own", "leave it out: statements go there over TLS, with a token"),
        };
        Err(Error::new(Kind::Setting, format!("cannot use {asked} with the provider `{provider}`"))
            .because(format!("{} {own}, and the harness does not start it", server_of(provider)))
            .hint(hint)
            .hint("CRATEDB_TEST_PROVIDER=container or process starts servers on this machine"))
    }

    /// Returns a cluster of this machine. `lacking` says why neither `url` nor `cloud` was chosen.
    fn local(&mut self, kind: LocalKind, lacking: Vec<String>) -> Result<(Target, String)> {
        let (sources, wanted) = (self.sources, self.wanted.clone());
        // The keeper's working directory is the root, so a relative path is made absolute here.
        let home = sources.get("CRATEDB_HOME").filter(|_| kind != LocalKind::Container);
        let home = home.map(|home| self.project.join(home).display().to_string());
        if home.is_some() && wanted.version.is_none() {
            self.note_ignored();
        }
        let named = sources.get("CRATEDB_VERSION").filter(|_| home.is_none());
        let named = named.map(|text| text.parse().map_err(|_| unreadable_version(&text))).transpose()?;
        let version = wanted.version.or(named);
        let mut target = LocalTarget {
            kind,
            image: image(sources, wanted.version, version.unwrap_or(VERSION)),
            version: if home.is_some() { version } else { Some(version.unwrap_or(VERSION)) },
            nodes: wanted.nodes.unwrap_or(1),
            settings: wanted.settings.over(&server_settings(sources)?),
            // Other commands have to find the way into one that stands, and no file has its password.
            security: if self.stands { Security::default() } else { wanted.security.or(security(sources)?) },
            project: self.project.display().to_string(),
            key: String::new(),
            home,
            origin: origin(sources)?,
            jvm_cache: jvm_cache(sources)?,
            stands: self.stands,
            outlives: self.on_exit == OnExit::Keep,
            lacking,
        };
        target.key = local_key(&target);
        let key = target.key.clone();
        Ok((Target::Local(target), key))
    }

    /// Notes which settings an installation overrides: to name one is a choice, and it wins over a container. Where a
    /// test wants a version, the installation may be one of another version, and then these settings count.
    fn note_ignored(&mut self) {
        for (name, why) in [
            ("CRATEDB_TEST_IMAGE", "CRATEDB_HOME is set, so no container is used"),
            ("CRATEDB_VERSION", "the version is the one in CRATEDB_HOME"),
        ] {
            self.notes.extend(self.sources.get(name).map(|_| format!("{name} is ignored: {why}")));
        }
    }
}

fn server_of(provider: &str) -> &'static str {
    match provider {
        "url" => "the server of CRATEDB_CLUSTER_URL",
        _ => "a cluster of CrateDB Cloud",
    }
}

fn missing(provider: &str, cause: &str) -> Error {
    Error::new(Kind::Setting, format!("cannot use CRATEDB_TEST_PROVIDER=`{provider}`")).because(cause)
}

fn url_target(sources: &Sources, given: &Setting, notes: &mut Vec<String>) -> Result<(Target, String, Remarks)> {
    let server = server(given, &Given::default(), sources, notes)?;
    let key = format!("url|{}", server.url);
    let target = UrlTarget { url: server.url, username: server.username, password: server.password };
    Ok((Target::Url(target), key, server.remarks))
}

/// Returns a cluster of the Cloud. One that is named without credentials is an error: no other provider takes its
/// place.
fn cloud_target(sources: &Sources, cluster: ClusterAddress) -> Result<(Target, String)> {
    let access = Access::find(&Given::default(), sources)
        .map_err(|error| error.needed_to(&format!("cannot use {cluster} of CrateDB Cloud")))?;
    let address = match &cluster {
        ClusterAddress::Id(id) => format!("id:{id}"),
        ClusterAddress::Name(name) => format!("name:{name}"),
        ClusterAddress::Url(url) => format!("url:{url}"),
    };
    let key = format!("cloud|{}|{address}|{}", access.endpoint, access.login.fingerprint());
    let target = cloud(&Given::default(), sources, access, cluster)?;
    Ok((Target::Cloud(Box::new(target)), key))
}

/// Returns the container image. A test that wants a version gets that tag of the image that is set. An image that is
/// pinned by a digest stays as it is, and its server's own version is compared.
fn image(sources: &Sources, wanted: Option<RequestedVersion>, version: RequestedVersion) -> String {
    match (sources.get("CRATEDB_TEST_IMAGE"), wanted) {
        (None, _) => format!("crate:{version}"),
        (Some(image), None) => image,
        (Some(image), Some(_)) if image.contains('@') => image,
        // A colon before a slash belongs to the port of a registry.
        (Some(image), Some(wanted)) => match image.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => format!("{name}:{wanted}"),
            _ => format!("{image}:{wanted}"),
        },
    }
}

/// Reads `CRATEDB_TEST_MIRROR` and `CRATEDB_TEST_SHA256`.
fn origin(sources: &Sources) -> Result<Origin> {
    let mirror = sources.setting("CRATEDB_TEST_MIRROR").map(|named| mirror(&named, sources)).transpose()?;
    let digests = sources.get("CRATEDB_TEST_SHA256").map(|text| digests(&text)).transpose()?.unwrap_or_default();
    Ok(Origin { mirror, digests })
}

/// Reads a mirror. A value that is refused is not shown, since it may hold a password.
fn mirror(named: &Setting, sources: &Sources) -> Result<Secret> {
    let path = named.value.strip_prefix("file://").unwrap_or(&named.value);
    if path.starts_with('/') {
        return Ok(Secret::new(path));
    }
    let accepted = "accepted: https://host/path, http://host/path, /path or file:///path";
    let url = http_url(&named.name, &named.value, accepted)?;
    mirror_is_safe(&url, named, sources)?;
    Ok(Secret::new(url))
}

/// Reads the digests: there are several, since tests may want several versions.
fn digests(text: &str) -> Result<Vec<String>> {
    let each = text.split([',', ' ']).filter(|digest| !digest.is_empty());
    let read = |digest: &str| match digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(digest.to_ascii_lowercase()),
        false => Err(unreadable("CRATEDB_TEST_SHA256", digest)
            .hint("accepted: SHA-256 digests of 64 hexadecimal digits, with commas between them")),
    };
    each.map(read).collect()
}

/// The variable with the settings of all servers that tests start.
const SETTINGS: &str = "CRATEDB_TEST_SETTINGS";

fn server_settings(sources: &Sources) -> Result<ServerSettings> {
    let Some(text) = sources.get(SETTINGS) else { return Ok(ServerSettings::default()) };
    ServerSettings::parse(&text).map_err(|why| {
        let accepted = format!("accepted: {}", ServerSettings::FORM);
        Error::new(Kind::Setting, format!("cannot use {SETTINGS}")).because(why).hint(accepted)
    })
}

/// The variables that say how all servers that tests start let clients in.
const AUTH: &str = "CRATEDB_TEST_AUTH";
const TLS: &str = "CRATEDB_TEST_TLS";

fn security(sources: &Sources) -> Result<Security> {
    let password = sources.choice(AUTH, &[("trust", false), ("password", true)], false)?;
    let tls = sources.choice(TLS, &[("0", false), ("1", true)], false)?;
    Ok(Security { password, tls })
}

fn jvm_cache(sources: &Sources) -> Result<JvmCache> {
    // A machine of a CI service is gone before it pays, and what runs after a job's end may be held against it.
    let auto = if sources.get("CI").is_some() { JvmCache::Use } else { JvmCache::Make };
    sources.choice("CRATEDB_TEST_JVM_CACHE", &[("auto", auto), ("0", JvmCache::Off), ("1", JvmCache::Make)], auto)
}

fn unreadable_version(text: &str) -> Error {
    let accepted = format!("accepted for servers of this machine: {}", RequestedVersion::FORMS);
    unreadable("CRATEDB_VERSION", text).hint(accepted).hint("CRATEDB_TEST_IMAGE names an image with any other tag")
}

/// Says why a local server is used. It is shown if this machine can't start one either.
fn lacking(sources: &Sources) -> Vec<String> {
    let credentials =
        sources.get("CRATEDB_CLOUD_API_KEY").is_some() || sources.get("CRATEDB_CLOUD_API_SECRET").is_some();
    let cloud = if credentials {
        "cloud: credentials are set, but neither CRATEDB_CLUSTER_ID nor CRATEDB_CLUSTER_NAME says which cluster"
    } else {
        "cloud: CRATEDB_CLUSTER_ID or CRATEDB_CLUSTER_NAME, CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET are not set"
    };
    let looked = sources.looked().map(|looked| format!("settings: {looked}"));
    ["url: CRATEDB_CLUSTER_URL is not set".into(), cloud.into()].into_iter().chain(looked).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
