//! Tests on servers with a password and TLS.
