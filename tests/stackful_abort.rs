//! Stackful tasks that are aborted, or whose runtime ends, in whatever state they are.
#![cfg(stackful)]

mod common;

use common::{Drops, Gate, OpensOnDrop, current_thread, multi_thread, on_each_flavor, run_until};
use runnext::stackful::{self, blocking, dedicated};
use runnext::sync::{Mutex, oneshot};
use runnext::task::JoinSet;
use runnext::{go, wait};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

#[test]
fn that_are_aborted_unwind_where_they_wait() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let drops = Drops::new();
            let guard = drops.guard();
            let (tell, told) = oneshot::channel();
            let task = go(move || {
                let _guard = guard;
                tell.send(()).unwrap();
                wait(pending::<()>());
            });
            told.await.unwrap();
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            assert_eq!(drops.alive(), 0);
        });
    });
}

#[test]
fn that_are_aborted_before_they_begin_never_do() {
    let rt = current_thread();
    rt.block_on(async {
        let drops = Drops::new();
        let guard = drops.guard();
        let task = go(move || drop(guard));
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn that_catch_their_abort_meet_it_again() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let (tell, told) = oneshot::channel();
            let caught = Arc::new(AtomicUsize::new(0));
            let task = go({
                let caught = caught.clone();
                move || {
                    tell.send(()).unwrap();
                    for _ in 0..3 {
                        let wait = || wait(pending::<()>());
                        assert!(std::panic::catch_unwind(wait).is_err());
                        caught.fetch_add(1, Ordering::Relaxed);
                    }
                    "still here"
                }
            });
            told.await.unwrap();
            task.abort();
            assert_eq!(task.await.unwrap(), "still here");
            assert_eq!(caught.load(Ordering::Relaxed), 3);
        });
    });
}

#[test]
fn an_abort_does_not_cut_blocking_code_short() {
    on_each_flavor(|rt| {
        let (started, running) = oneshot::channel();
        let gate = common::Gate::new();
        let done = Arc::new(AtomicBool::new(false));
        let task = rt.handle().go({
            let (gate, done) = (gate.clone(), done.clone());
            move || {
                let local = 7;
                blocking(|| {
                    started.send(()).unwrap();
                    gate.wait();
                    assert_eq!(local, 7);
                    done.store(true, Ordering::Relaxed);
                });
                wait(pending::<()>());
            }
        });
        rt.block_on(running).unwrap();
        task.abort();
        for _ in 0..10 {
            rt.block_on(rt.spawn(async {})).unwrap();
        }
        assert!(!task.is_finished());
        gate.open();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
        assert!(done.load(Ordering::Relaxed));
    });
}

#[test]
fn that_are_aborted_in_a_queue_never_begin() {
    // The one processor is in a poll that does not end before the abort.
    let rt = multi_thread(1);
    let drops = Drops::new();
    let guard = drops.guard();
    let (busy, opens) = (Gate::new(), Gate::new());
    let _opens = OpensOnDrop(opens.clone());
    let blocker = rt.spawn({
        let (busy, opens) = (busy.clone(), opens.clone());
        async move {
            busy.open();
            opens.wait();
        }
    });
    let handle = rt.handle().clone();
    let task = thread::scope(|scope| {
        let root = scope.spawn(|| rt.block_on(blocker));
        busy.wait();
        let task = handle.go(move || drop(guard));
        task.abort();
        assert!(!task.is_finished());
        opens.open();
        root.join().unwrap().unwrap();
        task
    });
    assert!(rt.block_on(task).unwrap_err().is_cancelled());
    assert_eq!(drops.alive(), 0);
}

#[test]
fn that_are_aborted_while_they_run_end_at_the_next_wait() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let guard = drops.guard();
        let (tell, running) = oneshot::channel();
        let aborted = Gate::new();
        let _opens = OpensOnDrop(aborted.clone());
        let reached = Arc::new(AtomicUsize::new(0));
        let task = rt.handle().go({
            let (aborted, reached) = (aborted.clone(), reached.clone());
            move || {
                let _guard = guard;
                tell.send(()).unwrap();
                aborted.wait();
                reached.store(1, Ordering::Relaxed);
                // Ready at once, so this is not a wait.
                wait(async {});
                reached.store(2, Ordering::Relaxed);
                stackful::yield_now();
                reached.store(3, Ordering::Relaxed);
            }
        });
        rt.block_on(running).unwrap();
        task.abort();
        aborted.open();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
        assert_eq!(reached.load(Ordering::Relaxed), 2);
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn that_are_aborted_while_they_run_may_still_end_well() {
    on_each_flavor(|rt| {
        let (tell, running) = oneshot::channel();
        let aborted = Gate::new();
        let _opens = OpensOnDrop(aborted.clone());
        let task = rt.handle().go({
            let aborted = aborted.clone();
            move || {
                tell.send(()).unwrap();
                aborted.wait();
                7
            }
        });
        rt.block_on(running).unwrap();
        task.abort();
        aborted.open();
        assert_eq!(rt.block_on(task).unwrap(), 7);
    });
}

#[test]
fn that_are_aborted_when_they_are_ready_unwind() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        for _ in 0..50 {
            let guard = drops.guard();
            let (tell, told) = oneshot::channel();
            let (wake, woken) = oneshot::channel::<()>();
            let task = rt.handle().go(move || {
                let _guard = guard;
                tell.send(()).unwrap();
                wait(woken).unwrap();
                // Ready, or running, from now on.
                loop {
                    stackful::yield_now();
                }
            });
            rt.block_on(told).unwrap();
            wake.send(()).unwrap();
            task.abort();
            assert!(rt.block_on(task).unwrap_err().is_cancelled());
        }
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn that_are_aborted_when_they_have_ended_keep_their_output() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| "done");
        run_until(&rt, || task.is_finished());
        task.abort();
        task.abort_handle().abort();
        assert_eq!(rt.block_on(task).unwrap(), "done");
    });
}

#[test]
fn an_abort_crosses_the_border_both_ways() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let (outer, inner) = (drops.guard(), drops.guard());
        // A future that owns a set with a stackful task that owns a set with a future.
        let (tell, told) = oneshot::channel();
        let task = rt.spawn(async move {
            let mut set = JoinSet::new();
            set.go(move || {
                let _outer = outer;
                let mut set = JoinSet::new();
                set.spawn(async move {
                    let _inner = inner;
                    tell.send(()).unwrap();
                    pending::<()>().await;
                });
                wait(set.join_next());
            });
            set.join_next().await;
        });
        rt.block_on(told).unwrap();
        assert_eq!(drops.alive(), 2);
        task.abort();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
        run_until(&rt, || drops.alive() == 0);
    });
}

#[test]
fn a_stackful_task_aborts_itself() {
    on_each_flavor(|rt| {
        let (give, given) = oneshot::channel::<runnext::task::AbortHandle>();
        let task = rt.handle().go(move || {
            wait(given).unwrap().abort();
            stackful::yield_now();
        });
        assert!(give.send(task.abort_handle()).is_ok());
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
    });
}

#[test]
fn an_abort_unwinds_through_locks_and_poisons_those_of_the_standard_library() {
    on_each_flavor(|rt| {
        let std_lock = Arc::new(std::sync::Mutex::new(0));
        let lock = Arc::new(Mutex::new(0));
        let (tell, told) = oneshot::channel();
        let task = rt.handle().go({
            let (std_lock, lock) = (std_lock.clone(), lock.clone());
            move || {
                let _both = (std_lock.lock().unwrap(), wait(lock.lock()));
                tell.send(()).unwrap();
                wait(pending::<()>());
            }
        });
        rt.block_on(told).unwrap();
        assert!(std_lock.try_lock().is_err() && lock.try_lock().is_err());
        task.abort();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
        assert!(std_lock.is_poisoned());
        assert!(lock.try_lock().is_ok());
    });
}

#[test]
fn an_abort_inside_a_dedicated_thread_waits_for_it() {
    on_each_flavor(|rt| {
        let (started, running) = oneshot::channel();
        let gate = Gate::new();
        let _opens = OpensOnDrop(gate.clone());
        let ran = Arc::new(AtomicBool::new(false));
        let task = rt.handle().go({
            let (gate, ran) = (gate.clone(), ran.clone());
            move || {
                let lent = 7;
                dedicated(|| {
                    started.send(()).unwrap();
                    gate.wait();
                    assert_eq!(lent, 7);
                    ran.store(true, Ordering::Relaxed);
                })
                .unwrap();
                stackful::yield_now();
            }
        });
        rt.block_on(running).unwrap();
        task.abort();
        for _ in 0..10 {
            rt.block_on(rt.spawn(async {})).unwrap();
        }
        assert!(!task.is_finished());
        gate.open();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
        assert!(ran.load(Ordering::Relaxed));
    });
}
