//! Wakers, from everywhere and at every moment: no wake-up is lost, none makes a task run twice at
//! once, and what is left of a task is freed with its last waker.

mod common;

use common::{
    CountingWaker, Drops, current_thread, multi_thread, on_each_flavor, poll_once, run_until,
};
use runnext::runtime::Runtime;
use runnext::task::yield_now;
use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;

/// Ends when it was told `goal` times. Those who tell it add to `told` and wake it.
#[derive(Default)]
struct Told {
    told: AtomicUsize,
    waker: Mutex<Option<Waker>>,
    in_poll: AtomicBool,
    polls: AtomicUsize,
}

impl Told {
    async fn until(self: Arc<Self>, goal: usize) {
        poll_fn(|cx| {
            let twice = self.in_poll.swap(true, Ordering::AcqRel);
            assert!(!twice, "two polls of one task at once");
            self.polls.fetch_add(1, Ordering::Relaxed);
            self.waker
                .lock()
                .unwrap()
                .get_or_insert_with(|| cx.waker().clone());
            let done = self.told.load(Ordering::Acquire) >= goal;
            self.in_poll.store(false, Ordering::Release);
            if done { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn waker(&self) -> Option<Waker> {
        self.waker.lock().unwrap().clone()
    }

    fn tell(&self) {
        self.told.fetch_add(1, Ordering::Release);
    }
}

/// A task that passes its waker on and waits for ever, once it was polled.
fn waiting(
    rt: &Runtime,
    drops: &Drops,
    polls: &Arc<AtomicUsize>,
) -> (runnext::task::JoinHandle<()>, Waker) {
    let (wakers, woken) = mpsc::channel();
    let counted = polls.clone();
    let task = rt.spawn(common::holding(drops.guard(), move |cx| {
        if counted.fetch_add(1, Ordering::Relaxed) == 0 {
            wakers.send(cx.waker().clone()).unwrap();
        }
        Poll::Pending
    }));
    run_until(rt, || polls.load(Ordering::Relaxed) > 0);
    (task, woken.recv().unwrap())
}

#[test]
fn a_million_clones_are_as_good_as_one() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let told = Arc::new(Told::default());
        let (guard, telling) = (drops.guard(), told.clone());
        let task = rt.spawn(async move {
            let _guard = guard;
            telling.until(2).await;
        });
        run_until(&rt, || told.waker().is_some());
        let waker = told.waker().unwrap();
        let clones: Vec<Waker> = vec![waker; 1_000_000];
        assert!(clones.iter().all(|clone| clone.will_wake(&clones[0])));
        let (first, second) = (clones[..500_000].to_vec(), clones);
        thread::spawn(move || drop(first)).join().unwrap();
        assert_eq!(drops.alive(), 1);
        told.tell();
        second[0].wake_by_ref();
        run_until(&rt, || told.polls.load(Ordering::Relaxed) == 2);
        told.tell();
        let last = second.into_iter().next_back().unwrap();
        last.wake();
        rt.block_on(task).unwrap();
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn the_future_does_not_wait_for_its_wakers_to_be_dropped() {
    on_each_flavor(|rt| {
        let (drops, polls) = (Drops::new(), Arc::default());
        let (task, waker) = waiting(&rt, &drops, &polls);
        let clones = vec![waker; 1_000_000];
        task.abort();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
        assert_eq!(drops.alive(), 0);
        clones.iter().step_by(1_000).for_each(Waker::wake_by_ref);
        drop(rt);
        clones.iter().step_by(1_000).for_each(Waker::wake_by_ref);
        thread::spawn(move || drop(clones)).join().unwrap();
        assert_eq!(polls.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn wake_ups_before_a_poll_make_one_poll() {
    let rt = current_thread();
    let (drops, polls) = (Drops::new(), Arc::default());
    let (task, waker) = waiting(&rt, &drops, &polls);
    let pass = || rt.block_on(rt.spawn(async {})).unwrap();
    for expected in 2..10 {
        (0..100).for_each(|_| waker.wake_by_ref());
        vec![waker.clone(); 100].into_iter().for_each(Waker::wake);
        assert_eq!(polls.load(Ordering::Relaxed), expected - 1);
        pass();
        pass();
        assert_eq!(polls.load(Ordering::Relaxed), expected);
    }
    // And without one there is none.
    (0..10).for_each(|_| pass());
    assert_eq!(polls.load(Ordering::Relaxed), 9);
    drop(task);
}

#[test]
fn wake_ups_within_a_poll_make_one_more() {
    on_each_flavor(|rt| {
        let (polls, ended) = (Arc::new(AtomicUsize::new(0)), Drops::new());
        let (counted, guard) = (polls.clone(), ended.guard());
        let task = rt.spawn(poll_fn(move |cx| {
            let _guard = &guard;
            let n = counted.fetch_add(1, Ordering::Relaxed) + 1;
            if n == 10 {
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            cx.waker().wake_by_ref();
            thread::spawn(move || {
                waker.wake_by_ref();
                waker.wake();
            })
            .join()
            .unwrap();
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        rt.block_on(task).unwrap();
        assert_eq!((polls.load(Ordering::Relaxed), ended.alive()), (10, 0));
    });
}

#[test]
fn wake_ups_after_the_end_make_none() {
    on_each_flavor(|rt| {
        let polls = Arc::new(AtomicUsize::new(0));
        let (wakers, woken) = mpsc::channel();
        let counted = polls.clone();
        let task = rt.spawn(poll_fn(move |cx| {
            counted.fetch_add(1, Ordering::Relaxed);
            // This one is for a poll that will not be.
            cx.waker().wake_by_ref();
            wakers.send(cx.waker().clone()).unwrap();
            Poll::Ready(7)
        }));
        run_until(&rt, || task.is_finished());
        let waker = woken.recv().unwrap();
        waker.wake_by_ref();
        let by_value = waker.clone();
        by_value.wake();
        assert_eq!(rt.block_on(task).unwrap(), 7);
        waker.wake_by_ref();
        rt.block_on(rt.spawn(async {})).unwrap();
        drop(rt);
        waker.wake();
        assert_eq!(polls.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn the_last_poll_of_a_join_handle_decides_who_is_woken() {
    on_each_flavor(|rt| {
        let (drops, polls) = (Drops::new(), Arc::default());
        let (mut task, _waker) = waiting(&rt, &drops, &polls);
        let (first, second) = (CountingWaker::new(), CountingWaker::new());
        for joiner in [&first, &second] {
            let waker = Waker::from(joiner.clone());
            let polled = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        task.abort();
        run_until(&rt, || task.is_finished() && second.wakes() == 1);
        assert_eq!(first.wakes(), 0);
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
    });
}

#[test]
fn a_join_handle_passes_from_task_to_task() {
    on_each_flavor(|rt| {
        let (tell, told) = runnext::sync::oneshot::channel();
        let (drops, polls) = (Drops::new(), Arc::default());
        let (task, _waker) = waiting(&rt, &drops, &polls);
        let abort = task.abort_handle();
        rt.block_on(async {
            let first = runnext::spawn(async move {
                let mut task = task;
                assert!(poll_once(&mut task).await.is_pending());
                assert!(tell.send(task).is_ok());
                pending::<()>().await;
            });
            let mut task = told.await.unwrap();
            // The root has joined it as well, before the one that gets the answer.
            assert!(poll_once(&mut task).await.is_pending());
            let second = runnext::spawn(async move { task.await.unwrap_err().is_cancelled() });
            yield_now().await;
            abort.abort();
            assert!(second.await.unwrap());
            first.abort();
        });
    });
}

#[test]
fn of_a_root_future_may_be_used_by_any_thread_at_any_time() {
    on_each_flavor(|rt| {
        let (wakers, woken) = mpsc::channel::<Waker>();
        let mut waking = Some(thread::spawn(move || {
            let kept: Vec<Waker> = woken.iter().inspect(Waker::wake_by_ref).collect();
            kept
        }));
        for _ in 0..100 {
            let mut polls = 0;
            rt.block_on(poll_fn(|cx| {
                polls += 1;
                if polls == 100 {
                    return Poll::Ready(());
                }
                wakers.send(cx.waker().clone()).unwrap();
                Poll::Pending
            }));
        }
        drop(wakers);
        let kept = waking.take().unwrap().join().unwrap();
        kept.iter().for_each(Waker::wake_by_ref);
        assert_eq!(rt.block_on(rt.spawn(async { 7 })).unwrap(), 7);
        drop(rt);
        kept.into_iter().for_each(Waker::wake);
    });
}

#[test]
fn may_be_used_while_a_thread_ends() {
    /// Wakes where the thread-local values of a thread are dropped.
    struct WakesOnDrop(Arc<Told>, Waker);
    impl Drop for WakesOnDrop {
        fn drop(&mut self) {
            self.0.tell();
            self.1.wake_by_ref();
        }
    }
    thread_local! {
        static LAST: RefCell<Option<WakesOnDrop>> = const { RefCell::new(None) };
    }
    on_each_flavor(|rt| {
        let told = Arc::new(Told::default());
        let task = rt.spawn(told.clone().until(10));
        run_until(&rt, || told.waker().is_some());
        for _ in 0..10 {
            let wakes = WakesOnDrop(told.clone(), told.waker().unwrap());
            thread::spawn(move || LAST.set(Some(wakes))).join().unwrap();
        }
        rt.block_on(task).unwrap();
    });
}

/// Tells `tasks` tasks `goal` times each, from `threads` threads.
fn hammer(rt: Runtime, threads: usize, tasks: usize, goal: usize) {
    assert_eq!(tasks * goal % threads, 0);
    let drops = Drops::new();
    let told: Vec<Arc<Told>> = (0..tasks).map(|_| Arc::default()).collect();
    let joins: Vec<_> = told
        .iter()
        .map(|told| {
            let (guard, told) = (drops.guard(), told.clone());
            rt.spawn(async move {
                let _guard = guard;
                told.until(goal).await;
            })
        })
        .collect();
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        for k in 0..threads {
            let (told, start) = (&told, &start);
            scope.spawn(move || {
                start.wait();
                for n in 0..tasks * goal / threads {
                    // All threads together come by each task `goal` times.
                    let task = &told[(n * threads + k) % tasks];
                    task.tell();
                    match task.waker() {
                        // It has not been polled yet, and will see it.
                        None => {}
                        Some(waker) if n % 2 == 0 => waker.wake(),
                        Some(waker) => waker.wake_by_ref(),
                    }
                }
            });
        }
        rt.block_on(async {
            for join in joins {
                join.await.unwrap();
            }
        });
    });
    assert_eq!(drops.alive(), 0);
    assert!(told.iter().all(|t| t.told.load(Ordering::Relaxed) == goal));
}

#[test]
fn hammered_by_eight_threads_wake_a_hundred_tasks() {
    on_each_flavor(|rt| hammer(rt, 8, 100, 2_000));
}

#[test]
fn hammered_by_eight_threads_wake_a_single_task() {
    on_each_flavor(|rt| hammer(rt, 8, 1, 200_000));
}

#[test]
fn hammered_while_nobody_is_in_block_on_wake_the_workers() {
    let rt = multi_thread(2);
    let told: Arc<Told> = Arc::default();
    let task = rt.spawn(told.clone().until(100_000));
    for _ in 0..100_000 {
        told.tell();
        if let Some(waker) = told.waker() {
            waker.wake();
        }
    }
    // It ends without a thread in `block_on` of its runtime.
    current_thread().block_on(task).unwrap();
}

/// Those of the sockets are called in the midst of what a worker does with its processor.
#[cfg(feature = "net")]
#[test]
fn of_a_socket_do_not_give_their_worker_s_processor_away() {
    use runnext::net::UdpSocket;
    use runnext::runtime::Handle;
    use runnext::sync::Notify;
    use runnext::task::block_in_place;
    use std::task::Wake;

    /// Whether the thread has a processor, to whose queue what it spawns goes.
    fn has_one() -> bool {
        let before = Handle::current().metrics().remote_schedule_count();
        drop(runnext::spawn(async {}));
        Handle::current().metrics().remote_schedule_count() == before
    }

    #[derive(Default)]
    struct Blocks {
        had_one: AtomicBool,
        gave_it_away: AtomicBool,
        called: Notify,
    }

    impl Wake for Blocks {
        fn wake(self: Arc<Self>) {
            if has_one() {
                self.had_one.store(true, Ordering::Relaxed);
                if !block_in_place(has_one) {
                    self.gave_it_away.store(true, Ordering::Relaxed);
                }
            }
            self.called.notify_one();
        }
    }

    let rt = multi_thread(2);
    let blocks = Arc::new(Blocks::default());
    rt.block_on(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let waker = Waker::from(blocks.clone());
        while !blocks.had_one.load(Ordering::Relaxed) {
            let poll = socket.poll_recv_ready(&mut Context::from_waker(&waker));
            if poll.is_pending() {
                socket.send_to(b"x", address).await.unwrap();
                blocks.called.notified().await;
            }
            socket.try_recv(&mut [0]).unwrap();
            // There is no other: the next look finds nothing.
            socket.try_recv(&mut [0]).unwrap_err();
        }
    });
    assert!(!blocks.gave_it_away.load(Ordering::Relaxed));
}
