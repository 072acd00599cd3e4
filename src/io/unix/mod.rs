//! Descriptors of whatever kind the system can wait for.

mod async_fd;
mod guard;

#[cfg(feature = "signal")]
pub(crate) use async_fd::Fd;
pub use async_fd::{AsyncFd, AsyncFdRegisterError, AsyncFdTryNewError};
pub use guard::{AsyncFdReadyGuard, AsyncFdReadyMutGuard, TryIoError};
