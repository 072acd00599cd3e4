//! The cell of a G from birth to its last reference, with a home that only queues. Drops are
//! counted: of the future, of the output, and of the cell, which owns a reference to its extras.

mod ends;
mod turns;

use super::{Birth, Extras, Fault, G, Gp, Id, RawG, RawJoin, Schedule, create};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Queues the Gs of one thread, and notes who was told what.
#[derive(Default)]
struct Home {
    queue: RefCell<VecDeque<(RawG, bool)>>,
    retired: RefCell<usize>,
}

thread_local! {
    // How many Gs are being polled or dropped at the moment.
    static TURNS: RefCell<usize> = const { RefCell::new(0) };
}

struct Turn;

impl Drop for Turn {
    fn drop(&mut self) {
        TURNS.with(|turns| *turns.borrow_mut() -= 1);
    }
}

impl Schedule for Home {
    type Turn = Turn;

    fn enter(_: &G) -> Turn {
        TURNS.with(|turns| *turns.borrow_mut() += 1);
        Turn
    }

    unsafe fn schedule(home: *const Home, gp: RawG, yielded: bool) {
        // SAFETY: the tests keep their home until the end.
        unsafe { &*home }
            .queue
            .borrow_mut()
            .push_back((gp, yielded));
    }

    unsafe fn retire(home: *const Home, _: &G) {
        // SAFETY: as above.
        *unsafe { &*home }.retired.borrow_mut() += 1;
    }
}

impl Home {
    /// Makes a G, puts it into the queue, and gives what shows whether its cell is there.
    fn spawn<F: Future + 'static>(&self, future: F) -> (RawJoin<F::Output>, Arc<Extras>) {
        let extras = Arc::new(Extras::default());
        let birth = Birth {
            id: Id::next(),
            gopc: Location::caller(),
            parent: None,
            extras: Some(extras.clone()),
        };
        // SAFETY: the home outlives its Gs in all tests, which run them on one thread.
        let (gp, join) = unsafe { create(future, birth, std::ptr::from_ref(self)) };
        self.queue.borrow_mut().push_back((gp, false));
        (join, extras)
    }

    fn pop(&self) -> Option<Gp> {
        let (gp, _) = self.queue.borrow_mut().pop_front()?;
        // SAFETY: an entry of the queue is the right to run one G.
        Some(unsafe { Gp::from_raw(gp) })
    }

    /// Gives so many turns; there must be as many and no more.
    #[track_caller]
    fn run(&self, turns: usize) {
        for _ in 0..turns {
            self.pop().expect("a G is queued").run();
        }
        assert!(self.queue.borrow().is_empty(), "another G is queued");
        TURNS.with(|turns| assert_eq!(*turns.borrow(), 0, "a turn goes on"));
    }

    fn retired(&self) -> usize {
        *self.retired.borrow()
    }
}

/// Counts how often it is dropped, and may panic then.
struct Guard(Arc<AtomicUsize>, bool);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        assert!(!self.1, "a destructor");
    }
}

#[derive(Default)]
struct Drops(Arc<AtomicUsize>);

impl Drops {
    fn guard(&self) -> Guard {
        Guard(self.0.clone(), false)
    }

    fn bomb(&self) -> Guard {
        Guard(self.0.clone(), true)
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[track_caller]
fn expect_freed(cell: &Arc<Extras>) {
    assert_eq!(Arc::strong_count(cell), 1, "the cell is leaked");
}

#[track_caller]
fn expect_alive(cell: &Arc<Extras>) {
    assert_eq!(Arc::strong_count(cell), 2, "the cell is freed");
}

/// A waker that counts, and its count.
fn joiner() -> (Waker, Arc<Joiner>) {
    let joiner = Arc::new(Joiner::default());
    (Waker::from(joiner.clone()), joiner)
}

#[derive(Default)]
struct Joiner(AtomicUsize);

impl Wake for Joiner {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Joiner {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn poll<T>(join: &mut RawJoin<T>, waker: &Waker) -> Poll<Result<T, Fault>> {
    join.poll(&mut Context::from_waker(waker))
}

#[track_caller]
fn take<T>(join: &mut RawJoin<T>) -> Result<T, Fault> {
    match poll(join, Waker::noop()) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it has not ended"),
    }
}

/// A future that owns `guard`, passes its waker on, and ends when it is polled for the `last` time.
fn waiting(
    guard: Guard,
    wakers: &Arc<RefCell<Vec<Waker>>>,
    last: usize,
) -> impl Future<Output = ()> + use<> {
    let wakers = wakers.clone();
    let mut polls = 0;
    poll_fn(move |cx| {
        let _guard = &guard;
        polls += 1;
        wakers.borrow_mut().push(cx.waker().clone());
        if polls == last {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
}
