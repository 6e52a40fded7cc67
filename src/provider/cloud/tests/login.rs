//! The provider with a login: its cookie is replaced while a keeper holds the cluster, and every new one is kept.

use super::*;
use crate::cloud::ProfileFile;
use crate::target::ProfileName;

/// A bench whose provider has the login of a profile file.
async fn bench() -> (Bench, tempfile::TempDir) {
    let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let token = bench.cloud().session();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("croud.yaml");
    let text = format!(
        "current-profile: p\ndefault-format: table\nprofiles:\n  p:\n    endpoint: {}\n    auth-token: {token}\n",
        bench.simulator.url()
    );
    std::fs::write(&file, text).unwrap();
    let profile = ProfileName { file, name: "p".to_owned(), organization_id: None };
    bench.target.login = Login::Session { token: Secret::new(token), profile: Some(profile) };
    (bench, dir)
}

fn token_in(dir: &tempfile::TempDir) -> String {
    let file = ProfileFile::load(dir.path().join("croud.yaml")).unwrap();
    file.current().token().unwrap().expose().to_owned()
}

#[tokio::test]
async fn a_keeper_goes_on_with_each_new_cookie_and_keeps_it() {
    let (bench, dir) = bench().await;
    bench.cloud().rotate_sessions(Some(1));
    let first = token_in(&dir);
    let provider = bench.provider();
    let resource = bench.acquire_with(&provider).await.unwrap();
    answers(&resource).await;
    let second = token_in(&dir);
    assert_ne!(second, first);
    provider.credentials(&resource).await.unwrap();
    assert_ne!(token_in(&dir), second);
    let released = provider.release(&resource.held, OnExit::Auto, &bench.progress).await.unwrap();
    assert_eq!(released, Released::Suspended);
    assert!(!resource.held.to_string().contains(&first) && !bench.steps().contains(&first));
}

#[tokio::test]
async fn a_login_that_is_made_again_reaches_a_keeper_that_lives() {
    let (bench, dir) = bench().await;
    let provider = bench.provider();
    let resource = bench.acquire_with(&provider).await.unwrap();
    bench.cloud().expire_sessions();
    let error = provider.credentials(&resource).await.unwrap_err();
    says(&error, &["log in again: cargo cratedb login --idp"]);
    let mut file = ProfileFile::load(dir.path().join("croud.yaml")).unwrap();
    file.set_session(&bench.cloud().session(), None);
    file.save().unwrap();
    provider.credentials(&resource).await.unwrap();
    let released = provider.release(&resource.held, OnExit::Auto, &bench.progress).await.unwrap();
    assert_eq!(released, Released::Suspended);
}
