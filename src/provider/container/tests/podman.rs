//! The same with a real Podman: where `CRATEDB_TEST_PODMAN` names the socket of one (`podman system service`).

use std::path::Path;
use std::process::Command;

use super::super::find::Address;
use super::*;

struct Podman {
    socket: String,
    engine: Engine,
    image: String,
}

impl Podman {
    /// With the stand-in's image; none without a socket, with the reason on descriptor 2.
    async fn find() -> Option<Self> {
        use std::io::Write as _;
        let Ok(socket) = std::env::var("CRATEDB_TEST_PODMAN") else {
            let _ = writeln!(std::io::stderr(), "skipped: CRATEDB_TEST_PODMAN does not name the socket of a Podman");
            return None;
        };
        let image = standin::image()?;
        let files = tempfile::tempdir().unwrap();
        let archive = files.path().join("image.tar").display().to_string();
        docker(&["save", "--output", &archive, &image]).unwrap();
        let engine = Engine::at(&Address::unix(Path::new(&socket))).await.unwrap();
        let podman = Self { socket, engine, image: format!("localhost/{image}") };
        podman.say(&["load", "--input", &archive]).unwrap();
        Some(podman)
    }

    fn say(&self, arguments: &[&str]) -> Result<String, String> {
        let url = format!("unix://{}", self.socket);
        let output = Command::new("podman").args(["--url", &url]).args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    async fn acquire(&self, bench: &Bench) -> Acquired {
        let container = Container::new(LocalTarget::of_image(&self.image));
        container.acquire(&self.engine, Instant::now() + LIMIT, &bench.progress, &bench.intents()).await
    }
}

#[tokio::test]
async fn podman_starts_it_labels_it_and_removes_it() {
    let Some(podman) = Podman::find().await else { return };
    let bench = Bench::new(&podman.image);
    let resource = podman.acquire(&bench).await.map_err(|failed| failed.error.to_string()).unwrap();
    answers(&resource).await;
    let name = bench.name();
    let labels = podman.say(&["inspect", "--format", "{{json .Config.Labels}}", &name]).unwrap();
    says(labels, &[r#""io.crate.cratedb-test.key":"local:ada""#, r#"io.crate.cratedb-test.keeper-start"#]);
    let ports = podman.say(&["port", &name]).unwrap();
    assert!(ports.contains("127.0.0.1:") && !ports.contains("0.0.0.0"), "{ports}");
    let volumes = podman.say(&["inspect", "--format", "{{range .Mounts}}{{.Name}} {{end}}", &name]).unwrap();
    // The engine that is named in the journal is asked, and not the one that is found first.
    let release = || bench.release(&resource.held, OnExit::Auto);
    assert_eq!(tokio::join!(release(), release()), (Released::Removed, Released::Removed));
    assert!(podman.say(&["inspect", &name]).is_err(), "{name} is still there");
    let left = podman.say(&["volume", "ls", "--quiet"]).unwrap();
    assert!(volumes.split_whitespace().all(|volume| !left.contains(volume)), "{volumes} of {left}");
    assert_eq!(release().await, Released::Removed, "again");
}

#[tokio::test]
async fn podman_says_why_a_server_ended() {
    let Some(mut podman) = Podman::find().await else { return };
    podman.image = "localhost/cratedb-test-standin:no-such-tag".to_owned();
    let bench = Bench::new(&podman.image);
    let failed = podman.acquire(&bench).await.err().unwrap();
    assert!(!failed.maybe_up);
    says(failed.error, &["can't be pulled", "CRATEDB_TEST_IMAGE"]);
}
