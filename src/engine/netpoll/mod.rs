//! The netpoller: which sockets are ready, and who waits for them.
//!
//! mio registers and wakes; each socket is registered once, edge-triggered, and has a slot for as
//! long; some are registered for room to write to only when they come to lack it, see `room`.
//! Whoever holds the [`Seat`], one thread at a time, asks the system for events, with or without
//! waiting, and gets the wakers of those who waited for them: to wake them is the business of the
//! scheduler above.
//!
//! A token is the number of a slot and its generation, not an address. A descriptor that was
//! duplicated, or that its owner closed before it was deregistered, can go on making events for a
//! socket that is gone, and a program gets there without `unsafe`. Such an event finds a slot of
//! another generation, and is dropped.
//!
//! Nothing of this exists before the first registration.

#[cfg(all(feature = "net", not(loom)))]
mod driver;
#[cfg(any(feature = "net", loom))]
mod readiness;
#[cfg(all(feature = "net", not(loom)))]
mod room;
#[cfg(any(feature = "net", loom))]
#[cfg_attr(loom, allow(dead_code))] // The models use less of it.
mod slot;
#[cfg(all(feature = "net", not(loom)))]
mod table;
#[cfg(all(feature = "net", not(loom), target_os = "linux"))]
#[path = "wait_linux.rs"]
mod wait;
#[cfg(all(feature = "net", not(loom), not(target_os = "linux")))]
#[path = "wait_mio.rs"]
mod wait;

#[cfg(all(not(feature = "net"), not(loom)))]
#[path = "absent.rs"]
mod driver;

/// How many events the system is asked for at once, at most.
#[cfg(not(loom))]
#[cfg_attr(not(feature = "net"), allow(dead_code))] // There are none then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batches {
    /// By who has nothing else to do.
    pub(crate) idle: usize,
    /// By who does not wait for them.
    pub(crate) busy: usize,
}

#[cfg(all(feature = "net", not(loom)))]
pub(crate) use driver::{Gone, Registration, gone};
#[cfg(not(loom))]
pub(crate) use driver::{Netpoll, Seat};
#[cfg(any(feature = "net", loom))]
pub(crate) use readiness::Readiness;
#[cfg(all(feature = "net", not(loom)))]
pub(crate) use room::Room;
#[cfg(any(all(feature = "signal", not(loom)), all(test, loom)))]
pub(crate) use slot::Key;
#[cfg(loom)]
pub(crate) use slot::Slot;
#[cfg(any(feature = "net", loom))]
pub(crate) use slot::{Direction, Event};
