//! The bytes that travel between a caller and the thread of a blocking operation.

#[cfg(feature = "fs")]
use std::io::SeekFrom;
use std::io::{self, IoSlice, Read, Write};

/// How much one operation moves at most, unless set otherwise. A guess: well beyond the size where
/// the way to another thread shows.
pub(crate) const DEFAULT_MAX_BUF_SIZE: usize = 2 * 1024 * 1024;

/// Bytes that were read and not taken yet, or that are to be written.
#[derive(Debug, Default)]
pub(crate) struct Buf {
    /// Initialized as far as it was ever used, so that nothing is zeroed twice.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buf {
    pub(crate) const fn new() -> Buf {
        Buf {
            bytes: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes up to `max` bytes off the front.
    pub(crate) fn take(&mut self, max: usize) -> &[u8] {
        let from = self.start;
        self.start += max.min(self.end - from);
        &self.bytes[from..self.start]
    }

    /// Reads once, up to `max` bytes, into an empty buffer.
    pub(crate) fn read_from(&mut self, reader: &mut impl Read, max: usize) -> io::Result<()> {
        debug_assert!(self.is_empty(), "what was read before is lost");
        (self.start, self.end) = (0, 0);
        if self.bytes.capacity() < max {
            // The allocator has zeroed pages at hand for a large one.
            self.bytes = vec![0; max];
        } else if self.bytes.len() < max {
            self.bytes.resize(max, 0);
        }
        loop {
            match reader.read(&mut self.bytes[..max]) {
                Ok(count) => {
                    assert!(count <= max, "a reader claims more than it was asked for");
                    self.end = count;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts up to `max` bytes of `parts` into an empty buffer. How many.
    pub(crate) fn fill<'a>(
        &mut self,
        parts: impl IntoIterator<Item = &'a [u8]>,
        max: usize,
    ) -> usize {
        debug_assert!(self.is_empty(), "what is to be written is lost");
        self.bytes.clear();
        for part in parts {
            let room = max - self.bytes.len();
            self.bytes.extend_from_slice(&part[..room.min(part.len())]);
        }
        (self.start, self.end) = (0, self.bytes.len());
        self.end
    }

    /// Writes all there is. After an error the rest is dropped.
    pub(crate) fn write_to(&mut self, writer: &mut impl Write) -> io::Result<()> {
        let written = writer.write_all(&self.bytes[self.start..self.end]);
        (self.start, self.end) = (0, 0);
        written
    }

    /// Drops what was read and not taken. The way back to where its reader has got, if there was
    /// any.
    #[cfg(feature = "fs")]
    pub(crate) fn rewind(&mut self) -> Option<SeekFrom> {
        let unread = i64::try_from(self.end - self.start).expect("a buffer fits into memory");
        (self.start, self.end) = (0, 0);
        (unread > 0).then_some(SeekFrom::Current(-unread))
    }
}

/// The parts of a vectored write.
pub(crate) fn slices<'a>(bufs: &'a [IoSlice<'_>]) -> impl Iterator<Item = &'a [u8]> {
    bufs.iter().map(|buf| &**buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is interrupted once before each read.
    struct Interrupted<R>(R, bool);

    impl<R: Read> Read for Interrupted<R> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            self.0.read(into)
        }
    }

    #[test]
    fn a_read_that_is_interrupted_is_repeated() {
        let mut buf = Buf::default();
        let mut reader = Interrupted(&b"hello"[..], false);
        buf.read_from(&mut reader, 3).unwrap();
        assert_eq!(buf.take(9), b"hel");
        buf.read_from(&mut reader, 3).unwrap();
        assert_eq!(buf.take(1), b"l");
        assert!(!buf.is_empty());
        assert_eq!(buf.take(1), b"o");
        assert!(buf.is_empty());
        buf.read_from(&mut reader, 3).unwrap();
        assert!(buf.is_empty());
    }

    #[test]
    fn a_buffer_serves_reads_and_writes_of_all_sizes_in_turn() {
        let mut buf = Buf::default();
        for size in [0, 1, 5, 3, 64, 2, 65] {
            let bytes = vec![b'a' + size as u8 % 26; size];
            assert_eq!(buf.fill([&bytes[..], &bytes[..]], size + 1), {
                if size == 0 { 0 } else { size + 1 }
            });
            let mut written = Vec::new();
            buf.write_to(&mut written).unwrap();
            assert_eq!(written.len(), if size == 0 { 0 } else { size + 1 });
            assert!(written.iter().all(|byte| bytes.contains(byte)));
            assert!(buf.is_empty());
            buf.read_from(&mut &bytes[..], size + 2).unwrap();
            assert_eq!(buf.take(usize::MAX), bytes);
        }
    }

    #[cfg(feature = "fs")]
    #[test]
    fn the_way_back_is_as_long_as_what_nobody_took() {
        let mut buf = Buf::default();
        assert_eq!(buf.rewind(), None);
        buf.read_from(&mut &b"hello"[..], 9).unwrap();
        buf.take(2);
        assert_eq!(buf.rewind(), Some(SeekFrom::Current(-3)));
        assert!(buf.is_empty());
        assert_eq!(buf.rewind(), None);
    }

    #[test]
    #[should_panic(expected = "claims more")]
    fn a_reader_that_claims_too_much_is_found_out() {
        struct Liar;
        impl Read for Liar {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                Ok(into.len() + 1)
            }
        }
        Buf::default().read_from(&mut Liar, 4).unwrap();
    }
}
