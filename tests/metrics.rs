//! What a runtime counts, where the count is certain.

mod common;

use common::{
    Drops, Gate, OpensOnDrop, current_thread, multi_thread, on_each_flavor, panic_and_file_of,
    run_until,
};
use runnext::runtime::{Builder, Handle, RuntimeFlavor};
use runnext::sync::oneshot;
use runnext::task::{JoinHandle, LocalSet, spawn_blocking, yield_now};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

#[test]
fn a_fresh_runtime_has_counted_nothing() {
    on_each_flavor(|rt| {
        let metrics = rt.metrics();
        assert_eq!(metrics.num_alive_tasks(), 0);
        assert_eq!(metrics.spawned_tasks_count(), 0);
        assert_eq!(metrics.global_queue_depth(), 0);
        assert_eq!(metrics.remote_schedule_count(), 0);
        assert_eq!(metrics.num_blocking_threads(), 0);
        assert_eq!(metrics.num_idle_blocking_threads(), 0);
        assert_eq!(metrics.blocking_queue_depth(), 0);
        for worker in 0..metrics.num_workers() {
            assert_eq!(metrics.worker_local_queue_depth(worker), 0);
            assert_eq!(metrics.worker_poll_count(worker), 0);
            assert_eq!(metrics.worker_local_schedule_count(worker), 0);
            assert_eq!(metrics.worker_overflow_count(worker), 0);
            assert_eq!(metrics.worker_steal_count(worker), 0);
            assert_eq!(metrics.worker_steal_operations(worker), 0);
            assert_eq!(metrics.worker_park_count(worker), 0);
            assert_eq!(metrics.worker_noop_count(worker), 0);
            assert_eq!(metrics.worker_total_busy_duration(worker), Duration::ZERO);
        }
    });
}

#[test]
fn the_number_of_workers_is_that_of_the_builder() {
    assert_eq!(current_thread().metrics().num_workers(), 1);
    assert_eq!(multi_thread(3).metrics().num_workers(), 3);
    let mut builder = Builder::new_current_thread();
    let one = builder.worker_threads(8).build().unwrap();
    assert_eq!(one.metrics().num_workers(), 1);
    assert_eq!(one.handle().runtime_flavor(), RuntimeFlavor::CurrentThread);
    let default = runnext::runtime::Runtime::new().unwrap();
    let cpus = thread::available_parallelism().unwrap().get();
    assert_eq!(default.metrics().num_workers(), cpus);
    assert_eq!(
        default.handle().runtime_flavor(),
        RuntimeFlavor::MultiThread
    );
}

#[test]
fn tasks_are_alive_from_the_spawn_to_the_end() {
    on_each_flavor(|rt| {
        let metrics = rt.metrics();
        let (senders, tasks): (Vec<_>, Vec<JoinHandle<_>>) = (0..100)
            .map(|_| {
                let (sender, receiver) = oneshot::channel::<()>();
                (sender, rt.spawn(receiver))
            })
            .unzip();
        assert_eq!(metrics.num_alive_tasks(), 100);
        assert_eq!(metrics.spawned_tasks_count(), 100);
        drop(senders);
        tasks.iter().skip(50).for_each(JoinHandle::abort);
        rt.block_on(async {
            for task in tasks {
                let _: Result<_, _> = task.await;
            }
            assert_eq!(rt.metrics().num_alive_tasks(), 0);
            // Inside as outside, by handle as by function; closures and bound tasks are not counted.
            runnext::spawn(async {}).await.unwrap();
            Handle::current().spawn(async {}).await.unwrap();
            spawn_blocking(|| ()).await.unwrap();
            LocalSet::new()
                .run_until(async { runnext::task::spawn_local(yield_now()).await })
                .await
        })
        .unwrap();
        assert_eq!(metrics.spawned_tasks_count(), 102);
        assert_eq!(metrics.num_alive_tasks(), 0);
        let pending = rt.spawn(std::future::pending::<()>());
        assert_eq!(metrics.num_alive_tasks(), 1);
        drop(rt);
        // The counters outlive what they count.
        assert!(pending.is_finished());
        assert_eq!(metrics.num_alive_tasks(), 0);
        assert_eq!(metrics.clone().spawned_tasks_count(), 103);
    });
}

#[test]
fn each_poll_is_counted_on_one_thread() {
    let rt = current_thread();
    let metrics = rt.metrics();
    rt.block_on(async {
        let tasks: Vec<_> = (0..50_u64)
            .map(|yields| {
                runnext::spawn(async move {
                    for _ in 0..yields {
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let polls: u64 = (0..50).map(|yields| yields + 1).sum();
    assert_eq!(metrics.worker_poll_count(0), polls);
    // Each was made ready here: once by its spawn, and once by each of its yields.
    assert_eq!(metrics.worker_local_schedule_count(0), polls);
    assert_eq!(metrics.remote_schedule_count(), 0);
    assert!(metrics.worker_total_busy_duration(0) > Duration::ZERO);
    assert_eq!(metrics.worker_steal_count(0), 0);
}

#[test]
fn polls_of_all_workers_add_up() {
    for workers in [1, 2, 4] {
        let rt = multi_thread(workers);
        let tasks: Vec<_> = (0..500_u64).map(|n| rt.spawn(async move { n })).collect();
        rt.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
        let metrics = rt.metrics();
        drop(rt);
        let polls: u64 = (0..workers)
            .map(|worker| metrics.worker_poll_count(worker))
            .sum();
        assert_eq!(polls, 500);
        assert_eq!(metrics.remote_schedule_count(), 500);
    }
}

#[test]
fn what_threads_without_a_processor_make_ready_is_remote() {
    let rt = current_thread();
    let metrics = rt.metrics();
    let (tell, told) = oneshot::channel::<u32>();
    let task = rt.spawn(told);
    assert_eq!(
        (
            metrics.remote_schedule_count(),
            metrics.global_queue_depth()
        ),
        (1, 1)
    );
    rt.block_on(async { runnext::spawn(yield_now()).await.unwrap() });
    run_until(&rt, || metrics.global_queue_depth() == 0);
    let before = metrics.remote_schedule_count();
    thread::spawn(move || tell.send(7)).join().unwrap().unwrap();
    assert_eq!(metrics.remote_schedule_count(), before + 1);
    assert_eq!(rt.block_on(task).unwrap().unwrap(), 7);
}

#[test]
fn threads_and_closures_of_the_pool_are_counted() {
    let mut builder = Builder::new_current_thread();
    let rt = builder.max_blocking_threads(3).build().unwrap();
    let (metrics, gate, drops) = (rt.metrics(), Gate::new(), Drops::new());
    let _opens = OpensOnDrop(gate.clone());
    let (inside, began) = mpsc::channel();
    let closures: Vec<_> = (0..10)
        .map(|_| {
            let (gate, guard, inside) = (gate.clone(), drops.guard(), inside.clone());
            rt.spawn_blocking(move || {
                let _guard = guard;
                inside.send(()).unwrap();
                gate.wait();
            })
        })
        .collect();
    began.iter().take(3).for_each(drop);
    assert_eq!(metrics.num_blocking_threads(), 3);
    assert_eq!(metrics.num_idle_blocking_threads(), 0);
    assert_eq!(metrics.blocking_queue_depth(), 7);
    gate.open();
    rt.block_on(async {
        for closure in closures {
            closure.await.unwrap();
        }
    });
    assert_eq!(metrics.blocking_queue_depth(), 0);
    assert!(metrics.num_blocking_threads() <= 3);
    // They come to rest.
    while metrics.num_idle_blocking_threads() < metrics.num_blocking_threads() {
        thread::yield_now();
    }
    drop(rt);
    assert_eq!((metrics.num_blocking_threads(), drops.alive()), (0, 0));
}

#[test]
fn parks_are_counted() {
    on_each_flavor(|rt| {
        let metrics = rt.metrics();
        let parks = || -> u64 {
            (0..metrics.num_workers())
                .map(|worker| metrics.worker_park_count(worker))
                .sum()
        };
        while parks() < 3 {
            let (tell, told) = oneshot::channel();
            let teller = thread::spawn(move || tell.send(()));
            rt.block_on(told).unwrap();
            teller.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_worker_that_does_not_exist_is_named() {
    let metrics = multi_thread(2).metrics();
    let ask: [fn(&runnext::runtime::RuntimeMetrics); 3] = [
        |m| _ = m.worker_poll_count(2),
        |m| _ = m.worker_local_queue_depth(2),
        |m| _ = m.worker_total_busy_duration(2),
    ];
    for ask in ask {
        let (message, file) = panic_and_file_of(|| ask(&metrics));
        assert!(message.contains("there is no worker 2"), "{message}");
        assert!(message.contains("the runtime has 2"), "{message}");
        assert_eq!(file, file!());
    }
}
