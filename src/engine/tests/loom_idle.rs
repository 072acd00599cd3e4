//! The idle Ps: who holds which, and how many Ms spin.

use super::model::{Seen, check};
use crate::engine::idle::{Idle, Unspun};
use loom::cell::UnsafeCell;

/// Two Ps, and for each a cell that its holder alone may touch.
struct World {
    idle: Idle,
    own: [UnsafeCell<usize>; 2],
    /// How often a P was claimed, how often in vain, and who was the last spinner.
    claimed: Seen,
    last: Seen,
}

impl World {
    fn new() -> World {
        World {
            idle: Idle::new(2),
            own: [UnsafeCell::new(0), UnsafeCell::new(0)],
            claimed: Seen::new(),
            last: Seen::new(),
        }
    }

    /// Does what only the holder of `pp` may do, and gives it up; loom fails if there are two
    /// holders, or if this one does not see what the one before did.
    fn hold_and_release(&self, pp: usize, spinning: bool) {
        // SAFETY: the pointer is valid, and loom fails the model unless the access is ours alone.
        self.own[pp].with_mut(|turns| unsafe { *turns += 1 });
        self.claimed.note();
        self.idle.release(pp, spinning);
    }

    fn spinning(&self) -> usize {
        self.idle.counts().spinning()
    }

    /// At the end of a model: both are idle, nobody spins, and nobody's turn was lost.
    fn expect_idle(&self) {
        assert_eq!((self.idle.counts().idle(), self.spinning()), (2, 0));
        let turns = self.own.iter().enumerate().map(|(pp, own)| {
            assert!(self.idle.is_idle(pp), "P {pp} is counted and not marked");
            // SAFETY: the other threads have ended.
            own.with(|turns| unsafe { *turns })
        });
        assert_eq!(turns.sum::<usize>(), self.claimed.count());
    }
}

#[test]
fn a_p_has_one_holder_at_a_time() {
    static NONE_LEFT: Seen = Seen::new();
    static SECOND: Seen = Seen::new();
    check(
        World::new,
        &[
            |world: &World| match world.idle.claim() {
                Some(pp) => world.hold_and_release(pp, false),
                None => NONE_LEFT.note(),
            },
            |world: &World| match world.idle.claim_spinning() {
                Some(pp) => world.hold_and_release(pp, true),
                None => NONE_LEFT.note(),
            },
            |world: &World| {
                if let Some(pp) = world.idle.claim_to_wake() {
                    SECOND.note_if(pp == 1);
                    world.hold_and_release(pp, true);
                }
            },
        ],
        World::expect_idle,
    );
    NONE_LEFT.expect("somebody finds no idle P");
    SECOND.expect("both Ps are held");
}

#[test]
fn a_p_that_is_marked_and_not_yet_counted_passes_on_what_its_holder_did() {
    // P 1 is idle when P 0 becomes so. Who counts P 1 off may get P 0, whose mark comes before its
    // count; then only the mark leads to the last holder.
    static SWAPPED: Seen = Seen::new();
    check(
        || {
            let world = World::new();
            assert_eq!(world.idle.claim(), Some(0));
            world
        },
        &[
            |world: &World| world.hold_and_release(0, false),
            |world: &World| {
                let idle = world.idle.counts().idle();
                let pp = world.idle.claim().expect("P 1 is idle");
                SWAPPED.note_if(idle == 1 && pp == 0);
                world.hold_and_release(pp, false);
            },
        ],
        World::expect_idle,
    );
    SWAPPED.expect("P 0 is taken on account of P 1");
}

#[test]
fn of_two_submitters_one_claims_a_p_to_wake_somebody_with() {
    let submitter = |world: &World| world.claimed.note_if(world.idle.claim_to_wake().is_some());
    check(World::new, &[submitter, submitter], |world| {
        assert_eq!(world.claimed.count(), 1);
        assert_eq!((world.idle.counts().idle(), world.spinning()), (1, 1));
    });
}

#[test]
fn of_two_spinners_one_is_the_last() {
    let spinner = |world: &World| {
        world
            .last
            .note_if(world.idle.stop_spinning() == Unspun::Last)
    };
    let two_spin = || {
        let world = World::new();
        assert!(world.idle.claim_spinning().is_some());
        assert!(world.idle.claim_spinning().is_some());
        world
    };
    check(two_spin, &[spinner, spinner], |world| {
        assert_eq!(world.last.count(), 1);
        assert_eq!((world.idle.counts().idle(), world.spinning()), (0, 0));
    });
}
