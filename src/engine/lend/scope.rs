//! Stackful Gs that borrow from the one that spawned them, which waits for them.

use super::Lender;
use crate::engine::primitive::{
    Arc, AtomicBool, AtomicU8, AtomicUsize, Mutex, Ordering, UnsafeCell, lock,
};
use crate::engine::scheduler::stackful::{Here, Options, here};
use crate::engine::scheduler::{Shared, Spawn};
use crate::engine::task::coroutine::Unwind;
use crate::engine::task::{AbortRef, Id, RawJoin};
use crate::engine::util::panics::{Payload, caught, drop_quietly};
use std::io;
use std::mem::ManuallyDrop;
use std::panic::resume_unwind;
use std::task::Waker;

/// What a scope and its children share, on the heap.
pub(crate) struct Scope {
    /// Children that are not done with what they borrow.
    running: AtomicUsize,
    /// A child panicked, and nobody has been told.
    panicked: AtomicBool,
    waker: Waker,
    children: Mutex<Children>,
    /// Where children are run at once, in the middle of their spawning: the thread unwinds, and
    /// must not wait for others.
    inline: bool,
}

/// The children that can be aborted: those that run, at places that are used again.
#[derive(Default)]
struct Children {
    places: Vec<Option<AbortRef>>,
    free: Vec<usize>,
    /// All of them, and those to come, are to end.
    aborted: bool,
}

/// Why there is no scope here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotHere;

/// What became of a scope.
#[derive(Debug)]
pub(crate) enum Left<T> {
    /// Everything is well.
    Done(T),
    /// A child panicked, and nobody has been told.
    ChildPanicked,
}

/// Calls `f` with a scope, and waits for the children. A panic of `f` goes on after that.
///
/// # Errors
/// Where the thread polls futures, which must not wait.
pub(crate) fn scope<T>(f: impl FnOnce(&Arc<Scope>) -> T) -> Result<Left<T>, NotHere> {
    let (lender, inline) = match here() {
        Here::Stackful(stacked) => (Lender::G(stacked), false),
        // seam: what std's panics do is not modelled.
        Here::Blocking => (Lender::thread(), std::thread::panicking()),
        Here::Stackless => return Err(NotHere),
    };
    let scope = Arc::new(Scope {
        running: AtomicUsize::new(0),
        panicked: AtomicBool::new(false),
        waker: lender.waker(),
        children: Mutex::default(),
        inline,
    });
    let result = caught(|| f(&scope));
    if result.is_err() {
        scope.abort();
    }
    // Ordering: Acquire, partner of the Release in `Child::drop`: what the children did to what they
    // borrowed comes before we use it again.
    lender.hold_until(
        || scope.running.load(Ordering::Acquire) == 0,
        || scope.abort(),
    );
    let output = result.unwrap_or_else(|payload| resume_unwind(payload));
    if scope.panicked.load(Ordering::Relaxed) {
        drop_quietly(output);
        return Ok(Left::ChildPanicked);
    }
    Ok(Left::Done(output))
}

impl Scope {
    /// Asks all children to end.
    fn abort(&self) {
        let all: Vec<_> = {
            let mut children = lock(&self.children);
            children.aborted = true;
            children.places.iter().flatten().cloned().collect()
        };
        for child in all {
            child.abort();
        }
    }

    /// Spawns a child.
    ///
    /// # Errors
    /// If there is no stack for it. The closure is dropped.
    ///
    /// # Safety
    /// What `F` and `T` borrow is alive until [`scope`] returns.
    pub(crate) unsafe fn go<F, T>(
        self: &Arc<Scope>,
        shared: &Shared,
        f: F,
        spawn: Spawn,
        options: Options,
    ) -> io::Result<Join<T>>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        let place = {
            let mut children = lock(&self.children);
            children.free.pop().unwrap_or_else(|| {
                children.places.push(None);
                children.places.len() - 1
            })
        };
        let packet = Arc::new(Packet {
            state: AtomicU8::new(RUNNING),
            result: UnsafeCell::new(None),
        });
        // Ordering: Relaxed, it is this thread, or a child, who waits for it to be zero again.
        self.running.fetch_add(1, Ordering::Relaxed);
        let child = Child {
            f: ManuallyDrop::new(f),
            fresh: true,
            packet: packet.clone(),
            scope: self.clone(),
            place,
        };
        let kept = packet.clone();
        let join = |id, raw| Join {
            packet: kept,
            raw,
            id,
            scope: self.clone(),
        };
        if self.inline {
            child.run();
            return Ok(join(Id::next(), None));
        }
        // SAFETY: the closure is `Send`; the scope does not end before it is gone, as `Child` counts
        // itself off last of all.
        let raw = unsafe { shared.go_borrowing(move || child.run(), spawn, options) }?;
        let abort = raw.abort_ref();
        let aborted = {
            let mut children = lock(&self.children);
            // It may have ended already: then its place is free again, or is about to be.
            // Ordering: Relaxed, a child changes this before it takes the lock to free its place.
            if packet.state.load(Ordering::Relaxed) == RUNNING {
                children.places[place] = Some(abort.clone());
            }
            children.aborted
        };
        if aborted {
            abort.abort();
        }
        Ok(join(raw.gp().id(), Some(raw)))
    }
}

const RUNNING: u8 = 0;
/// The result is there, and the handle's.
const DONE: u8 = 1;
/// The handle is gone, and the result is the child's to drop.
const DETACHED: u8 = 2;

/// Where a child leaves its result.
#[derive(Debug)]
struct Packet<T> {
    state: AtomicU8,
    result: UnsafeCell<Option<Result<T, Payload>>>,
}

// SAFETY: the state says whose the result is: one thread's at a time.
unsafe impl<T: Send> Send for Packet<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Packet<T> {}

/// A child's side. Its end is what the scope waits for.
struct Child<F, T> {
    f: ManuallyDrop<F>,
    /// The closure is there.
    fresh: bool,
    packet: Arc<Packet<T>>,
    scope: Arc<Scope>,
    place: usize,
}

impl<F: FnOnce() -> T, T> Child<F, T> {
    fn run(mut self) {
        self.fresh = false;
        // SAFETY: it was there, and is not touched after this.
        let f = unsafe { ManuallyDrop::take(&mut self.f) };
        let result = caught(f);
        // SAFETY: until the state says otherwise the result is ours.
        unsafe { *self.packet.result.get() = Some(result) };
    }
}

impl<F, T> Drop for Child<F, T> {
    fn drop(&mut self) {
        if self.fresh {
            // SAFETY: it is there, and is not touched after this.
            drop_quietly(unsafe { ManuallyDrop::take(&mut self.f) });
        }
        // Ordering: AcqRel: the handle sees the result; or we see that it is gone.
        if self.packet.state.swap(DONE, Ordering::AcqRel) == DETACHED {
            // SAFETY: the handle left it to us.
            let result = unsafe { (*self.packet.result.get()).take() };
            self.scope.note_panic(&result);
            drop_quietly(result);
        }
        {
            let mut children = lock(&self.scope.children);
            children.places[self.place] = None;
            children.free.push(self.place);
        }
        // From here on nothing that was lent is touched: the waker is ours, as the scope is on the
        // heap.
        //
        // Ordering: Release, partner of the Acquire in `scope`.
        if self.scope.running.fetch_sub(1, Ordering::Release) == 1 {
            self.scope.waker.wake_by_ref();
        }
    }
}

impl Scope {
    fn note_panic<T>(&self, result: &Option<Result<T, Payload>>) {
        if let Some(Err(payload)) = result
            && !payload.is::<Unwind>()
        {
            self.panicked.store(true, Ordering::Relaxed);
        }
    }
}

/// A handle's side.
pub(crate) struct Join<T> {
    packet: Arc<Packet<T>>,
    /// The G; `None`: it has ended.
    raw: Option<RawJoin<()>>,
    id: Id,
    scope: Arc<Scope>,
}

impl<T> Join<T> {
    /// The G, to wait for.
    pub(crate) fn raw(&mut self) -> Option<&mut RawJoin<()>> {
        self.raw.as_mut()
    }

    /// Its id.
    pub(crate) fn id(&self) -> Id {
        self.id
    }

    /// Whether the result is there.
    pub(crate) fn is_finished(&self) -> bool {
        self.packet.state.load(Ordering::Acquire) == DONE
    }

    /// Asks it to end.
    pub(crate) fn abort(&self) {
        if let Some(raw) = &self.raw {
            raw.abort();
        }
    }

    /// The result of a child that is finished; `None`: it was aborted before it began.
    pub(crate) fn take(&mut self) -> Option<Result<T, Payload>> {
        assert!(
            self.is_finished(),
            "a result is there when the child is done"
        );
        // SAFETY: the state says that it is ours.
        unsafe { (*self.packet.result.get()).take() }
    }
}

impl<T> Drop for Join<T> {
    fn drop(&mut self) {
        // Ordering: as in `Child::drop`.
        if self.packet.state.swap(DETACHED, Ordering::AcqRel) == DONE {
            // SAFETY: the state said that it is ours.
            let result = unsafe { (*self.packet.result.get()).take() };
            self.scope.note_panic(&result);
            drop_quietly(result);
        }
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope")
            .field("running", &self.running.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

impl<T> std::fmt::Debug for Join<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Join")
            .field("id", &self.id)
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
