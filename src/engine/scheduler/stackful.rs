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

mod held;
mod here;

pub(crate) use held::{Held, held, unwind_if_aborted};
pub(crate) use here::{Here, Stacked, here, stacked, unwind, yield_at_once};

use super::Shared;
use super::schedule::{Spawn, birth_on};
use crate::engine::bound::Pushed;
use crate::engine::current::{self, Turn};
use crate::engine::machine::{Machine, Order};
use crate::engine::primitive::{Arc, AtomicBool, Ordering};
use crate::engine::stack::{Stack, normalise, overflow};
use crate::engine::task::coroutine::{Admission, Head, Host, Work, create_stackful};
use crate::engine::task::{Birth, G, RawG, RawJoin, Schedule};
use std::fmt;
use std::io;
use std::ptr::{self, NonNull};

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
                let (gp, join) = make(birth_on(pp, spawn));
                self.queue_born(pp, gp, &join);
                join
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
