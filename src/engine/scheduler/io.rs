//! Sockets: who watches them, and how those who wait for them are woken. The steps V are those of the
//! essay in `mod.rs`.

use super::Shared;
use super::wake::wake_all;
use crate::engine::machine::Machine;
#[cfg(feature = "net")]
use crate::engine::netpoll::Netpoll;
use crate::engine::primitive::{Ordering, fence};
use crate::engine::processor::Processor;
use crate::engine::sys;
use std::task::Waker;
use std::time::Duration;

/// How a sleep ended.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slept {
    /// There was a token, or events.
    Woken,
    /// The time ran out.
    TimedOut,
}

impl Shared {
    /// Where its sockets are registered.
    #[cfg(feature = "net")]
    pub(crate) fn netpoll(&self) -> &crate::engine::primitive::Arc<Netpoll> {
        &self.netpoll
    }

    /// V2, after a socket was registered.
    #[cfg(feature = "net")]
    #[inline(never)] // See `current.rs`.
    pub(crate) fn note_registered(&self) {
        if self.held_p().is_none() {
            self.see_to_watching();
        }
    }

    /// V3: has an M watch the sockets, if there are any and nobody sees to them.
    pub(super) fn see_to_watching(&self) {
        // Ordering: SeqCst, partner of the fence in P2, see V3.
        fence(Ordering::SeqCst);
        if self.netpoll.is_unwatched() && self.idle.wants_wake() && !self.stopping() {
            self.wakep();
        }
    }

    /// Asks for events without waiting, and wakes those who waited for them. Whether there were any.
    pub(super) fn poll_netpoll(&self, pp: &Processor) -> bool {
        if !self.netpoll.is_used() {
            return false;
        }
        // SAFETY: our caller holds the P.
        let kept = unsafe { &pp.own().wakers };
        let mut wakers = kept.take();
        if let Some(mut seat) = self.netpoll.try_sit() {
            seat.poll(Some(Duration::ZERO), &mut wakers);
        }
        let any = !wakers.is_empty();
        self.wake_batch(pp, &mut wakers);
        kept.replace(wakers);
        any
    }

    /// P4 and V1: sleeps until there is a token, or for at most `timeout`; in the netpoller if there are
    /// sockets, `m` is one that `watches`, and nobody does yet, which may also end with `wakers` to be
    /// woken.
    pub(super) fn sleep(
        &self,
        m: &Machine,
        watches: bool,
        timeout: Option<Duration>,
        wakers: &mut Vec<Waker>,
    ) -> Slept {
        let seat = if watches && self.netpoll.is_used() {
            self.netpoll.try_sit()
        } else {
            None
        };
        let woken = match (seat, timeout) {
            (Some(mut seat), timeout) => {
                seat.watch();
                let until = timeout.and_then(|t| sys::now().checked_add(t));
                // A signal or an old wake-up may end it without a token and before its time.
                m.park_watching(&mut seat, timeout, wakers)
                    || !wakers.is_empty()
                    || until.is_none_or(|until| sys::now() < until)
            }
            (None, Some(timeout)) => m.park_timeout(timeout),
            (None, None) => {
                m.park();
                true
            }
        };
        if woken { Slept::Woken } else { Slept::TimedOut }
    }

    /// Ends all waits for sockets.
    pub(super) fn shut_netpoll(&self) {
        let mut wakers = Vec::new();
        self.netpoll.shut(&mut wakers);
        wake_all(&mut wakers);
    }
}
