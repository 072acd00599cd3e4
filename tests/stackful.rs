//! Stackful tasks: where they run, what they wait for, how they end.
#![cfg(stackful)]

mod common;

use common::{multi_thread, on_each_flavor, panic_of};
use runnext::stackful::{self, blocking, dedicated, is_stackful, remaining_stack};
use runnext::sync::{Mutex, mpsc, oneshot};
use runnext::task::JoinSet;
use runnext::{go, spawn, wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
        assert!((65_537..=131_072).contains(&left), "{left}");
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
