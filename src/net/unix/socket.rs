//! Unix domain sockets that are not used yet.

use super::datagram::UnixDatagram;
use super::listener::UnixListener;
use super::stream::UnixStream;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::path::Path;

/// A Unix domain socket that neither listens nor is connected yet.
///
/// # Examples
/// ```
/// use runnext::net::UnixSocket;
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// # let path = std::env::temp_dir().join(format!("runnext-doc-{}.sock", std::process::id()));
/// let socket = UnixSocket::new_stream()?;
/// socket.bind(&path)?;
/// let listener = socket.listen(128)?;
/// # drop(listener);
/// # std::fs::remove_file(path)
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct UnixSocket {
    socket: Socket,
}

impl UnixSocket {
    /// For datagrams.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn new_datagram() -> io::Result<UnixSocket> {
        UnixSocket::new(Type::DGRAM)
    }

    /// For streams.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn new_stream() -> io::Result<UnixSocket> {
        UnixSocket::new(Type::STREAM)
    }

    fn new(kind: Type) -> io::Result<UnixSocket> {
        let socket = Socket::new(Domain::UNIX, kind, None)?;
        socket.set_nonblocking(true)?;
        Ok(UnixSocket { socket })
    }

    fn expect(&self, kind: Type, what: &str) -> io::Result<()> {
        if self.socket.r#type()? == kind {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("this socket is of another type: {what}"),
        ))
    }

    /// Gives it an address. On Linux a path that begins with a NUL is a name in the abstract
    /// namespace.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub fn bind(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.socket.bind(&SockAddr::unix(path)?)
    }

    /// Listens, with room for `backlog` connections that nobody has accepted yet.
    ///
    /// # Errors
    /// Those of the operating system; or it is a socket for datagrams.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<UnixListener> {
        self.expect(Type::STREAM, "only one of `new_stream` listens")?;
        self.socket
            .listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        let listener = std::os::unix::net::UnixListener::from(self.socket);
        UnixListener::new(mio::net::UnixListener::from_std(listener))
    }

    /// Connects to the socket at `path`.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection that was begun is dropped.
    ///
    /// # Errors
    /// As for [`UnixStream::connect`]; or it is a socket for datagrams.
    ///
    /// # Panics
    /// If there is no current runtime.
    pub async fn connect(self, path: impl AsRef<Path>) -> io::Result<UnixStream> {
        self.expect(Type::STREAM, "only one of `new_stream` connects")?;
        match self.socket.connect(&SockAddr::unix(path)?) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let stream = std::os::unix::net::UnixStream::from(self.socket);
        UnixStream::connecting(mio::net::UnixStream::from_std(stream)).await
    }

    /// The socket, ready for datagrams.
    ///
    /// # Errors
    /// Those of the operating system; or it is a socket for streams.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn datagram(self) -> io::Result<UnixDatagram> {
        self.expect(Type::DGRAM, "only one of `new_datagram` has datagrams")?;
        let socket = std::os::unix::net::UnixDatagram::from(self.socket);
        UnixDatagram::new(mio::net::UnixDatagram::from_std(socket))
    }
}

impl std::os::fd::AsFd for UnixSocket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl std::os::fd::AsRawFd for UnixSocket {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}
