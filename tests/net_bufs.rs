//! Reads into buffers that grow: what comes is put behind what is there.
#![cfg(all(feature = "net", feature = "tokio-io"))]

mod common;

use common::on_each_flavor;
use runnext::io::AsyncWriteExt;
use runnext::net::{TcpListener, TcpStream, UdpSocket};
use std::io::ErrorKind;

/// A buffer that begins with an `a`, and has room for `more`.
fn begun(more: usize) -> Vec<u8> {
    let mut buf = Vec::with_capacity(1 + more);
    buf.push(b'a');
    buf
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = runnext::join!(client, listener.accept());
    (client.unwrap(), accepted.unwrap().0)
}

#[test]
fn a_stream_fills_what_room_there_is() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let (mut here, there) = pair().await;
            let mut buf = begun(64);
            let nothing = there.try_read_buf(&mut buf).unwrap_err();
            assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
            here.write_all(b"bcd").await.unwrap();
            there.readable().await.unwrap();
            assert_eq!(there.try_read_buf(&mut buf).unwrap(), 3);
            assert_eq!(buf, b"abcd");

            // Less room than there is to read: the rest stays.
            here.write_all(b"bcde").await.unwrap();
            let mut short = begun(0).into_boxed_slice().into_vec();
            short.reserve_exact(2);
            let room = short.capacity() - short.len();
            let mut rest = Vec::new();
            there.readable().await.unwrap();
            let first = there.try_read_buf(&mut short).unwrap();
            assert_eq!(first, room.min(4));
            while short.len() - 1 + rest.len() < 4 {
                there.readable().await.unwrap();
                there.try_read_buf(&mut rest).unwrap();
            }
            assert_eq!([&short[1..], &rest[..]].concat(), b"bcde");

            drop(here);
            there.readable().await.unwrap();
            assert_eq!(there.try_read_buf(&mut rest).unwrap(), 0, "the end");
        });
    });
}

#[test]
fn halves_fill_buffers_too() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let (mut here, mut there) = pair().await;
            let mut buf = begun(64);
            here.write_all(b"b").await.unwrap();
            let (reads, _writes) = there.split();
            reads.readable().await.unwrap();
            assert_eq!(reads.try_read_buf(&mut buf).unwrap(), 1);
            here.write_all(b"c").await.unwrap();
            let (reads, _writes) = there.into_split();
            reads.readable().await.unwrap();
            assert_eq!(reads.try_read_buf(&mut buf).unwrap(), 1);
            assert_eq!(buf, b"abc");
        });
    });
}

#[test]
fn udp_fills_buffers() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let here = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let there = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let (from, to) = (here.local_addr().unwrap(), there.local_addr().unwrap());
            let mut buf = begun(64);
            let nothing = there.try_recv_buf(&mut buf).unwrap_err();
            assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
            let nothing = there.try_recv_buf_from(&mut buf).unwrap_err();
            assert_eq!(nothing.kind(), ErrorKind::WouldBlock);

            here.send_to(b"b", to).await.unwrap();
            assert_eq!(there.recv_buf(&mut buf).await.unwrap(), 1);
            here.send_to(b"c", to).await.unwrap();
            assert_eq!(there.recv_buf_from(&mut buf).await.unwrap(), (1, from));
            here.send_to(b"d", to).await.unwrap();
            there.readable().await.unwrap();
            assert_eq!(there.try_recv_buf(&mut buf).unwrap(), 1);
            here.send_to(b"e", to).await.unwrap();
            there.readable().await.unwrap();
            assert_eq!(there.try_recv_buf_from(&mut buf).unwrap(), (1, from));
            assert_eq!(buf, b"abcde");
        });
    });
}

#[cfg(unix)]
#[test]
fn unix_sockets_and_pipes_fill_buffers() {
    use runnext::net::{UnixDatagram, UnixStream, unix::pipe};

    on_each_flavor(|rt| {
        rt.block_on(async {
            let mut buf = begun(64);

            let (mut here, mut there) = UnixStream::pair().unwrap();
            here.write_all(b"b").await.unwrap();
            there.readable().await.unwrap();
            assert_eq!(there.try_read_buf(&mut buf).unwrap(), 1);
            here.write_all(b"c").await.unwrap();
            let (reads, _writes) = there.split();
            reads.readable().await.unwrap();
            assert_eq!(reads.try_read_buf(&mut buf).unwrap(), 1);
            here.write_all(b"d").await.unwrap();
            let (reads, _writes) = there.into_split();
            reads.readable().await.unwrap();
            assert_eq!(reads.try_read_buf(&mut buf).unwrap(), 1);

            let (here, there) = UnixDatagram::pair().unwrap();
            here.send(b"e").await.unwrap();
            assert_eq!(there.recv_buf(&mut buf).await.unwrap(), 1);
            here.send(b"f").await.unwrap();
            let (len, from) = there.recv_buf_from(&mut buf).await.unwrap();
            assert!(len == 1 && from.is_unnamed());
            here.send(b"g").await.unwrap();
            there.readable().await.unwrap();
            assert_eq!(there.try_recv_buf(&mut buf).unwrap(), 1);
            here.send(b"h").await.unwrap();
            there.readable().await.unwrap();
            assert_eq!(there.try_recv_buf_from(&mut buf).unwrap().0, 1);

            let (mut sends, receives) = pipe::pipe().unwrap();
            let nothing = receives.try_read_buf(&mut buf).unwrap_err();
            assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
            sends.write_all(b"i").await.unwrap();
            receives.readable().await.unwrap();
            assert_eq!(receives.try_read_buf(&mut buf).unwrap(), 1);
            assert_eq!(buf, b"abcdefghi");
        });
    });
}
