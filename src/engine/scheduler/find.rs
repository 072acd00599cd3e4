//! The loop of an M that holds a P: find a G, run it, and so on.

use super::Shared;
use crate::engine::current::{self, Context};
use crate::engine::idle::Unspun;
use crate::engine::machine::Machine;
use crate::engine::primitive::spin_loop;
use crate::engine::processor::Processor;
use crate::engine::queue::RawG;
use crate::engine::sys;
use crate::engine::task::Gp;

/// How many Gs in a row may come from runnext: they share one time slice, as in Go, but a pair
/// that passes a token to and fro, or a chain of tasks each spawning the next, must not keep the
/// ring waiting for ever (golang/go#52934).
const INHERIT: u32 = 16;

/// How many times a spinning M looks around before it parks: some ten microseconds, about what a
/// futex sleep and wake-up cost here.
const ROUNDS: u32 = 400;

/// Why an M left the loop.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The root future wants to be polled. The M holds its P and does not spin.
    Root,
    /// There is nothing to do. The M holds its P, and spins if `spinning`.
    Idle {
        /// Whether it is still counted as spinning.
        spinning: bool,
    },
    /// A G gave the P away in `block_in_place`, and none was idle when it ended.
    NoP,
    /// The runtime is shutting down. The M holds its P.
    Stop,
}

enum Found {
    G(RawG),
    Nothing,
    Interrupted(Left),
}

impl Shared {
    /// Runs Gs until there is a reason to leave. `spinning`: the M is counted as spinning already.
    pub(super) fn run(&self, m: &Machine, context: &Context, mut spinning: bool) -> Left {
        if let Some(pp) = context.pp() {
            // SAFETY: we hold it.
            unsafe { pp.own() }.busy_since.set(Some(sys::now()));
        }
        loop {
            let Some(pp) = context.pp() else {
                return Left::NoP;
            };
            if let Some(left) = self.interrupted(m) {
                if spinning {
                    self.found_while_spinning();
                }
                return left;
            }
            let gp = match self.next(pp) {
                Some(gp) => gp,
                None => match self.find(pp, m, &mut spinning) {
                    Found::G(gp) => gp,
                    Found::Nothing => return Left::Idle { spinning },
                    Found::Interrupted(left) => {
                        self.found_while_spinning();
                        return left;
                    }
                },
            };
            if spinning {
                spinning = false;
                self.found_while_spinning();
            } else if !pp.ring.is_empty() && self.idle.wants_wake() {
                // S3 once more, for pushes whose own check was not fenced.
                self.wakep();
            }
            self.execute(pp, gp);
        }
    }

    /// Polls `gp` once.
    #[inline]
    fn execute(&self, pp: &Processor, gp: RawG) {
        pp.stats.polls.add(1);
        current::refill_budget();
        // SAFETY: an entry of a queue is the right to run one G, and we took it out.
        unsafe { Gp::from_raw(gp) }.run();
    }

    #[inline]
    fn interrupted(&self, m: &Machine) -> Option<Left> {
        if m.is_root() && m.root_is_woken() {
            Some(Left::Root)
        } else if self.stopping() {
            Some(Left::Stop)
        } else {
            None
        }
    }

    /// The next G of `pp`'s own queues, or now and then of the global one.
    #[inline]
    fn next(&self, pp: &Processor) -> Option<RawG> {
        // SAFETY: our caller holds it.
        let own = unsafe { pp.own() };
        let tick = own.tick.get() + 1;
        if tick >= self.config.global_queue_interval {
            own.tick.set(0);
            if let Some(gp) = self.take_global(pp) {
                return Some(gp);
            }
        } else {
            own.tick.set(tick);
        }
        if let Some(gp) = pp.runnext.take() {
            let inherited = own.inherited.get() + 1;
            if inherited <= INHERIT {
                own.inherited.set(inherited);
                return Some(gp);
            }
            // SAFETY: our caller holds it.
            unsafe { pp.ring.push(gp, &self.overflow_of(pp)) };
        }
        own.inherited.set(0);
        // SAFETY: our caller holds it.
        unsafe { pp.ring.pop() }
    }

    /// A fair share of the global queue: one G to run, the others into the ring.
    fn take_global(&self, pp: &Processor) -> Option<RawG> {
        if self.global.is_empty() {
            return None;
        }
        let overflow = self.overflow_of(pp);
        self.global.take(self.procs.len(), pp.ring.room(), |gp| {
            // SAFETY: our caller holds `pp`.
            unsafe { pp.ring.push(gp, &overflow) };
        })
    }

    /// Work from elsewhere, for an M whose own queues are empty.
    fn find(&self, pp: &Processor, m: &Machine, spinning: &mut bool) -> Found {
        if let Some(gp) = self.take_global(pp) {
            return Found::G(gp);
        }
        if !*spinning {
            if !self.idle.start_spinning() {
                return Found::Nothing;
            }
            *spinning = true;
        }
        for _ in 0..ROUNDS {
            if let Some(gp) = self.steal(pp).or_else(|| self.take_global(pp)) {
                return Found::G(gp);
            }
            if let Some(left) = self.interrupted(m) {
                return Found::Interrupted(left);
            }
            spin_loop();
        }
        match self.steal_runnext(pp) {
            Some(gp) => Found::G(gp),
            None => {
                pp.stats.noops.add(1);
                Found::Nothing
            }
        }
    }

    /// Stops spinning because there is something to do; wakes a successor if there is more.
    fn found_while_spinning(&self) {
        if self.idle.stop_spinning() == Unspun::Last && self.work_visible() {
            self.wakep();
        }
    }
}
