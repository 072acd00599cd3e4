//! How long an M looks for work before it parks.
//!
//! To be woken costs the waker a system call of 5 to 30 microseconds and the woken one as much
//! again; to spin costs a processor that nobody else may want. So an M spins longer where that
//! would have paid: if it is woken soon after it parked, it is patient from then on; if it sleeps
//! long, it gets less patient each time. Longer spells give way to other threads now and then: the
//! one that has the work may be waiting for this very CPU. If others want it anyway, an M looks once
//! and parks.

use super::contention::Contention;
use crate::engine::primitive::{AtomicU32, Ordering, spin_loop, thread};
use crate::engine::sys::{Instant, now};
use std::time::Duration;

/// How long the least patient M spins.
const LEAST: Duration = Duration::from_micros(5);
/// How long the most patient one does: guessed, at a few times what a wake-up costs.
const MOST: Duration = Duration::from_micros(50);
/// A sleep shorter than this should have been spent spinning.
const SHORT: Duration = Duration::from_micros(200);
/// How many looks there are between two looks at the clock.
const LOOKS: u32 = 16;

/// What an M has learnt about how soon there is something to do. Used by its thread alone.
#[derive(Debug)]
pub(crate) struct Patience {
    nanos: AtomicU32,
    contention: Contention,
}

impl Patience {
    pub(crate) fn new() -> Patience {
        Patience {
            nanos: AtomicU32::new(MOST.as_nanos() as u32),
            contention: Contention::new(),
        }
    }

    /// Whether others want the processor, so that it is better to sleep than to ask.
    #[inline]
    pub(crate) fn gives_way(&self) -> bool {
        self.contention.is_high()
    }

    /// Calls `look` until it finds something or patience runs out.
    pub(crate) fn spin<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let start = now();
        self.contention.look(start);
        if self.gives_way() {
            return look();
        }
        // Ordering: Relaxed throughout, one thread.
        let most = Duration::from_nanos(self.nanos.load(Ordering::Relaxed).into());
        let mut give_way = LEAST;
        loop {
            for _ in 0..LOOKS {
                let found = look();
                if found.is_some() {
                    return found;
                }
                spin_loop();
            }
            let spun = now().saturating_duration_since(start);
            if spun >= most {
                return None;
            }
            if spun >= give_way {
                give_way *= 2;
                thread::yield_now();
            }
        }
    }

    /// Learns from a sleep that began at `since` and has just ended. `woken`: by somebody, and not by
    /// the clock, as was known before.
    pub(crate) fn slept(&self, since: Instant, woken: bool) {
        let now = now();
        self.contention.look(now);
        let patience = if woken && now.saturating_duration_since(since) < SHORT {
            MOST
        } else {
            let before = Duration::from_nanos(self.nanos.load(Ordering::Relaxed).into());
            (before / 2).max(LEAST)
        };
        self.nanos
            .store(patience.as_nanos() as u32, Ordering::Relaxed);
    }
}
