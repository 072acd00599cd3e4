//! `LocalSet`: tasks that stay on the thread of their set, whoever wakes, aborts or joins them.

mod common;

use common::{Drops, Guard, current_thread, multi_thread, on_each_flavor, panic_of, text};
use runnext::sync::{Notify, oneshot};
use runnext::task::{self, JoinHandle, LocalSet, spawn_local, yield_now};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread::{self, ThreadId};

/// Waits for ever; tells on which thread it is dropped.
struct Place {
    tell: mpsc::Sender<ThreadId>,
    _guard: Guard,
    _not_send: Rc<()>,
}

impl Place {
    fn new(tell: &mpsc::Sender<ThreadId>, drops: &Drops) -> Place {
        Place {
            tell: tell.clone(),
            _guard: drops.guard(),
            _not_send: Rc::new(()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tell.send(thread::current().id()).unwrap();
    }
}

async fn waits<T>(held: T) {
    let _held = held;
    pending::<()>().await;
}

#[test]
fn tasks_run_in_order_on_this_thread_and_need_not_be_send() {
    on_each_flavor(|rt| {
        let order = Rc::new(RefCell::new(Vec::new()));
        let here = thread::current().id();
        LocalSet::new().block_on(&rt, async {
            let tasks: Vec<_> = (0..10)
                .map(|n| {
                    let order = order.clone();
                    spawn_local(async move {
                        order.borrow_mut().push(n);
                        yield_now().await;
                        order.borrow_mut().push(n + 10);
                        assert_eq!(thread::current().id(), here);
                        // What comes back need not be Send either.
                        order
                    })
                })
                .collect();
            for task in tasks {
                assert!(Rc::ptr_eq(&task.await.unwrap(), &order));
            }
        });
        assert_eq!(*order.borrow(), (0..20).collect::<Vec<_>>());
        assert_eq!(Rc::strong_count(&order), 1);
    });
}

#[test]
fn run_until_ends_with_its_future_and_awaiting_the_set_with_the_tasks() {
    on_each_flavor(|rt| {
        let set = LocalSet::new();
        let (done, notify) = (Rc::new(Cell::new(0)), Rc::new(Notify::new()));
        for _ in 0..5 {
            let (done, notify) = (done.clone(), notify.clone());
            set.spawn_local(async move {
                notify.notified().await;
                let counted = done.clone();
                // One that is spawned by another is waited for as well.
                spawn_local(async move { counted.set(counted.get() + 1) });
                done.set(done.get() + 1);
            });
        }
        assert_eq!(rt.block_on(set.run_until(async { 7 })), 7);
        rt.block_on(set.run_until(yield_now()));
        assert_eq!(done.get(), 0);
        let notifier = notify.clone();
        set.spawn_local(async move {
            yield_now().await;
            notifier.notify_waiters();
        });
        rt.block_on(set);
        assert_eq!(done.get(), 10);
        rt.block_on(LocalSet::new());
    });
}

#[test]
fn tasks_wait_in_the_set_from_one_block_on_to_the_next() {
    let set = LocalSet::new();
    let (tell, told) = oneshot::channel::<u32>();
    let task = set.spawn_local(async move { *Rc::new(told.await.unwrap()) });
    set.block_on(&current_thread(), yield_now());
    set.block_on(&multi_thread(2), yield_now());
    tell.send(7).unwrap();
    assert_eq!(set.block_on(&multi_thread(1), task).unwrap(), 7);
}

#[test]
fn an_executor_that_is_no_runtime_will_do() {
    let set = LocalSet::new();
    let task = set.spawn_local(async {
        yield_now().await;
        spawn_local(async { *Rc::new(7) }).await.unwrap()
    });
    assert_eq!(futures::executor::block_on(set.run_until(task)).unwrap(), 7);
    set.spawn_local(yield_now());
    futures::executor::block_on(set);
}

#[test]
fn wake_ups_come_from_any_thread() {
    on_each_flavor(|rt| {
        let here = thread::current().id();
        LocalSet::new().block_on(&rt, async {
            let (senders, receivers): (Vec<_>, Vec<_>) =
                (0..1_000_usize).map(|_| oneshot::channel()).unzip();
            let tasks: Vec<_> = receivers
                .into_iter()
                .map(|receiver| {
                    let count = Rc::new(1);
                    spawn_local(async move {
                        let n: usize = receiver.await.unwrap();
                        assert_eq!(thread::current().id(), here);
                        n + *count
                    })
                })
                .collect();
            yield_now().await;
            let mut senders: Vec<_> = senders.into_iter().enumerate().collect();
            let rest = senders.split_off(500);
            let wakers = [senders, rest].map(|senders| {
                thread::spawn(move || senders.into_iter().for_each(|(n, s)| s.send(n).unwrap()))
            });
            for (n, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.unwrap(), n + 1);
            }
            wakers.into_iter().for_each(|waker| waker.join().unwrap());
        });
    });
}

#[test]
fn tasks_of_the_runtime_join_and_are_joined() {
    on_each_flavor(|rt| {
        LocalSet::new().block_on(&rt, async {
            let local = spawn_local(async {
                let own = Rc::new(1);
                // Not bound to the thread, though spawned by one that is.
                *own + runnext::spawn(async { 20 }).await.unwrap()
            });
            let joiner = runnext::spawn(async { local.await.unwrap() + 300 });
            assert_eq!(joiner.await.unwrap(), 321);
        });
    });
}

#[test]
fn a_busy_set_lets_the_tasks_of_the_runtime_run() {
    on_each_flavor(|rt| {
        let set = LocalSet::new();
        let stop = Rc::new(Cell::new(false));
        for _ in 0..200 {
            let stop = stop.clone();
            set.spawn_local(async move {
                while !stop.get() {
                    yield_now().await;
                }
            });
        }
        set.block_on(&rt, async {
            for n in 0..100 {
                assert_eq!(runnext::spawn(async move { n }).await.unwrap(), n);
            }
            stop.set(true);
        });
        rt.block_on(set);
    });
}

#[test]
fn dropping_it_drops_what_waits_on_this_thread() {
    for polled in [false, true] {
        for runtime_first in [false, true] {
            let (rt, set, drops) = (multi_thread(1), LocalSet::new(), Drops::new());
            let (tell, told) = mpsc::channel();
            let tasks: Vec<_> = (0..100)
                .map(|_| set.spawn_local(waits(Place::new(&tell, &drops))))
                .collect();
            drop(tell);
            if polled {
                set.block_on(&rt, yield_now());
            }
            if runtime_first {
                drop(rt);
                drop(set);
            } else {
                drop(set);
            }
            assert!(told.iter().all(|thread| thread == thread::current().id()));
            assert_eq!((drops.dropped(), drops.alive()), (100, 0));
            for task in tasks {
                assert!(task.is_finished());
                assert!(
                    futures::executor::block_on(task)
                        .unwrap_err()
                        .is_cancelled()
                );
            }
        }
    }
}

#[test]
fn dropping_it_copes_with_destructors_that_use_it() {
    struct SpawnsOnDrop(Drops, u32);
    impl Drop for SpawnsOnDrop {
        fn drop(&mut self) {
            if self.1 > 0 {
                let next = SpawnsOnDrop(self.0.clone(), self.1 - 1);
                drop(spawn_local(waits((next, self.0.guard()))));
            }
        }
    }
    let (set, drops) = (LocalSet::new(), Drops::new());
    for _ in 0..10 {
        set.spawn_local(waits((SpawnsOnDrop(drops.clone(), 5), drops.guard())));
    }
    let woken = oneshot::channel::<()>();
    set.spawn_local(waits((woken.0, drops.guard())));
    let guard = drops.guard();
    set.spawn_local(async move {
        let _: Result<_, _> = woken.1.await;
        waits(guard).await;
    });
    set.block_on(&current_thread(), yield_now());
    drop(set);
    assert_eq!((drops.made(), drops.alive()), (10 * 6 + 2, 0));
}

#[test]
fn dropping_it_while_others_wake_its_tasks_leaks_nothing() {
    for _ in 0..200 {
        let (set, drops) = (LocalSet::new(), Drops::new());
        let (wakers, woken) = mpsc::channel::<Waker>();
        for _ in 0..10 {
            let wakers = wakers.clone();
            set.spawn_local(common::holding(drops.guard(), move |cx| {
                // Nobody listens any more after the first.
                drop(wakers.send(cx.waker().clone()));
                Poll::Pending
            }));
        }
        futures::executor::block_on(set.run_until(yield_now()));
        let wakers: Vec<_> = woken.try_iter().collect();
        assert_eq!(wakers.len(), 10);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..20).for_each(|_| wakers.iter().for_each(Waker::wake_by_ref)));
            }
            drop(set);
            assert_eq!(drops.alive(), 0);
        });
        thread::spawn(move || wakers.into_iter().for_each(Waker::wake))
            .join()
            .unwrap();
    }
}

#[test]
fn a_set_in_a_thread_local_ends_with_the_thread() {
    thread_local! {
        static SET: LocalSet = LocalSet::new();
    }
    let drops = Drops::new();
    let counted = drops.clone();
    let (tell, told) = mpsc::channel();
    let dropped = thread::spawn(move || {
        SET.with(|set| {
            drop(set.spawn_local(waits(Place::new(&tell, &counted))));
            futures::executor::block_on(set.run_until(yield_now()));
        });
        thread::current().id()
    });
    assert_eq!(dropped.join().unwrap(), told.recv().unwrap());
    assert_eq!(drops.alive(), 0);
}

#[test]
fn abort_from_any_thread_drops_the_task_on_this_one() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let (tell, told) = mpsc::channel();
        LocalSet::new().block_on(&rt, async {
            let spawn = || spawn_local(waits(Place::new(&tell, &drops)));
            let fresh = spawn();
            fresh.abort();
            let (waiting, elsewhere) = (spawn(), spawn());
            yield_now().await;
            waiting.abort();
            let handle = elsewhere.abort_handle();
            thread::spawn(move || handle.abort()).join().unwrap();
            for task in [fresh, waiting, elsewhere] {
                let id = task.id();
                let error = task.await.unwrap_err();
                assert!(error.is_cancelled() && error.id() == id);
            }
            assert_eq!(drops.alive(), 0);
        });
        drop(tell);
        assert!(told.iter().all(|thread| thread == thread::current().id()));
    });
}

#[test]
fn a_panic_ends_one_task_alone() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        LocalSet::new().block_on(&rt, async {
            let guard = drops.guard();
            let panics = spawn_local(async move {
                let _guard = guard;
                yield_now().await;
                panic!("in a local task");
            });
            let other = spawn_local(async {
                yield_now().await;
                yield_now().await;
                7
            });
            let joined: Result<(), _> = panics.await;
            assert_eq!(text(&*joined.unwrap_err().into_panic()), "in a local task");
            assert_eq!(other.await.unwrap(), 7);
            let bad = common::PanicsOnDrop(drops.guard(), "in its destructor");
            let aborted = spawn_local(waits(bad));
            yield_now().await;
            aborted.abort();
            assert!(aborted.await.unwrap_err().is_panic());
        });
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_panic_in_run_until_leaves_the_set_usable() {
    let (rt, set) = (current_thread(), LocalSet::new());
    let task = set.spawn_local(async {
        yield_now().await;
        7
    });
    let said = panic_of(|| set.block_on(&rt, async { panic!("beside the tasks") }));
    assert_eq!(said, "beside the tasks");
    assert!(panic_of(|| spawn_local(async {})).contains("`spawn_local`"));
    assert_eq!(set.block_on(&rt, task).unwrap(), 7);
}

mod entered {
    use super::*;

    /// Spawns on the current set. Whether that is `set`, which is run.
    fn is_current(set: &LocalSet) -> bool {
        let ran = Rc::new(Cell::new(false));
        let runs = ran.clone();
        let task: JoinHandle<()> = spawn_local(async move { runs.set(true) });
        futures::executor::block_on(set.run_until(yield_now()));
        assert_eq!(ran.get(), task.is_finished());
        ran.get()
    }

    #[test]
    fn sets_nest() {
        let (outer, inner) = (LocalSet::new(), LocalSet::new());
        let first = outer.enter();
        assert!(is_current(&outer));
        let second = inner.enter();
        assert!(is_current(&inner));
        drop(second);
        assert!(is_current(&outer));
        drop(first);
        assert!(panic_of(|| spawn_local(async {})).contains("`spawn_local`"));
    }

    #[test]
    fn a_set_runs_inside_of_a_task_of_another() {
        on_each_flavor(|rt| {
            LocalSet::new().block_on(&rt, async {
                let task = spawn_local(async {
                    let inner = LocalSet::new();
                    let id = task::id();
                    let sum = inner
                        .run_until(async {
                            let nested = spawn_local(async { *Rc::new(1) });
                            nested.await.unwrap() + 10
                        })
                        .await;
                    assert_eq!(task::id(), id);
                    sum + spawn_local(async { *Rc::new(100) }).await.unwrap()
                });
                assert_eq!(task.await.unwrap(), 111);
            });
        });
    }

    #[test]
    fn guards_in_the_wrong_order_or_leaked_are_harmless() {
        let (a, b, drops) = (LocalSet::new(), LocalSet::new(), Drops::new());
        let (first, second) = (a.enter(), b.enter());
        drop(first);
        drop(second);
        std::mem::forget(b.enter());
        assert!(is_current(&b));
        a.block_on(&current_thread(), async {
            let guard = drops.guard();
            spawn_local(async move { drop(guard) }).await.unwrap();
        });
        drop((a, b));
        // The leaked guard refers to a set that is no more.
        let late = spawn_local(waits(drops.guard()));
        assert!(late.is_finished());
        assert_eq!(drops.alive(), 0);
    }

    #[test]
    fn a_guard_that_outlives_its_set_refuses_tasks() {
        let (set, drops) = (LocalSet::new(), Drops::new());
        let guard = set.enter();
        drop(set);
        let late = spawn_local(waits(drops.guard()));
        drop(guard);
        assert_eq!(drops.alive(), 0);
        assert!(late.is_finished());
        assert!(
            futures::executor::block_on(late)
                .unwrap_err()
                .is_cancelled()
        );
    }
}

#[test]
fn two_tasks_that_poll_a_set_are_both_woken() {
    // Whichever of them ends first, the other goes on to poll the set.
    for first_to_end in 0..2 {
        let rt = current_thread();
        let outer = LocalSet::new();
        outer.block_on(&rt, async move {
            let set = Rc::new(LocalSet::new());
            let (mut ends, mut tasks) = (Vec::new(), Vec::new());
            for _ in 0..2 {
                let (end, ended) = oneshot::channel::<()>();
                let set = set.clone();
                tasks.push(spawn_local(async move { set.run_until(ended).await }));
                ends.push(end);
            }
            yield_now().await;
            let (tell, told) = oneshot::channel();
            let waiting = set.spawn_local(told);
            for _ in 0..5 {
                yield_now().await;
            }
            ends.remove(first_to_end).send(()).unwrap();
            tasks.remove(first_to_end).await.unwrap().unwrap();
            tell.send(7).unwrap();
            assert_eq!(waiting.await.unwrap(), Ok(7));
            ends.remove(0).send(()).unwrap();
            tasks.remove(0).await.unwrap().unwrap();
        });
    }
}
