//! News of keepers of other machines on the same cluster.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Input, Keeper, Member, News};
use crate::error::{Error, Kind};
use crate::keeper::machine::Event;
use crate::sharing::new_id;
use crate::sharing::{CutOff, Turns};
use crate::wire::Hello;

impl Keeper {
    /// Describes this keeper to those of other machines.
    pub(super) fn member(&self, hello: &Hello) -> Member {
        let inputs = self.inputs.clone();
        let session = match (&hello.session, hello.runners.last()) {
            (Some(named), _) => format!("session `{}`", named.name),
            (None, Some(runner)) => format!("`{}`, process {}", runner.name, runner.pid),
            (None, None) => format!("process {}", hello.own.pid),
        };
        let id = self.journal.read(|record| record.lease.clone());
        let id = if id.is_empty() { new_id() } else { id };
        Member { id, session, hear: Arc::new(move |news| inputs.send(Input::News(news))) }
    }

    pub(super) fn hear(&mut self, news: News) {
        tracing::debug!(?news, "of other machines");
        match news {
            News::Line(text) => {
                tracing::warn!(text, "of other machines");
                self.clients.notify_any(text);
            }
            News::Turns { turns, number, wish } => {
                self.supply.turns = number;
                // An earlier wish was granted, which was taken back meanwhile.
                let late = turns == Turns::Alone && wish != self.supply.wishes;
                self.feed(Event::Turns(if late { Turns::Shared } else { turns }));
            }
            News::Alone(alone) => self.note_alone(alone),
            News::Cut(cut, since) => self.cut_off(cut, since),
        }
    }

    fn note_alone(&mut self, alone: bool) {
        if let Some(resource) = &mut self.supply.resource {
            resource.held.set_alone(alone);
        }
        self.journal.note("whether other machines use the cluster", |record| {
            if let Some(held) = &mut record.held {
                held.set_alone(alone);
            }
        });
    }

    /// The cluster went away under the tests.
    fn cut_off(&mut self, cut: CutOff, since: Option<String>) {
        self.note_undropped();
        let Some(resource) = self.supply.resource.take() else { return };
        let seen = humantime::format_rfc3339_seconds(SystemTime::now());
        let error = match cut {
            CutOff::Suspended => {
                Error::new(Kind::Provider, format!("{} was suspended by another client", resource.name))
                    .because(match since {
                        Some(since) => {
                            format!("since {since}, says CrateDB Cloud; seen at {seen}, while tests used it")
                        }
                        None => format!("it was seen at {seen}, while tests used it"),
                    })
                    .hint("with CRATEDB_TEST_ON_SUSPENDED=resume it is resumed, and the tests that follow run on it")
            }
            CutOff::Expired => Error::new(Kind::Provider, format!("the lease on {} has expired", resource.name))
                .because(format!(
                    "this machine, or its keeper, was stopped for longer than a lease lasts, until {seen}"
                ))
                .because("other machines may have suspended the cluster meanwhile")
                .hint("with CRATEDB_TEST_ON_SUSPENDED=resume the tests that follow run on it again"),
        };
        tracing::error!(%error, "the cluster went away");
        self.supply.failure = Some(error);
        self.supply.renew_at = None;
        self.drops.begin(None);
        self.clients.reports.values_mut().for_each(|report| report.told = false);
        self.feed(Event::CutOff);
    }
}
