//! Reads the body of an answer up to a limit, since a server can send more than this machine has memory.

use reqwest::Response;

/// The most that is read of a refusal, which is a message.
const REFUSAL: usize = 16 << 20;
/// The most that is allocated because an answer says that it is long.
const TRUSTED: usize = 1 << 20;

/// The body of an answer.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    /// Set if the body is longer than the limit. Of an answer that says so in advance, nothing is read.
    pub(crate) is_cut: bool,
}

impl Body {
    /// Reads at most `limit` bytes. The time limits of the request cover this, too.
    pub(crate) async fn read(mut answer: Response, limit: usize) -> reqwest::Result<Self> {
        let is_refusal = !answer.status().is_success();
        let limit = if is_refusal { limit.min(REFUSAL) } else { limit };
        let coming = answer.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
        let mut body = Self { bytes: Vec::with_capacity(coming.min(limit).min(TRUSTED)), is_cut: coming > limit };
        if body.is_cut && !is_refusal {
            return Ok(body);
        }
        while let Some(piece) = answer.chunk().await? {
            if !body.take(&piece, limit) {
                break;
            }
        }
        Ok(body)
    }

    /// Takes the next piece. Returns whether more may follow.
    fn take(&mut self, piece: &[u8], limit: usize) -> bool {
        let room = limit - self.bytes.len();
        self.is_cut |= piece.len() > room;
        self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        !self.is_cut || self.bytes.len() < limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&str], limit: usize) -> (String, bool) {
        let mut body = Body::default();
        let _ = pieces.iter().all(|piece| body.take(piece.as_bytes(), limit));
        (String::from_utf8(body.bytes).unwrap(), body.is_cut)
    }

    #[test]
    fn what_fits_is_whole_and_what_does_not_is_cut_and_ends_the_reading() {
        assert_eq!(read(&["abc", "def"], 6), ("abcdef".to_owned(), false));
        assert_eq!(read(&["abc", "", "defg"], 6), ("abcdef".to_owned(), true));
        assert_eq!(read(&["abcdefg"], 6), ("abcdef".to_owned(), true));
        assert_eq!(read(&[], 0), (String::new(), false));
        // Endless bodies end.
        assert_eq!(read(&["ab"; 100_000], 7), ("abababa".to_owned(), true));
    }
}
