//! Ending a G: aborts beside its polls, and joining it.
//!
//! async-task does not take its atomics from loom, so what is modelled here is not the code that
//! ships but [`cell`], a copy of its protocol. It shows that what `engine/task/header.rs` relies
//! on, the abort bit before the wake-up, is enough, and what would not be.

mod cell;

use super::model::{Role, Seen, check};
use cell::{Cell, Flaw, Future, Outcome};
use std::task::Poll;

/// With an abort handle, which is a waker of the G.
fn fresh_with_abort_handle() -> Cell {
    let cell = Cell::fresh(Future::Waits);
    cell.clone_waker();
    cell
}

/// Aborts by the abort handle, and drops it.
fn aborter(cell: &Cell) {
    cell.tell_and_abort();
    cell.drop_waker();
}

/// The G was aborted and its join handle is still there.
fn expect_cancelled(cell: &Cell) {
    cell.run_all();
    assert_eq!(
        cell.poll_join(0),
        Poll::Ready(Outcome::Cancelled),
        "aborted in vain"
    );
    assert!(cell.word());
    cell.detach();
    cell.settle();
}

#[test]
fn an_abort_beside_the_first_poll_ends_the_g() {
    static FIRST: Seen = Seen::new();
    static SECOND: Seen = Seen::new();
    check(fresh_with_abort_handle, &[Cell::run_all, aborter], |cell| {
        expect_cancelled(cell);
        match cell.polls.count() {
            1 => FIRST.note(),
            2 => SECOND.note(),
            more => panic!("{more} polls for one abort"),
        }
    });
    FIRST.expect("the first poll sees the abort");
    SECOND.expect("the first poll misses the abort, and another sees it");
}

/// A proof that these models can fail, as are the next two.
#[test]
#[should_panic(expected = "aborted in vain")]
fn canary_an_abort_that_wakes_first_is_lost() {
    let flawed = || fresh_with_abort_handle().with(Flaw::WakesFirst);
    check(flawed, &[Cell::run_all, aborter], expect_cancelled);
}

#[test]
#[should_panic(expected = "aborted in vain")]
fn canary_an_abort_that_is_not_published_to_a_scheduled_g_is_lost() {
    let flawed = || fresh_with_abort_handle().with(Flaw::WakesWithoutPublishing);
    check(flawed, &[Cell::run_all, aborter], expect_cancelled);
}

#[test]
fn two_aborts_end_the_g_once() {
    // One by the abort handle, and one by the join handle, which is dropped after that.
    let joiner: Role<Cell> = |cell| {
        cell.abort();
        cell.detach();
    };
    check(
        fresh_with_abort_handle,
        &[Cell::run_all, aborter, joiner],
        |cell| {
            cell.settle();
            assert_eq!(cell.dropped.count(), 1);
        },
    );
}

#[test]
fn an_abort_beside_a_wake_up_ends_the_g_once() {
    static OUTPUT: Seen = Seen::new();
    static CANCELLED: Seen = Seen::new();
    let waiting = || {
        let cell = fresh_with_abort_handle();
        cell.run_all();
        // The waker that goes with the event.
        cell.clone_waker();
        cell
    };
    let roles = [Cell::run_all, aborter, Cell::bring_event];
    check(waiting, &roles, |cell| {
        cell.run_all();
        match cell.poll_join(0) {
            Poll::Ready(Outcome::Output) => OUTPUT.note(),
            Poll::Ready(Outcome::Cancelled) => CANCELLED.note(),
            Poll::Pending => panic!("neither the event nor the abort ended it"),
        }
        cell.detach();
        cell.settle();
    });
    OUTPUT.expect("the event ends the G");
    CANCELLED.expect("the abort ends the G");
}

/// The joiner, which was left with waker number `waker`, has the outcome, or was woken and gets it
/// now.
fn expect_joined(cell: &Cell, waker: usize, outcome: Outcome) {
    cell.run_all();
    if cell.joined.count() == 0 {
        assert!(cell.is_woken(waker), "the joiner sleeps on");
        assert_eq!(cell.poll_join(waker), Poll::Ready(outcome));
    }
    cell.detach();
    cell.settle();
}

#[test]
fn a_joiner_beside_the_end_of_a_g_gets_its_output() {
    static AT_ONCE: Seen = Seen::new();
    static WOKEN: Seen = Seen::new();
    let ready = || Cell::fresh(Future::Ready);
    // Like a task that has moved, it comes with another waker the second time.
    let joiner: Role<Cell> = |cell| {
        if cell.poll_join(0).is_pending() {
            let _ = cell.poll_join(1);
        }
    };
    check(ready, &[Cell::run_all, joiner], |cell| {
        AT_ONCE.note_if(cell.joined.count() == 1);
        WOKEN.note_if(cell.joined.count() == 0);
        expect_joined(cell, 1, Outcome::Output);
    });
    AT_ONCE.expect("the joiner comes to a G that has ended");
    WOKEN.expect("the joiner is woken");
}

#[test]
fn a_joiner_beside_an_abort_learns_of_it() {
    static WOKEN: Seen = Seen::new();
    let joiner: Role<Cell> = |cell| {
        let _ = cell.poll_join(0);
    };
    let roles = [Cell::run_all, aborter, joiner];
    check(fresh_with_abort_handle, &roles, |cell| {
        WOKEN.note_if(cell.joined.count() == 0);
        expect_joined(cell, 0, Outcome::Cancelled);
    });
    WOKEN.expect("the joiner is woken");
}

#[test]
fn a_join_handle_dropped_beside_the_end_of_a_g_leaks_nothing() {
    let ready = || Cell::fresh(Future::Ready);
    check(ready, &[Cell::run_all, Cell::detach], |cell| {
        cell.settle();
        assert_eq!(cell.dropped.count(), 1, "the output is dropped once");
    });
}
