//! Panics in every place where the user's code runs: each ends one task, or reaches the one who
//! asked for it, and nobody else; whatever was alive is dropped once.

mod common;

use common::{
    Drops, Guard, PanicsOnDrop, current_thread, multi_thread, on_each_flavor, panic_of, poll_once,
    run_until, text,
};
use runnext::runtime::{Builder, Runtime};
use runnext::sync::oneshot;
use runnext::task::{JoinError, JoinHandle, block_in_place, spawn_blocking, yield_now};
use std::future::{pending, poll_fn};
use std::panic::panic_any;
use std::task::Poll;

fn message(error: JoinError) -> String {
    assert!(error.is_panic() && !error.is_cancelled(), "{error}");
    text(&*error.into_panic())
}

/// The runtime runs tasks and closures, and has nothing left of the test.
#[track_caller]
fn assert_well(rt: &Runtime) {
    let sum = rt.block_on(async {
        let tasks: Vec<JoinHandle<u32>> = (0..10)
            .map(|n| {
                runnext::spawn(async move {
                    yield_now().await;
                    n
                })
            })
            .collect();
        let mut sum = spawn_blocking(|| 100).await.unwrap();
        for task in tasks {
            sum += task.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, 145);
    // Tasks that nobody waited for may be about to end.
    run_until(rt, || rt.metrics().num_alive_tasks() == 0);
}

mod in_a_future {
    use super::*;

    #[test]
    fn ends_the_task_and_reaches_the_joiner() {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            for before in [0, 1, 3] {
                let guard = drops.guard();
                let task = rt.spawn(async move {
                    let _guard = guard;
                    for _ in 0..before {
                        yield_now().await;
                    }
                    panic!("after {before} yields");
                });
                let id = task.id();
                let error = rt.block_on(task).unwrap_err();
                assert_eq!(error.id(), id);
                let shown = format!("task {id} panicked with message \"after {before} yields\"");
                assert_eq!(error.to_string(), shown);
                assert!(format!("{error:?}").contains("after"), "{error:?}");
                assert_eq!(message(error), format!("after {before} yields"));
                assert_eq!(drops.alive(), 0);
            }
            assert_well(&rt);
        });
    }

    #[test]
    fn passes_the_payload_on_as_it_is() {
        let rt = current_thread();
        let drops = Drops::new();
        let guard = drops.guard();
        let task = rt.spawn(async move { panic_any(guard) });
        let error = rt.block_on(task).unwrap_err();
        assert!(error.to_string().ends_with("panicked"), "{error}");
        let payload = error.try_into_panic().unwrap();
        assert_eq!(drops.alive(), 1);
        drop(payload.downcast::<Guard>().unwrap());
        assert_eq!(drops.alive(), 0);

        let cancelled = rt.spawn(pending::<()>());
        cancelled.abort();
        let error = rt.block_on(cancelled).unwrap_err();
        let error = error.try_into_panic().unwrap_err();
        assert!(error.is_cancelled());
        assert!(panic_of(|| error.into_panic()).contains("not a panic"));
    }

    #[test]
    fn does_not_touch_the_others() {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            rt.block_on(async {
                let tasks: Vec<_> = (0..400)
                    .map(|n| {
                        let guard = drops.guard();
                        runnext::spawn(async move {
                            let _guard = guard;
                            for _ in 0..n % 7 {
                                yield_now().await;
                            }
                            if n % 3 == 0 {
                                std::panic::resume_unwind(Box::new(n));
                            }
                            n
                        })
                    })
                    .collect();
                for (n, task) in tasks.into_iter().enumerate() {
                    match task.await {
                        Ok(out) => assert_eq!(out, n),
                        Err(error) => {
                            let payload = error.into_panic().downcast::<usize>().unwrap();
                            assert_eq!((*payload, n % 3), (n, 0));
                        }
                    }
                }
            });
            assert_eq!(drops.dropped(), 400);
            assert_well(&rt);
        });
    }

    #[test]
    fn ends_with_a_detached_task() {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            let (sent, seen) = oneshot::channel::<()>();
            let guard = drops.guard();
            drop(rt.spawn(async move {
                let (_sent, _guard) = (sent, guard);
                panic!("nobody hears this");
            }));
            rt.block_on(seen).unwrap_err();
            drop(rt);
            assert_eq!(drops.alive(), 0);
        });
    }
}

mod in_a_destructor {
    use super::*;

    #[test]
    fn of_a_future_that_has_its_output_leaves_the_output() {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            let bad = PanicsOnDrop(drops.guard(), "dropped with an output");
            let task = rt.spawn(poll_fn(move |_| {
                let _bad = &bad;
                Poll::Ready(7)
            }));
            assert_eq!(rt.block_on(task).unwrap(), 7);
            assert_eq!(drops.alive(), 0);
            assert_well(&rt);
        });
    }

    #[test]
    fn of_a_future_that_panicked_leaves_the_first_panic() {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            let bad = PanicsOnDrop(drops.guard(), "the second");
            let task = rt.spawn(poll_fn(move |_| -> Poll<()> {
                let _bad = &bad;
                panic!("the first")
            }));
            assert_eq!(message(rt.block_on(task).unwrap_err()), "the first");
            assert_eq!(drops.alive(), 0);
            assert_well(&rt);
        });
    }

    #[test]
    fn of_an_aborted_future_reaches_the_joiner() {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            let waiting = |polled: bool| {
                let bad = PanicsOnDrop(drops.guard(), "dropped by the abort");
                let (started, seen) = oneshot::channel();
                let task = rt.spawn(async move {
                    let _bad = bad;
                    started.send(()).unwrap();
                    pending::<()>().await;
                });
                if polled {
                    rt.block_on(seen).unwrap();
                }
                task.abort();
                task
            };
            for polled in [false, true] {
                let task = waiting(polled);
                assert_eq!(
                    message(rt.block_on(task).unwrap_err()),
                    "dropped by the abort"
                );
                drop(waiting(polled));
            }
            assert_well(&rt);
            assert_eq!(drops.dropped(), 4);
        });
    }

    #[test]
    fn of_futures_at_the_shutdown_does_not_stop_it() {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            let tasks: Vec<_> = (0..100)
                .map(|_| {
                    let bad = PanicsOnDrop(drops.guard(), "dropped by the shutdown");
                    rt.spawn(async move {
                        let _bad = bad;
                        pending::<()>().await;
                    })
                })
                .collect();
            // Some of them have been polled by then, and the others not.
            rt.block_on(rt.spawn(async {})).unwrap();
            drop(rt);
            assert_eq!(drops.dropped(), 100);
            assert!(tasks.iter().all(JoinHandle::is_finished));
            let error = current_thread().block_on(tasks.into_iter().next().unwrap());
            assert_eq!(message(error.unwrap_err()), "dropped by the shutdown");
        });
    }

    #[test]
    fn of_an_output_that_nobody_wants_ends_there() {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            let output = || PanicsOnDrop(drops.guard(), "an output nobody wants");
            // Detached before it ends, and detached after.
            let bad = output();
            drop(rt.spawn(async { bad }));
            run_until(&rt, || drops.alive() == 0);
            let bad = output();
            let mut task = rt.spawn(async { bad });
            run_until(&rt, || task.is_finished());
            drop(task);
            let bad = output();
            task = rt.spawn(async { bad });
            // Taken: now it is ours.
            let bad = rt.block_on(&mut task).unwrap();
            drop(task);
            assert_eq!(panic_of(|| drop(bad)), "an output nobody wants");
            // Of a closure.
            let bad = output();
            drop(rt.spawn_blocking(|| bad));
            assert_well(&rt);
            drop(rt);
            assert_eq!((drops.made(), drops.alive()), (4, 0));
        });
    }

    #[test]
    fn of_a_payload_that_nobody_wants_ends_there() {
        /// A payload whose destructor panics with a payload whose destructor panics.
        struct Nested(Option<PanicsOnDrop>);
        impl Drop for Nested {
            fn drop(&mut self) {
                if let Some(inner) = self.0.take() {
                    panic_any(inner);
                }
            }
        }
        on_each_flavor(|rt| {
            let drops = Drops::new();
            let bad = PanicsOnDrop(drops.guard(), "the payload's drop");
            drop(rt.spawn(async { panic_any(bad) }));
            run_until(&rt, || drops.alive() == 0);
            let bad = PanicsOnDrop(drops.guard(), "the payload's drop");
            drop(rt.spawn_blocking(|| panic_any(bad)));
            assert_well(&rt);

            let bad = PanicsOnDrop(drops.guard(), "the payload's payload's drop");
            drop(rt.spawn(async { panic_any(Nested(Some(bad))) }));
            assert_well(&rt);
            drop(rt);
            // What is thrown by a payload's own destructor may be leaked, not more.
            assert!(drops.dropped() >= 2);
        });
    }
}

mod in_the_root_future {
    use super::*;

    #[test]
    fn reaches_the_caller_and_leaves_the_runtime_usable() {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            let (sent, seen) = oneshot::channel();
            let waits = rt.spawn(async move { seen.await.unwrap() });
            for yields in 0..3 {
                let guard = drops.guard();
                let said = panic_of(|| {
                    rt.block_on(async move {
                        let _guard = guard;
                        for _ in 0..yields {
                            yield_now().await;
                        }
                        panic!("in the root");
                    })
                });
                assert_eq!(said, "in the root");
                assert_eq!(drops.alive(), 0);
            }
            sent.send(7).unwrap();
            assert_eq!(rt.block_on(waits).unwrap(), 7);
            assert_well(&rt);
        });
    }

    #[test]
    fn or_where_it_is_dropped_reaches_the_caller() {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            let bad = PanicsOnDrop(drops.guard(), "in the root's drop");
            let root = poll_fn(move |_| {
                let _bad = &bad;
                Poll::Ready(())
            });
            assert_eq!(panic_of(|| rt.block_on(root)), "in the root's drop");
            assert_eq!(drops.alive(), 0);
            assert_well(&rt);
        });
    }

    #[test]
    fn does_not_abort_where_a_runtime_is_dropped_on_the_way() {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            let inner = multi_thread(1);
            let guard = drops.guard();
            inner.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            let said = panic_of(|| {
                rt.block_on(async move {
                    let _inner = inner;
                    panic!("with a runtime in its frame");
                })
            });
            assert_eq!(said, "with a runtime in its frame");
            assert_well(&rt);
            // It shuts down in the background: one of its threads may be at it still.
            while drops.alive() > 0 {
                std::thread::yield_now();
            }
        });
    }
}

mod in_a_closure_that_blocks {
    use super::*;

    #[test]
    fn reaches_the_joiner_and_leaves_the_thread() {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).max_blocking_threads(1);
        let rt = builder.build().unwrap();
        let drops = Drops::new();
        for _ in 0..50 {
            let guard = drops.guard();
            let closure = rt.spawn_blocking(move || {
                let _guard = guard;
                std::panic::resume_unwind(Box::new("in the closure"));
            });
            assert_eq!(message(rt.block_on(closure).unwrap_err()), "in the closure");
        }
        assert_eq!(drops.dropped(), 50);
        assert_well(&rt);
    }

    #[test]
    fn in_place_reaches_the_joiner_and_gives_the_processor_back() {
        let rt = multi_thread(1);
        let drops = Drops::new();
        for _ in 0..50 {
            let guard = drops.guard();
            let task = rt.spawn(async move {
                let _guard = guard;
                block_in_place(|| std::panic::resume_unwind(Box::new("in place")));
            });
            assert_eq!(message(rt.block_on(task).unwrap_err()), "in place");
        }
        assert_eq!(drops.dropped(), 50);
        assert_well(&rt);
    }

    #[test]
    fn in_place_of_the_root_future_reaches_the_caller() {
        let rt = multi_thread(1);
        for _ in 0..3 {
            let said = panic_of(|| rt.block_on(async { block_in_place(|| panic!("in place")) }));
            assert_eq!(said, "in place");
            let caught = rt.block_on(async {
                let said = panic_of(|| block_in_place(|| panic!("in place")));
                // It goes on as a thread that runs tasks, and may not be blocked.
                let refused = panic_of(|| rt.block_on(async {}));
                assert!(refused.contains("`block_on`"), "{refused}");
                assert_eq!(runnext::spawn(async { 7 }).await.unwrap(), 7);
                said
            });
            assert_eq!(caught, "in place");
        }
        assert_well(&rt);
    }
}

#[test]
fn a_join_handle_polled_after_its_end_panics_and_harms_nobody() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let mut task = runnext::spawn(async { 7 });
            assert_eq!((&mut task).await.unwrap(), 7);
            let again = runnext::spawn(async move { poll_once(&mut task).await.is_ready() });
            let said = message(again.await.unwrap_err());
            assert!(said.contains("polled after completion"), "{said}");
        });
        assert_well(&rt);
    });
}
