//! Sockets that come from std and go there: they remain what they are, and are registered anew.
#![cfg(all(feature = "net", feature = "tokio-io"))]

mod common;
#[cfg(unix)]
#[path = "common/free_path.rs"]
mod free_path;
#[path = "common/sockets.rs"]
mod sockets;

use runnext::io::{AsyncReadExt, AsyncWriteExt};
use runnext::net::{TcpListener, TcpStream, UdpSocket};
use sockets::{on_each, tcp_pair};

#[cfg(unix)]
use {
    free_path::FreePath,
    runnext::net::{TcpSocket, UnixDatagram, UnixListener, UnixStream},
    socket2::{Domain, SockRef, Socket, Type},
    std::io::ErrorKind,
    std::os::fd::{AsFd, AsRawFd},
    std::os::unix::net as std_net,
};

/// What is written to one arrives at the other.
async fn assert_connected(
    write: &mut (impl AsyncWriteExt + Unpin),
    read: &mut (impl AsyncReadExt + Unpin),
) {
    write.write_all(b"std").await.unwrap();
    let mut buf = [0; 3];
    read.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"std");
}

#[test]
fn tcp_goes_to_std_and_back() {
    on_each(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let std = listener.into_std().unwrap();
        assert_eq!(std.local_addr().unwrap(), address);
        // It is in non-blocking mode.
        sockets::assert_would_block(std.accept());
        let listener = TcpListener::from_std(std).unwrap();
        let listener = TcpListener::try_from(listener.into_std().unwrap()).unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        assert_connected(&mut client, &mut server).await;

        let (client, mut server) = tcp_pair().await;
        let std = client.into_std().unwrap();
        sockets::assert_would_block(std::io::Read::read(&mut &std, &mut [0]));
        let mut client = TcpStream::try_from(std).unwrap();
        assert_connected(&mut client, &mut server).await;
        assert_connected(&mut server, &mut client).await;

        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let socket = UdpSocket::try_from(socket.into_std().unwrap()).unwrap();
        socket.send_to(b"self", address).await.unwrap();
        let (len, from) = socket.recv_from(&mut [0; 8]).await.unwrap();
        assert_eq!((len, from), (4, address));
    });
}

#[cfg(unix)]
#[test]
fn a_tcp_socket_of_std_is_connected_or_listens() {
    /// A socket that blocks.
    fn fresh() -> std::net::TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_tcp_nodelay(true).unwrap();
        assert!(!socket.nonblocking().unwrap());
        socket.into()
    }

    on_each(|| async {
        let (listening, connecting) = (fresh(), fresh());
        let fd = listening.as_raw_fd();
        let socket = TcpSocket::from_std_stream(listening);
        assert_eq!((socket.as_raw_fd(), socket.as_fd().as_raw_fd()), (fd, fd));
        assert!(SockRef::from(&socket).nonblocking().unwrap());
        assert!(socket.nodelay().unwrap());
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(4).unwrap();
        assert_eq!(listener.as_raw_fd(), fd);

        let socket = TcpSocket::from_std_stream(connecting);
        let client = socket.connect(listener.local_addr().unwrap()).await;
        let mut client = client.unwrap();
        assert!(client.nodelay().unwrap());
        let (mut server, _) = listener.accept().await.unwrap();
        assert_connected(&mut client, &mut server).await;
    });
}

#[cfg(unix)]
#[test]
fn unix_sockets_go_to_std_and_back() {
    on_each(|| async {
        let path = FreePath::new();
        let std = UnixListener::bind(&path).unwrap().into_std().unwrap();
        sockets::assert_would_block(std.accept());
        let listener = UnixListener::from_std(std).unwrap();
        let listener = UnixListener::try_from(listener.into_std().unwrap()).unwrap();
        assert!(listener.take_error().unwrap().is_none());
        let client = UnixStream::connect(&path).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let std = client.into_std().unwrap();
        sockets::assert_would_block(std::io::Read::read(&mut &std, &mut [0]));
        let client = UnixStream::from_std(std).unwrap();
        let mut client = UnixStream::try_from(client.into_std().unwrap()).unwrap();
        assert_connected(&mut client, &mut server).await;
        assert_connected(&mut server, &mut client).await;

        let (here, there) = UnixDatagram::pair().unwrap();
        let std = here.into_std().unwrap();
        sockets::assert_would_block(std.recv(&mut [0]));
        let here = UnixDatagram::from_std(std).unwrap();
        let here = UnixDatagram::try_from(here.into_std().unwrap()).unwrap();
        there.send(b"ab").await.unwrap();
        assert_eq!(here.recv(&mut [0; 8]).await.unwrap(), 2);
    });
}

#[cfg(unix)]
#[test]
fn an_address_of_std_is_bound_and_connected_to() {
    on_each(|| async {
        let path = FreePath::new();
        let std = std_net::SocketAddr::from_pathname(&path).unwrap();
        let address = runnext::net::unix::SocketAddr::from(std);
        assert_eq!(address.as_pathname(), Some(path.as_ref()));
        assert!(!address.is_unnamed());
        let error = UnixStream::connect_addr(&address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let listener = UnixListener::bind_addr(&address).unwrap();
        let error = UnixListener::bind_addr(&address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let bound = listener.local_addr().unwrap();
        assert_eq!(bound.as_pathname(), Some(path.as_ref()));

        let mut client = UnixStream::connect_addr(&bound).await.unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed() && client.local_addr().unwrap().is_unnamed());
        let there = client.peer_addr().unwrap();
        assert_eq!(there.as_pathname(), Some(path.as_ref()));
        assert_connected(&mut client, &mut server).await;
        let std = std_net::SocketAddr::from(there);
        assert_eq!(std.as_pathname(), Some(path.as_ref()));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_address_is_bound_and_connected_to() {
    use std::os::linux::net::SocketAddrExt;
    on_each(|| async {
        let name = format!("runnext-net-std-{}", std::process::id());
        let std = std_net::SocketAddr::from_abstract_name(&name).unwrap();
        let address = runnext::net::unix::SocketAddr::from(std);
        assert_eq!(address.as_abstract_name(), Some(name.as_bytes()));
        assert_eq!(address.as_pathname(), None);
        let listener = UnixListener::bind_addr(&address).unwrap();
        let mut client = UnixStream::connect_addr(&address).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        assert_connected(&mut client, &mut server).await;
    });
}

#[cfg(unix)]
#[test]
fn the_peer_of_a_unix_stream_is_known() {
    on_each(|| async {
        let (one, _other) = UnixStream::pair().unwrap();
        let cred = one.peer_cred().unwrap();
        // SAFETY: these calls have no requirements.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        assert_eq!((cred.uid(), cred.gid()), (uid, gid));
    });
}

#[cfg(unix)]
#[test]
fn a_datagram_socket_without_an_address_is_connected_and_shut_down() {
    use std::net::Shutdown;
    on_each(|| async {
        let path = FreePath::new();
        let there = UnixDatagram::bind(&path).unwrap();
        let here = UnixDatagram::unbound().unwrap();
        assert!(here.local_addr().unwrap().is_unnamed());
        assert!(here.peer_addr().is_err() && here.send(b"x").await.is_err());
        here.connect(&path).unwrap();
        let peer = here.peer_addr().unwrap();
        assert_eq!(peer.as_pathname(), Some(path.as_ref()));
        let bound = there.local_addr().unwrap();
        assert_eq!(bound.as_pathname(), Some(path.as_ref()));
        assert_eq!(here.send(b"abc").await.unwrap(), 3);
        let (len, from) = there.recv_from(&mut [0; 8]).await.unwrap();
        assert!(len == 3 && from.is_unnamed());

        let (one, other) = UnixDatagram::pair().unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        let error = one.send(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        other.send(b"still").await.unwrap();
        assert_eq!(one.recv(&mut [0; 8]).await.unwrap(), 5);
        one.shutdown(Shutdown::Read).unwrap();
        // Nobody is there to send to, while the other could still send.
        let error = other.send(b"no more").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

/// Linux tells the one side when the other leaves something unread, or finds itself another peer.
#[cfg(target_os = "linux")]
#[test]
fn an_error_of_unix_sockets_is_taken_once() {
    on_each(|| async {
        let (mut one, other) = UnixStream::pair().unwrap();
        assert!(one.take_error().unwrap().is_none());
        one.write_all(b"unread").await.unwrap();
        drop(other);
        let error = one.take_error().unwrap().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(one.take_error().unwrap().is_none());

        let path = FreePath::new();
        let _third = UnixDatagram::bind(&path).unwrap();
        let (one, other) = UnixDatagram::pair().unwrap();
        assert!(other.take_error().unwrap().is_none());
        // What is not received yet is lost.
        other.send(b"lost").await.unwrap();
        one.connect(&path).unwrap();
        let error = other.take_error().unwrap().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(other.take_error().unwrap().is_none());
    });
}
