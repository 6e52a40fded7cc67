//! The engine behind the gateways: the embedded one, or a real CrateDB and the way in which it is used.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

const ACCEPTED: &str = "accepted: embedded; the address of a CrateDB, such as http://127.0.0.1:4200 or \
                        http://user:password@127.0.0.1:4200, with `,auth=server` at its end if the server checks the \
                        Cloud's tokens itself; or the directory of an extracted CrateDB, such as ./crate-6.4.3";
const ENCODE: &str = "in a user or password, write `/`, `?`, `#`, `@` and `%` as %2F, %3F, %23, %40 and %25";
const SCHEME: &str = "http://";
/// The end of an address of a server that checks the clients' credentials itself.
const CHECKS_ITSELF: &str = ",auth=server";
/// The port of HTTP.
const PORT: u16 = 80;

/// The engine behind the gateways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// The small engine of this crate, one for each cluster.
    Embedded,
    /// A CrateDB that runs. The gateways check credentials and tokens, and use the server with an account of their own.
    Server(CrateServer),
    /// The directory of an extracted CrateDB. A server is started from it when the simulator starts. It ends with the
    /// simulator, and so does its data.
    Home(PathBuf),
    /// A CrateDB at this address (`host:port`) that checks credentials and tokens itself. It gets every client
    /// connection as a connection of its own.
    ///
    /// To accept tokens it needs their claims. `iss` is `<control plane>/api/v2/meta/jwk/`, where it also finds the
    /// keys, so give the control plane a fixed port. `aud` is the cluster's id, so choose that with `id`. `username` is
    /// the cluster's, `admin` unless chosen with `username`.
    Real(String),
}

/// The address of a CrateDB, and the account with which the gateways use it.
///
/// A superuser's account can act as any user, so that statements run as the user who sent them. With any other account
/// the statements of a cluster's own user run as that account.
#[derive(Clone, PartialEq, Eq)]
pub struct CrateServer {
    address: String,
    user: Option<String>,
    password: String,
}

impl CrateServer {
    /// The server at this address (`host:port`), which is used as its default user, `crate`.
    pub fn at(address: impl Into<String>) -> Self {
        Self { address: address.into(), user: None, password: String::new() }
    }

    /// Sets the user. The password is empty for one whom the server trusts.
    #[must_use]
    pub fn login(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: Some(user.into()), password: password.into(), ..self }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns user and password. Without a user the server takes its default one.
    pub(crate) fn account(&self) -> Option<(&str, &str)> {
        self.user.as_deref().map(|user| (user, self.password.as_str()))
    }
}

/// As `--engine` has it, without the password.
impl fmt::Display for CrateServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.iter().map(|user| format!("{user}@")).collect::<String>();
        write!(f, "{SCHEME}{user}{}", self.address)
    }
}

/// Without the password.
impl fmt::Debug for CrateServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrateServer").field("address", &self.address).field("user", &self.user).finish_non_exhaustive()
    }
}

/// No error repeats the text, which may hold a password.
impl FromStr for EngineKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        let Some(rest) = text.strip_prefix(SCHEME) else {
            let is_path = text.contains('/') && !text.contains("://");
            return if is_path { Ok(Self::Home(text.into())) } else { Err(ACCEPTED.into()) };
        };
        match rest.strip_suffix(CHECKS_ITSELF) {
            Some(rest) if rest.contains('@') => {
                Err("with auth=server the clients' own credentials are passed on: leave out user and password".into())
            }
            Some(rest) => address(rest).map(Self::Real),
            None => server(rest).map(Self::Server),
        }
    }
}

fn server(rest: &str) -> Result<CrateServer, String> {
    let Some((account, host)) = rest.rsplit_once('@') else { return address(rest).map(CrateServer::at) };
    if account.contains(['/', '?', '#', '@']) {
        return Err(ENCODE.into());
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| ENCODE.to_owned());
    let (user, password) = account.split_once(':').unwrap_or((account, ""));
    if user.is_empty() {
        return Err("a user is missing before `@`; ".to_owned() + ACCEPTED);
    }
    Ok(CrateServer::at(address(host)?).login(decoded(user)?, decoded(password)?))
}

/// Returns host and port.
fn address(host: &str) -> Result<String, String> {
    let host = host.trim_end_matches('/');
    // The colons of an IPv6 address stand in brackets.
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse::<u16>().map_err(|_| ACCEPTED)?),
        _ => (host, PORT),
    };
    if name.is_empty() || name.contains(['/', '?', '#', ',']) {
        return Err(ACCEPTED.into());
    }
    Ok(format!("{name}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<EngineKind, String> {
        text.parse()
    }

    #[test]
    fn an_engine_is_embedded_a_server_or_a_directory() {
        let server = |address: &str| Ok(EngineKind::Server(CrateServer::at(address)));
        assert_eq!(read("embedded"), Ok(EngineKind::Embedded));
        assert_eq!(read("http://127.0.0.1:4200/"), server("127.0.0.1:4200"));
        assert_eq!(read("http://db"), server("db:80"));
        assert_eq!(read("http://[::1]:4200"), server("[::1]:4200"));
        assert_eq!(read("http://[::1]"), server("[::1]:80"));
        for path in ["/opt/crate", "./crate-6.4.3", "releases/crate-6.4.3"] {
            assert_eq!(read(path), Ok(EngineKind::Home(path.into())));
        }
        assert_eq!(read("http://127.0.0.1:4200,auth=server"), Ok(EngineKind::Real("127.0.0.1:4200".into())));
    }

    #[test]
    fn a_server_may_have_an_account() {
        let account = |text: &str| match read(text).unwrap() {
            EngineKind::Server(server) => {
                server.account().map(|(user, password)| (user.to_owned(), password.to_owned()))
            }
            other => panic!("{other:?}"),
        };
        let is = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(account("http://localhost:4200"), None);
        assert_eq!(account("http://crate@localhost:4200"), is("crate", ""));
        assert_eq!(account("http://ada:p%40ss:w%2Frd@localhost:4200"), is("ada", "p@ss:w/rd"));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_what_is_accepted() {
        for bad in [
            "",
            "https://host:4200",
            "http://",
            "http://:4200",
            "http://host:port",
            "http://host/_sql",
            "127.0.0.1:4200",
            "http://:secret@host",
            "http://host:1,auth=client",
            "ftp://x",
        ] {
            let told = read(bad).unwrap_err();
            assert!(told.contains("accepted: embedded") && !told.contains("secret"), "{bad}: {told}");
        }
    }

    #[test]
    fn a_password_that_is_not_encoded_is_not_shown() {
        for bad in ["http://admin:p/secret@host", "http://admin:p#secret@host", "http://admin:secret@x@host"] {
            assert_eq!(read(bad), Err(ENCODE.to_owned()), "{bad}");
        }
        let told = read("http://admin:secret@host,auth=server").unwrap_err();
        assert!(told.contains("leave out user and password") && !told.contains("secret"), "{told}");
    }

    #[test]
    fn neither_display_nor_debug_has_the_password() {
        let server = CrateServer::at("localhost:4200").login("ada", "hunter2");
        assert_eq!(server.to_string(), "http://ada@localhost:4200");
        assert!(!format!("{:?}", EngineKind::Server(server)).contains("hunter2"));
    }
}
