use std::fmt;
use std::future::Future;
use std::io;

use super::JoinSet;
use crate::runtime::Handle;
use crate::task::{self, AbortHandle, LocalSet};

/// Describes a task before it is spawned into a [`JoinSet`].
///
/// Made by [`JoinSet::build_task`]. It spawns what [`task::Builder`] does,
/// and the set has the handle.
///
/// # Examples
///
/// ```
/// # #[runnext::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let mut set = runnext::task::JoinSet::new();
/// for number in 0..3 {
///     set.build_task()
///         .name(&format!("worker {number}"))
///         .spawn(async move { number })?;
/// }
/// assert_eq!(set.join_all().await.len(), 3);
/// # Ok(())
/// # }
/// ```
#[must_use = "builders do nothing unless used to spawn a task"]
pub struct Builder<'a, T> {
    pub(super) set: &'a mut JoinSet<T>,
    pub(super) builder: task::Builder<'a>,
}

impl<'a, T: 'static> Builder<'a, T> {
    /// Gives the task a name, for whoever looks at a dump of tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let mut set = runnext::task::JoinSet::new();
    /// set.build_task().name("greeter").spawn(async { "hello" })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn name(self, name: &'a str) -> Self {
        Self {
            builder: self.builder.name(name),
            ..self
        }
    }

    /// Gives the task, and the tasks that it will spawn, a label. It replaces one that has the same
    /// key.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let mut set = runnext::task::JoinSet::new();
    /// set.build_task().label("request", "17").spawn(async { "hello" })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn label(self, key: &'a str, value: &'a str) -> Self {
        Self {
            builder: self.builder.label(key, value),
            ..self
        }
    }

    /// Spawns the task on the current runtime and puts it into the set.
    ///
    /// # Errors
    ///
    /// Those of [`task::Builder::spawn`](crate::task::Builder::spawn).
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let mut set = runnext::task::JoinSet::new();
    /// set.build_task().spawn(async { 1 })?;
    /// assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn(future)?))
    }

    /// Spawns the task on the runtime of `handle` and puts it into the set.
    ///
    /// # Errors
    ///
    /// Those of [`task::Builder::spawn_on`](crate::task::Builder::spawn_on).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = runnext::runtime::Builder::new_current_thread().build()?;
    /// let mut set = runnext::task::JoinSet::new();
    /// set.build_task().spawn_on(async { 1 }, runtime.handle())?;
    /// assert_eq!(runtime.block_on(set.join_all()), [1]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, handle: &Handle) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn_on(future, handle)?))
    }

    /// Runs the blocking closure on a thread for blocking work, and puts it into the set.
    ///
    /// # Errors
    ///
    /// Those of [`task::Builder::spawn_blocking`](crate::task::Builder::spawn_blocking).
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let mut set = runnext::task::JoinSet::new();
    /// set.build_task().name("reader").spawn_blocking(|| 1)?;
    /// assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F>(self, f: F) -> io::Result<AbortHandle>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn_blocking(f)?))
    }

    /// Runs the blocking closure on a thread for blocking work of the runtime of `handle`, and
    /// puts it into the set.
    ///
    /// # Errors
    ///
    /// Those of [`task::Builder::spawn_blocking_on`](crate::task::Builder::spawn_blocking_on).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = runnext::runtime::Builder::new_current_thread().build()?;
    /// let mut set = runnext::task::JoinSet::new();
    /// set.build_task().spawn_blocking_on(|| 1, runtime.handle())?;
    /// assert_eq!(runtime.block_on(set.join_all()), [1]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_blocking_on<F>(self, f: F, handle: &Handle) -> io::Result<AbortHandle>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn_blocking_on(f, handle)?))
    }

    /// Spawns the task on the current [`LocalSet`] and puts it into the set.
    ///
    /// # Errors
    ///
    /// Those of [`task::Builder::spawn_local`](crate::task::Builder::spawn_local).
    ///
    /// # Panics
    ///
    /// Where [`task::spawn_local`] does: outside of a [`LocalSet`].
    ///
    /// # Examples
    ///
    /// ```
    /// use runnext::task::{JoinSet, LocalSet};
    ///
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// LocalSet::new()
    ///     .run_until(async {
    ///         let mut set = JoinSet::new();
    ///         set.build_task().name("local").spawn_local(async { 1 })?;
    ///         assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + 'static,
    {
        Ok(self.set.insert(self.builder.spawn_local(future)?))
    }

    /// Spawns the task on the given [`LocalSet`] and puts it into the set.
    ///
    /// # Errors
    ///
    /// Those of [`task::Builder::spawn_local_on`](crate::task::Builder::spawn_local_on).
    ///
    /// # Examples
    ///
    /// ```
    /// use runnext::task::{JoinSet, LocalSet};
    ///
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let local = LocalSet::new();
    /// let mut set = JoinSet::new();
    /// set.build_task().name("local").spawn_local_on(async { 1 }, &local)?;
    /// assert_eq!(local.run_until(set.join_all()).await, [1]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_local_on<F>(self, future: F, local_set: &LocalSet) -> io::Result<AbortHandle>
    where
        F: Future<Output = T> + 'static,
    {
        Ok(self
            .set
            .insert(self.builder.spawn_local_on(future, local_set)?))
    }
}

impl<T> fmt::Debug for Builder<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("join_set::Builder")
            .field("set", &self.set)
            .field("builder", &self.builder)
            .finish()
    }
}
