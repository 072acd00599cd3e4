//! UDP: datagrams arrive whole, and tell whose they are.
#![cfg(all(feature = "net", feature = "tokio-io"))]

mod common;

use common::{current_thread, on_each_flavor, poll_once};
use runnext::net::UdpSocket;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;

fn on_each<F, Fut>(test: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    on_each_flavor(|rt| {
        let task = rt.spawn(test());
        rt.block_on(task).unwrap();
        rt.block_on(test());
    });
}

async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

#[test]
fn datagrams_go_to_and_fro() {
    on_each(|| async {
        let (here, there) = (socket().await, socket().await);
        let (here_addr, there_addr) = (here.local_addr().unwrap(), there.local_addr().unwrap());
        let answers = runnext::spawn(async move {
            let mut buf = [0; 64];
            for _ in 0..100 {
                let (len, from) = there.recv_from(&mut buf).await.unwrap();
                assert_eq!(from, here_addr);
                there.send_to(&buf[..len], from).await.unwrap();
            }
        });
        here.connect(there_addr).await.unwrap();
        assert_eq!(here.peer_addr().unwrap(), there_addr);
        let mut buf = [0; 64];
        for n in 0..100_u8 {
            here.send(&[n; 10]).await.unwrap();
            assert_eq!(here.recv(&mut buf).await.unwrap(), 10);
            assert_eq!(buf[..10], [n; 10]);
        }
        answers.await.unwrap();
    });
}

#[test]
fn what_does_not_fit_is_cut_off() {
    on_each(|| async {
        let (here, there) = (socket().await, socket().await);
        let to = there.local_addr().unwrap();
        here.send_to(b"a long one", to).await.unwrap();
        here.send_to(b"next", to).await.unwrap();
        let mut buf = [0; 4];
        assert_eq!(there.recv(&mut buf).await.unwrap(), 4);
        assert_eq!(&buf, b"a lo");
        assert_eq!(there.recv(&mut buf).await.unwrap(), 4);
        assert_eq!(&buf, b"next");
    });
}

#[test]
fn tasks_share_a_socket_and_each_datagram_goes_to_one() {
    on_each(|| async {
        let (here, there) = (socket().await, Arc::new(socket().await));
        let to = there.local_addr().unwrap();
        let receivers: Vec<_> = (0..10)
            .map(|_| {
                let there = there.clone();
                runnext::spawn(async move {
                    let mut byte = [0];
                    there.recv(&mut byte).await.unwrap();
                    byte[0]
                })
            })
            .collect();
        runnext::task::yield_now().await;
        for n in 0..10 {
            here.send_to(&[n], to).await.unwrap();
        }
        let mut got = Vec::new();
        for receiver in receivers {
            got.push(receiver.await.unwrap());
        }
        got.sort_unstable();
        assert_eq!(got, (0..10).collect::<Vec<u8>>());
    });
}

#[test]
fn peeked_datagrams_stay() {
    on_each(|| async {
        let (here, there) = (socket().await, socket().await);
        let error = there.try_peek_sender().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        here.send_to(b"x", there.local_addr().unwrap())
            .await
            .unwrap();
        let from = here.local_addr().unwrap();
        assert_eq!(there.peek_sender().await.unwrap(), from);
        let mut buf = [0; 4];
        assert_eq!(there.peek(&mut buf).await.unwrap(), 1);
        assert_eq!(there.peek_from(&mut buf).await.unwrap(), (1, from));
        assert_eq!(there.try_recv_from(&mut buf).unwrap(), (1, from));
        let error = there.try_recv(&mut buf).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_wait_that_was_dropped_takes_no_datagram() {
    on_each(|| async {
        let (here, there) = (socket().await, socket().await);
        let mut buf = [0; 4];
        assert!(
            poll_once(&mut pin!(there.recv(&mut buf)))
                .await
                .is_pending()
        );
        here.send_to(b"x", there.local_addr().unwrap())
            .await
            .unwrap();
        assert_eq!(there.recv(&mut buf).await.unwrap(), 1);
    });
}

#[test]
fn options_are_kept() {
    current_thread().block_on(async {
        let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        assert!(!socket.broadcast().unwrap());
        socket.set_broadcast(true).unwrap();
        assert!(socket.broadcast().unwrap());
        socket.set_ttl(21).unwrap();
        assert_eq!(socket.ttl().unwrap(), 21);
        socket.set_multicast_ttl_v4(3).unwrap();
        assert_eq!(socket.multicast_ttl_v4().unwrap(), 3);
        socket.set_multicast_loop_v4(false).unwrap();
        assert!(!socket.multicast_loop_v4().unwrap());
        let error = socket
            .join_multicast_v4(Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    });
}

#[test]
fn a_socket_goes_to_std_and_back_unless_it_blocks() {
    current_thread().block_on(async {
        let socket = socket().await.into_std().unwrap();
        let socket = UdpSocket::from_std(socket).unwrap().into_std().unwrap();
        socket.set_nonblocking(false).unwrap();
        let error = UdpSocket::from_std(socket).unwrap_err();
        assert!(error.to_string().contains("set_nonblocking"), "{error}");
    });
}
