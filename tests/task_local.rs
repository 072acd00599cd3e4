//! What a task-local value is, where it is seen, and when it is dropped.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;

use futures::FutureExt;
use runnext::runtime::Builder;
use runnext::sync::oneshot;
use runnext::task::futures::TaskLocalFuture;
use runnext::task::yield_now;

runnext::task_local! {
    static NUMBER: u32;

    /// Attributes and visibility are kept, a trailing semicolon is not needed.
    #[allow(dead_code)]
    pub(crate) static TEXT: String
}

// Nothing to declare is fine.
runnext::task_local! {}

/// Writes down what happens, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<&'static str>>>);

impl Log {
    fn add(&self, line: &'static str) {
        self.0.borrow_mut().push(line);
    }

    fn lines(&self) -> Vec<&'static str> {
        self.0.borrow().clone()
    }

    fn on_drop(&self, line: &'static str) -> OnDrop {
        OnDrop(self.clone(), line)
    }
}

struct OnDrop(Log, &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}

// ===== Where the value is seen =====

#[test]
fn there_is_no_value_outside_of_a_scope() {
    assert!(NUMBER.try_get().is_err());
    assert!(NUMBER.try_with(|_| unreachable!("no value")).is_err());
    NUMBER.sync_scope(1, || ());
    assert!(NUMBER.try_get().is_err());
    let error = NUMBER.try_get().unwrap_err();
    assert_eq!(error.to_string(), "task-local value not set");
    assert_eq!(Some(error), NUMBER.try_get().err());
}

#[test]
#[should_panic(expected = "task-local")]
fn get_panics_without_a_value() {
    NUMBER.get();
}

#[test]
#[should_panic(expected = "task-local")]
fn with_panics_without_a_value() {
    NUMBER.with(|_| ());
}

#[runnext::test]
async fn the_value_stays_across_suspensions() {
    let seen = NUMBER.scope(1, async {
        let before = NUMBER.get();
        yield_now().await;
        (before, NUMBER.try_get(), NUMBER.with(|&number| number))
    });
    assert_eq!(seen.await, (1, Ok(1), 1));
}

#[runnext::test]
async fn scopes_nest_and_give_back_the_outer_value() {
    NUMBER
        .scope(1, async {
            NUMBER
                .scope(2, async {
                    assert_eq!(NUMBER.get(), 2);
                    yield_now().await;
                    assert_eq!(NUMBER.get(), 2);
                    assert_eq!(NUMBER.sync_scope(3, || NUMBER.get()), 3);
                    assert_eq!(NUMBER.get(), 2);
                })
                .await;
            assert_eq!(NUMBER.get(), 1);
        })
        .await;
}

#[runnext::test]
async fn keys_do_not_mix() {
    let work = async {
        assert!(TEXT.try_get().is_err());
        TEXT.scope("two".to_owned(), async {
            yield_now().await;
            assert_eq!((NUMBER.get(), TEXT.get().as_str()), (1, "two"));
        })
        .await;
    };
    NUMBER.scope(1, work).await;
}

#[runnext::test]
async fn futures_polled_side_by_side_see_their_own_values() {
    let looped = |number| {
        NUMBER.scope(number, async move {
            for _ in 0..3 {
                assert_eq!(NUMBER.get(), number);
                yield_now().await;
            }
            NUMBER.get()
        })
    };
    let seen = futures::join!(looped(1), looped(2), looped(3), async {
        yield_now().await;
        NUMBER.try_get().is_err()
    });
    assert_eq!(seen, (1, 2, 3, true));
}

#[runnext::test]
async fn a_spawned_task_does_not_inherit_the_value() {
    let inherits = NUMBER.scope(1, async {
        runnext::spawn(async { NUMBER.try_get().is_ok() })
            .await
            .unwrap()
    });
    assert!(!inherits.await);
}

#[test]
fn the_value_follows_its_future_to_another_thread() {
    let (started, start) = mpsc::channel();
    let (open, gate) = oneshot::channel::<()>();
    let mut future = Box::pin(NUMBER.scope(1, async move {
        started.send(NUMBER.get()).unwrap();
        gate.await.unwrap();
        NUMBER.get()
    }));
    let runtime = || Builder::new_current_thread().build().unwrap();
    assert!(
        runtime()
            .block_on(async { future.as_mut().now_or_never() })
            .is_none()
    );
    assert_eq!(start.recv(), Ok(1));
    assert!(NUMBER.try_get().is_err());
    open.send(()).unwrap();
    let there = thread::spawn(move || {
        let seen = runtime().block_on(future);
        (seen, NUMBER.try_get().is_err())
    });
    assert_eq!(there.join().unwrap(), (1, true));
}

#[test]
fn tasks_on_many_threads_each_keep_their_value() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..200)
            .map(|number| {
                runnext::spawn(NUMBER.scope(number, async move {
                    for _ in 0..20 {
                        assert_eq!(NUMBER.get(), number);
                        yield_now().await;
                    }
                    NUMBER.get()
                }))
            })
            .collect();
        for (number, task) in (0..).zip(tasks) {
            assert_eq!(task.await.unwrap(), number);
        }
    });
}

#[test]
fn a_value_may_be_changed_through_a_cell() {
    runnext::task_local! {
        static COUNT: Cell<u32>;
    }
    let count = COUNT.sync_scope(Cell::new(1), || {
        COUNT.with(|count| count.set(count.get() + 1));
        COUNT.with(Cell::get)
    });
    assert_eq!(count, 2);
}

// ===== Panics =====

#[runnext::test]
async fn a_panic_in_a_poll_gives_back_the_outer_value() {
    NUMBER
        .scope(1, async {
            let mut inner = Box::pin(NUMBER.scope(2, async {
                assert_eq!(NUMBER.get(), 2);
                panic!("in the inner scope");
            }));
            let polled = catch_unwind(AssertUnwindSafe(|| inner.as_mut().now_or_never()));
            assert!(polled.is_err());
            assert_eq!(NUMBER.get(), 1);
            assert_eq!(inner.as_mut().take_value(), Some(2));
        })
        .await;
    assert!(NUMBER.try_get().is_err());
}

#[test]
fn a_panic_in_a_closure_gives_back_the_outer_value() {
    NUMBER.sync_scope(1, || {
        let inner = catch_unwind(|| NUMBER.sync_scope(2, || panic!("in the inner scope")));
        assert!(inner.is_err());
        assert_eq!(NUMBER.get(), 1);
    });
    assert!(NUMBER.try_get().is_err());
}

#[test]
#[should_panic(expected = "borrowed")]
fn a_scope_may_not_begin_while_the_value_is_borrowed() {
    NUMBER.sync_scope(1, || NUMBER.with(|_| NUMBER.sync_scope(2, || ())));
}

#[test]
fn a_refused_scope_leaves_the_value_and_its_future_as_they_were() {
    NUMBER.sync_scope(1, || {
        let mut inner = Box::pin(NUMBER.scope(2, async { NUMBER.get() }));
        NUMBER.with(|_| {
            let polled = catch_unwind(AssertUnwindSafe(|| inner.as_mut().now_or_never()));
            assert!(polled.is_err());
        });
        assert_eq!(NUMBER.get(), 1);
        // It did not run, and still can.
        assert_eq!(inner.now_or_never(), Some(2));
    });
}

#[test]
fn the_value_may_be_read_while_it_is_borrowed() {
    let seen = NUMBER.sync_scope(1, || NUMBER.with(|&number| (number, NUMBER.get())));
    assert_eq!(seen, (1, 1));
}

#[test]
#[should_panic(expected = "polled after completion")]
fn a_poll_after_completion_panics() {
    let mut future = Box::pin(NUMBER.scope(1, ready(())));
    assert_eq!(future.as_mut().now_or_never(), Some(()));
    future.as_mut().now_or_never();
}

// ===== When things are dropped =====

#[test]
fn a_future_that_completes_is_dropped_at_once_and_sees_the_value() {
    runnext::task_local! {
        static VALUE: OnDrop;
    }
    struct Work(Log);
    impl Future for Work {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            self.0.add("polled");
            Poll::Ready(())
        }
    }
    impl Drop for Work {
        fn drop(&mut self) {
            assert!(VALUE.try_with(|_| ()).is_ok());
            self.0.add("future dropped");
        }
    }
    let log = Log::default();
    let mut future = Box::pin(VALUE.scope(log.on_drop("value dropped"), Work(log.clone())));
    assert_eq!(future.as_mut().now_or_never(), Some(()));
    log.add("completed");
    drop(future);
    assert_eq!(
        log.lines(),
        ["polled", "future dropped", "completed", "value dropped"]
    );
}

#[test]
fn a_future_dropped_half_way_sees_the_value_and_goes_before_it() {
    runnext::task_local! {
        static VALUE: OnDrop;
    }
    struct SeesValue(Log);
    impl Drop for SeesValue {
        fn drop(&mut self) {
            assert!(VALUE.try_with(|_| ()).is_ok());
            self.0.add("future dropped");
        }
    }
    let log = Log::default();
    let sees = SeesValue(log.clone());
    let mut future = Box::pin(VALUE.scope(log.on_drop("value dropped"), async move {
        let _sees = sees;
        pending::<()>().await;
    }));
    assert!(future.as_mut().now_or_never().is_none());
    assert!(log.lines().is_empty());
    drop(future);
    assert_eq!(log.lines(), ["future dropped", "value dropped"]);
    assert!(VALUE.try_with(|_| ()).is_err());
}

#[test]
fn a_future_that_was_never_polled_sees_the_value_when_it_is_dropped() {
    struct Seen<'a>(&'a Cell<Option<u32>>);
    impl Drop for Seen<'_> {
        fn drop(&mut self) {
            self.0.set(NUMBER.try_get().ok());
        }
    }
    let seen = Cell::new(None);
    let on_drop = Seen(&seen);
    NUMBER.sync_scope(1, || {
        drop(NUMBER.scope(2, async move {
            let _on_drop = on_drop;
        }));
        assert_eq!(NUMBER.get(), 1);
    });
    assert_eq!(seen.get(), Some(2));
}

#[test]
fn a_future_dropped_while_its_key_is_borrowed_is_dropped_all_the_same() {
    runnext::task_local! {
        static VALUE: Option<OnDrop>;
    }
    let log = Log::default();
    let on_drop = log.on_drop("future dropped");
    let future = VALUE.scope(Some(log.on_drop("value dropped")), async move {
        let _on_drop = on_drop;
    });
    VALUE.sync_scope(None, || VALUE.with(|_| drop(future)));
    let mut lines = log.lines();
    lines.sort();
    assert_eq!(lines, ["future dropped", "value dropped"]);
}

#[runnext::test]
async fn an_aborted_task_sees_the_value_while_it_is_dropped() {
    struct Tell(Option<oneshot::Sender<u32>>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let sender = self.0.take().unwrap();
            sender.send(NUMBER.get()).unwrap();
        }
    }
    let (started, start) = oneshot::channel();
    let (sender, seen) = oneshot::channel();
    let tell = Tell(Some(sender));
    let task = runnext::spawn(NUMBER.scope(42, async move {
        let _tell = tell;
        started.send(()).unwrap();
        pending::<()>().await
    }));
    start.await.unwrap();
    task.abort();
    assert_eq!(seen.await, Ok(42));
    assert!(task.await.unwrap_err().is_cancelled());
}

#[test]
fn a_value_is_dropped_when_its_closure_is_done() {
    runnext::task_local! {
        static VALUE: OnDrop;
    }
    let log = Log::default();
    VALUE.sync_scope(log.on_drop("value dropped"), || log.add("closure done"));
    log.add("scope done");
    assert_eq!(log.lines(), ["closure done", "value dropped", "scope done"]);
}

// ===== Taking the value =====

#[test]
fn a_value_can_be_taken_once() {
    let mut future = Box::pin(NUMBER.scope(1, ready(())));
    assert_eq!(future.as_mut().now_or_never(), Some(()));
    assert_eq!(future.as_mut().take_value(), Some(1));
    assert_eq!(future.as_mut().take_value(), None);
}

#[test]
fn a_future_whose_value_was_taken_finds_none() {
    // Nor does it see the one of the scope around it.
    NUMBER.sync_scope(1, || {
        let mut future = Box::pin(NUMBER.scope(2, async { NUMBER.try_get().is_err() }));
        assert_eq!(future.as_mut().take_value(), Some(2));
        assert_eq!(future.now_or_never(), Some(true));
        assert_eq!(NUMBER.get(), 1);
    });
}

#[test]
fn debug_shows_the_value_while_it_is_there() {
    let mut future: Pin<Box<TaskLocalFuture<u32, _>>> = Box::pin(NUMBER.scope(1, ready(())));
    assert_eq!(format!("{future:?}"), "TaskLocalFuture { value: 1 }");
    future.as_mut().take_value();
    assert_eq!(
        format!("{future:?}"),
        "TaskLocalFuture { value: <missing> }"
    );
    assert_eq!(format!("{NUMBER:?}"), "LocalKey { .. }");
}

#[test]
fn a_scope_entered_while_the_thread_ends_panics_and_reading_is_an_error() {
    runnext::task_local! {
        static VALUE: String;
    }
    // Touched first, so destroyed last: when it goes, the slot of `VALUE` is gone already.
    thread_local! {
        static AT_EXIT: RefCell<Option<AtExit>> = const { RefCell::new(None) };
    }
    struct AtExit(mpsc::Sender<(bool, bool)>);
    impl Drop for AtExit {
        fn drop(&mut self) {
            let read = VALUE.try_get().is_err();
            let entered = catch_unwind(|| VALUE.sync_scope(String::new(), || ())).is_err();
            let _ = self.0.send((read, entered));
        }
    }
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        AT_EXIT.with(|at_exit| *at_exit.borrow_mut() = Some(AtExit(sender)));
        VALUE.sync_scope("alive".to_owned(), || assert_eq!(VALUE.get(), "alive"));
    })
    .join()
    .unwrap();
    assert_eq!(receiver.recv(), Ok((true, true)));
}
