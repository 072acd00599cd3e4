//! Files and directories, on the pool of blocking threads.
//!
//! ```
//! # #[cfg(feature = "tokio-io")]
//! # runnext::runtime::Runtime::new().unwrap().block_on(async {
//! use runnext::fs::{self, File};
//! use runnext::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # let dir = std::env::temp_dir().join(format!("runnext-fs-{}", std::process::id()));
//! fs::create_dir_all(&dir).await?;
//! let path = dir.join("greeting.txt");
//!
//! let mut file = File::create(&path).await?;
//! file.write_all(b"hello, ").await?;
//! file.write_all(b"world").await?;
//! file.flush().await?; // waits until it is written
//!
//! let mut text = String::new();
//! File::open(&path).await?.read_to_string(&mut text).await?;
//! assert_eq!(text, "hello, world");
//! assert_eq!(fs::read_to_string(&path).await?, text); // the same in one go
//!
//! fs::remove_dir_all(&dir).await?;
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```
//!
//! The operating system has no way to wait for a file, so each operation here is a blocking one that a
//! thread of the pool executes, as with [`spawn_blocking`]. One costs a few microseconds more than
//! it does in [`std::fs`]: the functions that do a whole thing in one go, [`read`],
//! [`write()`] or [`copy`], are faster than a [`File`] in many small steps, and a `BufReader` or `BufWriter` around
//! the file makes few of many. Several operations at once are best put into a `spawn_blocking` of your
//! own, with `std::fs`.
//!
//! In a stackful task, `std::fs` inside of
#![cfg_attr(stackful, doc = "[`stackful::blocking`](crate::stackful::blocking)")]
#![cfg_attr(not(stackful), doc = "`stackful::blocking`")]
//! is the direct way: it can do any number of operations at once, and borrow.
//!
//! All this is for ordinary files. A read from a terminal or a FIFO can wait for ever, and keeps its
//! thread, and the end of the runtime, waiting.
//!
//! # Errors
//!
//! Besides those of the function of the same name in [`std::fs`]: the operation fails if no thread of
//! the pool can be had, and if the runtime is shut down before it has begun.
//!
//! # Panics
//!
//! All operations panic if there is no current runtime.
//!
//! # Cancel safety
//!
//! Dropping a future of this module abandons the result, not the operation: once it was polled, the
//! file is written, renamed or removed all the same. How a [`File`] deals with that is said there.
//!
//! [`spawn_blocking`]: crate::task::spawn_blocking()

mod dir_builder;
mod file;
mod file_times;
mod open_options;
mod paths;
mod read_dir;

pub use dir_builder::DirBuilder;
pub use file::File;
pub use file_times::FileTimes;
pub use open_options::OpenOptions;
#[cfg(unix)]
pub use paths::symlink;
pub use paths::{
    canonicalize, copy, create_dir, create_dir_all, hard_link, metadata, read, read_link,
    read_to_string, remove_dir, remove_dir_all, remove_file, rename, set_permissions,
    symlink_metadata, try_exists, write,
};
pub use read_dir::{DirEntry, ReadDir, read_dir};

use crate::io::lost;
use crate::task::try_spawn_blocking;
use std::io;

/// Runs an operation on the pool.
async fn on_pool<T, F>(operation: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    match try_spawn_blocking(operation)?.await {
        Ok(result) => result,
        Err(error) => Err(lost(error)),
    }
}
