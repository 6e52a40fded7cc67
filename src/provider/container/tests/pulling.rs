//! Images that are not here yet, from a registry on loopback: one that comes, and those that can't be had.

use super::registry::Registry;
use super::*;

#[tokio::test]
async fn an_image_is_pulled_and_the_waiting_are_told_how_far_it_is() {
    let Some(image) = standin::image() else { return };
    let files = tempfile::tempdir().unwrap();
    let registry = Registry::of(&image, files.path());
    let pulled = format!("{}/crate:good", registry.host);
    // Layers that the engine has are not pulled: this one is new in every run.
    let mut bench = Bench::new(&pulled);
    let mut steps = Vec::new();
    let acquired = {
        let (sender, mut told) = mpsc::unbounded_channel();
        bench.progress = Progress::new(sender);
        let acquiring = bench.acquire();
        tokio::pin!(acquiring);
        loop {
            tokio::select! {
                acquired = &mut acquiring => break acquired,
                Some(step) = told.recv() => {
                    // Half of it has come, and the other half waits for these lines.
                    if step.contains(" layers, ") {
                        registry.open();
                    }
                    steps.push(step);
                }
            }
        }
    };
    let resource = acquired.map_err(|failed| failed.error.to_string()).unwrap();
    answers(&resource).await;
    bench.release(&resource.held, OnExit::Auto).await;
    docker(&["image", "rm", &pulled]).unwrap();
    let steps = steps.join("\n");
    says(&steps, &[&format!("pulling image {pulled}, which is not on this machine yet"), "0 of 1 layers, ", " MB"]);
}

#[tokio::test]
async fn what_a_registry_refuses_is_told_apart() {
    let Some(image) = standin::image() else { return };
    let files = tempfile::tempdir().unwrap();
    let registry = Registry::of(&image, files.path());
    let login = format!("`docker login {}`", registry.host);
    let cases = [
        ("limited", vec!["lets in no more requests", &login]),
        ("private", vec!["without credentials", &login]),
        ("other", vec!["no image of that name and tag", "docker pull"]),
    ];
    for (tag, parts) in cases {
        let bench = Bench::new(&format!("{}/crate:{tag}", registry.host));
        let failed = bench.acquire().await.err().unwrap();
        assert!(!failed.maybe_up);
        let text = failed.error.to_string();
        says(&text, &parts);
        says(&text, &["it is not on this machine and can't be pulled", "CRATEDB_TEST_IMAGE names another image"]);
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_told() {
    let Some(_) = standin::image() else { return };
    // Nobody listens on this port: it needs a privilege, and no service has it.
    let bench = Bench::new("127.0.0.1:1/crate:6.4.3");
    let failed = bench.acquire().await.err().unwrap();
    says(failed.error, &["the engine can't reach the registry", "refused", "docker load", "proxy"]);
}
