//! Processes that nobody waits for: none remains a zombie.
//!
//! Whoever is left over is waited for here until it is gone, so that a zombie hangs the test.
#![cfg(all(feature = "process", target_os = "linux"))]

mod common;

use common::{current_thread, multi_thread, on_each_flavor, run_until};
use runnext::process::{Child, Command};
use runnext::runtime::Runtime;
use std::process::Stdio;

/// A process that ends when its standard input does.
fn until_closed() -> Child {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).spawn().unwrap()
}

fn endless() -> Command {
    let mut command = Command::new("sleep");
    command.arg("100000").stdin(Stdio::null());
    command
}

/// Whether there is a process with this number: a zombie counts.
fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// How many children of this process are zombies.
fn zombies() -> usize {
    let me = std::process::id().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .filter(|stat| {
            // After the name, which may have blanks and brackets in it: the state and the parent.
            let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            let mut fields = rest.split_whitespace();
            fields.next() == Some("Z") && fields.next() == Some(&me)
        })
        .count()
}

fn start(rt: &Runtime) -> Child {
    let _entered = rt.enter();
    until_closed()
}

/// One test, since it counts the children of this process.
#[test]
fn no_zombie_remains() {
    dropped_while_it_runs();
    dropped_when_it_has_ended();
    dropped_while_it_is_waited_for();
    killed_by_the_drop();
    dropped_with_the_task_by_the_end_of_the_runtime();
    many();
    one_that_a_runtime_leaves_is_taken_over();
    assert_eq!(zombies(), 0);
}

fn dropped_while_it_runs() {
    on_each_flavor(|rt| {
        let mut child = start(&rt);
        let (pid, input) = (child.id().unwrap(), child.stdin.take());
        drop(child);
        assert!(exists(pid));
        rt.block_on(async {});
        drop(input);
        run_until(&rt, || !exists(pid));
    });
}

fn dropped_when_it_has_ended() {
    on_each_flavor(|rt| {
        let mut child = start(&rt);
        let pid = child.id().unwrap();
        drop(child.stdin.take());
        while zombies() == 0 {
            std::thread::yield_now();
        }
        drop(child);
        assert!(!exists(pid), "it was seen at once");
    });
}

fn dropped_while_it_is_waited_for() {
    on_each_flavor(|rt| {
        let mut child = start(&rt);
        let (pid, input) = (child.id().unwrap(), child.stdin.take());
        let waits = rt.spawn(async move { child.wait().await });
        rt.block_on(rt.spawn(async {})).unwrap();
        waits.abort();
        assert!(rt.block_on(waits).unwrap_err().is_cancelled());
        assert!(exists(pid));
        drop(input);
        run_until(&rt, || !exists(pid));
    });
}

fn killed_by_the_drop() {
    on_each_flavor(|rt| {
        let child = rt.block_on(async { endless().kill_on_drop(true).spawn().unwrap() });
        let pid = child.id().unwrap();
        // Not in a runtime, and on another thread.
        std::thread::spawn(move || drop(child)).join().unwrap();
        run_until(&rt, || !exists(pid));
    });
}

fn dropped_with_the_task_by_the_end_of_the_runtime() {
    for rt in [current_thread(), multi_thread(2)] {
        let mut child = start(&rt);
        let (pid, input) = (child.id().unwrap(), child.stdin.take());
        let waits = rt.spawn(async move { child.wait().await });
        rt.block_on(rt.spawn(async {})).unwrap();
        drop(rt);
        drop(waits);
        assert!(exists(pid));
        drop(input);
        while zombies() == 0 {
            std::thread::yield_now();
        }
        // Another runtime that starts a process asks for the other ones.
        let rt = current_thread();
        let status = rt.block_on(async { Command::new("true").status().await });
        assert!(status.unwrap().success());
        assert!(!exists(pid));
    }
}

fn many() {
    on_each_flavor(|rt| {
        let mut children: Vec<_> = (0..30).map(|_| start(&rt)).collect();
        let pids: Vec<_> = children.iter().filter_map(Child::id).collect();
        let inputs: Vec<_> = children.iter_mut().map(|c| c.stdin.take()).collect();
        drop(children);
        drop(inputs);
        run_until(&rt, || !pids.iter().any(|&pid| exists(pid)));
    });
}

fn one_that_a_runtime_leaves_is_taken_over() {
    let one = multi_thread(1);
    let mut child = start(&one);
    let (pid, input) = (child.id().unwrap(), child.stdin.take());
    drop(child);
    drop(one);
    let other = multi_thread(1);
    let status = other.block_on(async { Command::new("true").status().await });
    assert!(status.unwrap().success());
    assert!(exists(pid), "it runs");
    // From now on the other one watches it.
    drop(input);
    run_until(&other, || !exists(pid));
}
