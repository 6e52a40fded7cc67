//! Counts what is read from an archive, and ends it with an error where it is more than is allowed.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// The allowance of a reader, which its user extends.
#[derive(Clone, Debug)]
pub(super) struct Meter(Rc<Counts>);

#[derive(Debug)]
struct Counts {
    /// The bytes that may be read until the next extension.
    allowed: Cell<u64>,
    /// The bytes that may be read at all.
    left: Cell<u64>,
    over: Cell<Option<Over>>,
}

/// The allowance that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// More came than was allowed at once.
    Allowed,
    /// More came than may be read at all.
    Total,
}

/// A reader with a meter.
#[derive(Debug)]
pub(super) struct Metered<R> {
    inner: R,
    meter: Meter,
}

impl Meter {
    /// Puts a meter on a reader that may be read up to `total` bytes. None of them is allowed yet.
    pub(super) fn on<R: Read>(inner: R, total: u64) -> (Metered<R>, Self) {
        let counts = Counts { allowed: Cell::new(0), left: Cell::new(total), over: Cell::new(None) };
        let meter = Self(Rc::new(counts));
        (Metered { inner, meter: meter.clone() }, meter)
    }

    /// Allows this many bytes from here on, whatever was allowed before.
    pub(super) fn allow(&self, bytes: u64) {
        self.0.allowed.set(bytes);
    }

    /// Returns how many bytes may be read at all from here on.
    pub(super) fn left(&self) -> u64 {
        self.0.left.get()
    }

    /// Returns what there was too much of, if that ended the reading.
    pub(super) fn over(&self) -> Option<Over> {
        self.0.over.get()
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Counts { allowed, left, over } = &*self.meter.0;
        let most = usize::try_from(allowed.get().min(left.get())).unwrap_or(usize::MAX);
        // One byte more tells the end of the archive from that of the allowance.
        let length = buffer.len().min(most.saturating_add(1));
        let count = self.inner.read(&mut buffer[..length])?;
        if count > most {
            over.set(Some(if allowed.get() < left.get() { Over::Allowed } else { Over::Total }));
            return Err(io::Error::other("there is more than is allowed"));
        }
        allowed.set(allowed.get() - count as u64);
        left.set(left.get() - count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_read_and_one_byte_more_is_an_error() {
        let (mut reader, meter) = Meter::on(io::repeat(7), 10);
        let mut buffer = [0; 4];
        meter.allow(6);
        reader.read_exact(&mut buffer).unwrap();
        assert!(meter.over().is_none() && reader.read_exact(&mut buffer).is_err());
        assert_eq!(meter.over(), Some(Over::Allowed));
        let (mut reader, meter) = Meter::on(io::repeat(7), 10);
        for _ in 0..2 {
            meter.allow(100);
            reader.read_exact(&mut buffer).unwrap();
        }
        assert!(reader.read_exact(&mut buffer).is_err());
        assert_eq!((meter.left(), meter.over()), (2, Some(Over::Total)));
    }

    #[test]
    fn an_end_within_the_allowance_is_an_end() {
        let (mut reader, meter) = Meter::on(&b"abc"[..], 3);
        meter.allow(3);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!((&*all, meter.left(), meter.over()), (&b"abc"[..], 0, None));
    }
}
