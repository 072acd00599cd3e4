//! The parking side, P1 to P4.

use super::Shared;
use super::threads::Listed;
use crate::engine::current::Context;
use crate::engine::machine::{Machine, Order, call_hook};
use crate::engine::primitive::{Arc, Ordering, fence};
use crate::engine::sys;

/// Why an M woke up.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// It was told to do something, or told itself.
    Ordered(Order),
    /// The root future wants to be polled. The M has no P.
    Root,
}

impl Shared {
    /// Gives up the P in `context`, if there is one, and sleeps until there is something to do.
    pub(super) fn park(&self, m: &Arc<Machine>, context: &Context, spinning: bool) -> Woken {
        let held = context.pp();
        context.set_pp(None);
        // SAFETY: this is the M's thread.
        unsafe { m.bound.fall_asleep() };
        // P1.
        let mut listed = self.threads.list(m, self.procs.len());
        // P2.
        match held {
            Some(pp) => {
                pp.stats.parks.add(1);
                // SAFETY: it is ours until it is released below.
                unsafe { pp.note_given_up() };
                self.idle.release(pp.id(), spinning);
                if self.stopping() {
                    // Whoever shuts down may have looked for idle Ps before this one was.
                    self.surrender_idle();
                }
            }
            // Ordering: SeqCst, as in `release`: an M without a P may be waited for as well.
            None => fence(Ordering::SeqCst),
        }
        let mut hooked = false;
        let woken = loop {
            // P3.
            if let Some(woken) = self.look_again(m, &mut listed) {
                break woken;
            }
            if !hooked {
                hooked = true;
                call_hook("on_thread_park", self.config.hooks.park.as_ref());
                // The hook may have made work.
                continue;
            }
            // P4.
            let since = sys::now();
            let timed_out = if listed == Listed::Surplus {
                !m.park_timeout(self.config.keep_alive)
            } else {
                m.park();
                false
            };
            m.patience.slept(since);
            if let Some(order) = m.take_order() {
                break Woken::Ordered(order);
            }
            if timed_out && self.threads.unlist(m) {
                break Woken::Ordered(Order::Exit);
            }
        };
        m.bound.wake_up();
        if hooked {
            call_hook("on_thread_unpark", self.config.hooks.unpark.as_ref());
        }
        woken
    }

    /// P3: a reason not to sleep, if there is one.
    fn look_again(&self, m: &Arc<Machine>, listed: &mut Listed) -> Option<Woken> {
        loop {
            if *listed == Listed::Closed {
                self.surrender_idle();
                return match m.take_order() {
                    Some(order) => Some(Woken::Ordered(order)),
                    None if m.root_is_woken() => Some(Woken::Root),
                    // A thread in `block_on` waits for its root alone.
                    None if m.is_root() => None,
                    None => Some(Woken::Ordered(Order::Exit)),
                };
            }
            let root = m.root_is_woken();
            // SAFETY: this is the M's thread.
            let bound = unsafe { m.bound.is_ready() };
            let work = self.stopping() || (self.work_visible() && self.idle.counts().idle() > 0);
            if !root && !bound && !work {
                return None;
            }
            if !self.threads.unlist(m) {
                // Somebody took us off the list: the order is here, or is coming with a token.
                return m.take_order().map(Woken::Ordered);
            }
            if root {
                return Some(Woken::Root);
            }
            if !self.stopping()
                && let Some(pp) = self.idle.claim_spinning()
            {
                return Some(Woken::Ordered(Order::Run { pp, spinning: true }));
            }
            if bound && !self.stopping() {
                return Some(Woken::Ordered(Order::Bound));
            }
            // Another M claimed the P, and looks at everything; or it is the shutdown.
            *listed = self.threads.list(m, self.procs.len());
        }
    }
}
