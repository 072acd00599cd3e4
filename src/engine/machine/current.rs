//! The one thread-local: what this thread is doing, and for which runtime.
//!
//! Two things are kept, with different lifetimes:
//!
//! - **Contexts** say which runtime a spawn goes to and which P is held. They form a stack, one
//!   for each `block_on`, pool thread or `enter`, newest on top. Guards of `enter` may be dropped
//!   in any order or leaked, so a context holds nothing that could dangle when it lingers.
//! - **The turn** (current G, budget, role) follows the call stack exactly: it is set and put back
//!   by values that live in one function. It is kept beside the contexts, not in them, because a
//!   lingering context would keep a pointer to a dead G.
//!
//! What may be called from the middle of the user's code is not inlined: the compiler may keep the
//! address of a thread-local for the length of a function, and if the function is the user's, with a
//! wait in it, a migratable G may go on from there on another thread. What only Ms and wakers call is.
//!
//! Everything that can be an argument is one; this is for calls that come back through the user's
//! code: spawns, wakes, `task::id`, leaf futures.

#[cfg(stackful)]
mod aside;
#[cfg(stackful)]
mod lodgers;
#[cfg_attr(not(feature = "time"), allow(dead_code))] // Nobody sets a timer then.
mod young;

#[cfg(stackful)]
pub(crate) use aside::{has_aside, is_machine, put_aside, take_up, unencumbered, whereabouts};
#[cfg(stackful)]
pub(crate) use lodgers::{Lodger, lodge};
pub(crate) use young::{cancel_young, set_young, settle_young};

use super::Machine;
use crate::engine::primitive::{Arc, AtomicUsize, Ordering};
use crate::engine::processor::Processor;
use crate::engine::task::{G, Id};
use std::any::Any;
use std::cell::Cell;

use std::ptr::{self, NonNull};

/// How many operations a poll may make before leaf futures tell it to yield.
pub(crate) const BUDGET: u8 = 128;

/// What blocking this thread would mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing: no runtime depends on it.
    Plain,
    /// It runs Gs or the root future of a `block_on`: blocking it is a mistake.
    Running,
    /// It wakes those who waited, in the midst of what an M does with its P: to block it is a mistake,
    /// and it cannot give the P away.
    Waking,
    /// It runs a closure that may block.
    Blocking,
}

#[derive(Debug)]
struct Thread {
    /// The top of the stack: where spawns go.
    context: Cell<*const Context>,
    /// The topmost context of a function that runs futures, which may hold a P; or null. Guards
    /// of `enter` above it do not hide it.
    running: Cell<*const Context>,
    /// The G whose future is being polled or dropped, or null.
    curg: Cell<*const G>,
    role: Cell<Role>,
    budget: Cell<Option<u8>>,
    /// The current `LocalSet`, or null: the only owner of its box.
    local: Cell<*mut Set>,
    /// The P that may have young timers, and is held by this thread; or null: there are none.
    young: Cell<*const Processor>,
    /// Its number, or 0 if it has none yet.
    number: Cell<usize>,
    /// The values of the current G that thread-locals hold.
    #[cfg(stackful)]
    lodgings: Cell<*const lodgers::Lodging>,
}

/// A `LocalSet`, of a type that lives above this layer.
type Set = Arc<dyn Any + Send + Sync>;

thread_local! {
    // Const and without a destructor: an access is one instruction.
    static THREAD: Thread = const {
        Thread {
            context: Cell::new(ptr::null()),
            running: Cell::new(ptr::null()),
            curg: Cell::new(ptr::null()),
            role: Cell::new(Role::Plain),
            budget: Cell::new(None),
            local: Cell::new(ptr::null_mut()),
            young: Cell::new(ptr::null()),
            number: Cell::new(0),
            #[cfg(stackful)]
            lodgings: Cell::new(ptr::null()),
        }
    };
}

/// What a thread is to a runtime.
#[derive(Debug)]
pub(crate) struct Context {
    /// The runtime, as its kind of home knows it.
    home: *const (),
    /// The P it holds, or null.
    pp: Cell<*const Processor>,
    /// It gave its P away in the middle of a poll, which goes on.
    stray: Cell<bool>,
    /// It is in a poll that it began without a P.
    without_p: Cell<bool>,
    /// The M, if it is a thread of the runtime's pool, which stays; or null.
    machine: *const Machine,
    /// It met a G that only a thread which stays may run, and has to give its P to one.
    hands_over: Cell<bool>,
    below: Cell<*const Context>,
}

impl Context {
    /// A context that is not on the stack yet, of a thread without a P.
    pub(crate) fn new(home: *const ()) -> Context {
        Context {
            home,
            pp: Cell::new(ptr::null()),
            stray: Cell::new(false),
            without_p: Cell::new(false),
            machine: ptr::null(),
            hands_over: Cell::new(false),
            below: Cell::new(ptr::null()),
        }
    }

    /// As `new`, of a thread of the runtime's own, which keeps `m` for as long as this.
    pub(crate) fn of_pool(home: *const (), m: &Arc<Machine>) -> Context {
        Context {
            machine: Arc::as_ptr(m),
            ..Context::new(home)
        }
    }

    /// The runtime.
    #[inline]
    pub(crate) fn home(&self) -> *const () {
        self.home
    }

    /// The P held by this thread.
    #[inline]
    pub(crate) fn pp(&self) -> Option<&Processor> {
        // SAFETY: set by the thread that holds the P, to a P of `home`, which outlives the
        // contexts that name it; cleared when the thread gives the P up.
        unsafe { self.pp.get().as_ref() }
    }

    /// Notes which P this thread holds. If it held one before it is about to give that up.
    #[inline]
    pub(crate) fn set_pp(&self, pp: Option<&Processor>) {
        settle_young();
        self.pp.set(pp.map_or(ptr::null(), ptr::from_ref));
    }
}

impl Context {
    /// Whether it has to give its P to a thread that stays; the answer is no from now on.
    pub(crate) fn take_hands_over(&self) -> bool {
        self.hands_over.replace(false)
    }

    /// Whether it gave its P away in the middle of a poll, which goes on.
    pub(crate) fn is_stray(&self) -> bool {
        self.stray.get()
    }

    /// Notes whether it gave its P away in the middle of a poll.
    pub(crate) fn set_stray(&self, stray: bool) {
        self.stray.set(stray);
    }

    /// Notes whether it is in a poll that it began without a P.
    pub(crate) fn set_without_p(&self, without_p: bool) {
        self.without_p.set(without_p);
    }
}

/// Whether this thread is one of the pool of the runtime `home`.
#[inline(never)]
pub(crate) fn is_pool_thread_of(home: *const ()) -> bool {
    any_context(|c| !c.machine.is_null() && c.home == home)
}

fn any_context(matches: impl Fn(&Context) -> bool) -> bool {
    let mut context = THREAD.with(|t| t.context.get());
    // SAFETY: the contexts from the top down are alive: a boxed one that is not on top is leaked
    // rather than freed, and one of a function takes all above it off when it goes.
    while let Some(c) = unsafe { context.as_ref() } {
        if matches(c) {
            return true;
        }
        context = c.below.get();
    }
    false
}

/// Calls `f` with the context on top of this thread's stack. `f` must not run the user's code,
/// which could take the context off.
#[inline(never)]
pub(crate) fn with<R>(f: impl FnOnce(Option<&Context>) -> R) -> R {
    // SAFETY: a context on the stack is alive: whoever frees it takes it off first, and nobody
    // does that during the call.
    f(unsafe { THREAD.with(|t| t.context.get()).as_ref() })
}

impl std::fmt::Debug for EnteredBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnteredBox").finish_non_exhaustive()
    }
}

/// Calls `f` with the context of the function that runs futures on this thread, whatever was
/// entered since. `f` must not run the user's code.
#[inline]
pub(crate) fn with_running<R>(f: impl FnOnce(Option<&Context>) -> R) -> R {
    // SAFETY: `Entered` puts back what was there before when the function ends.
    f(unsafe { THREAD.with(|t| t.running.get()).as_ref() })
}

/// The runtime to which spawns go and the P that is held, if the P is one of that runtime.
#[inline(never)]
pub(crate) fn spawn_target() -> Option<(*const (), NonNull<Processor>)> {
    THREAD.with(|t| {
        let context = t.context.get();
        if context != t.running.get() {
            return None;
        }
        // SAFETY: as in `with`.
        let context = unsafe { context.as_ref() }?;
        let pp = NonNull::new(context.pp.get().cast_mut())?;
        Some((context.home, pp))
    })
}

/// Whether a function further down on this thread's stack is in the middle of a poll for the
/// runtime `home`: with a P, after having given it away, or without one.
#[inline(never)]
pub(crate) fn is_within_poll_of(home: *const ()) -> bool {
    any_context(|c| {
        let polls = c.stray.get() || c.without_p.get() || !c.pp.get().is_null();
        c.home == home && polls
    })
}

/// Keeps a context on the stack for the length of a function that runs futures or closures.
pub(crate) struct Entered<'a> {
    context: &'a Context,
    running: *const Context,
    curg: *const G,
    role: Role,
    budget: Option<u8>,
    #[cfg(stackful)]
    lodgings: *const lodgers::Lodging,
}

impl<'a> Entered<'a> {
    /// Puts `context` on top of the stack, and begins afresh with no current G.
    ///
    /// The value must be dropped where it was made, as a local variable.
    pub(crate) fn new(context: &'a Context, role: Role) -> Entered<'a> {
        THREAD.with(|t| {
            context.below.set(t.context.replace(context));
            Entered {
                context,
                running: t.running.replace(context),
                curg: t.curg.replace(ptr::null()),
                role: t.role.replace(role),
                budget: t.budget.replace(None),
                #[cfg(stackful)]
                lodgings: t.lodgings.replace(ptr::null()),
            }
        })
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        THREAD.with(|t| {
            // Whatever is above was left there by a guard that was leaked or moved out; it goes.
            t.context.set(self.context.below.get());
            t.running.set(self.running);
            t.curg.set(self.curg);
            t.role.set(self.role);
            t.budget.set(self.budget);
            #[cfg(stackful)]
            t.lodgings.set(self.lodgings);
        });
    }
}

/// What a context on the heap consists of.
#[repr(C)]
struct Kept {
    /// First, so that a pointer to it is one to the whole.
    context: Context,
    /// Keeps the runtime alive, also if the guard is leaked.
    _home: Arc<dyn Any + Send + Sync>,
}

/// A context on the heap, kept on the stack by a guard that the user holds.
pub(crate) struct EnteredBox {
    /// A pointer, which also keeps the guard on this thread.
    context: *const Kept,
}

impl EnteredBox {
    /// Puts a context for `home` on top of the stack.
    #[inline(never)]
    pub(crate) fn new<T: Any + Send + Sync>(home: Arc<T>) -> EnteredBox {
        let context = Context::new(Arc::as_ptr(&home).cast());
        context.below.set(THREAD.with(|t| t.context.get()));
        let kept = Kept {
            context,
            _home: home,
        };
        let context = Box::into_raw(Box::new(kept)).cast_const();
        THREAD.with(|t| t.context.set(context.cast()));
        EnteredBox { context }
    }

    /// Takes the context off. `false`: it is not on top, so it is leaked where it is.
    #[must_use]
    #[inline(never)]
    pub(crate) fn leave(self) -> bool {
        THREAD.with(|t| {
            if t.context.get() != self.context.cast() {
                return false;
            }
            // SAFETY: made by `Box::into_raw` in `new`; `leave` consumes the only guard. It is on
            // top, so no context above points to it, and it goes off the stack right here.
            let kept = unsafe { Box::from_raw(self.context.cast_mut()) };
            t.context.set(kept.context.below.get());
            true
        })
    }
}

/// Holds the current G; puts back the one before when dropped. A local variable of the function
/// that polls or drops the G's future.
#[derive(Debug)]
pub(crate) struct Turn {
    before: *const G,
}

/// Makes `gp` the current G.
#[inline]
pub(crate) fn enter_g(gp: &G) -> Turn {
    Turn {
        before: THREAD.with(|t| t.curg.replace(gp)),
    }
}

impl Drop for Turn {
    #[inline]
    fn drop(&mut self) {
        let young = THREAD.with(|t| {
            t.curg.set(self.before);
            !t.young.get().is_null()
        });
        if young {
            settle_young();
        }
    }
}

/// Calls `f` with the G that runs here.
#[inline(never)]
pub(crate) fn with_g<R>(f: impl FnOnce(Option<&G>) -> R) -> R {
    // SAFETY: set by `enter_g` for as long as the G's future is polled or dropped on this very
    // call stack, which keeps the G alive.
    f(unsafe { THREAD.with(|t| t.curg.get()).as_ref() })
}

/// Keeps a `LocalSet` current; puts back the one before when dropped, whatever came in between.
///
/// The thread-local owns the set that is current, and each guard the one before it. So guards that
/// are leaked or dropped in another order leak a set or end another's time, but nothing dangles.
pub(crate) struct LocalScope {
    before: *mut Set,
}

impl LocalScope {
    /// Makes `set` the current one.
    #[inline(never)]
    pub(crate) fn new(set: Set) -> LocalScope {
        let set = Box::into_raw(Box::new(set));
        LocalScope {
            before: THREAD.with(|t| t.local.replace(set)),
        }
    }
}

impl Drop for LocalScope {
    #[inline(never)]
    fn drop(&mut self) {
        let set = THREAD.with(|t| t.local.replace(self.before));
        if !set.is_null() {
            // SAFETY: made by `Box::into_raw` in `new`, and owned by the thread-local until now.
            drop(unsafe { Box::from_raw(set) });
        }
    }
}

/// The current `LocalSet` of this thread.
#[inline(never)]
pub(crate) fn local() -> Option<Set> {
    // SAFETY: the thread-local owns it, and it is only replaced by the functions above.
    unsafe { THREAD.with(|t| t.local.get()).as_ref() }.cloned()
}

/// A number that no other living thread has.
#[inline(never)]
pub(crate) fn thread_address() -> usize {
    THREAD.with(|t| ptr::from_ref(t).addr())
}

/// A number that spreads threads: they get theirs one after the other, when they first ask.
#[inline(never)]
pub(crate) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    THREAD.with(|t| {
        if t.number.get() == 0 {
            t.number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        t.number.get()
    })
}

/// The id of the G that runs here.
#[inline(never)]
pub(crate) fn id() -> Option<Id> {
    with_g(|gp| gp.map(G::id))
}

/// What blocking this thread would mean.
#[inline(never)]
pub(crate) fn role() -> Role {
    THREAD.with(|t| t.role.get())
}

/// Changes what blocking this thread would mean; what it was before.
#[inline(never)]
pub(crate) fn set_role(role: Role) -> Role {
    THREAD.with(|t| t.role.replace(role))
}

/// Gives the next poll a full budget.
#[inline]
pub(crate) fn refill_budget() {
    THREAD.with(|t| t.budget.set(Some(BUDGET)));
}

/// What is left of the budget of this poll; `None`: there is no limit.
#[inline(never)]
pub(crate) fn budget() -> Option<u8> {
    // What the last poll left over means nothing to code that may block, or to hooks.
    THREAD.with(|t| t.budget.get().filter(|_| t.role.get() == Role::Running))
}

/// Takes a unit of the budget of this poll, if one is left; what was left before.
#[inline(never)]
pub(crate) fn take_budget() -> Option<u8> {
    THREAD.with(|t| {
        let before = t.budget.get().filter(|_| t.role.get() == Role::Running)?;
        t.budget.set(Some(before.saturating_sub(1)));
        Some(before)
    })
}

/// Sets what is left of the budget of this poll; without effect where no runtime polls.
#[inline(never)]
pub(crate) fn set_budget(budget: Option<u8>) {
    THREAD.with(|t| {
        if t.role.get() == Role::Running {
            t.budget.set(budget);
        }
    });
}
