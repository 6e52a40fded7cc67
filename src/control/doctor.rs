//! Examines what the next test run of a package would use, and what would keep it from starting. Nothing is started,
//! made or changed, and only container engines are asked anything.

mod variables;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use self::variables::Shown;
use super::status::{KeyStatus, keys};
use crate::environment::{Access, Given, Setting, Source, Sources, project_of};
use crate::error::{Error, Kind, Result};
use crate::host::{Places, process, user_cache};
use crate::provider::{EngineSeen, Foreseen, Progress, Provider, survey_engines};
use crate::settings::Settings;
use crate::target::{ClusterAddress, LocalTarget, Target};

/// The longest time for which engines are waited for. Each is given less than a second.
const PATIENCE: Duration = Duration::from_secs(90);

/// The findings about the next test run of a package.
#[derive(Clone, Debug, Serialize)]
pub struct Examination {
    /// The directory of the package.
    pub package: PathBuf,
    /// The root of its project, up to which `.env` files are read.
    pub project: PathBuf,
    /// The cluster that would be used; none if a run can't start.
    pub cluster: Option<Foreseen>,
    /// The variables that are set, in the order of their documentation.
    pub settings: Vec<SettingSeen>,
    /// The files that settings were looked for in.
    pub looked: Option<String>,
    /// The credentials for CrateDB Cloud, if there are any.
    pub credentials: Option<CredentialsSeen>,
    /// The places at which a container engine was looked for.
    pub engines: Vec<EngineSeen>,
    /// The directories of the harness.
    pub directories: Vec<Directory>,
    /// The keys for which a cluster is, or may be, up that no run uses.
    pub owed: Vec<KeyStatus>,
    /// The name of the explicit session that the run would belong to.
    pub session: Option<String>,
    /// Things to know that keep no run from starting.
    pub notes: Vec<String>,
    /// The problems, with their remedies.
    pub problems: Vec<Problem>,
}

/// A variable of the harness that is set.
#[derive(Clone, Debug, Serialize)]
pub struct SettingSeen {
    /// The name of the variable.
    pub name: String,
    /// The value, unless it is a secret or may hold one.
    pub value: Option<String>,
    /// `the environment`, or the path of a `.env` file.
    pub from: String,
}

/// Credentials for CrateDB Cloud. Whether they are valid is not asked.
#[derive(Clone, Debug, Serialize)]
pub struct CredentialsSeen {
    /// The address of CrateDB Cloud.
    pub endpoint: String,
    /// A description of where they come from.
    pub from: String,
}

/// A directory of the harness.
#[derive(Clone, Debug, Serialize)]
pub struct Directory {
    /// Its contents.
    pub holds: &'static str,
    /// Its path.
    pub path: PathBuf,
    /// True if it exists.
    pub exists: bool,
}

/// Something that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// The problem in the first line, and what helps in those below.
    pub message: String,
    /// True if a test run can't start.
    pub blocks: bool,
}

/// Examines what the next test run of the package in `dir` would use. The settings are read as a test process reads
/// them whose working directory is that of this process.
///
/// # Errors
///
/// When no runtime can be started. All else that is wrong is among the problems.
pub fn examine(dir: &Path) -> Result<Examination> {
    let mut found = Examination {
        package: dir.to_owned(),
        project: project_of(dir),
        cluster: None,
        settings: Vec::new(),
        looked: None,
        credentials: None,
        engines: Vec::new(),
        directories: Vec::new(),
        owed: Vec::new(),
        session: None,
        notes: Vec::new(),
        problems: Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::new(Kind::Session, "cannot start a runtime").because(error))?;
    let (settings, sources) = (Settings::load(dir, Default::default()), Sources::of_process(dir));
    runtime.block_on(async {
        found.foresee(&settings, sources.as_ref().ok()).await;
        found.engines = survey_engines().await;
    });
    if let Ok(sources) = &sources {
        found.read(sources);
    }
    found.look_at_places();
    found.look_at_ancestry(settings.as_ref().ok());
    Ok(found)
}

impl Examination {
    /// Returns true if a test run can't start.
    pub fn is_blocked(&self) -> bool {
        self.problems.iter().any(|problem| problem.blocks)
    }

    fn blocked(&mut self, error: &Error) {
        self.problems.push(Problem { message: error.to_string(), blocks: true });
    }

    /// Asks the code of a test run which cluster it would use.
    async fn foresee(&mut self, settings: &Result<Settings>, sources: Option<&Sources>) {
        let settings = match settings {
            Ok(settings) => settings,
            Err(error) => return self.blocked(error),
        };
        self.notes.extend(settings.spec.notes.clone());
        self.session = settings.session.as_ref().map(|session| session.name.clone());
        let target = &settings.spec.target;
        let (sender, mut steps) = tokio::sync::mpsc::unbounded_channel();
        let foreseen = async { Provider::chain(target)?.foresee(target, &Progress::new(sender)).await };
        let foreseen = tokio::time::timeout(PATIENCE, foreseen).await.unwrap_or_else(|_| {
            let time = humantime::format_duration(PATIENCE);
            Err(Error::new(Kind::Provider, format!("the container engine did not answer within {time}")))
        });
        while let Ok(step) = steps.try_recv() {
            self.notes.push(step);
        }
        match foreseen {
            Ok(mut foreseen) => {
                let chosen = sources.map(|sources| because(target, sources)).unwrap_or_default();
                foreseen.because.splice(0..0, chosen);
                self.cluster = Some(foreseen);
            }
            Err(error) => self.blocked(&settings.remarks.on(error)),
        }
    }

    /// Lists the variables that are set, and the credentials.
    fn read(&mut self, sources: &Sources) {
        self.looked = sources.looked();
        let set = variables::ALL.iter().filter_map(|(name, shown)| Some(seen(&sources.setting(name)?, *shown)));
        self.settings = set.collect();
        self.notes.extend(unknown(sources));
        match Access::find(&Given::default(), sources) {
            Ok(access) => {
                self.credentials = Some(CredentialsSeen { endpoint: access.endpoint, from: access.origin });
            }
            // Without any there is nothing to say; a cluster that needs them has said it.
            Err(error) => {
                let half = ["CRATEDB_CLOUD_API_KEY", "CRATEDB_CLOUD_API_SECRET"];
                let is_half = half.iter().any(|name| sources.get(name).is_some());
                let said = self.is_blocked();
                if !said && (is_half || !error.is_not_allowed()) {
                    self.problems.push(Problem { message: error.to_string(), blocks: false });
                }
            }
        }
    }

    /// Looks at the directories, and at what earlier runs left.
    fn look_at_places(&mut self) {
        let places = match Places::planned() {
            Ok(places) => places,
            Err(error) => return self.blocked(&error),
        };
        if let Err(error) = places.check() {
            return self.blocked(&error);
        }
        let cache = user_cache().map(|cache| ("releases and caches of the JVM", cache.join("cratedb-test")));
        let all = [("journals and logs", places.state.clone()), ("sockets and locks", places.runtime.clone())];
        let seen = |(holds, path): (_, PathBuf)| Directory { holds, exists: path.is_dir(), path };
        self.directories = all.into_iter().chain(cache).map(seen).collect();
        // Where no run has been, nothing is owed; asking would make the directories.
        if !self.directories[..2].iter().any(|directory| directory.exists) {
            return;
        }
        match keys() {
            Ok(keys) => self.owed = keys.into_iter().filter(is_owed).collect(),
            Err(error) => self.problems.push(Problem { message: error.to_string(), blocks: false }),
        }
        for key in &self.owed {
            let what = key.resource.as_deref().unwrap_or(&key.key);
            let message = format!("{what} may be up although no run uses it\n  `cargo cratedb sweep` releases it");
            self.problems.push(Problem { message, blocks: false });
        }
    }

    /// Tells what is peculiar about the place at which a test would run.
    fn look_at_ancestry(&mut self, settings: Option<&Settings>) {
        match process::ancestry(settings.and_then(|settings| settings.outer)) {
            Ok(ancestry) if ancestry.doomed => self.notes.push(
                "process 1 of this container is no init: what a run made available is not released if the container \
                 ends with it; put `cargo cratedb test -- …` around the container"
                    .to_owned(),
            ),
            Ok(_) => {}
            Err(error) => self.problems.push(Problem { message: error.to_string(), blocks: true }),
        }
    }
}

/// Returns whether a cluster is, or may be, up that no run uses. One that is kept warm is in use.
fn is_owed(key: &KeyStatus) -> bool {
    key.owed_since.is_some() || key.owes && key.keeper.is_none()
}

/// The variable that chooses the provider.
const PROVIDER: &str = "CRATEDB_TEST_PROVIDER";

/// Says which settings led to a target.
fn because(target: &Target, sources: &Sources) -> Vec<String> {
    let deciding = match target {
        Target::Url(_) => "CRATEDB_CLUSTER_URL",
        Target::Cloud(cloud) => match cloud.cluster {
            ClusterAddress::Id(_) => "CRATEDB_CLUSTER_ID",
            _ => "CRATEDB_CLUSTER_NAME",
        },
        Target::Local(LocalTarget { home: Some(_), .. }) => "CRATEDB_HOME",
        Target::Local(_) => PROVIDER,
    };
    let set = |name| sources.setting(name).map(|setting| format!("{} is set", setting.place()));
    let decided = set(deciding).into_iter();
    match target {
        // Which files were read is said elsewhere.
        Target::Local(LocalTarget { home: None, lacking, .. }) => {
            decided.chain(lacking.iter().filter(|why| !why.starts_with("settings: ")).cloned()).collect()
        }
        _ => decided.chain(set(PROVIDER)).collect(),
    }
}

fn seen(setting: &Setting, shown: Shown) -> SettingSeen {
    let value = match shown {
        Shown::Value => Some(setting.value.clone()),
        Shown::Address => without_secrets(&setting.value),
        Shown::Never => None,
    };
    SettingSeen { name: setting.name.clone(), value, from: setting.origin.clone() }
}

/// Returns an address without user, password and query; none for a text that is no address.
fn without_secrets(text: &str) -> Option<String> {
    if text.starts_with('/') {
        return Some(text.to_owned());
    }
    let mut url = url::Url::parse(text).ok().filter(url::Url::has_host)?;
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    // A password that is not encoded can end up in the path.
    (!url.path().contains('@')).then(|| url.to_string().trim_end_matches('/').to_owned())
}

/// Names the variables that look like settings and are none, such as one with a typing error.
fn unknown(sources: &Sources) -> Vec<String> {
    let strange = |name: &&String| name.starts_with("CRATEDB_") && !variables::is_known(name);
    let mut notes = Vec::new();
    for source in sources.each() {
        let (mut names, place): (Vec<&String>, _) = match source {
            Source::Environment(map) => (map.keys().filter(strange).collect(), "the environment".to_owned()),
            Source::File(path, map) => (map.keys().filter(strange).collect(), path.display().to_string()),
        };
        names.sort();
        notes.extend(names.into_iter().map(|name| format!("{name} in {place} is no setting and is not read")));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_it_may_keep_secret() {
        for (text, shown) in [
            ("https://ada:geheim@host:4200/", Some("https://host:4200")),
            ("http://localhost:4200?token=geheim#geheim", Some("http://localhost:4200")),
            ("https://mirror.example/releases", Some("https://mirror.example/releases")),
            ("/srv/releases", Some("/srv/releases")),
            ("http://ada:gehe/im@host", None),
            ("ada:geheim@host", None),
            ("geheim", None),
        ] {
            assert_eq!(without_secrets(text).as_deref(), shown, "{text}");
        }
    }

    fn of(variables: &[(&str, &str)]) -> Sources {
        let map = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Sources::of(map, &[]).unwrap()
    }

    #[test]
    fn a_variable_that_is_no_setting_is_told_by_its_name_alone() {
        let sources = of(&[("CRATEDB_CLUSTER_NAMES", "geheim"), ("CRATEDB_CLUSTER_NAME", "ci"), ("CRATE_X", "1")]);
        assert_eq!(unknown(&sources), ["CRATEDB_CLUSTER_NAMES in the environment is no setting and is not read"]);
    }

    #[test]
    fn a_secret_is_only_said_to_be_there() {
        let sources = of(&[("CRATEDB_PASSWORD", "geheim"), ("CRATEDB_CLUSTER_URL", "http://ada:geheim@host:4200")]);
        let all: Vec<_> =
            variables::ALL.iter().filter_map(|(name, shown)| Some(seen(&sources.setting(name)?, *shown))).collect();
        assert_eq!(all.len(), 2);
        let json = serde_json::to_string(&all).unwrap();
        assert!(!json.contains("geheim") && json.contains("http://host:4200"), "{json}");
    }
}
