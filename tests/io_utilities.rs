//! tokio's I/O utilities, on this runtime: none of them needs that of tokio.

#![cfg(feature = "tokio-io")]

mod common;

use common::on_each_flavor;
use runnext::io::{
    self, AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader, BufStream,
    BufWriter, SeekFrom,
};
use std::io::Cursor;

#[test]
fn tasks_talk_through_duplexes_with_small_buffers() {
    on_each_flavor(|rt| {
        let echoed = rt.block_on(async {
            let (client, server) = io::duplex(7);
            let server = runnext::spawn(async move {
                let (mut from, mut to) = io::split(server);
                let copied = io::copy(&mut from, &mut to).await.unwrap();
                to.shutdown().await.unwrap();
                copied
            });
            let (mut from, mut to) = io::split(client);
            let writer = runnext::spawn(async move {
                to.write_all(&[b'x'; 1_000]).await.unwrap();
                to.shutdown().await.unwrap();
                to
            });
            let mut echoed = Vec::new();
            from.read_to_end(&mut echoed).await.unwrap();
            assert_eq!(server.await.unwrap(), 1_000);
            from.unsplit(writer.await.unwrap());
            echoed
        });
        assert_eq!(echoed, [b'x'; 1_000]);
    });
}

#[test]
fn both_directions_are_copied() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let (mut a, mut near) = io::duplex(16);
            let (mut far, mut b) = io::duplex(16);
            let proxy = runnext::spawn(async move {
                io::copy_bidirectional_with_sizes(&mut near, &mut far, 8, 8).await
            });
            let there = runnext::spawn(async move {
                let mut question = String::new();
                b.read_to_string(&mut question).await.unwrap();
                b.write_all(question.to_uppercase().as_bytes())
                    .await
                    .unwrap();
            });
            a.write_all(b"a question that fills both buffers")
                .await
                .unwrap();
            a.shutdown().await.unwrap();
            let mut answer = String::new();
            a.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "A QUESTION THAT FILLS BOTH BUFFERS");
            there.await.unwrap();
            assert_eq!(proxy.await.unwrap().unwrap(), (34, 34));
        });
    });
}

#[test]
fn the_small_ones_work() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let mut zeros = io::repeat(0).take(100_000);
            assert_eq!(
                io::copy(&mut zeros, &mut io::sink()).await.unwrap(),
                100_000
            );
            assert_eq!(io::empty().read(&mut [0; 4]).await.unwrap(), 0);

            let mut both = (&b"one "[..]).chain(&b"two"[..]);
            let mut text = String::new();
            both.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "one two");

            let mut lines = BufReader::new(&b"a\nb\r\nc"[..]).lines();
            for line in ["a", "b", "c"] {
                assert_eq!(lines.next_line().await.unwrap().unwrap(), line);
            }
            assert_eq!(lines.next_line().await.unwrap(), None);

            let mut parts = BufReader::new(&b"a,b"[..]).split(b',');
            assert_eq!(parts.next_segment().await.unwrap().unwrap(), b"a");

            let mut writer = BufWriter::new(Cursor::new(Vec::new()));
            writer.write_u32(7).await.unwrap();
            writer.flush().await.unwrap();
            assert_eq!(writer.into_inner().into_inner(), [0, 0, 0, 7]);

            let mut cursor = Cursor::new(vec![1, 2, 3]);
            cursor.seek(SeekFrom::End(-1)).await.unwrap();
            assert_eq!(cursor.read_u8().await.unwrap(), 3);

            let mut sink = Vec::new();
            let copied = io::copy_buf(&mut BufReader::new(&b"hello"[..]), &mut sink).await;
            assert_eq!((copied.unwrap(), &sink[..]), (5, &b"hello"[..]));

            let mut joined = io::join(&b"in"[..], Vec::new());
            assert_eq!(joined.read_u8().await.unwrap(), b'i');
            joined.write_all(b"out").await.unwrap();
            assert_eq!(joined.into_inner().1, b"out");

            let (mut from, mut to) = io::simplex(4);
            to.write_all(b"ab").await.unwrap();
            assert_eq!(from.read_u16().await.unwrap(), 0x6162);

            let (near, mut far) = io::duplex(64);
            let mut near = BufStream::new(near);
            near.write_all(b"hello\n").await.unwrap();
            near.flush().await.unwrap();
            far.write_all(b"back\n").await.unwrap();
            let mut line = String::new();
            near.read_line(&mut line).await.unwrap();
            assert_eq!(line, "back\n");
        });
    });
}
