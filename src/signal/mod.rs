//! Signals to the process: Ctrl-C, and on Unix the others.
//!
//! ```no_run
//! # let runtime = runnext::runtime::Runtime::new().unwrap();
//! # runtime.block_on(async {
//! println!("serving; press Ctrl-C to stop");
//! runnext::signal::ctrl_c().await?;
//! println!("stopping");
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```
//!
//! Those who have to do something when the process is asked to end, whoever asks, listen for two of
//! them:
//!
//! ```no_run
//! # #[cfg(feature = "macros")]
//! # fn main() -> std::io::Result<()> {
//! use runnext::signal::unix::{SignalKind, signal};
//!
//! # let runtime = runnext::runtime::Runtime::new()?;
//! # runtime.block_on(async {
//! let mut interrupt = signal(SignalKind::interrupt())?;
//! let mut terminate = signal(SignalKind::terminate())?;
//! runnext::select! {
//!     _ = interrupt.recv() => println!("Ctrl-C"),
//!     _ = terminate.recv() => println!("told to end"),
//! }
//! # Ok(())
//! # })
//! # }
//! # #[cfg(not(feature = "macros"))]
//! # fn main() {}
//! ```
//!
//! # What a signal does from then on
//!
//! The first listener for a signal in the process replaces what the signal does by itself, for good: a
//! process that has once listened for Ctrl-C is not ended by Ctrl-C any more, even if nobody listens at
//! the moment. Handlers that others installed before are called as well.
//!
//! A signal is no message with a place in a queue. Several of a kind that come before a listener looks
//! are one to it, and one that comes while there is no listener is lost. But each listener sees each
//! signal that comes after it was made, however many there are, and in however many runtimes.

mod driver;
pub mod unix;

use std::io;
use unix::SignalKind;

/// Waits for the next Ctrl-C in the terminal, which is a `SIGINT` to this process.
///
/// It is listened for from the first poll on. From then on Ctrl-C does not end the process by itself,
/// as the [module](self) says. One that comes between two calls is lost; who must not lose it keeps a
/// [`Signal`](unix::Signal).
///
/// # Errors
/// Those of [`unix::signal`]; or the runtime is shut down meanwhile.
///
/// # Panics
/// If there is no current runtime when it is first polled.
///
/// # Cancel safety
/// A Ctrl-C that came and was not told before the future is dropped is lost.
pub async fn ctrl_c() -> io::Result<()> {
    let mut interrupt = unix::signal(SignalKind::interrupt())?;
    match interrupt.recv().await {
        Some(()) => Ok(()),
        None => Err(io::Error::other(
            "the runtime was shut down, and with it the wait for Ctrl-C",
        )),
    }
}
