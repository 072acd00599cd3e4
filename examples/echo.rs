//! Sends back what it is sent: over TCP, over UDP and over a Unix domain socket.
//!
//! ```text
//! $ cargo run --release --example echo
//! TCP   127.0.0.1:36555
//! UDP   127.0.0.1:38214
//! Unix  /tmp/runnext-echo-1234.sock
//! ```
//!
//! From another shell, with what was printed:
//!
//! ```text
//! $ echo hello | nc -N 127.0.0.1 36555
//! hello
//! $ echo hello | nc -u -w1 127.0.0.1 38214
//! hello
//! $ echo hello | nc -N -U /tmp/runnext-echo-1234.sock
//! hello
//! ```

use runnext::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use runnext::net::{TcpListener, UdpSocket};
use runnext::time::{Duration, sleep};
use std::io;

#[runnext::main]
async fn main() -> io::Result<()> {
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    println!("TCP   {}", tcp.local_addr()?);
    let udp = UdpSocket::bind("127.0.0.1:0").await?;
    println!("UDP   {}", udp.local_addr()?);

    // Beside each other, in one task. Each connection has a task of its own.
    #[cfg(unix)]
    {
        let file = unix::SocketFile::new();
        let listener = runnext::net::UnixListener::bind(&file.0)?;
        println!("Unix  {}", file.0.display());
        runnext::select! {
            () = over_tcp(tcp) => {}
            () = over_udp(udp) => {}
            () = unix::serve(listener) => {}
            stopped = runnext::signal::ctrl_c() => stopped?,
        }
    }
    #[cfg(not(unix))]
    runnext::join!(over_tcp(tcp), over_udp(udp));
    Ok(())
}

async fn over_tcp(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => drop(runnext::spawn(echo(stream))),
            Err(error) => complain("accept a connection", error).await,
        }
    }
}

/// Sends back what comes, until the other side sends no more.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut bytes = vec![0; 8 * 1024];
    // An error here means that the other side is gone.
    while let Ok(length @ 1..) = AsyncReadExt::read(&mut stream, &mut bytes).await {
        if stream.write_all(&bytes[..length]).await.is_err() {
            break;
        }
    }
}

/// There are no connections here: one socket for all, and what does not get through is lost.
async fn over_udp(socket: UdpSocket) {
    // As large as a datagram can be: the rest of a larger one would be cut off.
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let echoed = async {
            let (length, from) = socket.recv_from(&mut bytes).await?;
            socket.send_to(&bytes[..length], from).await
        };
        if let Err(error) = echoed.await {
            complain("echo a datagram", error).await;
        }
    }
}

/// Descriptors may be used up, or memory for buffers: it may help to wait, and trying on at once does not.
async fn complain(what: &str, error: io::Error) {
    eprintln!("cannot {what}: {error}");
    sleep(Duration::from_millis(100)).await;
}

#[cfg(unix)]
mod unix {
    use runnext::net::UnixListener;
    use std::path::PathBuf;
    use std::{env, fs, process};

    /// The path of a socket, which is a file: somebody has to remove it.
    pub(crate) struct SocketFile(pub(crate) PathBuf);

    impl SocketFile {
        pub(crate) fn new() -> SocketFile {
            let name = format!("runnext-echo-{}.sock", process::id());
            SocketFile(env::temp_dir().join(name))
        }
    }

    impl Drop for SocketFile {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    pub(crate) async fn serve(listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _peer)) => drop(runnext::spawn(super::echo(stream))),
                Err(error) => super::complain("accept a connection", error).await,
            }
        }
    }
}
