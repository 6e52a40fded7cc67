//! The events of a test's network, for the list of its steps: which faults were set, and what they did.

use std::fmt;
use std::time::Duration;

use super::lane::Held;

/// The protocols of CrateDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Postgres,
}

/// The way that bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    FromServer,
}

impl Protocol {
    pub(crate) const ALL: [Self; 2] = [Self::Http, Self::Postgres];
}

impl Direction {
    pub(crate) const ALL: [Self; 2] = [Self::ToServer, Self::FromServer];
}

/// Something that happened between a test and its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The test set a fault or lifted some.
    Set { what: String, protocol: Option<Protocol>, direction: Option<Direction> },
    /// Chunks came later.
    Held { protocol: Protocol, direction: Direction, chunks: u64, bytes: u64, shortest: Duration, longest: Duration },
    /// Connections were reset after so many bytes.
    Reset { protocol: Protocol, direction: Direction, after: u64, connections: u64 },
    /// The proxy had no connection to the server for a client.
    Unreachable { protocol: Protocol, server: String, why: String, connections: u64 },
}

impl Event {
    pub(super) fn held(protocol: Protocol, direction: Direction, held: Held) -> Self {
        let Held { bytes, time } = held;
        Self::Held { protocol, direction, chunks: 1, bytes: bytes as u64, shortest: time, longest: time }
    }

    /// Adds an event of the same kind to this one; false if they differ in more than numbers.
    pub(crate) fn absorb(&mut self, next: &Self) -> bool {
        match (self, next) {
            (
                Self::Held { protocol, direction, chunks, bytes, shortest, longest },
                Self::Held { protocol: p, direction: d, chunks: c, bytes: b, shortest: s, longest: l },
            ) if (*protocol, *direction) == (*p, *d) => {
                (*chunks, *bytes) = (*chunks + c, *bytes + b);
                (*shortest, *longest) = ((*shortest).min(*s), (*longest).max(*l));
                true
            }
            (
                Self::Reset { protocol, direction, after, connections },
                Self::Reset { protocol: p, direction: d, after: a, connections: c },
            ) if (*protocol, *direction, *after) == (*p, *d, *a) => {
                *connections += c;
                true
            }
            (
                Self::Unreachable { protocol, server, why, connections },
                Self::Unreachable { protocol: p, server: s, why: w, connections: c },
            ) if (&*protocol, &*server, &*why) == (p, s, w) => {
                *connections += c;
                true
            }
            _ => false,
        }
    }

    /// Reports whether events after this one are told apart from those before it.
    pub(crate) fn divides(&self) -> bool {
        matches!(self, Self::Set { .. })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Postgres => "PostgreSQL",
        })
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ToServer => "to the server",
            Self::FromServer => "from the server",
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { what, protocol, direction } => {
                write!(f, "{what}")?;
                direction.iter().try_for_each(|direction| write!(f, " {direction}"))?;
                protocol.iter().try_for_each(|protocol| write!(f, ", {protocol} only"))
            }
            Self::Held { protocol, direction, chunks, bytes, shortest, longest } => {
                let (chunks, bytes) = (counted(*chunks, "chunk"), counted(*bytes, "byte"));
                write!(f, "held {chunks} {direction} ({bytes}, {protocol}) for {}", millis(*shortest))?;
                if millis(*shortest) != millis(*longest) {
                    write!(f, " to {}", millis(*longest))?;
                }
                Ok(())
            }
            Self::Reset { protocol, direction, after, connections } => {
                let connections = connections_of(*protocol, *connections);
                write!(f, "reset {connections} after {} {direction}", counted(*after, "byte"))
            }
            Self::Unreachable { protocol, server, why, connections } => {
                write!(f, "reset {}: no connection to {server}: {why}", connections_of(*protocol, *connections))
            }
        }
    }
}

/// Returns a time as people read it.
pub(super) fn millis(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

fn connections_of(protocol: Protocol, count: u64) -> String {
    match (count, protocol) {
        (1, Protocol::Http) => "an HTTP connection".to_owned(),
        (1, Protocol::Postgres) => "a PostgreSQL connection".to_owned(),
        (count, protocol) => format!("{count} {protocol} connections"),
    }
}

pub(super) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(direction: Direction, bytes: usize, millis: u64) -> Event {
        Event::held(Protocol::Http, direction, Held { bytes, time: Duration::from_millis(millis) })
    }

    #[test]
    fn events_of_one_kind_become_one_line() {
        let mut event = held(Direction::FromServer, 1, 200);
        assert_eq!(event.to_string(), "held 1 chunk from the server (1 byte, HTTP) for 200 ms");
        assert!(event.absorb(&held(Direction::FromServer, 10, 200)));
        assert_eq!(event.to_string(), "held 2 chunks from the server (11 bytes, HTTP) for 200 ms");
        assert!(event.absorb(&held(Direction::FromServer, 9, 150)));
        assert_eq!(event.to_string(), "held 3 chunks from the server (20 bytes, HTTP) for 150 ms to 200 ms");
        assert!(!event.absorb(&held(Direction::ToServer, 1, 200)));

        let reset =
            |protocol, after| Event::Reset { protocol, direction: Direction::FromServer, after, connections: 1 };
        let mut event = reset(Protocol::Postgres, 1024);
        assert_eq!(event.to_string(), "reset a PostgreSQL connection after 1024 bytes from the server");
        assert!(event.absorb(&reset(Protocol::Postgres, 1024)) && !event.absorb(&reset(Protocol::Http, 1024)));
        assert!(!event.absorb(&reset(Protocol::Postgres, 1)));
        assert_eq!(event.to_string(), "reset 2 PostgreSQL connections after 1024 bytes from the server");
    }

    #[test]
    fn a_fault_that_is_set_divides_what_happened_before_from_what_happened_after() {
        let set = |protocol, direction| Event::Set { what: "black hole".into(), protocol, direction };
        let mut all = set(None, None);
        assert!(all.divides() && !all.absorb(&set(None, None)) && !held(Direction::ToServer, 1, 1).divides());
        assert_eq!(all.to_string(), "black hole");
        let one = set(Some(Protocol::Http), Some(Direction::ToServer));
        assert_eq!(one.to_string(), "black hole to the server, HTTP only");
    }

    #[test]
    fn a_server_that_is_not_there_is_told_with_the_reason() {
        let gone = Event::Unreachable {
            protocol: Protocol::Http,
            server: "db:4200".into(),
            why: "connection refused".into(),
            connections: 1,
        };
        let mut twice = gone.clone();
        assert!(twice.absorb(&gone));
        assert_eq!(twice.to_string(), "reset 2 HTTP connections: no connection to db:4200: connection refused");
    }
}
