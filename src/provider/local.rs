//! Servers of this machine: a process of the installation that is named, else a container, else a process of a
//! downloaded installation; or one error that says what each provider lacks.

#[cfg(feature = "process")]
use std::path::Path;
use std::time::{Duration, Instant};

use super::Ours;
#[cfg(feature = "container")]
use super::container::{self, ContainerProvider, Engine};
#[cfg(feature = "process")]
use super::download::Downloads;
#[cfg(any(feature = "container", feature = "process"))]
use super::guard::Entrance;
use super::jvm::{self, CacheLock, Training, TrainingSlot};
use super::memory::Memory;
#[cfg(feature = "process")]
use super::process::{self, ProcessProvider};
use super::{Acquired, Foreseen, Held, Intents, NotAcquired, Progress, Released, Resource};
use crate::error::{Error, Kind, Result};
use crate::sql::{Credentials, SqlClient, Wallet};
use crate::target::{LocalKind, LocalTarget, OnExit, Security};
use crate::version::Version;
use crate::wait::{self, Look};

/// The settings of every server that tests start. Each one exists in all versions from 5.10 on: a server does not start
/// with a setting that it does not know.
pub(super) const SETTINGS: [&str; 4] = [
    // A disk that other programs have filled must not make tables read-only.
    "cluster.routing.allocation.disk.threshold_enabled=false",
    // Every test has tables of its own; the default is 1000 shards.
    "cluster.max_shards_per_node=10000",
    // Many tables can be created at the same time.
    "cluster.routing.allocation.node_initial_primaries_recoveries=64",
    // Test runs are not usage worth reporting.
    "udc.enabled=false",
];

/// The settings of a cluster of one node. It joins no other node, does not insist on limits of the kernel, and elects
/// itself at once. By default it would wait for a random part of 100 ms, which several nodes need to avoid a tie.
pub(super) const SINGLE_NODE: [&str; 2] = ["discovery.type=single-node", "cluster.election.initial_timeout=1ms"];

/// Killing a server and deleting its data takes milliseconds. A machine that needs longer than this is in trouble, and
/// the keeper tries again.
pub(super) const REMOVAL: Duration = Duration::from_secs(60);

/// The source of a server of this machine.
enum Choice {
    /// The installation that `CRATEDB_HOME` names.
    Installation(String),
    Container(Engine),
    /// A release of the cache, downloaded if it is missing. `lacks` says why no container is used.
    Release {
        lacks: String,
    },
}

/// No engine is found without the feature.
#[cfg(not(feature = "container"))]
enum Engine {}

/// Returns the engine that answers, or why there is none.
#[cfg(feature = "container")]
async fn find_engine(progress: &Progress) -> Result<Engine, String> {
    // A process may take its place, but not in silence.
    Engine::unusable().into_iter().for_each(|why| progress.step(why));
    Engine::find().await
}

#[cfg(not(feature = "container"))]
async fn find_engine(_: &Progress) -> Result<Engine, String> {
    Err("cratedb-test was built without its feature `container`".to_owned())
}

#[cfg(feature = "container")]
async fn foresee_container(engine: &Engine, image: &str) -> Result<Foreseen> {
    let there = match engine.image_id(image).await? {
        Some(_) => "the engine has its image",
        None => "its image is pulled first",
    };
    Ok(Foreseen::new("container", format!("a container of {image} at {}; {there}", engine.host())))
}

#[cfg(not(feature = "container"))]
async fn foresee_container(engine: &Engine, _: &str) -> Result<Foreseen> {
    match *engine {}
}

/// Starts servers on this machine.
///
/// An installation that is named is a choice. It is used instead of a container, and an error if it is unusable. It is
/// passed over only if a test wants another version.
///
/// Otherwise the container engine that answers is used, and it is an error if it cannot start the container. Without an
/// engine, an installation is downloaded.
pub(crate) struct LocalProvider {
    target: LocalTarget,
    memory: Memory,
    /// The JVM's cache that the started server lacks. It is made when the server is no longer needed.
    training: TrainingSlot,
    #[cfg(feature = "process")]
    downloads: Downloads,
}

impl LocalProvider {
    pub(super) fn new(target: LocalTarget) -> Self {
        Self {
            target,
            memory: Memory::default(),
            training: TrainingSlot::default(),
            #[cfg(feature = "process")]
            downloads: Downloads::of_this_machine(),
        }
    }

    pub(super) async fn acquire(&self, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        let acquired = self.start(deadline, progress, intents).await;
        if acquired.is_ok() {
            self.memory.is_up()
        } else {
            self.memory.free()
        }
        acquired
    }

    async fn start(&self, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        for (name, cleared) in clear_trainings(false).await {
            if let Some(Err(error)) = cleared {
                tracing::warn!(%error, name, "what a killed trainer left stays");
            }
        }
        match self.choose(progress).await.map_err(NotAcquired::nothing)? {
            Choice::Installation(home) => self.acquire_process(&home, deadline, progress, intents).await,
            Choice::Container(engine) => self.acquire_container(&engine, deadline, progress, intents).await,
            Choice::Release { lacks } => match self.extracted(deadline, progress).await {
                Ok(home) => self.acquire_process(&home, deadline, progress, intents).await,
                Err(why) => Err(NotAcquired::nothing(self.nothing_usable(&lacks, &why))),
            },
        }
    }

    /// Returns what a server is started from. Asks engines whether they answer, and changes nothing.
    async fn choose(&self, progress: &Progress) -> Result<Choice> {
        if let Some(home) = &self.target.home
            && self.fits(home, progress)?
        {
            return Ok(Choice::Installation(home.clone()));
        }
        let lacks = match self.target.kind {
            LocalKind::Process => "CRATEDB_TEST_PROVIDER=process excludes it".to_owned(),
            LocalKind::Auto | LocalKind::Container => match find_engine(progress).await {
                Ok(engine) => return Ok(Choice::Container(engine)),
                Err(lacks) => lacks,
            },
        };
        match self.target.kind {
            LocalKind::Container => Err(self.nothing_usable(&lacks, "CRATEDB_TEST_PROVIDER=container excludes it")),
            _ => Ok(Choice::Release { lacks }),
        }
    }

    /// Says what [`LocalProvider::acquire`] would start a server from, and why. Starts, pulls and downloads nothing.
    pub(super) async fn foresee(&self, progress: &Progress) -> Result<Foreseen> {
        let foreseen = self.foresee_open(progress).await?;
        let guarded = match self.target.security {
            Security { password: true, tls: true } => ", with a password and TLS",
            Security { password: true, tls: false } => ", with a password",
            Security { password: false, tls: true } => ", with TLS",
            Security { password: false, tls: false } => return Ok(foreseen),
        };
        Ok(Foreseen { what: foreseen.what + guarded, ..foreseen })
    }

    async fn foresee_open(&self, progress: &Progress) -> Result<Foreseen> {
        match self.choose(progress).await? {
            Choice::Installation(home) => self.foresee_process(&home).await,
            Choice::Container(engine) => foresee_container(&engine, &self.target.image).await,
            Choice::Release { lacks } => {
                let foreseen = self.foresee_release().await;
                let foreseen = foreseen.map_err(|why| self.nothing_usable(&lacks, &why))?;
                Ok(foreseen.because(format!("container: {lacks}")))
            }
        }
    }

    #[cfg(feature = "process")]
    async fn foresee_process(&self, home: &str) -> Result<Foreseen> {
        ProcessProvider::new(home, &self.target).check().await?;
        let version = process::installation::version(Path::new(home));
        let version = version.map_or_else(|| "of an unknown version".to_owned(), |version| version.to_string());
        Ok(Foreseen::new("process", format!("a process of CrateDB {version} in {home}")))
    }

    #[cfg(not(feature = "process"))]
    async fn foresee_process(&self, home: &str) -> Result<Foreseen> {
        Err(without("process", &format!("cannot use CRATEDB_HOME=`{home}`")))
    }

    /// Foresees a process of a downloaded release, or says why there can't be one.
    #[cfg(feature = "process")]
    async fn foresee_release(&self) -> Result<Foreseen, String> {
        let Some(wanted) = self.target.version else { return Err("no version is asked for".to_owned()) };
        let found = self.downloads.foresee(wanted, &self.target.origin);
        Ok(Foreseen::new("process", found.map_err(|error| error.to_string().replace('\n', "\n  "))?))
    }

    #[cfg(not(feature = "process"))]
    async fn foresee_release(&self) -> Result<Foreseen, String> {
        Err("cratedb-test was built without its feature `process`".to_owned())
    }

    /// Waits for memory, since servers of several versions start at the same time. A download needs none and comes
    /// first.
    async fn has_memory(&self, deadline: Instant, progress: &Progress) -> Result<(), NotAcquired> {
        self.memory.reserve(&self.target, deadline, progress).await.map_err(NotAcquired::nothing)
    }

    /// Returns whether the named installation has the version that is asked for, if one is.
    #[cfg(feature = "process")]
    fn fits(&self, home: &str, progress: &Progress) -> Result<bool> {
        let Some(wanted) = self.target.version else { return Ok(true) };
        match process::installation::version(Path::new(home)) {
            Some(version) if wanted.includes(version) => Ok(true),
            Some(version) => {
                progress.step(format!("CRATEDB_HOME=`{home}` is passed over: it has CrateDB {version}, not {wanted}"));
                Ok(false)
            }
            // Whatever else is wrong with it is reported when it is used.
            None if !Path::new(home).join("lib").is_dir() => Ok(true),
            None => Err(Error::new(Kind::Setting, format!("cannot use CRATEDB_HOME=`{home}` for CrateDB {wanted}"))
                .because("its lib/ does not tell which version it has: there is no crate-app-<version>.jar")),
        }
    }

    #[cfg(not(feature = "process"))]
    fn fits(&self, _: &str, _: &Progress) -> Result<bool> {
        Ok(true)
    }

    /// Returns the directory of a downloaded installation, or why there is none.
    #[cfg(feature = "process")]
    async fn extracted(&self, deadline: Instant, progress: &Progress) -> Result<String, String> {
        let Some(wanted) = self.target.version else { return Err("no version is asked for".to_owned()) };
        let obtained = self.downloads.obtain(wanted, &self.target.origin, deadline, progress).await;
        let obtained = obtained.map_err(|error| error.to_string().replace('\n', "\n  "))?;
        match obtained.dir.to_str() {
            Some(home) => Ok(home.to_owned()),
            None => Err(format!("the path of the cache is not UTF-8: {}", obtained.dir.display())),
        }
    }

    #[cfg(not(feature = "process"))]
    async fn extracted(&self, _: Instant, _: &Progress) -> Result<String, String> {
        Err("cratedb-test was built without its feature `process`".to_owned())
    }

    #[cfg(feature = "process")]
    async fn acquire_process(&self, home: &str, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        self.has_memory(deadline, progress).await?;
        let process = ProcessProvider::new(home, &self.target);
        let acquired = process.acquire(deadline, progress, intents).await;
        self.training.put(process.training.take());
        acquired
    }

    /// Starts what is worth doing after the release. Nothing waits for it, and nothing depends on it.
    pub(super) fn afterwards(&self) {
        if let Some(training) = self.training.take()
            && let Err(error) = training.start()
        {
            tracing::warn!(%error, "no cache is made");
        }
    }

    #[cfg(not(feature = "process"))]
    async fn acquire_process(&self, home: &str, _: Instant, _: &Progress, _: &Intents) -> Acquired {
        Err(NotAcquired::nothing(without("process", &format!("cannot use CRATEDB_HOME=`{home}`"))))
    }

    #[cfg(feature = "container")]
    async fn acquire_container(
        &self,
        engine: &Engine,
        deadline: Instant,
        progress: &Progress,
        intents: &Intents,
    ) -> Acquired {
        self.has_memory(deadline, progress).await?;
        let container = ContainerProvider::new(self.target.clone());
        let acquired = container.acquire(engine, deadline, progress, intents).await;
        self.training.put(container.training.take());
        acquired
    }

    #[cfg(not(feature = "container"))]
    async fn acquire_container(&self, engine: &Engine, _: Instant, _: &Progress, _: &Intents) -> Acquired {
        match *engine {}
    }

    /// Removes the server in any case, since nothing tells what its tests left in it.
    pub(super) async fn recover(
        &self,
        held: &Held,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Option<Resource>> {
        remove(held, deadline, progress).await.map(|()| None)
    }

    pub(super) async fn release(&self, held: &Held, on_exit: OnExit, progress: &Progress) -> Result<Released> {
        let released = match held {
            #[cfg(feature = "process")]
            Held::Process(held) => process::release(held, on_exit, progress).await,
            #[cfg(feature = "container")]
            Held::Container(held) => container::release(held, on_exit, progress).await,
            _ => Err(cannot_let_go(held)),
        };
        self.memory.free();
        released
    }

    /// Returns the error with one line for each provider, in the order in which they are tried.
    fn nothing_usable(&self, container: &str, process: &str) -> Error {
        let why = match self.target.kind {
            LocalKind::Process => "CRATEDB_TEST_PROVIDER=process, and no release can be started",
            LocalKind::Container => "CRATEDB_TEST_PROVIDER=container, and no container can be started",
            LocalKind::Auto if self.target.home.is_some() => {
                "CRATEDB_HOME has another version, and this machine can start no other"
            }
            LocalKind::Auto => "no server is configured, and this machine can start none",
        };
        let error = Error::new(Kind::Provider, "no CrateDB for the tests").because(why);
        let local = [format!("container: {container}"), format!("process: {process}")];
        self.target.lacking.iter().cloned().chain(local).fold(error, Error::hint)
    }
}

/// Removes a server of this machine with its data.
async fn remove(held: &Held, deadline: Instant, progress: &Progress) -> Result<()> {
    match held {
        #[cfg(feature = "process")]
        Held::Process(held) => process::remove(held, deadline, progress).await,
        #[cfg(feature = "container")]
        Held::Container(held) => container::remove(held, deadline, progress).await,
        _ => Err(cannot_let_go(held)),
    }
}

/// Describes a server that was started and answers.
#[cfg(any(feature = "container", feature = "process"))]
pub(super) fn resource(
    name: String,
    http_url: String,
    pg_port: Option<u16>,
    entrance: Entrance,
    version: Version,
    held: Held,
) -> Resource {
    let Entrance { credentials, authority } = entrance;
    let (user, password) = match &credentials {
        Credentials::Basic { username, password } => (Some(username.as_str()), Some(password)),
        _ => (None, None),
    };
    let pg_url = pg_port.and_then(|port| super::url::pg_url(&http_url, port, user, password));
    Resource {
        provider: if matches!(held, Held::Process(_)) { "process" } else { "container" }.to_owned(),
        name,
        pg_hint: pg_url.is_none().then(|| format!("the server at {http_url} does not speak PostgreSQL")),
        pg_url,
        user: None,
        http_url,
        credentials,
        authority,
        version,
        clock: None,
        ours: Ours::Started,
        console: None,
        held,
        nodes: None,
    }
}

/// Returns the last lines of a log, at most `most`. Stack frames of Java are left out: some messages have more frames
/// below them than an error quotes lines.
pub(super) fn last_lines<'a>(log: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<String> {
    let is_frame = |line: &str| {
        let text = line.trim_start();
        text.len() < line.len() && (text.starts_with("at ") || text.starts_with("... "))
    };
    let told = |line: &&str| !line.trim().is_empty() && !is_frame(line);
    let lines: Vec<&str> = log.into_iter().filter(told).collect();
    lines[lines.len().saturating_sub(most)..].iter().map(|line| (*line).to_owned()).collect()
}

/// Adds the last lines of a server's log to an error.
pub(super) fn quoting(error: Error, log: &str, lines: Vec<String>) -> Error {
    if lines.is_empty() {
        return error.hint(format!("{log} is empty"));
    }
    lines.into_iter().fold(error.hint(format!("the end of {log}:")), |error, line| error.hint(format!("| {line}")))
}

/// Waits until `nodes` nodes are one healthy cluster.
pub(super) async fn nodes_joined(
    url: &str,
    wallet: &Wallet,
    nodes: u32,
    deadline: Instant,
    progress: &Progress,
) -> Result<()> {
    let client = SqlClient::new(url, None, wallet.clone())?;
    let look = || async {
        let counted = client.rows::<(i64,)>("SELECT count(*) FROM sys.nodes").await;
        let here = match counted {
            Ok(rows) => rows.first().map_or(0, |(count,)| *count),
            Err(error) => return Ok(Look::not_yet(&error)),
        };
        if here != i64::from(nodes) {
            return Ok(Look::NotYet(format!("{here} of {nodes} nodes are in the cluster")));
        }
        // Versions before 6.0 have no such table.
        match client.rows::<(String,)>("SELECT health FROM sys.cluster_health").await {
            Ok(rows) if rows.iter().any(|(health,)| health != "GREEN") => {
                Ok(Look::NotYet(format!("all {nodes} nodes are in the cluster, which is {}", rows[0].0)))
            }
            Err(error) if error.code() != Some(4041) => Ok(Look::not_yet(&error)),
            _ => Ok(Look::Ready(())),
        }
    };
    let changed = |status: &str| progress.step(format!("waiting for {nodes} nodes: {status}"));
    wait::until(&format!("{nodes} nodes at {url}"), wait::LOCAL, deadline, changed, look).await
}

/// Makes a cache for the JVM. The trainer's process calls this.
pub(super) async fn train(training: &Training) -> Result<()> {
    let Some(mut lock) = training.begin()? else {
        tracing::info!("another trainer makes it, or has made it");
        return Ok(());
    };
    clear(&mut lock).await?;
    match &training.subject {
        #[cfg(feature = "process")]
        jvm::TrainingSubject::Process { home } => process::train(training, home, &mut lock).await,
        #[cfg(feature = "container")]
        jvm::TrainingSubject::Container { image, engine } => container::train(training, image, engine, &mut lock).await,
        #[cfg(not(all(feature = "process", feature = "container")))]
        _ => Err(without("container", "cannot make a cache for the JVM")),
    }
}

/// Removes what killed trainers left: servers, which are dead, and their data. Returns the name of each and how its
/// removal ended. With `dry_run` nothing is removed.
pub(super) async fn clear_trainings(dry_run: bool) -> Vec<(String, Option<Result<()>>)> {
    let mut all = Vec::new();
    for mut lock in jvm::roots().iter().flat_map(|root| jvm::left_below(root)) {
        let name = match &lock.left {
            Some(Held::Process(held)) => format!("process {}", held.name),
            Some(Held::Container(held)) => format!("container {}", held.name),
            _ => String::new(),
        };
        let cleared = if dry_run { None } else { Some(clear(&mut lock).await) };
        all.push((name, cleared));
    }
    all
}

async fn clear(lock: &mut CacheLock) -> Result<()> {
    if let Some(held) = &lock.left {
        tracing::info!(%held, "a trainer was killed; removing what it left");
        let progress = Progress::new(tokio::sync::mpsc::unbounded_channel().0);
        remove(held, Instant::now() + REMOVAL, &progress).await?;
        lock.settle();
    }
    Ok(())
}

/// Returns the error for a server that this build cannot let go of: one with other features has started it.
fn cannot_let_go(held: &Held) -> Error {
    let attempted = format!("cannot let go of {held}");
    match held {
        Held::Process(_) => without("process", &attempted),
        Held::Container(_) => without("container", &attempted),
        other => other.mismatch("a local server"),
    }
}

fn without(feature: &str, attempted: &str) -> Error {
    Error::new(Kind::Provider, attempted)
        .because(format!("cratedb-test was built without its feature `{feature}`"))
        .hint(format!("add `{feature}` to the features of cratedb-test in Cargo.toml"))
}

/// A machine without a container engine. The environment says which engine there is, so each case runs this test binary
/// again with another environment.
#[cfg(all(test, feature = "container"))]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::process::Command;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use crate::provider::{Intents, Progress, Provider};
    use crate::target::{LocalTarget, OnExit, Target};

    const INNER: &str = "CRATEDB_TEST_INNER_CASE";
    const BEGIN: &str = "<<<";

    /// Returns what an acquisition says with this engine, and how long it took.
    fn failure_with(engine: &str) -> (String, Duration) {
        let begun = Instant::now();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "provider::local::tests::inner_case", "--nocapture"])
            .env("DOCKER_HOST", engine)
            .env("XDG_CACHE_HOME", std::env::temp_dir().join("cratedb-test-no-cache"))
            .env(INNER, "1")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (_, text) =
            text.split_once(BEGIN).unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        (text.split(">>>").next().unwrap().to_owned(), begun.elapsed())
    }

    /// Does nothing unless it is started by another test.
    #[tokio::test]
    async fn inner_case() {
        if std::env::var_os(INNER).is_none() {
            return;
        }
        let target = LocalTarget::of_image("crate:6.4.3");
        let provider = Provider::chain(&Target::Local(target)).unwrap();
        let progress = Progress::new(tokio::sync::mpsc::unbounded_channel().0);
        let intents = Intents::new(Arc::new(|_| panic!("nothing is started")));
        let failed =
            provider.acquire(Instant::now() + Duration::from_secs(60), &progress, &intents).await.err().unwrap();
        assert!(!failed.maybe_up);
        let held = serde_json::json!({ "provider": "container", "name": "cratedb-test-00000000" });
        let held = serde_json::from_value(held).unwrap();
        let kept = provider
            .recover(&held, OnExit::Auto, Instant::now() + Duration::from_secs(60), &progress, &intents)
            .await
            .err()
            .unwrap();
        println!("{BEGIN}{}\n---\n{kept}>>>", failed.error);
    }

    #[track_caller]
    fn is_one_error_with_four_entries(engine: &str, container: &str) {
        let (text, took) = failure_with(engine);
        let (failure, kept) = text.split_once("\n---\n").unwrap();
        let lines: Vec<_> = failure.lines().collect();
        assert_eq!(lines[0], "no CrateDB for the tests: no server is configured, and this machine can start none");
        assert_eq!(lines[1], "  url: CRATEDB_CLUSTER_URL is not set");
        assert_eq!(lines[2], "  cloud: neither CRATEDB_CLUSTER_ID nor CRATEDB_CLUSTER_NAME is set");
        let named = format!("  container: no engine at {engine}, which DOCKER_HOST names: ");
        let unusable = format!("  container: no engine: DOCKER_HOST can't be used: `{engine}`");
        let expected = if engine.contains(':') { named } else { unusable };
        assert!(lines[3].starts_with(&expected) && lines[3].contains(container), "{text}");
        assert!(lines[4].starts_with("  process: cannot download http://127.0.0.1:1/"), "{text}");
        assert!(
            lines[4].contains("no connection") && lines[5].starts_with("    it can be put there by hand, as "),
            "{text}"
        );
        assert_eq!(lines.len(), 7, "{text}");
        assert!(kept.starts_with("cannot remove container cratedb-test-00000000: no engine"), "{text}");
        assert!(kept.ends_with("when it runs again: docker rm -v -f cratedb-test-00000000"), "{text}");
        assert!(took < Duration::from_secs(4), "{took:?}");
    }

    #[test]
    fn without_an_engine_there_is_one_error_with_four_entries() {
        is_one_error_with_four_entries("unix:///nowhere/docker.sock", "/nowhere/docker.sock");
        is_one_error_with_four_entries("tcp://127.0.0.1:1", "refused");
    }

    #[test]
    fn an_engine_that_hangs_is_given_up_after_a_second() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        is_one_error_with_four_entries(&format!("unix://{}", socket.display()), "did not answer within 900ms");
    }

    #[test]
    fn an_engine_that_is_none_is_told() {
        is_one_error_with_four_entries("nonsense", "accepted: unix:///path, tcp://host:port");
    }

    /// Checks an installation with these files in its `lib/`, or without a `lib/`.
    #[cfg(feature = "process")]
    fn fits(jars: Option<&[&str]>, wanted: Option<&str>) -> (crate::Result<bool>, String) {
        let home = tempfile::tempdir().unwrap();
        if let Some(jars) = jars {
            std::fs::create_dir(home.path().join("lib")).unwrap();
            jars.iter().for_each(|jar| std::fs::write(home.path().join("lib").join(jar), "").unwrap());
        }
        let version = wanted.map(|wanted| wanted.parse().unwrap());
        let local = super::LocalProvider::new(LocalTarget { version, ..LocalTarget::of_image("crate:6.4.3") });
        let (sender, mut steps) = tokio::sync::mpsc::unbounded_channel();
        let fits = local.fits(home.path().to_str().unwrap(), &Progress::new(sender));
        (fits, steps.try_recv().unwrap_or_default())
    }

    #[test]
    #[cfg(feature = "process")]
    fn an_installation_of_another_version_than_a_test_wants_is_passed_over_and_that_is_said() {
        let jars =
            ["crate-server-6.4.3.jar", "crate-app-6.4.3.jar", "crate-libs-cli-6.4.3.jar", "lucene-core-10.4.0.jar"];
        for wanted in [None, Some("6.4"), Some("6.4.3")] {
            let (fits, said) = fits(Some(&jars), wanted);
            assert!(fits.unwrap() && said.is_empty(), "{wanted:?}: {said}");
        }
        for wanted in ["5.10", "6.4.2"] {
            let (fits, said) = fits(Some(&jars), Some(wanted));
            assert!(!fits.unwrap() && said.contains(&format!("it has CrateDB 6.4.3, not {wanted}")), "{said}");
        }
        let (unknown, _) = fits(Some(&["lucene-core-10.4.0.jar"]), Some("6.4.3"));
        assert!(unknown.unwrap_err().to_string().contains("there is no crate-app-<version>.jar"));
        // Nothing is asked for, or it is no installation at all, which is said when it is used.
        assert!(fits(Some(&[]), None).0.unwrap() && fits(None, Some("6.4.3")).0.unwrap());
    }
}
