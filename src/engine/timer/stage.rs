//! What has become of a timer, as those know who wait for it.
//!
//! It is kept in sixteen bytes, so that all that is needed to drop a sleep, and when it is due, lie in
//! less than one line of the cache: who has many of them finds few in it.

use super::{Infant, Key};
use std::num::NonZeroU64;

/// What has become of a timer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// Nobody has waited for it yet. `checked`: its deadline lay ahead when it was set.
    Idle { checked: bool },
    /// It is set.
    Set(Key),
    /// It is set, and young; or was when this was last looked at. Nobody has gone by its key yet.
    Young(Infant),
    /// It has fired.
    Fired,
}

/// A [`Stage`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed {
    /// That of its key; zero, which no key has, if there is none.
    generation: u64,
    /// With a key: its slot and, above it, the number of its entry, or [`GROWN`]. Without: one of the others.
    place: u64,
}

/// In place of the number of an entry, which is less: it is not young.
const GROWN: u64 = (u32::MAX as u64) << 32;

/// Without a key.
const IDLE: u64 = 0;
const CHECKED: u64 = 1;
const FIRED: u64 = 2;

impl From<Stage> for Packed {
    #[inline(always)] // To a constant, or to what it was made from.
    fn from(stage: Stage) -> Packed {
        let (generation, place) = match stage {
            Stage::Idle { checked: false } => (0, IDLE),
            Stage::Idle { checked: true } => (0, CHECKED),
            Stage::Fired => (0, FIRED),
            Stage::Young(infant) => (infant.generation.get(), infant.place),
            Stage::Set(key) => (key.generation, GROWN | u64::from(key.slot)),
        };
        Packed { generation, place }
    }
}

impl Packed {
    /// What it was made from.
    #[inline]
    pub(crate) fn stage(self) -> Stage {
        let place = self.place;
        match NonZeroU64::new(self.generation) {
            None if place == FIRED => Stage::Fired,
            None => Stage::Idle {
                checked: place == CHECKED,
            },
            Some(generation) if place < GROWN => Stage::Young(Infant { generation, place }),
            Some(generation) => Stage::Set(Key {
                generation: generation.get(),
                slot: place as u32,
            }),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// `stage`, once it was packed.
    fn packed(stage: Stage) -> Stage {
        Packed::from(stage).stage()
    }

    #[test]
    fn what_was_packed_is_what_it_was() {
        assert!(matches!(
            packed(Stage::Idle { checked: false }),
            Stage::Idle { checked: false }
        ));
        assert!(matches!(
            packed(Stage::Idle { checked: true }),
            Stage::Idle { checked: true }
        ));
        assert!(matches!(packed(Stage::Fired), Stage::Fired));
        for generation in [1, u64::MAX] {
            for slot in [0, 1, 2, u32::MAX] {
                let key = Key { generation, slot };
                assert!(matches!(packed(Stage::Set(key)), Stage::Set(same) if same == key));
                for at in [0, 1, u32::MAX - 1] {
                    let infant = Infant {
                        generation: NonZeroU64::new(generation).unwrap(),
                        place: u64::from(at) << 32 | u64::from(slot),
                    };
                    let Stage::Young(same) = packed(Stage::Young(infant)) else {
                        panic!("{infant:?} is young");
                    };
                    assert_eq!((same.key(), same.at()), (key, at));
                }
            }
        }
    }
}
