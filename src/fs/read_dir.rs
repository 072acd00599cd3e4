//! What is in a directory.

use super::on_pool;
use crate::io::lost;
use crate::task::{JoinHandle, try_spawn_blocking};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{FileType, Metadata};
use std::future::{Future, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// How many entries one operation reads at most. A guess: enough that the way to another thread does
/// not show.
const CHUNK: usize = 32;

/// Looks into a directory.
///
/// # Errors
/// If there is none at `path`, or it may not be read. See also the [module](super#errors).
///
/// # Examples
/// ```
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// let mut names = Vec::new();
/// let mut entries = runnext::fs::read_dir("src/fs").await?;
/// while let Some(entry) = entries.next_entry().await? {
///     names.push(entry.file_name());
/// }
/// assert!(names.iter().any(|name| name == "mod.rs"));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref().to_owned();
    let chunk = on_pool(move || {
        let mut chunk = Chunk {
            entries: VecDeque::with_capacity(CHUNK),
            rest: Some(std::fs::read_dir(path)?),
        };
        chunk.read();
        Ok(chunk)
    });
    Ok(ReadDir(State::Idle(chunk.await?)))
}

/// The entries of a directory, in no order. Made by [`read_dir()`].
#[derive(Debug)]
#[must_use = "the entries are read with `next_entry`"]
pub struct ReadDir(State);

#[derive(Debug)]
enum State {
    Idle(Chunk),
    Reading(JoinHandle<Chunk>),
}

/// Some entries, and where the others come from, if there are any.
#[derive(Debug, Default)]
struct Chunk {
    entries: VecDeque<io::Result<DirEntry>>,
    rest: Option<std::fs::ReadDir>,
}

impl Chunk {
    /// Reads entries, up to the first error.
    fn read(&mut self) {
        let Some(rest) = &mut self.rest else { return };
        for _ in 0..CHUNK {
            let Some(entry) = rest.next() else {
                self.rest = None;
                return;
            };
            let failed = entry.is_err();
            self.entries.push_back(entry.map(DirEntry::new));
            if failed {
                return;
            }
        }
    }
}

impl ReadDir {
    /// The next entry; `None` after the last.
    ///
    /// # Errors
    /// If the directory cannot be read further. See also the [module](super#errors).
    ///
    /// # Cancel safety
    /// No entry is lost when the future is dropped.
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        poll_fn(|cx| self.poll_next_entry(cx)).await
    }

    /// Polls for the next entry, as [`next_entry`](ReadDir::next_entry) does. Of several callers the
    /// last is woken.
    ///
    /// # Errors
    /// Those of `next_entry`.
    pub fn poll_next_entry(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<DirEntry>>> {
        loop {
            match &mut self.0 {
                State::Idle(chunk) => {
                    if let Some(entry) = chunk.entries.pop_front() {
                        return Poll::Ready(entry.map(Some));
                    }
                    if chunk.rest.is_none() {
                        return Poll::Ready(Ok(None));
                    }
                    let mut chunk = std::mem::take(chunk);
                    self.0 = State::Reading(try_spawn_blocking(move || {
                        chunk.read();
                        chunk
                    })?);
                }
                State::Reading(reading) => {
                    let read = ready!(Pin::new(reading).poll(cx));
                    // The rest is lost with the operation that had it.
                    let (chunk, result) = match read {
                        Ok(chunk) => (chunk, Ok(())),
                        Err(error) => (Chunk::default(), Err(lost(error))),
                    };
                    self.0 = State::Idle(chunk);
                    result?;
                }
            }
        }
    }
}

/// Something in a directory. Yielded by [`ReadDir`].
#[derive(Debug)]
pub struct DirEntry {
    /// Most file systems say it with the name.
    file_type: Option<FileType>,
    std: Arc<std::fs::DirEntry>,
}

impl DirEntry {
    fn new(std: std::fs::DirEntry) -> DirEntry {
        DirEntry {
            file_type: std.file_type().ok(),
            std: Arc::new(std),
        }
    }

    /// The path: that of the directory as it was given, and the name.
    pub fn path(&self) -> PathBuf {
        self.std.path()
    }

    /// The name in the directory.
    pub fn file_name(&self) -> OsString {
        self.std.file_name()
    }

    /// What the file system knows of it; links are not followed.
    ///
    /// # Errors
    /// If it is not there any more, or may not be looked at. See also the [module](super#errors).
    pub async fn metadata(&self) -> io::Result<Metadata> {
        let std = self.std.clone();
        on_pool(move || std.metadata()).await
    }

    /// Whether it is a file, a directory or a link, which is not followed. Mostly this needs no
    /// operation.
    ///
    /// # Errors
    /// Those of [`metadata`](DirEntry::metadata).
    pub async fn file_type(&self) -> io::Result<FileType> {
        if let Some(file_type) = self.file_type {
            return Ok(file_type);
        }
        let std = self.std.clone();
        on_pool(move || std.file_type()).await
    }

    /// The number of its inode.
    #[cfg(unix)]
    pub fn ino(&self) -> u64 {
        use std::os::unix::fs::DirEntryExt;
        self.std.ino()
    }
}
