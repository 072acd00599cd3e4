//! Lending what is on a stackful G's stack to others, who use it while the G waits.
//!
//! This is sound for the same reason as `std::thread::scope`: the G does not go on, is not unwound
//! and its stack is not freed before they are done. So the wait for them is one that neither an abort
//! nor the shutdown cuts short, and their last access to anything that was lent comes before the
//! store that ends it. What they touch after that, as the waker, belongs to themselves.

// The models run what the others stand on: the slot of a closure, the packet of a child, and the
// count of children.
#[cfg(stackful)]
pub(crate) mod elsewhere;
#[cfg(stackful)]
mod lender;
pub(crate) mod packet;
pub(crate) mod running;
#[cfg(stackful)]
pub(crate) mod scope;
pub(crate) mod slot;

#[cfg(stackful)]
use lender::Lender;
