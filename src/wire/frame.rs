//! Frames on the socket: a length, then JSON; descriptors of processes go beside the first one.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, SendAncillaryBuffer, SendAncillaryMessage};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Kind, Result};
use crate::host::platform;

/// Of one frame.
pub(crate) const MAX_FRAME: usize = 1 << 20;
/// Process descriptors in one message: the client's own and those of its runners.
pub(crate) const MAX_DESCRIPTORS: usize = 16;

/// A frame, ready to be written.
pub(crate) fn encode(message: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message).map_err(|error| {
        Error::new(Kind::Session, "cannot encode a message of the keeper's protocol").because(error)
    })?;
    let length = bytes.len() - 4;
    if length > MAX_FRAME {
        return Err(Error::new(Kind::Session, format!("a message of {length} bytes is too long for the keeper")));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(bytes)
}

/// Puts frames together again from what arrives in pieces.
#[derive(Debug, Default)]
pub(crate) struct Decoder(Vec<u8>);

impl Decoder {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let Some(frame) = self.frame()? else { return Ok(None) };
        let message = serde_json::from_slice(&frame).map_err(|error| {
            // The frame itself may hold a secret, so it is not shown.
            Error::new(Kind::Session, "cannot read a message of the keeper's protocol").because(error)
        })?;
        Ok(Some(message))
    }

    /// The next whole frame as bytes.
    pub(crate) fn frame(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(header) = self.0.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*header) as usize;
        if length > MAX_FRAME {
            return Err(Error::new(Kind::Session, format!("a message of {length} bytes on the keeper's socket")));
        }
        if self.0.len() < 4 + length {
            return Ok(None);
        }
        let rest = self.0.split_off(4 + length);
        let frame = std::mem::replace(&mut self.0, rest).split_off(4);
        Ok(Some(frame))
    }
}

/// Sends the first bytes of a connection with descriptors beside them; how many bytes went.
pub(crate) fn send_with_descriptors(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> std::io::Result<usize> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = &descriptors[..descriptors.len().min(MAX_DESCRIPTORS)];
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    loop {
        match platform::send_with_ancillary(&socket, bytes, &mut ancillary) {
            Err(Errno::INTR) => {}
            sent => return Ok(sent?),
        }
    }
}

/// Receives bytes and the descriptors beside them. No bytes: the other side closed.
pub(crate) fn receive_with_descriptors(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> std::io::Result<usize> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    Ok(platform::receive_with_ancillary(socket, buffer, &mut ancillary, descriptors)?)
}
