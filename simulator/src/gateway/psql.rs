//! The PostgreSQL protocol of a cluster: who may come in while it runs.

use std::net::IpAddr;

use super::{Facts, Gateway};
use crate::engine::Connection;
use crate::http::Plane;
use crate::postgres::{Entry, Server};

impl Server for Gateway {
    fn period(&self) -> Option<i64> {
        Plane::period(self)
    }

    fn is_gone(&self) -> bool {
        Plane::is_gone(self)
    }

    /// With authentication everybody needs a password; as in CrateDB, a token is none.
    fn entry(&self, user: &str, _: IpAddr) -> Option<Entry> {
        let facts = self.facts()?;
        if !self.is_ready(self.shared.now(), facts.running_since) {
            return None;
        }
        Some(match facts.auth {
            true => Entry::Password,
            false if self.embedded(&facts).engine().has_user(user) => Entry::Trust,
            false => Entry::Closed(format!("trust authentication failed for user \"{user}\"")),
        })
    }

    fn knows(&self, user: &str, password: &str) -> bool {
        self.shared.record.hide(password);
        self.facts().is_some_and(|facts| self.knows_user(&facts, user, password))
    }

    fn connect(&self) -> Option<Connection> {
        Some(self.embedded(&self.facts()?).engine().connect())
    }

    fn used(&self) {
        self.shared.used(|state| state.touch(self.shared.now(), &self.cluster));
    }

    fn changed(&self) {
        self.shared.data_changed();
    }
}

impl Gateway {
    fn facts(&self) -> Option<Facts> {
        self.shared.look(|state| state.find(&self.cluster).map(Facts::of))
    }
}
