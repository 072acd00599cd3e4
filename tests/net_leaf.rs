//! The futures of sockets, one poll at a time: pending until there is something, woken once there is, ready then.
#![cfg(all(feature = "net", feature = "tokio-io"))]

mod common;

use common::current_thread;
use runnext::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use runnext::net::{TcpListener, TcpStream, UdpSocket};
use std::future::poll_fn;
use std::pin::Pin;
use tokio_test::task::{Spawn, spawn};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};

/// Lets the runtime look for events until `future` is woken.
async fn until_woken<F>(future: &Spawn<F>) {
    while !future.is_woken() {
        runnext::task::yield_now().await;
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = (client.await.unwrap(), listener.accept().await.unwrap());
    (client, accepted.0)
}

#[test]
fn accept_waits_for_a_connection() {
    current_thread().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut accept = spawn(listener.accept());
        assert_pending!(accept.poll());
        assert!(!accept.is_woken());
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        until_woken(&accept).await;
        let (_stream, peer) = assert_ready_ok!(accept.poll());
        assert_eq!(peer, client.local_addr().unwrap());
        drop(accept);
        assert_pending!(spawn(listener.accept()).poll());
    });
}

#[test]
fn a_read_waits_for_bytes_and_one_that_was_dropped_has_taken_none() {
    current_thread().block_on(async {
        let (mut client, mut server) = pair().await;
        let mut buf = [0; 4];
        let mut read = spawn(server.read(&mut buf));
        assert_pending!(read.poll());
        client.write_all(b"ab").await.unwrap();
        until_woken(&read).await;
        drop(read);
        let mut read = spawn(server.read(&mut buf));
        // Whether the runtime knows of the bytes is known: the one before was woken for them.
        assert_eq!(assert_ready_ok!(read.poll()), 2);
        drop(read);
        assert_eq!(&buf[..2], b"ab");
        assert_pending!(spawn(server.read(&mut buf)).poll());
    });
}

#[test]
fn readable_and_writable_each_wait_for_their_own() {
    current_thread().block_on(async {
        let (mut client, server) = pair().await;
        let mut readable = spawn(server.readable());
        let mut writable = spawn(server.writable());
        assert_pending!(readable.poll());
        while writable.poll().is_pending() {
            until_woken(&writable).await;
        }
        assert!(!readable.is_woken());
        client.write_all(b"x").await.unwrap();
        until_woken(&readable).await;
        assert_ready_ok!(readable.poll());
        assert_eq!(server.try_read(&mut [0; 4]).unwrap(), 1);
    });
}

#[test]
fn a_peek_waits_and_leaves_the_bytes() {
    current_thread().block_on(async {
        let (mut client, mut server) = pair().await;
        let mut buf = [0; 4];
        let mut peek = spawn(server.peek(&mut buf));
        assert_pending!(peek.poll());
        client.write_all(b"xyz").await.unwrap();
        until_woken(&peek).await;
        assert_eq!(assert_ready_ok!(peek.poll()), 3);
        drop(peek);
        let mut bytes = [0; 3];
        server.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"xyz");
    });
}

#[test]
fn a_datagram_is_waited_for_by_name_and_by_poll() {
    current_thread().block_on(async {
        let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = receiver.local_addr().unwrap();
        let mut buf = [0; 8];
        let mut receive = spawn(receiver.recv_from(&mut buf));
        assert_pending!(receive.poll());
        assert_eq!(sender.send_to(b"one", to).await.unwrap(), 3);
        until_woken(&receive).await;
        let from = sender.local_addr().unwrap();
        assert_eq!(assert_ready_ok!(receive.poll()), (3, from));
        drop(receive);

        let mut bytes = [0; 8];
        let mut receive = spawn(poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut bytes);
            receiver.poll_recv_from(cx, &mut buf)
        }));
        assert_pending!(receive.poll());
        let mut send = spawn(poll_fn(|cx| sender.poll_send_to(cx, b"two!", to)));
        while send.poll().is_pending() {
            until_woken(&send).await;
        }
        until_woken(&receive).await;
        assert_eq!(assert_ready_ok!(receive.poll()), from);
        drop(receive);
        assert_eq!(&bytes[..4], b"two!");
    });
}

#[test]
fn the_last_poll_says_whom_to_wake() {
    current_thread().block_on(async {
        let (mut client, mut server) = pair().await;
        let mut buf = [0; 1];
        let mut read = Box::pin(server.read(&mut buf));
        let mut first = spawn(poll_fn(|cx| Pin::new(&mut read).poll(cx)));
        assert_pending!(first.poll());
        drop(first);
        let mut second = spawn(poll_fn(|cx| Pin::new(&mut read).poll(cx)));
        assert_pending!(second.poll());
        client.write_all(b"x").await.unwrap();
        until_woken(&second).await;
        assert_eq!(assert_ready!(second.poll()).unwrap(), 1);
    });
}
