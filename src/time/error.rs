//! What can go wrong with timers.

use std::fmt;

/// A future did not complete before its deadline. Returned by [`timeout`](super::timeout()) and
/// [`timeout_at`](super::timeout_at()).
#[derive(Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl Elapsed {
    pub(super) fn new() -> Elapsed {
        Elapsed(())
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for std::io::Error {
    fn from(_: Elapsed) -> std::io::Error {
        std::io::ErrorKind::TimedOut.into()
    }
}

/// A timer cannot be used.
///
/// Nothing in this crate returns it: timers have no limits here, and to use one after the end of its
/// runtime is a panic. It is for programs that name the type, such as timers of their own.
#[derive(Clone, Copy, Debug)]
pub struct Error(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Shutdown,
    AtCapacity,
    Invalid,
}

impl Error {
    /// The runtime of the timer has ended.
    pub fn shutdown() -> Error {
        Error(Kind::Shutdown)
    }

    /// Whether the runtime of the timer has ended.
    pub fn is_shutdown(&self) -> bool {
        self.0 == Kind::Shutdown
    }

    /// There are too many timers.
    pub fn at_capacity() -> Error {
        Error(Kind::AtCapacity)
    }

    /// Whether there are too many timers.
    pub fn is_at_capacity(&self) -> bool {
        self.0 == Kind::AtCapacity
    }

    /// The time is not one that a timer can be set to.
    pub fn invalid() -> Error {
        Error(Kind::Invalid)
    }

    /// Whether the time is not one that a timer can be set to.
    pub fn is_invalid(&self) -> bool {
        self.0 == Kind::Invalid
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Shutdown => "the runtime of the timer has been shut down",
            Kind::AtCapacity => "there are too many timers",
            Kind::Invalid => "the time is not one that a timer can be set to",
        })
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::{Elapsed, Error};

    #[test]
    fn each_error_is_of_its_kind() {
        let kinds = |e: Error| (e.is_shutdown(), e.is_at_capacity(), e.is_invalid());
        assert_eq!(kinds(Error::shutdown()), (true, false, false));
        assert_eq!(kinds(Error::at_capacity()), (false, true, false));
        assert_eq!(kinds(Error::invalid()), (false, false, true));
    }

    #[test]
    fn an_elapsed_deadline_is_an_io_error() {
        let error = std::io::Error::from(Elapsed::new());
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(Elapsed::new().to_string(), "deadline has elapsed");
    }
}
