use std::sync::mpsc;
use std::time::Duration;

use reliability_containers::with_server;

/// Starts in another thread, so that this one can die meanwhile.
#[test]
fn a_acquires() {
    let stops = reliability::stops_at("acquiring");
    if stops {
        reliability::say("here");
    }
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        with_server(|| {});
        let _ = sender.send(());
    });
    loop {
        match receiver.recv_timeout(Duration::from_millis(5)) {
            Ok(()) => return,
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("the other thread died"),
            Err(mpsc::RecvTimeoutError::Timeout) if stops => drop(reliability::may_go_on()),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
    }
}

#[test]
fn b_uses() {
    with_server(|| {});
}

#[test]
fn c_runs() {
    with_server(|| reliability::stop("running"));
}

#[test]
fn d_between() {
    reliability::stop("between");
}

#[test]
fn e_uses() {
    with_server(|| {});
}
