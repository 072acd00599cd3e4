//! Skynet: a tree of Gs in which every G spawns ten more, down to a million leaves.
//!
//! A leaf returns its number, every other G the sum of its children, so the root knows whether
//! one was lost. There is nothing to compute and nothing to wait for: the time is what it costs
//! to spawn, schedule, join and free a G.
//!
//! ```text
//! $ cargo run --release --example skynet -- 1000000
//! sum   499999500000
//! Gs    1111111
//! time  298.8 ms, 268 ns for each G
//! ```
//!
//! The number of leaves is the one argument, a million where there is none. The time differs from
//! machine to machine and from run to run; the rest does not.

use runnext::task::JoinHandle;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

/// How many children a G has that is no leaf.
const CHILDREN: u64 = 10;

#[runnext::main]
async fn main() -> ExitCode {
    let leaves = match leaves_from_arguments() {
        Ok(leaves) => leaves,
        Err(message) => {
            eprintln!("skynet: {message}");
            return ExitCode::FAILURE;
        }
    };

    let start = Instant::now();
    let total = skynet(0..leaves).await.expect("no G of the tree panics");
    let time = start.elapsed();

    println!("sum   {}", total.sum);
    println!("Gs    {}", total.gs);
    println!(
        "time  {:.1} ms, {} ns for each G",
        time.as_secs_f64() * 1e3,
        time.as_nanos() / u128::from(total.gs)
    );

    let expected = leaves * (leaves - 1) / 2;
    if total.sum == expected {
        ExitCode::SUCCESS
    } else {
        eprintln!("skynet: the sum should be {expected}");
        ExitCode::FAILURE
    }
}

/// What a G of the tree returns about the part of it that it is the root of.
struct Total {
    /// The sum of the leaves' numbers.
    sum: u64,
    /// The number of Gs.
    gs: u64,
}

/// Spawns the part of the tree whose leaves have these numbers.
fn skynet(leaves: Range<u64>) -> JoinHandle<Total> {
    runnext::spawn(async move {
        let count = leaves.end - leaves.start;
        if count == 1 {
            return Total {
                sum: leaves.start,
                gs: 1,
            };
        }

        let share = count.div_ceil(CHILDREN);
        let children: Vec<_> = (0..CHILDREN)
            .map(|child| leaves.start + child * share)
            .take_while(|&first| first < leaves.end)
            .map(|first| skynet(first..leaves.end.min(first + share)))
            .collect();

        let mut total = Total { sum: 0, gs: 1 };
        for child in children {
            let child = child.await.expect("no G of the tree panics");
            total.sum += child.sum;
            total.gs += child.gs;
        }
        total
    })
}

/// The number of leaves: the one argument, or a million.
fn leaves_from_arguments() -> Result<u64, String> {
    let mut arguments = std::env::args().skip(1);
    let Some(argument) = arguments.next() else {
        return Ok(1_000_000);
    };
    if arguments.next().is_some() {
        return Err("usage: skynet [LEAVES]".to_owned());
    }
    match argument.parse() {
        // The sum of more leaves than this does not fit into 64 bits.
        Ok(leaves @ 1..=4_294_967_296) => Ok(leaves),
        _ => Err(format!(
            "'{argument}' is not a number of leaves: give 1 to 4294967296"
        )),
    }
}
