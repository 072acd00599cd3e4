//! Many tasks with one type of output, awaited as they complete.
//!
//! [`JoinSet`] is the collection, [`Builder`] spawns a task into it with more to say than the
//! future alone.

mod builder;
mod slots;

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic;
use std::task::{Context, Poll, ready};

pub use self::builder::Builder;
use self::slots::Slots;
use crate::runtime::Handle;
use crate::task::{self, AbortHandle, Id, JoinError, JoinHandle, LocalSet, coop};

/// A set of tasks that are awaited in the order in which they complete.
///
/// All tasks have the same output type `T`. A task belongs to the set from its spawn until its
/// result is taken out by one of the `join` methods; it runs whether the set is awaited or not.
///
/// Dropping the set aborts all tasks still in it. [`detach_all`](Self::detach_all) lets them go on
/// instead. To wait until aborted tasks are gone, use [`shutdown`](Self::shutdown).
///
/// Awaiting the set costs a poll for each task that completed, however many others there are.
///
/// # Examples
///
/// ```
/// use runnext::task::JoinSet;
///
/// # #[runnext::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut set = JoinSet::new();
/// for number in 1..=10 {
///     set.spawn(async move { number * number });
/// }
///
/// let mut sum = 0;
/// while let Some(square) = set.join_next().await {
///     sum += square.expect("no task panics or is aborted");
/// }
/// assert_eq!(sum, 385);
/// # }
/// ```
pub struct JoinSet<T> {
    tasks: Slots<JoinHandle<T>>,
}

/// A task that completed, and what it came to.
type Joined<T> = (JoinHandle<T>, Result<T, JoinError>);

impl<T> JoinSet<T> {
    /// Creates an empty set.
    ///
    /// # Examples
    ///
    /// ```
    /// let set = runnext::task::JoinSet::<()>::new();
    /// assert!(set.is_empty());
    /// ```
    pub fn new() -> Self {
        Self {
            tasks: Slots::new(),
        }
    }

    /// Returns the number of tasks in the set: running, or completed and not joined yet.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = runnext::task::JoinSet::new();
    /// set.spawn(async {});
    /// assert_eq!(set.len(), 1);
    /// set.join_next().await;
    /// assert_eq!(set.len(), 0);
    /// # }
    /// ```
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Returns whether no tasks are in the set.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = runnext::task::JoinSet::new();
    /// assert!(set.is_empty());
    /// set.spawn(async {});
    /// assert!(!set.is_empty());
    /// # }
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Orders every task that is not known to have completed to end.
    fn abort_waiting(&self) {
        for handle in self.tasks.waiting() {
            handle.abort();
        }
    }
}

impl<T: 'static> JoinSet<T> {
    /// Starts to describe a task that is then spawned into this set.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let mut set = runnext::task::JoinSet::new();
    /// set.build_task().name("counter").spawn(async { 3 })?;
    /// assert_eq!(set.join_next().await.unwrap().unwrap(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn build_task(&mut self) -> Builder<'_, T> {
        Builder {
            set: self,
            builder: task::Builder::new(),
        }
    }

    /// Spawns a task on the current runtime and puts it into the set.
    ///
    /// The task starts to run at once, whether the set is awaited or not. The returned handle
    /// aborts this one task; the set then joins it with an error.
    ///
    /// # Panics
    ///
    /// Outside of a runtime. [`spawn_on`](Self::spawn_on) works everywhere.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = runnext::task::JoinSet::new();
    /// set.spawn(async { "done" });
    /// assert_eq!(set.join_next().await.unwrap().unwrap(), "done");
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<F>(&mut self, task: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(task::spawn(task))
    }

    /// Spawns a stackful task on the current runtime and puts it into the set. See
    /// [`go`](crate::go).
    ///
    /// # Panics
    ///
    /// Outside of a runtime, or if there is no stack for it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main]
    /// # async fn main() {
    /// let mut set = runnext::task::JoinSet::new();
    /// set.go(|| runnext::wait(async { "done" }));
    /// assert_eq!(set.join_next().await.unwrap().unwrap(), "done");
    /// # }
    /// ```
    #[track_caller]
    #[cfg(stackful)]
    pub fn go<F>(&mut self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(crate::go(f))
    }

    /// Spawns a task on the runtime of `handle` and puts it into the set.
    ///
    /// The task starts to run at once, whether the set is awaited or not. On a runtime that has
    /// been shut down, the task is aborted before it starts.
    ///
    /// # Examples
    ///
    /// ```
    /// use runnext::runtime::Builder;
    /// use runnext::task::JoinSet;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Builder::new_current_thread().build()?;
    ///
    /// let mut set = JoinSet::new();
    /// set.spawn_on(async { 1 }, runtime.handle());
    ///
    /// let joined = runtime.block_on(set.join_next());
    /// assert_eq!(joined.unwrap().unwrap(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_on<F>(&mut self, task: F, handle: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(handle.spawn(task))
    }

    /// Spawns a task that stays on this thread, and puts it into the set.
    ///
    /// # Panics
    ///
    /// Where [`task::spawn_local`] does: outside of a [`LocalSet`].
    ///
    /// # Examples
    ///
    /// ```
    /// use runnext::task::{JoinSet, LocalSet};
    /// use std::rc::Rc;
    ///
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// LocalSet::new()
    ///     .run_until(async {
    ///         let text = Rc::new("not `Send`");
    ///         let mut set = JoinSet::new();
    ///         set.spawn_local(async move { text.len() });
    ///         assert_eq!(set.join_next().await.unwrap().unwrap(), 10);
    ///     })
    ///     .await;
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_local<F>(&mut self, task: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(task::spawn_local(task))
    }

    /// Spawns a task on the given [`LocalSet`] and puts it into the set.
    ///
    /// The task runs when the `LocalSet` does, now or later.
    ///
    /// # Examples
    ///
    /// ```
    /// use runnext::task::{JoinSet, LocalSet};
    /// use std::rc::Rc;
    ///
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let local = LocalSet::new();
    /// let text = Rc::new("not `Send`");
    ///
    /// let mut set = JoinSet::new();
    /// set.spawn_local_on(async move { text.len() }, &local);
    ///
    /// let joined = local.run_until(set.join_next()).await;
    /// assert_eq!(joined.unwrap().unwrap(), 10);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_local_on<F>(&mut self, task: F, local_set: &LocalSet) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(local_set.spawn_local(task))
    }

    /// Runs a blocking closure on a thread for blocking work, and puts it into the set.
    ///
    /// A closure that has begun cannot be aborted: neither the returned handle nor a drop of the
    /// set stops it.
    ///
    /// # Panics
    ///
    /// Outside of a runtime. [`spawn_blocking_on`](Self::spawn_blocking_on) works everywhere.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = runnext::task::JoinSet::new();
    /// for number in 1..=3 {
    ///     set.spawn_blocking(move || number * 10);
    /// }
    /// assert_eq!(set.join_all().await.iter().sum::<i32>(), 60);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(task::spawn_blocking(f))
    }

    /// Runs a blocking closure on a thread for blocking work of the runtime of `handle`, and puts
    /// it into the set.
    ///
    /// A closure that has begun cannot be aborted: neither the returned handle nor a drop of the
    /// set stops it.
    ///
    /// # Examples
    ///
    /// ```
    /// use runnext::runtime::Builder;
    /// use runnext::task::JoinSet;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Builder::new_current_thread().build()?;
    ///
    /// let mut set = JoinSet::new();
    /// set.spawn_blocking_on(|| 1, runtime.handle());
    ///
    /// let joined = runtime.block_on(set.join_next());
    /// assert_eq!(joined.unwrap().unwrap(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, f: F, handle: &Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(handle.spawn_blocking(f))
    }

    /// Waits until a task completes, takes it out of the set and returns its result.
    ///
    /// Returns `None` when the set is empty.
    ///
    /// # Errors
    ///
    /// The inner result is a [`JoinError`] when the task panicked or was aborted.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: when the future is dropped before it completed, no task has left the set.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = runnext::task::JoinSet::new();
    /// set.spawn(async { 1 });
    /// set.spawn(async { panic!("out of order") });
    ///
    /// let (mut joined, mut panicked) = (0, 0);
    /// while let Some(result) = set.join_next().await {
    ///     match result {
    ///         Ok(number) => joined += number,
    ///         Err(error) => panicked += i32::from(error.is_panic()),
    ///     }
    /// }
    /// assert_eq!((joined, panicked), (1, 1));
    /// # }
    /// ```
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// Waits until a task completes, takes it out of the set and returns its id and output.
    ///
    /// Returns `None` when the set is empty. The id is the one that [`AbortHandle::id`] told when
    /// the task was spawned.
    ///
    /// # Errors
    ///
    /// The inner result is a [`JoinError`] when the task panicked or was aborted;
    /// [`JoinError::id`] then has the id.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: when the future is dropped before it completed, no task has left the set.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = runnext::task::JoinSet::new();
    /// let task = set.spawn(async { "done" });
    ///
    /// let (id, output) = set.join_next_with_id().await.unwrap().unwrap();
    /// assert_eq!(id, task.id());
    /// assert_eq!(output, "done");
    /// # }
    /// ```
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// Takes a completed task out of the set and returns its result, without waiting.
    ///
    /// Returns `None` when no task has completed, or the set is empty. Takes no cooperative
    /// budget.
    ///
    /// # Errors
    ///
    /// The inner result is a [`JoinError`] when the task panicked or was aborted.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = runnext::task::JoinSet::new();
    /// let task = set.spawn(async { 1 });
    /// assert!(set.try_join_next().is_none());
    ///
    /// while !task.is_finished() {
    ///     runnext::task::yield_now().await;
    /// }
    /// assert_eq!(set.try_join_next().unwrap().unwrap(), 1);
    /// # }
    /// ```
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.try_join().map(|(_, result)| result)
    }

    /// Takes a completed task out of the set and returns its id and output, without waiting.
    ///
    /// Returns `None` when no task has completed, or the set is empty. Takes no cooperative
    /// budget.
    ///
    /// # Errors
    ///
    /// The inner result is a [`JoinError`] when the task panicked or was aborted;
    /// [`JoinError::id`] then has the id.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = runnext::task::JoinSet::new();
    /// let task = set.spawn(async { 1 });
    ///
    /// while !task.is_finished() {
    ///     runnext::task::yield_now().await;
    /// }
    /// let (id, output) = set.try_join_next_with_id().unwrap().unwrap();
    /// assert_eq!((id, output), (task.id(), 1));
    /// # }
    /// ```
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        self.try_join().map(with_id)
    }

    /// Aborts all tasks and waits until they are gone.
    ///
    /// The same as [`abort_all`](Self::abort_all), and [`join_next`](Self::join_next) until the
    /// set is empty. Results and panics of the tasks are dropped.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped half-way, all tasks have been aborted and some may still be in
    /// the set. Calling it again goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = runnext::task::JoinSet::new();
    /// set.spawn(std::future::pending::<()>());
    ///
    /// set.shutdown().await;
    /// assert!(set.is_empty());
    /// # }
    /// ```
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Waits until all tasks have completed and returns their outputs, the first to complete
    /// first.
    ///
    /// # Panics
    ///
    /// When a task panicked, its panic goes on here; when one was aborted, with the text of the
    /// [`JoinError`]. Either aborts the tasks still running. To treat failures in another way,
    /// call [`join_next`](Self::join_next) until it returns `None`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: when the future is dropped, the outputs collected so far are lost and the
    /// tasks still running are aborted.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let set: runnext::task::JoinSet<_> = (0..3).map(|number| async move { number }).collect();
    ///
    /// let mut numbers = set.join_all().await;
    /// numbers.sort();
    /// assert_eq!(numbers, [0, 1, 2]);
    /// # }
    /// ```
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(result) = self.join_next().await {
            match result {
                Ok(output) => outputs.push(output),
                Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
                Err(error) => panic!("{error}"),
            }
        }
        outputs
    }

    /// Aborts all tasks, and leaves them in the set to be joined.
    ///
    /// A task that had completed before is joined with its output, the others with an error that
    /// says that they were aborted. Use [`shutdown`](Self::shutdown) to abort and wait.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = runnext::task::JoinSet::new();
    /// set.spawn(std::future::pending::<()>());
    ///
    /// set.abort_all();
    /// let error = set.join_next().await.unwrap().unwrap_err();
    /// assert!(error.is_cancelled());
    /// # }
    /// ```
    pub fn abort_all(&mut self) {
        self.abort_waiting();
    }

    /// Takes all tasks out of the set and lets them run on.
    ///
    /// Nobody will learn of their results. The set is empty afterwards and may be used again.
    ///
    /// # Examples
    ///
    /// ```
    /// use runnext::sync::oneshot;
    /// use runnext::task::JoinSet;
    ///
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (sender, receiver) = oneshot::channel();
    /// let mut set = JoinSet::new();
    /// set.spawn(async move { sender.send("still here") });
    ///
    /// set.detach_all();
    /// drop(set);
    /// assert_eq!(receiver.await, Ok("still here"));
    /// # }
    /// ```
    pub fn detach_all(&mut self) {
        // Dropping a handle detaches its task.
        self.tasks.clear();
    }

    /// Polls for a task that completed, and takes it out of the set.
    ///
    /// - `Ready(Some(result))`: a task completed. It has left the set.
    /// - `Ready(None)`: the set is empty.
    /// - `Pending`: no task has completed, or the task that polls has used up its
    ///   [cooperative budget](crate::task::coop). The waker in `cx` will be called. Only the waker
    ///   of the latest call is.
    ///
    /// # Errors
    ///
    /// The inner result is a [`JoinError`] when the task panicked or was aborted.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::poll_fn;
    ///
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = runnext::task::JoinSet::new();
    /// set.spawn(async { 1 });
    ///
    /// let joined = poll_fn(|cx| set.poll_join_next(cx)).await;
    /// assert_eq!(joined.unwrap().unwrap(), 1);
    /// # }
    /// ```
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        self.poll_join(cx)
            .map(|joined| joined.map(|(_, result)| result))
    }

    /// Polls for a task that completed, takes it out of the set, and tells its id.
    ///
    /// Returns what [`poll_join_next`](Self::poll_join_next) does, with the task's id beside its
    /// output.
    ///
    /// # Errors
    ///
    /// The inner result is a [`JoinError`] when the task panicked or was aborted;
    /// [`JoinError::id`] then has the id.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::poll_fn;
    ///
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut set = runnext::task::JoinSet::new();
    /// let task = set.spawn(async { 1 });
    ///
    /// let joined = poll_fn(|cx| set.poll_join_next_with_id(cx)).await;
    /// assert_eq!(joined.unwrap().unwrap(), (task.id(), 1));
    /// # }
    /// ```
    pub fn poll_join_next_with_id(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        self.poll_join(cx).map(|joined| joined.map(with_id))
    }

    fn insert(&mut self, handle: JoinHandle<T>) -> AbortHandle {
        let abort = handle.abort_handle();
        coop::without_budget(|| self.tasks.insert(handle));
        abort
    }

    fn poll_join(&mut self, cx: &mut Context<'_>) -> Poll<Option<Joined<T>>> {
        if self.is_empty() {
            return Poll::Ready(None);
        }
        let step = ready!(coop::poll_proceed(cx));
        // The unit is taken here, for the task that awaits the set. Were the handles' own polls
        // stopped for want of budget, they would queue themselves again and again.
        let joined = ready!(coop::without_budget(|| self.tasks.poll_next(cx)));
        step.made_progress();
        Poll::Ready(Some(joined))
    }

    fn try_join(&mut self) -> Option<Joined<T>> {
        coop::without_budget(|| self.tasks.try_next())
    }
}

/// The result of a task, with its id beside its output. Errors have the id in them.
fn with_id<T>((handle, result): Joined<T>) -> Result<(Id, T), JoinError> {
    result.map(|output| (handle.id(), output))
}

/// Aborts all tasks in the set, without waiting until they are gone.
impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        // Whoever awaited the set is not told of the aborts.
        self.tasks.forget_joiner();
        self.abort_waiting();
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish()
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Spawns each future of an iterator into a new set.
///
/// # Panics
///
/// Outside of a runtime, like [`JoinSet::spawn`].
///
/// # Examples
///
/// ```
/// # #[runnext::main(flavor = "current_thread")]
/// # async fn main() {
/// let set: runnext::task::JoinSet<_> = (0..3).map(|number| async move { number }).collect();
/// assert_eq!(set.len(), 3);
/// # }
/// ```
impl<T, F> FromIterator<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = F>>(iter: I) -> Self {
        let mut set = Self::new();
        set.extend(iter);
        set
    }
}

/// Spawns each future of an iterator into the set.
///
/// # Panics
///
/// Outside of a runtime, like [`JoinSet::spawn`].
///
/// # Examples
///
/// ```
/// # #[runnext::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut set = runnext::task::JoinSet::new();
/// set.extend((0..3).map(|number| async move { number }));
/// assert_eq!(set.len(), 3);
/// # }
/// ```
impl<T, F> Extend<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    #[track_caller]
    fn extend<I: IntoIterator<Item = F>>(&mut self, iter: I) {
        for task in iter {
            self.spawn(task);
        }
    }
}
