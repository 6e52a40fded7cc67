//! Start-up: the user, the schema and the settings of a connection.

use std::collections::BTreeMap;
use std::net::IpAddr;

use pgwire::messages::PgWireBackendMessage as Answer;
use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey, Startup,
};

use super::session::Conversation;
use crate::engine::Connection;
use crate::tls::Encryption;

/// The way a server lets a user in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Without a password.
    Trust,
    /// With a password.
    Password,
    /// Not at all, for this reason.
    Closed(String),
}

/// A client before it is let in.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) encrypted: bool,
    /// The name in the certificate that it showed.
    pub(crate) shown: Option<String>,
}

/// The server behind a listener.
pub(crate) trait Server: Send + Sync + 'static {
    /// Returns a value that differs once the connections opened before must end. `None` lets no connection in.
    fn period(&self) -> Option<i64>;

    /// Returns whether no connection is accepted any more.
    fn is_gone(&self) -> bool;

    /// Returns the way in for this user, as whom this client comes; `None` closes the connection without an answer.
    fn entry(&self, user: &str, client: &Client) -> Option<Entry>;

    /// Returns the encryption of connections, if the server offers it.
    fn encryption(&self) -> Option<Encryption> {
        None
    }

    /// Returns whether this is the user's password.
    fn knows(&self, user: &str, password: &str) -> bool;

    /// Connects to the engine; none if there is no engine any more.
    fn connect(&self) -> Option<Connection>;

    /// Called for each message.
    fn used(&self) {}

    /// Called when a statement may have changed the data.
    fn changed(&self) {}
}

/// Parameters of a start-up that CrateDB knows when a client asks for a newer protocol.
const KNOWN: [&str; 6] = ["user", "database", "options", "application_name", "client_encoding", "CrateDBTransport"];

/// The start-up of a client.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Greeting {
    pub(super) user: String,
    database: Option<String>,
    options: Option<String>,
}

impl Greeting {
    /// Reads a start-up, and answers a client that asks for a newer protocol.
    pub(super) fn read(startup: &Startup, out: &mut Vec<Answer>) -> Greeting {
        let given: BTreeMap<&str, &str> =
            startup.parameters.iter().filter(|p| !p.1.is_empty()).map(|(k, v)| (k.as_str(), v.as_str())).collect();
        if startup.protocol_number_minor > 0 {
            let unknown = given.keys().filter(|key| !KNOWN.contains(key)).map(|key| format!("_pq_.{key}")).collect();
            let version = i32::from(startup.protocol_number_major) << 16;
            out.push(Answer::NegotiateProtocolVersion(NegotiateProtocolVersion::new(version, unknown)));
        }
        let text = |key: &str| given.get(key).map(|value| (*value).to_owned());
        Greeting { user: text("user").unwrap_or_default(), database: text("database"), options: text("options") }
    }

    /// Opens a session for this client, who was let in. `number` tells connections apart.
    pub(super) fn open(
        &self,
        mut engine: Connection,
        number: i32,
        out: &mut Vec<Answer>,
    ) -> Result<Conversation, String> {
        engine.open(&self.user, self.database.as_deref());
        for (key, value) in settings(self.options.as_deref().unwrap_or_default())? {
            engine.set(&key, &value).map_err(|error| error.message)?;
        }
        out.push(Answer::Authentication(Authentication::Ok));
        let datestyle = engine.show("datestyle").unwrap_or_default();
        let told = [
            ("crate_version", engine.version()),
            ("server_version", "14.0"),
            ("server_encoding", "UTF8"),
            ("client_encoding", "UTF8"),
            ("datestyle", &datestyle),
            ("TimeZone", "UTC"),
            ("integer_datetimes", "on"),
            ("standard_conforming_strings", "on"),
        ];
        let status = |(key, value): (&str, &str)| ParameterStatus::new(key.into(), value.into());
        out.extend(told.map(|told| Answer::ParameterStatus(status(told))));
        // Nothing runs long enough to be cancelled, so the secret is none.
        out.push(Answer::BackendKeyData(BackendKeyData::new(number, SecretKey::I32(number))));
        out.push(Answer::ReadyForQuery(ReadyForQuery::new(TransactionStatus::Idle)));
        Ok(Conversation::new(engine))
    }
}

/// Reads `-c key=value`, any number of times. Anything else is skipped.
fn settings(options: &str) -> Result<Vec<(String, String)>, String> {
    let mut out = vec![];
    let mut words = options.split(' ').filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let Some(attached) = word.strip_prefix("-c").or_else(|| word.strip_prefix("--c")) else {
            return Err(format!("{word} is not a recognized option"));
        };
        let pair = match attached.trim_start_matches('=') {
            "" => words.next().ok_or("Option c requires an argument")?,
            attached => attached,
        };
        if let [key, value] = pair.split('=').collect::<Vec<_>>()[..] {
            out.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_pairs_behind_c() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(settings("-c search_path=a").unwrap(), [pair("search_path", "a")]);
        assert_eq!(settings(" -cx=1  -c y=2 -c z -c a=b=c").unwrap(), [pair("x", "1"), pair("y", "2")]);
        assert!(settings("--search_path=a").is_err() && settings("-c").is_err());
    }

    #[test]
    fn a_newer_protocol_is_negotiated_down() {
        let mut startup = Startup::new();
        startup.protocol_number_minor = 2;
        startup.parameters = [("user", "ada"), ("database", ""), ("x", "1")].map(|(k, v)| (k.into(), v.into())).into();
        let mut out = vec![];
        let greeting = Greeting::read(&startup, &mut out);
        assert_eq!((greeting.user.as_str(), greeting.database), ("ada", None));
        let [Answer::NegotiateProtocolVersion(answer)] = &out[..] else { panic!("{out:?}") };
        assert_eq!(
            (answer.newest_minor_protocol, &answer.unsupported_options[..]),
            (3 << 16, &["_pq_.x".to_owned()][..])
        );
    }
}
