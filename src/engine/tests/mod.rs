//! Models and properties of the engine.
//!
//! With `--cfg loom` the models are built, one module `loom_*` for each subject: they run the code
//! that ships in every interleaving of a few threads, and one of them, the canary, has to fail.
//! Without it, the other tests: properties against simple models, and real threads.

#[cfg(loom)]
mod loom_held;
#[cfg(loom)]
mod loom_idle;
#[cfg(loom)]
mod loom_inbox;
#[cfg(loom)]
mod loom_lend;
#[cfg(loom)]
mod loom_netpoll;
#[cfg(loom)]
mod loom_parking;
#[cfg(loom)]
mod loom_registry;
#[cfg(loom)]
mod loom_ring;
#[cfg(loom)]
mod loom_runnext;
#[cfg(loom)]
mod loom_task;
#[cfg(loom)]
mod loom_timers;
#[cfg(loom)]
mod loom_young;
#[cfg(loom)]
mod model;
#[cfg(not(loom))]
mod queue_model;
#[cfg(not(loom))]
mod stress;
#[cfg(not(loom))]
mod timer_model;
#[cfg(not(loom))]
mod turn_order;
#[cfg(not(loom))]
mod young_timers;
