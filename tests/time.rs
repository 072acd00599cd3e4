//! Timers by the system's clock: that they fire, never early, wherever they are set and whatever
//! threads there are; what is refused; what happens at the end. How late they are is nobody's
//! promise.

#![cfg(feature = "time")]

mod common;

use common::{
    CountingWaker, Drops, Gate, Guard, OpensOnDrop, current_thread, holding, multi_thread,
    on_each_flavor, panic_of, run_until,
};
use runnext::runtime::{Builder, Runtime};
use runnext::time::{Duration, Instant, Sleep, interval, sleep, sleep_until, timeout};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

const SHORT: Duration = Duration::from_millis(5);
const FAR: Duration = Duration::from_secs(3600);

/// Waits, and fails if that took less than it should.
async fn nap(duration: Duration) {
    let start = Instant::now();
    let sleep = sleep(duration);
    let deadline = sleep.deadline();
    assert!(deadline >= start + duration);
    sleep.await;
    assert!(Instant::now() >= deadline, "it fired early");
}

/// A sleep of `rt` that does not end by itself.
fn far(rt: &Runtime) -> Pin<Box<Sleep>> {
    let _guard = rt.enter();
    Box::pin(sleep(FAR))
}

fn poll_with(sleep: &mut Pin<Box<Sleep>>, waker: &Waker) -> Poll<()> {
    sleep.as_mut().poll(&mut Context::from_waker(waker))
}

#[test]
fn a_sleep_ends_and_not_early() {
    on_each_flavor(|rt| {
        rt.block_on(nap(SHORT));
        rt.block_on(rt.spawn(nap(SHORT))).unwrap();
        rt.block_on(nap(Duration::from_nanos(1)));
    });
}

#[test]
fn sleeps_end_in_the_order_of_their_deadlines() {
    on_each_flavor(|rt| {
        let (ended, order) = mpsc::channel();
        rt.block_on(async {
            let start = Instant::now();
            let tasks: Vec<_> = [9, 1, 5, 3, 7]
                .into_iter()
                .map(|n| {
                    let ended = ended.clone();
                    runnext::spawn(async move {
                        let deadline = start + n * SHORT;
                        sleep_until(deadline).await;
                        ended.send((n, Instant::now() >= deadline)).unwrap();
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        drop(ended);
        let mut all: Vec<_> = order.iter().collect();
        assert!(all.iter().all(|&(_, in_time)| in_time), "{all:?}");
        all.sort_unstable();
        let all: Vec<_> = all.into_iter().map(|(n, _)| n).collect();
        assert_eq!(all, [1, 3, 5, 7, 9]);
    });
}

#[test]
fn a_thousand_sleeps_in_tasks_all_end() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let tasks: Vec<_> = (0..1_000)
                .map(|n| runnext::spawn(nap(Duration::from_micros(n * 37 % 10_000))))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

#[test]
fn no_time_is_no_wait_and_the_past_is_no_wait() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let ready = |sleep: Sleep| {
                let mut sleep = Box::pin(sleep);
                assert!(!sleep.is_elapsed());
                let poll = poll_with(&mut sleep, Waker::noop());
                assert!(sleep.is_elapsed());
                poll.is_ready()
            };
            assert!(ready(sleep(Duration::ZERO)));
            assert!(ready(sleep_until(Instant::now())));
            let start = Instant::now();
            if let Some(past) = start.checked_sub(Duration::from_secs(1)) {
                assert!(ready(sleep_until(past)));
            }
        });
    });
}

#[test]
fn the_far_future_does_not_come_and_does_not_overflow() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            for duration in [Duration::MAX, Duration::from_secs(u64::MAX), FAR] {
                let mut far = Box::pin(sleep(duration));
                assert!(poll_with(&mut far, Waker::noop()).is_pending());
                assert!(far.deadline() > Instant::now());
                assert!(timeout(Duration::ZERO, far).await.is_err());
            }
            let never = timeout(Duration::MAX, std::future::pending::<()>());
            assert!(timeout(SHORT, never).await.is_err());
            let mut rare = interval(Duration::MAX);
            rare.tick().await;
            assert!(timeout(SHORT, rare.tick()).await.is_err());
            nap(SHORT).await;
        });
    });
}

#[test]
fn a_timer_needs_a_runtime_and_says_how_to_get_one() {
    for text in [
        panic_of(|| sleep(SHORT)),
        panic_of(|| sleep_until(Instant::now())),
        panic_of(|| timeout(SHORT, std::future::ready(()))),
        panic_of(|| interval(SHORT)),
    ] {
        assert!(text.contains("a timer needs a runtime"), "{text}");
        assert!(text.contains("call this from a task"), "{text}");
    }
    let rt = current_thread();
    let _guard = rt.enter();
    drop(sleep(SHORT));
    let text = panic_of(|| interval(Duration::ZERO));
    assert!(text.contains("`period` must be non-zero"), "{text}");
}

#[test]
fn a_timer_without_its_runtime_says_that_it_would_never_fire() {
    on_each_flavor(|rt| {
        let (mut set, mut unset) = {
            let _guard = rt.enter();
            (Box::pin(sleep(FAR)), Box::pin(sleep(FAR)))
        };
        let waker = CountingWaker::new();
        assert!(poll_with(&mut set, &waker.clone().into()).is_pending());
        drop(rt);
        assert_eq!(waker.wakes(), 1, "who waits for it has to know");
        assert!(!set.is_elapsed());
        for sleep in [&mut set, &mut unset] {
            let text = panic_of(|| poll_with(sleep, Waker::noop()));
            assert!(text.contains("keep the `Runtime`"), "{text}");
        }
        set.as_mut().reset(Instant::now() + FAR);
        assert_eq!(Arc::strong_count(&waker), 1, "its waker was leaked");
    });
}

#[test]
fn a_timer_that_outlives_its_runtime_has_nothing_of_the_next_one() {
    let rt = current_thread();
    let (mut set, mut unset) = (far(&rt), far(&rt));
    assert!(poll_with(&mut set, Waker::noop()).is_pending());
    drop(rt);

    let next = current_thread();
    let mut other = far(&next);
    let waker = CountingWaker::new();
    assert!(poll_with(&mut other, &waker.clone().into()).is_pending());
    for sleep in [&mut set, &mut unset] {
        assert!(!sleep.is_elapsed());
        let text = panic_of(|| poll_with(sleep, Waker::noop()));
        assert!(text.contains("keep the `Runtime`"), "{text}");
    }
    set.as_mut().reset(Instant::now() + FAR);
    drop((set, unset));
    assert_eq!(waker.wakes(), 0);

    other.as_mut().reset(Instant::now() + SHORT);
    next.block_on(nap(2 * SHORT));
    assert_eq!(waker.wakes(), 1, "its own timer was lost");
}

#[test]
fn a_root_that_waits_for_a_timer_learns_of_the_end_of_its_runtime() {
    let rt = multi_thread(2);
    let handle = rt.handle().clone();
    let (tell, set) = mpsc::channel();
    let waits = std::thread::spawn(move || {
        panic_of(|| {
            handle.block_on(async {
                let mut far = Box::pin(sleep(FAR));
                assert!(poll_with(&mut far, Waker::noop()).is_pending());
                tell.send(()).unwrap();
                far.await;
            });
        })
    });
    set.recv().unwrap();
    drop(rt);
    let text = waits.join().unwrap();
    assert!(text.contains("is being shut down"), "{text}");
}

#[test]
fn tasks_that_sleep_are_dropped_with_their_runtime() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        for _ in 0..100 {
            let guard = drops.guard();
            rt.spawn(async move {
                let _guard = guard;
                sleep(FAR).await;
            });
        }
        rt.block_on(nap(SHORT));
        drop(rt);
        assert_eq!((drops.made(), drops.alive()), (100, 0));
    });
}

/// Polls from a thread that has nothing to do with the runtime but to have entered it.
fn wait_elsewhere(rt: &Runtime, duration: Duration) {
    let _guard = rt.enter();
    let start = Instant::now();
    futures::executor::block_on(nap(duration));
    assert!(start.elapsed() >= duration);
}

#[test]
fn another_executor_can_wait_for_a_timer_of_a_runtime_that_is_asleep() {
    // Nobody runs it: a thread is started to see to the timer.
    let rt = multi_thread(2);
    wait_elsewhere(&rt, SHORT);
    // Now one sleeps, and has to wake up sooner than it meant to.
    wait_elsewhere(&rt, SHORT);
    rt.spawn(async { sleep(FAR).await });
    rt.block_on(nap(SHORT));
    wait_elsewhere(&rt, SHORT);
}

#[test]
fn a_thread_in_block_on_sees_to_timers_of_others() {
    let rt = Arc::new(current_thread());
    let gate = Gate::new();
    let (tell, inside) = mpsc::channel();
    let runs = std::thread::spawn({
        let (rt, gate) = (rt.clone(), gate.clone());
        move || {
            let wait = rt.spawn_blocking(move || gate.wait());
            rt.block_on(async {
                tell.send(()).unwrap();
                wait.await.unwrap();
            });
        }
    });
    inside.recv().unwrap();
    let opens = OpensOnDrop(gate);
    wait_elsewhere(&rt, SHORT);
    drop(opens);
    runs.join().unwrap();
}

#[test]
fn timers_fire_while_the_thread_that_set_them_is_blocked() {
    let rt = multi_thread(2);
    rt.block_on(async {
        let (tell, fired) = mpsc::channel();
        runnext::spawn(async move {
            nap(SHORT).await;
            tell.send(()).unwrap();
        });
        // The task sets its timer on the P that we give away.
        runnext::task::yield_now().await;
        runnext::task::block_in_place(|| fired.recv().unwrap());
    });
}

#[test]
fn timers_fire_when_the_thread_that_set_them_has_left() {
    let rt = multi_thread(2);
    let (tell, fired) = mpsc::channel();
    rt.block_on(async {
        runnext::spawn(async move {
            nap(4 * SHORT).await;
            tell.send(()).unwrap();
        });
        runnext::task::yield_now().await;
    });
    fired.recv().unwrap();
}

#[test]
fn timers_fire_when_the_thread_that_watched_runs_a_blocking_closure() {
    let mut builder = Builder::new_multi_thread();
    let rt = builder.worker_threads(1).max_blocking_threads(1).build();
    let rt = rt.unwrap();
    let (tell, fired) = mpsc::channel();
    rt.spawn(async move {
        nap(10 * SHORT).await;
        tell.send(()).unwrap();
    });
    // The one thread there is sets the timer and goes to sleep by it.
    while rt.metrics().worker_park_count(0) == 0 {
        std::thread::yield_now();
    }
    let gate = Gate::new();
    let opens = OpensOnDrop(gate.clone());
    rt.spawn_blocking(move || gate.wait());
    fired.recv().unwrap();
    drop(opens);
}

#[test]
fn timers_fire_beside_tasks_that_are_always_ready() {
    on_each_flavor(|rt| {
        let stop = Arc::new(AtomicUsize::new(0));
        for _ in 0..4 {
            let stop = stop.clone();
            rt.spawn(async move {
                while stop.load(Ordering::Relaxed) == 0 {
                    runnext::task::yield_now().await;
                }
            });
        }
        rt.block_on(rt.spawn(nap(SHORT))).unwrap();
        rt.block_on(nap(SHORT));
        stop.store(1, Ordering::Relaxed);
    });
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    on_each_flavor(|rt| {
        let (first, last) = (CountingWaker::new(), CountingWaker::new());
        let mut sleep = far(&rt);
        assert!(poll_with(&mut sleep, &first.clone().into()).is_pending());
        assert!(poll_with(&mut sleep, &last.clone().into()).is_pending());
        sleep.as_mut().reset(Instant::now() + SHORT);
        assert_eq!(
            Arc::strong_count(&first),
            1,
            "it still waits with the first"
        );
        run_until(&rt, || last.wakes() == 1);
        assert!(Instant::now() >= sleep.deadline());
        assert_eq!(first.wakes(), 0);
        assert!(sleep.is_elapsed());
        assert!(poll_with(&mut sleep, &first.into()).is_ready());
        assert_eq!(Arc::strong_count(&last), 1, "its waker was leaked");
    });
}

#[test]
fn a_timer_that_is_dropped_or_moved_to_another_runtime_lets_go_of_its_waker() {
    on_each_flavor(|rt| {
        let wakers = [CountingWaker::new(), CountingWaker::new()];
        let sleeps = rt.block_on(async { [FAR, FAR].map(|d| Box::pin(sleep(d))) });
        let [far, mut short] = sleeps;
        let mut far = far;
        assert!(poll_with(&mut far, &wakers[0].clone().into()).is_pending());
        assert!(poll_with(&mut short, &wakers[1].clone().into()).is_pending());
        std::thread::spawn(move || drop(far)).join().unwrap();
        assert_eq!(Arc::strong_count(&wakers[0]), 1);
        // It stays with its runtime, which goes on to see to it.
        let other = multi_thread(1);
        let elsewhere = other.spawn(async move {
            assert!(poll_with(&mut short, Waker::noop()).is_pending());
            short.as_mut().reset(Instant::now() + SHORT);
            short.await;
        });
        run_until(&rt, || elsewhere.is_finished());
        assert_eq!(Arc::strong_count(&wakers[1]), 1);
        assert_eq!(wakers.map(|waker| waker.wakes()), [0, 0]);
    });
}

#[test]
fn a_reset_timer_wakes_whoever_waits_at_the_new_time_alone() {
    on_each_flavor(|rt| {
        let waker = CountingWaker::new();
        let mut sleep = far(&rt);
        assert!(poll_with(&mut sleep, &waker.clone().into()).is_pending());
        let deadline = Instant::now() + SHORT;
        // On another thread, and without a poll after it.
        let mut sleep = std::thread::spawn(move || {
            sleep.as_mut().reset(deadline);
            sleep
        })
        .join()
        .unwrap();
        assert_eq!(sleep.deadline(), deadline);
        run_until(&rt, || waker.wakes() == 1);
        assert!(Instant::now() >= deadline);
        assert!(poll_with(&mut sleep, Waker::noop()).is_ready());
        // And again, after it has fired.
        sleep.as_mut().reset(Instant::now() + FAR);
        assert!(!sleep.is_elapsed());
        assert!(poll_with(&mut sleep, &waker.clone().into()).is_pending());
        sleep.as_mut().reset(Instant::now());
        run_until(&rt, || waker.wakes() == 2);
        assert!(poll_with(&mut sleep, Waker::noop()).is_ready());
    });
}

/// A waker whose functions panic, each where it is asked to.
fn panicking(on: &'static str) -> Waker {
    fn vtable(on: &'static str) -> &'static RawWakerVTable {
        static ON_WAKE: RawWakerVTable = RawWakerVTable::new(
            |data| RawWaker::new(data, &ON_WAKE),
            |_| panic!("woken on purpose"),
            |_| panic!("woken on purpose"),
            |_| {},
        );
        static ON_CLONE: RawWakerVTable =
            RawWakerVTable::new(|_| panic!("cloned on purpose"), |_| {}, |_| {}, |_| {});
        match on {
            "wake" => &ON_WAKE,
            _ => &ON_CLONE,
        }
    }
    // SAFETY: the functions do nothing with the data, and may be called on any thread.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), vtable(on))) }
}

#[test]
fn wakers_that_panic_do_no_harm_to_others() {
    on_each_flavor(|rt| {
        let waker = CountingWaker::new();
        let mut sleeps = rt.block_on(async { [FAR; 4].map(|d| Box::pin(sleep(d))) });
        assert!(poll_with(&mut sleeps[0], &waker.clone().into()).is_pending());
        assert!(poll_with(&mut sleeps[1], &panicking("wake")).is_pending());
        assert!(poll_with(&mut sleeps[2], &waker.clone().into()).is_pending());
        let text = panic_of(|| poll_with(&mut sleeps[3], &panicking("clone")));
        assert_eq!(text, "cloned on purpose");
        assert!(poll_with(&mut sleeps[3], &waker.clone().into()).is_pending());
        let start = Instant::now();
        for (sleep, n) in sleeps.iter_mut().zip([1, 1, 1, 2]) {
            sleep.as_mut().reset(start + n * SHORT);
        }
        run_until(&rt, || waker.wakes() == 3);
        rt.block_on(nap(SHORT));
    });
}

#[test]
fn a_waker_that_uses_timers_finds_no_lock_held() {
    struct Uses(std::sync::Mutex<Option<Pin<Box<Sleep>>>>, AtomicUsize);
    impl std::task::Wake for Uses {
        fn wake(self: Arc<Self>) {
            // Drops a timer of the same P, and sets another.
            let mut own = self.0.lock().unwrap().take().unwrap();
            own.as_mut().reset(Instant::now() + FAR);
            assert!(poll_with(&mut own, Waker::noop()).is_pending());
            self.1.fetch_add(1, Ordering::Release);
        }
    }
    on_each_flavor(|rt| {
        let (mut short, far) =
            rt.block_on(async { (Box::pin(sleep(SHORT)), Box::pin(sleep(FAR))) });
        let uses = Arc::new(Uses(std::sync::Mutex::new(Some(far)), AtomicUsize::new(0)));
        assert!(poll_with(&mut short, &uses.clone().into()).is_pending());
        run_until(&rt, || uses.1.load(Ordering::Acquire) == 1);
    });
}

#[test]
fn sleeps_that_are_ready_take_turns_with_other_tasks() {
    on_each_flavor(|rt| {
        let polls = Arc::new(AtomicUsize::new(0));
        let task = rt.spawn({
            let polls = polls.clone();
            let mut loops = Box::pin(async {
                for _ in 0..1_000 {
                    sleep(Duration::ZERO).await;
                }
            });
            holding((), move |cx| {
                polls.fetch_add(1, Ordering::Relaxed);
                loops.as_mut().poll(cx)
            })
        });
        rt.block_on(task).unwrap();
        // 128 operations a poll.
        assert_eq!(polls.load(Ordering::Relaxed), 1_000_usize.div_ceil(128));
    });
}

#[test]
fn a_timeout_is_not_held_up_by_a_future_that_uses_up_the_budget() {
    on_each_flavor(|rt| {
        let task = rt.spawn(async {
            let busy = async {
                loop {
                    runnext::task::consume_budget().await;
                }
            };
            timeout(SHORT, busy).await
        });
        assert!(rt.block_on(task).unwrap().is_err());
    });
}

/// A future that never ends.
struct Named(&'static str, #[allow(dead_code)] Guard);

impl Future for Named {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

#[test]
fn a_timeout_gives_the_future_back_and_drops_it_with_itself() {
    let rt = current_thread();
    rt.block_on(async {
        let drops = Drops::new();
        let mut limited = timeout(FAR, Named("before", drops.guard()));
        assert_eq!(limited.get_ref().0, "before");
        limited.get_mut().0 = "after";
        let named = limited.into_inner();
        assert_eq!((named.0, drops.dropped()), ("after", 0));
        drop(named);
        let ended = timeout(SHORT, Named("", drops.guard())).await;
        assert!(ended.is_err());
        assert_eq!(drops.dropped(), 2);
        assert_eq!(timeout(Duration::ZERO, async { 7 }).await, Ok(7));
    });
}

#[test]
fn an_interval_ticks_at_set_times() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let mut interval = interval(SHORT);
            assert_eq!(interval.period(), SHORT);
            let first = interval.tick().await;
            for n in 1..4 {
                let tick = interval.tick().await;
                assert_eq!(tick, first + n * SHORT);
                assert!(Instant::now() >= tick);
            }
        });
    });
}

#[test]
fn a_sleep_is_sent_and_shared_but_not_unpinned() {
    fn is_send_sync<T: Send + Sync>() {}
    is_send_sync::<Sleep>();
    is_send_sync::<runnext::time::Interval>();
    is_send_sync::<runnext::time::Timeout<std::future::Ready<()>>>();
    fn is_unpin<T: Unpin>() {}
    is_unpin::<runnext::time::Interval>();
    trait IsNotUnpin<A> {
        fn check() {}
    }
    impl<T> IsNotUnpin<()> for T {}
    impl<T: Unpin> IsNotUnpin<u8> for T {}
    // Ambiguous, and so no program, if it were `Unpin`.
    <Sleep as IsNotUnpin<_>>::check();
}
