//! Values of a G that a thread-local holds for the length of a scope, as `task_local!` has them: they
//! move out while the G is off its stack, so that the others on the thread do not meet them.

use super::THREAD;
use std::mem::transmute;
use std::ptr;

/// A value that a thread-local holds.
pub(crate) trait Lodger {
    /// Moves it out, or in again. Runs no code of users.
    fn swap(&self);

    /// Whether somebody holds a reference to it, so that it has to stay where it is.
    fn is_held(&self) -> bool;
}

/// One scope, on the stack of whoever is in it, and the one around it.
pub(super) struct Lodging {
    lodger: *const dyn Lodger,
    below: *const Lodging,
}

/// Ends a scope.
struct Leaves<'a>(&'a Lodging);

impl Drop for Leaves<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        THREAD.with(|t| t.lodgings.set(self.0.below));
    }
}

/// Calls `f`, during which `lodger` is moved in; it is on both sides of this.
pub(crate) fn lodge<'a, R>(lodger: &'a (dyn Lodger + 'a), f: impl FnOnce() -> R) -> R {
    // SAFETY: only the lifetime changes. The list has it no longer than this call lasts: scopes end
    // in the reverse order of their beginning, as each G that leaves its stack takes its own along.
    let lodger = unsafe {
        transmute::<*const (dyn Lodger + 'a), *const (dyn Lodger + 'static)>(ptr::from_ref(lodger))
    };
    let lodging = Lodging {
        lodger,
        below: current(),
    };
    enter(&lodging);
    let _leaves = Leaves(&lodging);
    f()
}

#[inline(never)]
fn current() -> *const Lodging {
    THREAD.with(|t| t.lodgings.get())
}

#[inline(never)]
fn enter(lodging: &Lodging) {
    THREAD.with(|t| t.lodgings.set(lodging));
}

/// Whether one of them has to stay.
///
/// # Safety
/// `top` is the list of this thread.
#[cold]
pub(super) unsafe fn any_held(mut top: *const Lodging) -> bool {
    // SAFETY: scopes on the list are alive, and so are their lodgers, see `lodge`.
    while let Some(lodging) = unsafe { top.as_ref() } {
        // SAFETY: as above.
        if unsafe { &*lodging.lodger }.is_held() {
            return true;
        }
        top = lodging.below;
    }
    false
}

/// Moves all of them out, the one that came last first.
///
/// # Safety
/// `top` is what was the list of this thread until now.
pub(super) unsafe fn move_out(mut top: *const Lodging) {
    // SAFETY: as in `any_held`.
    while let Some(lodging) = unsafe { top.as_ref() } {
        // SAFETY: as above.
        unsafe { &*lodging.lodger }.swap();
        top = lodging.below;
    }
}

/// Moves them in again, in the order in which they came.
///
/// # Safety
/// `top` was moved out.
pub(super) unsafe fn move_in(top: *const Lodging) {
    // SAFETY: the G that is in these scopes is about to go on in them.
    if let Some(lodging) = unsafe { top.as_ref() } {
        // SAFETY: as above.
        unsafe {
            move_in(lodging.below);
            (*lodging.lodger).swap();
        }
    }
}
