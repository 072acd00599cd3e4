//! Waiting costs nothing: the threads of a runtime that has nothing to do sleep, and stay asleep.
#![cfg(target_os = "linux")]

mod common;
#[cfg(target_os = "linux")]
#[path = "common/descriptors.rs"]
mod descriptors;
#[path = "common/threads.rs"]
mod threads;

use common::{Gate, current_thread};
use runnext::runtime::{Builder, Runtime};
use runnext::sync::oneshot;
use runnext::task::{block_in_place, spawn_blocking, yield_now};
use std::thread;
use std::time::Duration;
use threads::threads;

/// How long nothing may happen.
const WINDOW: Duration = Duration::from_millis(300);

/// Waits until all threads with this name, which are at most `most`, have slept through a window,
/// then asserts that they sleep through another.
#[track_caller]
fn assert_idle(name: &str, most: usize) {
    assert_idle_for(WINDOW, name, most);
}

/// As above; the second window is that long.
#[track_caller]
fn assert_idle_for(window: Duration, name: &str, most: usize) {
    loop {
        let before = threads(name);
        thread::sleep(WINDOW);
        let asleep = before.values().all(|thread| thread.0);
        // Those that there are too many of end on their own account.
        if (1..=most).contains(&before.len()) && asleep && threads(name) == before {
            break;
        }
    }
    let before = threads(name);
    thread::sleep(window);
    assert_eq!(threads(name), before, "a thread woke up without a reason");
}

fn runtime(name: &str, builder: &mut Builder) -> Runtime {
    builder.thread_name(name).thread_keep_alive(Duration::ZERO);
    builder.build().unwrap()
}

/// Makes all kinds of threads work.
async fn work() {
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            runnext::spawn(async move {
                for _ in 0..n % 10 {
                    yield_now().await;
                }
                if n % 20 == 0 {
                    spawn_blocking(|| ()).await.unwrap();
                }
                n
            })
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), n);
    }
}

#[test]
fn threads_of_a_runtime_sleep() {
    for workers in [1, 2] {
        let mut builder = Builder::new_multi_thread();
        let rt = runtime("sleeps", builder.worker_threads(workers));
        // Twice, since what was put to sleep has to wake up, and sleep again.
        for _ in 0..2 {
            // From outside, so that threads are needed; and with processors handed over.
            let task = rt.spawn(async {
                work().await;
                block_in_place(|| ());
            });
            current_thread().block_on(task).unwrap();
            rt.block_on(work());
            assert_idle("sleeps", workers);
        }
    }
}

#[test]
fn tasks_that_wait_do_not_keep_them_awake() {
    let mut builder = Builder::new_multi_thread();
    let rt = runtime("tasks-wait", builder.worker_threads(2));
    let senders: Vec<_> = (0..1_000)
        .map(|_| {
            let (sender, receiver) = oneshot::channel::<()>();
            rt.spawn(receiver);
            sender
        })
        .collect();
    current_thread().block_on(rt.spawn(async {})).unwrap();
    assert_idle("tasks-wait", 2);
    drop(senders);
}

#[cfg(feature = "net")]
#[test]
fn sockets_on_which_nothing_happens_wake_nobody() {
    use runnext::net::UdpSocket;
    let mut builder = Builder::new_multi_thread();
    let rt = runtime("sockets", builder.worker_threads(2));
    let (tell, told) = std::sync::mpsc::channel();
    for _ in 0..500 {
        let tell = tell.clone();
        rt.spawn(async move {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            tell.send(socket.local_addr().unwrap()).unwrap();
            socket.recv(&mut [0; 8]).await.unwrap();
            tell.send(socket.local_addr().unwrap()).unwrap();
        });
    }
    let addresses: Vec<_> = (0..500).map(|_| told.recv().unwrap()).collect();
    assert_idle("sockets", 2);
    // The one that watches is woken by a socket.
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"x", addresses[123]).unwrap();
    assert_eq!(told.recv().unwrap(), addresses[123]);
    assert_idle("sockets", 2);
    // And by a task.
    current_thread().block_on(rt.spawn(work())).unwrap();
    assert_idle("sockets", 2);
}

/// Streams, each with a task that reads from it, and a time limit on that.
#[cfg(all(feature = "net", feature = "time", feature = "tokio-io"))]
#[test]
fn a_thousand_sockets_and_timers_wake_nobody_for_two_seconds() {
    use runnext::io::AsyncReadExt;
    use runnext::net::UnixStream;
    use runnext::time::timeout;
    use std::io::Write;
    // Both ends are ours.
    assert!(descriptors::raise_limit() > 1_100);
    let mut builder = Builder::new_multi_thread();
    let rt = runtime("thousand", builder.worker_threads(2));
    let (tell, told) = std::sync::mpsc::channel();
    let mut others = Vec::new();
    for n in 0..500_u32 {
        let (here, there) = {
            let _entered = rt.enter();
            UnixStream::pair().unwrap()
        };
        let tell = tell.clone();
        rt.spawn(async move {
            let mut here = here;
            // Far, and all different.
            let limit = Duration::from_secs(3_600) + Duration::from_millis(n.into());
            let read = timeout(limit, here.read_u8()).await;
            tell.send((n, read.unwrap().unwrap())).unwrap();
        });
        rt.spawn(
            async move { timeout(Duration::from_secs(7_200), std::future::pending::<()>()).await },
        );
        others.push(there);
    }
    assert_idle_for(Duration::from_secs(2), "thousand", 2);
    (&others[123]).write_all(&[7]).unwrap();
    assert_eq!(told.recv().unwrap(), (123, 7));
    assert_idle("thousand", 2);
}

#[test]
fn a_thread_in_block_on_sleeps() {
    for (name, builder) in [
        ("root-alone", &mut Builder::new_current_thread()),
        (
            "root-of-many",
            Builder::new_multi_thread().worker_threads(2),
        ),
    ] {
        let rt = runtime("other", builder);
        let (tell, told) = oneshot::channel();
        thread::scope(|scope| {
            let root = thread::Builder::new().name(name.to_owned());
            let root = root.spawn_scoped(scope, || {
                rt.block_on(async {
                    work().await;
                    told.await.unwrap()
                })
            });
            assert_idle(name, 1);
            tell.send(7).unwrap();
            assert_eq!(root.unwrap().join().unwrap(), 7);
        });
    }
}

#[test]
fn closures_that_block_do_not_keep_the_others_awake() {
    let mut builder = Builder::new_multi_thread();
    let rt = runtime("closures", builder.worker_threads(2));
    let gate = Gate::new();
    let _opens = common::OpensOnDrop(gate.clone());
    let closures: Vec<_> = (0..4)
        .map(|_| {
            let gate = gate.clone();
            rt.spawn_blocking(move || gate.wait())
        })
        .collect();
    rt.block_on(work());
    // The four, and as many as there are processors.
    assert_idle("closures", 6);
    gate.open();
    for closure in closures {
        rt.block_on(closure).unwrap();
    }
}
