//! Decides how the acquisition of the cluster and the build beside it go on, without doing any of it.
//!
//! The build starts when the acquisition has told what it waits for. So a cluster that can't be had, because of a wrong
//! key for example, is an error before anything is built, and one that is there at once needs no build of its own.
//!
//! A failure of the acquisition that comes later does not end the build. What a build has made is used by the next one,
//! whereas a cargo that is ended from outside leaves compilers behind, below nextest a whole cargo, which go on writing
//! to the terminal and to the target directory. Ctrl-C reaches them all, so the user is told at once and can decide.

use std::time::Duration;

use super::process::Arrived;

/// The progress of both.
#[derive(Clone, Debug)]
pub(super) struct Overlap {
    build: Build,
    cluster: Cluster,
    /// The first signal that came.
    signal: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Build {
    /// The command builds for itself.
    None,
    Planned,
    Runs,
    Ended(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cluster {
    Awaited,
    Here,
    Refused,
}

/// An event that the decision depends on.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    /// The acquisition told its first step: there is something to wait for.
    Waits,
    Acquired,
    NotAcquired,
    /// The build ended with this exit code, or could not be started.
    Built(u8),
    Signal(Arrived),
}

/// The next thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    StartBuild,
    /// Pass a signal on to the build.
    PassOn(i32),
    /// Say that there will be no cluster, although the build goes on.
    Warn,
    /// The build is over. Show what is waited for still.
    Show,
    /// Run the command: the cluster is there, and so is what was built.
    Run,
    /// End the session with this exit code: the build failed or was interrupted.
    End(u8),
    /// Report the error of the acquisition.
    Refuse,
    /// A signal ended the wait for the cluster.
    Interrupt(i32),
}

impl Overlap {
    pub(super) fn new(builds: bool) -> Self {
        let build = if builds { Build::Planned } else { Build::None };
        Self { build, cluster: Cluster::Awaited, signal: None }
    }

    /// Takes one event. Returns what to do about it.
    pub(super) fn on(&mut self, news: News) -> Step {
        match news {
            News::Waits if self.build == Build::Planned => {
                self.build = Build::Runs;
                return Step::StartBuild;
            }
            News::Waits => return Step::Wait,
            News::Acquired => self.cluster = Cluster::Here,
            News::NotAcquired => self.cluster = Cluster::Refused,
            News::Built(code) => self.build = Build::Ended(code),
            News::Signal(Arrived { signal, .. }) => drop(self.signal.get_or_insert(signal)),
        }
        match (self.build, news) {
            // The terminal has sent it to the build, too.
            (Build::Runs, News::Signal(Arrived { from_terminal: true, .. })) => Step::Wait,
            (Build::Runs, News::Signal(Arrived { signal, .. })) => Step::PassOn(signal),
            (Build::Runs, News::NotAcquired) if self.signal.is_none() => Step::Warn,
            (Build::Runs, _) => Step::Wait,
            (Build::Ended(code), _) => self.after_build(code, matches!(news, News::Built(_))),
            (Build::None | Build::Planned, _) => self.without_build(),
        }
    }

    /// Returns what follows once the build has ended. `just_now` is false for events after that.
    fn after_build(&self, code: u8, just_now: bool) -> Step {
        match (self.cluster, self.signal, code) {
            (Cluster::Refused, ..) => Step::Refuse,
            (_, Some(signal), 0) if just_now => Step::End(by_signal(signal)),
            (_, _, 1..) => Step::End(code),
            _ if just_now && self.cluster == Cluster::Awaited => Step::Show,
            _ => self.without_build(),
        }
    }

    fn without_build(&self) -> Step {
        match (self.cluster, self.signal) {
            (Cluster::Refused, _) => Step::Refuse,
            (_, Some(signal)) => Step::Interrupt(signal),
            (Cluster::Here, None) => Step::Run,
            (Cluster::Awaited, None) => Step::Wait,
        }
    }
}

/// Returns the exit code of a shell for a process that a signal ended.
fn by_signal(signal: i32) -> u8 {
    u8::try_from(signal).ok().and_then(|signal| signal.checked_add(128)).unwrap_or(1)
}

/// Says what was waited for: `cluster` is the time until it was there, and the build took the time from `began` to
/// `built`, all since the beginning of the acquisition.
pub(super) fn told(cluster: Duration, began: Duration, built: Duration) -> String {
    let build = built.saturating_sub(began).as_secs_f64();
    match cluster.checked_sub(built) {
        Some(rest) if !rest.is_zero() => {
            let (all, rest) = (cluster.as_secs_f64(), rest.as_secs_f64());
            format!("is ready after {all:.1} s: {rest:.1} s after the build, which took {build:.1} s")
        }
        _ => {
            format!("is ready: the cluster was there after {:.1} s, the build took {build:.1} s", cluster.as_secs_f64())
        }
    }
}

#[cfg(test)]
mod tests;
