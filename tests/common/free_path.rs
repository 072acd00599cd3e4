//! Paths for sockets, which must be short.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A path that nothing is at, and nothing will be.
pub(crate) struct FreePath(pub(crate) PathBuf);

impl FreePath {
    pub(crate) fn new() -> FreePath {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "runnext-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        FreePath(std::env::temp_dir().join(name))
    }
}

impl AsRef<Path> for FreePath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for FreePath {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}
