//! Stackful tasks where no thread can be started.
#![cfg(stackful)]

mod common;

use common::{Drops, multi_thread, on_each_flavor};
use runnext::runtime::{Builder, Runtime};
use runnext::stackful::{self, blocking, dedicated};
use runnext::{go, spawn, wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A runtime whose threads would need more memory for their stacks than an address can tell.
fn without_threads(mut builder: Builder) -> Runtime {
    builder.worker_threads(2).thread_stack_size(1 << 50);
    builder.build().unwrap()
}

#[test]
fn that_no_thread_can_begin_are_cancelled_and_futures_go_on() {
    for builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let rt = without_threads(builder);
        let drops = Drops::new();
        rt.block_on(async {
            for n in 0..50 {
                let guard = drops.guard();
                let task = go(move || drop(guard));
                assert_eq!(spawn(async move { n }).await.unwrap(), n);
                assert!(task.await.unwrap_err().is_cancelled());
            }
        });
        assert_eq!(drops.alive(), 0);
        // A migratable one needs no thread that stays.
        // SAFETY: it has nothing that must not move.
        let builder = unsafe { stackful::Builder::new().migratable() };
        let task = builder.go_on(|| wait(spawn(async { 7 })).unwrap(), rt.handle());
        assert_eq!(rt.block_on(task.unwrap()).unwrap(), 7);
    }
}

#[test]
fn blocking_code_for_which_there_is_no_thread_runs_in_place() {
    // A task of one runtime that has entered another, which has no threads.
    on_each_flavor(|rt| {
        let other = Arc::new(without_threads(Builder::new_multi_thread()));
        let kept = other.clone();
        let task = rt.handle().go(move || {
            let here = std::thread::current().id();
            let _guard = other.enter();
            let mut count = 0;
            for _ in 0..10 {
                blocking(|| {
                    count += 1;
                    assert_eq!(std::thread::current().id(), here);
                });
            }
            count
        });
        assert_eq!(rt.block_on(task).unwrap(), 10);
        drop(kept);
    });
}

#[test]
fn a_scope_whose_children_no_thread_can_begin_ends() {
    let rt = without_threads(Builder::new_current_thread());
    let ran = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        let (stop, stopped) = runnext::sync::oneshot::channel::<()>();
        let rt = &rt;
        threads.spawn(move || rt.block_on(stopped));
        let _guard = rt.enter();
        stackful::scope(|s| {
            for _ in 0..10 {
                let child = s.go(|| ran.fetch_add(1, Ordering::Relaxed));
                assert!(child.join().unwrap_err().is_cancelled());
            }
        });
        stop.send(()).unwrap();
    });
    assert_eq!(ran.into_inner(), 0);
}

#[test]
fn a_dedicated_thread_comes_from_the_system() {
    let rt = multi_thread(1);
    let task = rt.handle().go(|| dedicated(std::thread::current));
    let thread = rt.block_on(task).unwrap().unwrap();
    assert_eq!(thread.name(), Some("runnext-dedicated"));
}
