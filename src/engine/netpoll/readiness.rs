//! What a socket is ready for, as bits.

use std::ops::{BitAnd, BitOr, BitOrAssign, Sub};

/// A set of what a socket may be ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness(u16);

impl Readiness {
    pub(crate) const EMPTY: Readiness = Readiness(0);
    pub(crate) const READABLE: Readiness = Readiness(1);
    pub(crate) const WRITABLE: Readiness = Readiness(1 << 1);
    /// Nothing more will come.
    pub(crate) const READ_CLOSED: Readiness = Readiness(1 << 2);
    /// Nothing more can be sent.
    pub(crate) const WRITE_CLOSED: Readiness = Readiness(1 << 3);
    pub(crate) const PRIORITY: Readiness = Readiness(1 << 4);
    pub(crate) const ERROR: Readiness = Readiness(1 << 5);
    /// Nothing is known yet, and a read is worth a try.
    pub(crate) const MAY_READ: Readiness = Readiness(1 << 6);
    /// Nothing is known yet, and a write is worth a try.
    pub(crate) const MAY_WRITE: Readiness = Readiness(1 << 7);
    /// The runtime is gone: there will be no more events.
    pub(crate) const SHUT: Readiness = Readiness(1 << 8);

    /// What ends a wait for data.
    pub(crate) const READ: Readiness = Readiness(Self::READABLE.0 | Self::READ_CLOSED.0);
    /// What ends a wait for room.
    pub(crate) const WRITE: Readiness = Readiness(Self::WRITABLE.0 | Self::WRITE_CLOSED.0);

    /// What is never taken back.
    const FINAL: Readiness = Readiness(Self::READ_CLOSED.0 | Self::WRITE_CLOSED.0 | Self::SHUT.0);

    /// The bits.
    pub(super) const fn bits(self) -> u16 {
        self.0
    }

    /// Of bits that `bits` returned.
    pub(super) const fn from_bits(bits: u16) -> Readiness {
        Readiness(bits)
    }

    /// Both sets in one.
    pub(crate) const fn union(self, other: Readiness) -> Readiness {
        Readiness(self.0 | other.0)
    }

    /// Whether nothing is in it.
    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether something of `other` is in it.
    #[inline]
    pub(crate) const fn intersects(self, other: Readiness) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all of `other` is in it.
    #[inline]
    pub(crate) const fn contains(self, other: Readiness) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a direction is closed.
    pub(crate) const fn is_closed(self) -> bool {
        self.intersects(Readiness(Self::READ_CLOSED.0 | Self::WRITE_CLOSED.0))
    }

    /// What a system call that would block takes back of it.
    pub(super) const fn revocable(self) -> Readiness {
        Readiness(self.0 & !Self::FINAL.0)
    }

    /// With the guesses that go with what is in it: who finds out that there is nothing to read need
    /// not try because nothing is known.
    pub(super) const fn with_guesses(self) -> Readiness {
        let mut bits = self.0;
        if bits & Self::READABLE.0 != 0 {
            bits |= Self::MAY_READ.0;
        }
        if bits & Self::WRITABLE.0 != 0 {
            bits |= Self::MAY_WRITE.0;
        }
        Readiness(bits)
    }
}

impl BitOr for Readiness {
    type Output = Readiness;

    #[inline]
    fn bitor(self, other: Readiness) -> Readiness {
        Readiness(self.0 | other.0)
    }
}

impl BitOrAssign for Readiness {
    #[inline]
    fn bitor_assign(&mut self, other: Readiness) {
        self.0 |= other.0;
    }
}

impl BitAnd for Readiness {
    type Output = Readiness;

    #[inline]
    fn bitand(self, other: Readiness) -> Readiness {
        Readiness(self.0 & other.0)
    }
}

impl Sub for Readiness {
    type Output = Readiness;

    #[inline]
    fn sub(self, other: Readiness) -> Readiness {
        Readiness(self.0 & !other.0)
    }
}
