//! What takes a path and is done in one go.

use super::on_pool;
use std::fs::{Metadata, Permissions};
use std::io;
use std::path::{Path, PathBuf};

/// The absolute form of a path, with all links followed. See [`std::fs::canonicalize`].
///
/// # Errors
/// If there is nothing at `path`, or something before its last part is no directory. See also the
/// [module](super#errors).
///
/// # Examples
/// ```
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// let path = runnext::fs::canonicalize("src/../Cargo.toml").await?;
/// assert!(path.is_absolute());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub async fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    on_pool(move || std::fs::canonicalize(path)).await
}

/// Copies the contents and the permissions of a file, and returns how many bytes it has. What was at
/// `to` is overwritten. See [`std::fs::copy`].
///
/// # Errors
/// If `from` is no file or may not be read, or `to` may not be written. See also the
/// [module](super#errors).
///
/// # Examples
/// ```no_run
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// let bytes = runnext::fs::copy("Cargo.toml", "Cargo.toml.orig").await?;
/// println!("{bytes} bytes");
/// # std::io::Result::Ok(())
/// # });
/// ```
pub async fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    on_pool(move || std::fs::copy(from, to)).await
}

/// Makes a directory, in one that exists. See [`std::fs::create_dir`].
///
/// # Errors
/// If there is something at `path` already, or its parent is missing or may not be written. See also
/// the [module](super#errors).
///
/// # Examples
/// ```no_run
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// runnext::fs::create_dir("logs").await?;
/// # std::io::Result::Ok(())
/// # });
/// ```
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    on_pool(move || std::fs::create_dir(path)).await
}

/// Makes a directory and those above it that are missing. See [`std::fs::create_dir_all`].
///
/// # Errors
/// If something on the way is no directory, or may not be written. Some of the directories may have
/// been made. See also the [module](super#errors).
///
/// # Examples
/// ```no_run
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// runnext::fs::create_dir_all("var/log/today").await?;
/// # std::io::Result::Ok(())
/// # });
/// ```
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    on_pool(move || std::fs::create_dir_all(path)).await
}

/// Gives a file a second name, in the same file system. See [`std::fs::hard_link`].
///
/// # Errors
/// If `original` is missing, or there is something at `link` already. See also the
/// [module](super#errors).
///
/// # Examples
/// ```no_run
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// runnext::fs::hard_link("a.txt", "b.txt").await?;
/// # std::io::Result::Ok(())
/// # });
/// ```
pub async fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (original.as_ref().to_owned(), link.as_ref().to_owned());
    on_pool(move || std::fs::hard_link(original, link)).await
}

/// What the file system knows of a file or directory, links followed. See [`std::fs::metadata`].
///
/// # Errors
/// If there is nothing at `path`, or it may not be looked at. See also the [module](super#errors).
///
/// # Examples
/// ```
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// assert!(runnext::fs::metadata("src").await?.is_dir());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref().to_owned();
    on_pool(move || std::fs::metadata(path)).await
}

/// The contents of a file. See [`std::fs::read`].
///
/// # Errors
/// If the file cannot be opened or read. See also the [module](super#errors).
///
/// # Examples
/// ```
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// let bytes = runnext::fs::read("Cargo.toml").await?;
/// assert!(!bytes.is_empty());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let path = path.as_ref().to_owned();
    on_pool(move || std::fs::read(path)).await
}

/// Where a symbolic link leads. See [`std::fs::read_link`].
///
/// # Errors
/// If `path` is no symbolic link. See also the [module](super#errors).
///
/// # Examples
/// ```no_run
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// let target = runnext::fs::read_link("latest").await?;
/// # std::io::Result::Ok(())
/// # });
/// ```
pub async fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    on_pool(move || std::fs::read_link(path)).await
}

/// The contents of a file that is UTF-8. See [`std::fs::read_to_string`].
///
/// # Errors
/// If the file cannot be opened or read, or is not UTF-8. See also the [module](super#errors).
///
/// # Examples
/// ```
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// let text = runnext::fs::read_to_string("Cargo.toml").await?;
/// assert!(text.contains("[package]"));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    let path = path.as_ref().to_owned();
    on_pool(move || std::fs::read_to_string(path)).await
}

/// Removes an empty directory. See [`std::fs::remove_dir`].
///
/// # Errors
/// If it is not empty, or no directory. See also the [module](super#errors).
///
/// # Examples
/// ```no_run
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// runnext::fs::remove_dir("empty").await?;
/// # std::io::Result::Ok(())
/// # });
/// ```
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    on_pool(move || std::fs::remove_dir(path)).await
}

/// Removes a directory with all that is in it. Links are removed, not followed. See
/// [`std::fs::remove_dir_all`].
///
/// # Errors
/// If something cannot be removed; other things may have been by then. See also the
/// [module](super#errors).
///
/// # Examples
/// ```no_run
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// runnext::fs::remove_dir_all("target").await?;
/// # std::io::Result::Ok(())
/// # });
/// ```
pub async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    on_pool(move || std::fs::remove_dir_all(path)).await
}

/// Removes a file or a link. See [`std::fs::remove_file`].
///
/// # Errors
/// If there is none at `path`, or it is a directory. See also the [module](super#errors).
///
/// # Examples
/// ```no_run
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// runnext::fs::remove_file("a.txt").await?;
/// # std::io::Result::Ok(())
/// # });
/// ```
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    on_pool(move || std::fs::remove_file(path)).await
}

/// Renames a file or directory; a file at `to` is replaced. See [`std::fs::rename`].
///
/// # Errors
/// If there is nothing at `from`, or `to` is in another file system. See also the
/// [module](super#errors).
///
/// # Examples
/// ```no_run
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// // Whoever opens it sees the old contents or the new ones, never a part.
/// runnext::fs::write("state.json.new", "{}").await?;
/// runnext::fs::rename("state.json.new", "state.json").await?;
/// # std::io::Result::Ok(())
/// # });
/// ```
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    on_pool(move || std::fs::rename(from, to)).await
}

/// Changes who may do what with a file. See [`std::fs::set_permissions`].
///
/// # Errors
/// If there is no file at `path`, or it belongs to somebody else. See also the
/// [module](super#errors).
///
/// # Examples
/// ```no_run
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// let mut permissions = runnext::fs::metadata("a.txt").await?.permissions();
/// permissions.set_readonly(true);
/// runnext::fs::set_permissions("a.txt", permissions).await?;
/// # std::io::Result::Ok(())
/// # });
/// ```
pub async fn set_permissions(path: impl AsRef<Path>, perm: Permissions) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    on_pool(move || std::fs::set_permissions(path, perm)).await
}

/// Makes a symbolic link at `link` that leads to `original`, be that there or not. See
/// [`std::os::unix::fs::symlink`].
///
/// # Errors
/// If there is something at `link` already. See also the [module](super#errors).
///
/// # Examples
/// ```no_run
/// # #[cfg(unix)]
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// runnext::fs::symlink("2024-05-01.log", "latest").await?;
/// # std::io::Result::Ok(())
/// # });
/// ```
#[cfg(unix)]
pub async fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (original.as_ref().to_owned(), link.as_ref().to_owned());
    on_pool(move || std::os::unix::fs::symlink(original, link)).await
}

/// What the file system knows of a file, a directory or a link itself. See
/// [`std::fs::symlink_metadata`].
///
/// # Errors
/// If there is nothing at `path`, or it may not be looked at. See also the [module](super#errors).
///
/// # Examples
/// ```
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// assert!(!runnext::fs::symlink_metadata("Cargo.toml").await?.is_symlink());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref().to_owned();
    on_pool(move || std::fs::symlink_metadata(path)).await
}

/// Whether there is something at a path. See [`std::fs::exists`].
///
/// # Errors
/// If that cannot be told, as where a directory on the way may not be searched. See also the
/// [module](super#errors).
///
/// # Examples
/// ```
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// assert!(runnext::fs::try_exists("Cargo.toml").await?);
/// assert!(!runnext::fs::try_exists("no such file").await?);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub async fn try_exists(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = path.as_ref().to_owned();
    on_pool(move || path.try_exists()).await
}

/// Makes `contents` the contents of a file, which is made if it is missing. See [`std::fs::write`].
///
/// The contents are copied once on the way to the other thread.
///
/// # Errors
/// If the file cannot be made or written; it may be empty or have a part of the contents then. See
/// also the [module](super#errors).
///
/// # Examples
/// ```no_run
/// # runnext::runtime::Runtime::new().unwrap().block_on(async {
/// runnext::fs::write("greeting.txt", "hello").await?;
/// # std::io::Result::Ok(())
/// # });
/// ```
pub async fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    let contents = contents.as_ref().to_owned();
    on_pool(move || std::fs::write(path, contents)).await
}
