//! Ctrl-C, which is listened for as long as the process lives once it was.
#![cfg(all(feature = "signal", unix))]

mod common;

use common::{on_each_flavor, poll_once};
use runnext::signal::ctrl_c;
use std::pin::pin;

fn press() {
    // SAFETY: it is listened for.
    assert_eq!(unsafe { libc::raise(libc::SIGINT) }, 0);
}

#[test]
#[allow(clippy::async_yields_async)] // One that waits is what is wanted.
fn it_is_told_to_all_who_wait() {
    on_each_flavor(|rt| {
        let mut waits = Box::pin(ctrl_c());
        rt.block_on(async {
            let mut here = pin!(ctrl_c());
            assert!(poll_once(&mut here).await.is_pending());
            press();
            here.await.unwrap();
            // What came before the first poll is no concern of this one.
            let mut here = pin!(ctrl_c());
            let mut there = pin!(ctrl_c());
            press();
            assert!(poll_once(&mut here).await.is_pending());
            assert!(poll_once(&mut there).await.is_pending());
            press();
            here.await.unwrap();
            there.await.unwrap();
            press();
            assert!(poll_once(&mut waits).await.is_pending());
        });
        drop(rt);
        common::current_thread().block_on(async {
            let error = waits.await.unwrap_err().to_string();
            assert!(error.contains("shut down"), "{error}");
        });
    });
}
