//! What is said where a runtime is missing, is there twice, or was asked for in vain; and what
//! guards of `enter` do.

mod common;

use common::{Drops, current_thread, multi_thread, on_each_flavor, panic_and_file_of, panic_of};
use runnext::runtime::{Builder, Handle, Runtime};
use runnext::task::{self, LocalSet};
use std::future::pending;

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
}

/// `f` panics with all of `parts`, and the panic points to the line in this file that is wrong.
#[track_caller]
fn refused<R>(f: impl FnOnce() -> R, parts: &[&str]) {
    let (message, file) = panic_and_file_of(f);
    assert_says(&message, parts);
    assert_eq!(file, file!(), "the panic should point to the caller");
}

const NO_RUNTIME: &[&str] = &[
    "there is no runtime on this thread",
    "`block_on`",
    "`#[runnext::main]`",
    "`Handle::enter`",
];

mod without_one {
    use super::*;

    #[test]
    fn spawn_says_what_is_missing_and_drops_the_future() {
        let drops = Drops::new();
        let guard = drops.guard();
        refused(|| runnext::spawn(async move { drop(guard) }), NO_RUNTIME);
        assert_eq!(drops.alive(), 0);
    }

    #[test]
    fn spawn_blocking_says_what_is_missing_and_drops_the_closure() {
        let drops = Drops::new();
        let guard = drops.guard();
        refused(|| task::spawn_blocking(move || drop(guard)), NO_RUNTIME);
        assert_eq!(drops.alive(), 0);
    }

    #[test]
    fn the_task_builder_says_what_is_missing() {
        refused(
            || task::Builder::new().name("a").spawn(async {}),
            NO_RUNTIME,
        );
        refused(|| task::Builder::new().spawn_blocking(|| ()), NO_RUNTIME);
    }

    #[test]
    fn the_current_handle_is_missing() {
        refused(|| Handle::current(), NO_RUNTIME);
        let error = Handle::try_current().unwrap_err();
        assert_says(&error.to_string(), NO_RUNTIME);
    }

    #[test]
    fn spawn_local_says_what_is_missing_and_drops_the_future() {
        let parts = [
            "`spawn_local`",
            "outside of a `LocalSet`",
            "`LocalSet::run_until`",
        ];
        let drops = Drops::new();
        let guard = drops.guard();
        refused(|| task::spawn_local(async move { drop(guard) }), &parts);
        assert_eq!(drops.alive(), 0);
        refused(|| task::Builder::new().spawn_local(async {}), &parts);
    }

    #[test]
    fn there_is_no_task_id() {
        assert_eq!(task::try_id(), None);
        assert_eq!(task::name(), None);
        assert!(task::labels().is_empty());
        refused(|| task::id(), &["outside of a task", "`try_id`"]);
    }

    #[test]
    fn block_in_place_runs_the_closure() {
        assert_eq!(task::block_in_place(|| 7), 7);
    }

    #[test]
    fn another_thread_does_not_inherit_it() {
        on_each_flavor(|rt| {
            rt.block_on(async {
                let elsewhere = std::thread::spawn(|| Handle::try_current().is_err());
                assert!(elsewhere.join().unwrap());
            });
        });
    }

    #[test]
    fn it_is_gone_when_block_on_ends() {
        on_each_flavor(|rt| {
            rt.block_on(async { Handle::current() });
            assert!(Handle::try_current().is_err());
            panic_of(|| rt.block_on(async { panic!("the root panics") }));
            assert!(Handle::try_current().is_err());
        });
    }
}

mod inside_of_one {
    use super::*;

    const BLOCKS: &[&str] = &[
        "cannot call `block_on` here",
        "`.await`",
        "`task::block_in_place`",
        "`spawn_blocking`",
    ];

    #[test]
    fn block_on_in_a_root_future_is_refused_and_drops_the_future() {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            rt.block_on(async {
                let guard = drops.guard();
                refused(|| rt.block_on(async move { drop(guard) }), BLOCKS);
                assert_eq!(drops.alive(), 0);
                refused(|| LocalSet::new().block_on(&rt, async {}), BLOCKS);
                // The runtime is none the worse for it.
                assert_eq!(runnext::spawn(async { 7 }).await.unwrap(), 7);
            });
        });
    }

    #[cfg(stackful)]
    #[test]
    fn block_on_in_a_stackful_task_is_refused_and_names_wait() {
        on_each_flavor(|rt| {
            let task = rt.handle().go(|| Handle::current().block_on(async {}));
            let error = rt.block_on(task).unwrap_err();
            let message = common::text(&*error.into_panic());
            assert_says(&message, &["cannot call `block_on`", "`runnext::wait`"]);
        });
    }

    #[test]
    fn block_on_in_a_task_is_refused() {
        on_each_flavor(|rt| {
            let result = rt.block_on(async {
                runnext::spawn(async { Handle::current().block_on(async {}) }).await
            });
            let message = common::text(&*result.unwrap_err().into_panic());
            assert_says(&message, BLOCKS);
            assert_eq!(rt.block_on(async { 7 }), 7);
        });
    }

    #[test]
    fn block_on_of_another_runtime_is_refused_too() {
        on_each_flavor(|rt| {
            let other = multi_thread(1);
            rt.block_on(async { refused(|| other.block_on(async {}), BLOCKS) });
            assert_eq!(other.block_on(async { 7 }), 7);
        });
    }

    #[test]
    fn block_on_in_a_local_task_is_refused() {
        let rt = current_thread();
        let result = LocalSet::new().block_on(&rt, async {
            task::spawn_local(async { Handle::current().block_on(async {}) }).await
        });
        let message = common::text(&*result.unwrap_err().into_panic());
        assert_says(&message, BLOCKS);
    }

    #[test]
    fn block_on_where_a_future_is_dropped_is_refused() {
        struct BlocksOnDrop(Handle);
        impl Drop for BlocksOnDrop {
            fn drop(&mut self) {
                refused(|| self.0.block_on(async {}), BLOCKS);
            }
        }
        on_each_flavor(|rt| {
            let blocks = BlocksOnDrop(rt.handle().clone());
            let drops = Drops::new();
            let guard = drops.guard();
            let task = rt.spawn(async move {
                let _guards = (guard, blocks);
                pending::<()>().await;
            });
            drop(rt);
            assert_eq!(drops.alive(), 0);
            assert!(task.is_finished());
        });
    }

    #[test]
    fn the_root_future_is_no_task() {
        on_each_flavor(|rt| {
            rt.block_on(async {
                assert_eq!(task::try_id(), None);
                refused(|| task::id(), &["outside of a task"]);
            });
        });
    }

    #[test]
    fn block_in_place_needs_other_threads() {
        let parts = ["`block_in_place`", "current-thread", "`spawn_blocking`"];
        let rt = current_thread();
        rt.block_on(async {
            let drops = Drops::new();
            let guard = drops.guard();
            refused(|| task::block_in_place(move || drop(guard)), &parts);
            assert_eq!(drops.alive(), 0);
            let task = runnext::spawn(async { task::block_in_place(|| ()) });
            let message = common::text(&*task.await.unwrap_err().into_panic());
            assert_says(&message, &parts);
        });
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let multi = Builder::new_multi_thread;
    refused(
        || multi().worker_threads(0).build(),
        &["`worker_threads` cannot be 0", "use 1"],
    );
    refused(
        || multi().worker_threads(32_769).build(),
        &["`worker_threads` cannot be 32769", "32768"],
    );
    refused(
        || multi().max_blocking_threads(0).build(),
        &["`max_blocking_threads` cannot be 0"],
    );
    refused(
        || multi().global_queue_interval(0).build(),
        &["`global_queue_interval` cannot be 0", "use 1"],
    );
    refused(
        || multi().event_interval(0).build(),
        &["`event_interval` cannot be 0", "use 1"],
    );
}

#[test]
fn a_thread_name_that_the_system_cannot_take_is_refused_or_harmless() {
    let built = std::panic::catch_unwind(|| {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .thread_name("a\0b")
            .build()
            .unwrap()
    });
    // A builder that takes it makes a runtime that works, and that ends.
    if let Ok(rt) = built {
        let handle = rt.handle().clone();
        let closure = handle.spawn_blocking(|| 7);
        assert_eq!(rt.block_on(closure).unwrap(), 7);
    }
}

mod entering {
    use super::*;

    fn entered() -> runnext::runtime::Id {
        Handle::current().id()
    }

    #[test]
    fn makes_it_current_until_the_guard_goes() {
        on_each_flavor(|rt| {
            let guard = rt.enter();
            assert_eq!(entered(), rt.handle().id());
            let task = runnext::spawn(async { 7 });
            drop(guard);
            assert!(Handle::try_current().is_err());
            assert_eq!(rt.block_on(task).unwrap(), 7);
        });
    }

    #[test]
    fn nests() {
        let (a, b) = (current_thread(), multi_thread(1));
        let first = a.enter();
        let second = b.enter();
        let third = a.enter();
        assert_eq!(entered(), a.handle().id());
        drop(third);
        assert_eq!(entered(), b.handle().id());
        b.block_on(async { assert_eq!(entered(), b.handle().id()) });
        a.block_on(async { assert_eq!(entered(), a.handle().id()) });
        assert_eq!(entered(), b.handle().id());
        drop(second);
        assert_eq!(entered(), a.handle().id());
        drop(first);
        assert!(Handle::try_current().is_err());
    }

    #[test]
    fn inside_of_a_task_of_another_runtime_sends_tasks_there() {
        on_each_flavor(|rt| {
            let other = multi_thread(1);
            let handle = other.handle().clone();
            rt.block_on(async {
                let task = runnext::spawn(async move {
                    let there = {
                        let _guard = handle.enter();
                        runnext::spawn(async { entered() })
                    };
                    (there.await.unwrap(), entered())
                });
                let (there, here) = task.await.unwrap();
                assert_eq!(there, other.handle().id());
                assert_eq!(here, rt.handle().id());
            });
        });
    }

    #[test]
    fn and_leaving_out_of_order_panics_and_breaks_nothing() {
        let (a, b) = (multi_thread(1), multi_thread(1));
        let first = a.enter();
        let second = b.enter();
        let message = panic_of(|| drop(first));
        assert_says(&message, &["dropped out of order", "reverse order"]);
        assert_eq!(entered(), b.handle().id());
        drop(second);
        // What was left in the wrong order stays entered.
        assert_eq!(entered(), a.handle().id());
        let third = b.enter();
        assert_eq!(entered(), b.handle().id());
        drop(third);
        let task = runnext::spawn(async { 7 });
        assert_eq!(a.block_on(task).unwrap(), 7);
        drop(a);
        let late = runnext::spawn(async { 7 });
        assert!(b.block_on(late).unwrap_err().is_cancelled());
    }

    #[test]
    fn and_leaving_out_of_order_while_unwinding_does_not_abort() {
        let (a, b) = (multi_thread(1), multi_thread(1));
        let message = panic_of(|| {
            // Dropped in the order of the fields, which is the wrong one.
            let _guards = (a.enter(), b.enter());
            panic!("on the way out");
        });
        assert_eq!(message, "on the way out");
    }

    #[test]
    fn a_leaked_guard_keeps_it_entered() {
        let rt = multi_thread(1);
        let handle = rt.handle().clone();
        std::mem::forget(handle.enter());
        assert_eq!(rt.block_on(runnext::spawn(async { 7 })).unwrap(), 7);
        let id = rt.handle().id();
        drop(rt);
        drop(handle);
        // The runtime is over, but its remains are there for as long as they can be reached.
        assert_eq!(entered(), id);
        let late = runnext::spawn(async { 7 });
        let other = current_thread();
        assert!(other.block_on(late).unwrap_err().is_cancelled());
    }

    #[test]
    fn a_guard_leaked_in_a_root_future_ends_with_the_block_on() {
        let (a, b) = (multi_thread(1), multi_thread(1));
        let handle = b.handle().clone();
        a.block_on(async {
            std::mem::forget(handle.enter());
            assert_eq!(entered(), b.handle().id());
        });
        assert!(Handle::try_current().is_err());
        assert_eq!(
            a.block_on(async { runnext::spawn(async { 7 }).await.unwrap() }),
            7
        );
    }

    #[test]
    fn a_guard_that_outlives_its_block_on_or_crosses_into_one_is_harmless() {
        let (a, b) = (multi_thread(1), multi_thread(1));
        let handle = b.handle().clone();
        let escaped = a.block_on(async { handle.enter() });
        assert!(Handle::try_current().is_err());
        assert_says(&panic_of(|| drop(escaped)), &["dropped out of order"]);

        let outside = handle.enter();
        let message = panic_of(|| a.block_on(async move { drop(outside) }));
        assert_says(&message, &["dropped out of order"]);
        assert_eq!(entered(), b.handle().id());
        assert_eq!(
            a.block_on(async { runnext::spawn(async { 7 }).await.unwrap() }),
            7
        );
    }

    #[test]
    fn a_guard_leaked_in_a_task_does_not_stop_the_others() {
        let (a, b) = (multi_thread(1), multi_thread(1));
        let handle = b.handle().clone();
        a.block_on(async {
            let leaks = runnext::spawn(async move { std::mem::forget(handle.enter()) });
            leaks.await.unwrap();
            let a = Handle::current();
            for n in 0..1_000 {
                assert_eq!(a.spawn(async move { n }).await.unwrap(), n);
            }
        });
        assert_eq!(b.block_on(async { 7 }), 7);
    }

    #[test]
    fn a_guard_held_beyond_the_end_of_the_runtime_is_harmless() {
        let rt = Runtime::new().unwrap();
        let handle = rt.handle().clone();
        let guard = handle.enter();
        let drops = Drops::new();
        let before = runnext::spawn({
            let guard = drops.guard();
            async move {
                pending::<()>().await;
                drop(guard);
            }
        });
        drop(rt);
        assert_eq!(drops.alive(), 0);
        assert!(before.is_finished());
        let late = drops.guard();
        let late = runnext::spawn(async move { drop(late) });
        assert!(late.is_finished());
        assert_eq!(drops.alive(), 0);
        drop(guard);
        assert!(Handle::try_current().is_err());
    }
}

#[test]
fn the_reason_that_there_is_no_runtime_is_told() {
    let error = runnext::runtime::Handle::try_current().unwrap_err();
    assert!(error.is_missing_context());
    assert!(!error.is_thread_local_destroyed());
}
