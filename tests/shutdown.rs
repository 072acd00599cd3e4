//! The end of a runtime that still has work in every state: each future is dropped once, each
//! joiner gets an answer, each thread ends, and what comes later is refused without a leak.

mod common;

use common::{
    CountingWaker, Drops, Gate, Guard, OpensOnDrop, current_thread, multi_thread, on_each_flavor,
    run_until,
};
use runnext::runtime::{Builder, Handle, Runtime};
use runnext::sync::oneshot;
use runnext::task::{self, JoinHandle, yield_now};
use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

/// Awaits `task` on a runtime of its own.
fn join<T>(task: JoinHandle<T>) -> Result<T, task::JoinError> {
    current_thread().block_on(task)
}

#[track_caller]
fn assert_cancelled<T>(task: JoinHandle<T>) {
    let id = task.id();
    match join(task) {
        Ok(_) => panic!("the task has an output"),
        Err(error) => assert!(error.is_cancelled() && error.id() == id, "{error}"),
    }
}

fn waiting(drops: &Drops) -> impl Future<Output = ()> + use<> {
    common::holding(drops.guard(), |_| Poll::Pending)
}

#[test]
fn drops_futures_that_were_never_polled() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let tasks: Vec<_> = (0..1_000).map(|_| rt.spawn(waiting(&drops))).collect();
        drop(rt);
        assert_eq!(drops.dropped(), 1_000);
        assert!(tasks.iter().all(JoinHandle::is_finished));
        tasks.into_iter().take(10).for_each(assert_cancelled);
    });
}

#[test]
fn drops_futures_in_every_state() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let polls = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        let (wakers, woken) = mpsc::channel();
        for _ in 0..100 {
            let (wakers, polls) = (wakers.clone(), polls.clone());
            let waits = rt.spawn(common::holding(drops.guard(), move |cx| {
                polls.fetch_add(1, Ordering::Relaxed);
                wakers.send(cx.waker().clone()).unwrap();
                Poll::Pending
            }));
            let guard = drops.guard();
            let joins = rt.spawn(async move {
                let _guard = guard;
                waits.await.unwrap();
            });
            let guard = drops.guard();
            let yields = rt.spawn(async move {
                let _guard = guard;
                loop {
                    yield_now().await;
                }
            });
            tasks.extend([joins, yields]);
        }
        run_until(&rt, || polls.load(Ordering::Relaxed) >= 100);
        // Half of those that wait are in a queue when the end comes.
        woken.try_iter().step_by(2).for_each(Waker::wake);
        drop(rt);
        assert_eq!((drops.made(), drops.alive()), (300, 0));
        tasks.into_iter().for_each(|task| match join(task) {
            Ok(()) => panic!("the task has an output"),
            // A joiner that was run once more than the one that it joins met its error.
            Err(error) => assert!(error.is_cancelled() || error.is_panic()),
        });
    });
}

#[test]
fn cancels_closures_that_have_not_begun_and_waits_for_those_that_have() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let rt = builder
            .worker_threads(1)
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let (drops, gate) = (Drops::new(), Gate::new());
        let _opens = OpensOnDrop(gate.clone());
        let (inside, began) = mpsc::channel();
        let (guard, held) = (drops.guard(), gate.clone());
        let running = rt.spawn_blocking(move || {
            let _guard = guard;
            inside.send(()).unwrap();
            held.wait();
            7
        });
        began.recv().unwrap();
        let queued: Vec<_> = (0..100)
            .map(|_| {
                let guard = drops.guard();
                rt.spawn_blocking(move || -> () {
                    let _guard = guard;
                    panic!("it should not run");
                })
            })
            .collect();
        let over = Arc::new(AtomicBool::new(false));
        let dropper = thread::spawn({
            let over = over.clone();
            move || {
                drop(rt);
                over.store(true, Ordering::Release);
            }
        });
        // These are answered while the other one still runs.
        queued.into_iter().for_each(assert_cancelled);
        assert_eq!(drops.alive(), 1);
        assert!(!over.load(Ordering::Acquire));
        gate.open();
        dropper.join().unwrap();
        assert!(running.is_finished());
        assert_eq!(join(running).unwrap(), 7);
        assert_eq!(drops.alive(), 0);
    }
}

#[test]
fn leaves_the_root_future_of_another_thread_alone() {
    on_each_flavor(|rt| {
        let (drops, later) = (Drops::new(), Drops::new());
        let (tell, told) = oneshot::channel::<u32>();
        let (inside, began) = mpsc::channel();
        let root = thread::spawn({
            let (handle, drops, later) = (rt.handle().clone(), drops.clone(), later.clone());
            move || {
                handle.block_on(async {
                    let spawned = runnext::spawn(waiting(&drops));
                    inside.send(()).unwrap();
                    // The end of the runtime is the end of its tasks, but not of this.
                    assert!(spawned.await.unwrap_err().is_cancelled());
                    let late = runnext::spawn(waiting(&later));
                    assert!(late.await.unwrap_err().is_cancelled());
                    let late = task::spawn_blocking(|| ());
                    assert!(late.await.unwrap_err().is_cancelled());
                    yield_now().await;
                    inside.send(()).unwrap();
                    told.await.unwrap()
                })
            }
        });
        began.recv().unwrap();
        drop(rt);
        assert_eq!(drops.alive(), 0);
        began.recv().unwrap();
        tell.send(7).unwrap();
        assert_eq!(root.join().unwrap(), 7);
        assert_eq!((later.made(), later.alive()), (1, 0));
    });
}

#[test]
fn does_not_wait_for_a_root_future_that_never_rests() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let stop = Arc::new(AtomicBool::new(false));
        let (inside, began) = mpsc::channel();
        let root = thread::spawn({
            let (handle, drops, stop) = (rt.handle().clone(), drops.clone(), stop.clone());
            move || {
                handle.block_on(async {
                    runnext::spawn(waiting(&drops));
                    inside.send(()).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        yield_now().await;
                    }
                })
            }
        });
        began.recv().unwrap();
        drop(rt);
        assert_eq!(drops.alive(), 0);
        stop.store(true, Ordering::Relaxed);
        root.join().unwrap();
    });
}

#[test]
fn within_a_time_limit_leaves_a_stuck_poll_behind() {
    let (drops, gate) = (Drops::new(), Gate::new());
    let (inside, began) = mpsc::channel();
    let rt = multi_thread(1);
    let waits = rt.spawn(waiting(&drops));
    let (guard, held) = (drops.guard(), gate.clone());
    let stuck = rt.spawn(async move {
        let _guard = guard;
        inside.send(()).unwrap();
        held.wait();
        pending::<()>().await;
    });
    began.recv().unwrap();
    rt.shutdown_timeout(Duration::from_millis(1));
    assert!(!stuck.is_finished());
    gate.open();
    // The poll ends, and then the rest of the runtime does.
    assert_cancelled(stuck);
    assert_cancelled(waits);
    assert_eq!(drops.alive(), 0);
}

#[test]
fn within_a_time_limit_leaves_a_stuck_closure_behind() {
    for limit in [Duration::ZERO, Duration::from_millis(1)] {
        let (drops, gate) = (Drops::new(), Gate::new());
        let (inside, began) = mpsc::channel();
        let rt = multi_thread(1);
        let waits = rt.spawn(waiting(&drops));
        let (guard, held) = (drops.guard(), gate.clone());
        let stuck = rt.spawn_blocking(move || {
            let _guard = guard;
            inside.send(()).unwrap();
            held.wait();
            7
        });
        began.recv().unwrap();
        rt.shutdown_timeout(limit);
        assert!(!stuck.is_finished());
        // Nothing stops the tasks from being dropped.
        assert_cancelled(waits);
        gate.open();
        assert_eq!(join(stuck).unwrap(), 7);
        assert_eq!(drops.alive(), 0);
    }
}

#[test]
fn within_a_time_limit_that_is_not_needed_everything_has_ended() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let task = rt.spawn(waiting(&drops));
        let closure = rt.spawn_blocking(|| 7);
        rt.block_on(closure).unwrap();
        rt.shutdown_timeout(Duration::MAX);
        assert!(task.is_finished());
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn in_the_background_answers_all_joiners() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let task = rt.spawn(waiting(&drops));
        let busy = rt.spawn(async {
            loop {
                yield_now().await;
            }
        });
        rt.block_on(rt.spawn(async {})).unwrap();
        rt.shutdown_background();
        assert_cancelled(task);
        assert_cancelled::<()>(busy);
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn wakes_a_joiner_that_is_no_task() {
    on_each_flavor(|rt| {
        let joiner = CountingWaker::new();
        let mut task = rt.spawn(pending::<()>());
        let waker = Waker::from(joiner.clone());
        let mut cx = std::task::Context::from_waker(&waker);
        assert!(std::pin::Pin::new(&mut task).poll(&mut cx).is_pending());
        drop(rt);
        assert_eq!(joiner.wakes(), 1);
        assert_cancelled(task);
    });
}

#[test]
fn ends_every_thread_before_it_returns() {
    let (started, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let count = |counter: &Arc<AtomicUsize>| {
            let counter = counter.clone();
            move || _ = counter.fetch_add(1, Ordering::Relaxed)
        };
        builder.worker_threads(4).on_thread_start(count(&started));
        builder.on_thread_stop(count(&stopped));
        let rt: Runtime = builder.build().unwrap();
        let tasks: Vec<_> = (0..100).map(|_| rt.spawn(yield_now())).collect();
        let closures: Vec<_> = (0..20)
            .map(|_| rt.spawn_blocking(thread::yield_now))
            .collect();
        rt.block_on(async {
            for closure in closures.into_iter().chain(tasks) {
                closure.await.unwrap();
            }
        });
        drop(rt);
        let started = started.load(Ordering::Relaxed);
        assert!(started > 0);
        assert_eq!(stopped.load(Ordering::Relaxed), started);
    }
}

#[test]
fn is_not_confused_by_threads_that_wake_and_spawn_meanwhile() {
    for round in 0..100 {
        let rt = multi_thread(1 + round % 2);
        let drops = Drops::new();
        let (wakers, woken) = mpsc::channel();
        let polls = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 {
            let (wakers, polls) = (wakers.clone(), polls.clone());
            rt.spawn(common::holding(drops.guard(), move |cx| {
                if polls.fetch_add(1, Ordering::Relaxed) < 100 {
                    wakers.send(cx.waker().clone()).unwrap();
                }
                Poll::Pending
            }));
        }
        let first = woken.recv().unwrap();
        let handle: Handle = rt.handle().clone();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let wake = || {
                while !stop.load(Ordering::Relaxed) {
                    first.wake_by_ref();
                }
            };
            scope.spawn(wake);
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    handle.spawn(waiting(&drops));
                    drop(handle.spawn_blocking(poll_nothing(&drops)));
                }
            });
            woken.iter().take(10).for_each(Waker::wake);
            drop(rt);
            stop.store(true, Ordering::Relaxed);
        });
        // A closure that came with the end may be run by a thread that comes after it.
        while drops.alive() > 0 {
            thread::yield_now();
        }
    }

    fn poll_nothing(drops: &Drops) -> impl FnOnce() + Send + use<> {
        let guard = drops.guard();
        move || drop(guard)
    }
}

#[test]
fn drops_futures_as_the_tasks_that_they_are() {
    struct Looks(mpsc::Sender<(Option<task::Id>, runnext::runtime::Id)>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.0
                .send((task::try_id(), Handle::current().id()))
                .unwrap();
        }
    }
    on_each_flavor(|rt| {
        let (tell, told) = mpsc::channel();
        let looks = Looks(tell);
        let task = rt.spawn(poll_fn(move |_| -> Poll<()> {
            let _looks = &looks;
            Poll::Pending
        }));
        let runtime = rt.handle().id();
        drop(rt);
        assert_eq!(told.recv().unwrap(), (Some(task.id()), runtime));
    });
}

#[test]
fn waits_for_what_threads_keep_in_their_thread_locals() {
    struct Slow {
        _guard: Guard,
    }
    impl Drop for Slow {
        fn drop(&mut self) {
            // Long enough for a runtime that does not wait to be seen not to.
            thread::sleep(Duration::from_millis(20));
        }
    }
    thread_local!(static KEPT: RefCell<Vec<Slow>> = const { RefCell::new(Vec::new()) });
    on_each_flavor(|rt| {
        let drops = Drops::new();
        for _ in 0..3 {
            let guard = drops.guard();
            let kept =
                rt.spawn_blocking(move || KEPT.with_borrow_mut(|k| k.push(Slow { _guard: guard })));
            rt.block_on(kept).unwrap();
        }
        drop(rt);
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn in_a_thread_local_of_a_thread_of_its_own_does_not_wait_for_itself() {
    thread_local!(static KEPT: RefCell<Option<(Runtime, Guard)>> = const { RefCell::new(None) });
    let drops = Drops::new();
    let mut builder = Builder::new_current_thread();
    builder.thread_keep_alive(Duration::from_millis(1));
    let rt = builder.build().unwrap();
    let handle = rt.handle().clone();
    let (guard, gate) = (drops.guard(), Gate::new());
    let (started, running) = mpsc::channel();
    let other = handle.spawn_blocking({
        let gate = gate.clone();
        move || {
            started.send(()).unwrap();
            gate.wait();
        }
    });
    running.recv().unwrap();
    handle.spawn_blocking(move || {
        gate.open();
        // The other thread is the one that stays, so that this one ends for lack of work.
        while rt.metrics().num_idle_blocking_threads() == 0 {
            thread::yield_now();
        }
        KEPT.set(Some((rt, guard)));
    });
    join(other).unwrap();
    while drops.alive() > 0 {
        thread::yield_now();
    }
}

#[test]
fn a_task_that_blocks_its_thread_for_another_does_not_hold_up_the_end() {
    let drops = Drops::new();
    let guard = drops.guard();
    let rt = multi_thread(2);
    let (tell, told) = mpsc::channel();
    let (report, reported) = mpsc::channel();
    rt.spawn(async move {
        let mut other = runnext::spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        task::block_in_place(|| {
            let joined = Handle::current().block_on(poll_fn(|cx| {
                let poll = std::pin::pin!(&mut other).poll(cx);
                let _told = tell.send(());
                poll
            }));
            report.send(joined.unwrap_err().is_cancelled()).unwrap();
        });
    });
    told.recv().unwrap();
    drop(rt);
    assert!(reported.recv().unwrap());
    assert_eq!(drops.alive(), 0);
}
