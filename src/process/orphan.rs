//! Processes whose `Child` was dropped: who asks for their exit status when they end.
//!
//! An orphan is its own waker: it has no task, and is looked after by whoever finds the event of its end
//! in the netpoller. What is left when a runtime ends is taken over by the next one that starts a process.

use super::watched::Watched;
use crate::runtime::Handle;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Those that no runtime watches.
static LEFT: Mutex<Vec<Child>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that is waited for by nobody. Empty when it has ended.
struct Orphan(Mutex<Option<Watched>>);

/// Sees to it that the exit status of a process is asked for when it has ended.
pub(super) fn leave(mut watched: Watched) {
    if has_ended(&mut watched.child) {
        return;
    }
    Arc::new(Orphan(Mutex::new(Some(watched)))).look();
}

/// Takes over those that are left of runtimes that are gone.
pub(super) fn take_over(handle: &Handle) {
    let left = std::mem::take(&mut *lock(&LEFT));
    for mut child in left {
        if has_ended(&mut child) {
            continue;
        }
        match Watched::new(handle, child) {
            Ok(watched) => leave(watched),
            Err((child, _no_descriptors)) => lock(&LEFT).push(child),
        }
    }
}

/// Whether it has ended, and its status was asked for by that, or by somebody else before.
fn has_ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}

impl Orphan {
    /// Asks for the status if it has ended, and is woken if it has not.
    fn look(self: &Arc<Self>) {
        let waker = Waker::from(self.clone());
        let cx = Context::from_waker(&waker);
        // A wait for such an event wakes nobody by itself, so nobody comes here with the lock held.
        let mut place = lock(&self.0);
        let Some(watched) = &mut *place else { return };
        if let Poll::Ready(result) = watched.poll_wait(&cx) {
            let watched = place.take();
            drop(place);
            if let Some(Watched { mut child, .. }) = watched
                && result.is_err()
                && !has_ended(&mut child)
            {
                lock(&LEFT).push(child);
            }
        }
    }
}

impl Wake for Orphan {
    fn wake(self: Arc<Self>) {
        self.look();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.look();
    }
}
