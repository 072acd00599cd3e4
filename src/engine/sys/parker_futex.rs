//! The parker on Linux: one futex word.

use super::Unparked;
use crate::engine::primitive::{AtomicU32, Ordering};
use std::time::Duration;

const EMPTY: u32 = 0;
const NOTIFIED: u32 = 1;
const PARKED: u32 = 2;
const ELSEWHERE: u32 = 3;

/// Lets one thread sleep until another calls [`unpark`](Parker::unpark).
///
/// An `unpark` that comes first is kept as a token, at most one. What a thread wrote before
/// `unpark` is seen after the `park` that it ends. `park` returns only for a token; a token may
/// be older than the reason that the sleeper has now, so callers look again.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    state: AtomicU32,
}

impl Parker {
    /// A parker without a token.
    pub(crate) const fn new() -> Parker {
        Parker {
            state: AtomicU32::new(EMPTY),
        }
    }

    /// Sleeps until there is a token, and takes it. Only one thread may be in here at a time.
    pub(crate) fn park(&self) {
        self.park_until(None);
    }

    /// As [`park`](Parker::park), for at most `timeout`. `true` if a token was taken.
    pub(crate) fn park_timeout(&self, timeout: Duration) -> bool {
        self.park_until(Some(timeout))
    }

    /// Gives the token, and wakes the sleeper if there is one here.
    #[inline]
    pub(crate) fn unpark(&self) -> Unparked {
        // Ordering: Release, for the Acquire in `park_until`: what the waker wrote is seen by
        // the woken. The swap reads PARKED only from the sleeper's compare-exchange below, so a
        // system call is made only for a thread that sleeps or is about to.
        match self.state.swap(NOTIFIED, Ordering::Release) {
            PARKED => self.wake(),
            ELSEWHERE => return Unparked::Elsewhere,
            _ => {}
        }
        Unparked::Here
    }

    /// Notes that the thread goes to sleep elsewhere, until [`return_here`](Parker::return_here).
    /// `false`: there is a token, which was taken, and a reason not to go.
    #[must_use]
    pub(crate) fn go_elsewhere(&self) -> bool {
        // Ordering: Acquire on both paths, partner of `unpark`'s Release.
        let gone = self
            .state
            .compare_exchange(EMPTY, ELSEWHERE, Ordering::Acquire, Ordering::Acquire)
            .is_ok();
        if !gone {
            self.state.swap(EMPTY, Ordering::Acquire);
        }
        gone
    }

    /// The thread has come back. `true` if a token was taken.
    pub(crate) fn return_here(&self) -> bool {
        // Ordering: Acquire, as above.
        self.state.swap(EMPTY, Ordering::Acquire) == NOTIFIED
    }

    fn park_until(&self, timeout: Option<Duration>) -> bool {
        // Ordering: Acquire on each path that takes the token, partner of `unpark`'s Release.
        if self
            .state
            .compare_exchange(EMPTY, PARKED, Ordering::Acquire, Ordering::Acquire)
            .is_err()
        {
            self.state.swap(EMPTY, Ordering::Acquire);
            return true;
        }
        let deadline = timeout.and_then(|t| super::now().checked_add(t));
        loop {
            let left = match deadline {
                None => None,
                Some(deadline) => match deadline.checked_duration_since(super::now()) {
                    Some(left) if !left.is_zero() => Some(left),
                    _ => return self.state.swap(EMPTY, Ordering::Acquire) == NOTIFIED,
                },
            };
            self.wait(left);
            if self
                .state
                .compare_exchange(NOTIFIED, EMPTY, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
            {
                return true;
            }
        }
    }

    /// Sleeps while the word is PARKED; returns for any reason.
    fn wait(&self, timeout: Option<Duration>) {
        let timespec = timeout.map(|t| libc::timespec {
            tv_sec: libc::time_t::try_from(t.as_secs()).unwrap_or(libc::time_t::MAX),
            // Below 1e9, which fits every width of the field.
            tv_nsec: t.subsec_nanos() as _,
        });
        let timespec_ptr = timespec
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: FUTEX_WAIT reads the word, which lives as long as `self`, and the timespec,
        // which lives until the end of this function; it writes no memory of ours. Every error
        // (EAGAIN, EINTR, ETIMEDOUT) means "look again", which the caller does.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.state.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                PARKED,
                timespec_ptr,
            );
        }
    }

    #[cold]
    fn wake(&self) {
        // SAFETY: FUTEX_WAKE uses the word's address as a key and touches no memory. The parker
        // may have been freed by now, if the sleeper saw the token by itself: then the address is
        // stale, and the worst that happens is a spurious wake-up of whoever reuses it, which
        // every futex user has to allow for.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.state.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
            );
        }
    }
}
