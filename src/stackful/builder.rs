//! Stackful tasks that need something else than the usual.
//!
//! `unsafe`: `migratable` is a promise by the user, which no type can make.

use super::go_on;
use crate::engine::scheduler::Spawn;
use crate::engine::scheduler::stackful::Options;
use crate::engine::task::Extras;
use crate::runtime::Handle;
use crate::task::JoinHandle;
use std::io;
use std::panic::Location;

/// Gives a stackful task a name, or a stack of another size, before it is spawned.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let task = runnext::stackful::Builder::new()
///     .name("parser")
///     .stack_size(1024 * 1024)
///     .go(|| runnext::stackful::remaining_stack().unwrap())
///     .unwrap();
/// assert!(task.await.unwrap() > 900_000);
/// # });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until a task is spawned"]
pub struct Builder<'a> {
    name: Option<&'a str>,
    options: Options,
}

impl<'a> Builder<'a> {
    /// For a task without a name, with a stack of the usual size.
    pub fn new() -> Builder<'a> {
        Builder::default()
    }

    /// The name of the task.
    pub fn name(mut self, name: &'a str) -> Builder<'a> {
        self.name = Some(name);
        self
    }

    /// The least size of its stack in bytes. One that is no larger than the usual one gets that; as
    /// memory is only taken up as it is used, this costs nothing. The usual size is that of [`runtime::Builder::stack_size`](crate::runtime::Builder::stack_size).
    pub fn stack_size(mut self, bytes: usize) -> Builder<'a> {
        self.options.stack_size = Some(bytes);
        self
    }

    /// Lets the task go on on any thread after a wait, as a future does, rather than on the one that
    /// began it. So it is stolen when its thread is busy.
    ///
    /// # Safety
    /// At every wait of the task, in every frame on its stack:
    /// - no value is alive that is not [`Send`], as an `Rc`, or a `MutexGuard` of the standard library;
    /// - no reference to a thread-local, nor the address of one, which the compiler may keep in a
    ///   register across calls, even for code that looks as if it asked for it anew.
    #[allow(unsafe_code)] // The promise is the user's.
    pub unsafe fn migratable(mut self) -> Builder<'a> {
        self.options.migratable = true;
        self
    }

    /// Spawns the task on the current runtime. See [`go`](super::go).
    ///
    /// # Errors
    /// If there are as many stacks as
    /// [`runtime::Builder::max_stacks`](crate::runtime::Builder::max_stacks) allows, if there is no
    /// memory for another, or its size is more than what there can be.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn go<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.go_at(f, &Handle::current(), Location::caller())
    }

    /// Spawns the task on the runtime of `handle`.
    ///
    /// # Errors
    /// As for [`go`](Builder::go).
    #[track_caller]
    pub fn go_on<F, T>(self, f: F, handle: &Handle) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.go_at(f, handle, Location::caller())
    }

    fn go_at<F, T>(
        self,
        f: F,
        handle: &Handle,
        gopc: &'static Location<'static>,
    ) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let extras = self.name.map(|name| Extras {
            name: Some(name.into()),
            labels: Vec::new(),
        });
        go_on(handle, f, Spawn { gopc, extras }, self.options)
    }
}
