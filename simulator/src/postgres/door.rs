//! Start-up: who connects, to which schema, and with which settings.

use std::collections::BTreeMap;
use std::net::IpAddr;

use pgwire::messages::PgWireBackendMessage as Answer;
use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey, Startup,
};

use super::session::Session;
use crate::engine::Connection;

/// How a server lets somebody in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// As who they say they are.
    Trust,
    /// If they know the password.
    Password,
    /// Not at all; why.
    Closed(String),
}

/// What stands behind a listener.
pub(crate) trait Server: Send + Sync + 'static {
    /// Differs once the connections opened before must end. None: nobody is let in now.
    fn period(&self) -> Option<i64>;

    /// Whether nobody shall be accepted any more.
    fn is_gone(&self) -> bool;

    /// How this user may come in from there; none if nobody answers.
    fn entry(&self, user: &str, from: IpAddr) -> Option<Entry>;

    /// Whether this is the user's password.
    fn knows(&self, user: &str, password: &str) -> bool;

    /// A connection to the engine; none if there is no engine any more.
    fn connect(&self) -> Option<Connection>;

    /// A message came.
    fn used(&self) {}

    /// A statement may have changed the data.
    fn changed(&self) {}
}

/// Parameters of a start-up that CrateDB names as known when a client asks for a newer protocol.
const KNOWN: [&str; 6] = ["user", "database", "options", "application_name", "client_encoding", "CrateDBTransport"];

/// What a client says first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Greeting {
    pub(super) user: String,
    database: Option<String>,
    options: Option<String>,
}

impl Greeting {
    /// Reads a start-up, and answers a client that asks for a newer protocol than there is.
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

    /// A session of this client, who was let in. `number` tells connections apart.
    pub(super) fn open(&self, mut engine: Connection, number: i32, out: &mut Vec<Answer>) -> Result<Session, String> {
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
        // Nothing runs for so long that it could be cancelled: the secret need not be one.
        out.push(Answer::BackendKeyData(BackendKeyData::new(number, SecretKey::I32(number))));
        out.push(Answer::ReadyForQuery(ReadyForQuery::new(TransactionStatus::Idle)));
        Ok(Session::new(engine))
    }
}

/// `-c key=value`, any number of times; what is no pair is passed over.
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
