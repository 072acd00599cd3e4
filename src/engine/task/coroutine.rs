//! The body of a stackful G: a closure on a stack of its own.
//!
//! ```text
//!  cell:  │ G │ Head: M, stack, where it stands │ closure, until the first turn │
//!  stack: │ top ─ entry ─ the closure's frames ─ wait ─ pause │ free ... │ guard │
//! ```
//!
//! A turn switches to the stack and comes back when the closure waits, yields or ends. What it said
//! when it came back is [`Said`]; what it is told when it goes on is [`Order`]. Everything else about
//! such a G, its state word, its wakers and its handles, is the same as for a future.
//!
//! An abort of a G that has begun is a turn with the order to unwind: the closure's destructors run
//! on its stack. While they do, and if the closure catches the panic and waits again, it is told
//! so again each time. Only in a wait that must not be cut short, for others who borrow from the
//! stack, it goes on waiting.
//!
//! Compiled with `panic = "abort"`, nothing can unwind: such a G has no turn any more. It ends as it
//! is, and its stack is leaked. Nothing may follow from its end but that it does not run: others may
//! borrow from its stack, and through that what it borrows itself.

use super::body::end;
use super::cell::{Cell as GCell, Vtable, header};
use super::state::{Begun, Waiting};
use super::{Birth, Fault, G, RawJoin, Schedule, Status};
use crate::engine::context::{self, Link, Suspended};
use crate::engine::stack::Stack;
use crate::engine::util::RawG;
use crate::engine::util::inbox::Node;
use crate::engine::util::panics::{Payload, caught};
use crate::engine::util::prefetch;
use std::cell::Cell;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll, Waker};

/// Why a stack was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It waits for its waker.
    Waits,
    /// It waits for its waker, and an abort must not cut that short.
    Holds,
    /// It wants to go on after the others.
    Yields,
}

/// What a stack is told when it goes on.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Look whether what you wait for is there.
    GoOn,
    /// Unwind.
    Unwind,
}

// Both as they travel between the stacks.
const WAITS: usize = 0;
const HOLDS: usize = 1;
const YIELDS: usize = 2;
const GO_ON: usize = 0;
const UNWIND: usize = 1;

/// The payload with which an aborted G unwinds. No message is printed for it.
#[derive(Debug)]
pub(crate) struct Unwind;

/// What is known of a stackful G besides its header. Whoever owns the G alone touches it; what a
/// waker reads it reads as the owner that it has just become.
pub(crate) struct Head {
    /// For the M that keeps it.
    node: Node,
    /// The M, as the layer above knows it; null until the first turn, and for those that may move.
    machine: Cell<*const ()>,
    /// Where it stands, between its turns.
    at: Cell<Option<Suspended>>,
    stack: Cell<Option<Stack>>,
    /// The top of the stack, for as long as there is one.
    top: Cell<*mut u8>,
    /// Its author vouches that it may go on on any thread.
    migratable: bool,
}

impl Head {
    /// Of a G that has not begun, and perhaps has a stack already.
    fn new(stack: Option<Stack>, migratable: bool) -> Head {
        Head {
            // Set as soon as the cell has its place.
            node: Node::new(NonNull::dangling()),
            machine: Cell::new(ptr::null()),
            at: Cell::new(None),
            stack: Cell::new(stack),
            top: Cell::new(ptr::null_mut()),
            migratable,
        }
    }

    /// For the M that keeps it.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// The M that it belongs to, or null.
    #[inline]
    pub(crate) fn machine(&self) -> *const () {
        self.machine.get()
    }

    /// Notes which M it belongs to from now on.
    pub(crate) fn bind(&self, machine: *const ()) {
        self.machine.set(machine);
    }

    /// Whether it may go on on any thread.
    pub(crate) fn is_migratable(&self) -> bool {
        self.migratable
    }

    /// Whether its stack has to be found yet.
    pub(crate) fn wants_stack(&self) -> bool {
        let stack = self.stack.take();
        let wants = stack.is_none();
        self.stack.set(stack);
        wants
    }

    /// Gives it a stack.
    pub(crate) fn set_stack(&self, stack: Stack) {
        self.stack.set(Some(stack));
    }

    /// Takes the stack of a G that has ended, or never began.
    pub(crate) fn take_stack(&self) -> Option<Stack> {
        self.stack.take()
    }

    /// Begins to load what is touched first when it goes on: where it stands, and its link.
    #[inline]
    pub(crate) fn prefetch_stack(&self) {
        if let Some(at) = self.at.get() {
            prefetch(at.as_ptr(), 4);
            prefetch(self.top.get().wrapping_sub(16), 1);
        }
    }

    /// Whether it has had a turn on its stack.
    pub(crate) fn has_begun(&self) -> bool {
        !self.top.get().is_null()
    }

    /// The head of a G.
    ///
    /// # Safety
    /// `gp` is alive for as long as the reference is used, and stackful.
    #[inline]
    pub(crate) unsafe fn of<'a>(gp: RawG) -> &'a Head {
        // SAFETY: as our caller promised; the stage of a stackful G begins with its head.
        unsafe { super::cell::stage::<Head>(gp).as_ref() }
    }

    /// The lowest address that its stack has, if it has one.
    pub(crate) fn limit(&self) -> Option<usize> {
        let stack = self.stack.take();
        let limit = stack.as_ref().map(|stack| stack.limit().addr().get());
        self.stack.set(stack);
        limit
    }

    #[inline]
    fn link(&self) -> Link {
        context::link_of(NonNull::new(self.top.get()).expect("a G that runs has a stack"))
    }
}

/// Whether `gp` is stackful and has begun.
///
/// # Safety
/// It is alive, and nobody runs it meanwhile.
pub(crate) unsafe fn has_begun(gp: RawG) -> bool {
    // SAFETY: as our caller promised; the head is only looked at if there is one.
    unsafe { header(gp).is_stackful() && Head::of(gp).has_begun() }
}

/// What a stackful G does: a closure mostly.
pub(crate) trait Work {
    /// What comes of it.
    type Output;

    /// Does it, on the stack of the G.
    fn run(self) -> Self::Output;

    /// Is called instead if there is no stack for it.
    fn refuse(self, error: &std::io::Error);
}

impl<F: FnOnce() -> T, T> Work for F {
    type Output = T;

    #[inline]
    fn run(self) -> T {
        self()
    }

    fn refuse(self, _: &std::io::Error) {}
}

/// A closure, and what it takes to run it.
#[repr(C)]
pub(crate) struct Coroutine<F> {
    head: Head,
    /// There until the first turn.
    closure: ManuallyDrop<F>,
}

/// Only so that the cell knows the output: a turn does not go through `poll`.
impl<F: Work> Future for Coroutine<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<F::Output> {
        unreachable!("a stackful G has turns of its own")
    }
}

/// What became of a G that wants its first turn.
#[must_use]
#[derive(Debug)]
pub(crate) enum Admission {
    /// It begins on this thread. Its head has a stack and, unless it may move, its M.
    Begins,
    /// It was passed on, and is no longer the caller's.
    Passed,
    /// There is no stack for it.
    Failed(std::io::Error),
}

/// What the layer above does for stackful Gs.
pub(crate) trait Host: Schedule {
    /// Whether `gp`, which the caller owns and which has not begun, may begin on this thread.
    ///
    /// # Safety
    /// As for [`Schedule::schedule`].
    unsafe fn admit(home: *const Self, gp: RawG, head: &Head) -> Admission;

    /// Queues `gp`, whose turn has just ended here, for another one.
    ///
    /// # Safety
    /// As for [`Schedule::schedule`].
    unsafe fn again(home: *const Self, gp: RawG, head: &Head);

    /// Takes back what `gp` had, which has ended.
    ///
    /// # Safety
    /// As for [`Schedule::schedule`]; and once for each G, on the M that it is bound to, if any.
    unsafe fn leave(home: *const Self, head: &Head);
}

/// Makes a G that will run `closure` on a stack of its own; on `stack`, if there is one.
///
/// # Safety
/// - As for [`create`](super::create), whatever `F` borrows is alive until the G has ended.
/// - `F` is `Send`; if `migratable`, so is whatever is on its stack when it waits.
#[inline]
pub(crate) unsafe fn create_stackful<F, T, S>(
    closure: F,
    stack: Option<Stack>,
    migratable: bool,
    birth: Birth,
    home: *const S,
) -> (RawG, RawJoin<T>)
where
    F: Work<Output = T>,
    S: Host,
{
    let body = Coroutine {
        head: Head::new(stack, migratable),
        closure: ManuallyDrop::new(closure),
    };
    let gp = GCell::<Coroutine<F>, S>::allocate(birth, home, &Of::<F, S>::VTABLE, body);
    // SAFETY: we just made it.
    unsafe { Head::of(gp) }.node.set_gp(gp);
    // SAFETY: the word of a new G counts a handle, which is this.
    (gp, unsafe { RawJoin::new(gp) })
}

/// What the header says of a stackful G's types.
struct Of<F, S>(std::marker::PhantomData<fn() -> (F, S)>);

impl<F: Work<Output = T>, T, S: Host> Of<F, S> {
    const VTABLE: Vtable = GCell::<Coroutine<F>, S>::vtable(run::<F, T, S>, true);
}

/// Gives the G one turn.
///
/// # Safety
/// The caller owns `gp`, which `create_stackful` made of an `F` for an `S`, and gives the ownership
/// up.
unsafe fn run<F: Work<Output = T>, T, S: Host>(gp: RawG) {
    // SAFETY: a G that somebody owns has not ended and is alive.
    let g = unsafe { header(gp) };
    // SAFETY: it was made of these types, and is alive.
    let head = unsafe { &(*GCell::<Coroutine<F>, S>::future(gp)).head };
    let aborts = g.state().begin() == Begun::Abort;
    if head.has_begun() {
        if aborts && cfg!(panic = "abort") {
            // SAFETY: as below.
            return unsafe { abandon::<T, S>(gp, head) };
        }
        let order = if aborts { UNWIND } else { GO_ON };
        // SAFETY: it has begun; the rest is as our caller promised.
        return unsafe { turn::<T, S>(gp, head, aborts, order) };
    }
    // SAFETY: it has not begun; the rest is as our caller promised.
    unsafe { first_turn::<F, T, S>(gp, head, aborts) }
}

/// Gives a G its first turn, or ends it without one.
///
/// # Safety
/// As for `run`; it has not begun, and `head` is its head.
#[inline(never)] // So that `run`, for the other turns, saves few registers.
unsafe fn first_turn<F: Work<Output = T>, T, S: Host>(gp: RawG, head: &Head, aborts: bool) {
    // SAFETY: as our caller promised.
    let g = unsafe { header(gp) };
    let no_stack = if aborts {
        None
    } else {
        // SAFETY: we own the G, whose home is an `S`.
        match unsafe { S::admit(g.home().cast(), gp, head) } {
            Admission::Passed => return,
            Admission::Failed(error) => Some(error),
            Admission::Begins => {
                let stack = head.stack.take().expect("who is admitted has a stack");
                let (limit, top) = (stack.limit(), stack.top());
                stack.set_owner(gp.as_ptr());
                head.stack.set(Some(stack));
                head.top.set(top.as_ptr());
                // SAFETY: the stack is the G's alone from now on; its size is at least the least.
                head.at
                    .set(Some(unsafe { context::prepare(limit, top, entry::<F, T>) }));
                let body = GCell::<Coroutine<F>, S>::future;
                // SAFETY: `gp` was made by `create_stackful` of these types.
                let body = unsafe { body(gp) };
                // SAFETY: the closure is there until this turn, and is taken by `entry`.
                return unsafe { turn::<T, S>(gp, head, false, body.expose_provenance()) };
            }
        }
    };
    let turn = S::enter(g);
    // SAFETY: the closure is there, as no turn has taken it.
    let body = unsafe { GCell::<Coroutine<F>, S>::future(gp) };
    // What panics while it is dropped counts as dropped.
    let dropped = caught(|| match &no_stack {
        // SAFETY: as above.
        None => unsafe { ManuallyDrop::drop(&mut (*body).closure) },
        // SAFETY: as above.
        Some(error) => unsafe { ManuallyDrop::take(&mut (*body).closure) }.refuse(error),
    });
    let fault = match (dropped, no_stack) {
        (Err(payload), _) => Fault::panic(payload),
        (Ok(()), Some(error)) => Fault::panic(Box::new(error.to_string())),
        (Ok(()), None) => Fault::cancelled(),
    };
    // SAFETY: we own the G, whose closure is gone.
    unsafe { depart::<S>(g, head) };
    drop(turn);
    // SAFETY: we own the G.
    unsafe { end::<T>(gp, Err(fault)) }
}

/// Runs the G on its stack until it is back.
///
/// # Safety
/// As for `run`; it has begun, `head` is its head, and `value` is what it expects.
#[inline]
unsafe fn turn<T, S: Host>(gp: RawG, head: &Head, aborts: bool, value: usize) {
    // SAFETY: as our caller promised.
    let g = unsafe { header(gp) };
    let at = head.at.take().expect("it does not run");
    let top = NonNull::new(head.top.get()).expect("it has begun");
    let entered = S::enter(g);
    g.set_status(Status::Running);
    // SAFETY: `at` is where it was left the last time. A G that is bound is run by its M alone, and
    // for the others their author vouches.
    let (said, at) = unsafe { context::resume(at, top, value) };
    let Some(at) = at else {
        let result = std::ptr::with_exposed_provenance::<Result<T, Payload>>(said);
        // SAFETY: `entry` passes a pointer to its result, which is ours; its stack is there until
        // `depart`.
        let result = unsafe { result.read() };
        // SAFETY: it has finished, and its result was all that was left.
        unsafe { context::release(top) };
        // SAFETY: we own the G, whose closure is gone.
        unsafe { depart::<S>(g, head) };
        drop(entered);
        let result = result.map_err(|payload| match payload.downcast::<Unwind>() {
            Ok(_) => Fault::cancelled(),
            Err(payload) => Fault::panic(payload),
        });
        // SAFETY: we own the G.
        return unsafe { end(gp, result) };
    };
    head.at.set(Some(at));
    drop(entered);
    let waits = match said {
        YIELDS => false,
        // It may have caught its abort: then it meets it again, but only after the others.
        WAITS => !aborts,
        _ => true,
    };
    if waits {
        g.set_status(Status::Waiting);
        match g.state().wait() {
            Waiting::Idle => return,
            Waiting::Woken => {}
        }
    }
    g.set_status(Status::Runnable);
    // SAFETY: it is still ours, and its home is an `S`, valid as it has not ended.
    unsafe { S::again(g.home().cast(), gp, head) }
}

/// Ends a G that has begun where nothing can unwind: its stack is left as it is, for ever.
///
/// # Safety
/// As for `run`; it has begun, and `head` is its head.
#[cold]
unsafe fn abandon<T, S: Host>(gp: RawG, head: &Head) {
    // SAFETY: as our caller promised.
    let g = unsafe { header(gp) };
    // Leaked, as it is not given back, with all that is on it: others may borrow from it.
    let stack = head.take_stack().expect("it has begun");
    // A report of an overflow must not look for the G, which may be freed.
    stack.set_owner(ptr::null());
    // SAFETY: we own the G, whose closure is as good as gone: nobody will touch it.
    unsafe {
        depart::<S>(g, head);
        end::<T>(gp, Err(Fault::cancelled()));
    }
}

/// Does what is due when a G is dead, all but its result.
///
/// # Safety
/// The caller owns `g`, whose home is an `S`, and whose closure is gone; once.
unsafe fn depart<S: Host>(g: &G, head: &Head) {
    g.set_status(Status::Dead);
    // SAFETY: as our caller promised.
    unsafe {
        S::leave(g.home().cast(), head);
        S::retire(g.home().cast(), g);
    }
}

/// The bottom of the stack.
unsafe extern "C" fn entry<F: Work<Output = T>, T>(value: usize, link: Link) -> ! {
    let body = std::ptr::with_exposed_provenance_mut::<Coroutine<F>>(value);
    // SAFETY: `run` passes the body, whose closure is there and is taken by this.
    let closure = unsafe { ManuallyDrop::take(&mut (*body).closure) };
    let result = ManuallyDrop::new(caught(|| closure.run()));
    // SAFETY: this is the bottom, so the link is ours; nothing is left but the result, which `turn`
    // takes.
    unsafe { context::finish(link, (&raw const result).expose_provenance()) }
}

/// Leaves the stack of `g` until its next turn.
///
/// # Safety
/// `g` is the current G, stackful, and this is its stack. Whatever the thread keeps for it outside
/// of the stack has been put aside.
#[inline(always)]
pub(crate) unsafe fn pause(g: &G, said: Said) -> Order {
    let gp = NonNull::from(g).cast();
    // SAFETY: it is alive while it runs, and stackful.
    let link = unsafe { Head::of(gp) }.link();
    let said = match said {
        Said::Waits => WAITS,
        Said::Holds => HOLDS,
        Said::Yields => YIELDS,
    };
    // SAFETY: this is its stack.
    match unsafe { context::suspend(link, said) } {
        UNWIND => Order::Unwind,
        _ => Order::GoOn,
    }
}

/// Calls `f` with a waker of `g` that is only lent.
///
/// # Safety
/// `g` is the current G.
#[inline]
pub(crate) unsafe fn with_waker<R>(g: &G, f: impl FnOnce(&Waker) -> R) -> R {
    // SAFETY: it lives on the life reference, which is there while the G runs, and is never dropped.
    let waker = unsafe { Waker::new(ptr::from_ref(g).cast(), g.vtable().waker) };
    f(&ManuallyDrop::new(waker))
}
