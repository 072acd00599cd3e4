//! The loop of an M that holds a P: find a G, run it, and so on.

use super::Shared;
use crate::engine::current::{self, Context};
use crate::engine::idle::Unspun;
use crate::engine::machine::Machine;
use crate::engine::primitive::spin_loop;

use crate::engine::processor::Processor;
use crate::engine::queue::RawG;

use crate::engine::task::Gp;

/// How many Gs may come from runnext, before those in the ring, in a round of so many turns.
///
/// They share one time slice, as in Go, but a pair that passes a token to and fro, or a chain of
/// tasks each spawning the next, must not keep the ring waiting for ever (golang/go#52934). And a
/// task that joins many others is not polled after each of them: from some point on it finds
/// several of them done.
const INHERIT: u32 = 16;
pub(super) const ROUND: u32 = 61;

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
    /// It met a G that only an M which stays may run, and is none. The M holds its P.
    HandsOver,
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
            unsafe { pp.note_taken() };
        }
        // A root that wakes itself while it is polled yields to at least one G, and one that is
        // woken by every G, as when it joins many, is polled as often as a G in runnext would be.
        let mut may_leave = false;
        loop {
            let Some(pp) = context.pp() else {
                return Left::NoP;
            };
            if self.stopping() {
                return self.leave(Left::Stop, spinning);
            }
            if m.is_root() {
                if context.take_hands_over() {
                    return self.leave(Left::HandsOver, spinning);
                }
                if may_leave && m.root_is_woken() && self.inherits(pp) {
                    return self.leave(Left::Root, spinning);
                }
            }
            may_leave = true;
            let gp = match self.next(m, pp) {
                Some(gp) => gp,
                None => match self.find(pp, m, &mut spinning) {
                    Found::G(gp) => gp,
                    Found::Nothing => return Left::Idle { spinning },
                    Found::Interrupted(left) => return self.leave(left, spinning),
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

    /// Leaves the loop with something else to do than to look for work.
    #[cold]
    fn leave(&self, left: Left, spinning: bool) -> Left {
        if spinning {
            self.found_while_spinning();
        }
        left
    }

    /// Polls `gp` once.
    #[inline]
    fn execute(&self, pp: &Processor, gp: RawG) {
        pp.stats.polls.add(1);
        // SAFETY: our caller holds it.
        Shared::end_of_wait(pp, unsafe { pp.own() }, gp);
        current::refill_budget();
        // SAFETY: an entry of a queue is the right to run one G, and we took it out.
        unsafe { Gp::from_raw(gp) }.run();
    }

    fn interrupted(&self, m: &Machine) -> Option<Left> {
        if self.stopping() {
            Some(Left::Stop)
        } else if m.is_root() && m.root_is_woken() {
            Some(Left::Root)
        } else {
            None
        }
    }

    /// The next G of `pp`'s own queues, of those that only `m` may run, or now and then of the
    /// global queue.
    #[inline]
    fn next(&self, m: &Machine, pp: &Processor) -> Option<RawG> {
        // SAFETY: our caller holds it.
        let own = unsafe { pp.own() };
        if own.rota.passes()
            && let Some(gp) = self.now_and_then(pp)
        {
            return Some(gp);
        }
        // SAFETY: this is the M's thread.
        if let Some(gp) = unsafe { m.bound.next_in_turn(|| !pp.is_empty()) } {
            return Some(gp);
        }
        if let Some(gp) = pp.runnext.take() {
            // With an empty ring there is nobody before whom it would run.
            if pp.ring.is_empty() || self.inherits(pp) {
                return Some(gp);
            }
            // SAFETY: our caller holds it.
            unsafe { pp.ring.push(gp, &self.overflow_of(pp)) };
        }
        // SAFETY: our caller holds it.
        unsafe { pp.ring.pop() }
    }

    /// What is due in this turn of `pp`, but not in each. A G, if one is to run before all others.
    #[cold]
    fn now_and_then(&self, pp: &Processor) -> Option<RawG> {
        // SAFETY: our caller holds it.
        let own = unsafe { pp.own() };
        let config = &self.config;
        let intervals = [ROUND, config.event_interval, config.global_queue_interval];
        let [round, events, global] = own.rota.due(intervals);
        if round {
            own.inherited.set(0);
        }
        if events {
            self.run_all_timers(Some(pp));
            self.poll_netpoll(pp);
        }
        // One G, as in Go: a batch would push the ring's own Gs out again.
        global.then(|| self.take_global(pp, 0)).flatten()
    }

    /// Whether what was just made ready may run at once, before what waits in the ring.
    #[inline]
    fn inherits(&self, pp: &Processor) -> bool {
        // SAFETY: our caller holds it.
        let inherited = unsafe { &pp.own().inherited };
        let may = inherited.get() < INHERIT;
        if may {
            inherited.set(inherited.get() + 1);
        }
        may
    }

    /// A fair share of the global queue: one G to run, up to `room` others into the ring.
    fn take_global(&self, pp: &Processor, room: usize) -> Option<RawG> {
        if self.global.is_empty() {
            return None;
        }
        let overflow = self.overflow_of(pp);
        self.global.take(self.procs.len(), room, |gp| {
            // SAFETY: our caller holds `pp`.
            unsafe { pp.ring.push(gp, &overflow) };
        })
    }

    /// Work from elsewhere, for an M whose own queues are empty.
    fn find(&self, pp: &Processor, m: &Machine, spinning: &mut bool) -> Found {
        if self.run_timers(pp)
            && let Some(found) = self.woken_here(pp, m)
        {
            return found;
        }
        if let Some(left) = self.interrupted(m) {
            return Found::Interrupted(left);
        }
        // SAFETY: this is the M's thread.
        if let Some(gp) = unsafe { m.bound.next() } {
            return Found::G(gp);
        }
        if let Some(gp) = self.take_global(pp, pp.ring.room()) {
            return Found::G(gp);
        }
        // Before the events, of which there may always be some.
        if self.netpoll.is_used()
            && let Some(gp) = self.steal_from_stuck(pp, m)
        {
            return Found::G(gp);
        }
        // Where the processor is wanted by others, they are what the events are to come from: the longer
        // they run, the more events there are at once.
        let asks = || !m.patience.gives_way();
        if asks()
            && self.poll_netpoll(pp)
            && let Some(found) = self.woken_here(pp, m)
        {
            return found;
        }
        if !*spinning {
            if !self.idle.start_spinning() {
                return self.linger(pp, m);
            }
            *spinning = true;
        }
        let found = m.patience.spin(|| {
            if self.run_timers(pp) {
                return self.woken_here(pp, m);
            }
            if asks() && self.poll_netpoll(pp) {
                return self.woken_here(pp, m);
            }
            self.await_bound(m).or_else(|| {
                let stolen = self.steal(pp, m);
                stolen
                    .or_else(|| self.take_global(pp, pp.ring.room()))
                    .map(Found::G)
            })
        });
        match found {
            None | Some(Found::Nothing) => {}
            Some(found) => return found,
        }
        if let Some(gp) = self.steal_any(pp, m) {
            return Found::G(gp);
        }
        let woken = self.run_rested_timers(pp);
        woken
            .then(|| self.woken_here(pp, m))
            .flatten()
            .unwrap_or_else(|| {
                pp.stats.noops.add(1);
                Found::Nothing
            })
    }

    /// What there is to do for an M that had nothing before it woke somebody.
    #[cold]
    fn woken_here(&self, pp: &Processor, m: &Machine) -> Option<Found> {
        // SAFETY: this is the M's thread.
        let bound = || unsafe { m.bound.next() };
        self.next(m, pp)
            .or_else(bound)
            .map(Found::G)
            .or_else(|| self.interrupted(m).map(Found::Interrupted))
    }

    /// Waits a moment for the Gs of `m` that others may be about to wake, without looking for other
    /// work: two stackful Gs on two Ms that take turns would each time find the other's M asleep.
    fn linger(&self, pp: &Processor, m: &Machine) -> Found {
        // SAFETY: this is the M's thread.
        if unsafe { m.bound.is_free() } {
            return Found::Nothing;
        }
        let found = m.patience.spin(|| {
            if self.run_timers(pp) {
                return self.woken_here(pp, m);
            }
            if self.netpoll.is_unwatched() {
                return Some(Found::Nothing);
            }
            self.await_bound(m)
        });
        found.unwrap_or(Found::Nothing)
    }

    /// Looks for the Gs of `m`, for a moment if it has any, and for a reason to leave: much cheaper
    /// than a look at other Ps, so it is done more often.
    #[inline]
    fn await_bound(&self, m: &Machine) -> Option<Found> {
        /// How often, for each look at the other Ps. A guess.
        const LOOKS: u32 = 8;

        if let Some(left) = self.interrupted(m) {
            return Some(Found::Interrupted(left));
        }
        // SAFETY: this is the M's thread.
        if unsafe { m.bound.is_free() } {
            return None;
        }
        for _ in 0..LOOKS {
            // SAFETY: this is the M's thread.
            if let Some(gp) = unsafe { m.bound.next() } {
                return Some(Found::G(gp));
            }
            spin_loop();
        }
        None
    }

    /// Stops spinning because there is something to do; wakes a successor if there is more.
    fn found_while_spinning(&self) {
        if self.idle.stop_spinning() == Unspun::Last && self.work_visible() {
            self.wakep();
        }
    }
}
