//! The socket of one client: frames and descriptors in, frames out. It decides nothing.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::machine::ClientId;
use super::run::{Input, Inputs};
use crate::host::process::Identity;
use crate::wire::{
    Decoder, FromClient, FromKeeper, Greeting, MAX_DESCRIPTORS, PROTOCOL, encode, receive_with_descriptors,
};

/// The time that a client may take to say who it is: one that does not must not keep the keeper.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Takes messages for a client. Dropping it closes the connection once everything is written.
#[derive(Clone, Debug)]
pub(super) struct Outbox(UnboundedSender<Vec<u8>>);

impl Outbox {
    pub(super) fn send(&self, message: &FromKeeper) {
        match encode(message) {
            // A client that has left gets nothing.
            Ok(frame) => drop(self.0.send(frame)),
            Err(error) => {
                tracing::error!(%error, "a message was not sent");
                // Silence would look like the death of this keeper, and the client would come again for the same.
                if let Ok(frame) = encode(&FromKeeper::Fail { error }) {
                    drop(self.0.send(frame));
                }
            }
        }
    }
}

/// Serves one connection until it ends, from either side.
pub(super) async fn serve(stream: UnixStream, client: ClientId, inputs: Inputs) {
    let own = rustix::process::getuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == own => {}
        other => {
            tracing::warn!(?other, "a client of another user was cut off");
            return;
        }
    }
    let stream = Arc::new(stream);
    let (sender, receiver) = unbounded_channel();
    let writer = tokio::spawn(write(stream.clone(), receiver));
    if let Err(reason) = read(&stream, client, Outbox(sender), &inputs).await {
        tracing::warn!(client = client.0, reason, "a connection was given up");
    }
    inputs.send(Input::Gone(client));
    let _ = writer.await;
}

async fn read(stream: &UnixStream, client: ClientId, outbox: Outbox, inputs: &Inputs) -> Result<(), &'static str> {
    let (mut decoder, mut descriptors) = (Decoder::default(), Vec::new());
    let greeting = tokio::time::timeout(HANDSHAKE, next_frame(stream, &mut decoder, &mut descriptors));
    let Some(first) = greeting.await.map_err(|_| "it did not say who it is")?? else { return Ok(()) };
    let protocol = serde_json::from_slice::<Greeting>(&first).map_err(|_| "it did not greet")?.protocol;
    if protocol != PROTOCOL {
        inputs.send(Input::Foreign(runners_of(&first), outbox));
        return Ok(());
    }
    match serde_json::from_slice(&first) {
        Ok(FromClient::Hello(hello)) => inputs.send(Input::Hello(client, hello, descriptors, outbox)),
        Ok(question @ (FromClient::Status { .. } | FromClient::Finish { .. })) => {
            inputs.send(Input::Observer(client, outbox));
            inputs.send(Input::Message(client, question));
        }
        _ => return Err("its greeting is no hello"),
    }
    while let Some(frame) = next_frame(stream, &mut decoder, &mut Vec::new()).await? {
        let message = serde_json::from_slice(&frame).map_err(|_| "it sent what is no message")?;
        inputs.send(Input::Message(client, message));
    }
    Ok(())
}

/// Returns the runners in a hello of another version, if it names them as this one does.
fn runners_of(hello: &[u8]) -> Vec<Identity> {
    #[derive(serde::Deserialize)]
    struct Runners {
        runners: Vec<Identity>,
    }
    serde_json::from_slice::<Runners>(hello).map(|hello| hello.runners).unwrap_or_default()
}

/// Reads the next frame, with the descriptors beside it. Returns `None` at the end.
async fn next_frame(
    stream: &UnixStream,
    decoder: &mut Decoder,
    descriptors: &mut Vec<OwnedFd>,
) -> Result<Option<Vec<u8>>, &'static str> {
    let mut buffer = [0; 8192];
    loop {
        if let Some(frame) = decoder.frame().map_err(|_| "it sent a frame that is too long")? {
            return Ok(Some(frame));
        }
        stream.readable().await.map_err(|_| "its socket broke")?;
        match stream.try_io(Interest::READABLE, || receive_with_descriptors(stream, &mut buffer, descriptors)) {
            Ok(0) => return Ok(None),
            Ok(count) => decoder.push(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            // A reset is an end like any other: the process is gone.
            Err(_) => return Ok(None),
        }
        if descriptors.len() > MAX_DESCRIPTORS {
            return Ok(None);
        }
    }
}

async fn write(stream: Arc<UnixStream>, mut frames: UnboundedReceiver<Vec<u8>>) {
    while let Some(frame) = frames.recv().await {
        let mut rest = &frame[..];
        while !rest.is_empty() {
            if stream.writable().await.is_err() {
                return;
            }
            match stream.try_write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
    // Everything is sent: the client sees the end, and its own end ends the reader.
    let _ = rustix::net::shutdown(&*stream, rustix::net::Shutdown::Both);
}
