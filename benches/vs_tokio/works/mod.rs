//! The works that both runtimes do.
//!
//! Each is a function generic over [`Rival`] that takes a started runtime and a size, does the work once and returns
//! how long the timed part took. Sizes are such that a run takes between about one and some tens of milliseconds: long
//! beside the clock, short enough for many pairs.
//!
//! What keeps them fair and honest:
//! - Both runtimes get the same futures, and channels and locks are tokio's on both sides (`runnext::sync` is the same
//!   code).
//! - Room for join handles is allocated before the clock starts: what is timed is the runtime, not a growing `Vec`.
//! - Results go through [`black_box`](std::hint::black_box) or are checked, so that no work can be optimised away.
//! - "Inside a task" means that a spawned task does the work and holds the clock, so that neither entering `block_on`
//!   nor leaving it is timed.

pub(crate) mod blocking;
pub(crate) mod networking;
pub(crate) mod scaling;
pub(crate) mod spawning;
pub(crate) mod talking;
pub(crate) mod timers;
pub(crate) mod yielding;

use std::future::Future;
use std::time::{Duration, Instant};

use crate::rivals::{Rival, Runnext, Tokio};

/// A work with what is expected of it.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    /// With two workers.
    pub(crate) aim: Aim,
    pub(crate) size: usize,
    pub(crate) smoke_size: usize,
    /// Whether it needs timers.
    pub(crate) timers: bool,
    /// Whether it needs sockets, and with them drivers on both sides.
    pub(crate) drivers: bool,
    pub(crate) on_tokio: Run<Tokio>,
    pub(crate) on_runnext: Run<Runnext>,
}

/// What is expected of a work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    /// tokio's time over ours is to be at least this.
    Ratio(f64),
    /// Our time is to be at most so many microseconds, whatever tokio's is.
    Micros(f64),
}

/// A work compiled for one runtime: takes the size, returns the time.
type Run<R> = fn(&<R as Rival>::Runtime, usize) -> Duration;

macro_rules! work {
    ($name:literal, target $target:literal, $function:path, $size:literal, smoke $smoke:literal) => {
        work!($name, Aim::Ratio($target), $function, $size, smoke $smoke, with (false, false))
    };
    ($name:literal, target $target:literal, timers $function:path, $size:literal, smoke $smoke:literal) => {
        work!($name, Aim::Ratio($target), $function, $size, smoke $smoke, with (true, false))
    };
    ($name:literal, micros $most:literal, timers $function:path, $size:literal, smoke $smoke:literal) => {
        work!($name, Aim::Micros($most), $function, $size, smoke $smoke, with (true, false))
    };
    ($name:literal, target $target:literal, sockets $function:path, $size:literal, smoke $smoke:literal) => {
        work!($name, Aim::Ratio($target), $function, $size, smoke $smoke, with (false, true))
    };
    ($name:literal, $aim:expr, $function:path, $size:literal, smoke $smoke:literal, with ($timers:literal, $drivers:literal)) => {{
        use $function as run;
        Work {
            name: $name,
            aim: $aim,
            size: $size,
            smoke_size: $smoke,
            timers: $timers,
            drivers: $drivers,
            on_tokio: run::<Tokio>,
            on_runnext: run::<Runnext>,
        }
    }};
}

/// Every work that is timed on both runtimes with the same number of workers, in the order of the table.
pub(crate) const ALL: &[Work] = &[
    work!("spawn 10,000 inside a task, join", target 4.0, spawning::inside_task, 10_000, smoke 100),
    work!("spawn 10,000 from block_on's root, join", target 4.0, spawning::from_root, 10_000, smoke 100),
    work!("4 foreign threads spawn 2,500 each", target 2.0, spawning::foreign_threads, 2_500, smoke 50),
    work!("spawn 10,000 futures of 1 KiB, join", target 1.5, spawning::kibibyte_futures, 10_000, smoke 100),
    work!("spawn and await one at a time", target 4.0, spawning::one_at_a_time, 10_000, smoke 100),
    work!("block_on(spawn) one at a time", target 10.0, spawning::block_on_spawn, 1_000, smoke 20),
    work!("chained spawn, 1,000 deep", target 2.0, spawning::chained, 1_000, smoke 50),
    work!("skynet, 100,000 leaves", target 3.0, spawning::skynet, 100_000, smoke 100),
    work!("200 tasks x 1,000 yields", target 1.5, yielding::many_tasks, 1_000, smoke 10),
    work!("a lone task yields", target 5.0, yielding::lone_task, 20_000, smoke 100),
    work!("oneshot ping-pong, 1,000 pairs", target 2.0, talking::oneshot_pairs, 1_000, smoke 20),
    work!("mpsc(1) ping-pong of two tasks", target 1.5, talking::mpsc_ping_pong, 5_000, smoke 50),
    work!("64 senders x 500 into mpsc(16)", target 1.2, talking::many_senders, 500, smoke 10),
    work!("100 tasks on one Mutex", target 1.2, talking::one_mutex, 200, smoke 5),
    work!("spawn_blocking, 5,000 at once", target 3.0, blocking::at_once, 5_000, smoke 20),
    work!("spawn_blocking, one at a time", target 1.5, blocking::one_at_a_time, 500, smoke 10),
    work!("a sleep of 60 s made, polled, dropped", target 5.0, timers timers::made_and_dropped, 20_000, smoke 100),
    work!("the same on every worker at once", target 10.0, timers timers::made_and_dropped_everywhere, 20_000, smoke 100),
    work!("100 tasks x 1,000 timeouts of a yield", target 3.0, timers timers::timeouts, 1_000, smoke 10),
    work!("200,000 timers set, then taken back", target 3.0, timers timers::many_alive, 200_000, smoke 100),
    work!("20,000 sleeps of 1 to 20 ms: mean lateness", target 2.5, timers timers::lateness, 20_000, smoke 100),
    work!("a sleep of 100 us: median time", micros 200.0, timers timers::short_sleep, 50, smoke 5),
    work!("TCP echo of 64 B, 64 connections", target 1.15, sockets networking::tcp_echo, 20, smoke 2),
    work!("TCP echo of 64 B, 1 connection", target 1.15, sockets networking::tcp_echo_alone, 1_000, smoke 5),
    work!("TCP connect, accept, close", target 1.1, sockets networking::connect_and_close, 200, smoke 5),
    work!("UDP ping-pong of 64 B", target 1.1, sockets networking::udp_ping_pong, 1_000, smoke 5),
    work!("woken from outside beside a socket", target 1.0, sockets networking::woken_from_outside, 300, smoke 5),
];

/// Lets a spawned task do `work`, which times itself.
fn in_task<R: Rival>(
    runtime: &R::Runtime,
    work: impl Future<Output = Duration> + Send + 'static,
) -> Duration {
    R::block_on(runtime, async { R::spawn(work).await.expect(ENDS) })
}

/// Times a future from its first poll to its end.
async fn timed(work: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    work.await;
    start.elapsed()
}

/// Waits for each in turn, in the order they were spawned.
async fn join_in_order<R: Rival>(handles: Vec<R::Join<()>>) {
    for handle in handles {
        handle.await.expect(ENDS);
    }
}

/// Why a join or a channel cannot fail here.
const ENDS: &str = "no task of a work panics, is aborted or drops its end of a channel early";
