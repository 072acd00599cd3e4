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
//! 4. `context`
//! 5. `stack`
//! 6. `task`
//! 7. `queue`
//! 8. `timer`
//! 9. `netpoll`
//! 10. `processor`
//! 11. `idle`
//! 12. `bound`
//! 13. `machine`
//! 14. `local`
//! 15. `scheduler`
//! 16. `lend`
//!
//! Nouns are low, verbs are high: G, M, P and the queues are data with small invariants, and
//! whatever touches two of them is in `scheduler`. Where a low layer has to call upwards it does so
//! through a small trait of its own: `Schedule` for a G that became ready, `Overflow` for a ring
//! that is full.
//!
//! # What measuring decided
//!
//! | decision | instead of | because |
//! |---|---|---|
//! | a cell of our own, `task/` | `async-task`, whose cell this engine had first | to spawn a task and await it took 103 ns and takes 63, and the cell of a small future 120 bytes and takes 96 |
//! | a thief leaves a ring alone that has fewer than 64 Gs and is moving, `scheduler/steal.rs` | stealing whatever is there | a thief that takes one G at a time from under an owner which is spawning makes each spawn ten times as slow |
//! | a thief that has had work of its own looks twice, `scheduler/steal.rs` | stealing from a long ring at once | two workers that each spawn a hundred tasks and join them trade them to and fro: 1.2 times the throughput of one worker, and 1.9 with it |
//! | an M spins for up to 50 µs if that would have paid the last time, `machine/patience.rs` | a fixed number of rounds | the waker is in its system call for as long as a short spell lasts, and wakes the same M again and again |
//! | an M from which the kernel often takes the processor neither spins nor asks for events before it parks, `machine/contention.rs` | spinning whoever else wants the processor | a web server beside the clients that load it, `benches/http.sh`, took the time of those that its requests come from: 0.92 of tokio's throughput |
//! | one G in 64 is tracked for the latency histogram, `scheduler/track.rs` | one in 8, as in Go | two looks at the clock each would be a tenth of a spawn |
//! | a cancelled timer leaves its entry in a 4-ary heap, `timer/heap.rs` | taking it out at once | of timeouts that are cancelled in the order in which they were made each is the root: 1.5 times tokio's speed, and 2.0 without |
//! | an M takes few young stackful Gs from others, `bound/appetite.rs` | half the ring, as of other Gs | where they begin they stay, and those that share a lock pay 230 ns for each use of it on two Ms, and 30 on one |
//! | stacks and cells are fetched ahead, `bound.rs` | when they are needed | a thousand stacks do not stay in the nearest cache |
//! | runnext is an atomic slot that is swapped, `queue/runnext.rs` | a lock biased by `membarrier` | it saves nothing where nobody contends |
//! | at most 16 of 61 turns come from runnext, `scheduler/find.rs` | 16 in a row | a task that joins a thousand others is polled after each of them otherwise |
//! | a timer is held back until the turn is over in which it was set, `timer/young.rs` | inserting it at once | two locks, and two counts of the waker, were 30 of the 90 ns of a sleep that is polled once and dropped |
//! | what is written down of a young timer is when it is due, `timer/young.rs` | a slot reserved for each, with memory | 200,000 in one turn touched 15 MB, and setting and dropping each took 71 ns where memory was warm instead of 62, and 126 where it was not instead of 94 |
//! | an M with nothing else to do rests where timers come thick, `scheduler/pace.rs` | taking out what is due at each look | one that spins finds a handful each time, and wakes a second M for it, which comes too late: twice the context switches of 20,000 sleeps, and a quarter more processor time |
//! | what is young is returned in two registers, `timer/young.rs` | in three words, by memory | three words that are written one by one and read together wait for the store buffer, twice for each sleep: 25 ns |
//! | a station is never freed, but another runtime's in its next term, `scheduler/station.rs` | a counted reference from each timer to its P's timers | the two counts are a tenth of a sleep that is made and dropped, and all workers share them |
//!
//! # The words
//!
//! | name | meaning |
//! |---|---|
//! | G, `gp` | one task |
//! | stackful | of a G: a closure on a stack of its own, rather than a future |
//! | M, `m` | one thread that can run Gs; it needs a P to do so |
//! | P, `pp` | one of `worker_threads` processors: the right to run Gs, with its queues |
//! | runnext | the slot for the G that was just made ready |
//! | spinning | holding a P and looking for work |
//! | parked | on the list of Ms that sleep |
//! | root | the future of a `block_on`; also the M of the thread that is in it |
//! | stray | an M that gave its P away in the middle of a poll |
//! | watching | waiting in the netpoller, on the list of parked Ms like the others |
//! | home | what queues a G when it becomes ready: a runtime, or a `LocalSet` |
//! | bound | of a stackful G that has begun: belonging to one M, which alone may run it |
//! | host | an M that has bound Gs; as a trait, what a runtime does for stackful Gs |
//! | migratable | of a stackful G that its author vouches for: not bound, it may go on on any M |
//! | lend | let another thread or G use what is on the stack of a G, which waits for it meanwhile |
//! | promise | the right to a stack, which is taken from the pool when the G begins |

#[cfg_attr(not(stackful), allow(dead_code))] // What is always empty then.
pub(crate) mod bound;
#[cfg(stackful)]
pub(crate) mod context;
pub(crate) mod idle;
#[cfg(any(stackful, loom))]
pub(crate) mod lend;
#[cfg(not(loom))]
pub(crate) mod local;
#[cfg(not(loom))]
pub(crate) mod machine;
pub(crate) mod netpoll;
pub(crate) mod primitive;
#[cfg(not(loom))]
pub(crate) mod processor;
pub(crate) mod queue;
#[cfg(not(loom))]
pub(crate) mod scheduler;
#[cfg(stackful)]
pub(crate) mod stack;
#[cfg(not(loom))]
pub(crate) mod sys;
pub(crate) mod task;
#[cfg_attr(not(feature = "time"), allow(dead_code))] // Nobody sets a timer then.
pub(crate) mod timer;
pub(crate) mod util;

#[cfg(test)]
mod tests;

#[cfg(not(loom))]
pub(crate) use machine::current;
