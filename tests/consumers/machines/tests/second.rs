#[cratedb_test::cratedb_cluster]
fn one() {
    machines::turn("shared", "second-one");
}

#[cratedb_test::cratedb_cluster(exclusive)]
fn alone() {
    machines::turn("exclusive", "second-alone");
}

#[cratedb_test::cratedb_cluster]
fn two() {
    machines::turn("shared", "second-two");
}
