//! A small scheduler: the real [`Idle`] and [`Ring`], and around them the steps S1 to S3 and P1 to
//! P4 as `scheduler/{schedule,wake,park,find}.rs` take them. Threads do not sleep in it; a thread
//! that would ends, and what became of it is seen in the end.

use super::super::model::Seen;
use crate::engine::idle::{Idle, Unspun};
use crate::engine::queue::{Overflow, RawG, Ring, Runnext};
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};

/// How a submitter without a P does S2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fence {
    /// As it should be.
    SeqCst,
    /// Not at all: what a push to the submitter's own ring may do, and another must not.
    Left,
}

/// What an M does when it has got its first G.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poll {
    /// Comes back from it at once.
    Short,
    /// Never comes back.
    Endless,
}

/// How an M ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Asleep,
    /// In a poll, with its P.
    Busy,
}

/// A P, and whether its holder is counted as spinning.
pub(super) type Held = (usize, bool);

/// The global queue, with no more ordering than `Global` promises: after a SeqCst fence `is_empty`
/// does not miss a push that was followed by one.
///
/// `Global` counts a G shortly before it can be taken, and an M that comes in between looks again
/// until it can. Loom does not wait for that, as its threads need not ever get on; so here a G is
/// counted and there at once.
struct Global(AtomicUsize);

impl Global {
    fn push(&self, count: usize) {
        self.0.fetch_add(count, Ordering::Release);
    }

    fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn take(&self) -> bool {
        let pop = |len: usize| len.checked_sub(1);
        let popped = self
            .0
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, pop);
        popped.is_ok()
    }
}

impl Overflow for Global {
    fn overflow(&self, batch: &[RawG]) {
        self.push(batch.len());
    }
}

/// In which interleavings did the protocol get where?
pub(super) struct Paths {
    /// P3 saw work.
    pub(super) looked_again: Seen,
    /// An M was taken off the list and given a P.
    pub(super) ordered: Seen,
    /// An M with an order was told so by P3.
    pub(super) obeyed: Seen,
    /// A claimed P was given back, because there was no M for it.
    pub(super) undone: Seen,
    /// And then an M came, so that it was tried again.
    pub(super) tried_again: Seen,
}

impl Paths {
    pub(super) const fn new() -> Paths {
        Paths {
            looked_again: Seen::new(),
            ordered: Seen::new(),
            obeyed: Seen::new(),
            undone: Seen::new(),
            tried_again: Seen::new(),
        }
    }
}

pub(super) struct World {
    pub(super) idle: Idle,
    procs: usize,
    /// One for each P, or none at all in models that need none: they take loom a lot of time.
    rings: Vec<Ring>,
    runnexts: Vec<Runnext>,
    global: Global,
    /// The Ms on the list, and the orders given to them: 0, or twice the P and whether it spins,
    /// plus 2.
    parked: Mutex<Vec<usize>>,
    orders: Vec<AtomicU32>,
    pub(super) fence: Fence,
    paths: &'static Paths,
    /// How many Ms were started, in models that number them so.
    pub(super) started: Seen,
    /// How many Gs were polled, and how many Ms are busy with one for ever.
    pub(super) ran: Seen,
    pub(super) busy: Seen,
}

impl World {
    pub(super) fn new(procs: usize, ms: usize, paths: &'static Paths) -> World {
        World {
            idle: Idle::new(procs),
            procs,
            rings: Vec::new(),
            runnexts: Vec::new(),
            global: Global(AtomicUsize::new(0)),
            parked: Mutex::new(Vec::new()),
            orders: (0..ms).map(|_| AtomicU32::new(0)).collect(),
            fence: Fence::SeqCst,
            paths,
            started: Seen::new(),
            ran: Seen::new(),
            busy: Seen::new(),
        }
    }

    pub(super) fn with_runnexts(self) -> World {
        World {
            runnexts: (0..self.procs).map(|_| Runnext::default()).collect(),
            ..self
        }
    }

    pub(super) fn with_rings(self) -> World {
        World {
            rings: (0..self.procs).map(|_| Ring::new()).collect(),
            ..self
        }
    }

    // ---- Submitting: `schedule.rs` and `wake.rs` ----

    /// S1 to S3 for a thread without a P: one G.
    pub(super) fn inject(&self) {
        self.global.push(1);
        let wants = match self.fence {
            Fence::SeqCst => self.idle.wants_wake_fenced(),
            Fence::Left => self.idle.wants_wake(),
        };
        if wants {
            self.wakep();
        }
    }

    /// S1 to S3 for the holder of `pp`: one G.
    pub(super) fn push_local(&self, pp: usize) {
        // SAFETY: the calling thread holds `pp`.
        unsafe { self.rings[pp].push(RawG::dangling(), &self.global) };
        if self.idle.wants_wake() && self.rings[pp].len() > 1 {
            self.wakep();
        }
    }

    /// As `push_local`, into an empty runnext.
    pub(super) fn push_runnext(&self, pp: usize) {
        let before = self.runnexts[pp].replace(RawG::dangling());
        assert_eq!(before, None);
    }

    pub(super) fn wakep(&self) {
        let mut again = false;
        while let Some(pp) = self.idle.claim_to_wake() {
            self.paths.tried_again.note_if(again);
            if self.startm(pp, true) || !self.any_parked() {
                return;
            }
            again = true;
        }
    }

    fn startm(&self, pp: usize, spinning: bool) -> bool {
        let m = self.parked.lock().unwrap().pop();
        if let Some(m) = m {
            self.paths.ordered.note();
            let order = 2 * pp as u32 + u32::from(spinning) + 2;
            let before = self.orders[m].swap(order, Ordering::Release);
            assert_eq!(before, 0, "M {m} was given two orders");
            return true;
        }
        // Nor can a thread be started.
        self.paths.undone.note();
        self.idle.release(pp, spinning);
        false
    }

    fn any_parked(&self) -> bool {
        !self.parked.lock().unwrap().is_empty()
    }

    /// A thread gives up `pp` to do something else.
    pub(super) fn handoff(&self, pp: usize) {
        if self.has_local(pp) || self.has_runnext(pp) || !self.global.is_empty() {
            self.startm(pp, false);
        } else {
            self.idle.release(pp, false);
        }
        if self.work_visible() && self.idle.wants_wake() {
            self.wakep();
        }
    }

    pub(super) fn has_local(&self, pp: usize) -> bool {
        self.rings.get(pp).is_some_and(|ring| !ring.is_empty())
    }

    fn has_runnext(&self, pp: usize) -> bool {
        self.runnexts.get(pp).is_some_and(|next| !next.is_empty())
    }

    /// The runnext of a P that somebody holds does not count.
    fn work_visible(&self) -> bool {
        let ready =
            |pp: usize| self.has_local(pp) || (self.has_runnext(pp) && self.idle.is_idle(pp));
        !self.global.is_empty() || (0..self.procs).any(ready)
    }

    // ---- Running: `find.rs` ----

    /// M `m`, which holds `pp` or nothing, until it would sleep.
    pub(super) fn machine(&self, m: usize, mut held: Option<Held>, poll: Poll) -> End {
        loop {
            if let Some((pp, spinning)) = held {
                let Some(spinning) = self.run(pp, spinning, poll) else {
                    return End::Busy;
                };
                held = Some((pp, spinning));
            }
            held = self.park(m, held);
            if held.is_none() {
                return End::Asleep;
            }
        }
    }

    /// M `m`, which finds nothing in its ring and in the global queue, and others spin.
    pub(super) fn end_without_spinning(&self, m: usize, pp: usize) {
        let held = if self.global.take() {
            self.ran.note();
            Some((pp, false))
        } else {
            self.park(m, Some((pp, false)))
        };
        if held.is_some() {
            assert_eq!(self.machine(m, held, Poll::Short), End::Asleep);
        }
    }

    /// Runs Gs with `pp` until there are none; whether it spins then. `None`: it is busy for ever.
    fn run(&self, pp: usize, mut spinning: bool, poll: Poll) -> Option<bool> {
        loop {
            if !self.next(pp) && !self.find(pp, &mut spinning) {
                return Some(spinning);
            }
            self.begin_turn(pp, &mut spinning);
            self.ran.note();
            if poll == Poll::Endless {
                self.busy.note();
                return None;
            }
        }
    }

    /// What an M that has got a G does before it polls it.
    pub(super) fn begin_turn(&self, pp: usize, spinning: &mut bool) {
        if *spinning {
            *spinning = false;
            if self.idle.stop_spinning() == Unspun::Last && self.work_visible() {
                self.wakep();
            }
        } else if self.has_local(pp) && self.idle.wants_wake() {
            self.wakep();
        }
    }

    /// Takes a G out of the own runnext or ring.
    pub(super) fn next(&self, pp: usize) -> bool {
        if self.runnexts.get(pp).and_then(Runnext::take).is_some() {
            return true;
        }
        // SAFETY: the calling thread holds `pp`.
        let pop = |ring: &Ring| unsafe { ring.pop() };
        self.rings.get(pp).and_then(pop).is_some()
    }

    fn find(&self, pp: usize, spinning: &mut bool) -> bool {
        if self.global.take() {
            return true;
        }
        if !*spinning {
            if !self.idle.start_spinning() {
                return false;
            }
            *spinning = true;
        }
        // One round; more of them only make parking less likely.
        let stolen = self.rings.iter().enumerate().any(|(victim, ring)| {
            // SAFETY: the calling thread holds `pp`, which is not the victim.
            victim != pp && unsafe { ring.steal_into(&self.rings[pp], usize::MAX) }.is_some()
        });
        stolen || self.global.take()
    }

    // ---- Parking: `park.rs` ----

    /// P1: goes on the list.
    pub(super) fn list(&self, m: usize) {
        self.parked.lock().unwrap().push(m);
    }

    /// P1 to P4. What it is to hold from now on; `None`: it sleeps.
    fn park(&self, m: usize, held: Option<Held>) -> Option<Held> {
        self.list(m);
        // P2.
        match held {
            Some((pp, spinning)) => self.idle.release(pp, spinning),
            None => fence(Ordering::SeqCst),
        }
        // P3.
        loop {
            let work = self.work_visible() && self.idle.counts().idle() > 0;
            if !work {
                return None;
            }
            self.paths.looked_again.note();
            if !self.unlist(m) {
                let order = self.take_order(m);
                self.paths.obeyed.note_if(order.is_some());
                return order;
            }
            if let Some(pp) = self.idle.claim_spinning() {
                return Some((pp, true));
            }
            self.list(m);
        }
    }

    fn unlist(&self, m: usize) -> bool {
        let mut parked = self.parked.lock().unwrap();
        let at = parked.iter().rposition(|&other| other == m);
        at.map(|at| parked.remove(at)).is_some()
    }

    fn take_order(&self, m: usize) -> Option<Held> {
        let order = self.orders[m].load(Ordering::Acquire);
        if order != 0 {
            self.orders[m].store(0, Ordering::Relaxed);
        }
        let order = order.checked_sub(2)?;
        Some((order as usize / 2, order % 2 == 1))
    }

    // ---- The end of a model, when all threads have ended ----

    /// Fails if a G is queued, a P idle, an M asleep, and nobody on the way.
    pub(super) fn expect_nobody_forgotten(&self) {
        let forgotten = self.work_visible()
            && !self.any_order()
            && self.idle.counts().idle() > 0
            && self.any_parked();
        assert!(!forgotten, "a G is left, and nobody was woken for it");
    }

    /// Lets the Ms that were woken run on, one after the other, and fails if one of `gs` Gs was
    /// lost or polled twice, or a P or a spinner is not accounted for.
    pub(super) fn settle(&self, gs: usize) {
        self.expect_nobody_forgotten();
        while let Some(m) = (0..self.orders.len()).find(|&m| self.is_ordered(m)) {
            let held = self.take_order(m);
            assert_eq!(self.machine(m, held, Poll::Short), End::Asleep);
        }
        assert_eq!(self.ran.count(), gs, "Gs polled");
        let counts = self.idle.counts();
        let idle = self.procs - self.busy.count();
        assert_eq!(
            (counts.idle(), counts.spinning()),
            (idle, 0),
            "idle, spinning"
        );
    }

    pub(super) fn is_ordered(&self, m: usize) -> bool {
        self.orders[m].load(Ordering::Relaxed) != 0
    }

    pub(super) fn any_order(&self) -> bool {
        (0..self.orders.len()).any(|m| self.is_ordered(m))
    }
}
