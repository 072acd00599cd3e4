//! The parking side, P1 to P4.

use super::Shared;
use super::threads::Listed;
use super::time::as_runner;
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
        let mut surplus_since = None;
        let woken = loop {
            // P3.
            let (due, earliest) = self.look_at_timers();
            if let Some(woken) = self.look_again(m, &mut listed, due) {
                break woken;
            }
            if !hooked {
                hooked = true;
                call_hook("on_thread_park", self.config.hooks.park.as_ref());
                // The hook may have made work.
                continue;
            }
            if self.advance_clock(m, earliest) {
                continue;
            }
            // P4.
            let since = sys::now();
            let alarm = if self.watches(m) {
                self.set_alarm(earliest)
            } else {
                None
            };
            let leaves_in = (listed == Listed::Surplus).then(|| {
                let idle = since.saturating_duration_since(*surplus_since.get_or_insert(since));
                self.config.keep_alive.saturating_sub(idle)
            });
            let timeout = match (alarm, leaves_in) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            let timed_out = match timeout {
                Some(timeout) => !m.park_timeout(timeout),
                None => {
                    m.park();
                    false
                }
            };
            if alarm.is_some() {
                self.unset_alarm();
            }
            m.patience.slept(since, !timed_out);
            if let Some(order) = m.take_order() {
                break Woken::Ordered(order);
            }
            if timed_out && timeout == leaves_in && self.threads.unlist(m) {
                break Woken::Ordered(Order::Exit);
            }
        };
        if let Woken::Ordered(Order::Exit | Order::Block | Order::Decay) = woken {
            // Others have to watch the timers.
            self.leave_timers();
        }
        m.bound.wake_up();
        if hooked {
            call_hook("on_thread_unpark", self.config.hooks.unpark.as_ref());
        }
        woken
    }

    /// Whether `m` runs Gs of its own accord, and so sees to timers: where only threads in `block_on`
    /// run tasks, those that run blocking closures do not.
    fn watches(&self, m: &Machine) -> bool {
        self.config.multi || m.is_root() || m.is_host()
    }

    /// Sets a clock that is stopped forward to the next timer, if nothing else can happen.
    fn advance_clock(&self, m: &Machine, earliest: u64) -> bool {
        #[cfg(feature = "test-util")]
        return self.watches(m) && self.advance_to_timer(earliest);
        #[cfg(not(feature = "test-util"))]
        let _ = (m, earliest);
        #[cfg(not(feature = "test-util"))]
        false
    }

    /// P3: a reason not to sleep, if there is one; `due`: a timer is.
    fn look_again(&self, m: &Arc<Machine>, listed: &mut Listed, due: bool) -> Option<Woken> {
        let watches = self.watches(m);
        if due && watches && self.idle.counts().idle() == 0 {
            // Those that hold the Ps may be busy for long.
            as_runner(|| self.run_all_timers(None));
        }
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
            let work = (due && watches) || self.work_visible();
            let work = self.stopping() || (work && self.idle.counts().idle() > 0);
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
