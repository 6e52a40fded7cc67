//! Names of the user that the expansion must neither see nor hide.

#![allow(dead_code, non_upper_case_globals, non_camel_case_types, non_snake_case, unused_macros)]

use ::cratedb_test::{cratedb_cluster, Cluster};

const context: i32 = 1;
const value: i32 = 2;
const test: i32 = 3;
const argument_0: i32 = 4;
const cluster: i32 = 5;
const TEST: i32 = 6;

mod core {}
mod std {}
mod cratedb_test {}
mod private {}

struct Result;
struct Option;
struct Some;
struct Outcome;
struct Context;
struct Test;
struct Probe;
struct Box;
struct Pin;
fn Ok() {}
fn Err() {}
fn run() {}
fn raise() {}

trait Failed {
    fn failed(&self) -> bool {
        true
    }
    fn is_err(&self) -> bool {
        true
    }
    fn await_(&self) {}
}
impl<T> Failed for T {}

macro_rules! module_path {
    () => {
        compile_error!("the user's module_path")
    };
}
macro_rules! file {
    () => {
        compile_error!("the user's file")
    };
}
macro_rules! env {
    ($($any:tt)*) => {
        compile_error!("the user's env")
    };
}

#[cratedb_cluster]
async fn all_of_them(db: &Cluster) -> ::std::result::Result<(), ::cratedb_test::Error> {
    assert_eq!((context, value, test, argument_0, cluster, TEST), (1, 2, 3, 4, 5, 6));
    composition::sees_only_its_own_rows(db).await
}

#[cratedb_cluster]
async fn async_and_named_like_the_crate(_: Cluster) {}

#[cratedb_cluster]
fn run_sync() {
    assert!(Failed::failed(&()));
}
