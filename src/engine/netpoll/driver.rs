//! The netpoller itself, and what a socket has of it.

use super::Batches;
use super::readiness::Readiness;
use super::room::Room;
use super::slot::{Direction, Event, Key, Slot};
use super::table::Table;
use super::wait::Wait;
use crate::engine::primitive::{
    Arc, AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, fence, lock,
};
use crate::engine::util::CachePadded;
use mio::event::Source;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{OnceLock, TryLockError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The token of the waker, whose lower half is no slot's.
const WAKER: usize = usize::MAX;

/// Which sockets are ready, and who waits for them.
#[derive(Debug)]
pub(crate) struct Netpoll {
    batches: Batches,
    open: OnceLock<Open>,
    opening: Mutex<()>,
    slots: Table,
    /// How many sockets are registered.
    registered: CachePadded<AtomicUsize>,
    /// Whether somebody waits here for events, or is about to.
    watched: CachePadded<AtomicBool>,
    shut: AtomicBool,
}

/// What there is from the first registration on.
#[derive(Debug)]
struct Open {
    registry: mio::Registry,
    waker: mio::Waker,
    wait: Mutex<Wait>,
}

impl Open {
    fn new(batches: Batches) -> io::Result<Open> {
        let poll = mio::Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = mio::Waker::new(&registry, mio::Token(WAKER))?;
        Ok(Open {
            registry,
            waker,
            wait: Mutex::new(Wait::new(poll, batches)),
        })
    }
}

impl Netpoll {
    /// Without sockets.
    pub(crate) fn new(batches: Batches) -> Netpoll {
        Netpoll {
            batches,
            open: OnceLock::new(),
            opening: Mutex::default(),
            slots: Table::new(),
            registered: CachePadded::default(),
            watched: CachePadded::default(),
            shut: AtomicBool::new(false),
        }
    }

    fn open(&self) -> io::Result<&Open> {
        if let Some(open) = self.open.get() {
            return Ok(open);
        }
        let _opening = lock(&self.opening);
        match self.open.get() {
            Some(open) => Ok(open),
            None => {
                let open = Open::new(self.batches)?;
                Ok(self.open.get_or_init(|| open))
            }
        }
    }

    /// Whether any socket is registered.
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        // Ordering: Relaxed. Where a decision to sleep hangs on it, a SeqCst fence comes before, and
        // another after a registration.
        self.registered.load(Ordering::Relaxed) != 0
    }

    /// Whether there are sockets, and nobody waits for their events.
    #[inline]
    pub(crate) fn is_unwatched(&self) -> bool {
        // Ordering: Relaxed, as above; the fences are those of `watch` in the scheduler.
        self.is_used() && !self.watched.load(Ordering::Relaxed)
    }

    /// Takes the seat of the one who asks for events, unless somebody else sits there.
    pub(crate) fn try_sit(&self) -> Option<Seat<'_>> {
        let open = self.open.get()?;
        let wait = match open.wait.try_lock() {
            Ok(wait) => wait,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Seat {
            netpoll: self,
            wait,
            watches: false,
        })
    }

    /// Has a wait that has begun, or that begins next, return.
    pub(crate) fn wake(&self) {
        if let Some(open) = self.open.get() {
            // A write of eight bytes to a descriptor of our own. If it fails for a full counter the
            // wait returns all the same.
            let _written = open.waker.wake();
        }
    }

    /// The runtime ends: whoever waits is woken and told so, and so is whoever comes later.
    pub(crate) fn shut(&self, wakers: &mut Vec<Waker>) {
        self.shut.store(true, Ordering::Relaxed);
        // Ordering: SeqCst, partner of the fence in `register`: it sees the flag, or we see what it
        // wrote to the slot, and add to that.
        fence(Ordering::SeqCst);
        for slot in self.slots.all() {
            slot.shut(wakers);
        }
    }

    /// Registers `source`, for whose events somebody has to wait from now on.
    ///
    /// `assumed` is what it may be ready for before there was an event. Events that come before the
    /// first look at the slot are kept. `room`: events of room are asked for later, see [`Room`].
    ///
    /// # Errors
    /// Those of the operating system, as for a lack of descriptors; or the runtime is gone.
    pub(crate) fn register<S: Source + ?Sized>(
        self: &Arc<Netpoll>,
        source: &mut S,
        interest: mio::Interest,
        assumed: Readiness,
        room: Option<Room>,
    ) -> io::Result<Registration> {
        if self.shut.load(Ordering::Relaxed) {
            return Err(gone());
        }
        let open = self.open()?;
        let (index, slot) = self.slots.take()?;
        let generation = slot.begin(assumed);
        // From here on the slot is given back by the destructor.
        let registration = Registration {
            netpoll: self.clone(),
            index,
            generation,
            room,
        };
        self.registered.fetch_add(1, Ordering::Relaxed);
        // Ordering: SeqCst, partner of the fence in `shut`.
        fence(Ordering::SeqCst);
        if self.shut.load(Ordering::Relaxed) {
            return Err(gone());
        }
        open.registry
            .register(source, registration.token(), interest)?;
        Ok(registration)
    }

    /// Changes what a source is registered for.
    ///
    /// # Errors
    /// If `source` is not what was registered.
    #[cfg(unix)]
    pub(super) fn reregister(
        &self,
        source: &mut impl Source,
        token: mio::Token,
        interest: mio::Interest,
    ) -> io::Result<()> {
        self.open()?.registry.reregister(source, token, interest)
    }
}

/// The right to ask for events.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    netpoll: &'a Netpoll,
    wait: MutexGuard<'a, Wait>,
    watches: bool,
}

impl Seat<'_> {
    /// Notes that somebody waits here, until the seat is given up.
    pub(crate) fn watch(&mut self) {
        self.watches = true;
        // Ordering: Relaxed, the fences are those of `watch` in the scheduler.
        self.netpoll.watched.store(true, Ordering::Relaxed);
    }

    /// Adds the wakers of those who waited for what has happened, after having waited for something
    /// to happen, or for [`wake`](Netpoll::wake), for no longer than `timeout`.
    ///
    /// # Panics
    /// If the system refuses, for which it has no reason.
    pub(crate) fn poll(&mut self, timeout: Option<Duration>, wakers: &mut Vec<Waker>) {
        let slots = &self.netpoll.slots;
        let waited = self.wait.wait(timeout, |token, ready| {
            let (index, generation) = (token as u32, (token >> 32) as u32);
            // The waker's token is no slot's.
            if let Some(slot) = slots.get(index) {
                slot.set(generation, ready, wakers);
            }
        });
        if let Err(error) = waited {
            panic!("runnext: cannot wait for events of sockets: {error}");
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if self.watches {
            // Before the lock is released, and the next one sits down.
            self.netpoll.watched.store(false, Ordering::Relaxed);
        }
    }
}

/// A socket's place in the netpoller.
#[derive(Debug)]
pub(crate) struct Registration {
    netpoll: Arc<Netpoll>,
    index: u32,
    generation: u32,
    room: Option<Room>,
}

/// What whoever uses a socket after the end of its runtime is told.
pub(crate) fn gone() -> io::Error {
    io::Error::other(Gone)
}

/// The payload of that error.
#[derive(Debug)]
pub(crate) struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "the runtime that this belongs to was shut down, and with it all I/O; keep the `Runtime` \
             for as long as it is used",
        )
    }
}

impl std::error::Error for Gone {}

impl Registration {
    #[inline]
    fn slot(&self) -> &Slot {
        let slot = self.netpoll.slots.get(self.index);
        slot.expect("a slot that was taken is there")
    }

    fn token(&self) -> mio::Token {
        mio::Token((self.generation as usize) << 32 | self.index as usize)
    }

    /// Registers another source. As there is this one, somebody sees to events already.
    ///
    /// # Errors
    /// As for [`Netpoll::register`].
    pub(crate) fn beside<S: Source + ?Sized>(
        &self,
        source: &mut S,
        interest: mio::Interest,
        assumed: Readiness,
        room: Option<Room>,
    ) -> io::Result<Registration> {
        self.netpoll.register(source, interest, assumed, room)
    }

    /// Ends it. The slot is given back when it is dropped.
    ///
    /// # Errors
    /// If `source` is not what was registered.
    pub(crate) fn deregister<S: Source + ?Sized>(&self, source: &mut S) -> io::Result<()> {
        self.netpoll.open()?.registry.deregister(source)
    }

    /// What is known of `mask`.
    ///
    /// # Errors
    /// If the runtime is gone.
    #[inline]
    pub(crate) fn look(&self, mask: Readiness) -> io::Result<Event> {
        checked(self.slot().look(mask))
    }

    /// Takes back what `event` said, unless there was another one since; but for what is closed.
    #[inline]
    pub(crate) fn clear(&self, event: Event) {
        // What nobody asked for would never come back.
        self.ask_for_room(event.ready);
        self.slot().clear(event);
    }

    /// Takes back all that `event` said of one direction, unless there was another one since: its system call
    /// would have blocked.
    #[inline]
    pub(crate) fn refute(&self, event: Event) {
        self.ask_for_room(event.ready);
        self.slot().refute(event);
    }

    /// Asks for events of room, if something of them is in `mask` and they were left for later.
    #[inline]
    pub(crate) fn ask_for_room(&self, mask: Readiness) {
        const ROOM: Readiness = Readiness::WRITE.union(Readiness::MAY_WRITE);
        if let Some(room) = &self.room
            && mask.intersects(ROOM)
        {
            room.ask(&self.netpoll, self.token());
        }
    }

    /// Waits for something of `mask`; the last one who asked for this direction is woken.
    ///
    /// # Errors
    /// If the runtime is gone.
    #[inline]
    pub(crate) fn poll(
        &self,
        direction: Direction,
        mask: Readiness,
        cx: &Context<'_>,
    ) -> Poll<io::Result<Event>> {
        self.slot().poll(direction, mask, cx.waker()).map(checked)
    }

    /// Waits for something of `mask`, beside others: for those who keep the `key` themselves, and give
    /// it to [`forget`](Registration::forget) when they wait no more.
    ///
    /// # Errors
    /// If the runtime is gone.
    #[cfg(feature = "process")]
    pub(crate) fn poll_beside(
        &self,
        key: &mut Option<Key>,
        mask: Readiness,
        cx: &Context<'_>,
    ) -> Poll<io::Result<Event>> {
        self.slot().wait(key, mask, cx.waker()).map(checked)
    }

    /// As [`poll_beside`](Registration::poll_beside), for what an event tells all waiters alike: until
    /// `happened`, see [`Slot::wait_until`].
    ///
    /// # Errors
    /// If the runtime is gone.
    #[cfg(feature = "signal")]
    pub(crate) fn poll_until(
        &self,
        key: &mut Option<Key>,
        mask: Readiness,
        cx: &Context<'_>,
        happened: impl Fn() -> bool,
    ) -> Poll<io::Result<()>> {
        let ended = self.slot().wait_until(key, mask, cx.waker(), happened);
        ended.map(|shut| shut.map_or(Ok(()), |event| checked(event).map(drop)))
    }

    /// The waiter with `key` waits no more.
    #[cfg(feature = "signal")]
    pub(crate) fn forget(&self, key: Key) {
        self.slot().forget(key);
    }

    /// Waits for something of `mask`, beside others.
    pub(crate) fn wait(&self, mask: Readiness) -> Readied<'_> {
        Readied {
            slot: self.slot(),
            mask,
            key: None,
        }
    }
}

fn checked(event: Event) -> io::Result<Event> {
    if event.ready.intersects(Readiness::SHUT) {
        return Err(gone());
    }
    Ok(event)
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut wakers = Vec::new();
        self.slot().end(&mut wakers);
        self.netpoll.slots.give(self.index);
        // Ordering: Relaxed, who sees it too late asks for events in vain.
        self.netpoll.registered.fetch_sub(1, Ordering::Relaxed);
        // What remains of those who polled, and dropped it since.
        drop(wakers);
    }
}

/// The future of [`Registration::wait`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Readied<'a> {
    slot: &'a Slot,
    mask: Readiness,
    key: Option<Key>,
}

impl Future for Readied<'_> {
    type Output = io::Result<Event>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Event>> {
        let this = self.get_mut();
        let slot = this.slot;
        slot.wait(&mut this.key, this.mask, cx.waker()).map(checked)
    }
}

impl Drop for Readied<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.slot.forget(key);
        }
    }
}
