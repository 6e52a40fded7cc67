//! The server's clock, by which schemas and users are named and their ages judged. The clocks of the machines that
//! share a cluster may differ by days, and each of them may be set at any time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::host::platform::since_boot;

/// The clock of a server, as any process of this machine can tell it until the next boot: also after the machine slept
/// and after its own clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ServerClock {
    /// The time at which this machine was booted by that clock, in milliseconds since the Unix epoch.
    booted: i64,
}

impl ServerClock {
    /// Makes the clock that shows this many milliseconds since the Unix epoch now.
    pub(crate) fn showing(millis: i64) -> Self {
        Self { booted: millis.saturating_sub(up()) }
    }

    pub(crate) fn now(self) -> SystemTime {
        time_of(self.booted.saturating_add(up()))
    }
}

/// Returns the time of a server's clock; that of this machine if the server does not tell it, or is on this machine.
pub(crate) fn now(server: Option<ServerClock>) -> SystemTime {
    server.map_or_else(SystemTime::now, ServerClock::now)
}

/// Returns an instant that a server has told in milliseconds since the Unix epoch.
pub(crate) fn time_of(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// Returns how long this machine has been up, in milliseconds.
fn up() -> i64 {
    i64::try_from(since_boot().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_from_what_the_server_told_whatever_this_machine_says() {
        for told in [1_790_000_040_000, 0, 4_102_444_800_000] {
            let clock = ServerClock::showing(told);
            let (before, after) = (time_of(told), time_of(told + 60_000));
            assert!((before..after).contains(&clock.now()), "{told}: {clock:?}");
            std::thread::sleep(Duration::from_millis(5));
            assert!(clock.now() >= before + Duration::from_millis(5), "it stands still");
            let sent: ServerClock = serde_json::from_str(&serde_json::to_string(&clock).unwrap()).unwrap();
            assert_eq!(sent, clock);
        }
    }

    #[test]
    fn without_one_it_is_the_time_of_this_machine() {
        let (before, now) = (SystemTime::now(), now(None));
        assert!(before <= now && now <= SystemTime::now());
    }

    #[test]
    fn nonsense_is_no_panic() {
        assert_eq!(time_of(-5), UNIX_EPOCH);
        let _ = (ServerClock::showing(i64::MIN).now(), ServerClock::showing(i64::MAX).now());
    }
}
