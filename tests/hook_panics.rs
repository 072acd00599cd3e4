//! Panics in the functions given to `on_thread_*` and `thread_name_fn`: they are told, and the
//! thread goes on.

mod common;

use common::{Drops, panic_of, run_until};
use runnext::runtime::{Builder, Handle, Runtime};
use runnext::sync::oneshot;
use runnext::task::{block_in_place, spawn_blocking, yield_now};
use std::panic::{panic_any, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Set = fn(&mut Builder, Box<dyn Fn() + Send + Sync>);

const HOOKS: [(&str, Set); 4] = [
    ("start", |b, f| _ = b.on_thread_start(f)),
    ("stop", |b, f| _ = b.on_thread_stop(f)),
    ("park", |b, f| _ = b.on_thread_park(f)),
    ("unpark", |b, f| _ = b.on_thread_unpark(f)),
];

fn builders() -> [Builder; 3] {
    let mut one = Builder::new_multi_thread();
    one.worker_threads(1);
    let mut two = Builder::new_multi_thread();
    two.worker_threads(2);
    [Builder::new_current_thread(), one, two]
}

/// Makes threads start, park, and wake up, some of them as workers and some for closures.
fn exercise(rt: &Runtime, drops: &Drops) {
    for round in 0..20 {
        let guard = drops.guard();
        // From a thread of no runtime, to a worker or to whoever is in `block_on`.
        let task = rt.spawn(async move {
            let _guard = guard;
            yield_now().await;
            round
        });
        assert_eq!(rt.block_on(task).unwrap(), round);
        let guard = drops.guard();
        let closure = rt.spawn_blocking(move || drop(guard));
        rt.block_on(async {
            closure.await.unwrap();
            spawn_blocking(|| ()).await.unwrap();
        });
    }
}

#[test]
fn leave_the_thread_and_its_work_alone() {
    for (name, set) in HOOKS {
        for mut builder in builders() {
            let calls = Arc::new(AtomicUsize::new(0));
            set(&mut builder, {
                let calls = calls.clone();
                Box::new(move || {
                    if calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                        panic!("in the hook");
                    } else {
                        resume_unwind(Box::new("in the hook"));
                    }
                })
            });
            let drops = Drops::new();
            let rt = builder.build().unwrap();
            exercise(&rt, &drops);
            // Whether a thread has to park is up to the others; that one stops is certain.
            while name != "stop" && calls.load(Ordering::Relaxed) == 0 {
                exercise(&rt, &drops);
            }
            let pending = drops.guard();
            rt.spawn(async move {
                let _guard = pending;
                std::future::pending::<()>().await;
            });
            drop(rt);
            assert_eq!(drops.alive(), 0);
            assert!(
                calls.load(Ordering::Relaxed) > 0,
                "no thread called `{name}`"
            );
        }
    }
}

#[test]
fn with_a_payload_whose_destructor_panics_are_contained() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            resume_unwind(Box::new("the payload's drop"));
        }
    }
    for (name, set) in HOOKS {
        for mut builder in builders() {
            let calls = Arc::new(AtomicUsize::new(0));
            set(&mut builder, {
                let calls = calls.clone();
                Box::new(move || {
                    calls.fetch_add(1, Ordering::Relaxed);
                    panic_any(Bad);
                })
            });
            let drops = Drops::new();
            let rt = builder.build().unwrap();
            exercise(&rt, &drops);
            while name != "stop" && calls.load(Ordering::Relaxed) == 0 {
                exercise(&rt, &drops);
            }
            drop(rt);
            assert_eq!(drops.alive(), 0);
            assert!(
                calls.load(Ordering::Relaxed) > 0,
                "no thread called `{name}`"
            );
        }
    }
}

#[test]
fn do_not_keep_a_processor() {
    // With one processor, whoever loses it stops everything.
    for (_, set) in HOOKS {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1);
        set(
            &mut builder,
            Box::new(|| resume_unwind(Box::new("in the hook"))),
        );
        let rt = builder.build().unwrap();
        for _ in 0..20 {
            let task = rt.spawn(async { block_in_place(|| 7) });
            assert_eq!(rt.block_on(task).unwrap(), 7);
        }
    }
}

#[test]
fn while_a_thread_is_named_leave_spawning_and_the_shutdown_alone() {
    for mut builder in builders() {
        let calls = Arc::new(AtomicUsize::new(0));
        builder.thread_name_fn({
            let calls = calls.clone();
            move || {
                calls.fetch_add(1, Ordering::Relaxed);
                resume_unwind(Box::new("in the name"))
            }
        });
        let drops = Drops::new();
        let rt = builder.build().unwrap();
        exercise(&rt, &drops);
        run_until(&rt, || drops.alive() == 0);
        drop(rt);
        assert!(calls.load(Ordering::Relaxed) > 0);
    }
}

#[test]
fn while_a_thread_is_named_do_not_reach_who_wakes_a_task() {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2);
    builder.thread_name_fn(|| resume_unwind(Box::new("in the name")));
    let rt = builder.build().unwrap();
    let other = common::current_thread();
    let (tell, told) = oneshot::channel::<u32>();
    let first = other.spawn(told);
    let (polled, seen) = oneshot::channel();
    let second = rt.spawn(async move {
        polled.send(()).unwrap();
        first.await
    });
    rt.block_on(seen).unwrap();
    tell.send(7).unwrap();
    // The first task wakes the second in the middle of ending, which needs a thread to run on.
    run_until(&other, || other.metrics().num_alive_tasks() == 0);
    assert_eq!(rt.block_on(second).unwrap().unwrap().unwrap(), 7);
}

#[test]
fn blocking_on_a_future_in_a_hook_is_refused() {
    // A hook runs while a processor waits for its thread, so it could wait for itself.
    for (name, set) in HOOKS {
        for mut builder in builders() {
            let (calls, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            set(&mut builder, {
                let (calls, refused) = (calls.clone(), refused.clone());
                Box::new(move || {
                    calls.fetch_add(1, Ordering::Relaxed);
                    let handle = Handle::current();
                    let message = panic_of(|| handle.block_on(async {}));
                    if message.contains("running tasks") {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                })
            });
            let drops = Drops::new();
            let rt = builder.build().unwrap();
            exercise(&rt, &drops);
            while name != "stop" && calls.load(Ordering::Relaxed) == 0 {
                exercise(&rt, &drops);
            }
            drop(rt);
            assert_eq!(drops.alive(), 0);
            let calls = calls.load(Ordering::Relaxed);
            assert!(calls > 0, "no thread called `{name}`");
            assert_eq!(calls, refused.load(Ordering::Relaxed));
        }
    }
}
