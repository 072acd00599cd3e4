//! UDP sockets.

use super::addr::{self, ToSocketAddrs};
use super::evented::Evented;
use super::macros::{descriptor, readiness_methods};
use super::refuse_blocking;
#[cfg(feature = "tokio-io")]
use crate::engine::netpoll::Direction;
use crate::engine::netpoll::Room;
use crate::io::Interest;
use socket2::SockRef;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
#[cfg(feature = "tokio-io")]
use std::task::{Context, Poll};
#[cfg(feature = "tokio-io")]
use tokio::io::ReadBuf;

/// A UDP socket.
///
/// All functions that send or receive take `&self`, so that several tasks can share a socket, in an
/// [`Arc`](std::sync::Arc) or by reference.
///
/// # Examples
/// ```
/// use runnext::net::UdpSocket;
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let here = UdpSocket::bind("127.0.0.1:0").await?;
/// let there = UdpSocket::bind("127.0.0.1:0").await?;
/// here.send_to(b"hello", there.local_addr()?).await?;
/// let mut buf = [0; 64];
/// let (len, from) = there.recv_from(&mut buf).await?;
/// assert_eq!((&buf[..len], from), (&b"hello"[..], here.local_addr()?));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    io: Evented<mio::net::UdpSocket>,
}

impl UdpSocket {
    /// A socket with the address `addr`, of which port 0 stands for any that is free.
    ///
    /// # Errors
    /// If none of the addresses can be had.
    ///
    /// # Panics
    /// If there is no current runtime.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<UdpSocket> {
        addr::each_now(addr, |addr| {
            UdpSocket::new(mio::net::UdpSocket::bind(addr)?)
        })
        .await
    }

    #[track_caller]
    fn new(socket: mio::net::UdpSocket) -> io::Result<UdpSocket> {
        let room = Room::of(&socket);
        let io = Evented::with_room(socket, room)?;
        Ok(UdpSocket { io })
    }

    /// Of a socket from elsewhere, which has to be in non-blocking mode.
    ///
    /// # Errors
    /// If it is in blocking mode; or those of the operating system.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        refuse_blocking(&socket)?;
        UdpSocket::new(mio::net::UdpSocket::from_std(socket))
    }

    /// The socket as std's, in non-blocking mode.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
        let socket = self.io.into_inner()?;
        #[cfg(unix)]
        return Ok(std::net::UdpSocket::from(std::os::fd::OwnedFd::from(
            socket,
        )));
        #[cfg(windows)]
        return Ok(std::net::UdpSocket::from(
            std::os::windows::io::OwnedSocket::from(socket),
        ));
    }

    /// Connects it: it sends to `addr`, and receives from there, alone.
    ///
    /// # Errors
    /// If none of the addresses can be connected to.
    ///
    /// # Panics
    /// If the resolver has to be asked and there is no current runtime.
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<()> {
        addr::each_now(addr, |addr| self.io.io().connect(addr)).await
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
        let send = |io: &mio::net::UdpSocket| io.send(buf);
        self.io.async_io(Interest::WRITABLE, send).await
    }

    /// As [`send`](UdpSocket::send), without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; or those of the system.
    pub fn try_send(&self, buf: &[u8]) -> io::Result<usize> {
        self.io.try_io(Interest::WRITABLE, |io| io.send(buf))
    }

    /// Sends a datagram to `target`, and says how many bytes it has.
    ///
    /// # Cancel safety
    /// Cancel safe: if it was dropped while it waited, nothing was sent.
    ///
    /// # Errors
    /// Those of the operating system; or there is no such address.
    ///
    /// # Panics
    /// If the resolver has to be asked and there is no current runtime.
    pub async fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], target: A) -> io::Result<usize> {
        let found = addr::resolve(&target).await?.next();
        let target = found.ok_or_else(addr::none)?;
        let send = |io: &mio::net::UdpSocket| io.send_to(buf, target);
        self.io.async_io(Interest::WRITABLE, send).await
    }

    /// As [`send_to`](UdpSocket::send_to), without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; or those of the system.
    pub fn try_send_to(&self, buf: &[u8], target: SocketAddr) -> io::Result<usize> {
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

    /// As [`recv`](UdpSocket::recv), without waiting.
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
        let recv = |io: &mio::net::UdpSocket| io.recv_from(buf);
        self.io.async_io(Interest::READABLE, recv).await
    }

    /// As [`recv_from`](UdpSocket::recv_from), without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none; or those of the system.
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.try_io(Interest::READABLE, |io| io.recv_from(buf))
    }

    /// As [`recv`](UdpSocket::recv), and leaves the datagram there.
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

    /// As [`peek`](UdpSocket::peek), without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none; or those of the system.
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io.try_io(Interest::READABLE, |io| io.peek(buf))
    }

    /// As [`recv_from`](UdpSocket::recv_from), and leaves the datagram there.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let peek = |io: &mio::net::UdpSocket| io.peek_from(buf);
        self.io.async_io(Interest::READABLE, peek).await
    }

    /// As [`peek_from`](UdpSocket::peek_from), without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none; or those of the system.
    pub fn try_peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.io.try_io(Interest::READABLE, |io| io.peek_from(buf))
    }

    /// Waits for a datagram, says whose it is, and leaves it there.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn peek_sender(&self) -> io::Result<SocketAddr> {
        self.io.async_io(Interest::READABLE, peek_sender).await
    }

    /// As [`peek_sender`](UdpSocket::peek_sender), without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none; or those of the system.
    pub fn try_peek_sender(&self) -> io::Result<SocketAddr> {
        self.io.try_io(Interest::READABLE, peek_sender)
    }
}

fn peek_sender(io: &mio::net::UdpSocket) -> io::Result<SocketAddr> {
    let sender = SockRef::from(io).peek_sender()?.as_socket();
    sender.ok_or_else(|| io::Error::other("the sender has an address of another family"))
}

#[cfg(feature = "tokio-io")]
super::bufs::recv_buf!(UdpSocket, mio::net::UdpSocket, SocketAddr, |from| from);

/// In the style of `poll` functions. Only the last task that polls for receiving, and the last one
/// that polls for sending, is woken.
#[cfg(feature = "tokio-io")]
impl UdpSocket {
    /// As [`send`](UdpSocket::send).
    ///
    /// # Errors
    /// As for [`send`](UdpSocket::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.io.poll_io(cx, Direction::Write, |io| io.send(buf))
    }

    /// As [`send_to`](UdpSocket::send_to).
    ///
    /// # Errors
    /// As for [`send_to`](UdpSocket::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.io
            .poll_io(cx, Direction::Write, |io| io.send_to(buf, target))
    }

    /// As [`recv`](UdpSocket::recv).
    ///
    /// # Errors
    /// As for [`recv`](UdpSocket::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let recv = |io: &mio::net::UdpSocket| io.recv(buf.initialize_unfilled());
        let received = self.io.poll_io(cx, Direction::Read, recv);
        received.map_ok(|len| buf.advance(len))
    }

    /// As [`recv_from`](UdpSocket::recv_from).
    ///
    /// # Errors
    /// As for [`recv_from`](UdpSocket::recv_from).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        let recv = |io: &mio::net::UdpSocket| io.recv_from(buf.initialize_unfilled());
        let received = self.io.poll_io(cx, Direction::Read, recv);
        received.map_ok(|(len, from)| {
            buf.advance(len);
            from
        })
    }

    /// As [`peek`](UdpSocket::peek).
    ///
    /// # Errors
    /// As for [`peek`](UdpSocket::peek).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let peek = |io: &mio::net::UdpSocket| io.peek(buf.initialize_unfilled());
        let peeked = self.io.poll_io(cx, Direction::Read, peek);
        peeked.map_ok(|len| buf.advance(len))
    }

    /// As [`peek_from`](UdpSocket::peek_from).
    ///
    /// # Errors
    /// As for [`peek_from`](UdpSocket::peek_from).
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        let peek = |io: &mio::net::UdpSocket| io.peek_from(buf.initialize_unfilled());
        let peeked = self.io.poll_io(cx, Direction::Read, peek);
        peeked.map_ok(|(len, from)| {
            buf.advance(len);
            from
        })
    }

    /// As [`peek_sender`](UdpSocket::peek_sender).
    ///
    /// # Errors
    /// As for [`peek_sender`](UdpSocket::peek_sender).
    pub fn poll_peek_sender(&self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        self.io.poll_io(cx, Direction::Read, peek_sender)
    }
}

/// Defines a getter and a setter of an option.
macro_rules! option {
    ($(#[$attr:meta])* $get:ident, $set:ident, $type:ty, $inner_get:ident, $inner_set:ident, $what:literal) => {
        #[doc = $what]
        ///
        /// # Errors
        /// Those of the operating system.
        $(#[$attr])*
        pub fn $get(&self) -> io::Result<$type> {
            SockRef::from(self).$inner_get()
        }

        #[doc = concat!("Sets [`", stringify!($get), "`](UdpSocket::", stringify!($get), ").")]
        ///
        /// # Errors
        /// Those of the operating system.
        $(#[$attr])*
        pub fn $set(&self, value: $type) -> io::Result<()> {
            SockRef::from(self).$inner_set(value)
        }
    };
}

/// Options and addresses.
impl UdpSocket {
    /// The address of the socket.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.io().local_addr()
    }

    /// The address that it is connected to.
    ///
    /// # Errors
    /// Those of the operating system, as if it is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.io().peer_addr()
    }

    option!(
        broadcast,
        set_broadcast,
        bool,
        broadcast,
        set_broadcast,
        "Whether it may send to broadcast addresses (`SO_BROADCAST`)."
    );
    option!(
        multicast_loop_v4,
        set_multicast_loop_v4,
        bool,
        multicast_loop_v4,
        set_multicast_loop_v4,
        "Whether what it sends to groups of IPv4 comes to members on this machine \
         (`IP_MULTICAST_LOOP`)."
    );
    option!(
        multicast_ttl_v4,
        set_multicast_ttl_v4,
        u32,
        multicast_ttl_v4,
        set_multicast_ttl_v4,
        "The most routers that packets to groups may pass (`IP_MULTICAST_TTL`)."
    );
    option!(
        multicast_loop_v6,
        set_multicast_loop_v6,
        bool,
        multicast_loop_v6,
        set_multicast_loop_v6,
        "Whether what it sends to groups of IPv6 comes to members on this machine \
         (`IPV6_MULTICAST_LOOP`)."
    );
    option!(
        #[cfg(target_os = "linux")]
        tclass_v6,
        set_tclass_v6,
        u32,
        tclass_v6,
        set_tclass_v6,
        "The traffic class of what it sends (`IPV6_TCLASS`)."
    );
    option!(
        ttl,
        set_ttl,
        u32,
        ttl_v4,
        set_ttl_v4,
        "The most routers that packets may pass (`IP_TTL`)."
    );
    option!(
        #[cfg(target_os = "linux")]
        tos_v4,
        set_tos_v4,
        u32,
        tos_v4,
        set_tos_v4,
        "The type of service of what it sends (`IP_TOS`)."
    );

    /// The name of the interface that it is bound to (`SO_BINDTODEVICE`).
    ///
    /// # Errors
    /// Those of the operating system.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        SockRef::from(self).device()
    }

    /// Binds it to the interface of that name, or to none.
    ///
    /// # Errors
    /// Those of the operating system, as for a lack of privileges.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        SockRef::from(self).bind_device(interface)
    }

    /// Joins the group `multiaddr` on the interface with the address `interface`, or on one that the
    /// system chooses if that is unspecified.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn join_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.io.io().join_multicast_v4(&multiaddr, &interface)
    }

    /// Joins the group `multiaddr` on the interface with the number `interface`, or any if that is 0.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io.io().join_multicast_v6(multiaddr, interface)
    }

    /// Leaves a group that was joined.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn leave_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.io.io().leave_multicast_v4(&multiaddr, &interface)
    }

    /// Leaves a group that was joined.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io.io().leave_multicast_v6(multiaddr, interface)
    }
}

impl TryFrom<std::net::UdpSocket> for UdpSocket {
    type Error = io::Error;

    /// As [`from_std`](UdpSocket::from_std).
    fn try_from(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        UdpSocket::from_std(socket)
    }
}

descriptor!(UdpSocket);
