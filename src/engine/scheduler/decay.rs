//! Giving the memory of unused stacks back, on a thread of the pool, while there is any.

use super::Shared;
use crate::engine::machine::Machine;
#[cfg(stackful)]
use crate::engine::machine::Order;
use crate::engine::primitive::Arc;
#[cfg(stackful)]
use crate::engine::primitive::Ordering;
#[cfg(stackful)]
use crate::engine::sys;

impl Shared {
    /// Sees to it that a thread does it, unless one does already.
    #[cfg(stackful)]
    #[cold]
    pub(super) fn arrange_decay(&self) {
        // Ordering: SeqCst, partner of the exchange in `decay`: whoever finds that somebody does it
        // comes before that one has looked for the last time.
        if self.stopping() || self.decaying.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(machine) = self.threads.take_parked_pool() {
            machine.give(Order::Decay);
        } else if self.start_thread(Order::Decay).is_err() {
            // The next stack that comes back tries again.
            self.decaying.store(false, Ordering::Relaxed);
        }
    }

    /// Does it, from time to time, until there is nothing left to give back.
    #[cfg(stackful)]
    pub(super) fn decay(&self, m: &Arc<Machine>) {
        self.stop.join(m);
        while !self.stopping() {
            match self.stacks.decay(sys::now()) {
                Some(pause) => {
                    m.park_timeout(pause);
                }
                None => break,
            }
        }
        self.stop.leave(m);
        // Ordering: SeqCst, see `arrange_decay`.
        self.decaying.swap(false, Ordering::SeqCst);
        if self.stacks.wants_decay() {
            // A stack came back after the last look, and its giver relied on us.
            self.arrange_decay();
        }
    }

    /// There are no stacks.
    #[cfg(not(stackful))]
    pub(super) fn decay(&self, _: &Arc<Machine>) {}
}
