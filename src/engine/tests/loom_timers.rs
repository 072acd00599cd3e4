//! The timers of a P: a timer fires or is cancelled, and nobody sleeps past one.

use super::model::{Seen, check};
use crate::engine::timer::{Inserted, Key, NEVER, State, Term, Timers};
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Wake, Waker};

/// Counts its wake-ups; how many wakers there are is told by its `Arc`. Orders nothing in the model.
#[derive(Default)]
pub(super) struct Counted(AtomicUsize);

impl Counted {
    pub(super) fn count(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Two timers, due at 1 and at 2, and what is done to the first.
struct World {
    timers: Timers,
    keys: [Key; 2],
    counted: [Arc<Counted>; 2],
    /// Another waker for the first.
    other: Arc<Counted>,
    /// What cancelling got back.
    cancelled: Seen,
    /// The first was set anew, and as what.
    again: Mutex<Option<Key>>,
}

impl World {
    fn new() -> World {
        let timers = Timers::new();
        let counted = [Arc::new(Counted::default()), Arc::new(Counted::default())];
        let set = |n: usize| match timers.insert(
            Term::default(),
            n as u64 + 1,
            counted[n].clone().into(),
        ) {
            Inserted::Earliest(key) | Inserted::Later(key) => key,
            Inserted::Closed(_) => unreachable!("they are open"),
        };
        let keys = [set(0), set(1)];
        World {
            timers,
            keys,
            counted,
            other: Arc::default(),
            cancelled: Seen::new(),
            again: Mutex::new(None),
        }
    }

    /// Takes out what is due by `now`, and wakes it.
    fn expire(&self, now: u64) {
        let mut wakers = Vec::new();
        if self.timers.earliest() <= now {
            let more = self.timers.expire(now, &mut wakers);
            assert!(!more);
        }
        for waker in wakers {
            waker.wake();
        }
    }

    fn cancel(&self) -> Option<Waker> {
        let waker = self.timers.cancel(Term::default(), self.keys[0]);
        self.cancelled.note_if(waker.is_some());
        waker
    }

    /// The first is set to 3 instead, if it has not fired.
    fn reset(&self) {
        if let Some(waker) = self.cancel() {
            match self.timers.insert(Term::default(), 3, waker) {
                Inserted::Earliest(key) | Inserted::Later(key) => {
                    *self.again.lock().unwrap() = Some(key);
                }
                Inserted::Closed(waker) => drop(waker),
            }
        }
    }

    fn poll_with_another_waker(&self) {
        let other = Waker::from(self.other.clone());
        if let State::Stranger = self.timers.poll(Term::default(), self.keys[0], &other) {
            match self.timers.replace(Term::default(), self.keys[0], 1, other) {
                Ok(old) => drop(old),
                Err((_, other)) => drop(other),
            }
        }
    }

    /// How often the wakers of the first were woken.
    fn fired(&self) -> usize {
        self.counted[0].count() + self.other.count()
    }

    /// Fires what is left, and fails if a waker was lost, leaked or woken twice.
    fn settle(&self) {
        self.expire(10);
        assert_eq!(self.counted[1].count(), 1, "the second timer");
        assert_eq!(self.timers.earliest(), NEVER);
        assert!(
            self.keys
                .iter()
                .all(|&key| self.timers.is_fired(Term::default(), key))
        );
        for counted in self.counted.iter().chain([&self.other]) {
            assert_eq!(Arc::strong_count(counted), 1, "a waker is left over");
        }
    }
}

#[test]
fn a_timer_fires_or_is_cancelled() {
    static FIRED: Seen = Seen::new();
    static CANCELLED: Seen = Seen::new();
    check(
        World::new,
        &[
            |world: &World| world.expire(1),
            // A thief.
            |world: &World| world.expire(2),
            |world: &World| drop(world.cancel()),
        ],
        |world| {
            assert_eq!(world.fired() + world.cancelled.count(), 1);
            FIRED.note_if(world.fired() == 1);
            CANCELLED.note_if(world.cancelled.count() == 1);
            world.settle();
        },
    );
    FIRED.expect("it fires");
    CANCELLED.expect("it is cancelled");
}

#[test]
fn a_timer_that_is_reset_fires_at_the_one_time_or_at_the_other() {
    static RESET: Seen = Seen::new();
    static TOO_LATE: Seen = Seen::new();
    check(
        World::new,
        &[
            |world: &World| world.expire(1),
            |world: &World| world.expire(2),
            World::reset,
        ],
        |world| {
            let reset = world.cancelled.count();
            assert_eq!(world.fired() + reset, 1);
            RESET.note_if(reset == 1);
            TOO_LATE.note_if(reset == 0);
            world.settle();
            assert_eq!(world.fired(), 1);
            let again = *world.again.lock().unwrap();
            assert!(again.is_none_or(|key| world.timers.is_fired(Term::default(), key)));
        },
    );
    RESET.expect("it is reset");
    TOO_LATE.expect("it has fired before that");
}

#[test]
fn of_two_wakers_one_is_woken() {
    static FIRST: Seen = Seen::new();
    static OTHER: Seen = Seen::new();
    check(
        World::new,
        &[
            |world: &World| world.expire(2),
            World::poll_with_another_waker,
        ],
        |world| {
            assert_eq!(world.fired(), 1);
            FIRST.note_if(world.counted[0].count() == 1);
            OTHER.note_if(world.other.count() == 1);
            world.settle();
        },
    );
    FIRST.expect("it fires before the poll");
    OTHER.expect("it fires after the poll");
}

#[test]
fn whoever_waits_when_timers_are_closed_is_told() {
    static CLOSED: Seen = Seen::new();
    check(
        World::new,
        &[
            |world: &World| {
                for waker in world.timers.close() {
                    waker.wake();
                }
            },
            World::reset,
        ],
        |world| {
            // Woken, or refused when it was to be set again, which tells the caller.
            let refused = world.cancelled.count() == 1 && world.again.lock().unwrap().is_none();
            CLOSED.note_if(refused);
            assert_eq!(world.fired() + usize::from(refused), 1);
            assert_eq!(world.counted[1].count(), 1);
            assert!(matches!(
                world
                    .timers
                    .poll(Term::default(), world.keys[1], Waker::noop()),
                State::Closed
            ));
            for counted in &world.counted {
                assert_eq!(Arc::strong_count(counted), 1, "a waker is left over");
            }
        },
    );
    CLOSED.expect("it is refused");
}

/// An M that parks, and threads without a P that set timers: the steps of `scheduler/park.rs` and of
/// `ring` in `scheduler/time.rs`. Here it is the lock of the list that orders; the fences are for the
/// alarm, which saves the look at the list.
struct Parking {
    timers: Timers,
    /// The M is on the list.
    listed: Mutex<bool>,
    alarm: AtomicU64,
    /// It was told to look again.
    token: AtomicBool,
    /// What it sleeps by, when it does.
    sleeps_by: Mutex<Option<u64>>,
}

impl Parking {
    fn new() -> Parking {
        Parking {
            timers: Timers::new(),
            listed: Mutex::new(false),
            alarm: AtomicU64::new(NEVER),
            token: AtomicBool::new(false),
            sleeps_by: Mutex::new(None),
        }
    }

    /// Goes to sleep, and wakes up once for a token.
    fn park(&self) {
        *self.listed.lock().unwrap() = true;
        fence(Ordering::SeqCst);
        for _ in 0..2 {
            let earliest = self.timers.earliest();
            if earliest != NEVER {
                self.alarm.fetch_min(earliest, Ordering::Relaxed);
            }
            *self.sleeps_by.lock().unwrap() = Some(earliest);
            if !self.token.swap(false, Ordering::Acquire) {
                return;
            }
            *self.sleeps_by.lock().unwrap() = None;
            self.alarm.store(NEVER, Ordering::Relaxed);
            fence(Ordering::SeqCst);
        }
    }

    fn set(&self, deadline: u64) {
        let inserted = self
            .timers
            .insert(Term::default(), deadline, Waker::noop().clone());
        if let Inserted::Earliest(_) = inserted {
            fence(Ordering::SeqCst);
            let watched = self.alarm.load(Ordering::Relaxed) <= deadline;
            if !watched && *self.listed.lock().unwrap() {
                self.token.swap(true, Ordering::Release);
            }
        }
    }

    /// Whether the M was told to look again, and has not yet. An exchange, like the parker's: loom
    /// would let a load return any of the values that came from several threads.
    fn is_told(&self) -> bool {
        self.token.fetch_or(false, Ordering::Relaxed)
    }

    /// Whether the M sleeps past a timer, with nobody to wake it up.
    fn oversleeps(&self) -> bool {
        let sleeps_by = *self.sleeps_by.lock().unwrap();
        let late = sleeps_by.is_some_and(|by| by > self.timers.earliest());
        late && !self.is_told()
    }
}

#[test]
fn nobody_sleeps_past_a_timer_that_another_thread_sets() {
    static TOLD: Seen = Seen::new();
    static SEEN: Seen = Seen::new();
    check(
        Parking::new,
        &[
            Parking::park,
            |world: &Parking| world.set(5),
            |world: &Parking| world.set(3),
        ],
        |world| {
            assert!(!world.oversleeps());
            TOLD.note_if(world.is_told());
            SEEN.note_if(*world.sleeps_by.lock().unwrap() == Some(3));
        },
    );
    TOLD.expect("it is told");
    SEEN.expect("it sees the timer by itself");
}

/// As `Parking`, of an M that has slept by a timer of another P, which is due.
struct Alarm {
    /// Of the P whose timer was due, and of the one on which the other thread sets one.
    timers: [Timers; 2],
    alarm: AtomicU64,
    /// What the M sleeps by now.
    sleeps_by: AtomicU64,
    told: AtomicBool,
    fence: bool,
}

impl Alarm {
    fn new(fence: bool) -> Alarm {
        let timers = [Timers::new(), Timers::new()];
        let _set = timers[0].insert(Term::default(), 2, Waker::noop().clone());
        Alarm {
            timers,
            alarm: AtomicU64::new(2),
            sleeps_by: AtomicU64::new(NEVER),
            told: AtomicBool::new(false),
            fence,
        }
    }

    /// `unset_alarm`, and the next look.
    fn wake_up(&self) {
        self.alarm.store(NEVER, Ordering::Relaxed);
        if self.fence {
            fence(Ordering::SeqCst);
        }
        let _more = self.timers[0].expire(2, &mut Vec::new());
        let earliest = self.timers[1].earliest();
        self.sleeps_by.store(earliest, Ordering::Relaxed);
    }

    /// `ring`.
    fn set(&self) {
        let _set = self.timers[1].insert(Term::default(), 3, Waker::noop().clone());
        fence(Ordering::SeqCst);
        if self.alarm.load(Ordering::Relaxed) > 3 {
            self.told.store(true, Ordering::Relaxed);
        }
    }

    fn expect_in_time(&self) {
        let late = self.sleeps_by.load(Ordering::Relaxed) > 3;
        let told = self.told.load(Ordering::Relaxed);
        assert!(told || !late, "it sleeps past a timer");
    }
}

#[test]
fn an_alarm_that_has_gone_off_is_relied_on_by_nobody() {
    static TOLD: Seen = Seen::new();
    static RELIED: Seen = Seen::new();
    check(
        || Alarm::new(true),
        &[Alarm::wake_up, Alarm::set],
        |world| {
            world.expect_in_time();
            let told = world.told.load(Ordering::Relaxed);
            TOLD.note_if(told);
            RELIED.note_if(!told);
        },
    );
    TOLD.expect("the alarm is known to be gone");
    RELIED.expect("the alarm is relied on, and the timer seen");
}

#[test]
#[should_panic(expected = "it sleeps past a timer")]
fn canary_without_a_fence_somebody_relies_on_an_alarm_that_is_gone() {
    check(
        || Alarm::new(false),
        &[Alarm::wake_up, Alarm::set],
        Alarm::expect_in_time,
    );
}
