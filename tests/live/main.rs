//! Against a real CrateDB: everything that a stand-in can only promise. Each test says why it was skipped where there is
//! none: `CRATEDB_HOME` names an installation, an image `crate:6.4.3` in the container engine is used too.

#![allow(unreachable_pub)] // the modules of a test binary have no outside

mod answers;
mod cloud;
#[path = "../../simulator/tests/engine/recorded.rs"]
mod recorded;
// Not everything of it is of use here.
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;
