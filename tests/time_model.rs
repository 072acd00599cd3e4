//! Random programs of tasks that wait, by a clock that is stopped, against what can be told of them
//! beforehand: each wait ends at one moment, and that is known to the nanosecond.

#![cfg(feature = "test-util")]

mod common;
#[path = "common/waits.rs"]
mod waits;

use common::poll_once;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::future::{Either, select};
use proptest::prelude::*;
use runnext::runtime::Builder;
use runnext::task::yield_now;
use runnext::time::{
    self, Duration, Instant, MissedTickBehavior, Sleep, interval, sleep, sleep_until, timeout,
};
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use waits::{Op, Program, program};

/// Who got how far, and at which moment.
type Log = Arc<Mutex<Vec<(usize, u64, u64)>>>;

type Timer = Pin<Box<Sleep>>;

const fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

struct Task {
    number: usize,
    start: Instant,
    log: Log,
    give: UnboundedSender<Timer>,
    take: UnboundedReceiver<Timer>,
}

fn nanos_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap()
}

impl Task {
    fn now(&self) -> u64 {
        nanos_since(self.start)
    }

    fn log(&self, what: u64) {
        let entry = (self.number, what, self.now());
        self.log.lock().unwrap().push(entry);
    }

    async fn step(&mut self, op: Op) {
        match op {
            Op::Sleep(d) => {
                sleep(ns(d)).await;
                self.log(0);
            }
            Op::Until(moment) => {
                sleep_until(self.start + ns(moment)).await;
                self.log(0);
            }
            Op::Late { set, first } => {
                let late = sleep(ns(set));
                sleep(ns(first)).await;
                self.log(0);
                late.await;
                self.log(1);
            }
            Op::Reset {
                set,
                after,
                to,
                back,
            } => {
                let mut wait = pin!(sleep(ns(set)));
                let other = Box::pin(sleep(ns(after)));
                let first = matches!(select(wait.as_mut(), other).await, Either::Left(_));
                self.log(u64::from(first));
                let anew = (self.now() + to).saturating_sub(back);
                wait.as_mut().reset(self.start + ns(anew));
                assert_eq!(wait.deadline(), self.start + ns(anew));
                wait.await;
                self.log(2);
            }
            Op::Brief(d, count) => {
                let mut sleeps: Vec<_> = (1..=count as u64)
                    .map(|n| Box::pin(sleep(ns(d + n))))
                    .collect();
                for sleep in &mut sleeps {
                    assert!(poll_once(sleep).await.is_pending());
                }
                let kept = sleeps.swap_remove(count / 2);
                drop(sleeps);
                kept.await;
                self.log(0);
            }
            Op::Crowd(spans) => {
                let mut waits: Vec<_> = sleeps(&spans).into_iter().map(Some).collect();
                poll_fn(|cx| {
                    for (n, wait) in waits.iter_mut().enumerate() {
                        if let Some(sleep) = wait
                            && sleep.as_mut().poll(cx).is_ready()
                        {
                            *wait = None;
                            self.log(n as u64);
                        }
                    }
                    if waits.iter().all(Option::is_none) {
                        return Poll::Ready(());
                    }
                    Poll::Pending
                })
                .await;
            }
            Op::First(spans) => {
                let mut waits = sleeps(&spans);
                let first = poll_fn(|cx| {
                    let ready = |wait: &mut Timer| wait.as_mut().poll(cx).is_ready();
                    waits
                        .iter_mut()
                        .position(ready)
                        .map_or(Poll::Pending, Poll::Ready)
                });
                let first = first.await;
                drop(waits);
                self.log(first as u64);
            }
            Op::Timeout { limit, set } => {
                let ended = timeout(ns(limit), sleep(ns(set))).await;
                self.log(u64::from(ended.is_err()));
            }
            Op::Ticks {
                period,
                count,
                missed,
                work,
            } => {
                let mut ticks = interval(ns(period));
                ticks.set_missed_tick_behavior(missed);
                for _ in 0..count {
                    let due = ticks.tick().await - self.start;
                    self.log(u64::try_from(due.as_nanos()).unwrap());
                    sleep(ns(work)).await;
                    self.log(0);
                }
            }
            Op::Give { set, polled } => {
                let mut given = Box::pin(sleep(ns(set)));
                if polled {
                    assert_eq!(poll_once(&mut given).await.is_ready(), set == 0);
                }
                // The next task may have ended.
                drop(self.give.unbounded_send(given));
                self.log(0);
            }
            Op::Take => {
                let taken = self.take.next().await;
                self.log(0);
                if let Some(timer) = taken {
                    timer.await;
                    self.log(1);
                }
            }
        }
    }
}

fn sleeps(spans: &[u64]) -> Vec<Timer> {
    spans.iter().map(|&d| Box::pin(sleep(ns(d)))).collect()
}

/// A wait that ends: how, when, and since when that was settled.
#[derive(Debug)]
struct Event {
    what: u64,
    moment: u64,
    since: u64,
}

/// What is known of a task beforehand.
#[derive(Debug, Default)]
struct Expected {
    now: u64,
    events: Vec<Event>,
    /// The moments at which it may be polled.
    polls: BTreeSet<u64>,
    given: Vec<Given>,
}

#[derive(Debug)]
struct Given {
    moment: u64,
    deadline: u64,
    polled: bool,
    taken: Option<u64>,
}

impl Expected {
    fn event(&mut self, what: u64, moment: u64) {
        let since = self.now;
        self.events.push(Event {
            what,
            moment,
            since,
        });
        self.polls.insert(moment);
        self.now = moment;
    }

    /// Something that is not settled by timers alone.
    fn hears(&mut self, what: u64, moment: u64) {
        self.now = self.now.max(moment);
        self.event(what, self.now);
    }
}

/// The stretches of time that are over in one step.
struct Leaps(Vec<(u64, u64)>);

impl Leaps {
    fn new(root: &[(u64, u64)]) -> Leaps {
        let mut now = 0;
        let leap = |&(pause, by): &(u64, u64)| {
            let from = now + pause;
            now = from + by;
            (from, now)
        };
        Leaps(root.iter().map(leap).collect())
    }

    /// When it is over to wait from `now` until `deadline`.
    fn end(&self, now: u64, deadline: u64) -> u64 {
        if deadline <= now {
            return now;
        }
        let mut leaps = self.0.iter();
        let leap = leaps.find(|&&(from, to)| from < deadline && deadline <= to);
        leap.map_or(deadline, |&(_, to)| to)
    }

    fn expect(&self, me: &mut Expected, before: &mut [Given], closed: u64, op: &Op) {
        let now = me.now;
        let after = |span: u64| self.end(now, now + span);
        match *op {
            Op::Sleep(d) => me.event(0, after(d)),
            Op::Until(moment) => me.event(0, self.end(now, moment)),
            Op::Late { set, first } => {
                me.event(0, after(first));
                me.event(1, self.end(me.now, now + set));
            }
            Op::Reset {
                set,
                after: other,
                to,
                back,
            } => {
                let first = after(set) <= after(other);
                me.event(u64::from(first), after(set).min(after(other)));
                let anew = (me.now + to).saturating_sub(back);
                me.event(2, self.end(me.now, anew));
            }
            Op::Brief(d, count) => me.event(0, after(d + count as u64 / 2 + 1)),
            Op::Crowd(ref spans) => {
                let mut all: Vec<_> = (0..).zip(spans).map(|(n, &d)| (after(d), n)).collect();
                all.sort_unstable();
                for (moment, n) in all {
                    me.now = now;
                    me.event(n, moment);
                }
            }
            Op::First(ref spans) => {
                let first = (0..).zip(spans).map(|(n, &d)| (after(d), n)).min();
                let (moment, n) = first.unwrap();
                me.event(n, moment);
            }
            Op::Timeout { limit, set } => {
                let late = after(limit) < after(set);
                me.event(u64::from(late), after(limit).min(after(set)));
            }
            Op::Ticks {
                period,
                count,
                missed,
                work,
            } => {
                let mut due = now;
                for _ in 0..count {
                    me.event(due, self.end(me.now, due));
                    let late = me.now - due;
                    due = match missed {
                        MissedTickBehavior::Delay if late > 5_000_000 => me.now + period,
                        MissedTickBehavior::Skip if late > 5_000_000 => {
                            due + (late / period + 1) * period
                        }
                        _ => due + period,
                    };
                    me.event(0, self.end(me.now, me.now + work));
                }
            }
            Op::Give { set, polled } => {
                me.given.push(Given {
                    moment: now,
                    deadline: now + set,
                    polled,
                    taken: None,
                });
                me.event(0, now);
            }
            Op::Take => match before.iter_mut().find(|given| given.taken.is_none()) {
                Some(given) => {
                    me.hears(0, given.moment);
                    given.taken = Some(me.now);
                    me.event(1, self.end(me.now, given.deadline));
                }
                None => me.hears(0, closed),
            },
        }
    }

    fn tasks(&self, tasks: &[Vec<Op>]) -> Vec<Expected> {
        let mut all: Vec<Expected> = Vec::new();
        for ops in tasks {
            let mut me = Expected::default();
            me.polls.insert(0);
            let mut nobody = Expected::default();
            let before = all.last_mut().unwrap_or(&mut nobody);
            let closed = before.now;
            for op in ops {
                self.expect(&mut me, &mut before.given, closed, op);
            }
            all.push(me);
        }
        for me in &mut all {
            // A timer that was polled wakes who did so, until another task has polled it.
            for given in me.given.iter().filter(|given| given.polled) {
                let fires = self.end(given.moment, given.deadline);
                if given.taken.is_none_or(|taken| fires <= taken) {
                    me.polls.insert(fires);
                }
            }
        }
        all
    }
}

/// Lets all others go on until they wait for time to pass.
async fn settle(log: &Log) {
    let length = || log.lock().unwrap().len();
    let (mut before, mut turns) = (length(), 0);
    // Timers that are due are looked at now and then.
    while turns < 200 {
        yield_now().await;
        turns += 1;
        if length() != before {
            (before, turns) = (length(), 0);
        }
    }
}

async fn run(program: Program, log: Log) -> (Vec<BTreeSet<u64>>, u64) {
    let start = Instant::now();
    let root = program.tasks.len();
    let (_, mut take) = unbounded();
    let mut tasks = Vec::new();
    for (number, ops) in program.tasks.into_iter().enumerate() {
        let (give, next) = unbounded();
        let mut task = Task {
            number,
            start,
            log: log.clone(),
            give,
            take: std::mem::replace(&mut take, next),
        };
        let mut body = Box::pin(async move {
            for op in ops {
                task.step(op).await;
            }
        });
        tasks.push(runnext::spawn(async move {
            let mut polls = BTreeSet::new();
            poll_fn(|cx| {
                polls.insert(nanos_since(start));
                body.as_mut().poll(cx)
            })
            .await;
            polls
        }));
    }
    for (pause, by) in program.root {
        sleep(ns(pause)).await;
        settle(&log).await;
        time::advance(ns(by)).await;
        log.lock().unwrap().push((root, 0, nanos_since(start)));
    }
    let mut polls = Vec::new();
    for task in tasks {
        polls.push(task.await.unwrap());
    }
    (polls, nanos_since(start))
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
    fn every_wait_ends_at_its_moment(program in program()) {
        let leaps = Leaps::new(&program.root);
        let expected = leaps.tasks(&program.tasks);
        let root = program.tasks.len();
        let rt = Builder::new_current_thread().start_paused(true).build().unwrap();
        let log = Log::default();
        let (polls, end) = rt.block_on(run(program, log.clone()));

        let log = &log.lock().unwrap()[..];
        prop_assert!(log.is_sorted_by_key(|&(.., moment)| moment));
        let of = |who| (0..log.len()).filter(move |&at| log[at].0 == who);
        let advanced: Vec<_> = of(root).collect();
        let moments: Vec<_> = advanced.iter().map(|&at| log[at].2).collect();
        let to: Vec<_> = leaps.0.iter().map(|leap| leap.1).collect();
        prop_assert_eq!(&moments, &to, "the root");
        for (n, me) in expected.iter().enumerate() {
            let seen: Vec<_> = of(n).map(|at| (log[at].1, log[at].2)).collect();
            let events: Vec<_> = me.events.iter().map(|e| (e.what, e.moment)).collect();
            prop_assert_eq!(seen, events, "task {}", n);
            prop_assert!(polls[n].is_subset(&me.polls), "task {n} was woken in vain: {polls:?}");
            // Who waited for what an advance brought about has had a turn when it is done.
            for (at, event) in of(n).zip(&me.events) {
                for (&done, &(from, to)) in advanced.iter().zip(&leaps.0) {
                    let brought = event.since <= from && from < to && event.moment == to;
                    prop_assert!(!brought || at < done, "task {}: {:?}", n, event);
                }
            }
        }
        let last = expected.iter().map(|me| me.now).chain(to).max();
        prop_assert_eq!(Some(end), last);
    }
}
