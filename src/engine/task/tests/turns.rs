//! Turns, wake-ups, aborts, and who drops the output and the cell.

use super::super::{RawJoin, Status, abort_cell};
use super::{Drops, Guard, Home, expect_alive, expect_freed, take, waiting};
use std::cell::RefCell;
use std::future::{pending, poll_fn, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

#[test]
fn an_output_is_taken_once() {
    let (home, drops) = (Home::default(), Drops::default());
    let (mut join, cell) = home.spawn(ready(drops.guard()));
    assert!(!join.is_finished());
    home.run(1);
    assert!(join.is_finished());
    assert_eq!((join.gp().status(), home.retired()), (Status::Dead, 1));
    let output = take(&mut join).expect("an output");
    assert_eq!(drops.count(), 0);
    drop(output);
    expect_alive(&cell);
    drop(join);
    expect_freed(&cell);
    assert_eq!(drops.count(), 1);
}

#[test]
#[should_panic(expected = "polled after completion")]
fn an_output_is_not_taken_twice() {
    let home = Home::default();
    let (mut join, _) = home.spawn(ready(()));
    home.run(1);
    take(&mut join).unwrap();
    let _ = take(&mut join);
}

#[test]
fn a_handle_dropped_after_the_end_drops_the_output() {
    let (home, drops) = (Home::default(), Drops::default());
    for bomb in [false, true] {
        let (join, cell) = home.spawn(ready(Guard(drops.0.clone(), bomb)));
        home.run(1);
        let before = drops.count();
        drop(join);
        assert_eq!(drops.count(), before + 1);
        expect_freed(&cell);
    }
}

#[test]
fn a_handle_dropped_before_the_end_leaves_the_output_to_the_runner() {
    let (home, drops) = (Home::default(), Drops::default());
    for bomb in [false, true] {
        let (join, cell) = home.spawn(ready(Guard(drops.0.clone(), bomb)));
        drop(join);
        expect_alive(&cell);
        let before = drops.count();
        home.run(1);
        assert_eq!(drops.count(), before + 1);
        expect_freed(&cell);
    }
    assert_eq!(home.retired(), 2);
}

#[test]
fn a_handle_dropped_within_the_turn_leaves_the_output_to_the_runner() {
    let (home, drops) = (Home::default(), Drops::default());
    let slot: Arc<RefCell<Option<RawJoin<Guard>>>> = Arc::default();
    let (inner, guard) = (slot.clone(), drops.guard());
    let (join, cell) = home.spawn(async move {
        drop(inner.take());
        guard
    });
    *slot.borrow_mut() = Some(join);
    home.run(1);
    assert_eq!(drops.count(), 1);
    expect_freed(&cell);
}

#[test]
fn the_future_is_dropped_at_its_end_and_the_cell_with_the_last_waker() {
    let (home, drops, wakers) = (Home::default(), Drops::default(), Arc::default());
    let (mut join, cell) = home.spawn(waiting(drops.guard(), &wakers, 1));
    home.run(1);
    assert_eq!(drops.count(), 1);
    take(&mut join).unwrap();
    drop(join);
    expect_alive(&cell);
    let waker = wakers.borrow_mut().pop().unwrap();
    let clone = waker.clone();
    waker.wake_by_ref();
    drop(waker);
    expect_alive(&cell);
    clone.wake();
    expect_freed(&cell);
    home.run(0);
}

#[test]
fn the_output_is_dropped_by_the_runner_though_wakers_are_left() {
    let (home, drops) = (Home::default(), Drops::default());
    let (waker, guard) = (Rc::new(RefCell::new(None)), drops.guard());
    let (passed, mut output) = (waker.clone(), Some(guard));
    let (join, cell) = home.spawn(poll_fn(move |cx| {
        *passed.borrow_mut() = Some(cx.waker().clone());
        Poll::Ready(output.take())
    }));
    drop(join);
    home.run(1);
    assert_eq!(drops.count(), 1);
    expect_alive(&cell);
    drop(waker.take());
    expect_freed(&cell);
}

#[test]
fn wake_ups_of_a_queued_g_are_one() {
    let (home, drops, wakers) = (Home::default(), Drops::default(), Arc::default());
    let (mut join, _) = home.spawn(waiting(drops.guard(), &wakers, 3));
    home.run(1);
    for _ in 0..2 {
        let waker = wakers.borrow_mut().pop().unwrap();
        for _ in 0..10 {
            waker.wake_by_ref();
            let by_value = waker.clone();
            by_value.wake();
        }
        assert_eq!(
            home.queue.borrow().front().map(|(_, yielded)| *yielded),
            Some(false)
        );
        home.run(1);
    }
    take(&mut join).unwrap();
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_g_woken_while_it_runs_is_queued_after_its_turn_as_one_that_yields() {
    let home = Home::default();
    let mut polls = 0;
    let (mut join, cell) = home.spawn(poll_fn(move |cx| {
        polls += 1;
        if polls == 3 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        let by_value = cx.waker().clone();
        by_value.wake();
        Poll::Pending
    }));
    for _ in 0..2 {
        let gp = home.pop().unwrap();
        gp.run();
        let queued: Vec<bool> = home
            .queue
            .borrow()
            .iter()
            .map(|(_, yielded)| *yielded)
            .collect();
        assert_eq!(queued, [true]);
    }
    home.run(1);
    take(&mut join).unwrap();
    drop(join);
    expect_freed(&cell);
}

#[test]
fn a_g_that_nobody_can_wake_lives_until_it_is_aborted() {
    let (home, drops) = (Home::default(), Drops::default());
    let guard = drops.guard();
    let (join, cell) = home.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    let gp = home.queue.borrow()[0].0;
    home.run(1);
    drop(join);
    expect_alive(&cell);
    // SAFETY: it is alive, as was just checked.
    unsafe { abort_cell(gp) };
    assert_eq!(drops.count(), 0);
    home.run(1);
    assert_eq!((drops.count(), home.retired()), (1, 1));
    expect_freed(&cell);
}

#[test]
fn an_abort_counts_once_and_only_before_the_end() {
    let (home, drops, wakers) = (Home::default(), Drops::default(), Arc::default());
    // Queued, waiting, ended.
    let (mut queued, _) = home.spawn(waiting(drops.guard(), &wakers, 2));
    queued.abort();
    queued.abort();
    home.run(1);
    assert!(take(&mut queued).unwrap_err().into_panic().is_none());
    assert!(wakers.borrow().is_empty(), "it was polled");

    let (mut waits, cell) = home.spawn(waiting(drops.guard(), &wakers, 2));
    home.run(1);
    let abort = waits.abort_ref();
    let clone = abort.clone();
    abort.abort();
    clone.abort();
    assert_eq!((abort.id(), abort.is_finished()), (waits.gp().id(), false));
    home.run(1);
    assert!(clone.is_finished());
    assert!(take(&mut waits).unwrap_err().into_panic().is_none());
    clone.abort();
    home.run(0);
    wakers.borrow_mut().clear();
    drop((waits, abort));
    expect_alive(&cell);
    drop(clone);
    expect_freed(&cell);

    let (mut ended, _) = home.spawn(ready(7));
    home.run(1);
    ended.abort();
    home.run(0);
    assert_eq!(take(&mut ended).unwrap(), 7);
    assert_eq!((drops.count(), home.retired()), (2, 3));
}

#[test]
fn a_g_aborted_while_it_runs_is_dropped_at_its_next_turn() {
    let home = Home::default();
    let (slot, drops): (Arc<RefCell<Option<RawJoin<()>>>>, _) = (Arc::default(), Drops::default());
    let (inner, guard) = (slot.clone(), drops.guard());
    let (join, cell) = home.spawn(async move {
        let _guard = guard;
        inner.borrow().as_ref().unwrap().abort();
        pending::<()>().await;
    });
    *slot.borrow_mut() = Some(join);
    home.run(2);
    assert_eq!(drops.count(), 1);
    let mut join = slot.take().unwrap();
    assert!(take(&mut join).unwrap_err().into_panic().is_none());
    drop(join);
    expect_freed(&cell);
}

#[test]
fn a_right_to_run_that_is_dropped_drops_the_future() {
    let (home, drops) = (Home::default(), Drops::default());
    let guard = drops.guard();
    let (mut join, _) = home.spawn(async move { drop(guard) });
    drop(home.pop());
    assert_eq!((drops.count(), home.retired()), (1, 1));
    assert!(take(&mut join).unwrap_err().into_panic().is_none());
}
