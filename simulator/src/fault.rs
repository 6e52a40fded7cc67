//! Faults of the transport, which hit the next requests that fit.

use std::time::Duration;

use serde_json::{Value, json};

/// A fault that hits requests of a method whose path contains a text.
///
/// ```
/// # use cratedb_cloud_simulator::Fault;
/// let fault = Fault::on("GET", "/operations/").status(500).times(2);
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    method: String,
    path_part: String,
    action: Action,
    skip: u32,
    times: u32,
}

/// The action instead of an answer, or before it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// With the value of the header `Retry-After`, in seconds.
    Answer {
        status: u16,
        body: String,
        retry_after: Option<u32>,
    },
    Hang,
    Drop,
    Delay(Duration),
}

impl Fault {
    /// Makes a fault for the next request of this method (`*` for any) whose path contains this text, on either plane.
    /// It is answered with status 500 unless another action is chosen.
    pub fn on(method: &str, path_part: &str) -> Self {
        Self {
            method: method.to_uppercase(),
            path_part: path_part.into(),
            action: Action::Answer { status: 500, body: error_body("An error occured."), retry_after: None },
            skip: 0,
            times: 1,
        }
    }

    /// Answers with this status and an error body of the control plane's shape.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        self.answer(status, &error_body("An error occured."))
    }

    /// Answers with this status and body.
    #[must_use]
    pub fn answer(mut self, status: u16, body: &str) -> Self {
        let retry_after = match self.action {
            Action::Answer { retry_after, .. } => retry_after,
            _ => None,
        };
        self.action = Action::Answer { status, body: body.into(), retry_after };
        self
    }

    /// Adds the header `Retry-After` with this number of seconds to the fault's answer.
    ///
    /// ```
    /// # use cratedb_cloud_simulator::Fault;
    /// let busy = Fault::on("GET", "/clusters/").status(429).retry_after(2);
    /// ```
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        if let Action::Answer { retry_after, .. } = &mut self.action {
            *retry_after = Some(seconds);
        }
        self
    }

    /// Answers as if another operation ran.
    #[must_use]
    pub fn conflict(self) -> Self {
        self.answer(400, &error_body(crate::state::CONFLICT))
    }

    /// Never answers and keeps the connection open.
    #[must_use]
    pub fn hang(mut self) -> Self {
        self.action = Action::Hang;
        self
    }

    /// Closes the connection without an answer.
    #[must_use]
    pub fn drop_connection(mut self) -> Self {
        self.action = Action::Drop;
        self
    }

    /// Answers as usual, this much later.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.action = Action::Delay(delay);
        self
    }

    /// Leaves the first `n` requests that fit alone.
    #[must_use]
    pub fn after(mut self, n: u32) -> Self {
        self.skip = n;
        self
    }

    /// Hits `n` requests instead of one.
    #[must_use]
    pub fn times(mut self, n: u32) -> Self {
        self.times = n;
        self
    }

    /// Hits every request until [`Cloud::clear_faults`](crate::Cloud::clear_faults).
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }

    fn show(&self) -> Value {
        let mut shown = match &self.action {
            Action::Answer { status, body, retry_after: None } => json!({ "status": status, "body": body }),
            Action::Answer { status, body, retry_after } => {
                json!({ "status": status, "body": body, "retry_after": retry_after })
            }
            Action::Hang => json!({ "hang": true }),
            Action::Drop => json!({ "drop": true }),
            Action::Delay(delay) => json!({ "delay": humantime::format_duration(*delay).to_string() }),
        };
        shown["method"] = self.method.clone().into();
        shown["path"] = self.path_part.clone().into();
        shown["after"] = self.skip.into();
        shown["times"] = if self.times == u32::MAX { "always".into() } else { self.times.into() };
        shown
    }

    fn fits(&self, method: &str, path: &str) -> bool {
        (self.method == "*" || self.method == method) && path.contains(&self.path_part)
    }
}

fn error_body(message: &str) -> String {
    json!({ "success": false, "message": message }).to_string()
}

/// The faults that are set, in the order they were set.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    /// Shows the faults that are not used up.
    pub(crate) fn show(&self) -> Value {
        self.0.iter().filter(|fault| fault.times > 0).map(Fault::show).collect()
    }

    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the action for this request: of the first fault that fits and is not used up. Every fault that fits
    /// counts its skips.
    pub(crate) fn take(&mut self, method: &str, path: &str) -> Option<Action> {
        for fault in self.0.iter_mut().filter(|fault| fault.fits(method, path)) {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.times > 0 {
                fault.times -= u32::from(fault.times != u32::MAX);
                return Some(fault.action.clone());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_the_requests_that_fit_as_often_as_told() {
        let mut faults = Faults::default();
        faults.add(Fault::on("put", "/suspend/").hang().after(1).times(2));
        let mut taken = |method: &str| faults.take(method, "/api/v2/clusters/x/suspend/");
        assert_eq!([taken("GET"), taken("PUT")], [None, None]);
        assert_eq!([taken("PUT"), taken("PUT"), taken("PUT")], [Some(Action::Hang), Some(Action::Hang), None]);
    }

    #[test]
    fn an_endless_fault_lasts_until_it_is_cleared() {
        let mut faults = Faults::default();
        faults.add(Fault::on("*", "/_sql").drop_connection().always());
        assert!((0..9).all(|_| faults.take("POST", "/_sql") == Some(Action::Drop)));
        faults.clear();
        assert_eq!(faults.take("POST", "/_sql"), None);
    }
}
