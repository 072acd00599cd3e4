//! Time: sleeping, deadlines, and things that happen again and again.
//!
//! | to | use |
//! |---|---|
//! | wait for a while, or until a moment | [`sleep`](fn@sleep), [`sleep_until`] |
//! | give up on a future that takes too long | [`timeout`](fn@timeout), [`timeout_at`] |
//! | do something every so often | [`interval`](fn@interval), [`interval_at`] |
//! | wait in a stackful task | [`stackful::sleep`](crate::stackful::sleep) |
//!
//! ```
//! # #[cfg(feature = "macros")]
//! # mod example {
//! use runnext::time::{Duration, interval, sleep, timeout};
//!
//! #[runnext::main]
//! async fn main() {
//!     let slow = async {
//!         sleep(Duration::from_secs(60)).await;
//!         "done"
//!     };
//!     let answer = timeout(Duration::from_millis(20), slow).await;
//!     assert!(answer.is_err(), "it took too long");
//!
//!     let mut beat = interval(Duration::from_millis(5));
//!     for _ in 0..3 {
//!         beat.tick().await;
//!     }
//! }
//! # pub fn run() { main() }
//! # }
//! # #[cfg(feature = "macros")]
//! # example::run();
//! ```
//!
//! # How exact it is
//!
//! Never early. Deadlines are kept to the nanosecond, and the thread that waits for one sleeps for
//! exactly as long; how late it wakes up is up to the operating system, some tens of microseconds on
//! Linux. A task whose timer is due is then ready like any other, and waits for its turn.
//!
//! The exception is where timers come thick. There a thread that has nothing else to do does not wake up for
//! each: once eight or more of the runtime's were due, the next are seen to when 0.4 ms have passed since it
//! began with those. So a timer may be that much later where there are many, whosever they are, and
//! thousands of them cost a few context switches.
//!
//! # What it costs
//!
//! A timer is made and dropped in some tens of nanoseconds, half of which go into reading the clock.
//! So a timeout around every operation is nothing to be thrifty with. It is set where it is first
//! polled: one that is made and never polled costs nothing more.
//!
//! # Which runtime
//!
//! A timer belongs to the runtime that is current where it is made, and there has to be one. It may
//! be polled anywhere, also in another executor, for as long as its runtime lives; on a
//! current-thread runtime timers fire only while a thread is in `block_on`.
//!
//! # Tests that do not wait
//!
//! With the feature `test-util`, the clock of a current-thread runtime can be stopped, by `pause` or
//! by `#[runnext::test(start_paused = true)]`. From then on time passes only when every task waits:
//! it leaps to the next timer. So a test of a timeout of an hour takes no time, and is exact.

#[cfg(feature = "test-util")]
mod clock;
pub mod error;
mod instant;
mod interval;
mod sleep;
mod timeout;

#[cfg(feature = "test-util")]
pub use clock::{advance, pause, resume};
pub use instant::Instant;
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
#[doc(no_inline)]
pub use std::time::Duration;
pub use timeout::{Timeout, timeout, timeout_at};

use crate::engine::scheduler::timer::Timer;
use crate::runtime::TryCurrentError;

/// A timer of the current runtime. `ahead`: its deadline is known not to have passed.
#[inline]
#[track_caller]
fn timer(ahead: bool) -> Timer {
    match Timer::new(ahead) {
        Some(timer) => timer,
        None => no_runtime(),
    }
}

#[cold]
#[track_caller]
fn no_runtime() -> ! {
    panic!("a timer needs a runtime, and {}", TryCurrentError::new())
}

#[cold]
#[track_caller]
fn gone() -> ! {
    panic!(
        "the runtime of this timer is being shut down, so it would never fire: keep the `Runtime` \
         for as long as its timers are in use"
    )
}

/// No deadline is further away than that: 30 years, which every clock can add.
const LONGEST: Duration = Duration::from_secs(86_400 * 365 * 30);
