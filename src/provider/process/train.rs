//! Makes the JVM's cache of an installation: a server that notes what it loads, then a JVM that writes it down.

use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::process::Child;

use super::command::Start;
use super::log::Log;
use super::place::{Bases, Place};
use super::{Held, REMOVAL, json, left, name, user};
use crate::error::{Error, Kind, Result};
use crate::provider::jvm::{self, About, Lease, Training};
use crate::wait::{self, Look};

/// Out of everybody's way, on a machine that is busy. Half a minute is usual.
const LIMIT: Duration = Duration::from_secs(10 * 60);
/// In the server's directory, which is its working directory: so no path has to survive the start script.
const NOTES: &str = "train.conf";
const CACHE: &str = "crate.aot";

/// Makes the cache that `training` names, under `lease`.
pub(in crate::provider) async fn make(training: &Training, lease: &mut Lease) -> Result<()> {
    let home = training.with["home"].as_str().unwrap_or_default();
    let user = user::find();
    let dir = Bases::of_this_machine().choose(&user, 1)?;
    let held = Held {
        provider: "process".to_owned(),
        name: name(&dir),
        dir: dir.clone(),
        server: None,
        others: Vec::new(),
        outlives: false,
    };
    lease.intends(&json(&held));
    tracing::info!(home, dir = %dir.display(), "a server learns for the cache of its JVM");
    let start = Start { home: Path::new(home), dir: &dir, user: &user, outlives: false, nodes: 1, jvm: "" };
    let made = write(start, Instant::now() + LIMIT).await.and_then(|place| {
        let about = About { made: time::OffsetDateTime::now_utc().unix_timestamp(), ..training.about.clone() };
        training.cache.publish(&place.dir.join(CACHE), about, user.is_other()).map_err(|error| failed().because(error))
    });
    left::remove(&dir, &[], Instant::now() + REMOVAL).await?;
    lease.settle();
    made
}

/// The directory in which the cache is.
async fn write(start: Start<'_>, deadline: Instant) -> Result<Place> {
    let place = Place::make(start.dir, start.user, 1)?.remove(0);
    let log = Log::of(&place);
    let written = async {
        let jvm = format!("-XX:AOTMode=record -XX:AOTConfiguration={NOTES}");
        let mut server = Start { jvm: &jvm, ..start }.spawn(1, &place).map_err(|error| failed().because(error))?;
        tokio::select! {
            used = use_it(&log, deadline) => used?,
            ended = server.wait() => return Err(failed().because(format!("the server ended ({})", how(ended)))),
        }
        stop(&server);
        // Its notes are its last words.
        ended(&mut server, deadline).await?;
        let jvm = format!("-XX:AOTMode=create -XX:AOTConfiguration={NOTES} -XX:AOTCache={CACHE}");
        let mut writer = Start { jvm: &jvm, ..start }.spawn_jvm(&place).map_err(|error| failed().because(error))?;
        let status = ended(&mut writer, deadline).await?;
        match status.success() && place.dir.join(CACHE).is_file() {
            true => Ok(()),
            false => Err(failed().because(format!("the JVM wrote none ({status})"))),
        }
    };
    match written.await {
        Ok(()) => Ok(place),
        Err(error) => Err(log.at_the_end_of(super::place::full(start.dir, error))),
    }
}

async fn use_it(log: &Log, deadline: Instant) -> Result<()> {
    let look = || async { Ok(log.addresses().map_or(Look::NotYet("it did not log one".to_owned()), Look::Ready)) };
    let addresses = wait::until("the server's address", wait::SERVER, deadline, |_| (), look).await?;
    let url = format!("http://{}", addresses.http);
    jvm::practise(&url, deadline).await
}

fn stop(server: &Child) {
    if let Some(pid) = server.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
}

async fn ended(child: &mut Child, deadline: Instant) -> Result<ExitStatus> {
    let ended = tokio::time::timeout_at(deadline.into(), child.wait()).await;
    ended
        .map_err(|_| Error::new(Kind::Timeout, format!("the JVM's cache was not done after {} s", LIMIT.as_secs())))?
        .map_err(|error| failed().because(error))
}

fn how(ended: std::io::Result<ExitStatus>) -> String {
    ended.map_or_else(|error| error.to_string(), |status| status.to_string())
}

fn failed() -> Error {
    Error::new(Kind::Provider, "cannot make a cache for the JVM")
}
