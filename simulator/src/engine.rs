//! The embedded SQL engine.
