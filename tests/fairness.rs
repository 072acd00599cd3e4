//! Bounded unfairness: whatever else runs, who is ready is polled within a bounded number of other
//! polls. The bounds follow from how the queues work, with some to spare; they are in polls, never in
//! time.
//!
//! `TestPingPongHog` of Go's src/runtime/proc_test.go is retold here, and the spawn chain of
//! golang/go#52934, beside which a yielding goroutine waits for seconds.

mod common;

use common::{current_thread, multi_thread};
use runnext::runtime::{Builder, Handle, Runtime};
use runnext::sync::Notify;
use runnext::task::{JoinHandle, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many Gs in a row may come from runnext before the ring has its turn.
const SLICE: usize = 16;
/// How many Gs a ring holds.
const RING: usize = 256;
/// Every how many turns the global queue is looked at, unless set.
const INTERVAL: usize = 61;

/// Counts the polls of a scenario, and ends it.
#[derive(Clone, Default)]
struct Clock(Arc<(AtomicUsize, AtomicBool)>);

impl Clock {
    fn now(&self) -> usize {
        self.0.0.load(Ordering::Relaxed)
    }

    /// Counts one poll. Whether to go on.
    fn tick(&self) -> bool {
        self.0.0.fetch_add(1, Ordering::Relaxed);
        !self.0.1.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.0.1.store(true, Ordering::Relaxed);
    }

    /// Yields for ever.
    fn yielder(&self) -> impl Future<Output = ()> + Send + use<> {
        let clock = self.clone();
        async move {
            while clock.tick() {
                yield_now().await;
            }
        }
    }

    /// A task that spawns its successor and ends.
    fn chain(&self) {
        let clock = self.clone();
        runnext::spawn(async move {
            if clock.tick() {
                clock.chain();
            }
        });
    }

    /// Two tasks that pass a token to and fro through the runnext slot.
    fn ping_pong(&self) {
        let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        ping.notify_one();
        for (mine, other) in [(ping.clone(), pong.clone()), (pong, ping)] {
            let clock = self.clone();
            runnext::spawn(async move {
                loop {
                    mine.notified().await;
                    let go_on = clock.tick();
                    other.notify_one();
                    if !go_on {
                        break;
                    }
                }
            });
        }
    }

    /// The most polls of others between two of a task that yields, over `polls` of them.
    fn watched(&self, polls: usize) -> JoinHandle<usize> {
        let clock = self.clone();
        runnext::spawn(async move {
            let (mut most, mut last) = (0, clock.now());
            for _ in 0..polls {
                yield_now().await;
                most = most.max(clock.now() - last);
                last = clock.now();
            }
            clock.stop();
            most
        })
    }
}

/// Runs the scenario that `begin` makes on one processor, with a task that yields; how long that
/// one had to wait at most.
fn most_polls_between(
    polls: usize,
    begin: impl Fn(&Clock) + Send + Sync + Clone + 'static,
) -> usize {
    let mut most = 0;
    for rt in [current_thread(), multi_thread(1)] {
        let begin = begin.clone();
        let watched = rt.spawn(async move {
            let clock = Clock::default();
            begin(&clock);
            clock.watched(polls).await.unwrap()
        });
        most = most.max(rt.block_on(watched).unwrap());
    }
    most
}

#[track_caller]
fn assert_within(most: usize, bound: usize) {
    assert!(most > 0, "nobody else was polled");
    assert!(
        most <= bound,
        "{most} polls of others between two, where {bound} are allowed"
    );
}

/// What keeps a processor busy, each in its own way.
/// What a scenario is called, and what sets it going.
type Scenario = (&'static str, fn(&Clock));

const SCENARIOS: [Scenario; 4] = [
    ("a task that yields", |clock| {
        drop(runnext::spawn(clock.yielder()))
    }),
    ("many that yield", |clock| {
        (0..100).for_each(|_| drop(runnext::spawn(clock.yielder())));
    }),
    ("a pair", Clock::ping_pong),
    ("a chain", Clock::chain),
];

/// Intervals at which the global queue may be looked at, from each turn to hardly ever.
const INTERVALS: [u32; 5] = [1, 7, INTERVAL as u32, 100_000, u32::MAX];

fn with_interval(interval: u32) -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.global_queue_interval(interval).build().unwrap()
}

mod a_task_that_yields {
    use super::*;

    #[test]
    fn is_polled_within_a_bound_whatever_the_interval_is() {
        for interval in INTERVALS {
            for (name, begin) in SCENARIOS {
                let rt = with_interval(interval);
                let clock = Clock::default();
                let most = rt.block_on(async {
                    begin(&clock);
                    clock.watched(500).await.unwrap()
                });
                let bound = 100 + SLICE;
                assert!(
                    most <= bound,
                    "{name}, {interval}: {most} polls between two"
                );
            }
        }
    }

    #[test]
    fn is_polled_beside_a_pair_that_passes_a_token() {
        assert_within(most_polls_between(2_000, Clock::ping_pong), 2 * SLICE);
    }

    #[test]
    fn is_polled_beside_an_endless_spawn_chain() {
        assert_within(most_polls_between(2_000, Clock::chain), 2 * SLICE);
    }

    #[test]
    fn is_polled_beside_many_pairs_and_chains() {
        let most = most_polls_between(500, |clock| {
            (0..10).for_each(|_| clock.ping_pong());
            (0..10).for_each(|_| clock.chain());
        });
        assert_within(most, 40 * (SLICE + 1));
    }

    #[test]
    fn is_polled_once_in_a_round_of_others_that_yield() {
        let most = most_polls_between(500, |clock| {
            (0..100).for_each(|_| drop(runnext::spawn(clock.yielder())));
        });
        assert_within(most, 100);
    }

    #[test]
    fn is_polled_beside_a_full_ring_and_a_chain() {
        let most = most_polls_between(20, |clock| {
            (0..RING - 4).for_each(|_| drop(runnext::spawn(clock.yielder())));
            clock.chain();
        });
        assert_within(most, RING * (SLICE + 1));
    }

    #[test]
    fn is_polled_beside_more_than_the_ring_holds() {
        let most = most_polls_between(20, |clock| {
            (0..3 * RING).for_each(|_| drop(runnext::spawn(clock.yielder())));
            clock.chain();
        });
        // At worst it is the last in the global queue, which gives one in each interval.
        assert_within(most, 4 * RING * INTERVAL);
    }
}

mod a_task_from_another_thread {
    use super::*;

    /// How many polls pass on a busy runtime before all of `count` tasks that come from outside
    /// were polled.
    fn polls_until_run(interval: u32, count: usize, busy: impl Fn(&Clock)) -> usize {
        with_interval(interval).block_on(async {
            let clock = Clock::default();
            busy(&clock);
            for _ in 0..100 {
                runnext::spawn(yield_now()).await.unwrap();
            }
            let inside = runnext::spawn({
                let clock = clock.clone();
                async move {
                    let begin = clock.now();
                    let (handle, there) = (Handle::current(), clock.clone());
                    let spawn = move || {
                        let spawn = |_| {
                            handle.spawn({
                                let clock = there.clone();
                                async move { clock.now() }
                            })
                        };
                        (0..count).map(spawn).collect::<Vec<_>>()
                    };
                    // They are in the global queue when this poll goes on.
                    let tasks = std::thread::spawn(spawn).join().unwrap();
                    let mut last = begin;
                    for task in tasks {
                        last = last.max(task.await.unwrap());
                    }
                    clock.stop();
                    last - begin
                }
            });
            inside.await.unwrap()
        })
    }

    #[test]
    fn is_polled_within_the_interval() {
        for interval in [1, 2, 7, INTERVAL as u32, 500] {
            let polls = polls_until_run(interval, 1, |clock| {
                (0..50).for_each(|_| drop(runnext::spawn(clock.yielder())));
            });
            assert!(
                polls <= interval as usize,
                "{polls} polls, with an interval of {interval}"
            );
        }
    }

    #[test]
    fn is_polled_within_the_interval_beside_a_pair_and_a_chain() {
        for interval in [1, 7, INTERVAL as u32] {
            for busy in [Clock::ping_pong, Clock::chain] {
                let polls = polls_until_run(interval, 1, busy);
                assert!(
                    polls <= interval as usize,
                    "{polls} polls, with an interval of {interval}"
                );
            }
        }
    }

    #[test]
    fn is_polled_within_an_interval_for_each_before_it() {
        let polls = polls_until_run(INTERVAL as u32, 300, |clock| {
            (0..50).for_each(|_| drop(runnext::spawn(clock.yielder())));
        });
        assert!(polls <= 300 * INTERVAL, "{polls} polls");
    }
}

mod a_root_future {
    use super::*;

    /// Polls of others during `polls` of a root future that yields, and the most between two.
    fn beside(interval: u32, polls: usize, begin: impl Fn(&Clock)) -> (usize, usize) {
        let rt = with_interval(interval);
        let clock = Clock::default();
        rt.block_on(async {
            begin(&clock);
            let (mut most, mut last) = (0, clock.now());
            for _ in 0..polls {
                yield_now().await;
                most = most.max(clock.now() - last);
                last = clock.now();
            }
            (clock.now(), most)
        })
    }

    #[test]
    fn that_yields_does_not_starve_the_tasks() {
        for (name, begin) in SCENARIOS {
            let (all, _) = beside(INTERVAL as u32, 1_000, begin);
            assert!(
                all >= 500,
                "{name}: {all} polls beside 1000 of the root future"
            );
        }
    }

    #[test]
    fn is_polled_within_a_bound_whatever_the_interval_is() {
        for interval in INTERVALS {
            for (name, begin) in SCENARIOS {
                let (_, most) = beside(interval, 500, begin);
                let bound = 2 * INTERVAL;
                assert!(
                    most <= bound,
                    "{name}, {interval}: {most} polls between two"
                );
            }
        }
    }

    #[test]
    fn that_is_woken_is_polled_within_a_bound() {
        for (name, begin) in SCENARIOS {
            let rt = current_thread();
            let clock = Clock::default();
            let most = rt.block_on(async {
                begin(&clock);
                let mut most = 0;
                for _ in 0..100 {
                    let there = clock.clone();
                    let woken = runnext::spawn(async move { there.now() }).await.unwrap();
                    most = most.max(clock.now() - woken);
                }
                most
            });
            assert!(
                most <= 2 * INTERVAL,
                "{name}: {most} polls after the wake-up"
            );
        }
    }

    #[test]
    fn that_yields_beside_a_worker_goes_on_and_lets_it_go_on() {
        for (_, begin) in SCENARIOS {
            let rt = multi_thread(1);
            let clock = Clock::default();
            rt.block_on(async {
                begin(&clock);
                // It has the processor, or a worker has it: either way both make progress.
                while clock.now() < 1_000 {
                    yield_now().await;
                }
            });
            clock.stop();
        }
    }
}

#[test]
fn who_is_ready_is_polled_however_often_the_others_wake_each_other() {
    // A ring of tasks that pass several tokens, which keeps runnext occupied all the time.
    let most = most_polls_between(500, |clock| {
        let doors: Vec<_> = (0..20).map(|_| Arc::new(Notify::new())).collect();
        for n in 0..20 {
            let (clock, mine, next) =
                (clock.clone(), doors[n].clone(), doors[(n + 1) % 20].clone());
            runnext::spawn(async move {
                loop {
                    mine.notified().await;
                    let go_on = clock.tick();
                    next.notify_one();
                    if !go_on {
                        break;
                    }
                }
            });
        }
        doors.iter().step_by(5).for_each(|door| door.notify_one());
    });
    assert_within(most, 20 * (SLICE + 1));
}

/// A worker that finds an event whenever it has nothing else to do, and never comes to look at everything.
#[cfg(feature = "net")]
#[test]
fn who_waits_for_a_stuck_worker_is_polled_however_often_sockets_are_ready_on_the_other() {
    use runnext::net::UdpSocket;
    use std::hint::spin_loop;

    /// More than one, which would be in runnext.
    const TASKS: usize = 10;
    /// Of the two that send to each other, in which the others have to be polled.
    const BOUND: usize = 20_000;

    let rt = multi_thread(2);
    let clock = Clock::default();
    let polled = rt.block_on(async {
        let here = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let there = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        here.connect(there.local_addr().unwrap()).await.unwrap();
        there.connect(here.local_addr().unwrap()).await.unwrap();
        here.send(b"x").await.unwrap();
        for socket in [here, there] {
            let clock = clock.clone();
            runnext::spawn(async move {
                let mut buf = [0];
                while socket.recv(&mut buf).await.is_ok() && clock.tick() {
                    socket.send(b"x").await.unwrap();
                }
            });
        }
        let clock = clock.clone();
        let stuck = runnext::spawn(async move {
            let until = |moment: usize| {
                while clock.now() < moment {
                    spin_loop();
                }
            };
            // This worker is blocked, so from here on both are on the other one.
            until(clock.now() + 1_000);
            let polled = Arc::new(AtomicUsize::new(0));
            for _ in 0..TASKS {
                let polled = polled.clone();
                runnext::spawn(async move { polled.fetch_add(1, Ordering::Relaxed) });
            }
            let last = clock.now() + BOUND;
            while polled.load(Ordering::Relaxed) < TASKS && clock.now() < last {
                spin_loop();
            }
            polled.load(Ordering::Relaxed)
        });
        stuck.await.unwrap()
    });
    clock.stop();
    assert_eq!(polled, TASKS);
}
