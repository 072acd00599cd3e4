//! Echo over TCP, from tasks with stacks in blocking style, beside those of may and beside our own without stacks.
//!
//! The clients are the same for all: one plain thread with blocking sockets, which sends 64 bytes on each of 64
//! connections, then reads them back from each, and so on. A task for each connection sends back what comes. Connecting
//! is not timed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use runnext::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use runnext::net::TcpListener;
use runnext::runtime::Runtime;
use runnext::wait;

use crate::rows::{Run, Work};
use crate::sides::{May, Runnext, Side};

const CONNECTIONS: usize = 64;

/// What goes to and fro.
const LEN: usize = 64;

const ANY_PORT: &str = "127.0.0.1:0";

/// Why no operation on a socket fails here.
const LOCAL: &str = "sockets of this machine are not reset, and there are descriptors for them";

pub(crate) const WORKS: &[Work] = &[
    Work {
        name: "TCP echo, 64 connections, a round trip (may)",
        target: 1.0,
        size: 20,
        operations: |rounds| rounds * CONNECTIONS,
        on_rival: rounds::<May>,
        on_runnext: rounds::<Runnext>,
    },
    Work {
        name: "TCP echo, 64 connections, a round trip (stackless)",
        target: 0.95,
        size: 20,
        operations: |rounds| rounds * CONNECTIONS,
        on_rival: rounds::<Stackless>,
        on_runnext: rounds::<Runnext>,
    },
];

/// What serves the connections.
trait Server {
    type Runtime: 'static;

    /// Serves as many connections as there are clients, at that address.
    fn serve() -> (Self::Runtime, SocketAddr);
}

fn rounds<S: Server>(rounds: usize) -> Run {
    let (runtime, address) = S::serve();
    let connect = |_| TcpStream::connect(address).expect(LOCAL);
    let clients: Vec<_> = (0..CONNECTIONS).map(connect).collect();
    Box::new(move || {
        let _serves = &runtime;
        let mut buf = [7; LEN];
        let start = Instant::now();
        for _ in 0..rounds {
            for mut client in &clients {
                client.write_all(&buf).expect(LOCAL);
            }
            for mut client in &clients {
                client.read_exact(&mut buf).expect(LOCAL);
            }
        }
        start.elapsed()
    })
}

/// Until there is no more to come.
fn echo(mut stream: impl Read + Write) {
    let mut buf = [0; LEN];
    while stream.read_exact(&mut buf).is_ok() {
        stream.write_all(&buf).expect(LOCAL);
    }
}

impl Server for May {
    type Runtime = ();

    fn serve() -> ((), SocketAddr) {
        Self::start();
        let listener = may::net::TcpListener::bind(ANY_PORT).expect(LOCAL);
        let address = listener.local_addr().expect(LOCAL);
        drop(Self::go(move || {
            for _ in 0..CONNECTIONS {
                let (stream, _) = listener.accept().expect(LOCAL);
                drop(Self::go(|| echo(stream)));
            }
        }));
        ((), address)
    }
}

impl Server for Runnext {
    type Runtime = Runtime;

    fn serve() -> (Runtime, SocketAddr) {
        let runtime = Self::start();
        let address = runtime.block_on(async {
            let listener = TcpListener::bind(ANY_PORT).await.expect(LOCAL);
            let address = listener.local_addr().expect(LOCAL);
            drop(Self::go(move || {
                for _ in 0..CONNECTIONS {
                    let (stream, _) = wait(listener.accept()).expect(LOCAL);
                    drop(Self::go(|| echo(stream)));
                }
            }));
            address
        });
        (runtime, address)
    }
}

/// The same in a task that is polled.
async fn polled_echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut buf = [0; LEN];
    while stream.read_exact(&mut buf).await.is_ok() {
        stream.write_all(&buf).await.expect(LOCAL);
    }
}

/// runnext, with tasks that are polled.
#[derive(Debug)]
struct Stackless;

impl Server for Stackless {
    type Runtime = Runtime;

    fn serve() -> (Runtime, SocketAddr) {
        let runtime = Runnext::start();
        let address = runtime.block_on(async {
            let listener = TcpListener::bind(ANY_PORT).await.expect(LOCAL);
            let address = listener.local_addr().expect(LOCAL);
            drop(runnext::spawn(async move {
                for _ in 0..CONNECTIONS {
                    let (stream, _) = listener.accept().await.expect(LOCAL);
                    drop(runnext::spawn(polled_echo(stream)));
                }
            }));
            address
        });
        (runtime, address)
    }
}
