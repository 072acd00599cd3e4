//! Stackful tasks and futures together: each waits for the other, in every way there is.
#![cfg(stackful)]

mod common;

use common::{current_thread, multi_thread, on_each_flavor, panic_of};
use futures::{StreamExt, stream};
use runnext::runtime::Handle;
use runnext::stackful::{self, blocking, dedicated, is_stackful};
use runnext::sync::{mpsc, oneshot};
use runnext::task::{JoinSet, block_in_place, spawn_blocking, spawn_local, yield_now};
use runnext::{go, join, select, spawn, wait};
use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

#[test]
fn one_of_several_can_be_waited_for() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let (tx, mut rx) = mpsc::channel(1);
            let (stop, mut stopped) = oneshot::channel();
            let sender = go(move || {
                for n in 0..50 {
                    wait(tx.send(n)).unwrap();
                }
                stop.send("over").unwrap();
                wait(pending::<()>());
            });
            let mut sum = 0;
            let last = loop {
                let step = wait(async {
                    select! {
                        biased;
                        Some(n) = rx.recv() => Ok(n),
                        text = &mut stopped => Err(text.unwrap()),
                    }
                });
                match step {
                    Ok(n) => sum += n,
                    Err(text) => break text,
                }
            };
            sender.abort();
            assert!(wait(sender).unwrap_err().is_cancelled());
            (sum, last)
        });
        assert_eq!(rt.block_on(task).unwrap(), (1225, "over"));
    });
}

#[test]
fn futures_choose_among_stackful_tasks() {
    on_each_flavor(|rt| {
        let task = rt.spawn(async {
            let slow = go(|| wait(pending::<()>()));
            let aborts = slow.abort_handle();
            let first = select! {
                _ = slow => "the one that never ends",
                n = go(|| "the other") => n.unwrap(),
            };
            aborts.abort();
            let (a, b) = join!(go(|| 1), go(|| wait(spawn(ready(2)))));
            (first, a.unwrap() + b.unwrap().unwrap())
        });
        assert_eq!(rt.block_on(task).unwrap(), ("the other", 3));
    });
}

#[test]
fn streams_are_read_in_loops() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let numbers = stream::iter(0..100).then(|n| async move {
                yield_now().await;
                n
            });
            let mut numbers = std::pin::pin!(numbers);
            let mut sum = 0;
            while let Some(n) = wait(numbers.next()) {
                sum += n;
            }
            // And a stream of stackful tasks.
            let squares = stream::iter(0..10_u64).map(|n| go(move || n * n));
            let squares = squares.buffer_unordered(3);
            sum + wait(squares.fold(0, |sum, n| ready(sum + n.unwrap())))
        });
        assert_eq!(rt.block_on(task).unwrap(), 4950 + 285);
    });
}

#[test]
fn sets_of_both_kinds_end_in_any_order() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let mut set = JoinSet::new();
            let (release, held) = runnext::sync::watch::channel(0);
            for n in 1..=20 {
                let mut held = held.clone();
                if n % 2 == 0 {
                    set.go(move || {
                        wait(held.wait_for(|at| *at == n)).unwrap();
                        n
                    });
                } else {
                    set.spawn(async move {
                        held.wait_for(|at| *at == n).await.unwrap();
                        n
                    });
                }
            }
            let mut order = Vec::new();
            for n in (1..=20).rev() {
                release.send(n).unwrap();
                order.push(wait(set.join_next()).unwrap().unwrap());
            }
            assert!(set.is_empty());
            // And one that is dropped aborts both kinds.
            let (tx, mut rx) = mpsc::channel::<()>(1);
            let other = tx.clone();
            set.go(move || {
                let _tx = tx;
                wait(pending())
            });
            set.spawn(async move {
                let _other = other;
                pending().await
            });
            drop(set);
            assert_eq!(wait(rx.recv()), None);
            order
        });
        assert!(rt.block_on(task).unwrap().into_iter().eq((1..=20).rev()));
    });
}

#[test]
fn a_chain_of_both_kinds_waits_for_its_end() {
    fn link(depth: u32) -> runnext::task::JoinHandle<u32> {
        match depth {
            0 => go(|| 0),
            n if n % 2 == 0 => go(move || 1 + wait(link(n - 1)).unwrap()),
            n => spawn(async move { 1 + link(n - 1).await.unwrap() }),
        }
    }
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| wait(link(200)).unwrap());
        assert_eq!(rt.block_on(task).unwrap(), 200);
    });
}

#[test]
fn what_is_ready_at_once_costs_no_turn() {
    let rt = multi_thread(1);
    let task = rt.handle().go(|| {
        let others = Arc::new(AtomicUsize::new(0));
        let seen = others.clone();
        spawn(async move { seen.fetch_add(1, Ordering::Relaxed) });
        for n in 0..1_000 {
            assert_eq!(wait(ready(n)), n);
        }
        others.load(Ordering::Relaxed)
    });
    // With one processor, and nobody in `block_on`, the other had none to run on.
    assert_eq!(futures::executor::block_on(task).unwrap(), 0);
}

#[test]
fn a_block_on_is_refused_with_the_remedy() {
    on_each_flavor(|rt| {
        // Whoever drops the last of it has to be one who may wait.
        let kept = Arc::new(current_thread());
        let other = kept.clone();
        let task = rt.handle().go(move || {
            let own = panic_of(|| Handle::current().block_on(async {}));
            let others = panic_of(|| other.block_on(async {}));
            // Not on the stack of the task, it may.
            let elsewhere = blocking(|| other.block_on(async { 7 }));
            let handle = Handle::current();
            let dedicated = dedicated(|| handle.block_on(async { spawn(ready(8)).await.unwrap() }));
            (own, others, elsewhere + dedicated.unwrap())
        });
        let (own, others, sum) = rt.block_on(task).unwrap();
        for message in [own, others] {
            assert!(message.contains("`runnext::wait`"), "{message}");
        }
        assert_eq!(sum, 15);
    });
}

#[test]
fn blocking_code_can_use_the_runtime() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            blocking(|| {
                assert!(!is_stackful());
                let handle = Handle::current();
                // Blocks the thread of the pool, which is what it is for.
                let waited = wait(go(|| 1)).unwrap();
                let inside = stackful::scope(|s| s.go(|| 10).join().unwrap());
                let blocked = handle.block_on(async { go(|| 100).await.unwrap() });
                waited + inside + blocked + blocking(|| 1_000)
            })
        });
        assert_eq!(rt.block_on(task).unwrap(), 1_111);
    });
}

#[test]
fn blocking_in_place_hands_the_processor_over() {
    for workers in [1, 2] {
        let rt = multi_thread(workers);
        let task = rt.handle().go(|| {
            let here = thread::current().id();
            let sum = block_in_place(|| {
                // Comes only if another thread took the processor.
                let (tell, told) = std::sync::mpsc::channel();
                spawn(async move { tell.send(1).unwrap() });
                let blocked = told.recv().unwrap();
                let in_a_root =
                    Handle::current().block_on(async { spawn(ready(10)).await.unwrap() });
                // A wait in there leaves the stack all the same.
                blocked + in_a_root + wait(spawn(ready(100))).unwrap() + wait(go(|| 1_000)).unwrap()
            });
            assert_eq!(thread::current().id(), here);
            // And it goes on as before.
            (sum, wait(spawn(ready(10_000))).unwrap())
        });
        assert_eq!(rt.block_on(task).unwrap(), (1_111, 10_000));
        assert_eq!(rt.block_on(rt.spawn(ready(7))).unwrap(), 7);
    }
}

#[test]
fn blocking_in_place_on_a_current_thread_runtime_is_refused() {
    let rt = current_thread();
    let task = rt.handle().go(|| panic_of(|| block_in_place(|| ())));
    let message = rt.block_on(task).unwrap();
    assert!(message.contains("use `spawn_blocking`"), "{message}");
}

#[test]
fn spawning_a_local_task_without_a_set_is_refused() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| panic_of(|| spawn_local(async {})));
        let message = rt.block_on(task).unwrap();
        assert!(message.contains("outside of a `LocalSet`"), "{message}");
        assert!(message.contains("run_until"), "{message}");
    });
}

#[test]
fn a_future_that_is_ready_for_ever_does_not_hold_up_the_others() {
    // The budget of a turn makes it yield, in the middle of a wait.
    let rt = multi_thread(1);
    let task = rt.handle().go(|| {
        let (tell, mut told) = oneshot::channel();
        spawn(async move { tell.send(()).unwrap() });
        wait(async {
            while told.try_recv().is_err() {
                runnext::task::coop::consume_budget().await;
            }
        });
    });
    futures::executor::block_on(task).unwrap();
}

#[test]
fn closures_and_handles_cross_all_borders() {
    on_each_flavor(|rt| {
        let task = rt.spawn(async {
            let closure = spawn_blocking(|| go(|| wait(spawn(ready(3)))));
            let inner = closure.await.unwrap();
            spawn(inner).await.unwrap().unwrap().unwrap()
        });
        assert_eq!(rt.block_on(task).unwrap(), 3);
    });
}

#[test]
fn without_a_runtime_the_message_names_the_remedy() {
    let message = panic_of(|| go(|| ()));
    assert!(
        message.contains("there is no runtime on this thread"),
        "{message}"
    );
    let message = panic_of(|| stackful::Builder::new().go(|| ()));
    assert!(
        message.contains("there is no runtime on this thread"),
        "{message}"
    );
    // These need none.
    stackful::yield_now();
    assert_eq!(
        blocking(|| 1) + dedicated(|| 2).unwrap() + wait(ready(3)),
        6
    );
}
