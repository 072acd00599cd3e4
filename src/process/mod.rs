//! Child processes.
//!
//! ```
//! use runnext::process::Command;
//!
//! # let runtime = runnext::runtime::Runtime::new().unwrap();
//! # runtime.block_on(async {
//! let output = Command::new("echo").arg("hello").output().await?;
//! assert!(output.status.success());
//! assert_eq!(output.stdout, b"hello\n");
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```
//!
//! [`Command`] says what to run and how, as the one of the standard library does, and starts it.
//! [`Child`] is the running process: it is waited for, ended, written to and read from without blocking
//! a thread.
//!
//! ```
//! # #[cfg(feature = "tokio-io")]
//! # fn main() -> std::io::Result<()> {
//! use runnext::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
//! use runnext::process::Command;
//! use std::process::Stdio;
//!
//! # let runtime = runnext::runtime::Runtime::new()?;
//! # runtime.block_on(async {
//! let mut sort = Command::new("sort")
//!     .stdin(Stdio::piped())
//!     .stdout(Stdio::piped())
//!     .spawn()?;
//! let mut input = sort.stdin.take().unwrap();
//! let mut lines = BufReader::new(sort.stdout.take().unwrap()).lines();
//! input.write_all(b"2\n1\n").await?;
//! drop(input); // so that it ends
//!
//! assert_eq!(lines.next_line().await?.as_deref(), Some("1"));
//! assert_eq!(lines.next_line().await?.as_deref(), Some("2"));
//! assert!(sort.wait().await?.success());
//! # Ok(())
//! # })
//! # }
//! # #[cfg(not(feature = "tokio-io"))]
//! # fn main() {}
//! ```
//!
//! # Waiting
//!
//! On Linux the end of a child is an event of a descriptor of it (a *pidfd*), and no signal handler is
//! involved. Where the system has no such descriptors `SIGCHLD` is listened for, see
//! [`signal`](crate::signal).
//!
//! In a stackful task, `wait(child.wait())` waits for the child and leaves the stack meanwhile;
//! `std::process::Child::wait` blocks the thread, and all the tasks that are bound to it.
//!
//! # Children that are dropped
//!
//! A [`Child`] that is dropped runs on, unless [`Command::kill_on_drop`] says otherwise. When it ends the
//! system keeps its exit status for somebody to ask for it: until then it is a *zombie*. The runtime in
//! which the child was started asks, as soon as it learns of the end. If the runtime is shut down before,
//! a later one does so that starts a child itself. Whoever wants to be sure that there is no zombie
//! [waits](Child::wait).
//!
//! # What does not go together
//!
//! The wait fails if others take the exit status away: code in this process that waits for all children
//! at once (`waitpid` of -1), or that has `SIGCHLD` ignored.

mod child;
mod command;
mod orphan;
mod stdio;
mod watched;

pub use child::Child;
pub use command::Command;
pub use stdio::{ChildStderr, ChildStdin, ChildStdout};
