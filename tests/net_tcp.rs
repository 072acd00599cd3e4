//! TCP: what is sent arrives, in whatever pieces, and the ends of a connection are seen.
#![cfg(all(feature = "net", feature = "tokio-io"))]

mod common;

use common::{current_thread, multi_thread, on_each_flavor, poll_once};
use runnext::io::{AsyncReadExt, AsyncWriteExt, Interest};
use runnext::net::{TcpListener, TcpSocket, TcpStream};
use runnext::runtime::Runtime;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The two ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listen().await;
    let client = TcpStream::connect(address).await.unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    (client, server)
}

/// Runs `test` on each kind of runtime, in a task.
fn on_each<F, Fut>(test: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    on_each_flavor(|rt: Runtime| {
        let task = rt.spawn(test());
        rt.block_on(task).unwrap();
        rt.block_on(test());
    });
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = [0; 1024];
    loop {
        let len = stream.read(&mut buf).await?;
        if len == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..len]).await?;
    }
}

#[test]
fn what_is_sent_comes_back() {
    on_each(|| async {
        let (listener, address) = listen().await;
        let server = runnext::spawn(async move {
            let mut served = Vec::new();
            for _ in 0..8 {
                let (stream, _) = listener.accept().await.unwrap();
                served.push(runnext::spawn(echo(stream)));
            }
            for task in served {
                task.await.unwrap().unwrap();
            }
        });
        let clients: Vec<_> = (0..8_u8)
            .map(|n| {
                runnext::spawn(async move {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    for round in 0..50 {
                        let sent = [n.wrapping_add(round); 64];
                        stream.write_all(&sent).await.unwrap();
                        let mut got = [0; 64];
                        stream.read_exact(&mut got).await.unwrap();
                        assert_eq!(got, sent);
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        server.await.unwrap();
    });
}

#[test]
fn a_large_message_arrives_in_pieces_and_in_order() {
    on_each(|| async {
        let (mut client, mut server) = pair().await;
        const LEN: usize = 4 << 20;
        let writer = runnext::spawn(async move {
            let data: Vec<u8> = (0..LEN).map(|i| (i / 251) as u8).collect();
            client.write_all(&data).await.unwrap();
            client.shutdown().await.unwrap();
            client
        });
        let mut data = Vec::new();
        server.read_to_end(&mut data).await.unwrap();
        assert_eq!(data.len(), LEN);
        assert!(data.iter().enumerate().all(|(i, b)| *b == (i / 251) as u8));
        writer.await.unwrap();
    });
}

/// A reader who asks for pieces of one size, which fill its buffer, whether or not more have come.
#[test]
fn pieces_arrive_one_by_one_and_together() {
    const PIECES: u32 = 2_000;

    on_each(|| async {
        let (mut client, mut server) = pair().await;
        // The system does not wait for more.
        client.set_nodelay(true).unwrap();
        let writer = runnext::spawn(async move {
            let mut next = 0;
            for together in [1, 1, 1, 2, 1, 5, 3].into_iter().cycle() {
                let last = PIECES.min(next + together);
                let bytes: Vec<_> = (next..last).flat_map(u32::to_be_bytes).collect();
                client.write_all(&bytes).await.unwrap();
                next = last;
                if next == PIECES {
                    break;
                }
                if together == 1 {
                    // Until it was read.
                    client.read_exact(&mut [0]).await.unwrap();
                }
            }
            client
        });
        let mut buf = [0; 4];
        let mut pieces = 0..PIECES;
        for together in [1, 1, 1, 2, 1, 5, 3].into_iter().cycle() {
            for piece in pieces.by_ref().take(together) {
                server.read_exact(&mut buf).await.unwrap();
                assert_eq!(u32::from_be_bytes(buf), piece);
            }
            if pieces.is_empty() {
                break;
            }
            if together == 1 {
                server.write_all(&[0]).await.unwrap();
            }
        }
        drop(writer.await.unwrap());
        assert_eq!(server.read(&mut buf).await.unwrap(), 0);
    });
}

#[test]
fn one_direction_is_closed_and_the_other_goes_on() {
    on_each(|| async {
        let (mut client, mut server) = pair().await;
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        server.write_all(b"still here").await.unwrap();
        drop(server);
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "still here");
    });
}

#[test]
fn a_reset_is_an_error_for_the_reader() {
    on_each(|| async {
        let (client, mut server) = pair().await;
        client.set_zero_linger().unwrap();
        drop(client);
        let error = server.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_reset_wakes_a_reader_that_waits() {
    on_each(|| async {
        let (client, mut server) = pair().await;
        let reader = runnext::spawn(async move { server.read(&mut [0; 8]).await });
        runnext::task::yield_now().await;
        client.set_zero_linger().unwrap();
        drop(client);
        let error = reader.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn nobody_listens() {
    on_each(|| async {
        let (listener, address) = listen().await;
        drop(listener);
        let error = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let socket = TcpSocket::new_v4().unwrap();
        let error = socket.connect(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn the_first_address_that_works_is_taken() {
    on_each(|| async {
        let (listener, address) = listen().await;
        let (closed, closed_address) = listen().await;
        drop(closed);
        let addresses = [closed_address, address];
        let stream = TcpStream::connect(&addresses[..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        drop(listener);
    });
}

#[test]
fn bad_addresses_are_errors_that_say_so() {
    on_each(|| async {
        for bad in ["localhost", "localhost:port", "", ":", "127.0.0.1:65536"] {
            let error = TcpStream::connect(bad).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad}: {error}");
            assert!(error.to_string().contains(&format!("`{bad}`")), "{error}");
        }
        let none: &[SocketAddr] = &[];
        let error = TcpListener::bind(none).await.unwrap_err();
        assert!(error.to_string().contains("no address"), "{error}");
        let (_listener, address) = listen().await;
        let error = TcpListener::bind(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn names_are_resolved() {
    on_each(|| async {
        let (listener, address) = listen().await;
        for host in [format!("localhost:{}", address.port())] {
            let stream = TcpStream::connect(host).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), address);
        }
        drop(listener);
    });
}

#[test]
fn a_writer_waits_for_a_peer_that_never_reads() {
    on_each(|| async {
        let (mut client, mut server) = pair().await;
        let block = vec![7; 1 << 16];
        let mut sent = 0;
        while let Poll::Ready(wrote) = poll_once(&mut pin!(client.write(&block))).await {
            sent += wrote.unwrap();
            // Budgets run out as well, and then it goes on in the next turn.
            runnext::task::yield_now().await;
        }
        assert_eq!(
            client.try_write(&block).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        // It goes on when there is room.
        let writer = runnext::spawn(async move {
            client.write_all(b"the end").await.unwrap();
        });
        let mut got = vec![0; sent];
        server.read_exact(&mut got).await.unwrap();
        writer.await.unwrap();
        let mut rest = String::new();
        server.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "the end");
    });
}

#[test]
fn a_read_that_was_dropped_takes_nothing() {
    on_each(|| async {
        let (mut client, mut server) = pair().await;
        for round in 0..10_u8 {
            let mut buf = [0; 8];
            assert!(
                poll_once(&mut pin!(server.read(&mut buf)))
                    .await
                    .is_pending()
            );
            assert!(poll_once(&mut pin!(server.readable())).await.is_pending());
            client.write_all(&[round]).await.unwrap();
            server.readable().await.unwrap();
            assert_eq!(server.read(&mut buf).await.unwrap(), 1);
            assert_eq!(buf[0], round);
        }
    });
}

#[test]
fn several_tasks_wait_for_one_socket() {
    on_each(|| async {
        let (mut client, server) = pair().await;
        let server = Arc::new(server);
        let readers: Vec<_> = (0..5)
            .map(|_| {
                let server = server.clone();
                runnext::spawn(async move {
                    let mut byte = [0];
                    loop {
                        server.readable().await.unwrap();
                        match server.try_read(&mut byte) {
                            Ok(len) => return (len, byte[0]),
                            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                        }
                    }
                })
            })
            .collect();
        for n in 0..5 {
            runnext::task::yield_now().await;
            client.write_all(&[n]).await.unwrap();
        }
        let mut got = Vec::new();
        for reader in readers {
            let (len, byte) = reader.await.unwrap();
            assert_eq!(len, 1);
            got.push(byte);
        }
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn peeked_data_stays() {
    on_each(|| async {
        let (mut client, mut server) = pair().await;
        client.write_all(b"hello").await.unwrap();
        let mut buf = [0; 3];
        assert_eq!(server.peek(&mut buf).await.unwrap(), 3);
        assert_eq!(&buf, b"hel");
        let mut all = [0; 5];
        server.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"hello");
    });
}

#[test]
fn readiness_is_told() {
    on_each(|| async {
        let (mut client, server) = pair().await;
        let ready = server.ready(Interest::WRITABLE).await.unwrap();
        assert!(ready.is_writable() && !ready.is_read_closed());
        assert_eq!(
            server.try_read(&mut [0; 8]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        client.write_all(b"x").await.unwrap();
        let ready = server.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_readable());
        drop(client);
        while !server
            .ready(Interest::READABLE)
            .await
            .unwrap()
            .is_read_closed()
        {
            runnext::task::yield_now().await;
        }
    });
}

#[test]
fn a_stream_is_moved_between_runtimes_and_threads_while_it_waits() {
    let here = current_thread();
    let there = multi_thread(2);
    let (mut client, mut server) = there.block_on(pair());
    // The events come to the runtime in which the socket was made; the task that waits is elsewhere.
    here.block_on(async {
        let mut byte = [0];
        assert!(
            poll_once(&mut pin!(server.read(&mut byte)))
                .await
                .is_pending()
        );
    });
    let reader = there.spawn(async move {
        let mut byte = [0];
        server.read_exact(&mut byte).await.unwrap();
        byte[0]
    });
    here.block_on(async move { client.write_all(&[42]).await.unwrap() });
    assert_eq!(here.block_on(reader).unwrap(), 42);
}

#[test]
fn a_runtime_without_threads_in_it_serves_its_sockets() {
    let rt = multi_thread(2);
    let address = rt.block_on(async {
        let (listener, address) = listen().await;
        runnext::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                runnext::spawn(echo(stream));
            }
        });
        address
    });
    // Nobody is in `block_on` any more.
    use std::io::{Read, Write};
    for _ in 0..3 {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"ping").unwrap();
        let mut buf = [0; 4];
        stream.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"ping");
    }
}

/// Accepts a connection that is made when the wait for it has begun, with code of another runtime.
fn accept_from_elsewhere(listener: &TcpListener) {
    let address = listener.local_addr().unwrap();
    let accepted = current_thread().block_on(async {
        let mut accept = pin!(listener.accept());
        assert!(poll_once(&mut accept).await.is_pending());
        std::net::TcpStream::connect(address).unwrap();
        accept.await
    });
    accepted.unwrap();
}

#[test]
fn a_socket_that_is_made_outside_of_block_on_is_watched() {
    // No thread was started yet.
    let rt = multi_thread(2);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = {
        let _entered = rt.enter();
        TcpListener::from_std(listener).unwrap()
    };
    accept_from_elsewhere(&listener);
}

#[test]
fn a_socket_is_watched_when_block_on_has_returned() {
    let rt = multi_thread(2);
    // No other thread was needed so far.
    let (listener, _) = rt.block_on(listen());
    accept_from_elsewhere(&listener);
}

#[test]
fn threads_that_leave_hand_the_watch_over() {
    let rt = multi_thread(1);
    let (listener, address) = rt.block_on(listen());
    let mut client = std::net::TcpStream::connect(address).unwrap();
    let (tell, told) = mpsc::channel();
    rt.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut byte = [0];
        while stream.read(&mut byte).await.unwrap() > 0 {
            tell.send(byte[0]).unwrap();
        }
    });
    let gate = common::Gate::new();
    let _opens = common::OpensOnDrop(gate.clone());
    for round in 0..10 {
        // The one thread that is idle is the one that watches; now it has something else to do.
        io::Write::write_all(&mut client, &[round]).unwrap();
        assert_eq!(told.recv().unwrap(), round);
        while rt.metrics().num_idle_blocking_threads() == 0 {
            thread::yield_now();
        }
        let (begin, begun) = mpsc::channel();
        let gate = gate.clone();
        rt.spawn_blocking(move || {
            begin.send(()).unwrap();
            gate.wait();
        });
        begun.recv().unwrap();
    }
}

#[test]
fn tasks_that_never_wait_do_not_starve_sockets() {
    on_each_flavor(|rt| {
        let (mut client, mut server) = rt.block_on(pair());
        let reader = rt.spawn(async move {
            let mut byte = [0];
            server.read_exact(&mut byte).await.unwrap();
        });
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let hogs: Vec<_> = (0..2)
            .map(|_| {
                let done = done.clone();
                rt.spawn(async move {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        runnext::task::yield_now().await;
                    }
                })
            })
            .collect();
        rt.block_on(async {
            for _ in 0..10 {
                runnext::task::yield_now().await;
            }
            client.write_all(&[1]).await.unwrap();
            reader.await.unwrap();
        });
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        for hog in hogs {
            rt.block_on(hog).unwrap();
        }
    });
}

#[test]
fn a_blocking_socket_is_refused() {
    on_each(|| async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        for error in [
            TcpStream::from_std(stream).unwrap_err(),
            TcpListener::from_std(listener).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("set_nonblocking"), "{error}");
        }
    });
}

#[test]
fn a_stream_goes_to_std_and_back() {
    on_each(|| async {
        let (client, mut server) = pair().await;
        let client = client.into_std().unwrap();
        let mut client = TcpStream::from_std(client).unwrap();
        client.write_all(b"x").await.unwrap();
        let mut byte = [0];
        server.read_exact(&mut byte).await.unwrap();
        server.write_all(&byte).await.unwrap();
        client.read_exact(&mut byte).await.unwrap();
    });
}

#[test]
fn halves_of_one_stream_fit_and_others_do_not() {
    on_each(|| async {
        let (client, server) = pair().await;
        let (mut client_read, mut client_write) = client.into_split();
        let (server_read, server_write) = server.into_split();
        let error = server_read.reunite(client_write).unwrap_err();
        let (server_read, wrong_write) = (error.0, error.1);
        client_write = wrong_write;
        let server = server_write.reunite(server_read).unwrap();
        let echoed = runnext::spawn(echo(server));
        let writer = runnext::spawn(async move {
            client_write.write_all(b"both ways").await.unwrap();
            // Dropping it ends what the server reads.
        });
        let mut text = String::new();
        client_read.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "both ways");
        writer.await.unwrap();
        echoed.await.unwrap().unwrap();
    });
}

#[test]
fn a_forgotten_half_does_not_close() {
    on_each(|| async {
        let (client, mut server) = pair().await;
        let (read, write) = client.into_split();
        write.forget();
        assert!(
            poll_once(&mut pin!(server.read(&mut [0; 8])))
                .await
                .is_pending()
        );
        drop(read);
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn borrowed_halves_work_in_one_task() {
    on_each(|| async {
        let (mut client, server) = pair().await;
        let echoed = runnext::spawn(echo(server));
        let (mut read, mut write) = client.split();
        let data = vec![5; 1 << 20];
        let mut got = vec![0; 1 << 20];
        let (wrote, read_all) = futures::join!(write.write_all(&data), read.read_exact(&mut got));
        wrote.unwrap();
        read_all.unwrap();
        assert_eq!(got, data);
        drop(client);
        echoed.await.unwrap().unwrap();
    });
}

#[test]
fn the_traits_of_futures_do_the_same() {
    on_each(|| async {
        let (mut client, mut server) = pair().await;
        let writer = runnext::spawn(async move {
            futures::AsyncWriteExt::write_all(&mut client, b"by futures")
                .await
                .unwrap();
            futures::AsyncWriteExt::close(&mut client).await.unwrap();
            client
        });
        let mut text = String::new();
        futures::AsyncReadExt::read_to_string(&mut server, &mut text)
            .await
            .unwrap();
        assert_eq!(text, "by futures");
        writer.await.unwrap();
    });
}

#[test]
fn options_are_kept() {
    current_thread().block_on(async {
        let (client, _server) = pair().await;
        client.set_nodelay(true).unwrap();
        assert!(client.nodelay().unwrap());
        client.set_ttl(33).unwrap();
        assert_eq!(client.ttl().unwrap(), 33);
        assert!(client.take_error().unwrap().is_none());
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        assert!(socket.reuseaddr().unwrap());
        socket.set_keepalive(true).unwrap();
        assert!(socket.keepalive().unwrap());
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        assert!(socket.recv_buffer_size().unwrap() >= 32 * 1024);
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(16).unwrap();
        let address = listener.local_addr().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        let (connected, accepted) = futures::join!(socket.connect(address), listener.accept());
        let (connected, (_, peer)) = (connected.unwrap(), accepted.unwrap());
        assert_eq!(connected.local_addr().unwrap(), peer);
    });
}

#[test]
fn a_budget_makes_a_busy_reader_yield() {
    current_thread().block_on(async {
        let (mut client, mut server) = pair().await;
        client.write_all(&[1; 1000]).await.unwrap();
        let other = runnext::spawn(async {});
        runnext::spawn(async move {
            let mut byte = [0];
            for _ in 0..1000 {
                server.read_exact(&mut byte).await.unwrap();
            }
            assert!(other.is_finished(), "it should have had a turn");
        })
        .await
        .unwrap();
    });
}

#[test]
fn a_read_adds_to_what_a_buffer_has() {
    use runnext::io::{AsyncRead, ReadBuf};
    use std::mem::MaybeUninit;
    use std::pin::Pin;

    on_each(|| async {
        let (mut client, mut server) = pair().await;
        let mut bytes = [MaybeUninit::uninit(); 8];
        let mut buf = ReadBuf::uninit(&mut bytes);
        buf.put_slice(b"ab");
        for (sent, filled, initialized) in [
            (&b"cde"[..], &b"abcde"[..], 5),
            // The rest has to wait.
            (b"fghij", b"abcdefgh", 8),
        ] {
            client.write_all(sent).await.unwrap();
            let len = filled.len();
            while buf.filled().len() < len {
                let read = std::future::poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut buf));
                read.await.unwrap();
            }
            assert_eq!(buf.filled(), filled);
            assert_eq!(buf.initialized().len(), initialized);
        }
        // There is no room, and nothing is taken.
        let read = std::future::poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut buf));
        read.await.unwrap();
        let mut rest = [0; 2];
        server.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"ij");
    });
}
