//! `abort` in every state that a task can be in: its future is dropped once, on a thread that runs
//! tasks, at the latest when a poll ends; what is over stays as it ended.

mod common;

use common::{
    Drops, Gate, OpensOnDrop, Random, current_thread, multi_thread, on_each_flavor, run_until,
};
use runnext::runtime::{Builder, Runtime, RuntimeFlavor};
use runnext::sync::{Notify, oneshot};
use runnext::task::{AbortHandle, JoinHandle, block_in_place, yield_now};
use std::future::{Future, pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread::{self, ThreadId};

/// How often a future was polled.
#[derive(Clone, Default)]
struct Polls(Arc<AtomicUsize>);

impl Polls {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits for ever, and passes its waker on.
    fn never(
        &self,
        wakers: mpsc::Sender<Waker>,
        drops: &Drops,
    ) -> impl Future<Output = ()> + use<> {
        let polls = self.0.clone();
        common::holding(drops.guard(), move |cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            wakers.send(cx.waker().clone()).unwrap();
            Poll::Pending
        })
    }
}

#[track_caller]
fn assert_cancelled<T: std::fmt::Debug>(rt: &Runtime, task: JoinHandle<T>) {
    let id = task.id();
    let error = rt.block_on(task).unwrap_err();
    assert!(error.is_cancelled() && !error.is_panic());
    assert_eq!(error.id(), id);
    assert_eq!(error.to_string(), format!("task {id} was cancelled"));
}

#[test]
fn before_the_first_poll_there_is_none() {
    let rt = current_thread();
    let (drops, polls) = (Drops::new(), Polls::default());
    let (wakers, _) = mpsc::channel();
    let outside = rt.spawn(polls.never(wakers.clone(), &drops));
    outside.abort();
    // Asked for, not done: that is for the thread that runs tasks.
    assert!(!outside.is_finished());
    assert_eq!(drops.alive(), 1);
    assert_cancelled(&rt, outside);
    rt.block_on(async {
        let inside = runnext::spawn(polls.never(wakers, &drops));
        inside.abort();
        assert!(inside.await.unwrap_err().is_cancelled());
    });
    assert_eq!((polls.count(), drops.dropped()), (0, 2));
}

#[test]
fn while_it_is_queued_there_is_no_further_poll() {
    let rt = current_thread();
    let (drops, polls) = (Drops::new(), Polls::default());
    let (wakers, woken) = mpsc::channel();
    let task = rt.spawn(polls.never(wakers, &drops));
    rt.block_on(rt.spawn(async {})).unwrap();
    woken.recv().unwrap().wake();
    task.abort();
    assert_cancelled(&rt, task);
    assert_eq!((polls.count(), drops.alive()), (1, 0));
}

#[test]
fn while_it_waits_it_is_dropped_without_a_poll() {
    on_each_flavor(|rt| {
        let (drops, polls) = (Drops::new(), Polls::default());
        let (wakers, woken) = mpsc::channel();
        let task = rt.spawn(polls.never(wakers, &drops));
        run_until(&rt, || polls.count() == 1);
        let waker = woken.recv().unwrap();
        task.abort();
        assert_cancelled(&rt, task);
        assert_eq!((polls.count(), drops.alive()), (1, 0));
        // Nobody hears this any more.
        waker.wake_by_ref();
        rt.block_on(rt.spawn(async {})).unwrap();
        drop(rt);
        waker.wake();
        assert_eq!(polls.count(), 1);
    });
}

#[test]
fn while_it_runs_it_ends_with_the_poll() {
    for output in [None, Some(7)] {
        let rt = multi_thread(1);
        let (drops, gate) = (Drops::new(), Gate::new());
        let (inside, began) = mpsc::channel();
        let polls = Polls::default();
        let guard = drops.guard();
        let task = rt.spawn(poll_fn({
            let (gate, polls) = (gate.clone(), polls.clone());
            move |_| {
                let _guard = &guard;
                polls.0.fetch_add(1, Ordering::Relaxed);
                inside.send(()).unwrap();
                gate.wait();
                output.map_or(Poll::Pending, Poll::Ready)
            }
        }));
        began.recv().unwrap();
        task.abort();
        assert!(!task.is_finished());
        assert_eq!(drops.alive(), 1);
        gate.open();
        match output {
            None => assert_cancelled(&rt, task),
            // It ended by itself in this very poll.
            Some(output) => assert_eq!(rt.block_on(task).unwrap(), output),
        }
        assert_eq!((polls.count(), drops.alive()), (1, 0));
    }
}

#[test]
fn while_it_blocks_in_place_it_ends_with_the_poll() {
    let rt = multi_thread(1);
    let (drops, gate) = (Drops::new(), Gate::new());
    let (inside, began) = mpsc::channel();
    let guard = drops.guard();
    let task = rt.spawn({
        let gate = gate.clone();
        async move {
            let _guard = guard;
            block_in_place(|| {
                inside.send(()).unwrap();
                gate.wait();
            });
            pending::<()>().await;
        }
    });
    began.recv().unwrap();
    task.abort();
    // The others run meanwhile, and it is not dropped under the closure.
    assert_eq!(rt.block_on(rt.spawn(async { 7 })).unwrap(), 7);
    assert_eq!(drops.alive(), 1);
    gate.open();
    assert_cancelled(&rt, task);
    assert_eq!(drops.alive(), 0);
}

#[test]
fn after_the_end_it_changes_nothing() {
    on_each_flavor(|rt| {
        let task = rt.spawn(async { 7 });
        run_until(&rt, || task.is_finished());
        assert!(task.abort_handle().is_finished());
        task.abort();
        task.abort_handle().abort();
        assert_eq!(rt.block_on(task).unwrap(), 7);

        let panicked = rt.spawn(async { std::panic::resume_unwind(Box::new("first")) });
        run_until(&rt, || panicked.is_finished());
        panicked.abort();
        let joined: Result<(), _> = rt.block_on(panicked);
        assert!(joined.unwrap_err().is_panic());
    });
}

#[test]
fn twice_and_from_many_threads_it_happens_once() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let guard = drops.guard();
        let task = rt.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        thread::scope(|scope| {
            for _ in 0..4 {
                let handle = task.abort_handle();
                scope.spawn(move || (0..1_000).for_each(|_| handle.abort()));
            }
            for _ in 0..100 {
                rt.block_on(rt.spawn(yield_now())).unwrap();
            }
        });
        assert_cancelled(&rt, task);
        assert_eq!(drops.dropped(), 1);
    });
}

#[test]
fn from_inside_itself_it_ends_when_it_waits_or_with_its_output() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let went_on = Arc::new(AtomicBool::new(false));
        let spawn = |wait: bool, yields: bool| {
            let (tell, told) = oneshot::channel::<AbortHandle>();
            let (guard, went_on) = (drops.guard(), went_on.clone());
            let task = rt.spawn(async move {
                let _guard = guard;
                told.await.unwrap().abort();
                if wait {
                    pending::<()>().await;
                }
                if yields {
                    yield_now().await;
                    went_on.store(true, Ordering::Relaxed);
                }
                7
            });
            assert!(tell.send(task.abort_handle()).is_ok());
            task
        };
        let (waits, yields, ends) = (spawn(true, false), spawn(false, true), spawn(false, false));
        assert_cancelled(&rt, waits);
        assert_cancelled(&rt, yields);
        assert_eq!(rt.block_on(ends).unwrap(), 7);
        assert_eq!(drops.dropped(), 3);
        assert!(!went_on.load(Ordering::Relaxed));
    });
}

#[test]
fn through_handles_that_outlive_everything_it_is_harmless() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let spawn = |wait: bool| {
            let guard = drops.guard();
            rt.spawn(async move {
                if wait {
                    pending::<()>().await;
                }
                guard
            })
        };
        let tasks = [spawn(false), spawn(true), spawn(true)];
        let ids = tasks.each_ref().map(JoinHandle::id);
        let handles = tasks.each_ref().map(|task| {
            let handle = task.abort_handle();
            let clones: Vec<AbortHandle> = (0..100).map(|_| handle.clone()).collect();
            clones
        });
        drop(tasks);
        handles[1][0].abort();
        run_until(&rt, || drops.dropped() == 2);
        drop(rt);
        assert_eq!(drops.alive(), 0);
        for (id, clones) in ids.into_iter().zip(&handles) {
            for handle in clones {
                handle.abort();
                assert_eq!(handle.id(), id);
                assert!(handle.is_finished());
            }
        }
        thread::spawn(move || drop(handles)).join().unwrap();
    });
}

#[test]
fn of_a_closure_that_waits_for_a_thread_it_never_runs() {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).max_blocking_threads(1);
    let rt = builder.build().unwrap();
    let (drops, gate) = (Drops::new(), Gate::new());
    let _opens = OpensOnDrop(gate.clone());
    let (inside, began) = mpsc::channel();
    let running = rt.spawn_blocking({
        let (gate, guard) = (gate.clone(), drops.guard());
        move || {
            let _guard = guard;
            inside.send(()).unwrap();
            gate.wait();
            7
        }
    });
    began.recv().unwrap();
    let ran = Arc::new(AtomicBool::new(false));
    let queued = rt.spawn_blocking({
        let (ran, guard) = (ran.clone(), drops.guard());
        move || {
            let _guard = guard;
            ran.store(true, Ordering::Relaxed);
        }
    });
    queued.abort();
    running.abort();
    assert!(!running.is_finished());
    gate.open();
    assert_cancelled(&rt, queued);
    // What has begun goes on to its end.
    assert_eq!(rt.block_on(running).unwrap(), 7);
    assert!(!ran.load(Ordering::Relaxed));
    assert_eq!(drops.alive(), 0);
}

#[test]
fn drops_the_future_where_tasks_run_and_not_where_it_is_called() {
    struct Tells(
        mpsc::Sender<(ThreadId, bool)>,
        Arc<Notify>,
        Option<AbortHandle>,
    );
    impl Drop for Tells {
        fn drop(&mut self) {
            let finished = self.2.as_ref().is_some_and(AbortHandle::is_finished);
            self.0.send((thread::current().id(), finished)).unwrap();
            self.1.notify_one();
        }
    }
    on_each_flavor(|rt| {
        let (tell, told) = mpsc::channel();
        let (started, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (give, given) = oneshot::channel();
        let task = rt.spawn({
            let (started, dropped) = (started.clone(), dropped.clone());
            async move {
                let _tells = Tells(tell, dropped, Some(given.await.unwrap()));
                started.notify_one();
                pending::<()>().await;
            }
        });
        assert!(give.send(task.abort_handle()).is_ok());
        rt.block_on(started.notified());
        let aborter = thread::spawn({
            let handle = task.abort_handle();
            move || {
                handle.abort();
                thread::current().id()
            }
        });
        let aborter = aborter.join().unwrap();
        rt.block_on(dropped.notified());
        let (dropper, finished_before) = told.recv().unwrap();
        assert_ne!(dropper, aborter);
        assert!(
            !finished_before,
            "it is not finished while it is being dropped"
        );
        assert_cancelled(&rt, task);
    });
}

#[test]
fn of_a_joiner_leaves_the_task_that_it_waits_for() {
    on_each_flavor(|rt| {
        let (tell, told) = oneshot::channel::<u32>();
        let (done, end) = oneshot::channel();
        let inner = rt.spawn(async move { done.send(told.await.unwrap()).unwrap() });
        let outer = rt.spawn(inner);
        rt.block_on(rt.spawn(async {})).unwrap();
        outer.abort();
        assert_cancelled(&rt, outer);
        tell.send(7).unwrap();
        assert_eq!(rt.block_on(end).unwrap(), 7);
    });
}

#[test]
fn against_completion_has_one_winner() {
    on_each_flavor(|rt| {
        let mut random = Random::new(7);
        let drops = Drops::new();
        let mut cancelled = 0;
        for _ in 0..200 {
            let tasks: Vec<_> = (0..50)
                .map(|_| {
                    let guard = drops.guard();
                    let yields = random.below(4);
                    rt.spawn(async move {
                        for _ in 0..yields {
                            yield_now().await;
                        }
                        guard
                    })
                })
                .collect();
            for task in &tasks {
                if random.below(2) == 0 {
                    task.abort();
                }
            }
            for task in tasks {
                match random.below(3) {
                    0 => drop(task),
                    _ => match rt.block_on(task) {
                        Ok(guard) => drop(guard),
                        Err(error) => {
                            assert!(error.is_cancelled());
                            cancelled += 1;
                        }
                    },
                }
            }
        }
        let flavor = rt.handle().runtime_flavor();
        drop(rt);
        assert_eq!((drops.made(), drops.alive()), (10_000, 0));
        if flavor == RuntimeFlavor::CurrentThread {
            assert!(
                cancelled > 0,
                "nothing ran before, so each abort was in time"
            );
        }
    });
}
