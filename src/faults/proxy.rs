//! The proxy: a thread with two ports, which carries bytes between a test and its cluster as the faults say.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};

use super::event::{Direction, Event, Protocol};
use super::lane::{Conditions, End, Lane, Step};
use super::target::Target;

/// The bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// Connections that wait to be accepted, as listeners of std have it.
const BACKLOG: u32 = 128;

/// The time after which a door accepts again where the process has no descriptor left.
const NO_DESCRIPTOR: Duration = Duration::from_millis(10);

/// The faults of both directions of both protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weather([[Conditions; 2]; 2]);

impl Weather {
    fn at(&self, protocol: Protocol, direction: Direction) -> Conditions {
        self.0[protocol as usize][direction as usize]
    }

    pub(super) fn of(&mut self, protocol: Protocol, direction: Direction) -> &mut Conditions {
        &mut self.0[protocol as usize][direction as usize]
    }
}

/// Hears of what happens. It is called on the proxy's thread.
pub(crate) type Hear = Box<dyn Fn(Event) + Send + Sync>;

/// A running proxy, which ends when it is closed or dropped.
pub(crate) struct Proxy {
    addresses: [Option<SocketAddr>; 2],
    pub(super) weather: watch::Sender<Weather>,
    doors: [mpsc::UnboundedSender<Command>; 2],
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

struct Running {
    /// Dropped, it ends the thread.
    _stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

struct Shared {
    began: Instant,
    hear: Hear,
}

/// Opens or closes a port.
struct Command {
    open: bool,
    done: std_mpsc::SyncSender<io::Result<()>>,
}

/// A port that is this proxy's, whether it listens there or not.
struct Door {
    /// Bound and never listening: while nothing else listens, the kernel refuses connections and gives the port to no
    /// process that asks for any.
    _reserved: TcpSocket,
    address: SocketAddr,
    protocol: Protocol,
    target: Arc<Target>,
    commands: Commands,
}

impl Proxy {
    /// Starts a proxy before these servers, of HTTP and of PostgreSQL, on ports of the loopback interface.
    pub(crate) fn start(targets: [Option<Target>; 2], hear: Hear) -> io::Result<Self> {
        let (weather, seen) = watch::channel(Weather::default());
        let shared = Arc::new(Shared { began: Instant::now(), hear });
        let (http, of_http) = mpsc::unbounded_channel();
        let (postgres, of_postgres) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let (started, outcome) = std_mpsc::sync_channel(1);
        let of_thread = shared.clone();
        // It makes its runtime itself: one that is dropped by an async caller, for want of a thread, would panic.
        let run = move || match open(targets, [of_http, of_postgres]) {
            Err(error) => drop(started.send(Err(error))),
            Ok((runtime, doors)) => {
                let mut addresses = [None; 2];
                for (door, listener) in doors {
                    addresses[door.protocol as usize] = Some(door.address);
                    runtime.spawn(door.keep(listener, seen.clone(), of_thread.clone()));
                }
                let _ = started.send(Ok(addresses));
                let _ = runtime.block_on(stopped);
                // Waits for no look-up of a name.
                runtime.shutdown_background();
            }
        };
        // Linux keeps 15 bytes of a thread's name.
        let thread = thread::Builder::new().name("cratedb-test-nw".into()).spawn(run)?;
        let addresses = outcome.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
        let running = Mutex::new(Some(Running { _stop: stop, thread }));
        Ok(Self { addresses, weather, doors: [http, postgres], shared, running })
    }

    /// Returns where clients connect.
    pub(crate) fn address(&self, protocol: Protocol) -> Option<SocketAddr> {
        self.addresses[protocol as usize]
    }

    pub(super) fn hear(&self, event: Event) {
        (self.shared.hear)(event);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Accepts new connections, or lets the kernel refuse them. It is done when this returns.
    pub(super) fn open_door(&self, protocol: Protocol, open: bool) -> io::Result<()> {
        if self.address(protocol).is_none() {
            return Ok(());
        }
        let (done, outcome) = std_mpsc::sync_channel(1);
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.doors[protocol as usize].send(Command { open, done }).map_err(|_| gone())?;
        outcome.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Ends the proxy with its connections. When this returns, its ports are free.
    pub(crate) fn close(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { _stop, thread }) = running else { return };
        drop(_stop);
        // Its own thread drops a proxy if it hears of something while the last handle goes.
        if thread.thread().id() != thread::current().id() {
            let _ = thread.join();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
    }
}

type Commands = mpsc::UnboundedReceiver<Command>;

/// Makes the runtime of a proxy and opens its doors.
fn open(targets: [Option<Target>; 2], commands: [Commands; 2]) -> io::Result<(Runtime, Vec<(Door, TcpListener)>)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let doors = {
        let _inside = runtime.enter();
        let parts = Protocol::ALL.into_iter().zip(targets).zip(commands);
        let there = parts.filter_map(|((protocol, target), commands)| Some((protocol, target?, commands)));
        there.map(|(protocol, target, commands)| Door::open(protocol, target, commands)).collect::<io::Result<_>>()?
    };
    Ok((runtime, doors))
}

impl Door {
    fn open(protocol: Protocol, target: Target, commands: Commands) -> io::Result<(Self, TcpListener)> {
        let any = |ip: IpAddr| socket_at(SocketAddr::new(ip, 0));
        // Some machines have no loopback of IPv4.
        let reserved = any(Ipv4Addr::LOCALHOST.into()).or_else(|_| any(Ipv6Addr::LOCALHOST.into()))?;
        let address = reserved.local_addr()?;
        let listener = listen(address)?;
        Ok((Self { _reserved: reserved, address, protocol, target: Arc::new(target), commands }, listener))
    }

    async fn keep(mut self, listener: TcpListener, weather: watch::Receiver<Weather>, shared: Arc<Shared>) {
        let mut listener = Some(listener);
        let mut number = 0;
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => {
                    let Some(Command { open, done }) = command else { return };
                    let outcome = match (open, &listener) {
                        (true, None) => listen(self.address).map(|opened| listener = Some(opened)),
                        (true, Some(_)) => Ok(()),
                        (false, _) => {
                            listener.take().iter().for_each(stop_listening);
                            Ok(())
                        }
                    };
                    let _ = done.send(outcome);
                }
                accepted = accept(listener.as_ref()) => match accepted {
                    Ok(client) => {
                        number += 1;
                        let (protocol, target, shared) = (self.protocol, self.target.clone(), shared.clone());
                        tokio::spawn(serve(client, number, protocol, target, weather.clone(), shared));
                    }
                    Err(_) => tokio::time::sleep(NO_DESCRIPTOR).await,
                },
            }
        }
    }
}

/// Binds a socket so that others of this process may bind the same address.
fn socket_at(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // macOS wants it for two sockets with one address; Linux does with either.
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    socket_at(address)?.listen(BACKLOG)
}

/// Ends the listening itself. A child that a thread of this process has forked meanwhile has the socket, too, until it
/// executes its own program, and the kernel would accept connections until then. macOS can't end it so.
fn stop_listening(listener: &TcpListener) {
    let _ = rustix::net::shutdown(listener, rustix::net::Shutdown::Both);
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// The connection broke, or a fault resets it.
struct Broken;

async fn serve(
    mut client: TcpStream,
    number: u64,
    protocol: Protocol,
    target: Arc<Target>,
    weather: watch::Receiver<Weather>,
    shared: Arc<Shared>,
) {
    let _ = client.set_nodelay(true);
    let made_under = *weather.borrow();
    let mut server = match target.connect().await {
        Ok(server) => server,
        Err(why) => {
            let (server, why) = (target.to_string(), why.to_string());
            (shared.hear)(Event::Unreachable { protocol, server, why, connections: 1 });
            let _ = client.set_zero_linger();
            return;
        }
    };
    let carrier = |direction| Carrier {
        protocol,
        direction,
        // The same in each run: by the number of the connection, its protocol and the direction.
        lane: Lane::new(number << 2 | (protocol as u64) << 1 | direction as u64, made_under.at(protocol, direction)),
        weather: weather.clone(),
        shared: &shared,
    };
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = tokio::io::split(&mut server);
    let outcome = tokio::try_join!(
        carrier(Direction::ToServer).carry(from_client, to_server),
        carrier(Direction::FromServer).carry(from_server, to_client),
    );
    if let Err(Broken) = outcome {
        let _ = client.set_zero_linger();
        let _ = server.tcp().set_zero_linger();
    }
}

/// Carries bytes in one direction of one connection.
struct Carrier<'a> {
    protocol: Protocol,
    direction: Direction,
    lane: Lane,
    weather: watch::Receiver<Weather>,
    shared: &'a Shared,
}

impl Carrier<'_> {
    async fn carry(mut self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> Result<(), Broken> {
        let mut buffer = vec![0; CHUNK];
        let mut on_the_way = VecDeque::new();
        loop {
            let conditions = self.weather.borrow_and_update().at(self.protocol, self.direction);
            let until = match self.lane.next(self.shared.began.elapsed(), &conditions) {
                Step::Deliver { bytes, held } => {
                    if let Some(held) = held {
                        (self.shared.hear)(Event::held(self.protocol, self.direction, held));
                    }
                    deliver(&mut on_the_way, bytes, &mut to).await.map_err(|_| Broken)?;
                    continue;
                }
                Step::End(End::Close) => return to.shutdown().await.map_err(|_| Broken),
                Step::End(End::Reset) => return Err(Broken),
                Step::Reset { after } => {
                    let (protocol, direction) = (self.protocol, self.direction);
                    (self.shared.hear)(Event::Reset { protocol, direction, after, connections: 1 });
                    return Err(Broken);
                }
                Step::WaitUntil(until) => Some(self.shared.began + until),
                Step::Wait => None,
            };
            let room = self.lane.room().min(CHUNK);
            tokio::select! {
                changed = self.weather.changed() => changed.map_err(|_| Broken)?,
                () = sleep_until(until) => {}
                read = from.read(&mut buffer[..room]), if room > 0 => {
                    let now = self.shared.began.elapsed();
                    match read {
                        Ok(0) => self.lane.finish(End::Close, now),
                        Ok(bytes) => {
                            on_the_way.extend(&buffer[..bytes]);
                            self.lane.push(bytes, now);
                        }
                        Err(_) => self.lane.finish(End::Reset, now),
                    }
                }
            }
        }
    }
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}

async fn deliver(from: &mut VecDeque<u8>, bytes: usize, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let (first, second) = from.as_slices();
    let of_first = bytes.min(first.len());
    to.write_all(&first[..of_first]).await?;
    to.write_all(&second[..bytes - of_first]).await?;
    to.flush().await?;
    from.drain(..bytes);
    Ok(())
}
