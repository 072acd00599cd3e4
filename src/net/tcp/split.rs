//! The halves of a TCP stream.

use super::stream::TcpStream;
use crate::net::halves::halves;
use std::io;
use std::net::SocketAddr;
#[cfg(feature = "tokio-io")]
use std::task::{Context, Poll};

halves!(TcpStream, SocketAddr);

macro_rules! peek_methods {
    ([$($generics:tt)*] $half:ty) => {
        impl $($generics)* $half {
            /// Reads what is there, and leaves it there. See [`TcpStream::peek`].
            ///
            /// # Cancel safety
            /// Cancel safe.
            ///
            /// # Errors
            /// Those of the operating system.
            pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.peek(buf).await
            }

            /// As [`peek`](Self::peek), in the style of `poll` functions.
            ///
            /// # Errors
            /// Those of the operating system.
            #[cfg(feature = "tokio-io")]
            pub fn poll_peek(
                &mut self,
                cx: &mut Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> Poll<io::Result<usize>> {
                self.0.poll_peek(cx, buf)
            }
        }
    };
}

peek_methods!([<'a>] ReadHalf<'a>);
peek_methods!([] OwnedReadHalf);
