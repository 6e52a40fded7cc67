//! Tests how the profile file is read and written, and that everything else in it is kept.

use super::*;

const FILE: &str = "\
# a comment
current-profile: local
default-format: json
profiles:
  cratedb.cloud:
    auth-token: other-token
    endpoint: https://console.cratedb.cloud
    region: _any_
  local:
    endpoint: http://127.0.0.1:9000
    auth-token: null
    key: my-key
    secret: my-secret
    format: wide
    gc_jwt_token: gc-token
    new-thing: [1, two, {three: yes}]
";

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("Crate").join(FILE_NAME);
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn the_current_profile_is_read_and_a_token_beats_a_key() {
    let (_dir, path) = file(FILE);
    let mut file = ProfileFile::load(&path).unwrap();
    let current = file.current();
    assert_eq!((current.name(), current.endpoint()), ("local", "http://127.0.0.1:9000"));
    assert_eq!((current.api_key(), current.has_session(), current.region()), (Some("my-key"), false, None));
    assert!(matches!(current.login(&path), Some(Login::ApiKey { key, .. }) if key == "my-key"));
    assert_eq!(file.names(), ["cratedb.cloud", "local"]);

    file.set_session("my-token", Some("1111"));
    let current = file.current();
    let Some(Login::Session { token, profile: Some(profile) }) = current.login(&path) else { panic!("{current:?}") };
    assert_eq!((token.expose(), profile.name.as_str()), ("my-token", "local"));
    assert_eq!(current.organization_id(), Some("1111"));
}

#[test]
fn everything_else_stays_when_it_is_written() {
    let (_dir, path) = file(FILE);
    let before: Value = yaml_serde::from_str(FILE).unwrap();
    let mut profile_file = ProfileFile::load(&path).unwrap();
    profile_file.set_session("my-token", Some("1111"));
    profile_file.save().unwrap();

    let text = std::fs::read_to_string(&path).unwrap();
    let mut after: Value = yaml_serde::from_str(&text).unwrap();
    let local = after["profiles"]["local"].as_mapping_mut().unwrap();
    assert_eq!(local.insert("auth-token".into(), Value::Null), Some("my-token".into()));
    assert_eq!(local.remove("organization-id"), Some("1111".into()));
    assert_eq!(after, before, "{text}");
    // The order is kept, too.
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("`{part}` is missing in {text}"));
    assert!(at("current-profile") < at("default-format") && at("endpoint: http://127") < at("key: my-key"));

    profile_file.clear_session();
    profile_file.save().unwrap();
    let file = ProfileFile::load(&path).unwrap();
    assert!(!file.current().has_session() && file.current().organization_id().is_none());
    assert!(file.profile("cratedb.cloud").unwrap().has_session());
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_it_and_nothing_is_left_beside_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, path) = file(FILE);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut file = ProfileFile::load(&path).unwrap();
    file.set_session("my-token", None);
    file.save().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let there: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(there.len(), 1, "{there:?}");

    // A new file, in a directory that does not exist yet.
    let new = dir.path().join("deep").join("Crate").join(FILE_NAME);
    ProfileFile::empty(new.clone()).save().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&new), mode(new.parent().unwrap())), (0o600, 0o700));
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link() {
    let (dir, path) = file(FILE);
    let link = dir.path().join("link.yaml");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let mut file = ProfileFile::load(&link).unwrap();
    file.set_session("my-token", None);
    file.save().unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(ProfileFile::load(&path).unwrap().current().has_session());
}

#[test]
fn a_file_that_is_not_there_is_what_croud_takes_it_for() {
    let file = ProfileFile::empty(PathBuf::from("/nowhere/croud.yaml"));
    let current = file.current();
    assert_eq!((current.name(), current.endpoint()), ("cratedb.cloud", CLOUD_ENDPOINT));
    assert!(current.login(file.path()).is_none() && !file.exists());
}

#[test]
fn a_file_that_is_none_is_refused_without_what_is_in_it() {
    for (text, why) in [
        ("geheim: [", "it is no YAML mapping"),
        ("- geheim", "it is no YAML mapping"),
        ("", "no `current-profile`"),
        ("profiles: {}", "no `current-profile`"),
        ("current-profile: a\nprofiles: {b: {endpoint: x}}", "no profile of that name"),
        ("current-profile: a\nprofiles: {a: {auth-token: geheim}}", "has no `endpoint`"),
    ] {
        let (_dir, path) = file(text);
        let error = ProfileFile::load(&path).unwrap_err();
        let text = error.to_string();
        assert!(error.is_setting() && text.contains(why) && text.contains("croud.yaml"), "{text}");
        assert!(!text.contains("geheim"), "{text}");
    }
}

#[test]
fn a_profile_is_found_or_made_for_an_endpoint_and_never_bent_to_another() {
    let (_dir, path) = file(FILE);
    let mut file = ProfileFile::load(&path).unwrap();
    assert_eq!(file.select("http://127.0.0.1:9000/"), "local");
    assert_eq!(file.select("https://console.cratedb.cloud"), "cratedb.cloud");
    assert_eq!(file.select("http://127.0.0.1:1"), "127.0.0.1:1");
    assert_eq!((file.current().name(), file.current().endpoint()), ("127.0.0.1:1", "http://127.0.0.1:1"));
    assert!(!file.current().has_session());
    file.save().unwrap();
    assert_eq!(ProfileFile::load(&path).unwrap().names(), ["cratedb.cloud", "local", "127.0.0.1:1"]);
}

#[test]
fn nothing_prints_a_secret() {
    let (_dir, path) = file(FILE);
    let mut file = ProfileFile::load(&path).unwrap();
    file.set_session("geheim-token", None);
    let text = format!("{file:?} {:?}", file.current());
    assert!(!text.contains("geheim") && !text.contains("my-secret"), "{text}");
}

#[test]
fn of_many_who_change_it_at_once_none_loses_what_another_wrote() {
    let (_dir, path) = file(FILE);
    let threads = (0..8).map(|number| {
        let path = path.clone();
        std::thread::spawn(move || {
            for round in 0..5 {
                let change =
                    |file: &mut ProfileFile| file.select(&format!("http://127.0.0.1:{}", 100 * number + round + 1));
                ProfileFile::update_at(&path, change).unwrap();
            }
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(ProfileFile::load(&path).unwrap().names().len(), 2 + 40);
}
