//! Stackful tasks: ordinary blocking-style code on stacks of its own.
//!
//! [`go`] runs a closure as a G beside all the futures, in the same queues. Where it has to wait it
//! does not block its thread: it leaves its stack, and comes back to it when it can go on. Anything
//! async can be waited for with [`wait`].
//!
//! | to | use |
//! |---|---|
//! | start one | [`go`], [`Handle::go`], [`JoinSet::go`](crate::task::JoinSet::go); [`Builder`] for a name or a larger stack |
//! | start some that borrow | [`scope`](fn@scope) |
//! | wait for a future, or for another task | [`wait`] |
//! | let others run | [`yield_now`] |
//! | run code that blocks its thread | [`blocking`]; [`dedicated`] for a thread of its own |
//! | know where one is | [`is_stackful`], [`remaining_stack`] |
//!
//! The guide [Two kinds of task](crate::guide::two_kinds_of_task) says when to use which kind, what
//! not to hold over a wait, how an abort unwinds a stack, and how large a stack is to be. There are
//! stackful tasks on Linux, on x86-64 and aarch64; elsewhere this module is absent.
//!
//! ```
//! use runnext::{go, wait};
//!
//! # let runtime = runnext::runtime::Runtime::new().unwrap();
//! # runtime.block_on(async {
//! let sum = go(|| {
//!     let (tx, mut rx) = runnext::sync::mpsc::channel(1);
//!     go(move || {
//!         for n in 1..=10 {
//!             wait(tx.send(n)).unwrap();
//!         }
//!     });
//!     let mut sum = 0;
//!     while let Some(n) = wait(rx.recv()) {
//!         sum += n;
//!     }
//!     sum
//! });
//! assert_eq!(sum.await.unwrap(), 55);
//! # });
//! ```
//!
//! # With other tools
//!
//! Backtraces, debuggers and profilers see the frames of a task and below them those of the thread
//! that runs it; gdb shows `<signal handler called>` between them. valgrind needs nothing to be told
//! (on x86-64). AddressSanitizer has to be told of each change of stacks, which is compiled in with
//! `RUSTFLAGS="-Zsanitizer=address --cfg runnext_asan"`. Locals take more room under it: give tasks
//! larger stacks if they overflow.

mod builder;
mod scope;

pub use builder::Builder;
pub use scope::{Scope, ScopedJoinHandle, scope};

use crate::engine::lend::elsewhere;
use crate::engine::scheduler::stackful::{Here, Options, here, unwind_if_aborted, yield_at_once};
use crate::engine::scheduler::wait::block_thread;
#[cfg(feature = "time")]
use crate::engine::scheduler::wait::block_thread_while;
use crate::engine::scheduler::{Spawn, give_way};
use crate::runtime::Handle;
use crate::task::JoinHandle;
use std::future::IntoFuture;
use std::io;
use std::panic::Location;
use std::pin::pin;

/// Runs `f` as a stackful task of the current runtime: on a stack of its own, beside the others.
///
/// The task may be begun by any thread of the runtime that stays, and stays on the one that begins
/// it. Its [`JoinHandle`] can be awaited by futures and [waited](wait) for by other stackful tasks.
/// Dropping the handle does not stop it; aborting it unwinds its stack where it waits. When the
/// runtime has been shut down, the closure is dropped and the task is cancelled.
///
/// See the guide [Two kinds of task](crate::guide::two_kinds_of_task) for what suits such a task.
///
/// # Panics
/// If there is no current runtime, or no stack to be had, for which [`Builder::go`] returns an error.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let task = runnext::go(|| {
///     let text = runnext::wait(runnext::spawn(async { "from a future" })).unwrap();
///     text.len()
/// });
/// assert_eq!(task.await.unwrap(), 13);
/// # });
/// ```
#[track_caller]
pub fn go<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let spawn = Spawn::at(Location::caller());
    or_panic(go_on(&Handle::current(), f, spawn, Options::default()))
}

/// Makes the error of a fallible form the panic of the plain one.
#[track_caller]
pub(crate) fn or_panic<T>(result: io::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("cannot start a stackful task: {error}"),
    }
}

/// Spawns a stackful task on the runtime of `handle`.
pub(crate) fn go_on<F, T>(
    handle: &Handle,
    f: F,
    spawn: Spawn,
    options: Options,
) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Ok(JoinHandle::new(handle.shared().go(f, spawn, options)?))
}

/// Waits for a future, from code that is not async.
///
/// In a stackful task the task leaves its stack until the future is ready, and others run meanwhile.
/// If the future is ready at once, they do not: see [`yield_now`]. On a thread that runs no tasks, and
/// in [`spawn_blocking`](crate::task::spawn_blocking), the thread is blocked.
///
/// What not to hold over a wait, as the guard of a `std::sync::Mutex`, is told in
/// [the guide](crate::guide::two_kinds_of_task#what-to-hold-over-a-wait).
///
/// # While unwinding
/// A destructor that waits while a panic or an abort unwinds the task blocks its thread, since others
/// on the thread would take the panic for their own. Tasks that are not bound to the thread go on
/// elsewhere meanwhile, and when the runtime shuts down they have ended before stacks are unwound.
/// Stackful tasks that are bound to it do not: a destructor that waits for one of these waits for
/// ever. [`scope`](fn@scope) waits before the unwinding begins, and is the way to end what a task
/// has started.
///
/// # Panics
/// Where futures are polled: in a task made by [`spawn`](crate::spawn()), or in `block_on`. Use
/// `.await` there. And if the future panics.
///
/// # Abort
/// If the task is [aborted](JoinHandle::abort), or its runtime ends, while the future is not ready, the
/// task unwinds from here, and the future is dropped.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let shared = std::sync::Arc::new(runnext::sync::Mutex::new(0));
/// let task = runnext::go({
///     let shared = shared.clone();
///     move || *runnext::wait(shared.lock()) += 1
/// });
/// task.await.unwrap();
/// assert_eq!(*shared.lock().await, 1);
/// # });
/// ```
#[track_caller]
#[inline(always)] // So that the future is built where it is polled, and not moved there.
pub fn wait<F: IntoFuture>(future: F) -> F::Output {
    let future = pin!(future.into_future());
    match here() {
        Here::Stackful(stacked) => stacked.wait(future),
        Here::Blocking => block_thread(future),
        Here::Stackless => panic!(
            "cannot `wait` here: this thread is polling a future, and waiting would block all tasks \
             on it. `.await` the future instead; or, from code that is not async, run it in a \
             stackful task, with `runnext::go`"
        ),
    }
}

/// Lets the other tasks run, and goes on after them.
///
/// On a thread that runs no tasks, and where the task must not leave its stack, this is
/// [`std::thread::yield_now`]. If the task is aborted, it unwinds from here, as from [`wait`].
///
/// # Panics
/// Where futures are polled; use [`task::yield_now`](crate::task::yield_now()) there.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(runtime.handle().go(|| {
/// for _ in 0..3 {
///     // A part of a long computation.
///     runnext::stackful::yield_now();
/// }
/// # })).unwrap();
/// ```
#[track_caller]
pub fn yield_now() {
    if yield_at_once() {
        return;
    }
    match here() {
        Here::Stackful(stacked) => stacked.yield_now(),
        Here::Blocking => {
            unwind_if_aborted();
            std::thread::yield_now();
        }
        Here::Stackless => panic!(
            "cannot call `stackful::yield_now` here: this thread is polling a future. \
             `task::yield_now().await` is for futures"
        ),
    }
}

/// Waits until `duration` has passed.
///
/// On a thread that runs no tasks this is as [`std::thread::sleep`]. For a time limit on something else that is waited for, wait for a
/// [`timeout`](crate::time::timeout()).
///
/// # Panics
/// Where futures are polled; use [`time::sleep`](crate::time::sleep()) there. And if the task is
/// aborted it unwinds from here.
///
/// # Examples
/// ```
/// use runnext::time::{Duration, Instant, timeout};
/// use runnext::{stackful, wait};
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(runtime.handle().go(|| {
/// let start = Instant::now();
/// stackful::sleep(Duration::from_millis(10));
/// assert!(start.elapsed() >= Duration::from_millis(10));
///
/// let never = std::future::pending::<()>();
/// assert!(wait(timeout(Duration::from_millis(10), never)).is_err());
/// # })).unwrap();
/// ```
#[cfg(feature = "time")]
#[track_caller]
pub fn sleep(duration: crate::time::Duration) {
    match here() {
        Here::Stackful(stacked) => stacked.wait(pin!(crate::time::sleep(duration))),
        Here::Blocking => block_thread_while(duration),
        Here::Stackless => panic!(
            "cannot call `stackful::sleep` here: this thread is polling a future. \
             `time::sleep(…).await` is for futures"
        ),
    }
}

/// Runs `f`, which may block its thread, on another thread, and waits for it.
///
/// The thread is one of the pool that [`spawn_blocking`](crate::task::spawn_blocking) uses, with its
/// limit. `f` may borrow from the caller: an abort of the task does not cut the wait short, but takes
/// effect at the next one. `f` sees other thread-locals and another task id than its caller; spawning
/// works, and [`wait`] blocks that thread. `f` must not wait for the task itself, nor for the end of its
/// runtime, as dropping that does.
///
/// Where no task is held up, outside of stackful tasks, `f` just runs here; so it does while the task
/// unwinds, if no thread of the pool can be had, and if the runtime is shut down before its turn comes.
///
/// # Panics
/// If `f` panics, with its payload; and where futures are polled: use
/// [`spawn_blocking`](crate::task::spawn_blocking) there.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(runtime.handle().go(|| {
/// let path = String::from("Cargo.toml");
/// let text = runnext::stackful::blocking(|| std::fs::read_to_string(&path)).unwrap();
/// assert!(text.contains("[package]"));
/// # })).unwrap();
/// ```
#[track_caller]
pub fn blocking<F, R>(f: F) -> R
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    let stacked = match here() {
        Here::Stackful(stacked) => stacked,
        Here::Blocking => return give_way(f),
        Here::Stackless => panic!(
            "cannot call `stackful::blocking` here: this thread is polling a future. Use \
             `task::spawn_blocking`, or `task::block_in_place`"
        ),
    };
    let spawn = Spawn::at(Location::caller());
    let start = |job| {
        let handle = Handle::current();
        handle.shared().spawn_blocking(job, spawn).map(drop)
    };
    match elsewhere::run(stacked, f, start) {
        Ok(output) => output,
        Err((_no_thread, f)) => f(),
    }
}

/// Runs `f` on an operating-system thread of its own, and waits for it.
///
/// For code that changes its thread: its name, its priority, its signal mask, thread-locals that
/// must not be seen by others. It may borrow from the caller, as with [`blocking`], and an abort does
/// not cut it short either.
///
/// The thread is called `runnext-dedicated`, counts against no limit of the runtime, and ends after
/// `f`. It belongs to no runtime: to spawn from there, [enter](Handle::enter) one.
///
/// # Errors
/// If the operating system refuses to start a thread; `f` is dropped.
///
/// # Panics
/// If `f` panics, with its payload; and where futures are polled.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(runtime.handle().go(|| {
/// let here = std::thread::current().id();
/// let there = runnext::stackful::dedicated(|| std::thread::current().id()).unwrap();
/// assert_ne!(here, there);
/// # })).unwrap();
/// ```
#[track_caller]
pub fn dedicated<F, R>(f: F) -> io::Result<R>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    let start = |job: elsewhere::Job| {
        let builder = std::thread::Builder::new().name("runnext-dedicated".into());
        builder.spawn(job).map(drop)
    };
    match here() {
        Here::Stackful(stacked) => elsewhere::run(stacked, f, start).map_err(|(error, _)| error),
        Here::Blocking => give_way(|| {
            std::thread::scope(|scope| {
                let builder = std::thread::Builder::new().name("runnext-dedicated".into());
                let thread = builder.spawn_scoped(scope, f)?;
                match thread.join() {
                    Ok(output) => Ok(output),
                    Err(payload) => std::panic::resume_unwind(payload),
                }
            })
        }),
        Here::Stackless => panic!(
            "cannot call `stackful::dedicated` here: this thread is polling a future. Use \
             `std::thread::spawn`, with a `sync::oneshot` channel for the result"
        ),
    }
}

/// Whether this code runs in a stackful task, so that [`wait`] leaves the stack.
///
/// So it is in a future that such a task waits for; not in the closure of [`blocking`], which is on
/// another thread.
///
/// # Examples
/// ```
/// assert!(!runnext::stackful::is_stackful());
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// assert!(runnext::go(runnext::stackful::is_stackful).await.unwrap());
/// # });
/// ```
pub fn is_stackful() -> bool {
    crate::engine::scheduler::stackful::stacked().is_some()
}

/// How many bytes of its stack a stackful task has left here; `None` outside of one.
///
/// For recursion whose depth the input decides: see
/// [the guide](crate::guide::two_kinds_of_task#the-size-of-a-stack). Leave room for what the calls
/// below need, a panic among them.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(runtime.handle().go(|| {
/// let left = runnext::stackful::remaining_stack().unwrap();
/// assert!(left > 4096);
/// # })).unwrap();
/// ```
pub fn remaining_stack() -> Option<usize> {
    crate::engine::scheduler::stackful::stacked()?.remaining()
}
