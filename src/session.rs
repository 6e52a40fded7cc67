//! The test's side of a session. Placeholder; see the contract.
