//! `#[runnext::main(stackful)]` and `#[runnext::test(stackful)]`: what the body returns, its name, and
//! the stack it has.
#![cfg(all(stackful, feature = "macros"))]

mod common;

use common::in_child;
use runnext::stackful::remaining_stack;
use runnext::{task, wait};
use std::error::Error;
use std::process::{Command, ExitCode};

/// Neither `Send` nor a plain text.
fn refused(by: &str) -> Box<dyn Error> {
    format!("refused by {by}").into()
}

#[test]
fn an_error_of_main_is_printed_and_is_an_exit_code() {
    #[runnext::main(stackful)]
    fn main() -> Result<(), Box<dyn Error>> {
        wait(task::yield_now());
        "1".parse::<u8>()?;
        Err(refused("main"))
    }
    let Some(child) = in_child("an_error_of_main_is_printed_and_is_an_exit_code") else {
        assert_eq!(main(), ExitCode::FAILURE);
        return;
    };
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}");
    assert!(said.contains(r#"Error: "refused by main""#), "{said}");
}

#[test]
fn a_question_mark_and_a_return_know_the_error_of_main() {
    #[runnext::main(stackful)]
    fn main() -> Result<ExitCode, Box<dyn Error>> {
        if "7".parse::<u8>()? == 7 {
            return Ok(7.into());
        }
        Err(refused("nobody"))
    }
    assert_eq!(main(), ExitCode::from(7));
}

#[test]
fn the_output_of_main_is_reported_in_the_task() {
    /// Its report waits for a task of the runtime.
    struct Waits;

    impl std::process::Termination for Waits {
        fn report(self) -> ExitCode {
            assert!(runnext::stackful::is_stackful());
            assert_eq!(wait(runnext::spawn(async { 7 })).unwrap(), 7);
            3.into()
        }
    }

    #[runnext::main(stackful)]
    fn main() -> impl std::process::Termination {
        Waits
    }
    assert_eq!(main(), ExitCode::from(3));
}

#[test]
fn an_error_fails_a_test_with_its_text() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fails", "--ignored", "--test-threads=1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(101), "{said}");
    assert!(said.contains(r#"Error: "refused by a test""#), "{said}");
}

#[runnext::test(stackful)]
#[ignore = "is run by the one above"]
fn fails() -> Result<(), Box<dyn Error>> {
    Err(refused("a test"))
}

#[runnext::test(stackful)]
fn a_test_that_returns_no_error_passes() -> Result<(), Box<dyn Error>> {
    assert_eq!("42".parse::<u8>()?, 42);
    Ok(())
}

#[runnext::test(stackful)]
#[should_panic(expected = "out of tea")]
#[allow(clippy::unused_unit)] // It is about that.
fn a_test_that_returns_the_empty_tuple_may_be_expected_to_panic() -> () {
    panic!("out of tea");
}

#[test]
fn the_output_of_other_functions_is_handed_over() {
    #[runnext::main(stackful)]
    fn number() -> Result<u8, std::num::ParseIntError> {
        "7".parse()
    }
    assert_eq!(number(), Ok(7));
}

#[test]
fn the_task_has_the_name_of_the_function() {
    #[runnext::main(stackful)]
    fn main() {
        assert_eq!(task::name().as_deref(), Some("main"));
    }
    main();

    #[runnext::main(stackful)]
    fn r#loop() -> Option<String> {
        task::name()
    }
    assert_eq!(r#loop().as_deref(), Some("loop"));
}

const SIZE: usize = 512 << 10;

/// How much of a stack is left right after a task has begun, for sure.
const NEARLY: usize = 16 << 10;

#[test]
fn the_stack_has_the_size_that_was_asked_for() {
    #[runnext::main(stackful, stack_size = SIZE)]
    fn of_a_constant() -> usize {
        remaining_stack().unwrap()
    }
    assert!((SIZE - NEARLY..=SIZE).contains(&of_a_constant()));

    #[runnext::main(stackful, flavor = "current_thread", stack_size = kilobytes << 10)]
    fn of_a_parameter(kilobytes: usize) -> usize {
        // The same for all tasks of the runtime.
        let other = runnext::go(|| remaining_stack().unwrap());
        wait(other).unwrap().min(remaining_stack().unwrap())
    }
    let left = of_a_parameter(64);
    assert!(((64 << 10) - NEARLY..=64 << 10).contains(&left), "{left}");
}

#[runnext::test(stackful, stack_size = 1_048_576)]
fn a_test_has_the_stack_that_it_asks_for() {
    assert!(remaining_stack().unwrap() > 1_000_000);
}
