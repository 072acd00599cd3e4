//! The registry: slots that other threads free, beside the owner who hands them out again.

use super::model::{Role, Seen, check, check_within};
use crate::engine::task::RawG;
use crate::engine::task::registry::{Place, Shard};
use loom::sync::atomic::{AtomicUsize, Ordering};
use std::cell::RefCell;

/// How many Gs there are when the threads start, and how many in all.
const BEFORE: usize = 3;
const ALL: usize = 6;

/// A shard, and the places of the Gs that are, were or will be on it.
struct World {
    shard: Shard,
    places: [Place; ALL],
    /// How many were added, as far as the owner told.
    told: AtomicUsize,
    /// Those that are on it.
    living: RefCell<Vec<usize>>,
}

impl World {
    fn new() -> World {
        let world = World {
            shard: Shard::new(0),
            places: [(); ALL].map(|()| Place::nowhere()),
            told: AtomicUsize::new(BEFORE),
            living: RefCell::new(Vec::new()),
        };
        (0..BEFORE).for_each(|n| world.add(n));
        world
    }

    /// Adds the `n`th G, and passes it on as a queue would.
    fn add(&self, n: usize) {
        // Small addresses: one that is taken for a link leads to another slot of the first chunk.
        let cell = std::ptr::without_provenance_mut((n + 1) * 8);
        let cell = RawG::new(cell).expect("not null");
        // SAFETY: the calling thread owns the shard; each G is added once, with its own place.
        unsafe { self.shard.add(cell, &self.places[n]) };
        self.living.borrow_mut().push(n);
        self.told.store(n + 1, Ordering::Release);
    }

    fn strike(&self, n: usize, owner: bool) {
        self.living.borrow_mut().retain(|&other| other != n);
        // SAFETY: it was added before; each G is struck off once.
        unsafe { self.shard.strike(&self.places[n], owner) };
    }

    /// Fails if a G is not on the shard that lives, or one is that does not.
    fn expect_living(&self) {
        let mut listed = Vec::new();
        // SAFETY: the other threads have ended.
        unsafe {
            self.shard
                .for_each(|gp| listed.push(gp.addr().get() / 8 - 1))
        };
        listed.sort_unstable();
        let mut living = self.living.take();
        living.sort_unstable();
        assert_eq!(listed, living, "on the registry, and alive");
        assert_eq!(self.shard.alive(), living.len() as u64);
        assert_eq!(self.shard.added(), self.told.load(Ordering::Relaxed) as u64);
    }
}

#[test]
fn slots_freed_by_other_threads_are_handed_out_once_each() {
    static STRUCK_AGAIN: Seen = Seen::new();
    let owner: Role<World> = |world| {
        (BEFORE..ALL).for_each(|n| world.add(n));
        world.strike(BEFORE, true);
    };
    let one_of_two: Role<World> = |world| {
        world.strike(0, false);
        // One that may stand where another was struck off.
        if world.told.load(Ordering::Acquire) == ALL {
            world.strike(ALL - 1, false);
            STRUCK_AGAIN.note();
        }
    };
    let other: Role<World> = |world| world.strike(1, false);
    // The hundred atomics of a shard take loom minutes otherwise.
    check_within(
        2,
        World::new,
        &[owner, one_of_two, other],
        World::expect_living,
    );
    STRUCK_AGAIN.expect("a G is struck off remotely that was added meanwhile");
}

#[test]
fn an_owner_that_takes_the_freed_slots_over_can_use_them_all() {
    static TAKEN_OVER: Seen = Seen::new();
    check(
        World::new,
        &[
            |world: &World| {
                TAKEN_OVER.note_if(world.shard.alive() == 1);
                world.add(3);
                world.add(4);
            },
            |world: &World| {
                world.strike(0, false);
                world.strike(1, false);
            },
        ],
        World::expect_living,
    );
    TAKEN_OVER.expect("the owner takes two slots over at once");
}
