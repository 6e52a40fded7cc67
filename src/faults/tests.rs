//! Tests the proxy between real sockets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// No test waits longer for something that should come.
const LIMIT: Duration = Duration::from_secs(20);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A server that sends back what it gets, and tells how many bytes each connection sent.
struct Echo {
    address: SocketAddr,
    got: mpsc::Receiver<usize>,
}

impl Echo {
    fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let (tell, got) = mpsc::channel();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let tell = tell.clone();
                thread::spawn(move || {
                    let (mut buffer, mut sum) = ([0; 4096], 0);
                    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
                        sum += bytes;
                        if stream.write_all(&buffer[..bytes]).is_err() {
                            break;
                        }
                    }
                    let _ = tell.send(sum);
                });
            }
        });
        Self { address, got }
    }

    fn target(&self) -> Target {
        plain(&self.address.ip().to_string(), self.address.port())
    }
}

fn plain(host: &str, port: u16) -> Target {
    Target { host: host.to_owned(), port, tls: None, asks_first: false }
}

type Heard = Arc<Mutex<Vec<Event>>>;

fn started(targets: [Option<Target>; 2]) -> (Arc<Proxy>, Faults, Heard) {
    let heard = Heard::default();
    let hears = heard.clone();
    let hear = move |event| hears.lock().unwrap().push(event);
    let proxy = Arc::new(Proxy::start(targets, Box::new(hear)).unwrap());
    (proxy.clone(), Faults::of(proxy), heard)
}

/// An echo of HTTP behind a proxy.
fn echo() -> (Echo, Arc<Proxy>, Faults, Heard) {
    let echo = Echo::at("127.0.0.1:0");
    let (proxy, faults, heard) = started([Some(echo.target()), None]);
    (echo, proxy, faults, heard)
}

fn connect(proxy: &Proxy, protocol: Protocol) -> TcpStream {
    let stream = TcpStream::connect(proxy.address(protocol).unwrap()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends bytes, and returns how long it took until they were back.
fn round(stream: &mut TcpStream, bytes: usize) -> Duration {
    let (sent, began) = (vec![7; bytes], Instant::now());
    let mut back = vec![0; bytes];
    thread::scope(|scope| {
        let mut writer = stream.try_clone().unwrap();
        scope.spawn({
            let sent = &sent;
            move || writer.write_all(sent).unwrap()
        });
        stream.read_exact(&mut back).unwrap();
    });
    assert!(back == sent, "the bytes came back changed");
    began.elapsed()
}

/// Reads to the end, and returns how many bytes came and how it ended.
fn rest(stream: &mut TcpStream) -> (usize, Option<ErrorKind>) {
    let mut all = Vec::new();
    let outcome = stream.read_to_end(&mut all);
    (all.len(), outcome.err().map(|error| error.kind()))
}

fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn without_faults_bytes_go_to_and_fro_and_nothing_is_told() {
    let (_echo, proxy, _faults, heard) = echo();
    let (mut one, mut other) = (connect(&proxy, Protocol::Http), connect(&proxy, Protocol::Http));
    for bytes in [1, 100, 1 << 20] {
        round(&mut one, bytes);
        round(&mut other, bytes);
    }
    assert_eq!(*heard.lock().unwrap(), []);
}

#[test]
fn each_side_may_end_before_the_other() {
    let (echo, proxy, _faults, _) = echo();
    let mut stream = connect(&proxy, Protocol::Http);
    stream.write_all(b"the last words").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream), (14, None));
    assert_eq!(echo.got.recv_timeout(LIMIT), Ok(14));
}

#[test]
fn servers_are_found_by_name_and_by_addresses_of_both_kinds() {
    let (four, six) = (Echo::at("127.0.0.1:0"), Echo::at("[::1]:0"));
    let by_name = Echo::at("localhost:0");
    let targets = [four.target(), six.target(), plain("localhost", by_name.address.port())];
    assert_eq!(six.target().to_string(), format!("[::1]:{}", six.address.port()));
    for target in targets {
        let (proxy, _faults, _) = started([None, Some(target)]);
        round(&mut connect(&proxy, Protocol::Postgres), 10);
    }
}

#[test]
fn latency_is_by_direction_and_is_lifted_under_open_connections() {
    let (_echo, proxy, faults, heard) = echo();
    let mut stream = connect(&proxy, Protocol::Http);
    assert!(round(&mut stream, 10) < ms(400));
    faults.latency(ms(400)).unwrap();
    assert!(round(&mut stream, 10) >= ms(800));
    faults.to_server().clear().unwrap();
    let one_way = round(&mut stream, 10);
    assert!((ms(400)..ms(800)).contains(&one_way), "{one_way:?}");
    faults.clear().unwrap();
    assert!(round(&mut stream, 10) < ms(400));
    let told: Vec<String> = heard.lock().unwrap().iter().map(Event::to_string).collect();
    assert_eq!(told[0], "latency of 400 ms");
    assert!(told[1].starts_with("held 1 chunk to the server (10 bytes, HTTP) for "), "{told:?}");
    assert!(told[2].starts_with("held 1 chunk from the server (10 bytes, HTTP) for "), "{told:?}");
    assert_eq!((&*told[3], &*told[5]), ("no faults to the server", "no faults"));
    assert_eq!(told.len(), 6, "{told:?}");
}

#[test]
fn a_fault_of_one_protocol_leaves_the_other_alone() {
    let (http, postgres) = (Echo::at("127.0.0.1:0"), Echo::at("127.0.0.1:0"));
    let (proxy, faults, _) = started([Some(http.target()), Some(postgres.target())]);
    faults.postgres().latency(ms(400)).unwrap();
    let (mut slow, mut quick) = (connect(&proxy, Protocol::Postgres), connect(&proxy, Protocol::Http));
    assert!(round(&mut quick, 10) < ms(400));
    assert!(round(&mut slow, 10) >= ms(800));
    faults.postgres().refuse().unwrap();
    assert!(is_refused(proxy.address(Protocol::Postgres).unwrap()));
    round(&mut connect(&proxy, Protocol::Http), 10);
    faults.http().clear().unwrap();
    assert!(is_refused(proxy.address(Protocol::Postgres).unwrap()));
    faults.clear().unwrap();
    round(&mut connect(&proxy, Protocol::Postgres), 10);
}

#[test]
fn bandwidth_is_a_limit_while_it_is_set() {
    let (_echo, proxy, faults, _) = echo();
    let mut stream = connect(&proxy, Protocol::Http);
    faults.from_server().bandwidth(100_000).unwrap();
    let took = round(&mut stream, 30_000);
    assert!((ms(299)..ms(2000)).contains(&took), "{took:?}");
    // At a byte per second this took days.
    faults.bandwidth(1).unwrap();
    let lifted = thread::spawn(move || {
        thread::park_timeout(ms(50));
        faults.clear().unwrap();
    });
    assert!(round(&mut stream, 300_000) < LIMIT);
    lifted.join().unwrap();
}

#[test]
fn a_reset_comes_in_the_middle_of_an_answer() {
    let (echo, proxy, faults, heard) = echo();
    faults.from_server().reset_after(1024).unwrap();
    let mut stream = connect(&proxy, Protocol::Http);
    stream.write_all(&[1; 3000]).unwrap();
    assert_eq!(rest(&mut stream), (1024, Some(ErrorKind::ConnectionReset)));
    echo.got.recv_timeout(LIMIT).unwrap();
    let mut other = connect(&proxy, Protocol::Http);
    round(&mut other, 1000);
    faults.clear().unwrap();
    round(&mut other, 1000);
    let told = heard.lock().unwrap();
    let text = "reset an HTTP connection after 1024 bytes from the server";
    assert_eq!(told.iter().filter(|event| event.to_string() == text).count(), 1, "{told:?}");
}

#[test]
fn a_request_may_be_cut_off_so_that_the_server_gets_a_part() {
    let (echo, proxy, faults, _) = echo();
    faults.to_server().reset_after(5).unwrap();
    let mut stream = connect(&proxy, Protocol::Http);
    stream.write_all(&[1; 100]).unwrap();
    assert_eq!(rest(&mut stream).1, Some(ErrorKind::ConnectionReset));
    assert!(echo.got.recv_timeout(LIMIT).unwrap() <= 5);
}

#[test]
fn refused_connections_leave_open_ones_alone_and_the_port_stays() {
    let (_echo, proxy, faults, _) = echo();
    let address = proxy.address(Protocol::Http).unwrap();
    let mut open = connect(&proxy, Protocol::Http);
    round(&mut open, 1);
    // Until it executes its program, a child has a copy of each socket.
    let (over, is_over) = mpsc::channel::<()>();
    let children = thread::spawn(move || {
        while matches!(is_over.try_recv(), Err(mpsc::TryRecvError::Empty)) {
            assert!(std::process::Command::new("true").status().unwrap().success());
        }
    });
    for _ in 0..200 {
        faults.refuse().unwrap();
        faults.refuse().unwrap();
        assert!(is_refused(address));
        round(&mut open, 1);
        faults.clear().unwrap();
        round(&mut connect(&proxy, Protocol::Http), 1);
    }
    drop(over);
    children.join().unwrap();
    let error = faults.to_server().refuse().unwrap_err().to_string();
    assert!(error.starts_with("cannot refuse connections to the server only: a connection has both"), "{error}");
}

#[test]
fn a_black_hole_holds_until_it_is_lifted() {
    let (_echo, proxy, faults, heard) = echo();
    let mut stream = connect(&proxy, Protocol::Http);
    round(&mut stream, 1);
    faults.from_server().black_hole().unwrap();
    stream.write_all(&[1; 10]).unwrap();
    stream.set_read_timeout(Some(ms(100))).unwrap();
    let kind = stream.read(&mut [0]).unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind:?}");
    // Those of new connections, too, although they are accepted.
    let mut other = connect(&proxy, Protocol::Http);
    other.set_read_timeout(Some(ms(100))).unwrap();
    other.write_all(&[1; 10]).unwrap();
    assert!(other.read(&mut [0]).is_err());
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    faults.clear().unwrap();
    stream.read_exact(&mut [0; 10]).unwrap();
    round(&mut stream, 1);
    assert!(
        heard.lock().unwrap().iter().any(|event| matches!(event, Event::Held { longest, .. } if *longest > ms(99)))
    );
}

#[test]
fn what_a_black_hole_holds_never_arrives_once_connections_are_reset() {
    let (echo, proxy, faults, _) = echo();
    let mut stream = connect(&proxy, Protocol::Http);
    round(&mut stream, 1);
    faults.black_hole().unwrap();
    stream.write_all(&[1; 10]).unwrap();
    faults.reset_after(0).unwrap();
    faults.clear().unwrap();
    assert_eq!(rest(&mut stream), (0, Some(ErrorKind::ConnectionReset)));
    assert_eq!(echo.got.recv_timeout(LIMIT), Ok(1));
    round(&mut connect(&proxy, Protocol::Http), 10);
}

#[test]
fn everything_arrives_whole_and_in_order_whatever_the_network_does() {
    let (_echo, proxy, faults, _) = echo();
    let mut stream = connect(&proxy, Protocol::Http);
    let sent: Vec<u8> = (0..2_000_000_u32).map(|number| (number % 251) as u8).collect();
    let mut back = vec![0; sent.len()];
    thread::scope(|scope| {
        let (mut writer, sent) = (stream.try_clone().unwrap(), &sent);
        scope.spawn(move || writer.write_all(sent).unwrap());
        scope.spawn(|| {
            for round in 0..40 {
                faults.latency(ms(round % 3)).unwrap().jitter(ms(2)).unwrap();
                if round % 4 == 0 {
                    faults.black_hole().unwrap();
                }
                faults.from_server().bandwidth(1 + (round % 5) * 3_000_000).unwrap();
                thread::park_timeout(ms(3));
                faults.clear().unwrap();
            }
        });
        stream.read_exact(&mut back).unwrap();
    });
    assert!(back == sent);
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (proxy, _faults, heard) = started([Some(plain("127.0.0.1", port)), None]);
    let mut stream = connect(&proxy, Protocol::Http);
    assert_eq!(rest(&mut stream), (0, Some(ErrorKind::ConnectionReset)));
    let told = heard.lock().unwrap()[0].to_string();
    let begins = format!("reset an HTTP connection: no connection to 127.0.0.1:{port}: Connection refused");
    assert!(told.starts_with(&begins), "{told}");
}

#[test]
fn a_proxy_that_is_closed_leaves_no_port_and_no_connection() {
    let (echo, proxy, faults, _) = echo();
    let address = proxy.address(Protocol::Http).unwrap();
    let mut stream = connect(&proxy, Protocol::Http);
    round(&mut stream, 1);
    faults.black_hole().unwrap();
    stream.write_all(&[1; 10]).unwrap();
    proxy.close();
    assert!(is_refused(address));
    TcpListener::bind(address).unwrap();
    assert_eq!(rest(&mut stream).0, 0);
    assert_eq!(echo.got.recv_timeout(LIMIT), Ok(1), "what was held got to the server");
    let calls = [
        faults.clear().map(drop),
        faults.refuse().map(drop),
        faults.latency(ms(1)).map(drop),
        faults.reset_after(1).map(drop),
    ];
    for outcome in calls {
        assert_eq!(outcome.unwrap_err().to_string(), "cannot change the faults of the network: the test is over");
    }
    proxy.close();
}

#[test]
fn proxies_end_with_their_owner_also_by_a_panic() {
    let (_echo, proxy, _faults, _) = echo();
    let (address, proxies) = (proxy.address(Protocol::Http).unwrap(), Proxies::default());
    proxies.add(proxy);
    let panics = thread::spawn(move || {
        struct Ends(Proxies);
        impl Drop for Ends {
            fn drop(&mut self) {
                self.0.close();
            }
        }
        let _ends = Ends(proxies);
        panic!("the test fails");
    });
    panics.join().unwrap_err();
    assert!(is_refused(address));
}

#[test]
fn settings_that_make_no_sense_are_refused_with_what_is_accepted() {
    let (_echo, _proxy, faults, heard) = echo();
    let hours = Duration::from_secs(2 * 60 * 60);
    for (outcome, text) in [
        (faults.bandwidth(0), "cannot set a bandwidth of 0 bytes per second: accepted: 1 and more"),
        (faults.latency(hours), "cannot set a latency of 2h: accepted: 0 to 1h"),
        (faults.jitter(hours), "cannot set a jitter of 2h: accepted: 0 to 1h"),
    ] {
        let error = outcome.unwrap_err();
        assert!(error.is_usage() && error.to_string().starts_with(text), "{error}");
    }
    assert_eq!(heard.lock().unwrap().len(), 0);
    faults.latency(Duration::ZERO).unwrap().latency(LONGEST).unwrap().bandwidth(u64::MAX).unwrap();
}

/// An echo for one connection, with a certificate for `localhost`.
fn encrypted_echo(asks_first: bool) -> (u16, Arc<ClientConfig>) {
    let pem = include_bytes!("localhost.pem");
    let certificate = CertificateDer::from_pem_slice(pem).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pem).unwrap();
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let listener = TcpListener::bind("localhost:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        if asks_first {
            let mut question = [0; 8];
            stream.read_exact(&mut question).unwrap();
            assert_eq!(question, [0, 0, 0, 8, 4, 210, 22, 47]);
            stream.write_all(b"S").unwrap();
        }
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(server)).unwrap(), stream);
        let mut buffer = [0; 100];
        while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&buffer[..bytes]).unwrap();
        }
    });
    (port, Arc::new(client))
}

#[test]
fn a_server_with_tls_is_reached_by_clients_without() {
    for asks_first in [false, true] {
        let (port, tls) = encrypted_echo(asks_first);
        let target = Target { tls: Some(tls), asks_first, ..plain("localhost", port) };
        let (proxy, faults, heard) = started([Some(target), None]);
        faults.from_server().reset_after(30).unwrap();
        let mut stream = connect(&proxy, Protocol::Http);
        round(&mut stream, 20);
        stream.write_all(&[7; 20]).unwrap();
        assert_eq!(rest(&mut stream), (10, Some(ErrorKind::ConnectionReset)), "{heard:?}");
    }
}

#[test]
fn a_certificate_for_another_name_is_not_accepted() {
    let (port, tls) = encrypted_echo(false);
    let address = ("localhost", port);
    let ip = TcpStream::connect(address).map(|stream| stream.peer_addr().unwrap().ip().to_string()).unwrap();
    let (port, _) = encrypted_echo(false);
    let (proxy, _faults, heard) = started([Some(Target { tls: Some(tls), ..plain(&ip, port) }), None]);
    assert_eq!(rest(&mut connect(&proxy, Protocol::Http)).1, Some(ErrorKind::ConnectionReset));
    let told = heard.lock().unwrap()[0].to_string();
    assert!(told.contains("certificate"), "{told}");
}

#[test]
fn a_server_that_does_not_encrypt_although_it_should_is_told() {
    let echo = Echo::at("127.0.0.1:0");
    let (_, tls) = encrypted_echo(false);
    let target = Target { tls: Some(tls), asks_first: true, ..echo.target() };
    let (proxy, _faults, heard) = started([None, Some(target)]);
    assert_eq!(rest(&mut connect(&proxy, Protocol::Postgres)).1, Some(ErrorKind::ConnectionReset));
    let told = heard.lock().unwrap()[0].to_string();
    assert!(told.ends_with("the server does not encrypt, and the address demands it"), "{told}");
}
