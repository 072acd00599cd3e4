//! The exit status of a process is lost to others: the wait ends, with an error.
#![cfg(all(feature = "process", target_os = "linux"))]

mod common;

use common::{on_each_flavor, run_until};
use runnext::process::Command;
use std::process::Stdio;

/// One test, since it changes what a signal does to this process.
#[test]
fn a_wait_whose_status_is_lost_is_an_error() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let mut child = Command::new("true").kill_on_drop(true).spawn().unwrap();
            let pid = child.id().unwrap() as i32;
            // SAFETY: the call takes numbers and a null pointer for what it would write.
            let waited = unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            assert_eq!(waited, pid);
            let error = child.wait().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
            let error = child.try_wait().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
        });
    });
    // SAFETY: to ignore a signal runs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    on_each_flavor(|rt| {
        rt.block_on(async {
            let error = Command::new("true").status().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
            let mut command = Command::new("cat");
            let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
            let error = child.wait().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
            let mut child = command.spawn().unwrap();
            child.kill().await.unwrap_err();
        });
        // An orphan is nobody's concern.
        let mut command = Command::new("cat");
        let _entered = rt.enter();
        let child = command.stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id().unwrap();
        drop(child);
        run_until(&rt, || {
            !std::path::Path::new(&format!("/proc/{pid}")).exists()
        });
    });
}
