//! A million Gs, each with a stack of its own, that all wait at once.
//!
//! Each says that it is there and waits at a gate. When all are there the gate is opened, and each
//! returns its number. Of a stack only the pages that were touched take memory, which for a G that
//! does no more than this is one page; the rest is address space.
//!
//! ```text
//! $ cargo run --release --example million -- 1000000
//! 1000000 Gs wait
//! started  4.4 s, 4.4 us each
//! memory   4.09 GiB, 4.3 KiB each
//! ended    1.1 s, 1.1 us each
//! sum      499999500000
//! ```
//!
//! The number of Gs is the one argument, a million where there is none. Times and memory differ from
//! machine to machine; most of the time is the kernel's, which finds the pages, and that of the two semaphores,
//! which all Gs share. On kernels before Linux 6.13 each stack takes two mappings, of which a process
//! may have `vm.max_map_count`: that is enough for some 32,000.
#![cfg_attr(not(stackful), allow(unused))] // Elsewhere it only says that it cannot run.

use runnext::select;
use runnext::sync::Semaphore;
use runnext::task::JoinSet;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(stackful)]
#[runnext::main]
async fn main() -> ExitCode {
    let count = match count_from_arguments() {
        Ok(count) => count,
        Err(message) => {
            eprintln!("million: {message}");
            return ExitCode::FAILURE;
        }
    };

    // A permit of `there` for each G that is there; one of `gate` for each that may pass.
    let there = Arc::new(Semaphore::new(0));
    let gate = Arc::new(Semaphore::new(0));

    let before = resident();
    let start = Instant::now();
    let mut gs = JoinSet::new();
    for number in 0..u64::from(count) {
        let (there, gate) = (there.clone(), gate.clone());
        gs.go(move || {
            there.add_permits(1);
            let _permit = runnext::wait(gate.acquire());
            number
        });
    }
    let all = select! {
        all = there.acquire_many(count) => all,
        // The gate is shut, so this is one for which there was no stack.
        Some(Err(error)) = gs.join_next() => {
            eprintln!("million: {error}");
            return ExitCode::FAILURE;
        }
    };
    let started = start.elapsed();
    drop(all.expect("nobody closes the semaphore"));

    println!("{count} Gs wait");
    println!("started  {}", each(started, count));
    match (before, resident()) {
        (Some(before), Some(now)) => {
            let bytes = now.saturating_sub(before) as f64;
            let (gib, kib) = (bytes / GIB, bytes / KIB / f64::from(count));
            println!("memory   {gib:.2} GiB, {kib:.1} KiB each");
        }
        _ => println!("memory   unknown: /proc/self/status cannot be read"),
    }

    let start = Instant::now();
    gate.add_permits(count as usize);
    let mut sum = 0;
    while let Some(ended) = gs.join_next().await {
        match ended {
            Ok(number) => sum += number,
            Err(error) => {
                eprintln!("million: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("ended    {}", each(start.elapsed(), count));
    println!("sum      {sum}");
    ExitCode::SUCCESS
}

#[cfg(not(stackful))]
fn main() {
    println!("there are no stackful tasks on this system");
}

const KIB: f64 = 1024.0;
const GIB: f64 = KIB * KIB * KIB;

fn each(time: Duration, count: u32) -> String {
    let seconds = time.as_secs_f64();
    let microseconds = seconds * 1e6 / f64::from(count);
    format!("{seconds:.1} s, {microseconds:.1} us each")
}

/// How many bytes of memory this process takes up.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// The number of Gs: the one argument, or a million.
fn count_from_arguments() -> Result<u32, String> {
    let mut arguments = std::env::args().skip(1);
    let Some(argument) = arguments.next() else {
        return Ok(1_000_000);
    };
    if arguments.next().is_some() {
        return Err("usage: million [GS]".to_owned());
    }
    match argument.parse() {
        Ok(count @ 1..=10_000_000) => Ok(count),
        _ => Err(format!(
            "'{argument}' is not a number of Gs: give 1 to 10000000"
        )),
    }
}
