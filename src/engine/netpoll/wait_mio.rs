//! The wait where there is no epoll: mio's, to its own precision.

use super::Batches;
use super::readiness::Readiness;
use std::io;
use std::time::Duration;

/// Waits for events.
#[derive(Debug)]
pub(super) struct Wait {
    poll: mio::Poll,
    idle: mio::Events,
    busy: mio::Events,
}

impl Wait {
    pub(super) fn new(poll: mio::Poll, batches: Batches) -> Wait {
        Wait {
            poll,
            idle: mio::Events::with_capacity(batches.idle),
            busy: mio::Events::with_capacity(batches.busy),
        }
    }

    /// Calls `each` with the token and the readiness of every event, after having waited for one
    /// for no longer than `timeout`. A signal may end the wait early.
    ///
    /// # Errors
    /// None that a working system would give.
    pub(super) fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut each: impl FnMut(usize, Readiness),
    ) -> io::Result<()> {
        let events = match timeout {
            Some(Duration::ZERO) => &mut self.busy,
            _ => &mut self.idle,
        };
        match self.poll.poll(events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        for event in &*events {
            let bits = [
                (event.is_readable(), Readiness::READABLE),
                (event.is_writable(), Readiness::WRITABLE),
                (event.is_read_closed(), Readiness::READ_CLOSED),
                (event.is_write_closed(), Readiness::WRITE_CLOSED),
                (event.is_priority(), Readiness::PRIORITY),
                (event.is_error(), Readiness::ERROR),
            ];
            let mut ready = Readiness::EMPTY;
            for (_, bit) in bits.into_iter().filter(|(is, _)| *is) {
                ready |= bit;
            }
            each(event.token().0, ready);
        }
        Ok(())
    }
}
