//! Timers that a task sets and, before the same poll is over, gives away, resets, drops, or leaves to
//! themselves: they fire like any others.

#![cfg(feature = "time")]

mod common;

use common::{current_thread, multi_thread, on_each_flavor};
use runnext::runtime::Runtime;
use runnext::task::{LocalSet, block_in_place};
use runnext::time::{Duration, Instant, Sleep, sleep};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::thread;

const SHORT: Duration = Duration::from_millis(5);
const FAR: Duration = Duration::from_secs(3600);

type Shared = Arc<Mutex<Pin<Box<Sleep>>>>;

/// Polls `sleep` for the current task, which has to wait for it, and then calls `then`, in one poll.
async fn set_and<T>(sleep: &mut Pin<Box<Sleep>>, then: impl FnOnce() -> T) -> T {
    let mut then = Some(then);
    poll_fn(|cx| {
        assert!(sleep.as_mut().poll(cx).is_pending());
        Poll::Ready(then.take().expect("it is polled once")())
    })
    .await
}

/// Runs `f` on another thread, and waits for it without an end of the poll.
fn elsewhere<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(f).join().unwrap())
}

#[test]
fn a_timer_given_away_fires_for_whoever_awaits_it() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let start = Instant::now();
            let (giver, mut taker) = runnext::sync::mpsc::unbounded_channel();
            let first = runnext::spawn(async move {
                let mut sleep = Box::pin(sleep(SHORT));
                set_and(&mut sleep, || ()).await;
                // And the task ends, in the same poll.
                giver.send(sleep).unwrap();
            });
            let second = runnext::spawn(async move { taker.recv().await.unwrap().await });
            first.await.unwrap();
            second.await.unwrap();
            assert!(start.elapsed() >= SHORT);
        });
    });
}

#[test]
fn a_timer_given_to_a_thread_fires_there_whether_or_not_the_poll_is_over() {
    for over_first in [false, true] {
        on_each_flavor(|rt| {
            let handle = rt.handle().clone();
            let (giver, taker) = mpsc::channel::<Pin<Box<Sleep>>>();
            let (polled, is_polled) = mpsc::channel();
            let (ended, has_ended) = mpsc::channel();
            let thread = thread::spawn(move || {
                let mut sleep = taker.recv().unwrap();
                if over_first {
                    has_ended.recv().unwrap();
                }
                handle.block_on(poll_fn(|cx| {
                    let poll = sleep.as_mut().poll(cx);
                    // Only the first time does anybody wait for it.
                    let _told = polled.send(());
                    poll
                }));
            });
            rt.block_on(async {
                let task = runnext::spawn(async move {
                    let mut sleep = Box::pin(sleep(SHORT));
                    set_and(&mut sleep, || ()).await;
                    giver.send(sleep).unwrap();
                    if !over_first {
                        is_polled.recv().unwrap();
                    }
                });
                task.await.unwrap();
                if over_first {
                    ended.send(()).unwrap();
                }
            });
            thread.join().unwrap();
        });
    }
}

#[test]
fn a_timer_reset_by_a_thread_wakes_the_task_that_waits() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let task = runnext::spawn(async {
                let sleep: Shared = Arc::new(Mutex::new(Box::pin(sleep(FAR))));
                let mut first = true;
                poll_fn(|cx| {
                    let poll = sleep.lock().unwrap().as_mut().poll(cx);
                    if std::mem::take(&mut first) {
                        assert!(poll.is_pending());
                        let sleep = sleep.clone();
                        elsewhere(move || {
                            let mut sleep = sleep.lock().unwrap();
                            assert!(!sleep.is_elapsed());
                            sleep.as_mut().reset(Instant::now() + SHORT);
                            assert!(!sleep.is_elapsed());
                        });
                    }
                    poll
                })
                .await;
            });
            task.await.unwrap();
        });
    });
}

#[test]
fn a_timer_reset_by_a_thread_and_dropped_leaves_the_next_one_alone() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let task = runnext::spawn(async {
                let mut first = Some(Box::pin(sleep(SHORT)));
                let mut second = Box::pin(sleep(SHORT));
                poll_fn(|cx| {
                    if let Some(mut first) = first.take() {
                        assert!(first.as_mut().poll(cx).is_pending());
                        elsewhere(|| first.as_mut().reset(Instant::now() + FAR));
                    }
                    second.as_mut().poll(cx)
                })
                .await;
            });
            task.await.unwrap();
        });
    });
}

#[test]
fn a_timer_reset_by_its_task_in_the_same_poll_wakes_it() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let task = runnext::spawn(async {
                let mut sleep = Box::pin(sleep(FAR));
                let mut first = true;
                poll_fn(|cx| {
                    let poll = sleep.as_mut().poll(cx);
                    if std::mem::take(&mut first) {
                        sleep.as_mut().reset(Instant::now() + SHORT);
                    }
                    poll
                })
                .await;
            });
            task.await.unwrap();
        });
    });
}

#[test]
fn a_timer_dropped_by_a_thread_is_gone() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let task = runnext::spawn(async {
                for _ in 0..100 {
                    let mut gone = Box::pin(sleep(SHORT));
                    set_and(&mut gone, || ()).await;
                    let mut stays = Box::pin(sleep(Duration::from_micros(100)));
                    set_and(&mut stays, || ()).await;
                    elsewhere(move || drop(gone));
                    stays.await;
                }
            });
            task.await.unwrap();
        });
    });
}

#[test]
fn a_timer_fires_while_its_task_blocks_in_place() {
    let rt = multi_thread(2);
    rt.block_on(async {
        let task = runnext::spawn(async {
            let mut sleep = Box::pin(sleep(SHORT));
            poll_fn(|cx| {
                assert!(sleep.as_mut().poll(cx).is_pending());
                block_in_place(|| {
                    while !sleep.is_elapsed() {
                        thread::yield_now();
                    }
                });
                Poll::Ready(())
            })
            .await;
        });
        task.await.unwrap();
    });
}

#[test]
fn a_timer_fires_though_its_task_enters_another_runtime_in_the_same_poll() {
    let other = Arc::new(multi_thread(1));
    let rt = multi_thread(2);
    let within = other.clone();
    rt.block_on(async {
        let task = runnext::spawn(async move {
            let start = Instant::now();
            let mut sleep = Box::pin(sleep(SHORT));
            set_and(&mut sleep, || {
                block_in_place(|| within.block_on(runnext::spawn(nap_twice(SHORT))).unwrap());
            })
            .await;
            sleep.await;
            assert!(start.elapsed() >= 2 * SHORT);
        });
        task.await.unwrap();
    });
    drop(other);
}

async fn nap_twice(duration: Duration) {
    sleep(duration).await;
    sleep(duration).await;
}

#[test]
fn a_task_that_runs_others_within_its_poll_and_they_all_wake_up() {
    current_thread().block_on(async {
        let outer = LocalSet::new();
        outer
            .run_until(async {
                let task = runnext::task::spawn_local(async {
                    let inner = LocalSet::new();
                    for n in 0..10 {
                        inner.spawn_local(nap_twice(Duration::from_micros(n * 300)));
                    }
                    let mut before = Box::pin(sleep(SHORT));
                    let mut inner = pin!(inner);
                    let mut after = Box::pin(sleep(SHORT));
                    let mut left = [true; 3];
                    poll_fn(|cx| {
                        left[0] = left[0] && before.as_mut().poll(cx).is_pending();
                        left[1] = left[1] && inner.as_mut().poll(cx).is_pending();
                        left[2] = left[2] && after.as_mut().poll(cx).is_pending();
                        if left == [false; 3] {
                            Poll::Ready(())
                        } else {
                            Poll::Pending
                        }
                    })
                    .await;
                });
                task.await.unwrap();
            })
            .await;
    });
}

#[test]
fn a_task_with_many_timers_of_its_own_meets_them_all() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let task = runnext::spawn(async {
                let mut sleeps: Vec<_> = (0..1_000_u64)
                    .map(|n| Some(Box::pin(sleep(Duration::from_micros(n * 7_919 % 5_000)))))
                    .collect();
                poll_fn(|cx| {
                    for slot in &mut sleeps {
                        if let Some(sleep) = slot {
                            let deadline = sleep.deadline();
                            if sleep.as_mut().poll(cx).is_ready() {
                                assert!(Instant::now() >= deadline, "it fired early");
                                *slot = None;
                            }
                        }
                    }
                    if sleeps.iter().all(Option::is_none) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            });
            task.await.unwrap();
        });
    });
}

#[test]
fn a_timer_fires_though_its_worker_never_rests() {
    for rt in [current_thread(), multi_thread(1)] {
        rt.block_on(async {
            let sleeper = runnext::spawn(nap_twice(Duration::from_micros(100)));
            let busy = runnext::spawn(async move {
                while !sleeper.is_finished() {
                    runnext::task::yield_now().await;
                }
            });
            busy.await.unwrap();
        });
    }
}

#[test]
fn a_panic_in_the_poll_that_set_a_timer_leaves_the_timer_to_others() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let (giver, mut taker) = runnext::sync::mpsc::unbounded_channel();
            let first = runnext::spawn(async move {
                let mut sleep = Box::pin(sleep(SHORT));
                set_and(&mut sleep, || ()).await;
                giver.send(sleep).unwrap();
                panic!("on purpose");
            });
            assert!(first.await.unwrap_err().is_panic());
            let second = runnext::spawn(async move { taker.recv().await.unwrap().await });
            second.await.unwrap();
        });
    });
}

#[test]
fn a_runtime_that_ends_in_the_poll_that_set_a_timer_does_not_wait_for_it() {
    let rt = multi_thread(2);
    let (begun, has_begun) = mpsc::channel();
    let (ends, ending) = mpsc::channel::<()>();
    let task = rt.spawn(async move {
        let mut sleep = Box::pin(sleep(FAR));
        set_and(&mut sleep, move || {
            begun.send(()).unwrap();
            // Until the runtime has been told.
            ending.recv().unwrap();
        })
        .await;
        sleep.await;
    });
    has_begun.recv().unwrap();
    end_of(rt, ends);
    assert!(current_thread().block_on(task).unwrap_err().is_cancelled());
}

fn end_of(rt: Runtime, ends: mpsc::Sender<()>) {
    rt.shutdown_background();
    ends.send(()).unwrap();
}

#[cfg(feature = "test-util")]
#[runnext::test(start_paused = true)]
async fn a_clock_set_forward_in_the_same_poll_fires_it() {
    let task = runnext::spawn(async {
        let mut sleep = pin!(sleep(Duration::from_secs(1)));
        let mut advance = pin!(runnext::time::advance(Duration::from_secs(2)));
        let mut first = true;
        poll_fn(|cx| {
            if std::mem::take(&mut first) {
                assert!(sleep.as_mut().poll(cx).is_pending());
            }
            advance.as_mut().poll(cx)
        })
        .await;
        assert!(sleep.is_elapsed());
    });
    task.await.unwrap();
}

#[cfg(stackful)]
#[test]
fn a_stackful_task_meets_timers_that_it_set_before() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let tasks: Vec<_> = (0..50)
                .map(|n| {
                    runnext::go(move || {
                        let start = Instant::now();
                        let mut sleep = Box::pin(sleep(Duration::from_micros(n * 100)));
                        if n > 0 {
                            runnext::wait(set_and(&mut sleep, || ()));
                        }
                        runnext::stackful::sleep(Duration::from_micros(500));
                        runnext::wait(sleep);
                        assert!(start.elapsed() >= Duration::from_micros(n * 100));
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}
