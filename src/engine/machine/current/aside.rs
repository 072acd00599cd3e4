//! What stackful Gs need of the thread-local: which M this is, and what a thread keeps for a G that
//! leaves its stack in the middle of something.

use super::lodgers::{self, Lodging};
use super::{Context, Role, Set, THREAD, Thread, with_running};
use crate::engine::machine::Machine;
use crate::engine::task::G;
use std::ptr;

impl Context {
    /// The M, if it is a thread of the runtime's pool: out of an `Arc`, which whoever made the context
    /// keeps for as long.
    #[inline]
    pub(crate) fn machine(&self) -> Option<*const Machine> {
        (!self.machine.is_null()).then_some(self.machine)
    }

    /// Has it give its P to a thread that stays.
    pub(crate) fn hand_over(&self) {
        self.hands_over.set(true);
    }
}

/// Whether this thread is running Gs as `machine`.
#[inline]
pub(crate) fn is_machine(machine: *const Machine) -> bool {
    with_running(|context| context.is_some_and(|context| ptr::eq(context.machine, machine)))
}

/// What a thread keeps for a G that leaves its stack in the middle: what it entered, and what it
/// may do.
#[derive(Debug)]
pub(crate) struct Aside {
    context: *const Context,
    local: *mut Set,
    role: Role,
    lodgings: *const Lodging,
}

/// Whether a G that leaves its stack here has something to put aside.
#[inline(never)]
pub(crate) fn has_aside() -> bool {
    THREAD.with(|t| t.has_aside())
}

/// The G that runs here, if it has nothing to put aside; or null. One call for the two questions of
/// every wait.
#[inline(never)]
pub(crate) fn unencumbered() -> *const G {
    THREAD.with(|t| {
        if t.has_aside() {
            ptr::null()
        } else {
            t.curg.get()
        }
    })
}

impl Thread {
    fn has_aside(&self) -> bool {
        self.context.get() != self.running.get()
            || !self.local.get().is_null()
            || self.role.get() != Role::Running
            || !self.lodgings.get().is_null()
    }
}

/// Puts that aside, so that the thread is as its M left it.
///
/// Not inlined, nor is its counterpart: the compiler may keep the address of a thread-local for the
/// length of a function, and between the two the G may come to another thread.
#[inline(never)]
pub(crate) fn put_aside() -> Aside {
    let aside = THREAD.with(|t| Aside {
        context: t.context.replace(t.running.get()),
        local: t.local.replace(ptr::null_mut()),
        role: t.role.replace(Role::Running),
        lodgings: t.lodgings.replace(ptr::null()),
    });
    // SAFETY: it was this thread's until now.
    unsafe { lodgers::move_out(aside.lodgings) };
    aside
}

/// Takes it up again, on the same thread.
#[inline(never)]
pub(crate) fn take_up(aside: Aside) {
    // SAFETY: they were moved out when they were put aside.
    unsafe { lodgers::move_in(aside.lodgings) };
    THREAD.with(|t| {
        t.context.set(aside.context);
        t.local.set(aside.local);
        t.role.set(aside.role);
        t.lodgings.set(aside.lodgings);
    });
}

/// The G that runs here, what blocking this thread would mean, and whether something in a
/// thread-local, to which there is a reference, keeps the G on its stack.
#[inline(never)]
pub(crate) fn whereabouts() -> (Option<ptr::NonNull<G>>, Role, bool) {
    THREAD.with(|t| {
        let lodgings = t.lodgings.get();
        (
            ptr::NonNull::new(t.curg.get().cast_mut()),
            t.role.get(),
            // SAFETY: it is the list of this thread.
            !lodgings.is_null() && unsafe { lodgers::any_held(lodgings) },
        )
    })
}
