//! Tasks that stay on one thread, and so need not be `Send`.

use super::JoinHandle;
use crate::engine::current::LocalScope;
use crate::engine::local::Local;
use crate::engine::scheduler::Spawn;
use crate::engine::task as g;
use crate::runtime::Runtime;
use pin_project::pin_project;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A set of tasks that run on the thread that made the set.
///
/// The set is polled, and with it its tasks run, by [`run_until`](LocalSet::run_until), by
/// [`block_on`](LocalSet::block_on), or by awaiting the set itself, which waits for all of them.
/// Dropping it drops the futures of the tasks that are left.
///
/// In a task of the set, `spawn`, `spawn_blocking` and `block_in_place` work as everywhere; one that
/// blocks stops all tasks of the set.
///
/// # Examples
/// ```
/// use std::rc::Rc;
/// use runnext::task::{LocalSet, spawn_local};
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// let local = LocalSet::new();
/// let sum = local.block_on(&runtime, async {
///     let shared = Rc::new(40);
///     let task = spawn_local({
///         let shared = shared.clone();
///         async move { *shared + 2 }
///     });
///     task.await.unwrap()
/// });
/// assert_eq!(sum, 42);
/// ```
pub struct LocalSet {
    local: Arc<Local>,
    _not_send: PhantomData<Rc<()>>,
}

/// Makes a [`LocalSet`] the current one of the thread. Made by [`LocalSet::enter`].
#[must_use = "the set is left when the guard is dropped"]
pub struct LocalEnterGuard {
    _scope: LocalScope,
}

impl fmt::Debug for LocalEnterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalEnterGuard").finish_non_exhaustive()
    }
}

impl LocalSet {
    /// An empty set.
    pub fn new() -> LocalSet {
        LocalSet {
            local: Local::new(),
            _not_send: PhantomData,
        }
    }

    /// Makes this the set to which [`spawn_local`] on this thread goes, until the guard is dropped.
    pub fn enter(&self) -> LocalEnterGuard {
        LocalEnterGuard {
            _scope: self.local.enter(),
        }
    }

    /// Spawns a task on this set. It runs when the set is polled.
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn_with(future, Spawn::at(Location::caller()))
    }

    pub(super) fn spawn_with<F>(&self, future: F, spawn: Spawn) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        spawn_on(&self.local, future, spawn)
    }

    /// Runs `future` on `runtime`, on this thread, with this as the current set.
    ///
    /// Tasks of the set that are pending when it ends stay in the set.
    ///
    /// # Panics
    /// As [`Runtime::block_on`].
    #[track_caller]
    pub fn block_on<F: Future>(&self, runtime: &Runtime, future: F) -> F::Output {
        runtime.block_on(self.run_until(future))
    }

    /// Runs `future` with this as the current set; the tasks of the set run while it waits.
    ///
    /// # Cancel safety
    /// Dropping it drops `future`; the tasks stay in the set.
    pub async fn run_until<F: Future>(&self, future: F) -> F::Output {
        RunUntil {
            local: &self.local,
            future,
        }
        .await
    }
}

impl Default for LocalSet {
    fn default() -> LocalSet {
        LocalSet::new()
    }
}

impl fmt::Debug for LocalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSet").finish_non_exhaustive()
    }
}

impl Drop for LocalSet {
    fn drop(&mut self) {
        let _scope = self.local.enter();
        self.local.close();
    }
}

/// Waits for all tasks of the set.
impl Future for LocalSet {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.local.register(cx.waker());
        let _scope = self.local.enter();
        if self.local.tick() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.local.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

#[pin_project]
struct RunUntil<'a, F> {
    local: &'a Arc<Local>,
    #[pin]
    future: F,
}

impl<F: Future> Future for RunUntil<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.local.register(cx.waker());
        let _scope = this.local.enter();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(output);
        }
        if this.local.tick() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// Spawns a task, which need not be `Send`, on the current [`LocalSet`].
///
/// # Panics
/// If there is none: inside of [`LocalSet::run_until`], [`LocalSet::block_on`], the tasks of a
/// set, and under the guard of [`LocalSet::enter`] there is.
///
/// Stackful tasks are in no set by themselves. One may have a set of its own, whose tasks run while it
/// waits for `run_until` or for the set with `wait`.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runnext::task::LocalSet::new().block_on(&runtime, async {
/// let text = std::rc::Rc::new("not Send");
/// let task = runnext::task::spawn_local(async move { text.len() });
/// assert_eq!(task.await.unwrap(), 8);
/// # });
/// ```
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawn_local_with(future, Spawn::at(Location::caller()))
}

#[track_caller]
pub(super) fn spawn_local_with<F>(future: F, spawn: Spawn) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    match Local::current() {
        Some(local) => spawn_on(&local, future, spawn),
        None => panic!(
            "`spawn_local` called outside of a `LocalSet`: call it inside `LocalSet::run_until` or \
             `LocalSet::block_on`, or use `spawn` if the future is `Send`"
        ),
    }
}

fn spawn_on<F>(local: &Arc<Local>, future: F, spawn: Spawn) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    JoinHandle::new(local.spawn(future, spawn.birth(g::Id::next())))
}
