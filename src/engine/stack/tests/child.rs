//! A test that ends its process, or changes it for good, does so in a child.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

/// Set in the child.
const VARIABLE: &str = "RUNNEXT_STACK_TEST_CHILD";

/// How a child ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// By which signal, if by one.
    pub(super) signal: Option<i32>,
    /// With which code, if with one.
    pub(super) code: Option<i32>,
    /// What it wrote to standard error.
    pub(super) errors: String,
}

/// Runs `body` in a process of its own, which runs nothing but the calling test, and says how that
/// ended. In the child this does not return: it exits with code 0 after `body`.
///
/// `test` is the name of the calling test below `stack::tests`; it may call this once.
pub(super) fn run_in_child(test: &str, body: impl FnOnce()) -> Ended {
    if std::env::var_os(VARIABLE).is_some() {
        body();
        std::process::exit(0);
    }
    let Output { status, stderr, .. } = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("engine::stack::tests::{test}")])
        .args(["--nocapture", "--test-threads", "1"])
        .env(VARIABLE, "1")
        // As in a program without the sanitizer: the standard library handles faults.
        .env(
            "ASAN_OPTIONS",
            "handle_segv=0:handle_sigbus=0:handle_abort=0:use_sigaltstack=0",
        )
        .output()
        .unwrap();
    Ended {
        signal: status.signal(),
        code: status.code(),
        errors: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

impl Ended {
    /// Passes if `body` ran to its end.
    #[track_caller]
    pub(super) fn passed(self) {
        assert_eq!(self.code, Some(0), "{self:?}");
    }
}
