//! A setting with its source, and the rules for sending a secret: only where its own source or a nearer one says, and
//! not over plain HTTP to another machine.

use std::fmt;

use url::Url;

use super::address::without_credentials;
use super::sources::Sources;
use crate::error::{Error, Kind, Result};
use crate::sql::connections::is_loopback;

/// The nearness of the source of a value: code is the nearest, then come the environment, `.env` files in their order,
/// and what this machine keeps. What is nearer is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Near(usize);

impl Near {
    const CODE: Self = Self(0);
    const ENVIRONMENT: Self = Self(1);
    /// A journal.
    const KEPT: Self = Self(usize::MAX);

    /// Returns the nearness of one of [`Sources::each`], of which the environment is the first.
    pub(super) fn of_source(place: usize) -> Self {
        Self(place + 1)
    }
}

/// The value of a setting and where it comes from.
#[derive(Clone)]
pub(crate) struct Setting {
    /// The variable, or the method of a builder.
    pub(crate) name: String,
    pub(crate) value: String,
    /// The source in words: `code`, `the environment`, the path of a file.
    pub(crate) origin: String,
    pub(super) near: Near,
    /// A variable of the environment of which a file takes the value, by `${…}`.
    pub(super) borrowed: Option<String>,
    /// The value is that of this variable, with nothing around it.
    pub(super) lent: bool,
}

impl Setting {
    fn new(name: &str, value: impl Into<String>, origin: impl Into<String>, near: Near) -> Self {
        Self { name: name.to_owned(), value: value.into(), origin: origin.into(), near, borrowed: None, lent: false }
    }

    /// Returns a value that code gives to a builder.
    pub(crate) fn of_code(name: &str, value: impl Into<String>) -> Self {
        Self::new(name, value, "code", Near::CODE)
    }

    /// Returns a value of the user's profile file. A login of this user wrote it, and not the author of a directory, so
    /// it counts as the environment's.
    pub(crate) fn of_profile(name: &str, value: impl Into<String>, origin: impl Into<String>) -> Self {
        Self::new(name, value, origin, Near::ENVIRONMENT)
    }

    /// Returns a value that this machine kept from an earlier time, in the file that `origin` describes.
    pub(crate) fn kept(name: &str, value: impl Into<String>, origin: impl Into<String>) -> Self {
        Self::new(name, value, origin, Near::KEPT)
    }

    /// Names the setting and its source.
    pub(crate) fn place(&self) -> String {
        if self.near == Near::CODE { self.name.clone() } else { format!("{} in {}", self.name, self.origin) }
    }

    /// Returns how near the source is that decided where something is sent.
    fn as_destination(&self) -> Near {
        if self.lent { Near::ENVIRONMENT } else { self.near }
    }

    /// Returns how near the source of the value is, if it is one that must not get to others. What a file takes from
    /// the environment is the environment's.
    fn as_secret(&self) -> Near {
        if self.borrowed.is_some() { self.near.min(Near::ENVIRONMENT) } else { self.near }
    }
}

impl fmt::Debug for Setting {
    /// The value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.origin)
    }
}

/// Something that goes to an address with every request.
pub(super) enum Sent {
    Secret(Setting),
    /// Only what it takes from a nearer source is kept from others.
    Plain(Setting),
}

/// Refuses to send the secret of a near source to an address that only a farther one names. Otherwise the author of a
/// directory's `.env` could obtain the secrets of the environment. `doing` says what the address is asked for.
pub(super) fn may_go(doing: &str, url: &Url, to: &Setting, sent: impl IntoIterator<Item = Sent>) -> Result<()> {
    let shown = without_credentials(url);
    let shown = shown.trim_end_matches('/');
    let refuse = |what: String| {
        let text = format!("{} names it, and {what}: a secret is not sent where only a farther source says", to.origin);
        Error::new(Kind::Setting, format!("cannot {doing} {shown}")).because(text)
    };
    for one in sent {
        let (one, counts) = match one {
            Sent::Secret(one) => (one, true),
            Sent::Plain(one) => {
                let borrowed = one.borrowed.is_some();
                (one, borrowed)
            }
        };
        if counts && one.as_secret() < to.as_destination() {
            let what = match &one.borrowed {
                Some(name) => format!("{} of {} takes ${{{name}}} from the environment", one.name, one.origin),
                None => format!("{} comes from elsewhere ({})", one.name, one.origin),
            };
            return Err(refuse(what).hint(match one.near {
                Near::CODE => "give the address in code too".to_owned(),
                _ => format!("set {} where {} is set, or both in one place", to.name, one.name),
            }));
        }
    }
    match &to.borrowed {
        // The address itself may hold what it takes: as password, as path, as host.
        Some(name) if to.as_secret() < to.as_destination() && !is_loopback(url) => {
            Err(Error::new(Kind::Setting, format!("cannot use {} of {}", to.name, to.origin))
                .because(format!(
                    "${{{name}}} in it is of the environment: a secret is not sent where only a file says"
                ))
                .hint(format!("set {} in the environment", to.name)))
        }
        _ => Ok(()),
    }
}

/// The variable that allows secrets over plain HTTP.
pub(super) const PLAIN_HTTP: &str = "CRATEDB_ALLOW_PLAIN_HTTP";

/// Reads whether these secrets may be sent over plain HTTP to another machine. Like an address, the permission of a
/// `.env` is not for the secrets of the environment.
pub(super) fn plain_http<'a>(
    given: Option<bool>,
    sources: &Sources,
    secrets: impl IntoIterator<Item = &'a Setting>,
) -> Result<bool> {
    if let Some(allowed) = given {
        return Ok(allowed);
    }
    let allowed = sources.choice(PLAIN_HTTP, &[("1", true), ("0", false)], false)?;
    let by = sources.setting(PLAIN_HTTP).map_or(Near::ENVIRONMENT, |by| by.as_destination());
    Ok(allowed && secrets.into_iter().all(|secret| by <= secret.as_secret().max(Near::ENVIRONMENT)))
}

/// Refuses an address to which a secret would go over plain HTTP, where every machine on the way could read it.
pub(crate) fn is_private(url: &Url, secret: &str, allowed: bool) -> Result<()> {
    // A server that listens on every address of this machine may be called by none in particular.
    let unspecified = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_unspecified(),
        Some(url::Host::Ipv6(address)) => address.is_unspecified(),
        _ => false,
    };
    if allowed || url.scheme() != "http" || unspecified || is_loopback(url) {
        return Ok(());
    }
    let shown = without_credentials(url);
    Err(Error::new(Kind::Setting, format!("cannot use {}", shown.trim_end_matches('/')))
        .because(format!("{secret} would go over plain HTTP to another machine"))
        .hint(format!("use https://; {PLAIN_HTTP}=1 in the environment allows it, for a network that you trust")))
}

/// Checks that the address of a mirror holds nothing that its source keeps from others or that anyone could read on the
/// way.
pub(crate) fn mirror_is_safe(url: &Url, mirror: &Setting, sources: &Sources) -> Result<()> {
    may_go("fetch releases from", url, mirror, [])?;
    match url.password() {
        Some(_) => is_private(url, &format!("the password in {}", mirror.name), plain_http(None, sources, [mirror])?),
        None => Ok(()),
    }
}

/// Notes of a reader of settings from which a later failure may come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remarks {
    /// The places where something was put in place of `${…}`.
    pub(super) replaced: Vec<String>,
    /// The user and where the user and the password come from, for a server by its URL.
    pub(super) asked_as: Option<String>,
}

impl Remarks {
    pub(crate) fn of(sources: &Sources) -> Self {
        Self { replaced: sources.replaced(), asked_as: None }
    }

    /// Adds to an error what it may come from.
    pub(crate) fn on(&self, error: Error) -> Error {
        let asked_as = self.asked_as.iter().filter(|_| matches!(error.status(), Some(401 | 403)));
        let lines: Vec<&String> = asked_as.chain(&self.replaced).collect();
        lines.into_iter().fold(error, |error, line| error.hint(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_file(name: &str, place: usize) -> Setting {
        Setting::new(name, "x", format!("file {place}"), Near::of_source(place))
    }

    fn borrowed(setting: Setting, lent: bool) -> Setting {
        Setting { borrowed: Some("TAKEN".to_owned()), lent, ..setting }
    }

    fn goes(to: &Setting, url: &str, sent: Sent) -> Result<()> {
        may_go("ask", &Url::parse(url).unwrap(), to, [sent])
    }

    #[test]
    fn a_secret_goes_where_its_own_source_or_a_nearer_one_says() {
        let all = [
            Setting::of_code("api_key", "x"),
            of_file("ENVIRONMENT", 0),
            of_file("PACKAGE", 1),
            of_file("PROJECT", 2),
            Setting::kept("PROFILE", "x", "a profile"),
        ];
        for (far, to) in all.iter().enumerate() {
            for (near, secret) in all.iter().enumerate() {
                let went = goes(to, "https://u:geheim@host", Sent::Secret(secret.clone()));
                assert_eq!(went.is_ok(), far <= near, "{secret:?} to {to:?}");
                if let Err(error) = went {
                    let text = error.to_string();
                    assert!(error.is_setting() && text.contains(&secret.name) && text.contains(&to.origin), "{text}");
                    assert!(text.contains("https://host") && !text.contains("geheim"), "{text}");
                }
                assert!(goes(to, "https://host", Sent::Plain(secret.clone())).is_ok());
            }
        }
    }

    #[test]
    fn what_a_file_takes_from_the_environment_stays_the_environments() {
        let (file, environment) = (of_file("A", 1), of_file("B", 0));
        for sent in [Sent::Secret(borrowed(file.clone(), true)), Sent::Plain(borrowed(file.clone(), false))] {
            let text = goes(&file, "https://host", sent).unwrap_err().to_string();
            assert!(text.contains("takes ${TAKEN} from the environment"), "{text}");
        }
        assert!(goes(&environment, "https://host", Sent::Secret(borrowed(file.clone(), true))).is_ok());
        // An address that the environment has given as a whole is its own.
        let lent = borrowed(file.clone(), true);
        assert!(goes(&lent, "https://host", Sent::Secret(environment.clone())).is_ok());
        let mixed = borrowed(file.clone(), false);
        let text = goes(&mixed, "https://host/geheim", Sent::Plain(file.clone())).unwrap_err().to_string();
        assert!(text.contains("${TAKEN}") && !text.contains("geheim"), "{text}");
        // Such as a port on this machine.
        assert!(goes(&mixed, "http://localhost:4200", Sent::Plain(file)).is_ok());
        assert!(goes(&mixed, "http://localhost:4200", Sent::Secret(environment)).is_err());
    }

    #[test]
    fn a_file_allows_plain_http_for_its_own_secrets_only() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".env"), format!("{PLAIN_HTTP}=1")).unwrap();
        let sources = |variables: &[(&str, &str)]| {
            let map = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Sources::of(map, &[dir.path().to_owned()]).unwrap()
        };
        let allows = |sources: &Sources, secret: &Setting| plain_http(None, sources, [secret]).unwrap();
        let (own, environments, code) = (of_file("A", 1), of_file("B", 0), Setting::of_code("api_key", "x"));
        let taken = borrowed(own.clone(), true);
        let file = sources(&[]);
        assert!(allows(&file, &own) && plain_http(None, &file, []).unwrap());
        let environment = sources(&[(PLAIN_HTTP, "1")]);
        for secret in [&environments, &code, &taken] {
            assert!(!allows(&file, secret) && allows(&environment, secret), "{secret:?}");
        }
        assert!(!plain_http(None, &file, [&own, &environments]).unwrap());
        assert!(plain_http(Some(true), &file, [&environments]).unwrap());
        assert!(!plain_http(Some(false), &environment, [&own]).unwrap() && !allows(&Sources::none(), &own));
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        let check = |url: &str, allowed| is_private(&Url::parse(url).unwrap(), "the password", allowed);
        for fine in
            ["https://host", "http://localhost:4200", "http://127.0.0.1", "http://[::1]:4200", "http://0.0.0.0:1"]
        {
            assert!(check(fine, false).is_ok(), "{fine}");
        }
        for open in ["http://host", "http://10.0.0.1:4200", "http://u:geheim@localhost.example"] {
            let text = check(open, false).unwrap_err().to_string();
            assert!(text.contains("CRATEDB_ALLOW_PLAIN_HTTP=1") && text.contains("the password"), "{text}");
            assert!(!text.contains("geheim"), "{text}");
            assert!(check(open, true).is_ok(), "{open}");
        }
    }
}
