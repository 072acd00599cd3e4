//! Several runtimes in one process: their tasks await each other, their threads keep apart, and one
//! lives inside of another's closures.

mod common;

use common::{Drops, current_thread, multi_thread, on_each_flavor, run_until};
use runnext::runtime::{Builder, Handle, Runtime};
use runnext::sync::{mpsc, oneshot};
use runnext::task::{self, block_in_place, spawn_blocking, yield_now};
use std::collections::HashSet;
use std::future::pending;
use std::sync::mpsc as std_mpsc;
use std::thread;

fn named(name: &str, workers: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).thread_name(name);
    builder.build().unwrap()
}

fn thread_name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

#[test]
fn tasks_await_each_other_across_them() {
    on_each_flavor(|a| {
        let b = multi_thread(2);
        let (to_b, to_a) = (b.handle().clone(), a.handle().clone());
        let answer = a.block_on(async move {
            let there = to_b.clone().spawn(async move {
                assert_eq!(Handle::current().id(), to_b.id());
                let back = to_a.clone().spawn(async move {
                    assert_eq!(Handle::current().id(), to_a.id());
                    yield_now().await;
                    to_b.spawn(async { 7 }).await.unwrap()
                });
                yield_now().await;
                back.await.unwrap() + 1
            });
            there.await.unwrap() + 1
        });
        assert_eq!(answer, 9);
    });
}

#[test]
fn a_token_goes_to_and_fro_and_each_stays_on_its_threads() {
    let (a, b) = (named("a", 2), named("b", 2));
    let (to_a, mut at_a) = mpsc::channel(1);
    let (to_b, mut at_b) = mpsc::channel(1);
    let there = b.spawn(async move {
        while let Some(n) = at_b.recv().await {
            assert_eq!(thread_name(), "b");
            if to_a.send(n + 1).await.is_err() {
                break;
            }
        }
    });
    let here = a.spawn(async move {
        let mut n = 0;
        while n < 4_000 {
            to_b.send(n).await.unwrap();
            n = at_a.recv().await.unwrap();
            assert_eq!(thread_name(), "a");
        }
        n
    });
    let joiner = current_thread();
    assert_eq!(joiner.block_on(here).unwrap(), 4_000);
    joiner.block_on(there).unwrap();
    assert_eq!(a.metrics().spawned_tasks_count(), 1);
    assert_eq!(b.metrics().spawned_tasks_count(), 1);
    assert_eq!(joiner.metrics().spawned_tasks_count(), 0);
}

#[test]
fn two_threads_in_block_on_of_current_thread_runtimes_meet() {
    let (to_a, at_a) = oneshot::channel::<Handle>();
    let (to_b, at_b) = oneshot::channel::<Handle>();
    let (done_a, a_done) = oneshot::channel::<()>();
    let (done_b, b_done) = oneshot::channel::<()>();
    let run = |tell: oneshot::Sender<Handle>,
               told: oneshot::Receiver<Handle>,
               done: oneshot::Sender<()>,
               other_done: oneshot::Receiver<()>| {
        thread::spawn(move || {
            let rt = current_thread();
            let here = thread::current().id();
            rt.block_on(async {
                assert!(tell.send(Handle::current()).is_ok());
                let other = told.await.unwrap();
                for _ in 0..200 {
                    let ran_on = other.spawn(async { thread::current().id() }).await.unwrap();
                    assert_ne!(ran_on, here);
                }
                done.send(()).unwrap();
                // It runs the other's tasks until the other needs it no longer.
                other_done.await.unwrap();
            });
        })
    };
    let a = run(to_b, at_a, done_a, b_done);
    let b = run(to_a, at_b, done_b, a_done);
    a.join().unwrap();
    b.join().unwrap();
}

#[test]
fn the_end_of_one_is_an_answer_to_the_others_tasks() {
    on_each_flavor(|a| {
        let b = multi_thread(1);
        let drops = Drops::new();
        let guard = drops.guard();
        let there = b.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        let here = a.spawn(async { there.await.unwrap_err().is_cancelled() });
        a.block_on(a.spawn(async {})).unwrap();
        drop(b);
        assert_eq!(drops.alive(), 0);
        assert!(a.block_on(here).unwrap());
    });
}

mod blocking_in_place {
    use super::*;

    #[test]
    fn allows_block_on_of_any_of_them() {
        let (a, b, c) = (multi_thread(1), multi_thread(1), current_thread());
        let (own, other, third) = (a.handle().clone(), b.handle().clone(), c.handle().clone());
        let task = a.spawn(async move {
            let id = task::id();
            let sum = block_in_place(|| {
                let first = own.block_on(async { runnext::spawn(async { 1 }).await.unwrap() });
                let second = other.block_on(async {
                    assert_eq!(task::try_id(), None);
                    // That runtime's worker is this very thread, or another of its own.
                    let inner = runnext::spawn(async { block_in_place(|| 20) });
                    let here = block_in_place(|| third.block_on(async { 300 }));
                    here + inner.await.unwrap()
                });
                first + second
            });
            assert_eq!((task::id(), Handle::current().id()), (id, own.id()));
            yield_now().await;
            sum + own.spawn(async { 4_000 }).await.unwrap()
        });
        assert_eq!(a.block_on(task).unwrap(), 4_321);
    }

    #[test]
    fn hands_over_the_processor_of_the_runtime_that_it_blocks() {
        on_each_flavor(|other| {
            let rt = multi_thread(1);
            let entered = other.handle().clone();
            let task = rt.spawn(async move {
                let (tell, told) = std_mpsc::channel();
                // Only the thread that takes over can run this.
                runnext::spawn(async move { tell.send(7).unwrap() });
                let _guard = entered.enter();
                block_in_place(move || told.recv().unwrap())
            });
            assert_eq!(rt.block_on(task).unwrap(), 7);
        });
    }

    #[test]
    fn under_a_guard_of_its_own_runtime_hands_over() {
        let rt = multi_thread(1);
        let handle = rt.handle().clone();
        let task = rt.spawn(async move {
            let (tell, told) = std_mpsc::channel();
            runnext::spawn(async move { tell.send(7).unwrap() });
            let _guard = handle.enter();
            block_in_place(move || told.recv().unwrap())
        });
        assert_eq!(rt.block_on(task).unwrap(), 7);
    }

    #[test]
    fn of_a_current_thread_runtime_is_refused_also_where_another_is_entered() {
        let (rt, other) = (current_thread(), multi_thread(1));
        let entered = other.handle().clone();
        let task = rt.spawn(async move {
            let _guard = entered.enter();
            block_in_place(|| ());
        });
        let error = rt.block_on(task).unwrap_err();
        let message = common::text(&*error.into_panic());
        assert!(message.contains("`block_in_place`"), "{message}");
    }
}

mod inside_of_another {
    use super::*;

    fn whole_life(drops: &Drops, rt: Runtime) -> usize {
        let waits = rt.spawn(common::holding(drops.guard(), |_| std::task::Poll::Pending));
        let sum = rt.block_on(async {
            let tasks: Vec<_> = (0..100)
                .map(|n| {
                    runnext::spawn(async move {
                        yield_now().await;
                        spawn_blocking(move || n).await.unwrap()
                    })
                })
                .collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        });
        drop(rt);
        assert!(waits.is_finished());
        sum
    }

    #[test]
    fn it_is_made_and_dropped_in_a_closure_that_blocks() {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            let closures: Vec<_> = (0..4)
                .map(|k| {
                    let drops = drops.clone();
                    rt.spawn_blocking(move || {
                        let outside = Handle::current().id();
                        let inner = if k % 2 == 0 {
                            multi_thread(2)
                        } else {
                            current_thread()
                        };
                        let sum = whole_life(&drops, inner);
                        assert_eq!(Handle::current().id(), outside);
                        sum
                    })
                })
                .collect();
            for closure in closures {
                assert_eq!(rt.block_on(closure).unwrap(), 4_950);
            }
            assert_eq!((drops.made(), drops.alive()), (4, 0));
        });
    }

    #[test]
    fn it_is_made_and_dropped_in_place() {
        let rt = multi_thread(2);
        let drops = Drops::new();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let drops = drops.clone();
                rt.spawn(async move { block_in_place(|| whole_life(&drops, multi_thread(1))) })
            })
            .collect();
        for task in tasks {
            assert_eq!(rt.block_on(task).unwrap(), 4_950);
        }
        assert_eq!(drops.alive(), 0);
        let sum = rt.block_on(async { block_in_place(|| whole_life(&drops, current_thread())) });
        assert_eq!((sum, drops.alive()), (4_950, 0));
    }

    #[test]
    fn it_is_made_in_a_task_and_dropped_elsewhere() {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            let inner = rt.block_on(async {
                let guard = drops.guard();
                runnext::spawn(async move {
                    let inner = multi_thread(1);
                    inner.spawn(common::holding(guard, |_| std::task::Poll::Pending));
                    let answer = inner.spawn(async { 7 }).await.unwrap();
                    (inner, answer)
                })
                .await
                .unwrap()
            });
            assert_eq!(inner.1, 7);
            drop(inner);
            assert_eq!(drops.alive(), 0);
        });
    }
}

#[test]
fn ten_of_them_share_ids_but_nothing_else() {
    let runtimes: Vec<_> = (0..10)
        .map(|n| {
            if n % 2 == 0 {
                multi_thread(1)
            } else {
                current_thread()
            }
        })
        .collect();
    let mut ids = HashSet::new();
    let mut tasks = Vec::new();
    for _ in 0..100 {
        for rt in &runtimes {
            let task = rt.spawn(async { (task::id(), Handle::current().id()) });
            assert!(ids.insert(task.id()), "an id was given twice");
            tasks.push((task, rt));
        }
    }
    for (task, rt) in tasks {
        let id = task.id();
        assert_eq!(rt.block_on(task).unwrap(), (id, rt.handle().id()));
    }
    let distinct: HashSet<_> = runtimes.iter().map(|rt| rt.handle().id()).collect();
    assert_eq!(distinct.len(), 10);
    for rt in &runtimes {
        run_until(rt, || rt.metrics().num_alive_tasks() == 0);
        assert!(rt.metrics().spawned_tasks_count() >= 100);
    }
}
