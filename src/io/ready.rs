//! What a wait found.

use super::Interest;
use crate::engine::netpoll::Readiness;
use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Sub};

/// What a socket is ready for. It may be out of date by the time that it is used: then the operation
/// returns [`WouldBlock`](std::io::ErrorKind::WouldBlock).
///
/// # Examples
/// ```
/// use runnext::io::Ready;
///
/// let ready = Ready::READABLE | Ready::READ_CLOSED;
/// assert!(ready.is_readable() && ready.is_read_closed() && !ready.is_writable());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ready(Readiness);

impl Ready {
    /// Nothing.
    pub const EMPTY: Ready = Ready(Readiness::EMPTY);

    /// There is something to read.
    pub const READABLE: Ready = Ready(Readiness::READABLE);

    /// There is room to write to.
    pub const WRITABLE: Ready = Ready(Readiness::WRITABLE);

    /// Nothing more will come.
    pub const READ_CLOSED: Ready = Ready(Readiness::READ_CLOSED);

    /// Nothing more can be sent.
    pub const WRITE_CLOSED: Ready = Ready(Readiness::WRITE_CLOSED);

    /// There is urgent data.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub const PRIORITY: Ready = Ready(Readiness::PRIORITY);

    /// There was an error.
    pub const ERROR: Ready = Ready(Readiness::ERROR);

    /// All of these.
    pub const ALL: Ready = Ready(
        Readiness::READ
            .union(Readiness::WRITE)
            .union(Readiness::PRIORITY)
            .union(Readiness::ERROR),
    );

    pub(crate) fn new(readiness: Readiness) -> Ready {
        Ready(readiness & Ready::ALL.0)
    }

    pub(crate) fn readiness(self) -> Readiness {
        self.0
    }

    /// What ends a wait for `interest`.
    pub fn from_interest(interest: Interest) -> Ready {
        Ready::new(interest.mask())
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Whether a read would not wait: there is data, or there will be no more.
    pub fn is_readable(self) -> bool {
        self.0.intersects(Readiness::READ)
    }

    /// Whether a write would not wait: there is room, or nothing more can be sent.
    pub fn is_writable(self) -> bool {
        self.0.intersects(Readiness::WRITE)
    }

    /// Whether nothing more will come.
    pub fn is_read_closed(self) -> bool {
        self.0.intersects(Readiness::READ_CLOSED)
    }

    /// Whether nothing more can be sent.
    pub fn is_write_closed(self) -> bool {
        self.0.intersects(Readiness::WRITE_CLOSED)
    }

    /// Whether there is urgent data.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn is_priority(self) -> bool {
        self.0.intersects(Readiness::PRIORITY)
    }

    /// Whether there was an error.
    pub fn is_error(self) -> bool {
        self.0.intersects(Readiness::ERROR)
    }

    /// Whether all of `other` is in it.
    pub fn contains(self, other: Ready) -> bool {
        self.0.contains(other.0)
    }
}

impl BitOr for Ready {
    type Output = Ready;

    fn bitor(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Ready) {
        self.0 |= other.0;
    }
}

impl BitAnd for Ready {
    type Output = Ready;

    fn bitand(self, other: Ready) -> Ready {
        Ready(self.0 & other.0)
    }
}

impl Sub for Ready {
    type Output = Ready;

    fn sub(self, other: Ready) -> Ready {
        Ready(self.0 - other.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("is_readable", &self.is_readable())
            .field("is_writable", &self.is_writable())
            .field("is_read_closed", &self.is_read_closed())
            .field("is_write_closed", &self.is_write_closed())
            .field("is_error", &self.is_error())
            .finish_non_exhaustive()
    }
}
