//! Signals and stackful tasks: they wait for signals, and a signal may come to a thread that runs one
//! which has hardly any stack left.
#![cfg(all(feature = "signal", stackful))]

mod common;

use common::on_each_flavor;
use runnext::signal::unix::{SignalKind, signal};
use runnext::stackful::remaining_stack;
use runnext::{go, wait};
use std::hint::black_box;

fn raise(kind: SignalKind) {
    // SAFETY: the tests raise what they listen for.
    assert_eq!(unsafe { libc::raise(kind.as_raw_value()) }, 0);
}

#[test]
fn a_stackful_task_waits_for_a_signal() {
    let kind = SignalKind::user_defined1();
    on_each_flavor(|rt| {
        let told = rt.block_on(async {
            let task = go(move || {
                let mut listener = signal(kind).unwrap();
                let other = go(move || raise(kind));
                let told = wait(listener.recv());
                wait(other).unwrap();
                told
            });
            task.await.unwrap()
        });
        assert_eq!(told, Some(()));
    });
}

/// Calls itself until there are less than two KiB left, where the kernel finds no room for the registers,
/// and raises a signal there.
#[inline(never)]
fn raise_deep_down(kind: SignalKind) -> usize {
    let frame = black_box([0_u8; 128]);
    let depth = if remaining_stack().unwrap() < 2 * 1024 {
        raise(kind);
        0
    } else {
        raise_deep_down(kind)
    };
    black_box(&frame);
    depth + 1
}

#[test]
#[cfg_attr(
    runnext_asan,
    ignore = "the sanitizer makes frames larger than what is left"
)]
fn a_handler_needs_no_room_on_the_stack_of_a_task() {
    let kind = SignalKind::user_defined2();
    on_each_flavor(|rt| {
        rt.block_on(async {
            let mut listener = signal(kind).unwrap();
            let task = go(move || raise_deep_down(kind));
            assert_eq!(listener.recv().await, Some(()));
            assert!(task.await.unwrap() > 8);
        });
    });
}
