//! Tests that change what a schema does not isolate, and others that must not see it.

/// Returns the global state that the tests compare: settings, users, and the result of the query in `LOOK`.
#[cfg(test)]
fn seen(cluster: &cratedb_test::blocking::Cluster) -> String {
    let mut all = Vec::new();
    let looks = ["SELECT settings['stats'] FROM sys.cluster", "SELECT name FROM sys.users WHERE name NOT LIKE 'cratedb_test_user_%' ORDER BY 1"];
    for look in looks.into_iter().map(String::from).chain(std::env::var("LOOK")) {
        let rows: Vec<(serde_json::Value,)> = cluster.query(look).fetch_all().unwrap();
        all.push(format!("{rows:?}"));
    }
    all.join("\n")
}

#[cfg(test)]
mod tests {
    use cratedb_test::blocking::{Cluster, eventually};
    use cratedb_test::cratedb_cluster;

    /// The state that the first test saw. All others must see the same.
    fn sees_the_same(cluster: &Cluster) {
        let path = std::path::PathBuf::from(std::env::var_os("FIRST").expect("FIRST"));
        let seen = super::seen(cluster);
        match std::fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => std::io::Write::write_all(&mut file, seen.as_bytes()).unwrap(),
            Err(_) => assert_eq!(std::fs::read_to_string(&path).unwrap(), seen),
        }
    }

    #[cratedb_cluster]
    fn a_shared(cluster: Cluster) {
        sees_the_same(&cluster);
    }

    #[cratedb_cluster(exclusive)]
    fn b_changes(cluster: Cluster) {
        for statement in std::env::var("CHANGES").expect("CHANGES").split(';') {
            cluster.execute(statement).unwrap();
        }
        let death = std::env::var("DEATH").unwrap_or_default();
        if let Some(path) = std::env::var_os("HERE") {
            std::fs::write(&path, "x").unwrap();
            if death == "wait" {
                let here = || std::fs::exists(&path);
                eventually(here).within(std::time::Duration::from_secs(60)).equals(false).unwrap();
            }
        }
        match &*death {
            "panic" => panic!("as planned"),
            "kill" => std::process::abort(),
            _ => {}
        }
    }

    #[cratedb_cluster]
    fn c_shared(cluster: Cluster) {
        sees_the_same(&cluster);
    }

    #[cratedb_cluster(exclusive)]
    fn d_alone(cluster: Cluster) {
        sees_the_same(&cluster);
    }
}
