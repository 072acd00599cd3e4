//! The parts of the engine, one by one: `cargo bench --bench parts`.
//!
//! The run queue of a P stands beside crossbeam-deque's FIFO `Worker`, which does the same job of
//! one owner and many thieves without a bound; the global queue beside a plain `Injector`. The
//! sources of the queues are compiled into this bench, since the engine is private.
//!
//! - `push_pop`: the owner pushes a G and pops it.
//! - `burst`: the owner pushes 128 and pops them.
//! - `steal_half`: a thief takes half of 128 Gs at once, and runs dry; per G.
//! - `overflow`: the owner pushes 129 Gs into a full ring, which moves half of it in one batch;
//!   then all are taken from the global queue; per G.
//! - `runnext`: the owner puts a G in and takes it out.
//! - `wake`: a task of a runtime wakes another, which runs and goes back to sleep; beside tokio.

#![allow(missing_docs)] // Of what criterion's macro makes.

#[path = "../src/engine"]
#[allow(dead_code, unused_imports, unreachable_pub)] // The bench uses a part of them.
mod engine {
    pub(crate) mod primitive;
    pub(crate) mod queue;
    pub(crate) mod util;
}

use criterion::{BenchmarkId, Criterion, Throughput, black_box, criterion_group, criterion_main};
use crossbeam_deque::{Injector, Steal, Worker};
use engine::queue::{Global, Overflow, RawG, Ring, Runnext};

/// Pointers that nobody follows.
fn gp(n: usize) -> RawG {
    RawG::new(std::ptr::without_provenance_mut((n + 1) * 8)).expect("not null")
}

/// For rings that are never full.
struct NoOverflow;

impl Overflow for NoOverflow {
    fn overflow(&self, _: &[RawG]) {
        unreachable!("the ring has room");
    }
}

/// What crossbeam's queues hold.
#[derive(Clone, Copy)]
struct Item(RawG);

// SAFETY: the pointer is never followed.
unsafe impl Send for Item {}

fn local(c: &mut Criterion) {
    let mut group = c.benchmark_group("push_pop");
    let ring = Ring::new();
    group.bench_function("ring", |b| {
        b.iter(|| {
            // SAFETY: one thread, which owns the ring.
            unsafe {
                ring.push(black_box(gp(1)), &NoOverflow);
                ring.pop()
            }
        });
    });
    let worker = Worker::new_fifo();
    group.bench_function("crossbeam", |b| {
        b.iter(|| {
            worker.push(black_box(Item(gp(1))));
            worker.pop().map(|item| item.0)
        });
    });
    group.finish();

    let mut group = c.benchmark_group("burst");
    group.throughput(Throughput::Elements(128));
    group.bench_function("ring", |b| {
        b.iter(|| {
            for n in 0..128 {
                // SAFETY: as above.
                unsafe { ring.push(gp(n), &NoOverflow) };
            }
            // SAFETY: as above.
            while let Some(gp) = unsafe { ring.pop() } {
                black_box(gp);
            }
        });
    });
    group.bench_function("crossbeam", |b| {
        b.iter(|| {
            for n in 0..128 {
                worker.push(Item(gp(n)));
            }
            while let Some(item) = worker.pop() {
                black_box(item.0);
            }
        });
    });
    group.finish();

    let runnext = Runnext::default();
    c.bench_function("runnext", |b| {
        b.iter(|| {
            black_box(runnext.replace(black_box(gp(1))));
            runnext.take()
        });
    });
}

fn steal(c: &mut Criterion) {
    let mut group = c.benchmark_group("steal_half");
    group.throughput(Throughput::Elements(128));
    let (victim, thief) = (Ring::new(), Ring::new());
    group.bench_function("ring", |b| {
        b.iter(|| {
            for n in 0..128 {
                // SAFETY: one thread, which owns both rings.
                unsafe { victim.push(gp(n), &NoOverflow) };
            }
            // SAFETY: as above, and they are two.
            while let Some(newest) = unsafe { victim.steal_into(&thief, usize::MAX) } {
                black_box(newest);
                // SAFETY: as above.
                while let Some(gp) = unsafe { thief.pop() } {
                    black_box(gp);
                }
            }
        });
    });
    let (victim, thief) = (Worker::new_fifo(), Worker::new_fifo());
    let stealer = victim.stealer();
    group.bench_function("crossbeam", |b| {
        b.iter(|| {
            for n in 0..128 {
                victim.push(Item(gp(n)));
            }
            while let Steal::Success(first) = stealer.steal_batch_and_pop(&thief) {
                black_box(first.0);
                while let Some(item) = thief.pop() {
                    black_box(item.0);
                }
            }
        });
    });
    group.finish();
}

fn overflow(c: &mut Criterion) {
    let mut group = c.benchmark_group("overflow");
    group.throughput(Throughput::Elements(129));
    let (ring, global) = (Ring::new(), Global::new());
    while ring.room() > 0 {
        // SAFETY: one thread, which owns the ring.
        unsafe { ring.push(gp(0), &NoOverflow) };
    }
    group.bench_function("batch", |b| {
        b.iter(|| {
            for n in 0..129 {
                // SAFETY: as above.
                unsafe { ring.push(gp(n), &global) };
            }
            while let Some(gp) = global.take(1, 128, |gp| {
                black_box(gp);
            }) {
                black_box(gp);
            }
        });
    });
    let injector = Injector::new();
    group.bench_function("one by one into an Injector", |b| {
        b.iter(|| {
            for n in 0..129 {
                injector.push(Item(gp(n)));
            }
            while let Steal::Success(item) = injector.steal() {
                black_box(item.0);
            }
        });
    });
    group.finish();
}

/// Two tasks that wake each other `ROUNDS` times.
const ROUNDS: u64 = 1_000;

macro_rules! wake {
    ($runtime:ident, $group:expr) => {{
        let runtime = $runtime::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .expect("a runtime needs a few threads");
        $group.bench_function(BenchmarkId::from_parameter(stringify!($runtime)), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    let here = std::sync::Arc::new(tokio::sync::Notify::new());
                    let there = std::sync::Arc::new(tokio::sync::Notify::new());
                    let pong = $runtime::spawn({
                        let (here, there) = (here.clone(), there.clone());
                        async move {
                            for _ in 0..ROUNDS {
                                there.notified().await;
                                here.notify_one();
                            }
                        }
                    });
                    let ping = $runtime::spawn(async move {
                        for _ in 0..ROUNDS {
                            there.notify_one();
                            here.notified().await;
                        }
                    });
                    ping.await.expect("it does not panic");
                    pong.await.expect("it does not panic");
                });
            });
        });
    }};
}

fn wake(c: &mut Criterion) {
    let mut group = c.benchmark_group("wake");
    group.throughput(Throughput::Elements(2 * ROUNDS));
    wake!(runnext, group);
    wake!(tokio, group);
    group.finish();
}

criterion_group!(parts, local, steal, overflow, wake);
criterion_main!(parts);
