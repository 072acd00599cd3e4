//! What AddressSanitizer is told of contexts, in builds with `--cfg runnext_asan`.
//!
//! It knows of each thread which stack it is on, to unpoison the frames that a panic skips, to find
//! a variable by its address and to look for leaks; and of each stack it has a *fake stack*, memory
//! from its heap in which it lays out locals, so that one that is used after its function returned
//! is still recognised. Both have to be changed with the stack, in two halves around a switch:
//!
//! | moment | who | half |
//! |---|---|---|
//! | about to resume | resumer | [`entering`]: puts its own fake stack aside, announces the context's bounds |
//! | resumed | context | [`entered`]: puts its own fake stack in force, notes the resumer's bounds |
//! | about to suspend | context | [`leaving`]: puts its fake stack aside, announces the resumer's bounds |
//! | back | resumer | [`left`]: puts its own fake stack in force |
//!
//! What both sides need lies in a [`Record`] at the top of the context's stack, above the link, which
//! moves down by [`RESERVED`] for it.
//!
//! A context that has finished leaves its fake stack behind, as whoever resumed it may look at what
//! the value of [`finish`](super::finish) points at. [`release`] ends it, and poisons the stack: who
//! looks at it later is found out. [`prepare`] unpoisons it, whatever it was before.
//!
//! What it does not see: leaks are looked for when the process ends, on the stacks that threads are on
//! then. What only a suspended context knows counts as lost, and is reported, unless the runtime was
//! dropped before. Registering stacks as roots would not change that, for locals are mostly on fake
//! stacks, whose bounds nobody tells; but values that dead stacks still hold would hide true leaks.

use super::{ALIGN, Entry, Link};
use std::ffi::c_void;
use std::ptr::{self, NonNull};

/// What is known of a context; above its link.
#[repr(C, align(16))]
struct Record {
    entry: Entry,
    /// Its stack, from the lowest byte to this record.
    bounds: Bounds,
    /// Its fake stack while it does not run; null before it has one.
    fake: *mut c_void,
    /// The stack of who resumed it last.
    resumer: Bounds,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Bounds {
    bottom: *const c_void,
    size: usize,
}

/// How much of a stack the record takes.
pub(super) const RESERVED: usize = size_of::<Record>();
const _: () = assert!(RESERVED.is_multiple_of(ALIGN));

// The sanitizer's runtime, which the compiler links to what it instruments.
unsafe extern "C" {
    /// `save` null: the fake stack in force is freed, not put aside.
    fn __sanitizer_start_switch_fiber(save: *mut *mut c_void, bottom: *const c_void, size: usize);
    fn __sanitizer_finish_switch_fiber(
        fake: *mut c_void,
        bottom_old: *mut *const c_void,
        size_old: *mut usize,
    );
    fn __asan_poison_memory_region(address: *const c_void, size: usize);
    fn __asan_unpoison_memory_region(address: *const c_void, size: usize);
}

/// The record of the context that ends at `top`.
fn below(top: NonNull<u8>) -> *mut Record {
    top.as_ptr().wrapping_sub(RESERVED).cast()
}

/// The record of the context of `link`.
fn above(link: Link) -> *mut Record {
    link.0.as_ptr().wrapping_add(2).cast()
}

/// Makes the record of a context that will begin with `entry`: with what to begin instead.
///
/// # Safety
/// As for [`super::prepare`].
pub(super) unsafe fn prepare(limit: NonNull<u8>, top: NonNull<u8>, entry: Entry) -> Entry {
    let size = top.addr().get() - limit.addr().get();
    // SAFETY: the caller has this memory to himself. Frames that lay on it and never returned have
    // left their poison.
    unsafe {
        __asan_unpoison_memory_region(limit.as_ptr().cast(), size);
        below(top).write(Record {
            entry,
            bounds: Bounds {
                bottom: limit.as_ptr().cast(),
                size,
            },
            fake: ptr::null_mut(),
            resumer: Bounds {
                bottom: ptr::null(),
                size: 0,
            },
        });
    }
    begin
}

/// The bottom of each context's stack.
unsafe extern "C" fn begin(value: usize, link: Link) -> ! {
    // SAFETY: the context of this link was just resumed, with the record that `prepare` made; and
    // what `entry` expects is what comes here.
    unsafe {
        entered(link);
        ((*above(link)).entry)(value, link)
    }
}

/// Before a resume: what [`left`] needs.
///
/// # Safety
/// The context that ends at `top` is suspended, and is resumed next.
#[must_use]
#[inline(always)]
pub(super) unsafe fn entering(top: NonNull<u8>) -> *mut c_void {
    let mut fake = ptr::null_mut();
    // SAFETY: its record is there.
    unsafe {
        let Bounds { bottom, size } = (*below(top)).bounds;
        __sanitizer_start_switch_fiber(&raw mut fake, bottom, size);
    }
    fake
}

/// After a resume.
///
/// # Safety
/// A context was resumed and came back; `fake` is what [`entering`] gave before.
#[inline(always)]
pub(super) unsafe fn left(fake: *mut c_void) {
    // SAFETY: the fake stack is that of the stack that we are on.
    unsafe { __sanitizer_finish_switch_fiber(fake, ptr::null_mut(), ptr::null_mut()) }
}

/// The first thing in a context that was resumed.
///
/// # Safety
/// This is the context of `link`.
#[inline(always)]
pub(super) unsafe fn entered(link: Link) {
    let record = above(link);
    // SAFETY: the record is there, and while the context runs it alone uses it.
    unsafe {
        __sanitizer_finish_switch_fiber(
            (*record).fake,
            &raw mut (*record).resumer.bottom,
            &raw mut (*record).resumer.size,
        );
    }
}

/// The last thing in a context that suspends or finishes.
///
/// # Safety
/// This is the context of `link`.
#[inline(always)]
pub(super) unsafe fn leaving(link: Link) {
    let record = above(link);
    // SAFETY: as in `entered`.
    unsafe {
        let Bounds { bottom, size } = (*record).resumer;
        __sanitizer_start_switch_fiber(&raw mut (*record).fake, bottom, size);
    }
}

/// Ends what is kept of a context that has finished; see [`super::release`].
///
/// # Safety
/// As for [`super::release`].
pub(super) unsafe fn release(top: NonNull<u8>) {
    let mut own = ptr::null_mut();
    let mut here = Bounds {
        bottom: ptr::null(),
        size: 0,
    };
    // SAFETY: only the fake stack in force can be freed. So the sanitizer is told of a switch to the
    // context, and of one back for which it leaves for ever, while we stay where we are. Nothing
    // else comes between the four calls, which are not instrumented themselves. The locals that
    // they use are in a frame of our own, which stays where it is.
    unsafe {
        let Record { bounds, fake, .. } = below(top).read();
        __sanitizer_start_switch_fiber(&raw mut own, bounds.bottom, bounds.size);
        __sanitizer_finish_switch_fiber(fake, &raw mut here.bottom, &raw mut here.size);
        __sanitizer_start_switch_fiber(ptr::null_mut(), here.bottom, here.size);
        __sanitizer_finish_switch_fiber(own, ptr::null_mut(), ptr::null_mut());
        __asan_poison_memory_region(bounds.bottom, bounds.size);
    }
}
