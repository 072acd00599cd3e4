//! What to wait for.

use super::Ready;
use crate::engine::netpoll::Readiness;
use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// What to wait for on a socket: to read, to write, errors, urgent data.
///
/// # Examples
/// ```
/// use runnext::io::Interest;
///
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert!(both.is_readable() && both.is_writable());
/// assert_eq!(both.remove(Interest::WRITABLE), Some(Interest::READABLE));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interest(u8);

const READABLE: u8 = 1;
const WRITABLE: u8 = 1 << 1;
const PRIORITY: u8 = 1 << 2;
const ERROR: u8 = 1 << 3;

impl Interest {
    /// Data or connections to take, or the end of them.
    pub const READABLE: Interest = Interest(READABLE);

    /// Room to write to, or the end of that.
    pub const WRITABLE: Interest = Interest(WRITABLE);

    /// Errors, beside what else is waited for.
    pub const ERROR: Interest = Interest(ERROR);

    /// Urgent data, and whatever else a device signals by `EPOLLPRI`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub const PRIORITY: Interest = Interest(PRIORITY);

    /// Whether reading is in it.
    pub const fn is_readable(self) -> bool {
        self.0 & READABLE != 0
    }

    /// Whether writing is in it.
    pub const fn is_writable(self) -> bool {
        self.0 & WRITABLE != 0
    }

    /// Whether errors are in it.
    pub const fn is_error(self) -> bool {
        self.0 & ERROR != 0
    }

    /// Whether urgent data is in it.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub const fn is_priority(self) -> bool {
        self.0 & PRIORITY != 0
    }

    /// Both together.
    #[must_use = "this returns the sum and changes nothing"]
    pub const fn add(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }

    /// This without `other`; `None` if nothing is left.
    #[must_use = "this returns the rest and changes nothing"]
    pub fn remove(self, other: Interest) -> Option<Interest> {
        let left = self.0 & !other.0;
        (left != 0).then_some(Interest(left))
    }

    /// What ends a wait for it.
    pub(crate) fn mask(self) -> Readiness {
        let bits = [
            (READABLE, Readiness::READ),
            (WRITABLE, Readiness::WRITE),
            (PRIORITY, Readiness::PRIORITY | Readiness::READ_CLOSED),
            (ERROR, Readiness::ERROR),
        ];
        let mut mask = Readiness::EMPTY;
        for (_, bit) in bits.into_iter().filter(|(bit, _)| self.0 & bit != 0) {
            mask |= bit;
        }
        mask
    }

    /// What makes a system call worth a try.
    pub(crate) fn try_mask(self) -> Readiness {
        let mut mask = self.mask();
        if self.is_readable() {
            mask |= Readiness::MAY_READ;
        }
        if self.is_writable() {
            mask |= Readiness::MAY_WRITE;
        }
        mask
    }

    /// How it is registered. Errors are always told, and come with either direction.
    pub(crate) fn to_mio(self) -> mio::Interest {
        let mut interest = None;
        let mut add = |other: mio::Interest| {
            interest = Some(interest.map_or(other, |i: mio::Interest| i.add(other)));
        };
        if self.is_readable() {
            add(mio::Interest::READABLE);
        }
        if self.is_writable() {
            add(mio::Interest::WRITABLE);
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.is_priority() {
            add(mio::Interest::PRIORITY);
        }
        interest.unwrap_or(mio::Interest::READABLE)
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        self.add(other)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Interest) {
        *self = self.add(other);
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (READABLE, "READABLE"),
            (WRITABLE, "WRITABLE"),
            (PRIORITY, "PRIORITY"),
            (ERROR, "ERROR"),
        ];
        let mut first = true;
        for (_, name) in names.into_iter().filter(|(bit, _)| self.0 & bit != 0) {
            if !std::mem::take(&mut first) {
                f.write_str(" | ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl From<Interest> for Ready {
    /// What ends a wait for `interest`.
    fn from(interest: Interest) -> Ready {
        Ready::from_interest(interest)
    }
}
