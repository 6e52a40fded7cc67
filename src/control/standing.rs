//! Starts a server of this machine to develop against, which stands until it is taken down or not used for long.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use tokio::sync::Notify;

use super::Finished;
use super::finish::finish_key;
use super::status::{Lying, lying, working_directory};
use super::sweep::repair_once;
use crate::background;
use crate::error::{Error, Kind, Result};
use crate::host::{KeyFiles, Places};
use crate::seed;
use crate::session::Hold;
use crate::settings::{STANDING, Settings, Wanted, local_target};
use crate::sql::{Credentials, SqlClient, Wallet};
use crate::target::Target;
use crate::wire::{ClusterOutcome, Ready, SessionState};

/// The schema of statements that name none.
const SCHEMA: &str = "doc";

/// A server to develop against.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// `6.4.3` or `6.4`; the one of the settings if not given.
    pub version: Option<String>,
    /// The number of nodes, 1 to 9.
    pub nodes: Option<u32>,
    /// Settings of CrateDB: names and values.
    pub settings: Vec<(String, String)>,
    /// The time that it stands after it was last asked for.
    pub lasting: Duration,
}

/// A server that stands.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// Describes it.
    pub name: String,
    /// CrateDB's version.
    pub version: String,
    /// The address for HTTP, which is that of the administration interface as well.
    pub http_url: String,
    /// The address for PostgreSQL drivers, if it has one.
    pub pg_url: Option<String>,
    /// The hash of its key, which selects it.
    pub hash: String,
    /// The time at which it is removed if it is not asked for again, in Unix seconds.
    pub until: Option<i64>,
    /// True if it was started just now.
    pub new: bool,
}

/// A server that one thread starts and another one may give up.
pub struct Raising {
    settings: Settings,
    files: KeyFiles,
    /// It stood before.
    stood: bool,
    given_up: Arc<Notify>,
    /// Locked while a thread waits for it.
    waits: Mutex<()>,
}

impl Raising {
    /// Reads the settings of a package. Nothing is started before [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// When the wish or a setting can't be read.
    pub fn new(manifest_dir: &Path, wish: &Wish) -> Result<Self> {
        let version = wish.version.as_deref().map(str::parse).transpose()?;
        let pairs = wish.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let wanted = Wanted { version, nodes: wish.nodes, settings: Wanted::settings_of(pairs)?, ..Wanted::default() };
        wanted.check()?;
        let settings = Settings::standing(manifest_dir, wanted, wish.lasting)?;
        let files = Places::find()?.key(&settings.spec.key);
        let stood = address(&Lying::look(files.clone())).is_some();
        Ok(Self { settings, files, stood, given_up: Arc::default(), waits: Mutex::default() })
    }

    /// Starts the server, or finds the one that stands. Executes the files in their order on one that it started.
    ///
    /// # Errors
    ///
    /// When the server can't be started, when a statement fails, and when it is given up. [`give_up`](Self::give_up)
    /// removes what was started.
    pub fn wait(&self, files: &[PathBuf], on_progress: impl Fn(&str) + Send + Sync + 'static) -> Result<Standing> {
        let _waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let given_up = self.given_up.clone();
        let on_progress = Arc::new(on_progress);
        let given_up = async move { given_up.notified().await };
        // Its end is that of this process's part, and not of the session.
        let hold = Hold::visit(self.settings.clone(), Some(on_progress.clone()), given_up)?;
        let ready = hold.ready()?;
        if !self.stood {
            files.iter().try_for_each(|file| {
                on_progress(&format!("executing {}", file.display()));
                execute(&ready, file)
            })?;
        }
        drop(hold);
        let standing = Standing::look(&Lying::look(self.files.clone()), !self.stood)?;
        // Its keeper may not have heard yet that this process has left.
        let until =
            OffsetDateTime::now_utc().unix_timestamp().saturating_add_unsigned(self.settings.session_idle.as_secs());
        standing.map(|standing| Standing { until: Some(until), ..standing }).ok_or_else(|| {
            Error::new(Kind::Session, "the server is not there any more").because("it was taken down just now")
        })
    }

    /// Returns whether it stood before.
    pub fn stood(&self) -> bool {
        self.stood
    }

    /// Ends the wait for a server that did not stand before, and removes it.
    ///
    /// # Errors
    ///
    /// When the removal takes longer than `wait`.
    pub fn give_up(&self, wait: Option<Duration>, on_trouble: &dyn Fn(&str)) -> Result<Finished> {
        let key = &self.settings.spec.key;
        let remove = || finish_key(&self.files, key, Some(STANDING), None, wait, on_trouble);
        self.given_up.notify_one();
        // A statement that is executed ends with its server. A thread that has not joined yet may still do so.
        let removed = remove()?;
        drop(self.waits.lock().unwrap_or_else(PoisonError::into_inner));
        match removed.outcome {
            ClusterOutcome::Nothing => remove(),
            _ => Ok(removed),
        }
    }
}

impl Standing {
    /// Asks a server that stands for its version. None if its keeper does not tell where it is.
    fn look(lying: &Lying, new: bool) -> Result<Option<Self>> {
        let (Some(snapshot), Some(http_url)) = (lying.told(), address(lying)) else { return Ok(None) };
        let client = SqlClient::new(&http_url, None, Wallet::new(Credentials::None))?;
        let version = background::wait(async move { client.version().await })?;
        let session = snapshot.sessions.iter().find(|session| session.name.as_deref() == Some(STANDING));
        Ok(Some(Self {
            name: snapshot.resource.clone().unwrap_or_default(),
            version: version.to_string(),
            http_url,
            pg_url: snapshot.pg_url.clone(),
            hash: lying.files.hash.clone(),
            until: session.and_then(|session| session.until),
            new,
        }))
    }
}

/// Returns the address of a server that stands.
fn address(lying: &Lying) -> Option<String> {
    let snapshot = lying.told()?;
    let stands = |session: &SessionState| session.name.as_deref() == Some(STANDING) && !session.over;
    snapshot.http_url.clone().filter(|_| snapshot.sessions.iter().any(stands))
}

/// Executes the statements of a file.
fn execute(ready: &Ready, file: &Path) -> Result<()> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::new(Kind::Usage, format!("cannot read {name}")).because(error))?;
    let client = SqlClient::for_statements(
        &ready.http_url,
        Some(SCHEMA),
        Wallet::of_server(ready.credentials.clone(), ready.authority.clone()),
    )?;
    background::wait(async move { seed::execute(&client, &name, seed::without_mark(&text)).await })
}

/// Returns the servers of the project of the working directory that stand.
///
/// # Errors
///
/// When the directories can't be read, and when a server does not answer.
pub fn standing() -> Result<Vec<Standing>> {
    all()?.iter().filter_map(|lying| Standing::look(lying, false).transpose()).collect()
}

/// Removes the servers of the project of the working directory that stand, and what a killed keeper left of them.
///
/// # Errors
///
/// When the directories can't be read, and when a removal takes longer than `wait`.
pub fn take_down(wait: Duration, on_trouble: &dyn Fn(&str)) -> Result<Vec<Finished>> {
    let kept = all()?.into_iter().filter(|lying| lying.is_kept() || lying.owed().is_some());
    let remove = |lying: Lying| {
        let mut removed = finish_key(&lying.files, &lying.key, Some(STANDING), None, Some(wait), on_trouble)?;
        if removed.outcome == ClusterOutcome::Owed
            && let Some(target) = local_target(&lying.key)
            && let Some(end) = repair_once(&lying.files, &Target::Local(target), wait, on_trouble)?
        {
            (removed.outcome, removed.detail) = end;
        }
        Ok(removed)
    };
    kept.map(remove).collect()
}

/// Returns the keys of servers that are to stand, of the project of the working directory.
fn all() -> Result<Vec<Lying>> {
    let project = crate::environment::project_of(&working_directory()?).display().to_string();
    let ours = |key: &Lying| local_target(&key.key).is_some_and(|target| target.stands && target.project == project);
    Ok(lying()?.into_iter().filter(ours).collect())
}
