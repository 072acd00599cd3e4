//! A slot: what is known of one socket, and who waits for it.
//!
//! The state is one word. The poller adds bits to it and counts a tick; whoever meets `WouldBlock`
//! takes away the bits that misled it, unless the tick has moved on since it looked: then there was
//! an event after the look, which the system call may not have seen.
//!
//! **Waiting** (N) and **waking** (W) meet at the lock of the waiters:
//! - N1. Lock, leave the waker, look at the state once more; if it is ready, take the waker back.
//! - W1. Add the bits to the state.
//! - W2. Lock, take the wakers that the bits concern. They are woken after the lock is released.
//!
//! Of the two critical sections one comes first. If it is N1's, W2 finds the waker. If it is W2's,
//! N1 acquires what W1 wrote before it.
//!
//! Slots are used again and never freed while there is a netpoller. An event names the slot and
//! its generation, so that one for a socket that is gone changes nothing for the next one. Should
//! W2 meet the wakers of that next one all the same, they are woken for nothing.

use super::readiness::Readiness;
use crate::engine::primitive::{AtomicU64, Mutex, Ordering, lock};
use std::task::{Poll, Waker};

/// A snapshot of the state.
///
/// | bits | meaning |
/// |---|---|
/// | 0..16 | the [`Readiness`] |
/// | 16..32 | the tick: how many events there were, modulo 2^16 |
/// | 32..64 | the generation: how many sockets had the slot before |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State(u64);

const TICK: u64 = 1 << 16;
const GENERATION: u64 = 1 << 32;

impl State {
    #[inline]
    fn readiness(self) -> Readiness {
        Readiness::from_bits(self.0 as u16)
    }

    #[inline]
    fn tick(self) -> u16 {
        (self.0 >> 16) as u16
    }

    #[inline]
    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Of a socket of which no more is known.
    fn fresh(generation: u32, readiness: Readiness) -> State {
        State((u64::from(generation) * GENERATION) | u64::from(readiness.bits()))
    }

    /// With other bits and the next tick.
    fn after_event(self, readiness: Readiness) -> State {
        let tick = (u64::from(self.tick().wrapping_add(1))) * TICK;
        State((self.0 & !(GENERATION - 1)) | tick | u64::from(readiness.bits()))
    }

    fn with(self, readiness: Readiness) -> State {
        State((self.0 & !(TICK - 1)) | u64::from(readiness.bits()))
    }
}

/// What somebody saw of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// What it is ready for, of what was asked for.
    pub(crate) ready: Readiness,
    tick: u16,
}

impl Event {
    /// With no more than what is in `mask`.
    pub(crate) fn only(self, mask: Readiness) -> Event {
        Event {
            ready: self.ready & mask,
            ..self
        }
    }
}

/// One of the two directions in which a `poll_*` function waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// For data, connections, hang-ups.
    Read,
    /// For room.
    Write,
}

impl Direction {
    /// What ends the wait.
    #[inline]
    pub(crate) fn mask(self) -> Readiness {
        match self {
            Direction::Read => Readiness::READ,
            Direction::Write => Readiness::WRITE,
        }
    }

    /// What makes a system call worth a try.
    #[inline]
    pub(crate) fn try_mask(self) -> Readiness {
        match self {
            Direction::Read => Readiness::READ | Readiness::MAY_READ,
            Direction::Write => Readiness::WRITE | Readiness::MAY_WRITE,
        }
    }
}

/// Names one of several waiters of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

#[derive(Debug)]
struct Waiter {
    key: Key,
    mask: Readiness,
    waker: Waker,
}

/// Who waits.
#[derive(Debug, Default)]
struct Waiters {
    read: Option<Waker>,
    write: Option<Waker>,
    others: Vec<Waiter>,
    next: u64,
}

/// What is known of one socket, and who waits for it.
#[derive(Debug)]
pub(crate) struct Slot {
    state: AtomicU64,
    waiters: Mutex<Waiters>,
}

impl Slot {
    /// A slot that no socket has.
    pub(crate) fn new() -> Slot {
        Slot {
            state: AtomicU64::new(0),
            waiters: Mutex::new(Waiters::default()),
        }
    }

    /// For the socket that has the slot from now on: what it may be ready for. Its generation.
    pub(crate) fn begin(&self, assumed: Readiness) -> u32 {
        self.change(|state| State::fresh(state.generation(), assumed))
            .generation()
    }

    /// The socket is gone. Events that are on their way concern nobody. The wakers are the caller's
    /// to drop.
    pub(crate) fn end(&self, wakers: &mut Vec<Waker>) {
        self.change(|state| State::fresh(state.generation().wrapping_add(1), Readiness::EMPTY));
        take_all(&mut lock(&self.waiters), wakers);
    }

    /// Changes the state, for the socket that has the slot or is about to; what it was before.
    fn change(&self, f: impl Fn(State) -> State) -> State {
        let mut now = State(self.state.load(Ordering::Relaxed));
        loop {
            // Ordering: Relaxed, only what is in this word counts: an event for the socket before
            // changes nothing, for its generation is another.
            match self.state.compare_exchange_weak(
                now.0,
                f(now).0,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return now,
                Err(other) => now = State(other),
            }
        }
    }

    /// W1 and W2: adds what the system said about the socket of that generation.
    pub(crate) fn set(&self, generation: u32, ready: Readiness, wakers: &mut Vec<Waker>) {
        self.raise(Some(generation), ready, wakers);
    }

    fn raise(&self, generation: Option<u32>, ready: Readiness, wakers: &mut Vec<Waker>) {
        let mut now = State(self.state.load(Ordering::Relaxed));
        loop {
            if generation.is_some_and(|generation| generation != now.generation()) {
                return;
            }
            let next = now.after_event(now.readiness() | ready);
            // Ordering: Release, partner of the Acquire in `look`: who sees the bits sees what the
            // poller did before. For waiters the lock does it.
            match self.state.compare_exchange_weak(
                now.0,
                next.0,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(other) => now = State(other),
            }
        }
        let mut waiters = lock(&self.waiters);
        let waiters = &mut *waiters;
        if ready.intersects(Readiness::READ | Readiness::SHUT) {
            wakers.extend(waiters.read.take());
        }
        if ready.intersects(Readiness::WRITE | Readiness::SHUT) {
            wakers.extend(waiters.write.take());
        }
        let concerned = waiters
            .others
            .extract_if(.., |waiter| ready.intersects(waiter.mask | Readiness::SHUT));
        wakers.extend(concerned.map(|waiter| waiter.waker));
    }

    /// The runtime is gone: whoever waits is woken, and nobody waits any more.
    pub(crate) fn shut(&self, wakers: &mut Vec<Waker>) {
        self.raise(None, Readiness::SHUT, wakers);
    }

    /// What is known of `mask`.
    #[inline]
    pub(crate) fn look(&self, mask: Readiness) -> Event {
        // Ordering: Acquire, partner of the Release in `set`.
        let state = State(self.state.load(Ordering::Acquire));
        Event {
            ready: state.readiness() & (mask | Readiness::SHUT),
            tick: state.tick(),
        }
    }

    /// A system call left nothing for another, or would have blocked, whichever it was: takes back what `event`
    /// said, unless there was another event since; but for what is closed, which is an answer to the next call.
    pub(crate) fn clear(&self, event: Event) {
        self.take_back(event, event.ready.revocable());
    }

    /// The one system call of the direction that `event` is of would have blocked: takes back all that it said,
    /// unless there was another event since. There are sockets that are closed and yet have no other answer,
    /// such as one for datagrams after its `shutdown`: who tries again for as long as they are would never wait.
    pub(crate) fn refute(&self, event: Event) {
        self.take_back(event, event.ready - Readiness::SHUT);
    }

    fn take_back(&self, event: Event, bits: Readiness) {
        let bits = bits.with_guesses();
        let mut now = State(self.state.load(Ordering::Relaxed));
        loop {
            if now.tick() != event.tick {
                return;
            }
            let next = now.with(now.readiness() - bits);
            // Ordering: Relaxed: nothing is published. That a newer event is not lost rests on the
            // tick in the same word; the system call that found nothing came before this.
            match self.state.compare_exchange_weak(
                now.0,
                next.0,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(other) => now = State(other),
            }
        }
    }

    /// N1 for the one waiter of a direction: the last one who asked.
    pub(crate) fn poll(&self, direction: Direction, mask: Readiness, waker: &Waker) -> Poll<Event> {
        let event = self.look(mask);
        if !event.ready.is_empty() {
            return Poll::Ready(event);
        }
        // Wakers are the user's code, which may come back here: no lock is held where one is cloned or
        // dropped. An event has taken the last one, as a rule, so there is no look whether it will do.
        let fresh = waker.clone();
        let mut waiters = lock(&self.waiters);
        let event = self.look(mask);
        if !event.ready.is_empty() {
            drop(waiters);
            return Poll::Ready(event);
        }
        let place = match direction {
            Direction::Read => &mut waiters.read,
            Direction::Write => &mut waiters.write,
        };
        let old = place.replace(fresh);
        drop(waiters);
        drop(old);
        Poll::Pending
    }

    /// N1 for one of several waiters, which has `key` while it waits and gives it back to
    /// [`forget`](Slot::forget) if it does not wait to the end.
    pub(crate) fn wait(
        &self,
        key: &mut Option<Key>,
        mask: Readiness,
        waker: &Waker,
    ) -> Poll<Event> {
        let event = self.look(mask);
        if !event.ready.is_empty() {
            return Poll::Ready(event);
        }
        // Cloned before the lock is taken if it is sure to be needed.
        let mut fresh = key.is_none().then(|| waker.clone());
        loop {
            let mut waiters = lock(&self.waiters);
            let event = self.look(mask);
            if !event.ready.is_empty() {
                return Poll::Ready(event);
            }
            let mine = waiters.others.iter_mut().find(|w| Some(w.key) == *key);
            if let Some(mine) = &mine
                && mine.waker.will_wake(waker)
            {
                return Poll::Pending;
            }
            let Some(waker) = fresh.take() else {
                drop(waiters);
                fresh = Some(waker.clone());
                continue;
            };
            let old = match mine {
                Some(mine) => Some(std::mem::replace(&mut mine.waker, waker)),
                None => {
                    let next = Key(waiters.next);
                    waiters.next += 1;
                    *key = Some(next);
                    waiters.others.push(Waiter {
                        key: next,
                        mask,
                        waker,
                    });
                    None
                }
            };
            drop(waiters);
            drop(old);
            return Poll::Pending;
        }
    }

    /// As [`wait`](Slot::wait), until `happened` says so, of which an event tells all waiters alike, and
    /// which each of them asks in its own way. The event itself is taken back.
    ///
    /// It is asked again after the waker was left: one waiter may ask in vain, then it happens, and
    /// another, who was told already, takes the event back before the first comes to N1. Who finds the
    /// event taken back finds what it told of. `Ready` with an event if that one ends all waits.
    #[cfg(any(feature = "signal", all(test, loom)))]
    pub(crate) fn wait_until(
        &self,
        key: &mut Option<Key>,
        mask: Readiness,
        waker: &Waker,
        happened: impl Fn() -> bool,
    ) -> Poll<Option<Event>> {
        loop {
            if happened() {
                return Poll::Ready(None);
            }
            match self.wait(key, mask, waker) {
                Poll::Ready(event) if event.ready.intersects(Readiness::SHUT) => {
                    return Poll::Ready(Some(event));
                }
                Poll::Ready(event) => self.clear(event),
                Poll::Pending if happened() => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The waiter does not wait any more.
    pub(crate) fn forget(&self, key: Key) {
        let mut waiters = lock(&self.waiters);
        let mine = waiters.others.iter().position(|w| w.key == key);
        let waiter = mine.map(|i| waiters.others.swap_remove(i));
        drop(waiters);
        drop(waiter);
    }

    /// Whether nobody waits.
    #[cfg(all(test, loom))]
    pub(crate) fn is_free(&self) -> bool {
        let waiters = lock(&self.waiters);
        waiters.read.is_none() && waiters.write.is_none() && waiters.others.is_empty()
    }
}

fn take_all(waiters: &mut Waiters, wakers: &mut Vec<Waker>) {
    wakers.extend(waiters.read.take());
    wakers.extend(waiters.write.take());
    wakers.extend(waiters.others.drain(..).map(|waiter| waiter.waker));
}
