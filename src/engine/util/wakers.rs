//! Wakers of others.

use super::panics::{caught, discard};
use crate::engine::primitive::Arc;
use std::task::{Wake, Waker};

/// A waker from outside, whose panics end here.
///
/// The engine wakes joiners and pollers in the middle of finishing or queueing a G, where a panic
/// would end the process.
struct Guarded(Waker);

/// A clone of `waker` that does not panic. The cloning may: here, in the caller's poll, where it
/// harms nobody.
#[cold]
pub(crate) fn guarded(waker: &Waker) -> Waker {
    Waker::from(Arc::new(Guarded(waker.clone())))
}

impl Wake for Guarded {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Err(payload) = caught(|| self.0.wake_by_ref()) {
            discard(payload);
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let waker = std::mem::replace(&mut self.0, Waker::noop().clone());
        if let Err(payload) = caught(|| drop(waker)) {
            discard(payload);
        }
    }
}
