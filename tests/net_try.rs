//! What does not wait: it is refused when there is nothing, and from then on the socket counts as not ready.
#![cfg(all(feature = "net", feature = "tokio-io"))]

mod common;
#[path = "common/sockets.rs"]
mod sockets;

use runnext::io::Interest;
use socket2::SockRef;
use sockets::{assert_would_block, at_once, on_each, settle, tcp_pair, udp_pair, until_woken};
use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready};

#[cfg(unix)]
use runnext::net::unix::pipe;
#[cfg(unix)]
use runnext::net::{UnixDatagram, UnixStream};

/// What an operation returns that cannot go on.
fn would_block<T>() -> io::Result<T> {
    Err(ErrorKind::WouldBlock.into())
}

/// Writes three buffers to one end at once, and fills two from the other.
macro_rules! several_buffers {
    ($write:expr, $read:expr) => {{
        let (write, read) = (&$write, &$read);
        assert_would_block(read.try_read_vectored(&mut [IoSliceMut::new(&mut [0; 4])]));
        assert!(!at_once(read.readable()).await);
        let parts = [&b"ab"[..], b"", b"cdefg"].map(IoSlice::new);
        write.writable().await.unwrap();
        assert_eq!(write.try_write_vectored(&parts).unwrap(), 7);
        read.readable().await.unwrap();
        let (mut first, mut second) = ([0; 3], [0; 3]);
        let bufs = &mut [&mut first, &mut second].map(|buf| IoSliceMut::new(buf));
        assert_eq!(read.try_read_vectored(bufs).unwrap(), 6);
        assert_eq!((&first, &second), (b"abc", b"def"));
        // Both were filled, and the rest stays.
        let mut rest = [0; 3];
        assert_eq!(read.try_read(&mut rest).unwrap(), 1);
        assert_eq!(rest[0], b'g');
        assert_would_block(read.try_read_vectored(&mut [IoSliceMut::new(&mut rest)]));
        assert!(!at_once(read.readable()).await);
    }};
}

#[test]
fn a_tcp_stream_reads_and_writes_several_buffers() {
    on_each(|| async {
        let (mut client, mut server) = tcp_pair().await;
        several_buffers!(client, server);
        several_buffers!(client.split().1, server.split().0);
        let ((_, write), (read, _)) = (client.into_split(), server.into_split());
        several_buffers!(write, read);
    });
}

#[cfg(unix)]
#[test]
fn a_unix_stream_reads_and_writes_several_buffers() {
    on_each(|| async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        settle().await;
        several_buffers!(one, other);
        several_buffers!(one.split().1, other.split().0);
        let ((_, write), (read, _)) = (one.into_split(), other.into_split());
        several_buffers!(write, read);
    });
}

#[cfg(unix)]
#[test]
fn a_pipe_reads_and_writes_several_buffers() {
    on_each(|| async {
        let (sender, receiver) = pipe::pipe().unwrap();
        settle().await;
        several_buffers!(sender, receiver);
    });
}

/// Fills one end up until there is no room, reads what it was from the other, and finds room again.
#[cfg(unix)]
macro_rules! no_room {
    ($write:expr, $read:expr) => {{
        let (write, read) = (&$write, &$read);
        write.writable().await.unwrap();
        settle().await;
        let block = vec![7; 1 << 12];
        let mut sent = 0;
        let refusal = loop {
            match write.try_write(&block) {
                Ok(len) => sent += len,
                Err(error) => break error,
            }
        };
        assert_eq!(refusal.kind(), ErrorKind::WouldBlock);
        assert!(sent > 0);
        assert_would_block(write.try_write_vectored(&[IoSlice::new(&block)]));
        assert!(!at_once(write.writable()).await);
        let mut buf = vec![0; 1 << 16];
        while sent > 0 {
            read.readable().await.unwrap();
            match read.try_read(&mut buf) {
                Ok(len) => sent -= len,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        write.writable().await.unwrap();
        assert_eq!(write.try_write(b"room").unwrap(), 4);
        read.readable().await.unwrap();
        assert_eq!(read.try_read(&mut buf).unwrap(), 4);
    }};
}

#[cfg(unix)]
#[test]
fn a_write_without_room_is_refused_until_there_is_some() {
    on_each(|| async {
        let (sender, receiver) = pipe::pipe().unwrap();
        settle().await;
        no_room!(sender, receiver);
        let (mut one, mut other) = UnixStream::pair().unwrap();
        settle().await;
        no_room!(one, other);
        no_room!(one.split().1, other.split().0);
        let ((_, write), (read, _)) = (other.into_split(), one.into_split());
        no_room!(write, read);
    });
}

#[test]
fn halves_read_write_and_wait_for_readiness() {
    on_each(|| async {
        let (mut client, mut server) = tcp_pair().await;
        let (client_addr, server_addr) = (client.local_addr(), server.local_addr());
        let (client_addr, server_addr) = (client_addr.unwrap(), server_addr.unwrap());
        macro_rules! check {
            ($write:expr, $read:expr) => {{
                let (write, read) = (&$write, &$read);
                assert_eq!(write.local_addr().unwrap(), client_addr);
                assert_eq!(write.peer_addr().unwrap(), server_addr);
                assert_eq!(read.local_addr().unwrap(), server_addr);
                assert_eq!(read.peer_addr().unwrap(), client_addr);
                let mut buf = [0; 8];
                assert_would_block(read.try_read(&mut buf));
                assert!(!at_once(read.readable()).await);
                let both = Interest::READABLE | Interest::WRITABLE;
                let ready = read.ready(both).await.unwrap();
                assert!(ready.is_writable() && !ready.is_readable());
                let ready = write.ready(both).await.unwrap();
                assert!(ready.is_writable() && !ready.is_readable());
                assert_eq!(write.try_write(b"abc").unwrap(), 3);
                let ready = read.ready(Interest::READABLE).await.unwrap();
                assert!(ready.is_readable() && !ready.is_writable());
                assert_eq!(read.try_read(&mut buf).unwrap(), 3);
                assert_eq!(&buf[..3], b"abc");
            }};
        }
        check!(client.split().1, server.split().0);
        let ((_, write), (read, _)) = (client.into_split(), server.into_split());
        check!(write, read);
    });
}

#[test]
fn udp_sends_receives_and_peeks_without_waiting() {
    on_each(|| async {
        let (here, there) = udp_pair().await;
        let (from, to) = (here.local_addr().unwrap(), there.local_addr().unwrap());
        let mut buf = [0; 8];
        assert_would_block(there.try_peek(&mut buf));
        assert_would_block(there.try_peek_from(&mut buf));
        assert_would_block(there.try_peek_sender());
        assert_would_block(there.try_recv(&mut buf));
        assert_would_block(there.try_recv_from(&mut buf));
        assert!(!at_once(there.readable()).await);

        assert_eq!(here.try_send(b"one").unwrap(), 3);
        there.readable().await.unwrap();
        assert_eq!(there.try_peek(&mut buf).unwrap(), 3);
        assert_eq!(&buf[..3], b"one");
        buf.fill(0);
        assert_eq!(there.try_peek_from(&mut buf).unwrap(), (3, from));
        assert_eq!(&buf[..3], b"one");
        assert_eq!(there.try_peek_sender().unwrap(), from);
        buf.fill(0);
        assert_eq!(there.try_recv(&mut buf).unwrap(), 3);
        assert_eq!(&buf[..3], b"one");
        // That was all: what remains is refused, and waits.
        assert_would_block(there.try_peek(&mut buf));
        assert!(!at_once(there.readable()).await);

        assert_eq!(here.try_send_to(b"two!", to).unwrap(), 4);
        there.readable().await.unwrap();
        assert_eq!(there.try_recv_from(&mut buf).unwrap(), (4, from));
        assert_eq!(&buf[..4], b"two!");
        assert_would_block(there.try_recv_from(&mut buf));
        assert!(!at_once(there.readable()).await);
    });
}

/// Each of the refusals takes the readiness back.
#[test]
fn each_refusal_of_a_datagram_makes_the_next_wait() {
    on_each(|| async {
        for refused in 0..5 {
            let (here, there) = udp_pair().await;
            here.send(b"x").await.unwrap();
            there.readable().await.unwrap();
            // Whoever takes it goes behind the back of the runtime.
            (&*SockRef::from(&there)).read_exact(&mut [0]).unwrap();
            assert!(at_once(there.readable()).await);
            let mut buf = [0; 8];
            match refused {
                0 => assert_would_block(there.try_peek(&mut buf)),
                1 => assert_would_block(there.try_peek_from(&mut buf)),
                2 => assert_would_block(there.try_peek_sender()),
                3 => assert_would_block(there.try_recv(&mut buf)),
                _ => assert_would_block(there.try_recv_from(&mut buf)),
            }
            assert!(!at_once(there.readable()).await);
        }
    });
}

#[cfg(unix)]
#[test]
fn unix_datagrams_are_sent_and_received_without_waiting() {
    on_each(|| async {
        let (here, there) = UnixDatagram::pair().unwrap();
        settle().await;
        let mut buf = [0; 8];
        assert_would_block(there.try_recv(&mut buf));
        assert_would_block(there.try_recv_from(&mut buf));
        assert!(!at_once(there.readable()).await);
        assert_eq!(here.try_send(b"one").unwrap(), 3);
        there.readable().await.unwrap();
        assert_eq!(there.try_recv(&mut buf).unwrap(), 3);
        assert_eq!(&buf[..3], b"one");
        assert_would_block(there.try_recv(&mut buf));
        assert!(!at_once(there.readable()).await);
        assert_eq!(here.try_send(b"four").unwrap(), 4);
        there.readable().await.unwrap();
        let (len, from) = there.try_recv_from(&mut buf).unwrap();
        assert!(len == 4 && from.is_unnamed());
        assert_eq!(&buf[..4], b"four");
        assert_would_block(there.try_recv_from(&mut buf));
        assert!(!at_once(there.readable()).await);
    });
}

/// What `try_io` of `$socket` does, which becomes readable when `$other` writes.
macro_rules! tries {
    ($socket:expr, $other:expr) => {{
        let (socket, other) = (&$socket, &$other);
        // No event of room comes in between.
        socket.writable().await.unwrap();
        settle().await;
        // What is not known yet is tried, and then it is known.
        assert_would_block(socket.try_io(Interest::READABLE, would_block::<()>));
        let result = socket.try_io(Interest::READABLE, || -> io::Result<()> {
            panic!("it is not ready, and there is no call");
        });
        assert_would_block(result);
        // The other direction is not concerned.
        assert_eq!(socket.try_io(Interest::WRITABLE, || Ok(1)).unwrap(), 1);

        (&*SockRef::from(other)).write_all(b"x").unwrap();
        socket.readable().await.unwrap();
        let calls = Cell::new(0);
        let read = socket.try_io(Interest::READABLE, || {
            calls.set(calls.get() + 1);
            (&*SockRef::from(socket)).read(&mut [0; 8])
        });
        assert_eq!((read.unwrap(), calls.get()), (1, 1));
        // Only a refusal takes the readiness back.
        let failed = socket.try_io(Interest::READABLE, || -> io::Result<()> {
            Err(ErrorKind::InvalidData.into())
        });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::InvalidData);
        assert!(at_once(socket.readable()).await);
        // One of the other direction does not, and is not taken for this one.
        assert_would_block(socket.try_io(Interest::WRITABLE, would_block::<()>));
        assert!(at_once(socket.readable()).await);
        assert_would_block(socket.try_io(Interest::READABLE, would_block::<()>));
        assert!(!at_once(socket.readable()).await);
        assert_would_block(socket.try_io(Interest::READABLE, || Ok(())));
        // An event makes it ready again.
        (&*SockRef::from(other)).write_all(b"x").unwrap();
        socket.readable().await.unwrap();
        socket.try_io(Interest::READABLE, || Ok(())).unwrap();
    }};
}

#[test]
fn an_operation_is_tried_if_it_may_be_ready() {
    on_each(|| async {
        let (client, server) = tcp_pair().await;
        tries!(client, server);
        tries!(server, client);
        let (one, other) = udp_pair().await;
        tries!(one, other);
        #[cfg(unix)]
        {
            let (one, other) = UnixStream::pair().unwrap();
            settle().await;
            tries!(one, other);
            let (one, other) = UnixDatagram::pair().unwrap();
            settle().await;
            tries!(one, other);
        }
    });
}

#[cfg(unix)]
#[test]
fn an_operation_on_a_pipe_is_tried_if_it_may_be_ready() {
    on_each(|| async {
        let (sender, receiver) = pipe::pipe().unwrap();
        settle().await;
        let called = || -> io::Result<()> { panic!("it is not ready, and there is no call") };
        assert_would_block(receiver.try_io(called));
        sender.writable().await.unwrap();
        assert_eq!(sender.try_io(|| Ok(1)).unwrap(), 1);
        assert_eq!(sender.try_write(b"x").unwrap(), 1);
        receiver.readable().await.unwrap();
        assert_eq!(receiver.try_io(|| Ok(2)).unwrap(), 2);
        assert_would_block(receiver.try_io(would_block::<()>));
        assert_would_block(receiver.try_io(called));
        assert!(!at_once(receiver.readable()).await);
        assert_would_block(sender.try_io(would_block::<()>));
        assert_would_block(sender.try_io(called));
        assert!(!at_once(sender.writable()).await);
    });
}

/// `async_io` of `$socket`, which becomes readable when `$other` writes.
macro_rules! waits {
    ($socket:expr, $other:expr) => {{
        let (socket, other) = (&$socket, &$other);
        let (calls, mut buf) = (Cell::new(0), [0; 8]);
        let mut read = spawn(socket.async_io(Interest::READABLE, || {
            calls.set(calls.get() + 1);
            (&*SockRef::from(socket)).read(&mut buf)
        }));
        assert_pending!(read.poll());
        let before = calls.get();
        // No event, no call.
        assert_pending!(read.poll());
        assert_eq!(calls.get(), before);
        assert!(!read.is_woken());
        (&*SockRef::from(other)).write_all(b"abc").unwrap();
        until_woken(&read).await;
        assert_eq!(assert_ready!(read.poll()).unwrap(), 3);
        assert_eq!(calls.get(), before + 1);
        drop(read);
        assert_eq!(&buf[..3], b"abc");
        // An error is no reason to wait.
        socket.writable().await.unwrap();
        let failed = socket.async_io(Interest::WRITABLE, || -> io::Result<()> {
            Err(ErrorKind::InvalidData.into())
        });
        assert_eq!(failed.await.unwrap_err().kind(), ErrorKind::InvalidData);
    }};
}

#[test]
fn an_operation_is_called_again_after_each_wait() {
    on_each(|| async {
        let (client, server) = tcp_pair().await;
        waits!(client, server);
        waits!(server, client);
        let (one, other) = udp_pair().await;
        waits!(one, other);
        #[cfg(unix)]
        {
            let (one, other) = UnixStream::pair().unwrap();
            settle().await;
            waits!(one, other);
            let (one, other) = UnixDatagram::pair().unwrap();
            settle().await;
            waits!(one, other);
        }
    });
}
