//! The parker where there is no futex: a flag under a mutex, and a condition variable.

use super::Unparked;
use crate::engine::primitive::{Condvar, Mutex, lock};
use std::time::Duration;

/// Lets one thread sleep until another calls [`unpark`](Parker::unpark).
///
/// An `unpark` that comes first is kept as a token, at most one. What a thread wrote before
/// `unpark` is seen after the `park` that it ends. `park` returns only for a token; a token may
/// be older than the reason that the sleeper has now, so callers look again.
#[derive(Debug)]
pub(crate) struct Parker {
    state: Mutex<State>,
    given: Condvar,
}

#[derive(Debug)]
struct State {
    token: bool,
    /// The thread sleeps elsewhere, or is about to.
    elsewhere: bool,
}

impl Parker {
    /// A parker without a token.
    pub(crate) const fn new() -> Parker {
        Parker {
            state: Mutex::new(State {
                token: false,
                elsewhere: false,
            }),
            given: Condvar::new(),
        }
    }

    /// Sleeps until there is a token, and takes it. Only one thread may be in here at a time.
    pub(crate) fn park(&self) {
        let mut state = lock(&self.state);
        while !state.token {
            state = self
                .given
                .wait(state)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        state.token = false;
    }

    /// As [`park`](Parker::park), for at most `timeout`. `true` if a token was taken.
    pub(crate) fn park_timeout(&self, timeout: Duration) -> bool {
        let state = lock(&self.state);
        let (mut state, _) = self
            .given
            .wait_timeout_while(state, timeout, |state| !state.token)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::take(&mut state.token)
    }

    /// Gives the token, and wakes the sleeper if there is one here.
    pub(crate) fn unpark(&self) -> Unparked {
        let elsewhere = {
            let mut state = lock(&self.state);
            let first = !std::mem::replace(&mut state.token, true);
            first && state.elsewhere
        };
        self.given.notify_one();
        if elsewhere {
            Unparked::Elsewhere
        } else {
            Unparked::Here
        }
    }

    /// Notes that the thread goes to sleep elsewhere, until [`return_here`](Parker::return_here).
    /// `false`: there is a token, which was taken, and a reason not to go.
    #[must_use]
    pub(crate) fn go_elsewhere(&self) -> bool {
        let mut state = lock(&self.state);
        state.elsewhere = !std::mem::take(&mut state.token);
        state.elsewhere
    }

    /// The thread has come back. `true` if a token was taken.
    pub(crate) fn return_here(&self) -> bool {
        let mut state = lock(&self.state);
        state.elsewhere = false;
        std::mem::take(&mut state.token)
    }
}

impl Default for Parker {
    fn default() -> Parker {
        Parker::new()
    }
}
