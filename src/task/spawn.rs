//! Spawning on the current runtime.

use super::JoinHandle;
use crate::engine::scheduler::{Shared, Spawn};
use crate::runtime::Handle;
use std::future::Future;
use std::panic::Location;

/// Spawns a task on the current runtime: `future` begins to run without being awaited.
///
/// The task runs next on this thread, unless another thread is idle and takes what is queued
/// here. Dropping the handle does not stop it; the end of the runtime does.
///
/// # Panics
/// If there is no current runtime. From a thread without one, use
/// [`Handle::spawn`](crate::runtime::Handle::spawn).
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let task = runnext::spawn(async { "from the task" });
/// assert_eq!(task.await.unwrap(), "from the task");
/// # });
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn_with(future, Spawn::at(Location::caller()))
}

#[track_caller]
#[inline]
pub(super) fn spawn_with<F>(future: F, spawn: Spawn) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match Shared::spawn_here(future, spawn) {
        Ok(raw) => JoinHandle::new(raw),
        Err((future, spawn)) => JoinHandle::new(Handle::current().shared().spawn(future, spawn)),
    }
}
