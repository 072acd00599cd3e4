//! Options of sockets: each is set to what is not the default, read back, and seen to have an effect where there is one.
#![cfg(all(feature = "net", feature = "tokio-io"))]

mod common;
#[path = "common/sockets.rs"]
mod sockets;

use runnext::io::{AsyncReadExt, AsyncWriteExt};
use runnext::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, lookup_host};
use socket2::SockRef;
use sockets::{has_ipv6, on_each, tcp_pair};
use std::collections::HashSet;
#[cfg(unix)]
use std::io;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

const ANY: &str = "127.0.0.1:0";

#[cfg(unix)]
fn bound(reuse: impl Fn(&TcpSocket), address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    reuse(&socket);
    socket.bind(address)?;
    Ok(socket)
}

/// The error of a socket, which is about to have one.
#[cfg(unix)]
async fn error_of(take: impl Fn() -> io::Result<Option<io::Error>>) -> ErrorKind {
    loop {
        if let Some(error) = take().unwrap() {
            assert!(take().unwrap().is_none(), "it was taken");
            return error.kind();
        }
        runnext::task::yield_now().await;
    }
}

#[test]
fn options_of_a_socket_go_over_to_its_connection() {
    on_each(|| async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        assert!(!socket.nodelay().unwrap());
        socket.set_nodelay(true).unwrap();
        assert!(socket.nodelay().unwrap());
        assert!(!socket.keepalive().unwrap());
        socket.set_keepalive(true).unwrap();
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tos_v4().unwrap(), 0);
            socket.set_tos_v4(0x10).unwrap();
            assert_eq!(socket.tos_v4().unwrap(), 0x10);
        }
        let stream = socket.connect(listener.local_addr().unwrap()).await;
        let stream = stream.unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(SockRef::from(&stream).keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(SockRef::from(&stream).tos_v4().unwrap(), 0x10);
        stream.set_nodelay(false).unwrap();
        assert!(!stream.nodelay().unwrap());
    });
}

#[test]
fn the_sizes_of_buffers_are_set() {
    on_each(|| async {
        let socket = TcpSocket::new_v4().unwrap();
        // The system may take more than it is told, as twice as much.
        let asked = 24 * 1024;
        let before = socket.send_buffer_size().unwrap();
        socket.set_send_buffer_size(asked).unwrap();
        let send = socket.send_buffer_size().unwrap();
        assert!(send >= asked && send != before, "{before} {send}");
        let before = socket.recv_buffer_size().unwrap();
        socket.set_recv_buffer_size(2 * asked).unwrap();
        let receive = socket.recv_buffer_size().unwrap();
        assert!(receive >= 2 * asked && receive != before, "{receive}");
        assert_ne!(receive, send);
        assert_eq!(socket.send_buffer_size().unwrap(), send);
    });
}

/// Two sockets that do not listen yet may have one address on Linux, if both say so.
#[cfg(target_os = "linux")]
#[test]
fn an_address_is_reused_if_both_say_so() {
    on_each(|| async {
        let reuse = |socket: &TcpSocket| {
            assert!(!socket.reuseaddr().unwrap());
            socket.set_reuseaddr(true).unwrap();
            assert!(socket.reuseaddr().unwrap());
            assert!(!socket.reuseport().unwrap());
        };
        let one = bound(reuse, ANY.parse().unwrap()).unwrap();
        let address = one.local_addr().unwrap();
        assert_ne!(address.port(), 0);
        let error = bound(|_| {}, address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        bound(reuse, address).unwrap();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn sockets_share_a_port_if_all_say_so() {
    on_each(|| async {
        let reuse = |socket: &TcpSocket| {
            assert!(!socket.reuseport().unwrap());
            socket.set_reuseport(true).unwrap();
            assert!(socket.reuseport().unwrap());
            assert!(!socket.reuseaddr().unwrap());
        };
        let one = bound(reuse, ANY.parse().unwrap()).unwrap();
        let one = one.listen(4).unwrap();
        let address = one.local_addr().unwrap();
        let error = bound(|_| {}, address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let other = bound(reuse, address).unwrap().listen(4).unwrap();
        assert_eq!(other.local_addr().unwrap(), address);
    });
}

#[test]
#[allow(deprecated)] // It is there, and does what it says.
fn a_connection_lingers_as_it_is_told() {
    on_each(|| async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        assert_eq!(socket.linger().unwrap(), None);
        socket.set_linger(Some(Duration::from_secs(3))).unwrap();
        assert_eq!(socket.linger().unwrap(), Some(Duration::from_secs(3)));
        socket.set_zero_linger().unwrap();
        assert_eq!(socket.linger().unwrap(), Some(Duration::ZERO));
        let stream = socket.connect(listener.local_addr().unwrap()).await;
        let stream = stream.unwrap();
        assert_eq!(stream.linger().unwrap(), Some(Duration::ZERO));
        let (mut peer, _) = listener.accept().await.unwrap();
        drop(stream);
        let error = peer.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);

        let (client, mut server) = tcp_pair().await;
        assert_eq!(client.linger().unwrap(), None);
        client.set_zero_linger().unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::ZERO));
        client.set_linger(Some(Duration::from_secs(2))).unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::from_secs(2)));
        client.set_linger(None).unwrap();
        assert_eq!(client.linger().unwrap(), None);
        drop(client);
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn a_connection_takes_the_ttl_of_its_listener() {
    on_each(|| async {
        let listener = TcpListener::bind(ANY).await.unwrap();
        assert_ne!(listener.ttl().unwrap(), 33);
        listener.set_ttl(33).unwrap();
        assert_eq!(listener.ttl().unwrap(), 33);
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(server.ttl().unwrap(), 33);
        }
        server.set_ttl(34).unwrap();
        assert_eq!(server.ttl().unwrap(), 34);
        assert_eq!(listener.ttl().unwrap(), 33);
        assert_ne!(client.ttl().unwrap(), 34);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn what_arrives_is_acknowledged_at_once_or_not() {
    on_each(|| async {
        let (client, _server) = tcp_pair().await;
        // Nothing arrives meanwhile, at which the system would set it.
        for quickack in [false, true, false] {
            client.set_quickack(quickack).unwrap();
            assert_eq!(client.quickack().unwrap(), quickack);
            assert_eq!(SockRef::from(&client).tcp_quickack().unwrap(), quickack);
        }
    });
}

/// A name that a socket is bound to, or the system does not let it be.
#[cfg(target_os = "linux")]
macro_rules! device {
    ($socket:expr) => {{
        let socket = &$socket;
        assert_eq!(socket.device().unwrap(), None);
        assert!(socket.bind_device(Some(b"no-such-device")).is_err());
        assert_eq!(socket.device().unwrap(), None);
        match socket.bind_device(Some(b"lo")) {
            Ok(()) => {
                assert_eq!(socket.device().unwrap().as_deref(), Some(&b"lo"[..]));
                // Without privileges a socket that is bound remains so.
                match socket.bind_device(None) {
                    Ok(()) => assert_eq!(socket.device().unwrap(), None),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::PermissionDenied),
                }
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
                assert_eq!(socket.device().unwrap(), None);
            }
        }
    }};
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_is_bound_to_an_interface_by_those_who_may() {
    on_each(|| async {
        device!(TcpSocket::new_v4().unwrap());
        device!(UdpSocket::bind(ANY).await.unwrap());
    });
}

#[cfg(unix)]
#[test]
fn an_error_is_taken_once() {
    on_each(|| async {
        let socket = TcpSocket::new_v4().unwrap();
        assert!(socket.take_error().unwrap().is_none());
        // Somebody has the address, and does not listen.
        let held = bound(|_| {}, ANY.parse().unwrap()).unwrap();
        let address = held.local_addr().unwrap();
        let begun = SockRef::from(&socket).connect(&address.into());
        // It may be refused at once, and the error is gone then.
        if begun.unwrap_err().kind() != ErrorKind::ConnectionRefused {
            let error = error_of(|| socket.take_error()).await;
            assert_eq!(error, ErrorKind::ConnectionRefused);
        }

        let (client, server) = tcp_pair().await;
        assert!(client.take_error().unwrap().is_none());
        server.set_zero_linger().unwrap();
        drop(server);
        let error = error_of(|| client.take_error()).await;
        assert_eq!(error, ErrorKind::ConnectionReset);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_datagram_that_nobody_wants_is_an_error() {
    on_each(|| async {
        let (here, there) = sockets::udp_pair().await;
        assert!(here.take_error().unwrap().is_none());
        // From now on it takes nothing from here.
        let third = UdpSocket::bind(ANY).await.unwrap();
        there.connect(third.local_addr().unwrap()).await.unwrap();
        here.send(b"x").await.unwrap();
        let error = error_of(|| here.take_error()).await;
        assert_eq!(error, ErrorKind::ConnectionRefused);
    });
}

#[test]
fn ipv6_is_spoken() {
    if !has_ipv6() {
        return;
    }
    on_each(|| async {
        let socket = TcpSocket::new_v6().unwrap();
        assert!(socket.local_addr().unwrap().is_ipv6());
        socket.bind("[::1]:0".parse().unwrap()).unwrap();
        let listener = socket.listen(4).unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(address.ip(), Ipv6Addr::LOCALHOST);
        let mut client = TcpSocket::new_v6().unwrap().connect(address).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(b"six").await.unwrap();
        let mut buf = [0; 3];
        server.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"six");
        let wrong = TcpSocket::new_v4().unwrap().bind(address);
        assert!(wrong.is_err(), "it is of the other family");
    });
}

#[test]
fn options_of_udp_are_kept() {
    on_each(|| async {
        let socket = UdpSocket::bind(ANY).await.unwrap();
        assert_ne!(socket.ttl().unwrap(), 21);
        socket.set_ttl(21).unwrap();
        assert_eq!(socket.ttl().unwrap(), 21);
        assert_ne!(socket.multicast_ttl_v4().unwrap(), 5);
        socket.set_multicast_ttl_v4(5).unwrap();
        assert_eq!(socket.multicast_ttl_v4().unwrap(), 5);
        assert_eq!(socket.ttl().unwrap(), 21, "it is another one");
        assert!(socket.multicast_loop_v4().unwrap());
        socket.set_multicast_loop_v4(false).unwrap();
        assert!(!socket.multicast_loop_v4().unwrap());
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tos_v4().unwrap(), 0);
            socket.set_tos_v4(0x20).unwrap();
            assert_eq!(socket.tos_v4().unwrap(), 0x20);
        }
    });
}

#[test]
fn options_of_udp_for_ipv6_are_kept() {
    if !has_ipv6() {
        return;
    }
    on_each(|| async {
        let socket = UdpSocket::bind("[::1]:0").await.unwrap();
        assert!(socket.multicast_loop_v6().unwrap());
        socket.set_multicast_loop_v6(false).unwrap();
        assert!(!socket.multicast_loop_v6().unwrap());
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tclass_v6().unwrap(), 0);
            socket.set_tclass_v6(0x40).unwrap();
            assert_eq!(socket.tclass_v6().unwrap(), 0x40);
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_broadcast_is_sent_by_those_who_said_so() {
    on_each(|| async {
        let there = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let here = UdpSocket::bind(ANY).await.unwrap();
        let all = (
            Ipv4Addr::new(127, 255, 255, 255),
            there.local_addr().unwrap().port(),
        );
        assert!(!here.broadcast().unwrap());
        let error = here.send_to(b"x", all).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        here.set_broadcast(true).unwrap();
        assert!(here.broadcast().unwrap());
        here.send_to(b"x", all).await.unwrap();
        let (len, from) = there.recv_from(&mut [0; 8]).await.unwrap();
        assert_eq!((len, from), (1, here.local_addr().unwrap()));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_group_is_joined_once_and_left_once() {
    on_each(|| async {
        let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let (group, here) = (Ipv4Addr::new(239, 255, 77, 1), Ipv4Addr::LOCALHOST);
        let error = socket.leave_multicast_v4(group, here).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        for _ in 0..2 {
            socket.join_multicast_v4(group, here).unwrap();
            let error = socket.join_multicast_v4(group, here).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
            socket.leave_multicast_v4(group, here).unwrap();
            let error = socket.leave_multicast_v4(group, here).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_group_of_ipv6_is_joined_once_and_left_once() {
    if !has_ipv6() {
        return;
    }
    /// The number of the loopback interface on Linux.
    const LOOPBACK: u32 = 1;

    on_each(|| async {
        let socket = UdpSocket::bind("[::]:0").await.unwrap();
        let group = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 0x7701);
        let error = socket.leave_multicast_v6(&group, LOOPBACK).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        for _ in 0..2 {
            socket.join_multicast_v6(&group, LOOPBACK).unwrap();
            let error = socket.join_multicast_v6(&group, LOOPBACK).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
            socket.leave_multicast_v6(&group, LOOPBACK).unwrap();
            let error = socket.leave_multicast_v6(&group, LOOPBACK).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        }
        let error = socket
            .join_multicast_v6(&Ipv6Addr::LOCALHOST, LOOPBACK)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_name_has_the_addresses_that_the_system_says() {
    use std::net::ToSocketAddrs;
    on_each(|| async {
        let found: HashSet<_> = lookup_host("localhost:80").await.unwrap().collect();
        let expected: HashSet<_> = "localhost:80".to_socket_addrs().unwrap().collect();
        assert_eq!(found, expected);
        let known: Vec<_> = lookup_host((Ipv4Addr::LOCALHOST, 7))
            .await
            .unwrap()
            .collect();
        assert_eq!(known, [SocketAddr::from(([127, 0, 0, 1], 7))]);
        assert!(lookup_host("localhost").await.is_err(), "there is no port");
    });
}
