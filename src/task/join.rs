//! Handles of tasks.

use super::{Id, JoinError};
use crate::engine::task::{AbortRef, RawJoin};
use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The right to the output of a task: a future that yields it when the task has ended.
///
/// Dropping the handle lets the task go on alone; its output is dropped when it ends.
///
/// # Errors
/// The future yields a [`JoinError`] if the task panicked or was cancelled.
///
/// # Cancel safety
/// Awaiting `&mut handle` in a branch of `select!` that is not taken loses nothing.
///
/// # Panics
/// When it is polled again after it has yielded.
pub struct JoinHandle<T> {
    raw: RawJoin<T>,
}

impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    pub(crate) fn new(raw: RawJoin<T>) -> JoinHandle<T> {
        JoinHandle { raw }
    }

    /// Asks the task to end. Its future is dropped at its next turn, unless it ends by itself
    /// first; a closure of `spawn_blocking` is only stopped if it has not begun. A stackful task
    /// [unwinds](crate::guide::two_kinds_of_task#abort-panic-shutdown) from the wait that it is in, or
    /// from its next one.
    ///
    /// # Examples
    /// ```
    /// # let runtime = runnext::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// let task = runnext::spawn(std::future::pending::<()>());
    /// task.abort();
    /// assert!(task.await.unwrap_err().is_cancelled());
    /// # });
    /// ```
    pub fn abort(&self) {
        self.raw.abort();
    }

    /// Whether the task has ended. After `abort` it may be some time until it has.
    pub fn is_finished(&self) -> bool {
        self.raw.is_finished()
    }

    /// A handle that can abort the task, but not wait for it.
    #[must_use = "an abort handle does nothing until it is used"]
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle {
            raw: self.raw.abort_ref(),
        }
    }

    /// The id of the task.
    pub fn id(&self) -> Id {
        Id::new(self.raw.gp().id())
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = std::task::ready!(super::coop::poll_and_pay(cx, |cx| self.raw.poll(cx)));
        let id = self.id();
        Poll::Ready(result.map_err(|fault| JoinError::new(id, fault)))
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .finish()
    }
}

/// The right to abort a task. Made by [`JoinHandle::abort_handle`] and by
/// [`JoinSet`](super::JoinSet).
#[derive(Clone)]
pub struct AbortHandle {
    raw: AbortRef,
}

impl UnwindSafe for AbortHandle {}
impl RefUnwindSafe for AbortHandle {}

impl AbortHandle {
    /// Asks the task to end. See [`JoinHandle::abort`].
    pub fn abort(&self) {
        self.raw.abort();
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.raw.is_finished()
    }

    /// The id of the task.
    pub fn id(&self) -> Id {
        Id::new(self.raw.id())
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle")
            .field("id", &self.id())
            .finish()
    }
}
