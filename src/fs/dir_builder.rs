use super::on_pool;
use std::io;
use std::path::Path;

/// Makes directories, with settings. See [`std::fs::DirBuilder`].
///
/// # Examples
/// ```no_run
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// runnext::fs::DirBuilder::new()
///     .recursive(true)
///     .create("var/cache/thumbnails")
///     .await?;
/// # std::io::Result::Ok(())
/// # });
/// ```
#[derive(Debug, Default)]
pub struct DirBuilder {
    recursive: bool,
    #[cfg(unix)]
    mode: Option<u32>,
}

impl DirBuilder {
    /// Settings as of [`create_dir`](super::create_dir).
    pub fn new() -> DirBuilder {
        DirBuilder::default()
    }

    /// Whether directories above are made where they are missing; then it is no error that the
    /// directory is there already.
    pub fn recursive(&mut self, recursive: bool) -> &mut DirBuilder {
        self.recursive = recursive;
        self
    }

    /// The permissions of the directories, less those in the process's umask.
    #[cfg(unix)]
    pub fn mode(&mut self, mode: u32) -> &mut DirBuilder {
        self.mode = Some(mode);
        self
    }

    /// Makes the directory.
    ///
    /// # Errors
    /// Those of [`create_dir`](super::create_dir) or of [`create_dir_all`](super::create_dir_all).
    pub async fn create(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref().to_owned();
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(self.recursive);
        #[cfg(unix)]
        if let Some(mode) = self.mode {
            use std::os::unix::fs::DirBuilderExt;
            builder.mode(mode);
        }
        on_pool(move || builder.create(path)).await
    }
}
