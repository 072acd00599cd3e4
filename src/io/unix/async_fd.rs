//! A descriptor whose readiness can be awaited.
//!
//! Why there is `unsafe`: two functions have it from tokio, so that their callers say that they vouch for the
//! descriptor. Nothing here is unsafe to do.

use super::{AsyncFdReadyGuard, AsyncFdReadyMutGuard};
use crate::engine::netpoll::Direction;
use crate::io::Interest;
use crate::net::evented::{Assume, Evented};
use crate::runtime::Handle;
use mio::event::Source;
use mio::unix::SourceFd;
use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll, ready};

/// Waits for the readiness of a descriptor: a pipe, an eventfd, a device, a socket of some library.
///
/// Nothing is read or written by it. One waits with [`readable`](AsyncFd::readable) or
/// [`writable`](AsyncFd::writable), and does the rest by [`AsyncFdReadyGuard::try_io`], which notes
/// when the descriptor is not ready any more; or leaves both to [`async_io`](AsyncFd::async_io).
///
/// The descriptor has to be in non-blocking mode, and must be open and the same one for as long as
/// this exists: the value that is given here should own it. It can be in one `AsyncFd` of a runtime at
/// a time. Plain files are always ready, and are refused by the system.
///
/// # Examples
/// ```
/// use runnext::io::unix::AsyncFd;
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let (mut here, there) = UnixStream::pair()?;
/// there.set_nonblocking(true)?;
/// let there = AsyncFd::new(there)?;
/// here.write_all(b"hi")?;
///
/// let mut buf = [0; 8];
/// let len = loop {
///     let mut guard = there.readable().await?;
///     match guard.try_io(|there| there.get_ref().read(&mut buf)) {
///         Ok(result) => break result?,
///         Err(_would_block) => continue,
///     }
/// };
/// assert_eq!(&buf[..len], b"hi");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct AsyncFd<T: AsRawFd> {
    io: Evented<Fd<T>>,
}

/// A value, and the descriptor that it had when it was registered.
#[derive(Debug)]
pub(crate) struct Fd<T> {
    value: T,
    fd: RawFd,
}

impl<T: AsRawFd> Fd<T> {
    pub(crate) fn new(value: T) -> Fd<T> {
        Fd {
            fd: value.as_raw_fd(),
            value,
        }
    }
}

impl<T> Source for Fd<T> {
    fn register(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
        interests: mio::Interest,
    ) -> io::Result<()> {
        SourceFd(&self.fd).register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
        interests: mio::Interest,
    ) -> io::Result<()> {
        SourceFd(&self.fd).reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &mio::Registry) -> io::Result<()> {
        SourceFd(&self.fd).deregister(registry)
    }
}

impl<T: AsRawFd> AsyncFd<T> {
    /// Registers the descriptor of `inner` with the current runtime, for reading and writing.
    ///
    /// # Errors
    /// If the system cannot wait for it, or it is registered already.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn new(inner: T) -> io::Result<AsyncFd<T>> {
        AsyncFd::with_interest(inner, Interest::READABLE | Interest::WRITABLE)
    }

    /// As [`new`](AsyncFd::new), for `interest`: nothing else can be waited for.
    ///
    /// # Errors
    /// As for [`new`](AsyncFd::new).
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn with_interest(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
        AsyncFd::try_with_interest(inner, interest).map_err(io::Error::from)
    }

    /// As [`new`](AsyncFd::new), and gives `inner` back if that fails.
    ///
    /// # Errors
    /// As for [`new`](AsyncFd::new).
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn try_new(inner: T) -> Result<AsyncFd<T>, AsyncFdRegisterError<T>> {
        AsyncFd::try_with_interest(inner, Interest::READABLE | Interest::WRITABLE)
    }

    /// As [`with_interest`](AsyncFd::with_interest), and gives `inner` back if that fails.
    ///
    /// # Errors
    /// As for [`new`](AsyncFd::new).
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn try_with_interest(
        inner: T,
        interest: Interest,
    ) -> Result<AsyncFd<T>, AsyncFdRegisterError<T>> {
        match Evented::on(
            &Handle::current(),
            Fd::new(inner),
            interest,
            Assume::Nothing,
        ) {
            Ok(io) => Ok(AsyncFd { io }),
            Err((fd, cause)) => Err(AsyncFdRegisterError {
                inner: fd.value,
                cause,
            }),
        }
    }

    /// As [`try_new`](AsyncFd::try_new), by the name that tokio has for it where the caller vouches for
    /// the descriptor.
    ///
    /// # Safety
    /// The descriptor of `inner` must be open, and stay open and the same one for as long as this exists.
    /// At present nothing here relies on that: who breaks it waits for events that do not come, or that
    /// are meant for another.
    ///
    /// # Errors
    /// As for [`new`](AsyncFd::new).
    ///
    /// # Panics
    /// If there is no current runtime.
    #[expect(unsafe_code)] // For the caller alone.
    #[track_caller]
    pub unsafe fn register(inner: T) -> Result<AsyncFd<T>, AsyncFdRegisterError<T>> {
        AsyncFd::try_new(inner)
    }

    /// As [`try_with_interest`](AsyncFd::try_with_interest), see [`register`](AsyncFd::register).
    ///
    /// # Safety
    /// As for [`register`](AsyncFd::register).
    ///
    /// # Errors
    /// As for [`new`](AsyncFd::new).
    ///
    /// # Panics
    /// If there is no current runtime.
    #[expect(unsafe_code)] // For the caller alone.
    #[track_caller]
    pub unsafe fn register_with_interest(
        inner: T,
        interest: Interest,
    ) -> Result<AsyncFd<T>, AsyncFdRegisterError<T>> {
        AsyncFd::try_with_interest(inner, interest)
    }

    /// The value.
    pub fn get_ref(&self) -> &T {
        &self.io.io().value
    }

    /// The value. Its descriptor has to stay what it is.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.io.io_mut().value
    }

    /// Takes the value out. It is not registered any more.
    pub fn into_inner(self) -> T {
        self.io.into_inner_anyway().value
    }

    /// As [`readable`](AsyncFd::readable), in the style of `poll` functions. Only the last task that
    /// polls for reading in this way is woken.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub fn poll_read_ready<'a>(
        &'a self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        let event = ready!(self.io.poll_ready(cx, Direction::Read))?;
        Poll::Ready(Ok(AsyncFdReadyGuard::new(self, event)))
    }

    /// As [`poll_read_ready`](AsyncFd::poll_read_ready), for those who need the value `mut`.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub fn poll_read_ready_mut<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'a, T>>> {
        let event = ready!(self.io.poll_ready(cx, Direction::Read))?;
        Poll::Ready(Ok(AsyncFdReadyMutGuard::new(self, event)))
    }

    /// As [`writable`](AsyncFd::writable), in the style of `poll` functions. Only the last task that
    /// polls for writing in this way is woken.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub fn poll_write_ready<'a>(
        &'a self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        let event = ready!(self.io.poll_ready(cx, Direction::Write))?;
        Poll::Ready(Ok(AsyncFdReadyGuard::new(self, event)))
    }

    /// As [`poll_write_ready`](AsyncFd::poll_write_ready), for those who need the value `mut`.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub fn poll_write_ready_mut<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyMutGuard<'a, T>>> {
        let event = ready!(self.io.poll_ready(cx, Direction::Write))?;
        Poll::Ready(Ok(AsyncFdReadyMutGuard::new(self, event)))
    }

    /// Waits until the descriptor is ready for something of `interest`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub async fn ready(&self, interest: Interest) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        let event = self.io.event(interest.mask()).await?;
        Ok(AsyncFdReadyGuard::new(self, event))
    }

    /// As [`ready`](AsyncFd::ready), for those who need the value `mut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub async fn ready_mut(
        &mut self,
        interest: Interest,
    ) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        let event = self.io.event(interest.mask()).await?;
        Ok(AsyncFdReadyMutGuard::new(self, event))
    }

    /// Waits until there is something to read.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        self.ready(Interest::READABLE).await
    }

    /// As [`readable`](AsyncFd::readable), for those who need the value `mut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub async fn readable_mut(&mut self) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        self.ready_mut(Interest::READABLE).await
    }

    /// Waits until there is room to write to.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub async fn writable(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        self.ready(Interest::WRITABLE).await
    }

    /// As [`writable`](AsyncFd::writable), for those who need the value `mut`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub async fn writable_mut(&mut self) -> io::Result<AsyncFdReadyMutGuard<'_, T>> {
        self.ready_mut(Interest::WRITABLE).await
    }

    /// Calls `f` again after each wait for `interest`, until it does not return
    /// [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Cancel safety
    /// Cancel safe: once `f` did something, this returns without waiting.
    ///
    /// # Errors
    /// Those of `f` but `WouldBlock`; or the runtime is gone.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut f: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.io.async_user_io(interest, |fd| f(&fd.value)).await
    }

    /// As [`async_io`](AsyncFd::async_io), for those who need the value `mut`.
    ///
    /// # Cancel safety
    /// As for [`async_io`](AsyncFd::async_io).
    ///
    /// # Errors
    /// As for [`async_io`](AsyncFd::async_io).
    pub async fn async_io_mut<R>(
        &mut self,
        interest: Interest,
        mut f: impl FnMut(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            let event = self.io.event(interest.mask()).await?;
            match f(self.get_mut()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.io.clear(event),
                result => return result,
            }
        }
    }

    /// Calls `f` if the descriptor is known to be ready for something of `interest`.
    ///
    /// # Errors
    /// Those of `f`; [`WouldBlock`](io::ErrorKind::WouldBlock) if it is not ready; or the runtime is
    /// gone.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        f: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.io.try_user_io(interest, |fd| f(&fd.value))
    }

    /// As [`try_io`](AsyncFd::try_io), for those who need the value `mut`.
    ///
    /// # Errors
    /// As for [`try_io`](AsyncFd::try_io).
    pub fn try_io_mut<R>(
        &mut self,
        interest: Interest,
        f: impl FnOnce(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        let event = self.io.look(interest.mask())?;
        if event.ready.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = f(self.get_mut());
        if matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            self.io.clear(event);
        }
        result
    }

    pub(super) fn clear(&self, event: crate::engine::netpoll::Event) {
        self.io.clear(event);
    }
}

impl<T: AsRawFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.get_ref().as_raw_fd()
    }
}

impl<T: AsRawFd> AsFd for AsyncFd<T>
where
    T: AsFd,
{
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsRawFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd")
            .field("inner", self.get_ref())
            .finish()
    }
}

/// Why a descriptor could not be registered, with the value that it came with.
pub struct AsyncFdRegisterError<T> {
    inner: T,
    cause: io::Error,
}

/// The name that tokio had for it before.
pub type AsyncFdTryNewError<T> = AsyncFdRegisterError<T>;

impl<T> AsyncFdRegisterError<T> {
    /// The value, and the error of the system.
    pub fn into_parts(self) -> (T, io::Error) {
        (self.inner, self.cause)
    }
}

impl<T> fmt::Display for AsyncFdRegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cause, f)
    }
}

impl<T> fmt::Debug for AsyncFdRegisterError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncFdRegisterError")
            .field(&self.cause)
            .finish()
    }
}

impl<T> Error for AsyncFdRegisterError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl<T> From<AsyncFdRegisterError<T>> for io::Error {
    fn from(error: AsyncFdRegisterError<T>) -> io::Error {
        error.cause
    }
}
