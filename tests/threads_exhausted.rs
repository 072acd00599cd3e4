//! The operating system gives no more threads: who has to have one is told, and everything that
//! does without goes on.
//!
//! Two ways lead there: stacks larger than the address space, which no thread ever gets; and a
//! limit on the address space that leaves room for one stack, and is lifted later.

mod common;

use common::{Drops, panic_of, text};
use runnext::runtime::{Builder, Runtime};
use runnext::task::{self, block_in_place, spawn_blocking, yield_now};
use std::future::pending;
use std::task::Poll;

const NO_THREAD: &[&str] = &[
    "cannot start a thread for `spawn_blocking`",
    "none is running",
    "Raise the limit on threads or memory",
    "`thread_stack_size`",
];

#[track_caller]
fn assert_says(message: &str) {
    for part in NO_THREAD {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
}

/// Runtimes whose threads cannot be started.
fn threadless() -> [Runtime; 3] {
    let multi = |workers| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(workers);
        builder
    };
    [Builder::new_current_thread(), multi(1), multi(4)]
        .map(|mut builder| builder.thread_stack_size(1 << 56).build().unwrap())
}

#[test]
fn spawn_blocking_says_so_and_drops_the_closure() {
    for rt in threadless() {
        let drops = Drops::new();
        for _ in 0..3 {
            let guard = drops.guard();
            assert_says(&panic_of(|| rt.spawn_blocking(move || drop(guard))));
            assert_eq!(drops.alive(), 0);
        }
        rt.block_on(async {
            let guard = drops.guard();
            assert_says(&panic_of(|| spawn_blocking(move || drop(guard))));
            let task = runnext::spawn(async { spawn_blocking(|| ()).await.unwrap() });
            assert_says(&text(&*task.await.unwrap_err().into_panic()));
        });
        let guard = drops.guard();
        let closure = move || drop(guard);
        let built = task::Builder::new().spawn_blocking_on(closure, rt.handle());
        assert!(built.is_err());
        assert_eq!(drops.alive(), 0);
        assert_eq!(rt.metrics().blocking_queue_depth(), 0);
        assert_eq!(rt.metrics().num_blocking_threads(), 0);
    }
}

#[test]
fn tasks_run_on_the_thread_in_block_on() {
    for rt in threadless() {
        let drops = Drops::new();
        let work = |n: u64| {
            let guard = drops.guard();
            async move {
                let _guard = guard;
                yield_now().await;
                runnext::spawn(async move { n }).await.unwrap()
            }
        };
        let outside: Vec<_> = (0..1_000).map(|n| rt.spawn(work(n))).collect();
        let from_thread = std::thread::scope(|scope| {
            let spawn = || {
                (0..1_000)
                    .map(|n| rt.handle().spawn(work(n)))
                    .collect::<Vec<_>>()
            };
            scope.spawn(spawn).join().unwrap()
        });
        let sum = rt.block_on(async {
            let inside: Vec<_> = (0..1_000).map(|n| runnext::spawn(work(n))).collect();
            let mut sum = 0;
            for task in inside.into_iter().chain(outside).chain(from_thread) {
                sum += task.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 3 * 499_500);
        assert_eq!(drops.alive(), 0);
    }
}

#[test]
fn block_in_place_blocks_and_goes_on() {
    let [_, one, four] = threadless();
    for rt in [one, four] {
        let sum = rt.block_on(async {
            let tasks: Vec<_> = (0..10)
                .map(|n| {
                    runnext::spawn(async move {
                        let n = block_in_place(|| n);
                        yield_now().await;
                        n
                    })
                })
                .collect();
            let mut sum = block_in_place(|| 100);
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 145);
    }
}

#[test]
fn the_runtime_ends() {
    for rt in threadless() {
        let drops = Drops::new();
        let waiting = || common::holding(drops.guard(), |_| Poll::Pending);
        let tasks: Vec<_> = (0..100).map(|_| rt.spawn(waiting())).collect();
        let (started, wait) = runnext::sync::oneshot::channel();
        let guard = drops.guard();
        rt.spawn(async move {
            let _guard = guard;
            started.send(()).unwrap();
            pending::<()>().await;
        });
        rt.block_on(wait).unwrap();
        panic_of(|| rt.spawn_blocking(|| ()));
        drop(rt);
        assert_eq!(drops.alive(), 0);
        assert!(tasks.iter().all(runnext::task::JoinHandle::is_finished));
    }
}

#[cfg(target_os = "linux")]
mod once_one_is_running {
    use super::*;
    use common::{Gate, OpensOnDrop};
    use std::sync::mpsc;

    const GIB: u64 = 1 << 30;

    /// Bytes of address space in use.
    fn in_use() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
        let kib: u64 = size
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        kib * 1024
    }

    /// Limits the address space; what the limit was.
    fn limit(bytes: u64) -> u64 {
        let mut old = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: it writes to `old`, which lives until after the call.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut old) }, 0);
        let new = libc::rlimit {
            rlim_cur: bytes,
            ..old
        };
        // SAFETY: it reads `new`, which lives until after the call.
        let set = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const new) };
        assert_eq!(set, 0);
        old.rlim_cur
    }

    #[test]
    fn closures_wait_for_it_and_others_come_when_they_can() {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(4)
            .thread_stack_size(2 * GIB as usize);
        let rt = builder.build().unwrap();
        let drops = Drops::new();
        let gate = Gate::new();
        let _opens = OpensOnDrop(gate.clone());
        let (inside, began) = mpsc::channel();
        let held = || {
            let (guard, gate, inside) = (drops.guard(), gate.clone(), inside.clone());
            move || {
                let _guard = guard;
                inside.send(()).unwrap();
                gate.wait();
            }
        };
        // Room for one stack and for everything else, but not for two.
        let unlimited = limit(in_use() + 3 * GIB);
        let running = rt.spawn_blocking(held());
        began.recv().unwrap();
        let waiting: Vec<_> = (0..10).map(|_| rt.spawn_blocking(held())).collect();
        assert_eq!(rt.metrics().blocking_queue_depth(), 10);
        // Tasks need no thread but this.
        let task = rt.spawn(async { runnext::spawn(async { 7 }).await.unwrap() });
        assert_eq!(rt.block_on(task).unwrap(), 7);
        // There is room again: the next one to come gets a thread, and sends others.
        limit(unlimited);
        let last = rt.spawn_blocking(held());
        for _ in 0..11 {
            began.recv().unwrap();
        }
        gate.open();
        rt.block_on(async {
            for closure in waiting.into_iter().chain([running, last]) {
                closure.await.unwrap();
            }
        });
        drop(rt);
        assert_eq!((drops.made(), drops.alive()), (12, 0));
    }
}
