//! Waiting for a future in code that is not async.

use super::Shared;
use super::blocking::give_way;
#[cfg(stackful)]
use super::time::instant;
#[cfg(stackful)]
use super::timer::Timer;
use crate::engine::primitive::Arc;
use crate::engine::sys::{self, Instant, Parker};
use std::future::Future;
use std::pin::Pin;
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

/// Why a wait came to nothing.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(all(stackful, feature = "net")), allow(dead_code))]
pub(crate) enum Unready {
    /// Waiting here would block all tasks on this thread.
    Refused,
    /// The time has run out.
    Elapsed,
    /// The runtime that was to tell the time is shut down.
    Gone,
}

/// Waits for `future`, and for no longer than `limit`: a stackful G leaves its stack meanwhile, a
/// thread without tasks is blocked.
///
/// # Errors
/// Where futures are polled; and if the time runs out.
#[cfg_attr(not(feature = "net"), allow(dead_code))]
pub(crate) fn wait<F: Future>(
    future: Pin<&mut F>,
    limit: Option<Duration>,
) -> Result<F::Output, Unready> {
    #[cfg(stackful)]
    {
        use super::stackful::{Here, here};
        match (here(), limit) {
            (Here::Stackful(stacked), None) => Ok(stacked.wait(future)),
            (Here::Stackful(stacked), Some(limit)) => {
                stacked.wait(std::pin::pin!(within(limit, future)))
            }
            (Here::Blocking, limit) => block_thread_for(future, limit),
            (Here::Stackless, _) => Err(Unready::Refused),
        }
    }
    #[cfg(not(stackful))]
    match super::refuse_blocking() {
        None => block_thread_for(future, limit),
        Some(_) => Err(Unready::Refused),
    }
}

/// The `future`, which ends when it has been pending for as long as `limit`.
#[cfg(stackful)]
#[cfg_attr(not(feature = "net"), allow(dead_code))]
async fn within<F: Future>(limit: Duration, mut future: Pin<&mut F>) -> Result<F::Output, Unready> {
    let mut clock = None;
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => poll_limit(&mut clock, limit, cx).map(Err),
    })
    .await
}

/// What tells when a limit that began with the first poll is reached.
#[cfg(stackful)]
#[cfg_attr(not(feature = "net"), allow(dead_code))]
#[inline(never)] // See `current.rs`.
fn poll_limit(
    clock: &mut Option<(Timer, Option<Instant>)>,
    limit: Duration,
    cx: &mut std::task::Context<'_>,
) -> Poll<Unready> {
    let (timer, deadline) = clock.get_or_insert_with(|| {
        let timer = Timer::new(true).expect("a stackful G runs within its runtime");
        (timer, instant().checked_add(limit))
    });
    // What is too late to be counted never comes.
    let Some(deadline) = *deadline else {
        return Poll::Pending;
    };
    timer.poll(deadline, cx).map(|fired| match fired {
        Ok(()) => Unready::Elapsed,
        Err(_gone) => Unready::Gone,
    })
}

/// Waits for `future` by blocking the thread. If it holds a P, others get that.
#[cfg(stackful)]
pub(crate) fn block_thread<F: Future>(future: Pin<&mut F>) -> F::Output {
    let output = block_thread_for(future, None);
    output.expect("it waits for as long as it takes")
}

/// Blocks the thread for as long as `duration`.
#[cfg(all(stackful, feature = "time"))]
pub(crate) fn block_thread_while(duration: Duration) {
    let never = std::pin::pin!(std::future::pending::<()>());
    let _elapsed = block_thread_for(never, Some(duration));
}

/// As `block_thread`, for no longer than `limit` of the system's time.
fn block_thread_for<F: Future>(
    mut future: Pin<&mut F>,
    limit: Option<Duration>,
) -> Result<F::Output, Unready> {
    struct Unparks(Parker);
    impl Wake for Unparks {
        fn wake(self: Arc<Self>) {
            let _woken = self.0.unpark();
        }
    }
    let parker = Arc::new(Unparks(Parker::new()));
    let waker = Waker::from(parker.clone());
    let mut cx = std::task::Context::from_waker(&waker);
    if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
        return Ok(output);
    }
    let deadline = limit.and_then(|limit| sys::now().checked_add(limit));
    let runtime = Shared::current();
    #[cfg(stackful)]
    let held = super::stackful::held(&waker);
    let outcome = give_way(|| {
        loop {
            #[cfg(stackful)]
            if held.as_ref().is_some_and(super::stackful::Held::is_aborted) {
                // What came before the abort is not lost: it may have come since the last poll.
                return match future.as_mut().poll(&mut cx) {
                    Poll::Ready(output) => Some(Ok(output)),
                    Poll::Pending => None,
                };
            }
            // All Ms may be asleep, or wait for this very thread.
            let timers = runtime.as_ref().and_then(|r| r.run_timers_elsewhere());
            let left = deadline.map(|d: Instant| d.saturating_duration_since(sys::now()));
            match [timers, left].into_iter().flatten().min() {
                Some(timeout) => drop(parker.0.park_timeout(timeout)),
                None => parker.0.park(),
            }
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return Some(Ok(output));
            }
            if deadline.is_some_and(|deadline| deadline <= sys::now()) {
                return Some(Err(Unready::Elapsed));
            }
        }
    });
    outcome.unwrap_or_else(|| {
        #[cfg(stackful)]
        super::stackful::unwind();
        #[cfg(not(stackful))]
        unreachable!("there is nobody to abort");
    })
}
