//! TCP connections.

use super::connection::Connection;
use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
#[cfg(feature = "tokio-io")]
use crate::engine::netpoll::Direction;
use crate::io::Interest;
use crate::net::addr::{self, ToSocketAddrs};
use crate::net::evented::{Assume, Evented};
use crate::net::macros::{
    async_read, async_write, blocking_style, descriptor, readiness_methods, stream_methods,
};
use crate::net::timeouts::Timeouts;
use crate::net::{refuse_blocking, transfer};
use socket2::SockRef;
use std::io;
use std::net::{Shutdown, SocketAddr};
#[cfg(feature = "tokio-io")]
use std::task::{Context, Poll};
use std::time::Duration;

/// A TCP connection.
///
/// Reading and writing is done by the traits: those of [`io`](crate::io), which are tokio's; those of
/// the `futures` crates; and, in code that is not async, those of std, see [`net`](crate::net).
///
/// # Examples
/// ```no_run
/// use futures::{AsyncReadExt, AsyncWriteExt};
/// use runnext::net::TcpStream;
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let mut stream = TcpStream::connect("example.org:80").await?;
/// stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
/// let mut page = String::new();
/// stream.read_to_string(&mut page).await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpStream {
    io: Evented<Connection>,
    timeouts: Timeouts,
}

impl TcpStream {
    /// Connects to `addr`, or to the first of its addresses with which that works.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection that was begun is dropped.
    ///
    /// # Errors
    /// If none of the addresses can be connected to: that of the last one.
    ///
    /// # Panics
    /// If there is no current runtime.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        addr::each(addr, |addr| async move {
            TcpStream::connecting(mio::net::TcpStream::connect(addr)?).await
        })
        .await
    }

    /// As [`connect`](TcpStream::connect), in code that is not async, and for no longer than `timeout`:
    /// see [`net`](crate::net). `wait(timeout(…, TcpStream::connect(…)))` does the same for all the
    /// addresses of a name.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut) if the time runs out;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is zero; in an async task; or that of the
    /// connection.
    ///
    /// # Panics
    /// If there is no current runtime.
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        let timeout = transfer::not_zero(timeout)?;
        let connect = async { TcpStream::connecting(mio::net::TcpStream::connect(*addr)?).await };
        transfer::wait(connect, Some(timeout), || {
            io::Error::new(io::ErrorKind::TimedOut, "connection timed out")
        })
    }

    /// Waits for a connection that was begun.
    pub(super) async fn connecting(stream: mio::net::TcpStream) -> io::Result<TcpStream> {
        // To this machine it is made at once, and the system only does not say so.
        let assume = Assume::ready_if(stream.peer_addr().is_ok());
        let stream = TcpStream {
            io: Evented::new(Connection::new(stream), assume)?,
            timeouts: Timeouts::none(),
        };
        if assume == Assume::Ready {
            // Whoever is to accept it gets a turn: a task that connects in a loop would fill up the backlog.
            crate::task::yield_now().await;
        } else {
            stream.io.ready(Interest::WRITABLE).await?;
        }
        match stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(stream),
        }
    }

    /// Of a connection that `listener` accepted, on the same runtime.
    pub(super) fn accepted(
        listener: &Evented<mio::net::TcpListener>,
        stream: mio::net::TcpStream,
    ) -> io::Result<TcpStream> {
        Ok(TcpStream {
            io: listener.beside(Connection::new(stream), None)?,
            timeouts: Timeouts::none(),
        })
    }

    /// Of a stream from elsewhere, which has to be in non-blocking mode.
    ///
    /// # Errors
    /// If it is in blocking mode; or those of the operating system.
    ///
    /// # Panics
    /// If there is no current runtime.
    ///
    /// # Examples
    /// ```
    /// # let runtime = runnext::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # let address = listener.local_addr()?;
    /// let stream = std::net::TcpStream::connect(address)?;
    /// stream.set_nonblocking(true)?;
    /// let stream = runnext::net::TcpStream::from_std(stream)?;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        refuse_blocking(&stream)?;
        Ok(TcpStream {
            io: Evented::new(
                Connection::new(mio::net::TcpStream::from_std(stream)),
                Assume::Ready,
            )?,
            timeouts: Timeouts::from_system(),
        })
    }

    /// The stream as std's, in non-blocking mode.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        let connection = self.io.into_inner()?;
        Ok(connection.into_stream().into())
    }

    readiness_methods!();
    stream_methods!();

    /// Reads what is there, and leaves it there. Waits until there is something.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io
            .async_io(Interest::READABLE, |io| io.peek(buf))
            .await
    }

    /// As [`peek`](TcpStream::peek), in the style of `poll` functions. Only the last task that polls
    /// for reading in this way is woken.
    ///
    /// # Errors
    /// Those of the operating system.
    #[cfg(feature = "tokio-io")]
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let peek = |io: &Connection| io.peek(buf.initialize_unfilled());
        let peeked = self.io.poll_io(cx, Direction::Read, peek);
        peeked.map_ok(|len| {
            buf.advance(len);
            len
        })
    }

    pub(super) fn shut_down(&self, how: Shutdown) -> io::Result<()> {
        match self.io.io().shutdown(how) {
            // The other side was first.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    pub(super) fn evented(&self) -> &Evented<Connection> {
        &self.io
    }

    /// Splits it for reading and writing within one task.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::split(self)
    }

    /// Splits it for reading and writing in two tasks. The write half ends what can be written when it
    /// is dropped.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split::into_split(self)
    }
}

/// Options and addresses.
impl TcpStream {
    /// The address of this side.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.io().local_addr()
    }

    /// The address of the other side.
    ///
    /// # Errors
    /// Those of the operating system, as if there is no connection any more.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.io().peer_addr()
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.io().nodelay()
    }

    /// Sets [`nodelay`](TcpStream::nodelay).
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.io().set_nodelay(nodelay)
    }

    /// Whether what arrives is acknowledged at once (`TCP_QUICKACK`).
    ///
    /// # Errors
    /// Those of the operating system.
    #[cfg(target_os = "linux")]
    pub fn quickack(&self) -> io::Result<bool> {
        SockRef::from(self).tcp_quickack()
    }

    /// Sets [`quickack`](TcpStream::quickack), which the system may set back at any time.
    ///
    /// # Errors
    /// Those of the operating system.
    #[cfg(target_os = "linux")]
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        SockRef::from(self).set_tcp_quickack(quickack)
    }

    /// For how long closing waits for what was written to be sent (`SO_LINGER`).
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        SockRef::from(self).linger()
    }

    /// Sets [`linger`](TcpStream::linger). Any time but zero can block the thread that drops the
    /// stream, and with it all tasks there: for zero there is
    /// [`set_zero_linger`](TcpStream::set_zero_linger).
    ///
    /// # Errors
    /// Those of the operating system.
    #[deprecated = "closing the stream may block its thread; use `set_zero_linger`, or `socket2`"]
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        SockRef::from(self).set_linger(linger)
    }

    /// Has the connection reset when it is closed, and what was not sent yet thrown away.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        SockRef::from(self).set_linger(Some(Duration::ZERO))
    }

    /// The most routers that packets may pass (`IP_TTL`).
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.io().ttl()
    }

    /// Sets [`ttl`](TcpStream::ttl).
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.io().set_ttl(ttl)
    }
}

async_read!([] TcpStream, this => &this.io);
async_write!([] TcpStream, this => &this.io, this.shut_down(Shutdown::Write));
descriptor!(TcpStream);
blocking_style!(TcpStream);

impl TryFrom<std::net::TcpStream> for TcpStream {
    type Error = io::Error;

    /// As [`from_std`](TcpStream::from_std).
    fn try_from(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        TcpStream::from_std(stream)
    }
}
