//! Checks which setting wins, and which values are refused in which words.

mod of_servers;

use std::collections::HashMap;
use std::path::PathBuf;

use super::key::url_target_of_key;
use super::*;

fn sources(variables: &[(&str, &str)]) -> Sources {
    let map: HashMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources::of(map, &[]).unwrap()
}

fn read(variables: &[(&str, &str)]) -> Result<Settings> {
    wanting(variables, Wanted::default())
}

fn wanting(variables: &[(&str, &str)], wanted: Wanted) -> Result<Settings> {
    Settings::read(&sources(variables), Path::new("/project/package"), wanted)
}

/// Returns the cluster of this machine that tests get.
fn local(variables: &[(&str, &str)], wanted: Wanted) -> LocalTarget {
    match wanting(variables, wanted).unwrap().spec.target {
        Target::Local(target) => target,
        other => panic!("{other:?}"),
    }
}

const CREDENTIALS: [(&str, &str); 2] = [("CRATEDB_CLOUD_API_KEY", "key"), ("CRATEDB_CLOUD_API_SECRET", "geheim")];

fn with_credentials<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    CREDENTIALS.iter().chain(more).copied().collect()
}

#[test]
fn nothing_configured_is_a_local_server_with_the_reasons() {
    let settings = read(&[]).unwrap();
    let Target::Local(target) = settings.spec.target else { panic!("{:?}", settings.spec.target) };
    assert_eq!((target.image.as_str(), target.version), ("crate:6.4.3", "6.4.3".parse().ok()));
    assert_eq!((target.lacking.len(), target.nodes, target.kind), (2, 1, LocalKind::Auto));
    assert_eq!(target.home, None);
    assert_eq!(settings.spec.key, "local|auto|/project/package|6.4.3|1||crate:6.4.3");
    assert_eq!(settings.spec.policy, Policy::default());
    assert_eq!(settings.keep_schema, KeepSchema::OnFailure);
}

#[test]
fn url_beats_id_beats_name_and_the_ignored_are_named() {
    let settings = read(&with_credentials(&[
        ("CRATEDB_CLUSTER_URL", "https://ada:p%40ss@db.example:4200/"),
        ("CRATEDB_CLUSTER_ID", "e1e3"),
        ("CRATEDB_CLUSTER_NAME", "ci"),
    ]))
    .unwrap();
    let Target::Url(target) = &settings.spec.target else { panic!() };
    assert_eq!(target.url, "https://db.example:4200");
    assert_eq!((target.username.as_deref(), target.password.as_ref().unwrap().expose()), (Some("ada"), "p@ss"));
    assert_eq!(settings.spec.key, "url|https://db.example:4200");
    assert_eq!(
        settings.spec.notes,
        [
            "CRATEDB_CLUSTER_ID is ignored: CRATEDB_CLUSTER_URL is set too (environment)",
            "CRATEDB_CLUSTER_NAME is ignored: CRATEDB_CLUSTER_URL is set too (environment)"
        ]
    );
    let settings = read(&with_credentials(&[("CRATEDB_CLUSTER_ID", "e1e3"), ("CRATEDB_CLUSTER_NAME", "ci")])).unwrap();
    assert_eq!(settings.spec.key, "cloud|https://console.cratedb.cloud|id:e1e3|key");
}

#[test]
fn a_cluster_without_credentials_is_an_error_and_not_a_container() {
    let error = read(&[("CRATEDB_CLUSTER_NAME", "ci")]).unwrap_err();
    assert!(error.is_setting());
    let text = error.to_string();
    assert!(
        text.contains("cluster `ci`") && text.contains("CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET"),
        "{text}"
    );
    let text = read(&[("CRATEDB_CLUSTER_NAME", "ci"), CREDENTIALS[0]]).unwrap_err().to_string();
    assert!(text.contains("CRATEDB_CLOUD_API_SECRET is not set") && !text.contains("API_KEY and"), "{text}");
}

#[test]
fn credentials_without_a_cluster_are_not_configured_and_that_is_said() {
    let Target::Local(target) = read(&CREDENTIALS).unwrap().spec.target else { panic!() };
    assert!(target.lacking[1].contains("credentials are set"), "{:?}", target.lacking);
}

#[test]
fn an_installation_that_is_named_wins_over_a_container() {
    let settings =
        read(&[("CRATEDB_HOME", "/opt/crate"), ("CRATEDB_TEST_IMAGE", "crate:5.10"), ("CRATEDB_VERSION", "5.10")])
            .unwrap();
    let Target::Local(target) = &settings.spec.target else { panic!() };
    assert_eq!((target.home.as_deref(), target.outlives), (Some("/opt/crate"), false));
    assert_eq!(
        (target.version, settings.spec.key.as_str()),
        (None, "local|auto|/project/package|any|1|/opt/crate|crate:5.10")
    );
    assert_eq!(
        settings.spec.notes,
        [
            "CRATEDB_TEST_IMAGE is ignored: CRATEDB_HOME is set, so no container is used",
            "CRATEDB_VERSION is ignored: the version is the one in CRATEDB_HOME"
        ]
    );
    let Target::Local(again) = target_of_key(Path::new("/elsewhere"), &settings.spec.key).unwrap() else { panic!() };
    assert_eq!((again.home, again.project.as_str()), (Some("/opt/crate".to_owned()), "/project/package"));
}

#[test]
fn a_relative_installation_is_below_the_project_and_may_outlive_its_keeper() {
    let settings = read(&[("CRATEDB_HOME", "crate"), ("CRATEDB_TEST_ON_EXIT", "keep")]).unwrap();
    let Target::Local(target) = settings.spec.target else { panic!() };
    assert_eq!((target.home.as_deref(), target.outlives), (Some("/project/package/crate"), true));
}

#[test]
fn providers_of_this_machine_exclude_each_other() {
    let home = ("CRATEDB_HOME", "/opt/crate");
    let target = local(&[home, ("CRATEDB_TEST_PROVIDER", "container")], Wanted::default());
    assert_eq!((target.kind, target.home, target.lacking.len()), (LocalKind::Container, None, 2));
    let url = ("CRATEDB_CLUSTER_URL", "http://localhost:4200");
    let target = local(&[home, url, ("CRATEDB_TEST_PROVIDER", "process")], Wanted::default());
    assert_eq!((target.kind, target.home.as_deref()), (LocalKind::Process, Some("/opt/crate")));
    assert!(matches!(read(&[home, url]).unwrap().spec.target, Target::Url(_)));
    let target = local(&[("CRATEDB_TEST_PROVIDER", "process")], Wanted::default());
    assert_eq!((target.home, target.version), (None, "6.4.3".parse().ok()));
}

#[test]
fn a_test_that_wants_a_version_gets_a_cluster_of_this_machine() {
    let wanted = Wanted { version: "5.10".parse().ok(), ..Wanted::default() };
    let url = ("CRATEDB_CLUSTER_URL", "http://localhost:4200");
    let settings = wanting(&[url], wanted.clone()).unwrap();
    assert_eq!(settings.spec.key, "local|auto|/project/package|5.10|1||crate:5.10");
    assert!(settings.spec.notes[0].contains("is not used"), "{:?}", settings.spec.notes);
    // Unless the provider is a choice.
    let named = [url, ("CRATEDB_TEST_PROVIDER", "url")];
    assert!(matches!(wanting(&named, wanted.clone()).unwrap().spec.target, Target::Url(_)));

    let image = |image| local(&[("CRATEDB_TEST_IMAGE", image)], wanted.clone()).image;
    assert_eq!(image("crate/crate:6.4.3"), "crate/crate:5.10");
    assert_eq!(image("localhost:5000/crate"), "localhost:5000/crate:5.10");
    // A digest is a pin: no other image takes its place.
    for pinned in ["crate@sha256:ab", "localhost:5000/crate:6.4.3@sha256:ab"] {
        assert_eq!(image(pinned), pinned);
    }

    let three = Wanted { nodes: Some(3), ..Wanted::default() };
    let target = local(&[("CRATEDB_VERSION", "6.3")], three);
    assert_eq!((target.nodes, target.version, target.image.as_str()), (3, "6.3".parse().ok(), "crate:6.3"));
    let with_home = local(&[("CRATEDB_HOME", "/opt/crate"), ("CRATEDB_VERSION", "6.3")], wanted.clone());
    assert_eq!((with_home.home.as_deref(), with_home.version), (Some("/opt/crate"), wanted.version));
}

#[test]
fn an_empty_value_counts_as_not_given() {
    let settings = read(&[("CRATEDB_CLUSTER_URL", ""), ("CRATEDB_CLUSTER_NAME", " ")]).unwrap();
    assert!(matches!(settings.spec.target, Target::Local(_)));
}

#[test]
fn a_value_that_cannot_be_read_names_variable_value_and_forms() {
    for (name, value, accepted) in [
        ("CRATEDB_TEST_KEEP_WARM", "10", "accepted: 250ms, 10s, 10m, 2h or 0"),
        ("CRATEDB_TEST_MAX_LIFETIME", "soon", "accepted: 250ms, 10s, 10m, 2h or 0"),
        ("CRATEDB_TEST_START_TIMEOUT", "500000000000y", "it is longer than ten years"),
        ("CRATEDB_TEST_ON_EXIT", "stop", "accepted: auto, suspend, keep, delete"),
        ("CRATEDB_TEST_PROVIDER", "docker", "accepted: auto, url, cloud, container, process"),
        ("CRATEDB_TEST_KEEP_SCHEMA", "yes", "accepted: always, never, on-failure"),
        ("CRATEDB_TEST_OUTER", "me", "accepted: a process id"),
        ("CRATEDB_VERSION", "latest", "6.4 for its newest patch"),
        ("CRATEDB_TEST_JVM_CACHE", "yes", "accepted: auto, 0, 1"),
    ] {
        let error = read(&[(name, value)]).unwrap_err();
        let text = error.to_string();
        assert!(error.is_setting() && text.contains(name) && text.contains(value) && text.contains(accepted), "{text}");
    }
}

#[test]
fn an_address_that_cannot_be_read_does_not_show_its_password() {
    for url in ["crate://ada:geheim@host:4200", "http://ada:geheim@:99999", "geheim"] {
        let text = read(&[("CRATEDB_CLUSTER_URL", url)]).unwrap_err().to_string();
        assert!(text.contains("CRATEDB_CLUSTER_URL") && !text.contains("geheim"), "{text}");
    }
}

#[test]
fn nothing_prints_a_secret() {
    let settings = read(&with_credentials(&[("CRATEDB_CLUSTER_NAME", "ci"), ("CRATEDB_PASSWORD", "geheim")])).unwrap();
    assert!(!format!("{settings:?}").contains("geheim"));
}

#[test]
fn the_environment_beats_the_nearer_file_beats_the_farther() {
    let root = tempfile::tempdir().unwrap();
    let package = root.path().join("package");
    std::fs::create_dir(&package).unwrap();
    std::fs::write(
        root.path().join(".env"),
        "CRATEDB_VERSION=1.1.1\nCRATEDB_TEST_KEEP_WARM=1m\nCRATEDB_USERNAME=far\n",
    )
    .unwrap();
    std::fs::write(package.join(".env"), "# comment\nCRATEDB_VERSION=\"2.2.2\"\nCRATEDB_TEST_KEEP_WARM=2m\n").unwrap();
    let environment = [("CRATEDB_VERSION".to_owned(), "3.3.3".to_owned())].into();
    let sources = Sources::of(environment, &[package, root.path().to_owned()]).unwrap();
    let get = |name| sources.get(name).unwrap();
    assert_eq!(
        (get("CRATEDB_VERSION"), get("CRATEDB_TEST_KEEP_WARM"), get("CRATEDB_USERNAME")),
        ("3.3.3".into(), "2m".into(), "far".into())
    );
    assert_eq!(std::env::var_os("CRATEDB_TEST_KEEP_WARM"), None, "nothing is put into the process");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_without_its_text() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".env"), "CRATEDB_PASSWORD='geheim\n").unwrap();
    let text = Sources::of(HashMap::new(), &[dir.path().to_owned()]).unwrap_err().to_string();
    assert!(text.contains(".env") && !text.contains("geheim"), "{text}");
}

#[test]
fn what_is_not_ours_in_a_file_need_not_be_readable() {
    let dir = tempfile::tempdir().unwrap();
    let text = "just words\nDOCKER_OPTS = [a, b]\nCRATEDB_VERSION=1.1.1\nexport BANNER='open\nUSER NAME=x\n\
                CRATEDB_USERNAME=ada # us\nCI=true\n\"\n";
    std::fs::write(dir.path().join(".env"), text).unwrap();
    let sources = Sources::of(HashMap::new(), &[dir.path().to_owned()]).unwrap();
    let get = |name| sources.get(name);
    assert_eq!((get("CRATEDB_VERSION"), get("CRATEDB_USERNAME")), (Some("1.1.1".into()), Some("ada".into())));
    assert_eq!((get("CI"), get("BANNER")), (Some("true".into()), None));
    std::fs::write(dir.path().join(".env"), format!("{text}export CRATEDB_PASSWORD=a b\n")).unwrap();
    let error = Sources::of(HashMap::new(), &[dir.path().to_owned()]).unwrap_err().to_string();
    assert!(error.contains(".env") && !error.contains("a b"), "{error}");
}

#[test]
fn a_session_has_a_name_that_fits_everywhere_and_an_idle_time() {
    let session = |variables: &[(&str, &str)]| read(variables).unwrap().session;
    assert_eq!(session(&[]), None);
    let named = session(&[("CRATEDB_TEST_SESSION", "nightly-1.2_x")]).unwrap();
    assert_eq!((named.name.as_str(), named.idle), ("nightly-1.2_x", 600_000));
    let named = session(&[("CRATEDB_TEST_SESSION", "a"), ("CRATEDB_TEST_SESSION_IDLE", "2s")]).unwrap();
    assert_eq!(named.idle, 2_000);
    for name in ["a b", "a/b", "ä", &"x".repeat(65)] {
        let error = read(&[("CRATEDB_TEST_SESSION", name)]).unwrap_err();
        assert!(error.is_setting() && error.to_string().contains("accepted: 1 to 64"), "{error}");
    }
    assert!(read(&[("CRATEDB_TEST_SESSION_IDLE", "0")]).is_err());
}

/// The keeper of one key has one server. It was started from a release that was judged by the pins of that key.
#[test]
fn tests_with_a_pin_do_not_share_a_server_with_tests_that_have_another_or_none() {
    let key = |variables: &[(&str, &str)]| local(variables, Wanted::default()).key;
    let (one, two) = ("a".repeat(64), "b".repeat(64));
    let keys = [key(&[]), key(&[("CRATEDB_TEST_SHA256", &one)]), key(&[("CRATEDB_TEST_SHA256", &two)])];
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[2] != keys[0], "{keys:?}");
    // A container has nothing to do with archives.
    let container = ("CRATEDB_TEST_PROVIDER", "container");
    assert_eq!(key(&[container]), key(&[container, ("CRATEDB_TEST_SHA256", &one)]));
}

#[test]
fn a_key_leads_back_to_its_target() {
    let dir = tempfile::tempdir().unwrap();
    let home = ("CRATEDB_HOME", "/opt/50%|7C");
    let pins = format!("{},{}", "a".repeat(64), "b".repeat(64));
    let pinned = ("CRATEDB_TEST_SHA256", &*pins);
    for variables in
        [&[("CRATEDB_TEST_PROVIDER", "process")][..], &[home], &[("CRATEDB_TEST_IMAGE", "a:5/crate:6.4")], &[pinned]]
    {
        let settings = Wanted::settings_of([("a.b", "50%|7C"), ("c", "x,'y'")]).unwrap();
        let asking = Wanted { version: "5.10".parse().ok(), nodes: Some(3), settings, ..Wanted::default() };
        for wanted in [Wanted::default(), asking] {
            let mut target = local(variables, wanted);
            let Target::Local(again) = target_of_key(dir.path(), &target.key).unwrap() else { panic!() };
            target.lacking.clear();
            target.jvm_cache = JvmCache::Use;
            assert_eq!(again, target);
        }
    }
    let env = "CRATEDB_CLOUD_API_KEY=k\nCRATEDB_CLOUD_API_SECRET=s\nCRATEDB_CLOUD_ENDPOINT=https://one.example\n";
    std::fs::write(dir.path().join(".env"), env).unwrap();
    let Target::Cloud(cloud) = target_of_key(dir.path(), "cloud|https://one.example|name:a|b|k").unwrap() else {
        panic!()
    };
    assert_eq!(cloud.cluster, ClusterAddress::Name("a|b".into()));
    for (key, lacking) in [
        ("cloud|https://two.example|id:1|k", "https://two.example"),
        ("cloud|https://one.example|id:1|other", "API key other"),
        ("cloud|https://one.example", "can't be read"),
        ("", "can't be read"),
    ] {
        let error = target_of_key(dir.path(), key).unwrap_err().to_string();
        assert!(error.contains(lacking), "{key}: {error}");
    }
}

#[test]
fn schemas_are_not_kept_on_ci_unless_asked_for() {
    assert_eq!(read(&[("CI", "true")]).unwrap().keep_schema, KeepSchema::Never);
    let asked = read(&[("CI", "true"), ("CRATEDB_TEST_KEEP_SCHEMA", "on-failure")]).unwrap();
    assert_eq!(asked.keep_schema, KeepSchema::OnFailure);
}

#[test]
fn a_limit_of_no_time_is_refused() {
    for name in ["CRATEDB_TEST_MAX_LIFETIME", "CRATEDB_TEST_START_TIMEOUT"] {
        let error = read(&[(name, "0s")]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("accepted: 250ms"), "{error}");
    }
    assert!(read(&[("CRATEDB_TEST_KEEP_WARM", "0")]).is_ok());
}

#[test]
fn the_report_lies_where_the_project_is_and_not_where_the_keeper_is() {
    let report = |path| read(&[("CRATEDB_TEST_REPORT", path)]).unwrap().spec.report.unwrap();
    assert_eq!(report("target/report.json"), "/project/package/target/report.json");
    assert_eq!(report("/tmp/report.json"), "/tmp/report.json");
}

#[test]
fn an_endpoint_with_credentials_is_refused_and_not_shown() {
    let variables = with_credentials(&[
        ("CRATEDB_CLUSTER_NAME", "ci"),
        ("CRATEDB_CLOUD_ENDPOINT", "https://ada:hunter2@console.example"),
    ]);
    let error = read(&variables).unwrap_err().to_string();
    assert!(error.contains("CRATEDB_CLOUD_ENDPOINT") && !error.contains("hunter2"), "{error}");
}

/// Writes a profile file with one profile for `endpoint`.
#[cfg(feature = "cloud")]
fn logins(endpoint: &str, credentials: &str) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("croud.yaml");
    let text = format!(
        "current-profile: p\ndefault-format: table\nprofiles: {{p: {{endpoint: \"{endpoint}\", {credentials}}}}}\n"
    );
    std::fs::write(&path, text).unwrap();
    (dir, sources(&[("CRATEDB_CLUSTER_NAME", "ci")]).with_logins_of(path))
}

#[cfg(feature = "cloud")]
#[test]
fn a_login_is_used_where_no_key_is_set_and_its_key_holds_no_secret() {
    let read =
        |sources: &Sources| Settings::read(sources, Path::new("/project/package"), Wanted::default()).unwrap().spec;
    let session = "auth-token: geheim-token, organization-id: \"1111\", key: k, secret: s";
    let (_dir, with_session) = logins("https://console.example/", session);
    let spec = read(&with_session);
    assert_eq!(spec.key, "cloud|https://console.example|name:ci|login:p:1111");
    assert!(!format!("{spec:?}").contains("geheim"));
    let Target::Cloud(target) = &spec.target else { panic!() };
    assert_eq!(target.endpoint, "https://console.example");
    // It reaches the keeper whole.
    let there: Target = serde_json::from_str(&serde_json::to_string(&spec.target).unwrap()).unwrap();
    assert_eq!(there, spec.target);

    let (_dir, with_key) = logins("https://console.example", "auth-token: null, key: k, secret: s");
    assert_eq!(read(&with_key).key, "cloud|https://console.example|name:ci|k");
}

#[cfg(feature = "cloud")]
#[test]
fn a_login_for_another_endpoint_is_an_error() {
    let (dir, _) = logins("https://console.example", "auth-token: geheim-token");
    let elsewhere = sources(&[("CRATEDB_CLUSTER_NAME", "ci"), ("CRATEDB_CLOUD_ENDPOINT", "https://elsewhere.example")]);
    let elsewhere = elsewhere.with_logins_of(dir.path().join("croud.yaml"));
    let error = Settings::read(&elsewhere, Path::new("/project/package"), Wanted::default()).unwrap_err();
    let text = error.to_string();
    assert!(error.is_setting() && text.contains("cluster `ci`") && text.contains("sent nowhere else"), "{text}");
}

#[test]
fn releases_come_from_the_vendor_unless_a_mirror_is_named_and_digests_may_be_pinned() {
    let origin = |variables: &[(&str, &str)]| local(variables, Wanted::default()).origin;
    assert_eq!(origin(&[]), Origin::default());
    for (given, read) in [
        ("https://ada:geheim@mirror.example/x", "https://ada:geheim@mirror.example/x"),
        ("/srv/crate", "/srv/crate"),
        ("file:///srv/crate", "/srv/crate"),
    ] {
        let origin = origin(&[("CRATEDB_TEST_MIRROR", given)]);
        assert_eq!(origin.mirror.as_ref().unwrap().expose(), read);
        assert!(!format!("{origin:?}").contains("geheim"));
    }
    for bad in ["ftp://ada:geheim@x/", "srv/crate", "mirror.example"] {
        let error = read(&[("CRATEDB_TEST_MIRROR", bad)]).unwrap_err().to_string();
        assert!(error.contains("accepted: https://") && !error.contains("geheim"), "{error}");
    }
    let (one, two) = ("a".repeat(64), "B".repeat(64));
    let both = format!("{one}, {two}");
    assert_eq!(origin(&[("CRATEDB_TEST_SHA256", &both)]).digests, [one.clone(), two.to_lowercase()]);
    for bad in ["abc", &one[1..], &format!("{one}g"), &one.replace('a', "g")] {
        let error = read(&[("CRATEDB_TEST_SHA256", bad)]).unwrap_err().to_string();
        assert!(error.contains("64 hexadecimal digits"), "{error}");
    }
}

/// Writes a `.env` into each of these directories, the nearest first, below an environment.
fn with_files(environment: &[(&str, &str)], files: &[&str]) -> (tempfile::TempDir, Result<Settings>) {
    let root = tempfile::tempdir().unwrap();
    let dirs: Vec<PathBuf> = (0..files.len()).map(|number| root.path().join(number.to_string())).collect();
    for (dir, text) in dirs.iter().zip(files) {
        std::fs::create_dir(dir).unwrap();
        std::fs::write(dir.join(".env"), text).unwrap();
    }
    let map = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let sources = Sources::of(map, &dirs).unwrap();
    (root, Settings::read(&sources, Path::new("/project/package"), Wanted::default()))
}

/// An environment and the texts of the `.env` files below it.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn a_password_goes_where_its_own_source_or_a_nearer_one_says() {
    const URL: &str = "CRATEDB_CLUSTER_URL=https://db.example";
    const USER: &str = "CRATEDB_USERNAME=ada\nCRATEDB_PASSWORD=geheim";
    let (url, user) = (("CRATEDB_CLUSTER_URL", "https://db.example"), [("CRATEDB_PASSWORD", "geheim")]);
    let both = format!("{URL}\n{USER}");
    let fine: [Case<'_>; 6] = [
        (&[url, user[0]], &[]),
        (&[url], &[USER]),
        (&[], &[both.as_str()]),
        (&[], &[URL, USER]),
        (&[("DB", "https://db.example"), user[0]], &["CRATEDB_CLUSTER_URL=${DB}"]),
        (&[], &["CRATEDB_CLUSTER_URL=https://ada:geheim@db.example"]),
    ];
    for (environment, files) in fine {
        let settings = with_files(environment, files).1.unwrap();
        let Target::Url(target) = settings.spec.target else { panic!("{environment:?} {files:?}") };
        assert_eq!(target.password.unwrap().expose(), "geheim", "{environment:?} {files:?}");
    }
    let taken = [("PW", "geheim"), ("HOST", "db.example")];
    let refused: [(Case<'_>, &str); 6] = [
        ((&user, &[URL]), "CRATEDB_PASSWORD comes from elsewhere (the environment)"),
        ((&[], &[USER, URL]), "0/.env"),
        ((&taken, &["CRATEDB_CLUSTER_URL=https://db.example\nCRATEDB_PASSWORD=${PW}"]), "${PW}"),
        ((&taken, &["CRATEDB_CLUSTER_URL=https://db.example\nCRATEDB_USERNAME=x${PW}"]), "${PW}"),
        ((&taken, &["CRATEDB_CLUSTER_URL=https://ada:${PW}@db.example"]), "${PW}"),
        ((&taken, &["X=${PW}\nCRATEDB_CLUSTER_URL=https://db.example/${X}"]), "${PW}"),
    ];
    for ((environment, files), named) in refused {
        let (_root, read) = with_files(environment, files);
        let error = read.expect_err(named);
        let text = error.to_string();
        assert!(error.is_setting() && text.contains(named) && text.contains("CRATEDB_CLUSTER_URL"), "{text}");
        assert!(!text.contains("geheim"), "{text}");
    }
}

#[test]
fn nothing_of_the_environment_goes_to_a_cloud_that_only_a_file_names() {
    const CLOUD: &str = "CRATEDB_CLUSTER_NAME=ci\nCRATEDB_CLOUD_ENDPOINT=https://cloud.example";
    let own_key = format!("{CLOUD}\nCRATEDB_CLOUD_API_KEY=k\nCRATEDB_CLOUD_API_SECRET=geheim");
    let region = format!("{own_key}\nCRATEDB_CLOUD_REGION=${{TOKEN}}");
    let path = format!("{own_key}\nCRATEDB_CLOUD_ENDPOINT=https://cloud.example/${{TOKEN}}");
    assert!(with_files(&[], &[&own_key]).1.is_ok());
    assert!(with_files(&CREDENTIALS, &["CRATEDB_CLUSTER_NAME=ci"]).1.is_ok());
    // A default that is written down is no choice of the file's author.
    let written = format!("CRATEDB_CLUSTER_NAME=ci\nCRATEDB_CLOUD_ENDPOINT={}", crate::environment::CLOUD_ENDPOINT);
    assert!(with_files(&CREDENTIALS, &[&written]).1.is_ok());
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let refused: [Case; 6] = [
        (&CREDENTIALS, CLOUD, "CRATEDB_CLOUD_API_SECRET"),
        (&CREDENTIALS[1..], &format!("{CLOUD}\nCRATEDB_CLOUD_API_KEY=k"), "CRATEDB_CLOUD_API_SECRET"),
        (&CREDENTIALS[..1], &format!("{CLOUD}\nCRATEDB_CLOUD_API_SECRET=geheim"), "CRATEDB_CLOUD_API_KEY"),
        // A deployment sends it.
        (&[("CRATEDB_PASSWORD", "geheim")], &own_key, "CRATEDB_PASSWORD"),
        (&[("TOKEN", "geheim")], &region, "CRATEDB_CLOUD_REGION"),
        (&[("TOKEN", "geheim")], &path, "${TOKEN}"),
    ];
    for (environment, file, named) in refused {
        let text = with_files(environment, &[file]).1.expect_err(named).to_string();
        assert!(text.contains(named) && text.contains(".env") && !text.contains("geheim"), "{text}");
    }
}

#[test]
fn a_mirror_of_a_file_gets_nothing_of_the_environment() {
    let mirror = |environment: &[(&str, &str)], text: &str| with_files(environment, &[text]).1;
    let named = [("TOKEN", "geheim")];
    assert!(mirror(&[], "CRATEDB_TEST_MIRROR=https://ada:geheim@mirror.example").is_ok());
    assert!(mirror(&named, "CRATEDB_TEST_MIRROR=https://ada:${TOKEN}@localhost/x").is_ok());
    let text = mirror(&named, "CRATEDB_TEST_MIRROR=https://ada:${TOKEN}@mirror.example").unwrap_err().to_string();
    assert!(text.contains("${TOKEN}") && !text.contains("geheim"), "{text}");
    for address in ["http://ada:geheim@mirror.example", "https://ada:geh/eim@mirror.example"] {
        let text = mirror(&[], &format!("CRATEDB_TEST_MIRROR={address}")).unwrap_err().to_string();
        assert!(text.contains("CRATEDB_TEST_MIRROR") && !text.contains("geh"), "{text}");
    }
    assert!(mirror(&[], "CRATEDB_TEST_MIRROR=http://mirror.example").is_ok());
}

#[test]
fn secrets_over_plain_http_leave_this_machine_only_if_that_is_allowed() {
    let with_url = |url: &'static str| [("CRATEDB_CLUSTER_URL", url), ("CRATEDB_PASSWORD", "geheim")];
    let endpoint = with_credentials(&[("CRATEDB_CLUSTER_NAME", "ci"), ("CRATEDB_CLOUD_ENDPOINT", "http://10.0.0.1")]);
    for variables in [&with_url("http://db:4200")[..], &with_url("http://ada:pw@127.0.0.1.example"), &endpoint] {
        let text = read(variables).unwrap_err().to_string();
        assert!(text.contains("plain HTTP") && text.contains("CRATEDB_ALLOW_PLAIN_HTTP=1"), "{text}");
        assert!(!text.contains("geheim") && !text.contains("pw"), "{text}");
        assert!(read(&[variables, &[("CRATEDB_ALLOW_PLAIN_HTTP", "1")]].concat()).is_ok());
        assert!(read(&[variables, &[("CRATEDB_ALLOW_PLAIN_HTTP", "0")]].concat()).is_err());
    }
    assert!(read(&with_url("http://localhost:4200")).is_ok() && read(&with_url("https://db:4200")).is_ok());
    // Nothing secret goes there.
    assert!(read(&[("CRATEDB_CLUSTER_URL", "http://ada@db:4200"), ("CRATEDB_USERNAME", "ada")]).is_ok());
    let text = read(&[with_url("http://db")[0], ("CRATEDB_PASSWORD", "x"), ("CRATEDB_ALLOW_PLAIN_HTTP", "yes")]);
    assert!(text.unwrap_err().to_string().contains("accepted: 1, 0"));
}

#[test]
fn user_and_password_may_stand_in_the_address_or_beside_it() {
    let (user, password) = (("CRATEDB_USERNAME", "ada"), ("CRATEDB_PASSWORD", "pw"));
    let grace = ("CRATEDB_USERNAME", "grace");
    type Halves<'a> = (&'a str, &'a [(&'a str, &'a str)], (Option<&'a str>, Option<&'a str>));
    let all: [Halves<'_>; 12] = [
        ("https://db", &[], (None, None)),
        ("https://db", &[user, password], (Some("ada"), Some("pw"))),
        ("https://ada@db", &[password], (Some("ada"), Some("pw"))),
        ("https://ada@db", &[user, password], (Some("ada"), Some("pw"))),
        ("https://a%40b@db", &[("CRATEDB_USERNAME", "a@b"), password], (Some("a@b"), Some("pw"))),
        ("https://:pw@db", &[user], (Some("ada"), Some("pw"))),
        ("https://:pw@db", &[user, ("CRATEDB_PASSWORD", "other")], (Some("ada"), Some("pw"))),
        // CrateDB's own user is meant.
        ("https://:pw@db", &[], (Some("crate"), Some("pw"))),
        ("https://db", &[password], (Some("crate"), Some("pw"))),
        ("https://db", &[user], (Some("ada"), None)),
        ("https://ada:pw@db", &[grace, ("CRATEDB_PASSWORD", "other")], (Some("ada"), Some("pw"))),
        // The password is another user's.
        ("https://ada@db", &[grace, password], (Some("ada"), None)),
    ];
    for (url, beside, expected) in all {
        let settings = read(&[&[("CRATEDB_CLUSTER_URL", url)][..], beside].concat()).unwrap();
        let Target::Url(target) = &settings.spec.target else { panic!() };
        let password = target.password.as_ref().map(|password| password.expose());
        assert_eq!((target.username.as_deref(), password), expected, "{url} {beside:?}");
        let ignores = url == "https://ada@db" && beside == [grace, ("CRATEDB_PASSWORD", "pw")];
        assert_eq!(
            settings.spec.notes.iter().any(|note| note.contains("CRATEDB_PASSWORD is ignored")),
            ignores,
            "{url}"
        );
    }
}

#[test]
fn a_refusal_is_told_with_the_user_and_where_both_halves_come_from() {
    use crate::error::Refusal;
    let refused = |status| {
        let (message, request) = (String::new(), String::new());
        Error::new(Kind::Server, "no").refused(Refusal { status, code: None, message, request, errors: None })
    };
    let url = ("CRATEDB_CLUSTER_URL", "https://ada@db");
    let remarks = read(&[url, ("CRATEDB_PASSWORD", "geheim")]).unwrap().remarks;
    let text = remarks.on(refused(401)).to_string();
    assert!(text.contains("user `ada` of CRATEDB_CLUSTER_URL in the environment"), "{text}");
    assert!(text.contains("the password of CRATEDB_PASSWORD in the environment") && !text.contains("geheim"), "{text}");
    assert_eq!(remarks.on(refused(503)).to_string(), "no");
    let text = read(&[url]).unwrap().remarks.on(refused(401)).to_string();
    assert!(text.contains("without a password"), "{text}");
    assert_eq!(read(&[("CRATEDB_CLUSTER_URL", "https://db")]).unwrap().remarks.on(refused(401)).to_string(), "no");
}

#[test]
fn a_variable_with_something_put_in_is_named_where_a_failure_follows() {
    let text = "CRATEDB_TEST_KEEP_WARM=${WARM}10\nCRATEDB_HOME=${NO:-/opt}/crate\nCRATEDB_TEST_LOG=a$b\nX=${NO}\n";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".env"), text).unwrap();
    let error = Settings::load(dir.path(), Wanted::default()).unwrap_err().to_string();
    let env = dir.path().join(".env");
    for line in [
        format!("CRATEDB_HOME in {} has for ${{NO}} its default", env.display()),
        format!("CRATEDB_TEST_KEEP_WARM in {} has for ${{WARM}} nothing, since that is not set", env.display()),
    ] {
        assert!(error.contains(&line), "{line} is not in: {error}");
    }
    assert!(!error.contains("CRATEDB_TEST_LOG") && !error.contains("X in"), "{error}");
    // One that another source overrides plays no part.
    let overridden = [("CRATEDB_HOME".to_owned(), "/opt/crate".to_owned())].into();
    let sources = Sources::of(overridden, &[dir.path().to_owned()]).unwrap();
    let text = Remarks::of(&sources).on(Error::new(Kind::Provider, "no")).to_string();
    assert!(text.contains("CRATEDB_TEST_KEEP_WARM") && !text.contains("CRATEDB_HOME"), "{text}");
}

#[test]
fn the_journals_address_gets_credentials_only_if_the_settings_name_it_too() {
    let sources = |url: &str| sources(&[("CRATEDB_CLUSTER_URL", url), ("CRATEDB_PASSWORD", "geheim")]);
    let Target::Url(target) = url_target_of_key(&sources("https://ada@db/"), "https://db").unwrap() else { panic!() };
    assert_eq!((target.username.as_deref(), target.password.unwrap().expose()), (Some("ada"), "geheim"));
    let text = url_target_of_key(&sources("https://ada@db"), "https://other").unwrap_err().to_string();
    assert!(text.contains("the journal names it") && text.contains("https://other"), "{text}");
    let without = Sources::of(HashMap::new(), &[]).unwrap();
    let Target::Url(target) = url_target_of_key(&without, "https://other").unwrap() else { panic!() };
    assert_eq!((target.url.as_str(), target.password), ("https://other", None));
    // An older version took it for a host, a port and a path.
    let text = url_target_of_key(&without, "http://admin:1/geheim@host").unwrap_err().to_string();
    assert!(text.contains("%2F") && !text.contains("geheim"), "{text}");
}

#[test]
fn where_nothing_names_a_cluster_the_files_that_were_looked_for_are_said() {
    let (root, with) = with_files(&[], &["CRATEDB_VERSION=6.4\n"]);
    let Target::Local(target) = with.unwrap().spec.target else { panic!() };
    assert_eq!(target.lacking[2], format!("settings: {} was read", root.path().join("0/.env").display()));
    let dirs = [root.path().join("0"), root.path().to_owned()];
    let sources = Sources::of(HashMap::new(), &dirs).unwrap();
    let settings = Settings::read(&sources, root.path(), Wanted::default()).unwrap();
    let Target::Local(target) = settings.spec.target else { panic!() };
    let lacks = format!("; there is no .env in {}", root.path().display());
    assert!(target.lacking[2].ends_with(&lacks), "{:?}", target.lacking);
}

#[test]
fn a_package_that_was_moved_has_the_settings_of_where_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".env"), "CRATEDB_CLUSTER_URL=https://db\n").unwrap();
    let package = Package { dir: dir.path().to_owned(), note: Some("it was moved".to_owned()) };
    let settings = Settings::of_package(&package, Wanted::default()).unwrap();
    assert_eq!(
        (settings.spec.key.as_str(), &settings.spec.notes[..]),
        ("url|https://db", &["it was moved".to_owned()][..])
    );
    std::fs::write(dir.path().join(".env"), "CRATEDB_TEST_ON_EXIT=soon\n").unwrap();
    let text = Settings::of_package(&package, Wanted::default()).unwrap_err().to_string();
    assert!(text.contains("CRATEDB_TEST_ON_EXIT") && text.contains("it was moved"), "{text}");
}
