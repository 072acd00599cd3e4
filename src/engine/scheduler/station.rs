//! The stations: where the timers of a P are, and to whom they belong at present.
//!
//! A station is never freed. So a timer refers to it without counting references, which all workers would
//! do at once and to the same count; and when its runtime is gone, the station is another's for the next
//! [`Term`], and closed to the timers of the last one.

use super::Shared;
use crate::engine::primitive::{Arc, Mutex, lock};
use crate::engine::sys;
use crate::engine::timer::clock::Clock;
use crate::engine::timer::moment::nanos;
use crate::engine::timer::{Term, Timers};
use std::sync::Weak;

/// The timers of a P, and the way from them to its runtime. There are as many as there ever were Ps at once.
#[derive(Debug)]
struct Station {
    timers: Timers,
    lease: Mutex<Option<Lease>>,
}

/// The runtime that has a station.
#[derive(Debug)]
struct Lease {
    term: Term,
    clock: Arc<Clock>,
    shared: Weak<Shared>,
}

/// A station, and for which term it is meant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    station: &'static Station,
    term: Term,
}

/// The stations that no runtime has.
static VACANT: Mutex<Vec<&'static Station>> = Mutex::new(Vec::new());

impl Place {
    /// A station that nobody has, for the runtime `shared`.
    pub(super) fn lease(clock: &Arc<Clock>, shared: &Weak<Shared>) -> Place {
        let vacant = lock(&VACANT).pop();
        let (station, term) = match vacant {
            Some(station) => (station, station.timers.reopen()),
            None => {
                let station: &'static Station = Box::leak(Box::new(Station {
                    timers: Timers::new(),
                    lease: Mutex::new(None),
                }));
                (station, Term::default())
            }
        };
        *lock(&station.lease) = Some(Lease {
            term,
            clock: clock.clone(),
            shared: shared.clone(),
        });
        Place { station, term }
    }

    /// Whether this is the same.
    #[inline]
    pub(super) fn is(&self, other: &Place) -> bool {
        std::ptr::eq(self.station, other.station) && self.term == other.term
    }

    /// The timers.
    #[inline]
    pub(super) fn timers(&self) -> &'static Timers {
        &self.station.timers
    }

    /// For which term.
    #[inline]
    pub(super) fn term(&self) -> Term {
        self.term
    }

    /// What the clock of its runtime shows; or the system's, if that is gone.
    pub(super) fn now(&self) -> u64 {
        let lease = lock(&self.station.lease);
        match lease.as_ref() {
            Some(lease) if lease.term == self.term => lease.clock.now(),
            _ => nanos(sys::now()),
        }
    }

    /// Its runtime, unless that is gone.
    pub(super) fn runtime(&self) -> Option<Arc<Shared>> {
        let lease = lock(&self.station.lease);
        let lease = lease.as_ref().filter(|lease| lease.term == self.term)?;
        lease.shared.upgrade()
    }

    /// Gives the station back. The timers are closed.
    pub(super) fn vacate(self) {
        lock(&self.station.lease).take();
        lock(&VACANT).push(self.station);
    }
}
