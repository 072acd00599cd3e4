//! Lending what is on a stackful G's stack to others, who use it while the G waits.
//!
//! This is sound for the same reason as `std::thread::scope`: the G does not go on, is not unwound
//! and its stack is not freed before they are done. So the wait for them is one that neither an abort
//! nor the shutdown cuts short, and their last access to anything that was lent comes before the
//! store that ends it. What they touch after that, as the waker, belongs to themselves.

pub(crate) mod elsewhere;
pub(crate) mod scope;

use crate::engine::primitive::Arc;
use crate::engine::scheduler::stackful::Stacked;
use crate::engine::sys::Parker;
use std::task::{Wake, Waker};

/// Who waits, and how.
#[derive(Debug)]
enum Lender {
    /// A G, which leaves its stack meanwhile.
    G(Stacked),
    /// A thread, which is blocked meanwhile.
    Thread(Arc<Unparks>),
}

#[derive(Debug)]
struct Unparks(Parker);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Lender {
    fn thread() -> Lender {
        Lender::Thread(Arc::new(Unparks(Parker::new())))
    }

    /// Wakes it.
    fn waker(&self) -> Waker {
        match self {
            Lender::G(stacked) => stacked.waker(),
            Lender::Thread(unparks) => unparks.clone().into(),
        }
    }

    /// Waits until `done`, and calls `aborted` if the G is told to unwind meanwhile.
    fn hold_until(&self, done: impl Fn() -> bool, aborted: impl FnMut()) {
        match self {
            Lender::G(stacked) => stacked.hold_until(done, aborted),
            Lender::Thread(unparks) => {
                while !done() {
                    unparks.0.park();
                }
            }
        }
    }
}
