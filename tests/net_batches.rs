//! How many events of sockets are seen to at once is up to the one who builds the runtime.
#![cfg(all(unix, feature = "net"))]

mod common;

use common::panic_of;
use runnext::net::{UdpSocket, UnixDatagram};
use runnext::runtime::{Builder, Handle, Runtime};
use runnext::task::yield_now;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const SOCKETS: usize = 10;

/// Makes as many sockets ready at once. How many of the tasks that wait for them were woken, but had not run,
/// when one of them ran, at most.
fn woken_together(rt: &Runtime) -> usize {
    rt.block_on(async {
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut others = Vec::new();
        let mut tasks = Vec::new();
        for _ in 0..SOCKETS {
            let (socket, other) = UnixDatagram::pair().unwrap();
            others.push(other.into_std().unwrap());
            let waiting = waiting.clone();
            tasks.push(runnext::spawn(async move {
                waiting.fetch_add(1, Ordering::Relaxed);
                socket.readable().await.unwrap();
                let metrics = Handle::current().metrics();
                let queued = metrics.worker_local_queue_depth(0) + metrics.global_queue_depth();
                assert_eq!(socket.try_recv(&mut [0; 8]).unwrap(), 1);
                queued
            }));
        }
        while waiting.load(Ordering::Relaxed) < SOCKETS {
            yield_now().await;
        }
        // Nobody looks for events meanwhile: this is the only thread.
        for other in others {
            other.send(b"x").unwrap();
        }
        let mut most = 0;
        for task in tasks {
            most = most.max(task.await.unwrap());
        }
        most
    })
}

/// As above, while a task is ready all the time, which counts as well.
fn woken_together_if_busy(rt: &Runtime) -> usize {
    let done = Arc::new(AtomicBool::new(false));
    let busy = rt.spawn({
        let done = done.clone();
        async move {
            while !done.load(Ordering::Relaxed) {
                yield_now().await;
            }
        }
    });
    let most = woken_together(rt);
    done.store(true, Ordering::Relaxed);
    rt.block_on(busy).unwrap();
    most
}

fn build(limit: fn(&mut Builder) -> &mut Builder) -> Runtime {
    let mut builder = Builder::new_current_thread();
    limit(&mut builder).build().unwrap()
}

#[test]
fn one_event_at_a_time_wakes_one_task_at_a_time() {
    let all = woken_together(&build(|builder| builder));
    assert_eq!(all, SOCKETS - 1);
    let one = woken_together(&build(|builder| builder.max_io_events_per_tick(1)));
    assert_eq!(one, 0);
    let three = woken_together(&build(|builder| {
        builder
            .max_io_events_per_tick(3)
            .max_io_events_per_busy_tick(2)
    }));
    assert!((1..3).contains(&three), "{three}");
}

#[test]
fn a_busy_worker_may_see_to_fewer() {
    let all = woken_together_if_busy(&build(|builder| builder));
    assert!(all >= SOCKETS - 1, "{all}");
    let one = woken_together_if_busy(&build(|builder| builder.max_io_events_per_busy_tick(1)));
    assert!(one <= 1, "{one}");
    let by_default = woken_together_if_busy(&build(|builder| builder.max_io_events_per_tick(1)));
    assert!(by_default <= 1, "{by_default}");
}

/// With more of them ready than are seen to at once, none is left out.
#[test]
fn every_socket_has_its_turn() {
    for workers in [1, 2] {
        let rt = Builder::new_multi_thread()
            .worker_threads(workers)
            .max_io_events_per_tick(2)
            .max_io_events_per_busy_tick(1)
            .build()
            .unwrap();
        rt.block_on(async {
            let mut tasks = Vec::new();
            for _ in 0..50 {
                let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                one.connect(other.local_addr().unwrap()).await.unwrap();
                other.connect(one.local_addr().unwrap()).await.unwrap();
                tasks.push(runnext::spawn(async move {
                    for n in 0..20_u8 {
                        one.send(&[n]).await.unwrap();
                        let mut got = [0];
                        one.recv(&mut got).await.unwrap();
                        assert_eq!(got, [n]);
                    }
                }));
                tasks.push(runnext::spawn(async move {
                    for _ in 0..20 {
                        let mut got = [0];
                        other.recv(&mut got).await.unwrap();
                        other.send(&got).await.unwrap();
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}

#[test]
fn none_at_all_is_refused() {
    let message = panic_of(|| build(|builder| builder.max_io_events_per_tick(0)));
    assert!(
        message.contains("`max_io_events_per_tick` cannot be 0"),
        "{message}"
    );
    let message = panic_of(|| build(|builder| builder.max_io_events_per_busy_tick(0)));
    assert!(
        message.contains("`max_io_events_per_busy_tick` cannot be 0"),
        "{message}"
    );
    // More than any system gives at once is fine.
    Builder::new_multi_thread()
        .max_io_events_per_tick(usize::MAX)
        .build()
        .unwrap()
        .block_on(async { UdpSocket::bind("127.0.0.1:0").await.unwrap() });
}
