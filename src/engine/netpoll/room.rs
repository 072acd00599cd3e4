//! Events of room to write to, for sockets whose system tells of it after every message.
//!
//! A datagram gives the room that it took back when it is received, or has left by the network card;
//! likewise what is written to a Unix stream. The system makes an event of that each time, whether or not
//! anybody has waited for room: it wakes a thread that waits for events, and each event has to be looked
//! at. Most of these sockets never lack room. So they are registered for reading alone, and room is assumed
//! until a system call says otherwise, or somebody asks for it. From then on its events are asked for too,
//! for as long as the socket lives.
//!
//! The system looks for room when it is asked for events of it, and makes one if there is some: nothing that
//! happened before is missed.

use super::driver::Netpoll;
use crate::engine::primitive::{AtomicBool, Ordering};
#[cfg(unix)]
use std::os::fd::{AsRawFd, RawFd};

/// That events of room are not asked for yet, and what for.
#[derive(Debug)]
pub(crate) struct Room {
    #[cfg(unix)]
    fd: RawFd,
    asked: AtomicBool,
}

impl Room {
    /// Of a source that has room, as a rule, and is registered for reading.
    #[cfg(unix)]
    pub(crate) fn of(source: &impl AsRawFd) -> Option<Room> {
        Some(Room {
            fd: source.as_raw_fd(),
            asked: AtomicBool::new(false),
        })
    }

    /// Where a source is more than a descriptor it is registered for everything at once.
    #[cfg(not(unix))]
    pub(crate) fn of<S>(_: &S) -> Option<Room> {
        None
    }

    /// Asks for events, unless that was done.
    #[inline]
    pub(super) fn ask(&self, netpoll: &Netpoll, token: mio::Token) {
        // Ordering: Relaxed, nothing is published. Whoever sees that another is about to ask had its refusal
        // before the question: if there is room by then the answer is an event for all who wait, and
        // if not, one follows when there is.
        if !self.asked.load(Ordering::Relaxed) && !self.asked.swap(true, Ordering::Relaxed) {
            self.ask_now(netpoll, token);
        }
    }

    #[cfg(unix)]
    #[cold]
    fn ask_now(&self, netpoll: &Netpoll, token: mio::Token) {
        // The source is open for as long as it is registered. Had somebody closed its descriptor all the
        // same, this would fail, and there would be no events to wait for either.
        let _asked = netpoll.reregister(
            &mut mio::unix::SourceFd(&self.fd),
            token,
            mio::Interest::READABLE | mio::Interest::WRITABLE,
        );
    }

    #[cfg(not(unix))]
    fn ask_now(&self, _: &Netpoll, _: mio::Token) {}
}
