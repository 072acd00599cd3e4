//! The seam between the engine and what may be modelled.
//!
//! Everything in `engine/` takes atomics, threads, locks and the spin hint from here, so that
//! `--cfg loom` swaps all of them at once and the models in `engine/tests/` run the code that
//! ships. No other file of the engine names `std::sync::atomic`, `std::thread` or
//! `std::cell::UnsafeCell`.

#[cfg(not(loom))]
mod imp {
    pub(crate) use std::cell::{Cell, UnsafeCell};
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        fence,
    };
    pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread;
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::cell::{Cell, UnsafeCell};
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use loom::thread;
}

// The models use fewer of these names than the engine does.
#[cfg_attr(loom, allow(unused_imports))]
pub(crate) use imp::*;

/// A cell of which the models see every access: they fail unless each is ordered before or after all
/// that it must not meet.
#[derive(Debug, Default)]
pub(crate) struct Watched<T>(UnsafeCell<T>);

#[cfg_attr(not(stackful), allow(dead_code))] // What lends, which uses it most, is not built then.
impl<T> Watched<T> {
    /// With `value`.
    pub(crate) fn new(value: T) -> Watched<T> {
        Watched(UnsafeCell::new(value))
    }

    /// Calls `f` with a pointer to the value, for an access that is alone.
    #[inline]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        #[cfg(not(loom))]
        return f(self.0.get());
        #[cfg(loom)]
        self.0.with_mut(f)
    }

    /// The value.
    pub(crate) fn into_inner(self) -> T {
        // Loom does not take this for an access by itself.
        #[cfg(loom)]
        self.0.with_mut(|_| ());
        self.0.into_inner()
    }
}

/// As `lock`, if that need not wait.
#[cfg_attr(loom, allow(dead_code))]
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(std::sync::TryLockError::WouldBlock) => None,
    }
}

/// Locks `mutex`, and goes on when a thread panicked while it held the lock.
///
/// No critical section of the engine runs user code, so a poisoned lock can only mean that the
/// process is already dying of a bug of ours; the data is whole either way.
#[cfg_attr(loom, allow(dead_code))]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
