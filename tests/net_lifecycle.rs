//! Sockets and the life of runtimes: without one, after its end, and at its end.
#![cfg(all(feature = "net", feature = "tokio-io"))]

mod common;

use common::{Drops, current_thread, multi_thread, on_each_flavor, panic_and_file_of, poll_once};
use futures::executor;
use runnext::io::{AsyncReadExt, AsyncWriteExt};
use runnext::net::{TcpListener, TcpStream, UdpSocket};
use std::io;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::thread;

#[track_caller]
fn assert_gone<T: std::fmt::Debug>(result: io::Result<T>) {
    let error = result.unwrap_err();
    assert!(error.to_string().contains("was shut down"), "{error}");
}

#[test]
fn without_a_runtime_it_says_what_is_missing() {
    let bind = || executor::block_on(TcpListener::bind("127.0.0.1:0"));
    let connect = || executor::block_on(TcpStream::connect("127.0.0.1:1"));
    let (first, _) = panic_and_file_of(bind);
    let (second, _) = panic_and_file_of(connect);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let (third, file) = panic_and_file_of(|| TcpListener::from_std(listener));
    assert_eq!(file, file!(), "the panic should point to the caller");
    for message in [first, second, third] {
        assert!(message.contains("there is no runtime"), "{message}");
        assert!(message.contains("block_on"), "{message}");
    }
}

/// A socket is used by code that knows nothing of its runtime, which is alive.
#[test]
fn an_executor_from_elsewhere_can_use_a_socket() {
    let rt = multi_thread(1);
    let listener = rt.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || std::net::TcpStream::connect(address).unwrap());
    let (mut stream, _) = executor::block_on(listener.accept()).unwrap();
    let client = client.join().unwrap();
    executor::block_on(stream.write_all(b"x")).unwrap();
    io::Read::read_exact(&mut &client, &mut [0]).unwrap();
}

#[test]
fn after_the_end_of_its_runtime_a_socket_is_of_no_use() {
    on_each_flavor(|rt| {
        let (listener, udp) = rt.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            (listener, UdpSocket::bind("127.0.0.1:0").await.unwrap())
        });
        let handle = rt.handle().clone();
        drop(rt);
        current_thread().block_on(async {
            assert_gone(listener.accept().await);
            assert_gone(udp.recv(&mut [0]).await);
            assert_gone(udp.try_recv(&mut [0]));
            assert_gone(udp.readable().await);
        });
        let _entered = handle.enter();
        let late = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        late.set_nonblocking(true).unwrap();
        assert_gone(UdpSocket::from_std(late));
        // What the system knows without events it still tells.
        listener.local_addr().unwrap();
        listener.into_std().unwrap();
    });
}

#[test]
fn the_end_of_a_runtime_wakes_those_elsewhere_who_wait_for_its_sockets() {
    on_each_flavor(|rt| {
        let socket = rt.block_on(UdpSocket::bind("127.0.0.1:0")).unwrap();
        let (waits, waiting) = mpsc::channel();
        let waiter = thread::spawn(move || {
            current_thread().block_on(async {
                let mut buf = [0];
                let mut recv = pin!(socket.recv(&mut buf));
                assert!(poll_once(&mut recv).await.is_pending());
                waits.send(()).unwrap();
                recv.await
            })
        });
        waiting.recv().unwrap();
        drop(rt);
        assert_gone(waiter.join().unwrap());
    });
}

#[test]
fn tasks_that_wait_for_sockets_are_dropped_with_their_runtime() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let (listener, address) = rt.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            (Arc::new(listener), address)
        });
        for _ in 0..10 {
            let (listener, guard) = (listener.clone(), drops.guard());
            rt.spawn(async move {
                let _guard = guard;
                loop {
                    // The runtime may end between the wait and the drop.
                    if listener.accept().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            });
        }
        for _ in 0..10 {
            let guard = drops.guard();
            rt.spawn(async move {
                let _guard = guard;
                let mut stream = TcpStream::connect(address).await.unwrap();
                let _end = stream.read(&mut [0]).await;
                std::future::pending::<()>().await;
            });
        }
        rt.block_on(async {
            for _ in 0..20 {
                runnext::task::yield_now().await;
            }
        });
        drop(rt);
        assert_eq!((drops.made(), drops.alive()), (20, 0));
        assert_eq!(Arc::strong_count(&listener), 1);
    });
}

#[test]
fn a_socket_is_dropped_while_another_task_waits_for_it() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            let address = socket.local_addr().unwrap();
            let waiter = runnext::spawn({
                let socket = socket.clone();
                async move { socket.recv(&mut [0]).await }
            });
            runnext::task::yield_now().await;
            drop(socket);
            // It is the task's now, and goes with it.
            waiter.abort();
            assert!(waiter.await.unwrap_err().is_cancelled());
            UdpSocket::bind(address).await.unwrap();
        });
    });
}

#[test]
fn many_sockets_come_and_go() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = runnext::spawn(async move {
                for _ in 0..300 {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    runnext::spawn(async move {
                        let mut byte = [0];
                        stream.read_exact(&mut byte).await.unwrap();
                        stream.write_all(&byte).await.unwrap();
                    });
                }
            });
            for crowd in 0..3_u8 {
                let clients: Vec<_> = (0..100)
                    .map(|_| {
                        runnext::spawn(async move {
                            let mut stream = TcpStream::connect(address).await.unwrap();
                            stream.write_all(&[crowd]).await.unwrap();
                            let mut byte = [0];
                            stream.read_exact(&mut byte).await.unwrap();
                            assert_eq!(byte, [crowd]);
                        })
                    })
                    .collect();
                for client in clients {
                    client.await.unwrap();
                }
            }
            server.await.unwrap();
        });
    });
}
