//! Stackful tasks that borrow from the one that spawned them.
//!
//! `unsafe`: the lifetimes in the signatures here are what the engine's scope relies on.

use super::{or_panic, wait};
use crate::engine::lend::scope as engine;
use crate::engine::scheduler::Spawn;
use crate::engine::scheduler::stackful::Options;
use crate::runtime::Handle;
use crate::task::{Id, JoinError};
use std::cell::OnceCell;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

/// Calls `f` with a scope in which stackful tasks can be spawned that borrow from the caller, and
/// waits for all of them: [`std::thread::scope`] for tasks.
///
/// The scope is left, by its value or by a panic, only when all its tasks have ended, those among them
/// that its tasks spawned in it. If `f` panics, or the task that waits here is aborted, they are aborted
/// as well, and still waited for; then the caller unwinds.
///
/// Called by a thread that runs no tasks, of a runtime that it has [entered](Handle::enter), the
/// thread is blocked until they have ended: for ever on a current-thread runtime, if no thread is in its
/// `block_on` to hand them on. While the caller unwinds, a task of the scope is run where
/// it is spawned, before [`Scope::go`] returns.
///
/// # Panics
/// - If a task of the scope whose handle was not joined panicked, or could not begin for want of a stack.
/// - If one was dropped before it began, since the runtime is shutting down, and its handle was neither
///   joined nor used to abort it: what comes after the scope may rely on what it was to do.
/// - If `f` panics, with its payload.
/// - Where futures are polled, which must not wait.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(runtime.handle().go(|| {
/// let mut numbers = vec![3, 1, 2, 6, 5, 4];
/// let (left, right) = numbers.split_at_mut(3);
/// runnext::stackful::scope(|s| {
///     s.go(|| left.sort());
///     s.go(|| right.sort());
/// });
/// assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
/// # })).unwrap();
/// ```
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    // Out here, since tasks that are still running when `f` is done may spawn others.
    let scope = OnceCell::new();
    let left = engine::scope(|shared| {
        f(scope.get_or_init(|| Scope {
            shared: shared.clone(),
            scope: PhantomData,
            env: PhantomData,
        }))
    });
    match left {
        Ok(engine::Left::Done(output)) => output,
        Ok(engine::Left::Lost(loss)) => match loss {
            engine::Loss::Panicked => panic!("a task of the scope panicked"),
            engine::Loss::NoStack(error) => {
                panic!("a task of the scope could not begin: {error}")
            }
            engine::Loss::Dropped => panic!(
                "a task of the scope was dropped before it began: the runtime is shutting down"
            ),
        },
        Err(engine::NotHere) => panic!(
            "cannot wait for a `stackful::scope` here: this thread is polling a future. Call it in \
             a stackful task, with `runnext::go`"
        ),
    }
}

/// Where tasks of a [`scope`](fn@scope) are spawned.
#[derive(Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    shared: Arc<engine::Scope>,
    // Invariant in both, as `std::thread::Scope` is: a shorter `'scope` would let tasks borrow what
    // does not live as long as they, and with a longer one nothing could be borrowed.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'scope> Scope<'scope, '_> {
    /// Spawns a task on the current runtime that may borrow what outlives the scope. It can spawn
    /// others in the same scope.
    ///
    /// # Panics
    /// If there is no current runtime, or no stack for it.
    ///
    /// # Examples
    /// ```
    /// # let runtime = runnext::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(runtime.handle().go(|| {
    /// let words = ["to", "be", "or"];
    /// let lengths = runnext::stackful::scope(|s| {
    ///     let tasks = words.each_ref().map(|word| s.go(|| word.len()));
    ///     tasks.map(|task| task.join().unwrap())
    /// });
    /// assert_eq!(lengths, [2, 2, 2]);
    /// # })).unwrap();
    /// ```
    #[allow(unsafe_code)] // The bounds are what makes the call sound.
    #[track_caller]
    pub fn go<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let handle = Handle::current();
        let spawn = Spawn::at(Location::caller());
        let options = Options::default();
        // SAFETY: what lives for `'scope` is alive until `engine::scope` returns, since `scope`
        // calls its function for every `'scope`, one that ends after that call among them.
        let join = unsafe { self.shared.go(handle.shared(), f, spawn, options) };
        ScopedJoinHandle {
            join: or_panic(join),
            scope: PhantomData,
        }
    }
}

/// The right to the outcome of a task of a [`scope`](fn@scope).
///
/// Dropping it leaves the task to the scope, which waits for it.
#[derive(Debug)]
pub struct ScopedJoinHandle<'scope, T> {
    join: engine::Join<T>,
    scope: PhantomData<&'scope ()>,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the task: its output. The task that waits leaves its stack meanwhile, see
    /// [`wait`](super::wait()).
    ///
    /// # Errors
    /// If it panicked or was aborted; if there was no stack to be had when it was to begin, that is a
    /// panic as well, whose message says so. Whoever gets the panic here keeps the scope from panicking.
    ///
    /// # Panics
    /// Where futures are polled. And the caller unwinds from here, as from
    /// [`wait`](super::wait()), if it is aborted meanwhile; the task is left to the scope then.
    #[track_caller]
    pub fn join(mut self) -> Result<T, JoinError> {
        let id = self.join.id();
        if let Some(raw) = self.join.raw() {
            // Its own output is of no interest: what counts is in the packet.
            let _ended = wait(poll_fn(|cx| raw.poll(cx)));
        }
        let result = self.join.take();
        result.map_err(|fault| JoinError::new(Id::new(id), fault))
    }

    /// Whether the task is done.
    pub fn is_finished(&self) -> bool {
        self.join.is_finished()
    }

    /// Asks the task to end: it unwinds where it waits, or is dropped if it has not begun. See
    /// [`JoinHandle::abort`](crate::task::JoinHandle::abort).
    pub fn abort(&self) {
        self.join.abort();
    }
}
