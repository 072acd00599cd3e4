//! Running the user's code where a panic must not get through.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send + 'static>;

/// Runs `f` and returns its panic as a value.
///
/// `AssertUnwindSafe`: what `f` was working on is dropped or marked dead by every caller; nothing
/// that a panic may have left half-done is looked at again.
#[inline]
pub(crate) fn caught<T>(f: impl FnOnce() -> T) -> Result<T, Payload> {
    catch_unwind(AssertUnwindSafe(f))
}

/// Drops a panic's payload, whose own destructor may panic as well.
#[cold]
pub(crate) fn discard(payload: Payload) {
    if let Err(second) = caught(|| drop(payload)) {
        // A payload whose destructor panics with a payload whose destructor panics: leak it.
        std::mem::forget(second);
    }
}

/// Drops `value`; a panic in its destructor has been reported by the panic hook and ends here.
#[inline]
pub(crate) fn drop_quietly<T>(value: T) {
    if std::mem::needs_drop::<T>()
        && let Err(payload) = caught(|| drop(value))
    {
        discard(payload);
    }
}

/// The text of a panic, where it has one.
pub(crate) fn message(payload: &(dyn Any + Send)) -> Option<&str> {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}
