//! A moment of the runtime's clock.

use super::Duration;
use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Instant as Std;

/// A moment: [`std::time::Instant`], by the clock of the runtime.
///
/// The two differ only with the feature `test-util`, in a runtime whose time has been
/// [stopped](super#tests-that-do-not-wait).
///
/// # Examples
/// ```
/// use runnext::time::{Duration, Instant};
///
/// let start = Instant::now();
/// let deadline = start + Duration::from_secs(1);
/// assert_eq!(deadline - start, Duration::from_secs(1));
/// assert!(start.elapsed() >= Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    std: Std,
}

impl Instant {
    /// The present.
    #[inline]
    pub fn now() -> Instant {
        #[cfg(feature = "test-util")]
        let std = super::clock::now();
        #[cfg(not(feature = "test-util"))]
        let std = Std::now();
        Instant { std }
    }

    /// From the standard library's.
    #[inline]
    pub fn from_std(std: Std) -> Instant {
        Instant { std }
    }

    /// Into the standard library's.
    #[inline]
    pub fn into_std(self) -> Std {
        self.std
    }

    /// What lies between `earlier` and this; nothing, if `earlier` is later.
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.std.saturating_duration_since(earlier.std)
    }

    /// What lies between `earlier` and this; `None`, if `earlier` is later.
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.std.checked_duration_since(earlier.std)
    }

    /// As [`duration_since`](Instant::duration_since).
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.std.saturating_duration_since(earlier.std)
    }

    /// What has passed since then.
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(*self)
    }

    /// `duration` later; `None`, if that cannot be told.
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        self.std.checked_add(duration).map(Instant::from_std)
    }

    /// `duration` earlier; `None`, if that cannot be told.
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        self.std.checked_sub(duration).map(Instant::from_std)
    }

    /// `duration` later, and at most 30 years.
    #[inline]
    pub(super) fn after(self, duration: Duration) -> Instant {
        Instant::from_std(self.std + duration.min(super::LONGEST))
    }
}

impl From<Std> for Instant {
    fn from(std: Std) -> Instant {
        Instant { std }
    }
}

impl From<Instant> for Std {
    fn from(instant: Instant) -> Std {
        instant.std
    }
}

/// # Panics
/// If the result cannot be told. [`checked_add`](Instant::checked_add) does not panic.
impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant::from_std(self.std + duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

/// What lies between the two; nothing, if the second is later.
impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

/// # Panics
/// If the result cannot be told. [`checked_sub`](Instant::checked_sub) does not panic.
impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        Instant::from_std(self.std - duration)
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.std.fmt(f)
    }
}
