//! An open file.

// Unsafe: `FromRawFd`, whose caller vouches for the descriptor.

mod flight;
mod traits;

use super::{FileTimes, OpenOptions, on_pool};
use crate::io::buf::DEFAULT_MAX_BUF_SIZE;
use flight::{Flight, Outcome};
use std::fmt;
use std::fs::{Metadata, Permissions};
use std::io::{self, Seek};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Mutex;

/// An open file.
///
/// It implements tokio's `AsyncRead`, `AsyncWrite` and `AsyncSeek`, with feature `tokio-io`, and
/// those of `futures::io`.
///
/// Each operation is one of [`std::fs::File`] on a thread of the pool, one at a time, in the order in
/// which they were begun. It moves at most [`max_buf_size`](File::max_buf_size) bytes, by way of a
/// buffer of the file.
///
/// # Writing
///
/// **A write is over when its bytes are in the buffer.** That they are in the file, and whether that
/// went well, is known after a flush: an error of a write is reported by the next write, flush,
/// shutdown or [`sync_all`](File::sync_all), whichever comes first. A file that is dropped without
/// one of these is written all the same, also if its runtime is shut down, but somewhat later, and
/// errors go unnoticed.
///
/// # Cancel safety
///
/// A read, write or seek that was dropped goes on in the background, and the next operation waits for
/// it. What a dropped read has brought is kept for the next read; a write or seek goes from where the
/// bytes that were *taken* end. A dropped write may have been done, in part or not at all, if it was
/// one of several parts, as in `write_all`.
///
/// # Panics
///
/// All operations panic if there is no current runtime. It need not be the one that opened the file.
///
/// # Examples
/// ```no_run
/// # #[cfg(feature = "tokio-io")]
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// use runnext::fs::File;
/// use runnext::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
///
/// let mut file = File::options().read(true).write(true).open("numbers").await?;
/// let last = file.seek(SeekFrom::End(-8)).await?;
/// let number = file.read_u64().await?;
/// file.seek(SeekFrom::Start(last)).await?;
/// file.write_u64(number + 1).await?;
/// file.flush().await?;
/// # std::io::Result::Ok(())
/// # });
/// ```
pub struct File {
    std: Arc<std::fs::File>,
    /// What reads, writes and seeks share. They have the file for themselves, and lock nothing.
    flight: Mutex<Flight>,
    max_buf_size: usize,
}

impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// If there is none, or it may not be read. See also the [module](super#errors).
    ///
    /// # Examples
    /// ```
    /// # runnext::runtime::Runtime::new().unwrap().block_on(async {
    /// let file = runnext::fs::File::open("Cargo.toml").await?;
    /// assert!(file.metadata().await?.len() > 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn open(path: impl AsRef<Path>) -> io::Result<File> {
        File::options().read(true).open(path).await
    }

    /// Opens a file for writing; it is made, or what is in it is dropped.
    ///
    /// # Errors
    /// If it may not be made or written. See also the [module](super#errors).
    pub async fn create(path: impl AsRef<Path>) -> io::Result<File> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        options.open(path).await
    }

    /// Makes a file, for reading and writing.
    ///
    /// # Errors
    /// If it is there already, or may not be made. See also the [module](super#errors).
    pub async fn create_new(path: impl AsRef<Path>) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        options.open(path).await
    }

    /// To open a file in another way.
    #[must_use]
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Takes over a file of the standard library.
    ///
    /// # Examples
    /// ```
    /// let file = runnext::fs::File::from_std(std::fs::File::open("Cargo.toml")?);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn from_std(std: std::fs::File) -> File {
        File {
            std: Arc::new(std),
            flight: Mutex::new(Flight::new()),
            max_buf_size: DEFAULT_MAX_BUF_SIZE,
        }
    }

    /// Has the operating system write what it keeps of the file, and what it knows about it, to the
    /// disk. Waits for a write in flight before.
    ///
    /// # Errors
    /// If that fails, or an earlier write did and nobody was told. See also the
    /// [module](super#errors).
    pub async fn sync_all(&self) -> io::Result<()> {
        let mut flight = self.flight.lock().await;
        flight.flush().await?;
        let std = self.std.clone();
        on_pool(move || std.sync_all()).await
    }

    /// As [`sync_all`](File::sync_all), without what is not needed to read the contents, as times.
    ///
    /// # Errors
    /// Those of `sync_all`.
    pub async fn sync_data(&self) -> io::Result<()> {
        let mut flight = self.flight.lock().await;
        flight.flush().await?;
        let std = self.std.clone();
        on_pool(move || std.sync_data()).await
    }

    /// Cuts the file off after `size` bytes, or adds zeros until it has as many. The position stays
    /// as it is.
    ///
    /// # Errors
    /// If the file is not open for writing, or there is no room. See also the
    /// [module](super#errors).
    ///
    /// # Cancel safety
    /// What was begun is done before the next operation.
    pub async fn set_len(&self, size: u64) -> io::Result<()> {
        let mut flight = self.flight.lock().await;
        flight.settle().await;
        flight.start(&self.std, move |std, buf| {
            let rewound = buf.rewind().map_or(Ok(0), |to| (&mut &*std).seek(to));
            Outcome::Other(rewound.and_then(|_| std.set_len(size)))
        })?;
        flight.other().await
    }

    /// What the file system knows of the file. This does not wait for a write in flight.
    ///
    /// # Errors
    /// If it cannot be told. See also the [module](super#errors).
    pub async fn metadata(&self) -> io::Result<Metadata> {
        let std = self.std.clone();
        on_pool(move || std.metadata()).await
    }

    /// A second handle to the same open file; the two have one position in common. Waits for what is
    /// in flight before.
    ///
    /// # Errors
    /// If the process has too many files open. See also the [module](super#errors).
    pub async fn try_clone(&self) -> io::Result<File> {
        let mut flight = self.flight.lock().await;
        self.give_back(&mut flight).await?;
        let std = self.std.clone();
        let mut clone = File::from_std(on_pool(move || std.try_clone()).await?);
        clone.set_max_buf_size(self.max_buf_size);
        Ok(clone)
    }

    /// The file for the standard library. Waits for what is in flight before; an error of an earlier
    /// write that nobody was told of is lost, so flush before.
    ///
    /// # Panics
    /// If an operation with a future that was dropped is under way, and the process has too many
    /// files open for another handle.
    pub async fn into_std(self) -> std::fs::File {
        {
            let mut flight = self.flight.lock().await;
            // A file that has no position, as a FIFO, keeps none that could be wrong.
            let _no_position = self.give_back(&mut flight).await;
        }
        Arc::try_unwrap(self.std).unwrap_or_else(|shared| {
            let clone = shared.try_clone();
            clone.expect("no other handle to a file that an operation still has")
        })
    }

    /// The file for the standard library, at once.
    ///
    /// # Errors
    /// The file itself, if an operation is under way.
    pub fn try_into_std(self) -> Result<std::fs::File, File> {
        match Arc::try_unwrap(self.std) {
            Ok(std) => Ok(std),
            Err(std) => Err(File { std, ..self }),
        }
    }

    /// Changes who may do what with the file.
    ///
    /// # Errors
    /// If the file belongs to somebody else. See also the [module](super#errors).
    pub async fn set_permissions(&self, perm: Permissions) -> io::Result<()> {
        let std = self.std.clone();
        on_pool(move || std.set_permissions(perm)).await
    }

    /// Sets the times of the file. Waits for what is in flight before, which would change them.
    ///
    /// # Errors
    /// If the file belongs to somebody else. See also the [module](super#errors).
    pub async fn set_times(&self, times: FileTimes) -> io::Result<()> {
        let mut flight = self.flight.lock().await;
        flight.settle().await;
        let std = self.std.clone();
        on_pool(move || std.set_times(times.into_std())).await
    }

    /// Sets the time of the last change of the contents.
    ///
    /// # Errors
    /// Those of [`set_times`](File::set_times).
    pub async fn set_modified(&self, time: std::time::SystemTime) -> io::Result<()> {
        self.set_times(FileTimes::new().set_modified(time)).await
    }

    /// How many bytes one operation moves at most. The buffer grows up to that, with what is asked
    /// for. 2 MiB unless set.
    ///
    /// # Panics
    /// If `max_buf_size` is 0.
    #[track_caller]
    pub fn set_max_buf_size(&mut self, max_buf_size: usize) {
        assert!(
            max_buf_size > 0,
            "`max_buf_size` cannot be 0: nothing could be read or written; use 1 or more"
        );
        self.max_buf_size = max_buf_size;
    }

    /// How many bytes one operation moves at most.
    pub fn max_buf_size(&self) -> usize {
        self.max_buf_size
    }

    /// Waits for what is in flight, and goes back to before what was read and not taken.
    async fn give_back(&self, flight: &mut Flight) -> io::Result<()> {
        flight.settle().await;
        if !flight.has_unread() {
            return Ok(());
        }
        flight.start(&self.std, |std, buf| {
            let rewound = buf.rewind().map_or(Ok(0), |to| (&mut &*std).seek(to));
            Outcome::Other(rewound.map(drop))
        })?;
        flight.other().await
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("std", &self.std).finish()
    }
}

impl From<std::fs::File> for File {
    fn from(std: std::fs::File) -> File {
        File::from_std(std)
    }
}

#[cfg(unix)]
mod unix {
    use super::File;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

    impl From<OwnedFd> for File {
        fn from(fd: OwnedFd) -> File {
            File::from_std(fd.into())
        }
    }

    #[allow(unsafe_code)] // The promise is the user's.
    impl FromRawFd for File {
        /// # Safety
        /// As of [`std::fs::File`]: the descriptor is open, and nobody else closes it.
        unsafe fn from_raw_fd(fd: RawFd) -> File {
            // SAFETY: as our caller promised.
            File::from_std(unsafe { std::fs::File::from_raw_fd(fd) })
        }
    }

    impl AsFd for File {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.std.as_fd()
        }
    }

    impl AsRawFd for File {
        fn as_raw_fd(&self) -> RawFd {
            self.std.as_raw_fd()
        }
    }
}
