//! The wakers of a G: pointers to its cell, each with a reference of its own.

use super::cell::{free, header};
use super::state::{Released, Woken};
use super::{Schedule, Status};
use crate::engine::util::RawG;
use std::marker::PhantomData;
use std::task::{RawWaker, RawWakerVTable};

/// The wakers of Gs whose home is an `S`.
pub(super) struct Of<S>(PhantomData<fn() -> S>);

impl<S: Schedule> Of<S> {
    pub(super) const VTABLE: RawWakerVTable =
        RawWakerVTable::new(clone, wake::<S>, wake_by_ref::<S>, release);
}

/// The G that a waker leads to.
///
/// # Safety
/// `data` is that of a waker of a G.
#[inline]
unsafe fn cell_of(data: *const ()) -> RawG {
    // SAFETY: it is the pointer to a cell.
    unsafe { RawG::new_unchecked(data.cast_mut()) }
}

/// Has a G queued.
///
/// # Safety
/// The caller owns `gp`, whose home is an `S`, and hands it over.
#[inline]
pub(super) unsafe fn schedule<S: Schedule>(gp: RawG) {
    // SAFETY: as our caller promised; the G was idle.
    unsafe { schedule_as::<S>(gp, false) }
}

/// As `schedule`, and says whether the G was woken while it ran.
///
/// # Safety
/// As for `schedule`.
#[inline]
pub(super) unsafe fn schedule_as<S: Schedule>(gp: RawG, yielded: bool) {
    // SAFETY: a G that somebody owns has not ended and is alive.
    let header = unsafe { header(gp) };
    header.set_status(Status::Runnable);
    // SAFETY: `home` is the pointer given to `create::<_, S>`, and valid as the G has not ended.
    unsafe { S::schedule(header.home().cast(), gp, yielded) }
}

// SAFETY, of the four: they are only reached through a waker of a G, whose data is its cell. A
// waker has a reference, so the cell is alive; the one lent to the future lives on the life
// reference, and is neither dropped nor woken by value.

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: see above.
    let header = unsafe { header(cell_of(data)) };
    header.state().retain();
    RawWaker::new(data, header.vtable().waker)
}

unsafe fn wake<S: Schedule>(data: *const ()) {
    // SAFETY: see above.
    let gp = unsafe { cell_of(data) };
    // SAFETY: see above.
    match unsafe { header(gp) }.state().wake_and_release() {
        // SAFETY: the right to run it is ours.
        Woken::Queue => unsafe { schedule::<S>(gp) },
        Woken::Nothing => {}
        // SAFETY: the last reference was ours, and it has ended.
        Woken::Last => unsafe { free(gp) },
    }
}

unsafe fn wake_by_ref<S: Schedule>(data: *const ()) {
    // SAFETY: see above.
    let gp = unsafe { cell_of(data) };
    // SAFETY: see above.
    if unsafe { header(gp) }.state().wake() == Woken::Queue {
        // SAFETY: the right to run it is ours.
        unsafe { schedule::<S>(gp) }
    }
}

/// Gives up the reference of a waker.
///
/// # Safety
/// `data` is that of a waker of a G, which ends with this.
pub(super) unsafe fn release(data: *const ()) {
    // SAFETY: see above.
    let gp = unsafe { cell_of(data) };
    // SAFETY: see above.
    if unsafe { header(gp) }.state().release() == Released::Last {
        // SAFETY: the last reference was ours, so there is no life reference: it has ended.
        unsafe { free(gp) }
    }
}
