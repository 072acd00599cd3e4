//! Who waits for what was lent.

use crate::engine::primitive::Arc;
use crate::engine::scheduler::give_way;
use crate::engine::scheduler::stackful::{Stacked, held};
use crate::engine::sys::Parker;
use std::task::{Wake, Waker};

/// Who waits, and how.
#[derive(Debug)]
pub(super) enum Lender {
    /// A G, which leaves its stack meanwhile.
    G(Stacked),
    /// A thread, which is blocked meanwhile.
    Thread(Arc<Unparks>),
}

#[derive(Debug)]
pub(super) struct Unparks(Parker);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        let _woken = self.0.unpark();
    }
}

impl Lender {
    /// This thread.
    pub(super) fn thread() -> Lender {
        Lender::Thread(Arc::new(Unparks(Parker::new())))
    }

    /// Wakes it.
    pub(super) fn waker(&self) -> Waker {
        match self {
            Lender::G(stacked) => stacked.waker(),
            Lender::Thread(unparks) => unparks.clone().into(),
        }
    }

    /// Waits until `done`, and calls `aborted` if the G is told to unwind meanwhile.
    pub(super) fn hold_until(&self, done: impl Fn() -> bool, mut aborted: impl FnMut()) {
        match self {
            Lender::G(stacked) => stacked.hold_until(done, aborted),
            Lender::Thread(unparks) => {
                // Once is enough.
                let mut held = held(&self.waker());
                give_way(|| {
                    while !done() {
                        if held.take_if(|held| held.is_aborted()).is_some() {
                            aborted();
                        }
                        unparks.0.park();
                    }
                });
            }
        }
    }
}
