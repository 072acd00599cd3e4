//! Sockets that count as ready from the beginning, and one that is closed and has nothing to say all the same.
#![cfg(feature = "net")]

mod common;
#[path = "common/sockets.rs"]
mod sockets;

use runnext::net::{TcpListener, TcpStream};
use sockets::on_each;

#[cfg(target_os = "linux")]
use {
    runnext::io::Interest,
    runnext::net::UnixDatagram,
    runnext::time::{Duration, timeout},
    sockets::{assert_would_block, at_once, settle},
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
    use runnext::net::{UnixListener, UnixStream};
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
        let f = || {
            one.try_io(Interest::READABLE, || {
                Err::<(), _>(std::io::ErrorKind::WouldBlock.into())
            })
        };
        timeout(soon, one.async_io(Interest::READABLE, f))
            .await
            .unwrap_err();
        assert!(!at_once(one.readable()).await);
    });
    on_each(|| async {
        let (one, _other) = UnixDatagram::pair().unwrap();
        one.shutdown(Shutdown::Read).unwrap();
        // What it says is believed once.
        one.readable().await.unwrap();
        assert_would_block(one.try_recv(&mut [0; 8]));
        assert!(!at_once(one.readable()).await);
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
