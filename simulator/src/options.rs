//! The options of a simulator, as types.

mod engine;
mod faults;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::state::account::is_project_name;
use crate::state::catalog::{self, Product};
use crate::state::checks::is_uuid;
use crate::state::deploy::Given;
use crate::state::{Beginning, Micros, Pace, State};
pub use engine::{CrateServer, EngineKind};
pub use faults::FaultOptions;
pub(crate) use faults::{Target, Trouble, duration};

/// Default lifetime of a token. The real one is not documented.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);
const USERNAME: &str = "admin";
const PASSWORD: &str = "simulated-password-of-32-letters";

/// The options with which a [`Simulator`](crate::Simulator) starts.
#[derive(Clone)]
pub struct Options {
    /// Address of the control plane; port 0 takes a free one. Gateways always take free ports.
    pub listen: SocketAddr,
    /// Clusters that exist from the start.
    pub clusters: Vec<ClusterOptions>,
    /// The only API key that is accepted; any if absent.
    pub api_key: Option<String>,
    /// The only API secret that is accepted; any if absent.
    pub api_secret: Option<String>,
    /// The engine behind every gateway.
    pub engine: EngineKind,
    /// The pace of operations.
    pub pace: Pace,
    /// The file for every request, one JSON object a line.
    pub requests: Option<PathBuf>,
    /// Lifetime of a database token.
    pub token_lifetime: Duration,
    /// Names of the organizations; if there are none, there is one that is called `Simulated organization`. Each has a
    /// subscription, and a project called `simulator` unless [`projects`](Self::projects) has some of it.
    pub organizations: Vec<String>,
    /// Projects, each with the name of its organization.
    pub projects: Vec<(String, String)>,
    /// The number of requests after which a login session gets a new token in an answer's cookie.
    pub rotate_sessions: Option<u32>,
    /// Faults that are set from the start.
    pub faults: Vec<FaultOptions>,
    /// The file that keeps everything from one run to the next.
    pub state: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            clusters: Vec::new(),
            api_key: None,
            api_secret: None,
            engine: EngineKind::Embedded,
            pace: Pace::Auto(Duration::ZERO),
            requests: None,
            token_lifetime: TOKEN_LIFETIME,
            organizations: Vec::new(),
            projects: Vec::new(),
            rotate_sessions: None,
            faults: Vec::new(),
            state: None,
        }
    }
}

/// Without the secret.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("clusters", &self.clusters)
            .field("api_key", &self.api_key)
            .field("engine", &self.engine)
            .field("pace", &self.pace)
            .field("organizations", &self.organizations)
            .field("faults", &self.faults)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Adds a cluster.
    #[must_use]
    pub fn cluster(mut self, cluster: ClusterOptions) -> Self {
        self.clusters.push(cluster);
        self
    }

    /// Adds an organization.
    #[must_use]
    pub fn organization(mut self, name: impl Into<String>) -> Self {
        self.organizations.push(name.into());
        self
    }

    /// Adds a project to an organization.
    #[must_use]
    pub fn project(mut self, organization: impl Into<String>, name: impl Into<String>) -> Self {
        self.projects.push((organization.into(), name.into()));
        self
    }

    /// Sets the duration of operations.
    #[must_use]
    pub fn operation_time(mut self, time: Duration) -> Self {
        self.pace = Pace::Auto(time);
        self
    }

    /// Lets operations wait for [`Cloud::step`](crate::Cloud::step).
    #[must_use]
    pub fn explicit(mut self) -> Self {
        self.pace = Pace::Explicit;
        self
    }
}

impl Options {
    /// Returns the account at the start: as it was kept, plus the named organizations and projects that it lacks.
    pub(crate) fn account(&self, beginning: Beginning, kept: Option<&State>) -> io::Result<State> {
        let now = beginning.now;
        let mut state = match kept {
            Some(kept) => kept.clone(),
            None if self.organizations.is_empty() => State::new(beginning),
            None => State::empty(beginning),
        };
        for name in
            self.organizations.iter().filter(|name| kept.is_none_or(|kept| kept.organization_named(name).is_none()))
        {
            let has_projects = self.projects.iter().any(|(organization, _)| organization == name);
            let id = match has_projects {
                true => state.add_bare_organization(now, name),
                false => state.add_organization(now, name),
            };
            state.add_subscription_of(now, &id, "contract");
        }
        for (organization, name) in &self.projects {
            self.add_project(now, &mut state, organization, name)?;
        }
        state.rotate_sessions(self.rotate_sessions);
        Ok(state)
    }

    fn add_project(&self, now: Micros, state: &mut State, organization: &str, name: &str) -> io::Result<()> {
        let bad = |why: String| io::Error::other(format!("project `{organization}/{name}`: {why}"));
        let id = state
            .organization_named(organization)
            .ok_or_else(|| bad(format!("there is no organization `{organization}`; add it with --organization")))?;
        if !is_project_name(name) {
            return Err(bad("accepted are letters, digits, `_`, `-` and spaces".into()));
        }
        if !state.has_project(&id, name) {
            state.add_project(now, &id, name, catalog::REGION);
        }
        Ok(())
    }
}

/// A cluster that exists from the start: `name=ci,state=suspended,product=cr1`.
#[derive(Clone)]
pub struct ClusterOptions {
    name: String,
    id: Option<String>,
    suspended: bool,
    product: Product,
    version: String,
    allow_suspend: Option<bool>,
    protected: bool,
    auth: bool,
    organization: Option<String>,
    project: Option<String>,
    username: String,
    password: String,
}

/// Without the password.
impl fmt::Debug for ClusterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suspended = &self.suspended;
        f.debug_struct("ClusterOptions").field("name", &self.name).field("suspended", suspended).finish_non_exhaustive()
    }
}

impl ClusterOptions {
    /// A running cluster of product `cr1`.
    pub fn running(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            id: None,
            suspended: false,
            product: Product::default(),
            version: catalog::STABLE.into(),
            allow_suspend: None,
            protected: false,
            auth: true,
            organization: None,
            project: None,
            username: USERNAME.into(),
            password: PASSWORD.into(),
        }
    }

    /// A suspended cluster of product `cr1`.
    pub fn suspended(name: impl Into<String>) -> Self {
        Self { suspended: true, ..Self::running(name) }
    }

    /// Sets one option as on the command line: `id`, `state`, `product`, `version`, `allow_suspend`, `protected`,
    /// `auth`, `organization`, `project`, `username`, `password`.
    pub fn with(mut self, option: &str, value: &str) -> Result<Self, BadOption> {
        let bad = |accepted: &str| BadOption::new(option, value, accepted);
        match option {
            "name" if !value.is_empty() => self.name = value.into(),
            "name" => return Err(bad("a name")),
            "id" if is_uuid(value) => self.id = Some(value.into()),
            "id" => return Err(bad("a UUID in lower case")),
            "state" => self.suspended = choose(option, value, "suspended", "running")?,
            "product" => {
                self.product = Product::named(value).ok_or_else(|| bad(&Product::names().join(", ")))?;
            }
            "version" if version_fits(value) => self.version = value.into(),
            "version" => return Err(bad("a version such as 6.4.3 or nightly-6.5.0-2026-08-21-00-02")),
            "allow_suspend" => self.allow_suspend = Some(choose(option, value, "true", "false")?),
            "protected" => self.protected = choose(option, value, "true", "false")?,
            "auth" => self.auth = choose(option, value, "on", "off")?,
            "organization" if !value.is_empty() => self.organization = Some(value.into()),
            "organization" => return Err(bad("the name of an organization")),
            "project" if !value.is_empty() => self.project = Some(value.into()),
            "project" => return Err(bad("the name of a project")),
            "username" if !value.is_empty() => self.username = value.into(),
            "username" => return Err(bad("a user name")),
            "password" if !value.is_empty() => self.password = value.into(),
            "password" => return Err(BadOption::new(option, "", "a password")),
            _ => return Err(BadOption::unknown(option)),
        }
        Ok(self)
    }

    /// Returns the name of the cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the error if its organization or project doesn't exist.
    pub(crate) fn nowhere(&self) -> String {
        let part = |name: &str, value: &Option<String>| {
            value.iter().map(|value| format!(" {name} `{value}`")).collect::<String>()
        };
        let (organization, project) = (part("organization", &self.organization), part("project", &self.project));
        format!("cluster `{}`: there is no{organization}{project}; add it with --organization, --project", self.name)
    }

    pub(crate) fn given(&self, url: String) -> Given {
        Given {
            id: self.id.clone(),
            name: self.name.clone(),
            product: self.product,
            version: self.version.clone(),
            username: self.username.clone(),
            password: self.password.clone(),
            suspended: self.suspended,
            allow_suspend: self.allow_suspend.unwrap_or_else(|| self.product.can_be_suspended()),
            protected: self.protected,
            auth: self.auth,
            organization: self.organization.clone(),
            project: self.project.clone(),
            url,
        }
    }
}

impl std::str::FromStr for ClusterOptions {
    type Err = BadOption;

    fn from_str(text: &str) -> Result<Self, BadOption> {
        let mut options = Self::running("");
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (option, value) = part.split_once('=').ok_or_else(|| BadOption::unknown(part))?;
            options = options.with(option, value)?;
        }
        match options.name.is_empty() {
            true => Err(BadOption::new("name", "", "name=<name>, for example name=ci,state=suspended")),
            false => Ok(options),
        }
    }
}

fn choose(option: &str, value: &str, yes: &str, no: &str) -> Result<bool, BadOption> {
    match value {
        value if value == yes => Ok(true),
        value if value == no => Ok(false),
        _ => Err(BadOption::new(option, value, &format!("{yes}, {no}"))),
    }
}

/// Accepts any version of three numbers: a cluster may be older than the versions that are offered for deploys.
fn version_fits(version: &str) -> bool {
    let numbers = version.split('.').filter(|part| part.parse::<u32>().is_ok()).count();
    (numbers == 3 && version.split('.').count() == 3) || version.starts_with("nightly-")
}

/// An option of a cluster that can't be read.
#[derive(Clone, Debug)]
pub struct BadOption(String);

impl BadOption {
    pub(crate) fn text(text: &str) -> Self {
        Self(text.into())
    }

    pub(crate) fn new(option: &str, value: &str, accepted: &str) -> Self {
        Self(format!("{option}=`{value}` can't be read; accepted: {accepted}"))
    }

    fn unknown(option: &str) -> Self {
        Self(format!(
            "unknown option `{option}`; accepted: name=, state=, product=, version=, allow_suspend=, protected=, auth=, \
             id=, organization=, project=, username=, password="
        ))
    }
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadOption {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ClusterOptions, String> {
        text.parse().map_err(|error: BadOption| error.to_string())
    }

    #[test]
    fn reads_every_option_of_a_cluster() {
        let id = "e1e38d92-0000-4000-8000-000000000001";
        let text =
            format!("name=ci,state=suspended,product=crfree,version=5.10.16,allow_suspend=true,auth=off,id={id}");
        let options = read(&text).unwrap();
        assert_eq!((options.name(), options.suspended, options.auth), ("ci", true, false));
        let given = options.given(String::new());
        assert_eq!((given.id.as_deref(), given.allow_suspend, given.version.as_str()), (Some(id), true, "5.10.16"));
    }

    #[test]
    fn free_clusters_may_not_be_suspended_unless_said() {
        assert!(!read("name=a,product=crfree").unwrap().given(String::new()).allow_suspend);
        assert!(read("name=a,product=cr2").unwrap().given(String::new()).allow_suspend);
    }

    #[test]
    fn names_option_value_and_what_is_accepted() {
        assert_eq!(
            read("name=ci,state=asleep").unwrap_err(),
            "state=`asleep` can't be read; accepted: suspended, running"
        );
        assert!(read("name=ci,size=9").unwrap_err().starts_with("unknown option `size`; accepted: name=, state="));
        assert!(read("state=running").unwrap_err().contains("name=<name>"));
    }

    #[test]
    fn no_secret_is_shown() {
        let cluster = read("name=ci,password=hunter2-hunter2").unwrap();
        let options = Options { api_secret: Some("s3cret-s3cret".into()), ..Options::default().cluster(cluster) };
        let shown =
            format!("{options:?} {:?}", crate::Simulator::start_blocking(options.clone()).unwrap().cloud().clusters());
        assert!(shown.contains("\"ci\"") && !shown.contains("hunter2") && !shown.contains("s3cret"), "{shown}");
    }
}
