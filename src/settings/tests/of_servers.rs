//! Settings of CrateDB: which tests share a server, and which settings are refused.

use super::*;

fn with_settings(pairs: &[(&str, &str)]) -> Wanted {
    Wanted { settings: Wanted::settings_of(pairs.iter().copied()).unwrap(), ..Wanted::default() }
}

#[test]
fn tests_with_the_same_settings_in_any_order_share_a_server() {
    let key = |variables: &[(&str, &str)], pairs: &[(&str, &str)]| local(variables, with_settings(pairs)).key;
    let one = key(&[], &[("a.b", "1"), ("c", "x,y")]);
    assert_eq!(one, "local|auto|/project/package|6.4.3|1||crate:6.4.3|settings:a.b=1,c='x,y'");
    assert_eq!(one, key(&[], &[("c", "x,y"), ("a.b", "1")]));
    assert_eq!(one, key(&[("CRATEDB_TEST_SETTINGS", "c=\"x,y\"\n a.b = 1")], &[]));
    // A test's own settings beat the variable, by name.
    assert_eq!(one, key(&[("CRATEDB_TEST_SETTINGS", "a.b=2, c='x,y'")], &[("a.b", "1")]));
    for (variables, pairs) in [
        (&[][..], &[][..]),
        (&[], &[("a.b", "1")]),
        (&[], &[("a.b", "1"), ("c", "x")]),
        (&[], &[("a.b", "1"), ("c", "x,y"), ("d", "1")]),
        (&[("CRATEDB_TEST_SETTINGS", "d=1")], &[("a.b", "1"), ("c", "x,y")]),
        (&[("CRATEDB_TEST_SHA256", &"a".repeat(64))], &[("a.b", "1"), ("c", "x,y")]),
    ] {
        assert_ne!(one, key(variables, pairs), "{variables:?} {pairs:?}");
    }
}

#[test]
fn a_server_that_the_harness_does_not_start_has_no_settings() {
    let url = [("CRATEDB_CLUSTER_URL", "http://localhost:4200"), ("CRATEDB_TEST_PROVIDER", "url")];
    let cloud = with_credentials(&[("CRATEDB_CLUSTER_NAME", "ci"), ("CRATEDB_TEST_PROVIDER", "cloud")]);
    let wanted = with_settings(&[("a.b", "1")]);
    for (named, provider, server) in
        [(&url[..], "url", "the server of CRATEDB_CLUSTER_URL"), (&cloud, "cloud", "a cluster of CrateDB Cloud")]
    {
        let of_variable = [named, &[("CRATEDB_TEST_SETTINGS", "a.b=1")]].concat();
        for (asked, refused) in [
            ("the settings that the test wants", wanting(named, wanted.clone())),
            ("CRATEDB_TEST_SETTINGS", read(&of_variable)),
        ] {
            let text = refused.unwrap_err().to_string();
            for word in [asked, &format!("with the provider `{provider}`"), server, "when it starts", "SET GLOBAL"] {
                assert!(text.contains(word), "{word} is not in: {text}");
            }
        }
        // Without the choice of a provider, a test that wants settings runs on this machine.
        let auto: Vec<_> = named.iter().copied().filter(|(name, _)| *name != "CRATEDB_TEST_PROVIDER").collect();
        assert_eq!(local(&auto, wanted.clone()).settings, wanted.settings);
    }
}

#[test]
fn settings_that_cannot_be_read_are_named_with_the_accepted_form() {
    for (value, why) in [
        ("stats.jobs_log_size", "`stats.jobs_log_size` has no value"),
        ("a=1\na=2", "`a` is given twice"),
        ("a.b=1,http.port=1", "`http.port` can't be set: the harness takes free ports"),
    ] {
        let error = read(&[("CRATEDB_TEST_SETTINGS", value)]).unwrap_err();
        let text = error.to_string();
        assert!(error.is_setting() && text.contains("CRATEDB_TEST_SETTINGS") && text.contains(why), "{text}");
        assert!(text.contains("accepted: `name=value` pairs"), "{text}");
    }
}

#[test]
fn a_server_that_stands_is_of_this_machine_and_not_that_of_tests() {
    let variables = with_credentials(&[
        ("CRATEDB_CLUSTER_NAME", "ci"),
        ("CRATEDB_TEST_ON_EXIT", "keep"),
        ("CRATEDB_TEST_KEEP_WARM", "1h"),
        ("CRATEDB_TEST_REPORT", "report"),
        ("CRATEDB_TEST_SESSION", "nightly"),
    ]);
    let lasting = Duration::from_secs(60);
    let standing =
        |wanted| Settings::read_standing(&sources(&variables), Path::new("/project/package"), wanted, lasting).unwrap();
    let settings = standing(Wanted::default());
    let Target::Local(target) = &settings.spec.target else { panic!("{:?}", settings.spec.target) };
    assert!(target.stands && !target.outlives);
    assert_eq!(settings.spec.key, "local|auto|/project/package|6.4.3|1||crate:6.4.3|up");
    assert_ne!(settings.spec.key, local(&[], Wanted::default()).key);
    let named = settings.session.unwrap();
    assert_eq!((named.name.as_str(), named.idle), (STANDING, 60_000));
    let policy = settings.spec.policy;
    assert_eq!((policy.keep_warm, policy.on_exit, settings.spec.report), (0, OnExit::Auto, None));

    // Its key leads back to it, whatever stands before the last part.
    for wanted in [Wanted::default(), with_settings(&[("a.b", "up"), ("c", "x,|up")])] {
        let Target::Local(mut target) = standing(wanted).spec.target else { panic!() };
        (target.lacking, target.jvm_cache) = (Vec::new(), JvmCache::Use);
        assert_eq!(local_target(&target.key), Some(target));
    }
    assert!(!local_target("local|auto|/project|6.4.3|1||up").unwrap().stands, "an image may be called so");
}

#[test]
fn a_named_kind_of_server_stands_and_a_named_cluster_does_not() {
    for (provider, kind) in [
        ("container", LocalKind::Container),
        ("process", LocalKind::Process),
        ("auto", LocalKind::Auto),
        ("cloud", LocalKind::Auto),
        ("url", LocalKind::Auto),
    ] {
        let sources = sources(&[("CRATEDB_TEST_PROVIDER", provider)]);
        let read = Settings::read_standing(&sources, Path::new("/p"), Wanted::default(), Duration::from_secs(60));
        let Target::Local(target) = read.unwrap().spec.target else { panic!("{provider}") };
        assert_eq!(target.kind, kind, "{provider}");
    }
}

fn secured(password: bool, tls: bool) -> Wanted {
    Wanted { security: Security { password, tls }, ..Wanted::default() }
}

#[test]
fn tests_that_want_a_password_or_tls_share_a_server_of_their_own() {
    let key = |variables: &[(&str, &str)], wanted: Wanted| local(variables, wanted).key;
    let (password, tls) = (("CRATEDB_TEST_AUTH", "password"), ("CRATEDB_TEST_TLS", "1"));
    let both = key(&[], secured(true, true));
    assert_eq!(both, "local|auto|/project/package|6.4.3|1||crate:6.4.3|security:password,tls");
    for (variables, wanted) in [
        (&[password, tls][..], Wanted::default()),
        (&[password], secured(false, true)),
        (&[tls], secured(true, false)),
        (&[password, tls], secured(true, true)),
    ] {
        assert_eq!(key(variables, wanted), both, "{variables:?}");
    }
    let all = [Wanted::default(), secured(true, false), secured(false, true), secured(true, true)];
    let keys: std::collections::BTreeSet<_> = all.into_iter().map(|wanted| key(&[], wanted)).collect();
    assert_eq!(keys.len(), 4);
    assert_eq!(
        key(&[("CRATEDB_TEST_AUTH", "trust"), ("CRATEDB_TEST_TLS", "0")], Wanted::default()),
        key(&[], Wanted::default())
    );
}

#[test]
fn the_key_of_a_guarded_server_leads_back_to_it() {
    for wanted in
        [secured(true, true), Wanted { settings: with_settings(&[("a.b", "1")]).settings, ..secured(false, true) }]
    {
        let mut target = local(&[], wanted);
        (target.lacking, target.jvm_cache) = (Vec::new(), JvmCache::Use);
        assert_eq!(local_target(&target.key), Some(target));
    }
    assert_eq!(local_target("local|auto|/project|6.4.3|1||crate|security:nonsense"), None);
}

#[test]
fn a_server_that_the_harness_does_not_start_has_a_way_in_of_its_own() {
    let url = [("CRATEDB_CLUSTER_URL", "http://localhost:4200"), ("CRATEDB_TEST_PROVIDER", "url")];
    let cloud = with_credentials(&[("CRATEDB_CLUSTER_NAME", "ci"), ("CRATEDB_TEST_PROVIDER", "cloud")]);
    for (named, provider, server) in
        [(&url[..], "url", "the server of CRATEDB_CLUSTER_URL"), (&cloud, "cloud", "a cluster of CrateDB Cloud")]
    {
        let with = |name, value| read(&[named, &[(name, value)]].concat());
        for (asked, refused) in [
            ("the `auth = \"password\"` that the test wants", wanting(named, secured(true, true))),
            ("the `tls` that the test wants", wanting(named, secured(false, true))),
            ("CRATEDB_TEST_AUTH", with("CRATEDB_TEST_AUTH", "password")),
            ("CRATEDB_TEST_TLS", with("CRATEDB_TEST_TLS", "1")),
        ] {
            let text = refused.unwrap_err().to_string();
            for word in [asked, &format!("with the provider `{provider}`"), server, "does not start it"] {
                assert!(text.contains(word), "{word} is not in: {text}");
            }
        }
        with("CRATEDB_TEST_AUTH", "trust").unwrap();
        // Without the choice of a provider, such a test runs on this machine.
        let auto: Vec<_> = named.iter().copied().filter(|(name, _)| *name != "CRATEDB_TEST_PROVIDER").collect();
        assert_eq!(local(&auto, secured(true, false)).security, secured(true, false).security);
    }
}

#[test]
fn a_way_in_that_does_not_exist_is_named_with_the_accepted_ones() {
    for (name, value, accepted) in [("CRATEDB_TEST_AUTH", "jwt", "password"), ("CRATEDB_TEST_TLS", "yes", "1")] {
        let text = read(&[(name, value)]).unwrap_err().to_string();
        assert!(text.contains(name) && text.contains(value) && text.contains(accepted), "{text}");
    }
    let text = Wanted::security_of(Some("jwt"), false).unwrap_err().to_string();
    assert!(text.contains("`jwt`") && text.contains("accepted for `auth`: `password`"), "{text}");
    assert_eq!(Wanted::security_of(Some("trust"), true).unwrap(), secured(false, true).security);
}

#[test]
fn a_server_that_stands_is_open() {
    let variables = sources(&[("CRATEDB_TEST_AUTH", "password"), ("CRATEDB_TEST_TLS", "1")]);
    let read = Settings::read_standing(&variables, Path::new("/p"), Wanted::default(), Duration::from_secs(60));
    let Target::Local(target) = read.unwrap().spec.target else { panic!() };
    assert!(target.security.is_open());
}
