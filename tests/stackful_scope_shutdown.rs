//! Scopes whose tasks do not begin any more, or are ended early, since the runtime ends or their
//! parent is aborted: code that relies on them does not go on as if they had run.
#![cfg(stackful)]

mod common;

use common::{multi_thread, on_each_flavor, panic_of};
use runnext::stackful::{scope, yield_now};
use runnext::sync::oneshot;
use runnext::wait;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_child_that_is_dropped_before_it_began_is_a_panic_of_its_scope() {
    on_each_flavor(|rt| {
        let handle = rt.handle().clone();
        drop(rt);
        let _entered = handle.enter();
        let mut ran = false;
        let said = panic_of(|| {
            scope(|s| {
                s.go(|| ran = true);
            });
        });
        assert!(said.contains("dropped before it began"), "{said}");
        assert!(!ran);
    });
}

#[test]
fn a_child_that_is_dropped_before_it_began_is_cancelled_to_who_joins_it() {
    on_each_flavor(|rt| {
        let handle = rt.handle().clone();
        drop(rt);
        let _entered = handle.enter();
        let error = scope(|s| s.go(|| ()).join()).unwrap_err();
        assert!(error.is_cancelled(), "{error}");
    });
}

#[test]
fn a_child_that_was_aborted_by_its_handle_is_no_loss() {
    on_each_flavor(|rt| {
        let handle = rt.handle().clone();
        let task = rt.handle().go(|| {
            scope(|s| s.go(|| wait(pending::<()>())).abort());
        });
        rt.block_on(task).unwrap();
        drop(rt);
        let _entered = handle.enter();
        // Dropped first, and aborted then.
        scope(|s| s.go(|| ()).abort());
    });
}

#[test]
fn a_child_of_a_scope_that_unwinds_is_no_loss() {
    on_each_flavor(|rt| {
        let handle = rt.handle().clone();
        drop(rt);
        let _entered = handle.enter();
        let said = panic_of(|| {
            scope(|s| {
                s.go(|| ());
                panic!("of its own");
            });
        });
        assert_eq!(said, "of its own");
    });
}

#[test]
fn who_is_aborted_at_the_end_of_a_scope_does_not_go_on_after_it() {
    let rt = multi_thread(1);
    let went_on = Arc::new(AtomicBool::new(false));
    let (begun, has_begun) = oneshot::channel();
    let task = rt.handle().go({
        let went_on = went_on.clone();
        move || {
            scope(|s| {
                s.go(|| {
                    begun.send(()).unwrap();
                    wait(pending::<()>());
                });
            });
            went_on.store(true, Ordering::Relaxed);
            yield_now();
        }
    });
    rt.block_on(async {
        has_begun.await.unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert!(!went_on.load(Ordering::Relaxed));
}
