//! A stack that overflows: the process ends, and says whose stack it was.

mod common;

use common::multi_thread;
use runnext::go;
use std::env;
use std::hint::black_box;
use std::process::{Command, Output};

/// Runs the test of that name in a process of its own, in which `CHILD` is set.
fn child(test: &str) -> Output {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("CHILD", "1")
        // As in a program without the sanitizer: the standard library handles faults.
        .env(
            "ASAN_OPTIONS",
            "handle_segv=0:handle_abort=0:use_sigaltstack=0",
        )
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap()
}

fn is_child() -> bool {
    env::var_os("CHILD").is_some()
}

#[expect(unconditional_recursion)]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[(depth % 64) as usize]
}

#[test]
fn of_a_task_names_the_task_and_the_remedy() {
    if is_child() {
        let rt = multi_thread(1);
        let task = runnext::stackful::Builder::new()
            .name("deep")
            .go_on(|| recurse(0), rt.handle());
        rt.block_on(task.unwrap()).unwrap();
        unreachable!("the stack has an end");
    }
    let output = child("of_a_task_names_the_task_and_the_remedy");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for part in [
        "stack overflow",
        "\"deep\"",
        "tests/stackful_overflow.rs:",
        "65536",
        "stack_size",
    ] {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
}

#[test]
fn of_a_plain_thread_is_reported_by_the_standard_library() {
    if is_child() {
        let rt = multi_thread(1);
        // The handler is installed by then.
        rt.block_on(async { go(|| ()).await.unwrap() });
        std::thread::Builder::new()
            .name("plain".into())
            .spawn(|| recurse(0))
            .unwrap()
            .join()
            .unwrap();
        unreachable!("the stack has an end");
    }
    let output = child("of_a_plain_thread_is_reported_by_the_standard_library");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains("thread 'plain'") && said.contains("overflowed its stack"),
        "{said}"
    );
    assert!(!said.contains("runnext"), "{said}");
}
