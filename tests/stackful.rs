//! Stackful tasks: where they run, what they wait for, how they end.

mod common;

use common::{Drops, current_thread, multi_thread, on_each_flavor, panic_of};
use runnext::stackful::{self, blocking, dedicated, is_stackful, remaining_stack};
use runnext::sync::{Mutex, mpsc, oneshot};
use runnext::task::JoinSet;
use runnext::{go, spawn, wait};
use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;

#[test]
fn run_to_their_end() {
    on_each_flavor(|rt| {
        let task = rt.block_on(async { go(|| 6 * 7).await });
        assert_eq!(task.unwrap(), 42);
        let from_outside = rt.handle().clone();
        let task = thread::spawn(move || from_outside.go(|| "outside")).join();
        assert_eq!(rt.block_on(task.unwrap()).unwrap(), "outside");
    });
}

#[test]
fn many_run_to_their_end() {
    on_each_flavor(|rt| {
        let sum = rt.block_on(async {
            let tasks: Vec<_> = (0..10_000u64).map(|n| go(move || n)).collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 49_995_000);
    });
}

#[test]
fn wait_for_futures_and_for_each_other() {
    on_each_flavor(|rt| {
        let task = rt.block_on(async {
            go(|| {
                let (tx, mut rx) = mpsc::channel(1);
                let sender = go(move || {
                    for n in 0..100 {
                        wait(tx.send(n)).unwrap();
                    }
                    "sent"
                });
                let mut sum = 0;
                while let Some(n) = wait(rx.recv()) {
                    sum += n + wait(spawn(async move { 1 })).unwrap();
                }
                (sum, wait(sender).unwrap())
            })
            .await
        });
        assert_eq!(task.unwrap(), (5050, "sent"));
    });
}

#[test]
fn stay_on_the_thread_that_began_them() {
    on_each_flavor(|rt| {
        let moved = Arc::new(AtomicUsize::new(0));
        rt.block_on(async {
            let tasks: Vec<_> = (0..500)
                .map(|n| {
                    let moved = moved.clone();
                    go(move || {
                        let kept = Rc::new(RefCell::new(0));
                        let here = thread::current().id();
                        for round in 0..20 {
                            match (n + round) % 3 {
                                0 => stackful::yield_now(),
                                1 => drop(wait(spawn(async {}))),
                                _ => drop(wait(go(|| ()))),
                            }
                            *kept.borrow_mut() += 1;
                            if thread::current().id() != here {
                                moved.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        assert_eq!(*kept.borrow(), 20);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        assert_eq!(moved.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn never_begin_on_a_thread_that_can_leave() {
    on_each_flavor(|rt| {
        let here = thread::current().id();
        rt.block_on(async {
            for _ in 0..100 {
                assert_ne!(go(|| thread::current().id()).await.unwrap(), here);
            }
        });
    });
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
fn are_unwound_when_the_runtime_ends() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let ready = Arc::new(AtomicUsize::new(0));
        rt.block_on(async {
            for _ in 0..100 {
                let (guard, ready) = (drops.guard(), ready.clone());
                go(move || {
                    let _guard = guard;
                    ready.fetch_add(1, Ordering::Relaxed);
                    wait(pending::<()>());
                });
            }
            while ready.load(Ordering::Relaxed) < 100 {
                runnext::task::yield_now().await;
            }
        });
        assert_eq!(drops.alive(), 100);
        drop(rt);
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn that_never_began_are_dropped_when_the_runtime_ends() {
    let drops = Drops::new();
    let rt = current_thread();
    for _ in 0..100 {
        let guard = drops.guard();
        rt.handle().go(move || drop(guard));
    }
    drop(rt);
    assert_eq!(drops.alive(), 0);
}

#[test]
fn nested_waits_wait() {
    on_each_flavor(|rt| {
        let task = rt.block_on(async {
            go(|| {
                wait(async {
                    let inner = wait(spawn(async { 3 })).unwrap();
                    spawn(async move { inner + 4 }).await.unwrap()
                })
            })
            .await
        });
        assert_eq!(task.unwrap(), 7);
    });
}

#[test]
fn waiting_on_a_plain_thread_blocks_it() {
    let (tx, rx) = oneshot::channel();
    let thread = thread::spawn(move || tx.send(7).unwrap());
    assert_eq!(wait(rx), Ok(7));
    thread.join().unwrap();
}

#[test]
fn waiting_where_futures_are_polled_is_refused() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            for message in [
                panic_of(|| wait(async {})),
                panic_of(stackful::yield_now),
                panic_of(|| blocking(|| ())),
                panic_of(|| dedicated(|| ())),
                panic_of(|| stackful::scope(|_| ())),
            ] {
                assert!(message.contains("polling a future"), "{message}");
            }
            let in_task = spawn(async { panic_of(|| wait(async {})) }).await.unwrap();
            assert!(in_task.contains(".await"), "{in_task}");
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
fn a_lock_held_over_a_wait_keeps_the_others_out() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let counter = Arc::new(Mutex::new(0));
            let tasks: Vec<_> = (0..100)
                .map(|_| {
                    let counter = counter.clone();
                    go(move || {
                        for _ in 0..10 {
                            let mut guard = wait(counter.lock());
                            let before = *guard;
                            stackful::yield_now();
                            *guard = before + 1;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*counter.lock().await, 1000);
        });
    });
}

#[test]
fn blocking_code_borrows_and_others_run_meanwhile() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let mut text = String::from("a");
            let run = AtomicBool::new(false);
            let (tell, told) = std::sync::mpsc::channel();
            let other = go(move || tell.send(()).unwrap());
            let (text_inside, told) = (&mut text, told);
            let run_inside = &run;
            blocking(move || {
                // Comes only if the G has left its thread.
                told.recv().unwrap();
                text_inside.push('b');
                let run = run_inside;
                run.store(true, Ordering::Relaxed);
            });
            wait(other).unwrap();
            assert!(run.load(Ordering::Relaxed));
            text
        });
        assert_eq!(rt.block_on(task).unwrap(), "ab");
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
fn know_where_they_are() {
    assert!(!is_stackful());
    assert_eq!(remaining_stack(), None);
    let rt = multi_thread(1);
    rt.block_on(async {
        assert!(!is_stackful());
        let (inside, left) = go(|| (is_stackful(), remaining_stack().unwrap()))
            .await
            .unwrap();
        assert!(inside);
        assert!((16_384..=65_536).contains(&left), "{left}");
    });
}

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
fn join_sets_hold_both_kinds() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let mut set = JoinSet::new();
            for n in 0..20 {
                if n % 2 == 0 {
                    set.spawn(async move { n });
                } else {
                    set.go(move || n);
                }
            }
            let mut sum = 0;
            while let Some(n) = set.join_next().await {
                sum += n.unwrap();
            }
            assert_eq!(sum, 190);
        });
    });
}

#[test]
fn a_bound_task_is_woken_while_its_thread_has_no_processor() {
    // The one processor is with a task that spins; the stackful task's thread sleeps.
    let rt = multi_thread(1);
    let (wake, woken) = oneshot::channel::<()>();
    let (ready, is_ready) = oneshot::channel();
    let task = rt.handle().go(move || {
        ready.send(()).unwrap();
        wait(woken).unwrap();
        "woken"
    });
    rt.block_on(is_ready).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let outcome = rt.block_on(async {
        let seen = done.clone();
        let watcher = thread::spawn(move || {
            let result = current_thread().block_on(task).unwrap();
            seen.store(true, Ordering::Relaxed);
            result
        });
        wake.send(()).unwrap();
        // Keeps the processor until the task is through.
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if done.load(Ordering::Relaxed) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        watcher.join().unwrap()
    });
    assert_eq!(outcome, "woken");
}

#[runnext::test(stackful)]
fn a_test_can_be_stackful() {
    assert!(is_stackful());
    assert_eq!(wait(spawn(async { 7 })).unwrap(), 7);
}

#[runnext::test(stackful, flavor = "multi_thread", worker_threads = 2)]
fn a_stackful_test_may_fail_with_an_error() -> Result<(), std::num::ParseIntError> {
    assert_eq!("42".parse::<u8>()?, 42);
    Ok(())
}

#[runnext::test(stackful)]
#[should_panic(expected = "out of tea")]
fn a_stackful_test_may_panic() {
    panic!("out of tea");
}

#[test]
fn a_function_with_parameters_can_be_stackful() {
    #[runnext::main(stackful)]
    fn twice(n: u32, text: String) -> String {
        assert!(is_stackful());
        text.repeat(wait(async { n as usize }))
    }
    assert_eq!(twice(2, "ab".to_owned()), "abab");
}

#[test]
fn stacks_are_unmapped_with_their_runtime() {
    fn mapped() -> usize {
        let maps = std::fs::read_to_string("/proc/self/statm").unwrap();
        maps.split(' ').next().unwrap().parse::<usize>().unwrap() * 4096
    }
    let round = || {
        let rt = multi_thread(2);
        rt.block_on(async {
            let tasks: Vec<_> = (0..1000).map(|_| go(stackful::yield_now)).collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    };
    round();
    let before = mapped();
    for _ in 0..20 {
        round();
    }
    // A slab is 64 MiB.
    assert!(mapped() < before + (256 << 20));
}

#[test]
fn that_are_too_many_are_refused() {
    let mut builder = runnext::runtime::Builder::new_multi_thread();
    let rt = builder.worker_threads(2).max_stacks(10).build().unwrap();
    rt.block_on(async {
        let (release, held) = runnext::sync::watch::channel(false);
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let mut held = held.clone();
                go(move || drop(wait(held.wait_for(|go| *go))))
            })
            .collect();
        let error = stackful::Builder::new().go(|| ()).unwrap_err();
        assert!(error.to_string().contains("max_stacks"), "{error}");
        let message = panic_of(|| go(|| ()));
        assert!(message.contains(&error.to_string()), "{message}");
        release.send(true).unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        // The places are free again.
        for _ in 0..100 {
            go(|| ()).await.unwrap();
        }
    });
}

#[test]
fn stacks_have_the_size_that_was_asked_for() {
    let mut builder = runnext::runtime::Builder::new_multi_thread();
    let rt = builder
        .worker_threads(1)
        .stack_size(1 << 20)
        .build()
        .unwrap();
    rt.block_on(async {
        let usual = go(|| remaining_stack().unwrap()).await.unwrap();
        assert!((1_000_000..=1 << 20).contains(&usual), "{usual}");
        for (asked, least) in [
            (0, 8_000),
            (1, 8_000),
            (100_001, 100_001),
            (8 << 20, 8_000_000),
        ] {
            let task = stackful::Builder::new()
                .stack_size(asked)
                .go(|| remaining_stack().unwrap());
            let left = task.unwrap().await.unwrap();
            assert!(left + 4096 >= least, "{asked}: {left}");
        }
        let error = stackful::Builder::new().stack_size(usize::MAX).go(|| ());
        assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    });
    let error = builder.stack_size(usize::MAX).build().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
