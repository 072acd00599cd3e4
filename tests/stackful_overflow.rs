//! A stack that overflows: the process ends, and says whose stack it was.
#![cfg(stackful)]

mod common;

use common::{in_child, multi_thread};
use runnext::stackful::Builder;
use runnext::{go, wait};
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;

#[expect(unconditional_recursion)]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[(depth % 64) as usize]
}

/// Runs the test of that name in a process of its own, which has to be aborted and to say all
/// `parts`. `false` in that process.
#[track_caller]
fn dies(test: &str, parts: &[&str]) -> bool {
    let Some(child) = in_child(test) else {
        return false;
    };
    let said = String::from_utf8_lossy(&child.stderr);
    assert_eq!(child.status.signal(), Some(libc::SIGABRT), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
    let ours = said.contains("in a stackful G");
    assert_eq!(ours, parts.contains(&"in a stackful G"), "{said}");
    true
}

#[test]
fn of_a_task_names_the_task_and_the_remedy() {
    let parts = [
        "stack overflow",
        "in a stackful G",
        "\"deep\"",
        "tests/stackful_overflow.rs:",
        "131072",
        "stackful::Builder::stack_size",
        "runtime::Builder::stack_size",
    ];
    if dies("of_a_task_names_the_task_and_the_remedy", &parts) {
        return;
    }
    let rt = multi_thread(1);
    let task = Builder::new()
        .name("deep")
        .go_on(|| recurse(0), rt.handle());
    rt.block_on(task.unwrap()).unwrap();
}

#[test]
#[cfg(feature = "macros")]
fn of_main_says_so_and_names_the_argument() {
    let parts = [
        "in a stackful G",
        "\"main\"",
        "tests/stackful_overflow.rs:",
        "65536",
        "#[runnext::main(stackful, stack_size = N)]",
    ];
    if dies("of_main_says_so_and_names_the_argument", &parts) {
        return;
    }
    #[runnext::main(stackful, stack_size = 65_536)]
    fn main() {
        recurse(0);
    }
    main();
}

#[test]
fn of_a_task_that_has_waited_among_others_names_the_right_one() {
    let parts = ["in a stackful G", "\"the deep one\"", "262144"];
    let name = "of_a_task_that_has_waited_among_others_names_the_right_one";
    if dies(name, &parts) {
        return;
    }
    let rt = multi_thread(2);
    let (release, held) = runnext::sync::watch::channel(false);
    let waits = |n: u64| {
        let mut held = held.clone();
        move || {
            wait(held.wait_for(|go| *go)).unwrap();
            if n == 7 { recurse(n) } else { n }
        }
    };
    let _guard = rt.enter();
    let tasks: Vec<_> = (0..20)
        .map(|n| match n {
            7 => Builder::new()
                .name("the deep one")
                .stack_size(262_144)
                .go(waits(n))
                .unwrap(),
            _ => go(waits(n)),
        })
        .collect();
    rt.block_on(async {
        release.send(true).unwrap();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
#[cfg_attr(
    runnext_asan,
    ignore = "std's alternate stack is too small for the sanitizer"
)]
fn of_a_migratable_task_is_reported_wherever_it_runs() {
    let parts = ["in a stackful G", "\"moves\""];
    if dies("of_a_migratable_task_is_reported_wherever_it_runs", &parts) {
        return;
    }
    // It runs on the thread that is in `block_on`, and no other stackful task ever ran.
    let mut builder = runnext::runtime::Builder::new_current_thread();
    let rt = builder.build().unwrap();
    // SAFETY: it never waits.
    let builder = unsafe { Builder::new().name("moves").migratable() };
    let task = builder.go_on(|| recurse(0), rt.handle());
    rt.block_on(task.unwrap()).unwrap();
}

#[test]
fn of_a_plain_thread_is_reported_by_the_standard_library() {
    let parts = ["thread 'plain'", "overflowed its stack"];
    if dies(
        "of_a_plain_thread_is_reported_by_the_standard_library",
        &parts,
    ) {
        return;
    }
    let rt = multi_thread(1);
    // The handler is installed by then.
    rt.block_on(async { go(|| ()).await.unwrap() });
    let thread = std::thread::Builder::new().name("plain".into());
    thread.spawn(|| recurse(0)).unwrap().join().unwrap();
}

#[test]
fn of_blocking_code_is_the_threads_that_runs_it() {
    let parts = ["thread 'runnext-dedicated'", "overflowed its stack"];
    if dies("of_blocking_code_is_the_threads_that_runs_it", &parts) {
        return;
    }
    let rt = multi_thread(1);
    let task = rt
        .handle()
        .go(|| runnext::stackful::dedicated(|| recurse(0)));
    rt.block_on(task).unwrap().unwrap();
}
