//! Room to write to, of sockets whose events of room are asked for late.
#![cfg(all(feature = "net", target_os = "linux"))]

mod common;

use common::on_each_flavor;
use runnext::io::Interest;
use runnext::net::{UdpSocket, UnixDatagram, UnixStream};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, RawFd};

/// Whether the system was asked for events of room of `fd`, by any epoll instance of this process.
fn room_is_asked_for(fd: RawFd) -> bool {
    let mut watched = false;
    for entry in std::fs::read_dir("/proc/self/fdinfo").unwrap() {
        // The listing's own descriptor is gone by now.
        let Ok(info) = std::fs::read_to_string(entry.unwrap().path()) else {
            continue;
        };
        for line in info.lines() {
            let mut fields = line.split_whitespace();
            if fields.next() != Some("tfd:") || fields.next() != Some(&fd.to_string()) {
                continue;
            }
            assert_eq!(fields.next(), Some("events:"), "in {line}");
            let events = u32::from_str_radix(fields.next().unwrap(), 16).unwrap();
            watched = true;
            if events & libc::EPOLLOUT as u32 != 0 {
                return true;
            }
        }
    }
    assert!(watched, "descriptor {fd} is registered nowhere");
    false
}

async fn udp_pair() -> (UdpSocket, UdpSocket) {
    let here = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let there = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    here.connect(there.local_addr().unwrap()).await.unwrap();
    there.connect(here.local_addr().unwrap()).await.unwrap();
    (here, there)
}

/// Sends until there is no more room, and says how often that went well.
fn fill(socket: &UnixDatagram) -> usize {
    (0..)
        .find(|_| match socket.try_send(b"some bytes") {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                true
            }
        })
        .unwrap()
}

/// Receives what `fill` sent.
async fn drain(socket: &UnixDatagram, sent: usize) {
    let mut buf = [0; 64];
    for _ in 0..sent {
        let len = socket.recv(&mut buf).await.unwrap();
        assert_eq!(&buf[..len], b"some bytes");
    }
}

#[test]
fn of_a_socket_that_never_lacks_it_is_not_asked_for() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let (here, there) = udp_pair().await;
            let mut buf = [0; 8];
            for _ in 0..10 {
                here.send(b"ping").await.unwrap();
                assert_eq!(there.recv(&mut buf).await.unwrap(), 4);
                there.send(b"pong").await.unwrap();
                assert_eq!(here.recv(&mut buf).await.unwrap(), 4);
            }
            assert!(!room_is_asked_for(here.as_raw_fd()));
            assert!(!room_is_asked_for(there.as_raw_fd()));
        });
    });
}

#[test]
fn is_reported_to_those_who_ask() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let (here, there) = udp_pair().await;
            here.writable().await.unwrap();
            assert!(room_is_asked_for(here.as_raw_fd()));

            // Also beside data to read, which is known before.
            here.send(b"ping").await.unwrap();
            there.readable().await.unwrap();
            let both = Interest::READABLE | Interest::WRITABLE;
            while !there.ready(both).await.unwrap().is_writable() {
                runnext::task::yield_now().await;
            }
            assert!(there.ready(both).await.unwrap().is_readable());

            let (one, _other) = UnixStream::pair().unwrap();
            std::future::poll_fn(|cx| one.poll_write_ready(cx))
                .await
                .unwrap();
        });
    });
}

#[test]
fn that_comes_back_ends_a_wait() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let (one, other) = UnixDatagram::pair().unwrap();
            let sent = fill(&one);
            assert!(sent > 0);
            let waits = runnext::spawn(async move {
                one.send(b"the last").await.unwrap();
                one
            });
            let mut buf = [0; 64];
            drain(&other, sent).await;
            assert_eq!(other.recv(&mut buf).await.unwrap(), b"the last".len());
            waits.await.unwrap();
        });
    });
}

#[test]
fn that_comes_back_is_found_by_those_who_only_try() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let (one, other) = UnixDatagram::pair().unwrap();
            let sent = fill(&one);
            let mut buf = [0; 64];
            drain(&other, sent).await;
            // The event is on its way, and nobody waits for it.
            while let Err(error) = one.try_send(b"more") {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                runnext::task::yield_now().await;
            }
            assert_eq!(other.recv(&mut buf).await.unwrap(), 4);
        });
    });
}
