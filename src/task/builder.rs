//! Tasks with a name and labels.

use super::spawn::spawn_with;
use super::{JoinHandle, LocalSet};
use crate::engine::scheduler::Spawn;
use crate::engine::task::Extras;
use crate::runtime::Handle;
use std::future::Future;
use std::io;
use std::panic::Location;

/// Gives a task a name and labels before it is spawned.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let task = runnext::task::Builder::new()
///     .name("parser")
///     .label("request", "17")
///     .spawn(async { runnext::task::name() })
///     .unwrap();
/// assert_eq!(task.await.unwrap().as_deref(), Some("parser"));
/// # });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until a task is spawned"]
pub struct Builder<'a> {
    name: Option<&'a str>,
    labels: Vec<(&'a str, &'a str)>,
}

impl<'a> Builder<'a> {
    /// For a task without a name.
    pub fn new() -> Builder<'a> {
        Builder::default()
    }

    /// The name of the task.
    pub fn name(mut self, name: &'a str) -> Builder<'a> {
        self.name = Some(name);
        self
    }

    /// A label of the task and of the tasks that it will spawn, which replaces one that has the
    /// same key.
    pub fn label(mut self, key: &'a str, value: &'a str) -> Builder<'a> {
        self.labels.retain(|&(k, _)| k != key);
        self.labels.push((key, value));
        self
    }

    fn spawn_at(self, gopc: &'static Location<'static>) -> Spawn {
        let labels = self.labels.into_iter();
        Spawn {
            gopc,
            extras: Some(Extras {
                name: self.name.map(Into::into),
                labels: labels.map(|(k, v)| (k.into(), v.into())).collect(),
            }),
        }
    }

    /// Spawns the task on the current runtime. See [`spawn()`](super::spawn()).
    ///
    /// # Errors
    /// None in this version.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Ok(spawn_with(future, self.spawn_at(Location::caller())))
    }

    /// Spawns the task on the runtime of `handle`.
    ///
    /// # Errors
    /// None in this version.
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, handle: &Handle) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let spawn = self.spawn_at(Location::caller());
        Ok(JoinHandle::new(handle.shared().spawn(future, spawn)))
    }

    /// Spawns the task on the current [`LocalSet`]. See [`spawn_local`](super::spawn_local).
    ///
    /// # Errors
    /// None in this version.
    ///
    /// # Panics
    /// Outside of a `LocalSet`.
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let spawn = self.spawn_at(Location::caller());
        Ok(super::local::spawn_local_with(future, spawn))
    }

    /// Spawns the task on `local_set`.
    ///
    /// # Errors
    /// None in this version.
    #[track_caller]
    pub fn spawn_local_on<F>(
        self,
        future: F,
        local_set: &LocalSet,
    ) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let spawn = self.spawn_at(Location::caller());
        Ok(local_set.spawn_with(future, spawn))
    }

    /// Runs a closure that may block on the pool of the current runtime. See
    /// [`spawn_blocking`](super::spawn_blocking).
    ///
    /// # Errors
    /// If no thread of the pool is running and none can be started.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn spawn_blocking<F, R>(self, f: F) -> io::Result<JoinHandle<R>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.spawn_blocking_on(f, &Handle::current())
    }

    /// Runs a closure that may block on the pool of the runtime of `handle`.
    ///
    /// # Errors
    /// If no thread of the pool is running and none can be started.
    #[track_caller]
    pub fn spawn_blocking_on<F, R>(self, f: F, handle: &Handle) -> io::Result<JoinHandle<R>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let spawn = self.spawn_at(Location::caller());
        let raw = handle.shared().spawn_blocking(f, spawn)?;
        Ok(JoinHandle::new(raw))
    }
}
