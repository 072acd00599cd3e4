use super::{File, on_pool};
use std::io;
use std::path::Path;

/// How a file is to be opened. See [`std::fs::OpenOptions`].
///
/// # Examples
/// ```no_run
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// let log = runnext::fs::OpenOptions::new()
///     .create(true)
///     .append(true)
///     .open("app.log")
///     .await?;
/// # std::io::Result::Ok(())
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions(std::fs::OpenOptions);

macro_rules! switches {
    ($($(#[doc = $doc:literal])* $name:ident)*) => {$(
        $(#[doc = $doc])*
        pub fn $name(&mut self, $name: bool) -> &mut OpenOptions {
            self.0.$name($name);
            self
        }
    )*};
}

impl OpenOptions {
    /// Nothing is allowed yet.
    #[must_use]
    pub fn new() -> OpenOptions {
        OpenOptions(std::fs::OpenOptions::new())
    }

    switches! {
        /// Whether the file may be read.
        read
        /// Whether the file may be written.
        write
        /// Whether each write goes to the end of the file, wherever that is by then.
        append
        /// Whether what is in the file is dropped; it must be opened for writing.
        truncate
        /// Whether the file is made if it is missing; it must be opened for writing.
        create
        /// Whether the file is made, and must not be there before; `create` and `truncate` do not
        /// matter then.
        create_new
    }

    /// The permissions of a file that is made, less those in the process's umask. 0o666 unless set.
    #[cfg(unix)]
    pub fn mode(&mut self, mode: u32) -> &mut OpenOptions {
        use std::os::unix::fs::OpenOptionsExt;
        self.0.mode(mode);
        self
    }

    /// Further flags for the system call, such as `O_NOFOLLOW` of the crate `libc`.
    #[cfg(unix)]
    pub fn custom_flags(&mut self, flags: i32) -> &mut OpenOptions {
        use std::os::unix::fs::OpenOptionsExt;
        self.0.custom_flags(flags);
        self
    }

    /// Opens the file.
    ///
    /// # Errors
    /// If the file is missing, may not be opened so, or is there although it should not be; and if
    /// the options contradict each other. See also the [module](super#errors).
    ///
    /// # Cancel safety
    /// A file that was opened after the future was dropped is closed again; if it was to be made, it
    /// is.
    pub async fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let path = path.as_ref().to_owned();
        let options = self.0.clone();
        Ok(File::from_std(on_pool(move || options.open(path)).await?))
    }
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions::new()
    }
}

impl From<std::fs::OpenOptions> for OpenOptions {
    fn from(options: std::fs::OpenOptions) -> OpenOptions {
        OpenOptions(options)
    }
}
