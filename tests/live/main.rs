//! Against a real CrateDB: what a stand-in can only promise. Each test says why it was skipped where there is none:
//! `CRATEDB_HOME` names an installation; an image `crate:6.4.3` is used where the container engine has it.
//!
//! Tests that a stand-in can take as well stand beside it in `tests/it`: those with `real` in their name. So
//! `CRATEDB_HOME=… cargo test --no-fail-fast --test live --test it` runs all of them.

#![allow(unreachable_pub)] // the modules of a test binary have no outside

mod answers;
mod cloud;
mod container;
#[path = "../../simulator/tests/engine/recorded.rs"]
mod recorded;
// Not everything of it is of use here.
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;
