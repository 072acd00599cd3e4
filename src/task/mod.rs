//! Tasks: spawning, joining, aborting, and keeping them polite.
//!
//! A task is what Go calls a goroutine and the engine calls a G: a future that the runtime polls
//! on whichever of its threads comes to it. [`spawn()`] makes one; the [`JoinHandle`] it returns
//! waits for the output, aborts the task, or lets it go on alone when dropped. Tasks of the other
//! kind, closures with stacks of their own, are made by [`go`](crate::go()); the guide
//! [Two kinds of task](crate::guide::two_kinds_of_task) is about both.
//!
//! | to | use |
//! |---|---|
//! | run a future beside this one | [`spawn()`], or [`Builder`] to give it a name |
//! | run blocking-style code | [`go`](crate::go()) |
//! | run code that blocks its thread | [`spawn_blocking`]; [`block_in_place`] without moving |
//! | run futures that are not `Send` | [`LocalSet`] and [`spawn_local`] |
//! | wait for many tasks | [`JoinSet`] |
//! | let other tasks run | [`yield_now()`], [`coop`] |
//!
//! # Cancellation
//!
//! [`JoinHandle::abort`] asks a task to end. Its future is dropped where it waits, at the next
//! turn of the scheduler; the handle then yields a [`JoinError`] with
//! [`is_cancelled`](JoinError::is_cancelled). A task that is being polled is not interrupted: it
//! ends when the poll does. A panic ends the task that panics and no other; the handle yields it.

mod blocking;
mod builder;
pub mod coop;
mod error;
mod id;
mod join;
pub mod join_set;
mod local;
mod spawn;
pub(crate) mod task_local;
mod yield_now;

pub use blocking::{block_in_place, spawn_blocking};
#[cfg(any(feature = "fs", feature = "io-std"))]
pub(crate) use blocking::{spawn_owed, try_spawn_blocking};
pub use builder::Builder;
pub use coop::{Unconstrained, consume_budget, unconstrained};
pub use error::JoinError;
pub use id::{Id, id, labels, name, try_id};
pub use join::{AbortHandle, JoinHandle};
pub use join_set::JoinSet;
pub use local::{LocalEnterGuard, LocalSet, spawn_local};
pub use spawn::spawn;
pub use task_local::{AccessError, LocalKey};
pub use yield_now::yield_now;

/// Futures that the functions and types of this module return.
pub mod futures {
    pub use super::task_local::TaskLocalFuture;
}
