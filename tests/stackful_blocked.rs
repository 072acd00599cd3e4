//! Stackful tasks that must not leave their stack where they wait: they block their thread, and what
//! they wait for runs on another one, even if there is a single worker.
#![cfg(stackful)]

mod common;

use common::{multi_thread, on_each_flavor};
use runnext::runtime::Runtime;
use runnext::stackful::{self, scope};
use runnext::task::JoinHandle;
use runnext::wait;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Runs `f` as a task that may move, inside of a guard that it must not move with.
fn entered<T: Send + 'static>(
    rt: &Runtime,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let handle = rt.handle().clone();
    let builder = stackful::Builder::new();
    // SAFETY: inside of the guard the task does not move, and outside it does not wait.
    let builder = unsafe { builder.migratable() };
    let task = builder.go_on(
        move || {
            let _entered = handle.enter();
            f()
        },
        rt.handle(),
    );
    task.unwrap()
}

#[test]
fn a_task_that_must_not_move_waits_for_others() {
    let rt = multi_thread(1);
    let task = entered(&rt, || {
        let future = runnext::spawn(async { 20 });
        let stackful = runnext::go(|| 22);
        wait(future).unwrap() + wait(stackful).unwrap()
    });
    assert_eq!(rt.block_on(task).unwrap(), 42);
}

#[test]
fn a_scope_that_must_not_move_waits_for_its_children() {
    let rt = multi_thread(1);
    let task = entered(&rt, || {
        let numbers = [20, 22];
        let sum = AtomicUsize::new(0);
        scope(|s| {
            for number in &numbers {
                s.go(|| sum.fetch_add(*number, Ordering::Relaxed));
            }
        });
        sum.into_inner()
    });
    assert_eq!(rt.block_on(task).unwrap(), 42);
}

#[test]
fn what_blocks_in_place_of_a_wait_lets_others_run() {
    let rt = multi_thread(1);
    let task = entered(&rt, || {
        // What a future sends, that is run by another thread.
        let sent = |number| {
            let (tell, told) = mpsc::channel();
            runnext::spawn(async move { tell.send(number).unwrap() });
            move || told.recv().unwrap()
        };
        stackful::blocking(sent(20)) + stackful::dedicated(sent(22)).unwrap()
    });
    assert_eq!(rt.block_on(task).unwrap(), 42);
}

#[test]
fn a_destructor_that_waits_while_its_task_unwinds_lets_others_run() {
    struct Waits(Arc<AtomicUsize>);
    impl Drop for Waits {
        fn drop(&mut self) {
            let future = runnext::spawn(async { 20 });
            let stackful = runnext::go(|| 22);
            let sum = wait(future).unwrap() + wait(stackful).unwrap();
            self.0.store(sum, Ordering::Relaxed);
        }
    }
    on_each_flavor(|rt| {
        let sum = Arc::new(AtomicUsize::new(0));
        let waits = Waits(sum.clone());
        let task = rt.handle().go(move || {
            let _waits = waits;
            resume_unwind(Box::new("on purpose"));
        });
        assert!(rt.block_on(task).unwrap_err().is_panic());
        assert_eq!(sum.load(Ordering::Relaxed), 42);
        // And all is as it was.
        assert_eq!(rt.block_on(rt.handle().go(|| 7)).unwrap(), 7);
    });
}
