//! The frames: frozen, whole again after any cut, and refused if they can't be right.

use std::os::fd::AsFd as _;

use super::*;

use crate::error::{Error, Kind};
use crate::host::process::Identity;
use crate::sql::Credentials;
use crate::target::{Target, UrlTarget};

/// The messages as version 1 writes them, one a line.
const GOLDEN: &str = include_str!("golden-v1.ndjson");

fn identity(pid: u32, name: &str) -> Identity {
    Identity { pid, start: 7, namespace: 4_026_531_836, boot: "b".into(), name: name.into() }
}

fn open() -> Open {
    Open {
        id: AttemptId(3),
        schema: "cratedb_test_hrfjq_abcdefgh_t".into(),
        test: "m::t".into(),
        mode: Mode::Exclusive,
        keep_if_lost: true,
        migrations: None,
    }
}

fn from_client() -> Vec<FromClient> {
    let target = UrlTarget { url: "http://localhost:4200".into(), username: None, password: None };
    let spec = Spec {
        key: "url|http://localhost:4200".into(),
        target: Target::Url(target),
        policy: Policy::default(),
        report: None,
        log: "info".into(),
        notes: Vec::new(),
        project: String::new(),
    };
    vec![
        FromClient::Hello(Box::new(Hello {
            protocol: 1,
            spec,
            own: identity(11, "t"),
            runners: vec![identity(10, "cargo")],
            orphan: false,
            doomed: false,
            open: vec![open()],
            binary: "/target/t".into(),
            session: None,
            setups: Vec::new(),
        })),
        FromClient::Begin { attempt: open(), parent: Some(AttemptId(2)) },
        FromClient::End { id: AttemptId(3), ended: Ended { passed: true, used: true, keep: false, settled: None } },
        FromClient::End { id: AttemptId(3), ended: Ended { passed: true, used: true, keep: false, settled: Some(7) } },
        FromClient::Begin {
            attempt: Open {
                migrations: Some(MigrationSet {
                    checksum: "e3b0".into(),
                    apart: Some("they name a schema".into()),
                    fresh: false,
                    long: false,
                }),
                ..open()
            },
            parent: None,
        },
        FromClient::Migrations {
            checksum: "e3b0".into(),
            files: vec![MigrationFile { name: "1_a.sql".into(), text: "CREATE TABLE a (id INT)".into() }],
        },
        FromClient::Setup { name: "x".into(), schema: "cratedb_test_hrfjq_abcdefgh_x".into() },
        FromClient::SetupEnded { name: "x".into(), outcome: SetupOutcome::Done, digest: None },
        FromClient::SetupEnded { name: "x".into(), outcome: SetupOutcome::GivenUp, digest: None },
        FromClient::SetupEnded { name: "x".into(), outcome: SetupOutcome::Done, digest: Some("e3b0".into()) },
        FromClient::Renew,
        FromClient::Unanswered,
        FromClient::Status { protocol: 1, watch: true },
        FromClient::Finish { protocol: 1, session: Some("nightly".into()), holder: None, now: true },
        FromClient::Finish {
            protocol: 1,
            session: Some("nightly".into()),
            holder: Some(identity(10, "cargo-cratedb")),
            now: false,
        },
    ]
}

fn from_keeper() -> Vec<FromKeeper> {
    let error = Error::new(Kind::Session, "cannot").because("why").hint("do");
    vec![
        FromKeeper::Protocol { protocol: 1, version: "0.1.0".into(), same_run: true },
        FromKeeper::Progress { text: "resuming".into(), speak: true },
        FromKeeper::Notice { text: "mind".into() },
        FromKeeper::Ready(Box::new(Ready {
            provider: "url".into(),
            name: "http://localhost:4200".into(),
            http_url: "http://localhost:4200".into(),
            pg_url: None,
            pg_hint: Some("set CRATEDB_PASSWORD".into()),
            credentials: Credentials::None,
            authority: None,
            version: "6.4.3".parse().unwrap(),
            clock: None,
            console: None,
            lives_on: true,
        })),
        FromKeeper::Fail { error: error.clone() },
        FromKeeper::Granted { id: AttemptId(3), schema: None, wants: false },
        FromKeeper::Granted {
            id: AttemptId(3),
            schema: Some("cratedb_test_hrfjq_abcdefgh_migrated".into()),
            wants: true,
        },
        FromKeeper::Wants { id: AttemptId(3) },
        FromKeeper::Refused { id: AttemptId(3), error: error.clone() },
        FromKeeper::Aftermath { id: AttemptId(3), text: Some("put back".into()) },
        FromKeeper::Setup { name: "x".into(), verdict: Verdict::Yours },
        FromKeeper::Setup {
            name: "x".into(),
            verdict: Verdict::Done { schema: "cratedb_test_hrfjq_abcdefgh_x".into(), digest: None },
        },
        FromKeeper::Setup { name: "x".into(), verdict: Verdict::Failed { error: error.clone() } },
        FromKeeper::Credentials { credentials: Credentials::None },
        FromKeeper::NotRenewed { error: error.clone() },
        FromKeeper::Explained { error: Some(error) },
        FromKeeper::Explained { error: None },
        FromKeeper::Cut { reason: CutReason::MaxLifetime, text: "over".into() },
        FromKeeper::State(Box::new(snapshot())),
        FromKeeper::Finished { sessions: vec!["nightly".into()], held_by: vec!["the run of cargo".into()] },
        FromKeeper::Released { outcome: ClusterOutcome::Suspended, detail: String::new() },
    ]
}

fn snapshot() -> KeeperSnapshot {
    let turn = Turn {
        test: "m::t".into(),
        schema: "cratedb_test_hrfjq_abcdefgh_t".into(),
        mode: Mode::Shared,
        runs: true,
        since: 1_790_000_002,
        pid: 11,
    };
    let session = SessionState {
        name: Some("nightly".into()),
        runners: vec![identity(10, "cargo-cratedb")],
        since: 1_790_000_001,
        over: false,
        processes: 1,
        ends: "its holder's end".into(),
        until: None,
        turns: vec![turn],
    };
    KeeperSnapshot {
        pid: 12,
        key: "url|http://localhost:4200".into(),
        phase: Phase::Up,
        owes: false,
        until: Some(1_790_007_200),
        provider: Some("url".into()),
        resource: None,
        http_url: None,
        pg_url: None,
        step: Some("connecting".into()),
        trouble: None,
        owed_since: None,
        policy: Policy::default(),
        sessions: vec![session],
        ended: vec!["evening".into()],
    }
}

/// Hellos of explicit sessions have one more field; those without are as they always were.
#[test]
fn a_hello_of_an_explicit_session_says_its_name() {
    let FromClient::Hello(hello) = from_client().remove(0) else { panic!() };
    let named = Named { name: "nightly".into(), idle: 600_000 };
    let text = serde_json::to_string(&Hello { session: Some(named.clone()), ..*hello }).unwrap();
    assert!(text.ends_with(r#","session":{"name":"nightly","idle":600000}}"#), "{text}");
    let back: Hello = serde_json::from_str(&text).unwrap();
    assert_eq!(back.session, Some(named));
}

/// A keeper of an older version does not tell it, and one without a cluster has none.
#[test]
fn a_state_may_have_the_address_of_the_cluster() {
    let address = Some("http://127.0.0.1:4200".to_owned());
    let text = serde_json::to_string(&KeeperSnapshot { http_url: address.clone(), ..snapshot() }).unwrap();
    assert_eq!(serde_json::from_str::<KeeperSnapshot>(&text).unwrap().http_url, address);
    let without = serde_json::to_string(&snapshot()).unwrap();
    assert!(!without.contains("http_url"), "{without}");
    assert_eq!(serde_json::from_str::<KeeperSnapshot>(&without).unwrap().http_url, None);
}

#[test]
fn the_messages_are_frozen() {
    let client = from_client();
    let keeper = from_keeper();
    let lines = client.iter().map(|message| serde_json::to_string(message).unwrap());
    let lines: Vec<String> =
        lines.chain(keeper.iter().map(|message| serde_json::to_string(message).unwrap())).collect();
    assert_eq!(lines, GOLDEN.lines().collect::<Vec<_>>(), "\n{}\n", lines.join("\n"));
    for line in GOLDEN.lines().take(client.len()) {
        serde_json::from_str::<FromClient>(line).unwrap();
    }
    for line in GOLDEN.lines().skip(client.len()) {
        serde_json::from_str::<FromKeeper>(line).unwrap();
    }
}

#[test]
fn the_first_frame_is_understood_by_every_version() {
    let greeting: Greeting = serde_json::from_str(GOLDEN.lines().next().unwrap()).unwrap();
    assert_eq!((greeting.r#type.as_str(), greeting.protocol), ("hello", PROTOCOL));
}

#[test]
fn frames_are_whole_again_wherever_they_were_cut() {
    let bytes: Vec<u8> = from_keeper().iter().flat_map(|message| encode(message).unwrap()).collect();
    for size in 1..80 {
        let (mut decoder, mut count) = (Decoder::default(), 0);
        for piece in bytes.chunks(size) {
            decoder.push(piece);
            while decoder.next::<FromKeeper>().unwrap().is_some() {
                count += 1;
            }
        }
        assert_eq!(count, from_keeper().len(), "in pieces of {size}");
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_it_is_waited_for() {
    let mut decoder = Decoder::default();
    decoder.push(&u32::MAX.to_le_bytes());
    assert!(decoder.next::<FromKeeper>().unwrap_err().to_string().contains("4294967295 bytes"));
    let long = FromKeeper::Finished { sessions: vec!["x".repeat(MAX_FRAME)], held_by: Vec::new() };
    assert!(encode(&long).unwrap_err().to_string().contains("too long"));
}

/// An error and a step that a server made long once kept the keeper's answer from arriving, and the next keeper's too.
#[test]
fn what_a_server_says_fits_into_a_frame_however_long_it_is() {
    let long = "\u{1b}".repeat(1_200_000);
    let error = Error::new(Kind::Cloud, "cannot").because(&long).hint(&*long);
    let (some, id) = (|| Some(long.clone()), AttemptId(3));
    let FromKeeper::Ready(ready) = from_keeper().swap_remove(3) else { panic!() };
    for message in [
        FromKeeper::Fail { error: error.clone() },
        FromKeeper::Refused { id, error: error.clone() },
        FromKeeper::Setup { name: "x".into(), verdict: Verdict::Failed { error: error.clone() } },
        FromKeeper::NotRenewed { error },
        FromKeeper::Progress { text: long.clone(), speak: true },
        FromKeeper::Notice { text: long.clone() },
        FromKeeper::Aftermath { id, text: some() },
        FromKeeper::Cut { reason: CutReason::Terminated, text: long.clone() },
        FromKeeper::Released { outcome: ClusterOutcome::Owed, detail: long.clone() },
        FromKeeper::Ready(Box::new(Ready { name: long.clone(), pg_hint: some(), console: some(), ..*ready })),
        FromKeeper::State(Box::new(KeeperSnapshot { resource: some(), step: some(), trouble: some(), ..snapshot() })),
    ] {
        let mut decoder = Decoder::default();
        decoder.push(&encode(&message).unwrap());
        let back: FromKeeper = decoder.next().unwrap().unwrap();
        let text = serde_json::to_string(&back).unwrap();
        assert!(text.contains("bytes more)") && !text.contains("\\u001b"), "{}", &text[..200]);
    }
}

#[test]
fn what_is_no_message_is_not_shown() {
    let mut decoder = Decoder::default();
    let frame = br#"{"type":"begin","secret":"geheim"}"#;
    decoder.push(&(frame.len() as u32).to_le_bytes());
    decoder.push(frame);
    let text = decoder.next::<FromClient>().unwrap_err().to_string();
    assert!(!text.contains("geheim"), "{text}");
}

#[test]
fn descriptors_arrive_beside_the_bytes() {
    let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    let sent = send_with_descriptors(&here, b"hello", &[file.as_fd(), here.as_fd()]).unwrap();
    let (mut buffer, mut descriptors) = ([0; 16], Vec::new());
    let received = receive_with_descriptors(&there, &mut buffer, &mut descriptors).unwrap();
    assert_eq!((sent, received, descriptors.len()), (5, 5, 2));
}
