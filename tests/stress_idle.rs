//! A runtime that is just going to sleep, and threads that have something for it: hundreds of
//! thousands of times, at every distance from the moment that counts. A wake-up that is lost is a
//! test that hangs.
//!
//! `RUNNEXT_STRESS` sets how often, as in `stress.rs`.

mod common;

use common::{Random, current_thread, multi_thread, stress};
use runnext::runtime::{Builder, Runtime};
use runnext::sync::{mpsc, oneshot};
use runnext::task::{LocalSet, spawn_local};
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

/// A runtime, and how often its threads were about to sleep.
struct Idling {
    rt: Runtime,
    parks: Arc<AtomicUsize>,
}

fn runtimes() -> [Idling; 3] {
    let mut builders = [
        Builder::new_current_thread(),
        Builder::new_multi_thread(),
        Builder::new_multi_thread(),
    ];
    builders[1].worker_threads(1);
    builders[2].worker_threads(2);
    builders.map(|mut builder| {
        let parks = Arc::new(AtomicUsize::new(0));
        let counted = parks.clone();
        builder.on_thread_park(move || _ = counted.fetch_add(1, Ordering::Relaxed));
        let rt = builder.build().unwrap();
        Idling { rt, parks }
    })
}

impl Idling {
    /// Calls `touch` so many times, each once the one before was answered and some time has passed:
    /// about as long as a thread takes from the answer to its sleep, which is learned on the way.
    fn hammer(&self, times: usize, answers: &AtomicUsize, mut touch: impl FnMut()) {
        let mut random = Random::new(7);
        let mut delay = 1_000;
        for n in 0..times {
            wait_for(answers, n);
            let parks = self.parks.load(Ordering::Relaxed);
            let jitter = random.below(delay / 4 + 1);
            for _ in 0..delay - delay / 8 + jitter {
                std::hint::spin_loop();
            }
            touch();
            // Down faster than up: a thread that lost its CPU on the way says little.
            if self.parks.load(Ordering::Relaxed) == parks {
                delay = (delay + delay / 32 + 1).min(1 << 12);
            } else {
                delay -= delay / 4;
            }
        }
        wait_for(answers, times);
    }
}

fn wait_for(answers: &AtomicUsize, n: usize) {
    let mut spins = 0;
    while answers.load(Ordering::Acquire) < n {
        spins += 1;
        if spins % 64 == 0 {
            thread::yield_now();
        }
        std::hint::spin_loop();
    }
}

/// What is woken, through the waker that it leaves here.
#[derive(Default)]
struct Target {
    /// Polls after the first.
    answers: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Target {
    /// Ends with that many answers.
    fn polled(self: &Arc<Self>, times: usize) -> impl Future<Output = ()> + Send + use<> {
        let this = self.clone();
        poll_fn(move |cx| {
            let mut waker = this.waker.lock().unwrap();
            if waker.is_none() {
                *waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let answers = this.answers.fetch_add(1, Ordering::Release) + 1;
            if answers == times {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }

    fn waker(&self) -> Waker {
        loop {
            if let Some(waker) = &*self.waker.lock().unwrap() {
                return waker.clone();
            }
            thread::yield_now();
        }
    }

    /// Wakes it that many times.
    fn wake(&self, idling: &Idling, times: usize) {
        let waker = self.waker();
        idling.hammer(times, &self.answers, || waker.wake_by_ref());
    }
}

#[test]
fn hears_a_thread_that_wakes_a_task() {
    let times = stress() / 40;
    for idling in runtimes() {
        let target: Arc<Target> = Arc::default();
        let task = idling.rt.spawn(target.polled(times));
        thread::scope(|scope| {
            scope.spawn(|| target.wake(&idling, times));
            idling.rt.block_on(task).unwrap();
        });
    }
}

#[test]
fn hears_a_thread_that_wakes_a_task_of_a_worker() {
    let times = stress() / 40;
    let [_, one, two] = runtimes();
    for idling in [one, two] {
        let target: Arc<Target> = Arc::default();
        let task = idling.rt.spawn(target.polled(times));
        target.wake(&idling, times);
        current_thread().block_on(task).unwrap();
    }
}

#[test]
fn hears_a_thread_that_wakes_the_root_future() {
    let times = stress() / 40;
    for idling in runtimes() {
        let target: Arc<Target> = Arc::default();
        let root = target.polled(times);
        thread::scope(|scope| {
            scope.spawn(|| target.wake(&idling, times));
            idling.rt.block_on(root);
        });
    }
}

#[test]
fn hears_two_threads_that_wake_a_task_and_the_root_future() {
    let times = stress() / 40;
    for idling in runtimes() {
        let targets: [Arc<Target>; 2] = Default::default();
        let (task, root) = (
            idling.rt.spawn(targets[0].polled(times)),
            targets[1].polled(times),
        );
        thread::scope(|scope| {
            for target in &targets {
                scope.spawn(|| target.wake(&idling, times));
            }
            idling.rt.block_on(async {
                root.await;
                task.await.unwrap();
            });
        });
    }
}

#[test]
fn hears_a_thread_that_spawns_tasks() {
    let times = stress() / 80;
    let [_, one, two] = runtimes();
    for idling in [one, two] {
        let answers = Arc::new(AtomicUsize::new(0));
        idling.hammer(times, &answers, || {
            let answers = answers.clone();
            idling
                .rt
                .spawn(async move { answers.fetch_add(1, Ordering::Release) });
        });
    }
}

#[test]
fn hears_a_thread_that_spawns_closures() {
    let times = stress() / 80;
    for idling in runtimes() {
        let answers = Arc::new(AtomicUsize::new(0));
        idling.hammer(times, &answers, || {
            let answers = answers.clone();
            idling
                .rt
                .spawn_blocking(move || answers.fetch_add(1, Ordering::Release));
        });
    }
}

#[test]
fn hears_a_thread_that_wakes_a_local_task() {
    let times = stress() / 80;
    for idling in runtimes() {
        let target: Arc<Target> = Arc::default();
        let polled = target.polled(times);
        thread::scope(|scope| {
            scope.spawn(|| target.wake(&idling, times));
            LocalSet::new().block_on(&idling.rt, async { spawn_local(polled).await.unwrap() });
        });
    }
}

#[test]
fn passes_work_between_its_threads() {
    // Each hop leaves one thread without work and has to reach another, or the same.
    let times = stress() / 80;
    for idling in runtimes() {
        let (to_b, mut at_b) = mpsc::channel(1);
        let (to_a, mut at_a) = mpsc::channel(1);
        let echo = idling.rt.spawn(async move {
            while let Some(n) = at_b.recv().await {
                let (reply, answer) = oneshot::channel();
                runnext::spawn(async move { reply.send(n).unwrap() });
                to_a.send(answer.await.unwrap()).await.unwrap();
            }
        });
        idling.rt.block_on(async {
            for n in 0..times {
                to_b.send(n).await.unwrap();
                assert_eq!(at_a.recv().await, Some(n));
            }
            drop(to_b);
            echo.await.unwrap();
        });
    }
}

#[test]
fn passes_work_between_tasks_that_block_in_place() {
    let times = stress() / 200;
    for workers in [1, 2] {
        let rt = multi_thread(workers);
        let task = rt.spawn(async move {
            for n in 0..times {
                let (tell, told) = std::sync::mpsc::channel();
                runnext::spawn(async move { tell.send(n).unwrap() });
                let got = runnext::task::block_in_place(|| told.recv().unwrap());
                assert_eq!(got, n);
            }
        });
        rt.block_on(task).unwrap();
    }
}
