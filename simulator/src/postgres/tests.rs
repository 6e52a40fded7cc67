//! Frames that nobody should send.

use super::*;

fn frame(letter: u8, body: &[u8]) -> BytesMut {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    BytesMut::from(&[&[letter][..], &length, body].concat()[..])
}

#[test]
fn what_is_no_message_is_no_panic() {
    for letter in *b"QPBDECHSX" {
        for body in [&b""[..], b"\0", b"a", b"\0\0\xff\xff", b"a\0b\0\x7f\xff\x7f\xff", &[0xff; 64]] {
            // Some of these mean something; none ends the thread.
            let _ = decoded(frame(letter, body), PgWireFrontendMessage::decode);
        }
    }
    assert!(decoded(frame(b'B', b"\0\0\0\0\0\x01\0\0\0\x10short"), PgWireFrontendMessage::decode).is_none());
}

#[test]
fn a_message_is_read_from_its_frame() {
    let query = decoded(frame(b'Q', b"SELECT 1\0"), PgWireFrontendMessage::decode);
    let Some(PgWireFrontendMessage::Query(query)) = query else { panic!("{query:?}") };
    assert_eq!(query.query, "SELECT 1");
}
