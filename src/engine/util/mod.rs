//! Small things without a home of their own: random numbers, and catching the user's panics.

#[cfg(not(loom))]
pub(crate) mod counter;
#[cfg(not(loom))]
pub(crate) mod histogram;
#[cfg_attr(not(stackful), allow(dead_code))] // What is always empty then.
pub(crate) mod inbox;
#[cfg(not(loom))]
pub(crate) mod panics;
pub(crate) mod random;

/// A G that is ready to run, as the queues hold it: the pointer of its `Runnable`.
pub(crate) type RawG = std::ptr::NonNull<()>;

/// A value on a cache line of its own, so that its writers do not slow the readers of neighbours.
pub(crate) use crossbeam_utils::CachePadded;
