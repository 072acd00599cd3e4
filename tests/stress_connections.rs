//! Very many connections: one after the other, after which nothing is left of them, and all at once.
//!
//! `RUNNEXT_STRESS` sets how many come and go, as in `stress.rs`.
#![cfg(all(feature = "net", feature = "tokio-io", target_os = "linux"))]

mod common;
#[path = "common/descriptors.rs"]
mod descriptors;

use common::{multi_thread, stress};
use runnext::io::{AsyncReadExt, AsyncWriteExt};
use runnext::net::{TcpListener, TcpStream};
use runnext::runtime::Runtime;
use std::alloc::{GlobalAlloc, Layout, System};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicIsize, Ordering};

/// Counts the bytes that are allocated and not freed.
struct Counting;

static ALLOCATED: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: usize) {
    ALLOCATED.fetch_add(bytes.cast_signed(), Ordering::Relaxed);
}

// SAFETY: it is the system's allocator, but for the counting.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as our caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size().wrapping_neg());
        // SAFETY: as our caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many descriptors this process has.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Makes `total` connections, 50 at a time, sends a byte over each, and closes it.
fn come_and_go(rt: &Runtime, address: SocketAddr, total: usize) {
    let clients: Vec<_> = (0..50)
        .map(|_| {
            rt.spawn(async move {
                for _ in 0..total / 50 {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    // Else its port is not free again for a while.
                    stream.set_zero_linger().unwrap();
                    assert_eq!(stream.read_u8().await.unwrap(), 7);
                }
            })
        })
        .collect();
    for client in clients {
        rt.block_on(client).unwrap();
    }
}

#[test]
fn nothing_is_left_of_connections_that_came_and_went() {
    let rt = multi_thread(2);
    let listener = rt.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    rt.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            runnext::spawn(async move {
                stream.write_u8(7).await.unwrap();
                // Until the other side has reset it.
                let reset = stream.read(&mut [0]).await;
                assert_eq!(
                    reset.unwrap_err().kind(),
                    std::io::ErrorKind::ConnectionReset
                );
            });
        }
    });
    // The last ones are dropped a moment after their other side.
    let settled = |at_most: usize| {
        while descriptors() > at_most {
            rt.block_on(rt.spawn(async {})).unwrap();
        }
        ALLOCATED.load(Ordering::Relaxed)
    };
    let before = descriptors();
    come_and_go(&rt, address, 2_000);
    // The netpoller has its own by now.
    let bytes = settled(before);
    come_and_go(&rt, address, stress() / 2);
    let grown = settled(before) - bytes;
    // A byte for each connection would be more than that.
    assert!(grown < 32 * 1024, "{grown} bytes were not freed");
}

/// How many connections are open at once.
const CROWD: usize = 10_000;

/// Each process has one end of each connection: with both, it would need more descriptors than many
/// systems give to one.
#[test]
fn ten_thousand_connections_are_open_at_once() {
    const SERVER: &str = "RUNNEXT_TEST_SERVER";
    let limit = descriptors::raise_limit();
    assert!(
        limit >= CROWD as u64 + 100,
        "the test needs a limit of 10,100 descriptors, and the hard limit is {limit}: raise it \
         (`ulimit -Hn`)"
    );
    let rt = multi_thread(2);
    if let Ok(server) = std::env::var(SERVER) {
        return be_the_crowd(&rt, server.parse().unwrap());
    }
    let listener = rt.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let mut crowd = Command::new(std::env::current_exe().unwrap());
    crowd
        .args(["--exact", "ten_thousand_connections_are_open_at_once"])
        .args(["--nocapture", "--test-threads=1"])
        .env(SERVER, address.to_string());
    let mut crowd = crowd.spawn().unwrap();
    let before = descriptors();
    rt.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..CROWD {
            let mut stream = listener.accept().await.unwrap().0;
            stream.write_u8(0).await.unwrap();
            streams.push(stream);
        }
        assert_eq!(descriptors(), before + CROWD);
        // Each of them works while all are open.
        let tasks: Vec<_> = (0_u32..)
            .zip(streams)
            .map(|(n, mut stream)| {
                runnext::spawn(async move {
                    stream.write_u32(n).await.unwrap();
                    assert_eq!(stream.read_u32().await.unwrap(), n);
                    stream
                })
            })
            .collect();
        let mut streams = Vec::new();
        for task in tasks {
            streams.push(task.await.unwrap());
        }
        assert_eq!(descriptors(), before + CROWD);
    });
    assert_eq!(descriptors(), before);
    assert!(crowd.wait().unwrap().success());
}

/// The other ends: each answers with what it is told.
fn be_the_crowd(rt: &Runtime, server: SocketAddr) {
    rt.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..CROWD {
            let mut stream = TcpStream::connect(server).await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), 0);
            streams.push(stream);
        }
        let answer = async |mut stream: TcpStream| {
            let n = stream.read_u32().await.unwrap();
            stream.write_u32(n).await.unwrap();
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        };
        let mut tasks = runnext::task::JoinSet::new();
        for stream in streams {
            tasks.spawn(answer(stream));
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    });
}
