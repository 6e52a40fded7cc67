//! Tests against a real CrateDB what a stand-in can only imitate. `CRATEDB_HOME` names an installation, and the image
//! `crate:6.4.3` is used if the container engine has it. Without a server, each test says why it is skipped.
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
