//! A connection as the system knows it, and how it is read from.

use crate::net::evented::Moved;
use crate::net::transfer;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::ops::Deref;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: mio::net::TcpStream,
    #[cfg(target_os = "linux")]
    habit: habit::Habit,
}

impl Connection {
    /// Of which nothing is known yet.
    pub(super) fn new(stream: mio::net::TcpStream) -> Connection {
        Connection {
            stream,
            #[cfg(target_os = "linux")]
            habit: habit::Habit::default(),
        }
    }

    /// The stream, as it was.
    pub(super) fn into_stream(self) -> mio::net::TcpStream {
        #[cfg(target_os = "linux")]
        self.habit.give_up(&self.stream);
        self.stream
    }
}

impl Deref for Connection {
    type Target = mio::net::TcpStream;

    fn deref(&self) -> &mio::net::TcpStream {
        &self.stream
    }
}

impl transfer::Source for Connection {
    fn read_some(&self, buf: &mut [u8]) -> io::Result<Moved> {
        let asked = buf.len();
        #[cfg(target_os = "linux")]
        if self.habit.asks(asked) {
            use std::os::fd::AsFd;
            let socket = self.stream.as_fd();
            return habit::moved(crate::engine::sys::receive_and_ask(socket, buf), asked);
        }
        let read = (&self.stream).read(buf);
        #[cfg(target_os = "linux")]
        self.habit.note(&self.stream, &read, asked);
        Ok(Moved::of(read?, asked))
    }

    #[cfg(feature = "tokio-io")]
    fn read_some_into(&self, buf: &mut tokio::io::ReadBuf<'_>) -> io::Result<Moved> {
        let asked = buf.remaining();
        #[cfg(target_os = "linux")]
        if self.habit.asks(asked) {
            use std::os::fd::AsFd;
            let socket = self.stream.as_fd();
            return habit::moved(crate::engine::sys::receive_and_ask_into(socket, buf), asked);
        }
        let read = self.receive_into(buf);
        #[cfg(target_os = "linux")]
        self.habit.note(&self.stream, &read, asked);
        Ok(Moved::of(read?, asked))
    }
}

#[cfg(feature = "tokio-io")]
impl Connection {
    #[cfg(unix)]
    fn receive_into(&self, buf: &mut tokio::io::ReadBuf<'_>) -> io::Result<usize> {
        use std::os::fd::AsFd;
        crate::engine::sys::receive_into(self.stream.as_fd(), buf)
    }

    #[cfg(not(unix))]
    fn receive_into(&self, buf: &mut tokio::io::ReadBuf<'_>) -> io::Result<usize> {
        let len = (&self.stream).read(buf.initialize_unfilled())?;
        buf.advance(len);
        Ok(len)
    }
}

/// How a connection is read from.
///
/// Where a read takes all that has come and fills its buffer, another one has to find out that there is no
/// more. A program that reads pieces of a known size, as of a protocol with lengths in it, pays that for
/// each message. The system can say with a read what is left, which makes it a little slower; so it is
/// asked for where reads were in vain several times.
///
/// A connection is read from by one task at a time, as a rule. Several may miscount, and then asking begins
/// earlier or later.
#[cfg(target_os = "linux")]
mod habit {
    use super::Moved;
    use crate::engine::sys::{Left, set_inq};
    use std::io;
    use std::os::fd::AsFd;
    use std::sync::atomic::{AtomicU8, Ordering};

    /// Below this size the second read costs more than the question. For larger ones, where it would be
    /// seldom in vain as well, it was not measured.
    const SMALL: usize = 1024;

    /// So many reads in vain are enough. A guess.
    const ENOUGH: u8 = 4;
    /// The last read filled its buffer.
    const FULL: u8 = 1 << 5;
    /// The system was told to say what is left.
    const ASKS: u8 = 1 << 6;
    /// The system cannot say it.
    const NEVER: u8 = 1 << 7;

    /// The number of reads in vain, and the flags above.
    #[derive(Debug, Default)]
    pub(super) struct Habit(AtomicU8);

    impl Habit {
        /// Whether to ask with a read of up to `asked` bytes.
        #[inline]
        pub(super) fn asks(&self, asked: usize) -> bool {
            self.0.load(Ordering::Relaxed) & ASKS != 0 && asked <= SMALL
        }

        /// Learns from a read that did not ask.
        #[inline]
        pub(super) fn note(&self, socket: &impl AsFd, read: &io::Result<usize>, asked: usize) {
            let habit = self.0.load(Ordering::Relaxed);
            if habit & (ASKS | NEVER) != 0 {
                return;
            }
            let full = asked <= SMALL && matches!(read, Ok(len) if *len == asked);
            if full {
                self.0.store(habit | FULL, Ordering::Relaxed);
            } else if habit & FULL != 0 {
                let in_vain =
                    matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
                self.end_of_pieces(socket, (habit & !FULL) + u8::from(in_vain));
            }
        }

        fn end_of_pieces(&self, socket: &impl AsFd, in_vain: u8) {
            let habit = if in_vain < ENOUGH {
                in_vain
            } else if set_inq(socket.as_fd(), true).is_ok() {
                ASKS
            } else {
                NEVER
            };
            self.0.store(habit, Ordering::Relaxed);
        }

        /// Has the system ask no more.
        pub(super) fn give_up(&self, socket: &impl AsFd) {
            if self.0.load(Ordering::Relaxed) & ASKS != 0 {
                // It could be set, so it can be set back.
                let _set = set_inq(socket.as_fd(), false);
            }
        }
    }

    /// What a read that asked says.
    pub(super) fn moved(read: io::Result<(usize, Left)>, asked: usize) -> io::Result<Moved> {
        let (len, left) = read?;
        let moved = Moved::of(len, asked);
        Ok(Moved {
            last: moved.last || (len > 0 && left == Left::Nothing),
            ..moved
        })
    }
}

impl Read for &Connection {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&self.stream).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&self.stream).read_vectored(bufs)
    }
}

impl Write for &Connection {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&self.stream).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&self.stream).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.stream).flush()
    }
}

impl mio::event::Source for Connection {
    fn register(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
        interests: mio::Interest,
    ) -> io::Result<()> {
        self.stream.register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
        interests: mio::Interest,
    ) -> io::Result<()> {
        self.stream.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &mio::Registry) -> io::Result<()> {
        self.stream.deregister(registry)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::Connection;
    use crate::net::evented::Moved;
    use crate::net::transfer::Source;
    use std::io::{self, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::thread;

    const LEN: usize = 8;

    fn pair() -> (TcpStream, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (here, _) = listener.accept().unwrap();
        here.set_nonblocking(true).unwrap();
        (there, Connection::new(mio::net::TcpStream::from_std(here)))
    }

    /// Sends `pieces`, and waits until they are there.
    fn send(there: &mut TcpStream, here: &Connection, pieces: usize) {
        let bytes = vec![7; pieces * LEN];
        there.write_all(&bytes).unwrap();
        let mut seen = vec![0; bytes.len()];
        while here.peek(&mut seen).ok() != Some(bytes.len()) {
            thread::yield_now();
        }
    }

    fn read(here: &Connection) -> io::Result<Moved> {
        let mut buf = [0; LEN];
        let moved = here.read_some(&mut buf)?;
        assert!(buf[..moved.len].iter().all(|byte| *byte == 7));
        Ok(moved)
    }

    fn used_to_pieces() -> (TcpStream, Connection) {
        let (mut there, here) = pair();
        for _ in 0..4 {
            send(&mut there, &here, 1);
            let moved = read(&here).unwrap();
            assert_eq!((moved.len, moved.last), (LEN, false));
            assert_eq!(read(&here).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
        (there, here)
    }

    #[test]
    fn who_reads_pieces_is_told_which_one_is_the_last() {
        let (mut there, here) = used_to_pieces();
        for pieces in [1, 3, 1] {
            send(&mut there, &here, pieces);
            for left in (0..pieces).rev() {
                let moved = read(&here).unwrap();
                assert_eq!((moved.len, moved.last), (LEN, left == 0));
            }
            assert_eq!(read(&here).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn the_end_comes_after_the_last_piece() {
        let (mut there, here) = used_to_pieces();
        send(&mut there, &here, 1);
        there.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read(&here).unwrap().len, LEN);
        let end = loop {
            match read(&here) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::yield_now(),
                end => break end.unwrap(),
            }
        };
        assert_eq!((end.len, end.last), (0, false));
    }

    #[test]
    fn who_reads_whatever_comes_is_not_told() {
        let (mut there, here) = pair();
        for _ in 0..20 {
            send(&mut there, &here, 1);
            let moved = here.read_some(&mut [0; 2 * LEN]).unwrap();
            assert_eq!((moved.len, moved.last), (LEN, true));
        }
        send(&mut there, &here, 1);
        assert!(!read(&here).unwrap().last);
    }
}
