//! Stopping the clock of a runtime, for tests.

use super::Duration;
use crate::engine::scheduler::Shared;
use crate::engine::scheduler::time;
use crate::engine::timer::clock::Misuse;
use crate::runtime::Handle;
use crate::task::yield_now;
use std::sync::Arc;

/// What the clock of the current runtime shows; the system's, without a runtime.
pub(super) fn now() -> std::time::Instant {
    time::instant()
}

/// Stops the clock of the current runtime.
///
/// [`Instant::now`](super::Instant::now) stands still from then on, and timers go by it. When nothing
/// is left to do but to wait for timers, the clock leaps to the earliest one; not while closures of
/// [`spawn_blocking`](crate::task::spawn_blocking) run, for which no time passes.
///
/// # Panics
/// If there is no current runtime, or it is not a current-thread one, or its clock is stopped
/// already.
///
/// # Examples
/// ```
/// use runnext::time::{self, Duration, Instant};
///
/// # let runtime = runnext::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// time::pause();
/// let start = Instant::now();
/// time::sleep(Duration::from_secs(3600)).await; // takes no time
/// assert_eq!(start.elapsed(), Duration::from_secs(3600));
/// # });
/// ```
#[track_caller]
pub fn pause() {
    let shared = shared();
    assert!(
        !shared.config().multi,
        "`time::pause` needs the current-thread runtime, and this is a multi-thread one, in which \
         it cannot be told when nothing else can happen"
    );
    if shared.clock().stop() == Err(Misuse::IsStopped) {
        panic!("`time::pause`: the clock is stopped already");
    }
}

/// Lets the clock of the current runtime run on from what it shows.
///
/// # Panics
/// If there is no current runtime, or its clock is not stopped.
#[track_caller]
pub fn resume() {
    if shared().clock().start() == Err(Misuse::Runs) {
        panic!("`time::resume`: the clock is not stopped; call `time::pause` first");
    }
}

/// Sets the clock of the current runtime, which is stopped, forward by `duration`.
///
/// It does so in one step. The timers that are due then fire, and their tasks have a turn before
/// this is done; what they set in turn, even if it is due as well, may come later. To go through a
/// stretch of time timer by timer, [`sleep`](super::sleep()) instead.
///
/// It does not wait for tasks of a [`LocalSet`](crate::task::LocalSet), which gives them turns of its own;
/// nor, where other tasks are always ready, for those in the global queue of a runtime that looks at that less
/// often than every 1,024 turns (see
/// [`global_queue_interval`](crate::runtime::Builder::global_queue_interval)).
///
/// # Panics
/// If there is no current runtime, or its clock is not stopped.
///
/// # Examples
/// ```
/// use runnext::time::{self, Duration, Instant};
///
/// # let runtime = runnext::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// time::pause();
/// let start = Instant::now();
/// time::advance(Duration::from_millis(1500)).await;
/// assert_eq!(start.elapsed(), Duration::from_millis(1500));
/// # });
/// ```
pub async fn advance(duration: Duration) {
    let shared = shared();
    if shared.clock().advance(duration) == Err(Misuse::Runs) {
        panic!("`time::advance`: the clock is not stopped; call `time::pause` first");
    }
    let turns = shared.run_timers_now();
    loop {
        yield_now().await;
        if shared.has_had(turns) {
            return;
        }
    }
}

#[track_caller]
fn shared() -> Arc<Shared> {
    Handle::current().shared().clone()
}
