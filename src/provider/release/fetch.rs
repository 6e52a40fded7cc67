//! A file by HTTP: resumed where an earlier try ended, given up when nothing comes any more.

mod answer;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT_ENCODING, HeaderValue, IF_RANGE, RANGE};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

use self::answer::{Asked, Verdict};
use super::mirror::{is_authentic, shown};
use crate::error::{Error, Kind, Result};
use crate::provider::Progress;
use crate::sql::connections;
use crate::wait::{self, Look, Schedule};

/// What a listing or a digest may be long.
const SMALL: usize = 4 << 20;
const REDIRECTS: usize = 5;
const MIB: u64 = 1 << 20;

/// How long to wait for what, and how often to try.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    /// Without a single byte.
    pub(super) stall: Duration,
    /// For a listing: it only tells more than is known anyway.
    pub(super) index: Duration,
    pub(super) again: Schedule,
    /// Tries in turn that brought nothing.
    pub(super) tries: u32,
}

impl Patience {
    pub(super) const USUAL: Self = Self {
        connect: Duration::from_secs(10),
        stall: Duration::from_secs(30),
        index: Duration::from_secs(4),
        again: wait::DOWNLOAD,
        tries: 4,
    };
}

/// A connection to one server.
pub(super) struct Fetch {
    http: reqwest::Client,
    url: Url,
    patience: Patience,
}

/// Kept beside a partial file: what it is a part of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    url: String,
    /// A strong entity tag, else the time of the last modification.
    validator: Option<String>,
    total: Option<u64>,
}

/// Why a try ended without the whole file.
enum Ended {
    /// Another one may bring it.
    Again(String),
    /// The same, but who is not there is seldom there a moment later.
    Unreachable(String),
    ForGood(Error),
}

impl Ended {
    fn of(error: &reqwest::Error) -> Self {
        if error.is_redirect() {
            return Self::ForGood(
                Error::new(Kind::Provider, "cannot follow where a download is said to be").because(plain(error)),
            );
        }
        match error.is_connect() {
            true => Self::Unreachable(plain(error)),
            false => Self::Again(plain(error)),
        }
    }
}

impl Fetch {
    pub(super) fn new(url: &Url, patience: Patience) -> Result<Self> {
        let safe = is_authentic(url);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("cratedb-test/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::custom(move |attempt| followed(attempt, safe)))
            .connect_timeout(patience.connect)
            .read_timeout(patience.stall)
            .tls_backend_preconfigured(connections::tls_for(url)?);
        if connections::is_loopback(url) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| {
            Error::new(Kind::Transport, format!("cannot make an HTTP client for {}", shown(url)))
                .because_of(&error.without_url())
        })?;
        Ok(Self { http, url: url.clone(), patience })
    }

    /// What a listing says; none if it can't be had soon.
    pub(super) async fn index(&self, url: &Url) -> Option<String> {
        tokio::time::timeout(self.patience.index, async {
            let response = self.http.get(url.clone()).send().await.ok()?;
            if !response.status().is_success() {
                return None;
            }
            text_of(response).await.ok()
        })
        .await
        .ok()?
    }

    /// A small file; none if there is none.
    pub(super) async fn small(&self, url: &Url, deadline: Instant) -> Result<Option<String>> {
        let tries = AtomicU32::new(0);
        let look = || async {
            let answered = async {
                let response = self.http.get(url.clone()).send().await.map_err(|error| Ended::of(&error))?;
                match response.status() {
                    StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN => Ok(None),
                    status if status.is_success() => text_of(response).await.map(Some),
                    status if answer::is_passing(status) => Err(Ended::Again(format!("the answer is {status}"))),
                    status => {
                        let error = Error::new(Kind::Provider, format!("cannot download {}", shown(url)));
                        Err(Ended::ForGood(error.because(format!("the answer is {status}"))))
                    }
                }
            };
            self.looked(answered.await, &tries, || {
                Error::new(Kind::Transport, format!("cannot download {}", shown(url)))
            })
        };
        wait::until(&shown(url), self.patience.again, deadline, |_| (), look).await
    }

    /// Brings the whole file to `part`; whether some of it was there already. Cut off, it leaves what has come.
    ///
    /// `room` is asked once the size is known.
    pub(super) async fn file(
        &self,
        part: &Path,
        what: &str,
        deadline: Instant,
        progress: &Progress,
        room: impl Fn(Coming) -> Result<()>,
    ) -> Result<bool> {
        let (tries, resumed) = (AtomicU32::new(0), AtomicBool::new(false));
        let telling = Mutex::new(Telling::new(format!("downloading {what} from {}", shown(&self.url))));
        let look = || async {
            let before = length(part);
            let ended = self.once(part, progress, &telling, &room, &resumed).await;
            if length(part) > before {
                tries.store(0, Relaxed);
            }
            self.looked(ended, &tries, || Error::new(Kind::Transport, format!("cannot download {}", shown(&self.url))))
        };
        let awaited = format!("the download of {}", shown(&self.url));
        let told = |status: &str| progress.step(format!("downloading {what}: {status}; trying again"));
        wait::until(&awaited, self.patience.again, deadline, told, look).await?;
        Ok(resumed.load(Relaxed))
    }

    fn looked<T>(&self, ended: Result<T, Ended>, tries: &AtomicU32, failed: impl Fn() -> Error) -> Result<Look<T>> {
        let cost = if matches!(ended, Err(Ended::Unreachable(_))) { self.patience.tries.div_ceil(2) } else { 1 };
        match ended {
            Ok(value) => Ok(Look::Ready(value)),
            Err(Ended::ForGood(error)) => Err(error),
            Err(Ended::Again(why) | Ended::Unreachable(why)) => {
                match tries.fetch_add(cost, Relaxed) + cost < self.patience.tries {
                    true => Ok(Look::NotYet(why)),
                    false => Err(failed().because(why)),
                }
            }
        }
    }

    /// One request, and as much of the file as it brings.
    async fn once(
        &self,
        part: &Path,
        progress: &Progress,
        telling: &Mutex<Telling>,
        room: &impl Fn(Coming) -> Result<()>,
        resumed: &AtomicBool,
    ) -> Result<(), Ended> {
        let asked = Asked::of(length(part), origin_of(part).filter(|origin| origin.url == shown(&self.url)));
        let mut request = self.http.get(self.url.clone()).header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some((offset, validator)) = asked.range() {
            request = request.header(RANGE, format!("bytes={offset}-")).header(IF_RANGE, validator);
        }
        let response = request.send().await.map_err(|error| Ended::of(&error))?;
        let (offset, total) = match answer::judge(&asked, response.status(), response.headers()) {
            Verdict::Whole => {
                resumed.store(true, Relaxed);
                return Ok(());
            }
            Verdict::From { offset, total } => (offset, total),
            Verdict::Useless(why) => {
                forget(part);
                return Err(Ended::Again(why));
            }
            Verdict::Again(why) => return Err(Ended::Again(why)),
            Verdict::Refused(why) => {
                let error = Error::new(Kind::Provider, format!("cannot download {}", shown(&self.url)));
                return Err(Ended::ForGood(error.because(why)));
            }
        };
        resumed.store(offset > 0, Relaxed);
        let coming = Coming { at: offset, total };
        room(coming).map_err(Ended::ForGood)?;
        let mut file = self.opened(part, coming, &response).map_err(|error| not_written(part, error))?;
        self.receive(response, &mut file, coming, part, progress, telling).await
    }

    fn opened(&self, part: &Path, coming: Coming, response: &Response) -> io::Result<File> {
        if coming.at > 0 {
            return OpenOptions::new().append(true).open(part);
        }
        let origin =
            Origin { url: shown(&self.url), validator: answer::validator(response.headers()), total: coming.total };
        // The old part must not be taken for a part of the new file, whatever happens in between.
        forget(part);
        let file = OpenOptions::new().append(true).create(true).open(part)?;
        fs::write(beside(part), serde_json::to_vec(&origin).unwrap_or_default())?;
        Ok(file)
    }

    async fn receive(
        &self,
        mut response: Response,
        file: &mut File,
        mut coming: Coming,
        part: &Path,
        progress: &Progress,
        telling: &Mutex<Telling>,
    ) -> Result<(), Ended> {
        loop {
            telling.lock().unwrap_or_else(PoisonError::into_inner).at(coming, progress);
            match response.chunk().await {
                Ok(Some(bytes)) => {
                    file.write_all(&bytes).map_err(|error| not_written(part, error))?;
                    coming.at += bytes.len() as u64;
                }
                Ok(None) => break,
                Err(error) => return Err(Ended::Again(format!("{} after {}", plain(&error), coming.shown()))),
            }
        }
        match coming.total {
            Some(total) if total != coming.at => Err(Ended::Again(format!("it ended after {}", coming.shown()))),
            _ => Ok(()),
        }
    }
}

/// How much has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coming {
    pub(super) at: u64,
    /// Of the whole file, if the server says so.
    pub(super) total: Option<u64>,
}

impl Coming {
    fn shown(self) -> String {
        match self.total {
            Some(total) if total >= MIB => format!("{} of {} MiB", self.at / MIB, total / MIB),
            Some(total) => format!("{} of {total} bytes", self.at),
            None => format!("{} MiB", self.at / MIB),
        }
    }

    fn percent(self) -> Option<u64> {
        Some(self.at * 100 / self.total.filter(|total| *total > 0)?)
    }
}

/// Tells how far it is: not more often than each second, and not for nothing.
struct Telling {
    what: String,
    last: Option<(Instant, u64)>,
}

impl Telling {
    const OFTEN: Duration = Duration::from_secs(1);
    const SELDOM: Duration = Duration::from_secs(10);

    fn new(what: String) -> Self {
        Self { what, last: None }
    }

    fn at(&mut self, coming: Coming, progress: &Progress) {
        // In twentieths; without a known size each 16 MiB count as one.
        let step = coming.percent().map_or(coming.at / (16 * MIB), |percent| percent / 5);
        let due = self
            .last
            .is_none_or(|(at, told)| at.elapsed() >= Self::SELDOM || step != told && at.elapsed() >= Self::OFTEN);
        if due {
            self.last = Some((Instant::now(), step));
            let percent = coming.percent().map_or(String::new(), |percent| format!("{percent} %, "));
            progress.step(format!("{}: {percent}{}", self.what, coming.shown()));
        }
    }
}

/// From TLS only to TLS; else whoever is on the way could say what comes.
fn followed(attempt: Attempt<'_>, safe: bool) -> reqwest::redirect::Action {
    if attempt.previous().len() > REDIRECTS {
        return attempt.error(format!("more than {REDIRECTS} redirections"));
    }
    if safe && !is_authentic(attempt.url()) {
        let to = shown(attempt.url());
        return attempt.error(format!("a redirection to plain http, {to}, is not followed"));
    }
    attempt.follow()
}

async fn text_of(mut response: Response) -> Result<String, Ended> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Ended::of(&error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > SMALL {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn length(part: &Path) -> u64 {
    fs::metadata(part).map_or(0, |meta| meta.len())
}

fn beside(part: &Path) -> PathBuf {
    let mut name = part.to_owned().into_os_string();
    name.push(".json");
    name.into()
}

fn origin_of(part: &Path) -> Option<Origin> {
    serde_json::from_slice(&fs::read(beside(part)).ok()?).ok()
}

/// Removes a partial file. What it was a part of goes first: without that the file is a part of nothing.
pub(super) fn forget(part: &Path) {
    let _ = fs::remove_file(beside(part));
    let _ = fs::remove_file(part);
}

/// A full disk is not made better by what fills it.
fn not_written(part: &Path, error: io::Error) -> Ended {
    if error.kind() == io::ErrorKind::StorageFull {
        forget(part);
    }
    Ended::ForGood(Error::new(Kind::Provider, format!("cannot write {}", part.display())).because(error))
}

/// The innermost causes of a failed request, without the address, which may hold a password.
fn plain(error: &reqwest::Error) -> String {
    use std::error::Error as _;
    if error.is_timeout() {
        return if error.is_connect() { "no connection in time" } else { "nothing came any more" }.to_owned();
    }
    let what = match (error.is_connect(), error.is_redirect()) {
        (true, _) => "no connection",
        (_, true) => "a redirection",
        _ => "the answer was cut off",
    };
    let mut text = what.to_owned();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.source().is_none() {
            text = format!("{text} ({inner})");
        }
        cause = inner.source();
    }
    text
}
