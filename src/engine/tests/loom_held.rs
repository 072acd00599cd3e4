//! A stackful G that blocks its thread, and whoever aborts it: the G sees the abort, or its thread is woken.

use super::model::{Seen, check};
use crate::engine::task::held::Roll;
use crate::engine::task::state::{Begun, State, Woken};
use crate::engine::util::RawG;
use loom::sync::atomic::{AtomicBool, Ordering};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// What wakes the thread.
struct Parked(Seen);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.note();
    }
}

struct World {
    /// Of the G, which is in the middle of a turn.
    state: State,
    roll: Roll,
    /// `Stop::unwinding`.
    unwinding: AtomicBool,
    parked: Arc<Parked>,
    /// The thread sleeps, and relies on being woken.
    asleep: Cell<bool>,
}

impl World {
    fn new() -> World {
        let state = State::new();
        assert_eq!(state.begin(), Begun::Poll);
        World {
            state,
            roll: Roll::new(),
            unwinding: AtomicBool::new(false),
            parked: Arc::new(Parked(Seen::new())),
            asleep: Cell::new(false),
        }
    }

    fn gp(&self) -> RawG {
        NonNull::from(&self.state).cast()
    }

    fn waker(&self) -> Waker {
        self.parked.clone().into()
    }

    /// `held`, and a look before the thread sleeps. Whether the G was aborted.
    fn looks(&self) -> bool {
        if self.unwinding.load(Ordering::Acquire) {
            let _running = self.state.abort();
        }
        self.state.load().is_aborted()
    }

    /// Waits for something that never comes.
    fn waits(&self) {
        let entered = self.roll.enter(self.gp(), self.waker());
        if self.looks() {
            return;
        }
        self.asleep.set(true);
        // It is on the roll until it is woken.
        std::mem::forget(entered);
    }

    /// `abort_cell`.
    fn abort(&self) {
        assert_eq!(self.state.abort(), Woken::Nothing);
        self.roll.wake(|entry| entry.gp() == self.gp());
    }

    /// What `drain` does.
    fn unwind_all(&self) {
        self.unwinding.store(true, Ordering::Release);
        self.roll.wake(|entry| {
            assert_eq!(entry.gp(), self.gp());
            assert_eq!(self.state.abort(), Woken::Nothing);
            true
        });
    }

    fn is_well(&self) {
        if self.asleep.get() {
            assert!(
                self.parked.0.count() > 0 && self.state.load().is_aborted(),
                "it sleeps on, though it was aborted"
            );
        }
    }
}

#[test]
fn an_abort_is_seen_or_wakes() {
    static SEEN: Seen = Seen::new();
    static WOKEN: Seen = Seen::new();
    check(
        World::new,
        &[World::waits, World::abort],
        |world: &World| {
            world.is_well();
            SEEN.note_if(!world.asleep.get());
            WOKEN.note_if(world.asleep.get());
        },
    );
    SEEN.expect("it sees the abort");
    WOKEN.expect("its thread is woken");
}

#[test]
fn an_abort_is_not_lost_between_two_waits() {
    static BETWEEN: Seen = Seen::new();
    check(
        World::new,
        &[
            |world: &World| {
                let first = world.roll.enter(world.gp(), world.waker());
                let before = world.looks();
                // What it waited for is there.
                drop(first);
                world.waits();
                BETWEEN.note_if(!before && !world.asleep.get());
            },
            World::abort,
        ],
        World::is_well,
    );
    BETWEEN.expect("the abort comes between");
}

#[test]
fn the_end_of_a_runtime_is_seen_or_wakes() {
    static SEEN: Seen = Seen::new();
    static WOKEN: Seen = Seen::new();
    check(
        World::new,
        &[World::waits, World::unwind_all],
        |world: &World| {
            world.is_well();
            SEEN.note_if(!world.asleep.get());
            WOKEN.note_if(world.asleep.get());
        },
    );
    SEEN.expect("it sees the end");
    WOKEN.expect("its thread is woken");
}

#[test]
#[should_panic(expected = "it sleeps on")]
fn canary_of_a_look_that_comes_first() {
    check(
        World::new,
        &[
            |world: &World| {
                if world.looks() {
                    return;
                }
                std::mem::forget(world.roll.enter(world.gp(), world.waker()));
                world.asleep.set(true);
            },
            World::abort,
        ],
        World::is_well,
    );
}
