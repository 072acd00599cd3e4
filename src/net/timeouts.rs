//! How long a stream waits in code that is not async.

use super::limit::Limit;
use super::transfer::not_zero;
use socket2::SockRef;
use std::io;
use std::time::Duration;

/// How long a stream waits in code that is not async.
///
/// The system has them too (`SO_RCVTIMEO`, `SO_SNDTIMEO`), so that they come from std's streams and go
/// back there. It goes by them in blocking mode alone, and would have to be asked before each wait: they
/// are kept here for that.
#[derive(Debug)]
pub(super) struct Timeouts {
    read: Limit,
    write: Limit,
}

impl Timeouts {
    /// Of a new stream.
    pub(super) fn none() -> Timeouts {
        Timeouts {
            read: Limit::none(),
            write: Limit::none(),
        }
    }

    /// Of a stream from elsewhere, which has them set as std does, or not.
    pub(super) fn from_system() -> Timeouts {
        Timeouts {
            read: Limit::unknown(),
            write: Limit::unknown(),
        }
    }

    pub(super) fn read<'s, S>(&self, socket: &'s S) -> Option<Duration>
    where
        SockRef<'s>: From<&'s S>,
    {
        self.read
            .get(|| SockRef::from(socket).read_timeout().ok().flatten())
    }

    pub(super) fn write<'s, S>(&self, socket: &'s S) -> Option<Duration>
    where
        SockRef<'s>: From<&'s S>,
    {
        self.write
            .get(|| SockRef::from(socket).write_timeout().ok().flatten())
    }

    /// # Errors
    /// If it is zero; or those of the operating system.
    pub(super) fn set_read(
        &self,
        socket: SockRef<'_>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let timeout = timeout.map(not_zero).transpose()?;
        socket.set_read_timeout(timeout.map(countable))?;
        self.read.set(timeout);
        Ok(())
    }

    /// # Errors
    /// As above.
    pub(super) fn set_write(
        &self,
        socket: SockRef<'_>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let timeout = timeout.map(not_zero).transpose()?;
        socket.set_write_timeout(timeout.map(countable))?;
        self.write.set(timeout);
        Ok(())
    }
}

/// What a system counts in microseconds, and would take for no timeout if it came to none; on Windows in
/// milliseconds.
fn countable(timeout: Duration) -> Duration {
    timeout
        .max(Duration::from_millis(u64::from(cfg!(windows))))
        .max(Duration::from_micros(1))
}
