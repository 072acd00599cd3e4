//! Progress, parallelism, order and threads: what a program may rely on whatever else runs.
//!
//! `TestYieldProgress`, `TestYieldLockedProgress`, `TestGoroutineParallelism`,
//! `TestGoroutineParallelism2`, `TestSchedLocalQueue` and `TestBigGOMAXPROCS` of Go's
//! src/runtime/proc_test.go are retold here, `TestPingPongHog` in `fairness.rs`. Those that stop the
//! world, preempt, or collect garbage have nothing here that they could be about.

mod common;

use common::{Drops, current_thread, multi_thread, on_each_flavor, run_until};
use runnext::runtime::{Builder, Runtime};
use runnext::sync::{mpsc, oneshot};
use runnext::task::{JoinHandle, LocalSet, spawn_blocking, spawn_local, yield_now};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

/// Ends when it is told to, and says so: the goroutine of `TestYieldProgress`.
async fn yields_until(told: Arc<AtomicBool>, done: oneshot::Sender<()>) {
    while !told.load(Ordering::Relaxed) {
        yield_now().await;
    }
    done.send(()).unwrap();
}

#[test]
fn a_task_that_yields_lets_others_progress() {
    on_each_flavor(|rt| {
        let task = rt.spawn(async {
            let (told, (done, seen)) = (Arc::new(AtomicBool::new(false)), oneshot::channel());
            runnext::spawn(yields_until(told.clone(), done));
            for _ in 0..10 {
                yield_now().await;
            }
            told.store(true, Ordering::Relaxed);
            seen.await.unwrap();
        });
        rt.block_on(task).unwrap();
    });
}

#[test]
fn a_root_future_that_yields_lets_others_progress() {
    on_each_flavor(|rt| {
        let (told, (done, mut seen)) = (Arc::new(AtomicBool::new(false)), oneshot::channel());
        rt.spawn(yields_until(told.clone(), done));
        rt.block_on(async {
            for _ in 0..10 {
                yield_now().await;
            }
            told.store(true, Ordering::Relaxed);
            while seen.try_recv().is_err() {
                yield_now().await;
            }
        });
    });
}

#[test]
fn tasks_bound_to_the_thread_let_each_other_progress() {
    on_each_flavor(|rt| {
        LocalSet::new().block_on(&rt, async {
            let (told, (done, seen)) = (Arc::new(AtomicBool::new(false)), oneshot::channel());
            spawn_local(yields_until(told.clone(), done));
            let (free_done, free_seen) = oneshot::channel();
            runnext::spawn(yields_until(told.clone(), free_done));
            let teller = spawn_local(async move {
                for _ in 0..10 {
                    yield_now().await;
                }
                told.store(true, Ordering::Relaxed);
            });
            teller.await.unwrap();
            seen.await.unwrap();
            free_seen.await.unwrap();
        });
    });
}

/// Counts up in turns with the others, and waits for its turn without giving up the thread.
fn in_turns(
    turn: &Arc<AtomicUsize>,
    me: usize,
    of: usize,
    times: usize,
) -> impl Future<Output = ()> + use<> {
    let turn = turn.clone();
    async move {
        for _ in 0..times {
            while turn.load(Ordering::Acquire) % of != me {
                thread::yield_now();
            }
            turn.fetch_add(1, Ordering::AcqRel);
        }
    }
}

#[test]
fn tasks_run_in_parallel_on_as_many_processors() {
    for workers in [2, 4] {
        let rt = multi_thread(workers);
        let joiner = current_thread();
        // In the later rounds the threads are there, and mostly asleep.
        for _ in 0..10 {
            let turn = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (0..workers)
                .map(|me| rt.spawn(in_turns(&turn, me, workers, 30)))
                .collect();
            for task in tasks {
                joiner.block_on(task).unwrap();
            }
            assert_eq!(turn.load(Ordering::Relaxed), 30 * workers);
        }
    }
}

#[test]
fn tasks_spawned_by_a_task_run_in_parallel() {
    let rt = multi_thread(2);
    for _ in 0..10 {
        let task = rt.spawn(async {
            let turn = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (0..2)
                .map(|me| runnext::spawn(in_turns(&turn, me, 2, 30)))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        rt.block_on(task).unwrap();
    }
}

#[test]
fn tasks_run_in_parallel_with_the_thread_in_block_on() {
    let rt = multi_thread(2);
    for _ in 0..10 {
        rt.block_on(async {
            let turn = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (0..2)
                .map(|me| runnext::spawn(in_turns(&turn, me, 2, 30)))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}

#[test]
fn what_a_busy_task_spawned_is_taken_by_others() {
    let rt = multi_thread(2);
    let ran = Arc::new(AtomicUsize::new(0));
    let task = rt.spawn({
        let ran = ran.clone();
        async move {
            for _ in 0..300 {
                let ran = ran.clone();
                runnext::spawn(async move { ran.fetch_add(1, Ordering::Release) });
            }
            // It does not give up its processor, ring or runnext.
            while ran.load(Ordering::Acquire) < 300 {
                thread::yield_now();
            }
        }
    });
    current_thread().block_on(task).unwrap();
    let metrics = rt.metrics();
    let steals: u64 = (0..2)
        .map(|worker| metrics.worker_steal_count(worker))
        .sum();
    assert!(steals > 0);
}

mod on_one_thread {
    use super::*;

    fn record(order: &Arc<Mutex<Vec<u32>>>, n: u32) -> JoinHandle<()> {
        let order = order.clone();
        runnext::spawn(async move { order.lock().unwrap().push(n) })
    }

    #[test]
    #[cfg_attr(runnext_randomize, ignore = "the order is left to chance")]
    fn the_newest_runs_next_and_the_others_in_order() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let rt = current_thread();
        rt.block_on(async {
            (0..5).for_each(|n| drop(record(&order, n)));
            runnext::spawn(async {}).await.unwrap();
        });
        rt.block_on(rt.spawn(async {})).unwrap();
        // The empty one came after 4, and was the newest.
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
        order.lock().unwrap().clear();
        let root = async {
            let tasks: Vec<_> = (0..5).map(|n| record(&order, n)).collect();
            for task in tasks {
                task.await.unwrap();
            }
        };
        rt.block_on(root);
        assert_eq!(*order.lock().unwrap(), [4, 0, 1, 2, 3]);
    }

    #[test]
    #[cfg_attr(runnext_randomize, ignore = "the order is left to chance")]
    fn who_is_woken_runs_next_and_who_yields_runs_last() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let rt = current_thread();
        rt.block_on(async {
            let (wake, woken) = oneshot::channel::<()>();
            let waits = {
                let order = order.clone();
                runnext::spawn(async move {
                    woken.await.unwrap();
                    order.lock().unwrap().push(100);
                })
            };
            runnext::spawn(async {}).await.unwrap();
            let yields = {
                let order = order.clone();
                runnext::spawn(async move {
                    order.lock().unwrap().push(0);
                    yield_now().await;
                    order.lock().unwrap().push(200);
                })
            };
            let wakes = {
                let order = order.clone();
                runnext::spawn(async move {
                    order.lock().unwrap().push(1);
                    wake.send(()).unwrap();
                })
            };
            for task in [waits, yields, wakes] {
                task.await.unwrap();
            }
        });
        assert_eq!(*order.lock().unwrap(), [1, 100, 0, 200]);
    }

    /// What 50 tasks that talk, yield, spawn and join in a tangle do, in order.
    fn tangle(seed: u64) -> Vec<(usize, usize)> {
        let rt = Builder::new_current_thread().seed(seed).build().unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        rt.block_on(async {
            let (senders, receivers): (Vec<_>, Vec<_>) = (0..50).map(|_| mpsc::channel(2)).unzip();
            let senders = Arc::new(senders);
            let tasks: Vec<_> = receivers
                .into_iter()
                .enumerate()
                .map(|(me, mut receiver)| {
                    let (senders, events) = (senders.clone(), events.clone());
                    runnext::spawn(async move {
                        for n in 0..20 {
                            let to = (me * 7 + n * 13) % 50;
                            let sender: &mpsc::Sender<usize> = &senders[to];
                            if sender.try_send(n).is_err() || (me + n) % 3 == 0 {
                                yield_now().await;
                            }
                            if let Ok(got) = receiver.try_recv() {
                                events.lock().unwrap().push((me, got));
                            }
                            if n % 5 == 0 {
                                let events = events.clone();
                                runnext::spawn(
                                    async move { events.lock().unwrap().push((50 + me, n)) },
                                )
                                .await
                                .unwrap();
                            }
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        Arc::into_inner(events).unwrap().into_inner().unwrap()
    }

    #[test]
    fn the_same_seed_makes_the_same_schedule() {
        for seed in [0, 7, u64::MAX] {
            let first = tangle(seed);
            assert!(first.len() > 400, "only {} events", first.len());
            assert!(tangle(seed) == first, "seed {seed} gave two schedules");
        }
    }

    #[test]
    fn a_full_ring_gives_half_of_itself_to_the_global_queue() {
        let rt = current_thread();
        let drops = Drops::new();
        rt.block_on(async {
            let metrics = rt.metrics();
            for spawned in 1..=1_000_usize {
                let guard = drops.guard();
                runnext::spawn(async move { drop(guard) });
                // One is in runnext. The ring takes 256; the next one goes with the older half.
                let overflows = spawned.saturating_sub(258 - 129) / 129;
                assert_eq!(metrics.worker_overflow_count(0), overflows as u64);
                assert_eq!(metrics.global_queue_depth(), overflows * 129);
                let ring = metrics.worker_local_queue_depth(0);
                assert_eq!(1 + ring + overflows * 129, spawned);
            }
        });
        run_until(&rt, || drops.alive() == 0);
        assert_eq!(rt.metrics().global_queue_depth(), 0);
    }
}

mod threads {
    use super::*;

    fn counting(builder: &mut Builder) -> (Runtime, Arc<AtomicUsize>) {
        let started = Arc::new(AtomicUsize::new(0));
        let counted = started.clone();
        builder.on_thread_start(move || _ = counted.fetch_add(1, Ordering::Relaxed));
        (builder.build().unwrap(), started)
    }

    #[test]
    fn there_are_none_before_there_is_work_for_them() {
        for workers in [1, 2, 8] {
            let mut builder = Builder::new_multi_thread();
            let (rt, started) = counting(builder.worker_threads(workers));
            assert_eq!(started.load(Ordering::Relaxed), 0);
            // Work of which there is one piece at a time is done by the thread in `block_on`.
            let here = thread::current().id();
            rt.block_on(async {
                for n in 0..1_000 {
                    let task = runnext::spawn(async move {
                        yield_now().await;
                        (n, thread::current().id())
                    });
                    assert_eq!(task.await.unwrap(), (n, here));
                }
            });
            drop(rt);
            assert_eq!(started.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn a_task_spawned_from_outside_gets_one() {
        let mut builder = Builder::new_multi_thread();
        let (rt, started) = counting(builder.worker_threads(4));
        let task = rt.spawn(async { thread::current().id() });
        let ran_on = current_thread().block_on(task).unwrap();
        assert_ne!(ran_on, thread::current().id());
        assert!((1..=4).contains(&started.load(Ordering::Relaxed)));
    }

    #[test]
    fn a_current_thread_runtime_has_none_but_for_closures() {
        let (rt, started) = counting(&mut Builder::new_current_thread());
        let here = thread::current().id();
        let tasks: Vec<_> = (0..100)
            .map(|_| rt.spawn(async { thread::current().id() }))
            .collect();
        rt.block_on(async {
            for task in tasks {
                assert_eq!(task.await.unwrap(), here);
            }
        });
        assert_eq!(started.load(Ordering::Relaxed), 0);
        let closure = rt.block_on(async { spawn_blocking(|| thread::current().id()).await });
        assert_ne!(closure.unwrap(), here);
        assert_eq!(started.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn one_in_block_on_runs_tasks_of_others() {
        // Nobody else can: there is one processor, and no thread until it is needed.
        let rt = current_thread();
        let (tell, told) = oneshot::channel::<ThreadId>();
        let handle = rt.handle().clone();
        let spawner = thread::spawn(move || {
            let outer = handle.spawn(async move {
                let inner = runnext::spawn(async { thread::current().id() });
                tell.send(inner.await.unwrap()).unwrap();
            });
            drop(outer);
        });
        assert_eq!(rt.block_on(told).unwrap(), thread::current().id());
        spawner.join().unwrap();
    }

    #[test]
    fn two_in_block_on_share_one_processor() {
        let rt = current_thread();
        let sum: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|k| {
                    let rt = &rt;
                    scope.spawn(move || {
                        rt.block_on(async {
                            let mut sum = 0;
                            for n in 0..500 {
                                let task = runnext::spawn(async move {
                                    yield_now().await;
                                    n * k
                                });
                                sum += task.await.unwrap();
                            }
                            sum
                        })
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(sum, 124_750 * 6);
    }

    #[test]
    fn many_processors_are_no_burden() {
        let mut builder = Builder::new_multi_thread();
        let (rt, started) = counting(builder.worker_threads(2_048));
        assert_eq!(rt.metrics().num_workers(), 2_048);
        let sum = rt.block_on(async {
            let tasks: Vec<_> = (0..100_usize)
                .map(|n| {
                    runnext::spawn(async move {
                        yield_now().await;
                        n
                    })
                })
                .collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 4_950);
        drop(rt);
        assert!(started.load(Ordering::Relaxed) < 200);
    }
}
