//! The wait on Linux: to the nanosecond, which mio's is not.

use super::Batches;
use super::readiness::Readiness;
use crate::engine::primitive::{AtomicBool, Ordering};
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// The kernel has no `epoll_pwait2`, which came with Linux 5.11.
static ONLY_MILLIS: AtomicBool = AtomicBool::new(false);

/// Waits for events.
pub(super) struct Wait {
    poll: mio::Poll,
    /// Room for the events of one wait.
    events: Box<[libc::epoll_event]>,
    batches: Batches,
}

impl Wait {
    pub(super) fn new(poll: mio::Poll, batches: Batches) -> Wait {
        let most = batches.idle.max(batches.busy);
        Wait {
            poll,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; most].into(),
            batches,
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
        let count = match self.epoll(timeout) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        for event in &self.events[..count] {
            each(event.u64 as usize, readiness(event.events));
        }
        Ok(())
    }

    fn epoll(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let precise = timeout.filter(|timeout| !timeout.is_zero());
        let most = match timeout {
            Some(Duration::ZERO) => self.batches.busy,
            _ => self.batches.idle,
        };
        let room = &mut self.events[..most];
        // Ordering: Relaxed, a hint that each thread may find out for itself.
        if let Some(timeout) = precise
            && !ONLY_MILLIS.load(Ordering::Relaxed)
        {
            match epoll_pwait2(&self.poll, room, timeout) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    ONLY_MILLIS.store(true, Ordering::Relaxed);
                }
                result => return result,
            }
        }
        let millis = timeout.map_or(-1, |timeout| {
            // Up, so that nothing is early and no wait of less than one is a busy loop.
            let millis = timeout.as_nanos().div_ceil(1_000_000);
            i32::try_from(millis).unwrap_or(i32::MAX)
        });
        let (events, most) = (room.as_mut_ptr(), room.len() as i32);
        // SAFETY: the kernel writes at most `most` events to the buffer, which has as many.
        let count = unsafe { libc::epoll_wait(self.poll.as_raw_fd(), events, most, millis) };
        counted(count.into())
    }
}

/// Waits for events, of which at most as many are returned as fit into `room`.
fn epoll_pwait2(
    poll: &mio::Poll,
    room: &mut [libc::epoll_event],
    timeout: Duration,
) -> io::Result<usize> {
    // The kernel's own type, whose fields have 64 bits on every architecture.
    let timespec: [i64; 2] = [
        i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        timeout.subsec_nanos().into(),
    ];
    // SAFETY: as for `epoll_wait`; the time is read during the call, and a null set of signals
    // leaves them as they are.
    let count = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            poll.as_raw_fd(),
            room.as_mut_ptr(),
            room.len() as i32,
            timespec.as_ptr(),
            std::ptr::null::<libc::sigset_t>(),
            0_usize,
        )
    };
    counted(count)
}

fn counted(result: i64) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// What the bits of an event say, as mio reads them.
fn readiness(events: u32) -> Readiness {
    let has = |bits: libc::c_int| events & bits as u32 == bits as u32;
    let mut ready = Readiness::EMPTY;
    if has(libc::EPOLLIN) || has(libc::EPOLLPRI) {
        ready |= Readiness::READABLE;
    }
    if has(libc::EPOLLOUT) {
        ready |= Readiness::WRITABLE;
    }
    if has(libc::EPOLLHUP) || has(libc::EPOLLIN | libc::EPOLLRDHUP) {
        ready |= Readiness::READ_CLOSED;
    }
    if has(libc::EPOLLHUP)
        || has(libc::EPOLLOUT | libc::EPOLLERR)
        || events == libc::EPOLLERR as u32
    {
        ready |= Readiness::WRITE_CLOSED;
    }
    if has(libc::EPOLLPRI) {
        ready |= Readiness::PRIORITY;
    }
    if has(libc::EPOLLERR) {
        ready |= Readiness::ERROR;
    }
    ready
}

impl std::fmt::Debug for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wait").finish_non_exhaustive()
    }
}
