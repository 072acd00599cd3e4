//! How tasks that never have to wait take turns.

use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::FutureExt;
use runnext::runtime::Builder;
use runnext::task::coop::{
    consume_budget, cooperative, has_budget_remaining, poll_proceed, unconstrained,
};
use runnext::task::yield_now;

/// What a poll may take.
const BUDGET: usize = 128;

/// Runs a future as a task of a runtime with one thread.
fn in_a_task<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { runnext::spawn(future).await.unwrap() })
}

/// Takes a unit of budget if there is one.
fn take() -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    match poll_proceed(&mut cx) {
        Poll::Ready(step) => {
            step.made_progress();
            true
        }
        Poll::Pending => false,
    }
}

/// Takes all the budget there is and returns how much it was.
fn take_all() -> usize {
    // Where there is no limit, this ends nevertheless.
    (0..10 * BUDGET).take_while(|_| take()).count()
}

/// Counts how often the future is polled until it is ready.
async fn polls<T>(future: impl Future<Output = T>) -> usize {
    let mut future = std::pin::pin!(future);
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx).map(|_| polls)
    })
    .await
}

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

// ===== The budget =====

#[test]
fn every_poll_of_a_task_has_a_full_budget() {
    in_a_task(async {
        for _ in 0..3 {
            assert!(has_budget_remaining());
            assert_eq!(take_all(), BUDGET);
            assert!(!has_budget_remaining());
            yield_now().await;
        }
    });
}

#[test]
fn every_poll_of_block_on_has_a_full_budget() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for _ in 0..3 {
            assert_eq!(take_all(), BUDGET);
            assert!(!has_budget_remaining());
            yield_now().await;
        }
    });
}

#[test]
fn what_one_task_takes_is_not_missed_by_the_next() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..3)
            .map(|_| runnext::spawn(async { take_all() }))
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), BUDGET);
        }
    });
}

#[test]
fn there_is_no_limit_outside_of_a_runtime() {
    assert!(has_budget_remaining());
    assert_eq!(take_all(), 10 * BUDGET);
    assert!(has_budget_remaining());
    let long = async {
        for _ in 0..10 * BUDGET {
            consume_budget().await;
        }
    };
    assert_eq!(long.now_or_never(), Some(()));
}

#[test]
fn there_is_no_limit_after_the_runtime_is_left() {
    in_a_task(async { take_all() });
    assert_eq!(take_all(), 10 * BUDGET);
}

#[test]
fn a_step_without_progress_is_given_back() {
    in_a_task(async {
        poll_fn(|cx| {
            for _ in 0..10 * BUDGET {
                assert!(poll_proceed(cx).is_ready());
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(take_all(), BUDGET);
    });
}

#[test]
fn a_step_is_taken_while_it_is_held() {
    in_a_task(poll_fn(|cx| {
        assert!((1..BUDGET).all(|_| take()));
        let last = poll_proceed(cx);
        assert!(last.is_ready());
        assert!(!has_budget_remaining());
        drop(last);
        assert!(has_budget_remaining());
        assert!(take());
        assert!(!has_budget_remaining());
        Poll::Ready(())
    }));
}

#[test]
fn a_step_given_back_gives_back_what_was_taken_since() {
    in_a_task(poll_fn(|cx| {
        let Poll::Ready(step) = poll_proceed(cx) else {
            unreachable!("the budget is full");
        };
        assert!((0..10).all(|_| take()));
        drop(step);
        assert_eq!(take_all(), BUDGET);
        Poll::Ready(())
    }));
}

#[test]
fn a_task_without_budget_is_woken_to_go_on() {
    let wakes = Arc::<CountWakes>::default();
    let waker = Waker::from(wakes.clone());
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut cx = Context::from_waker(&waker);
        assert!(poll_proceed(&mut cx).is_ready());
        take_all();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
        assert!(poll_proceed(&mut cx).is_pending());
        yield_now().await;
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    });
}

// ===== consume_budget =====

#[test]
fn consume_budget_gives_up_the_turn_when_nothing_is_left() {
    let polls = in_a_task(polls(async {
        for _ in 0..3 * BUDGET {
            consume_budget().await;
        }
        assert!(!has_budget_remaining());
    }));
    assert_eq!(polls, 3);
}

#[test]
fn tasks_that_consume_their_budget_take_turns() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let steps = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let steps = steps.clone();
                runnext::spawn(async move {
                    let mut others = 0;
                    for own in 0..10 * BUDGET {
                        consume_budget().await;
                        // What the other task did in the meantime.
                        others = steps.fetch_add(1, Ordering::SeqCst) - own;
                    }
                    others
                })
            })
            .collect();
        let mut others = Vec::new();
        for task in tasks {
            others.push(task.await.unwrap());
        }
        // In turns, neither is ever ahead by more than a budget.
        for others in others {
            assert!(others >= 9 * BUDGET, "the other task did {others} steps");
        }
    });
}

#[test]
fn a_dropped_consume_budget_has_taken_nothing() {
    in_a_task(async {
        drop(consume_budget());
        assert_eq!(take_all(), BUDGET);
        assert!(consume_budget().now_or_never().is_none());
        yield_now().await;
        assert_eq!(take_all(), BUDGET);
    });
}

// ===== cooperative =====

#[test]
fn a_cooperative_future_pays_when_it_completes() {
    in_a_task(async {
        for _ in 0..10 {
            cooperative(ready(())).await;
        }
        assert_eq!(take_all(), BUDGET - 10);
    });
}

#[test]
fn a_cooperative_future_that_has_to_wait_pays_nothing() {
    in_a_task(async {
        for _ in 0..10 {
            assert!(cooperative(pending::<()>()).now_or_never().is_none());
        }
        assert_eq!(take_all(), BUDGET);
    });
}

#[test]
fn a_cooperative_future_is_not_polled_without_budget() {
    in_a_task(async {
        take_all();
        let mut polled = false;
        let mut future = cooperative(poll_fn(|_| {
            polled = true;
            Poll::Ready(1)
        }));
        assert!((&mut future).now_or_never().is_none());
        yield_now().await;
        assert_eq!(future.await, 1);
        assert!(polled);
    });
    in_a_task(async {
        take_all();
        let never = cooperative(poll_fn(|_| -> Poll<()> { panic!("polled without budget") }));
        assert!(never.now_or_never().is_none());
    });
}

#[test]
fn a_loop_over_cooperative_futures_gives_up_its_turn() {
    let polls = in_a_task(polls(async {
        for _ in 0..5 * BUDGET {
            cooperative(ready(())).await;
        }
    }));
    assert_eq!(polls, 5);
}

// ===== unconstrained =====

#[test]
fn an_unconstrained_future_is_never_stopped() {
    let polls = in_a_task(polls(unconstrained(async {
        for _ in 0..10 * BUDGET {
            consume_budget().await;
            assert!(has_budget_remaining());
        }
    })));
    assert_eq!(polls, 1);
}

#[test]
fn an_unconstrained_future_leaves_the_budget_around_it_as_it_was() {
    in_a_task(async {
        assert!((0..28).all(|_| take()));
        unconstrained(async {
            assert_eq!(take_all(), 10 * BUDGET);
            unconstrained(async { assert_eq!(take_all(), 10 * BUDGET) }).await;
            // The end of the inner one does not bring the limit back.
            assert_eq!(take_all(), 10 * BUDGET);
        })
        .await;
        assert_eq!(take_all(), BUDGET - 28);
    });
}

#[test]
fn a_panic_in_an_unconstrained_future_brings_the_limit_back() {
    in_a_task(async {
        let mut future = unconstrained(poll_fn(|_| -> Poll<()> { panic!("inside") }));
        let polled = catch_unwind(AssertUnwindSafe(|| (&mut future).now_or_never()));
        assert!(polled.is_err());
        assert_eq!(take_all(), BUDGET);
    });
}

#[test]
fn a_future_can_be_unconstrained_although_the_budget_is_used_up() {
    in_a_task(async {
        take_all();
        assert!(consume_budget().now_or_never().is_none());
        assert_eq!(unconstrained(consume_budget()).now_or_never(), Some(()));
        assert!(!has_budget_remaining());
    });
}

// ===== Awaiting tasks =====

#[test]
fn awaiting_tasks_that_are_done_takes_budget() {
    in_a_task(async {
        let tasks: Vec<_> = (0..10).map(|_| runnext::spawn(async {})).collect();
        while !tasks.iter().all(|task| task.is_finished()) {
            yield_now().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(take_all(), BUDGET - 10);
    });
}

// ===== yield_now =====

#[test]
fn yield_now_gives_up_one_turn() {
    assert_eq!(in_a_task(polls(yield_now())), 2);
    let three = async {
        yield_now().await;
        yield_now().await;
        yield_now().await;
    };
    assert_eq!(in_a_task(polls(three)), 4);
}

#[test]
fn yield_now_wakes_the_task_once() {
    let wakes = Arc::<CountWakes>::default();
    let waker = Waker::from(wakes.clone());
    let mut future = Box::pin(yield_now());
    let mut poll = || Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
    assert!(poll().is_pending());
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert!(poll().is_ready());
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
}

#[test]
fn yield_now_lets_all_runnable_tasks_run_first() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let ran = Arc::new(AtomicUsize::new(0));
        let counter = ran.clone();
        let task = runnext::spawn(async move {
            for _ in 0..50 {
                let ran = counter.clone();
                runnext::spawn(async move { ran.fetch_add(1, Ordering::SeqCst) });
            }
            yield_now().await;
            counter.load(Ordering::SeqCst)
        });
        assert_eq!(task.await.unwrap(), 50);
    });
}

#[test]
fn a_spent_budget_means_nothing_to_code_that_may_block() {
    let rt = runnext::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let joined = rt.block_on(async {
        let task = runnext::spawn(async {
            let other = runnext::spawn(async { 7 });
            for _ in 0..128 {
                runnext::task::coop::consume_budget().await;
            }
            // With a budget of nothing, the handle would wake its poller for ever.
            runnext::task::block_in_place(|| futures::executor::block_on(other)).unwrap()
        });
        task.await.unwrap()
    });
    assert_eq!(joined, 7);
}
