//! Passes connections on to another server, and what is sent over them to and fro.
//!
//! ```text
//! $ cargo run --release --example proxy -- example.com:80
//! listening on 127.0.0.1:33987, for example.com:80
//! ```
//!
//! From another shell, with the port that was printed:
//!
//! ```text
//! $ curl -H 'host: example.com' 127.0.0.1:33987
//! ```
//!
//! The usage is `proxy TARGET [LISTEN]`. The name of the target is looked up for each connection, and
//! what it resolves to has five seconds to answer. Where it does not, the client's connection is closed.

use runnext::io::copy_bidirectional;
use runnext::net::{TcpListener, TcpStream};
use runnext::time::{Duration, sleep, timeout};
use std::env;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

/// How long the target may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(5);

#[runnext::main]
async fn main() -> io::Result<ExitCode> {
    let mut arguments = env::args().skip(1);
    let Some(target) = arguments.next() else {
        eprintln!("usage: proxy TARGET [LISTEN], such as: proxy example.com:80 127.0.0.1:8080");
        return Ok(ExitCode::from(2));
    };
    let target: Arc<str> = target.into();
    let listen = arguments.next();
    let listener = TcpListener::bind(listen.as_deref().unwrap_or("127.0.0.1:0")).await?;
    println!("listening on {}, for {target}", listener.local_addr()?);

    loop {
        match listener.accept().await {
            Ok((client, peer)) => drop(runnext::spawn(pass_on(client, peer, target.clone()))),
            // Descriptors may be used up, and some may be closed in a while.
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Passes on what is sent both ways, until both sides send no more, and says how it was.
async fn pass_on(mut client: TcpStream, peer: SocketAddr, target: Arc<str>) {
    // What has not connected by then is given up: the future is dropped, and the socket with it.
    let mut server = match timeout(PATIENCE, TcpStream::connect(&*target)).await {
        Ok(Ok(server)) => server,
        Ok(Err(error)) => return println!("{peer}: cannot connect to {target}: {error}"),
        Err(_) => return println!("{peer}: {target} does not answer"),
    };
    // When one side has sent all, the other is told, and may still answer.
    match copy_bidirectional(&mut client, &mut server).await {
        Ok((sent, received)) => println!("{peer}: {sent} bytes sent, {received} received"),
        Err(error) => println!("{peer}: {error}"),
    }
}
