//! Scopes: stackful tasks that borrow from the one that spawned them, or from a plain thread.
#![cfg(stackful)]

mod common;

use common::{Drops, Gate, OpensOnDrop, multi_thread, on_each_flavor, panic_of, text};
use runnext::stackful;
use runnext::sync::oneshot;
use runnext::task::JoinHandle;
use runnext::{go, spawn, wait};
use std::cell::Cell;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

#[test]
fn scopes_wait_for_children_that_borrow() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let mut numbers: Vec<u64> = (0..1000).collect();
            let sum = stackful::scope(|s| {
                for part in numbers.chunks_mut(100) {
                    s.go(move || {
                        for n in part {
                            *n += 1;
                            stackful::yield_now();
                        }
                    });
                }
                let handle = s.go(|| 5);
                handle.join().unwrap()
            });
            numbers.iter().sum::<u64>() + sum
        });
        assert_eq!(rt.block_on(task).unwrap(), 500_505);
    });
}

#[test]
fn children_run_beside_each_other_on_several_threads() {
    let rt = multi_thread(2);
    let task = rt.handle().go(|| {
        // Keeps the thread of each until the other has begun.
        let both = std::sync::Barrier::new(2);
        stackful::scope(|s| {
            let children = [0; 2].map(|_| {
                s.go(|| {
                    both.wait();
                    thread::current().id()
                })
            });
            children.map(|child| child.join().unwrap())
        })
    });
    let [one, other] = rt.block_on(task).unwrap();
    assert_ne!(one, other);
}

#[test]
fn a_scope_that_is_aborted_ends_its_children_first() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let drops = Drops::new();
            let (tell, told) = oneshot::channel();
            let task = go({
                let drops = drops.clone();
                move || {
                    let lent = drops.guard();
                    stackful::scope(|s| {
                        for _ in 0..10 {
                            let guard = drops.guard();
                            let lent = &lent;
                            s.go(move || {
                                let _guard = guard;
                                let _lent = lent;
                                wait(pending::<()>());
                            });
                        }
                        tell.send(()).unwrap();
                        wait(pending::<()>());
                    });
                }
            });
            told.await.unwrap();
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            assert_eq!(drops.alive(), 0);
        });
    });
}

#[test]
fn scopes_end_with_the_runtime() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let (tell, told) = oneshot::channel();
        rt.handle().go({
            let drops = drops.clone();
            move || {
                let lent = drops.guard();
                stackful::scope(|s| {
                    for _ in 0..200 {
                        let guard = drops.guard();
                        let lent = &lent;
                        s.go(move || {
                            let _guard = guard;
                            let _lent = lent;
                            wait(pending::<()>());
                        });
                    }
                    tell.send(()).unwrap();
                });
            }
        });
        rt.block_on(told).unwrap();
        drop(rt);
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_plain_thread_can_have_a_scope() {
    on_each_flavor(|rt| {
        // On a current-thread runtime somebody has to be in `block_on`.
        let (stop, stopped) = oneshot::channel::<()>();
        let mut words = vec!["c".to_owned(), "a".to_owned(), "b".to_owned()];
        thread::scope(|threads| {
            threads.spawn(|| rt.block_on(stopped));
            let _guard = rt.enter();
            let longest = stackful::scope(|s| {
                let sorted = s.go(|| {
                    wait(spawn(async {})).unwrap();
                    words.sort();
                    words.len()
                });
                sorted.join().unwrap()
            });
            assert_eq!(longest, 3);
            stop.send(()).unwrap();
        });
        assert_eq!(words, ["a", "b", "c"]);
    });
}

#[test]
fn children_spawn_siblings() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let count = AtomicUsize::new(0);
            stackful::scope(|s| {
                fn grow<'scope>(
                    s: &'scope stackful::Scope<'scope, '_>,
                    count: &'scope AtomicUsize,
                    depth: usize,
                ) {
                    count.fetch_add(1, Ordering::Relaxed);
                    for _ in 0..if depth > 0 { 3 } else { 0 } {
                        s.go(move || {
                            stackful::yield_now();
                            grow(s, count, depth - 1);
                        });
                    }
                }
                grow(s, &count, 5);
            });
            count.into_inner()
        });
        assert_eq!(rt.block_on(task).unwrap(), 1 + 3 + 9 + 27 + 81 + 243);
    });
}

#[test]
fn a_handle_tells_of_a_panic_and_then_the_scope_does_not() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            stackful::scope(|s| {
                let child: stackful::ScopedJoinHandle<'_, ()> = s.go(|| panic_any(7_u8));
                let error = child.join().unwrap_err();
                assert!(error.is_panic());
                *error.into_panic().downcast::<u8>().unwrap()
            })
        });
        assert_eq!(rt.block_on(task).unwrap(), 7);
    });
}

#[test]
fn a_panic_that_nobody_joined_is_the_scopes() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let drops = Drops::new();
            let finished = AtomicUsize::new(0);
            let message = panic_of(|| {
                stackful::scope(|s| {
                    for n in 0..10 {
                        let (finished, guard) = (&finished, drops.guard());
                        s.go(move || {
                            let _guard = guard;
                            stackful::yield_now();
                            assert!(n != 3, "child {n}");
                            finished.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                    drops.guard()
                })
            });
            assert_eq!(drops.alive(), 0);
            (message, finished.into_inner())
        });
        let (message, finished) = rt.block_on(task).unwrap();
        assert_eq!(message, "a task of the scope panicked");
        assert_eq!(finished, 9);
    });
}

#[test]
fn a_panic_inside_aborts_the_children_and_waits_for_them() {
    on_each_flavor(|rt| {
        let task: JoinHandle<()> = rt.handle().go(|| {
            let drops = Drops::new();
            let lent = drops.guard();
            let caught = catch_unwind(AssertUnwindSafe(|| {
                stackful::scope(|s| {
                    for n in 0..10 {
                        let (guard, lent) = (drops.guard(), &lent);
                        s.go(move || {
                            let _both = (guard, lent);
                            wait(pending::<()>());
                        });
                        if n == 5 {
                            // Some of them have begun by now, and some have not.
                            stackful::yield_now();
                        }
                    }
                    panic_any("inside");
                })
            }));
            assert_eq!(drops.alive(), 1);
            assert_eq!(text(&*caught.unwrap_err()), "inside");
        });
        rt.block_on(task).unwrap();
    });
}

#[test]
fn an_aborted_child_is_cancelled_whether_it_began_or_not() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let ran = AtomicBool::new(false);
            stackful::scope(|s| {
                let fresh = s.go(|| ran.store(true, Ordering::Relaxed));
                fresh.abort();
                let fresh = fresh.join();
                let (tell, told) = oneshot::channel();
                let waiting = s.go(move || {
                    tell.send(()).unwrap();
                    wait(pending::<()>());
                });
                wait(told).unwrap();
                assert!(!waiting.is_finished());
                waiting.abort();
                assert!(waiting.join().unwrap_err().is_cancelled());
                // With a thread to spare it may have been quicker.
                match fresh {
                    Ok(()) => assert!(ran.load(Ordering::Relaxed)),
                    Err(error) => assert!(error.is_cancelled()),
                }
                // A child that was aborted and not joined is no panic.
                s.go(|| wait(pending::<()>())).abort();
            });
        });
        rt.block_on(task).unwrap();
    });
}

#[test]
fn outputs_of_children_are_dropped_once() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let task = rt.handle().go({
            let drops = drops.clone();
            move || {
                stackful::scope(|s| {
                    for n in 0..60 {
                        let drops = &drops;
                        let child = s.go(move || {
                            if n % 2 == 0 {
                                stackful::yield_now();
                            }
                            drops.guard()
                        });
                        match n % 3 {
                            0 => drop(child.join().unwrap()),
                            1 => drop(child),
                            _ => {
                                stackful::yield_now();
                                drop(child);
                            }
                        }
                    }
                });
            }
        });
        rt.block_on(task).unwrap();
        assert_eq!((drops.made(), drops.alive()), (60, 0));
    });
}

#[test]
fn a_join_that_is_cut_short_by_an_abort_leaves_the_child_to_the_scope() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let (tell, told) = oneshot::channel();
        let task = rt.handle().go({
            let drops = drops.clone();
            move || {
                let lent = drops.guard();
                stackful::scope(|s| {
                    let child = s.go(|| {
                        let _both = (&lent, drops.guard());
                        tell.send(()).unwrap();
                        wait(pending::<()>());
                    });
                    child.join().unwrap();
                });
            }
        });
        rt.block_on(told).unwrap();
        task.abort();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_scope_waits_for_a_child_in_blocking_code() {
    on_each_flavor(|rt| {
        let (tell, told) = oneshot::channel();
        let gate = Gate::new();
        let _opens = OpensOnDrop(gate.clone());
        let task = rt.handle().go({
            let gate = gate.clone();
            move || {
                let lent = Mutex::new(0);
                stackful::scope(|s| {
                    s.go(|| {
                        stackful::blocking(|| {
                            tell.send(()).unwrap();
                            gate.wait();
                            *lent.lock().unwrap() += 1;
                        });
                    });
                });
                assert_eq!(lent.into_inner().unwrap(), 1);
            }
        });
        rt.block_on(told).unwrap();
        task.abort();
        for _ in 0..10 {
            rt.block_on(rt.spawn(async {})).unwrap();
        }
        assert!(!task.is_finished());
        gate.open();
        // The abort takes effect at the scope's end or at the next wait; there is none.
        drop(rt.block_on(task));
    });
}

#[test]
fn a_scope_while_unwinding_runs_its_children_at_once() {
    struct Scopes<'a>(&'a Cell<usize>);
    impl Drop for Scopes<'_> {
        fn drop(&mut self) {
            assert!(thread::panicking());
            let sum = AtomicUsize::new(0);
            let last = stackful::scope(|s| {
                for n in 1..=3 {
                    let sum = &sum;
                    s.go(move || sum.fetch_add(n, Ordering::Relaxed));
                }
                s.go(|| 10).join().unwrap()
            });
            self.0.set(sum.into_inner() + last);
        }
    }
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let seen = Cell::new(0);
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let _scopes = Scopes(&seen);
                panic!("on purpose");
            }));
            assert!(caught.is_err());
            seen.get()
        });
        assert_eq!(rt.block_on(task).unwrap(), 16);
    });
}

#[test]
fn a_scope_without_a_runtime_says_so() {
    let message = panic_of(|| stackful::scope(|s| drop(s.go(|| ()))));
    assert!(message.contains("there is no runtime"), "{message}");
    // And one in which nothing is spawned needs none.
    assert_eq!(stackful::scope(|_| 7), 7);
}

#[test]
fn a_child_for_which_there_is_no_stack_is_a_panic_that_leaves_the_scope_whole() {
    let mut builder = runnext::runtime::Builder::new_multi_thread();
    let rt = builder.worker_threads(1).max_stacks(3).build().unwrap();
    let task = rt.handle().go(|| {
        let drops = Drops::new();
        let message = panic_of(|| {
            stackful::scope(|s| {
                for _ in 0..3 {
                    let guard = drops.guard();
                    s.go(move || {
                        let _guard = guard;
                        wait(pending::<()>());
                    });
                }
            })
        });
        assert_eq!((drops.made(), drops.alive()), (3, 0));
        // There is room again.
        stackful::scope(|s| drop(s.go(|| ())));
        message
    });
    let message = rt.block_on(task).unwrap();
    assert!(message.contains("max_stacks"), "{message}");
}

#[test]
fn scopes_on_two_runtimes_do_not_mix() {
    let (first, second) = (multi_thread(1), multi_thread(1));
    let handle = second.handle().clone();
    let task = first.handle().go(move || {
        let mut there = None;
        let here = runnext::runtime::Handle::current().id();
        stackful::scope(|s| {
            let _guard = handle.enter();
            let there = &mut there;
            s.go(move || *there = Some(runnext::runtime::Handle::current().id()));
        });
        assert_ne!(there.unwrap(), here);
        wait(go(|| runnext::runtime::Handle::current().id())).unwrap() == here
    });
    assert!(first.block_on(task).unwrap());
}
