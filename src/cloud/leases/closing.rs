//! Closes the row for one that stops a cluster without a lease: a program, the command line, the sweep of an account.
//!
//! The rules are those of the gate: the row changes to "closing" by compare-and-set, and the request leaves within
//! [`Limits::guard`] after that.

use std::time::Duration;

use super::LeaseTable;
use super::door::now;
use super::gate::{FORMAT, Limits, Row, RowState, RowVersion, Seen, ServerTime, Written};
use super::view::{LeaseInfo, Leases, names};
use crate::wait::Millis;

/// The row is read and written this often. Each time, another keeper was faster.
const TRIES: usize = 20;

/// The condition under which a cluster may be stopped.
#[derive(Clone, Copy)]
pub(crate) enum Condition<'a> {
    /// No lease lives but these.
    Unused { own: &'a [String] },
    /// The harness started it, and for so long nobody has used it.
    Abandoned(Duration),
    /// There is none.
    Forced,
}

/// The answer to one that wants to stop a cluster.
pub(crate) enum Verdict {
    /// The condition holds, and the row says "closing".
    Closed(Closed),
    /// The condition holds, and nothing was written.
    Holds,
    /// These use it.
    InUse(String),
    /// It is not to be stopped, for this reason.
    Kept(String),
    /// Another keeper is about to suspend it.
    Closing,
    /// There is no row, or it can't be read or written, for this reason.
    Unknown(String),
}

/// A row that says "closing".
pub(crate) struct Closed {
    table: LeaseTable,
    version: RowVersion,
    /// The row before.
    row: Row,
    /// The request may leave before this local time.
    before: Millis,
}

/// A row for which the condition holds.
struct Fit {
    row: Option<Row>,
    version: Option<RowVersion>,
    server: ServerTime,
    sent: Millis,
}

/// Reports whether a cluster may be stopped. Changes nothing.
pub(crate) async fn examine(table: &LeaseTable, id: &str, condition: Condition<'_>) -> Verdict {
    judge(table, id, condition).await.map_or_else(|verdict| verdict, |_| Verdict::Holds)
}

/// Changes the row to "closing" in the name of `id`, if the condition holds.
pub(crate) async fn close(table: &LeaseTable, id: &str, condition: Condition<'_>) -> Verdict {
    for _ in 0..TRIES {
        let Fit { row, version, server, sent } = match judge(table, id, condition).await {
            Ok(fit) => fit,
            Err(verdict) => return verdict,
        };
        let since = server.now;
        let state = RowState::Closing { by: id.to_owned(), since };
        let closing = Row { format: FORMAT, state, ours: true, written: since, leases: Vec::new() };
        let written = match version {
            Some(version) => table.write(&closing, version).await,
            None => table.insert(&closing).await,
        };
        match written {
            Written::Applied(version) => {
                let empty = Row { state: RowState::Open, ours: false, ..closing };
                let (table, before) = (table.clone(), sent + Limits::default().guard);
                return Verdict::Closed(Closed { table, version, row: row.unwrap_or(empty), before });
            }
            // The next look at the row tells.
            Written::Lost | Written::Unknown => {}
            Written::Refused(line) => return Verdict::Unknown(line),
        }
    }
    Verdict::Unknown("its leases change too fast".to_owned())
}

/// Makes the table with an empty row if there is no table, since no keeper has used the cluster then. A row that is
/// missing from a table counts as one that may have named keepers, and a program would wait for them at its end.
pub(crate) async fn begin(table: &LeaseTable) {
    if table.read().await == Seen::NoTable
        && table.make().await.is_ok()
        && let Seen::NoRow(server) = table.read().await
    {
        let (state, written) = (RowState::Open, server.now);
        // Without it, the gate decides.
        let _ = table.insert(&Row { format: FORMAT, state, ours: false, written, leases: Vec::new() }).await;
    }
}

/// Opens the row again after a request that was refused, so that those who come need not wait for a suspension.
pub(crate) async fn reopen(table: &LeaseTable, id: &str) {
    if let Seen::Row(row, version, server) = table.read().await
        && matches!(&row.state, RowState::Closing { by, .. } if by == id)
    {
        let row = Row { state: RowState::Open, written: server.now, ..row };
        // If it fails, the row is taken over after a while.
        let _ = table.write(&row, version).await;
    }
}

impl Closed {
    /// Reports whether the request may still leave.
    pub(crate) fn is_in_time(&self) -> bool {
        now() < self.before
    }

    /// Writes the row as it was before, if nobody else changed it.
    pub(crate) async fn reopen(self) {
        // If it fails, the row is taken over after a while.
        let _ = self.table.write(&self.row, self.version).await;
    }
}

async fn judge(table: &LeaseTable, id: &str, condition: Condition<'_>) -> Result<Fit, Verdict> {
    let sent = now();
    let (row, version, server) = match (table.read().await, condition) {
        (Seen::Row(row, version, server), _) => (Some(row), Some(version), server),
        (Seen::NoTable | Seen::NoRow(_), Condition::Abandoned(_)) => {
            return Err(Verdict::Kept("no run of tests has used it".to_owned()));
        }
        (Seen::Damaged(..), Condition::Abandoned(_)) => {
            return Err(Verdict::Kept("the row of its leases is damaged".to_owned()));
        }
        (Seen::Newer, Condition::Abandoned(_) | Condition::Unused { .. }) => {
            return Err(Verdict::Kept("a newer version of cratedb-test shares it with other machines".to_owned()));
        }
        (Seen::NoRow(server), _) => (None, None, server),
        (Seen::Damaged(version, server), _) => (None, Some(version), server),
        (Seen::Newer, _) => return Err(Verdict::Unknown("a newer version wrote its leases".to_owned())),
        (Seen::NoTable, _) => return Err(Verdict::Unknown("it has no table of leases".to_owned())),
        (Seen::Refused(line), _) => return Err(Verdict::Unknown(line)),
        (Seen::Unreachable, _) => return Err(Verdict::Unknown("its server does not answer SQL".to_owned())),
    };
    match row.as_ref().and_then(|row| condition.contradicted(row, server, id)) {
        Some(verdict) => Err(verdict),
        None => Ok(Fit { row, version, server, sent }),
    }
}

impl Condition<'_> {
    fn contradicted(self, row: &Row, server: ServerTime, id: &str) -> Option<Verdict> {
        let leases = Leases::of(row, server);
        let own = match self {
            Condition::Forced => return None,
            Condition::Unused { own } => own,
            Condition::Abandoned(_) => &[],
        };
        // A lease that only stands for what a lost row may have named does not keep a person from stopping a cluster.
        let counts = |lease: &&LeaseInfo| lease.is_known() || matches!(self, Condition::Abandoned(_));
        let others: Vec<_> = leases.live().filter(|lease| !own.contains(&lease.id)).filter(counts).collect();
        if !others.is_empty() {
            return Some(Verdict::InUse(names(others)));
        }
        let under_way = |by: &str, since: Millis| {
            by != id && since >= server.booted && server.now.saturating_sub(since) < Limits::default().takeover
        };
        match (&row.state, self) {
            (RowState::Closing { by, since }, _) if under_way(by, *since) => Some(Verdict::Closing),
            (_, Condition::Abandoned(idle)) => leases.why_kept(idle).map(Verdict::Kept),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::leases::gate::Lease;

    const SERVER: ServerTime = ServerTime { now: 1_000_000, booted: 500_000 };

    fn closing(by: &str, since: Millis) -> Row {
        let state = RowState::Closing { by: by.to_owned(), since };
        Row { format: FORMAT, state, ours: true, written: since, leases: Vec::new() }
    }

    fn waits(row: &Row, condition: Condition<'_>) -> bool {
        matches!(condition.contradicted(row, SERVER, "me"), Some(Verdict::Closing))
    }

    #[test]
    fn a_closing_of_another_is_waited_for_until_it_is_taken_over() {
        for condition in [Condition::Unused { own: &[] }, Condition::Abandoned(Duration::ZERO)] {
            assert!(waits(&closing("other", 970_001), condition));
            assert!(!waits(&closing("other", 970_000), condition), "its owner is silent");
            assert!(!waits(&closing("me", 1_000_000), condition));
        }
        assert!(!waits(&closing("other", 1_000_000), Condition::Forced));
        let booted = ServerTime { booted: 999_000, ..SERVER };
        let stale = closing("other", 998_999);
        assert!(Condition::Unused { own: &[] }.contradicted(&stale, booted, "me").is_none(), "it was suspended since");
        let kept = Condition::Abandoned(Duration::ZERO).contradicted(&stale, booted, "me");
        assert!(matches!(kept, Some(Verdict::Kept(_))), "a person started it since");
    }

    #[test]
    fn own_leases_do_not_count_as_others() {
        let lease = |id: &str| Lease { id: id.to_owned(), host: "h".into(), renewed: SERVER.now, ..Lease::default() };
        let row = Row { state: RowState::Open, leases: vec![lease("a"), lease("b")], ..closing("", 900_000) };
        let verdict = |own: &[&str]| {
            let own: Vec<_> = own.iter().map(ToString::to_string).collect();
            Condition::Unused { own: &own }.contradicted(&row, SERVER, "me")
        };
        assert!(verdict(&["a", "b"]).is_none());
        assert!(matches!(verdict(&["a"]), Some(Verdict::InUse(_))));
        assert!(matches!(
            Condition::Abandoned(Duration::ZERO).contradicted(&row, SERVER, "me"),
            Some(Verdict::InUse(_))
        ));
        assert!(Condition::Forced.contradicted(&row, SERVER, "me").is_none());
        let lost = Row { leases: vec![Lease { host: String::new(), ..lease("unknown") }], ..row };
        assert!(Condition::Unused { own: &[] }.contradicted(&lost, SERVER, "me").is_none());
        let swept = Condition::Abandoned(Duration::ZERO).contradicted(&lost, SERVER, "me");
        assert!(matches!(swept, Some(Verdict::InUse(_))));
    }
}
