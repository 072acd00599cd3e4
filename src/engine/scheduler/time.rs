//! Timers: whom they wake, and who sees to it.
//!
//! A timer belongs to the P on which it was last set, or, where there is no P at hand, to any. It
//! is taken out when it is due
//! - by the holder of its P, every `event_interval` turns and whenever it has nothing queued;
//! - by any M that is about to park;
//! - by an M that sleeps. It sleeps no longer than until the earliest timer of all Ps, and takes a
//!   P and the timers that are due; or the timers alone, if no P is idle.
//!
//! Those who have nothing else to do [rest](super::pace) where timers come thick.
//!
//! Parking comes in again as in the essay in `scheduler/mod.rs`. Whoever sets a timer on a P that it
//! does not hold, and sets the earliest, fences and has a parked M look again, or starts one. An M
//! that parks announces it, fences, and reads what is earliest. And the holder of a P who gives it
//! up for something else than to park, in `block_in_place` or at the end of `block_on`, leaves its
//! timers to a parked M in the same way.
//!
//! A timer that a G sets may be [young](crate::engine::timer::Young) until the G's turn ends or the P is
//! given up. Nobody needs to know of it before that.
//!
//! `alarm` saves most of these wake-ups: it is no later than what somebody sleeps by.

#[cfg(feature = "test-util")]
use super::find::ROUND;
use super::pace::Pace;
use super::station::Place;
use super::wake::wake_all;
use super::{Config, Shared};
use crate::engine::current::{self, Role};
use crate::engine::primitive::{Arc, AtomicU64, Ordering, fence};
use crate::engine::processor::Processor;
use crate::engine::sys::{self, Instant};
use crate::engine::timer::clock::Clock;
use crate::engine::timer::{NEVER, Timers, Young};
use crate::engine::util::CachePadded;
use std::sync::Weak;
use std::time::Duration;

/// What a runtime knows of time.
#[derive(Debug)]
pub(super) struct Time {
    clock: Arc<Clock>,
    /// One for each P.
    pub(super) places: Box<[Place]>,
    /// Either a parked M wakes up by then, or an M is awake and will look at all timers before it
    /// parks; or it is [`NEVER`], and nobody may.
    alarm: CachePadded<AtomicU64>,
    pace: CachePadded<Pace>,
}

impl Time {
    pub(super) fn new(config: &Config, shared: &Weak<Shared>) -> Time {
        let clock = Arc::new(Clock::new());
        #[cfg(feature = "test-util")]
        if config.start_paused {
            clock.stop().expect("it is new, so it runs");
        }
        let places = (0..config.procs).map(|_| Place::lease(&clock, shared));
        Time {
            places: places.collect(),
            clock,
            alarm: CachePadded::new(AtomicU64::new(NEVER)),
            pace: CachePadded::default(),
        }
    }

    /// What the P of that number needs for timers in their first turn.
    pub(super) fn young(&self, id: usize) -> Young {
        Young::new(self.places[id].timers(), self.places[id].term())
    }
}

impl Drop for Time {
    fn drop(&mut self) {
        for place in &self.places {
            // They were, unless the runtime never came to its end.
            drop(place.timers().close());
            place.vacate();
        }
    }
}

/// How many Gs an M has queued at most before it runs them, and takes out more timers after that. A guess.
const CROWD: usize = 64;

/// How long after a timer is due those wake up who only make sure of it, in nanoseconds. A guess, as
/// long as a task may block its thread before Go takes notice.
const SECOND: u64 = 10_000_000;

/// How many turns an advance of the clock waits at most for each G that is to have one.
#[cfg(feature = "test-util")]
const SELDOM: u32 = 1_024;

/// For how long an M may sleep because of timers.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    /// There are none.
    None,
    /// Until the earliest, or until a rest is over: others rely on it.
    First(Duration),
    /// Until the earliest is late: another M wakes up for it.
    Second(Duration),
}

impl Shared {
    /// The clock by which its timers go.
    #[cfg(feature = "test-util")]
    pub(crate) fn clock(&self) -> &Clock {
        &self.time.clock
    }

    fn timers_of(&self, pp: &Processor) -> &Timers {
        self.time.places[pp.id()].timers()
    }

    /// Wakes whoever waits for a timer of `pp` that is due, unless the timers rest; whether there was any.
    #[inline]
    pub(super) fn run_timers(&self, pp: &Processor) -> bool {
        let timers = self.timers_of(pp);
        self.ends_rest(timers.earliest()) && self.expire(timers, Some(pp))
    }

    /// As `run_timers`, for the timers of all Ps. `pp` is the one that this thread holds.
    #[inline]
    pub(super) fn run_all_timers(&self, pp: Option<&Processor>) -> bool {
        let earliest = self.earliest();
        if earliest == NEVER {
            return false;
        }
        let now = self.time.clock.now();
        earliest <= now && self.expire_all(now, pp)
    }

    /// As `run_all_timers`, unless the timers rest.
    #[inline]
    pub(super) fn run_rested_timers(&self, pp: &Processor) -> bool {
        let earliest = self.earliest();
        self.ends_rest(earliest) && self.expire_all(self.time.clock.now(), Some(pp))
    }

    /// Whether whoever has nothing else to do is to take out what is due, if the earliest timer is due at
    /// `earliest`; then a rest may begin with that.
    #[inline]
    fn ends_rest(&self, earliest: u64) -> bool {
        if earliest == NEVER {
            return false;
        }
        let now = self.time.clock.now();
        let ends = self.is_rested(earliest, now);
        if ends {
            self.time.pace.begins(now);
        }
        ends
    }

    /// Whether what is due at `earliest` is due at `now`, for those who have nothing else to do.
    #[inline]
    fn is_rested(&self, earliest: u64, now: u64) -> bool {
        earliest <= now
            && (self.time.pace.rests_until(earliest) <= now || self.time.clock.is_stopped())
    }

    #[cold]
    fn expire_all(&self, now: u64, pp: Option<&Processor>) -> bool {
        let mut any = false;
        for place in &self.time.places {
            if place.timers().earliest() <= now {
                any |= self.expire(place.timers(), pp);
            }
        }
        any
    }

    #[cold]
    fn expire(&self, timers: &Timers, pp: Option<&Processor>) -> bool {
        let mut wakers = Vec::new();
        let mut any = false;
        loop {
            let more = timers.expire(self.time.clock.now(), &mut wakers);
            any |= !wakers.is_empty();
            self.time.pace.fired(wakers.len());
            let several = wakers.len() > 1;
            wake_all(&mut wakers);
            if let Some(pp) = pp
                && several
                && let Some(gp) = pp.runnext.take()
            {
                // They run in the order in which they were due.
                // SAFETY: our caller holds it.
                unsafe { pp.ring.push(gp, &self.overflow_of(pp)) };
            }
            // Those who were woken come first. An M that has no P wakes all, as it would be back at
            // once.
            if !more || pp.is_some_and(|pp| pp.ring.len() > CROWD) {
                self.time.pace.leaves(more);
                return any;
            }
        }
    }

    /// When the earliest timer of all is due, or [`NEVER`].
    #[inline]
    pub(super) fn earliest(&self) -> u64 {
        let earliest = |place: &Place| place.timers().earliest();
        self.time.places.iter().map(earliest).min().unwrap_or(NEVER)
    }

    /// As `earliest`, of the timers that there are: for those who go to sleep by it.
    ///
    /// What is earliest of a P moves only to a later time by this or because a timer fires, and who
    /// does either looks at all timers before it sleeps. So what was once earliest is when somebody
    /// looks, at the latest, and a timer that is not due before it needs no further attention.
    fn earliest_alive(&self) -> u64 {
        let earliest = |place: &&Place| place.timers().earliest();
        while let Some(first) = self.time.places.iter().min_by_key(earliest) {
            let before = first.timers().earliest();
            if before == NEVER || first.timers().prune() <= before {
                return before;
            }
        }
        NEVER
    }

    /// Whether a timer is due, for those who have nothing else to do; when the earliest is.
    pub(super) fn look_at_timers(&self) -> (bool, u64) {
        let earliest = self.earliest_alive();
        let due = earliest != NEVER && self.is_rested(earliest, self.time.clock.now());
        (due, earliest)
    }

    /// For how long an M may sleep that is on the list, if the earliest timer is due at `earliest`.
    ///
    /// One M wakes up for the earliest timer, or a little later, see [`pace`](super::pace); the others only if it has not been seen to long after
    /// that, as the first may have been woken for something else that keeps it busy.
    pub(super) fn set_alarm(&self, earliest: u64) -> Alarm {
        if earliest == NEVER || self.time.clock.is_stopped() {
            return Alarm::None;
        }
        let moment = self.time.pace.rests_until(earliest);
        // Ordering: Relaxed, see `ring`.
        if self.time.alarm.fetch_min(moment, Ordering::Relaxed) > moment {
            Alarm::First(self.time.clock.until(moment))
        } else {
            Alarm::Second(self.time.clock.until(earliest.saturating_add(SECOND)))
        }
    }

    /// An M that slept by an alarm is awake. It looks at the timers before it sleeps again.
    pub(super) fn unset_alarm(&self) {
        self.time.alarm.store(NEVER, Ordering::Relaxed);
        // Ordering: SeqCst, partner of the fence in `ring`: whoever relied on the alarm set its timer
        // before this, and the look at the timers that follows sees it.
        fence(Ordering::SeqCst);
    }

    /// Sees to it that somebody wakes up for a timer that is due at `deadline`, and on a P that the
    /// caller does not hold, or is about to give up.
    #[cold]
    pub(super) fn ring(&self, deadline: u64) {
        // Ordering: SeqCst, partner of the fences in P2 and in `unset_alarm`: an M that is about to
        // sleep sees the timer, or we see it on the list and no alarm of its own.
        fence(Ordering::SeqCst);
        if self.time.alarm.load(Ordering::Relaxed) <= deadline {
            return;
        }
        if !self.threads.rouse_one(!self.config.multi) && !self.stopping() {
            self.wakep();
        }
    }

    /// As `ring`, for all timers, by somebody who may have been the one to see to them.
    #[inline]
    pub(super) fn leave_timers(&self) {
        let earliest = self.earliest();
        if earliest != NEVER {
            self.ring(earliest);
        }
    }

    /// Sets a clock that is stopped forward to `earliest`, when the next timer is due, if nothing else
    /// can happen: no G is ready or runs, nor does a blocking closure. Whether it did.
    #[cfg(feature = "test-util")]
    pub(super) fn advance_to_timer(&self, earliest: u64) -> bool {
        let counts = self.idle.counts();
        let quiet = counts.idle() == self.procs.len()
            && counts.spinning() == 0
            && self.blocking.queued() == 0
            && self.blocking.running() == 0;
        let advances = earliest != NEVER && quiet && self.time.clock.is_stopped();
        if advances {
            self.time.clock.advance_to(earliest);
        }
        advances
    }

    /// Wakes whoever waits for a timer that is due. After how many turns they all have had one, of those that there
    /// ever were; see `has_had`.
    ///
    /// Others may run before them: some in each round of turns come by runnext. And those that wait in a ring may be
    /// moved to the global queue, from where comes one in so many turns. Where that is one in more than [`SELDOM`],
    /// and others are always ready, it is not waited for.
    #[cfg(feature = "test-util")]
    #[inline(never)] // See `current.rs`.
    pub(crate) fn run_timers_now(&self) -> u64 {
        current::settle_young();
        // Each time as many as one M has queued at most.
        while self.run_all_timers(self.held_p()) {}
        let each = self.config.global_queue_interval.clamp(ROUND, SELDOM);
        self.turns() + (self.queued() as u64 + 1) * u64::from(each)
    }

    /// Whether there were so many turns, or nothing is left that waits for one.
    #[cfg(feature = "test-util")]
    pub(crate) fn has_had(&self, turns: u64) -> bool {
        self.turns() >= turns || self.queued() == 0
    }

    #[cfg(feature = "test-util")]
    fn turns(&self) -> u64 {
        self.procs.iter().map(|pp| pp.stats.polls.get()).sum()
    }

    #[cfg(feature = "test-util")]
    fn queued(&self) -> usize {
        let queued =
            |pp: &CachePadded<Processor>| pp.ring.len() + usize::from(!pp.runnext.is_empty());
        self.global.len() + self.procs.iter().map(queued).sum::<usize>()
    }

    /// A thread has no more blocking closures: a clock that is stopped may go on.
    pub(super) fn resume_clock(&self) {
        if self.time.clock.is_stopped() {
            self.threads.rouse_one(!self.config.multi);
        }
    }

    /// Wakes whoever waits for a timer, and refuses timers from now on.
    pub(super) fn close_timers(&self) {
        for place in &self.time.places {
            wake_all(&mut place.timers().close());
        }
    }

    /// As an M that is about to park: wakes whoever waits for a timer that is due, on a thread that
    /// waits for something and runs no Gs. For how long it may sleep.
    #[cfg_attr(not(any(stackful, feature = "net")), allow(dead_code))] // Nobody waits then.
    pub(super) fn run_timers_elsewhere(&self) -> Option<Duration> {
        self.run_all_timers(None);
        let earliest = self.earliest_alive();
        (earliest != NEVER && !self.time.clock.is_stopped())
            .then(|| self.time.clock.until(earliest))
    }
}

/// The present, by the clock of the current runtime.
#[cfg_attr(not(all(stackful, feature = "net")), allow(dead_code))]
pub(crate) fn instant() -> Instant {
    #[cfg(feature = "test-util")]
    return current::with(|context| match context {
        // SAFETY: as in `current`.
        Some(context) => unsafe { &*context.home().cast::<Shared>() }
            .time
            .clock
            .instant(),
        None => sys::now(),
    });
    #[cfg(not(feature = "test-util"))]
    sys::now()
}

/// Where a thread without a P runs wakers.
pub(super) fn as_runner<R>(f: impl FnOnce() -> R) -> R {
    let role = current::set_role(Role::Running);
    let result = f();
    current::set_role(role);
    result
}
