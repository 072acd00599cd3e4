//! Reading and writing: tokio's traits and utilities, and the streams of the process.
//!
//! The traits [`AsyncRead`], [`AsyncWrite`], [`AsyncSeek`] and [`AsyncBufRead`], their extensions with
//! the methods to await, and what is built on them alone (buffers, [`copy`], [`split`], [`duplex`]
//! and so on) are those of the `tokio` crate, re-exported: they need no runtime, and a library that
//! asks for them works with runnext as it is.
//!
//! ```
//! # #[cfg(feature = "tokio-io")]
//! # runnext::runtime::Runtime::new().unwrap().block_on(async {
//! use runnext::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
//!
//! let (mut client, server) = runnext::io::duplex(64);
//! runnext::spawn(async move {
//!     client.write_all(b"one\ntwo\n").await.unwrap();
//! });
//! let mut lines = BufReader::new(server).lines();
//! assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("one"));
//! assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("two"));
//! assert_eq!(lines.next_line().await.unwrap(), None);
//! # });
//! ```
//!
//! The types of this crate that read or write implement the traits of `futures::io` as well. Where
//! both are in scope, a method that both have has to be called by its trait.
//!
//! # Budget
//!
//! tokio's utilities count against the budget of tokio's runtime, and take no part in that of
//! [`task::coop`](crate::task::coop). What reads from a file or a socket gives way there; but
//! copying from [`repeat`] to [`sink`], or through a [`duplex`] that is always ready, does not give
//! way to other tasks by itself.
//!
//! # Features
//!
//! The traits and utilities come with `tokio-io`; `stdin`, `stdout` and `stderr` with `io-std`; and with
//! `net` there are `Interest` and `Ready`, in which waits for sockets are expressed, and
//! `unix::AsyncFd` for descriptors of other kinds.

#[cfg(any(feature = "fs", feature = "io-std"))]
pub(crate) mod buf;
#[cfg(feature = "net")]
mod interest;
#[cfg(feature = "net")]
mod ready;
#[cfg(feature = "io-std")]
mod stdio;
#[cfg(all(feature = "net", unix))]
pub mod unix;

#[cfg(feature = "net")]
pub use interest::Interest;
#[cfg(feature = "net")]
pub use ready::Ready;
#[cfg(feature = "io-std")]
pub use stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout};

#[doc(no_inline)]
pub use std::io::{Error, ErrorKind, Result, SeekFrom};

#[cfg(feature = "tokio-io")]
#[doc(no_inline)]
pub use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite,
    AsyncWriteExt, BufReader, BufStream, BufWriter, Chain, DuplexStream, Empty, Join, Lines,
    ReadBuf, ReadHalf, Repeat, SimplexStream, Sink, Split, Take, WriteHalf, copy,
    copy_bidirectional, copy_bidirectional_with_sizes, copy_buf, duplex, empty, join, repeat,
    simplex, sink, split,
};

/// The error of an operation whose closure has no output.
#[cfg(any(feature = "fs", feature = "io-std"))]
pub(crate) fn lost(error: crate::task::JoinError) -> Error {
    if error.is_cancelled() {
        Error::other("the runtime was shut down before the operation began")
    } else {
        error.into()
    }
}
