//! Why there is no output.

use super::Id;
use crate::engine::task::Fault;
use crate::engine::util::panics;
use std::any::Any;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

/// A task ended without an output: it panicked, or it was cancelled.
pub struct JoinError {
    id: Id,
    repr: Repr,
}

enum Repr {
    Cancelled,
    /// Under a lock, because a panic's payload need not be `Sync`.
    Panic(Mutex<Box<dyn Any + Send + 'static>>),
}

impl JoinError {
    pub(crate) fn new(id: Id, fault: Fault) -> JoinError {
        let repr = match fault.into_panic() {
            None => Repr::Cancelled,
            Some(payload) => Repr::Panic(Mutex::new(payload)),
        };
        JoinError { id, repr }
    }

    /// Whether the task was aborted, or its runtime shut down.
    ///
    /// # Examples
    /// ```
    /// # let runtime = runnext::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// let task = runnext::spawn(std::future::pending::<()>());
    /// task.abort();
    /// assert!(task.await.unwrap_err().is_cancelled());
    /// # });
    /// ```
    pub fn is_cancelled(&self) -> bool {
        matches!(self.repr, Repr::Cancelled)
    }

    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.repr, Repr::Panic(_))
    }

    /// What the task panicked with, for [`std::panic::resume_unwind`].
    ///
    /// # Panics
    /// If it did not panic; [`try_into_panic`](JoinError::try_into_panic) does not.
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!("`into_panic` called on an error that is not a panic: {error}"),
        }
    }

    /// What the task panicked with.
    ///
    /// # Errors
    /// The error itself, if it is not a panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, JoinError> {
        match self.repr {
            Repr::Panic(payload) => {
                Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
            Repr::Cancelled => Err(self),
        }
    }

    /// The id of the task.
    pub fn id(&self) -> Id {
        self.id
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.repr {
            Repr::Cancelled => write!(f, "task {} was cancelled", self.id),
            Repr::Panic(payload) => {
                let payload = payload.lock().unwrap_or_else(PoisonError::into_inner);
                match panics::message(&**payload) {
                    Some(message) => {
                        write!(f, "task {} panicked with message {message:?}", self.id)
                    }
                    None => write!(f, "task {} panicked", self.id),
                }
            }
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.repr {
            Repr::Cancelled => write!(f, "JoinError::Cancelled({:?})", self.id),
            Repr::Panic(payload) => {
                let payload = payload.lock().unwrap_or_else(PoisonError::into_inner);
                match panics::message(&**payload) {
                    Some(message) => write!(f, "JoinError::Panic({:?}, {message:?}, ...)", self.id),
                    None => write!(f, "JoinError::Panic({:?}, ...)", self.id),
                }
            }
        }
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> io::Error {
        io::Error::other(error)
    }
}
