//! Unix domain sockets for datagrams.

use super::SocketAddr;
#[cfg(feature = "tokio-io")]
use crate::engine::netpoll::Direction;
use crate::engine::netpoll::Room;
use crate::io::Interest;
use crate::net::evented::Evented;
use crate::net::macros::{descriptor, readiness_methods};
use crate::net::refuse_blocking;
use std::io;
use std::net::Shutdown;
use std::path::Path;
#[cfg(feature = "tokio-io")]
use std::task::{Context, Poll};
#[cfg(feature = "tokio-io")]
use tokio::io::ReadBuf;

/// A Unix domain socket for datagrams. None is lost, and they arrive in order.
///
/// # Examples
/// ```
/// use runnext::net::UnixDatagram;
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let (here, there) = UnixDatagram::pair()?;
/// here.send(b"hello").await?;
/// let mut buf = [0; 64];
/// assert_eq!(there.recv(&mut buf).await?, 5);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    io: Evented<mio::net::UnixDatagram>,
}

impl UnixDatagram {
    /// A socket with an address.
    ///
    /// # Errors
    /// If the address cannot be had.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        UnixDatagram::new(mio::net::UnixDatagram::bind(path)?)
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    /// Those of the operating system.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = mio::net::UnixDatagram::pair()?;
        let one = UnixDatagram::new(one)?;
        let room = Room::of(&other);
        let io = one.io.beside(other, room)?;
        Ok((one, UnixDatagram { io }))
    }

    /// A socket without an address: nobody can send to it before it is connected.
    ///
    /// # Errors
    /// Those of the operating system.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::new(mio::net::UnixDatagram::unbound()?)
    }

    #[track_caller]
    pub(super) fn new(socket: mio::net::UnixDatagram) -> io::Result<UnixDatagram> {
        let room = Room::of(&socket);
        let io = Evented::with_room(socket, room)?;
        Ok(UnixDatagram { io })
    }

    /// Of a socket from elsewhere, which has to be in non-blocking mode.
    ///
    /// # Errors
    /// If it is in blocking mode; or those of the operating system.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn from_std(socket: std::os::unix::net::UnixDatagram) -> io::Result<UnixDatagram> {
        refuse_blocking(&socket)?;
        UnixDatagram::new(mio::net::UnixDatagram::from_std(socket))
    }

    /// The socket as std's, in non-blocking mode.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixDatagram> {
        let socket = self.io.into_inner()?;
        Ok(std::os::fd::OwnedFd::from(socket).into())
    }

    /// Connects it: it sends to the socket at `path`, and receives from there, alone.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.io.io().connect(path)
    }

    readiness_methods!(poll_recv_ready, poll_send_ready);

    /// Sends a datagram to where the socket is connected to, and says how many bytes it has.
    ///
    /// # Cancel safety
    /// Cancel safe: if it was dropped while it waited, nothing was sent.
    ///
    /// # Errors
    /// Those of the operating system, as if the socket is not connected.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        let send = |io: &mio::net::UnixDatagram| io.send(buf);
        self.io.async_io(Interest::WRITABLE, send).await
    }

    /// As [`send`](UnixDatagram::send), without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; or those of the system.
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.io.try_io(Interest::WRITABLE, |io| io.send(buf))
    }

    /// Sends a datagram to the socket at `target`, and says how many bytes it has.
    ///
    /// # Cancel safety
    /// Cancel safe: if it was dropped while it waited, nothing was sent.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn send_to<P: AsRef<Path>>(&self, buf: &[u8], target: P) -> io::Result<usize> {
        let send = |io: &mio::net::UnixDatagram| io.send_to(buf, target.as_ref());
        self.io.async_io(Interest::WRITABLE, send).await
    }

    /// As [`send_to`](UnixDatagram::send_to), without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; or those of the system.
    pub fn try_send_to<P: AsRef<Path>>(&self, buf: &[u8], target: P) -> io::Result<usize> {
        self.io
            .try_io(Interest::WRITABLE, |io| io.send_to(buf, target))
    }

    /// Receives a datagram, and says how many bytes it has. What `buf` has no room for is lost.
    ///
    /// # Cancel safety
    /// Cancel safe: no datagram is lost.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io
            .async_io(Interest::READABLE, |io| io.recv(buf))
            .await
    }

    /// As [`recv`](UnixDatagram::recv), without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none; or those of the system.
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.try_io(Interest::READABLE, |io| io.recv(buf))
    }

    /// Receives a datagram, and says how many bytes it has and whose it is. What `buf` has no room for
    /// is lost.
    ///
    /// # Cancel safety
    /// Cancel safe: no datagram is lost.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let recv = |io: &mio::net::UnixDatagram| io.recv_from(buf);
        let (len, from) = self.io.async_io(Interest::READABLE, recv).await?;
        Ok((len, SocketAddr(from)))
    }

    /// As [`recv_from`](UnixDatagram::recv_from), without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none; or those of the system.
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let received = self.io.try_io(Interest::READABLE, |io| io.recv_from(buf));
        received.map(|(len, from)| (len, SocketAddr(from)))
    }

    /// The address of the socket.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.io().local_addr().map(SocketAddr)
    }

    /// The address that it is connected to.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.io().peer_addr().map(SocketAddr)
    }

    /// Ends what can be received, or sent, or both.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.io().shutdown(how)
    }
}

#[cfg(feature = "tokio-io")]
crate::net::bufs::recv_buf!(UnixDatagram, mio::net::UnixDatagram, SocketAddr, SocketAddr);

/// In the style of `poll` functions. Only the last task that polls for receiving, and the last one
/// that polls for sending, is woken.
#[cfg(feature = "tokio-io")]
impl UnixDatagram {
    /// As [`send`](UnixDatagram::send).
    ///
    /// # Errors
    /// As for [`send`](UnixDatagram::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.io.poll_io(cx, Direction::Write, |io| io.send(buf))
    }

    /// As [`send_to`](UnixDatagram::send_to).
    ///
    /// # Errors
    /// As for [`send_to`](UnixDatagram::send_to).
    pub fn poll_send_to<P: AsRef<Path>>(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: P,
    ) -> Poll<io::Result<usize>> {
        let send = |io: &mio::net::UnixDatagram| io.send_to(buf, target.as_ref());
        self.io.poll_io(cx, Direction::Write, send)
    }

    /// As [`recv`](UnixDatagram::recv).
    ///
    /// # Errors
    /// As for [`recv`](UnixDatagram::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let recv = |io: &mio::net::UnixDatagram| io.recv(buf.initialize_unfilled());
        let received = self.io.poll_io(cx, Direction::Read, recv);
        received.map_ok(|len| buf.advance(len))
    }

    /// As [`recv_from`](UnixDatagram::recv_from).
    ///
    /// # Errors
    /// As for [`recv_from`](UnixDatagram::recv_from).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        let recv = |io: &mio::net::UnixDatagram| io.recv_from(buf.initialize_unfilled());
        let received = self.io.poll_io(cx, Direction::Read, recv);
        received.map_ok(|(len, from)| {
            buf.advance(len);
            SocketAddr(from)
        })
    }
}

impl TryFrom<std::os::unix::net::UnixDatagram> for UnixDatagram {
    type Error = io::Error;

    /// As [`from_std`](UnixDatagram::from_std).
    fn try_from(socket: std::os::unix::net::UnixDatagram) -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(socket)
    }
}

descriptor!(UnixDatagram);
