//! A chat: what one connection sends, line by line, all the others get.
//!
//! ```text
//! $ cargo run --release --example chat
//! listening on 127.0.0.1:41697
//! ```
//!
//! From two or more other shells, with the port that was printed:
//!
//! ```text
//! $ nc 127.0.0.1 41697
//! * you are guest 1
//! * guest 2 is here
//! hello
//! guest 2: hello yourself
//! ```
//!
//! Nobody waits for a slow reader. The lines of the room are kept once for all who are in it, and only
//! the last of them: whoever is further behind has missed some, and whoever does not take a line for
//! some seconds is not reading at all. Both are dropped.

use runnext::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use runnext::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use runnext::net::{TcpListener, TcpStream};
use runnext::sync::broadcast;
use runnext::sync::broadcast::error::{RecvError, TryRecvError};
use runnext::task::yield_now;
use runnext::time::{Duration, sleep, timeout};
use std::env;
use std::io;
use std::sync::Arc;

/// How many lines a reader may be behind.
const LINES: usize = 256;
/// How many bytes a line may have.
const LINE: u64 = 1024;
/// How long a reader may take for a line.
const PATIENCE: Duration = Duration::from_secs(5);

#[runnext::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0")).await?;
    println!("listening on {}", listener.local_addr()?);

    let room = Room(broadcast::Sender::new(LINES));
    for guest in 1.. {
        match listener.accept().await {
            Ok((stream, _peer)) => drop(runnext::spawn(welcome(stream, guest, room.clone()))),
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    Ok(())
}

/// Somebody's line, as it goes to the others. One copy for all of them.
#[derive(Clone)]
struct Line {
    from: u64,
    text: Arc<str>,
}

#[derive(Clone)]
struct Room(broadcast::Sender<Line>);

impl Room {
    fn say(&self, from: u64, text: String) {
        // An error means that nobody is there.
        let _ = self.0.send(Line {
            from,
            text: text.into(),
        });
    }
}

/// Has a guest in the room, until it leaves or is dropped.
async fn welcome(stream: TcpStream, guest: u64, room: Room) {
    let lines = room.0.subscribe();
    room.say(guest, format!("* guest {guest} is here\n"));
    let (input, output) = stream.into_split();
    // The first to end ends the other, and with both halves the connection.
    let why = runnext::select! {
        () = listen_to(input, guest, &room) => "is gone",
        why = tell(output, guest, lines) => why,
    };
    room.say(guest, format!("* guest {guest} {why}\n"));
    println!("guest {guest} {why}");
}

/// Says to the room what the guest sends, until it sends no more.
async fn listen_to(input: OwnedReadHalf, guest: u64, room: &Room) {
    let mut input = BufReader::new(input);
    loop {
        let mut line = Vec::new();
        // Not `lines`, which would keep however much comes without an end.
        let read = (&mut input).take(LINE).read_until(b'\n', &mut line).await;
        if read.is_err() || line.pop() != Some(b'\n') {
            return;
        }
        let line = String::from_utf8_lossy(&line);
        room.say(guest, format!("guest {guest}: {}\n", line.trim_end()));
        // However fast they come: everybody has a turn to read this one before the next.
        yield_now().await;
    }
}

/// Sends the guest what the others say. Returns why it has to go.
async fn tell(
    mut output: OwnedWriteHalf,
    guest: u64,
    mut lines: broadcast::Receiver<Line>,
) -> &'static str {
    let mut text = format!("* you are guest {guest}\n");
    loop {
        match timeout(PATIENCE, output.write_all(text.as_bytes())).await {
            Ok(Ok(())) => text.clear(),
            Ok(Err(_)) => return "is gone",
            Err(_) => return "does not read",
        }
        while text.is_empty() {
            match lines.recv().await {
                Ok(line) if line.from == guest => {}
                Ok(line) => text += &line.text,
                Err(RecvError::Lagged(_)) => return "reads too slowly",
                Err(RecvError::Closed) => return "is alone",
            }
        }
        // What else is there goes along: who writes line by line cannot keep up with a fast sender.
        loop {
            match lines.try_recv() {
                Ok(line) if line.from == guest => {}
                Ok(line) => text += &line.text,
                Err(TryRecvError::Lagged(_)) => return "reads too slowly",
                Err(_) => break,
            }
        }
    }
}
