//! Works in which tasks wait for sockets, all on the loopback interface, with both ends in the runtime. And one in which
//! a runtime that waits for a socket is woken by something else.

use std::net::SocketAddr;
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::{ENDS, in_task, join_in_order, timed};
use crate::rivals::Rival;

/// Why no operation on a socket fails here.
const LOCAL: &str = "sockets of this machine are not reset, and there are descriptors for them";

/// What goes to and fro.
const LEN: usize = 64;

async fn echo<R: Rival>(mut stream: R::TcpStream) {
    let mut buf = [0; LEN];
    while stream.read_exact(&mut buf).await.is_ok() {
        stream.write_all(&buf).await.expect(LOCAL);
    }
}

async fn ask<R: Rival>(mut stream: R::TcpStream, rounds: usize) {
    let mut buf = [7; LEN];
    for _ in 0..rounds {
        stream.write_all(&buf).await.expect(LOCAL);
        stream.read_exact(&mut buf).await.expect(LOCAL);
    }
}

async fn connections<R: Rival>(count: usize) -> Vec<R::TcpStream> {
    let (listener, address) = R::listen().await.expect(LOCAL);
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(R::connect(address).await.expect(LOCAL));
        drop(R::spawn(echo::<R>(
            R::accept(&listener).await.expect(LOCAL),
        )));
    }
    clients
}

/// 64 connections, on each of which a task sends 64 bytes `rounds` times, and gets them back from another.
pub(crate) fn tcp_echo<R: Rival>(runtime: &R::Runtime, rounds: usize) -> Duration {
    const CONNECTIONS: usize = 64;
    in_task::<R>(runtime, async move {
        let clients = connections::<R>(CONNECTIONS).await;
        let mut handles = Vec::with_capacity(CONNECTIONS);
        timed(async {
            handles.extend(
                clients
                    .into_iter()
                    .map(|client| R::spawn(ask::<R>(client, rounds))),
            );
            join_in_order::<R>(handles).await;
        })
        .await
    })
}

/// As [`tcp_echo`], on a single connection.
pub(crate) fn tcp_echo_alone<R: Rival>(runtime: &R::Runtime, rounds: usize) -> Duration {
    in_task::<R>(runtime, async move {
        let client = connections::<R>(1).await.pop().expect(LOCAL);
        timed(ask::<R>(client, rounds)).await
    })
}

/// A task connects `times` times, to another that accepts; both close at once.
pub(crate) fn connect_and_close<R: Rival>(runtime: &R::Runtime, times: usize) -> Duration {
    in_task::<R>(runtime, async move {
        let (listener, address) = R::listen().await.expect(LOCAL);
        timed(async {
            let server = R::spawn(async move {
                for _ in 0..times {
                    drop(R::accept(&listener).await.expect(LOCAL));
                }
            });
            for _ in 0..times {
                drop(R::connect(address).await.expect(LOCAL));
            }
            server.await.expect(ENDS);
        })
        .await
    })
}

/// Two tasks send each other a datagram of 64 bytes in turn, `rounds` times.
pub(crate) fn udp_ping_pong<R: Rival>(runtime: &R::Runtime, rounds: usize) -> Duration {
    async fn receive<R: Rival>(socket: &R::UdpSocket) -> SocketAddr {
        let mut buf = [0; LEN];
        let (len, from) = R::recv_from(socket, &mut buf).await.expect(LOCAL);
        assert_eq!(len, LEN);
        from
    }

    in_task::<R>(runtime, async move {
        let (here, _) = R::udp().await.expect(LOCAL);
        let (there, address) = R::udp().await.expect(LOCAL);
        timed(async {
            let partner = R::spawn(async move {
                for _ in 0..rounds {
                    let from = receive::<R>(&there).await;
                    R::send_to(&there, &[1; LEN], from).await.expect(LOCAL);
                }
            });
            for _ in 0..rounds {
                R::send_to(&here, &[1; LEN], address).await.expect(LOCAL);
                receive::<R>(&here).await;
            }
            partner.await.expect(ENDS);
        })
        .await
    })
}

/// A thread from outside sends a task a message and waits for the answer, `times` times, while the runtime has a socket
/// to wait for and nothing else to do.
pub(crate) fn woken_from_outside<R: Rival>(runtime: &R::Runtime, times: usize) -> Duration {
    R::block_on(runtime, async {
        let (socket, _) = R::udp().await.expect(LOCAL);
        let (ask, mut asked) = mpsc::unbounded_channel();
        let (answer, answers) = std_mpsc::channel();
        let task = R::spawn(async move {
            let waits = R::spawn(async move { R::recv_from(&socket, &mut [0; LEN]).await.is_ok() });
            while let Some(number) = asked.recv().await {
                answer.send(number).expect(ENDS);
            }
            drop(waits);
        });
        let (done, is_done) = tokio::sync::oneshot::channel();
        let outside = thread::spawn(move || {
            let start = Instant::now();
            for number in 0..times {
                ask.send(number).expect(ENDS);
                assert_eq!(answers.recv(), Ok(number));
            }
            done.send(start.elapsed()).expect(ENDS);
        });
        let took = is_done.await.expect(ENDS);
        outside.join().expect(ENDS);
        task.await.expect(ENDS);
        took
    })
}
