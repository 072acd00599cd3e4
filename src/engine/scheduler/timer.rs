//! A timer as those see it who wait for it.
//!
//! It belongs to the P on which it was made, or last set. If a G sets it in its turn and with the turn's
//! waker, it is [young](crate::engine::timer::Young) at first; what follows in that turn but to drop it
//! ends that. Anybody who has it from that turn, but elsewhere, goes by its key.

use super::Shared;
use super::station::Place;
use crate::engine::current;
use crate::engine::sys::Instant;
use crate::engine::timer::moment::nanos;
use crate::engine::timer::{Inserted, Key, Packed, Stage, State};
use std::task::{Context, Poll, Waker};

/// The timers for those who set one here: of the P that this thread holds, or of any.
///
/// `None`: there is no runtime.
#[inline]
fn here() -> Option<Place> {
    if let Some((shared, pp)) = current::spawn_target() {
        // SAFETY: as in `Shared::spawn_here`.
        let (shared, pp) = unsafe { (&*shared.cast::<Shared>(), pp.as_ref()) };
        return Some(shared.time.places[pp.id()]);
    }
    here_at_large()
}

#[cold]
#[inline(never)] // See `current.rs`.
fn here_at_large() -> Option<Place> {
    current::with(|context| {
        // SAFETY: as in `current`.
        let shared = unsafe { &*context?.home().cast::<Shared>() };
        let places = &shared.time.places;
        let number = match shared.held_p() {
            Some(pp) => pp.id(),
            None => current::thread_number() % places.len(),
        };
        Some(places[number])
    })
}

/// Something that becomes ready at a certain time.
#[derive(Debug)]
pub(crate) struct Timer {
    place: Place,
    stage: Packed,
}

// See `Packed`.
const _: () = assert!(size_of::<Timer>() + size_of::<Instant>() <= 48);

/// The runtime of a timer is being shut down, or is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone;

impl Timer {
    /// A timer of the current runtime. `ahead`: its deadline is known not to have passed.
    ///
    /// `None`: there is no runtime.
    #[inline]
    pub(crate) fn new(ahead: bool) -> Option<Timer> {
        Some(Timer {
            place: here()?,
            stage: Stage::Idle { checked: ahead }.into(),
        })
    }

    /// Whether it has fired.
    pub(crate) fn is_fired(&self) -> bool {
        match self.stage.stage() {
            Stage::Idle { .. } => false,
            Stage::Fired => true,
            Stage::Set(_) | Stage::Young(_) => {
                let key = self.grown().expect("it is set");
                self.place.timers().is_fired(self.place.term(), key)
            }
        }
    }

    /// Whether it has fired; if not, it will wake `cx`. It is due at `deadline`, which is the same
    /// each time, see [`reset`](Timer::reset).
    ///
    /// # Errors
    /// If it never will.
    #[inline]
    pub(crate) fn poll(
        &mut self,
        deadline: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Gone>> {
        let key = match self.stage.stage() {
            Stage::Fired => return Poll::Ready(Ok(())),
            Stage::Idle { checked } => return self.first_poll(checked, deadline, cx),
            Stage::Set(_) | Stage::Young(_) => self.grow().expect("it is set"),
        };
        match self.place.timers().poll(self.place.term(), key, cx.waker()) {
            State::Pending => Poll::Pending,
            State::Fired => {
                self.stage = Stage::Fired.into();
                Poll::Ready(Ok(()))
            }
            State::Closed => Poll::Ready(Err(Gone)),
            State::Stranger => {
                let (timers, term) = (self.place.timers(), self.place.term());
                match timers.replace(term, key, nanos(deadline), cx.waker().clone()) {
                    // If it had none, it was early. Then the holder of its P is in a turn, and will look at
                    // the timers before it parks.
                    Ok(_old) => Poll::Pending,
                    Err((State::Closed, _new)) => Poll::Ready(Err(Gone)),
                    Err(_) => {
                        self.stage = Stage::Fired.into();
                        Poll::Ready(Ok(()))
                    }
                }
            }
        }
    }

    /// Sets it if that is easily done: nobody has waited for it yet, its deadline is known to lie ahead, there
    /// is budget left, of which this takes none, and it can be young. Whether it did; if not, it is for
    /// [`poll`](Timer::poll) to do.
    #[inline]
    pub(crate) fn begin(&mut self, deadline: Instant, cx: &Context<'_>) -> bool {
        matches!(self.stage.stage(), Stage::Idle { checked: true })
            && self.begin_young(deadline, cx)
    }

    /// Sets it as one that is young, if it can be. Whether it did.
    #[inline]
    fn begin_young(&mut self, deadline: Instant, cx: &Context<'_>) -> bool {
        let (timers, term) = (self.place.timers(), self.place.term());
        let infant = current::set_young(timers, term, deadline, cx.waker());
        if let Some(infant) = infant {
            self.stage = Stage::Young(infant).into();
        }
        infant.is_some()
    }

    #[inline]
    fn first_poll(
        &mut self,
        checked: bool,
        deadline: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Gone>> {
        if !checked && nanos(deadline) <= self.place.now() {
            self.stage = Stage::Fired.into();
            return Poll::Ready(Ok(()));
        }
        if self.begin_young(deadline, cx) {
            return Poll::Pending;
        }
        match self.set(nanos(deadline), cx.waker().clone()) {
            Ok(()) => Poll::Pending,
            Err(gone) => Poll::Ready(Err(gone)),
        }
    }

    /// Sets it to another time. Whoever waits for it goes on to wait, unless it has fired.
    pub(crate) fn reset(&mut self, deadline: Instant) {
        let young = matches!(self.stage.stage(), Stage::Young(_));
        let deadline = nanos(deadline);
        if let Some(key) = self.grow() {
            let (timers, term) = (self.place.timers(), self.place.term());
            if young && timers.move_early(term, key, deadline) {
                return;
            }
            if let Some(waker) = timers.cancel(term, key) {
                // If the runtime is gone, the next poll says so.
                let _set = self.set(deadline, waker);
                return;
            }
        }
        self.stage = Stage::Idle { checked: false }.into();
    }

    /// As `reset`, of a timer for which nobody waits.
    pub(crate) fn rewind(&mut self) {
        self.cancel();
        self.stage = Stage::Idle { checked: false }.into();
    }

    /// Its key, if it is set. If it was young on this thread, it no longer is.
    #[inline]
    fn grown(&self) -> Option<Key> {
        match self.stage.stage() {
            Stage::Set(key) => Some(key),
            Stage::Young(infant) => {
                current::settle_young();
                Some(infant.key())
            }
            Stage::Idle { .. } | Stage::Fired => None,
        }
    }

    /// As `grown`, and notes that.
    #[inline]
    fn grow(&mut self) -> Option<Key> {
        let key = self.grown()?;
        self.stage = Stage::Set(key).into();
        Some(key)
    }

    /// Takes it back, if it is set.
    #[inline]
    fn cancel(&mut self) {
        match self.stage.stage() {
            Stage::Set(key) => self.cancel_by_key(key),
            Stage::Young(infant) => {
                let (timers, term) = (self.place.timers(), self.place.term());
                if !current::cancel_young(timers, term, infant) {
                    self.cancel_by_key(infant.key());
                }
            }
            Stage::Idle { .. } | Stage::Fired => {}
        }
    }

    /// So that to drop what is young does not save registers for this.
    #[inline(never)]
    fn cancel_by_key(&self, key: Key) {
        drop(self.place.timers().cancel(self.place.term(), key));
    }

    /// Sets it, on the P that this thread holds if it is one of the same runtime.
    #[inline]
    fn set(&mut self, deadline: u64, waker: Waker) -> Result<(), Gone> {
        self.stage = Stage::Idle { checked: false }.into();
        let holds = self.come_here();
        let key = match self
            .place
            .timers()
            .insert(self.place.term(), deadline, waker)
        {
            Inserted::Later(key) => key,
            Inserted::Earliest(key) => {
                if !holds && let Some(shared) = self.place.runtime() {
                    shared.ring(deadline);
                }
                key
            }
            Inserted::Closed(_waker) => return Err(Gone),
        };
        self.stage = Stage::Set(key).into();
        Ok(())
    }

    /// Makes it one of the P that this thread holds, if it is one of the same runtime. Whether it
    /// is. It must not be set.
    #[inline(never)] // See `current.rs`.
    fn come_here(&mut self) -> bool {
        current::with_running(|context| {
            let Some((context, pp)) = context.and_then(|c| Some((c, c.pp()?))) else {
                return false;
            };
            // SAFETY: the home of a context is its runtime, which is alive while it is on the stack.
            let shared = unsafe { &*context.home().cast::<Shared>() };
            let places = &shared.time.places;
            let here = places[pp.id()];
            if here.is(&self.place) {
                return true;
            }
            let same = places.iter().any(|place| place.is(&self.place));
            if same {
                self.place = here;
            }
            same
        })
    }
}

impl Drop for Timer {
    #[inline]
    fn drop(&mut self) {
        self.cancel();
    }
}
