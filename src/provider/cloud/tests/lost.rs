//! Requests whose answers get lost although CrateDB Cloud carries them out, perhaps later, and what is owed then.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cratedb_cloud_simulator::Fault;

use super::*;

/// Starts a simulator without a cluster, with all settings that a deployment needs.
async fn nothing_yet() -> Bench {
    let mut bench = Bench::new(Options::default()).await;
    bench.target.region = Some("eks1.eu-west-1.aws".to_owned());
    bench
}

#[tokio::test]
async fn a_refusal_of_the_second_try_does_not_undo_the_resumption_whose_answer_got_lost() {
    for refusal in
        [Fault::on("PUT", "/suspend/").conflict().always(), Fault::on("PUT", "/suspend/").status(403).always()]
    {
        let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
        bench.cloud().fault(Fault::on("PUT", "/suspend/").status(502));
        bench.cloud().fault(refusal);
        bench.deadline = Duration::from_millis(900);
        let (error, maybe_up) = bench.failure().await;
        assert!(maybe_up, "the first request may have been carried out: {error}");
        assert!(!error.to_string().contains("stays suspended"), "{error}");
        assert!(bench.resumes() > 1, "it was refused after it got lost");
    }
}

#[tokio::test]
async fn a_deployment_whose_answer_got_lost_is_never_asked_for_again() {
    let bench = nothing_yet().await;
    bench.cloud().fault(Fault::on("POST", "/clusters/").status(502));
    let (error, maybe_up) = bench.failure().await;
    assert!(maybe_up && bench.writes().len() == 1, "it may have been carried out: {error}");
    says(error, &["may be deployed all the same"]);
}

#[tokio::test]
async fn a_planned_deployment_is_looked_for_until_it_had_the_time_to_be_listed() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    // The first listing lacks what was deployed a moment ago.
    bench.cloud().fault(Fault::on("GET", "/clusters/").answer(200, "[]"));
    let planned = Held::Cloud(HeldCluster::planned("ci"));
    assert_eq!(bench.release(&planned, OnExit::Auto).await.unwrap(), Released::Suspended);
    assert!(bench.cloud().cluster("ci").suspended);
}

#[tokio::test]
async fn a_deployment_that_nobody_ever_lists_is_nothing_to_release() {
    let bench = nothing_yet().await;
    let planned = Held::Cloud(HeldCluster::planned("ci"));
    assert_eq!(bench.release(&planned, OnExit::Auto).await.unwrap(), Released::Deleted);
    assert!(bench.writes().is_empty());
}

/// A proxy before the simulator that passes on one request per connection until it closes its port.
struct Front {
    address: std::net::SocketAddr,
    closed: AtomicBool,
}

impl Front {
    fn new(simulator: &str) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let front = Arc::new(Self { address: listener.local_addr().unwrap(), closed: AtomicBool::new(false) });
        let (behind, here) = (simulator.trim_start_matches("http://").trim_end_matches('/').to_owned(), front.clone());
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if here.closed.load(Ordering::SeqCst) {
                    return;
                }
                hand_over(client, &behind);
            }
        });
        front
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Closes the port, after which no connection is accepted.
    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        while TcpStream::connect(self.address).is_ok() {
            thread::yield_now();
        }
    }
}

/// Passes on one request without a body, and its answer.
fn hand_over(mut client: TcpStream, behind: &str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    head.truncate(head.len() - 2);
    let mut server = TcpStream::connect(behind).unwrap();
    server.write_all(&[&head[..], b"connection: close\r\n\r\n"].concat()).unwrap();
    std::io::copy(&mut server, &mut client).unwrap();
    let _ = client.shutdown(Shutdown::Both);
}

#[tokio::test]
async fn what_could_not_even_be_sent_is_not_owed() {
    for cluster in [None, Some(ClusterOptions::suspended("ci"))] {
        let mut bench = nothing_yet().await;
        if let Some(cluster) = cluster {
            bench = Bench::with(cluster).await;
        }
        let front = Front::new(bench.simulator.url());
        bench.target.endpoint = front.url();
        bench.deadline = Duration::from_millis(800);
        // The intent precedes its request.
        let intents = Intents::new(Arc::new(move |_| {
            front.close();
            Ok(())
        }));
        let acquired = bench.provider().acquire(Instant::now() + bench.deadline, &bench.progress, &intents).await;
        let failed = acquired.expect_err("nobody is there");
        assert!(!failed.maybe_up && failed.error.is_transport(), "{}", failed.error);
        assert!(!failed.error.to_string().contains("may be"), "{}", failed.error);
        assert!(bench.writes().is_empty());
    }
}
