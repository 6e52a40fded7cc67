//! Says where the schema of a failed test is kept, and the commands that show it, in the order in which they are typed.

use std::time::Duration;

use super::attempt::pg_url;
use crate::settings::Settings;
use crate::sql::Credentials;
use crate::target::{ClusterAddress, OnExit, Target};
use crate::wire::Ready;
use crate::{schema, user};

/// Says where a kept schema is, until when, and how to open and to drop it.
pub(super) fn told(settings: &Settings, ready: &Ready, schema: &str, test: &str) -> String {
    let mut lines = vec![format!("schema {schema} of `{test}` is kept on {}", ready.name)];
    lines.extend(until(settings, schema).map(|until| format!("until:   {until}")));
    lines.extend(ready.console.as_ref().map(|page| format!("console: {page}")));
    let show = |at: &str| format!("cargo cratedb query{at} \"SHOW TABLES FROM {schema}\"");
    let psql = pg_url(ready, schema).ok().and_then(|url| to_show(&url)).map(|url| format!("     or: psql \"{url}\""));
    match &settings.spec.target {
        // By the time a person reads this, it is suspended.
        Target::Cloud(cloud) => {
            let at = option(&cloud.cluster);
            lines.push(format!("open it: cargo cratedb start{at}"));
            lines.push(format!("         {}", show(&at)));
            lines.extend(psql);
            lines.push(format!("drop it: cargo cratedb kept{at} --drop {schema}"));
            lines.push(format!("at last: cargo cratedb stop{at}"));
        }
        // Its password and its authority are in the memory of its keeper only.
        Target::Local(local) if !local.security.is_open() => {
            lines.push(format!("open it: in a test that wants the same `auth` and `tls`: SHOW TABLES FROM {schema}"));
        }
        Target::Local(_) => {
            let at = format!(" --cluster-url {}", ready.http_url);
            lines.push(format!("open it: {}", show(&at)));
            lines.push(format!("     or: {}", crash(ready, schema)));
            lines.extend(psql);
            lines.push(format!("drop it: cargo cratedb kept{at} --drop {schema}"));
        }
        Target::Url(_) => {
            lines.push(format!("open it: {}", crash(ready, schema)));
            lines.extend(psql);
            lines.push(format!("drop it: cargo cratedb kept --drop {schema}"));
        }
    }
    lines.join("\n  ")
}

/// Says what would keep the schema of a failed test on a server that is removed with the run.
pub(super) fn advice(test: &str) -> String {
    format!(
        "the server of `{test}` is removed after the run with all that is on it; with CRATEDB_TEST_KEEP_WARM=10m it stays \
         for ten minutes, with the schemas of failed tests"
    )
}

fn until(settings: &Settings, schema: &str) -> Option<String> {
    let policy = &settings.spec.policy;
    match &settings.spec.target {
        Target::Local(_) if policy.on_exit == OnExit::Keep => {
            Some("the server is ended by hand (CRATEDB_TEST_ON_EXIT=keep)".to_owned())
        }
        Target::Local(_) => {
            let time = humantime::format_duration(Duration::from_millis(policy.keep_warm));
            Some(format!("the server is removed, {time} after the last run (CRATEDB_TEST_KEEP_WARM)"))
        }
        _ => schema::kept_until(schema).map(|until| format!("{until}; then the next run drops it")),
    }
}

fn crash(ready: &Ready, schema: &str) -> String {
    let user = match &ready.credentials {
        Credentials::Basic { username, .. } => format!(" --username {username}"),
        _ => String::new(),
    };
    format!("crash --hosts {}{user} --schema {schema}", ready.http_url)
}

/// Returns the option of the command line that names a cluster.
fn option(cluster: &ClusterAddress) -> String {
    match cluster {
        ClusterAddress::Id(id) => format!(" --cluster-id {}", word(id)),
        ClusterAddress::Name(name) => format!(" --cluster-name {}", word(name)),
        ClusterAddress::Url(url) => format!(" --cluster-url {}", word(url)),
    }
}

/// Quotes a text for a shell, if it has to be.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Returns an address without its password; none if its user will be gone before a person can use it.
fn to_show(url: &str) -> Option<url::Url> {
    let mut url = url::Url::parse(url).ok()?;
    if user::is_ours(url.username()) {
        return None;
    }
    url.set_password(None).ok()?;
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = "cratedb_test_hrfjq_abcdefgh_t";

    /// Returns the settings of a project with this `.env`.
    fn settings(env: &str) -> Settings {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".env"), env).unwrap();
        Settings::load(dir.path(), Default::default()).unwrap()
    }

    fn ready(provider: &str, http_url: &str, pg_url: Option<&str>) -> Ready {
        Ready {
            provider: provider.to_owned(),
            name: format!("{provider} x"),
            http_url: http_url.to_owned(),
            pg_url: pg_url.map(crate::secret::Secret::new),
            pg_hint: None,
            credentials: Credentials::None,
            authority: None,
            version: "6.4.3".parse().unwrap(),
            clock: None,
            console: None,
            lives_on: true,
        }
    }

    /// Asserts that the lines begin like this, in this order, below the first one and the one with the time.
    #[track_caller]
    fn says(text: &str, expected: &[&str]) {
        let lines: Vec<&str> = text.lines().skip(2).map(str::trim).collect();
        assert_eq!(lines, expected, "{text}");
    }

    const CLOUD: &str = "CRATEDB_TEST_PROVIDER=cloud\nCRATEDB_CLOUD_API_KEY=k\nCRATEDB_CLOUD_API_SECRET=s\n";

    #[test]
    fn a_cloud_cluster_is_started_before_anything_is_looked_at_and_stopped_at_last() {
        let settings = settings(&format!("{CLOUD}CRATEDB_CLUSTER_NAME=ci\n"));
        let pg_url = Some("postgres://admin:hunter2@ci.example.org:5432?sslmode=require");
        let text = told(&settings, &ready("cloud", "https://ci.example.org:4200", pg_url), SCHEMA, "m::t");
        says(
            &text,
            &[
                "open it: cargo cratedb start --cluster-name ci",
                "cargo cratedb query --cluster-name ci \"SHOW TABLES FROM cratedb_test_hrfjq_abcdefgh_t\"",
                "or: psql \"postgres://admin@ci.example.org:5432/cratedb_test_hrfjq_abcdefgh_t?sslmode=require\"",
                "drop it: cargo cratedb kept --cluster-name ci --drop cratedb_test_hrfjq_abcdefgh_t",
                "at last: cargo cratedb stop --cluster-name ci",
            ],
        );
        assert!(!text.contains("hunter2") && text.contains("then the next run drops it"), "{text}");
    }

    #[test]
    fn a_cluster_is_named_as_the_settings_name_it() {
        let by_id = settings(&format!("{CLOUD}CRATEDB_CLUSTER_ID=e1e3\n"));
        let text = told(&by_id, &ready("cloud", "https://ci.example.org:4200", None), SCHEMA, "m::t");
        assert!(text.contains("cargo cratedb start --cluster-id e1e3\n") && !text.contains("psql"), "{text}");
        assert_eq!([word("ci-1"), word("it's"), word("a b")], ["ci-1", r"'it'\''s'", "'a b'"]);
    }

    #[test]
    fn a_local_server_is_addressed_and_its_end_is_told() {
        let warm = settings("CRATEDB_TEST_PROVIDER=process\nCRATEDB_TEST_KEEP_WARM=10m\n");
        let ready = ready("process", "http://127.0.0.1:4200", Some("postgres://crate@127.0.0.1:5432"));
        let text = told(&warm, &ready, SCHEMA, "m::t");
        assert!(text.contains("the server is removed, 10m after the last run"), "{text}");
        let commands = [
            "open it: cargo cratedb query --cluster-url http://127.0.0.1:4200 \"SHOW TABLES FROM cratedb_test_hrfjq_abcdefgh_t\"",
            "or: crash --hosts http://127.0.0.1:4200 --schema cratedb_test_hrfjq_abcdefgh_t",
            "or: psql \"postgres://crate@127.0.0.1:5432/cratedb_test_hrfjq_abcdefgh_t\"",
            "drop it: cargo cratedb kept --cluster-url http://127.0.0.1:4200 --drop cratedb_test_hrfjq_abcdefgh_t",
        ];
        says(&text, &commands);
        let kept = settings("CRATEDB_TEST_PROVIDER=container\nCRATEDB_TEST_ON_EXIT=keep\n");
        assert!(told(&kept, &ready, SCHEMA, "m::t").contains("ended by hand (CRATEDB_TEST_ON_EXIT=keep)"));
    }

    #[test]
    fn a_guarded_server_is_opened_by_a_test_and_its_password_is_not_told() {
        let warm = settings("CRATEDB_TEST_KEEP_WARM=10m\nCRATEDB_TEST_AUTH=password\nCRATEDB_TEST_TLS=1\n");
        let pg_url = "postgres://cratedb_test:hunter2@127.0.0.1:5432?sslmode=require";
        let text = told(&warm, &ready("process", "https://127.0.0.1:4200", Some(pg_url)), SCHEMA, "m::t");
        assert!(text.contains("open it: in a test that wants the same `auth` and `tls`"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("psql") && !text.contains("crash"), "{text}");
    }

    #[test]
    fn a_server_that_others_manage_needs_no_start() {
        let by_url = settings("CRATEDB_TEST_PROVIDER=url\nCRATEDB_CLUSTER_URL=http://db:4200\n");
        let credentials =
            Credentials::Basic { username: "ada".into(), password: crate::secret::Secret::new("hunter2") };
        let ready = Ready { credentials, ..ready("url", "http://db:4200", None) };
        let text = told(&by_url, &ready, SCHEMA, "m::t");
        says(
            &text,
            &[
                "open it: crash --hosts http://db:4200 --username ada --schema cratedb_test_hrfjq_abcdefgh_t",
                "drop it: cargo cratedb kept --drop cratedb_test_hrfjq_abcdefgh_t",
            ],
        );
    }
}
