//! The texts of the files that `init` writes.

use std::path::Path;

/// Returns a first test, as rustfmt of the package's edition writes it.
pub(super) fn first_test(edition: &str) -> String {
    // rustfmt sorts names in another way since 2024, and 2015 has neither async functions nor crates in paths.
    let (imports, head, wait) = match edition {
        "2015" => (
            "extern crate cratedb_test;\n\nuse cratedb_test::blocking::Cluster;\n\
             use cratedb_test::{cratedb_cluster, Result};",
            "fn",
            "",
        ),
        "2018" | "2021" => ("use cratedb_test::{cratedb_cluster, Cluster, Result};", "async fn", ".await"),
        _ => ("use cratedb_test::{Cluster, Result, cratedb_cluster};", "async fn", ".await"),
    };
    format!(
        "\
//! The first test against CrateDB. It has a schema of its own, which is dropped after it.

{imports}

#[cratedb_cluster]
{head} a_row_is_found_after_a_refresh(cluster: Cluster) -> Result<()> {{
    cluster.execute(\"CREATE TABLE town (name TEXT)\"){wait}?;
    cluster.execute(\"INSERT INTO town VALUES ('Bern')\"){wait}?;
    // A search finds a new row once its table was refreshed.
    cluster.refresh(){wait}?;
    let name: String = cluster.query(\"SELECT name FROM town\").scalar(){wait}?;
    assert_eq!(name, \"Bern\");
    Ok(())
}}
"
    )
}

/// A sample of `.env`. All of it is commented out.
pub(super) const ENV: &str = "\
# Settings for tests against CrateDB. Copy this file to `.env`, which does not belong in the repository, and remove
# the `#` before what you set. The environment wins over `.env`. `cargo cratedb doctor` shows what tests would use.
# All variables: https://github.com/crate/cratedb-test/blob/main/docs/settings.md

# A server that runs already:
#CRATEDB_CLUSTER_URL=http://localhost:4200
#CRATEDB_USERNAME=crate
#CRATEDB_PASSWORD=

# Or a cluster of CrateDB Cloud: it is resumed for a run and suspended after it. `never` deploys none of that name. Make
# the API key on the account page of https://console.cratedb.cloud, or log in: cargo cratedb login --idp github
#CRATEDB_CLUSTER_NAME=
#CRATEDB_CLOUD_API_KEY=
#CRATEDB_CLOUD_API_SECRET=
#CRATEDB_CLOUD_DEPLOY=never

# Or an extracted release of CrateDB on this machine:
#CRATEDB_HOME=

# With none of them, a container of this version runs, or a process of a downloaded release:
#CRATEDB_VERSION=6.4.3
";

/// A configuration of nextest.
pub(super) const NEXTEST: &str = "\
# The wait for a cluster of CrateDB Cloud that is resumed takes minutes, and nextest counts it as the time of a test.
[profile.default]
slow-timeout = { period = \"60s\", terminate-after = 15 }
";

/// Returns a workflow of GitHub Actions. `below` is the directory of the workspace in the repository, and `package` the
/// one whose tests run, if not all do.
pub(super) fn github(below: &Path, package: Option<&str>) -> String {
    let directory = match below.as_os_str().is_empty() {
        true => String::new(),
        false => {
            format!("    defaults:\n      run:\n        working-directory: {}\n", quoted(&below.display().to_string()))
        }
    };
    format!(
        "\
name: CrateDB

on:
  push:
  pull_request:

permissions:
  contents: read

jobs:
  integration:
    runs-on: ubuntu-latest
{directory}    # Without settings, the tests start a container. For a cluster of CrateDB Cloud, name it here and add the two
    # secrets to the repository. Runs of forks get no secrets: they use a container then.
    # env:
    #   CRATEDB_CLUSTER_NAME: ${{{{ secrets.CRATEDB_CLOUD_API_KEY != '' && 'ci' || '' }}}}
    #   CRATEDB_CLOUD_API_KEY: ${{{{ secrets.CRATEDB_CLOUD_API_KEY }}}}
    #   CRATEDB_CLOUD_API_SECRET: ${{{{ secrets.CRATEDB_CLOUD_API_SECRET }}}}
    steps:
      - uses: actions/checkout@v4
      - run: {}
",
        test(package)
    )
}

/// Returns a pipeline of GitLab, with the same parameters.
pub(super) fn gitlab(below: &Path, package: Option<&str>) -> String {
    let directory = match below.as_os_str().is_empty() {
        true => String::new(),
        false => format!("    - cd {}\n", quoted(&below.display().to_string())),
    };
    format!(
        "\
integration:
  image: rust:1
  # Without settings, the tests run a downloaded release. For a cluster of CrateDB Cloud, name it here and add
  # CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET to the masked variables of the project.
  # variables:
  #   CRATEDB_CLUSTER_NAME: ci
  script:
{directory}    - {}
",
        test(package)
    )
}

/// Returns the command that runs the tests.
pub(super) fn test(package: Option<&str>) -> String {
    package.map_or("cargo test".to_owned(), |name| format!("cargo test --package {name}"))
}

/// Returns a text in the single quotes of YAML and of shells, unless it needs none.
fn quoted(text: &str) -> String {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.'));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

#[cfg(test)]
mod tests {
    use yaml_serde::Value;

    use super::*;

    fn yaml(text: &str) -> Value {
        yaml_serde::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// Removes the `# ` before the lines of a section that begins with one of them.
    fn uncommented(text: &str, section: &str) -> String {
        let mut inside = false;
        let lines = text.lines().map(|line| {
            let body = line.trim_start();
            inside = body == format!("# {section}:") || inside && body.starts_with("#   ");
            if inside { line.replacen("# ", "", 1) } else { line.to_owned() }
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_workflow_is_yaml_with_and_without_its_cluster() {
        for (below, package) in [("", None), ("services/it's here", Some("orders"))] {
            let text = github(Path::new(below), package);
            for text in [text.clone(), uncommented(&text, "env")] {
                let job = &yaml(&text)["jobs"]["integration"];
                assert_eq!(job["steps"][1]["run"].as_str(), Some(&*test(package)), "{text}");
                let directory = job["defaults"]["run"]["working-directory"].as_str();
                assert_eq!(directory.unwrap_or_default(), below);
            }
            let key = &yaml(&uncommented(&text, "env"))["jobs"]["integration"]["env"]["CRATEDB_CLOUD_API_KEY"];
            assert_eq!(key.as_str(), Some("${{ secrets.CRATEDB_CLOUD_API_KEY }}"));
        }
    }

    #[test]
    fn a_pipeline_is_yaml_with_and_without_its_cluster() {
        let text = gitlab(Path::new("services"), Some("orders"));
        let job = yaml(&text)["integration"].clone();
        assert_eq!(job["script"][0].as_str(), Some("cd services"));
        assert_eq!(job["script"][1].as_str(), Some("cargo test --package orders"));
        let named = &yaml(&uncommented(&text, "variables"))["integration"]["variables"]["CRATEDB_CLUSTER_NAME"];
        assert_eq!(named.as_str(), Some("ci"));
    }

    #[test]
    fn the_configuration_of_nextest_is_toml() {
        let read: toml::Table = NEXTEST.parse().unwrap();
        let timeout = &read["profile"]["default"]["slow-timeout"];
        assert_eq!((timeout["period"].as_str(), timeout["terminate-after"].as_integer()), (Some("60s"), Some(15)));
    }

    #[test]
    fn the_sample_sets_nothing_and_names_settings_that_there_are() {
        let guide = include_str!("../../../../../docs/settings.md");
        assert!(ENV.lines().all(|line| line.is_empty() || line.starts_with('#')));
        let set: Vec<_> = ENV.lines().filter_map(|line| line.strip_prefix("#CRATEDB_")?.split_once('=')).collect();
        assert_eq!(set.len(), 9);
        for (name, value) in set {
            assert!(guide.contains(&format!("| `CRATEDB_{name}` |")), "{name}");
            let secret = name.contains("PASSWORD") || name.contains("API");
            assert!(!secret || value.is_empty(), "{name}");
        }
    }
}
