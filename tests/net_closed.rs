//! Sockets that count as ready from the beginning, and one that is closed and has nothing to say all the same.
#![cfg(all(feature = "net", feature = "time", feature = "tokio-io"))]

mod common;
#[path = "common/sockets.rs"]
mod sockets;

use runnext::net::{TcpListener, TcpStream};
use sockets::on_each;

#[cfg(target_os = "linux")]
use {
    runnext::io::{AsyncWriteExt, Interest},
    runnext::net::{UnixDatagram, UnixStream},
    runnext::time::{Duration, timeout},
    socket2::SockRef,
    sockets::{assert_would_block, at_once, settle},
    std::io::ErrorKind,
    std::net::Shutdown,
};

#[test]
fn what_was_just_connected_takes_what_is_written_without_a_wait() {
    on_each(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for _ in 0..20 {
            let client = TcpStream::connect(listener.local_addr().unwrap()).await;
            assert_eq!(client.unwrap().try_write(b"x").unwrap(), 1);
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn what_was_just_connected_by_its_name_takes_what_is_written_without_a_wait() {
    use runnext::net::UnixListener;
    use std::os::linux::net::SocketAddrExt;
    on_each(|| async {
        // A name that nobody else has: this listener's own address.
        let name = format!("runnext-closed-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        let address = runnext::net::unix::SocketAddr::from(address);
        let listener = UnixListener::bind_addr(&address).unwrap();
        for _ in 0..20 {
            let client = UnixStream::connect_addr(&address).await.unwrap();
            assert_eq!(client.try_write(b"x").unwrap(), 1);
            drop(listener.accept().await.unwrap());
        }
    });
}

/// Linux says that such a socket has ended, and that a call would block, for ever. Who believes the first again and
/// again never comes to an end.
#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_is_shut_and_would_block_is_waited_for_like_others() {
    on_each(|| async {
        let (one, _other) = UnixDatagram::pair().unwrap();
        one.shutdown(Shutdown::Read).unwrap();
        settle().await;
        let mut buf = [0; 8];
        let soon = Duration::from_millis(5);
        timeout(soon, one.recv(&mut buf)).await.unwrap_err();
        assert!(!at_once(one.readable()).await);
    });
    on_each(|| async {
        let (one, _other) = UnixDatagram::pair().unwrap();
        one.writable().await.unwrap();
        one.shutdown(Shutdown::Read).unwrap();
        settle().await;
        // What it says is believed once.
        one.readable().await.unwrap();
        assert_would_block(one.try_recv(&mut [0; 8]));
        assert!(!at_once(one.readable()).await);
    });
}

/// A user's call is not known to have tried what has ended. Here it tries nothing, and takes turns with others.
#[cfg(target_os = "linux")]
#[test]
fn a_users_call_on_a_socket_that_is_shut_does_not_hold_up_its_thread() {
    on_each(|| async {
        let (one, _other) = UnixDatagram::pair().unwrap();
        one.shutdown(Shutdown::Read).unwrap();
        settle().await;
        let mut calls = 0;
        let call = one.async_io(Interest::READABLE, || {
            calls += 1;
            Err::<(), _>(ErrorKind::WouldBlock.into())
        });
        timeout(Duration::from_millis(5), call).await.unwrap_err();
        assert!(calls > 1, "it has ended all the same");
    });
}

/// The end, and what came before it, are not forgotten because there was no room to write.
#[cfg(target_os = "linux")]
#[test]
fn a_call_that_had_no_room_says_nothing_of_what_there_is_to_read() {
    on_each(|| async {
        let (client, mut server) = UnixStream::pair().unwrap();
        client.writable().await.unwrap();
        let call = || SockRef::from(&client).send(&[0; 4096]).map(drop);
        while client.try_io(Interest::WRITABLE, call).is_ok() {}
        server.write_all(b"x").await.unwrap();
        server.shutdown().await.unwrap();
        client.readable().await.unwrap();
        settle().await;
        let both = Interest::READABLE | Interest::WRITABLE;
        assert_would_block(client.try_io(both, call));
        assert!(at_once(client.readable()).await);
        // Who waits is called again for as long as the end is not read.
        let mut calls = 0;
        let again = client.async_io(both, || {
            calls += 1;
            if calls < 3 { call() } else { Ok(()) }
        });
        again.await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(client.try_read(&mut buf).unwrap(), 1);
        assert_eq!(client.try_read(&mut buf).unwrap(), 0);
    });
}

/// What is read before the end is not the end.
#[cfg(target_os = "linux")]
#[test]
fn a_stream_that_has_ended_says_so_to_whoever_asks() {
    on_each(|| async {
        let (client, server) = sockets::tcp_pair().await;
        client.try_write(b"abc").unwrap();
        drop(client);
        settle().await;
        // Each takes less than it asks for, after which the next would block if it were not for the end.
        let mut buf = [0; 8];
        assert_eq!(server.try_read(&mut buf).unwrap(), 3);
        for _ in 0..3 {
            assert!(at_once(server.readable()).await);
            assert_eq!(server.try_read(&mut buf).unwrap(), 0);
        }
    });
}
