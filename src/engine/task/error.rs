//! Why a G has no output.

use crate::engine::util::panics::Payload;

/// The reason that a G ended without an output.
///
/// Boxed, and thin, so that `Result<(), Fault>` takes eight bytes in the cell of every G.
#[derive(Debug)]
pub(crate) struct Fault(Box<Option<Payload>>);

impl Fault {
    /// It was aborted, or its runtime shut down.
    pub(crate) fn cancelled() -> Fault {
        Fault(Box::new(None))
    }

    /// It panicked.
    pub(crate) fn panic(payload: Payload) -> Fault {
        Fault(Box::new(Some(payload)))
    }

    /// The payload if it was a panic.
    pub(crate) fn into_panic(self) -> Option<Payload> {
        *self.0
    }
}
