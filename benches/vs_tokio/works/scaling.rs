//! Whether a second worker helps: every worker at once spawns tasks and joins them.

use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{ENDS, join_in_order};
use crate::rivals::Rival;

/// What the table calls it.
pub(crate) const NAME: &str = "all workers over one: spawn 100, join";

/// Throughput with two workers over that with one is to be at least this.
pub(crate) const TARGET_FOR_TWO: f64 = 1.7;

/// How often a worker spawns its tasks and joins them in one run.
pub(crate) const BATCHES: usize = 100;

/// Throughput of `workers` workers over that of one, when a run takes them `many` and `one` as long: `workers` times
/// as much was done.
pub(crate) fn gain(workers: usize, one_over_many: f64) -> f64 {
    workers as f64 * one_over_many
}

/// As many tasks as there are workers each spawn 100 empty tasks and join them, `batches` times over.
///
/// The tasks first wait for each other without yielding, which they can only do on as many different workers. The clock
/// runs from the first that sets off to the last that is done.
pub(crate) fn run<R: Rival>(runtime: &R::Runtime, workers: usize, batches: usize) -> Duration {
    let arrived = Arc::new(AtomicUsize::new(0));
    R::block_on(runtime, async {
        let spawners: Vec<_> = (0..workers)
            .map(|_| R::spawn(spawner::<R>(Arc::clone(&arrived), workers, batches)))
            .collect();
        let mut spans = Vec::with_capacity(workers);
        for spawner in spawners {
            spans.push(spawner.await.expect(ENDS));
        }
        let start = spans.iter().map(|span| span.0).min();
        let end = spans.iter().map(|span| span.1).max();
        end.zip(start)
            .map_or(Duration::ZERO, |(end, start)| end - start)
    })
}

async fn spawner<R: Rival>(
    arrived: Arc<AtomicUsize>,
    workers: usize,
    batches: usize,
) -> (Instant, Instant) {
    const TASKS: usize = 100;
    meet(&arrived, workers);
    let start = Instant::now();
    for _ in 0..batches {
        let mut handles = Vec::with_capacity(TASKS);
        handles.extend((0..TASKS).map(|_| R::spawn(async {})));
        join_in_order::<R>(handles).await;
    }
    (start, Instant::now())
}

/// Holds the worker until all have come. Gives up after a while, so that a runtime which leaves a worker asleep beside
/// a waiting task makes a poor figure instead of hanging the whole table.
fn meet(arrived: &AtomicUsize, workers: usize) {
    const PATIENCE: Duration = Duration::from_millis(50);
    let since = Instant::now();
    // Ordering: relaxed, because the count guards no data; it only says that a task runs.
    arrived.fetch_add(1, Ordering::Relaxed);
    while arrived.load(Ordering::Relaxed) < workers && since.elapsed() < PATIENCE {
        hint::spin_loop();
    }
}
