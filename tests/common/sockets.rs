//! Pairs of sockets, and what is asked of them again and again.

#![allow(dead_code)] // Each test uses the part that it needs.

use crate::common::{on_each_flavor, poll_once};
use runnext::net::{TcpListener, TcpStream, UdpSocket};
use std::fmt::Debug;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::pin;
use tokio_test::task::Spawn;

/// Runs `test` on each kind of runtime.
pub(crate) fn on_each<Fut: Future<Output = ()>>(test: impl Fn() -> Fut) {
    on_each_flavor(|rt| rt.block_on(test()));
}

/// Comes back when the runtime has seen the events of all that happened before. One that comes later would make void
/// what is taken back of the readiness.
pub(crate) async fn settle() {
    #[cfg(unix)]
    {
        use runnext::io::{AsyncReadExt, AsyncWriteExt};
        let (mut sender, mut receiver) = runnext::net::unix::pipe::pipe().unwrap();
        sender.write_all(b"x").await.unwrap();
        receiver.read_exact(&mut [0]).await.unwrap();
    }
}

/// The two ends of a connection. Room was found on both, so that no event is on its way.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = (client.await.unwrap(), listener.accept().await.unwrap());
    client.writable().await.unwrap();
    accepted.0.writable().await.unwrap();
    settle().await;
    (client, accepted.0)
}

/// Two sockets that are connected to each other.
pub(crate) async fn udp_pair() -> (UdpSocket, UdpSocket) {
    let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    one.connect(other.local_addr().unwrap()).await.unwrap();
    other.connect(one.local_addr().unwrap()).await.unwrap();
    settle().await;
    (one, other)
}

/// Whether this machine has IPv6.
pub(crate) fn has_ipv6() -> bool {
    std::net::UdpSocket::bind("[::1]:0").is_ok()
}

/// An operation would have had to wait.
#[track_caller]
pub(crate) fn assert_would_block<T: Debug>(result: io::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// Polls a wait for the first time, and says whether it ends there.
pub(crate) async fn at_once(wait: impl Future<Output = io::Result<()>>) -> bool {
    poll_once(&mut pin!(wait))
        .await
        .map(Result::unwrap)
        .is_ready()
}

/// Lets the runtime look for events until `future` is woken.
pub(crate) async fn until_woken<F>(future: &Spawn<F>) {
    while !future.is_woken() {
        runnext::task::yield_now().await;
    }
}
