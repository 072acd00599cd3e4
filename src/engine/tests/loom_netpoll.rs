//! A socket's slot: between the poller, those who wait, and those who find that there is nothing.

use super::model::{Seen, check};
use crate::engine::netpoll::{Direction, Key, Readiness, Slot};
use crate::engine::primitive::{AtomicBool, AtomicUsize as Count, Ordering};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Poll, Wake, Waker};

/// Counts what happens to it. Orders nothing in the model.
#[derive(Debug, Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

struct World {
    slot: Slot,
    generation: u32,
    /// Whether a read would find something.
    data: AtomicBool,
    bells: [Arc<Bell>; 2],
    /// Which of the two waiters were told that the socket is ready.
    told: [Seen; 2],
    /// How often something happened of which all are to know.
    count: Count,
}

impl World {
    /// A new socket of which nothing is known.
    fn new() -> World {
        World::assuming(Readiness::EMPTY)
    }

    fn assuming(assumed: Readiness) -> World {
        let slot = Slot::new();
        let generation = slot.begin(assumed);
        World {
            slot,
            generation,
            data: AtomicBool::new(false),
            bells: Default::default(),
            told: [Seen::new(), Seen::new()],
            count: Count::new(0),
        }
    }

    /// Of which it was said that there is something to read, which there is not.
    fn misled() -> World {
        let world = World::new();
        world.event(Readiness::READABLE);
        world
    }

    fn event(&self, ready: Readiness) {
        let mut wakers = Vec::new();
        self.slot.set(self.generation, ready, &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Data arrives, and then the event for it.
    fn arrive(&self) {
        self.data.store(true, Ordering::SeqCst);
        self.event(Readiness::READABLE);
    }

    /// The one who polls for reading.
    fn poll(&self, n: usize) {
        let waker = Waker::from(self.bells[n].clone());
        let polled = self.slot.poll(Direction::Read, Readiness::READ, &waker);
        self.told[n].note_if(polled.is_ready());
    }

    /// One of several who wait. Gives up at once if it does not wait `on`.
    fn wait(&self, n: usize, on: bool) {
        let waker = Waker::from(self.bells[n].clone());
        let mut key = None;
        let polled = self.slot.wait(&mut key, Readiness::READ, &waker);
        self.told[n].note_if(polled.is_ready());
        if let (Some(key), false) = (key, on) {
            self.slot.forget(key);
        }
    }

    /// It happens once, and then there is the event for it.
    fn happen(&self) {
        self.count.fetch_add(1, Ordering::Release);
        self.event(Readiness::READABLE);
    }

    /// One of several who wait for more than `seen`; whether there is more.
    fn listen(&self, n: usize, seen: usize, key: &mut Option<Key>) -> bool {
        let waker = Waker::from(self.bells[n].clone());
        let happened = || self.count.load(Ordering::Acquire) > seen;
        let polled = self.slot.wait_until(key, Readiness::READ, &waker, happened);
        polled.is_ready()
    }

    fn rung(&self, n: usize) -> usize {
        self.bells[n].0.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Fails if waiter `n` sleeps though there was an event.
    fn expect_awake(&self, n: usize) {
        assert!(self.told[n].count() + self.rung(n) > 0, "waiter {n} sleeps");
    }

    /// Tries to read; `clear_by` says which event misled it when there is nothing.
    fn read(
        &self,
        hesitates: bool,
        clear_by: impl FnOnce(&World, crate::engine::netpoll::Event),
    ) -> bool {
        let event = self.slot.look(Readiness::READ);
        if event.ready.is_empty() {
            return false;
        }
        if self.data.swap(false, Ordering::SeqCst) {
            return true;
        }
        if hesitates {
            // Loom forgets that a load came before an event if the same thread has written since;
            // so it is told where to switch.
            loom::thread::yield_now();
        }
        clear_by(self, event);
        false
    }

    fn expect_data_is_seen(&self) {
        let data = self.data.load(Ordering::SeqCst);
        let known = !self.slot.look(Readiness::READ).ready.is_empty();
        assert!(known || !data, "there is data that nobody knows of");
    }
}

#[test]
fn whoever_polls_is_told_or_woken() {
    static TOLD: Seen = Seen::new();
    static WOKEN: Seen = Seen::new();
    check(
        World::new,
        &[
            |world: &World| world.poll(0),
            |world: &World| world.event(Readiness::READABLE),
        ],
        |world| {
            world.expect_awake(0);
            TOLD.note_if(world.told[0].count() > 0);
            WOKEN.note_if(world.rung(0) > 0);
        },
    );
    TOLD.expect("the event comes first");
    WOKEN.expect("the event comes later");
}

#[test]
fn all_who_wait_are_told_or_woken() {
    static BOTH_WOKEN: Seen = Seen::new();
    check(
        World::new,
        &[
            |world: &World| world.wait(0, true),
            |world: &World| world.wait(1, true),
            |world: &World| world.event(Readiness::READABLE),
        ],
        |world| {
            world.expect_awake(0);
            world.expect_awake(1);
            assert!(world.slot.is_free());
            BOTH_WOKEN.note_if(world.rung(0) + world.rung(1) == 2);
        },
    );
    BOTH_WOKEN.expect("both wait");
}

#[test]
fn a_waiter_that_gives_up_leaves_nothing() {
    static IN_TIME: Seen = Seen::new();
    static TOO_LATE: Seen = Seen::new();
    check(
        World::new,
        &[
            |world: &World| world.wait(0, false),
            |world: &World| world.event(Readiness::READABLE),
        ],
        |world| {
            assert!(world.slot.is_free());
            assert_eq!(Arc::strong_count(&world.bells[0]), 1);
            TOO_LATE.note_if(world.rung(0) > 0);
            IN_TIME.note_if(world.rung(0) + world.told[0].count() == 0);
        },
    );
    IN_TIME.expect("it gave up before the event");
    TOO_LATE.expect("it was woken and gave up all the same");
}

#[test]
fn the_end_of_the_runtime_wakes_like_an_event() {
    check(
        World::new,
        &[
            |world: &World| world.poll(0),
            |world: &World| world.wait(1, true),
            |world: &World| {
                let mut wakers = Vec::new();
                world.slot.shut(&mut wakers);
                wakers.into_iter().for_each(Waker::wake);
            },
        ],
        |world| {
            world.expect_awake(0);
            world.expect_awake(1);
            let waker = Waker::from(world.bells[0].clone());
            let polled = world.slot.poll(Direction::Write, Readiness::WRITE, &waker);
            assert!(matches!(polled, Poll::Ready(event) if event.ready == Readiness::SHUT));
        },
    );
}

#[test]
fn a_newer_event_is_not_cleared() {
    static CLEARED: Seen = Seen::new();
    static READ: Seen = Seen::new();
    static LEFT: Seen = Seen::new();
    check(
        World::misled,
        &[
            |world: &World| {
                READ.note_if(world.read(false, |world, event| world.slot.clear(event)));
            },
            World::arrive,
        ],
        |world| {
            world.expect_data_is_seen();
            let left = world.data.load(Ordering::SeqCst);
            LEFT.note_if(left);
            CLEARED.note_if(!left && world.slot.look(Readiness::READ).ready.is_empty());
        },
    );
    READ.expect("the data comes first");
    LEFT.expect("the data comes later");
    assert_eq!(CLEARED.count(), 0, "the event is always the last word");
}

#[test]
fn two_readers_do_not_clear_what_the_other_waits_for() {
    check(
        World::misled,
        &[
            |world: &World| {
                world.read(false, |world, event| world.slot.clear(event));
            },
            |world: &World| {
                world.read(true, |world, event| world.slot.clear(event));
            },
            World::arrive,
        ],
        World::expect_data_is_seen,
    );
}

#[test]
fn a_guess_that_was_wrong_is_made_once() {
    check(
        || World::assuming(Readiness::MAY_READ | Readiness::MAY_WRITE),
        &[
            |world: &World| {
                let event = world.slot.look(Readiness::READ | Readiness::MAY_READ);
                if !event.ready.is_empty() && !world.data.swap(false, Ordering::SeqCst) {
                    world.slot.clear(event);
                }
            },
            World::arrive,
        ],
        |world| {
            world.expect_data_is_seen();
            let write = world.slot.look(Readiness::MAY_WRITE);
            assert_eq!(write.ready, Readiness::MAY_WRITE);
        },
    );
}

#[test]
fn an_event_for_a_socket_that_is_gone_says_nothing_of_the_next() {
    static BEFORE: Seen = Seen::new();
    check(
        World::new,
        &[
            |world: &World| {
                world.wait(0, true);
                let mut wakers = Vec::new();
                world.slot.end(&mut wakers);
                BEFORE.note_if(wakers.is_empty());
                assert_eq!(world.slot.begin(Readiness::EMPTY), world.generation + 1);
                let waker = Waker::from(world.bells[1].clone());
                let polled = world.slot.poll(Direction::Read, Readiness::READ, &waker);
                assert!(polled.is_pending(), "it is ready for nothing");
            },
            |world: &World| world.event(Readiness::READABLE),
        ],
        |world| {
            assert!(world.slot.look(Readiness::READ).ready.is_empty());
        },
    );
    BEFORE.expect("the event comes before the end");
}

/// The first to be told waits for the next one, and takes back the event for this one, before the other
/// has left its waker.
#[test]
fn what_concerns_all_is_told_to_all() {
    static TOOK_BACK: Seen = Seen::new();
    check(
        World::new,
        &[
            |world: &World| {
                let mut key = None;
                if world.listen(0, 0, &mut key) {
                    world.told[0].note_if(true);
                    assert!(!world.listen(0, 1, &mut key), "it happened once");
                    TOOK_BACK.note_if(world.slot.look(Readiness::READ).ready.is_empty());
                }
            },
            |world: &World| {
                let told = world.listen(1, 0, &mut None);
                world.told[1].note_if(told);
            },
            World::happen,
        ],
        |world| {
            world.expect_awake(0);
            world.expect_awake(1);
        },
    );
    TOOK_BACK.expect("one takes back the event");
}

/// Asks whether it happened before its waker is left, and not again.
#[test]
#[should_panic(expected = "waiter 1 sleeps")]
fn canary_an_event_is_taken_back_from_one_who_asked_too_early() {
    check(
        World::new,
        &[
            |world: &World| {
                let mut key = None;
                if world.listen(0, 0, &mut key) {
                    world.told[0].note_if(true);
                    world.listen(0, 1, &mut key);
                }
            },
            |world: &World| {
                let told = world.count.load(Ordering::Acquire) > 0;
                world.told[1].note_if(told);
                if !told {
                    world.wait(1, true);
                }
            },
            World::happen,
        ],
        |world| world.expect_awake(1),
    );
}

#[test]
fn a_newer_event_is_not_cleared_by_one_who_hesitates() {
    check(
        World::misled,
        &[
            |world: &World| {
                world.read(true, |world, event| world.slot.clear(event));
            },
            World::arrive,
        ],
        World::expect_data_is_seen,
    );
}

#[test]
fn what_is_closed_is_refuted_but_not_by_one_who_saw_less() {
    static REFUTED: Seen = Seen::new();
    check(
        || {
            let world = World::new();
            world.event(Readiness::READ_CLOSED);
            world
        },
        &[
            |world: &World| {
                world.read(true, |world, event| {
                    world.slot.refute(event);
                    REFUTED.note_if(world.slot.look(Readiness::READ).ready.is_empty());
                });
            },
            |world: &World| {
                world.data.store(true, Ordering::SeqCst);
                world.event(Readiness::READ_CLOSED);
            },
        ],
        World::expect_data_is_seen,
    );
    REFUTED.expect("there is no other event yet");
}

/// Clears what was seen after the system call rather than before, and so an event that came since.
#[test]
#[should_panic(expected = "there is data that nobody knows of")]
fn canary_a_late_look_clears_a_newer_event() {
    check(
        World::misled,
        &[
            |world: &World| {
                world.read(true, |world, _| {
                    world.slot.clear(world.slot.look(Readiness::READ))
                });
            },
            World::arrive,
        ],
        World::expect_data_is_seen,
    );
}
