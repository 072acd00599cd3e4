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

    /// The name of the task: for [`task::name`](crate::task::name), and the report when its stack
    /// overflows.
    pub fn name(mut self, name: &'a str) -> Builder<'a> {
        self.name = Some(name);
        self
    }

    /// The least size of its stack in bytes, rounded up to whole pages, at most 1 GiB; without effect unless it is
    /// more than the usual size. Up to 2 KiB of it are the runtime's.
    ///
    /// If it is no larger than the usual size, which is that of
    /// [`runtime::Builder::stack_size`](crate::runtime::Builder::stack_size), the task gets the usual
    /// stack. A larger one is a mapping of its own: memory is only taken up as it is used, but to
    /// make and unmap it are system calls, except for the few that are kept for the next task. For
    /// very many tasks set the size for the runtime.
    pub fn stack_size(mut self, bytes: usize) -> Builder<'a> {
        self.options.stack_size = Some(bytes);
        self
    }

    /// Lets the task go on on any thread after a wait, as a future does, rather than on the one that
    /// began it. So it is stolen when its thread is busy.
    ///
    /// While it keeps a runtime [entered](Handle::enter) or a `LocalSet` current, and in
    /// [`block_in_place`](crate::task::block_in_place), whose traces are on the thread, a wait blocks
    /// the thread. [The guide](crate::guide::two_kinds_of_task#tasks-stay-on-their-thread) says more.
    ///
    /// # Examples
    /// ```
    /// # let runtime = runnext::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// let builder = runnext::stackful::Builder::new();
    /// // SAFETY: over the wait there is a `u64` on the stack, and what `wait` has there.
    /// let builder = unsafe { builder.migratable() };
    /// let task = builder.go(|| {
    ///     let half: u64 = 21;
    ///     half + runnext::wait(async { 21 })
    /// });
    /// assert_eq!(task.unwrap().await.unwrap(), 42);
    /// # });
    /// ```
    ///
    /// # Safety
    /// At every wait of the task, in every frame on its stack:
    /// - no value is alive that is not [`Send`], as an `Rc`, or a `MutexGuard` of the standard library;
    /// - there is no reference to a thread-local, nor the address of one, which the compiler may keep
    ///   in a register across calls, even for code that looks as if it asked for it anew. So a function
    ///   that uses thread-locals of yours, and `task_local!`s are some, neither waits nor is inlined
    ///   into one that does. This crate's own functions see to that themselves.
    ///
    /// This concerns the futures as well that the task waits for, while they are polled, if they
    /// wait themselves.
    #[allow(unsafe_code)] // The promise is the user's.
    pub unsafe fn migratable(mut self) -> Builder<'a> {
        self.options.migratable = true;
        self
    }

    /// Spawns the task on the current runtime. See [`go`](super::go()).
    ///
    /// # Errors
    /// - [`QuotaExceeded`](io::ErrorKind::QuotaExceeded): there are as many stackful tasks as
    ///   [`runtime::Builder::max_stacks`](crate::runtime::Builder::max_stacks) allows.
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput): the stack would have more than 1 GiB.
    /// - That of the operating system, if there is no address space for another stack.
    ///
    /// The closure is dropped then. If address space is there, but the guard of the stack is refused
    /// when the task begins, as old kernels do when a process has very many stacks, the task ends
    /// with a panic that says so, which its handle yields.
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
