//! The Gs that only one M may run: stackful ones, from their first turn on.
//!
//! A stack that has begun on a thread may hold what must not leave it: an `Rc`, a `MutexGuard`, a
//! reference into a thread-local. So the M keeps them, in a queue beside the ring of its P, and
//! needs no P to run them.

#[cfg(not(loom))]
mod appetite;

use crate::engine::primitive::{AtomicBool, Ordering, Watched, fence};
#[cfg(stackful)]
use crate::engine::stack::overflow::{self, AltStack};
#[cfg(stackful)]
use crate::engine::task::coroutine::Head;
use crate::engine::util::inbox::{Inbox, Node};
#[cfg(stackful)]
use crate::engine::util::prefetch;
use crate::engine::util::{CachePadded, RawG};
use std::cell::Cell;
use std::collections::VecDeque;
use std::ptr::NonNull;

/// From how many Gs that are ready on it is likely that what the next one needs has left the nearest
/// cache. A guess.
#[cfg(stackful)]
const MANY: usize = 16;

/// Begins to load what the next turns need: the cell of the second G in the queue, and the stack of
/// the first, whose cell says where it is. Measured together with shorter turns, which alone save
/// some 15 ns: a yield among a thousand Gs went from 80 ns to 39, one of a million Gs that are woken at
/// once from 0.9 us to 0.45 (`cargo bench --bench stackful`).
///
/// # Safety
/// The caller owns the Gs in the queue, which are stackful and have begun.
#[cfg(stackful)]
#[inline]
unsafe fn fetch_ahead(ready: &VecDeque<RawG>) {
    let &[first, second] = &[ready[0], ready[1]];
    prefetch(second.as_ptr(), 3);
    // SAFETY: as our caller promised.
    unsafe { Head::of(first) }.prefetch_stack();
}

/// What an M keeps of its Gs.
///
/// The functions that are `unsafe` are for the thread of the M alone.
pub(crate) struct Bound {
    ready: Watched<VecDeque<RawG>>,
    alive: Watched<Vec<NonNull<Node>>>,
    /// The last turn went to one of these Gs.
    had_turn: Cell<bool>,
    /// The shutdown waits for the M.
    counted: Cell<bool>,
    /// How many it takes from others.
    #[cfg(not(loom))]
    appetite: appetite::Appetite,
    /// What others see, apart from what only the M touches.
    door: CachePadded<Door>,
    /// Where signals are handled, as that of a stack that overflowed cannot be on it.
    #[cfg(stackful)]
    alternate: Cell<Option<AltStack>>,
}

/// Where other threads leave Gs for an M.
struct Door {
    /// What they made ready.
    inbox: Inbox,
    /// A G of another M made one ready.
    chatted: AtomicBool,
    /// Whether the M sleeps or is about to, and does not look into its inbox by itself.
    asleep: AtomicBool,
    /// Whether it kept any Gs when it went to sleep.
    host: AtomicBool,
}

// SAFETY: all fields but the door are only touched by the M's thread, see the functions; a node
// belongs to whoever owns its G, apart from its place here, which is the M's.
unsafe impl Send for Bound {}
// SAFETY: as above.
unsafe impl Sync for Bound {}

/// What becomes of a G that another thread queued.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// The M is going to see it.
    Seen,
    /// The M sleeps or is about to, and has to be woken.
    Asleep,
}

impl Bound {
    /// Of an M that keeps nothing.
    pub(crate) fn new() -> Bound {
        Bound {
            ready: Watched::default(),
            alive: Watched::default(),
            had_turn: Cell::new(false),
            counted: Cell::new(false),
            #[cfg(not(loom))]
            appetite: appetite::Appetite::new(),
            door: CachePadded::new(Door {
                inbox: Inbox::new(),
                chatted: AtomicBool::new(false),
                asleep: AtomicBool::new(false),
                host: AtomicBool::new(false),
            }),
            #[cfg(stackful)]
            alternate: Cell::new(None),
        }
    }

    /// # Safety
    /// This is the M's thread, and the reference is gone before the next call of this.
    #[inline]
    #[allow(clippy::mut_from_ref)] // The contract says why there is only one.
    unsafe fn ready(&self) -> &mut VecDeque<RawG> {
        // SAFETY: as our caller promised.
        self.ready.with_mut(|ready| unsafe { &mut *ready })
    }

    /// # Safety
    /// As for `ready`.
    #[inline]
    #[allow(clippy::mut_from_ref)] // As above.
    unsafe fn alive(&self) -> &mut Vec<NonNull<Node>> {
        // SAFETY: as our caller promised.
        self.alive.with_mut(|alive| unsafe { &mut *alive })
    }

    /// Keeps a G that is about to have its first turn. `true`: it is the first since the M was last
    /// [released](Bound::release).
    ///
    /// # Safety
    /// This is the M's thread, which owns the G; the node stays where it is until `strike`.
    pub(crate) unsafe fn keep(&self, node: NonNull<Node>) -> bool {
        // SAFETY: as our caller promised.
        let alive = unsafe { self.alive() };
        // SAFETY: the G is ours.
        unsafe { node.as_ref() }.place.set(alive.len());
        alive.push(node);
        !self.counted.replace(true)
    }

    /// Strikes off a G that has ended.
    ///
    /// # Safety
    /// This is the M's thread, which keeps the G.
    pub(crate) unsafe fn strike(&self, node: &Node) {
        // SAFETY: as our caller promised.
        let alive = unsafe { self.alive() };
        let place = node.place.get();
        alive.swap_remove(place);
        if let Some(moved) = alive.get(place) {
            // SAFETY: a G on the list is alive; its place is written by this thread alone.
            unsafe { moved.as_ref() }.place.set(place);
        }
    }

    /// Queues a G of this M.
    ///
    /// # Safety
    /// This is the M's thread, which owns the G.
    #[inline]
    pub(crate) unsafe fn push(&self, gp: RawG) {
        // SAFETY: as our caller promised.
        unsafe { self.ready() }.push_back(gp);
    }

    /// Queues a G of this M from another thread. `chat`: it was a G of another M that made it ready.
    ///
    /// # Safety
    /// The caller owns the G that `node` belongs to.
    pub(crate) unsafe fn push_remote(&self, node: NonNull<Node>, chat: bool) -> Pushed {
        // SAFETY: as our caller promised.
        unsafe { self.door.inbox.push(node) };
        if chat {
            // Ordering: Relaxed, a hint.
            self.door.chatted.store(true, Ordering::Relaxed);
        }
        // Ordering: SeqCst, partner of the fence after `fall_asleep`: of the push before this and the
        // look here, and the announcement and the look at the inbox there, at least one side sees the
        // other.
        fence(Ordering::SeqCst);
        if self.door.asleep.load(Ordering::Relaxed) {
            Pushed::Asleep
        } else {
            Pushed::Seen
        }
    }

    /// How many Gs the M takes now from the ring of another P on which there are young stackful ones.
    ///
    /// # Safety
    /// This is the M's thread.
    #[cfg(not(loom))]
    pub(crate) unsafe fn appetite(&self) -> usize {
        // Ordering: Relaxed, a hint.
        let chatted = self.door.chatted.load(Ordering::Relaxed);
        if chatted {
            self.door.chatted.store(false, Ordering::Relaxed);
        }
        // SAFETY: as our caller promised.
        self.appetite.most(unsafe { self.is_free() }, chatted)
    }

    /// Notes that it took some.
    ///
    /// # Safety
    /// This is the M's thread.
    #[cfg(not(loom))]
    pub(crate) unsafe fn took(&self) {
        self.appetite.took();
    }

    /// Gives the thread a stack for signals that is large enough to report an overflow.
    ///
    /// # Safety
    /// This is the M's thread, which calls `forget_alternate_stack` before it ends.
    #[cfg(stackful)]
    pub(crate) unsafe fn take_alternate_stack(&self) {
        // Without it the process ends without a report.
        self.alternate.set(overflow::alternate_stack().ok());
    }

    /// Takes that away again.
    ///
    /// # Safety
    /// This is the M's thread.
    #[cfg(stackful)]
    pub(crate) unsafe fn forget_alternate_stack(&self) {
        drop(self.alternate.take());
    }

    /// Whether the M keeps no G at all.
    ///
    /// # Safety
    /// This is the M's thread.
    #[inline]
    pub(crate) unsafe fn is_free(&self) -> bool {
        // SAFETY: as our caller promised.
        unsafe { self.alive() }.is_empty()
    }

    /// Whether a G is ready.
    ///
    /// # Safety
    /// This is the M's thread.
    #[inline]
    pub(crate) unsafe fn is_ready(&self) -> bool {
        // SAFETY: as our caller promised.
        !unsafe { self.ready() }.is_empty() || !self.door.inbox.is_empty()
    }

    /// The next G, if one is ready and it is not the turn of the others. They take turns, where
    /// there are `others`.
    ///
    /// # Safety
    /// This is the M's thread.
    #[inline]
    pub(crate) unsafe fn next_in_turn(&self, others: impl FnOnce() -> bool) -> Option<RawG> {
        // SAFETY: as our caller promised.
        if unsafe { self.alive() }.is_empty() || (self.had_turn.replace(false) && others()) {
            return None;
        }
        // SAFETY: as our caller promised.
        let gp = unsafe { self.next() }?;
        self.had_turn.set(true);
        Some(gp)
    }

    /// The next G.
    ///
    /// # Safety
    /// This is the M's thread.
    #[inline]
    pub(crate) unsafe fn next(&self) -> Option<RawG> {
        // SAFETY: as our caller promised.
        let ready = unsafe { self.ready() };
        // New arrivals line up behind what is here, and are looked for each time, so that they
        // wait for no more than that.
        if !self.door.inbox.is_empty() {
            self.door.inbox.take_into(ready);
        }
        let next = ready.pop_front();
        #[cfg(stackful)]
        if ready.len() >= MANY {
            // SAFETY: the Gs in the queue are ours.
            unsafe { fetch_ahead(ready) }
        }
        next
    }

    /// All Gs that the M keeps. `f` may come back here, and may run none of them.
    ///
    /// # Safety
    /// This is the M's thread.
    pub(crate) unsafe fn for_each(&self, mut f: impl FnMut(RawG)) {
        // SAFETY: as our caller promised; the list is copied, since `f` may come back here.
        for node in unsafe { self.alive() }.clone() {
            // SAFETY: a G on the list is alive.
            f(unsafe { node.as_ref() }.gp());
        }
    }

    /// Whether the shutdown waits for the M; from now on it does not.
    ///
    /// # Safety
    /// This is the M's thread.
    pub(crate) unsafe fn release(&self) -> bool {
        self.counted.replace(false)
    }

    /// Notes that the M has to be woken for its inbox. A SeqCst fence and a look at the inbox have
    /// to come before it sleeps.
    ///
    /// # Safety
    /// This is the M's thread.
    pub(crate) unsafe fn fall_asleep(&self) {
        // Ordering: Relaxed, the list's lock does it.
        // SAFETY: as our caller promised.
        self.door
            .host
            .store(!unsafe { self.is_free() }, Ordering::Relaxed);
        // Ordering: Relaxed, the fences do it: the one in P2, and the one in `push_remote`.
        self.door.asleep.store(true, Ordering::Relaxed);
    }

    /// Notes that the M looks into its inbox by itself.
    pub(crate) fn wake_up(&self) {
        // Ordering: Relaxed, who sees it too late wakes it once too often.
        self.door.asleep.store(false, Ordering::Relaxed);
    }

    /// Whether the M, which is on the list of parked Ms, kept any Gs when it went there.
    pub(crate) fn is_host(&self) -> bool {
        self.door.host.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").finish_non_exhaustive()
    }
}
