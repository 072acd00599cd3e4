//! A process, and what tells of its end.

use crate::engine::netpoll::{Key, Readiness};
use crate::engine::sys::pidfd;
use crate::io::Interest;
use crate::io::unix::Fd;
use crate::net::evented::{Assume, Evented};
use crate::runtime::Handle;
use crate::signal::unix::{Signal, SignalKind};
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::task::{Context, Poll, ready};

/// A process that was not waited for yet.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) child: Child,
    end: End,
}

/// What tells of the end.
#[derive(Debug)]
enum End {
    /// A descriptor of the process, which can be read from when it has ended.
    Pidfd {
        io: Evented<Fd<OwnedFd>>,
        key: Option<Key>,
    },
    /// The signal that some child has ended.
    Signal {
        signal: Signal,
        /// Whether somebody looked since it is listened for: the process may have ended before.
        looked: bool,
    },
    /// There is no such process: the system did not keep its status, as when `SIGCHLD` is ignored.
    Gone,
}

impl Watched {
    /// Watches `child` in the runtime of `handle`.
    ///
    /// # Errors
    /// If there are no descriptors left, or the runtime is gone. The child comes back, running.
    pub(super) fn new(handle: &Handle, child: Child) -> Result<Watched, (Child, io::Error)> {
        match End::of(handle, &child) {
            Ok(end) => Ok(Watched { child, end }),
            Err(error) => Err((child, error)),
        }
    }

    /// Waits for its exit status. Where nothing can tell of the end any more it looks a last time. It is
    /// no step of the budget.
    ///
    /// # Errors
    /// If somebody else took the status; or it has not ended, and the runtime is gone.
    pub(super) fn poll_wait(&mut self, cx: &Context<'_>) -> Poll<io::Result<ExitStatus>> {
        loop {
            let told = ready!(self.end.poll(cx));
            if let Some(status) = self.child.try_wait()? {
                return Poll::Ready(Ok(status));
            }
            told?;
        }
    }
}

impl End {
    fn of(handle: &Handle, child: &Child) -> io::Result<End> {
        match pidfd::open(child.id()) {
            Ok(Some(fd)) => {
                let interest = Interest::READABLE;
                let io = Evented::on(handle, Fd::new(fd), interest, Assume::Nothing);
                Ok(End::Pidfd {
                    io: io.map_err(|(_, error)| error)?,
                    key: None,
                })
            }
            Ok(None) => Ok(End::Signal {
                signal: Signal::on(handle, SignalKind::child())?,
                looked: false,
            }),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(End::Gone),
            Err(error) => Err(error),
        }
    }

    /// Waits until the process may have ended.
    ///
    /// # Errors
    /// If nothing will tell.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        match self {
            End::Pidfd { io, key } => {
                let event = ready!(io.poll_beside(key, Readiness::READ, cx))?;
                // Before its status is asked for: if it ends after that, there is another event.
                io.clear(event);
                Poll::Ready(Ok(()))
            }
            End::Signal { looked, .. } if !*looked => {
                *looked = true;
                Poll::Ready(Ok(()))
            }
            End::Signal { signal, .. } => signal.poll_told(cx),
            End::Gone => Poll::Ready(Err(io::Error::from_raw_os_error(libc::ESRCH))),
        }
    }
}
