//! Works with timers: what they cost while they do not fire, and how late they are when they do.

use std::future::{self, Future};
use std::hint::{self, black_box};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::{ENDS, in_task, join_in_order, timed};
use crate::rivals::Rival;

/// So long that it does not fire.
const FAR: Duration = Duration::from_secs(60);

/// A task makes a sleep of a minute, polls it once and drops it, `times` over.
pub(crate) fn made_and_dropped<R: Rival>(runtime: &R::Runtime, times: usize) -> Duration {
    in_task::<R>(runtime, timed(make_and_drop::<R>(times)))
}

/// The same on every worker at once. The clock runs from the first that sets off to the last that is done.
pub(crate) fn made_and_dropped_everywhere<R: Rival>(
    runtime: &R::Runtime,
    times: usize,
) -> Duration {
    let workers = R::workers(runtime);
    let arrived = Arc::new(AtomicUsize::new(0));
    R::block_on(runtime, async {
        let tasks: Vec<_> = (0..workers)
            .map(|_| {
                let arrived = Arc::clone(&arrived);
                R::spawn(async move {
                    meet(&arrived, workers);
                    let start = Instant::now();
                    make_and_drop::<R>(times).await;
                    (start, Instant::now())
                })
            })
            .collect();
        let mut spans = Vec::with_capacity(workers);
        for task in tasks {
            spans.push(task.await.expect(ENDS));
        }
        let start = spans.iter().map(|span| span.0).min();
        let end = spans.iter().map(|span| span.1).max();
        end.zip(start)
            .map_or(Duration::ZERO, |(end, start)| end - start)
    })
}

async fn make_and_drop<R: Rival>(times: usize) {
    for _ in 0..times {
        let sleep = pin!(R::sleep(FAR));
        poll_once(sleep).await;
    }
}

/// 100 tasks await `times` times each a timeout around a yield.
pub(crate) fn timeouts<R: Rival>(runtime: &R::Runtime, times: usize) -> Duration {
    const TASKS: usize = 100;
    in_task::<R>(runtime, async move {
        let mut handles = Vec::with_capacity(TASKS);
        timed(async {
            let task = || async move {
                for _ in 0..times {
                    let in_time = R::timeout(FAR, R::yield_now()).await;
                    assert!(in_time);
                }
            };
            handles.extend((0..TASKS).map(|_| R::spawn(task())));
            join_in_order::<R>(handles).await;
        })
        .await
    })
}

/// A task sets `count` timers of between one and two minutes, in no order, and then takes them back in another.
pub(crate) fn many_alive<R: Rival>(runtime: &R::Runtime, count: usize) -> Duration {
    in_task::<R>(runtime, async move {
        let mut sleeps: Vec<Pin<Box<Option<R::Sleep>>>> = Vec::with_capacity(count);
        sleeps.resize_with(count, || Box::pin(None));
        timed(async {
            for (n, sleep) in sleeps.iter_mut().enumerate() {
                let millis = scattered(n, 60_000);
                sleep.set(Some(R::sleep(FAR + Duration::from_millis(millis))));
                poll_once(sleep.as_mut().as_pin_mut().expect("just set")).await;
            }
            for n in 0..count {
                // A prime, and so prime to any size that is a power of ten.
                let other = n.wrapping_mul(7_919) % count;
                sleeps[other].set(None);
            }
        })
        .await
    })
}

/// How late `count` tasks are on average that sleep for 1 to 20 milliseconds at once.
pub(crate) fn lateness<R: Rival>(runtime: &R::Runtime, count: usize) -> Duration {
    in_task::<R>(runtime, async move {
        let mut handles = Vec::with_capacity(count);
        handles.extend((0..count).map(|n| {
            R::spawn(async move {
                let duration = Duration::from_micros(1_000 + scattered(n, 19_000));
                let start = Instant::now();
                R::sleep(duration).await;
                start.elapsed() - duration
            })
        }));
        let mut late = Duration::ZERO;
        for handle in handles {
            late += handle.await.expect(ENDS);
        }
        late / u32::try_from(count).expect("a few thousand")
    })
}

/// How long a task takes to sleep for 100 microseconds, the median of `times`.
pub(crate) fn short_sleep<R: Rival>(runtime: &R::Runtime, times: usize) -> Duration {
    in_task::<R>(runtime, async move {
        let mut taken = Vec::with_capacity(times);
        for _ in 0..times {
            let start = Instant::now();
            R::sleep(Duration::from_micros(100)).await;
            taken.push(start.elapsed());
        }
        taken.sort_unstable();
        taken[times / 2]
    })
}

/// Polls a future that is to be pending.
async fn poll_once(mut sleep: Pin<&mut impl Future<Output = ()>>) {
    future::poll_fn(|cx| {
        let poll = black_box(sleep.as_mut()).poll(cx);
        assert!(poll.is_pending());
        Poll::Ready(())
    })
    .await;
}

/// A number below `bound`, another for each `n`.
fn scattered(n: usize, bound: u64) -> u64 {
    ((n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % bound
}

/// Holds the worker until all have come, or for a while; see [`scaling`](super::scaling).
fn meet(arrived: &AtomicUsize, workers: usize) {
    let since = Instant::now();
    // Ordering: relaxed, because the count guards no data; it only says that a task runs.
    arrived.fetch_add(1, Ordering::Relaxed);
    while arrived.load(Ordering::Relaxed) < workers && since.elapsed() < Duration::from_millis(50) {
        hint::spin_loop();
    }
}
