//! TCP sockets with options that have to be set before they are used.

use super::listener::TcpListener;
use super::stream::TcpStream;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// A TCP socket that neither listens nor is connected yet.
///
/// # Examples
/// ```
/// use runnext::net::TcpSocket;
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let socket = TcpSocket::new_v4()?;
/// socket.set_reuseaddr(true)?;
/// socket.bind("127.0.0.1:0".parse().unwrap())?;
/// let listener = socket.listen(128)?;
/// # drop(listener);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpSocket {
    socket: Socket,
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
            self.socket.$inner_get()
        }

        #[doc = concat!("Sets [`", stringify!($get), "`](TcpSocket::", stringify!($get), ").")]
        ///
        /// # Errors
        /// Those of the operating system.
        $(#[$attr])*
        pub fn $set(&self, value: $type) -> io::Result<()> {
            self.socket.$inner_set(value)
        }
    };
}

impl TcpSocket {
    /// For IPv4.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn new_v4() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV4)
    }

    /// For IPv6.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn new_v6() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV6)
    }

    fn new(domain: Domain) -> io::Result<TcpSocket> {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        Ok(TcpSocket { socket })
    }

    option!(
        reuseaddr,
        set_reuseaddr,
        bool,
        reuse_address,
        set_reuse_address,
        "Whether it may have an address that was in use until just now (`SO_REUSEADDR`)."
    );
    option!(
        #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
        reuseport,
        set_reuseport,
        bool,
        reuse_port,
        set_reuse_port,
        "Whether several sockets may have the same address (`SO_REUSEPORT`)."
    );
    option!(
        keepalive,
        set_keepalive,
        bool,
        keepalive,
        set_keepalive,
        "Whether the other side is asked now and then if it is still there (`SO_KEEPALIVE`)."
    );
    option!(
        nodelay,
        set_nodelay,
        bool,
        tcp_nodelay,
        set_tcp_nodelay,
        "Whether small writes are sent at once (`TCP_NODELAY`)."
    );

    /// The size of the buffer for what is sent (`SO_SNDBUF`), as the system counts it.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        self.socket.send_buffer_size().map(saturated)
    }

    /// Sets [`send_buffer_size`](TcpSocket::send_buffer_size); the system may take another size.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        self.socket.set_send_buffer_size(size as usize)
    }

    /// The size of the buffer for what is received (`SO_RCVBUF`), as the system counts it.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        self.socket.recv_buffer_size().map(saturated)
    }

    /// Sets [`recv_buffer_size`](TcpSocket::recv_buffer_size); the system may take another size.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        self.socket.set_recv_buffer_size(size as usize)
    }

    /// For how long closing waits for what was written to be sent (`SO_LINGER`).
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.socket.linger()
    }

    /// Sets [`linger`](TcpSocket::linger). Any time but zero can block the thread that closes the
    /// connection, and with it all tasks there.
    ///
    /// # Errors
    /// Those of the operating system.
    #[deprecated = "closing the stream may block its thread; use `set_zero_linger`, or `socket2`"]
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.socket.set_linger(linger)
    }

    /// Has the connection reset when it is closed, and what was not sent yet thrown away.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.socket.set_linger(Some(Duration::ZERO))
    }

    /// The name of the interface that it is bound to (`SO_BINDTODEVICE`).
    ///
    /// # Errors
    /// Those of the operating system.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        self.socket.device()
    }

    /// Binds it to the interface of that name, or to none.
    ///
    /// # Errors
    /// Those of the operating system, as for a lack of privileges.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    pub fn bind_device(&self, interface: Option<&[u8]>) -> io::Result<()> {
        self.socket.bind_device(interface)
    }

    /// The type of service of what it sends (`IP_TOS`).
    ///
    /// # Errors
    /// Those of the operating system.
    #[cfg(target_os = "linux")]
    pub fn tos_v4(&self) -> io::Result<u32> {
        self.socket.tos_v4()
    }

    /// Sets [`tos_v4`](TcpSocket::tos_v4).
    ///
    /// # Errors
    /// Those of the operating system.
    #[cfg(target_os = "linux")]
    pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
        self.socket.set_tos_v4(tos)
    }

    /// The address of this side.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = self.socket.local_addr()?.as_socket();
        address.ok_or_else(|| io::Error::other("the socket has an address of another family"))
    }

    /// The error that came up on the socket since this was last asked, if there was one.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Gives it an address of this machine.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.socket.bind(&addr.into())
    }

    /// Connects to `addr`.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection that was begun is dropped.
    ///
    /// # Errors
    /// If there is no connection to be had.
    ///
    /// # Panics
    /// If there is no current runtime.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        match self.socket.connect(&addr.into()) {
            Ok(()) => {}
            #[cfg(unix)]
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let stream = std::net::TcpStream::from(self.socket);
        TcpStream::connecting(mio::net::TcpStream::from_std(stream)).await
    }

    /// Listens, with room for `backlog` connections that nobody has accepted yet.
    ///
    /// # Errors
    /// Those of the operating system.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.socket
            .listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        let listener = std::net::TcpListener::from(self.socket);
        TcpListener::new(mio::net::TcpListener::from_std(listener))
    }

    /// Of a socket of std's, which is neither connected nor listens, though its type says that it is
    /// connected. It is put into non-blocking mode if it can be.
    pub fn from_std_stream(stream: std::net::TcpStream) -> TcpSocket {
        // A socket that cannot be is of no use, as the first operation will show.
        let _set = SockRef::from(&stream).set_nonblocking(true);
        TcpSocket {
            socket: Socket::from(stream),
        }
    }
}

fn saturated(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

#[cfg(unix)]
impl std::os::fd::AsFd for TcpSocket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(unix)]
impl std::os::fd::AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&self.socket)
    }
}
