//! S3: finding a thread for a P.

use super::Shared;
use crate::engine::current::{self, Context, Role};
use crate::engine::machine::Order;
use crate::engine::processor::Processor;
use crate::engine::task::Gp;
use crate::engine::util::panics;
use std::task::Waker;

/// Counts an overflow of `pp` on its way to the global queue.
pub(super) struct OverflowOf<'a> {
    shared: &'a Shared,
    pp: &'a Processor,
}

impl crate::engine::queue::Overflow for OverflowOf<'_> {
    fn overflow(&self, batch: &[crate::engine::queue::RawG]) {
        self.pp.stats.overflows.add(1);
        self.shared.global.overflow(batch);
    }
}

impl Shared {
    pub(super) fn overflow_of<'a>(&'a self, pp: &'a Processor) -> OverflowOf<'a> {
        OverflowOf { shared: self, pp }
    }

    /// Wakes an M for work that was just made visible, if a P is idle and nobody spins.
    #[cold]
    pub(super) fn wakep(&self) {
        while let Some(pp) = self.idle.claim_to_wake() {
            if self.startm(pp, true) || !self.threads.any_parked(!self.config.multi) {
                return;
            }
            // An M went on the list after we had looked and before we gave the P back. It may have
            // seen no idle P, and relies on us.
        }
    }

    /// Gives P `pp` to an M: a parked one, else a new thread. `false` if there is none to be had;
    /// then the P is idle again.
    pub(super) fn startm(&self, pp: usize, spinning: bool) -> bool {
        let order = Order::Run { pp, spinning };
        if let Some(machine) = self.threads.take_parked(!self.config.multi) {
            machine.give(order);
            return true;
        }
        if self.config.multi {
            match self.start_thread(order) {
                Ok(()) => return true,
                Err(error) => self.threads.complain(&error),
            }
        }
        self.release_p(pp, spinning);
        false
    }

    /// P2 for whoever holds P number `pp`, which in the middle of a shutdown is idle for good.
    pub(super) fn release_p(&self, pp: usize, spinning: bool) {
        self.idle.release(pp, spinning);
        if self.stopping() {
            self.surrender_idle_elsewhere();
        }
    }

    /// Wakes those who waited for events, for the holder of `pp`. What several make ready comes to the
    /// end of its ring, in order, and then an M is woken to share it, which wakes the next.
    pub(super) fn wake_batch(&self, pp: &Processor, wakers: &mut Vec<Waker>) {
        if wakers.len() < 2 {
            wake_all(wakers);
            return;
        }
        let push = |gp| {
            // SAFETY: our caller holds it, and no waker gives it away.
            unsafe { pp.ring.push(gp, &self.overflow_of(pp)) }
        };
        let before = pp.runnext.take();
        wake_each(wakers, || {
            debug_assert!(self.held_p().is_some_and(|held| held.id() == pp.id()));
            // Nobody is woken for what is alone in runnext.
            if let Some(gp) = pp.runnext.take() {
                push(gp);
            }
        });
        if let Some(gp) = before.and_then(|gp| pp.runnext.replace(gp)) {
            push(gp);
        }
        // S3; the holder runs one of them itself.
        if pp.ring.len() > 1 && self.idle.wants_wake() {
            self.wakep();
        }
    }

    /// Gives the P in `context`, of a thread that may leave, to an M that stays.
    #[cold]
    pub(super) fn hand_over(&self, context: &Context) {
        let Some(pp) = context.pp() else {
            return;
        };
        let order = Order::Run {
            pp: pp.id(),
            spinning: false,
        };
        let machine = self.threads.take_parked_to_stay();
        if machine.is_none()
            && let Err(error) = self.start_thread(order)
        {
            // It is still ours, and nobody runs what is in runnext: the G that it is about.
            self.threads.complain(&error);
            if let Some(gp) = pp.runnext.take() {
                // SAFETY: we took the right to run it out of a queue.
                drop(unsafe { Gp::from_raw(gp) });
            }
            return;
        }
        context.set_pp(None);
        if let Some(machine) = machine {
            machine.give(order);
        }
    }

    /// Gives up a P whose thread goes on to do something else: to another M if there is anything
    /// to run.
    pub(super) fn handoff(&self, pp: &Processor) {
        // SAFETY: our caller holds it until now.
        unsafe { pp.note_given_up() };
        if !pp.is_empty() || !self.global.is_empty() {
            self.startm(pp.id(), false);
        } else {
            self.release_p(pp.id(), false);
            self.leave_timers();
        }
        // A push may have relied on this P, or the M that was started is one while there is work
        // for more.
        if self.work_visible() && self.idle.wants_wake() {
            self.wakep();
        }
        // V3.
        self.see_to_watching();
    }
}

/// Wakes them all: with a P held they go to its ring.
///
/// They may be the user's code, which must not block here, as in a poll, and cannot give a P away
/// that is held; a panic in one is reported by the hook and keeps no other from being woken.
pub(super) fn wake_all(wakers: &mut Vec<Waker>) {
    wake_each(wakers, || ());
}

/// As `wake_all`, and calls `after` after each of them.
fn wake_each(wakers: &mut Vec<Waker>, mut after: impl FnMut()) {
    if wakers.is_empty() {
        return;
    }
    current::set_budget(None);
    let role = current::set_role(Role::Waking);
    for waker in wakers.drain(..) {
        if let Err(payload) = panics::caught(|| waker.wake()) {
            panics::discard(payload);
        }
        after();
    }
    current::set_role(role);
}
