//! The end of a runtime from within: in its own tasks, closures and root futures, and with
//! destructors that go on using it.

mod common;

use common::{
    Drops, Gate, OpensOnDrop, current_thread, multi_thread, on_each_flavor, panic_of, text,
};
use runnext::runtime::{Handle, Runtime};
use runnext::sync::oneshot;
use runnext::task::{self, AbortHandle, JoinHandle, LocalSet, block_in_place, yield_now};
use std::future::{Future, pending};
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

const REFUSED: &[&str] = &[
    "cannot drop a runtime",
    "this thread is running tasks",
    "`spawn_blocking`",
    "`shutdown_background`",
];

#[track_caller]
fn assert_refused(message: &str) {
    for part in REFUSED {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
}

fn waiting(drops: &Drops) -> impl Future<Output = ()> + use<> {
    common::holding(drops.guard(), |_| Poll::Pending)
}

/// Waits for the end of a shutdown that nobody waits for.
fn until_gone(drops: &Drops) {
    while drops.alive() > 0 {
        thread::yield_now();
    }
}

/// Runs `end` with the runtime in one of its own tasks, which it shares with tasks that wait.
fn in_own_task<T: Send + 'static>(
    rt: Runtime,
    drops: &Drops,
    end: impl FnOnce(Runtime) -> T + Send + 'static,
) -> Result<T, task::JoinError> {
    let handle = rt.handle().clone();
    let waits: Vec<_> = (0..10).map(|_| handle.spawn(waiting(drops))).collect();
    let guard = drops.guard();
    let task = handle.spawn(async move {
        let _guard = guard;
        yield_now().await;
        end(rt)
    });
    handle.block_on(async {
        let ended = task.await;
        for task in waits {
            assert!(task.await.unwrap_err().is_cancelled());
        }
        ended
    })
}

#[test]
fn in_its_own_task_is_refused_and_happens_all_the_same() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let ended = in_own_task(rt, &drops, drop);
        assert_refused(&text(&*ended.unwrap_err().into_panic()));
        until_gone(&drops);
    });
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let ended = in_own_task(rt, &drops, |rt| rt.shutdown_timeout(Duration::MAX));
        assert_refused(&text(&*ended.unwrap_err().into_panic()));
        until_gone(&drops);
    });
}

#[test]
fn in_its_own_task_works_in_the_background() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let ended = in_own_task(rt, &drops, |rt| {
            rt.shutdown_background();
            // What it spawns now is part of what ends.
            runnext::spawn(pending::<()>())
        });
        let late = ended.unwrap();
        assert!(current_thread().block_on(late).unwrap_err().is_cancelled());
        until_gone(&drops);
    });
}

#[test]
fn in_its_own_task_that_goes_on_ends_that_task_where_it_waits() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let handle = rt.handle().clone();
        let guard = drops.guard();
        let task = handle.spawn(async move {
            let _guard = guard;
            rt.shutdown_background();
            yield_now().await;
            unreachable!("the yield should have been its end");
        });
        let error: task::JoinError = handle.block_on(task).unwrap_err();
        assert!(error.is_cancelled());
        until_gone(&drops);
    });
}

#[test]
fn in_its_own_root_future_is_refused_and_happens_all_the_same() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let handle = rt.handle().clone();
        let task = rt.spawn(waiting(&drops));
        handle.block_on(async move {
            assert_refused(&panic_of(|| drop(rt)));
            assert!(task.await.unwrap_err().is_cancelled());
        });
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn of_another_runtime_in_a_task_is_refused_and_happens_all_the_same() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let other = multi_thread(1);
        let waits = other.spawn(waiting(&drops));
        rt.block_on(async {
            let task = runnext::spawn(async { drop(other) });
            assert_refused(&text(&*task.await.unwrap_err().into_panic()));
            assert!(waits.await.unwrap_err().is_cancelled());
        });
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn of_another_runtime_in_a_local_task_is_refused() {
    let (rt, other) = (current_thread(), multi_thread(1));
    let ended = LocalSet::new().block_on(&rt, async {
        task::spawn_local(async { drop(other) }).await
    });
    assert_refused(&text(&*ended.unwrap_err().into_panic()));
}

#[test]
fn in_its_own_closure_waits_for_everyone_but_that() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let handle = rt.handle().clone();
        let (gate, other_gate) = (Gate::new(), Gate::new());
        let _opens = OpensOnDrop(gate.clone());
        let (inside, began) = mpsc::channel();
        let (guard, held) = (drops.guard(), gate.clone());
        let other = handle.spawn_blocking(move || {
            let _guard = guard;
            inside.send(()).unwrap();
            held.wait();
        });
        began.recv().unwrap();
        let waits = handle.spawn(waiting(&drops));
        let (counted, opens, begins) = (drops.clone(), gate.clone(), other_gate.clone());
        let closure = handle.spawn_blocking(move || {
            begins.open();
            opens.open();
            drop(rt);
            counted.alive()
        });
        other_gate.wait();
        let joiner = current_thread();
        assert_eq!(joiner.block_on(closure).unwrap(), 0);
        assert!(joiner.block_on(waits).unwrap_err().is_cancelled());
        joiner.block_on(other).unwrap();
    });
}

#[test]
fn in_place_of_its_own_task_does_not_wait_for_itself() {
    for workers in [1, 2] {
        let drops = Drops::new();
        // It may be refused; what it must not do is to wait for the poll that it is part of.
        let ended = in_own_task(multi_thread(workers), &drops, |rt| {
            block_in_place(|| drop(rt))
        });
        if let Err(error) = ended {
            let message = text(&*error.into_panic());
            assert!(message.contains("cannot drop a runtime"), "{message}");
        }
        until_gone(&drops);
    }
}

#[test]
fn in_place_of_its_own_root_future_does_not_wait_for_itself() {
    let drops = Drops::new();
    let rt = multi_thread(1);
    let handle = rt.handle().clone();
    handle.block_on(async {
        let task = runnext::spawn(waiting(&drops));
        let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            block_in_place(|| drop(rt));
        }));
        if let Err(payload) = said {
            let message = text(&*payload);
            assert!(message.contains("cannot drop a runtime"), "{message}");
        }
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(drops.alive(), 0);
}

#[test]
fn in_place_of_a_task_of_another_runtime_waits() {
    let (rt, other) = (multi_thread(1), multi_thread(1));
    let drops = Drops::new();
    let waits = other.spawn(waiting(&drops));
    rt.block_on(async {
        let (counted, spawned) = (drops.clone(), runnext::spawn(async { 7 }));
        let task = runnext::spawn(async move {
            block_in_place(|| drop(other));
            counted.alive()
        });
        assert_eq!(task.await.unwrap(), 0);
        assert_eq!(spawned.await.unwrap(), 7);
        assert!(waits.await.unwrap_err().is_cancelled());
    });
}

/// What a destructor does with the runtime that is ending.
enum Act {
    Spawn(Handle, Drops, u32),
    SpawnHere(Drops),
    SpawnBlocking(Drops),
    Wake(Option<oneshot::Sender<()>>),
    Abort(AbortHandle),
    Detach(Option<JoinHandle<()>>),
    Enter(Handle),
}

impl Drop for Act {
    fn drop(&mut self) {
        match self {
            Act::Spawn(_, _, 0) => {}
            Act::Spawn(handle, drops, depth) => {
                let next = Act::Spawn(handle.clone(), drops.clone(), *depth - 1);
                let guard = drops.guard();
                drop(handle.spawn(async move {
                    let _held = (guard, next);
                    pending::<()>().await;
                }));
            }
            Act::SpawnHere(drops) => drop(runnext::spawn(waiting(drops))),
            Act::SpawnBlocking(drops) => {
                let guard = drops.guard();
                drop(task::spawn_blocking(move || drop(guard)));
            }
            Act::Wake(sender) => drop(sender.take().unwrap().send(())),
            Act::Abort(handle) => handle.abort(),
            Act::Detach(task) => drop(task.take()),
            Act::Enter(handle) => {
                let _guard = handle.enter();
                drop(Handle::current().spawn(async {}));
            }
        }
    }
}

#[test]
fn copes_with_destructors_that_use_the_runtime() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let hold = |act: Act| {
            let guard = drops.guard();
            rt.spawn(async move {
                let _held = (guard, act);
                pending::<()>().await;
            })
        };
        for _ in 0..20 {
            let handle = || rt.handle().clone();
            hold(Act::Spawn(handle(), drops.clone(), 10));
            hold(Act::SpawnHere(drops.clone()));
            hold(Act::SpawnBlocking(drops.clone()));
            hold(Act::Enter(handle()));
            let (wake, woken) = oneshot::channel();
            hold(Act::Wake(Some(wake)));
            let guard = drops.guard();
            rt.spawn(async move {
                let _guard = guard;
                let _: Result<(), _> = woken.await;
                pending::<()>().await;
            });
            let task = hold(Act::SpawnHere(drops.clone()));
            hold(Act::Abort(task.abort_handle()));
            hold(Act::Detach(Some(task)));
        }
        // Some were polled, and wait, the others not.
        rt.block_on(rt.spawn(async {})).unwrap();
        drop(rt);
        // Nine tasks, ten more of the first one's destructor, and three of others'.
        assert_eq!((drops.made(), drops.alive()), (20 * (9 + 10 + 3), 0));
    });
}

#[test]
fn copes_with_destructors_of_tasks_that_are_aborted_meanwhile() {
    for round in 0..100 {
        let rt = multi_thread(1 + round % 2);
        let drops = Drops::new();
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let act = Act::Spawn(rt.handle().clone(), drops.clone(), 3);
                let guard = drops.guard();
                rt.spawn(async move {
                    let _held = (guard, act);
                    pending::<()>().await;
                })
            })
            .collect();
        thread::scope(|scope| {
            scope.spawn(|| tasks.iter().for_each(JoinHandle::abort));
            drop(rt);
        });
        assert_eq!((drops.made(), drops.alive()), (80, 0));
    }
}
