//! What a stackful G lends: nobody touches it after its end, and the G does not miss that end.

use super::model::{Role, Seen, check};
use crate::engine::lend::packet::{Giver, Taker, packet};
use crate::engine::lend::running::Running;
use crate::engine::lend::slot::{Borrower, Slot};
use crate::engine::task::state::{Begun, State, Waiting, Woken};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// What the waiting G is for this: the real state word, and its queue.
struct Lender {
    state: State,
    /// How many queue entries of it there are.
    queue: AtomicUsize,
    wakes: Seen,
}

impl Lender {
    /// In the middle of a turn.
    fn new() -> Arc<Lender> {
        let state = State::new();
        assert_eq!(state.begin(), Begun::Poll);
        Arc::new(Lender {
            state,
            queue: AtomicUsize::new(0),
            wakes: Seen::new(),
        })
    }

    /// `Stacked::hold_until`. `false`: it left its stack, and runs on when it is woken.
    fn hold_until(&self, done: impl Fn() -> bool) -> bool {
        while !done() {
            match self.state.wait() {
                Waiting::Idle => return false,
                Waiting::Woken => assert_eq!(self.state.begin(), Begun::Poll),
            }
        }
        true
    }

    /// At the end of a model: the next turn of a G that left its stack.
    fn resume(&self) {
        let queued = self.queue.swap(0, Ordering::Acquire);
        assert_eq!(queued, 1, "the lender waits, and was not woken");
        assert_eq!(self.state.begin(), Begun::Poll);
    }
}

impl Wake for Lender {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.wake() == Woken::Queue {
            self.queue.fetch_add(1, Ordering::Release);
        }
        self.wakes.note();
    }
}

/// Something on the lender's stack, which others write to.
struct Lent(UnsafeCell<usize>);

impl Lent {
    fn new() -> Lent {
        Lent(UnsafeCell::new(0))
    }

    /// Uses it; loom fails the model unless this is ordered with all other uses.
    fn touch(&self) {
        // SAFETY: the pointer is valid, and loom fails the model unless the access is ours alone.
        self.0.with_mut(|n| unsafe { *n += 1 });
    }

    fn touched(&self) -> usize {
        // SAFETY: as above.
        self.0.with(|n| unsafe { *n })
    }
}

// ---- The slot of a closure ----

/// A closure.
struct Work(UnsafeCell<usize>);

/// What it leaves.
struct Output(UnsafeCell<usize>);

struct Elsewhere {
    lender: Arc<Lender>,
    /// It lies still until the end, so that whoever looks at it too late reads valid memory.
    slot: Box<ManuallyDrop<Slot<Work, Output>>>,
    borrower: RefCell<Option<Borrower<Work, Output>>>,
    /// The lender did not wait.
    taken: RefCell<bool>,
}

impl Elsewhere {
    fn new() -> Elsewhere {
        let lender = Lender::new();
        let work = Work(UnsafeCell::new(20));
        let slot = Box::new(ManuallyDrop::new(Slot::new(work)));
        // SAFETY: the box is kept until the end of the model; and loom sees whether it is left alone.
        let borrower = unsafe { slot.lend(Waker::from(lender.clone())) };
        Elsewhere {
            lender,
            slot,
            borrower: RefCell::new(Some(borrower)),
            taken: RefCell::new(false),
        }
    }

    /// What the lender does with the slot when it may.
    fn take(&self) -> (bool, bool) {
        // SAFETY: a copy is as good as a move, as nothing is done with the original after this; if
        // somebody does something nevertheless, loom fails the model.
        let slot = unsafe { std::ptr::read(&**self.slot) };
        let (work, output) = slot.into_parts();
        // SAFETY: see `Lent::touch`.
        let work = work.map(|work| work.0.with_mut(|n| unsafe { *n }));
        // SAFETY: as above.
        let output = output.map(|output| output.0.with_mut(|n| unsafe { *n }));
        assert!(work.is_none_or(|n| n == 20) && output.is_none_or(|n| n == 21));
        (work.is_some(), output.is_some())
    }

    fn expect(&self, work: bool, output: bool) {
        *self.taken.borrow_mut() = true;
        assert_eq!(self.take(), (work, output), "the closure, and its result");
    }

    /// The other thread, which runs the closure.
    fn run(&self) {
        let borrower = self.borrower.take().expect("it is run once");
        borrower.run(|work| {
            // SAFETY: see `Lent::touch`.
            let n = work.0.with_mut(|n| unsafe { *n });
            Output(UnsafeCell::new(n + 1))
        });
    }

    fn hold(&self) -> bool {
        self.lender.hold_until(|| self.slot.is_done())
    }

    /// At the end of a model: the lender goes on if it has not, with so much in the slot.
    fn settle(&self, work: bool, output: bool) {
        assert_eq!(self.lender.wakes.count(), 1);
        if !*self.taken.borrow() {
            self.lender.resume();
            assert!(self.hold(), "who is woken goes on");
            self.expect(work, output);
        }
    }
}

#[test]
fn a_lender_takes_the_result_and_nobody_touches_the_slot_after_that() {
    static AT_ONCE: Seen = Seen::new();
    static ASLEEP: Seen = Seen::new();
    static EARLY: Seen = Seen::new();
    let lender: Role<Elsewhere> = |world| {
        if world.hold() {
            world.expect(false, true);
            AT_ONCE.note();
            EARLY.note_if(world.lender.wakes.count() == 0);
        } else {
            ASLEEP.note();
        }
    };
    check(Elsewhere::new, &[lender, Elsewhere::run], |world| {
        world.settle(false, true);
    });
    AT_ONCE.expect("the result is there in time");
    ASLEEP.expect("the lender leaves its stack");
    EARLY.expect("the lender goes on before it is woken");
}

#[test]
fn a_job_that_is_dropped_gives_the_closure_back() {
    static AT_ONCE: Seen = Seen::new();
    static ASLEEP: Seen = Seen::new();
    let lender: Role<Elsewhere> = |world| {
        if world.hold() {
            world.expect(true, false);
            AT_ONCE.note();
        } else {
            ASLEEP.note();
        }
    };
    let dropper: Role<Elsewhere> = |world| drop(world.borrower.take());
    check(Elsewhere::new, &[lender, dropper], |world| {
        world.settle(true, false);
    });
    AT_ONCE.expect("the closure is back in time");
    ASLEEP.expect("the lender leaves its stack");
}

// ---- The end of a scope ----

/// How the parent looks whether its children are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Acquire,
    /// Which is a mistake.
    Relaxed,
}

/// A scope with two children that have not begun.
struct Scope {
    lender: Arc<Lender>,
    running: Running,
    look: Look,
    /// What each child borrows, and what both do, one after the other.
    lent: Rc<[Lent; 3]>,
    left: RefCell<bool>,
    giver: RefCell<Option<Giver<Result>>>,
    taker: RefCell<Option<Taker<Result>>>,
    dropped: Rc<Seen>,
    /// How often somebody got the result.
    claimed: Seen,
}

/// What a child leaves: it borrows as the child does, and whoever drops it uses that.
struct Result {
    lent: Rc<[Lent; 3]>,
    dropped: Rc<Seen>,
}

impl Drop for Result {
    fn drop(&mut self) {
        self.lent[0].touch();
        self.dropped.note();
    }
}

impl Scope {
    fn new() -> Scope {
        Scope::looking(Look::Acquire)
    }

    fn looking(look: Look) -> Scope {
        let lender = Lender::new();
        let running = Running::new(Waker::from(lender.clone()));
        running.begin();
        running.begin();
        let (giver, taker) = packet();
        Scope {
            lender,
            running,
            look,
            lent: Rc::new([Lent::new(), Lent::new(), Lent::new()]),
            left: RefCell::new(false),
            giver: RefCell::new(Some(giver)),
            taker: RefCell::new(Some(taker)),
            dropped: Rc::new(Seen::new()),
            claimed: Seen::new(),
        }
    }

    /// A child that has no handle.
    fn child(&self, n: usize) {
        self.lent[n].touch();
        self.running.end();
    }

    /// The first child, which has one.
    fn give(&self) {
        self.lent[0].touch();
        let giver = self.giver.take().expect("it ends once");
        let unclaimed = giver.finish(Some(Result {
            lent: self.lent.clone(),
            dropped: self.dropped.clone(),
        }));
        self.claimed.note_if(unclaimed.is_some());
        drop(unclaimed);
        self.running.end();
    }

    /// The handle goes away.
    fn detach(&self) {
        let mut taker = self.taker.take().expect("it is there");
        self.claimed.note_if(taker.leave().is_some());
    }

    /// The parent, at the end of its scope. Whether it did not have to wait.
    fn parent(&self) -> bool {
        let done = || match self.look {
            Look::Acquire => self.running.is_none(),
            Look::Relaxed => self.running.count() == 0,
        };
        let done = self.lender.hold_until(done);
        if done {
            self.leave();
        }
        done
    }

    /// What was lent is the parent's own again.
    fn leave(&self) {
        for lent in &*self.lent {
            lent.touch();
        }
        assert!(!self.left.replace(true));
    }

    /// At the end of a model: the parent goes on if it has not. `touched` is how often what the first
    /// child borrows was used.
    fn settle(&self, touched: usize) {
        if !*self.left.borrow() {
            self.lender.resume();
            assert!(self.parent(), "who is woken goes on");
        }
        assert_eq!(self.lent[0].touched(), touched + 1);
    }
}

#[test]
fn a_parent_waits_for_the_last_child() {
    static AT_ONCE: Seen = Seen::new();
    static ASLEEP: Seen = Seen::new();
    let parent: Role<Scope> = |scope| {
        let done = scope.parent();
        AT_ONCE.note_if(done);
        ASLEEP.note_if(!done);
    };
    let children: [Role<Scope>; 2] = [|scope| scope.child(0), |scope| scope.child(1)];
    check(Scope::new, &[parent, children[0], children[1]], |scope| {
        scope.settle(1);
        assert_eq!(scope.lender.wakes.count(), 1, "the last child wakes it");
    });
    AT_ONCE.expect("the children are done in time");
    ASLEEP.expect("the parent leaves its stack");
}

#[test]
fn a_child_that_spawns_another_keeps_the_parent_waiting() {
    // The second child is that of the first, which counts it before it ends itself.
    let spawned = || {
        let scope = Scope::new();
        scope.running.end();
        scope
    };
    let parent: Role<Scope> = |scope| {
        let _done = scope.parent();
    };
    let child: Role<Scope> = |scope| {
        let scope = std::ptr::from_ref(scope);
        // SAFETY: the world outlives its threads, as this one joins the other.
        let scope = unsafe { &*scope };
        scope.running.begin();
        let grandchild = loom::thread::spawn(move || scope.child(1));
        scope.child(0);
        grandchild.join().unwrap();
    };
    check(spawned, &[parent, child], |scope| scope.settle(1));
}

/// The proof that the scope's models can fail: the parent sees the last child's end, and not what it
/// did before.
#[test]
#[should_panic(expected = "Causality violation")]
fn canary_a_parent_that_looks_too_weakly_meets_a_child() {
    let parent: Role<Scope> = |scope| {
        scope.parent();
    };
    let children: [Role<Scope>; 2] = [|scope| scope.child(0), |scope| scope.child(1)];
    let weak = || Scope::looking(Look::Relaxed);
    check(weak, &[parent, children[0], children[1]], |scope| {
        scope.settle(1);
    });
}

// ---- The result of a child ----

/// A scope whose second child has ended.
fn one_left() -> Scope {
    let scope = Scope::new();
    scope.running.end();
    scope
}

fn expect_one_result(scope: &Scope) {
    scope.settle(2);
    assert_eq!(scope.claimed.count(), 1, "one side gets the result");
    assert_eq!(scope.dropped.count(), 1, "a result is dropped once");
}

#[test]
fn a_handle_that_its_parent_drops_leaves_no_result_behind() {
    static FIRST: Seen = Seen::new();
    static LAST: Seen = Seen::new();
    let parent: Role<Scope> = |scope| {
        let running = scope.taker.borrow().as_ref().unwrap().is_running();
        FIRST.note_if(running);
        LAST.note_if(!running);
        scope.detach();
        scope.parent();
    };
    check(one_left, &[parent, Scope::give], expect_one_result);
    FIRST.expect("the handle goes away first");
    LAST.expect("the child ends first");
}

#[test]
fn a_handle_that_another_child_drops_leaves_no_result_behind() {
    let parent: Role<Scope> = |scope| {
        scope.parent();
    };
    let other: Role<Scope> = |scope| {
        scope.detach();
        scope.child(1);
    };
    check(Scope::new, &[parent, other, Scope::give], expect_one_result);
}

#[test]
fn a_handle_takes_the_result_of_a_child_that_is_done() {
    static TAKEN: Seen = Seen::new();
    let parent: Role<Scope> = |scope| {
        let taken = scope.taker.borrow_mut().as_mut().unwrap().take();
        TAKEN.note_if(taken.is_some());
        scope.claimed.note_if(taken.is_some());
        drop(taken);
        scope.detach();
        scope.parent();
    };
    check(one_left, &[parent, Scope::give], expect_one_result);
    TAKEN.expect("the child is done in time");
}
