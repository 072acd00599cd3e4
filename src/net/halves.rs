//! The halves of a stream, borrowed and owned: the same for TCP and for Unix domain sockets.

/// Defines the halves of `$stream`, whose addresses are of type `$addr`.
macro_rules! halves {
    ($stream:ident, $addr:ty) => {
        /// The half of a stream that is read from, by [`split`]($stream::split).
        #[derive(Debug)]
        pub struct ReadHalf<'a>(&'a $stream);

        /// The half of a stream that is written to, by [`split`]($stream::split).
        #[derive(Debug)]
        pub struct WriteHalf<'a>(&'a $stream);

        /// The half of a stream that is read from, by [`into_split`]($stream::into_split).
        #[derive(Debug)]
        pub struct OwnedReadHalf(std::sync::Arc<$stream>);

        /// The half of a stream that is written to, by [`into_split`]($stream::into_split).
        ///
        /// When it is dropped, nothing more can be written, which the other side sees as the end of
        /// what it reads.
        #[derive(Debug)]
        pub struct OwnedWriteHalf {
            stream: std::sync::Arc<$stream>,
            shut_down_on_drop: bool,
        }

        pub(super) fn split(stream: &mut $stream) -> (ReadHalf<'_>, WriteHalf<'_>) {
            (ReadHalf(stream), WriteHalf(stream))
        }

        pub(super) fn into_split(stream: $stream) -> (OwnedReadHalf, OwnedWriteHalf) {
            let stream = std::sync::Arc::new(stream);
            let write = OwnedWriteHalf {
                stream: stream.clone(),
                shut_down_on_drop: true,
            };
            (OwnedReadHalf(stream), write)
        }

        /// The two halves are not of the same stream. They come back with the error.
        #[derive(Debug)]
        pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

        impl std::fmt::Display for ReuniteError {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the halves cannot be reunited: they are not of the same stream")
            }
        }

        impl std::error::Error for ReuniteError {}

        impl OwnedReadHalf {
            /// Puts the halves together again.
            ///
            /// # Errors
            /// If they are not of the same stream.
            pub fn reunite(self, other: OwnedWriteHalf) -> Result<$stream, ReuniteError> {
                if !std::sync::Arc::ptr_eq(&self.0, &other.stream) {
                    return Err(ReuniteError(self, other));
                }
                other.forget();
                let stream = std::sync::Arc::try_unwrap(self.0);
                Ok(stream.expect("there are two halves, and the other was dropped"))
            }
        }

        impl OwnedWriteHalf {
            /// Puts the halves together again.
            ///
            /// # Errors
            /// If they are not of the same stream.
            pub fn reunite(self, other: OwnedReadHalf) -> Result<$stream, ReuniteError> {
                other.reunite(self)
            }

            /// Drops it without ending what can be written: by the other half the stream goes on.
            pub fn forget(mut self) {
                self.shut_down_on_drop = false;
            }
        }

        impl Drop for OwnedWriteHalf {
            fn drop(&mut self) {
                if self.shut_down_on_drop {
                    // If it is broken there is nobody left to be told.
                    let _told = self.stream.shut_down(std::net::Shutdown::Write);
                }
            }
        }

        impl AsRef<$stream> for ReadHalf<'_> {
            fn as_ref(&self) -> &$stream {
                self.0
            }
        }

        impl AsRef<$stream> for WriteHalf<'_> {
            fn as_ref(&self) -> &$stream {
                self.0
            }
        }

        impl AsRef<$stream> for OwnedReadHalf {
            fn as_ref(&self) -> &$stream {
                &self.0
            }
        }

        impl AsRef<$stream> for OwnedWriteHalf {
            fn as_ref(&self) -> &$stream {
                &self.stream
            }
        }

        crate::net::macros::async_read!(['a] ReadHalf<'a>, this => this.0.evented());
        crate::net::macros::async_read!([] OwnedReadHalf, this => this.0.evented());
        crate::net::macros::async_write!(
            ['a] WriteHalf<'a>, this => this.0.evented(),
            this.0.shut_down(std::net::Shutdown::Write)
        );
        crate::net::macros::async_write!([] OwnedWriteHalf, this => this.stream.evented(), {
            let closed = this.stream.shut_down(std::net::Shutdown::Write);
            if closed.is_ok() {
                this.shut_down_on_drop = false;
            }
            closed
        });

        crate::net::halves::read_methods!([<'a>] ReadHalf<'a>, $stream, $addr);
        crate::net::halves::read_methods!([] OwnedReadHalf, $stream, $addr);
        crate::net::halves::write_methods!([<'a>] WriteHalf<'a>, $stream, $addr);
        crate::net::halves::write_methods!([] OwnedWriteHalf, $stream, $addr);
    };
}

/// What both kinds of halves have.
macro_rules! common_methods {
    ($stream:ident, $addr:ty) => {
        /// Waits until the stream is ready for something of `interest`. See
        #[doc = concat!("[`", stringify!($stream), "::ready`].")]
        ///
        /// # Cancel safety
        /// Cancel safe.
        ///
        /// # Errors
        /// If the runtime that the stream belongs to is gone.
        pub async fn ready(
            &self,
            interest: crate::io::Interest,
        ) -> std::io::Result<crate::io::Ready> {
            let stream: &$stream = self.as_ref();
            stream.ready(interest).await
        }

        /// The address of this side.
        ///
        /// # Errors
        /// Those of the operating system.
        pub fn local_addr(&self) -> std::io::Result<$addr> {
            let stream: &$stream = self.as_ref();
            stream.local_addr()
        }

        /// The address of the other side.
        ///
        /// # Errors
        /// Those of the operating system.
        pub fn peer_addr(&self) -> std::io::Result<$addr> {
            let stream: &$stream = self.as_ref();
            stream.peer_addr()
        }
    };
}

macro_rules! read_methods {
    ([$($generics:tt)*] $half:ty, $stream:ident, $addr:ty) => {
        impl $($generics)* $half {
            crate::net::halves::common_methods!($stream, $addr);

            /// Waits until there is something to read. See
            #[doc = concat!("[`", stringify!($stream), "::readable`].")]
            ///
            /// # Cancel safety
            /// Cancel safe.
            ///
            /// # Errors
            /// If the runtime that the stream belongs to is gone.
            pub async fn readable(&self) -> std::io::Result<()> {
                let stream: &$stream = self.as_ref();
                stream.readable().await
            }

            /// Reads what is there, without waiting. 0 if there will be no more.
            ///
            /// # Errors
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is nothing; or those of the
            /// operating system.
            pub fn try_read(&self, buf: &mut [u8]) -> std::io::Result<usize> {
                let stream: &$stream = self.as_ref();
                stream.try_read(buf)
            }

            /// As [`try_read`](Self::try_read), into the room that `buf` has next, which then holds that much
            /// more.
            ///
            /// # Errors
            /// As for [`try_read`](Self::try_read).
            #[cfg(feature = "tokio-io")]
            pub fn try_read_buf<B: bytes::BufMut>(&self, buf: &mut B) -> std::io::Result<usize> {
                let stream: &$stream = self.as_ref();
                stream.try_read_buf(buf)
            }

            /// As [`try_read`](Self::try_read), into several buffers.
            ///
            /// # Errors
            /// As for [`try_read`](Self::try_read).
            pub fn try_read_vectored(
                &self,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                let stream: &$stream = self.as_ref();
                stream.try_read_vectored(bufs)
            }
        }
    };
}

macro_rules! write_methods {
    ([$($generics:tt)*] $half:ty, $stream:ident, $addr:ty) => {
        impl $($generics)* $half {
            crate::net::halves::common_methods!($stream, $addr);

            /// Waits until there is room to write to. See
            #[doc = concat!("[`", stringify!($stream), "::writable`].")]
            ///
            /// # Cancel safety
            /// Cancel safe.
            ///
            /// # Errors
            /// If the runtime that the stream belongs to is gone.
            pub async fn writable(&self) -> std::io::Result<()> {
                let stream: &$stream = self.as_ref();
                stream.writable().await
            }

            /// Writes what there is room for, without waiting, and says how much that was.
            ///
            /// # Errors
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is no room; or those of the
            /// operating system.
            pub fn try_write(&self, buf: &[u8]) -> std::io::Result<usize> {
                let stream: &$stream = self.as_ref();
                stream.try_write(buf)
            }

            /// As [`try_write`](Self::try_write), from several buffers.
            ///
            /// # Errors
            /// As for [`try_write`](Self::try_write).
            pub fn try_write_vectored(
                &self,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                let stream: &$stream = self.as_ref();
                stream.try_write_vectored(bufs)
            }
        }
    };
}

pub(super) use {common_methods, halves, read_methods, write_methods};
