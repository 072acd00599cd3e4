//! What both schedulers do.
//!
//! Each is a function generic over [`Side`] that takes a size, does the work once in a task and returns how long the
//! timed part took. The clock is in the task, so that neither getting in from a plain thread nor out again is timed.
//! Room for join handles is there before it starts. What tasks compute is checked, so that nothing is optimised away.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::rows::{Run, Work};
use crate::sides::{May, Runnext, Side};

/// How many tasks yield in turn.
const YIELDING: usize = 1_000;

/// How many tasks want one lock.
const LOCKING: usize = 100;

/// How many children a task of skynet has that is no leaf.
const CHILDREN: usize = 10;

macro_rules! work {
    ($name:literal, target $target:literal, $function:ident, $size:literal, $each:expr) => {
        Work {
            name: $name,
            target: $target,
            size: $size,
            operations: $each,
            on_rival: |size| start::<May>($function::<May>, size),
            on_runnext: |size| start::<Runnext>($function::<Runnext>, size),
        }
    };
}

pub(crate) const WORKS: &[Work] = &[
    work!("go + join of 10,000 (may)", target 8.0, go_and_join, 10_000, |size| size),
    work!("yield, 1,000 Gs (may)", target 1.2, yields, 500, |size| size * YIELDING),
    work!("ping-pong over mpsc(1) (may)", target 1.5, ping_pong, 10_000, |size| size),
    work!("100 Gs on one Mutex, a lock (may)", target 1.5, one_mutex, 500, |size| size * LOCKING),
    work!("skynet, 10,000 leaves, a leaf (may)", target 1.0, skynet, 10_000, |size| size),
];

fn start<S: Side>(work: fn(usize) -> Duration, size: usize) -> Run {
    let runtime = S::start();
    Box::new(move || S::run(&runtime, move || work(size)))
}

/// A task spawns `tasks` empty ones, then joins them in order.
fn go_and_join<S: Side>(tasks: usize) -> Duration {
    let mut joins = Vec::with_capacity(tasks);
    let start = Instant::now();
    joins.extend((0..tasks).map(|_| S::go(|| ())));
    joins.into_iter().for_each(S::join);
    start.elapsed()
}

/// Tasks yield `times` times each; that they are spawned and joined is timed with it.
fn yields<S: Side>(times: usize) -> Duration {
    let mut joins = Vec::with_capacity(YIELDING);
    let start = Instant::now();
    joins.extend((0..YIELDING).map(|_| S::go(move || (0..times).for_each(|_| S::yield_now()))));
    joins.into_iter().for_each(S::join);
    start.elapsed()
}

/// Two tasks pass a number to and fro `rounds` times, over a channel each way.
fn ping_pong<S: Side>(rounds: usize) -> Duration {
    let start = Instant::now();
    let (ping, mut pings) = S::channel();
    let (pong, mut pongs) = S::channel();
    let partner = S::go(move || {
        while let Some(number) = S::receive(&mut pings) {
            S::send(&pong, number);
        }
    });
    for number in 0..rounds {
        S::send(&ping, number);
        assert_eq!(S::receive(&mut pongs), Some(number));
    }
    drop(ping);
    S::join(partner);
    start.elapsed()
}

/// Tasks lock one mutex `times` times each, to add one to what it guards.
fn one_mutex<S: Side>(times: usize) -> Duration {
    let mut joins = Vec::with_capacity(LOCKING);
    let start = Instant::now();
    let total = Arc::new(S::mutex());
    joins.extend((0..LOCKING).map(|_| {
        let total = Arc::clone(&total);
        S::go(move || (0..times).for_each(|_| S::with_lock(&total, |total| *total += 1)))
    }));
    joins.into_iter().for_each(S::join);
    let time = start.elapsed();
    assert_eq!(S::with_lock(&total, |total| *total), LOCKING * times);
    time
}

/// A tree of tasks in which each spawns ten more and adds up what they return, down to so many leaves, which return
/// their numbers.
pub(crate) fn skynet<S: Side>(leaves: usize) -> Duration {
    let start = Instant::now();
    let sum = branch::<S>(0..leaves);
    let time = start.elapsed();
    assert_eq!(sum, leaves * (leaves - 1) / 2);
    time
}

fn branch<S: Side>(leaves: Range<usize>) -> usize {
    if leaves.len() == 1 {
        return leaves.start;
    }
    let each = leaves.len() / CHILDREN;
    let children: [_; CHILDREN] = std::array::from_fn(|child| {
        let first = leaves.start + child * each;
        S::go(move || branch::<S>(first..first + each))
    });
    children.into_iter().map(S::join).sum()
}
