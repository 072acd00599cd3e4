//! Timers by a clock that is stopped: exact, and in no time.

#![cfg(feature = "test-util")]

mod common;

use common::{current_thread, multi_thread, panic_of};
use runnext::runtime::Builder;
use runnext::task::coop::{consume_budget, has_budget_remaining};
use runnext::time::{
    self, Duration, Instant, MissedTickBehavior, interval, interval_at, sleep, sleep_until,
    timeout, timeout_at,
};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_test::{assert_pending, assert_ready, assert_ready_eq, task};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[runnext::test(start_paused = true)]
async fn a_clock_that_begins_stopped_stands_still() {
    let start = Instant::now();
    for _ in 0..100 {
        runnext::task::yield_now().await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[runnext::test(start_paused = true)]
async fn an_hour_takes_no_time_and_is_exact() {
    let real = std::time::Instant::now();
    let start = Instant::now();
    sleep(Duration::from_secs(3600) + Duration::from_nanos(1)).await;
    assert_eq!(
        start.elapsed(),
        Duration::from_secs(3600) + Duration::from_nanos(1)
    );
    // Not a time of this machine: an hour.
    assert!(real.elapsed() < Duration::from_secs(3600));
}

#[runnext::test(start_paused = true)]
async fn tasks_see_each_moment_one_after_the_other() {
    let start = Instant::now();
    let tasks: Vec<_> = [70, 10, 50, 30, 30]
        .map(|n| {
            runnext::spawn(async move {
                sleep(ms(n)).await;
                let first = start.elapsed();
                sleep(ms(n)).await;
                (first, start.elapsed())
            })
        })
        .into();
    for (task, n) in tasks.into_iter().zip([70, 10, 50, 30, 30]) {
        assert_eq!(task.await.unwrap(), (ms(n), ms(2 * n)));
    }
    assert_eq!(start.elapsed(), ms(140));
}

#[runnext::test(start_paused = true)]
async fn timers_that_are_due_together_fire_in_the_order_in_which_they_were_set() {
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let order = order.clone();
            runnext::spawn(async move {
                sleep(ms(10)).await;
                order.lock().unwrap().push(n);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let order = order.lock().unwrap();
    // The last one spawned runs first.
    let mut expected: Vec<_> = (0..199).collect();
    expected.insert(0, 199);
    if !cfg!(runnext_randomize) {
        assert_eq!(*order, expected);
    }
}

#[runnext::test(start_paused = true)]
async fn advancing_fires_what_is_due_and_nothing_else() {
    let mut soon = task::spawn(sleep(ms(100)));
    let mut late = task::spawn(sleep(ms(101)));
    assert_pending!(soon.poll());
    assert_pending!(late.poll());
    time::advance(ms(100) - Duration::from_nanos(1)).await;
    assert!(!soon.is_woken());
    assert_pending!(soon.poll());
    time::advance(Duration::from_nanos(1)).await;
    assert!(soon.is_woken() && !late.is_woken());
    assert_ready!(soon.poll());
    assert_pending!(late.poll());
    time::advance(ms(1)).await;
    assert!(late.is_woken());
    assert_ready!(late.poll());
}

#[runnext::test(start_paused = true)]
async fn advancing_lets_the_tasks_run_that_it_wakes() {
    let [begun, ran] = [0, 0].map(|n| Arc::new(AtomicUsize::new(n)));
    // More than fit into a ring.
    const TASKS: usize = 1_000;
    for _ in 0..TASKS {
        let (begun, ran) = (begun.clone(), ran.clone());
        runnext::spawn(async move {
            begun.fetch_add(1, Ordering::Relaxed);
            sleep(ms(10)).await;
            ran.fetch_add(1, Ordering::Relaxed);
        });
    }
    while begun.load(Ordering::Relaxed) < TASKS {
        runnext::task::yield_now().await;
    }
    time::advance(ms(10)).await;
    assert_eq!(ran.load(Ordering::Relaxed), TASKS);
}

#[runnext::test(start_paused = true)]
async fn timers_that_come_thick_are_exact() {
    let start = Instant::now();
    let mut tasks = runnext::task::JoinSet::new();
    for n in 0..100 {
        // Many at once, and more before a thread would wake up again for those of a clock that runs.
        let after = ms(1) + Duration::from_micros(10) * (n / 20);
        tasks.spawn(async move {
            sleep(after).await;
            assert_eq!(start.elapsed(), after);
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert_eq!(start.elapsed(), ms(1) + Duration::from_micros(40));
}

#[runnext::test(start_paused = true)]
async fn a_reset_sleep_is_due_at_the_new_time() {
    let mut sleep = task::spawn(sleep(ms(100)));
    assert_pending!(sleep.poll());
    let later = Instant::now() + ms(200);
    sleep.enter(|_, sleep| sleep.reset(later));
    time::advance(ms(150)).await;
    assert!(!sleep.is_woken());
    time::advance(ms(50)).await;
    assert!(sleep.is_woken());
    assert_ready!(sleep.poll());
    let sooner = Instant::now() + ms(1);
    sleep.enter(|_, sleep| sleep.reset(sooner));
    assert!(!sleep.enter(|_, sleep| sleep.is_elapsed()));
    assert_pending!(sleep.poll());
    time::advance(ms(1)).await;
    assert!(sleep.enter(|_, sleep| sleep.is_elapsed()));
    assert_ready!(sleep.poll());
    assert_ready!(sleep.poll(), "it stays so");
}

#[runnext::test(start_paused = true)]
async fn a_sleep_that_is_late_to_be_polled_is_ready_at_once() {
    let sleep = sleep_until(Instant::now() + ms(10));
    time::advance(ms(20)).await;
    assert!(!sleep.is_elapsed(), "nobody asked");
    assert_ready!(task::spawn(sleep).poll());
}

#[runnext::test(start_paused = true)]
async fn a_timeout_ends_when_its_future_does_not() {
    let start = Instant::now();
    let slow = timeout(ms(10), sleep(ms(20))).await;
    assert!(slow.is_err());
    assert_eq!(start.elapsed(), ms(10));
    let quick = timeout(ms(20), sleep(ms(10))).await;
    assert_eq!((quick, start.elapsed()), (Ok(()), ms(20)));
    let deadline = start + ms(50);
    assert!(
        timeout_at(deadline, std::future::pending::<()>())
            .await
            .is_err()
    );
    assert_eq!(start.elapsed(), ms(50));
    // At the same moment, the future comes first.
    let same = timeout(ms(10), sleep(ms(10))).await;
    assert_eq!(same, Ok(()));
}

#[runnext::test(start_paused = true)]
async fn an_interval_that_is_late_behaves_as_it_was_told() {
    for (behavior, expected) in [
        (MissedTickBehavior::Burst, [0, 100, 200, 300, 400]),
        (MissedTickBehavior::Delay, [0, 100, 325, 425, 525]),
        (MissedTickBehavior::Skip, [0, 100, 300, 400, 500]),
    ] {
        let start = Instant::now();
        let mut ticks = interval(ms(100));
        ticks.set_missed_tick_behavior(behavior);
        assert_eq!(ticks.missed_tick_behavior(), behavior);
        let mut seen = Vec::new();
        for n in 0..5 {
            if n == 1 {
                time::advance(ms(225)).await;
            }
            seen.push(ticks.tick().await - start);
        }
        assert_eq!(seen, expected.map(ms), "{behavior:?}");
    }
}

#[runnext::test(start_paused = true)]
async fn an_interval_is_reset() {
    let start = Instant::now();
    let mut ticks = interval_at(start + ms(50), ms(100));
    assert_eq!(ticks.tick().await, start + ms(50));
    ticks.reset_immediately();
    assert_eq!(ticks.tick().await, start + ms(50));
    ticks.reset_after(ms(10));
    assert_eq!(ticks.tick().await, start + ms(60));
    time::advance(ms(40)).await;
    ticks.reset();
    assert_eq!(ticks.tick().await, start + ms(200));
    ticks.reset_at(start + ms(210));
    assert_eq!(ticks.tick().await, start + ms(210));
    assert_eq!(ticks.tick().await, start + ms(310));
}

#[runnext::test(start_paused = true)]
async fn a_tick_that_is_not_awaited_to_the_end_is_not_lost() {
    let start = Instant::now();
    let mut ticks = interval_at(start + ms(100), ms(100));
    assert!(timeout(ms(50), ticks.tick()).await.is_err());
    assert_eq!(ticks.tick().await, start + ms(100));
    let mut poll = task::spawn(());
    assert_pending!(poll.enter(|cx, _| ticks.poll_tick(cx)));
    time::advance(ms(100)).await;
    assert!(poll.is_woken());
    assert_ready_eq!(poll.enter(|cx, _| ticks.poll_tick(cx)), start + ms(200));
}

#[runnext::test(start_paused = true)]
async fn no_time_passes_while_a_blocking_closure_runs() {
    let start = Instant::now();
    let (tell, told) = std::sync::mpsc::channel();
    let far = runnext::spawn(async move {
        sleep(ms(1_000)).await;
        // Had it not waited for the closure, this would come first.
        tell.send("timer").unwrap();
        told
    });
    runnext::task::yield_now().await;
    let seen = runnext::task::spawn_blocking(|| {
        for _ in 0..200 {
            std::thread::yield_now();
        }
        "closure"
    });
    assert_eq!(seen.await.unwrap(), "closure");
    assert_eq!(start.elapsed(), Duration::ZERO);
    // And when it has ended, time goes on.
    assert_eq!(far.await.unwrap().recv(), Ok("timer"));
    assert_eq!(start.elapsed(), ms(1_000));
}

#[runnext::test]
async fn a_clock_is_stopped_and_started() {
    time::pause();
    let stopped = Instant::now();
    time::advance(Duration::from_secs(60)).await;
    time::resume();
    assert!(stopped.elapsed() >= Duration::from_secs(60));
    let start = Instant::now();
    sleep(ms(5)).await;
    assert!(start.elapsed() >= ms(5));
    time::pause();
    assert_eq!(stopped.elapsed(), stopped.elapsed());
}

#[test]
fn what_cannot_be_done_to_a_clock_is_refused_with_a_reason() {
    let rt = current_thread();
    rt.block_on(async {
        assert!(panic_of(time::resume).contains("call `time::pause` first"));
        let mut advance = pin!(time::advance(ms(1)));
        let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
        let text = panic_of(|| std::future::Future::poll(advance.as_mut(), cx));
        assert!(text.contains("call `time::pause` first"), "{text}");
        time::pause();
        assert!(panic_of(time::pause).contains("stopped already"));
    });
    assert!(panic_of(time::pause).contains("no runtime"));
    multi_thread(2).block_on(async {
        assert!(panic_of(time::pause).contains("needs the current-thread runtime"));
    });
    let text = panic_of(|| Builder::new_multi_thread().start_paused(true).build());
    assert!(text.contains("needs the current-thread runtime"), "{text}");
}

#[test]
fn each_runtime_has_a_clock_of_its_own() {
    let stopped = Builder::new_current_thread()
        .start_paused(true)
        .build()
        .unwrap();
    let running = current_thread();
    let start = stopped.block_on(async {
        let start = Instant::now();
        sleep(Duration::from_secs(1_000_000)).await;
        start
    });
    running.block_on(async {
        let start = Instant::now();
        sleep(ms(1)).await;
        assert!(start.elapsed() >= ms(1));
    });
    stopped.block_on(async move {
        assert_eq!(start.elapsed(), Duration::from_secs(1_000_000));
    });
}

#[cfg(stackful)]
#[runnext::test(start_paused = true)]
async fn stackful_tasks_go_by_the_same_clock() {
    let start = Instant::now();
    let tasks = [20, 10].map(|n| {
        runnext::go(move || {
            runnext::stackful::sleep(ms(n));
            start.elapsed()
        })
    });
    sleep(ms(15)).await;
    let [long, short] = tasks;
    assert_eq!(short.await.unwrap(), ms(10));
    assert_eq!(long.await.unwrap(), ms(20));
}

/// Those that it wakes may wake others, which run before the rest of them.
#[runnext::test(start_paused = true)]
async fn tasks_that_others_run_before_have_a_turn_as_well() {
    let [begun, ran] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    for _ in 0..300 {
        let (tell, told) = runnext::sync::oneshot::channel::<()>();
        runnext::spawn(told);
        let (begun, ran) = (begun.clone(), ran.clone());
        runnext::spawn(async move {
            begun.fetch_add(1, Ordering::Relaxed);
            sleep(ms(10)).await;
            // Runs next, and displaces one that waits.
            tell.send(()).unwrap();
            runnext::spawn(async {});
            ran.fetch_add(1, Ordering::Relaxed);
        });
    }
    // And one that is never done.
    runnext::spawn(async {
        loop {
            runnext::task::yield_now().await;
        }
    });
    while begun.load(Ordering::Relaxed) < 300 {
        runnext::task::yield_now().await;
    }
    time::advance(ms(10)).await;
    assert_eq!(ran.load(Ordering::Relaxed), 300);
}

/// Where the global queue is hardly ever looked at, there is no waiting for it.
#[test]
fn it_comes_back_however_seldom_the_global_queue_is_looked_at() {
    let mut builder = Builder::new_current_thread();
    builder.global_queue_interval(u32::MAX).start_paused(true);
    builder.build().unwrap().block_on(async {
        runnext::spawn(async {
            loop {
                runnext::task::yield_now().await;
            }
        });
        time::advance(ms(10)).await;
    });
}

/// It is not set: the task goes on in its next turn, in which the budget is full again.
#[runnext::test(start_paused = true)]
async fn a_sleep_that_finds_no_budget_has_its_task_woken_at_once() {
    let task = runnext::spawn(async {
        let start = Instant::now();
        let mut nap = pin!(sleep(ms(10)));
        let mut turns = 0;
        std::future::poll_fn(|cx| {
            turns += 1;
            if turns == 2 {
                return std::task::Poll::Ready(());
            }
            while has_budget_remaining() {
                assert!(pin!(consume_budget()).poll(cx).is_ready());
            }
            assert_pending!(nap.as_mut().poll(cx));
            std::task::Poll::Pending
        })
        .await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        nap.await;
        assert_eq!(start.elapsed(), ms(10));
    });
    task.await.unwrap();
}
