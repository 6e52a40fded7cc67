//! The embedded SQL engine, against recorded answers of a real CrateDB and against malformed statements.

#![allow(unreachable_pub)] // the modules of a test binary have no outside

mod answers;
mod deep;
mod definitions;
mod found;
mod lease;
mod recorded;
mod robust;
mod rules;
mod support;
