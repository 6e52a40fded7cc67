//! Runs this test program again with an environment and a working directory of its own, since a process can't change
//! them for one test.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use cratedb_test::ManagedCluster;
use cratedb_test::cloud::Client;

use crate::support::{KEY, SECRET};

const TASK: &str = "SDK_TEST_TASK";

/// A child process: the question for it, and its directory.
pub(crate) struct Child {
    command: Command,
}

impl Child {
    /// Sets up a child without settings, whose home and working directory is the given one.
    pub(crate) fn new(task: &str, directory: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child::does_its_task", "--ignored", "--nocapture"]).current_dir(directory);
        for (name, _) in std::env::vars() {
            if name.starts_with("CRATEDB_") || name.starts_with("XDG_") {
                command.env_remove(name);
            }
        }
        command.env(TASK, task).env("HOME", directory).env("XDG_CONFIG_HOME", directory.join("config"));
        Self { command }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs the child and returns the lines `name: value` that it printed.
    pub(crate) fn said(self) -> HashMap<String, String> {
        let line = |line: &String| line.strip_prefix("@ ")?.split_once(": ").map(|(a, b)| (a.to_owned(), b.to_owned()));
        self.lines().iter().filter_map(line).collect()
    }

    /// Runs the child and returns all lines of its standard output.
    pub(crate) fn lines(mut self) -> Vec<String> {
        let output = self.command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        text.lines().map(str::to_owned).collect()
    }
}

fn say(name: &str, value: impl ToString) {
    println!("@ {name}: {}", value.to_string().replace('\n', " | "));
}

#[test]
#[ignore = "run by `Child`, which other tests make"]
fn does_its_task() {
    let Ok(task) = std::env::var(TASK) else { return };
    println!();
    let before = std::env::vars().count();
    match task.as_str() {
        "address" => match ManagedCluster::from_env() {
            Ok(cluster) => tell(&cluster),
            Err(error) => say("error", error),
        },
        "name in code" => match ManagedCluster::builder().cluster_name("code").build() {
            Ok(cluster) => tell(&cluster),
            Err(error) => say("error", error),
        },
        "key in code" => match Client::builder().api_key(KEY, SECRET).build() {
            Ok(client) => say("endpoint", client.endpoint()),
            Err(error) => say("error", error),
        },
        "nothing but code" => match ManagedCluster::builder().env(false).cluster_name("code").build() {
            Ok(cluster) => tell(&cluster),
            Err(error) => say("error", error),
        },
        "the organization of a client" => {
            let given = |name: &str| std::env::var(name).unwrap();
            let client = Client::builder().env(false).endpoint(given("SDK_TEST_ENDPOINT")).api_key(KEY, SECRET);
            let client = client.organization_id(given("SDK_TEST_ORGANIZATION")).build().unwrap();
            let cluster = ManagedCluster::builder().client(client).cluster_name("fresh").build().unwrap();
            say("made", cratedb_test::blocking::wait(cluster.deploy()).unwrap().name);
        }
        "me" => match Client::from_env() {
            Ok(client) => {
                say("credentials", client.credentials());
                say("endpoint", client.endpoint());
                match cratedb_test::blocking::wait(client.me()) {
                    Ok(user) => say("me", user.email),
                    Err(error) => say("error", error),
                }
            }
            Err(error) => {
                say("not allowed", error.is_not_allowed());
                say("error", error);
            }
        },
        "select" => {
            let asked = cratedb_test::blocking::ManagedCluster::from_env()
                .and_then(|cluster| cluster.query("SELECT current_user").scalar::<String>());
            match asked {
                Ok(user) => say("user", user),
                Err(error) => say("error", error),
            }
        }
        other => panic!("unknown task `{other}`"),
    }
    assert_eq!(std::env::vars().count(), before, "nothing was put into the environment");
}

fn tell(cluster: &ManagedCluster) {
    say("address", cluster.address());
    say("notes", cluster.notes().join(" | "));
    say("credentials", cluster.client().credentials());
    say("endpoint", cluster.client().endpoint());
}
