//! Makes the connection: reaches the keeper, says who this process is, waits for the cluster.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;

use super::{Link, MARGIN, write_all};
use crate::background::blocking;
use crate::error::{Error, Kind, Result};
use crate::host::{own_file, own_loader, platform};
use crate::session::birth;
use crate::session::speaker::{self, Speaker};
use crate::sql::Wallet;
use crate::wait::deadline_in;
use crate::wire::{Decoder, FromClient, FromKeeper, Hello, PROTOCOL, Ready, encode, send_with_descriptors};

/// The pause after a keeper ended just as this process came; doubled each time, up to `PAUSES` times.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSES: u32 = 7;
/// So many keepers in a row that end without a word are no coincidence.
const SILENT_ENDS: u32 = 15;

/// The keeper's messages.
pub(super) struct Reader {
    stream: tokio::net::UnixStream,
    decoder: Decoder,
}

impl Reader {
    /// Waits for the next message; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<FromKeeper>> {
        let mut buffer = [0; 8192];
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(Some(message));
            }
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(count) => self.decoder.push(&buffer[..count]),
            }
        }
    }
}

/// The answer to one hello.
enum HelloAnswer {
    Ready(Box<Ready>, UnixStream, Reader),
    /// The keeper ended before the cluster was there.
    Gone {
        /// It had said something.
        heard: bool,
    },
    /// The keeper speaks another protocol; it has to end first.
    Foreign(Foreign),
}

struct Foreign {
    protocol: u32,
    version: String,
    same_run: bool,
}

/// Names the version of a keeper of another protocol, and this one.
pub(in crate::session) fn versions(protocol: u32, version: &str) -> String {
    let version = if version.is_empty() { "another version".into() } else { format!("cratedb-test {version}") };
    format!("{version} (protocol {protocol}; here {}, protocol {PROTOCOL})", env!("CARGO_PKG_VERSION"))
}

impl Foreign {
    fn told(&self) -> String {
        versions(self.protocol, &self.version)
    }

    /// Makes the error of a keeper that ends after this run, so that this run must not wait for it.
    fn blocks(&self) -> Error {
        Error::new(Kind::Session, "two versions of cratedb-test in one run can't share a cluster")
            .because(format!("its keeper is of {} and stays until this run is over", self.told()))
            .hint("use one version of cratedb-test in all packages of the run: `cargo tree --workspace --invert cratedb-test` shows them")
    }
}

impl Link {
    /// Connects and waits for the cluster, with all attempts that are open.
    pub(super) async fn attach(&self) -> Result<Reader> {
        let limit = self.0.settings.start_timeout.saturating_add(MARGIN);
        let deadline = deadline_in(limit);
        let mut speaker = Speaker::new(self.0.listener.clone());
        let mut silent_ends = 0;
        // Not `wait::until`: each try is a connection that is kept, and its pauses depend on why it failed.
        loop {
            let stream = self.reach(deadline).await?;
            let hello = self.hello(stream, &mut speaker);
            let Ok(answer) = tokio::time::timeout_at(deadline.into(), hello).await else {
                return Err(self.silent("waited for the cluster", limit));
            };
            match answer? {
                HelloAnswer::Ready(ready, socket, reader) => {
                    speaker.done(&format!("{} is ready", ready.name));
                    self.resume(*ready, socket);
                    return Ok(reader);
                }
                HelloAnswer::Gone { heard } => {
                    silent_ends = if heard { 0 } else { silent_ends + 1 };
                    if silent_ends > SILENT_ENDS {
                        return Err(self.stillborn(silent_ends));
                    }
                    tokio::time::sleep(PAUSE * 2u32.pow(silent_ends.min(PAUSES))).await;
                }
                HelloAnswer::Foreign(foreign) if foreign.same_run => return Err(foreign.blocks()),
                HelloAnswer::Foreign(foreign) => {
                    speaker.step(format!("waiting for the keeper of {} to end", foreign.told()), true);
                    speaker.tick();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            if Instant::now() >= deadline {
                return Err(self.silent("tried to reach the keeper", limit));
            }
        }
    }

    /// Makes the error of a keeper that ends at once, again and again.
    fn stillborn(&self, times: u32) -> Error {
        let error = Error::new(Kind::Session, "cannot start a keeper")
            .because(format!("{times} in a row ended before they had said anything"));
        birth::below(error, own_loader().as_deref())
            .hint(format!("{}; CRATEDB_TEST_DIR names another directory for it", self.0.files.about_log()))
    }

    async fn reach(&self, deadline: Instant) -> Result<UnixStream> {
        if let Some(stream) = birth::connect(&self.0.files) {
            return Ok(stream);
        }
        let files = self.0.files.clone();
        blocking(move || birth::reach(&files, deadline)).await
    }

    async fn hello(&self, socket: UnixStream, speaker: &mut Speaker) -> Result<HelloAnswer> {
        let broken =
            |error: std::io::Error| Error::new(Kind::Session, "the connection to the keeper broke").because(error);
        let (open, set_ups) = {
            let state = self.state();
            (state.held(), state.setups.values().cloned().collect())
        };
        let frame = encode(&FromClient::Hello(Box::new(Hello {
            protocol: PROTOCOL,
            spec: self.0.settings.spec.clone(),
            own: self.0.ancestry.own.clone(),
            runners: self.0.ancestry.runners.clone(),
            orphan: self.0.ancestry.orphan,
            doomed: self.0.ancestry.doomed,
            open,
            binary: own_binary(),
            session: self.0.settings.session.clone(),
            setups: set_ups,
        })))?;
        let processes = std::iter::once(&self.0.ancestry.own).chain(&self.0.ancestry.runners);
        let descriptors: Vec<OwnedFd> = processes.map_while(|process| platform::handle(process.pid)).collect();
        let complete = descriptors.len() == self.0.ancestry.runners.len() + 1;
        let borrowed: Vec<_> = descriptors.iter().map(OwnedFd::as_fd).filter(|_| complete).collect();
        socket.set_nonblocking(true).map_err(broken)?;
        let stream = socket.try_clone().and_then(tokio::net::UnixStream::from_std).map_err(broken)?;
        check_peer(stream.peer_cred().map(|peer| peer.uid()))?;
        // Any failure from here to the first answer is a keeper that was about to end.
        let Ok(sent) = send_with_descriptors(&socket, &frame, &borrowed) else {
            return Ok(HelloAnswer::Gone { heard: false });
        };
        drop(descriptors);
        if write_all(&socket, &frame[sent..]).is_err() {
            return Ok(HelloAnswer::Gone { heard: false });
        }
        self.await_cluster(socket, Reader { stream, decoder: Decoder::default() }, speaker).await
    }

    async fn await_cluster(
        &self,
        socket: UnixStream,
        mut reader: Reader,
        speaker: &mut Speaker,
    ) -> Result<HelloAnswer> {
        let mut heard = false;
        loop {
            let next = speaker.next();
            let message = tokio::select! {
                message = reader.next() => message?,
                () = tokio::time::sleep_until(next.into()) => {
                    speaker.tick();
                    continue;
                }
            };
            heard |= message.is_some();
            match message {
                None => return Ok(HelloAnswer::Gone { heard }),
                Some(FromKeeper::Protocol { protocol, version, same_run }) => {
                    return Ok(HelloAnswer::Foreign(Foreign { protocol, version, same_run }));
                }
                Some(FromKeeper::Ready(ready)) => return Ok(HelloAnswer::Ready(ready, socket, reader)),
                Some(FromKeeper::Fail { error }) => return Err(error),
                Some(FromKeeper::Cut { text, .. }) => {
                    return Err(Error::new(Kind::Session, "there is no cluster for this test").because(text));
                }
                Some(FromKeeper::Progress { text, speak }) => speaker.step(text, speak),
                Some(FromKeeper::Notice { text }) => speaker::tell(self.0.listener.as_ref(), &text),
                Some(_) => {}
            }
        }
    }

    /// Takes over the connection to a keeper that has the cluster: attempts that waited for a turn ask again.
    fn resume(&self, ready: Ready, socket: UnixStream) {
        match self.0.wallet.get() {
            Some(wallet) => wallet.move_to(ready.credentials.clone(), ready.authority.clone()),
            None => {
                let link = Arc::downgrade(&self.0);
                let renewer = move || -> crate::sql::Renewal {
                    let link = link.upgrade().map(Link);
                    Box::pin(async move {
                        match link {
                            Some(link) => link.renew().await,
                            None => Err(Error::new(Kind::Session, "the session is over")),
                        }
                    })
                };
                let wallet = Wallet::of_server(ready.credentials.clone(), ready.authority.clone());
                let wallet = wallet.with_renewer(Arc::new(renewer));
                let _ = self.0.wallet.set(wallet);
            }
        }
        let mut state = self.state();
        state.ready = Some(Arc::new(ready));
        state.socket = Some(socket);
        state.say_again();
        drop(state);
        // Those that wait for new credentials asked a keeper that is dead.
        self.0.renewed.notify_waiters();
    }
}

/// Checks that this user's keeper listens. The socket's directory belongs to the user, and so must the listener.
pub(crate) fn check_peer(listener: std::io::Result<u32>) -> Result<()> {
    let own = rustix::process::getuid().as_raw();
    match listener {
        Ok(user) if user == own => Ok(()),
        Ok(user) => {
            Err(Error::new(Kind::Session, "cannot trust the keeper's socket")
                .because(format!("user {user} listens there")))
        }
        Err(error) => Err(Error::new(Kind::Session, "cannot see who listens on the keeper's socket").because(error)),
    }
}

fn own_binary() -> String {
    own_file().map_or_else(|| "unknown".into(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::process::by_name;

    /// A keeper of another version that waits for this run.
    fn of_another_version(socket: &std::path::Path) -> std::thread::JoinHandle<()> {
        use std::io::{Read as _, Write as _};
        let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 4]).unwrap();
            let answer = FromKeeper::Protocol { protocol: 99, version: "9.8.7".into(), same_run: true };
            stream.write_all(&encode(&answer).unwrap()).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        })
    }

    #[tokio::test]
    async fn a_keeper_of_another_version_that_waits_for_this_run_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".env"), "CRATEDB_CLUSTER_URL=http://127.0.0.1:9\n").unwrap();
        let places = crate::host::Places { runtime: dir.path().to_owned(), state: dir.path().to_owned() };
        let settings = crate::settings::Settings::load(dir.path(), Default::default()).unwrap();
        let files = places.key(&settings.spec.key);
        let keeper = of_another_version(&files.socket);
        let began = Instant::now();
        let error = Link::new(settings, by_name(false), files, None).await.map(drop).unwrap_err().to_string();
        assert!(began.elapsed() < Duration::from_secs(10));
        for word in ["9.8.7", "protocol 99", env!("CARGO_PKG_VERSION"), "cargo tree"] {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
        keeper.join().unwrap();
    }
}
