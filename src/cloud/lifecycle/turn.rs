//! Who in this process may deploy a cluster under a name: one after another, since names are not unique.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Mutex as Turn;

use super::{Lifecycle, Run};
use crate::error::{Error, Kind, Result};

/// By endpoint and name, while anybody deploys or waits.
type Turns = HashMap<(String, String), Weak<Turn<()>>>;

impl Lifecycle {
    /// Waits until nobody else in this process deploys under this name. Whether the turn was taken just now: then the name
    /// has to be looked up once more before anything is deployed.
    pub(super) async fn takes_turn(&self, run: &Run<'_>) -> Result<bool> {
        if run.state().turn.is_some() {
            return Ok(false);
        }
        let turn = turn_of(self.client.endpoint(), &self.target.cluster.to_string());
        let guard = match turn.clone().try_lock_owned() {
            Ok(guard) => guard,
            Err(_) => {
                run.step(format!("waiting for another call of this process, which deploys {}", self.target.cluster));
                let guard = tokio::time::timeout_at(run.deadline.into(), turn.lock_owned()).await;
                guard.map_err(|_| {
                    Error::new(Kind::Timeout, format!("{} was not available in time", self.target.cluster))
                        .because("another call of this process was deploying it")
                })?
            }
        };
        run.state().turn = Some(guard);
        Ok(true)
    }
}

fn turn_of(endpoint: &str, name: &str) -> Arc<Turn<()>> {
    static TURNS: Mutex<Option<Turns>> = Mutex::new(None);
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    let turns = turns.get_or_insert_default();
    turns.retain(|_, turn| turn.strong_count() > 0);
    let entry = turns.entry((endpoint.to_owned(), name.to_owned())).or_default();
    let turn = entry.upgrade().unwrap_or_default();
    *entry = Arc::downgrade(&turn);
    turn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_at_an_endpoint_has_one_turn_as_long_as_anybody_has_it() {
        let one = turn_of("http://turns.invalid", "ci");
        assert!(Arc::ptr_eq(&one, &turn_of("http://turns.invalid", "ci")));
        assert!(!Arc::ptr_eq(&one, &turn_of("http://turns.invalid", "cd")));
        assert!(!Arc::ptr_eq(&one, &turn_of("http://other.invalid", "ci")));
        let guard = one.try_lock_owned().unwrap();
        assert!(turn_of("http://turns.invalid", "ci").try_lock().is_err());
        drop(guard);
        assert!(turn_of("http://turns.invalid", "ci").try_lock().is_ok());
    }
}
