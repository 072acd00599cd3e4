//! How long ready Gs wait, measured on some of them.
//!
//! Go tracks every 8th G. Two looks at the clock for each of these would cost each G 6 ns, a tenth
//! of a spawn; for every 64th it is less than one. A G that is stolen is lost sight of: what the
//! histogram shows is how long a P takes to come to its own queue.

use super::Shared;
use crate::engine::processor::{Own, Processor, Tracked};
use crate::engine::sys;
use crate::engine::task::{Gp, RawG};
use std::mem::ManuallyDrop;

/// One G in so many that a P makes ready is tracked.
const PERIOD: u32 = 64;

impl Shared {
    /// Begins to track `gp`, which is about to be queued, if it is its turn.
    #[inline]
    pub(super) fn track(own: &Own, gp: RawG) {
        let left = own.untracked.get();
        if left > 0 {
            own.untracked.set(left - 1);
        } else {
            own.untracked.set(PERIOD - 1);
            Shared::begin_tracking(own, gp);
        }
    }

    #[cold]
    fn begin_tracking(own: &Own, gp: RawG) {
        own.tracked.set(Some(Tracked {
            gp,
            id: id_of(gp),
            since: sys::now(),
        }));
    }

    /// Notes that `gp` runs now.
    #[inline]
    pub(super) fn end_of_wait(pp: &Processor, own: &Own, gp: RawG) {
        if let Some(tracked) = own.tracked.get()
            && tracked.gp == gp
        {
            own.tracked.set(None);
            // Another G may have come to live where the tracked one was, if that was stolen.
            if tracked.id == id_of(gp) {
                let waited = sys::now().saturating_duration_since(tracked.since);
                pp.stats.latency.record(waited);
            }
        }
    }
}

/// The id of a G that the caller has the right to run.
fn id_of(gp: RawG) -> crate::engine::task::Id {
    // SAFETY: both callers hold the entry of a queue, which keeps the cell alive; this only looks.
    let gp = ManuallyDrop::new(unsafe { Gp::from_raw(gp) });
    gp.metadata().id()
}
