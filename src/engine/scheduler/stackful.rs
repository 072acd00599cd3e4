//! Stackful Gs: where they are queued, which M may run them, how they leave their stacks.
//!
//! A stackful G that has not begun is a G like any other, queued and stolen. With its first turn it
//! is *bound* to the M that runs it, which keeps it in a queue of its own from then on (see
//! `bound.rs`): wakes by the M's own thread go there without an atomic operation, others
//! through the M's inbox. Ms take turns between that queue and the ring.
//!
//! - **Only an M that stays begins one.** A thread in `block_on` may leave while the G waits; when
//!   it meets such a G it puts it back and hands its P over to a thread of the pool.
//! - **Bound Gs need no P.** What a P gives a G is a queue for what it spawns, and one of the
//!   `worker_threads` places. If every P is busy elsewhere when a bound G becomes ready, its M runs
//!   it all the same: what it spawns goes to the global queue, and there is one thread more than
//!   Ps until the M finds one idle or has nothing left to do. A spare P, with a ring to flush when
//!   it is retired, would give the same and cost every thief a look.
//! - **Waking a parked M** mirrors parking, as everywhere: the waker puts the G into the inbox,
//!   fences, and looks whether the M is asleep; the M says that it is asleep, fences, and looks into
//!   its inbox.

use super::Shared;
use super::blocking::give_way;
use super::schedule::Spawn;
use crate::engine::bound::Pushed;
use crate::engine::context::stack_pointer;
use crate::engine::current::{self, Role, Turn};
use crate::engine::machine::{Machine, Order};
use crate::engine::primitive::{Arc, AtomicBool, Ordering};
use crate::engine::stack::{Stack, normalise, overflow};
use crate::engine::sys::Parker;
use crate::engine::task::coroutine::{
    self, Admission, Head, Host, Said, Unwind, Work, create_stackful,
};
use crate::engine::task::{Birth, G, RawG, RawJoin, Schedule};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Poll, Wake, Waker};

/// What stacks a runtime has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stacks {
    /// The usual size in bytes.
    pub(crate) size: usize,
    /// The most that there may be at once.
    pub(crate) max: usize,
}

impl Default for Stacks {
    fn default() -> Stacks {
        Stacks {
            // The smallest power of two that is twice what the deepest of the works takes that any
            // task may do. Measured by `tests/stack_depth.rs` on x86-64: without optimisation that is
            // a TLS handshake, with 52 KiB.
            size: 128 * 1024,
            // A guess: far more than there is memory for.
            max: 16 * 1024 * 1024,
        }
    }
}

impl Stacks {
    /// With a size that a stack can have.
    ///
    /// # Errors
    /// If it is more than that.
    pub(crate) fn normalised(self) -> io::Result<Stacks> {
        Ok(Stacks {
            size: normalise(self.size)?,
            ..self
        })
    }
}

/// How a stackful G is to be made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// The size of its stack, if not that of the runtime.
    pub(crate) stack_size: Option<usize>,
    /// Its author vouches that it may go on on any thread.
    pub(crate) migratable: bool,
}

/// A runtime as the home of stackful Gs, which are queued in another way than futures.
#[repr(transparent)]
pub(super) struct Hosted(Shared);

impl Shared {
    /// Makes a stackful G of `f` and queues it. Whoever wants it to be `migratable` has the promise
    /// of its author, see [`Options`].
    ///
    /// # Errors
    /// If there is no stack for it.
    pub(crate) fn go<F, T>(&self, f: F, spawn: Spawn, options: Options) -> io::Result<RawJoin<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: the closure borrows nothing, and what the options promise was promised.
        unsafe { self.go_borrowing(f, spawn, options) }
    }

    /// As `go`, of a closure that may borrow.
    ///
    /// After the shutdown the closure is dropped at once and the G is born cancelled.
    ///
    /// # Errors
    /// If there is no stack for it.
    ///
    /// # Safety
    /// Whatever `F` borrows is alive until the G has ended. If it is to be `migratable`, whatever it
    /// has on its stack when it waits may go on on another thread.
    #[inline(never)] // See `current.rs`.
    pub(crate) unsafe fn go_borrowing<F, T>(
        &self,
        f: F,
        spawn: Spawn,
        options: Options,
    ) -> io::Result<RawJoin<T>>
    where
        F: Work<Output = T> + Send,
        T: Send,
    {
        let stack = self.promised_stack(options.stack_size)?;
        let home = ptr::from_ref(self).cast::<Hosted>();
        let make = |birth: Birth| {
            // SAFETY: the runtime outlives its Gs, see `shutdown.rs`; `F` is Send; the rest is as
            // our caller promised.
            unsafe { create_stackful(f, stack, options.migratable, birth, home) }
        };
        Ok(match self.held_p() {
            Some(pp) => {
                pp.set_hatching(true);
                self.born(pp, spawn, make)
            }
            None => self.born_foreign(spawn, make),
        })
    }

    /// A stack of at least that size; `None`: one of the usual size will be there when it is needed.
    fn promised_stack(&self, size: Option<usize>) -> io::Result<Option<Stack>> {
        let size = size.map(normalise).transpose()?;
        match size {
            Some(size) if size > self.stacks.size() => self.stacks.take_sized(size).map(Some),
            _ => self.stacks.promise(1).map(|()| None),
        }
    }

    /// Wakes `m`, which sleeps or is about to, for its inbox.
    fn rouse(&self, m: &Arc<Machine>) {
        if !self.threads.unlist(m) {
            // It has an order, or is about to end and on no list.
            m.unpark();
            return;
        }
        m.give(match self.idle.claim() {
            Some(pp) => Order::Run {
                pp,
                spinning: false,
            },
            None => Order::Bound,
        });
    }

    /// Puts `gp`, which only an M that stays may begin, back where it came from, and has this
    /// thread hand its P over.
    fn pass_on(&self, gp: RawG) {
        let Some(pp) = self.held_p() else {
            return self.inject(gp);
        };
        // Into runnext, which nobody steals from a P that is in use: it waits for the P's next
        // holder.
        if let Some(other) = pp.runnext.replace(gp) {
            // SAFETY: we hold the P.
            unsafe { pp.ring.push(other, &self.overflow_of(pp)) };
        }
        current::with_running(|context| context.expect("it holds a P").hand_over());
    }
}

impl Schedule for Hosted {
    type Turn = Turn;

    #[inline]
    fn enter(gp: &G) -> Turn {
        current::enter_g(gp)
    }

    unsafe fn schedule(home: *const Hosted, gp: RawG, yielded: bool) {
        // SAFETY: our caller owns it, so it is alive.
        let head = unsafe { Head::of(gp) };
        let machine = head.machine().cast::<Machine>();
        if machine.is_null() {
            // SAFETY: as our caller promised.
            return unsafe { Shared::schedule(home.cast(), gp, yielded) };
        }
        if current::is_machine(machine) {
            // SAFETY: this is its thread; we own the G.
            return unsafe { (*machine).bound.push(gp) };
        }
        // SAFETY: as our caller promised.
        let shared = unsafe { &(*home).0 };
        // As soon as the G is in the inbox it may run and end, and then its M and the runtime may.
        let holds_p = shared.held_p().is_some();
        let _alive = match holds_p {
            true => None,
            false => shared.me.upgrade(),
        };
        // SAFETY: an M keeps itself, in an Arc, for as long as it has Gs.
        let m = unsafe {
            Arc::increment_strong_count(machine);
            Arc::from_raw(machine)
        };
        // SAFETY: we own the G.
        let pushed = unsafe { m.bound.push_remote(NonNull::from(head.node()), holds_p) };
        if pushed == Pushed::Asleep {
            shared.rouse(&m);
        }
    }

    unsafe fn retire(home: *const Hosted, gp: &G) {
        // SAFETY: as our caller promised.
        unsafe { Shared::retire(home.cast(), gp) }
    }
}

impl Host for Hosted {
    unsafe fn admit(home: *const Hosted, gp: RawG, head: &Head) -> Admission {
        // SAFETY: as our caller promised.
        let shared = unsafe { &(*home).0 };
        let m = current::with_running(|context| {
            let context = context.filter(|context| context.home() == shared.home())?;
            context.machine()
        });
        if m.is_none() && !head.is_migratable() {
            shared.pass_on(gp);
            return Admission::Passed;
        }
        if head.wants_stack() {
            let taken = match shared.held_p() {
                // SAFETY: we hold the P.
                Some(pp) => shared
                    .stacks
                    .take(Some(&mut unsafe { pp.own() }.stacks.borrow_mut())),
                None => shared.stacks.take(None),
            };
            match taken {
                Ok(stack) => head.set_stack(stack),
                Err(error) => return Admission::Failed(error),
            }
        }
        if head.is_migratable() {
            // It may be the first of all stackful Gs; else as below.
            let _unreported = report_overflows();
        }
        if let Some(m) = m
            && !head.is_migratable()
        {
            head.bind(m.cast());
            // SAFETY: the M of this thread's context is there for as long as the context.
            let m = unsafe { &*m };
            // SAFETY: this is its thread, and we own the G, whose cell stays where it is.
            if unsafe { m.bound.keep(NonNull::from(head.node())) } {
                shared.begin_hosting();
                // Without it an overflow ends the process all the same.
                let _unreported = report_overflows();
                // SAFETY: this is its thread, which forgets it in `stop_hosting`.
                unsafe { m.bound.take_alternate_stack() };
            }
        }
        Admission::Begins
    }

    #[inline(always)] // Into `turn`, the end of every turn.
    unsafe fn again(home: *const Hosted, gp: RawG, head: &Head) {
        let machine = head.machine().cast::<Machine>();
        if machine.is_null() {
            // SAFETY: as our caller promised.
            return unsafe { Shared::schedule(home.cast(), gp, true) };
        }
        // SAFETY: a bound G has its turns on its M's thread, which keeps the M; we own the G.
        unsafe { (*machine).bound.push(gp) }
    }

    unsafe fn leave(home: *const Hosted, head: &Head) {
        // SAFETY: as our caller promised.
        let shared = unsafe { &(*home).0 };
        let machine = head.machine().cast::<Machine>();
        if !machine.is_null() {
            // SAFETY: a bound G ends on its M, which keeps it.
            unsafe { (*machine).bound.strike(head.node()) };
        }
        let Some(stack) = head.take_stack() else {
            // If it was leaked the promise stays taken, as the place of the stack does.
            if !head.has_begun() {
                shared.stacks.unpromise(1);
            }
            return;
        };
        let promised = stack.is_promised();
        match shared.held_p() {
            // SAFETY: we hold the P.
            Some(pp) => shared
                .stacks
                .give(Some(&mut unsafe { pp.own() }.stacks.borrow_mut()), stack),
            None => shared.stacks.give(None, stack),
        }
        if promised {
            shared.stacks.unpromise(1);
        }
        if shared.stacks.wants_decay() {
            shared.arrange_decay();
        }
    }
}

impl Drop for Shared {
    /// Nobody holds a P any more: what its cache holds goes back, to be unmapped with the pool.
    fn drop(&mut self) {
        for pp in &self.procs {
            // SAFETY: as above.
            self.stacks
                .drain(&mut unsafe { pp.own() }.stacks.borrow_mut());
        }
    }
}

/// What a wait means where it is called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Here {
    /// In a stackful G, which can leave its stack.
    Stackful(Stacked),
    /// In a stackful G which must not leave its stack now, or on a thread that runs no tasks.
    Blocking,
    /// Where a thread is polling: it must not be blocked.
    Stackless,
}

/// The stackful G that is running here: not to be kept across anything that is not its own code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stacked(NonNull<G>);

/// Has the G that runs here let the others run, if it can leave its stack as it is. Whether it did;
/// if not, [`here`] tells what would have to be done.
#[inline]
pub(crate) fn yield_at_once() -> bool {
    match here_at_once() {
        Some(stacked) => {
            // SAFETY: it is the current G, on its stack, with nothing to put aside.
            let order = unsafe { coroutine::pause(stacked.0.as_ref(), Said::Yields) };
            if order == coroutine::Order::Unwind {
                unwind();
            }
            true
        }
        None => false,
    }
}

/// What a wait would mean here.
#[inline]
pub(crate) fn here() -> Here {
    match here_at_once() {
        Some(stacked) => Here::Stackful(stacked),
        None => here_in_full(),
    }
}

/// The G that runs here, if it can leave its stack as it is.
#[inline]
fn here_at_once() -> Option<Stacked> {
    // SAFETY: the current G is alive while it runs.
    let gp = unsafe { current::unencumbered().as_ref() }?;
    // seam: what std's panics do is not modelled.
    (gp.is_stackful() && !std::thread::panicking()).then(|| Stacked(NonNull::from(gp)))
}

fn here_in_full() -> Here {
    let (gp, role, kept) = current::whereabouts();
    // SAFETY: the current G is alive while it runs.
    if let Some(gp) = gp.filter(|gp| unsafe { gp.as_ref() }.is_stackful()) {
        // The count of panics is the thread's: another G on it would take ours for its own.
        // seam: what std's panics do is not modelled.
        if std::thread::panicking() || kept {
            return Here::Blocking;
        }
        // SAFETY: it is stackful.
        let head = unsafe { Head::of(gp.cast()) };
        // What is put aside belongs to the thread that it would leave.
        if head.is_migratable() && head.machine().is_null() && current::has_aside() {
            return Here::Blocking;
        }
        return Here::Stackful(Stacked(gp));
    }
    match role {
        Role::Running => Here::Stackless,
        Role::Plain | Role::Blocking => Here::Blocking,
    }
}

/// The stackful G that runs here, whether or not it may leave its stack now.
pub(crate) fn stacked() -> Option<Stacked> {
    let (gp, ..) = current::whereabouts();
    // SAFETY: the current G is alive while it runs.
    gp.filter(|gp| unsafe { gp.as_ref() }.is_stackful())
        .map(Stacked)
}

impl Stacked {
    /// Waits for `future`.
    #[inline]
    pub(crate) fn wait<F: Future>(self, mut future: Pin<&mut F>) -> F::Output {
        loop {
            // SAFETY: it is the current G.
            let poll = unsafe {
                coroutine::with_waker(self.0.as_ref(), |waker| {
                    future
                        .as_mut()
                        .poll(&mut std::task::Context::from_waker(waker))
                })
            };
            if let Poll::Ready(output) = poll {
                return output;
            }
            self.pause(Said::Waits);
        }
    }

    /// Lets the others run.
    pub(crate) fn yield_now(self) {
        self.pause(Said::Yields);
    }

    /// Waits until `done`, whatever happens to the G meanwhile; `aborted` is called if it is told to
    /// unwind. Whoever makes it `done` wakes the G.
    pub(crate) fn hold_until(self, done: impl Fn() -> bool, mut aborted: impl FnMut()) {
        while !done() {
            if self.leave(Said::Holds) == coroutine::Order::Unwind {
                aborted();
            }
        }
    }

    /// A waker of the G.
    pub(crate) fn waker(self) -> Waker {
        // SAFETY: it is the current G.
        unsafe { coroutine::with_waker(self.0.as_ref(), Waker::clone) }
    }

    /// How many bytes of its stack are free below the caller.
    #[inline]
    pub(crate) fn remaining(self) -> Option<usize> {
        // SAFETY: the current G is stackful, and alive.
        let limit = unsafe { Head::of(self.0.cast()) }.limit()?;
        stack_pointer().checked_sub(limit)
    }

    /// Leaves the stack until the next turn, and unwinds if the G was aborted.
    #[inline]
    fn pause(self, said: Said) {
        if self.leave(said) == coroutine::Order::Unwind {
            unwind();
        }
    }

    #[inline]
    fn leave(self, said: Said) -> coroutine::Order {
        if current::has_aside() {
            return self.leave_with_aside(said);
        }
        // SAFETY: it is the current G; this is its stack, or we were not told the truth by `here`;
        // and there is nothing to put aside.
        unsafe { coroutine::pause(self.0.as_ref(), said) }
    }

    #[cold]
    fn leave_with_aside(self, said: Said) -> coroutine::Order {
        // SAFETY: as in `leave`.
        let gp = unsafe { self.0.as_ref() };
        let aside = current::put_aside();
        // SAFETY: as above.
        let order = unsafe { coroutine::pause(gp, said) };
        // A G with something to put aside is not one that moves, see `here`.
        current::take_up(aside);
        order
    }
}

/// Unwinds the stack of a G that was aborted. Nothing is printed.
#[cold]
pub(crate) fn unwind() -> ! {
    std::panic::resume_unwind(Box::new(Unwind))
}

/// Waits for `future` by blocking the thread. If it holds a P, others get that.
pub(crate) fn block_thread<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    struct Unparks(Parker);
    impl Wake for Unparks {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let parker = Arc::new(Unparks(Parker::new()));
    let waker = Waker::from(parker.clone());
    let mut cx = std::task::Context::from_waker(&waker);
    if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
        return output;
    }
    give_way(|| {
        loop {
            parker.0.park();
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
        }
    })
}

/// Has overflows of stacks reported, from now on.
///
/// # Errors
/// If the operating system refuses.
fn report_overflows() -> io::Result<()> {
    static REPORTED: AtomicBool = AtomicBool::new(false);
    // Ordering: Relaxed, a thread that does not see it yet installs once more, which does nothing.
    if REPORTED.load(Ordering::Relaxed) {
        return Ok(());
    }
    overflow::install(|owner, out| {
        let Some(gp) = RawG::new(owner.cast_mut()) else {
            return;
        };
        // SAFETY: the owner of a stack in use is the G that runs on it, and was just stopped.
        let gp = unsafe { gp.cast::<G>().as_ref() };
        // There is nobody to tell if this fails.
        let _written = describe(gp, out);
    })?;
    REPORTED.store(true, Ordering::Relaxed);
    Ok(())
}

fn describe(gp: &G, out: &mut dyn fmt::Write) -> fmt::Result {
    write!(out, "G {}", gp.id().get())?;
    if let Some(name) = gp.extras().and_then(|extras| extras.name.as_deref()) {
        write!(out, " \"{name}\"")?;
    }
    writeln!(out, ", spawned at {}", gp.gopc())
}
