//! A process without descriptors.

#![allow(dead_code)] // Each test uses the part that it needs.

use std::fs::File;
use std::io;

/// The number of the error for too many open files.
pub(crate) const EMFILE: i32 = 24;

/// Limits the descriptors of this process.
pub(crate) fn limit(count: u64) {
    let new = libc::rlimit {
        rlim_cur: count,
        rlim_max: count,
    };
    // SAFETY: the limit is read during the call.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const new) };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}

/// Takes all descriptors that are left.
pub(crate) fn take_all() -> Vec<File> {
    let mut taken = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(EMFILE));
                return taken;
            }
        }
    }
}

#[track_caller]
pub(crate) fn assert_exhausted<T: std::fmt::Debug>(result: io::Result<T>) {
    assert_eq!(result.unwrap_err().raw_os_error(), Some(EMFILE));
}
