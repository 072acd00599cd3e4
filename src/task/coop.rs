//! Cooperative scheduling: how tasks that never have to wait still take turns.
//!
//! A task gives its thread back only when its poll returns `Pending`. A future that finds all it
//! asks for ready at once, such as a loop over a channel that is never empty, has no reason to
//! return `Pending`, and would keep the thread from its other tasks for as long as the work lasts.
//!
//! So each poll of a task comes with a *budget* of 128 units. A leaf future (one that waits for
//! something itself, rather than for other futures) takes a unit each time it makes progress; when
//! none is left it makes the task runnable again and returns `Pending`, whatever it might have
//! found. The task goes to the tail of the run queue and meets a full budget on its next turn.
//!
//! Most programs need none of this module: awaiting a [`JoinHandle`] or a [`JoinSet`] takes part
//! on its own. What is here is for those who
//!
//! - run a long computation inside a task: [`consume_budget`];
//! - have a future whose leaves do not take part: [`cooperative`];
//! - write leaf futures by hand: [`poll_proceed`] and [`has_budget_remaining`];
//! - must not be interrupted: [`unconstrained()`].
//!
//! Outside of a runtime there is no budget, and nothing here ever returns `Pending` on account of
//! it.
//!
//! # Examples
//!
//! A computation that lets the other tasks of its thread run in between:
//!
//! ```
//! use runnext::task::coop::consume_budget;
//!
//! async fn checksum(blocks: &[Vec<u8>]) -> u64 {
//!     let mut sum = 0;
//!     for block in blocks {
//!         sum += block.iter().map(|&byte| u64::from(byte)).sum::<u64>();
//!         consume_budget().await;
//!     }
//!     sum
//! }
//!
//! # #[runnext::main(flavor = "current_thread")]
//! # async fn main() {
//! assert_eq!(checksum(&vec![vec![1; 10]; 1_000]).await, 10_000);
//! # }
//! ```
//!
//! [`JoinHandle`]: crate::task::JoinHandle
//! [`JoinSet`]: crate::task::JoinSet

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project::pin_project;

use crate::engine::current;

/// A unit of budget that was taken, and goes back unless it was used.
///
/// [`poll_proceed`] returns it. Call [`made_progress`](Self::made_progress) when the future got
/// what it was waiting for. Dropped without that call, it puts the budget back to what it was
/// *before* [`poll_proceed`], so that a future that has to wait costs the task nothing. (Units
/// that others took in between are put back with it.)
///
/// It belongs to the poll in which it was made and cannot leave the thread.
///
/// # Examples
///
/// See [`poll_proceed`].
#[derive(Debug)]
#[must_use = "dropping it puts the unit of budget back"]
pub struct RestoreOnPending {
    /// What to put back on drop; `None` when there is nothing to put back.
    before: Cell<Option<u8>>,
    /// The budget is that of the thread's current task.
    not_send: PhantomData<*mut ()>,
}

impl RestoreOnPending {
    fn new(before: Option<u8>) -> Self {
        Self {
            before: Cell::new(before),
            not_send: PhantomData,
        }
    }

    /// Says that the future made progress: the unit is spent and will not be put back.
    ///
    /// # Examples
    ///
    /// See [`poll_proceed`].
    pub fn made_progress(&self) {
        self.before.set(None);
    }
}

impl Drop for RestoreOnPending {
    fn drop(&mut self) {
        if let Some(before) = self.before.get() {
            current::set_budget(Some(before));
        }
    }
}

/// Takes a unit of the task's budget, or gives up the task's turn when none is left.
///
/// The first thing a leaf future does in its `poll`. `Ready` means go on, and report through
/// [`RestoreOnPending::made_progress`] if it led to anything. `Pending` means that the budget is
/// used up: the task has been made runnable again, and the caller has to return `Pending` too.
///
/// Call it in leaf futures only. A future that calls it on behalf of the futures inside it counts
/// the same step twice.
///
/// # Examples
///
/// A queue that never makes its reader wait, and yet lets other tasks run:
///
/// ```
/// use runnext::task::coop;
/// use std::task::{Context, Poll, ready};
///
/// struct Backlog {
///     jobs: Vec<u32>,
/// }
///
/// impl Backlog {
///     fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<u32>> {
///         let step = ready!(coop::poll_proceed(cx));
///         let job = self.jobs.pop();
///         step.made_progress();
///         Poll::Ready(job)
///     }
/// }
///
/// # #[runnext::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut backlog = Backlog { jobs: vec![1; 1_000] };
/// let mut sum = 0;
/// while let Some(job) = std::future::poll_fn(|cx| backlog.poll_next(cx)).await {
///     sum += job;
/// }
/// assert_eq!(sum, 1_000);
/// # }
/// ```
#[inline]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<RestoreOnPending> {
    let before = current::take_budget();
    if before == Some(0) {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    Poll::Ready(RestoreOnPending::new(before))
}

/// As [`poll_proceed`] around `poll`, for a leaf that has to wait more often than not: it leaves the
/// budget alone until there is something to pay for.
#[cfg_attr(not(feature = "time"), allow(dead_code))]
#[inline]
pub(crate) fn poll_and_pay<T>(
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let before = current::budget();
    if before == Some(0) {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    let output = ready!(poll(cx));
    if let Some(left) = before {
        current::set_budget(Some(left - 1));
    }
    Poll::Ready(output)
}

/// Whether the current task may still make progress in this poll.
///
/// `true` when units are left, inside [`unconstrained()`], and on a thread that runs no task. Takes
/// nothing.
///
/// It tells a combinator *why* a future it polled is pending: budget before and none after means
/// that the future was stopped, and may well be ready.
///
/// # Examples
///
/// Handing out work in batches that end with the turn:
///
/// ```
/// use runnext::task::coop::{consume_budget, has_budget_remaining};
///
/// # #[runnext::main(flavor = "current_thread")]
/// # async fn main() {
/// # runnext::spawn(async {
/// let mut done_this_turn = 0;
/// while has_budget_remaining() {
///     // ... one piece of work ...
///     consume_budget().await;
///     done_this_turn += 1;
/// }
/// assert_eq!(done_this_turn, 128);
/// # }).await.unwrap();
/// # }
/// ```
#[inline]
pub fn has_budget_remaining() -> bool {
    current::budget().is_none_or(|left| left > 0)
}

/// Takes a unit of the task's budget, and lets other tasks run first when none is left.
///
/// Put it into the loops of a long computation: it costs a few nanoseconds, and gives up the turn
/// once in 128 calls. [`yield_now()`](crate::task::yield_now()) does so on every call.
///
/// # Cancel safety
///
/// Cancel safe: a call that was dropped while it waited has taken nothing.
///
/// # Examples
///
/// ```
/// use runnext::task::coop::consume_budget;
///
/// async fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
///     let mut sum = 0;
///     for number in numbers {
///         sum += number;
///         consume_budget().await;
///     }
///     sum
/// }
///
/// # #[runnext::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(sum(1..=1_000).await, 500_500);
/// # }
/// ```
pub async fn consume_budget() {
    poll_fn(|cx| poll_proceed(cx).map(|step| step.made_progress())).await;
}

/// Makes a future take part in cooperative scheduling.
///
/// For futures from elsewhere that do not take units themselves. The wrapper takes one before it
/// polls the future, puts it back when the future has to wait, and returns `Pending` without
/// polling it when none is left. So it is the future's *completion* that costs a unit: wrap the
/// future of a single item, not that of a whole loop.
///
/// # Cancel safety
///
/// That of the wrapped future.
///
/// # Examples
///
/// ```
/// use futures::StreamExt;
/// use futures::channel::mpsc;
/// use runnext::task::coop::cooperative;
///
/// # #[runnext::main(flavor = "current_thread")]
/// # async fn main() {
/// // A channel that knows nothing of this runtime.
/// let (sender, mut receiver) = mpsc::unbounded();
/// for item in 0..1_000 {
///     sender.unbounded_send(item).unwrap();
/// }
/// drop(sender);
///
/// let mut received = 0;
/// while let Some(_item) = cooperative(receiver.next()).await {
///     received += 1;
/// }
/// assert_eq!(received, 1_000);
/// # }
/// ```
#[inline]
pub fn cooperative<F: Future>(fut: F) -> Coop<F> {
    Coop { future: fut }
}

/// The future of [`cooperative`].
///
/// # Examples
///
/// See [`cooperative`].
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Coop<F: Future> {
    #[pin]
    future: F,
}

impl<F: Future> Future for Coop<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let step = ready!(poll_proceed(cx));
        let output = ready!(self.project().future.poll(cx));
        step.made_progress();
        Poll::Ready(output)
    }
}

/// Exempts a future from cooperative scheduling: it is never stopped for want of budget.
///
/// Only the future given is exempt; the budget of the task around it stays as it was. A future
/// that never has to wait will then keep its thread until it is done, so this is for work that is
/// short, or that yields on its own.
///
/// # Cancel safety
///
/// That of the wrapped future.
///
/// # Examples
///
/// ```
/// use runnext::task::coop::{consume_budget, unconstrained};
///
/// # #[runnext::main(flavor = "current_thread")]
/// # async fn main() {
/// // Completes in a single poll.
/// unconstrained(async {
///     for _ in 0..1_000 {
///         consume_budget().await;
///     }
/// })
/// .await;
/// # }
/// ```
pub fn unconstrained<F>(inner: F) -> Unconstrained<F> {
    Unconstrained { inner }
}

/// The future of [`unconstrained()`].
///
/// # Examples
///
/// See [`unconstrained()`].
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Unconstrained<F> {
    #[pin]
    inner: F,
}

impl<F: Future> Future for Unconstrained<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = self.project().inner;
        without_budget(|| inner.poll(cx))
    }
}

/// Runs `f` without a budget and puts the task's budget back afterwards, also on a panic.
pub(crate) fn without_budget<R>(f: impl FnOnce() -> R) -> R {
    struct PutBack(u8);

    impl Drop for PutBack {
        fn drop(&mut self) {
            current::set_budget(Some(self.0));
        }
    }

    // `None` is either a thread without a task or an enclosing `unconstrained`: nothing to lift.
    let _put_back = current::budget().map(|left| {
        current::set_budget(None);
        PutBack(left)
    });
    f()
}
