//! The trouble of a machine: a full disk, an unsuitable Java runtime, a cluster that never gets healthy.

use super::*;

/// A small file system in memory, which only root can mount. Other users skip the test, with the reason on descriptor
/// 2.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=777"), "tmpfs"]).arg(&at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "skipped: only root can mount a small file system");
        }
        mounted.then_some(Self(at))
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_disk_that_fills_up_while_the_server_starts_is_told() {
    // The disk was large enough when it was checked, and the script fills it.
    let bench = Bench::with_script("cat /dev/zero >filler 2>/dev/null; echo stopping; exit 1").on_disk();
    let disk = bench.files.path().join("small");
    let Some(small) = Small::mount(disk, "300m") else { return };
    let mut bench = bench;
    bench.process.bases = DataDirs { memory: "/nowhere".into(), disk: vec![small.0.clone()] };
    says(bench.fails().await, &["the server ended", "no space is left where its data is, in "]);
}

#[tokio::test]
async fn a_disk_that_is_full_is_passed_over_and_told_where_it_is_the_last() {
    let mut bench = Bench::with_stand_in();
    let Some(small) = Small::mount(bench.files.path().join("small"), "1m") else { return };
    bench.process.bases = DataDirs { memory: "/nowhere".into(), disk: vec![small.0.clone()] };
    says(bench.fails().await, &["cannot make a data directory", "MiB are free, 256 MiB are needed"]);
    assert!(bench.intents.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_disk_that_is_too_full_for_a_cache_leaves_the_server_alone() {
    let mut bench = Bench::with_jvm();
    let Some(small) = Small::mount(bench.files.path().join("small"), "1m") else { return };
    small.fill();
    bench.process.caches = Some(small.0.clone());
    let resource = bench.acquire().await.unwrap();
    let training = bench.process.training.take().unwrap();
    says(training.begin().err().unwrap(), &["MiB are free, 512 MiB are needed"]);
    bench.release(&resource.held, OnExit::Auto).await;
}

#[tokio::test]
async fn a_java_that_does_not_know_the_flags_is_told_in_its_own_words() {
    // OpenJDK 17 answers so to the flags of CrateDB 6.4.3.
    let text = "echo 'Unrecognized VM option '\"'\"'UseCompactObjectHeaders'\"'\"; \
                echo 'Error: Could not create the Java Virtual Machine.'; exit 1";
    let error = Bench::with_script(text).fails().await;
    says(&error, &["| Unrecognized VM option 'UseCompactObjectHeaders'", "its own Java runtime in jdk/"]);
}

#[tokio::test]
async fn a_server_that_never_gets_healthy_is_given_up_with_its_last_health() {
    // It answers HTTP as a server does whose state is not recovered.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(unhealthy(listener));
    let bench = Bench::with_script(&format!(
        "echo '[x][INFO ][o.e.h.n.Netty4HttpServerTransport] publish_address {{{address}}}, bound'; exec sleep 1000"
    ));
    let failed = bench.acquire_within(Duration::from_secs(2)).await.err().unwrap();
    assert!(failed.error.is_timeout() && !failed.maybe_up, "{}", failed.error);
    says(&failed.error, &["gave up waiting for SQL", "last status: the cluster is RED shards are missing"]);
    is_gone(&bench.dir());
}

async fn unhealthy(listener: tokio::net::TcpListener) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut request = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut request).await {
                let body = match request[..length].starts_with(b"GET") {
                    true => r#"{"cluster_name":"x","version":{"number":"6.4.3"}}"#.to_owned(),
                    false => r#"{"cols":["health","description"],"col_types":[4,4],"rows":[["RED","shards are missing"]],"rowcount":1,"duration":0.1}"#.to_owned(),
                };
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
                if stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}
