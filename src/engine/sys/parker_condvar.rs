//! The parker where there is no futex: a flag under a mutex, and a condition variable.

use crate::engine::primitive::{Condvar, Mutex, lock};
use std::time::Duration;

/// Lets one thread sleep until another calls [`unpark`](Parker::unpark).
///
/// An `unpark` that comes first is kept as a token, at most one. What a thread wrote before
/// `unpark` is seen after the `park` that it ends. `park` returns only for a token; a token may
/// be older than the reason that the sleeper has now, so callers look again.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    token: Mutex<bool>,
    given: Condvar,
}

impl Parker {
    /// A parker without a token.
    pub(crate) const fn new() -> Parker {
        Parker {
            token: Mutex::new(false),
            given: Condvar::new(),
        }
    }

    /// Sleeps until there is a token, and takes it. Only one thread may be in here at a time.
    pub(crate) fn park(&self) {
        let mut token = lock(&self.token);
        while !*token {
            token = self
                .given
                .wait(token)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        *token = false;
    }

    /// As [`park`](Parker::park), for at most `timeout`. `true` if a token was taken.
    pub(crate) fn park_timeout(&self, timeout: Duration) -> bool {
        let token = lock(&self.token);
        let (mut token, _) = self
            .given
            .wait_timeout_while(token, timeout, |token| !*token)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::take(&mut *token)
    }

    /// Gives the token, and wakes the sleeper if there is one.
    pub(crate) fn unpark(&self) {
        *lock(&self.token) = true;
        self.given.notify_one();
    }
}
