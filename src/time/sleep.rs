//! Waiting until a moment.

use super::{Duration, Instant, gone, timer};
use crate::engine::scheduler::timer::{Gone, Timer};
use crate::task::coop;
use pin_project::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Waits until `duration` has passed.
///
/// A `duration` of zero waits for nothing. One of more than 30 years counts as 30 years.
///
/// # Panics
/// If there is no current runtime; and, where it is polled, if the runtime is shut down.
///
/// # Cancel safety
/// Dropping the future takes the timer back; nothing else comes of it.
///
/// # Examples
/// ```
/// use runnext::time::{Duration, Instant, sleep};
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let start = Instant::now();
/// sleep(Duration::from_millis(10)).await;
/// assert!(start.elapsed() >= Duration::from_millis(10));
/// # });
/// ```
#[inline]
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    Sleep {
        deadline: Instant::now().after(duration),
        timer: timer(!duration.is_zero()),
    }
}

/// Waits until `deadline`; not at all, if that has passed.
///
/// # Panics
/// As [`sleep`].
///
/// # Cancel safety
/// As [`sleep`].
///
/// # Examples
/// ```
/// use runnext::time::{Duration, Instant, sleep_until};
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let deadline = Instant::now() + Duration::from_millis(10);
/// sleep_until(deadline).await;
/// assert!(Instant::now() >= deadline);
/// # });
/// ```
#[inline]
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        deadline,
        timer: timer(false),
    }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// To [reset](Sleep::reset) it while it waits, or to poll it more than once, pin it:
///
/// ```
/// use runnext::time::{Duration, Instant, sleep};
///
/// # #[cfg(feature = "macros")]
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// let (work, mut done) = runnext::sync::mpsc::channel::<()>(1);
/// runnext::spawn(async move {
///     for _ in 0..3 {
///         work.send(()).await.unwrap();
///     }
/// });
///
/// // Ends when nothing has come for 20 ms.
/// let idle = sleep(Duration::from_millis(20));
/// runnext::pin!(idle);
/// loop {
///     runnext::select! {
///         () = &mut idle => break,
///         Some(()) = done.recv() => {
///             idle.as_mut().reset(Instant::now() + Duration::from_millis(20));
///         }
///     }
/// }
/// # });
/// ```
#[pin_project(!Unpin)]
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Sleep {
    deadline: Instant,
    timer: Timer,
}

impl Sleep {
    /// The moment at which it becomes ready.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether its timer has fired.
    ///
    /// That takes a runtime that looks at its timers: a deadline may have passed, and this still be
    /// `false`. And a timer is not set before the future is first polled.
    pub fn is_elapsed(&self) -> bool {
        self.timer.is_fired()
    }

    /// Sets it to another moment, whether or not it was ready before.
    ///
    /// A task that waits for it goes on to wait, without polling it again; but one that has been
    /// woken by it has to.
    ///
    /// # Examples
    /// ```
    /// use runnext::time::{Duration, Instant, sleep};
    ///
    /// # let runtime = runnext::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// let mut wait = std::pin::pin!(sleep(Duration::from_secs(60)));
    /// wait.as_mut().reset(Instant::now() + Duration::from_millis(5));
    /// wait.await;
    /// # });
    /// ```
    pub fn reset(self: Pin<&mut Self>, deadline: Instant) {
        let me = self.project();
        *me.deadline = deadline;
        me.timer.reset(deadline.into_std());
    }
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = self.project();
        poll(me.timer, *me.deadline, cx)
    }
}

/// Whether `timer` has fired, which takes a unit of budget then.
#[inline]
pub(super) fn poll(timer: &mut Timer, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
    // What is most often so in one call.
    if timer.begin(deadline.into_std(), cx) {
        return Poll::Pending;
    }
    match ready!(coop::poll_and_pay(cx, |cx| timer.poll(deadline.into_std(), cx))) {
        Ok(()) => Poll::Ready(()),
        Err(Gone) => gone(),
    }
}
