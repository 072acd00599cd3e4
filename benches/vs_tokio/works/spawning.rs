//! Works that mostly spawn: from within, from the root future, from foreign threads, in chains and in trees.

use std::array;
use std::future;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{ENDS, in_task, join_in_order, timed};
use crate::rivals::Rival;

/// A task spawns `tasks` empty ones, then joins them in order.
pub(crate) fn inside_task<R: Rival>(runtime: &R::Runtime, tasks: usize) -> Duration {
    in_task::<R>(runtime, spawn_and_join::<R>(tasks))
}

/// The same from the root future of `block_on`, which is where `main` spawns from.
pub(crate) fn from_root<R: Rival>(runtime: &R::Runtime, tasks: usize) -> Duration {
    R::block_on(runtime, spawn_and_join::<R>(tasks))
}

async fn spawn_and_join<R: Rival>(tasks: usize) -> Duration {
    let mut handles = Vec::with_capacity(tasks);
    timed(async {
        for _ in 0..tasks {
            handles.push(R::spawn(async {}));
        }
        join_in_order::<R>(handles).await;
    })
    .await
}

/// Four threads that are no part of the runtime spawn `tasks` empty ones each. They stand ready behind a barrier when
/// the clock starts; it stops when every task has been joined.
pub(crate) fn foreign_threads<R: Rival>(runtime: &R::Runtime, tasks: usize) -> Duration {
    const THREADS: usize = 4;
    let gate = Barrier::new(THREADS + 1);
    thread::scope(|scope| {
        let threads: [_; THREADS] = array::from_fn(|_| {
            let handle = R::handle(runtime);
            let gate = &gate;
            scope.spawn(move || {
                let mut joins = Vec::with_capacity(tasks);
                gate.wait();
                joins.extend((0..tasks).map(|_| R::spawn_through(&handle, async {})));
                joins
            })
        });
        gate.wait();
        let start = Instant::now();
        let joins = threads.map(|thread| thread.join().expect("a spawning thread does not panic"));
        R::block_on(runtime, async {
            for joins in joins {
                join_in_order::<R>(joins).await;
            }
        });
        start.elapsed()
    })
}

/// A task spawns `tasks` futures that each hold 1 KiB across an await, then joins them in order.
pub(crate) fn kibibyte_futures<R: Rival>(runtime: &R::Runtime, tasks: usize) -> Duration {
    in_task::<R>(runtime, async move {
        let mut handles = Vec::with_capacity(tasks);
        timed(async {
            for task in 0..tasks {
                let mut kibibyte = [task as u8; 1024];
                handles.push(R::spawn(async move {
                    black_box(&mut kibibyte);
                    future::ready(()).await;
                    // Used on both sides of the await: it has to live in the future.
                    black_box(&mut kibibyte);
                }));
            }
            join_in_order::<R>(handles).await;
        })
        .await
    })
}

/// A task spawns an empty one and awaits it, `times` over.
pub(crate) fn one_at_a_time<R: Rival>(runtime: &R::Runtime, times: usize) -> Duration {
    in_task::<R>(
        runtime,
        timed(async move {
            for time in 0..times {
                let echo = R::spawn(async move { time }).await.expect(ENDS);
                black_box(echo);
            }
        }),
    )
}

/// A plain thread calls `block_on` with a root future that spawns an empty task and awaits it, `times` over.
pub(crate) fn block_on_spawn<R: Rival>(runtime: &R::Runtime, times: usize) -> Duration {
    let start = Instant::now();
    for time in 0..times {
        let echo = R::block_on(runtime, async {
            R::spawn(async move { time }).await.expect(ENDS)
        });
        black_box(echo);
    }
    start.elapsed()
}

/// A task spawns the next and ends, `depth` times; the last one reports. Ten such chains, one after the other.
pub(crate) fn chained<R: Rival>(runtime: &R::Runtime, depth: usize) -> Duration {
    fn link<R: Rival>(left: usize, done: oneshot::Sender<()>) {
        if left == 0 {
            done.send(()).expect(ENDS);
        } else {
            // Nobody joins a link: without its handle it is detached.
            drop(R::spawn(async move { link::<R>(left - 1, done) }));
        }
    }

    in_task::<R>(
        runtime,
        timed(async move {
            for _chain in 0..10 {
                let (done, end) = oneshot::channel();
                link::<R>(depth, done);
                end.await.expect(ENDS);
            }
        }),
    )
}

/// A tree of tasks, each with ten children, down to `leaves` leaves which each return their own number. Every other
/// task returns the sum of its children's.
pub(crate) fn skynet<R: Rival>(runtime: &R::Runtime, leaves: usize) -> Duration {
    const CHILDREN: usize = 10;

    fn grow<R: Rival>(first: usize, leaves: usize) -> R::Join<usize> {
        R::spawn(async move {
            if leaves == 1 {
                return first;
            }
            let share = leaves / CHILDREN;
            let children: [_; CHILDREN] =
                array::from_fn(|child| grow::<R>(first + child * share, share));
            let mut sum = 0;
            for child in children {
                sum += child.await.expect(ENDS);
            }
            sum
        })
    }

    in_task::<R>(
        runtime,
        timed(async move {
            let sum = grow::<R>(0, leaves).await.expect(ENDS);
            assert_eq!(sum, leaves * (leaves - 1) / 2);
        }),
    )
}
