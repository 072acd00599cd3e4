//! Which thread a stackful task is on, and who comes first there.
#![cfg(stackful)]

mod common;

use common::{current_thread, multi_thread, on_each_flavor, setting};
use runnext::runtime::Handle;
use runnext::stackful::{self, Builder};
use runnext::sync::{Barrier, mpsc, oneshot};
use runnext::{go, spawn, task, wait};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;

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

#[test]
fn thousands_stay_where_they_began_whatever_they_wait_for() {
    let rt = multi_thread(4);
    let count = setting("RUNNEXT_STRESS", 2_000) as usize;
    let elsewhere = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = mpsc::channel(8);
    let rx = Arc::new(runnext::sync::Mutex::new(rx));
    let lock = Arc::new(std::sync::Mutex::new(0));
    let task = rt.spawn(async move {
        let tasks: Vec<_> = (0..count)
            .map(|n| {
                let (tx, rx, lock) = (tx.clone(), rx.clone(), lock.clone());
                let elsewhere = elsewhere.clone();
                go(move || {
                    let kept = Rc::new(Cell::new(0));
                    let here = thread::current().id();
                    for round in 0..12 {
                        match (n + round) % 6 {
                            0 => stackful::yield_now(),
                            1 => wait(spawn(task::yield_now())).unwrap(),
                            2 => wait(go(stackful::yield_now)).unwrap(),
                            3 => {
                                wait(tx.send(n)).unwrap();
                                wait(async { rx.lock().await.recv().await }).unwrap();
                            }
                            4 => *lock.lock().unwrap() += 1,
                            _ => wait(async { task::yield_now().await }),
                        }
                        kept.set(kept.get() + 1);
                        let moved = thread::current().id() != here;
                        elsewhere.fetch_add(usize::from(moved), Ordering::Relaxed);
                    }
                    assert_eq!(kept.get(), 12);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        elsewhere.load(Ordering::Relaxed)
    });
    assert_eq!(rt.block_on(task).unwrap(), 0);
}

#[test]
fn a_lock_of_the_standard_library_may_be_held_over_a_wait() {
    on_each_flavor(|rt| {
        let lock = Arc::new(std::sync::Mutex::new(0));
        let (tell, told) = oneshot::channel();
        let (release, held) = oneshot::channel::<()>();
        let task = rt.handle().go({
            let lock = lock.clone();
            move || {
                let here = thread::current().id();
                let mut guard = lock.lock().unwrap();
                tell.send(()).unwrap();
                wait(held).unwrap();
                *guard += 1;
                // It is released on the thread that took it.
                assert_eq!(thread::current().id(), here);
            }
        });
        rt.block_on(told).unwrap();
        assert!(lock.try_lock().is_err());
        release.send(()).unwrap();
        rt.block_on(task).unwrap();
        assert_eq!(*lock.lock().unwrap(), 1);
    });
}

#[test]
fn migratable_tasks_move() {
    // They are woken by threads without a processor, and whoever is free goes on with them.
    let rt = multi_thread(4);
    let moves = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let moves = moves.clone();
            let f = move || {
                let mut last = thread::current().id();
                while moves.load(Ordering::Relaxed) < 100 {
                    wait(task::spawn_blocking(|| ())).unwrap();
                    let now = thread::current().id();
                    moves.fetch_add(usize::from(now != last), Ordering::Relaxed);
                    last = now;
                }
            };
            // SAFETY: all that it has is Send, and what looks at the thread is behind a call.
            let builder = unsafe { Builder::new().migratable() };
            builder.go_on(f, rt.handle()).unwrap()
        })
        .collect();
    for task in tasks {
        rt.block_on(task).unwrap();
    }
}

#[test]
fn migratable_tasks_run_on_the_thread_in_block_on() {
    let rt = current_thread();
    let here = thread::current().id();
    // SAFETY: it has nothing that must not move.
    let builder = unsafe { Builder::new().migratable() };
    let task = builder.go_on(|| thread::current().id(), rt.handle());
    assert_eq!(rt.block_on(task.unwrap()).unwrap(), here);
}

/// Counts the turns of some tasks that yield for ever, and of some others, until both had many.
fn nobody_starves(start: impl Fn(&Handle, Arc<AtomicBool>, Arc<AtomicUsize>, bool)) {
    on_each_flavor(|rt| {
        const MANY: usize = 2_000;
        let over = Arc::new(AtomicBool::new(false));
        let turns = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        for (n, turns) in turns.iter().enumerate() {
            for _ in 0..3 {
                start(rt.handle(), over.clone(), turns.clone(), n == 0);
            }
        }
        rt.block_on(async {
            while turns
                .iter()
                .any(|turns| turns.load(Ordering::Relaxed) < MANY)
            {
                task::yield_now().await;
            }
        });
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn bound_tasks_and_futures_do_not_starve_each_other() {
    nobody_starves(|handle, over, turns, stackful| {
        if stackful {
            handle.go(move || {
                while !over.load(Ordering::Relaxed) {
                    turns.fetch_add(1, Ordering::Relaxed);
                    stackful::yield_now();
                }
            });
        } else {
            handle.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    turns.fetch_add(1, Ordering::Relaxed);
                    task::yield_now().await;
                }
            });
        }
    });
}

#[test]
fn bound_tasks_that_pass_a_token_do_not_starve_futures() {
    nobody_starves(|handle, over, turns, stackful| {
        if stackful {
            let (there, mut back) = (mpsc::channel::<()>(1), mpsc::channel::<()>(1));
            let mut arrived = there.1;
            let reply = back.0;
            handle.go(
                move || {
                    while wait(arrived.recv()).is_some() && wait(reply.send(())).is_ok() {}
                },
            );
            handle.go(move || {
                while !over.load(Ordering::Relaxed) && wait(there.0.send(())).is_ok() {
                    turns.fetch_add(1, Ordering::Relaxed);
                    wait(back.1.recv());
                }
            });
        } else {
            handle.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    turns.fetch_add(1, Ordering::Relaxed);
                    task::yield_now().await;
                }
            });
        }
    });
}

#[test]
fn bound_tasks_take_turns_with_the_ring_one_by_one() {
    // One thread, a bound task that yields, and a future that yields: they alternate, but for the
    // looks at the global queue.
    let rt = multi_thread(1);
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let task = rt.spawn({
        let order = order.clone();
        async move {
            let barrier = Arc::new(Barrier::new(2));
            let (seen, met) = (order.clone(), barrier.clone());
            let bound = go(move || {
                wait(met.wait());
                for _ in 0..200 {
                    seen.lock().unwrap().push('b');
                    stackful::yield_now();
                }
            });
            barrier.wait().await;
            let ring = spawn(async move {
                for _ in 0..200 {
                    order.lock().unwrap().push('r');
                    task::yield_now().await;
                }
            });
            ring.await.unwrap();
            bound.await.unwrap();
        }
    });
    // On this thread nothing runs, so that all of it is in one place.
    futures::executor::block_on(task).unwrap();
    let order: String = order.lock().unwrap().iter().collect();
    for long in ["bbbbbb", "rrrrrr"] {
        let both = order.rfind('b').unwrap().min(order.rfind('r').unwrap());
        let from = order.find('b').unwrap().max(order.find('r').unwrap());
        assert!(!order[from..both].contains(long), "{long} in {order}");
    }
}

#[test]
fn a_bound_task_that_becomes_ready_from_outside_is_run_beside_busy_futures() {
    on_each_flavor(|rt| {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..8 {
            let over = over.clone();
            rt.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    task::yield_now().await;
                }
            });
        }
        let (there, mut arrived) = mpsc::channel(1);
        let (reply, mut back) = mpsc::channel(1);
        let task = rt.handle().go(move || {
            while let Some(n) = wait(arrived.recv()) {
                wait(reply.send(n + 1)).unwrap();
            }
        });
        let root = async {
            for n in 0..300 {
                there.send(n).await.unwrap();
                assert_eq!(back.recv().await, Some(n + 1));
            }
            drop(there);
            task.await.unwrap();
        };
        rt.block_on(root);
        over.store(true, Ordering::Relaxed);
    });
}
