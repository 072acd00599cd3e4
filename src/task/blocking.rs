//! Code that blocks its thread.

use super::JoinHandle;
use crate::engine::scheduler::{self, Spawn};
use crate::runtime::Handle;
use std::io;
use std::panic::Location;

/// Runs a closure that may block on a thread of the runtime's pool, away from the tasks.
///
/// The pool grows up to `max_blocking_threads`, 512 by default; further closures wait for a
/// thread. A closure that has begun cannot be aborted, and the runtime's end waits for it. Where no
/// thread of the pool is running and none can be started, other closures that just came to wait for
/// one end [cancelled](super::JoinError::is_cancelled) as well.
///
/// # Panics
/// If there is no current runtime; or if no thread of the pool is running and the operating
/// system refuses to start one.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let text = runnext::task::spawn_blocking(|| std::fs::read_to_string("Cargo.toml"));
/// assert!(text.await.unwrap().is_ok());
/// # });
/// ```
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let spawn = Spawn::at(Location::caller());
    JoinHandle::of_blocking(Handle::current().shared().spawn_blocking(f, spawn))
}

/// As [`spawn_blocking`], for operations of the crate that can fail: that no thread can be had is an
/// error.
#[cfg(any(feature = "fs", feature = "io-std"))]
#[track_caller]
pub(crate) fn try_spawn_blocking<F, R>(f: F) -> io::Result<JoinHandle<R>>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let spawn = Spawn::at(Location::caller());
    let handle = Handle::current();
    Ok(JoinHandle::new(handle.shared().spawn_blocking(f, spawn)?))
}

/// As [`spawn_blocking`], for a closure that the end of the runtime does not cancel: for what the
/// caller reports as done.
///
/// # Errors
/// If the runtime is shutting down.
#[cfg(any(feature = "fs", feature = "io-std"))]
#[track_caller]
pub(crate) fn spawn_owed<F, R>(f: F) -> io::Result<JoinHandle<R>>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let spawn = Spawn::at(Location::caller());
    let handle = Handle::current();
    Ok(JoinHandle::new(handle.shared().spawn_owed(f, spawn)?))
}

impl<T> JoinHandle<T> {
    /// The handle of a blocking closure.
    #[track_caller]
    pub(crate) fn of_blocking(
        started: io::Result<crate::engine::task::RawJoin<T>>,
    ) -> JoinHandle<T> {
        match started {
            Ok(raw) => JoinHandle::new(raw),
            Err(error) => panic!(
                "cannot start a thread for `spawn_blocking`, and none is running: {error}. Raise \
                 the limit on threads or memory of this process, or lower `max_blocking_threads` \
                 and `thread_stack_size` of the runtime"
            ),
        }
    }
}

/// Runs a closure that may block on this thread, while another thread takes over the tasks that
/// wait for this one.
///
/// For a task on a multi-thread runtime, this saves the way to another thread that
/// [`spawn_blocking`] takes. The other branches of the same task (`join!`, `select!`) wait as
/// long as the closure runs. Inside, [`Handle::block_on`](crate::runtime::Handle::block_on) may
/// be called. On a thread that runs no tasks it just runs the closure.
///
/// Stackful tasks that began on this thread wait for the closure too, as no other may run them. A
/// stackful task has `stackful::blocking` for closures that block, which leaves the thread to them.
///
/// # Panics
/// If the closure panics, and in a task of a current-thread runtime, where nobody could take over.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// runnext::spawn(async {
///     let sum: u64 = runnext::task::block_in_place(|| (1..=1_000_000).sum());
///     assert_eq!(sum, 500_000_500_000);
/// })
/// .await
/// .unwrap();
/// # });
/// ```
#[track_caller]
pub fn block_in_place<F, R>(f: F) -> R
where
    F: FnOnce() -> R,
{
    scheduler::block_in_place(f)
}
