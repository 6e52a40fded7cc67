//! A local stand-in for CrateDB Cloud.
pub mod engine;
