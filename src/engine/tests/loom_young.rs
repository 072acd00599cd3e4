//! Timers in their first turn: one that is given away in the midst of it fires, is cancelled or is reset as
//! any other.

use super::loom_timers::Counted;
use super::model::{Seen, check};
use crate::engine::timer::moment::moment;
use crate::engine::timer::{Infant, Inserted, Key, NEVER, State, Term, Timers, Young};
use loom::sync::Mutex;
use std::sync::Arc;
use std::task::Waker;

/// The holder of a P, in a turn in which a timer was set, and somebody elsewhere who has that.
struct Turn {
    timers: &'static Timers,
    young: Mutex<Young>,
    infant: Infant,
    owner: Arc<Counted>,
    other: Arc<Counted>,
    cancelled: Seen,
    /// It was set anew, and as what.
    again: Mutex<Option<Key>>,
}

impl Turn {
    /// The timer is due at 1.
    fn new() -> Turn {
        let timers: &'static Timers = Box::leak(Box::new(Timers::new()));
        let mut young = Young::new(timers, Term::default());
        let owner = Arc::new(Counted::default());
        let waker = Waker::from(owner.clone());
        // SAFETY: `owner` is there until the turn is over.
        let infant = unsafe { young.set(moment(1), &waker) };
        Turn {
            timers,
            young: Mutex::new(young),
            infant: infant.expect("they are open"),
            owner,
            other: Arc::default(),
            cancelled: Seen::new(),
            again: Mutex::new(None),
        }
    }

    fn end(&self) {
        self.young.lock().unwrap().settle();
    }

    /// The holder ends the turn, and then looks at its timers.
    fn end_and_expire(&self) {
        self.end();
        self.expire(2);
    }

    fn expire(&self, now: u64) {
        let mut wakers = Vec::new();
        while self.timers.earliest() <= now {
            let _more = self.timers.expire(now, &mut wakers);
            wakers.drain(..).for_each(Waker::wake);
        }
    }

    fn cancel(&self) {
        let key = self.infant.key();
        drop(self.timers.cancel(Term::default(), key));
        self.cancelled.note_if(true);
        assert!(self.timers.is_fired(Term::default(), key));
    }

    /// As `Timer::poll`.
    fn poll(&self) {
        let other = Waker::from(self.other.clone());
        let key = self.infant.key();
        match self.timers.poll(Term::default(), key, &other) {
            State::Stranger => match self.timers.replace(Term::default(), key, 1, other) {
                Ok(old) => drop(old),
                Err((state, other)) => {
                    assert!(matches!(state, State::Fired));
                    drop(other);
                }
            },
            State::Fired => {}
            state => panic!("{state:?}"),
        }
    }

    /// As `Timer::reset`, to 3.
    fn reset(&self) {
        let key = self.infant.key();
        if self.timers.move_early(Term::default(), key, 3) {
            *self.again.lock().unwrap() = Some(key);
        } else if let Some(waker) = self.timers.cancel(Term::default(), key) {
            match self.timers.insert(Term::default(), 3, waker) {
                Inserted::Earliest(key) | Inserted::Later(key) => {
                    *self.again.lock().unwrap() = Some(key);
                }
                Inserted::Closed(_) => unreachable!("they are open"),
            }
        }
    }

    fn woken(&self) -> [usize; 2] {
        [self.owner.count(), self.other.count()]
    }

    fn expect_nothing_left(&self) {
        assert_eq!(self.timers.earliest(), NEVER);
        self.young.lock().unwrap().leave();
        for counted in [&self.owner, &self.other] {
            assert_eq!(Arc::strong_count(counted), 1, "a waker is left over");
        }
    }
}

#[test]
fn a_young_timer_that_is_cancelled_elsewhere_wakes_nobody_after_that() {
    static FIRED: Seen = Seen::new();
    static IN_TIME: Seen = Seen::new();
    check(Turn::new, &[Turn::end_and_expire, Turn::cancel], |world| {
        let before = world.woken();
        FIRED.note_if(before == [1, 0]);
        IN_TIME.note_if(before == [0, 0]);
        world.expire(10);
        assert_eq!(world.woken(), before);
        world.expect_nothing_left();
    });
    FIRED.expect("it fires first");
    IN_TIME.expect("it is cancelled first");
}

#[test]
fn a_young_timer_that_is_awaited_elsewhere_wakes_one_of_the_two() {
    static FIRST: Seen = Seen::new();
    static OTHER: Seen = Seen::new();
    check(Turn::new, &[Turn::end_and_expire, Turn::poll], |world| {
        // Whoever came too late has learned so from the poll.
        world.expire(10);
        FIRST.note_if(world.woken() == [1, 0]);
        OTHER.note_if(world.woken() == [0, 1]);
        assert_eq!(world.woken().iter().sum::<usize>(), 1);
        world.expect_nothing_left();
    });
    FIRST.expect("it fires before the poll");
    OTHER.expect("the poll is first");
}

#[test]
fn a_young_timer_that_is_reset_elsewhere_wakes_its_owner_at_the_one_time_or_at_the_other() {
    static EARLY: Seen = Seen::new();
    static RESET: Seen = Seen::new();
    check(Turn::new, &[Turn::end_and_expire, Turn::reset], |world| {
        let again = *world.again.lock().unwrap();
        let fired = usize::from(again.is_none());
        assert_eq!(world.woken(), [fired, 0]);
        EARLY.note_if(again == Some(world.infant.key()));
        RESET.note_if(again.is_some_and(|key| key != world.infant.key()));
        world.expire(2);
        assert_eq!(world.woken(), [fired, 0], "it is due at 3");
        world.expire(3);
        assert_eq!(world.woken(), [1, 0]);
        world.expect_nothing_left();
    });
    EARLY.expect("it is reset before the turn ends");
    RESET.expect("it is reset after that");
}

#[test]
fn whoever_has_young_timers_when_the_others_are_closed_is_told() {
    static TOLD: Seen = Seen::new();
    static WOKEN: Seen = Seen::new();
    check(
        Turn::new,
        &[Turn::end, |world: &Turn| {
            let wakers = world.timers.close();
            WOKEN.note_if(!wakers.is_empty());
            TOLD.note_if(wakers.is_empty());
            wakers.into_iter().for_each(Waker::wake);
        }],
        |world| {
            assert_eq!(world.woken(), [1, 0]);
            world.expect_nothing_left();
        },
    );
    TOLD.expect("the end of the turn tells it");
    WOKEN.expect("closing wakes it");
}
