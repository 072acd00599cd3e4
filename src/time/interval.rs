//! Ticks.

use super::sleep::poll;
use super::{Duration, Instant, timer};
use crate::engine::scheduler::timer::Timer;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

/// Later than that, a tick has been missed, rather than being as late as ticks are.
const TOLERANCE: Duration = Duration::from_millis(5);

/// Ticks every `period`, the first time at once.
///
/// What happens when ticks are missed is up to [`MissedTickBehavior`].
///
/// # Panics
/// If `period` is zero, or if there is no current runtime.
///
/// # Examples
/// ```
/// use runnext::time::{Duration, interval};
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let mut interval = interval(Duration::from_millis(5));
/// let first = interval.tick().await; // at once
/// let second = interval.tick().await;
/// assert_eq!(second - first, Duration::from_millis(5));
/// # });
/// ```
///
/// It ticks at set times, however long the work between ticks takes; with a [`sleep`](super::sleep())
/// in the loop that would add up.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks every `period`, the first time at `start`.
///
/// # Panics
/// As [`interval`].
///
/// # Examples
/// ```
/// use runnext::time::{Duration, Instant, interval_at};
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let start = Instant::now() + Duration::from_millis(5);
/// let mut interval = interval_at(start, Duration::from_millis(5));
/// assert_eq!(interval.tick().await, start);
/// # });
/// ```
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "`period` must be non-zero");
    Interval {
        timer: timer(false),
        next: start,
        period: period.min(super::LONGEST),
        missed: MissedTickBehavior::default(),
    }
}

/// What an [`Interval`] does when ticks were missed: when [`tick`](Interval::tick) was called, or the
/// task had its turn, more than 5 ms after a tick was due.
///
/// The tick that is late comes at once in any case; this is about those after it.
///
/// ```text
/// due     |     |     |     |     |     |
/// Burst   |     ......late..||    |     |     catches up
/// Delay   |     ......late..|     |     |     the period counts from there
/// Skip    |     ......late..| |     |     |   at the times that were due, of which some are left out
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Ticks as fast as they are asked for until as many have come as were due.
    #[default]
    Burst,
    /// Ticks next when a period has passed since the late one.
    Delay,
    /// Ticks next at the next time that was due from the start.
    Skip,
}

impl MissedTickBehavior {
    /// When to tick after a tick that was due at `due` and came `now`.
    fn next(self, due: Instant, now: Instant, period: Duration) -> Instant {
        match self {
            MissedTickBehavior::Burst => due.after(period),
            MissedTickBehavior::Delay => now.after(period),
            MissedTickBehavior::Skip => {
                let since = (now - due).as_nanos() % period.as_nanos();
                let since = u64::try_from(since).expect("a period is at most 30 years");
                now.after(period - Duration::from_nanos(since))
            }
        }
    }
}

/// Ticks. Made by [`interval`] and [`interval_at`].
#[derive(Debug)]
pub struct Interval {
    timer: Timer,
    /// When the next tick is due.
    next: Instant,
    period: Duration,
    missed: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick. When it was due, which may be earlier than it comes.
    ///
    /// # Cancel safety
    /// Dropping the future loses no tick.
    ///
    /// # Panics
    /// If the runtime is shut down.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// As [`tick`](Interval::tick), as a poll. The task of the last call is woken.
    ///
    /// # Panics
    /// If the runtime is shut down.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(poll(&mut self.timer, self.next, cx));
        let due = self.next;
        let now = Instant::now();
        self.next = if now > due.after(TOLERANCE) {
            self.missed.next(due, now, self.period)
        } else {
            due.after(self.period)
        };
        self.timer.rewind();
        Poll::Ready(due)
    }

    /// Ticks next when a period has passed from now, and every period after that.
    pub fn reset(&mut self) {
        self.reset_at(Instant::now().after(self.period));
    }

    /// Ticks next at once, and every period after that.
    pub fn reset_immediately(&mut self) {
        self.reset_at(Instant::now());
    }

    /// Ticks next when `after` has passed, and every period after that.
    pub fn reset_after(&mut self, after: Duration) {
        self.reset_at(Instant::now().after(after));
    }

    /// Ticks next at `deadline`, and every period after that.
    ///
    /// # Examples
    /// ```
    /// use runnext::time::{Duration, Instant, interval};
    ///
    /// # let runtime = runnext::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// let mut interval = interval(Duration::from_secs(60));
    /// interval.tick().await;
    /// let soon = Instant::now() + Duration::from_millis(5);
    /// interval.reset_at(soon);
    /// assert_eq!(interval.tick().await, soon);
    /// # });
    /// ```
    pub fn reset_at(&mut self, deadline: Instant) {
        self.next = deadline;
        self.timer.reset(deadline.into_std());
    }

    /// What it does when ticks were missed.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Sets what it does when ticks were missed.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }

    /// What lies between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }
}
