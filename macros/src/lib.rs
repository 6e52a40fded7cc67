//! The attribute macro of `cratedb-test`.
