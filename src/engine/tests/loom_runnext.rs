//! The runnext slot between the owner of the P and thieves.

use super::model::{Gs, Seen, check};
use crate::engine::queue::Runnext;

struct World {
    runnext: Runnext,
    gs: Gs,
}

impl World {
    fn new(gs: usize) -> World {
        World {
            runnext: Runnext::default(),
            gs: Gs::new(gs),
        }
    }

    /// Makes the `n`th G and puts it in; the one that it kicks out.
    fn replace(&self, n: usize) -> Option<usize> {
        let old = self.runnext.replace(self.gs.make(n));
        old.map(|old| self.gs.take(old))
    }

    fn take(&self) -> Option<usize> {
        self.runnext.take().map(|gp| self.gs.take(gp))
    }

    fn finish(&self) {
        self.take();
        assert!(self.runnext.is_empty());
        self.gs.expect_all_taken();
    }
}

#[test]
fn owner_and_thief_take_each_g_once() {
    static STOLEN: Seen = Seen::new();
    static KICKED_OUT: Seen = Seen::new();
    static EMPTY: Seen = Seen::new();
    check(
        || World::new(3),
        &[
            |world: &World| {
                assert_eq!(world.replace(0), None);
                KICKED_OUT.note_if(world.replace(1) == Some(0));
                EMPTY.note_if(world.take().is_none());
                assert_eq!(world.replace(2), None);
            },
            |world: &World| STOLEN.note_if(world.take().is_some()),
        ],
        World::finish,
    );
    STOLEN.expect("the thief gets a G");
    KICKED_OUT.expect("a G is kicked out");
    EMPTY.expect("the owner comes too late");
}

#[test]
fn two_thieves_never_get_the_same_g() {
    static STOLEN: [Seen; 2] = [Seen::new(), Seen::new()];
    check(
        || World::new(1),
        &[
            |world: &World| assert_eq!(world.replace(0), None),
            |world: &World| STOLEN[0].note_if(world.take().is_some()),
            |world: &World| STOLEN[1].note_if(world.take().is_some()),
        ],
        World::finish,
    );
    STOLEN[0].expect("the first thief gets the G");
    STOLEN[1].expect("the second thief gets the G");
}

#[test]
fn whoever_kicks_a_g_out_sees_what_its_maker_did() {
    // The maker held the P earlier, and nothing but the slot leads from it to the other.
    static KICKED_OUT: Seen = Seen::new();
    check(
        || World::new(2),
        &[
            |world: &World| KICKED_OUT.note_if(world.replace(0).is_some()),
            |world: &World| KICKED_OUT.note_if(world.replace(1).is_some()),
        ],
        World::finish,
    );
    KICKED_OUT.expect("the G of the other thread is kicked out");
}
