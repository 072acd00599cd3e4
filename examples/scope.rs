//! A parallel sort whose Gs borrow the slices that they sort.
//!
//! A long slice is parted around a pivot, and the two parts are sorted by two Gs at once, each in
//! the same way. `stackful::scope` ends only when its Gs have ended, so they may borrow from the
//! stack of the one that waits for them, as with `std::thread::scope`: nothing is copied, and there
//! is no `Arc` and no `unsafe`. Unlike threads, there may be hundreds of them, and a worker that has
//! nothing to do steals some.
//!
//! ```text
//! $ cargo run --release --example scope -- 4000000
//! 4000000 numbers
//! sort_unstable  162.9 ms
//! 1 worker       271.6 ms
//! 2 workers      240.9 ms
//! all sorted
//! ```
//!
//! How many numbers there are is the one argument, four million where there is none. The times differ
//! from machine to machine and from run to run (this one shared its two CPUs with other programs), and
//! the workers are as many as there are CPUs.
#![cfg_attr(not(stackful), allow(unused))] // Elsewhere it only says that it cannot run.

use runnext::runtime::Builder;
#[cfg(stackful)]
use runnext::stackful;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Instant;

/// Slices up to this long are sorted by one G: some hundred microseconds' work.
const SHORT: usize = 32 * 1024;

#[cfg(stackful)]
fn main() -> ExitCode {
    let count = match count_from_arguments() {
        Ok(count) => count,
        Err(message) => {
            eprintln!("scope: {message}");
            return ExitCode::FAILURE;
        }
    };
    let numbers = numbers(count);
    println!("{count} numbers");

    let mut sorted = numbers.clone();
    let start = Instant::now();
    sorted.sort_unstable();
    report("sort_unstable", start);

    let all = available_parallelism().map_or(1, usize::from);
    let mut workers = vec![1, all];
    workers.dedup();
    for workers in workers {
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers)
            .build()
            .expect("threads can be started");
        let mut numbers = numbers.clone();
        let start = Instant::now();
        let g = runtime.handle().go(move || {
            sort(&mut numbers);
            numbers
        });
        let ours = runtime.block_on(g).expect("the sort does not panic");
        let plural = if workers == 1 { "" } else { "s" };
        report(&format!("{workers} worker{plural}"), start);
        if ours != sorted {
            eprintln!("scope: the numbers are not sorted");
            return ExitCode::FAILURE;
        }
    }
    println!("all sorted");
    ExitCode::SUCCESS
}

#[cfg(not(stackful))]
fn main() {
    println!("there are no stackful tasks on this system");
}

/// Sorts `numbers`, in this G and others.
#[cfg(stackful)]
fn sort(numbers: &mut [u64]) {
    if numbers.len() <= SHORT {
        numbers.sort_unstable();
        return;
    }
    let (low, high) = part(numbers);
    stackful::scope(|s| {
        s.go(|| sort(low));
        sort(high);
    });
}

/// Parts `numbers` around one of them: what is below it, and the rest. It stands between the two.
///
/// That the one in the middle is a good choice is because the numbers are random.
fn part(numbers: &mut [u64]) -> (&mut [u64], &mut [u64]) {
    let last = numbers.len() - 1;
    numbers.swap(last / 2, last);
    let pivot = numbers[last];
    // What comes before `low` is below the pivot, and what comes from there on before `at` is not.
    let mut low = 0;
    for at in 0..last {
        numbers.swap(low, at);
        // Not an `if`, which the processor would guess wrong half of the time.
        low += usize::from(numbers[low] < pivot);
    }
    numbers.swap(low, last);
    let (below, rest) = numbers.split_at_mut(low);
    (below, &mut rest[1..])
}

/// The same numbers in each run, in no order: a linear congruential generator (Knuth's MMIX).
fn numbers(count: usize) -> Vec<u64> {
    let mut state = 1_u64;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 16
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn report(who: &str, start: Instant) {
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    println!("{who:<13} {milliseconds:>6.1} ms");
}

/// The number of numbers: the one argument, or four million.
fn count_from_arguments() -> Result<usize, String> {
    let mut arguments = std::env::args().skip(1);
    let Some(argument) = arguments.next() else {
        return Ok(4_000_000);
    };
    if arguments.next().is_some() {
        return Err("usage: scope [NUMBERS]".to_owned());
    }
    match argument.parse() {
        Ok(count @ 1..=1_000_000_000) => Ok(count),
        _ => Err(format!(
            "'{argument}' is not a number of numbers: give 1 to 1000000000"
        )),
    }
}
