//! Methods that read into a buffer which grows, of tokio's trait for such.

/// Of what can be read from as a stream.
macro_rules! try_read_buf {
    () => {
        /// As [`try_read`](Self::try_read), into the room that `buf` has next, which then holds that much more.
        ///
        /// # Errors
        /// As for [`try_read`](Self::try_read).
        #[cfg(feature = "tokio-io")]
        pub fn try_read_buf<B: bytes::BufMut>(&self, buf: &mut B) -> std::io::Result<usize> {
            use crate::net::transfer::Source;
            let read = self.io.try_io(crate::io::Interest::READABLE, |io| {
                crate::engine::sys::fill_chunk(buf, |part| io.read_some_into(part))
            });
            read.map(|(len, _moved)| len)
        }
    };
}

/// Of a socket for datagrams, whose senders have such an `$address`, made of what the system says by `$made`.
#[cfg(feature = "tokio-io")]
macro_rules! recv_buf {
    ($socket:ty, $io:ty, $address:ty, $made:expr) => {
        /// Into buffers that grow. A datagram is received into the room that the buffer has next, which need not be
        /// all of it; what is longer than that is cut.
        impl $socket {
            /// As [`recv`](Self::recv), into the room that `buf` has next, which then holds that much more.
            ///
            /// # Cancel safety
            /// Cancel safe: no datagram is lost.
            ///
            /// # Errors
            /// Those of the operating system.
            pub async fn recv_buf<B: bytes::BufMut>(&self, buf: &mut B) -> std::io::Result<usize> {
                let recv = |io: &$io| received(io, buf);
                self.io.async_io(crate::io::Interest::READABLE, recv).await
            }

            /// As [`recv_buf`](Self::recv_buf), without waiting.
            ///
            /// # Errors
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is none; or those of the system.
            pub fn try_recv_buf<B: bytes::BufMut>(&self, buf: &mut B) -> std::io::Result<usize> {
                let recv = |io: &$io| received(io, buf);
                self.io.try_io(crate::io::Interest::READABLE, recv)
            }

            /// As [`recv_from`](Self::recv_from), into the room that `buf` has next, which then holds that much
            /// more.
            ///
            /// # Cancel safety
            /// Cancel safe: no datagram is lost.
            ///
            /// # Errors
            /// Those of the operating system.
            pub async fn recv_buf_from<B: bytes::BufMut>(
                &self,
                buf: &mut B,
            ) -> std::io::Result<(usize, $address)> {
                let recv = |io: &$io| received_from(io, buf);
                self.io.async_io(crate::io::Interest::READABLE, recv).await
            }

            /// As [`recv_buf_from`](Self::recv_buf_from), without waiting.
            ///
            /// # Errors
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is none; or those of the system.
            pub fn try_recv_buf_from<B: bytes::BufMut>(
                &self,
                buf: &mut B,
            ) -> std::io::Result<(usize, $address)> {
                let recv = |io: &$io| received_from(io, buf);
                self.io.try_io(crate::io::Interest::READABLE, recv)
            }
        }

        fn received<B: bytes::BufMut>(io: &$io, buf: &mut B) -> std::io::Result<usize> {
            let received = crate::engine::sys::fill_chunk(buf, |part| {
                let len = io.recv(part.initialize_unfilled())?;
                part.advance(len);
                Ok(())
            });
            received.map(|(len, ())| len)
        }

        fn received_from<B: bytes::BufMut>(
            io: &$io,
            buf: &mut B,
        ) -> std::io::Result<(usize, $address)> {
            crate::engine::sys::fill_chunk(buf, |part| {
                let (len, from) = io.recv_from(part.initialize_unfilled())?;
                part.advance(len);
                Ok($made(from))
            })
        }
    };
}

#[cfg(feature = "tokio-io")]
pub(in crate::net) use recv_buf;
pub(in crate::net) use try_read_buf;
