//! Accepting TCP connections.

use crate::engine::netpoll::Direction;
use crate::io::Interest;
use crate::net::addr::{self, ToSocketAddrs};
use crate::net::evented::{Assume, Evented};
use crate::net::macros::descriptor;
use crate::net::{TcpStream, refuse_blocking};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

/// Listens for TCP connections.
///
/// # Examples
/// ```no_run
/// use runnext::net::TcpListener;
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:8080").await?;
/// loop {
///     let (socket, peer) = listener.accept().await?;
///     runnext::spawn(async move {
///         println!("{peer} came by");
///         drop(socket);
///     });
/// }
/// # #[allow(unreachable_code)]
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpListener {
    io: Evented<mio::net::TcpListener>,
}

impl TcpListener {
    /// Listens on `addr`, of which port 0 stands for any that is free, with a backlog of what the
    /// system allows up to 1024 or so. [`TcpSocket`](super::super::TcpSocket) has more to set.
    ///
    /// On Unix the address may be one that was in use until just now (`SO_REUSEADDR`).
    ///
    /// # Errors
    /// If none of the addresses can be had.
    ///
    /// # Panics
    /// If there is no current runtime.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        addr::each_now(addr, |addr| {
            TcpListener::new(mio::net::TcpListener::bind(addr)?)
        })
        .await
    }

    #[track_caller]
    pub(super) fn new(listener: mio::net::TcpListener) -> io::Result<TcpListener> {
        let io = Evented::new(listener, Assume::Ready)?;
        Ok(TcpListener { io })
    }

    /// Takes the next connection, and says who it is with.
    ///
    /// # Cancel safety
    /// Cancel safe: no connection is lost.
    ///
    /// # Errors
    /// Those of the operating system. After some of them, as for a lack of descriptors, there are
    /// connections left that another call can take when the reason is gone.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let accept = |io: &mio::net::TcpListener| io.accept();
        let (stream, peer) = self.io.async_io(Interest::READABLE, accept).await?;
        Ok((TcpStream::accepted(&self.io, stream)?, peer))
    }

    /// As [`accept`](TcpListener::accept), in the style of `poll` functions. Only the last task that
    /// polled is woken.
    ///
    /// # Errors
    /// As for [`accept`](TcpListener::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = self.io.poll_io(cx, Direction::Read, |io| io.accept());
        let (stream, peer) = ready!(accepted)?;
        Poll::Ready(TcpStream::accepted(&self.io, stream).map(|stream| (stream, peer)))
    }

    /// Of a listener from elsewhere, which has to be in non-blocking mode.
    ///
    /// # Errors
    /// If it is in blocking mode; or those of the operating system.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        refuse_blocking(&listener)?;
        TcpListener::new(mio::net::TcpListener::from_std(listener))
    }

    /// The listener as std's, in non-blocking mode.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        self.io.into_inner().map(std::net::TcpListener::from)
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.io().local_addr()
    }

    /// The most routers that packets may pass (`IP_TTL`).
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.io().ttl()
    }

    /// Sets [`ttl`](TcpListener::ttl).
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.io.io().set_ttl(ttl)
    }
}

impl TryFrom<std::net::TcpListener> for TcpListener {
    type Error = io::Error;

    /// As [`from_std`](TcpListener::from_std).
    fn try_from(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        TcpListener::from_std(listener)
    }
}

descriptor!(TcpListener);
