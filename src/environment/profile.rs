//! `croud`'s profile file, which `croud`, `ctk` and `cargo cratedb` share.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use yaml_serde::{Mapping, Value};

use super::{CLOUD_ENDPOINT, file};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::target::{Login, ProfileName};

/// The profile of a file that does not exist yet, named as `croud` names it.
const DEFAULT_PROFILE: &str = "cratedb.cloud";

const FILE_NAME: &str = "croud.yaml";

/// The file in which `croud`, `ctk` and `cargo cratedb` keep endpoints and logins.
///
/// It is written at login, at logout and when an answer replaces the cookie of a login. Everything else in the file is
/// kept, except for comments, which `croud` does not keep either. Only its owner may read it. The file is replaced
/// atomically, so a reader sees either the old file or the new one.
///
/// ```no_run
/// use cratedb_test::cloud::ProfileFile;
///
/// let file = ProfileFile::find()?;
/// println!("{} is for {}", file.current().name(), file.current().endpoint());
/// # Ok::<(), cratedb_test::Error>(())
/// ```
#[derive(Clone)]
pub struct ProfileFile {
    path: PathBuf,
    content: Mapping,
}

/// One profile of a [`ProfileFile`]: an endpoint and the credentials for it. `Debug` hides the secrets.
#[derive(Clone, Debug)]
pub struct Profile {
    name: String,
    endpoint: String,
    token: Option<Secret>,
    key: Option<String>,
    secret: Option<Secret>,
    region: Option<String>,
    organization_id: Option<String>,
}

impl ProfileFile {
    /// Finds the file of this user, at `$XDG_CONFIG_HOME/Crate/croud.yaml` or `~/.config/Crate/croud.yaml` on Linux,
    /// `~/Library/Application Support/Crate/croud.yaml` on macOS and `%LOCALAPPDATA%\Crate\Crate\croud.yaml` on
    /// Windows. If it does not exist, returns a new one with a profile for CrateDB Cloud, which [`save`](Self::save)
    /// creates.
    ///
    /// # Errors
    ///
    /// When the file can't be read or is not a file of `croud`, and when there is no home directory.
    pub fn find() -> Result<Self> {
        let path = Self::default_path().ok_or_else(|| {
            Error::new(Kind::Setting, format!("cannot find the directory of {FILE_NAME}")).because("HOME is not set")
        })?;
        Self::load_or_empty(&path)
    }

    fn load_or_empty(path: &Path) -> Result<Self> {
        Ok(Self::load_if_there(path)?.unwrap_or_else(|| Self::empty(path.to_owned())))
    }

    /// Loads the file at a path.
    ///
    /// # Errors
    ///
    /// When the file can't be read or is not a file of `croud`.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::load_if_there(path)?.ok_or_else(|| unreadable(path).because("there is no such file"))
    }

    /// Does the same; returns none if nothing has that name.
    pub(crate) fn load_if_there(path: &Path) -> Result<Option<Self>> {
        let Some(text) = file::read(path)? else { return Ok(None) };
        // An error of the parser may quote the text, which may be a secret. The position has to do.
        let content: Mapping = yaml_serde::from_str(&text).map_err(|error| {
            let place =
                error.location().map_or(String::new(), |at| format!(" at line {}, column {}", at.line(), at.column()));
            unreadable(path).because(format!("it is no YAML mapping{place}")).hint("correct it or delete it")
        })?;
        let file = Self { path: path.to_owned(), content };
        file.check()?;
        Ok(Some(file))
    }

    /// Changes the file of this user, which is created if it does not exist. It is read, changed and written under a
    /// lock, so that two processes that change it at once lose nothing of each other's. `croud` takes no such lock.
    ///
    /// ```no_run
    /// use cratedb_test::cloud::ProfileFile;
    ///
    /// ProfileFile::update(|file| file.clear_session())?;
    /// # Ok::<(), cratedb_test::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`find`](Self::find) and of [`save`](Self::save).
    pub fn update<T>(change: impl FnOnce(&mut Self) -> T) -> Result<T> {
        Self::update_at(&Self::find()?.path, change)
    }

    /// The same for the file at a path.
    pub(crate) fn update_at<T>(path: &Path, change: impl FnOnce(&mut Self) -> T) -> Result<T> {
        let fail =
            |error: std::io::Error| Error::new(Kind::Setting, format!("cannot lock {}", path.display())).because(error);
        let directory = path.parent().unwrap_or(Path::new("."));
        make_directory(directory).map_err(fail)?;
        let beside = directory.join(format!(".{FILE_NAME}.lock"));
        let lock = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(beside).map_err(fail)?;
        lock.lock().map_err(fail)?;
        let mut file = Self::load_or_empty(path)?;
        let before = file.content.clone();
        let changed = change(&mut file);
        if file.content != before || !path.exists() {
            file.save()?;
        }
        Ok(changed)
    }

    /// Returns the path of this user's file, whether it exists or not; none without a home directory.
    pub(crate) fn default_path() -> Option<PathBuf> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let directory = match std::env::consts::OS {
            "windows" => {
                let local = set("LOCALAPPDATA").or_else(|| Some(set("USERPROFILE")?.join("AppData").join("Local")))?;
                local.join("Crate")
            }
            // macOS's own place, unless the variable says otherwise: so do the newer releases of what `croud` uses.
            "macos" => set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join("Library/Application Support")))?,
            _ => set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?,
        };
        Some(directory.join("Crate").join(FILE_NAME))
    }

    /// Returns the content that `croud` assumes for a missing file.
    fn empty(path: PathBuf) -> Self {
        let text = format!(
            "default-format: table\ncurrent-profile: {DEFAULT_PROFILE}\nprofiles: {{ {DEFAULT_PROFILE}: \
             {{ auth-token: null, key: null, secret: null, endpoint: '{CLOUD_ENDPOINT}', region: _any_ }} }}"
        );
        Self { path, content: yaml_serde::from_str(&text).expect("valid YAML") }
    }

    /// Checks the parts that everything else here relies on.
    fn check(&self) -> Result<()> {
        let refuse = |cause: String| unreadable(&self.path).because(cause).hint("correct it or delete it");
        let Some(name) = self.content.get("current-profile").and_then(Value::as_str) else {
            return Err(refuse("it has no `current-profile`".to_owned()));
        };
        let profile = self.content.get("profiles").and_then(|profiles| profiles.get(name));
        let Some(profile) = profile.and_then(Value::as_mapping) else {
            return Err(refuse(format!("its `current-profile` is `{name}`, and there is no profile of that name")));
        };
        match profile.get("endpoint").and_then(Value::as_str) {
            Some(_) => Ok(()),
            None => Err(refuse(format!("profile `{name}` has no `endpoint`"))),
        }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reports whether the file exists on disk.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Returns the profile that is in use.
    pub fn current(&self) -> Profile {
        let name = self.content.get("current-profile").and_then(Value::as_str).unwrap_or(DEFAULT_PROFILE);
        self.profile(name).expect("checked when it was read")
    }

    /// Returns a profile by its name.
    pub fn profile(&self, name: &str) -> Option<Profile> {
        let profile = self.content.get("profiles")?.get(name)?;
        let text = |key: &str| {
            let text = profile.get(key).and_then(Value::as_str).map(str::trim)?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        Some(Profile {
            name: name.to_owned(),
            endpoint: text("endpoint")?,
            token: text("auth-token").map(Secret::new),
            key: text("key"),
            secret: text("secret").map(Secret::new),
            region: text("region"),
            organization_id: text("organization-id"),
        })
    }

    /// Lists the names of all profiles.
    pub fn names(&self) -> Vec<String> {
        let profiles = self.content.get("profiles").and_then(Value::as_mapping);
        let names = profiles.into_iter().flat_map(Mapping::keys);
        names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }

    /// Sets the token of a login in the current profile, and the organization it belongs to. Not written to disk until
    /// [`save`](Self::save).
    pub fn set_session(&mut self, token: &str, organization_id: Option<&str>) {
        let name = self.current().name;
        self.set(&name, "auth-token", token.into());
        self.set_organization(organization_id);
    }

    /// Removes the login from the current profile. Not written to disk until [`save`](Self::save).
    pub fn clear_session(&mut self) {
        let name = self.current().name;
        self.set(&name, "auth-token", Value::Null);
        self.set_organization(None);
    }

    /// Sets the organization of the current profile's login. Not written to disk until [`save`](Self::save).
    pub fn set_organization(&mut self, organization_id: Option<&str>) {
        let name = self.current().name;
        self.set(&name, "organization-id", organization_id.map_or(Value::Null, Value::from));
    }

    /// Makes a profile for an endpoint the current one and returns its name: the current one if it is for that
    /// endpoint, else another that is, else a new one, named after the endpoint's host and port. Not written to disk
    /// until [`save`](Self::save).
    pub fn select(&mut self, endpoint: &str) -> String {
        let fits = |profile: &Profile| same_endpoint(&profile.endpoint, endpoint);
        let current = self.current();
        let others = self.names().into_iter().filter_map(|name| self.profile(&name));
        let found = std::iter::once(current).chain(others).find(fits).map(|profile| profile.name);
        let name = found.unwrap_or_else(|| self.add(endpoint));
        self.content.insert("current-profile".into(), name.as_str().into());
        name
    }

    fn add(&mut self, endpoint: &str) -> String {
        let taken = self.names();
        let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
        let base = host.split('/').next().unwrap_or(host).to_owned();
        let mut names = std::iter::once(base.clone()).chain((2..).map(|number| format!("{base}-{number}")));
        let name = names.find(|name| !taken.contains(name)).unwrap_or(base);
        let mut profile = Mapping::new();
        profile.insert("auth-token".into(), Value::Null);
        profile.insert("endpoint".into(), endpoint.into());
        profile.insert("region".into(), "_any_".into());
        if let Some(Value::Mapping(profiles)) = self.content.get_mut("profiles") {
            profiles.insert(name.as_str().into(), profile.into());
        }
        name
    }

    pub(crate) fn set(&mut self, profile: &str, key: &str, value: Value) {
        if let Some(Value::Mapping(profile)) =
            self.content.get_mut("profiles").and_then(|profiles| profiles.get_mut(profile))
        {
            profile.insert(key.into(), value);
        }
    }

    /// Writes the file atomically, readable by its owner only.
    ///
    /// # Errors
    ///
    /// When the file or its directory can't be written.
    pub fn save(&self) -> Result<()> {
        let fail = |error: std::io::Error| {
            Error::new(Kind::Setting, format!("cannot write {}", self.path.display())).because(error)
        };
        let text = yaml_serde::to_string(&self.content)
            .map_err(|_| Error::new(Kind::Setting, format!("cannot write {}", self.path.display())))?;
        // The file may be a link to settings that are kept elsewhere. It stays a link.
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        if std::fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
            // A pipe is what another program serves, which would not see the change.
            return Err(fail(std::io::Error::other("it is no regular file")));
        }
        let directory = path.parent().unwrap_or(Path::new("."));
        make_directory(directory).map_err(fail)?;
        let beside = directory.join(format!(".{FILE_NAME}.{}.{:08x}", std::process::id(), fastrand::u32(..)));
        let written = write_new(&beside, &text).and_then(|()| std::fs::rename(&beside, &path));
        if written.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        written.map_err(fail)
    }
}

impl Profile {
    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the address of the Cloud API that the credentials are for.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the organization of the login.
    pub fn organization_id(&self) -> Option<&str> {
        self.organization_id.as_deref()
    }

    /// Returns the value for `X-Region`.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// Reports whether the profile has a login. If so, its API key is not used.
    pub fn has_session(&self) -> bool {
        self.token.is_some()
    }

    /// Returns the API key, if there is one with a secret.
    pub fn api_key(&self) -> Option<&str> {
        self.secret.as_ref().and(self.key.as_deref())
    }

    pub(crate) fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// Returns the credentials. A login takes precedence over a key, as with `croud`.
    pub(crate) fn login(&self, file: &Path) -> Option<Login> {
        if let Some(token) = &self.token {
            let profile = ProfileName {
                file: file.to_owned(),
                name: self.name.clone(),
                organization_id: self.organization_id.clone(),
            };
            return Some(Login::Session { token: token.clone(), profile: Some(profile) });
        }
        let (key, secret) = (self.key.clone()?, self.secret.clone()?);
        Some(Login::ApiKey { key, secret })
    }
}

impl fmt::Debug for ProfileFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfileFile")
            .field("path", &self.path)
            .field("current", &self.current())
            .finish_non_exhaustive()
    }
}

fn same_endpoint(one: &str, other: &str) -> bool {
    let normal = |text: &str| url::Url::parse(text).map(|url| url.as_str().trim_end_matches('/').to_owned());
    match (normal(one), normal(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

fn unreadable(path: &Path) -> Error {
    Error::new(Kind::Setting, format!("cannot read {}", path.display()))
}

fn make_directory(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
