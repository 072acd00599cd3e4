//! How long somebody is to wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A time that a wait may take, or none: anyone sets it, and reads it.
#[derive(Debug)]
pub(crate) struct Limit(AtomicU64);

/// There is none. No limit is zero.
const NONE: u64 = 0;

/// It was set elsewhere, and not asked for yet: longer than any that is set here.
const UNKNOWN: u64 = u64::MAX;

impl Limit {
    /// No limit.
    pub(crate) fn none() -> Limit {
        Limit(AtomicU64::new(NONE))
    }

    /// One that has to be asked for, by whoever needs it first.
    pub(crate) fn unknown() -> Limit {
        Limit(AtomicU64::new(UNKNOWN))
    }

    /// Sets it to `limit`, which is not zero; one of more than 584 years counts as that.
    pub(crate) fn set(&self, limit: Option<Duration>) {
        // Ordering: Relaxed, here and below: nothing else goes with it.
        self.0.store(count(limit), Ordering::Relaxed);
    }

    /// The limit. `ask` is called if it is not known.
    #[inline]
    pub(crate) fn get(&self, ask: impl FnOnce() -> Option<Duration>) -> Option<Duration> {
        let mut limit = self.0.load(Ordering::Relaxed);
        if limit == UNKNOWN {
            let asked = count(ask());
            let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            limit = match self.0.compare_exchange(UNKNOWN, asked, success, failure) {
                Ok(_) => asked,
                // It was set meanwhile, and that counts.
                Err(set) => set,
            };
        }
        (limit != NONE).then(|| Duration::from_nanos(limit))
    }
}

fn count(limit: Option<Duration>) -> u64 {
    let nanos = |limit: Duration| u64::try_from(limit.as_nanos()).unwrap_or(UNKNOWN);
    limit.map_or(NONE, |limit| nanos(limit).clamp(1, UNKNOWN - 1))
}

#[cfg(test)]
mod tests {
    use super::Limit;
    use std::time::Duration;

    #[test]
    fn what_was_set_elsewhere_is_asked_for_once() {
        let limit = Limit::unknown();
        let second = Some(Duration::from_secs(1));
        assert_eq!(limit.get(|| second), second);
        assert_eq!(limit.get(|| unreachable!()), second);
        // Also if there is none.
        let limit = Limit::unknown();
        assert_eq!(limit.get(|| None), None);
        assert_eq!(limit.get(|| unreachable!()), None);
    }

    #[test]
    fn what_is_set_while_it_is_asked_for_counts() {
        let limit = Limit::unknown();
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        let asked = limit.get(|| {
            limit.set(Some(minute));
            Some(second)
        });
        assert_eq!(asked, Some(minute));
    }

    #[test]
    fn the_shortest_and_the_longest_are_limits() {
        let limit = Limit::none();
        for set in [Duration::from_nanos(1), Duration::MAX] {
            limit.set(Some(set));
            let kept = limit.get(|| unreachable!()).unwrap();
            assert_eq!(kept.as_secs(), set.as_secs().min(u64::MAX / 1_000_000_000));
        }
        limit.set(None);
        assert_eq!(limit.get(|| unreachable!()), None);
    }
}
