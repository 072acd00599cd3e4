//! Futures that are polled only after their own waker was called.
//!
//! # How a future that is ready reaches whoever awaits it
//!
//! Awaiting one of n futures must not cost a poll of all n. So each gets a waker of its own, and
//! only those whose waker was called are polled.
//!
//! 1. [`insert`](Slots::insert) puts the future into a slot and polls it once, with the slot's
//!    waker. From then on it knows whom to wake.
//! 2. The future becomes ready and the slot's waker is called. Under the lock it marks the slot
//!    as queued (if it is already, that is all), appends its index to the queue, and takes the
//!    waker of whoever awaits, the *joiner*. It calls that one after it let go of the lock.
//! 3. The joiner takes an index from the queue, clears the mark in the same breath, and only then
//!    polls the future: a wake that comes during the poll queues the slot again.
//! 4. A joiner that finds the queue empty leaves its waker under the very lock under which it
//!    looked. Whoever queues a slot later finds the waker there; nothing falls in between.
//!
//! A wake is a hint. It makes the joiner look at a slot; what it finds there decides. So it does
//! no harm when a waker is called before the future is ready, or twice, or when it outlives its
//! future and queues the slot's next one: the joiner looks once for nothing. Therefore a slot
//! keeps its waker from one future to the next, which saves an allocation each. Wakers with a
//! generation number, which could tell stale wakes from fresh ones, were considered: they cost the
//! lock on every insert, and spare a poll that almost never happens.
//!
//! No foreign code (futures, outputs, other wakers, their drops) runs under the lock.

use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use crate::engine::util::panics::{caught, discard};

/// Vacant slots that keep their waker, and the size up to which an emptied set keeps its memory.
/// A guess: it spares sets that breathe within this size every allocation, and costs the others a
/// few KiB.
const SPARE: usize = 64;

/// Slots a single poll looks at for nothing before it lets others run. A guess: only an abort of
/// everything wakes many futures that are not ready.
const LOOKS_PER_POLL: usize = 64;

/// The futures, and what those of them that are ready came to.
pub(super) struct Slots<F: Future> {
    /// The futures, and vacancies between them.
    slots: Vec<Slot<F>>,
    /// Indices of the vacancies. The latest is filled first.
    vacant: Vec<usize>,
    /// What the slots' wakers write to.
    shared: Arc<Shared>,
}

/// A place for a future.
struct Slot<F: Future> {
    /// Queues this slot. `Some` from the first future on, until the slot is one vacancy too many.
    waker: Option<Waker>,
    state: State<F>,
}

enum State<F: Future> {
    Vacant,
    Waiting(F),
    /// Was ready when it was polled in `insert`. Boxed because it is rare; in a mutex that is
    /// never locked, so that sharing the set between threads asks no more of the output than
    /// sending it.
    Ready(Box<Mutex<(F, F::Output)>>),
}

impl<F: Future + Unpin> Slots<F> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            shared: Arc::default(),
        }
    }

    /// Futures that have not been handed out.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    /// The futures that were not ready when they were last polled.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &F> {
        self.slots.iter().filter_map(|slot| match &slot.state {
            State::Waiting(future) => Some(future),
            State::Vacant | State::Ready(_) => None,
        })
    }

    /// Step 1: puts a future into a slot and makes it wake that slot.
    pub(super) fn insert(&mut self, future: F) {
        let index = match self.vacant.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot {
                    waker: None,
                    state: State::Vacant,
                });
                self.shared.add_slot()
            }
        };
        let slot = &mut self.slots[index];
        slot.state = State::Waiting(future);
        if slot.waker.is_none() {
            slot.waker = Some(Waker::from(Arc::new(SlotWaker {
                shared: Arc::clone(&self.shared),
                index,
            })));
        }
        if let Poll::Ready(outcome) = slot.poll() {
            slot.state = State::Ready(Box::new(Mutex::new(outcome)));
            self.shared.push(index);
        }
    }

    /// Hands out the future that became ready first, with its output.
    ///
    /// `Pending` when none is ready, also when there are none at all. The waker in `cx` is then
    /// the one that is called, and no other.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(F, F::Output)> {
        for _ in 0..LOOKS_PER_POLL {
            let Some(index) = self.shared.pop_or_register(cx.waker()) else {
                return Poll::Pending;
            };
            if let Poll::Ready(outcome) = self.look(index) {
                return Poll::Ready(outcome);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hands out the future that became ready first, if there is one.
    pub(super) fn try_next(&mut self) -> Option<(F, F::Output)> {
        // Not until the queue is empty: it may be filled as fast as this looks through it.
        let queued = self.shared.lock().ready.len();
        for _ in 0..queued {
            let index = self.shared.lock().pop()?;
            if let Poll::Ready(outcome) = self.look(index) {
                return Some(outcome);
            }
        }
        None
    }

    /// Step 3: polls the future in a slot, and vacates the slot if it is ready.
    fn look(&mut self, index: usize) -> Poll<(F, F::Output)> {
        let slot = &mut self.slots[index];
        let outcome = ready!(slot.poll());
        if self.vacant.len() >= SPARE {
            slot.waker = None;
        }
        self.vacant.push(index);
        if self.len() == 0 && self.slots.len() > SPARE {
            // Give back what a burst of futures took.
            self.clear();
        }
        Poll::Ready(outcome)
    }

    /// Drops all futures.
    pub(super) fn clear(&mut self) {
        self.forget_joiner();
        // Wakers of the old slots go on writing to the old queue, which nobody reads.
        self.shared = Arc::default();
        self.vacant = Vec::new();
        drop(mem::take(&mut self.slots));
    }

    /// Whoever awaits will not be woken, unless it polls again.
    pub(super) fn forget_joiner(&self) {
        // The guard ends with the first statement, so that the waker is dropped unlocked.
        let joiner = self.shared.lock().joiner.take();
        drop(joiner);
    }
}

impl<F: Future + Unpin> Slot<F> {
    /// Polls the future. When it is ready, it leaves with its output and the slot is vacant.
    fn poll(&mut self) -> Poll<(F, F::Output)> {
        let ready = match &mut self.state {
            // The wake was meant for a future that is gone.
            State::Vacant => return Poll::Pending,
            State::Waiting(future) => {
                let waker = self.waker.as_ref().expect("a filled slot has a waker");
                Some(ready!(
                    Pin::new(future).poll(&mut Context::from_waker(waker))
                ))
            }
            State::Ready(_) => None,
        };
        match (mem::replace(&mut self.state, State::Vacant), ready) {
            (State::Waiting(future), Some(output)) => Poll::Ready((future, output)),
            (State::Ready(outcome), _) => {
                Poll::Ready(outcome.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
            _ => unreachable!("the state cannot change between the two matches"),
        }
    }
}

/// What the slots' wakers and the joiner have in common.
#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// Indices of the slots whose waker was called, the first first.
    ready: VecDeque<usize>,
    /// For each slot, whether it is in `ready`.
    queued: Vec<bool>,
    /// Whom to wake when `ready` gets an index. `Some` only while it is empty.
    joiner: Option<Waker>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Only an allocation can panic under this lock, and it leaves the queue whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for one more slot and returns its index.
    fn add_slot(&self) -> usize {
        let mut queue = self.lock();
        queue.queued.push(false);
        queue.queued.len() - 1
    }

    /// Step 2: queues a slot and wakes the joiner.
    fn push(&self, index: usize) {
        let mut queue = self.lock();
        if mem::replace(&mut queue.queued[index], true) {
            return;
        }
        queue.ready.push_back(index);
        let joiner = queue.joiner.take();
        drop(queue);
        if let Some(joiner) = joiner
            && let Err(payload) = caught(|| joiner.wake())
        {
            // The panic is the joiner's, and was reported by the panic hook. This is often the end
            // of a task that has nothing to do with it.
            discard(payload);
        }
    }

    /// Steps 3 and 4: takes the slot that was queued first, or leaves the joiner's waker.
    fn pop_or_register(&self, joiner: &Waker) -> Option<usize> {
        let mut clone = None;
        loop {
            let mut queue = self.lock();
            if let Some(index) = queue.pop() {
                return Some(index);
            }
            if let Some(present) = &queue.joiner
                && present.will_wake(joiner)
            {
                return None;
            }
            if clone.is_some() {
                // The guard goes first, then the former joiner, now in `clone`.
                mem::swap(&mut queue.joiner, &mut clone);
                return None;
            }
            // Cloning is foreign code: unlock, and look again afterwards.
            drop(queue);
            clone = Some(joiner.clone());
        }
    }
}

impl Queue {
    fn pop(&mut self) -> Option<usize> {
        let index = self.ready.pop_front()?;
        self.queued[index] = false;
        Some(index)
    }
}

/// A slot's waker.
///
/// Neither a wake nor its drop ever panics: panics of the joiner's waker end in
/// [`push`](Shared::push), and the set takes the joiner's waker out before it lets go of `shared`.
struct SlotWaker {
    shared: Arc<Shared>,
    index: usize,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.shared.push(self.index);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.shared.push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::thread;

    /// What a test holds of a future in the set.
    #[derive(Clone, Default)]
    struct Remote(Arc<Mutex<Inside>>);

    #[derive(Default)]
    struct Inside {
        output: Option<u32>,
        waker: Option<Waker>,
        polls: usize,
        drops: usize,
    }

    impl Remote {
        fn inside(&self) -> MutexGuard<'_, Inside> {
            self.0.lock().unwrap()
        }

        fn future(&self) -> Local {
            Local(self.clone())
        }

        fn complete(&self, output: u32) {
            self.inside().output = Some(output);
            self.wake();
        }

        fn wake(&self) {
            let waker = self.inside().waker.clone().expect("polled before");
            waker.wake();
        }

        fn polls(&self) -> usize {
            self.inside().polls
        }
    }

    /// The future itself. Counts its polls and its drop.
    struct Local(Remote);

    impl Future for Local {
        type Output = u32;

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
            let mut inside = self.0.inside();
            inside.polls += 1;
            inside.waker = Some(cx.waker().clone());
            inside.output.take().map_or(Poll::Pending, Poll::Ready)
        }
    }

    impl Drop for Local {
        fn drop(&mut self) {
            self.0.inside().drops += 1;
        }
    }

    #[derive(Default)]
    struct CountWakes(Mutex<usize>);

    impl Wake for CountWakes {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() += 1;
        }
    }

    impl CountWakes {
        fn count(&self) -> usize {
            *self.0.lock().unwrap()
        }
    }

    fn filled(n: usize) -> (Slots<Local>, Vec<Remote>) {
        let mut slots = Slots::new();
        let remotes: Vec<_> = (0..n).map(|_| Remote::default()).collect();
        for remote in &remotes {
            slots.insert(remote.future());
        }
        (slots, remotes)
    }

    fn poll(slots: &mut Slots<Local>, joiner: &Arc<CountWakes>) -> Poll<u32> {
        let waker = Waker::from(Arc::clone(joiner));
        slots
            .poll_next(&mut Context::from_waker(&waker))
            .map(|(_, output)| output)
    }

    #[test]
    fn one_that_is_ready_costs_no_poll_of_the_others() {
        let joiner = Arc::default();
        let (mut slots, remotes) = filled(1_000);
        assert_eq!(poll(&mut slots, &joiner), Poll::Pending);
        remotes[700].complete(7);
        assert_eq!(poll(&mut slots, &joiner), Poll::Ready(7));
        assert_eq!(poll(&mut slots, &joiner), Poll::Pending);
        for (index, remote) in remotes.iter().enumerate() {
            assert_eq!(remote.polls(), 1 + usize::from(index == 700));
        }
    }

    #[test]
    fn outputs_come_in_the_order_of_the_wakes() {
        let (mut slots, remotes) = filled(3);
        for index in [2, 0, 1] {
            remotes[index as usize].complete(index);
        }
        let order: Vec<_> = std::iter::from_fn(|| slots.try_next())
            .map(|(_, output)| output)
            .collect();
        assert_eq!(order, [2, 0, 1]);
    }

    #[test]
    fn the_joiner_is_woken_once_for_all_that_happened_since_its_poll() {
        let joiner = Arc::<CountWakes>::default();
        let (mut slots, remotes) = filled(3);
        remotes[0].wake();
        assert_eq!(joiner.count(), 0);
        assert_eq!(poll(&mut slots, &joiner), Poll::Pending);
        for remote in &remotes {
            remote.complete(1);
        }
        assert_eq!(joiner.count(), 1);
    }

    #[test]
    fn only_the_joiner_that_polled_last_is_woken() {
        let (first, second) = (Arc::<CountWakes>::default(), Arc::<CountWakes>::default());
        let (mut slots, remotes) = filled(1);
        assert_eq!(poll(&mut slots, &first), Poll::Pending);
        assert_eq!(poll(&mut slots, &second), Poll::Pending);
        assert_eq!(Arc::strong_count(&first), 1);
        remotes[0].complete(1);
        assert_eq!((first.count(), second.count()), (0, 1));
    }

    #[test]
    fn a_wake_before_the_future_is_ready_costs_one_look() {
        let joiner = Arc::<CountWakes>::default();
        let (mut slots, remotes) = filled(2);
        assert_eq!(poll(&mut slots, &joiner), Poll::Pending);
        remotes[0].wake();
        remotes[0].wake();
        remotes[1].complete(1);
        assert_eq!(poll(&mut slots, &joiner), Poll::Ready(1));
        assert_eq!(remotes[0].polls(), 2);
        remotes[0].complete(0);
        assert_eq!(poll(&mut slots, &joiner), Poll::Ready(0));
    }

    #[test]
    fn a_wake_during_the_poll_is_not_lost() {
        /// Ready on its third poll. Wakes itself on the second, before that poll ends.
        struct WakesItself(usize);
        impl Future for WakesItself {
            type Output = ();
            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
                self.0 += 1;
                if self.0 == 3 {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
        let mut slots = Slots::new();
        slots.insert(WakesItself(0));
        let waker = Waker::noop();
        assert!(slots.poll_next(&mut Context::from_waker(waker)).is_ready());
    }

    #[test]
    fn futures_that_wake_without_end_do_not_hold_the_joiner() {
        struct WakesForever;
        impl Future for WakesForever {
            type Output = ();
            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
        let joiner = Arc::<CountWakes>::default();
        let waker = Waker::from(Arc::clone(&joiner));
        let mut slots = Slots::new();
        slots.insert(WakesForever);
        assert!(
            slots
                .poll_next(&mut Context::from_waker(&waker))
                .is_pending()
        );
        assert_eq!(joiner.count(), 1);
        assert!(slots.try_next().is_none());
    }

    #[test]
    fn a_waker_that_outlives_its_future_does_no_harm() {
        let joiner = Arc::<CountWakes>::default();
        let (mut slots, remotes) = filled(1);
        let stale = remotes[0].inside().waker.clone().unwrap();
        remotes[0].complete(1);
        assert_eq!(poll(&mut slots, &joiner), Poll::Ready(1));

        // On a vacant slot.
        stale.wake_by_ref();
        assert_eq!(poll(&mut slots, &joiner), Poll::Pending);

        // On the slot's next future.
        let next = Remote::default();
        slots.insert(next.future());
        stale.wake_by_ref();
        assert_eq!(poll(&mut slots, &joiner), Poll::Pending);
        next.complete(2);
        assert_eq!(poll(&mut slots, &joiner), Poll::Ready(2));

        // On a slot that is no more.
        let last = Remote::default();
        slots.insert(last.future());
        slots.clear();
        stale.wake_by_ref();
        last.wake();
        assert_eq!(slots.len(), 0);
        assert!(slots.try_next().is_none());
        assert_eq!(last.inside().drops, 1);
    }

    #[test]
    fn one_that_is_ready_at_once_wakes_the_joiner() {
        let joiner = Arc::<CountWakes>::default();
        let (mut slots, remotes) = filled(1);
        assert_eq!(poll(&mut slots, &joiner), Poll::Pending);
        let ready = Remote::default();
        ready.inside().output = Some(5);
        slots.insert(ready.future());
        assert_eq!(joiner.count(), 1);
        assert_eq!(slots.waiting().count(), 1);
        assert_eq!(poll(&mut slots, &joiner), Poll::Ready(5));
        assert_eq!(slots.len(), 1);
        assert_eq!((ready.polls(), remotes[0].polls()), (1, 1));
    }

    #[test]
    fn slots_and_their_wakers_are_used_again() {
        let (mut slots, remotes) = filled(1);
        remotes[0].complete(0);
        assert!(slots.try_next().is_some());
        for _ in 0..1_000 {
            let next = Remote::default();
            slots.insert(next.future());
            let same = next
                .inside()
                .waker
                .as_ref()
                .unwrap()
                .will_wake(remotes[0].inside().waker.as_ref().unwrap());
            assert!(same);
            next.complete(1);
            assert!(slots.try_next().is_some());
        }
        assert_eq!(slots.slots.len(), 1);
    }

    #[test]
    fn the_memory_of_a_burst_is_given_back() {
        let (mut slots, remotes) = filled(10 * SPARE);
        // As long as one is left, surplus slots at least lose their wakers.
        for remote in &remotes[1..] {
            remote.complete(0);
        }
        while slots.try_next().is_some() {}
        let with_waker = slots.slots.iter().filter(|slot| slot.waker.is_some());
        assert_eq!(with_waker.count(), 1 + SPARE);
        // They get new ones when they are needed again.
        let again: Vec<_> = (0..2 * SPARE).map(|_| Remote::default()).collect();
        for remote in &again {
            slots.insert(remote.future());
        }
        for remote in &again {
            remote.complete(1);
        }
        assert_eq!(std::iter::from_fn(|| slots.try_next()).count(), 2 * SPARE);

        remotes[0].complete(0);
        assert!(slots.try_next().is_some());
        assert_eq!(slots.slots.capacity(), 0);
        assert_eq!(slots.shared.lock().queued.capacity(), 0);
        for remote in remotes.iter().chain(&again) {
            assert_eq!(remote.inside().drops, 1);
        }
    }

    #[test]
    fn a_forgotten_joiner_is_dropped_and_not_woken() {
        let joiner = Arc::<CountWakes>::default();
        let (mut slots, remotes) = filled(1);
        assert_eq!(poll(&mut slots, &joiner), Poll::Pending);
        assert_eq!(Arc::strong_count(&joiner), 2);
        slots.forget_joiner();
        assert_eq!(Arc::strong_count(&joiner), 1);
        remotes[0].complete(1);
        assert_eq!(joiner.count(), 0);
        assert_eq!(poll(&mut slots, &joiner), Poll::Ready(1));
    }

    #[test]
    fn a_joiner_whose_waker_panics_does_not_hurt_who_wakes_it() {
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("the joiner's own fault");
            }
        }
        let (mut slots, remotes) = filled(1);
        let waker = Waker::from(Arc::new(Panics));
        let mut cx = Context::from_waker(&waker);
        assert!(slots.poll_next(&mut cx).is_pending());
        remotes[0].complete(1);
        assert!(matches!(slots.poll_next(&mut cx), Poll::Ready((_, 1))));
    }

    #[test]
    fn no_wake_is_lost_between_threads() {
        struct Unpark(thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        const FUTURES: usize = 2_000;
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let (mut slots, remotes) = filled(FUTURES);
        thread::scope(|scope| {
            for part in remotes.chunks(FUTURES / 4) {
                scope.spawn(move || {
                    for remote in part {
                        remote.wake();
                        remote.complete(1);
                    }
                });
            }
            let mut joined = 0;
            let mut seen = HashSet::new();
            while slots.len() > 0 {
                match slots.poll_next(&mut Context::from_waker(&waker)) {
                    Poll::Ready((future, output)) => {
                        joined += output;
                        assert!(seen.insert(Arc::as_ptr(&future.0.0)));
                    }
                    // Lost, the wake would leave this thread here for ever.
                    Poll::Pending => thread::park(),
                }
            }
            assert_eq!(joined as usize, FUTURES);
        });
    }
}
