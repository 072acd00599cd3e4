//! Timers that others than the current task wait for, by a clock that is stopped, against a sorted map
//! of what is due: they wake whom they should, once, each at its moment, and in order.

#![cfg(feature = "test-util")]

mod common;
#[path = "common/waits.rs"]
mod waits;

use common::poll_once;
use proptest::prelude::*;
use proptest::sample::Index;
use runnext::runtime::Builder;
use runnext::task::{coop::unconstrained, yield_now};
use runnext::time::{self, Duration, Instant, Sleep, sleep, sleep_until};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use waits::span;

/// What is done to timers. Those that an index tells are among all that were ever made.
#[derive(Clone, Debug)]
enum Op {
    Set(u64),
    /// For a moment so long after the beginning, which may have passed.
    Until(u64),
    /// So many, each so much later than the one before.
    Many(u64, usize, u64),
    /// For the current task, which drops one after each of so many before its turn is over.
    Young(u64, usize, usize),
    Poll(Index),
    /// Somebody else waits for it from now on.
    PassOn(Index),
    Reset(Index, u64, u64),
    Cancel(Index),
    /// All but one of so many.
    CancelMost(usize),
    Turn,
    Wait(u64),
    Advance(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let index = any::<Index>;
    let op = prop_oneof![
        6 => span().prop_map(Op::Set),
        1 => span().prop_map(Op::Until),
        1 => (span(), 1..300_usize, 0..3_u64).prop_map(|(d, n, step)| Op::Many(d, n, step)),
        2 => (span(), 1..40_usize, 1..5_usize).prop_map(|(d, n, kept)| Op::Young(d, n, kept)),
        3 => index().prop_map(Op::Poll),
        2 => index().prop_map(Op::PassOn),
        5 => (index(), span(), prop_oneof![Just(0), span()])
            .prop_map(|(n, to, back)| Op::Reset(n, to, back)),
        3 => index().prop_map(Op::Cancel),
        1 => (2..10_usize).prop_map(Op::CancelMost),
        2 => Just(Op::Turn),
        2 => span().prop_map(Op::Wait),
        2 => span().prop_map(Op::Advance),
    ];
    prop::collection::vec(op, 1..60)
}

/// Who was woken, and at which moment.
type Log = Arc<Mutex<Vec<(usize, u64)>>>;

/// Notes when it is woken.
struct Waits {
    name: usize,
    start: Instant,
    log: Log,
}

impl Wake for Waits {
    fn wake(self: Arc<Self>) {
        let entry = (self.name, nanos_since(self.start));
        self.log.lock().unwrap().push(entry);
    }
}

fn nanos_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap()
}

const fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unset,
    /// The key of it in the model.
    Set(u64, usize),
    Fired,
}

struct Timer {
    /// `None`: it was dropped.
    sleep: Option<Pin<Box<Sleep>>>,
    /// Who waits for it; `None`: the task that does all this.
    waits: Option<Arc<Waits>>,
    deadline: u64,
    stage: Stage,
}

struct World {
    start: Instant,
    log: Log,
    timers: Vec<Timer>,
    /// All who ever waited.
    all: Vec<Arc<Waits>>,
    /// What is due, in the order in which it was set.
    model: BTreeMap<(u64, usize), usize>,
    order: usize,
    now: u64,
}

impl World {
    fn new() -> World {
        World {
            start: Instant::now(),
            log: Log::default(),
            timers: Vec::new(),
            all: Vec::new(),
            model: BTreeMap::new(),
            order: 0,
            now: 0,
        }
    }

    fn somebody(&mut self) -> Arc<Waits> {
        let waits = Arc::new(Waits {
            name: self.all.len(),
            start: self.start,
            log: self.log.clone(),
        });
        self.all.push(waits.clone());
        waits
    }

    fn add(&mut self, sleep: Sleep, deadline: u64, waits: Option<Arc<Waits>>) -> usize {
        assert_eq!(sleep.deadline(), self.start + ns(deadline));
        self.timers.push(Timer {
            sleep: Some(Box::pin(sleep)),
            waits,
            deadline,
            stage: Stage::Unset,
        });
        self.timers.len() - 1
    }

    fn expect(&mut self, n: usize) {
        let key = (self.timers[n].deadline, self.order);
        self.order += 1;
        self.timers[n].stage = Stage::Set(key.0, key.1);
        self.model.insert(key, n);
    }

    fn forget(&mut self, n: usize) {
        if let Stage::Set(deadline, order) = self.timers[n].stage {
            assert_eq!(self.model.remove(&(deadline, order)), Some(n));
        }
    }

    async fn poll(&mut self, n: usize) {
        let timer = &mut self.timers[n];
        let Some(sleep) = &mut timer.sleep else {
            return;
        };
        let poll = match &timer.waits {
            Some(waits) => {
                let waker = Waker::from(waits.clone());
                sleep.as_mut().poll(&mut Context::from_waker(&waker))
            }
            None => poll_once(sleep).await,
        };
        match timer.stage {
            Stage::Unset if timer.deadline > self.now => {
                assert!(poll.is_pending());
                self.expect(n);
            }
            Stage::Set(..) => assert!(poll.is_pending(), "it is ready before it was due"),
            Stage::Unset | Stage::Fired => {
                assert_eq!(poll, Poll::Ready(()), "timer {n} is late");
                timer.stage = Stage::Fired;
            }
        }
    }

    async fn set(&mut self, span: u64) {
        let waits = self.somebody();
        let n = self.add(sleep(ns(span)), self.now + span, Some(waits));
        self.poll(n).await;
    }

    fn cancel(&mut self, n: usize) {
        self.forget(n);
        self.timers[n].sleep = None;
        self.timers[n].waits = None;
        self.timers[n].stage = Stage::Unset;
    }

    fn index(&self, index: Index) -> Option<usize> {
        (!self.timers.is_empty()).then(|| index.index(self.timers.len()))
    }

    /// What is due until `moment`, in order, is over: each at its own time, or at `at` at the earliest.
    fn fire(&mut self, moment: u64, at: u64) -> Vec<(usize, u64)> {
        let later = self.model.split_off(&(moment + 1, 0));
        let due = std::mem::replace(&mut self.model, later);
        let mut woken = Vec::new();
        for ((deadline, _), n) in due {
            self.timers[n].stage = Stage::Fired;
            if let Some(waits) = &self.timers[n].waits {
                woken.push((waits.name, deadline.max(at)));
            }
        }
        woken
    }

    async fn step(&mut self, op: Op) {
        let mut woken = Vec::new();
        match op {
            Op::Set(span) => self.set(span).await,
            Op::Until(moment) => {
                let waits = self.somebody();
                let sleep = sleep_until(self.start + ns(moment));
                let n = self.add(sleep, moment, Some(waits));
                self.poll(n).await;
            }
            Op::Many(span, count, step) => {
                for n in 0..count as u64 {
                    self.set(span + n * step).await;
                }
            }
            Op::Young(span, count, kept) => {
                let first = self.timers.len();
                for n in 0..count as u64 {
                    let sleep = sleep(ns(span + n));
                    let n = self.add(sleep, self.now + span + n, None);
                    self.poll(n).await;
                }
                for n in (first..first + count).skip(kept).step_by(kept + 1) {
                    self.cancel(n);
                }
            }
            Op::Poll(index) => {
                if let Some(n) = self.index(index) {
                    self.poll(n).await;
                }
            }
            Op::PassOn(index) => {
                if let Some(n) = self.index(index)
                    && self.timers[n].waits.is_some()
                {
                    self.timers[n].waits = Some(self.somebody());
                    self.poll(n).await;
                }
            }
            Op::Reset(index, to, back) => {
                if let Some(n) = self.index(index)
                    && let Some(sleep) = &mut self.timers[n].sleep
                {
                    let deadline = (self.now + to).saturating_sub(back);
                    sleep.as_mut().reset(self.start + ns(deadline));
                    assert!(!sleep.is_elapsed());
                    self.forget(n);
                    self.timers[n].deadline = deadline;
                    match self.timers[n].stage {
                        Stage::Set(..) => self.expect(n),
                        _ => self.timers[n].stage = Stage::Unset,
                    }
                }
            }
            Op::Cancel(index) => {
                if let Some(n) = self.index(index) {
                    self.cancel(n);
                }
            }
            Op::CancelMost(of) => {
                for n in (0..self.timers.len()).filter(|n| n % of != 0) {
                    self.cancel(n);
                }
            }
            Op::Turn => {
                woken = self.fire(self.now, self.now);
                // Timers that are due are looked at now and then.
                for _ in 0..200 {
                    yield_now().await;
                }
                self.look();
            }
            Op::Wait(span) => {
                if span > 0 {
                    woken = self.fire(self.now + span, self.now);
                }
                sleep(ns(span)).await;
                self.now += span;
            }
            Op::Advance(span) => {
                self.now += span;
                woken = self.fire(self.now, self.now);
                time::advance(ns(span)).await;
                self.look();
            }
        }
        assert_eq!(nanos_since(self.start), self.now);
        assert_eq!(std::mem::take(&mut *self.log.lock().unwrap()), woken);
    }

    /// Each timer says how things stand with it.
    fn look(&self) {
        for (n, timer) in self.timers.iter().enumerate() {
            if let Some(sleep) = &timer.sleep {
                let fired = timer.stage == Stage::Fired;
                assert_eq!(sleep.is_elapsed(), fired, "timer {n} of {timer:?}");
            }
        }
    }

    /// Those that are left fire, and each says so.
    async fn end(mut self) {
        let last = self.model.last_key_value();
        let left = last.map_or(0, |(&(deadline, _), _)| deadline.saturating_sub(self.now));
        self.step(Op::Wait(left + 1)).await;
        assert!(self.model.is_empty());
        self.look();
        for n in 0..self.timers.len() {
            self.poll(n).await;
        }
        self.timers.clear();
        for waits in &self.all {
            assert_eq!(Arc::strong_count(waits), 1, "a waker was leaked");
        }
    }
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (self.deadline, self.stage).fmt(f)
    }
}

async fn run(ops: Vec<Op>) {
    let mut world = World::new();
    for op in ops {
        world.step(op).await;
    }
    world.end().await;
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn timers_wake_whom_they_should_once_and_in_order(ops in ops(), spawned in any::<bool>()) {
        let rt = Builder::new_current_thread().start_paused(true).build().unwrap();
        if spawned {
            rt.block_on(rt.spawn(unconstrained(run(ops)))).unwrap();
        } else {
            rt.block_on(unconstrained(run(ops)));
        }
    }
}

#[test]
fn the_clock_does_not_leap_for_timers_that_were_dropped() {
    let rt = Builder::new_current_thread()
        .start_paused(true)
        .build()
        .unwrap();
    let metrics = rt.metrics();
    rt.block_on(async {
        let start = Instant::now();
        let mut sleeps = [3, 2, 1, 4].map(|n| Box::pin(sleep(Duration::from_secs(n))));
        for sleep in &mut sleeps {
            assert!(poll_once(sleep).await.is_pending());
        }
        yield_now().await;
        drop(sleeps);
        let (tell, told) = futures::channel::oneshot::channel();
        let parks = metrics.worker_park_count(0);
        let thread = std::thread::spawn(move || {
            while metrics.worker_park_count(0) < parks + 1 {
                std::thread::yield_now();
            }
            tell.send(()).unwrap();
        });
        told.await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        thread.join().unwrap();
    });
}
