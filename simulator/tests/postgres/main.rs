//! The PostgreSQL protocol of the embedded engine, judged by what a real CrateDB 6.4.3 answered to the same messages.
//!
//! With `CRATEDB_PG_ADDRESS=host:port` the same conversations are held with a real server, too. `CRATEDB_PG_RECORD=1`
//! then records its answers.

#![allow(unreachable_pub)] // the modules of a test binary have no outside

mod client;
mod conversation;
mod doors;
mod judged;
