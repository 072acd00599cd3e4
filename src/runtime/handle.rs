//! Handles: a runtime for those who do not own it.

use super::{Id, RuntimeFlavor, RuntimeMetrics};
use crate::engine::scheduler::{Blocked, Entered, Shared, Spawn, refuse_blocking};
use crate::task::JoinHandle;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

/// A reference to a runtime, by which any thread can spawn on it.
///
/// A handle does not keep the runtime running: that is for the [`Runtime`](super::Runtime). After
/// the shutdown, what is spawned through a handle is dropped at once, and its join handle says
/// that it was cancelled.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(super) fn from_shared(shared: Arc<Shared>) -> Handle {
        Handle { shared }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The runtime that this thread belongs to or has entered.
    ///
    /// # Panics
    /// If there is none. [`try_current`](Handle::try_current) does not panic.
    ///
    /// # Examples
    /// ```
    /// # let runtime = runnext::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// let handle = runnext::runtime::Handle::current();
    /// std::thread::spawn(move || handle.spawn(async { /* runs on the runtime */ }));
    /// # });
    /// ```
    #[track_caller]
    pub fn current() -> Handle {
        match Handle::try_current() {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }

    /// The runtime that this thread belongs to or has entered.
    ///
    /// # Errors
    /// If there is none.
    pub fn try_current() -> Result<Handle, TryCurrentError> {
        let shared = Shared::current().ok_or(TryCurrentError(()))?;
        Ok(Handle { shared })
    }

    /// Spawns a task. See [`task::spawn`](crate::task::spawn()).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_at(future, Location::caller())
    }

    pub(super) fn spawn_at<F>(
        &self,
        future: F,
        gopc: &'static Location<'static>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        JoinHandle::new(self.shared.spawn(future, Spawn::at(gopc)))
    }

    /// Spawns a stackful task. See [`go`](crate::go()).
    ///
    /// # Panics
    /// If there is no stack for it; [`stackful::Builder::go_on`](crate::stackful::Builder::go_on)
    /// returns an error.
    ///
    /// # Examples
    /// ```
    /// let runtime = runnext::runtime::Runtime::new().unwrap();
    /// let task = runtime.handle().go(|| runnext::wait(async { 7 }));
    /// assert_eq!(runtime.block_on(task).unwrap(), 7);
    /// ```
    #[track_caller]
    #[cfg(stackful)]
    pub fn go<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        use crate::engine::scheduler::stackful::Options;
        use crate::stackful::{go_on, or_panic};
        let spawn = Spawn::at(Location::caller());
        or_panic(go_on(self, f, spawn, Options::default()))
    }

    /// Runs a closure that may block on a thread of the pool. See
    /// [`task::spawn_blocking`](crate::task::spawn_blocking).
    ///
    /// # Panics
    /// If no thread of the pool is running and none can be started.
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let spawn = Spawn::at(Location::caller());
        JoinHandle::of_blocking(self.shared.spawn_blocking(f, spawn))
    }

    /// Runs `future` to its end on this thread. See
    /// [`Runtime::block_on`](super::Runtime::block_on).
    ///
    /// If the runtime shuts down meanwhile, the future goes on, but what it spawned is cancelled.
    ///
    /// # Panics
    /// If the future panics, and if this thread is running tasks or a `block_on` already.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        if let Some(Blocked) = refuse_blocking() {
            #[cfg(stackful)]
            assert!(
                !crate::stackful::is_stackful(),
                "cannot call `block_on` in a stackful task: it would block the thread, and the other \
                 tasks on it. `runnext::wait` for the future instead"
            );
            panic!(
                "cannot call `block_on` here: this thread is running tasks, and blocking it would \
                 stop them. `.await` the future instead; from code that is not async, run it in \
                 `spawn_blocking`, or, on a multi-thread runtime, put `task::block_in_place` around \
                 the call"
            );
        }
        self.shared.block_on(future)
    }

    /// Makes this the runtime to which [`spawn`](crate::spawn) and [`Handle::current`] on this
    /// thread refer, until the guard is dropped.
    ///
    /// Guards are dropped in the reverse order of their making.
    ///
    /// # Examples
    /// ```
    /// # let runtime = runnext::runtime::Runtime::new().unwrap();
    /// let _guard = runtime.handle().enter();
    /// let task = runnext::spawn(async { 7 });
    /// assert_eq!(runtime.block_on(task).unwrap(), 7);
    /// ```
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard {
            entered: Some(self.shared.enter()),
            _handle: PhantomData,
        }
    }

    /// What the runtime did so far.
    pub fn metrics(&self) -> RuntimeMetrics {
        RuntimeMetrics::new(self.shared.clone())
    }

    /// What kind of runtime it is.
    pub fn runtime_flavor(&self) -> RuntimeFlavor {
        if self.shared.config().multi {
            RuntimeFlavor::MultiThread
        } else {
            RuntimeFlavor::CurrentThread
        }
    }

    /// Tells this runtime from others.
    pub fn id(&self) -> Id {
        Id(self.shared.id())
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("id", &self.id())
            .field("flavor", &self.runtime_flavor())
            .finish_non_exhaustive()
    }
}

/// Keeps a runtime entered. Made by [`Handle::enter`] and [`Runtime::enter`](super::Runtime::enter).
///
/// # Panics
/// When it is dropped before a guard that was made after it; the runtime stays entered then.
#[derive(Debug)]
#[must_use = "the runtime is left when the guard is dropped"]
pub struct EnterGuard<'a> {
    /// `None` only while being dropped.
    entered: Option<Entered>,
    _handle: PhantomData<&'a Handle>,
}

impl Drop for EnterGuard<'_> {
    fn drop(&mut self) {
        let left = self.entered.take().is_none_or(Entered::leave);
        if !left && !std::thread::panicking() {
            panic!(
                "`EnterGuard` dropped out of order: guards must be dropped in the reverse order \
                 of their making"
            );
        }
    }
}

/// There is no current runtime. Returned by [`Handle::try_current`].
#[derive(Debug)]
pub struct TryCurrentError(());

impl TryCurrentError {
    #[cfg_attr(not(feature = "time"), allow(dead_code))]
    pub(crate) fn new() -> TryCurrentError {
        TryCurrentError(())
    }

    /// Whether the reason is that there is no runtime on this thread: it always is.
    pub fn is_missing_context(&self) -> bool {
        true
    }

    /// Whether the reason is that the thread is ending, and what it kept for its runtime is gone: it never is,
    /// since nothing of that is ever gone.
    pub fn is_thread_local_destroyed(&self) -> bool {
        false
    }
}

impl std::fmt::Display for TryCurrentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "there is no runtime on this thread: call this from a task, inside `block_on`, under \
             `#[runnext::main]`, or while a guard of `Handle::enter` is held",
        )
    }
}

impl std::error::Error for TryCurrentError {}
