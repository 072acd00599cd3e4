//! The queues against models of what they promise, in any order of operations by one thread.

use crate::engine::queue::{Global, Overflow, RawG, Ring, Runnext};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::VecDeque;

const CAPACITY: usize = 256;

/// The `n`th G: a pointer that nobody follows.
fn gp(n: usize) -> RawG {
    RawG::new(std::ptr::without_provenance_mut((n + 1) * 8)).expect("not null")
}

/// Remembers what overflowed.
#[derive(Default)]
struct Kept(RefCell<Vec<Vec<RawG>>>);

impl Overflow for Kept {
    fn overflow(&self, batch: &[RawG]) {
        self.0.borrow_mut().push(batch.to_vec());
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    /// So many pushes.
    Push(usize),
    /// So many pops.
    Pop(usize),
    /// A thief takes half, and pops all that it got.
    Steal,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => (1..80_usize).prop_map(Op::Push),
        2 => (1..40_usize).prop_map(Op::Pop),
        1 => Just(Op::Steal),
    ];
    prop::collection::vec(op, 1..80)
}

proptest! {
    #[test]
    fn a_ring_is_a_queue_of_256_of_which_half_overflows(ops in ops()) {
        let (ring, thief, kept) = (Ring::new(), Ring::new(), Kept::default());
        let mut model: VecDeque<RawG> = VecDeque::new();
        let mut made = 0;
        for op in ops {
            match op {
                Op::Push(count) => for _ in 0..count {
                    let new = gp(made);
                    made += 1;
                    // SAFETY: one thread, which owns all rings here.
                    unsafe { ring.push(new, &kept) };
                    if model.len() == CAPACITY {
                        let mut batch: Vec<RawG> = model.drain(..CAPACITY / 2).collect();
                        batch.push(new);
                        prop_assert_eq!(kept.0.borrow_mut().pop(), Some(batch));
                    } else {
                        model.push_back(new);
                    }
                    prop_assert!(kept.0.borrow().is_empty(), "it overflowed with room left");
                },
                Op::Pop(count) => for _ in 0..count {
                    // SAFETY: as above.
                    prop_assert_eq!(unsafe { ring.pop() }, model.pop_front());
                },
                Op::Steal => {
                    let half = model.len() - model.len() / 2;
                    // SAFETY: as above, and they are two.
                    let newest = unsafe { ring.steal_into(&thief, usize::MAX) };
                    let mut stolen: Vec<RawG> = Vec::new();
                    // SAFETY: as above.
                    while let Some(gp) = unsafe { thief.pop() } {
                        stolen.push(gp);
                    }
                    stolen.extend(newest);
                    let expected: Vec<RawG> = model.drain(..half).collect();
                    prop_assert_eq!(stolen, expected);
                }
            }
            prop_assert_eq!(ring.len(), model.len());
            prop_assert_eq!(ring.is_empty(), model.is_empty());
            prop_assert_eq!(ring.room(), CAPACITY - model.len());
        }
    }

    #[test]
    fn the_global_queue_hands_out_in_order_and_no_more_than_there_is_room_for(
        ops in prop::collection::vec((0..4_usize, 1..140_usize), 1..60),
        procs in 1..9_usize,
    ) {
        let global = Global::new();
        let mut model: VecDeque<RawG> = VecDeque::new();
        let mut made = 0;
        let mut make = || {
            made += 1;
            gp(made)
        };
        for (kind, count) in ops {
            match kind {
                0 => {
                    let new = make();
                    global.push(new);
                    model.push_back(new);
                }
                1 => {
                    let batch: Vec<RawG> = (0..count).map(|_| make()).collect();
                    global.overflow(&batch);
                    model.extend(batch);
                }
                _ => {
                    let room = count - 1;
                    let mut more = Vec::new();
                    let first = global.take(procs, room, |gp| more.push(gp));
                    prop_assert!(more.len() <= room, "{} for room of {room}", more.len());
                    prop_assert!(more.len() < 128);
                    prop_assert_eq!(first.is_some(), !model.is_empty());
                    for gp in first.into_iter().chain(more) {
                        prop_assert_eq!(Some(gp), model.pop_front());
                    }
                }
            }
            prop_assert_eq!(global.len(), model.len());
            prop_assert_eq!(global.is_empty(), model.is_empty());
        }
    }

    #[test]
    fn all_queues_of_a_p_together_keep_the_documented_order_and_lose_nothing(
        ops in prop::collection::vec((any::<bool>(), 1..60_usize), 1..60),
    ) {
        let (runnext, ring, global) = (Runnext::default(), Ring::new(), Global::new());
        let (mut next, mut local, mut shared) = (None, VecDeque::new(), VecDeque::new());
        let mut made = 0;
        for (push, count) in ops {
            for _ in 0..count {
                if push {
                    let new = gp(made);
                    made += 1;
                    let kicked_out = runnext.replace(new);
                    prop_assert_eq!(kicked_out, next.replace(new));
                    let Some(old) = kicked_out else { continue };
                    // SAFETY: one thread, which owns the ring.
                    unsafe { ring.push(old, &global) };
                    if local.len() == CAPACITY {
                        shared.extend(local.drain(..CAPACITY / 2));
                        shared.push_back(old);
                    } else {
                        local.push_back(old);
                    }
                } else {
                    // SAFETY: as above.
                    let taken = runnext.take().or_else(|| unsafe { ring.pop() });
                    let taken = taken.or_else(|| global.take(1, 0, |_| unreachable!("no room")));
                    let expected = next.take().or_else(|| local.pop_front());
                    prop_assert_eq!(taken, expected.or_else(|| shared.pop_front()));
                }
            }
        }
        let left = usize::from(!runnext.is_empty()) + ring.len() + global.len();
        prop_assert_eq!(left, usize::from(next.is_some()) + local.len() + shared.len());
    }
}
