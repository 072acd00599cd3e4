//! Whether other threads want the processor that an M runs on.
//!
//! To spin pays where the processor would be idle otherwise. Where it would not, as in a server whose
//! clients are on the same machine, the spinner takes the time of those that its work is to come from,
//! and asking for events over and over finds few at a time. The kernel tells: it counts how often it took
//! the processor from a thread that would have gone on.

use crate::engine::primitive::{AtomicU64, Ordering};
use crate::engine::sys::{self, Instant};
use crate::engine::timer::moment::nanos;
use std::time::Duration;

/// How long a thread is watched before anything is concluded: to ask is a system call.
const SPELL: Duration = Duration::from_millis(4);
/// How many involuntary switches in a spell mean that the processor is contended. A guess: clients that
/// are woken by each answer made some ten, and `sched_yield` where somebody waited counts as one.
const MANY: u64 = 4;

/// What an M has seen of its processor. Used by its thread alone.
#[derive(Debug)]
pub(super) struct Contention {
    /// When the spell began, as the clock counts. Zero: there was none yet.
    since: AtomicU64,
    /// How many switches there had been by then.
    switches: AtomicU64,
    /// How many switches there were between the last two looks, for each [`SPELL`].
    rate: AtomicU64,
}

impl Contention {
    pub(super) fn new() -> Contention {
        Contention {
            since: AtomicU64::new(0),
            switches: AtomicU64::new(0),
            rate: AtomicU64::new(0),
        }
    }

    /// Whether the processor was contended when last seen.
    #[inline]
    pub(super) fn is_high(&self) -> bool {
        // Ordering: Relaxed throughout, one thread.
        self.rate.load(Ordering::Relaxed) >= MANY
    }

    /// Looks again, if that is due.
    #[inline]
    pub(super) fn look(&self, now: Instant) {
        let now = nanos(now);
        let since = self.since.load(Ordering::Relaxed);
        if now.saturating_sub(since) >= SPELL.as_nanos() as u64 {
            self.conclude(since, now, sys::involuntary_switches());
        }
    }

    /// Ends a spell, with `switches` up to now.
    #[cold]
    fn conclude(&self, since: u64, now: u64, switches: u64) {
        let before = self.switches.load(Ordering::Relaxed);
        self.switches.store(switches, Ordering::Relaxed);
        self.since.store(now, Ordering::Relaxed);
        if since == 0 {
            // They are those of the thread's whole life.
            return;
        }
        let spells = (now - since) / SPELL.as_nanos() as u64;
        let rate = switches.saturating_sub(before) / spells.max(1);
        self.rate.store(rate, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Contention, MANY, SPELL};

    /// The spells `(ends at, in spells; switches since the thread began)`, and what is concluded in the end.
    fn after(spells: &[(u64, u64)]) -> bool {
        let contention = Contention::new();
        let spell = SPELL.as_nanos() as u64;
        let mut since = 0;
        for &(end, switches) in spells {
            contention.conclude(since, end * spell, switches);
            since = end * spell;
        }
        contention.is_high()
    }

    #[test]
    fn what_a_thread_did_before_it_was_watched_does_not_count() {
        assert!(!after(&[(1, 1_000_000)]));
        assert!(!after(&[(1, 1_000_000), (2, 1_000_000 + MANY - 1)]));
    }

    #[test]
    fn it_is_the_rate_that_counts() {
        assert!(after(&[(1, 0), (2, MANY)]));
        assert!(!after(&[(1, 0), (3, MANY)]), "half as many");
        assert!(after(&[(1, 0), (11, 10 * MANY)]));
    }

    #[test]
    fn it_ends_when_nobody_wants_the_processor_any_more() {
        assert!(!after(&[(1, 0), (2, MANY), (3, MANY)]));
    }
}
