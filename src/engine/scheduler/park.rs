//! The parking side, P1 to P4.

use super::Shared;
use super::io::Slept;
use super::threads::Listed;
use super::time::{Alarm, as_runner};
use super::wake::wake_all;
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
                } else if !self.watches(m) {
                    // P3, by others.
                    self.leave_timers();
                    if self.work_visible() && self.idle.wants_wake() {
                        self.wakep();
                    }
                }
            }
            // Ordering: SeqCst, as in `release`: an M without a P may be waited for as well.
            None => fence(Ordering::SeqCst),
        }
        let watches = self.watches(m);
        if !watches {
            // V3.
            self.see_to_watching();
        }
        let mut hooked = false;
        let mut surplus_since = None;
        // Who waited for sockets, and is to be woken.
        let mut wakers = Vec::new();
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
            // P4, V1.
            let since = sys::now();
            let alarm = if watches {
                self.set_alarm(earliest)
            } else {
                Alarm::None
            };
            let rings_in = match alarm {
                Alarm::None => None,
                Alarm::First(timeout) | Alarm::Second(timeout) => Some(timeout),
            };
            let leaves_in = (listed == Listed::Surplus).then(|| {
                let idle = since.saturating_duration_since(*surplus_since.get_or_insert(since));
                self.config.keep_alive.saturating_sub(idle)
            });
            let timeout = match (rings_in, leaves_in) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            let slept = self.sleep(m, watches, timeout, &mut wakers);
            if matches!(alarm, Alarm::First(_)) {
                self.unset_alarm();
            }
            m.patience.slept(since, slept == Slept::Woken);
            if let Some(order) = m.take_order() {
                break Woken::Ordered(order);
            }
            if !wakers.is_empty() {
                if let Some(pp) = self.take_p_for_events(m, &mut listed) {
                    break Woken::Ordered(Order::Run { pp, spinning: true });
                }
                // The Ms that have the Ps find the Gs in the global queue.
                wake_all(&mut wakers);
                continue;
            }
            if slept == Slept::TimedOut && timeout == leaves_in && self.threads.unlist(m) {
                break Woken::Ordered(Order::Exit);
            }
        };
        if let Woken::Ordered(Order::Exit | Order::Block | Order::Decay) = woken {
            // Others have to watch the timers.
            self.leave_timers();
        }
        m.bound.wake_up();
        if let Woken::Ordered(Order::Run { pp, .. }) = woken {
            // So that the Gs go to its ring.
            context.set_pp(Some(&self.procs[pp]));
        }
        match context.pp() {
            Some(pp) => self.wake_batch(pp, &mut wakers),
            None => wake_all(&mut wakers),
        }
        if hooked {
            call_hook("on_thread_unpark", self.config.hooks.unpark.as_ref());
        }
        match woken {
            // It has a P, or takes one if any is idle.
            Woken::Ordered(Order::Run { .. }) | Woken::Root => {}
            // V3.
            Woken::Ordered(Order::Bound | Order::Decay | Order::Block | Order::Exit) => {
                self.see_to_watching();
            }
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

    /// An idle P for `m`, which has Gs to make ready, and is off the list then.
    fn take_p_for_events(&self, m: &Arc<Machine>, listed: &mut Listed) -> Option<usize> {
        if self.stopping() || !self.threads.unlist(m) {
            // An order is coming.
            return None;
        }
        let pp = self.idle.claim_spinning();
        if pp.is_none() {
            *listed = self.threads.list(m, self.procs.len());
        }
        pp
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
            let work = watches && (due || self.work_visible());
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
