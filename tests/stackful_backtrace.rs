//! What is seen from inside of a stackful task: its own frames, and below them those of the thread
//! that runs it. `.ci/gdb` looks at the same with a debugger.
#![cfg(stackful)]

mod common;

use common::on_each_flavor;
use runnext::stackful;
use std::backtrace::Backtrace;
use std::hint::black_box;

/// Where the debugger stops.
#[inline(never)]
fn seen_by_a_debugger() -> String {
    black_box(Backtrace::force_capture().to_string())
}

#[inline(never)]
fn called_by_the_task() -> String {
    black_box(seen_by_a_debugger())
}

#[test]
fn goes_on_from_the_task_into_its_thread() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let begun = called_by_the_task();
            // So that it is another turn, which got here by another way.
            stackful::yield_now();
            [begun, called_by_the_task()]
        });
        for backtrace in rt.block_on(task).unwrap() {
            let mut rest = &*backtrace;
            for name in [
                "stackful_backtrace::seen_by_a_debugger",
                "stackful_backtrace::called_by_the_task",
                "goes_on_from_the_task_into_its_thread::{",
                "coroutine::entry",
                "arch::begin",
                "coroutine::turn",
                "runnext::engine::scheduler",
                "std::sys",
            ] {
                let Some(at) = rest.find(name) else {
                    panic!("{name} is missing, or not where it should be, in\n{backtrace}");
                };
                rest = &rest[at + name.len()..];
            }
        }
    });
}
