//! Waiting, for hyper.

use crate::time::{self, Instant};
use pin_project::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Waits for hyper, by the timers of the current runtime: for time limits and keep-alives, which hyper
/// has only where it was given one.
///
/// # Panics
/// hyper's use of it panics if there is no current runtime.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// let mut server = hyper::server::conn::http1::Builder::new();
/// server
///     .timer(runnext::hyper::Timer::new())
///     .header_read_timeout(Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Timer;

impl Timer {
    /// A timer.
    pub const fn new() -> Timer {
        Timer
    }
}

#[pin_project]
struct Sleep(#[pin] time::Sleep);

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().0.poll(cx)
    }
}

impl hyper::rt::Sleep for Sleep {}

impl hyper::rt::Timer for Timer {
    #[track_caller]
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep(time::sleep(duration)))
    }

    #[track_caller]
    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep(time::sleep_until(deadline.into())))
    }

    fn now(&self) -> std::time::Instant {
        // That of the runtime, which a test may have stopped.
        Instant::now().into()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, new_deadline: std::time::Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(ours) => ours.project().0.reset(new_deadline.into()),
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}
