//! The run queues: data with small invariants, and no idea of who uses them.
//!
//! | queue | who puts | who takes |
//! |---|---|---|
//! | [`Runnext`] | the owner | the owner, seldom a thief |
//! | [`Ring`] | the owner, at the tail | the owner and thieves, at the head |
//! | [`Global`] | anyone | whoever holds a P |
//! | `Inbox`, in `util` since a G carries a part of it | anyone | one M, everything at once |
//!
//! An entry is a [`RawG`], which owns one G that is ready to run: taking it out of a queue moves
//! the ownership to the taker, and nobody else gets it. Dropping a queue does not run or free
//! what is in it; the scheduler empties the queues first.
//!
//! "The owner" is the thread that holds the P to which the queue belongs. The functions only an
//! owner may call are `unsafe`, because no type says who that is.

#[cfg(not(loom))]
mod global;
mod ring;
mod runnext;

#[cfg(not(loom))]
pub(crate) use global::Global;
#[cfg_attr(loom, allow(unused_imports))]
pub(crate) use ring::Snapshot;
pub(crate) use ring::{Overflow, Ring};
pub(crate) use runnext::Runnext;

pub(crate) use crate::engine::util::RawG;
