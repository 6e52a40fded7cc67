//! `login` and `logout`.

mod browser;
mod listener;

use std::time::Duration;

use cratedb_test::cloud::model::User;
use cratedb_test::cloud::{Client, ProfileFile};
use serde_json::json;

use crate::arguments::Login;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Document, People};
use listener::Listener;

/// Long enough to find a password and a second factor.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

pub(super) async fn login(context: &Context, login: &Login) -> Result<Document, Failure> {
    let file = ProfileFile::find()?;
    let endpoint = endpoint(context, &file)?;
    let before = file.current().name().to_owned();
    // Before the browser is told to come.
    let listener = Listener::bind(login.port).await?;
    let url = format!("{}/oauth2/{}/login?cli=true", endpoint.trim_end_matches('/'), login.idp.path());
    invite(context, login, &url);
    let token = arrived(context, listener).await?;
    context.progress.say_in_passing("asking who you are");
    let path = file.path().display().to_string();
    let (user, profile) = kept(&endpoint, &token).await?;
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

/// Where to log in: what the option says, else the settings, else the profile.
fn endpoint(context: &Context, file: &ProfileFile) -> Result<String, Failure> {
    if let Some(endpoint) = context.global.endpoint() {
        return Ok(Client::builder().endpoint(endpoint).session("none yet").build()?.endpoint().to_owned());
    }
    // Reads the environment and `.env`; the session only stands for the one that is to come.
    let settings = Client::builder().session("none yet").build()?.endpoint().to_owned();
    let default = Client::builder().env(false).session("none yet").build()?.endpoint().to_owned();
    Ok(if settings == default { file.current().endpoint().to_owned() } else { settings })
}

/// Asks whose the session is, and keeps it if it is somebody's: what was kept before stays as long as nobody knows that the
/// new one is any better. The file is read anew, since it may have changed while the browser was open.
async fn kept(endpoint: &str, token: &str) -> Result<(User, String), Failure> {
    let client = Client::builder().endpoint(endpoint).session(token).build()?;
    let user = client.me().await?;
    let profile = ProfileFile::update(|file| {
        // The session of one endpoint must not come into the profile of another one: that is what it would be sent to.
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
        (false, true) => format!("go on in the browser; if it did not open, use this address:\n{url}"),
        (false, false) => format!("no browser could be started; open this address in one on this machine:\n{url}"),
    };
    context.terminal.tell(&text);
}

async fn arrived(context: &Context, listener: Listener) -> Result<String, Failure> {
    context.progress.say_in_passing("waiting for the browser");
    let patience = context.global.timeout.unwrap_or(PATIENCE);
    context.has_a_deadline();
    let token = tokio::time::timeout(patience, listener.token()).await;
    token.map_err(|_| {
        let time = humantime::format_duration(patience);
        Failure::new(Code::TimedOut, format!("nobody logged in within {time}"))
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
        // What the service answers does not matter: the session is forgotten here in any case.
        if let Err(error) = forget_there(&file).await {
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
    let text = if was { "logged out of" } else { "nobody was logged in to" };
    context.terminal.note(&format!(
        "{text} {} (profile {} in {})",
        profile.endpoint(),
        profile.name(),
        file.path().display()
    ));
    let document = json!({ "logged_out": was, "endpoint": profile.endpoint(), "profile": profile.name() });
    Document::new(&document, People::Text(String::new()))
}

/// Where the profile says, whatever the environment says.
async fn forget_there(file: &ProfileFile) -> cratedb_test::Result<()> {
    let endpoint = file.current().endpoint().to_owned();
    Client::builder().endpoint(endpoint).profile_file(file.path()).build()?.logout().await
}
