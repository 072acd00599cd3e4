//! There are no descriptors left: nothing is started, nothing is left running, and everything goes on
//! when there are some again.
#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "common/exhausted.rs"]
mod exhausted;

use common::on_each_flavor;
use exhausted::{EMFILE, limit, take_all};
use runnext::process::Command;
use runnext::signal::unix::{SignalKind, signal};
use std::process::Stdio;

/// How many children this process has, zombies among them.
fn children() -> usize {
    let me = std::process::id().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .filter(|stat| {
            let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            rest.split_whitespace().nth(1) == Some(&me)
        })
        .count()
}

/// One test, since the limit is that of the process.
#[test]
fn who_needs_a_descriptor_is_told_and_nothing_is_left_running() {
    limit(128);
    on_each_flavor(|rt| {
        let _entered = rt.enter();
        // However many there are, each start either succeeds or leaves nothing behind.
        let (mut failed, mut started) = (0, 0);
        for left in 0..16 {
            let mut taken = take_all();
            taken.truncate(taken.len() - left);
            let mut command = Command::new("sleep");
            command.arg("100000").stdin(Stdio::piped());
            match command.stdout(Stdio::piped()).spawn() {
                Ok(mut child) => {
                    drop(taken);
                    rt.block_on(child.kill()).unwrap();
                    started += 1;
                }
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(EMFILE), "{error}");
                    drop(taken);
                    failed += 1;
                }
            }
            assert_eq!(children(), 0, "with {left} descriptors");
        }
        assert!(
            failed > 4 && started > 0,
            "{failed} failed, {started} started"
        );

        let taken = take_all();
        let kind = SignalKind::user_defined1();
        let error = signal(kind).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(EMFILE), "{error}");
        drop(taken);
        let mut listener = signal(kind).unwrap();
        // SAFETY: it is listened for.
        assert_eq!(unsafe { libc::raise(kind.as_raw_value()) }, 0);
        assert_eq!(rt.block_on(listener.recv()), Some(()));
    });
}
