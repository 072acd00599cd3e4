//! How soon an M that took out timers, and has nothing else to do, takes out timers again.
//!
//! To sleep and wake up costs a context switch, some ten microseconds on each side. Where timers come
//! thick, as when thousands of tasks sleep for some milliseconds each, an M that slept until the
//! earliest would do so for every handful of them. And one that stays awake would always find another handful,
//! spin all the time, and each time wake a second M to share them, which comes too late for that. So when
//! many were due since an M last had nothing else to do than to take out timers, they rest: those who have
//! nothing else to do wait until [`REST`] after that, and then find more that are due. A timer among few is
//! not concerned; nor is any of those whose P is busy, which looks at its timers every few turns.

use crate::engine::primitive::{AtomicBool, AtomicU64, Ordering};

/// How long an M rests after it began with the first of many, in nanoseconds: no timer is later than
/// that because of it. Measured with `20,000 sleeps of 1 to 20 ms` of `vs_tokio`, whose rival wakes up once
/// a millisecond: with half of it there are as many context switches as tokio's, and with this fewer.
pub(super) const REST: u64 = 400_000;

/// How many make many. A guess: to fire as many takes as long as to fall asleep and wake up.
const MANY: u64 = 8;

/// What is known of the pace at which timers are due. Hints, all of it: what is stale or torn costs
/// a wake-up, or a rest.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// How many timers were due so far.
    fired: AtomicU64,
    /// How many that were when an M last began to take them out, with nothing else to do.
    fired_before: AtomicU64,
    /// When that was.
    began: AtomicU64,
    /// Whether it left some that were due.
    left: AtomicBool,
}

// Ordering: Relaxed throughout, see `Pace`.
impl Pace {
    /// So many timers were due.
    pub(super) fn fired(&self, count: usize) {
        self.fired.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// An M that has nothing else to do begins to take out those that are due.
    pub(super) fn begins(&self, now: u64) {
        self.fired_before
            .store(self.fired.load(Ordering::Relaxed), Ordering::Relaxed);
        self.began.store(now, Ordering::Relaxed);
    }

    /// An M has taken some out. `some`: others are due still.
    pub(super) fn leaves(&self, some: bool) {
        if self.left.load(Ordering::Relaxed) != some {
            self.left.store(some, Ordering::Relaxed);
        }
    }

    /// Until when an M that has nothing else to do waits for a timer that is due at `earliest`: never less, and
    /// never more than [`REST`] longer.
    pub(super) fn rests_until(&self, earliest: u64) -> u64 {
        let fired = self.fired.load(Ordering::Relaxed);
        let since = fired.saturating_sub(self.fired_before.load(Ordering::Relaxed));
        if since < MANY || self.left.load(Ordering::Relaxed) {
            return earliest;
        }
        let rested = self.began.load(Ordering::Relaxed).saturating_add(REST);
        // If somebody begins at this moment the rest begins anew.
        rested.clamp(earliest, earliest.saturating_add(REST))
    }
}

#[cfg(test)]
mod tests {
    use super::{MANY, Pace, REST};

    #[test]
    fn a_timer_among_few_is_waited_for_exactly() {
        let pace = Pace::default();
        assert_eq!(pace.rests_until(7), 7);
        pace.begins(100);
        pace.fired(MANY as usize - 1);
        assert_eq!(pace.rests_until(101), 101);
    }

    #[test]
    fn after_many_there_is_a_rest() {
        let pace = Pace::default();
        pace.begins(100);
        pace.fired(MANY as usize);
        assert_eq!(pace.rests_until(101), 100 + REST);
        assert_eq!(pace.rests_until(100 + REST), 100 + REST);
        assert_eq!(pace.rests_until(101 + REST), 101 + REST, "never early");
        pace.begins(100 + REST);
        assert_eq!(pace.rests_until(101 + REST), 101 + REST, "few since then");
    }

    #[test]
    fn there_is_no_rest_while_some_are_left_that_are_due() {
        let pace = Pace::default();
        pace.begins(100);
        pace.fired(MANY as usize);
        pace.leaves(true);
        assert_eq!(pace.rests_until(101), 101);
        pace.leaves(false);
        assert_eq!(pace.rests_until(101), 100 + REST);
    }

    #[test]
    fn no_rest_makes_a_timer_later_than_it_takes() {
        let pace = Pace::default();
        pace.begins(1_000_000);
        pace.fired(1_000);
        assert_eq!(pace.rests_until(5), 5 + REST);
        assert_eq!(pace.rests_until(u64::MAX), u64::MAX);
    }
}
