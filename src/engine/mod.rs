//! The engine: everything that is unsafe or atomic.
//!
//! # The map
//!
//! ```text
//!  spawn, wake ──► runnext of the P ──(kicked out)──► ring, 256 ──(half)──► global queue
//!                      │                                │  │                    │
//!                 taken first                   taken in │  └─ half ─► thieves   │ a fair share,
//!                      ▼                         order   ▼                      ▼ every 61st turn
//!                  ┌─────────────────── M runs G with P ────────────────────────────┐
//!                  └── nothing to run: spin, then give up the P and park ───────────┘
//! ```
//!
//! # The layers
//!
//! Each module may import only those above it in this list; `.ci/layers` reads the list and checks
//! it.
//!
//! 1. `primitive`
//! 2. `util`
//! 3. `sys`
//! 4. `task`
//! 5. `queue`
//! 6. `processor`
//! 7. `idle`
//! 8. `machine`
//! 9. `local`
//! 10. `scheduler`
//!
//! Nouns are low, verbs are high: G, M, P and the queues are data with small invariants, and
//! whatever touches two of them is in `scheduler`. Where a low layer has to call upwards it does so
//! through a small trait of its own: `Schedule` for a G that became ready, `Overflow` for a ring
//! that is full.
//!
//! # The words
//!
//! | name | meaning |
//! |---|---|
//! | G, `gp` | one task |
//! | M, `m` | one thread that can run Gs; it needs a P to do so |
//! | P, `pp` | one of `worker_threads` processors: the right to run Gs, with its queues |
//! | runnext | the slot for the G that was just made ready |
//! | spinning | holding a P and looking for work |
//! | parked | on the list of Ms that sleep |
//! | root | the future of a `block_on`; also the M of the thread that is in it |
//! | stray | an M that gave its P away in the middle of a poll |
//! | home | what queues a G when it becomes ready: a runtime, or a `LocalSet` |

pub(crate) mod idle;
#[cfg(not(loom))]
pub(crate) mod local;
#[cfg(not(loom))]
pub(crate) mod machine;
pub(crate) mod primitive;
#[cfg(not(loom))]
pub(crate) mod processor;
pub(crate) mod queue;
#[cfg(not(loom))]
pub(crate) mod scheduler;
#[cfg(not(loom))]
pub(crate) mod sys;
#[cfg(not(loom))]
pub(crate) mod task;
pub(crate) mod util;

#[cfg(test)]
mod tests;

#[cfg(not(loom))]
pub(crate) use machine::current;
