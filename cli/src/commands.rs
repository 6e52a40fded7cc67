//! The commands.

mod login;

/// Where CrateDB Cloud sends a browser at the end of a login.
pub(crate) const LOGIN_PORT: u16 = 8400;
