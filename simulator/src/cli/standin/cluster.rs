//! Several stand-ins as nodes of one cluster. Each finds the first among its seeds and keeps a connection to its
//! transport port. The first shows the connected ones in `sys.nodes`. Only the first has data.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::settings::{Seeds, Settings};
use crate::engine::Engine;

/// A node that joins sends one line: this word, the cluster, the node, and the address of its HTTP.
const JOIN: &str = "join";
const WELCOME: &str = "welcome\n";

/// The part of this node in its cluster, which decides whether it can answer.
pub(super) struct Joined {
    leads: bool,
    joined: Arc<AtomicBool>,
}

impl Joined {
    /// Returns the reason why this node can't answer, if it can't.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        match (self.leads, self.joined.load(Ordering::Relaxed)) {
            (true, _) => None,
            (false, false) => Some("master not discovered yet"),
            (false, true) => Some("only the first node of a stand-in's cluster answers SQL"),
        }
    }
}

/// Lets others join if this is the first node, or joins the first node.
pub(super) fn take_part(settings: &Settings, listener: TcpListener, http: SocketAddr, engine: Arc<Engine>) -> Joined {
    let joined = Arc::new(AtomicBool::new(false));
    let cluster = settings.cluster_name.clone();
    if settings.leads {
        tokio::spawn(welcome(listener, cluster, engine));
    } else if let Some((seeds, interval)) = settings.seeds.clone() {
        let hello = format!("{JOIN} {cluster} {} {http}\n", settings.node_name);
        tokio::spawn(seek(listener, seeds, interval, hello, joined.clone()));
    }
    Joined { leads: settings.leads, joined }
}

async fn welcome(listener: TcpListener, cluster: String, engine: Arc<Engine>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (cluster, engine) = (cluster.clone(), engine.clone());
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            // Anything that is not a node of this cluster is not answered.
            if stream.read_line(&mut line).await.is_err() {
                return;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let [JOIN, name, node, address] = words[..] else { return };
            if name != cluster || stream.get_mut().write_all(WELCOME.as_bytes()).await.is_err() {
                return;
            }
            engine.join(node, address);
            // It sends nothing more. The end of its connection is its end.
            let _ = stream.read(&mut [0]).await;
            engine.leave(node);
        });
    }
}

/// Tries the addresses until one is the first node's, and again if that node goes away.
async fn seek(_open: TcpListener, seeds: Seeds, interval: Duration, hello: String, joined: Arc<AtomicBool>) {
    loop {
        for address in addresses_in(&seeds) {
            if let Ok(mut stream) = join(&address, &hello).await {
                joined.store(true, Ordering::Relaxed);
                let _ = stream.read(&mut [0]).await;
                joined.store(false, Ordering::Relaxed);
            }
        }
        tokio::time::sleep(interval).await;
    }
}

async fn join(address: &str, hello: &str) -> std::io::Result<BufReader<TcpStream>> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.get_mut().write_all(hello.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await?;
    if answer == WELCOME { Ok(stream) } else { Err(std::io::ErrorKind::ConnectionRefused.into()) }
}

fn addresses_in(seeds: &Seeds) -> Vec<String> {
    let file = match seeds {
        Seeds::File(file) => file,
        Seeds::Hosts(hosts) => return hosts.clone(),
    };
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}
