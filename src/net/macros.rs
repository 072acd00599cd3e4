//! What sockets of all kinds have in common, each with `io: Evented<_>`.

/// Methods that wait for readiness, or rely on it.
macro_rules! readiness_methods {
    () => {
        readiness_methods!(poll_read_ready, poll_write_ready);
    };
    ($poll_read_ready:ident, $poll_write_ready:ident) => {
        /// Waits until the socket is ready for something of `interest`.
        ///
        /// It may return for no good reason: then the operation that follows, such as one of the
        /// `try_` functions, returns [`WouldBlock`](std::io::ErrorKind::WouldBlock), and this waits
        /// again when it is called again.
        ///
        /// # Cancel safety
        /// Cancel safe: what the socket was ready for it remains ready for.
        ///
        /// # Errors
        /// If the runtime that the socket belongs to is gone.
        pub async fn ready(
            &self,
            interest: crate::io::Interest,
        ) -> std::io::Result<crate::io::Ready> {
            self.io.ready(interest).await
        }

        /// Waits until there is something to read. See [`ready`](Self::ready).
        ///
        /// # Cancel safety
        /// Cancel safe.
        ///
        /// # Errors
        /// If the runtime that the socket belongs to is gone.
        pub async fn readable(&self) -> std::io::Result<()> {
            self.io.ready(crate::io::Interest::READABLE).await.map(drop)
        }

        /// Waits until there is room to write to. See [`ready`](Self::ready).
        ///
        /// # Cancel safety
        /// Cancel safe.
        ///
        /// # Errors
        /// If the runtime that the socket belongs to is gone.
        pub async fn writable(&self) -> std::io::Result<()> {
            self.io.ready(crate::io::Interest::WRITABLE).await.map(drop)
        }

        /// As [`readable`](Self::readable), in the style of `poll` functions. Only the last task that
        /// polls for reading in this way is woken; several can wait in [`readable`](Self::readable).
        ///
        /// # Errors
        /// If the runtime that the socket belongs to is gone.
        pub fn $poll_read_ready(
            &self,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            let ready = self
                .io
                .poll_ready(cx, crate::engine::netpoll::Direction::Read);
            ready.map_ok(drop)
        }

        /// As [`writable`](Self::writable), in the style of `poll` functions. Only the last task that
        /// polls for writing in this way is woken; several can wait in [`writable`](Self::writable).
        ///
        /// # Errors
        /// If the runtime that the socket belongs to is gone.
        pub fn $poll_write_ready(
            &self,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            let ready = self
                .io
                .poll_ready(cx, crate::engine::netpoll::Direction::Write);
            ready.map_ok(drop)
        }

        /// Calls `f`, which makes an operation on the socket without waiting, if the socket may be
        /// ready for `interest`. When `f` returns [`WouldBlock`](std::io::ErrorKind::WouldBlock) the
        /// socket counts as not ready until there is an event; so `f` must not return it for other
        /// reasons.
        ///
        /// # Errors
        /// Those of `f`; `WouldBlock` if the socket is known not to be ready; or the runtime that it
        /// belongs to is gone.
        pub fn try_io<R>(
            &self,
            interest: crate::io::Interest,
            f: impl FnOnce() -> std::io::Result<R>,
        ) -> std::io::Result<R> {
            self.io.try_user_io(interest, |_| f())
        }

        /// Calls `f`, which makes an operation on the socket without waiting, again after each wait
        /// for `interest` until it does not return [`WouldBlock`](std::io::ErrorKind::WouldBlock).
        ///
        /// # Cancel safety
        /// Cancel safe: once `f` did something, this returns without waiting.
        ///
        /// # Errors
        /// Those of `f` but `WouldBlock`; or the runtime that the socket belongs to is gone.
        pub async fn async_io<R>(
            &self,
            interest: crate::io::Interest,
            mut f: impl FnMut() -> std::io::Result<R>,
        ) -> std::io::Result<R> {
            self.io.async_user_io(interest, |_| f()).await
        }

        /// The error that came up on the socket since this was last asked, if there was one.
        ///
        /// # Errors
        /// Those of the operating system.
        pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
            self.io.io().take_error()
        }
    };
}

/// Methods of a stream that read or write without waiting.
macro_rules! stream_methods {
    () => {
        /// Reads what is there, without waiting. 0 if there will be no more, or `buf` is empty.
        ///
        /// # Errors
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is nothing; or those of the
        /// operating system.
        pub fn try_read(&self, buf: &mut [u8]) -> std::io::Result<usize> {
            use std::io::Read;
            let interest = crate::io::Interest::READABLE;
            self.io.try_io(interest, |mut io| io.read(buf))
        }

        crate::net::bufs::try_read_buf!();

        /// As [`try_read`](Self::try_read), into several buffers, one after the other.
        ///
        /// # Errors
        /// As for [`try_read`](Self::try_read).
        pub fn try_read_vectored(
            &self,
            bufs: &mut [std::io::IoSliceMut<'_>],
        ) -> std::io::Result<usize> {
            use std::io::Read;
            let interest = crate::io::Interest::READABLE;
            self.io.try_io(interest, |mut io| io.read_vectored(bufs))
        }

        /// Writes what there is room for, without waiting, and says how much that was.
        ///
        /// # Errors
        /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) if there is no room; or those of the
        /// operating system.
        pub fn try_write(&self, buf: &[u8]) -> std::io::Result<usize> {
            use std::io::Write;
            let interest = crate::io::Interest::WRITABLE;
            self.io.try_io(interest, |mut io| io.write(buf))
        }

        /// As [`try_write`](Self::try_write), from several buffers, one after the other.
        ///
        /// # Errors
        /// As for [`try_write`](Self::try_write).
        pub fn try_write_vectored(&self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
            use std::io::Write;
            let interest = crate::io::Interest::WRITABLE;
            self.io.try_io(interest, |mut io| io.write_vectored(bufs))
        }
    };
}

/// The traits of `futures` and of tokio for reading from `$type`, by `Transfer` of what `$io` finds.
macro_rules! async_read {
    ([$($generics:tt)*] $type:ty, $this:ident => $io:expr) => {
        impl<$($generics)*> futures_io::AsyncRead for $type {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $this = &*self;
                crate::net::transfer::poll_read($io, cx, buf)
            }

            fn poll_read_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $this = &*self;
                crate::net::transfer::poll_read_vectored($io, cx, bufs)
            }
        }

        #[cfg(feature = "tokio-io")]
        impl<$($generics)*> tokio::io::AsyncRead for $type {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let $this = &*self;
                crate::net::transfer::poll_read_buf($io, cx, buf)
            }
        }
    };
}

/// The traits of `futures` and of tokio for writing to `$type`; `$close` ends what can be written.
macro_rules! async_write {
    ([$($generics:tt)*] $type:ty, $this:ident => $io:expr, $close:expr) => {
        impl<$($generics)*> futures_io::AsyncWrite for $type {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $this = &*self;
                crate::net::transfer::poll_write($io, cx, buf)
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                let $this = &*self;
                crate::net::transfer::poll_write_vectored($io, cx, bufs)
            }

            /// Does nothing: what is written is on its way.
            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }

            /// Ends what can be written.
            fn poll_close(
                mut self: std::pin::Pin<&mut Self>,
                _cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let $this = &mut *self;
                std::task::Poll::Ready($close)
            }
        }

        #[cfg(feature = "tokio-io")]
        impl<$($generics)*> tokio::io::AsyncWrite for $type {
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                futures_io::AsyncWrite::poll_write(self, cx, buf)
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bufs: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                futures_io::AsyncWrite::poll_write_vectored(self, cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                futures_io::AsyncWrite::poll_flush(self, cx)
            }

            fn poll_shutdown(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                futures_io::AsyncWrite::poll_close(self, cx)
            }
        }
    };
}

/// What a stream does in code that is not async: the traits of std, with std's timeouts. It has
/// `timeouts: Timeouts`.
macro_rules! blocking_style {
    ($stream:ident) => {
        /// Timeouts in code that is not async, where they are those of std. Async functions wait for as
        /// long as it takes: see [`timeout`](crate::time::timeout()) for these.
        impl $stream {
            /// For how long [`Read`](std::io::Read) waits for something to read; `None`: for as long as
            /// it takes.
            ///
            /// A stream that was one of std's has the timeouts that were set there.
            ///
            /// # Errors
            /// None so far.
            pub fn read_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                Ok(self.timeouts.read(self))
            }

            /// Sets [`read_timeout`](Self::read_timeout), for reads that begin after it. When the time
            /// runs out, a read fails with [`WouldBlock`](std::io::ErrorKind::WouldBlock) on Unix, and
            /// [`TimedOut`](std::io::ErrorKind::TimedOut) elsewhere.
            ///
            /// # Errors
            /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) if it is zero; or those of the
            /// operating system.
            pub fn set_read_timeout(
                &self,
                timeout: Option<std::time::Duration>,
            ) -> std::io::Result<()> {
                self.timeouts
                    .set_read(socket2::SockRef::from(self), timeout)
            }

            /// For how long [`Write`](std::io::Write) waits for room to write to; `None`: for as long as
            /// it takes.
            ///
            /// A stream that was one of std's has the timeouts that were set there.
            ///
            /// # Errors
            /// None so far.
            pub fn write_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                Ok(self.timeouts.write(self))
            }

            /// Sets [`write_timeout`](Self::write_timeout), for writes that begin after it. When the time
            /// runs out, a write fails with [`WouldBlock`](std::io::ErrorKind::WouldBlock) on Unix, and
            /// [`TimedOut`](std::io::ErrorKind::TimedOut) elsewhere.
            ///
            /// # Errors
            /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) if it is zero; or those of the
            /// operating system.
            pub fn set_write_timeout(
                &self,
                timeout: Option<std::time::Duration>,
            ) -> std::io::Result<()> {
                self.timeouts
                    .set_write(socket2::SockRef::from(self), timeout)
            }
        }

        impl std::io::Read for &$stream {
            /// In code that is not async: see [`net`](crate::net).
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                let (limit, interest) = (self.timeouts.read(self), crate::io::Interest::READABLE);
                crate::net::transfer::wait_transfer(&self.io, interest, limit, |io| {
                    crate::net::transfer::Source::read_some(io, buf)
                })
            }

            fn read_vectored(
                &mut self,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                let (limit, interest) = (self.timeouts.read(self), crate::io::Interest::READABLE);
                let len = crate::net::transfer::sum(bufs.iter().map(|buf| buf.len()));
                crate::net::transfer::wait_transfer(&self.io, interest, limit, |mut io| {
                    Ok(crate::net::evented::Moved::of(io.read_vectored(bufs)?, len))
                })
            }
        }

        impl std::io::Write for &$stream {
            /// In code that is not async: see [`net`](crate::net).
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                let (limit, interest) = (self.timeouts.write(self), crate::io::Interest::WRITABLE);
                crate::net::transfer::wait_transfer(&self.io, interest, limit, |mut io| {
                    Ok(crate::net::evented::Moved::of(io.write(buf)?, buf.len()))
                })
            }

            fn write_vectored(&mut self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                let (limit, interest) = (self.timeouts.write(self), crate::io::Interest::WRITABLE);
                let len = crate::net::transfer::sum(bufs.iter().map(|buf| buf.len()));
                crate::net::transfer::wait_transfer(&self.io, interest, limit, |mut io| {
                    Ok(crate::net::evented::Moved::of(
                        io.write_vectored(bufs)?,
                        len,
                    ))
                })
            }

            /// Does nothing: what is written is on its way.
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        impl std::io::Read for $stream {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                (&*self).read(buf)
            }

            fn read_vectored(
                &mut self,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                (&*self).read_vectored(bufs)
            }
        }

        impl std::io::Write for $stream {
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                (&*self).write(buf)
            }

            fn write_vectored(&mut self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                (&*self).write_vectored(bufs)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}

/// The descriptor of `$type`, for `socket2::SockRef` and others.
macro_rules! descriptor {
    ($type:ty) => {
        #[cfg(unix)]
        impl std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                self.io.io().as_raw_fd()
            }
        }

        #[cfg(unix)]
        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.io.io().as_fd()
            }
        }

        #[cfg(windows)]
        impl std::os::windows::io::AsRawSocket for $type {
            fn as_raw_socket(&self) -> std::os::windows::io::RawSocket {
                self.io.io().as_raw_socket()
            }
        }

        #[cfg(windows)]
        impl std::os::windows::io::AsSocket for $type {
            fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
                self.io.io().as_socket()
            }
        }
    };
}

pub(super) use {
    async_read, async_write, blocking_style, descriptor, readiness_methods, stream_methods,
};
