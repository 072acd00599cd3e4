//! The ring, of capacity 4 here, between its owner and thieves.
//!
//! What loom cannot show: it does not let a load see a store that comes later in its own order of
//! execution. So the Release of a taker's exchange of the head, and the Acquire of the owner who
//! writes to the slots again, are argued for in `ring.rs` and not modelled here.

use super::model::{Gs, Seen, check};
use crate::engine::queue::{Overflow, RawG, Ring};
use std::sync::Mutex;

/// Where an overflow goes. The lock orders nothing in the model: it is not one of loom's.
struct Batches(Mutex<Vec<RawG>>);

impl Overflow for Batches {
    fn overflow(&self, batch: &[RawG]) {
        self.0.lock().unwrap().extend_from_slice(batch);
    }
}

/// Three rings, of which the first is the victim and the others are those of thieves. Each of
/// them has one thread that calls the functions of an owner.
struct World {
    gs: Gs,
    rings: [Ring; 3],
    overflowed: Batches,
    /// How many steals brought something.
    steals: Seen,
}

impl World {
    fn new(gs: usize) -> World {
        World {
            gs: Gs::new(gs),
            rings: [(); 3].map(|()| Ring::new()),
            overflowed: Batches(Mutex::new(Vec::new())),
            steals: Seen::new(),
        }
    }

    /// Makes the `n`th G and pushes it onto ring `pp`.
    fn push(&self, pp: usize, n: usize) {
        // SAFETY: the calling thread is the owner.
        unsafe { self.rings[pp].push(self.gs.make(n), &self.overflowed) };
    }

    fn pop(&self, pp: usize) -> Option<usize> {
        // SAFETY: the calling thread is the owner.
        let gp = unsafe { self.rings[pp].pop() };
        gp.map(|gp| self.gs.take(gp))
    }

    fn steal(&self, from: usize, into: usize) -> Option<usize> {
        // SAFETY: the calling thread is the owner of the ring of the thief.
        let gp = unsafe { self.rings[from].steal_into(&self.rings[into], usize::MAX) };
        self.steals.note_if(gp.is_some());
        gp.map(|gp| self.gs.take(gp))
    }

    /// Empties ring `pp` for its owner.
    fn drain(&self, pp: usize) -> Vec<usize> {
        std::iter::from_fn(|| self.pop(pp)).collect()
    }

    /// Takes what is left when the threads have ended, and fails if a G was lost. What had
    /// overflowed.
    fn finish(&self) -> Vec<usize> {
        for pp in 0..self.rings.len() {
            self.drain(pp);
        }
        let batches = std::mem::take(&mut *self.overflowed.0.lock().unwrap());
        let overflowed = batches.into_iter().map(|gp| self.gs.take(gp)).collect();
        self.gs.expect_all_taken();
        overflowed
    }
}

fn assert_sorted(gs: &[usize]) {
    assert!(gs.is_sorted(), "taken out of order: {gs:?}");
}

#[test]
fn owner_and_thief_take_each_g_once_while_the_ring_goes_round() {
    static STOLEN_LATE: Seen = Seen::new();
    check(
        || World::new(6),
        &[
            |world: &World| {
                let mut popped = Vec::new();
                for n in 0..6 {
                    world.push(0, n);
                    if n % 2 == 1 {
                        popped.extend(world.pop(0));
                    }
                }
                popped.extend(world.drain(0));
                assert_sorted(&popped);
            },
            |world: &World| {
                let newest = world.steal(0, 1);
                let mut taken = world.drain(1);
                taken.extend(newest);
                assert_sorted(&taken);
                // The slots of these were used before.
                STOLEN_LATE.note_if(taken.iter().any(|&n| n >= 4));
            },
        ],
        |world| assert_eq!(world.finish(), [], "the owner popped often enough"),
    );
    STOLEN_LATE.expect("the thief takes from a slot that is in use for the second time");
}

#[test]
fn a_full_ring_overflows_or_is_relieved_by_a_thief() {
    static OVERFLOWED: Seen = Seen::new();
    static RELIEVED: Seen = Seen::new();
    static BOTH: Seen = Seen::new();
    check(
        || World::new(6),
        &[
            |world: &World| (0..6).for_each(|n| world.push(0, n)),
            |world: &World| {
                world.steal(0, 1);
            },
        ],
        |world| match world.finish()[..] {
            [] => RELIEVED.note(),
            // Half the ring, the oldest, and the one for which there was no room.
            [a, b, new] => {
                assert!(b == a + 1 && new == a + 4, "{a}, {b} and {new} overflowed");
                OVERFLOWED.note();
                BOTH.note_if(world.steals.count() > 0);
            }
            ref more => panic!("one overflow makes room for all: {more:?}"),
        },
    );
    OVERFLOWED.expect("the ring overflows");
    RELIEVED.expect("a thief makes room in time");
    BOTH.expect("the ring overflows and a thief takes from it");
}

#[test]
fn two_thieves_and_the_owner_take_each_g_once() {
    static BOTH_STOLE: Seen = Seen::new();
    static ONE_WENT_EMPTY: Seen = Seen::new();
    check(
        || World::new(3),
        &[
            |world: &World| {
                (0..3).for_each(|n| world.push(0, n));
                world.pop(0);
            },
            |world: &World| {
                world.steal(0, 1);
            },
            |world: &World| {
                world.steal(0, 2);
            },
        ],
        |world| {
            BOTH_STOLE.note_if(world.steals.count() == 2);
            ONE_WENT_EMPTY.note_if(world.steals.count() == 1);
            world.finish();
        },
    );
    BOTH_STOLE.expect("both thieves get something");
    ONE_WENT_EMPTY.expect("one thief goes empty-handed");
}

#[test]
fn what_a_thief_has_stolen_is_stolen_from_it() {
    static PASSED_ON: Seen = Seen::new();
    check(
        || World::new(3),
        &[
            |world: &World| (0..3).for_each(|n| world.push(0, n)),
            |world: &World| {
                world.steal(0, 1);
                world.drain(1);
            },
            // From the thief only, so that nothing but the thief's ring leads to the G.
            |world: &World| PASSED_ON.note_if(world.steal(1, 2).is_some()),
        ],
        |world| {
            world.finish();
        },
    );
    PASSED_ON.expect("a G goes through the rings of two thieves");
}

#[test]
fn a_thief_takes_no_more_than_it_has_room_for() {
    static NO_ROOM: Seen = Seen::new();
    static MADE_ROOM: Seen = Seen::new();
    check(
        || {
            let world = World::new(8);
            for n in 0..4 {
                world.push(0, n);
                world.push(1, 4 + n);
            }
            world
        },
        &[
            // The thief's own ring is full. It gets one G to run, and more only if it is robbed
            // itself in time.
            |world: &World| {
                assert!(world.steal(0, 1).is_some());
                NO_ROOM.note_if(world.rings[0].len() == 3);
                MADE_ROOM.note_if(world.rings[0].len() == 2);
            },
            |world: &World| {
                world.steal(1, 2);
            },
        ],
        |world| assert_eq!(world.finish(), [], "a thief does not overflow"),
    );
    NO_ROOM.expect("the thief has no room");
    MADE_ROOM.expect("the thief has room because it was robbed itself");
}
