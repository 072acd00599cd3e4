//! Child processes: how they are started, waited for, ended, written to and read from.
#![cfg(all(feature = "process", feature = "tokio-io", target_os = "linux"))]

mod common;

use common::{current_thread, multi_thread, on_each_flavor, panic_of, poll_once};
use runnext::io::{AsyncReadExt, AsyncWriteExt};
use runnext::process::{Child, ChildStdin, ChildStdout, Command};
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::Stdio;

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

/// A process that does not end by itself.
fn endless() -> Command {
    let mut command = Command::new("sleep");
    command.arg("100000").stdin(Stdio::null());
    command
}

/// Runs `test` as a root and as a task, on runtimes of each kind.
fn on_each<F, Fut>(test: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    on_each_flavor(|rt| {
        rt.block_on(test());
        rt.block_on(rt.spawn(test())).unwrap();
    });
}

#[test]
fn a_process_ends_and_its_status_is_told_again_and_again() {
    on_each(|| async {
        let mut child = sh("exit 7").spawn().unwrap();
        assert!(child.id().is_some());
        for _ in 0..3 {
            assert_eq!(child.wait().await.unwrap().code(), Some(7));
            assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(7));
        }
        assert_eq!(child.id(), None);
        // There is nothing left to be killed, and that is fine.
        child.start_kill().unwrap();
        child.kill().await.unwrap();
        assert!(sh("exit 0").status().await.unwrap().success());
        assert_eq!(sh("exit 255").status().await.unwrap().code(), Some(255));
    });
}

#[test]
fn a_process_is_killed_once_and_again() {
    on_each(|| async {
        let mut child = endless().spawn().unwrap();
        assert!(child.try_wait().unwrap().is_none());
        child.start_kill().unwrap();
        child.start_kill().unwrap();
        child.kill().await.unwrap();
        let status = child.wait().await.unwrap();
        assert_eq!((status.code(), status.signal()), (None, Some(9)));
        let status = sh("kill -TERM $$").status().await.unwrap();
        assert_eq!(status.signal(), Some(15));
    });
}

#[test]
fn what_cannot_be_started_is_an_error() {
    on_each(|| async {
        let error = Command::new("/there/is/no/such/program").spawn();
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
        let error = Command::new("/there/is/no/such/program").status().await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
        let error = Command::new("/there/is/no/such/program").output().await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
        // A file, but no program; not even root may run it.
        let error = Command::new("./Cargo.toml").spawn();
        assert_eq!(error.unwrap_err().kind(), ErrorKind::PermissionDenied);
        let error = sh("true").current_dir("/there/is/no/such/place").spawn();
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_process_needs_a_runtime_before_it_is_started() {
    let file = std::env::temp_dir().join(format!("runnext-process-{}", std::process::id()));
    let mut command = Command::new("touch");
    command.arg(&file);
    let message = panic_of(|| command.spawn());
    assert!(message.contains("there is no runtime on this thread"));
    assert!(panic_of(|| command.status()).contains("there is no runtime"));
    assert!(panic_of(|| command.output()).contains("there is no runtime"));
    assert!(!file.exists());
}

#[test]
fn the_command_says_how_it_is_run() {
    on_each(|| async {
        let mut command = sh("echo $0 $1 $A $B $C; pwd");
        command
            .args(["zero", "one"])
            .env("A", "a")
            .envs([("B", "b"), ("C", "c")])
            .env_remove("C")
            .current_dir("/");
        let output = command.output().await.unwrap();
        assert_eq!(output.stdout, b"zero one a b\n/\n");
        // It can be run again.
        let output = command.output().await.unwrap();
        assert_eq!(output.stdout, b"zero one a b\n/\n");

        let mut command = Command::new("/usr/bin/env");
        command.env("A", "a").env_clear().env("B", "b");
        assert_eq!(command.output().await.unwrap().stdout, b"B=b\n");

        let mut command = Command::new("sh");
        command.arg0("another-name").args(["-c", "echo $0"]);
        assert_eq!(command.output().await.unwrap().stdout, b"another-name\n");

        let mut child = endless().process_group(0).spawn().unwrap();
        let pid = child.id().unwrap() as i32;
        // SAFETY: the call takes and returns a number.
        assert_eq!(unsafe { libc::getpgid(pid) }, pid);
        child.kill().await.unwrap();

        let mut command = Command::from(std::process::Command::new("true"));
        assert!(!command.get_kill_on_drop());
        assert!(command.kill_on_drop(true).get_kill_on_drop());
        assert_eq!(command.as_std().get_program(), "true");
        command.as_std_mut().arg("x");
        assert_eq!(command.into_std().get_args().count(), 1);
    });
}

#[test]
fn what_runs_before_the_program_may_fail_the_start() {
    on_each(|| async {
        let mut command = sh("exit 0");
        // SAFETY: an error is returned, and nothing else done.
        unsafe { command.pre_exec(|| Err(std::io::Error::from_raw_os_error(libc::EDOM))) };
        let error = command.spawn().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EDOM));
        let mut command = sh("umask");
        // SAFETY: the one call is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                libc::umask(0o123);
                Ok(())
            })
        };
        assert_eq!(command.output().await.unwrap().stdout, b"0123\n");
    });
}

#[test]
fn streams_are_written_to_and_read_from() {
    on_each(|| async {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        for _ in 0..10 {
            input.write_all(b"hello").await.unwrap();
            let mut bytes = [0; 5];
            output.read_exact(&mut bytes).await.unwrap();
            assert_eq!(&bytes, b"hello");
        }
        // Nothing short of dropping it is the end.
        input.shutdown().await.unwrap();
        input.write_all(b".").await.unwrap();
        assert_eq!(output.read_u8().await.unwrap(), b'.');
        assert!(child.try_wait().unwrap().is_none());
        drop(input);
        assert_eq!(output.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn the_streams_have_the_traits_of_the_futures_crates_as_well() {
    on_each(|| async {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        futures::AsyncWriteExt::write_all(&mut input, b"hello")
            .await
            .unwrap();
        futures::AsyncWriteExt::close(&mut input).await.unwrap();
        drop(input);
        let mut bytes = Vec::new();
        let output = child.stdout.as_mut().unwrap();
        futures::AsyncReadExt::read_to_end(output, &mut bytes)
            .await
            .unwrap();
        assert_eq!(bytes, b"hello");
        child.wait().await.unwrap();
    });
}

/// `cat` does not end before its input does.
#[test]
fn a_wait_closes_the_standard_input() {
    on_each(|| async {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert!(child.wait().await.unwrap().success());
        assert!(child.stdin.is_none());
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        assert!(command.status().await.unwrap().success());
        assert_eq!(command.output().await.unwrap().stdout, b"");
    });
}

#[test]
fn a_process_that_does_not_read_breaks_the_pipe() {
    on_each(|| async {
        let mut child = sh("exit 0").stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        child.wait().await.unwrap();
        // More than there is room for: for a moment the reading end may be in a process that another
        // thread is about to start.
        let error = input.write_all(&vec![0; 1 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);

        // One that closes it while more is written than there is room for.
        let mut child = sh("head -c 1 >/dev/null; exec <&-; exec sleep 100000");
        let mut child = child.stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let error = input.write_all(&vec![0; 1 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        child.kill().await.unwrap();
    });
}

/// More than the pipes have room for, on all of them at once.
#[test]
fn much_goes_both_ways_at_once() {
    const LEN: usize = 3 << 20;
    on_each(|| async {
        let mut child = sh("tee /dev/stderr")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let sent: Vec<u8> = (0..LEN).map(|n| (n % 251) as u8).collect();
        let mut input = child.stdin.take().unwrap();
        let writes = runnext::spawn({
            let sent = sent.clone();
            async move { input.write_all(&sent).await }
        });
        let output = child.wait_with_output().await.unwrap();
        writes.await.unwrap().unwrap();
        assert!(output.status.success());
        assert!(output.stdout == sent, "{}", output.stdout.len());
        assert!(output.stderr == sent, "{}", output.stderr.len());
    });
}

#[test]
fn a_wait_with_output_goes_on_when_the_child_has_ended() {
    on_each(|| async {
        // The one in the background has the pipe as well, and writes to it after the child has ended.
        let mut command =
            sh("(while kill -0 $$ 2>/dev/null; do sleep 0.01; done; echo late) & echo early");
        let output = command.output().await.unwrap();
        assert_eq!(output.stdout, b"early\nlate\n");
    });
}

#[test]
fn streams_can_be_those_of_another_process() {
    on_each(|| async {
        let mut first = sh("echo 2; echo 1").stdout(Stdio::piped()).spawn().unwrap();
        let between: Stdio = first.stdout.take().unwrap().try_into().unwrap();
        let mut second = Command::new("sort");
        let output = second.stdin(between).output().await.unwrap();
        assert_eq!(output.stdout, b"1\n2\n");
        first.wait().await.unwrap();

        let mut last = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = last.stdin.take().unwrap();
        assert_eq!(input.as_fd().as_raw_fd(), input.as_raw_fd());
        let input = input.into_owned_fd().unwrap();
        // SAFETY: the call takes two numbers.
        let flags = unsafe { libc::fcntl(input.as_raw_fd(), libc::F_GETFL) };
        assert_eq!(flags & libc::O_NONBLOCK, 0);
        let status = sh("echo x").stdout(input).status().await.unwrap();
        assert!(status.success());
        assert_eq!(last.wait_with_output().await.unwrap().stdout, b"x\n");
    });
}

#[test]
fn streams_of_the_standard_library_are_taken_over() {
    on_each(|| async {
        let mut child = std::process::Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = ChildStdin::from_std(child.stdin.take().unwrap()).unwrap();
        let mut output = ChildStdout::from_std(child.stdout.take().unwrap()).unwrap();
        input.write_all(b"hello").await.unwrap();
        drop(input);
        let mut text = String::new();
        output.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
        child.wait().unwrap();
    });
}

#[test]
fn a_wait_that_was_given_up_is_taken_up_by_another_task() {
    on_each(|| async {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        assert!(poll_once(&mut pin!(child.wait())).await.is_pending());
        let waits = runnext::spawn(async move { child.wait().await });
        runnext::task::yield_now().await;
        drop(input);
        assert!(waits.await.unwrap().unwrap().success());
    });
}

#[test]
fn many_processes_at_once() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let mut children: Vec<Child> = (0..40)
                .map(|n| sh(&format!("exit {n}")).spawn().unwrap())
                .collect();
            let tasks: Vec<_> = children
                .drain(..)
                .map(|mut child| runnext::spawn(async move { child.wait().await }))
                .collect();
            for (n, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.unwrap().unwrap().code(), Some(n as i32));
            }
        });
    });
}

#[test]
fn a_process_is_waited_for_by_another_runtime() {
    let (one, other) = (multi_thread(1), current_thread());
    let mut child = {
        let _entered = one.enter();
        endless().spawn().unwrap()
    };
    other.block_on(async {
        assert!(poll_once(&mut pin!(child.wait())).await.is_pending());
        child.start_kill().unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(9));
    });
}

#[test]
fn the_end_of_its_runtime_ends_the_wait_but_not_the_process() {
    let (one, other) = (multi_thread(1), current_thread());
    let (mut child, mut ended) = {
        let _entered = one.enter();
        (endless().spawn().unwrap(), sh("exit 3").spawn().unwrap())
    };
    let waits = other.spawn(async move {
        let error = child.wait().await.unwrap_err();
        (error, child)
    });
    // It waits by the time that the runtime ends.
    other.block_on(async { runnext::task::yield_now().await });
    let handle = one.handle().clone();
    drop(one);
    other.block_on(async {
        let (error, mut child) = waits.await.unwrap();
        assert!(error.to_string().contains("was shut down"), "{error}");
        assert!(child.id().is_some());
        assert!(child.try_wait().unwrap().is_none());
        child.start_kill().unwrap();
        // Nobody tells of the end any more, but one can look.
        while child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(child.wait().await.unwrap().signal(), Some(9));
        // One that has ended is found to have, which may take its time.
        let status = loop {
            match ended.wait().await {
                Ok(status) => break status,
                Err(error) => assert!(error.to_string().contains("was shut down")),
            }
        };
        assert_eq!(status.code(), Some(3));
    });
    // None can be started there any more, and one that was is not left running.
    let _entered = handle.enter();
    let error = endless().spawn().unwrap_err();
    assert!(error.to_string().contains("was shut down"), "{error}");
}

#[cfg(stackful)]
#[test]
fn a_stackful_task_waits_for_a_process() {
    use runnext::wait;
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let mut child = sh("exit 5").spawn().unwrap();
            wait(child.wait()).unwrap().code()
        });
        assert_eq!(rt.block_on(task).unwrap(), Some(5));
    });
}

/// What is dropped is killed if that was wished, by whatever it is dropped.
#[test]
fn a_dropped_process_is_killed_if_that_was_wished() {
    on_each(|| async {
        // The reading end finds the end of the pipe when the process is gone.
        let killed = |command: &mut Command| {
            let child = command.kill_on_drop(true).spawn();
            let mut child = child.unwrap();
            (child.stdout.take().unwrap(), child)
        };
        let (mut output, child) = killed(endless().stdout(Stdio::piped()));
        drop(child);
        assert_eq!(output.read(&mut [0; 1]).await.unwrap(), 0);

        let mut command = endless();
        let (mut output, child) = killed(command.stdout(Stdio::piped()));
        {
            let mut waits = Box::pin(child.wait_with_output());
            assert!(poll_once(&mut waits).await.is_pending());
        }
        assert_eq!(output.read(&mut [0; 1]).await.unwrap(), 0);

        // And it is not, if it was not.
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        drop(child);
        input.write_all(b"x").await.unwrap();
        assert_eq!(output.read_u8().await.unwrap(), b'x');
    });
}
