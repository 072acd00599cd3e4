//! The clock of a runtime: nanoseconds since a moment at the beginning of the process.
//!
//! With the feature `test-util` a test can stop it and set it forward. Then it is behind or ahead of
//! the other clocks of the process for good; only differences between two of its readings mean
//! anything.

use super::moment::{base, nanos};
use crate::engine::sys;
use std::time::Duration;

/// The clock of one runtime.
#[derive(Debug)]
pub(crate) struct Clock {
    #[cfg(feature = "test-util")]
    stopped: stopped::Stopped,
}

impl Clock {
    /// A clock that runs.
    pub(crate) fn new() -> Clock {
        base();
        Clock {
            #[cfg(feature = "test-util")]
            stopped: stopped::Stopped::default(),
        }
    }

    /// What it shows.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        #[cfg(feature = "test-util")]
        if let Some(nanos) = self.stopped.now() {
            return nanos;
        }
        nanos(sys::now())
    }

    /// How long it takes until it shows `moment`, if it runs.
    pub(crate) fn until(&self, moment: u64) -> Duration {
        Duration::from_nanos(moment.saturating_sub(self.now()))
    }

    /// Whether it has been stopped.
    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        #[cfg(feature = "test-util")]
        return self.stopped.is_stopped();
        #[cfg(not(feature = "test-util"))]
        false
    }
}

#[cfg(feature = "test-util")]
pub(crate) use stopped::Misuse;

#[cfg(feature = "test-util")]
mod stopped {
    use super::{Clock, base, nanos};
    use crate::engine::primitive::{AtomicBool, Mutex, Ordering, lock};
    use crate::engine::sys::{self, Instant};
    use std::time::Duration;

    /// What the clock was asked for in vain.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Misuse {
        /// It is stopped already.
        IsStopped,
        /// It is not stopped.
        Runs,
    }

    /// What is different from the system's clock.
    #[derive(Debug, Default)]
    pub(super) struct Stopped {
        /// Whether it was ever stopped.
        ever: AtomicBool,
        now: AtomicBool,
        reading: Mutex<Reading>,
    }

    #[derive(Debug, Default)]
    struct Reading {
        /// What it showed when it was last stopped, set, or started.
        shown: u64,
        /// When it was started, by the system's clock; `None` while it is stopped.
        started: Option<u64>,
    }

    impl Stopped {
        /// What it shows, if that is not the system's time.
        #[inline]
        pub(super) fn now(&self) -> Option<u64> {
            // Ordering: Relaxed here and below: who stopped the clock knows, and tells others by means
            // that synchronise.
            self.ever.load(Ordering::Relaxed).then(|| self.read())
        }

        #[cold]
        fn read(&self) -> u64 {
            let reading = lock(&self.reading);
            match reading.started {
                None => reading.shown,
                Some(started) => reading
                    .shown
                    .saturating_add(nanos(sys::now()).saturating_sub(started)),
            }
        }

        #[inline]
        pub(super) fn is_stopped(&self) -> bool {
            self.now.load(Ordering::Relaxed)
        }
    }

    impl Clock {
        /// As [`now`](Clock::now), as an instant.
        pub(crate) fn instant(&self) -> Instant {
            match self.stopped.now() {
                None => sys::now(),
                Some(nanos) => base() + Duration::from_nanos(nanos),
            }
        }

        /// Stops it.
        ///
        /// # Errors
        /// If it is stopped.
        pub(crate) fn stop(&self) -> Result<(), Misuse> {
            if self.is_stopped() {
                return Err(Misuse::IsStopped);
            }
            let shown = self.now();
            *lock(&self.stopped.reading) = Reading {
                shown,
                started: None,
            };
            self.stopped.ever.store(true, Ordering::Relaxed);
            self.stopped.now.store(true, Ordering::Relaxed);
            Ok(())
        }

        /// Lets it run on from what it shows.
        ///
        /// # Errors
        /// If it runs.
        pub(crate) fn start(&self) -> Result<(), Misuse> {
            if !self.is_stopped() {
                return Err(Misuse::Runs);
            }
            lock(&self.stopped.reading).started = Some(nanos(sys::now()));
            self.stopped.now.store(false, Ordering::Relaxed);
            Ok(())
        }

        /// Sets it forward.
        ///
        /// # Errors
        /// If it runs.
        pub(crate) fn advance(&self, by: Duration) -> Result<(), Misuse> {
            if !self.is_stopped() {
                return Err(Misuse::Runs);
            }
            let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
            let mut reading = lock(&self.stopped.reading);
            reading.shown = reading.shown.saturating_add(by);
            Ok(())
        }

        /// Sets it forward to `moment`, if it is stopped and does not show a later one.
        pub(crate) fn advance_to(&self, moment: u64) {
            if self.is_stopped() {
                let mut reading = lock(&self.stopped.reading);
                reading.shown = reading.shown.max(moment);
            }
        }
    }
}
