#![deny(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("runnext supports 64-bit targets only");

#[allow(unsafe_code)] // The engine is where unsafe code lives; see its map.
mod engine;

#[cfg(not(loom))]
pub mod runtime;
#[cfg(not(loom))]
pub mod task;

#[cfg(not(loom))]
pub use task::spawn;

#[cfg(feature = "sync")]
pub use tokio::sync;

#[cfg(feature = "macros")]
pub use tokio::{join, pin, select, try_join};

#[cfg(feature = "macros")]
pub use runnext_macros::{main, test};
