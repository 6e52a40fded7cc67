//! The vendor's released programs, unmodified, against the simulator's program: their requests, output and exit codes.
//!
//! The programs come from the Python package index, at pinned versions, into environments below the target directory.
//! If Python or the packages can't be had, each test says so and does nothing (`CRATEDB_TEST_REQUIRE=python` makes that
//! a failure).

mod croud_account;
mod croud_changes;
mod croud_clusters;
mod croud_jobs;
mod croud_login;
mod ctk;
mod ctk_library;
mod openapi;
mod side_by_side;
mod sql_clients;
mod support;
