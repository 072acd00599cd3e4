//! The seam that both runtimes stand behind.
//!
//! A work is written once, as a function generic over [`Rival`], and compiled once for each runtime. Every method is a
//! thin, statically dispatched call of the runtime's own function, and the associated types are its own handles:
//! nothing is boxed, wrapped or locked on either side on account of this file. Both implementations come out of one
//! macro, so they cannot drift apart; that this is possible at all is because runnext keeps tokio's names and
//! signatures.
//!
//! Both runtimes are multi-threaded ones with their default settings and the same number of workers. Neither has an I/O
//! or a time driver unless `--drivers` asks for them: a driver that is not there cannot cost anything. For the works
//! that wait for timers both have timers and nothing else, and for those about sockets both have all drivers.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

/// A runtime, as the works need it.
pub(crate) trait Rival: Send + Sync + 'static {
    /// What the table calls it.
    const NAME: &'static str;

    type Runtime;
    type Handle: Clone + Send + 'static;
    type JoinError: Debug + Send + 'static;
    type Join<T: Send + 'static>: Future<Output = Result<T, Self::JoinError>>
        + Send
        + Unpin
        + 'static;

    /// Starts a runtime of `setup.workers` workers.
    fn start(setup: Setup) -> Self::Runtime;

    fn handle(runtime: &Self::Runtime) -> Self::Handle;

    fn block_on<F: Future>(runtime: &Self::Runtime, future: F) -> F::Output;

    /// Spawns from a thread that is not part of the runtime.
    fn spawn_through<F>(handle: &Self::Handle, future: F) -> Self::Join<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static;

    /// Spawns from within the runtime.
    fn spawn<F>(future: F) -> Self::Join<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static;

    fn spawn_blocking<T, F>(f: F) -> Self::Join<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;

    fn yield_now() -> impl Future<Output = ()> + Send;

    type Sleep: Future<Output = ()> + Send + 'static;

    fn sleep(duration: Duration) -> Self::Sleep;

    /// Whether `future` was ready in time.
    fn timeout(
        duration: Duration,
        future: impl Future<Output = ()> + Send,
    ) -> impl Future<Output = bool> + Send;

    /// How many workers it has.
    fn workers(runtime: &Self::Runtime) -> usize;

    type TcpListener: Send + Sync + 'static;
    type TcpStream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    type UdpSocket: Send + Sync + 'static;

    /// A listener on this machine, with its address.
    fn listen() -> impl Future<Output = io::Result<(Self::TcpListener, SocketAddr)>> + Send;

    fn accept(
        listener: &Self::TcpListener,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send;

    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::TcpStream>> + Send;

    /// A UDP socket on this machine, with its address.
    fn udp() -> impl Future<Output = io::Result<(Self::UdpSocket, SocketAddr)>> + Send;

    fn send_to(
        socket: &Self::UdpSocket,
        buf: &[u8],
        target: SocketAddr,
    ) -> impl Future<Output = io::Result<usize>> + Send;

    fn recv_from(
        socket: &Self::UdpSocket,
        buf: &mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;
}

/// How a runtime is to be built; the same for both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) workers: usize,
    /// Whether `enable_all` is called on the builder.
    pub(crate) drivers: bool,
    /// Whether `enable_time` is.
    pub(crate) timers: bool,
}

macro_rules! rival {
    ($rival:ident, $runtime:ident) => {
        #[derive(Debug)]
        pub(crate) struct $rival;

        impl Rival for $rival {
            const NAME: &'static str = stringify!($runtime);

            type Runtime = $runtime::runtime::Runtime;
            type Handle = $runtime::runtime::Handle;
            type JoinError = $runtime::task::JoinError;
            type Join<T: Send + 'static> = $runtime::task::JoinHandle<T>;

            fn start(setup: Setup) -> Self::Runtime {
                let mut builder = $runtime::runtime::Builder::new_multi_thread();
                builder.worker_threads(setup.workers);
                if setup.drivers {
                    builder.enable_all();
                }
                if setup.timers {
                    builder.enable_time();
                }
                builder
                    .build()
                    .expect("a runtime needs a few threads: is the process at its limit?")
            }

            #[inline]
            fn handle(runtime: &Self::Runtime) -> Self::Handle {
                runtime.handle().clone()
            }

            #[inline]
            fn block_on<F: Future>(runtime: &Self::Runtime, future: F) -> F::Output {
                runtime.block_on(future)
            }

            #[inline]
            fn spawn_through<F>(handle: &Self::Handle, future: F) -> Self::Join<F::Output>
            where
                F: Future<Output: Send + 'static> + Send + 'static,
            {
                handle.spawn(future)
            }

            #[inline]
            fn spawn<F>(future: F) -> Self::Join<F::Output>
            where
                F: Future<Output: Send + 'static> + Send + 'static,
            {
                $runtime::spawn(future)
            }

            #[inline]
            fn spawn_blocking<T, F>(f: F) -> Self::Join<T>
            where
                T: Send + 'static,
                F: FnOnce() -> T + Send + 'static,
            {
                $runtime::task::spawn_blocking(f)
            }

            #[inline]
            fn yield_now() -> impl Future<Output = ()> + Send {
                $runtime::task::yield_now()
            }

            type Sleep = $runtime::time::Sleep;

            #[inline]
            fn sleep(duration: Duration) -> Self::Sleep {
                $runtime::time::sleep(duration)
            }

            #[inline]
            async fn timeout(duration: Duration, future: impl Future<Output = ()> + Send) -> bool {
                $runtime::time::timeout(duration, future).await.is_ok()
            }

            fn workers(runtime: &Self::Runtime) -> usize {
                runtime.metrics().num_workers()
            }

            type TcpListener = $runtime::net::TcpListener;
            type TcpStream = $runtime::net::TcpStream;
            type UdpSocket = $runtime::net::UdpSocket;

            async fn listen() -> io::Result<(Self::TcpListener, SocketAddr)> {
                let listener = $runtime::net::TcpListener::bind("127.0.0.1:0").await?;
                let address = listener.local_addr()?;
                Ok((listener, address))
            }

            async fn accept(listener: &Self::TcpListener) -> io::Result<Self::TcpStream> {
                Ok(listener.accept().await?.0)
            }

            async fn connect(address: SocketAddr) -> io::Result<Self::TcpStream> {
                $runtime::net::TcpStream::connect(address).await
            }

            async fn udp() -> io::Result<(Self::UdpSocket, SocketAddr)> {
                let socket = $runtime::net::UdpSocket::bind("127.0.0.1:0").await?;
                let address = socket.local_addr()?;
                Ok((socket, address))
            }

            async fn send_to(
                socket: &Self::UdpSocket,
                buf: &[u8],
                target: SocketAddr,
            ) -> io::Result<usize> {
                socket.send_to(buf, target).await
            }

            async fn recv_from(
                socket: &Self::UdpSocket,
                buf: &mut [u8],
            ) -> io::Result<(usize, SocketAddr)> {
                socket.recv_from(buf).await
            }
        }
    };
}

rival!(Tokio, tokio);
rival!(Runnext, runnext);
