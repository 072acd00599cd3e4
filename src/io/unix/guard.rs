//! What a wait for a descriptor returns.

use super::AsyncFd;
use crate::engine::netpoll::Event;
use crate::io::Ready;
use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::AsRawFd;

/// A descriptor that was found ready, until it is said not to be. By itself this does nothing when it
/// is dropped.
#[must_use = "a descriptor remains ready until this is told that it is not"]
pub struct AsyncFdReadyGuard<'a, T: AsRawFd> {
    fd: &'a AsyncFd<T>,
    event: Event,
}

/// As [`AsyncFdReadyGuard`], with the value `mut`.
#[must_use = "a descriptor remains ready until this is told that it is not"]
pub struct AsyncFdReadyMutGuard<'a, T: AsRawFd> {
    fd: &'a mut AsyncFd<T>,
    event: Event,
}

/// The operation would have blocked, and the descriptor counts as not ready from then on.
#[derive(Debug)]
pub struct TryIoError(());

impl fmt::Display for TryIoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operation would block")
    }
}

impl Error for TryIoError {}

impl<'a, T: AsRawFd> AsyncFdReadyGuard<'a, T> {
    pub(super) fn new(fd: &'a AsyncFd<T>, event: Event) -> Self {
        AsyncFdReadyGuard { fd, event }
    }

    /// The descriptor.
    pub fn get_ref(&self) -> &'a AsyncFd<T> {
        self.fd
    }

    /// The value with the descriptor.
    pub fn get_inner(&self) -> &'a T {
        self.fd.get_ref()
    }

    /// Calls `f`; if that returns [`WouldBlock`](io::ErrorKind::WouldBlock) the descriptor is not
    /// ready any more.
    ///
    /// # Errors
    /// If `f` would block.
    pub fn try_io<R>(
        &mut self,
        f: impl FnOnce(&'a AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        let result = f(self.fd);
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear_ready();
                Err(TryIoError(()))
            }
            result => Ok(result),
        }
    }
}

impl<'a, T: AsRawFd> AsyncFdReadyMutGuard<'a, T> {
    pub(super) fn new(fd: &'a mut AsyncFd<T>, event: Event) -> Self {
        AsyncFdReadyMutGuard { fd, event }
    }

    /// The descriptor.
    pub fn get_ref(&self) -> &AsyncFd<T> {
        self.fd
    }

    /// The descriptor.
    pub fn get_mut(&mut self) -> &mut AsyncFd<T> {
        self.fd
    }

    /// The value with the descriptor.
    pub fn get_inner(&self) -> &T {
        self.fd.get_ref()
    }

    /// The value with the descriptor, which has to stay what it is.
    pub fn get_inner_mut(&mut self) -> &mut T {
        self.fd.get_mut()
    }

    /// Calls `f`; if that returns [`WouldBlock`](io::ErrorKind::WouldBlock) the descriptor is not
    /// ready any more.
    ///
    /// # Errors
    /// If `f` would block.
    pub fn try_io<R>(
        &mut self,
        f: impl FnOnce(&mut AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        let result = f(self.fd);
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear_ready();
                Err(TryIoError(()))
            }
            result => Ok(result),
        }
    }
}

macro_rules! guard_methods {
    ($guard:ident) => {
        impl<T: AsRawFd> $guard<'_, T> {
            /// What the descriptor was found ready for, less what was cleared since.
            pub fn ready(&self) -> Ready {
                Ready::new(self.event.ready)
            }

            /// Says that the descriptor was not ready after all: an operation returned `WouldBlock`.
            /// An event that came since the wait makes this void.
            pub fn clear_ready(&mut self) {
                self.fd.clear(self.event);
                self.event = self.event.only(Ready::EMPTY.readiness());
            }

            /// As [`clear_ready`](Self::clear_ready), for what is in `ready`.
            pub fn clear_ready_matching(&mut self, ready: Ready) {
                self.fd.clear(self.event.only(ready.readiness()));
                self.event = self.event.only((Ready::ALL - ready).readiness());
            }

            /// Says that the descriptor is still ready, which is so anyway.
            pub fn retain_ready(&mut self) {}
        }

        impl<T: AsRawFd + fmt::Debug> fmt::Debug for $guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($guard))
                    .field("fd", &self.fd)
                    .field("ready", &self.ready())
                    .finish()
            }
        }
    };
}

guard_methods!(AsyncFdReadyGuard);
guard_methods!(AsyncFdReadyMutGuard);
