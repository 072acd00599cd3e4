//! Sockets in the style of `poll` functions: pending until there is something, woken once there is, ready then.
#![cfg(all(feature = "net", feature = "tokio-io"))]

mod common;
#[cfg(unix)]
#[path = "common/free_path.rs"]
mod free_path;
#[path = "common/sockets.rs"]
mod sockets;

use runnext::io::{AsyncWriteExt, ReadBuf};
use runnext::net::{TcpListener, TcpStream, UdpSocket};
use sockets::{on_each, settle, tcp_pair, udp_pair, until_woken};
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use tokio_test::assert_pending;
use tokio_test::task::spawn;

#[cfg(unix)]
use free_path::FreePath;
#[cfg(unix)]
use runnext::net::unix::pipe;
#[cfg(unix)]
use runnext::net::{UnixDatagram, UnixListener, UnixStream};

/// Polls in vain, does what is waited for, and polls again after the wake-up; what is found then.
async fn waits_for<T>(
    poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
    happens: impl AsyncFnOnce(),
) -> T {
    let mut wait = spawn(poll_fn(poll));
    assert!(wait.poll().is_pending());
    assert!(!wait.is_woken());
    happens().await;
    until_woken(&wait).await;
    match wait.poll() {
        Poll::Ready(result) => result.unwrap(),
        Poll::Pending => panic!("it was woken, and has nothing"),
    }
}

/// What a poll finds without waiting.
async fn at_once<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>) -> T {
    match poll_fn(|cx| Poll::Ready(poll(cx))).await {
        Poll::Ready(result) => result.unwrap(),
        Poll::Pending => panic!("there is something, and it waits"),
    }
}

/// A poll with a buffer, and what that holds then, behind the `>` that is there already.
fn into_buf<T>(
    mut poll: impl FnMut(&mut Context<'_>, &mut ReadBuf<'_>) -> Poll<io::Result<T>>,
) -> impl FnMut(&mut Context<'_>) -> Poll<io::Result<(T, Vec<u8>)>> {
    move |cx| {
        let mut bytes = [0; 8];
        let mut buf = ReadBuf::new(&mut bytes);
        buf.put_slice(b">");
        let poll = poll(cx, &mut buf);
        poll.map_ok(|found| (found, buf.filled().to_vec()))
    }
}

/// Waits for something to read from `$read` by its function `$poll`, and reads it by `$try`.
macro_rules! readiness {
    ($read:expr, $poll:ident, $try:ident, $write:expr) => {{
        let read = &$read;
        waits_for(|cx| read.$poll(cx), async || $write).await;
        // It remains so, until somebody finds out that there is nothing.
        at_once(|cx| read.$poll(cx)).await;
        assert_eq!(read.$try(&mut [0; 8]).unwrap(), 1);
        sockets::assert_would_block(read.$try(&mut [0; 8]));
        assert_pending!(spawn(poll_fn(|cx| read.$poll(cx))).poll());
    }};
}

#[test]
fn a_poll_for_readiness_waits_for_something_to_read() {
    on_each(|| async {
        let (mut client, server) = tcp_pair().await;
        readiness!(server, poll_read_ready, try_read, {
            client.write_all(b"x").await.unwrap();
        });
        let (here, there) = udp_pair().await;
        readiness!(there, poll_recv_ready, try_recv, {
            here.send(b"x").await.unwrap();
        });
        #[cfg(unix)]
        {
            let (mut one, other) = UnixStream::pair().unwrap();
            settle().await;
            readiness!(other, poll_read_ready, try_read, {
                one.write_all(b"x").await.unwrap();
            });
            let (one, other) = UnixDatagram::pair().unwrap();
            settle().await;
            readiness!(other, poll_recv_ready, try_recv, {
                one.send(b"x").await.unwrap();
            });
            let (mut sender, receiver) = pipe::pipe().unwrap();
            settle().await;
            readiness!(receiver, poll_read_ready, try_read, {
                sender.write_all(b"x").await.unwrap();
            });
        }
    });
}

/// Fills `$write` up by `$try`, waits for room by `$poll`, which `$read` makes by `$take`.
#[cfg(unix)]
macro_rules! room {
    ($write:expr, $poll:ident, $try:ident, $read:expr, $take:ident) => {{
        let (write, read) = (&$write, &$read);
        // There is room in the beginning.
        let mut writable = spawn(poll_fn(|cx| write.$poll(cx)));
        while writable.poll().is_pending() {
            until_woken(&writable).await;
        }
        while write.$try(&[7; 1 << 10]).is_ok() {}
        let take = async || {
            let mut buf = vec![0; 1 << 20];
            read.readable().await.unwrap();
            while read.$take(&mut buf).is_ok() {}
        };
        waits_for(|cx| write.$poll(cx), take).await;
        assert!(write.$try(b"x").is_ok());
    }};
}

#[cfg(unix)]
#[test]
fn a_poll_for_room_waits_for_a_reader() {
    on_each(|| async {
        let (one, other) = UnixStream::pair().unwrap();
        settle().await;
        room!(one, poll_write_ready, try_write, other, try_read);
        let (one, other) = UnixDatagram::pair().unwrap();
        settle().await;
        room!(one, poll_send_ready, try_send, other, try_recv);
        let (sender, receiver) = pipe::pipe().unwrap();
        settle().await;
        room!(sender, poll_write_ready, try_write, receiver, try_read);
    });
}

/// A network takes what it is given: there is room, and it is said to be gone in other ways.
#[test]
fn a_poll_for_room_ends_where_there_is_some() {
    on_each(|| async {
        let (client, _server) = tcp_pair().await;
        at_once(|cx| client.poll_write_ready(cx)).await;
        let gone = || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) };
        sockets::assert_would_block(client.try_io(runnext::io::Interest::WRITABLE, gone));
        assert_pending!(spawn(poll_fn(|cx| client.poll_write_ready(cx))).poll());
        let (here, _there) = udp_pair().await;
        poll_fn(|cx| here.poll_send_ready(cx)).await.unwrap();
        sockets::assert_would_block(here.try_io(runnext::io::Interest::WRITABLE, gone));
        assert_pending!(spawn(poll_fn(|cx| here.poll_send_ready(cx))).poll());
    });
}

#[test]
fn a_poll_for_connections_takes_one() {
    on_each(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = None;
        let connect = async || client = Some(TcpStream::connect(address).await.unwrap());
        let (server, peer) = waits_for(|cx| listener.poll_accept(cx), connect).await;
        let client = client.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(server.peer_addr().unwrap(), peer);
        assert_pending!(spawn(poll_fn(|cx| listener.poll_accept(cx))).poll());
    });
}

#[cfg(unix)]
#[test]
fn a_poll_for_connections_of_unix_sockets_takes_one() {
    on_each(|| async {
        let path = FreePath::new();
        let listener = UnixListener::bind(&path).unwrap();
        let mut client = None;
        let connect = async || client = Some(UnixStream::connect(&path).await.unwrap());
        let (server, peer) = waits_for(|cx| listener.poll_accept(cx), connect).await;
        assert!(peer.is_unnamed());
        client.unwrap().write_all(b"x").await.unwrap();
        server.readable().await.unwrap();
        assert_eq!(server.try_read(&mut [0; 8]).unwrap(), 1);
        assert_pending!(spawn(poll_fn(|cx| listener.poll_accept(cx))).poll());
    });
}

#[test]
fn a_poll_that_peeks_leaves_the_bytes() {
    on_each(|| async {
        let (mut client, mut server) = tcp_pair().await;
        let mut bytes = [0; 8];
        let peek = into_buf(|cx, buf| server.poll_peek(cx, buf));
        let sent = async || client.write_all(b"abc").await.unwrap();
        assert_eq!(waits_for(peek, sent).await, (3, b">abc".to_vec()));
        {
            let (mut read, _write) = server.split();
            let peek = into_buf(|cx, buf| read.poll_peek(cx, buf));
            assert_eq!(at_once(peek).await, (3, b">abc".to_vec()));
            assert_eq!(read.peek(&mut [0; 2]).await.unwrap(), 2);
        }
        let (mut read, _write) = server.into_split();
        let peek = into_buf(|cx, buf| read.poll_peek(cx, buf));
        assert_eq!(at_once(peek).await, (3, b">abc".to_vec()));
        assert_eq!(read.peek(&mut [0; 2]).await.unwrap(), 2);
        assert_eq!(read.try_read(&mut bytes).unwrap(), 3);
        assert_eq!(&bytes[..3], b"abc");
        let mut peek = into_buf(|cx, buf| read.poll_peek(cx, buf));
        assert_pending!(spawn(poll_fn(&mut peek)).poll());
    });
}

#[test]
fn polls_that_peek_leave_the_datagram() {
    on_each(|| async {
        let (here, there) = udp_pair().await;
        let from = here.local_addr().unwrap();
        let sent = async |text: &[u8]| assert_eq!(here.send(text).await.unwrap(), text.len());
        let mut bytes = [0; 8];

        let peek = into_buf(|cx, buf| there.poll_peek(cx, buf));
        let found = waits_for(peek, async || sent(b"one").await).await;
        assert_eq!(found, ((), b">one".to_vec()));
        let peek = into_buf(|cx, buf| there.poll_peek_from(cx, buf));
        assert_eq!(at_once(peek).await, (from, b">one".to_vec()));
        assert_eq!(at_once(|cx| there.poll_peek_sender(cx)).await, from);
        let receive = into_buf(|cx, buf| there.poll_recv(cx, buf));
        assert_eq!(at_once(receive).await, ((), b">one".to_vec()));

        let peek = into_buf(|cx, buf| there.poll_peek_from(cx, buf));
        let found = waits_for(peek, async || sent(b"two!").await).await;
        assert_eq!(found, (from, b">two!".to_vec()));
        assert_eq!(there.recv(&mut bytes).await.unwrap(), 4);

        let sender = waits_for(|cx| there.poll_peek_sender(cx), async || sent(b"3").await);
        assert_eq!(sender.await, from);
        assert_eq!(there.recv(&mut bytes).await.unwrap(), 1);

        let receive = into_buf(|cx, buf| there.poll_recv(cx, buf));
        let found = waits_for(receive, async || sent(b"four").await).await;
        assert_eq!(found, ((), b">four".to_vec()));
    });
}

#[test]
fn polls_that_send_say_how_much_that_was() {
    on_each(|| async {
        let (here, there) = udp_pair().await;
        let mut buf = [0; 8];
        let sent = poll_fn(|cx| here.poll_send(cx, b"abc")).await.unwrap();
        assert_eq!(sent, 3);
        assert_eq!(there.recv(&mut buf).await.unwrap(), 3);
        assert_eq!(&buf[..3], b"abc");

        let free = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = free.local_addr().unwrap();
        let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let sent = poll_fn(|cx| other.poll_send_to(cx, b"abcd", to)).await;
        assert_eq!(sent.unwrap(), 4);
        let found = free.recv_from(&mut buf).await.unwrap();
        assert_eq!(found, (4, other.local_addr().unwrap()));
        assert_eq!(&buf[..4], b"abcd");
    });
}

#[cfg(unix)]
#[test]
fn unix_datagrams_are_sent_and_received_by_polls() {
    on_each(|| async {
        let (one, other) = UnixDatagram::pair().unwrap();
        settle().await;
        let receive = into_buf(|cx, buf| other.poll_recv(cx, buf));
        let send = async || {
            let sent = poll_fn(|cx| one.poll_send(cx, b"one")).await;
            assert_eq!(sent.unwrap(), 3);
        };
        let found = waits_for(receive, send).await;
        assert_eq!(found, ((), b">one".to_vec()));
    });
}

#[cfg(unix)]
#[test]
fn a_poll_of_unix_datagrams_waits_for_room() {
    on_each(|| async {
        let (one, other) = UnixDatagram::pair().unwrap();
        settle().await;
        let mut sent = 0;
        while one.try_send(b"x").is_ok() {
            sent += 1;
        }
        let receive = async || {
            for _ in 0..sent {
                assert_eq!(other.recv(&mut [0; 8]).await.unwrap(), 1);
            }
        };
        let len = waits_for(|cx| one.poll_send(cx, b"last"), receive).await;
        assert_eq!(len, 4);
        assert_eq!(other.recv(&mut [0; 8]).await.unwrap(), 4);
    });
}

#[cfg(unix)]
#[test]
fn unix_datagrams_find_their_way_by_polls() {
    on_each(|| async {
        let (here_path, there_path) = (FreePath::new(), FreePath::new());
        let here = UnixDatagram::bind(&here_path).unwrap();
        let there = UnixDatagram::bind(&there_path).unwrap();
        let mut bytes = [0; 8];
        let receive = into_buf(|cx, buf| there.poll_recv_from(cx, buf));
        let send = async || {
            let sent = poll_fn(|cx| here.poll_send_to(cx, b"two!", &there_path)).await;
            assert_eq!(sent.unwrap(), 4);
        };
        let (from, text) = waits_for(receive, send).await;
        assert_eq!(from.as_pathname(), Some(here_path.as_ref()));
        assert_eq!(text, b">two!");
        assert_eq!(here.try_send_to(b"x", &there_path).unwrap(), 1);
        assert_eq!(there.recv(&mut bytes).await.unwrap(), 1);
        drop(there);
        let refused = poll_fn(|cx| here.poll_send_to(cx, b"x", &there_path)).await;
        assert_eq!(
            refused.unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
    });
}
