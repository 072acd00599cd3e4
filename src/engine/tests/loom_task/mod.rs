//! The cell of a G: its turns, its wake-ups, its end, its joiner and its last reference, in every
//! order. The state word and the joiner's slot are the code that ships.

mod world;

use super::model::{Role, Seen, check};
use std::task::Poll;
use world::{Flaw, Future, Outcome, World};

fn ready() -> World {
    World::new(Future::Ready, Flaw::None)
}

fn waits(goal: usize) -> World {
    World::new(Future::Waits(goal), Flaw::None)
}

/// Brings what the future waits for, and uses a waker up.
const TELL: Role<World> = |world| {
    world.tell();
    world.wake();
};

/// As `TELL`, with a waker that is dropped after it.
const TELL_BY_REF: Role<World> = |world| {
    world.tell();
    world.wake_by_ref();
    world.drop_waker();
};

const ABORT: Role<World> = |world| {
    world.abort();
    world.drop_waker();
};

/// Takes the outcome of a G that must have ended, and drops the handle, the last reference.
fn finish(world: &World, outcome: Outcome) {
    world.run_all();
    assert!(world.is_complete(), "a wake-up was lost");
    assert_eq!(world.poll_join(0), Poll::Ready(outcome));
    world.drop_join();
    world.expect_freed();
}

// ---- Turns and wake-ups ----

#[test]
fn a_wake_up_beside_a_turn_is_not_lost() {
    static ONCE: Seen = Seen::new();
    static TWICE: Seen = Seen::new();
    for tell in [TELL, TELL_BY_REF] {
        check(
            || waits(1).with_wakers(1),
            &[World::run_all, tell],
            |world| {
                finish(world, Outcome::Output);
                ONCE.note_if(world.polls.count() == 1);
                TWICE.note_if(world.polls.count() == 2);
                assert!(world.polls.count() <= 2);
            },
        );
    }
    ONCE.expect("the first poll sees what the waker did");
    TWICE.expect("the waker comes during or after the first poll");
}

#[test]
fn of_two_wake_ups_none_is_lost_and_none_leads_to_two_turns_at_once() {
    static MERGED: Seen = Seen::new();
    static APART: Seen = Seen::new();
    let roles = [World::run_all, TELL, TELL];
    check(
        || waits(2).with_wakers(2),
        &roles,
        |world| {
            finish(world, Outcome::Output);
            MERGED.note_if(world.polls.count() < 3);
            APART.note_if(world.polls.count() == 3);
            assert!(world.polls.count() <= 3);
        },
    );
    MERGED.expect("one poll answers two wake-ups");
    APART.expect("each wake-up leads to a poll");
}

#[test]
fn two_runners_never_have_a_turn_at_once() {
    let roles = [World::run_all, World::run_all, TELL];
    check(
        || waits(1).with_wakers(1),
        &roles,
        |world| finish(world, Outcome::Output),
    );
}

// ---- Aborts ----

#[test]
fn an_abort_beside_a_turn_ends_the_g() {
    static FIRST: Seen = Seen::new();
    static LATER: Seen = Seen::new();
    let roles = [World::run_all, ABORT];
    check(
        || waits(1).with_wakers(1),
        &roles,
        |world| {
            finish(world, Outcome::Cancelled);
            FIRST.note_if(world.polls.count() == 0);
            LATER.note_if(world.polls.count() == 1);
        },
    );
    FIRST.expect("the first turn is the abort");
    LATER.expect("it is aborted while it is polled or waits");
}

#[test]
fn aborts_and_wake_ups_end_the_g_once() {
    static OUTPUT: Seen = Seen::new();
    static CANCELLED: Seen = Seen::new();
    let roles = [World::run_all, ABORT, TELL];
    check(
        || waits(1).with_wakers(2),
        &roles,
        |world| {
            world.run_all();
            assert!(world.is_complete(), "a wake-up was lost");
            let outcome = world.poll_join(0);
            OUTPUT.note_if(outcome == Poll::Ready(Outcome::Output));
            CANCELLED.note_if(outcome == Poll::Ready(Outcome::Cancelled));
            world.drop_join();
            world.expect_freed();
        },
    );
    OUTPUT.expect("it ends before the abort");
    CANCELLED.expect("it is aborted");
}

// ---- The joiner ----

#[test]
fn a_joiner_that_waits_is_woken() {
    static LATE: Seen = Seen::new();
    static WAITED: Seen = Seen::new();
    let joiner: Role<World> = |world| match world.poll_join(0) {
        Poll::Ready(_) => LATE.note(),
        Poll::Pending => WAITED.note(),
    };
    check(ready, &[World::run_all, joiner], |world| {
        if !world.is_taken() {
            assert_eq!(world.woken(0), 1, "the joiner was not woken");
            assert_eq!(world.poll_join(0), Poll::Ready(Outcome::Output));
        }
        world.drop_join();
        world.expect_freed();
    });
    LATE.expect("the output is there when the joiner comes");
    WAITED.expect("the joiner comes first");
}

#[test]
fn a_joiner_that_polls_again_finds_its_waker_or_the_output() {
    static BETWEEN: Seen = Seen::new();
    let joiner: Role<World> = |world| {
        if world.poll_join(0).is_pending() {
            BETWEEN.note_if(world.poll_join(0).is_ready());
        }
    };
    check(ready, &[World::run_all, joiner], |world| {
        assert!(world.woken(0) <= 1);
        world.drop_join();
        world.expect_freed();
    });
    BETWEEN.expect("the G ends between two polls");
}

#[test]
fn of_two_wakers_the_last_is_woken() {
    static FIRST: Seen = Seen::new();
    static SECOND: Seen = Seen::new();
    static NONE: Seen = Seen::new();
    let joiner: Role<World> = |world| {
        if world.poll_join(0).is_ready() {
            NONE.note();
        } else if world.poll_join(1).is_ready() {
            FIRST.note();
        }
    };
    check(ready, &[World::run_all, joiner], |world| {
        assert!(world.woken(0) + world.woken(1) <= 1);
        if !world.is_taken() {
            SECOND.note();
            assert_eq!(world.woken(1), 1, "the last joiner was not woken");
            assert_eq!(world.poll_join(0), Poll::Ready(Outcome::Output));
        }
        world.drop_join();
        world.expect_freed();
    });
    NONE.expect("the G ends before the joiner comes");
    FIRST.expect("the G ends while the first waker is there, or none");
    SECOND.expect("the G ends after the second waker was put in");
}

#[test]
fn a_waker_put_back_is_not_taken_for_the_one_before() {
    static THIRD: Seen = Seen::new();
    let joiner: Role<World> = |world| {
        // Two changes of waker: the word looks as it did after the first, but for one bit.
        let _ = world.poll_join(0).is_pending()
            && world.poll_join(1).is_pending()
            && world.poll_join(0).is_pending();
    };
    check(ready, &[World::run_all, joiner], |world| {
        assert!(world.woken(0) + world.woken(1) <= 1);
        if !world.is_taken() {
            THIRD.note();
            assert_eq!(world.woken(0), 1, "the last joiner was not woken");
            assert_eq!(world.poll_join(0), Poll::Ready(Outcome::Output));
        }
        world.drop_join();
        world.expect_freed();
    });
    THIRD.expect("the G ends after the third waker was put in");
}

#[test]
fn the_output_is_dropped_once_wherever_the_handle_goes() {
    check(ready, &[World::run_all, World::drop_join], |world| {
        world.expect_freed();
        assert_eq!(world.dropped.count(), 1);
    });
}

#[test]
fn a_joiner_that_gives_up_takes_its_waker_along() {
    static TAKEN: Seen = Seen::new();
    static WOKEN: Seen = Seen::new();
    static LEFT: Seen = Seen::new();
    let joiner: Role<World> = |world| {
        TAKEN.note_if(world.poll_join(0).is_ready());
        world.drop_join();
    };
    check(ready, &[World::run_all, joiner], |world| {
        world.expect_freed();
        WOKEN.note_if(world.woken(0) == 1);
        LEFT.note_if(world.woken(0) == 0 && world.dropped.count() == 1);
    });
    TAKEN.expect("it takes the output");
    WOKEN.expect("it is woken, and has given up");
    LEFT.expect("it leaves before the end");
}

#[test]
fn a_joiner_with_its_second_waker_may_give_up() {
    static WOKEN: Seen = Seen::new();
    let joiner: Role<World> = |world| {
        let _ = world.poll_join(0).is_pending() && world.poll_join(1).is_pending();
        world.drop_join();
    };
    check(ready, &[World::run_all, joiner], |world| {
        world.expect_freed();
        WOKEN.note_if(world.woken(1) == 1);
    });
    WOKEN.expect("it is woken, and has given up");
}

// ---- The last reference ----

#[test]
fn the_cell_is_freed_once_by_whoever_is_last() {
    // Handle, waker and runner; each may be the last.
    let roles = [World::run_all, World::wake, World::drop_join];
    check(|| ready().with_wakers(1), &roles, World::expect_freed);
}

#[test]
fn the_cell_of_an_ended_g_is_freed_once() {
    let ended = || {
        let world = ready().with_wakers(1);
        world.run_all();
        world
    };
    check(ended, &[World::wake, World::drop_join], World::expect_freed);
    check(
        ended,
        &[World::drop_waker, World::drop_join],
        World::expect_freed,
    );
}

#[test]
fn wakers_of_an_ended_g_without_handle_free_it_once() {
    let detached = || {
        let world = ready().with_wakers(2);
        world.drop_join();
        world
    };
    let roles = [World::run_all, World::wake, World::drop_waker];
    check(detached, &roles, World::expect_freed);
}

#[test]
fn an_abort_by_an_outliving_handle_meets_a_living_cell() {
    let roles = [World::run_all, ABORT, World::drop_join];
    check(|| ready().with_wakers(1), &roles, World::expect_freed);
}

// ---- Proofs that these models can fail ----

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn canary_a_wake_up_before_the_event_is_lost() {
    let early: Role<World> = |world| {
        world.wake();
        world.tell();
    };
    let world = || waits(1).with_wakers(1);
    check(world, &[World::run_all, early], |world| {
        finish(world, Outcome::Output);
    });
}

#[test]
#[should_panic]
fn canary_a_g_given_up_before_its_poll_is_polled_twice_at_once() {
    let flawed = || World::new(Future::Waits(1), Flaw::WaitsFirst).with_wakers(1);
    let roles = [World::run_all, World::run_all, TELL];
    check(flawed, &roles, |world| finish(world, Outcome::Output));
}

#[test]
#[should_panic]
fn canary_a_cell_freed_under_a_waker_is_noticed() {
    let flawed = || {
        let world = World::new(Future::Ready, Flaw::FreesAtTheEnd).with_wakers(1);
        world.drop_join();
        world
    };
    check(flawed, &[World::run_all, World::drop_waker], |_| {});
}

#[test]
#[should_panic]
fn canary_an_output_taken_too_early_is_noticed() {
    let flawed = || World::new(Future::Ready, Flaw::TakesBlindly);
    let joiner: Role<World> = |world| {
        let _ = world.poll_join(0);
    };
    check(flawed, &[World::run_all, joiner], |_| {});
}
