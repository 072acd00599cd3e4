//! Stackful tasks that panic, and what happens while they unwind.
#![cfg(stackful)]

mod common;

use common::{Drops, PanicsOnDrop, multi_thread, on_each_flavor, panic_of, text};
use runnext::stackful::{self, blocking, dedicated};
use runnext::sync::oneshot;
use runnext::task::JoinHandle;
use runnext::{go, spawn, wait};
use std::panic::{catch_unwind, panic_any, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn that_panic_end_alone() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let drops = Drops::new();
            let tasks: Vec<_> = (0..50)
                .map(|n| {
                    let guard = drops.guard();
                    go(move || {
                        let _guard = guard;
                        stackful::yield_now();
                        panic!("task {n}");
                    })
                })
                .collect();
            for (n, task) in tasks.into_iter().enumerate() {
                let error: runnext::task::JoinError = task.await.unwrap_err();
                assert_eq!(common::text(&*error.into_panic()), format!("task {n}"));
            }
            assert_eq!(drops.alive(), 0);
        });
    });
}

#[test]
fn waiting_while_unwinding_blocks_the_thread() {
    struct Waits(Option<oneshot::Receiver<u32>>, Arc<AtomicUsize>);
    impl Drop for Waits {
        fn drop(&mut self) {
            let got = wait(self.0.take().unwrap()).unwrap();
            self.1.store(got as usize, Ordering::Relaxed);
        }
    }
    on_each_flavor(|rt| {
        let got = Arc::new(AtomicUsize::new(0));
        let (tx, rx) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let other = thread::spawn(move || {
            told.recv().unwrap();
            tx.send(7).unwrap();
        });
        let waits = Waits(Some(rx), got.clone());
        let task = rt.handle().go(move || {
            let _waits = waits;
            tell.send(()).unwrap();
            panic!("on purpose");
        });
        assert!(rt.block_on(task).unwrap_err().is_panic());
        assert_eq!(got.load(Ordering::Relaxed), 7);
        other.join().unwrap();
    });
}

#[test]
fn blocking_code_that_panics_panics_in_the_task() {
    let rt = multi_thread(1);
    let task = rt.handle().go(|| {
        let text = panic_of(|| blocking(|| panic!("inside")));
        let dedicated = panic_of(|| dedicated(|| panic!("inside too")));
        (text, dedicated)
    });
    assert_eq!(
        rt.block_on(task).unwrap(),
        ("inside".to_owned(), "inside too".to_owned())
    );
}

#[test]
fn the_payload_arrives_as_it_was_thrown() {
    on_each_flavor(|rt| {
        let task: JoinHandle<()> = rt.handle().go(|| panic_any(7_u64));
        let error = rt.block_on(task).unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        assert_eq!(*error.into_panic().downcast::<u64>().unwrap(), 7);
        let task: JoinHandle<()> = rt.handle().go(|| {
            stackful::yield_now();
            resume_unwind(Box::new("without a message"))
        });
        let error = rt.block_on(task).unwrap_err();
        assert!(error.to_string().contains("without a message"), "{error}");
        assert_eq!(text(&*error.into_panic()), "without a message");
    });
}

#[test]
fn the_panic_of_a_future_passes_through_the_wait_for_it() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let of_a_poll = panic_of(|| {
                wait(async {
                    runnext::task::yield_now().await;
                    panic!("in a poll")
                })
            });
            let of_a_task = wait(spawn(async { panic!("in a task") })).unwrap_err();
            let of_a_go = wait(go(|| panic!("in a stackful task"))).unwrap_err();
            (
                of_a_poll,
                text(&*of_a_task.into_panic()),
                text(&*of_a_go.into_panic()),
            )
        });
        let (a, b, c) = rt.block_on(task).unwrap();
        assert_eq!(
            (&*a, &*b, &*c),
            ("in a poll", "in a task", "in a stackful task")
        );
    });
}

#[test]
fn a_closure_whose_destructor_panics_before_it_begins_is_a_panic() {
    let rt = common::current_thread();
    let drops = Drops::new();
    let bad = PanicsOnDrop(drops.guard(), "dropped unused");
    let task = rt.handle().go(move || drop(bad));
    task.abort();
    let error = rt.block_on(task).unwrap_err();
    assert_eq!(text(&*error.into_panic()), "dropped unused");
    assert_eq!(drops.alive(), 0);
}

#[test]
fn an_output_whose_destructor_panics_harms_nobody() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        for _ in 0..10 {
            let bad = PanicsOnDrop(drops.guard(), "nobody wanted it");
            drop(rt.handle().go(move || {
                stackful::yield_now();
                bad
            }));
        }
        common::run_until(&rt, || drops.alive() == 0);
        assert_eq!(rt.block_on(rt.handle().go(|| 7)).unwrap(), 7);
    });
}

#[test]
fn a_panic_during_the_unwinding_of_an_abort_is_caught_inside() {
    on_each_flavor(|rt| {
        let (tell, told) = oneshot::channel();
        let caught = Arc::new(AtomicBool::new(false));
        let task = rt.handle().go({
            let caught = caught.clone();
            move || {
                let _on_drop = OnDrop(|| {
                    let inner = catch_unwind(|| panic!("in a destructor"));
                    caught.store(inner.is_err(), Ordering::Relaxed);
                });
                tell.send(()).unwrap();
                wait(std::future::pending::<()>());
            }
        });
        rt.block_on(told).unwrap();
        task.abort();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
        assert!(caught.load(Ordering::Relaxed));
    });
}

#[test]
fn a_task_may_turn_its_abort_into_a_panic_of_its_own() {
    on_each_flavor(|rt| {
        let (tell, told) = oneshot::channel();
        let task: JoinHandle<()> = rt.handle().go(move || {
            tell.send(()).unwrap();
            let caught = catch_unwind(|| wait(std::future::pending::<()>()));
            assert!(caught.is_err());
            panic!("instead");
        });
        rt.block_on(told).unwrap();
        task.abort();
        let error = rt.block_on(task).unwrap_err();
        assert_eq!(text(&*error.into_panic()), "instead");
    });
}

#[test]
fn a_sibling_of_a_task_that_unwinds_does_not_see_its_panic() {
    // Several stackful tasks on one thread, one of which waits in the middle of unwinding.
    on_each_flavor(|rt| {
        let over = Arc::new(AtomicBool::new(false));
        let saw = Arc::new(AtomicUsize::new(0));
        let turns = Arc::new(AtomicUsize::new(0));
        let siblings: Vec<_> = (0..8)
            .map(|_| {
                let (over, saw, turns) = (over.clone(), saw.clone(), turns.clone());
                rt.handle().go(move || {
                    while !over.load(Ordering::Acquire) {
                        if thread::panicking() {
                            saw.fetch_add(1, Ordering::Relaxed);
                        }
                        turns.fetch_add(1, Ordering::Relaxed);
                        stackful::yield_now();
                    }
                })
            })
            .collect();
        common::run_until(&rt, || turns.load(Ordering::Relaxed) > 8);
        for _ in 0..20 {
            let (tx, rx) = oneshot::channel();
            let (tell, told) = std::sync::mpsc::channel();
            let other = thread::spawn(move || {
                told.recv().unwrap();
                tx.send(()).unwrap();
            });
            let task: JoinHandle<()> = rt.handle().go(move || {
                let mut rx = Some(rx);
                let _waits = OnDrop(|| {
                    assert!(thread::panicking());
                    tell.send(()).unwrap();
                    stackful::yield_now();
                    wait(rx.take().unwrap()).unwrap();
                    assert!(thread::panicking());
                });
                panic!("on purpose");
            });
            assert!(rt.block_on(task).unwrap_err().is_panic());
            other.join().unwrap();
        }
        over.store(true, Ordering::Release);
        for sibling in siblings {
            rt.block_on(sibling).unwrap();
        }
        assert_eq!(saw.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_destructor_that_waits_while_unwinding_does_not_hold_up_the_tasks_it_waits_for() {
    on_each_flavor(|rt| {
        let got = Arc::new(AtomicUsize::new(0));
        let task: JoinHandle<()> = rt.handle().go({
            let got = got.clone();
            move || {
                let _waits = OnDrop(|| {
                    // They were just made ready on the processor of this thread.
                    let of_a_future = wait(spawn(async { 1 })).unwrap();
                    let of_a_go = wait(go(|| 10)).unwrap();
                    let of_blocking = blocking(|| wait(spawn(async { 100 })).unwrap());
                    let dedicated = dedicated(|| 1000).unwrap();
                    let sum = of_a_future + of_a_go + of_blocking + dedicated;
                    got.store(sum, Ordering::Relaxed);
                });
                panic!("on purpose");
            }
        });
        assert!(rt.block_on(task).unwrap_err().is_panic());
        assert_eq!(got.load(Ordering::Relaxed), 1111);
        // The thread has a processor again, or can do without.
        assert_eq!(rt.block_on(rt.handle().go(|| 7)).unwrap(), 7);
        assert_eq!(rt.block_on(rt.spawn(async { 7 })).unwrap(), 7);
    });
}

#[test]
fn a_destructor_that_waits_for_what_it_aborts_ends_with_the_task() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let guard = drops.guard();
        let (tell, told) = oneshot::channel();
        let task = rt.handle().go(move || {
            let mut worker = Some(spawn(async move {
                let _guard = guard;
                tell.send(()).unwrap();
                std::future::pending::<()>().await;
            }));
            let _stops = OnDrop(|| {
                let worker = worker.take().unwrap();
                worker.abort();
                assert!(wait(worker).unwrap_err().is_cancelled());
            });
            wait(std::future::pending::<()>());
        });
        rt.block_on(told).unwrap();
        task.abort();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn panics_of_blocking_code_keep_their_payload() {
    let rt = multi_thread(1);
    let task = rt.handle().go(|| {
        let of_the_pool = catch_unwind(|| blocking(|| panic_any(1_u32))).unwrap_err();
        let of_its_own = catch_unwind(|| dedicated(|| panic_any(2_u32))).unwrap_err();
        let sum = of_the_pool.downcast::<u32>().unwrap();
        *sum + *of_its_own.downcast::<u32>().unwrap()
    });
    assert_eq!(rt.block_on(task).unwrap(), 3);
    // On a thread that runs no tasks as well.
    let there = catch_unwind(|| dedicated(|| panic_any(3_u32))).unwrap_err();
    assert_eq!(*there.downcast::<u32>().unwrap(), 3);
}
