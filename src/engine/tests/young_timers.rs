//! Timers in their first turn, one thing at a time; all of it at random is in `timer_model`.

use super::timer_model::{Counted, timers_for_good};
use crate::engine::timer::moment::moment;
use crate::engine::timer::{Infant, Inserted, Key, NEVER, State, Term, Timers, Young};
use std::sync::Arc;
use std::task::Waker;

/// The timers of a P, and a G in its turn.
struct World {
    timers: &'static Timers,
    young: Young,
    counted: Arc<Counted>,
    owner: Waker,
}

impl World {
    fn new() -> World {
        let timers = timers_for_good();
        let counted = Arc::new(Counted::default());
        World {
            timers,
            young: Young::new(timers, Term::default()),
            owner: counted.clone().into(),
            counted,
        }
    }

    fn try_set(&mut self, deadline: u64) -> Option<Infant> {
        // SAFETY: the owner is there until the end.
        unsafe { self.young.set(moment(deadline), &self.owner) }
    }

    fn set(&mut self, deadline: u64) -> Infant {
        self.try_set(deadline)
            .expect("they are open and have one owner")
    }

    fn fire(&self, now: u64) -> usize {
        let mut wakers = Vec::new();
        let mut fired = 0;
        loop {
            let more = self.timers.expire(now, &mut wakers);
            fired += wakers.len();
            wakers.drain(..).for_each(Waker::wake);
            if !more {
                return fired;
            }
        }
    }

    fn woken(&self) -> usize {
        self.counted.count()
    }
}

fn insert(timers: &Timers, deadline: u64) -> Key {
    match timers.insert(Term::default(), deadline, Waker::noop().clone()) {
        Inserted::Earliest(key) | Inserted::Later(key) => key,
        Inserted::Closed(_) => panic!("they are open"),
    }
}

#[test]
fn until_the_turn_ends_nobody_else_sees_them_and_the_waker_is_not_counted() {
    let mut world = World::new();
    let infant = world.set(5);
    assert_eq!(world.timers.len(), 0);
    assert_eq!(world.timers.earliest(), NEVER);
    assert_eq!(Arc::strong_count(&world.counted), 2);
    assert!(!world.young.is_settled());
    world.young.settle();
    assert!(world.young.is_settled());
    assert_eq!(world.timers.earliest(), 5);
    assert_eq!(Arc::strong_count(&world.counted), 3);
    let state = world
        .timers
        .poll(Term::default(), infant.key(), &world.owner);
    assert!(matches!(state, State::Pending));
    assert_eq!((world.fire(4), world.fire(5), world.woken()), (0, 1, 1));
    assert!(world.timers.is_fired(Term::default(), infant.key()));
}

#[test]
fn those_of_another_g_are_not_mixed_with_them() {
    let mut world = World::new();
    let first = world.set(5);
    let other = Waker::from(Arc::new(Counted::default()));
    // SAFETY: it is there until the end.
    let refused = unsafe { world.young.set(moment(6), &other) };
    assert!(refused.is_none());
    assert!(world.young.cancel(first));
    // SAFETY: it is there until the end.
    let set = unsafe { world.young.set(moment(6), &other) };
    assert!(set.is_some(), "the first has none left");
    world.young.settle();
    assert_eq!((world.fire(6), world.woken()), (1, 0));
}

#[test]
fn the_owner_is_told_if_the_runtime_ends_before_the_turn() {
    let mut world = World::new();
    let infants = [world.set(5), world.set(6)];
    assert!(world.timers.close().is_empty());
    world.young.settle();
    assert_eq!(world.woken(), 1);
    for infant in infants {
        let state = world
            .timers
            .poll(Term::default(), infant.key(), &world.owner);
        assert!(matches!(state, State::Closed));
        assert!(!world.young.cancel(infant));
    }
    assert!(world.try_set(7).is_none(), "no more are taken");
    world.young.leave();
}

#[test]
fn those_of_the_last_term_do_not_come_into_the_next() {
    let mut world = World::new();
    let infant = world.set(5);
    assert!(world.timers.close().is_empty());
    let second = world.timers.reopen();
    let other = world.timers.insert(second, 9, Waker::noop().clone());
    assert!(matches!(other, Inserted::Earliest(_)));
    assert!(!world.young.go_to(world.timers, second));
    assert!(!world.timers.move_early(Term::default(), infant.key(), 1));
    world.young.settle();
    assert_eq!(world.woken(), 1);
    assert_eq!((world.timers.len(), world.timers.earliest()), (1, 9));
}

#[test]
fn a_crowd_leaves_no_memory_behind() {
    const CROWD: u64 = 50_000;
    let mut world = World::new();
    let infants: Vec<Infant> = (0..CROWD).map(|n| world.set(n)).collect();
    // Half of them come to the end of the turn.
    for &infant in infants.iter().step_by(2) {
        assert!(world.young.cancel(infant));
    }
    world.young.settle();
    assert_eq!(world.timers.len() as u64, CROWD / 2);
    // So as not to give the slots back in the order in which they were reserved.
    let last = world.set(CROWD);
    world.young.settle();
    assert_eq!(world.fire(CROWD) as u64, CROWD / 2 + 1);
    assert!(world.timers.is_fired(Term::default(), last.key()));
    for _ in 0..20 {
        // As a P does that has timers, and parks.
        let one = world.set(CROWD + 1);
        assert!(world.young.cancel(one));
        let other = world.set(CROWD + 1);
        world.young.settle();
        drop(world.timers.cancel(Term::default(), other.key()));
        world.young.leave();
    }
    assert!(world.timers.room() <= 1_024, "{}", world.timers.room());
    assert!(world.young.room() <= 1_024, "{}", world.young.room());
}

#[test]
fn a_crowd_of_others_that_came_after_it_leaves_no_memory_behind() {
    let mut world = World::new();
    let one = world.set(1);
    assert!(world.young.cancel(one));
    let crowd: Vec<Key> = (0..50_000).map(|n| insert(world.timers, n)).collect();
    for key in crowd {
        drop(world.timers.cancel(Term::default(), key));
    }
    for _ in 0..20 {
        // As a P does that parks, and timers that come and go on it.
        world.young.leave();
        let key = insert(world.timers, 1);
        drop(world.timers.cancel(Term::default(), key));
    }
    assert!(world.timers.room() <= 1_024, "{}", world.timers.room());
}

#[test]
fn one_that_is_reset_elsewhere_again_and_again_takes_the_memory_of_one() {
    let mut world = World::new();
    let infant = world.set(1_000_000);
    for n in 0..10_000 {
        assert!(
            world
                .timers
                .move_early(Term::default(), infant.key(), n + 10)
        );
    }
    assert_eq!(world.timers.moved(), 1);
    world.young.settle();
    assert_eq!(world.timers.moved(), 0);
    assert_eq!((world.fire(10_008), world.fire(10_009)), (0, 1));
}

#[test]
fn slots_are_reserved_from_one_turn_to_the_next_and_do_not_pile_up() {
    let mut world = World::new();
    let before = insert(world.timers, 1_000);
    for n in 0..10_000 {
        let infant = world.set(n);
        if n % 3 == 0 {
            assert!(world.young.cancel(infant));
        }
        world.young.settle();
        assert_eq!(world.fire(n), usize::from(n % 3 != 0));
        if n % 5 == 0 {
            world.young.leave();
        }
        if n == 500 {
            assert!(world.timers.cancel(Term::default(), before).is_some());
        }
    }
    assert!(world.timers.room() <= 64, "{}", world.timers.room());
    assert_eq!(Arc::strong_count(&world.counted), 2);
}

#[test]
fn slots_that_a_turn_gave_back_serve_the_next_one() {
    let mut world = World::new();
    let for_good = insert(world.timers, u64::MAX / 2);
    for n in 0..10_000 {
        // More than are kept from turn to turn: all arrive, or every other one, or the last one.
        let infants: Vec<Infant> = (0..40).map(|_| world.set(n)).collect();
        let arrive = match n % 3 {
            0 => infants.len(),
            1 => infants.len() / 2,
            _ => 1,
        };
        for &infant in &infants[..infants.len() - arrive] {
            assert!(world.young.cancel(infant));
        }
        world.young.settle();
        let fired: usize = (0..).map(|_| world.fire(n)).take_while(|&n| n > 0).sum();
        assert_eq!(fired, arrive);
        if n % 5 == 0 {
            world.young.leave();
        }
    }
    assert!(world.timers.room() <= 256, "{}", world.timers.room());
    assert!(world.timers.cancel(Term::default(), for_good).is_some());
    assert_eq!(Arc::strong_count(&world.counted), 2);
}
