//! Several buffers at once, by the traits of tokio, of `futures` and of std.
#![cfg(all(feature = "net", feature = "tokio-io"))]

mod common;
#[path = "common/sockets.rs"]
mod sockets;

use common::multi_thread;
use runnext::io::AsyncWrite;
use sockets::{on_each, tcp_pair};
use std::io::{IoSlice, IoSliceMut, Read, Write};

#[cfg(unix)]
use runnext::net::{UnixStream, unix::pipe};

const PARTS: [&[u8]; 3] = [b"ab", b"", b"cdefg"];

fn written<T: AsyncWrite>(writer: T) -> T {
    assert!(writer.is_write_vectored());
    writer
}

/// Writes three buffers by either trait, and reads two by that of `futures`.
macro_rules! several_buffers {
    ($write:expr, $read:expr) => {{
        let (mut write, mut read) = (written($write), $read);
        for by_futures in [false, true] {
            let parts = PARTS.map(IoSlice::new);
            let wrote = if by_futures {
                futures::AsyncWriteExt::write_vectored(&mut write, &parts).await
            } else {
                runnext::io::AsyncWriteExt::write_vectored(&mut write, &parts).await
            };
            assert_eq!(wrote.unwrap(), 7);
            let (mut first, mut second) = ([0; 3], [0; 8]);
            let bufs = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            let read = futures::AsyncReadExt::read_vectored(&mut read, bufs).await;
            assert_eq!(read.unwrap(), 7);
            assert_eq!((&first, &second[..4]), (b"abc", &b"defg"[..]));
        }
    }};
}

#[test]
fn async_traits_move_several_buffers() {
    on_each(|| async {
        let (mut client, mut server) = tcp_pair().await;
        several_buffers!(&mut client, &mut server);
        several_buffers!(client.split().1, server.split().0);
        let ((_read, write), (read, _write)) = (client.into_split(), server.into_split());
        several_buffers!(write, read);
        #[cfg(unix)]
        {
            let (mut one, mut other) = UnixStream::pair().unwrap();
            several_buffers!(&mut one, &mut other);
            several_buffers!(one.split().1, other.split().0);
            let ((_read, write), (read, _write)) = (one.into_split(), other.into_split());
            several_buffers!(write, read);
            let (sender, receiver) = pipe::pipe().unwrap();
            several_buffers!(sender, receiver);
        }
    });
}

/// What a thread does that runs no tasks: by reference, and by what is `mut`.
fn std_traits(mut write: impl Write, mut read: impl Read) {
    assert_eq!(write.write_vectored(&PARTS.map(IoSlice::new)).unwrap(), 7);
    write.flush().unwrap();
    let (mut first, mut second) = ([0; 3], [0; 8]);
    let bufs = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!(read.read_vectored(bufs).unwrap(), 7);
    assert_eq!((&first, &second[..4]), (b"abc", &b"defg"[..]));
}

#[test]
fn the_traits_of_std_move_several_buffers() {
    let rt = multi_thread(1);
    let (client, server) = rt.block_on(tcp_pair());
    std_traits(&client, &server);
    std_traits(client, server);
    #[cfg(unix)]
    {
        let (one, other) = rt.block_on(async { UnixStream::pair().unwrap() });
        std_traits(&one, &other);
        std_traits(one, other);
    }
}
