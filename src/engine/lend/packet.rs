//! What a child of a scope leaves to its handle. Both may be anywhere, and whichever comes last drops
//! what is left.

use crate::engine::primitive::{Arc, AtomicBool, AtomicUsize, Ordering, Watched};

const RUNNING: usize = 0;
/// The result is there, if there is one, and the handle's.
const DONE: usize = 1;
/// The handle is gone, and the result is the child's to drop.
const DETACHED: usize = 2;

#[derive(Debug)]
struct Packet<T> {
    state: AtomicUsize,
    /// The handle asked the child to end.
    aborted: AtomicBool,
    result: Watched<Option<T>>,
}

// SAFETY: the state says whose the result is: one thread's at a time.
unsafe impl<T: Send> Send for Packet<T> {}
// SAFETY: as above; nobody refers to it in place.
unsafe impl<T: Send> Sync for Packet<T> {}

/// The child's side.
#[derive(Debug)]
pub(crate) struct Giver<T>(Arc<Packet<T>>);

/// The handle's side.
#[derive(Debug)]
pub(crate) struct Taker<T>(Arc<Packet<T>>);

/// Both sides.
pub(crate) fn packet<T>() -> (Giver<T>, Taker<T>) {
    let packet = Arc::new(Packet {
        state: AtomicUsize::new(RUNNING),
        aborted: AtomicBool::new(false),
        result: Watched::new(None),
    });
    (Giver(packet.clone()), Taker(packet))
}

impl<T> Giver<T> {
    /// Whether the handle has asked the child to end.
    pub(crate) fn was_aborted(&self) -> bool {
        // Ordering: Relaxed, a child that ends because it was asked to has seen more than this.
        self.0.aborted.load(Ordering::Relaxed)
    }

    /// Leaves `result`, or says that there is none. It comes back if the handle is gone.
    ///
    /// After this the child has no part in the packet: a result that it has left is dropped by the
    /// handle, or with it, and never because the child's side goes last.
    pub(crate) fn finish(self, result: Option<T>) -> Option<T> {
        // SAFETY: until the state says otherwise the result is ours.
        self.0.result.with_mut(|place| unsafe { *place = result });
        // Ordering: Release, partner of the Acquire in `is_done` and `leave`: the handle sees the
        // result. Relaxed where it is gone: it has not touched the result.
        let changed =
            self.0
                .state
                .compare_exchange(RUNNING, DONE, Ordering::Release, Ordering::Relaxed);
        match changed {
            Ok(_) => None,
            // SAFETY: the handle left it to us, for good: it finds `DETACHED` if it asks again.
            Err(_) => self.0.result.with_mut(|result| unsafe { (*result).take() }),
        }
    }
}

impl<T> Taker<T> {
    /// Notes that the child is asked to end, before it is.
    pub(crate) fn note_abort(&self) {
        // Ordering: Relaxed, see where it is read.
        self.0.aborted.store(true, Ordering::Relaxed);
    }

    /// Whether that was noted.
    pub(crate) fn was_aborted(&self) -> bool {
        // Ordering: Relaxed, by the thread that noted it, or one that the handle was sent to.
        self.0.aborted.load(Ordering::Relaxed)
    }

    /// Whether the child may be running still.
    pub(crate) fn is_running(&self) -> bool {
        // Ordering: Relaxed, nothing is concluded about the result.
        self.0.state.load(Ordering::Relaxed) == RUNNING
    }

    /// Whether the child is done.
    pub(crate) fn is_done(&self) -> bool {
        // Ordering: Acquire, partner of the Release in `finish`.
        self.0.state.load(Ordering::Acquire) == DONE
    }

    /// The result, if the child is done, left one, and it was not taken.
    pub(crate) fn take(&mut self) -> Option<T> {
        if !self.is_done() {
            return None;
        }
        // SAFETY: the state says that it is ours.
        self.0.result.with_mut(|result| unsafe { (*result).take() })
    }

    /// The handle goes away: a result that it has not taken, for the caller to drop. If there is none
    /// yet, it is the child's.
    pub(crate) fn leave(&mut self) -> Option<T> {
        // Ordering: Acquire, partner of the Release in `finish`.
        match self.0.state.swap(DETACHED, Ordering::Acquire) {
            // SAFETY: the state said that it is ours.
            DONE => self.0.result.with_mut(|result| unsafe { (*result).take() }),
            _ => None,
        }
    }
}
