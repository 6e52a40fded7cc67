//! `login`, `logout` and `whoami`.

mod browser;
mod listener;

use std::time::Duration;

use cratedb_test::cloud::model::{RoleIn, User};
use cratedb_test::cloud::{Client, ProfileFile};
use serde_json::json;

use crate::arguments::{Login, word};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Document, People};
use listener::Listener;

/// The time that a login may take: enough to find a password and a second factor.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Stands for a session in the client that checks the endpoint.
const NO_SESSION: &str = "none yet";

pub(super) async fn whoami(context: &Context) -> Result<Document, Failure> {
    let client = context.client()?;
    context.progress.say_in_passing("asking who you are");
    let user = client.me().await?;
    let document = json!({ "user": user, "endpoint": client.endpoint(), "credentials": client.credentials() });
    let names = [&user.email, &user.username, &user.name];
    let name = names.into_iter().find(|name| !name.is_empty()).cloned().unwrap_or_default();
    let facts = vec![
        ("user", name),
        ("id", user.uid.clone()),
        ("organization", user.organization_id.clone()),
        ("roles", roles(user.organization_roles.iter().chain(&user.project_roles))),
        ("endpoint", client.endpoint().to_owned()),
        ("credentials", client.credentials()),
    ];
    Document::new(&document, People::Facts(facts))
}

fn roles<'a>(roles: impl Iterator<Item = &'a RoleIn>) -> String {
    let said = roles.map(|role| match role.project_id.as_ref().or(role.organization_id.as_ref()) {
        Some(place) => format!("{} in {place}", role.role_fqn),
        None => role.role_fqn.clone(),
    });
    said.collect::<Vec<_>>().join(", ")
}

pub(super) async fn login(context: &Context, login: &Login) -> Result<Document, Failure> {
    let file = ProfileFile::find()?;
    let endpoint = endpoint(context, &file)?;
    let before = file.current().name().to_owned();
    // Before the browser is opened, so that it finds the port open.
    let listener = Listener::bind(login.port).await?;
    let url = format!("{}/oauth2/{}/login?cli=true", endpoint.trim_end_matches('/'), word(login.idp));
    invite(context, login, &url);
    let token = arrived(context, listener).await?;
    context.progress.say_in_passing("asking who you are");
    let path = file.path().display().to_string();
    let (user, profile) = save(&endpoint, &token).await?;
    context.progress.clear();
    if profile != before {
        context.terminal.note(&format!(
            "profile {profile} is used from now on, instead of {before}; `croud` and `ctk` see that too"
        ));
    }
    warn_of_keys(context);
    let document = json!({ "user": user, "endpoint": endpoint, "profile": profile, "file": path });
    let facts = vec![
        ("user", user.email.clone()),
        ("organization", user.organization_id.clone()),
        ("endpoint", endpoint),
        ("profile", format!("{profile} in {path}")),
    ];
    Document::new(&document, People::Facts(facts))
}

/// Returns the endpoint to log in to: that of the option, else of the settings, else of the profile. One to which a
/// session must not be sent is refused before the browser is opened.
fn endpoint(context: &Context, file: &ProfileFile) -> Result<String, Failure> {
    let settings = match context.global.endpoint() {
        Some(endpoint) => Client::builder().endpoint(endpoint),
        None => Client::builder(),
    };
    let endpoint = settings.named_endpoint()?.unwrap_or_else(|| file.current().endpoint().to_owned());
    Ok(Client::builder().endpoint(endpoint).session(NO_SESSION).build()?.endpoint().to_owned())
}

/// Saves a session, once CrateDB Cloud has said whose it is: until then, the login before stays. The file is read anew,
/// since it may have changed while the browser was open.
async fn save(endpoint: &str, token: &str) -> Result<(User, String), Failure> {
    let client = Client::builder().endpoint(endpoint).session(token).build()?;
    let user = client.me().await?;
    let profile = ProfileFile::update(|file| {
        // A session is sent to the endpoint of its profile, so it must not be saved in that of another endpoint.
        let profile = file.select(endpoint);
        // The answer may have replaced the session.
        file.set_login(&client, Some(user.organization_id.as_str()).filter(|id| !id.is_empty()));
        profile
    })?;
    Ok((user, profile))
}

fn invite(context: &Context, login: &Login, url: &str) {
    let opened = !login.no_browser && browser::open(url);
    let text = match (login.no_browser, opened) {
        (true, _) => format!("open this address in a browser on this machine:\n{url}"),
        (false, true) => format!("continue in the browser; if it did not open, use this address:\n{url}"),
        (false, false) => format!("no browser could be started; open this address in one on this machine:\n{url}"),
    };
    context.terminal.tell(&text);
}

async fn arrived(context: &Context, listener: Listener) -> Result<String, Failure> {
    context.progress.say_in_passing("waiting for the browser");
    let limit = context.global.timeout.unwrap_or(LOGIN_TIMEOUT);
    context.has_a_deadline();
    let token = tokio::time::timeout(limit, listener.token()).await;
    token.map_err(|_| {
        let time = humantime::format_duration(limit);
        Failure::new(Code::TimedOut, format!("no login within {time}"))
            .hint("the browser has to run on this machine: it brings the session to localhost")
            .hint("machines use an API key: CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET")
    })
}

fn warn_of_keys(context: &Context) {
    if std::env::var("CRATEDB_CLOUD_API_KEY").is_ok_and(|key| !key.is_empty()) {
        context.terminal.note("CRATEDB_CLOUD_API_KEY is set, and is used instead of this login as long as it is");
    }
}

pub(super) async fn logout(context: &Context) -> Result<Document, Failure> {
    let file = ProfileFile::find()?;
    let profile = file.current();
    let was = profile.has_session();
    if was {
        context.progress.say_in_passing("logging out");
        // The answer of the service does not matter: the session is forgotten here in any case.
        if let Err(error) = end_session(&file).await {
            context.terminal.note(&format!("CrateDB Cloud was not told: {error}"));
        }
        let name = profile.name().to_owned();
        ProfileFile::update(|file| {
            if file.current().name() == name {
                file.clear_session();
            }
        })?;
    }
    context.progress.clear();
    let text = if was { "logged out of" } else { "was not logged in to" };
    context.terminal.note(&format!(
        "{text} {} (profile {} in {})",
        profile.endpoint(),
        profile.name(),
        file.path().display()
    ));
    let document = json!({ "logged_out": was, "endpoint": profile.endpoint(), "profile": profile.name() });
    Document::new(&document, People::Text(String::new()))
}

/// Ends the session at the endpoint of its profile, whatever endpoint the environment names.
async fn end_session(file: &ProfileFile) -> cratedb_test::Result<()> {
    let endpoint = file.current().endpoint().to_owned();
    Client::builder().endpoint(endpoint).profile_file(file.path()).build()?.logout().await
}
