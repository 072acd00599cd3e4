//! The standard streams, in processes of their own.

#![cfg(all(feature = "io-std", feature = "tokio-io"))]

mod common;

use common::{current_thread, multi_thread, poll_once};
use runnext::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use std::io::Write;
use std::pin::pin;
use std::process::{Command, Output, Stdio};

/// Set in the child.
const CHILD: &str = "RUNNEXT_STDIO_TEST_CHILD";

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// This test, and no other, in a process that has yet to be told what its streams are.
fn child(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(CHILD, "1");
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn succeeded(output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
}

/// Whether `part` is in `all`.
fn has(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

#[test]
fn lines_come_in_and_go_out_on_both_streams() {
    if is_child() {
        return multi_thread(2).block_on(async {
            let (mut out, mut err) = (runnext::io::stdout(), runnext::io::stderr());
            let mut lines = BufReader::new(runnext::io::stdin()).lines();
            while let Some(line) = lines.next_line().await.unwrap() {
                let line = format!("<{line}>\n");
                out.write_all(line.as_bytes()).await.unwrap();
                err.write_all(line.as_bytes()).await.unwrap();
            }
            out.flush().await.unwrap();
            err.flush().await.unwrap();
        });
    }
    let mut command = child("lines_come_in_and_go_out_on_both_streams");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"one\ntwo\nthree").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    succeeded(&output);
    assert!(has(&output.stdout, b"<one>\n<two>\n<three>\n"));
    assert!(has(&output.stderr, b"<one>\n<two>\n<three>\n"));
}

#[test]
fn what_was_written_comes_out_without_a_flush() {
    if is_child() {
        return current_thread().block_on(async {
            let mut out = runnext::io::stdout();
            for n in 0..200 {
                out.write_all(format!("[{n}]").as_bytes()).await.unwrap();
            }
        });
    }
    let output = child("what_was_written_comes_out_without_a_flush")
        .output()
        .unwrap();
    succeeded(&output);
    let all: String = (0..200).map(|n| format!("[{n}]")).collect();
    assert!(has(&output.stdout, all.as_bytes()));
}

#[test]
fn a_flush_brings_out_a_part_of_a_line() {
    if is_child() {
        return current_thread().block_on(async {
            let mut out = runnext::io::stdout();
            out.write_all(b"<prompt>").await.unwrap();
            out.flush().await.unwrap();
            // Nothing that is still in a buffer comes out now.
            std::process::abort();
        });
    }
    let output = child("a_flush_brings_out_a_part_of_a_line")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(has(&output.stdout, b"<prompt>"));
}

#[test]
fn a_read_that_was_dropped_brings_its_bytes_to_the_next() {
    if is_child() {
        return current_thread().block_on(async {
            let mut input = runnext::io::stdin();
            let mut bytes = [0; 6];
            // The parent writes when it is told.
            let read = poll_once(&mut pin!(input.read(&mut bytes))).await;
            assert!(read.is_pending());
            std::io::stderr().write_all(b"ready\n").unwrap();
            assert_eq!(input.read(&mut bytes[..2]).await.unwrap(), 2);
            assert_eq!(&bytes[..2], b"01");
            let mut rest = String::new();
            input.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "23456789");
            assert_eq!(input.read(&mut bytes).await.unwrap(), 0);
        });
    }
    let mut command = child("a_read_that_was_dropped_brings_its_bytes_to_the_next");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut errors = std::io::BufReader::new(child.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut errors, &mut String::new()).unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"0123456789")
        .unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut errors, &mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
}

#[cfg(target_os = "linux")]
#[test]
fn an_error_of_a_write_is_reported_by_what_comes_next() {
    use std::io::ErrorKind;
    if is_child() {
        return current_thread().block_on(async {
            let mut err = runnext::io::stderr();
            err.write_all(b"lost\n").await.unwrap();
            let error = err.flush().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            err.flush().await.unwrap();
            err.write_all(b"lost\n").await.unwrap();
            let error = err.write_all(b"lost\n").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
        });
    }
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let mut command = child("an_error_of_a_write_is_reported_by_what_comes_next");
    // The harness needs the other stream itself.
    let output = command.stderr(full.unwrap()).output().unwrap();
    succeeded(&output);
    assert!(has(&output.stdout, b"1 passed"));
}

#[test]
fn without_a_runtime_they_say_so() {
    use std::future::Future;
    use std::task::{Context, Waker};
    let mut cx = Context::from_waker(Waker::noop());
    let (mut out, mut input) = (runnext::io::stdout(), runnext::io::stdin());
    let write = || drop(pin!(out.write(b"x")).poll(&mut cx));
    assert!(common::panic_of(write).contains("there is no runtime on this thread"));
    let read = || drop(pin!(input.read(&mut [0; 4])).poll(&mut cx));
    assert!(common::panic_of(read).contains("there is no runtime on this thread"));
}
