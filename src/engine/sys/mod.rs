//! What each operating system must provide.
//!
//! | item | contract |
//! |---|---|
//! | [`Parker`] | one thread sleeps in `park` until `unpark`, which may come first; see its docs |
//! | [`available_cpus`] | how many Ps make sense, honouring affinity and cgroup quotas |
//! | [`now`] | the one monotonic clock |
//! | `descriptor` | what std does not know of descriptors, where there are such |
//! | `chunk` | reads into buffers that grow |
//! | `read` | reads into memory that is not initialised, and those that say what is left |
//! | `pidfd` | descriptors of child processes, where there are such |
//! | `signals` | signals to the process, counted, with a pipe that says that there were some |
//! | `usage` | what the system has counted of a thread, or zero |
//!
//! On Linux the parker is a futex; elsewhere a mutex and a condition variable.

#[cfg(target_os = "linux")]
#[path = "parker_futex.rs"]
mod parker;
#[cfg(not(target_os = "linux"))]
#[path = "parker_condvar.rs"]
mod parker;

#[cfg(all(feature = "net", feature = "tokio-io", not(loom)))]
mod chunk;
#[cfg(all(unix, feature = "net"))]
mod descriptor;
#[cfg(all(unix, feature = "process", not(loom)))]
pub(crate) mod pidfd;
#[cfg(all(
    unix,
    feature = "net",
    any(target_os = "linux", feature = "tokio-io"),
    not(loom)
))]
mod read;
#[cfg(all(unix, feature = "signal", not(loom)))]
pub(crate) mod signals;
mod usage;

#[cfg(all(feature = "net", feature = "tokio-io", not(loom)))]
pub(crate) use chunk::fill_chunk;
#[cfg(all(unix, feature = "net"))]
pub(crate) use descriptor::{access_mode, peer_credentials, set_nonblocking};
pub(crate) use parker::Parker;
#[cfg(all(target_os = "linux", feature = "net", feature = "tokio-io", not(loom)))]
pub(crate) use read::receive_and_ask_into;
#[cfg(all(target_os = "linux", feature = "net", not(loom)))]
pub(crate) use read::{Left, receive_and_ask, set_inq};
#[cfg(all(unix, feature = "net", feature = "tokio-io", not(loom)))]
pub(crate) use read::{read_into, receive_into};
pub(crate) use std::time::Instant;
pub(crate) use usage::involuntary_switches;

/// Where the thread was that was given a token.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unparked {
    /// In `park`, and is awake now; or not asleep at all.
    Here,
    /// Asleep elsewhere: whoever gave the token has to wake it there.
    Elsewhere,
}

/// The number of threads that can run at once, as the operating system tells it.
pub(crate) fn available_cpus() -> usize {
    crate::engine::primitive::thread::available_parallelism().map_or(1, usize::from)
}

/// The time on the one clock that the engine reads.
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::{Parker, Unparked};
    use crate::engine::primitive::{Arc, AtomicBool, Ordering, thread};
    use std::time::Duration;

    #[test]
    fn a_token_given_first_is_found_at_once() {
        let parker = Parker::new();
        assert_eq!(parker.unpark(), Unparked::Here);
        assert_eq!(parker.unpark(), Unparked::Here);
        parker.park();
        assert!(!parker.park_timeout(Duration::from_millis(1)));
    }

    #[test]
    fn a_sleeper_is_woken_and_sees_what_was_written_before() {
        let shared = Arc::new((Parker::new(), AtomicBool::new(false)));
        let sleeper = thread::spawn({
            let shared = shared.clone();
            move || {
                shared.0.park();
                assert!(shared.1.load(Ordering::Relaxed));
            }
        });
        shared.1.store(true, Ordering::Relaxed);
        let _woken = shared.0.unpark();
        sleeper.join().unwrap();
    }

    #[test]
    fn a_thread_that_sleeps_elsewhere_is_not_woken_here() {
        let parker = Parker::new();
        assert!(parker.go_elsewhere());
        assert_eq!(parker.unpark(), Unparked::Elsewhere);
        assert_eq!(parker.unpark(), Unparked::Here, "it is told once");
        assert!(parker.return_here());
        assert!(!parker.return_here());
        assert_eq!(parker.unpark(), Unparked::Here);
        assert!(!parker.go_elsewhere(), "there is a token");
        assert!(parker.go_elsewhere());
    }
}
