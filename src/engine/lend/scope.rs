//! Stackful Gs that borrow from the one that spawned them, which waits for them.

use super::Lender;
use super::packet::{Giver, Taker, packet};
use super::running::Running;
use crate::engine::primitive::{Arc, Mutex, lock};
use crate::engine::scheduler::stackful::{Here, Options, here, unwind};
use crate::engine::scheduler::{Shared, Spawn};
use crate::engine::task::coroutine::{Unwind, Work};
use crate::engine::task::{AbortRef, Fault, Id, RawJoin};
use crate::engine::util::panics::{Payload, caught, discard, drop_quietly};
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::resume_unwind;

/// What a scope and its children share, on the heap.
pub(crate) struct Scope {
    /// Children that are not done with what they borrow.
    running: Running,
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
    /// What became of the first one that failed without anybody being told.
    loss: Option<Loss>,
}

/// Why a child has no output.
enum Failure {
    Panic(Payload),
    /// There was no stack for it, and why.
    NoStack(String),
    /// It was aborted.
    Cancelled,
    /// It was dropped before it began, and nobody had asked for that.
    Dropped,
}

impl Failure {
    /// That of a child that unwound.
    fn of(payload: Payload) -> Failure {
        if payload.is::<Unwind>() {
            Failure::Cancelled
        } else {
            Failure::Panic(payload)
        }
    }
}

/// What became of a child whose result nobody took.
#[derive(Debug)]
pub(crate) enum Loss {
    /// It panicked.
    Panicked,
    /// There was no stack for it, and why.
    NoStack(String),
    /// It was dropped before it began, though nobody had asked for that.
    Dropped,
}

/// Why there is no scope here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotHere;

/// What became of a scope.
#[derive(Debug)]
pub(crate) enum Left<T> {
    /// Everything is well.
    Done(T),
    /// A child failed, and nobody has been told.
    Lost(Loss),
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
        running: Running::new(lender.waker()),
        children: Mutex::default(),
        inline,
    });
    let result = caught(|| f(&scope));
    if result.is_err() {
        scope.abort();
    }
    let mut aborted = false;
    let told = || {
        aborted = true;
        scope.abort();
    };
    lender.hold_until(|| scope.running.is_none(), told);
    let output = result.unwrap_or_else(|payload| resume_unwind(payload));
    if aborted {
        // Its children may not have done what comes after the scope relies on.
        drop_quietly(output);
        unwind();
    }
    if let Some(loss) = lock(&scope.children).loss.take() {
        drop_quietly(output);
        return Ok(Left::Lost(loss));
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
        let (giver, taker) = packet();
        self.running.begin();
        let child = Child {
            f: MaybeUninit::new(f),
            giver: ManuallyDrop::new(giver),
            fresh: true,
            scope: self.clone(),
            place,
        };
        let join = |taker, id, raw| Join {
            taker,
            raw,
            id,
            scope: self.clone(),
        };
        if self.inline {
            child.run();
            return Ok(join(taker, Id::next(), None));
        }
        // SAFETY: the closure is `Send`; the scope does not end before it is gone, as `Child` counts
        // itself off last of all.
        let raw = unsafe { shared.go_borrowing(child, spawn, options) }?;
        let abort = raw.abort_ref();
        let aborted = {
            let mut children = lock(&self.children);
            // It may have ended already: then its place is free again, or is about to be.
            // A child changes this before it takes the lock to free its place.
            if taker.is_running() {
                children.places[place] = Some(abort.clone());
            }
            children.aborted
        };
        if aborted {
            abort.abort();
        }
        Ok(join(taker, raw.gp().id(), Some(raw)))
    }
}

/// A child's side. Its end is what the scope waits for.
struct Child<F, T> {
    /// `MaybeUninit`, as this is handed from function to function, and they return after the end:
    /// what the closure borrows may be gone then, and a reference that is an argument must not be.
    f: MaybeUninit<F>,
    giver: ManuallyDrop<Giver<Result<T, Failure>>>,
    /// The closure and the giver are there.
    fresh: bool,
    scope: Arc<Scope>,
    place: usize,
}

impl<F: FnOnce() -> T, T> Work for Child<F, T> {
    type Output = ();

    fn run(mut self) {
        let (f, giver) = self.begin();
        let result = caught(f).map_err(Failure::of);
        self.scope.drop_unclaimed(giver.finish(Some(result)));
    }

    fn refuse(mut self, error: &io::Error) {
        let (f, giver) = self.begin();
        drop_quietly(f);
        let result = Err(Failure::NoStack(error.to_string()));
        self.scope.drop_unclaimed(giver.finish(Some(result)));
    }
}

impl<F, T> Child<F, T> {
    /// Takes out what is there until then; to be called while it is.
    fn begin(&mut self) -> (F, Giver<Result<T, Failure>>) {
        assert!(std::mem::take(&mut self.fresh), "a child begins once");
        // SAFETY: both were there, as it was fresh, and are not touched after this.
        unsafe {
            (
                self.f.assume_init_read(),
                ManuallyDrop::take(&mut self.giver),
            )
        }
    }
}

impl<F, T> Drop for Child<F, T> {
    fn drop(&mut self) {
        if self.fresh {
            let (f, giver) = self.begin();
            drop_quietly(f);
            let asked = giver.was_aborted() || lock(&self.scope.children).aborted;
            let result = Err(match asked {
                true => Failure::Cancelled,
                false => Failure::Dropped,
            });
            self.scope.drop_unclaimed(giver.finish(Some(result)));
        }
        {
            let mut children = lock(&self.scope.children);
            children.places[self.place] = None;
            children.free.push(self.place);
        }
        // From here on nothing that was lent is touched. The scope itself is on the heap, and ours
        // as well.
        self.scope.running.end();
    }
}

impl Scope {
    /// Drops a result that nobody took.
    fn drop_unclaimed<T>(&self, result: Option<Result<T, Failure>>) {
        let loss = match result {
            Some(Err(Failure::Panic(payload))) => {
                discard(payload);
                Loss::Panicked
            }
            Some(Err(Failure::NoStack(error))) => Loss::NoStack(error),
            Some(Err(Failure::Dropped)) => Loss::Dropped,
            Some(Err(Failure::Cancelled)) | None => return,
            Some(Ok(output)) => return drop_quietly(output),
        };
        lock(&self.children).loss.get_or_insert(loss);
    }
}

/// A handle's side.
pub(crate) struct Join<T> {
    taker: Taker<Result<T, Failure>>,
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
        self.taker.is_done()
    }

    /// Asks it to end.
    pub(crate) fn abort(&self) {
        if let Some(raw) = &self.raw {
            self.taker.note_abort();
            raw.abort();
        }
    }

    /// The result of a child that is finished, or whose G has ended.
    pub(crate) fn take(&mut self) -> Result<T, Fault> {
        if !self.is_finished() {
            // It was aborted where nothing can unwind. The scope goes on waiting for it.
            return Err(Fault::cancelled());
        }
        let result = self.taker.take();
        match result.expect("a result is taken once") {
            Ok(output) => Ok(output),
            Err(Failure::Panic(payload)) => Err(Fault::panic(payload)),
            Err(Failure::NoStack(error)) => Err(Fault::panic(Box::new(error))),
            Err(Failure::Cancelled | Failure::Dropped) => Err(Fault::cancelled()),
        }
    }
}

impl<T> Drop for Join<T> {
    fn drop(&mut self) {
        let left = self.taker.leave();
        // It may have been dropped before it was asked to end: that is as well.
        if !(self.taker.was_aborted() && matches!(left, Some(Err(Failure::Dropped)))) {
            self.scope.drop_unclaimed(left);
        }
    }
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope")
            .field("running", &self.running.count())
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
