//! Giving up on a future.

use super::error::Elapsed;
use super::{Duration, Instant, Sleep, sleep, sleep_until};
use crate::task::coop;
use pin_project::pin_project;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Waits for `future`, but no longer than `duration`.
///
/// The future is polled first, so one that is ready at once succeeds even if `duration` is zero.
/// When the time has run out, the future is dropped with this one, in the state it is in. A future
/// that never returns `Pending` cannot be interrupted.
///
/// In a stackful task, `runnext::wait(timeout(…))` does the same for what the task waits for.
///
/// # Errors
/// If the time runs out first.
///
/// # Panics
/// If there is no current runtime; and, where it is polled, if the runtime is shut down.
///
/// # Cancel safety
/// That of `future`.
///
/// # Examples
/// ```
/// use runnext::time::{Duration, timeout};
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let quick = timeout(Duration::from_secs(1), async { 7 }).await;
/// assert_eq!(quick, Ok(7));
///
/// let never = std::future::pending::<()>();
/// assert!(timeout(Duration::from_millis(10), never).await.is_err());
/// # });
/// ```
#[inline]
#[track_caller]
pub fn timeout<F>(duration: Duration, future: F) -> Timeout<F::IntoFuture>
where
    F: IntoFuture,
{
    Timeout {
        value: future.into_future(),
        delay: sleep(duration),
    }
}

/// Waits for `future`, but not beyond `deadline`. See [`timeout`].
///
/// # Errors
/// If the deadline comes first.
///
/// # Panics
/// As [`timeout`].
///
/// # Cancel safety
/// That of `future`.
///
/// # Examples
/// Several steps with one deadline:
///
/// ```
/// use runnext::time::{Duration, Instant, error::Elapsed, timeout_at};
///
/// # async fn first() {}
/// # async fn second() {}
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let deadline = Instant::now() + Duration::from_secs(1);
/// timeout_at(deadline, first()).await?;
/// timeout_at(deadline, second()).await?;
/// # Ok::<_, Elapsed>(())
/// # }).unwrap();
/// ```
#[inline]
#[track_caller]
pub fn timeout_at<F>(deadline: Instant, future: F) -> Timeout<F::IntoFuture>
where
    F: IntoFuture,
{
    Timeout {
        value: future.into_future(),
        delay: sleep_until(deadline),
    }
}

/// The future of [`timeout`] and [`timeout_at`].
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Timeout<T> {
    #[pin]
    value: T,
    #[pin]
    delay: Sleep,
}

impl<T> Timeout<T> {
    /// The future inside.
    pub fn get_ref(&self) -> &T {
        &self.value
    }

    /// The future inside.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// The future inside, without a deadline.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: Future> Future for Timeout<T> {
    type Output = Result<T::Output, Elapsed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.project();
        let had_budget = coop::has_budget_remaining();
        if let Poll::Ready(value) = me.value.poll(cx) {
            return Poll::Ready(Ok(value));
        }
        let elapsed = if had_budget && !coop::has_budget_remaining() {
            // A future that uses up the budget each time would never be interrupted.
            coop::without_budget(|| me.delay.poll(cx))
        } else {
            me.delay.poll(cx)
        };
        elapsed.map(|()| Err(Elapsed::new()))
    }
}
