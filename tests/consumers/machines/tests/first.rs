#[cratedb_test::cratedb_cluster]
fn one() {
    machines::turn("shared", "first-one");
}

#[cratedb_test::cratedb_cluster]
fn two() {
    machines::turn("shared", "first-two");
}

#[cratedb_test::cratedb_cluster]
fn three() {
    machines::turn("shared", "first-three");
}
