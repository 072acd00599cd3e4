//! Sockets: TCP, UDP and, where there are such, Unix domain sockets and pipes.
//!
//! ```
//! # #[cfg(feature = "tokio-io")]
//! # fn main() -> std::io::Result<()> {
//! use runnext::io::{AsyncReadExt, AsyncWriteExt};
//! use runnext::net::{TcpListener, TcpStream};
//!
//! # let runtime = runnext::runtime::Runtime::new()?;
//! # runtime.block_on(async {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! runnext::spawn(async move {
//!     let (mut socket, _peer) = listener.accept().await.unwrap();
//!     socket.write_all(b"hello").await.unwrap();
//! });
//!
//! let mut socket = TcpStream::connect(address).await?;
//! let mut text = String::new();
//! socket.read_to_string(&mut text).await?;
//! assert_eq!(text, "hello");
//! # Ok(())
//! # })
//! # }
//! # #[cfg(not(feature = "tokio-io"))]
//! # fn main() {}
//! ```
//!
//! # Waiting
//!
//! An operation is tried first, and waits only if it would block. A waiting task takes no thread: one
//! thread of the runtime, which has nothing else to do, waits for the events of all sockets.
//!
//! A socket belongs to the runtime in which it was made, and its events are seen by the threads of
//! that runtime: those in `block_on`, if it is a current-thread runtime. It may be used anywhere.
//! When the runtime has been shut down, operations return an error that says so.
//!
//! # In code that is not async
//!
//! Streams implement [`std::io::Read`] and [`std::io::Write`], as do references to them. In a
//! stackful task (see [`go`](crate::go)) such a call leaves the stack until there is something to
//! read or room to write to; on a thread that runs no tasks, it blocks. In an `async` task it returns
//! an error that says to use the async traits, since it would block all tasks of the thread.
//!
//! | in std | here, in code that is not async |
//! |---|---|
//! | `Read`, `Write`, their timeouts, `TcpStream::connect_timeout` | the same |
//! | `accept`, `connect`, `recv_from`, … | the async function of that name: `wait(listener.accept())` |
//! | the timeouts of datagrams | `wait(timeout(…, socket.recv_from(…)))` |
//!
//! ```
//! # #[cfg(feature = "stackful")]
//! # fn main() {
//! use runnext::net::{TcpListener, TcpStream};
//! use runnext::{go, wait};
//! use std::io::{Read, Write};
//!
//! # let runtime = runnext::runtime::Runtime::new().unwrap();
//! # runtime.block_on(async { go(|| {
//! let listener = wait(TcpListener::bind("127.0.0.1:0")).unwrap();
//! let address = listener.local_addr().unwrap();
//! go(move || {
//!     let (mut socket, _peer) = wait(listener.accept()).unwrap();
//!     socket.write_all(b"hello").unwrap();
//! });
//!
//! let mut text = String::new();
//! wait(TcpStream::connect(address)).unwrap().read_to_string(&mut text).unwrap();
//! assert_eq!(text, "hello");
//! # }).await }).unwrap();
//! # }
//! # #[cfg(not(feature = "stackful"))]
//! # fn main() {}
//! ```

mod addr;
mod bufs;
pub(crate) mod evented;
mod halves;
mod limit;
mod lookup_host;
mod macros;
pub mod tcp;
mod timeouts;
mod transfer;
mod udp;
#[cfg(unix)]
pub mod unix;

pub use addr::ToSocketAddrs;
pub use lookup_host::lookup_host;
pub use tcp::listener::TcpListener;
pub use tcp::socket::TcpSocket;
pub use tcp::stream::TcpStream;
pub use udp::UdpSocket;
#[cfg(unix)]
pub use unix::{
    datagram::UnixDatagram, listener::UnixListener, socket::UnixSocket, stream::UnixStream,
};

use std::io;

/// Refuses a socket from elsewhere that blocks: each call on it would block a thread of the runtime.
#[cfg(unix)]
fn refuse_blocking<S: std::os::fd::AsFd>(socket: &S) -> io::Result<()> {
    if socket2::SockRef::from(socket).nonblocking()? {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "the socket is in blocking mode, and would block all tasks of a thread; call \
         `set_nonblocking(true)` on it first",
    ))
}

/// Other systems do not tell.
#[cfg(not(unix))]
fn refuse_blocking<S>(_socket: &S) -> io::Result<()> {
    Ok(())
}
