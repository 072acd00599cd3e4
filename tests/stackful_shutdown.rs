//! A runtime that ends around stackful tasks in whatever state they are.
#![cfg(stackful)]

mod common;

use common::{Drops, Gate, current_thread, multi_thread, on_each_flavor, run_until};
use runnext::runtime::Runtime;
use runnext::stackful::{self, blocking, dedicated};
use runnext::sync::{mpsc, oneshot};
use runnext::task::{JoinHandle, block_in_place};
use runnext::{go, spawn, wait};
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

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

/// Brings a stackful task of each flavor of runtime to where `reach` calls what it is given, drops
/// the runtime, and looks whether everything was dropped.
fn ends_with_the_runtime(reach: impl Fn(&dyn Fn(), &Drops) + Clone + Send + 'static) {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let (tell, told) = oneshot::channel();
        let task = rt.handle().go({
            let (drops, reach) = (drops.clone(), reach.clone());
            move || {
                let _guard = drops.guard();
                let tell = std::sync::Mutex::new(Some(tell));
                let reached = || tell.lock().unwrap().take().unwrap().send(()).unwrap();
                reach(&reached, &drops);
            }
        });
        rt.block_on(told).unwrap();
        drop(rt);
        assert_eq!(drops.alive(), 0);
        assert!(drops.made() > 0);
        // Whether it was cut short or not, it has ended.
        assert!(task.is_finished());
    });
}

#[test]
fn a_destructor_may_wait_for_a_future_while_the_runtime_ends() {
    struct Waits(Option<runnext::task::JoinHandle<()>>);
    impl Drop for Waits {
        fn drop(&mut self) {
            let ended = wait(self.0.take().unwrap());
            assert!(ended.unwrap_err().is_cancelled());
        }
    }
    ends_with_the_runtime(|reached, drops| {
        let guard = drops.guard();
        let _waits = Waits(Some(spawn(async move {
            let _guard = guard;
            pending().await
        })));
        reached();
        wait(pending::<()>());
    });
}

#[test]
fn a_runtime_ends_around_a_nested_wait() {
    ends_with_the_runtime(|reached, drops| {
        wait(async {
            let _guard = drops.guard();
            wait(async {
                let _guard = drops.guard();
                reached();
                pending::<()>().await;
            });
        });
    });
}

#[test]
fn a_runtime_ends_around_tasks_that_wait_for_each_other() {
    ends_with_the_runtime(|reached, drops| {
        let (guard, inner) = (drops.guard(), drops.guard());
        let stackless = spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        let other = go(move || {
            let _guard = inner;
            drop(wait(stackless));
        });
        reached();
        drop(wait(other));
    });
}

#[test]
fn a_runtime_ends_around_a_task_that_yields_for_ever() {
    ends_with_the_runtime(|reached, _| {
        reached();
        loop {
            stackful::yield_now();
        }
    });
}

#[test]
fn a_runtime_ends_around_a_task_that_swallows_its_abort() {
    ends_with_the_runtime(|reached, drops| {
        let _guard = drops.guard();
        reached();
        for _ in 0..10 {
            assert!(catch_unwind(|| wait(pending::<()>())).is_err());
        }
    });
}

#[test]
fn a_runtime_ends_around_a_scope_in_a_scope() {
    ends_with_the_runtime(|reached, drops| {
        let lent = drops.guard();
        stackful::scope(|s| {
            let (lent, drops) = (&lent, &*drops);
            s.go(move || {
                let own = drops.guard();
                stackful::scope(|s| {
                    for _ in 0..3 {
                        s.go(|| {
                            let _all = (lent, &own, drops.guard());
                            wait(pending::<()>());
                        });
                    }
                });
            });
            reached();
            wait(pending::<()>());
        });
    });
}

#[test]
fn a_runtime_ends_around_destructors_that_spawn() {
    struct Spawns(Drops);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let (first, second) = (self.0.guard(), self.0.guard());
            go(move || drop(first));
            spawn(async move { drop(second) });
        }
    }
    ends_with_the_runtime(|reached, drops| {
        let _spawns = Spawns(drops.clone());
        reached();
        wait(pending::<()>());
    });
}

#[test]
fn a_runtime_ends_around_blocking_code_and_waits_for_it() {
    for dedicates in [false, true] {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            let guard = drops.guard();
            let (started, running) = oneshot::channel();
            let gate = Gate::new();
            let task = rt.handle().go({
                let gate = gate.clone();
                move || {
                    let lent = guard;
                    let f = || {
                        let _lent = &lent;
                        started.send(()).unwrap();
                        gate.wait();
                    };
                    if dedicates {
                        dedicated(f).unwrap();
                    } else {
                        blocking(f);
                    }
                    wait(pending::<()>());
                }
            });
            rt.block_on(running).unwrap();
            let opener = thread::spawn(move || gate.open());
            drop(rt);
            opener.join().unwrap();
            assert!(task.is_finished());
            assert_eq!(drops.alive(), 0);
        });
    }
}

#[test]
fn a_runtime_ends_around_migratable_tasks() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let ready = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 {
            let (guard, ready) = (drops.guard(), ready.clone());
            let f = move || {
                let _guard = guard;
                ready.fetch_add(1, Ordering::Relaxed);
                wait(pending::<()>());
            };
            // SAFETY: a guard is Send, and there is no thread-local.
            let builder = unsafe { stackful::Builder::new().migratable() };
            builder.go_on(f, rt.handle()).unwrap();
        }
        run_until(&rt, || ready.load(Ordering::Relaxed) == 20);
        drop(rt);
        assert_eq!(drops.alive(), 0);
    });
}

/// Starts a migratable task.
fn go_migratable(rt: &Runtime, f: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    // SAFETY: what the tests here have on the stack is Send, and they use no thread-local.
    let builder = unsafe { stackful::Builder::new().migratable() };
    builder.go_on(f, rt.handle()).unwrap()
}

#[test]
fn a_destructor_may_wait_for_a_migratable_task_while_the_runtime_ends() {
    struct WaitsFor(Option<JoinHandle<()>>);
    impl Drop for WaitsFor {
        fn drop(&mut self) {
            assert!(wait(self.0.take().unwrap()).unwrap_err().is_cancelled());
        }
    }
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let ready = Arc::new(AtomicUsize::new(0));
        let (guard, told) = (drops.guard(), ready.clone());
        let movable = go_migratable(&rt, move || {
            let _guard = guard;
            told.fetch_add(1, Ordering::Relaxed);
            wait(pending::<()>());
        });
        let (guard, told) = (drops.guard(), ready.clone());
        rt.handle().go(move || {
            let (_guard, _waits) = (guard, WaitsFor(Some(movable)));
            told.fetch_add(1, Ordering::Relaxed);
            wait(pending::<()>());
        });
        run_until(&rt, || ready.load(Ordering::Relaxed) == 2);
        drop(rt);
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_runtime_that_ends_in_the_background_leaves_a_migratable_task_in_blocking_code_behind() {
    on_each_flavor(|rt| {
        let (drops, gate) = (Drops::new(), Gate::new());
        let (tell, told) = oneshot::channel();
        let (guard, held) = (drops.guard(), gate.clone());
        let task = go_migratable(&rt, move || {
            let _guard = guard;
            blocking(|| {
                tell.send(()).unwrap();
                held.wait();
            });
        });
        rt.block_on(told).unwrap();
        rt.shutdown_background();
        assert!(!task.is_finished());
        gate.open();
        current_thread().block_on(task).unwrap();
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn a_runtime_that_has_ended_takes_no_tasks() {
    let rt = multi_thread(1);
    let handle = rt.handle().clone();
    drop(rt);
    let drops = Drops::new();
    let guard = drops.guard();
    let task = handle.go(move || drop(guard));
    assert_eq!(drops.alive(), 0);
    let error = current_thread().block_on(task).unwrap_err();
    assert!(error.is_cancelled());
}

#[test]
fn a_runtime_that_ends_inside_a_stackful_task_is_refused_or_left_to_the_background() {
    on_each_flavor(|rt| {
        let other = multi_thread(1);
        let (give, given) = oneshot::channel();
        let drops = Drops::new();
        let guard = drops.guard();
        let (tell, told) = oneshot::channel();
        other.handle().go(move || {
            let _guard = guard;
            tell.send(()).unwrap();
            wait(pending::<()>());
        });
        rt.block_on(told).unwrap();
        let task = rt.handle().go(move || {
            let other = wait(given).unwrap();
            let dropped = catch_unwind(AssertUnwindSafe(|| {
                drop::<runnext::runtime::Runtime>(other)
            }));
            let third = multi_thread(1);
            // Waits on another thread, and so may.
            blocking(move || drop(third));
            common::text(&*dropped.unwrap_err())
        });
        assert!(give.send(other).is_ok());
        let message = rt.block_on(task).unwrap();
        assert!(message.contains("cannot drop a runtime"), "{message}");
        run_until(&rt, || drops.alive() == 0);
    });
}

#[test]
fn in_place_of_a_task_whose_thread_has_no_processor_does_not_wait_for_itself() {
    let rt = multi_thread(1);
    let drops = Drops::new();
    let guard = drops.guard();
    let busy = Arc::new(AtomicBool::new(true));
    let (give, given) = std::sync::mpsc::channel::<runnext::runtime::Runtime>();
    let (tell, told) = std::sync::mpsc::channel();
    rt.handle().go(move || {
        let _guard = guard;
        let (begun, has_begun) = std::sync::mpsc::channel();
        let keeps = busy.clone();
        spawn(async move {
            begun.send(()).unwrap();
            while keeps.load(Ordering::Relaxed) {
                thread::yield_now();
            }
        });
        // Gives the only processor to the one that keeps it.
        block_in_place(|| has_begun.recv().unwrap());
        stackful::yield_now();
        let dropped = block_in_place(|| {
            let rt = given.recv().unwrap();
            catch_unwind(AssertUnwindSafe(|| drop(rt)))
        });
        busy.store(false, Ordering::Relaxed);
        tell.send(common::text(&*dropped.unwrap_err())).unwrap();
    });
    give.send(rt).unwrap();
    let message = told.recv().unwrap();
    assert!(message.contains("cannot drop a runtime"), "{message}");
    while drops.alive() > 0 {
        thread::yield_now();
    }
}

#[test]
fn the_sender_of_a_task_that_ended_with_its_runtime_is_dropped() {
    let rt = multi_thread(2);
    let (tx, mut rx) = mpsc::channel::<()>(1);
    let (tell, told) = oneshot::channel();
    rt.handle().go(move || {
        let _tx = tx;
        tell.send(()).unwrap();
        wait(pending::<()>());
    });
    rt.block_on(told).unwrap();
    drop(rt);
    assert_eq!(current_thread().block_on(rx.recv()), None);
}

#[test]
fn a_destructor_that_waits_already_when_the_runtime_ends() {
    struct Waits(Option<JoinHandle<()>>, std::sync::mpsc::Sender<bool>);
    impl Drop for Waits {
        fn drop(&mut self) {
            let mut task = self.0.take().unwrap();
            let ended = wait(std::future::poll_fn(|cx| {
                let poll = std::pin::Pin::new(&mut task).poll(cx);
                let _told = self.1.send(false);
                poll
            }));
            self.1.send(ended.unwrap_err().is_cancelled()).unwrap();
        }
    }
    let rt = multi_thread(2);
    let (tell, told) = std::sync::mpsc::channel();
    rt.handle().go(move || {
        let _waits = Waits(Some(spawn(pending())), tell);
        std::panic::resume_unwind(Box::new("unwinds"));
    });
    assert!(!told.recv().unwrap());
    drop(rt);
    assert!(told.iter().last().unwrap());
}

#[test]
fn a_task_that_blocks_its_thread_for_a_future_when_the_runtime_ends() {
    runnext::task_local! {
        static KEY: u32;
    }
    let rt = multi_thread(2);
    let (tell, told) = std::sync::mpsc::channel();
    rt.handle().go(move || {
        // A wait while the value is lent cannot leave the stack.
        KEY.sync_scope(1, || {
            KEY.with(|_| {
                let (held, dropped) = oneshot::channel::<()>();
                spawn(async move {
                    let _held = held;
                    pending::<()>().await;
                });
                tell.send(()).unwrap();
                assert!(wait(dropped).is_err());
                tell.send(()).unwrap();
            });
        });
    });
    told.recv().unwrap();
    drop(rt);
    told.recv().unwrap();
}

#[test]
fn a_future_that_blocks_in_place_for_something_on_a_stack_gets_it() {
    for round in 0..20 {
        let rt = multi_thread(2);
        let drops = Drops::new();
        let (tx, rx) = std::sync::mpsc::channel::<()>();
        let [future_begun, waits] = [0; 2].map(|_| Arc::new(AtomicBool::new(false)));
        let guard = drops.guard();
        let stackful = rt.handle().go({
            let (future_begun, waits) = (future_begun.clone(), waits.clone());
            move || {
                let _held = (guard, tx);
                // Keeps the thread, so that the future blocks another one: this one is the task's.
                while !future_begun.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
                waits.store(true, Ordering::Relaxed);
                wait(pending::<()>());
            }
        });
        let guard = drops.guard();
        rt.spawn(async move {
            let _guard = guard;
            future_begun.store(true, Ordering::Relaxed);
            block_in_place(|| {
                if round % 2 == 0 {
                    rx.recv().unwrap_err();
                } else {
                    let error = runnext::runtime::Handle::current().block_on(stackful);
                    assert!(error.unwrap_err().is_cancelled());
                }
            });
        });
        while !waits.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        drop(rt);
        assert_eq!(drops.alive(), 0);
    }
}
