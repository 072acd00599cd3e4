//! `spawn_blocking` and `block_in_place`: how many threads there are, who waits for whom, and that
//! the tasks go on.

mod common;

use common::{Drops, Gate, OpensOnDrop, current_thread, multi_thread, on_each_flavor};
use runnext::runtime::{Builder, Handle, Runtime};
use runnext::task::{self, JoinHandle, block_in_place, spawn_blocking, yield_now};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

fn pool(max: usize) -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()].map(|mut builder| {
        builder.worker_threads(1).max_blocking_threads(max);
        builder.build().unwrap()
    })
}

/// Closures that say when they begin, and that end when the gate opens.
struct Held {
    gate: Gate,
    began: mpsc::Receiver<ThreadId>,
    begin: mpsc::Sender<ThreadId>,
}

impl Held {
    fn new() -> (Held, OpensOnDrop) {
        let (begin, began) = mpsc::channel();
        let gate = Gate::new();
        let opens = OpensOnDrop(gate.clone());
        (Held { gate, began, begin }, opens)
    }

    fn closure(&self) -> impl FnOnce() + Send + use<> {
        let (gate, begin) = (self.gate.clone(), self.begin.clone());
        move || {
            begin.send(thread::current().id()).unwrap();
            gate.wait();
        }
    }

    /// The threads of the next `count` that begin, which must be different ones.
    #[track_caller]
    fn threads(&self, count: usize) -> HashSet<ThreadId> {
        let threads: HashSet<_> = self.began.iter().take(count).collect();
        assert_eq!(threads.len(), count, "two closures on one thread at once");
        threads
    }
}

fn join_all<T>(rt: &Runtime, tasks: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    let tasks: Vec<_> = tasks.into_iter().collect();
    rt.block_on(async {
        let mut outputs = Vec::new();
        for task in tasks {
            outputs.push(task.await.unwrap());
        }
        outputs
    })
}

#[test]
fn as_many_run_at_once_as_are_allowed() {
    for rt in pool(8) {
        let (held, _opens) = Held::new();
        let first: Vec<_> = (0..8).map(|_| rt.spawn_blocking(held.closure())).collect();
        let threads = held.threads(8);
        assert_eq!(rt.metrics().blocking_queue_depth(), 0);
        let later: Vec<_> = (0..30).map(|_| rt.spawn_blocking(held.closure())).collect();
        // All threads are taken and no other is allowed, so these are still in the queue.
        assert_eq!(rt.metrics().blocking_queue_depth(), 30);
        assert!(held.began.try_recv().is_err());
        held.gate.open();
        join_all(&rt, first.into_iter().chain(later));
        let all: Vec<_> = held.began.try_iter().collect();
        assert_eq!(all.len(), 30);
        assert!(all.iter().all(|thread| threads.contains(thread)));
    }
}

#[test]
fn one_at_a_time_run_in_order() {
    for rt in pool(1) {
        let running = Arc::new(AtomicUsize::new(0));
        let (tell, told) = mpsc::channel();
        let closures: Vec<_> = (0..500)
            .map(|n| {
                let (tell, running) = (tell.clone(), running.clone());
                rt.spawn_blocking(move || {
                    assert_eq!(running.fetch_add(1, Ordering::AcqRel), 0, "two at once");
                    tell.send(n).unwrap();
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::AcqRel);
                })
            })
            .collect();
        join_all(&rt, closures);
        let order: Vec<u32> = told.try_iter().collect();
        assert_eq!(order, (0..500).collect::<Vec<_>>());
    }
}

#[test]
fn never_more_than_allowed_whoever_submits() {
    for rt in pool(3) {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let closure = || {
            let (running, most) = (running.clone(), most.clone());
            move || {
                most.fetch_max(running.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
                thread::yield_now();
                running.fetch_sub(1, Ordering::AcqRel);
            }
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                let (handle, closure) = (rt.handle(), &closure);
                scope.spawn(move || {
                    let tasks: Vec<_> =
                        (0..500).map(|_| handle.spawn_blocking(closure())).collect();
                    join_all(&current_thread(), tasks);
                });
            }
            rt.block_on(async {
                for _ in 0..500 {
                    spawn_blocking(closure()).await.unwrap();
                }
            });
        });
        let most = most.load(Ordering::Relaxed);
        assert!((1..=3).contains(&most), "{most} at once");
    }
}

#[test]
fn closures_that_never_end_do_not_stop_the_others() {
    on_each_flavor(|rt| {
        let (held, _opens) = Held::new();
        let stuck: Vec<_> = (0..20).map(|_| rt.spawn_blocking(held.closure())).collect();
        held.threads(20);
        // Neither other closures, nor tasks, nor both.
        let sum = rt.block_on(async {
            let mut sum = 0;
            for n in 0..100 {
                sum += spawn_blocking(move || n).await.unwrap();
                sum += runnext::spawn(async { spawn_blocking(|| 1).await.unwrap() })
                    .await
                    .unwrap();
            }
            sum
        });
        assert_eq!(sum, 5_050);
        held.gate.open();
        join_all(&rt, stuck);
    });
}

#[test]
fn closures_that_wait_for_each_other_meet() {
    // Each needs a thread of its own at the same time, in whatever way they are submitted.
    for round in 0..20 {
        for rt in pool(16) {
            let barrier = Arc::new(Barrier::new(16));
            let closure = || {
                let barrier = barrier.clone();
                move || {
                    barrier.wait();
                }
            };
            let outside: Vec<_> = (0..8).map(|_| rt.spawn_blocking(closure())).collect();
            if round % 2 == 0 {
                thread::yield_now();
            }
            rt.block_on(async {
                let inside: Vec<_> = (0..8).map(|_| spawn_blocking(closure())).collect();
                for task in inside.into_iter().chain(outside) {
                    task.await.unwrap();
                }
            });
        }
    }
}

#[test]
fn a_closure_spawns_tasks_and_closures_and_waits_for_them() {
    for rt in pool(4) {
        let task = rt.spawn_blocking(|| {
            let handle = Handle::current();
            let inner = spawn_blocking(|| {
                let innermost = spawn_blocking(|| 1);
                Handle::current().block_on(innermost).unwrap() + 10
            });
            let sum = handle.block_on(async {
                let spawned = runnext::spawn(async {
                    yield_now().await;
                    spawn_blocking(|| 100).await.unwrap()
                });
                spawned.await.unwrap() + inner.await.unwrap()
            });
            sum + handle.block_on(handle.spawn(async { 1_000 })).unwrap()
        });
        assert_eq!(rt.block_on(task).unwrap(), 1_111);
    }
}

#[test]
fn threads_that_are_not_needed_end() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let (tell, stopped) = mpsc::channel();
        let started = Arc::new(AtomicUsize::new(0));
        let counted = started.clone();
        builder
            .worker_threads(1)
            .thread_keep_alive(Duration::from_millis(1));
        builder.on_thread_start(move || _ = counted.fetch_add(1, Ordering::Relaxed));
        builder.on_thread_stop(move || tell.send(()).unwrap());
        let rt = builder.build().unwrap();
        let mut gone = 0;
        for _ in 0..3 {
            let (held, _opens) = Held::new();
            let closures: Vec<_> = (0..10).map(|_| rt.spawn_blocking(held.closure())).collect();
            held.threads(10);
            held.gate.open();
            join_all(&rt, closures);
            // As many as there are processors stay for later, the others go.
            while started.load(Ordering::Relaxed) - gone > 1 {
                stopped.recv().unwrap();
                gone += 1;
            }
            assert_eq!(join_all(&rt, [rt.spawn_blocking(|| 7)]), [7]);
        }
        assert!(gone >= 27);
        drop(rt);
        gone += stopped.try_iter().count();
        assert_eq!(gone, started.load(Ordering::Relaxed));
    }
}

#[test]
fn a_thread_that_ran_a_closure_runs_no_tasks_of_a_current_thread_runtime() {
    let rt = current_thread();
    rt.block_on(rt.spawn_blocking(|| ())).unwrap();
    // It has nothing to do from now on, and nobody is in `block_on`.
    while rt.metrics().num_idle_blocking_threads() == 0 {
        thread::yield_now();
    }
    let (tell, told) = mpsc::channel();
    let task = rt.spawn(async move { tell.send(thread::current().id()).unwrap() });
    // A closure that is run by that thread comes after whatever it would have done.
    rt.handle().spawn_blocking(|| ());
    while rt.metrics().num_idle_blocking_threads() == 0 {
        thread::yield_now();
    }
    assert!(told.try_recv().is_err(), "the task ran by itself");
    rt.block_on(task).unwrap();
    assert_eq!(told.recv(), Ok(thread::current().id()));
}

#[test]
fn closures_are_named_and_numbered_as_tasks_on_threads_of_the_runtime() {
    let mut builder = Builder::new_multi_thread();
    let next = AtomicUsize::new(0);
    builder.thread_name_fn(move || format!("pool-{}", next.fetch_add(1, Ordering::Relaxed)));
    let rt = builder.worker_threads(1).build().unwrap();
    let look = || {
        (
            task::try_id(),
            task::name(),
            thread::current().name().map(str::to_owned),
        )
    };
    let closure = rt.spawn_blocking(look);
    let id = closure.id();
    let (seen, name, thread) = rt.block_on(closure).unwrap();
    assert_eq!((seen, name), (Some(id), None));
    assert!(thread.unwrap().starts_with("pool-"));
    let named = task::Builder::new()
        .name("reader")
        .spawn_blocking_on(look, rt.handle());
    let (_, name, _) = rt.block_on(named.unwrap()).unwrap();
    assert_eq!(name.as_deref(), Some("reader"));
}

#[test]
fn the_output_and_what_was_captured_are_dropped_once() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        for n in 0..300 {
            let (captured, output) = (drops.guard(), drops.guard());
            let closure = rt.spawn_blocking(move || {
                let _captured = captured;
                output
            });
            match n % 3 {
                0 => drop(closure),
                1 => closure.abort(),
                _ => drop(rt.block_on(closure).unwrap()),
            }
        }
        drop(rt);
        assert_eq!((drops.made(), drops.alive()), (600, 0));
    });
}

mod in_place {
    use super::*;

    /// What a task of the runtime has to send while another blocks its thread.
    fn blocked_on_a_task(rt: &Runtime, tasks: usize) {
        let tasks: Vec<_> = (0..tasks)
            .map(|n| {
                rt.spawn(async move {
                    let (tell, told) = mpsc::channel();
                    let sender = runnext::spawn(async move {
                        yield_now().await;
                        tell.send(n).unwrap();
                    });
                    let received = block_in_place(|| told.recv().unwrap());
                    sender.await.unwrap();
                    received
                })
            })
            .collect();
        let expected: Vec<_> = (0..tasks.len()).collect();
        assert_eq!(join_all(rt, tasks), expected);
    }

    #[test]
    fn a_task_that_blocks_is_filled_by_another() {
        for workers in [1, 2] {
            blocked_on_a_task(&multi_thread(workers), 1);
            blocked_on_a_task(&multi_thread(workers), 50);
        }
    }

    #[test]
    fn a_root_future_that_blocks_is_filled_by_a_task() {
        let rt = multi_thread(1);
        for n in 0..50 {
            let received = rt.block_on(async {
                let (tell, told) = mpsc::channel();
                runnext::spawn(async move { tell.send(n).unwrap() });
                block_in_place(|| told.recv().unwrap())
            });
            assert_eq!(received, n);
        }
    }

    #[test]
    fn within_itself_it_runs_the_closure() {
        let rt = multi_thread(1);
        let task = rt.spawn(async {
            let id = task::id();
            let sum = block_in_place(|| block_in_place(|| 1) + block_in_place(|| 20));
            assert_eq!(task::id(), id);
            // Again, and after other tasks had the processor.
            yield_now().await;
            sum + block_in_place(|| 300)
        });
        assert_eq!(rt.block_on(task).unwrap(), 321);
    }

    #[test]
    fn more_tasks_block_than_there_are_processors() {
        let rt = multi_thread(2);
        let barrier = Arc::new(Barrier::new(20));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let barrier = barrier.clone();
                rt.spawn(async move {
                    block_in_place(|| {
                        barrier.wait();
                    });
                    yield_now().await;
                })
            })
            .collect();
        join_all(&rt, tasks);
    }

    #[test]
    fn in_a_closure_that_blocks_anyway_it_is_nothing_special() {
        for rt in pool(1) {
            let closure = rt.spawn_blocking(|| block_in_place(|| 7));
            assert_eq!(rt.block_on(closure).unwrap(), 7);
        }
    }

    #[test]
    fn what_it_spawns_and_wakes_runs() {
        let rt = multi_thread(1);
        let task = rt.spawn(async {
            let mut sum = 0;
            for n in 0..100 {
                let (wake, woken) = runnext::sync::oneshot::channel();
                let waits = runnext::spawn(async { woken.await.unwrap() });
                yield_now().await;
                let spawned = block_in_place(|| {
                    wake.send(n).unwrap();
                    runnext::spawn(async { 1 })
                });
                sum += waits.await.unwrap() + spawned.await.unwrap();
            }
            sum
        });
        assert_eq!(rt.block_on(task).unwrap(), 5_050);
    }
}
