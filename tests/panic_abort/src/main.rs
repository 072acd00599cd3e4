//! What becomes of aborted stackful tasks where nothing can unwind: their stacks are leaked, and the
//! process lives on.
//!
//! ```text
//! cargo run --package runnext-panic-abort --profile panic-abort
//! ```
//!
//! A program of its own, since cargo compiles tests with unwinding, whatever the profile says.

use runnext::runtime::{Builder, Runtime};
use runnext::stackful::{self, blocking, scope, yield_now};
use runnext::{go, wait};
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// What is on the stack of a task.
struct OnTheStack;

impl Drop for OnTheStack {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

fn runtime(workers: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).build().unwrap()
}

fn main() {
    if !cfg!(panic = "abort") {
        panic!("see above how to run this");
    }
    for workers in [1, 2] {
        tasks_are_aborted(workers);
        tasks_meet_the_end_of_their_runtime(workers);
    }
    assert_eq!(DROPPED.load(Ordering::Relaxed), 0);
    println!("alive");
}

fn tasks_are_aborted(workers: usize) {
    let rt = runtime(workers);
    rt.block_on(async {
        let (begun, has_begun) = mpsc::channel();
        let waits = go({
            let begun = begun.clone();
            move || {
                let _kept = OnTheStack;
                begun.send(()).unwrap();
                wait(pending::<()>());
            }
        });
        let yields = go(move || {
            let _kept = OnTheStack;
            begun.send(()).unwrap();
            loop {
                yield_now();
            }
        });
        runnext::task::spawn_blocking(move || {
            has_begun.recv().unwrap();
            has_begun.recv().unwrap();
        })
        .await
        .unwrap();
        for task in [waits, yields] {
            task.abort();
            let error: runnext::task::JoinError = task.await.unwrap_err();
            assert!(error.is_cancelled(), "{error}");
        }
        // Others go on.
        assert_eq!(go(|| 6 * 7).await.unwrap(), 42);
    });
    assert_eq!(rt.metrics().num_alive_tasks(), 0);
}

fn tasks_meet_the_end_of_their_runtime(workers: usize) {
    let rt = runtime(workers);
    let (begun, has_begun) = mpsc::channel();
    let mut tasks = Vec::new();
    for _ in 0..100 {
        let begun = begun.clone();
        tasks.push(rt.handle().go(move || {
            let _kept = OnTheStack;
            begun.send(()).unwrap();
            wait(pending::<()>());
        }));
    }
    // A parent and its child, each of which waits; and one that waits for another thread.
    tasks.push(rt.handle().go({
        let begun = begun.clone();
        move || {
            let kept = OnTheStack;
            scope(|s| {
                s.go(|| {
                    let _borrowed = &kept;
                    begun.send(()).unwrap();
                    wait(pending::<()>());
                });
            });
        }
    }));
    let (go_on, may_go_on) = mpsc::channel::<()>();
    tasks.push(rt.handle().go({
        let begun = begun.clone();
        move || {
            // Not counted: this one may end before the runtime does.
            let kept = &[1; 64];
            blocking(move || {
                begun.send(()).unwrap();
                // The sender says nothing, and goes away.
                let _gone = may_go_on.recv();
                assert_eq!(kept, &[1; 64]);
            });
        }
    }));
    let larger = stackful::Builder::new().stack_size(1 << 20).go_on(
        move || {
            let _kept = OnTheStack;
            begun.send(()).unwrap();
            wait(pending::<()>());
        },
        rt.handle(),
    );
    tasks.push(larger.unwrap());
    for _ in 0..tasks.len() {
        has_begun.recv().unwrap();
    }
    drop(go_on);
    drop(rt);
    let after = runtime(1);
    for task in tasks {
        let ended = after.block_on(task);
        // That one may have an output.
        assert!(ended.map_or_else(|error| error.is_cancelled(), |()| true));
    }
}
