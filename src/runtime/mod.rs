//! The runtime: building one, entering it, and looking at what it does.
//!
//! `#[runnext::main]` builds a runtime and runs a future on it; this module is for those who want
//! to choose its size, have more than one, or hand it to threads that are not its own.
//!
//! ```
//! use runnext::runtime::Builder;
//!
//! # fn main() -> std::io::Result<()> {
//! let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
//! let answer = runtime.block_on(async {
//!     let half = runnext::spawn(async { 21 });
//!     half.await.unwrap() * 2
//! });
//! assert_eq!(answer, 42);
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//!
//! A runtime starts with no threads. The thread in [`Runtime::block_on`] takes one of the
//! `worker_threads` processors and runs tasks while its own future waits; another thread is
//! started when there is work for it. Threads with nothing to do sleep without waking up, and
//! those beyond the number of processors end after
//! [`thread_keep_alive`](Builder::thread_keep_alive).
//!
//! Stackful tasks never begin on the thread in `block_on`, since it may leave while they wait.
//!
//! # Shutdown
//!
//! Dropping a [`Runtime`] drops the futures of all its tasks, wherever they wait, and unwinds the
//! stacks of those that are stackful. It waits for that, and for the closures of
//! [`spawn_blocking`](Runtime::spawn_blocking) that have begun; those that have not are cancelled.
//!
//! Tasks are dropped when none of them is in the middle of a poll. So one that blocks its thread until
//! another task has ended, in [`block_in_place`](crate::task::block_in_place), in a destructor while it
//! unwinds, or inside of [`LocalKey::with`](crate::task::LocalKey::with), holds up the end of both.
//!
//! [`Runtime::shutdown_timeout`] and [`Runtime::shutdown_background`] wait for less.

mod builder;
mod handle;
mod metrics;

pub use builder::{Builder, RuntimeFlavor};
pub use handle::{EnterGuard, Handle, TryCurrentError};
pub use metrics::RuntimeMetrics;

use crate::engine::scheduler::refuse_blocking;
use crate::task::JoinHandle;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::time::Duration;

/// Whether an operation on a socket, or on something else that is waited for like one, failed because the
/// runtime that it belongs to was shut down.
///
/// # Examples
/// ```
/// use runnext::net::TcpListener;
/// use runnext::runtime::{Runtime, is_rt_shutdown_err};
///
/// # fn main() -> std::io::Result<()> {
/// let (first, second) = (Runtime::new()?, Runtime::new()?);
/// let listener = first.block_on(TcpListener::bind("127.0.0.1:0"))?;
/// drop(first);
///
/// let error = second.block_on(listener.accept()).unwrap_err();
/// assert!(is_rt_shutdown_err(&error));
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "net")]
pub fn is_rt_shutdown_err(err: &io::Error) -> bool {
    err.get_ref()
        .is_some_and(|inner| inner.is::<crate::engine::netpoll::Gone>())
}

/// Identifies a runtime among those of the process, also after it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id(u64);

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A runtime: queues, processors and threads that run tasks.
///
/// # Examples
/// ```
/// # fn main() -> std::io::Result<()> {
/// let runtime = runnext::runtime::Runtime::new()?;
/// assert_eq!(runtime.block_on(async { 1 + 1 }), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Runtime {
    handle: Handle,
    /// The shutdown has been seen to in another way.
    over: bool,
}

impl Runtime {
    /// A multi-thread runtime with default settings and everything enabled.
    ///
    /// # Errors
    /// As for [`Builder::build`].
    pub fn new() -> io::Result<Runtime> {
        Builder::new_multi_thread().enable_all().build()
    }

    fn from_handle(handle: Handle) -> Runtime {
        Runtime {
            handle,
            over: false,
        }
    }

    /// Runs `future` to its end on this thread, which runs tasks of the runtime while it waits.
    ///
    /// The future is polled on this thread only, so it need not be `Send`. Tasks that are still
    /// pending when it ends go on on the runtime's threads; on a current-thread runtime they go on
    /// in the next `block_on`.
    ///
    /// # Blocking the thread
    /// The future and the tasks that run beside it on this thread share it. A task that blocks it
    /// keeps the future from being polled; a future that blocks it (`std::sync::mpsc`'s `recv`,
    /// `std::thread::sleep`) holds up the task that it spawned or woke last, for ever if it waits
    /// for that very task. Blocking code belongs in [`spawn_blocking`](Runtime::spawn_blocking) or
    /// [`block_in_place`](crate::task::block_in_place).
    ///
    /// # Panics
    /// If the future panics, and if this thread is running tasks or a `block_on` already.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// Spawns a task. See [`task::spawn`](crate::task::spawn()).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn_at(future, Location::caller())
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
        self.handle.spawn_blocking(f)
    }

    /// A handle, which can be cloned and sent to other threads.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Makes this the runtime to which [`spawn`](crate::spawn) on this thread goes, until the
    /// guard is dropped. See [`Handle::enter`].
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// What the runtime did so far.
    pub fn metrics(&self) -> RuntimeMetrics {
        self.handle.metrics()
    }

    /// Shuts the runtime down, and waits at most `duration` for tasks that are being polled and for
    /// blocking closures that have begun. What has not ended by then goes on in the background; its
    /// tasks are dropped as soon as their poll ends.
    ///
    /// # Panics
    /// If this thread is running tasks: waiting would block the others.
    #[track_caller]
    pub fn shutdown_timeout(mut self, duration: Duration) {
        self.shut_down(Some(duration));
    }

    /// Shuts the runtime down without waiting for anything. May be called from a task.
    ///
    /// The futures are dropped as soon as no task is being polled any more: before this returns,
    /// if none is now.
    pub fn shutdown_background(mut self) {
        self.over = true;
        self.handle.shared().begin_shutdown();
    }

    #[track_caller]
    fn shut_down(&mut self, timeout: Option<Duration>) {
        if self.over {
            return;
        }
        self.over = true;
        self.handle.shared().begin_shutdown();
        if refuse_blocking().is_some() || self.handle.shared().is_polling_here() {
            if std::thread::panicking() {
                return;
            }
            panic!(
                "cannot drop a runtime, or wait for its shutdown, where blocking is not allowed: \
                 this thread is running tasks. Do it outside of async code or in `spawn_blocking`, \
                 or end the runtime with `shutdown_background`"
            );
        }
        // Without a time limit this is always true; with one, what is left goes on.
        let _ended = self.handle.shared().wait_for_shutdown(timeout);
    }
}

impl Drop for Runtime {
    /// Shuts the runtime down and waits: see the [module](self#shutdown).
    ///
    /// # Panics
    /// If this thread is running tasks; the runtime shuts down in the background then.
    fn drop(&mut self) {
        self.shut_down(None);
    }
}
