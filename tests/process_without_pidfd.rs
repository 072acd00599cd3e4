//! A kernel that knows no descriptors of processes: here a filter that says so in its name. Then
//! `SIGCHLD` tells of the ends.
#![cfg(all(
    feature = "process",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

mod common;

use common::{current_thread, multi_thread, on_each_flavor, run_until};
use runnext::process::{Child, Command};
use runnext::signal::unix::{SignalKind, signal};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

/// Has `pidfd_open` fail with `ENOSYS` from now on, on this thread and those that it starts.
fn forget_pidfds() {
    let jump = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let give = (libc::BPF_RET | libc::BPF_K) as u16;
    // The number of the call is the first word of what the filter sees.
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        step(load, 0, 0, 0),
        step(jump, 0, 1, libc::SYS_pidfd_open as u32),
        step(give, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        step(give, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the calls read the program and its steps, which live until after them.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        let set = libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program);
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
        let fd = libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0);
        assert_eq!(fd, -1, "the filter does not work");
    }
}

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

fn until_closed() -> Child {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).spawn().unwrap()
}

fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// One test, since it changes what this process knows of its kernel.
#[test]
fn processes_are_waited_for_all_the_same() {
    forget_pidfds();
    on_each_flavor(|rt| {
        rt.block_on(async {
            // Others that listen for the signal are told as well.
            let mut listener = signal(SignalKind::child()).unwrap();
            let mut child = sh("exit 7").spawn().unwrap();
            assert_eq!(child.wait().await.unwrap().code(), Some(7));
            assert_eq!(child.wait().await.unwrap().code(), Some(7));
            assert_eq!(listener.recv().await, Some(()));
            let output = sh("echo x").output().await.unwrap();
            assert_eq!(output.stdout, b"x\n");
            let mut child = until_closed();
            let input = child.stdin.take();
            child.kill().await.unwrap();
            drop(input);
            assert_eq!(child.wait().await.unwrap().signal(), Some(9));
        });
    });
    many_in_two_runtimes();
    one_that_ended_before_it_was_listened_for();
    orphans();
}

fn many_in_two_runtimes() {
    let runtimes = [current_thread(), multi_thread(2)];
    std::thread::scope(|scope| {
        for rt in &runtimes {
            scope.spawn(move || {
                rt.block_on(async {
                    let tasks: Vec<_> = (0..30)
                        .map(|n| {
                            let mut child = sh(&format!("exit {n}")).spawn().unwrap();
                            runnext::spawn(async move { child.wait().await })
                        })
                        .collect();
                    for (n, task) in tasks.into_iter().enumerate() {
                        assert_eq!(task.await.unwrap().unwrap().code(), Some(n as i32));
                    }
                });
            });
        }
    });
}

/// Its signal is over by the time that somebody waits.
fn one_that_ended_before_it_was_listened_for() {
    let rt = current_thread();
    let mut child = {
        let _entered = rt.enter();
        sh("exit 4").spawn().unwrap()
    };
    let stat = format!("/proc/{}/stat", child.id().unwrap());
    while !std::fs::read_to_string(&stat).unwrap().contains(") Z") {
        std::thread::yield_now();
    }
    assert_eq!(rt.block_on(child.wait()).unwrap().code(), Some(4));
}

fn orphans() {
    on_each_flavor(|rt| {
        let mut child = rt.block_on(async { until_closed() });
        let (pid, input) = (child.id().unwrap(), child.stdin.take());
        drop(child);
        assert!(exists(pid));
        drop(input);
        run_until(&rt, || !exists(pid));
    });
    // One that its runtime leaves.
    let one = multi_thread(1);
    let mut child = one.block_on(async { until_closed() });
    let (pid, input) = (child.id().unwrap(), child.stdin.take());
    drop(child);
    drop(one);
    let other = multi_thread(1);
    other.block_on(async { sh("true").status().await.unwrap() });
    drop(input);
    run_until(&other, || !exists(pid));
}
