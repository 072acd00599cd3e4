//! The timers of a P against a sorted map of what is due, by one thread.

use crate::engine::timer::moment::moment;
use crate::engine::timer::{BATCH, Infant, Inserted, Key, NEVER, State, Term, Timers, Young};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

/// Counts how often it was woken.
#[derive(Default)]
pub(super) struct Counted(AtomicUsize);

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counted {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Timers that are never freed. A list has them, so that nobody takes them for lost.
pub(super) fn timers_for_good() -> &'static Timers {
    static ALL: Mutex<Vec<&'static Timers>> = Mutex::new(Vec::new());
    let timers: &'static Timers = Box::leak(Box::new(Timers::new()));
    ALL.lock().unwrap().push(timers);
    timers
}

/// A timer that was set, and what became of it.
struct Set {
    key: Key,
    /// It was young when it was last looked at here.
    infant: Option<Infant>,
    deadline: u64,
    counted: Arc<Counted>,
    alive: bool,
    /// It was cancelled while it was young, so nobody has its key.
    unknown: bool,
    /// It was reset while it was young, by its key.
    reset: bool,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Insert(u64),
    /// The timer of this number among all that were ever set.
    Cancel(prop::sample::Index),
    /// The newest.
    CancelLast,
    Reset(prop::sample::Index, u64),
    Poll(prop::sample::Index),
    /// So much time passes.
    Expire(u64),
    /// Many are set and cancelled again.
    Crowd(u64),
    /// Many are set young, and every so many of them is cancelled.
    SetYoung(u64, usize, usize),
    /// One that is young is cancelled by somebody who does not hold the P.
    CancelElsewhere(prop::sample::Index),
    /// It is awaited there.
    AwaitElsewhere(prop::sample::Index),
    /// It is reset there.
    ResetElsewhere(prop::sample::Index, u64),
    /// The turn ends in which they were set; the P is given up besides.
    EndTurn(bool),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let index = any::<prop::sample::Index>;
    let op = prop_oneof![
        6 => (0..200_u64).prop_map(Op::Insert),
        3 => index().prop_map(Op::Cancel),
        1 => Just(Op::CancelLast),
        2 => (index(), 0..200_u64).prop_map(|(i, d)| Op::Reset(i, d)),
        2 => index().prop_map(Op::Poll),
        2 => (0..60_u64).prop_map(Op::Expire),
        1 => (1..200_u64).prop_map(Op::Crowd),
        4 => (0..200_u64, prop_oneof![4 => 1..4_usize, 1 => 1..100_usize], 1..10_usize)
            .prop_map(|(d, n, k)| Op::SetYoung(d, n, k)),
        1 => index().prop_map(Op::CancelElsewhere),
        1 => index().prop_map(Op::AwaitElsewhere),
        1 => (index(), 0..200_u64).prop_map(|(i, d)| Op::ResetElsewhere(i, d)),
        3 => any::<bool>().prop_map(Op::EndTurn),
    ];
    prop::collection::vec(op, 1..200)
}

/// Timers, and beside them the model: what is due when, in the order in which it arrived.
struct World {
    timers: &'static Timers,
    young: Young,
    /// Whom the young ones wake.
    owner: Arc<Counted>,
    sets: Vec<Set>,
    model: BTreeMap<(u64, usize), usize>,
    order: usize,
    now: u64,
}

impl World {
    fn new() -> World {
        let timers = timers_for_good();
        World {
            timers,
            young: Young::new(timers, Term::default()),
            owner: Arc::default(),
            sets: Vec::new(),
            model: BTreeMap::new(),
            order: 0,
            now: 0,
        }
    }

    fn timers(&self) -> &'static Timers {
        self.timers
    }

    /// Those that are young, in the order in which they will arrive.
    fn infants(&self) -> Vec<usize> {
        let mut infants: Vec<(u32, usize)> = (self.sets.iter().enumerate())
            .filter_map(|(n, set)| Some((set.infant?.at(), n)))
            .collect();
        infants.sort_unstable();
        infants.into_iter().map(|(_, n)| n).collect()
    }

    fn set_young(&mut self, deadline: u64) {
        let owner = Waker::from(self.owner.clone());
        // SAFETY: the waker of the owner is there until the turn is over, as `self.owner` is.
        let infant = unsafe { self.young.set(moment(deadline), &owner) };
        let infant = infant.expect("there is one owner, and they are open");
        let key = infant.key();
        assert!(
            self.sets.iter().all(|set| set.unknown || set.key != key),
            "somebody has that key"
        );
        self.sets.push(Set {
            key,
            infant: Some(infant),
            deadline,
            counted: self.owner.clone(),
            alive: true,
            unknown: false,
            reset: false,
        });
    }

    fn cancel_young(&mut self, n: usize) {
        let infant = self.sets[n].infant.take().expect("it is young");
        assert!(self.young.cancel(infant));
        self.sets[n].alive = false;
        self.sets[n].unknown = true;
    }

    fn cancel_elsewhere(&mut self, n: usize) {
        self.sets[n].infant = None;
        self.sets[n].alive = false;
        let key = self.sets[n].key;
        assert!(self.timers().cancel(Term::default(), key).is_none());
    }

    fn end_turn(&mut self, gives_up: bool) {
        self.young.settle();
        assert!(self.young.is_settled());
        for n in self.infants() {
            let infant = self.sets[n].infant.take().expect("it was young");
            assert!(!self.young.cancel(infant), "it is not here any more");
            self.expect(n);
        }
        self.owner = Arc::default();
        if gives_up {
            self.young.leave();
        }
    }

    fn insert(&mut self, deadline: u64) {
        let counted = Arc::new(Counted::default());
        let key = self.set(deadline, Waker::from(counted.clone()));
        self.sets.push(Set {
            key,
            infant: None,
            deadline,
            counted,
            alive: true,
            unknown: false,
            reset: false,
        });
        self.expect(self.sets.len() - 1);
    }

    fn set(&mut self, deadline: u64, waker: Waker) -> Key {
        let before = self.timers().earliest();
        assert!(before <= self.earliest());
        match self.timers().insert(Term::default(), deadline, waker) {
            Inserted::Earliest(key) => {
                assert!(deadline < before);
                key
            }
            Inserted::Later(key) => {
                assert!(deadline >= before);
                key
            }
            Inserted::Closed(_) => unreachable!("they are open"),
        }
    }

    fn expect(&mut self, n: usize) {
        self.order += 1;
        self.model.insert((self.sets[n].deadline, self.order), n);
    }

    fn forget(&mut self, n: usize) {
        self.model.retain(|_, other| *other != n);
    }

    fn earliest(&self) -> u64 {
        self.model.keys().next().map_or(NEVER, |key| key.0)
    }

    fn cancel(&mut self, n: usize) -> Option<Waker> {
        if self.sets[n].infant.is_some() {
            if self.sets[n].reset {
                self.cancel_elsewhere(n);
            } else {
                self.cancel_young(n);
            }
            return None;
        }
        if self.sets[n].unknown {
            return None;
        }
        let waker = self.timers().cancel(Term::default(), self.sets[n].key);
        assert_eq!(waker.is_some(), self.sets[n].alive);
        self.sets[n].alive = false;
        self.forget(n);
        waker
    }

    fn poll(&self, n: usize) {
        let set = &self.sets[n];
        if set.unknown {
            return;
        }
        let own = Waker::from(set.counted.clone());
        let state = self.timers().poll(Term::default(), set.key, &own);
        let other = self.timers().poll(Term::default(), set.key, Waker::noop());
        if set.infant.is_some() {
            assert!(matches!(state, State::Stranger), "{state:?}");
            assert!(matches!(other, State::Stranger), "{other:?}");
        } else if set.alive {
            assert!(matches!(state, State::Pending), "{state:?}");
            assert!(matches!(other, State::Stranger), "{other:?}");
        } else {
            assert!(matches!(state, State::Fired), "{state:?}");
        }
        assert_eq!(self.timers().is_fired(Term::default(), set.key), !set.alive);
    }

    /// Everything that is due is taken out, in order, in batches.
    fn expire(&mut self) {
        loop {
            let mut wakers = Vec::new();
            let more = self.timers().expire(self.now, &mut wakers);
            let due = |(key, _): &(&(u64, usize), &usize)| key.0 <= self.now;
            let expected: Vec<usize> = self.model.iter().take_while(due).map(|e| *e.1).collect();
            assert_eq!(wakers.len(), expected.len().min(BATCH));
            assert_eq!(more, expected.len() > BATCH);
            for (waker, &n) in wakers.into_iter().zip(&expected) {
                let set = &mut self.sets[n];
                assert!(set.alive);
                set.alive = false;
                let before = set.counted.count();
                waker.wake();
                assert_eq!(set.counted.count(), before + 1, "the wakers are in order");
                self.forget(n);
            }
            if !more {
                return;
            }
        }
    }

    fn step(&mut self, op: Op) {
        let some =
            |sets: &[Set], i: prop::sample::Index| (!sets.is_empty()).then(|| i.index(sets.len()));
        let some_infant = |world: &World, i: prop::sample::Index| {
            let infants = world.infants();
            (!infants.is_empty()).then(|| infants[i.index(infants.len())])
        };
        match op {
            Op::Insert(after) => self.insert(self.now + after),
            Op::Cancel(i) => {
                if let Some(n) = some(&self.sets, i) {
                    drop(self.cancel(n));
                }
            }
            Op::CancelLast => {
                if let Some(n) = self.sets.len().checked_sub(1) {
                    drop(self.cancel(n));
                }
            }
            Op::Reset(i, after) => {
                if let Some(n) = some(&self.sets, i)
                    && let Some(waker) = self.cancel(n)
                {
                    let deadline = self.now + after;
                    self.sets[n].key = self.set(deadline, waker);
                    self.sets[n].deadline = deadline;
                    self.sets[n].alive = true;
                    self.expect(n);
                }
            }
            Op::Poll(i) => {
                if let Some(n) = some(&self.sets, i) {
                    self.poll(n);
                }
            }
            Op::Expire(by) => {
                self.now += by;
                self.expire();
            }
            Op::SetYoung(after, count, kept) => {
                let first = self.sets.len();
                for n in 0..count as u64 {
                    self.set_young(self.now + after + n.wrapping_mul(7_919) % 300);
                }
                for n in first..self.sets.len() {
                    if n % kept != 0 {
                        drop(self.cancel(n));
                    }
                }
            }
            Op::CancelElsewhere(i) => {
                if let Some(n) = some_infant(self, i) {
                    self.cancel_elsewhere(n);
                }
            }
            Op::AwaitElsewhere(i) => {
                if let Some(n) = some_infant(self, i) {
                    let Set { key, deadline, .. } = self.sets[n];
                    let counted = Arc::new(Counted::default());
                    let waker = Waker::from(counted.clone());
                    let replaced = (self.timers()).replace(Term::default(), key, deadline, waker);
                    assert!(matches!(replaced, Ok(None)));
                    self.sets[n].infant = None;
                    self.sets[n].counted = counted;
                    self.expect(n);
                }
            }
            Op::ResetElsewhere(i, after) => {
                if let Some(n) = some_infant(self, i) {
                    let deadline = self.now + after;
                    let key = self.sets[n].key;
                    assert!(self.timers().move_early(Term::default(), key, deadline));
                    self.sets[n].deadline = deadline;
                    self.sets[n].reset = true;
                }
            }
            Op::EndTurn(gives_up) => self.end_turn(gives_up),
            Op::Crowd(count) => {
                let first = self.sets.len();
                for n in 0..count {
                    self.insert(self.now + 1_000 + n.wrapping_mul(7_919) % 300);
                }
                for n in first..self.sets.len() {
                    if n % 7 != 0 {
                        drop(self.cancel(n));
                    }
                }
            }
        }
        assert!(self.timers().earliest() <= self.earliest());
        if self.order.is_multiple_of(3) {
            assert_eq!(self.timers().prune(), self.earliest());
            assert_eq!(self.timers().earliest(), self.earliest());
        }
        assert_eq!(self.timers().len(), self.model.len());
    }
}

proptest! {
    #[test]
    fn timers_fire_in_order_once_unless_they_are_cancelled(ops in ops()) {
        let mut world = World::new();
        for op in ops {
            world.step(op);
        }
        world.end_turn(false);
        for n in 0..world.sets.len() {
            world.poll(n);
        }
        let alive = world.model.len();
        assert_eq!(world.timers().close().len(), alive);
        assert_eq!(world.timers().earliest(), NEVER);
        for set in &world.sets {
            let others = world.sets.iter().filter(|other| Arc::ptr_eq(&other.counted, &set.counted));
            assert_eq!(Arc::strong_count(&set.counted), others.count(), "a waker is left over");
        }
    }
}

#[test]
fn closed_timers_are_refused_and_say_so() {
    let timers = Timers::new();
    let Inserted::Earliest(key) = timers.insert(Term::default(), 7, Waker::noop().clone()) else {
        panic!("it is the first");
    };
    assert_eq!(timers.close().len(), 1);
    assert!(matches!(
        timers.insert(Term::default(), 7, Waker::noop().clone()),
        Inserted::Closed(_)
    ));
    assert!(matches!(
        timers.poll(Term::default(), key, Waker::noop()),
        State::Closed
    ));
    assert!(
        timers
            .replace(Term::default(), key, 7, Waker::noop().clone())
            .is_err()
    );
    assert!(timers.cancel(Term::default(), key).is_none());
    assert!(!timers.is_fired(Term::default(), key), "it never will");
}

#[test]
fn a_crowd_that_is_gone_leaves_no_keys_that_others_answer_to() {
    let timers = Timers::new();
    let set = |deadline| match timers.insert(Term::default(), deadline, Waker::noop().clone()) {
        Inserted::Earliest(key) | Inserted::Later(key) => key,
        Inserted::Closed(_) => unreachable!("they are open"),
    };
    let keys: Vec<Key> = (0..5_000).map(|n| set(5_000 - n)).collect();
    for &key in &keys {
        assert!(timers.cancel(Term::default(), key).is_some());
    }
    let others: Vec<Key> = (0..5_000).map(set).collect();
    for (&key, &other) in keys.iter().zip(&others) {
        assert!(timers.is_fired(Term::default(), key));
        assert!(timers.cancel(Term::default(), key).is_none());
        assert!(!timers.is_fired(Term::default(), other));
    }
    assert_eq!(timers.len(), 5_000);
}

#[test]
fn the_memory_of_a_crowd_that_does_not_come_back_is_given_back() {
    const CROWD: usize = 100_000;
    let timers = Timers::new();
    let set = |deadline| match timers.insert(Term::default(), deadline, Waker::noop().clone()) {
        Inserted::Earliest(key) | Inserted::Later(key) => key,
        Inserted::Closed(_) => unreachable!("they are open"),
    };
    for _ in 0..3 {
        let keys: Vec<Key> = (0..CROWD as u64).map(set).collect();
        let room = timers.room();
        assert!(room >= CROWD);
        for key in keys {
            assert!(timers.cancel(Term::default(), key).is_some());
        }
        assert!(timers.room() >= CROWD, "for the next one");
        assert!(timers.room() <= room);
    }
    for _ in 0..10 {
        assert!(timers.cancel(Term::default(), set(1)).is_some());
    }
    assert!(timers.room() <= 1_024);
}

#[test]
fn memory_is_bounded_by_the_timers_that_there_are() {
    let timers = Timers::new();
    let set = |deadline| match timers.insert(Term::default(), deadline, Waker::noop().clone()) {
        Inserted::Earliest(key) | Inserted::Later(key) => key,
        Inserted::Closed(_) => unreachable!("they are open"),
    };
    // As timeouts of one length: the oldest goes, a new one comes.
    let mut keys: std::collections::VecDeque<Key> = (0..1_000).map(set).collect();
    for deadline in 1_000..100_000 {
        let oldest = keys.pop_front().expect("there are a thousand");
        assert!(timers.cancel(Term::default(), oldest).is_some());
        keys.push_back(set(deadline));
    }
    assert_eq!(timers.len(), 1_000);
    assert!(timers.room() <= 4_096, "{}", timers.room());
}

#[test]
fn timers_of_an_earlier_term_stay_closed() {
    let timers = Timers::new();
    let first = Term::default();
    let Inserted::Earliest(key) = timers.insert(first, 7, Waker::noop().clone()) else {
        panic!("it is the first");
    };
    assert_eq!(timers.close().len(), 1);
    let second = timers.reopen();
    assert_ne!(first, second);
    let counted = Arc::new(Counted::default());
    let Inserted::Earliest(other) = timers.insert(second, 9, counted.clone().into()) else {
        panic!("it is the first");
    };

    let noop = || Waker::noop().clone();
    assert!(matches!(
        timers.insert(first, 1, noop()),
        Inserted::Closed(_)
    ));
    assert!(matches!(
        timers.poll(first, key, Waker::noop()),
        State::Closed
    ));
    // Not even with somebody else's key.
    assert!(matches!(
        timers.poll(first, other, Waker::noop()),
        State::Closed
    ));
    assert!(timers.replace(first, other, 9, noop()).is_err());
    assert!(timers.cancel(first, other).is_none());
    assert!(!timers.is_fired(first, key));

    assert_eq!(timers.earliest(), 9);
    let mut wakers = Vec::new();
    assert!(!timers.expire(9, &mut wakers));
    wakers.drain(..).for_each(Waker::wake);
    assert_eq!(counted.count(), 1);
    assert!(timers.is_fired(second, other));
}
