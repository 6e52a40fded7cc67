//! A download by HTTP: resumed where an earlier try ended, and given up when nothing comes any more.

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

use self::answer::{RangeAnswer, RangeRequest};
use super::mirror::{is_authentic, shown};
use super::suffixed;
use crate::error::{Error, Kind, Result};
use crate::provider::Progress;
use crate::sql::{Body, connections};
use crate::wait::{self, Look, Schedule};

/// The maximum size of a listing or a digest in bytes.
const SMALL: usize = 4 << 20;
const REDIRECTS: usize = 5;
const MIB: u64 = 1 << 20;

/// Limits of requests, and how often they are repeated.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchLimits {
    pub(super) connect: Duration,
    /// The limit for a pause within an answer.
    pub(super) stall: Duration,
    /// The limit for a listing, which is optional.
    pub(super) index: Duration,
    pub(super) again: Schedule,
    /// The number of tries in a row that may bring nothing.
    pub(super) tries: u32,
    /// The limit of the wait for a release that must not be used and that another process uses.
    pub(super) in_use: Duration,
    /// The most bytes of an archive, whether its server says how many there are or not.
    pub(super) archive: u64,
}

impl FetchLimits {
    pub(super) const USUAL: Self = Self {
        connect: Duration::from_secs(10),
        stall: Duration::from_secs(30),
        index: Duration::from_secs(4),
        again: wait::DOWNLOAD,
        tries: 4,
        in_use: Duration::from_secs(10),
        // Ten times that of a release.
        archive: 2 << 30,
    };
}

/// The client for one file and those beside it.
pub(super) struct Fetch {
    http: reqwest::Client,
    url: Url,
    limits: FetchLimits,
}

/// The description of a partial file's source, kept beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartSource {
    url: String,
    /// A strong entity tag, else the time of the last modification.
    validator: Option<String>,
    total: Option<u64>,
}

/// The reason that a try ended without the whole file.
enum TryError {
    /// Another try may succeed.
    Again(String),
    /// The server is unreachable. Another try may succeed, but seldom does, and counts double.
    Unreachable(String),
    ForGood(Error),
}

impl TryError {
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
    pub(super) fn new(url: &Url, limits: FetchLimits) -> Result<Self> {
        let safe = is_authentic(url);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("cratedb-test/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::custom(move |attempt| followed(attempt, safe)))
            .connect_timeout(limits.connect)
            .read_timeout(limits.stall)
            .tls_backend_preconfigured(connections::tls_for(url)?);
        if connections::is_loopback(url) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| {
            Error::new(Kind::Transport, format!("cannot make an HTTP client for {}", shown(url)))
                .because_of(&error.without_url())
        })?;
        Ok(Self { http, url: url.clone(), limits })
    }

    /// Returns a listing, or none if it does not come soon.
    pub(super) async fn index(&self, url: &Url) -> Option<String> {
        tokio::time::timeout(self.limits.index, async {
            let response = self.http.get(url.clone()).send().await.ok()?;
            if !response.status().is_success() {
                return None;
            }
            text_of(response).await.ok()
        })
        .await
        .ok()?
    }

    /// Returns a small file, or none if the server has no such file.
    pub(super) async fn small(&self, url: &Url, deadline: Instant) -> Result<Option<String>> {
        let tries = AtomicU32::new(0);
        let look = || async {
            let answered = async {
                let response = self.http.get(url.clone()).send().await.map_err(|error| TryError::of(&error))?;
                match response.status() {
                    StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN => Ok(None),
                    status if status.is_success() => text_of(response).await.map(Some),
                    status if answer::is_passing(status) => Err(TryError::Again(format!("the answer is {status}"))),
                    status => {
                        let error = Error::new(Kind::Provider, format!("cannot download {}", shown(url)));
                        Err(TryError::ForGood(error.because(format!("the answer is {status}"))))
                    }
                }
            };
            self.looked(answered.await, &tries, || {
                Error::new(Kind::Transport, format!("cannot download {}", shown(url)))
            })
        };
        wait::until(&shown(url), self.limits.again, deadline, |_| (), look).await
    }

    /// Downloads the whole file to `part`. Returns whether some of it existed already. If the future is dropped, what
    /// has come stays.
    ///
    /// `room` is called once the size is known.
    pub(super) async fn file(
        &self,
        part: &Path,
        what: &str,
        deadline: Instant,
        progress: &Progress,
        room: impl Fn(Transferred) -> Result<()>,
    ) -> Result<bool> {
        let url = shown(&self.url);
        let report = Mutex::new(TransferReport { what: format!("downloading {what} from {url}"), last: None });
        let transfer = Transfer { fetch: self, part, progress, room, report, resumed: AtomicBool::new(false) };
        let (tries, one_ended) = (AtomicU32::new(0), AtomicBool::new(false));
        let look = || async {
            let before = length(part);
            let ended = transfer.once().await;
            one_ended.store(true, Relaxed);
            if length(part) > before {
                tries.store(0, Relaxed);
            }
            self.looked(ended, &tries, || Error::new(Kind::Transport, format!("cannot download {url}")))
        };
        let told = |status: &str| progress.step(format!("downloading {what}: {status}; trying again"));
        match wait::until(&format!("the download of {url}"), self.limits.again, deadline, told, look).await {
            Ok(()) => Ok(transfer.resumed.load(Relaxed)),
            // The wait knows of tries that ended only: an answer that is still coming would be none to it.
            Err(error) if error.is_timeout() && !one_ended.load(Relaxed) && length(part) > 0 => {
                let late = Error::new(Kind::Timeout, format!("gave up the download of {url}"));
                Err(late.because(format!("only {} bytes of it have come in time", length(part))))
            }
            Err(error) => Err(error),
        }
    }

    fn looked<T>(&self, ended: Result<T, TryError>, tries: &AtomicU32, failed: impl Fn() -> Error) -> Result<Look<T>> {
        let cost = if matches!(ended, Err(TryError::Unreachable(_))) { self.limits.tries.div_ceil(2) } else { 1 };
        match ended {
            Ok(value) => Ok(Look::Ready(value)),
            Err(TryError::ForGood(error)) => Err(error),
            Err(TryError::Again(why) | TryError::Unreachable(why)) => {
                match tries.fetch_add(cost, Relaxed) + cost < self.limits.tries {
                    true => Ok(Look::NotYet(why)),
                    false => Err(failed().because(why)),
                }
            }
        }
    }
}

/// One file on its way to `part`.
struct Transfer<'a, R> {
    fetch: &'a Fetch,
    part: &'a Path,
    progress: &'a Progress,
    room: R,
    report: Mutex<TransferReport>,
    /// Set if some of the part was there before.
    resumed: AtomicBool,
}

impl<R: Fn(Transferred) -> Result<()>> Transfer<'_, R> {
    /// Sends one request, and writes what its answer brings.
    async fn once(&self) -> Result<(), TryError> {
        let (Fetch { http, url, .. }, part) = (self.fetch, self.part);
        let asked = RangeRequest::of(length(part), source_of(part).filter(|source| source.url == shown(url)));
        let mut request = http.get(url.clone()).header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some((offset, validator)) = asked.range() {
            request = request.header(RANGE, format!("bytes={offset}-")).header(IF_RANGE, validator);
        }
        let response = request.send().await.map_err(|error| TryError::of(&error))?;
        let coming = match answer::judge(&asked, response.status(), response.headers()) {
            RangeAnswer::Whole => {
                self.resumed.store(true, Relaxed);
                return Ok(());
            }
            RangeAnswer::From { offset, total } => Transferred { at: offset, total },
            RangeAnswer::Useless(why) => {
                forget(part);
                return Err(TryError::Again(why));
            }
            RangeAnswer::Again(why) => return Err(TryError::Again(why)),
            RangeAnswer::Refused(why) => {
                let error = Error::new(Kind::Provider, format!("cannot download {}", shown(url)));
                return Err(TryError::ForGood(error.because(why)));
            }
        };
        self.resumed.store(coming.at > 0, Relaxed);
        self.is_short_enough(coming)?;
        (self.room)(coming).map_err(TryError::ForGood)?;
        let file = self.opened(coming, &response).map_err(|error| not_written(part, error))?;
        self.receive(response, file, coming).await
    }

    /// Refuses a file that is, or has become, too long. Otherwise a server could fill the disk.
    fn is_short_enough(&self, coming: Transferred) -> Result<(), TryError> {
        let most = self.fetch.limits.archive;
        if coming.at.max(coming.total.unwrap_or_default()) <= most {
            return Ok(());
        }
        forget(self.part);
        let error = Error::new(Kind::Provider, format!("cannot download {}", shown(&self.fetch.url)));
        Err(TryError::ForGood(error.because(format!("it is longer than {} MiB, and no release is", most / MIB))))
    }

    fn opened(&self, coming: Transferred, response: &Response) -> io::Result<File> {
        let part = self.part;
        if coming.at > 0 {
            return OpenOptions::new().append(true).open(part);
        }
        let validator = answer::validator(response.headers());
        let source = PartSource { url: shown(&self.fetch.url), validator, total: coming.total };
        // First, so that the old part is never taken for a part of the new file.
        forget(part);
        let file = OpenOptions::new().append(true).create(true).open(part)?;
        fs::write(beside(part), serde_json::to_vec(&source).unwrap_or_default())?;
        Ok(file)
    }

    async fn receive(&self, mut response: Response, mut file: File, mut coming: Transferred) -> Result<(), TryError> {
        loop {
            self.report.lock().unwrap_or_else(PoisonError::into_inner).at(coming, self.progress);
            match response.chunk().await {
                Ok(Some(bytes)) => {
                    let longer = Transferred { at: coming.at + bytes.len() as u64, ..coming };
                    self.is_short_enough(longer)?;
                    file.write_all(&bytes).map_err(|error| not_written(self.part, error))?;
                    coming = longer;
                }
                Ok(None) => break,
                Err(error) => return Err(TryError::Again(format!("{} after {}", plain(&error), coming.shown()))),
            }
        }
        match coming.total {
            Some(total) if total != coming.at => Err(TryError::Again(format!("it ended after {}", coming.shown()))),
            _ => Ok(()),
        }
    }
}

/// The bytes of a file that have come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transferred {
    pub(super) at: u64,
    /// The size of the whole file, if the server says it.
    pub(super) total: Option<u64>,
}

impl Transferred {
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

/// Reports progress at most once a second, and every 10 s if little has come.
struct TransferReport {
    what: String,
    last: Option<(Instant, u64)>,
}

impl TransferReport {
    const OFTEN: Duration = Duration::from_secs(1);
    const SELDOM: Duration = Duration::from_secs(10);

    fn at(&mut self, coming: Transferred, progress: &Progress) {
        // Each 5 % are a step. If the size is unknown, each 16 MiB are one.
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

/// Follows redirections from TLS to TLS only. Otherwise the content could be forged on the way.
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

/// Returns the beginning of a small file, which is what matters of a digest. Nothing is read of a file that says that
/// it is long.
async fn text_of(response: Response) -> Result<String, TryError> {
    let body = Body::read(response, SMALL).await.map_err(|error| TryError::of(&error))?;
    Ok(String::from_utf8_lossy(&body.bytes).into_owned())
}

fn length(part: &Path) -> u64 {
    fs::metadata(part).map_or(0, |meta| meta.len())
}

fn beside(part: &Path) -> PathBuf {
    suffixed(part, ".json")
}

fn source_of(part: &Path) -> Option<PartSource> {
    serde_json::from_slice(&fs::read(beside(part)).ok()?).ok()
}

/// Removes a partial file. Its description goes first, since a part without it is never continued.
pub(super) fn forget(part: &Path) {
    let _ = fs::remove_file(beside(part));
    let _ = fs::remove_file(part);
}

/// Returns the error of a failed write. On a full disk it also removes the part, which takes the space.
fn not_written(part: &Path, error: io::Error) -> TryError {
    if error.kind() == io::ErrorKind::StorageFull {
        forget(part);
    }
    TryError::ForGood(Error::new(Kind::Provider, format!("cannot write {}", part.display())).because(error))
}

/// Returns the innermost cause of a failed request, without the address, which may contain a password.
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
