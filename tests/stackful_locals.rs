//! What belongs to a thread, and what to a task, across the waits of stackful tasks.
#![cfg(stackful)]

mod common;

use common::{current_thread, multi_thread, on_each_flavor, panic_of};
use runnext::runtime::Handle;
use runnext::stackful::{self, yield_now};
use runnext::sync::{Barrier, oneshot};
use runnext::task::{self, LocalSet, spawn_local};
use runnext::{spawn, wait};
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

runnext::task_local! {
    static NUMBER: usize;
    static TEXT: String;
}

thread_local! {
    static PLAIN: Cell<usize> = const { Cell::new(0) };
}

/// Runs `count` stackful tasks, each of which meets the others at the barrier whenever it wants to.
fn together(count: usize, task: impl Fn(usize, &Barrier) + Clone + Send + 'static) {
    on_each_flavor(|rt| {
        let barrier = Arc::new(Barrier::new(count));
        let tasks: Vec<_> = (0..count)
            .map(|n| {
                let (task, barrier) = (task.clone(), barrier.clone());
                rt.handle().go(move || task(n, &barrier))
            })
            .collect();
        for task in tasks {
            rt.block_on(task).unwrap();
        }
    });
}

#[test]
fn thread_locals_belong_to_the_thread() {
    together(8, |n, barrier| {
        PLAIN.set(n + 1);
        let here = thread::current().id();
        wait(barrier.wait());
        // Somebody's on this thread, not necessarily ours.
        assert!((1..=8).contains(&PLAIN.get()));
        assert_eq!(thread::current().id(), here);
    });
}

#[test]
fn a_task_local_is_the_tasks_own() {
    together(8, |n, barrier| {
        assert!(NUMBER.try_get().is_err());
        NUMBER.sync_scope(n, || {
            wait(barrier.wait());
            assert_eq!(NUMBER.get(), n);
            TEXT.sync_scope(n.to_string(), || {
                NUMBER.sync_scope(n + 100, || {
                    for _ in 0..3 {
                        yield_now();
                        assert_eq!((NUMBER.get(), TEXT.get()), (n + 100, n.to_string()));
                    }
                    wait(barrier.wait());
                });
                stackful::blocking(|| assert!(NUMBER.try_get().is_err()));
                assert_eq!((NUMBER.get(), TEXT.get()), (n, n.to_string()));
            });
            // They leave in the order of their numbers, and so not in the reverse order.
            for _ in 0..n {
                yield_now();
            }
            assert_eq!(NUMBER.get(), n);
        });
        assert!(NUMBER.try_get().is_err());
        wait(barrier.wait());
        assert!(NUMBER.try_get().is_err() && TEXT.try_get().is_err());
    });
}

#[test]
fn a_task_local_of_a_task_that_waits_is_not_seen_by_futures() {
    on_each_flavor(|rt| {
        let (tell, told) = oneshot::channel();
        let (release, held) = oneshot::channel::<()>();
        let task = rt.handle().go(move || {
            NUMBER.sync_scope(7, || {
                tell.send(()).unwrap();
                wait(held).unwrap();
                NUMBER.get()
            })
        });
        rt.block_on(told).unwrap();
        for _ in 0..50 {
            let seen = rt.block_on(rt.spawn(async { NUMBER.try_get() })).unwrap();
            assert!(seen.is_err(), "{seen:?}");
            let task = rt.handle().go(|| NUMBER.try_get());
            assert!(rt.block_on(task).unwrap().is_err());
        }
        release.send(()).unwrap();
        assert_eq!(rt.block_on(task).unwrap(), 7);
    });
}

#[test]
fn a_scope_of_a_future_may_hold_a_nested_wait() {
    together(4, |n, barrier| {
        let scoped = NUMBER.scope(n, async {
            wait(barrier.wait());
            assert_eq!(NUMBER.get(), n);
            barrier.wait().await;
            NUMBER.get()
        });
        assert_eq!(wait(scoped), n);
    });
}

#[test]
fn a_task_local_scope_that_is_aborted_is_left() {
    on_each_flavor(|rt| {
        for _ in 0..20 {
            let (tell, told) = oneshot::channel();
            let task = rt.handle().go(move || {
                NUMBER.sync_scope(1, || {
                    tell.send(()).unwrap();
                    wait(pending::<()>());
                })
            });
            rt.block_on(told).unwrap();
            task.abort();
            assert!(rt.block_on(task).unwrap_err().is_cancelled());
            let after = rt.handle().go(|| NUMBER.try_get());
            assert!(rt.block_on(after).unwrap().is_err());
        }
    });
}

#[test]
fn waiting_while_a_task_local_is_borrowed_keeps_the_thread() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            NUMBER.sync_scope(1, || {
                NUMBER.with(|number| {
                    // Needs the processor that this thread gives up.
                    let seen = wait(spawn(async {
                        NUMBER.scope(2, async { NUMBER.get() }).await
                    }));
                    (*number, seen.unwrap(), NUMBER.get())
                })
            })
        });
        assert_eq!(rt.block_on(task).unwrap(), (1, 2, 1));
    });
}

#[test]
fn the_id_of_a_task_is_its_own_after_each_wait() {
    together(8, |_, barrier| {
        let id = task::id();
        for _ in 0..5 {
            wait(barrier.wait());
            assert_eq!(task::id(), id);
            let inside = wait(async { task::id() });
            assert_eq!(inside, id);
        }
        assert_eq!(task::try_id(), Some(id));
    });
}

#[test]
fn an_entered_runtime_stays_entered_for_the_task_alone() {
    let other = Arc::new(current_thread());
    let others = other.handle().id();
    on_each_flavor(|rt| {
        let own = rt.handle().id();
        assert_ne!(own, others);
        let barrier = Arc::new(Barrier::new(6));
        let tasks: Vec<_> = (0..6)
            .map(|n| {
                let (barrier, other) = (barrier.clone(), other.clone());
                rt.handle().go(move || {
                    let here = || Handle::current().id();
                    wait(barrier.wait());
                    if n % 2 == 0 {
                        let guard = other.enter();
                        wait(barrier.wait());
                        assert_eq!(here(), others);
                        for _ in 0..n {
                            yield_now();
                        }
                        assert_eq!(here(), others);
                        drop(guard);
                    } else {
                        wait(barrier.wait());
                    }
                    assert_eq!(here(), own);
                    assert_eq!(wait(spawn(async { Handle::current().id() })).unwrap(), own);
                })
            })
            .collect();
        for task in tasks {
            rt.block_on(task).unwrap();
        }
    });
}

#[test]
fn what_a_leaked_guard_leaves_does_not_move_to_another_thread() {
    let other = current_thread();
    let rt = current_thread();
    let (enter, own) = (other.handle().clone(), rt.handle().id());
    let (tell, told) = oneshot::channel();
    let (wake, mut woken) = oneshot::channel::<()>();
    let f = move || {
        let (mut tell, before) = (Some(tell), thread::current().id());
        wait(poll_fn(|cx| {
            if let Some(tell) = tell.take() {
                std::mem::forget(enter.enter());
                tell.send(()).unwrap();
            }
            Pin::new(&mut woken).poll(cx)
        }))
        .unwrap();
        (thread::current().id() != before, Handle::current().id())
    };
    // SAFETY: all that it has is Send, as the guard is not there any more, and what looks at
    // thread-locals is behind a call.
    let builder = unsafe { stackful::Builder::new().migratable() };
    let task = builder.go_on(f, rt.handle()).unwrap();
    // It begins on this thread, and goes on on another one, to which the guard was nothing.
    rt.block_on(told).unwrap();
    wake.send(()).unwrap();
    let outcome = thread::scope(|scope| scope.spawn(|| rt.block_on(task)).join().unwrap());
    assert_eq!(outcome.unwrap(), (true, own));
}

#[test]
fn a_local_set_lives_in_a_stackful_task() {
    together(4, |n, barrier| {
        let set = LocalSet::new();
        let counter = Rc::new(RefCell::new(0));
        for _ in 0..10 {
            let counter = counter.clone();
            set.spawn_local(async move {
                task::yield_now().await;
                *counter.borrow_mut() += 1;
            });
        }
        let text = wait(set.run_until(async {
            barrier.wait().await;
            spawn_local(async move { n.to_string() }).await.unwrap()
        }));
        assert_eq!(text, n.to_string());
        {
            let _guard = set.enter();
            wait(barrier.wait());
            let counter = counter.clone();
            spawn_local(async move { *counter.borrow_mut() += 1 });
        }
        // Another task's set, if any, is not ours.
        let message = panic_of(|| spawn_local(async {}));
        assert!(message.contains("outside of a `LocalSet`"), "{message}");
        wait(set);
        assert_eq!(*counter.borrow(), 11);
    });
}

#[test]
fn a_local_set_is_dropped_with_the_task_that_is_aborted() {
    on_each_flavor(|rt| {
        let drops = common::Drops::new();
        let guard = drops.guard();
        let (tell, told) = oneshot::channel();
        let task = rt.handle().go(move || {
            let set = LocalSet::new();
            let guard = Rc::new(guard);
            wait(set.run_until(async {
                spawn_local(async move {
                    let _guard = guard;
                    tell.send(()).unwrap();
                    pending::<()>().await;
                });
                pending::<()>().await;
            }));
        });
        rt.block_on(told).unwrap();
        assert_eq!(drops.alive(), 1);
        task.abort();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_task_of_a_local_set_is_not_stackful() {
    let rt = multi_thread(1);
    let task = rt.handle().go(|| {
        let set = LocalSet::new();
        wait(set.run_until(async {
            spawn_local(async { (stackful::is_stackful(), panic_of(|| wait(async {}))) })
                .await
                .unwrap()
        }))
    });
    let (stackful, message) = rt.block_on(task).unwrap();
    assert!(!stackful);
    assert!(message.contains("`.await` the future"), "{message}");
}
