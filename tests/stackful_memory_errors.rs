//! Tasks that misuse memory on purpose, for the tools which are to find that: AddressSanitizer and
//! valgrind have to keep up with stacks that change.
//!
//! The wrong ones are ignored, and run in processes of their own: by the tests below, which are there
//! with `--cfg runnext_asan`, and by `.ci/valgrind`.
#![cfg(stackful)]

// Unsafe: that is the purpose.

mod common;

use common::multi_thread;
use runnext::stackful::yield_now;
use std::hint::black_box;

/// Runs `body` as a task, which has suspended before and is beside others that do.
fn in_a_task(body: impl FnOnce() -> u8 + Send + 'static) -> u8 {
    let rt = multi_thread(1);
    rt.block_on(async {
        let others: Vec<_> = (0..3)
            .map(|_| runnext::go(|| (0..3).for_each(|_| yield_now())))
            .collect();
        let task = runnext::go(|| {
            yield_now();
            body()
        });
        for other in others {
            other.await.unwrap();
        }
        task.await.unwrap()
    })
}

#[test]
#[ignore = "reads freed memory"]
fn reads_what_was_freed() {
    in_a_task(|| {
        let freed = black_box(Box::new(7_u8));
        let dangling: *const u8 = &raw const *freed;
        drop(freed);
        yield_now();
        // SAFETY: this is not sound, and is found out.
        unsafe { black_box(dangling).read_volatile() }
    });
}

#[test]
#[ignore = "reads behind an allocation"]
fn reads_behind_an_allocation() {
    in_a_task(|| {
        let bytes = black_box(vec![7_u8; 64]);
        yield_now();
        // SAFETY: as above.
        unsafe { black_box(bytes.as_ptr()).add(64).read_volatile() }
    });
}

#[test]
#[ignore = "reads a local whose scope has ended"]
fn reads_a_local_after_its_scope() {
    in_a_task(|| {
        let dangling: *const u8;
        {
            let local = black_box([7_u8; 64]);
            dangling = black_box(local.as_ptr());
        }
        yield_now();
        // SAFETY: as above.
        unsafe { black_box(dangling).read_volatile() }
    });
}

#[inline(never)]
fn address_of_a_local() -> *const u8 {
    /// Apart, as no use after the return is looked for in functions with assembly, which a black
    /// box may be.
    #[inline(never)]
    fn pass_on(address: *const u8) -> *const u8 {
        black_box(address)
    }
    let local = [7_u8; 64];
    pass_on(local.as_ptr())
}

#[test]
#[ignore = "reads a local of a function that has returned"]
fn reads_a_local_after_the_return() {
    in_a_task(|| {
        let dangling = address_of_a_local();
        yield_now();
        // SAFETY: as above.
        unsafe { black_box(dangling).read_volatile() }
    });
}

#[test]
#[ignore = "reads the stack of a task that has ended"]
fn reads_the_stack_of_a_task_that_has_ended() {
    let rt = multi_thread(1);
    rt.block_on(async {
        let ended = runnext::go(|| address_of_a_local().expose_provenance());
        let address = ended.await.unwrap();
        // SAFETY: as above.
        unsafe { std::ptr::with_exposed_provenance::<u8>(address).read_volatile() }
    });
}

#[test]
#[ignore = "leaks"]
fn loses_an_allocation() {
    in_a_task(|| {
        let lost = black_box(Box::into_raw(Box::new([7_u8; 4321])));
        yield_now();
        // SAFETY: it is still there.
        unsafe { lost.cast::<u8>().read_volatile() }
    });
}

/// Not wrong: what the tools have to let pass.
#[test]
fn panics_past_frames_that_have_suspended() {
    #[inline(never)]
    fn fall(depth: u8) -> u8 {
        let frame = black_box([depth; 100]);
        yield_now();
        if depth == 0 {
            std::panic::resume_unwind(Box::new(1_u8));
        }
        fall(depth - 1) + black_box(frame)[usize::from(depth)]
    }
    for _ in 0..10 {
        let fallen = || {
            let payload = std::panic::catch_unwind(|| fall(10)).unwrap_err();
            // Over the same memory, with frames of another shape.
            let after = black_box([1_u8; 3000]);
            let sum = after.iter().map(|&byte| u32::from(byte)).sum::<u32>();
            u8::try_from(sum / 1000).unwrap() + *payload.downcast::<u8>().unwrap()
        };
        assert_eq!(in_a_task(fallen), 4);
    }
}

/// What the sanitizer says of the wrong programs.
#[cfg(runnext_asan)]
mod canary {
    use std::env;
    use std::process::Command;

    /// Runs `test` in a process of its own, which has to end with a report with `finding` in it.
    #[track_caller]
    fn assert_found(test: &str, options: &str, finding: &str) {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env("ASAN_OPTIONS", options)
            .env("RUST_BACKTRACE", "0")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{test} passed");
        assert!(said.contains(finding), "{finding} is missing in: {said}");
        // It was on a stack that the sanitizer was told of.
        assert!(!said.contains("ignoring requested"), "{said}");
    }

    #[test]
    fn memory_that_was_freed() {
        assert_found("reads_what_was_freed", "", "heap-use-after-free");
    }

    #[test]
    fn memory_behind_an_allocation() {
        let test = "reads_behind_an_allocation";
        assert_found(test, "", "heap-buffer-overflow");
    }

    #[test]
    fn a_local_after_its_scope() {
        let test = "reads_a_local_after_its_scope";
        for option in ["0", "1"] {
            let options = format!("detect_stack_use_after_return={option}");
            assert_found(test, &options, "stack-use-after-scope");
        }
    }

    #[test]
    fn a_local_after_the_return() {
        let test = "reads_a_local_after_the_return";
        let options = "detect_stack_use_after_return=1";
        assert_found(test, options, "stack-use-after-return");
    }

    #[test]
    fn the_stack_of_a_task_that_has_ended() {
        let test = "reads_the_stack_of_a_task_that_has_ended";
        let options = "detect_stack_use_after_return=0";
        assert_found(test, options, "use-after-poison");
    }

    #[test]
    fn an_allocation_that_was_lost() {
        let test = "loses_an_allocation";
        assert_found(test, "detect_leaks=1", "4321 byte(s) leaked");
    }
}
