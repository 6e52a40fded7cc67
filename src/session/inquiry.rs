//! Asks a keeper without wanting its cluster: what it does, to end sessions, when a release has ended.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::{birth, link};
use crate::error::{Error, Kind, Result};
use crate::host::process::Identity;
use crate::host::{KeyFiles, platform};
use crate::wire::{Decoder, FromClient, FromKeeper, KeeperSnapshot, PROTOCOL, encode};

/// The time that a keeper may take for an answer about itself. A stopped one never answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// One connection to a living keeper, which only asks. Blocks.
pub(crate) struct Inquiry {
    stream: UnixStream,
    decoder: Decoder,
}

/// The next message of the keeper.
pub(crate) enum Heard {
    Message(Box<FromKeeper>),
    /// The keeper is gone.
    End,
    /// Nothing until the deadline.
    Nothing,
}

impl Inquiry {
    /// Connects; none if no keeper listens there.
    pub(crate) fn of(files: &KeyFiles) -> Result<Option<Self>> {
        let Some(stream) = birth::connect(files) else { return Ok(None) };
        Self::over(stream).map(Some)
    }

    pub(crate) fn over(stream: UnixStream) -> Result<Self> {
        link::check_peer(platform::peer_user(&stream))?;
        Ok(Self { stream, decoder: Decoder::default() })
    }

    pub(crate) fn ask(&mut self, question: &FromClient) -> Result<()> {
        let frame = encode(question)?;
        let written = self.stream.set_write_timeout(Some(PATIENCE)).and_then(|()| self.stream.write_all(&frame));
        written.map_err(|error| Error::new(Kind::Session, "cannot ask the keeper").because(error))
    }

    /// Asks what the keeper is doing. None if it ended before it could answer.
    pub(crate) fn status(&mut self, watch: bool) -> Result<Option<KeeperSnapshot>> {
        self.answer(&FromClient::Status { protocol: PROTOCOL, watch }, |message| match message {
            FromKeeper::State(snapshot) => Some(*snapshot),
            _ => None,
        })
    }

    /// Ends a session, or all that are not held. Returns which ended, and who still holds the cluster; none if the
    /// keeper ended before it could answer.
    ///
    /// A `holder` gives up its own part only. Without one, the cluster is not kept warm either.
    pub(crate) fn finish(
        &mut self,
        session: Option<&str>,
        holder: Option<&Identity>,
    ) -> Result<Option<(Vec<String>, Vec<String>)>> {
        let (session, now) = (session.map(str::to_owned), holder.is_none());
        let question = FromClient::Finish { protocol: PROTOCOL, session, holder: holder.cloned(), now };
        self.answer(&question, |message| match message {
            FromKeeper::Finished { sessions, held_by } => Some((sessions, held_by)),
            _ => None,
        })
    }

    /// Asks and waits for the message that `read` takes for the answer.
    fn answer<T>(&mut self, question: &FromClient, read: impl Fn(FromKeeper) -> Option<T>) -> Result<Option<T>> {
        // A keeper that ends just now says nothing more.
        if self.ask(question).is_err() {
            return Ok(None);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next(deadline)? {
                Heard::Message(message) => match *message {
                    FromKeeper::Protocol { protocol, version, .. } => return Err(foreign(protocol, &version)),
                    FromKeeper::Fail { error } => return Err(error),
                    message => {
                        if let Some(answer) = read(message) {
                            return Ok(Some(answer));
                        }
                    }
                },
                Heard::End => return Ok(None),
                Heard::Nothing => return Err(silent()),
            }
        }
    }

    /// Waits for the next message.
    pub(crate) fn next(&mut self, deadline: Instant) -> Result<Heard> {
        let mut buffer = [0; 8192];
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(Heard::Message(Box::new(message)));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Heard::Nothing);
            }
            // Never fails for a time that is not zero.
            let _ = self.stream.set_read_timeout(Some(left));
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Heard::End),
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(error) => match error.kind() {
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => return Ok(Heard::Nothing),
                    std::io::ErrorKind::Interrupted => {}
                    // A reset is an end like any other.
                    _ => return Ok(Heard::End),
                },
            }
        }
    }
}

fn silent() -> Error {
    Error::new(Kind::Timeout, format!("the keeper did not answer within {}", humantime::format_duration(PATIENCE)))
        .hint("if its process is stopped, continue or end it")
}

fn foreign(protocol: u32, version: &str) -> Error {
    Error::new(Kind::Session, "cannot talk to the keeper")
        .because(format!("it is of {}", link::versions(protocol, version)))
}
