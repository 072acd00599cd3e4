//! An async runtime that schedules tasks the way Go schedules goroutines: futures, and closures with
//! stacks of their own.
//!
//! ```
//! # #[cfg(all(feature = "macros", feature = "sync"))]
//! # mod example {
//! use runnext::sync::mpsc;
//!
//! #[runnext::main]
//! async fn main() {
//!     let (lines, mut received) = mpsc::channel(16);
//!     for worker in 0..4 {
//!         let lines = lines.clone();
//!         runnext::spawn(async move {
//!             lines.send(format!("hello from task {worker}")).await.unwrap();
//!         });
//!     }
//!     drop(lines);
//!     while let Some(line) = received.recv().await {
//!         println!("{line}");
//!     }
//! }
//! # pub fn run() { main() }
//! # }
//! # #[cfg(all(feature = "macros", feature = "sync"))]
//! # example::run();
//! ```
//!
//! Code that is not async is at home too. [`go`] runs a closure on a stack of its own, beside the futures
//! and in the same queues; where it has to [`wait`], it leaves its stack, and its thread runs others:
//!
//! ```
//! # #[cfg(all(feature = "macros", feature = "sync"))]
//! # mod example {
//! use runnext::sync::mpsc;
//! use runnext::{go, wait};
//!
//! #[runnext::main(stackful)]
//! fn main() {
//!     let (lines, mut received) = mpsc::channel(16);
//!     for worker in 0..4 {
//!         let lines = lines.clone();
//!         go(move || wait(lines.send(format!("hello from stack {worker}"))));
//!     }
//!     drop(lines);
//!     while let Some(line) = wait(received.recv()) {
//!         println!("{line}");
//!     }
//! }
//! # pub fn run() { main() }
//! # }
//! # #[cfg(all(feature = "macros", feature = "sync"))]
//! # example::run();
//! ```
//!
//! When to use which is the subject of the guide
//! [Two kinds of task](guide::two_kinds_of_task).
//!
//! # How it works
//!
//! A task is a **G**. Gs are run by **M**s, which are threads, and an M needs one of the
//! `worker_threads` **P**s to do so. Each P has a slot for the G that was just made ready, called
//! *runnext*, and a ring of 256 more; when the ring is full, half of it moves to a global queue.
//! An M without work takes some from the global queue or half the ring of another P; if there is
//! none it gives up its P and sleeps, and is woken when there is work that nobody is looking for.
//!
//! What follows for a program:
//!
//! - A task that is woken runs next, on the core that woke it, so messages between tasks cost what
//!   a function call and a few atomic operations cost.
//! - Spawning touches no memory that other workers write, so it scales with the workers.
//! - The thread in `block_on` is a worker while its own future waits. What `main` spawns goes to a
//!   local ring like everything else.
//! - No ready task waits for more than a bounded number of other polls: pairs that keep waking each
//!   other, full rings and busy roots are all made to take turns.
//! - A runtime without work makes no system calls.
//! - A stackful task stays on the thread that began it, so that what is on its stack need not be `Send`.
//!
//! # The map
//!
//! | module | what is in it |
//! |---|---|
//! | [`runtime`] | building a runtime, handles to it, its counters |
//! | [`net`] | sockets of TCP, UDP and Unix domains, pipes |
//! | [`task`] | spawning, joining, aborting; blocking code; tasks that stay on one thread |
//! | [`stackful`] | closures with stacks of their own: [`go`], [`wait`], scopes |
//! | [`guide`] | when to use which kind of task, and what to mind |
//! | [`fs`] | files and directories |
//! | [`io`] | tokio's I/O traits and utilities; the standard streams; waits for descriptors |
//! | `hyper` | what the HTTP crate hyper asks of a runtime |
//! | [`signal`], [`process`] | Ctrl-C and other signals; child processes |
//! | [`sync`] | channels, locks, semaphores, notifications |
//! | [`time`] | sleeping, timeouts, intervals |
//! | [`select!`], [`join!`], [`try_join!`], [`pin!`] | several futures in one task |
//! | [`task_local!`] | values that belong to a task |
//! | [`main`](macro@main), [`test`](macro@test) | attributes that run an `async fn` on a runtime |
//!
//! Names, signatures and meaning are those of tokio 1 wherever tokio has the thing, so that a
//! program that needs no more than this moves over by changing its imports. What behaves
//! differently is listed in the README; above all, a task that blocks the thread which is in
//! `block_on` holds up the future there.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `fs` | yes | [`fs`] |
//! | `hyper` | no | the module `hyper`, for the HTTP crate of that name |
//! | `io-std` | yes | [`io::stdin`], [`io::stdout`], [`io::stderr`] |
//! | `macros` | yes | the attributes and `select!`, `join!`, `try_join!`, `pin!` |
//! | `net` | yes | [`net`], and [`io`]'s waits for descriptors |
//! | `process` | yes | [`process`], on Unix |
//! | `signal` | yes | [`signal`], on Unix |
//! | `stackful` | yes | [`stackful`], [`go`], [`wait`], on Linux on x86-64 and aarch64; nothing elsewhere |
//! | `sync` | yes | [`sync`]: tokio's primitives, which need no runtime, re-exported |
//! | `time` | yes | [`time`] |
//! | `test-util` | no | for tests: stopping the clock, `time::pause` and others |
//! | `tokio-io` | yes | tokio's I/O traits, for files and streams, and its utilities in [`io`] |
//!
//! Files and streams implement the traits of `futures::io` in any case.
//!
//! With `default-features = false` there is the bare executor: [`runtime`] and [`task`].
//!
//! # Panics, errors, unsafe code
//!
//! A task that panics ends alone, and its join handle says so. A mistake in using the runtime, as
//! spawning without one or blocking a worker with `block_on`, is a panic that names the remedy. A stack
//! that overflows ends the process with a report that names the task.
//! Unsafe code is confined to the private module `engine`, where each block states what it relies
//! on; its queues and its parking protocol are model-checked with loom.

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("runnext supports 64-bit targets only");

#[allow(unsafe_code)] // The engine is where unsafe code lives; see its map.
mod engine;

#[cfg(all(feature = "fs", not(loom)))]
pub mod fs;
#[cfg(all(feature = "hyper", not(loom)))]
pub mod hyper;
#[cfg(not(loom))]
pub mod io;
#[cfg(all(feature = "net", not(loom)))]
pub mod net;
#[cfg(all(feature = "process", unix, not(loom)))]
pub mod process;
#[cfg(not(loom))]
pub mod runtime;
#[cfg(all(feature = "signal", unix, not(loom)))]
pub mod signal;
#[cfg(not(loom))]
pub mod task;

#[cfg(all(feature = "time", not(loom)))]
pub mod time;

#[cfg(not(loom))]
pub use task::spawn;

// rustc shows the line with the `cfg` to whoever uses these where they are not.
#[cfg(stackful)] // Feature `stackful`, on Linux on x86-64 or aarch64.
pub mod guide;
#[cfg(stackful)] // Feature `stackful`, on Linux on x86-64 or aarch64.
pub mod stackful;
#[cfg(stackful)] // Feature `stackful`, on Linux on x86-64 or aarch64.
pub use stackful::{go, wait};

/// Channels, locks and other ways for tasks to meet: tokio's, which need no runtime, re-exported.
///
/// They take no part in the budget of [`task::coop`]: a loop over a channel that is never empty
/// does not yield by itself. And their `blocking_*` methods do not notice that they are called in a
/// task: where their documentation promises a panic, they block the thread.
///
/// What follows, and the pages of the items, are tokio's own words: where an example says `tokio`, read
/// `runnext`. Links to what runnext has no counterpart of lead nowhere.
#[cfg(all(feature = "sync", not(loom)))]
#[doc(inline)]
pub use tokio::sync;

#[cfg(all(feature = "macros", not(loom)))]
pub use tokio::{join, pin, select, try_join};

#[cfg(all(feature = "macros", not(loom)))]
pub use runnext_macros::{main, test};
