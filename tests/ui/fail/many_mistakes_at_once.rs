//! Ten mistakes in the attribute and the signature: ten errors.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(exklusive, keep_schema = "sometimes", crate = "db", 3, exclusive = 1)]
const unsafe extern "C" fn everything<T>(_thing: impl Into<T>) {}

fn main() {}
