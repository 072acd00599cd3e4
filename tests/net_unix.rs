//! Unix domain sockets and pipes.
#![cfg(all(feature = "net", feature = "tokio-io", unix))]

mod common;
#[path = "common/free_path.rs"]
mod free_path;

use common::{current_thread, on_each_flavor, poll_once};
use free_path::FreePath;
use runnext::io::{AsyncReadExt, AsyncWriteExt};
use runnext::net::unix::pipe;
use runnext::net::{UnixDatagram, UnixListener, UnixSocket, UnixStream};
use std::io::ErrorKind;
use std::pin::pin;

fn on_each<F, Fut>(test: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    on_each_flavor(|rt| {
        let task = rt.spawn(test());
        rt.block_on(task).unwrap();
        rt.block_on(test());
    });
}

#[test]
fn a_stream_carries_data_both_ways() {
    on_each(|| async {
        let path = FreePath::new();
        let listener = UnixListener::bind(&path).unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(address.as_pathname(), Some(path.as_ref()));
        let server = runnext::spawn(async move {
            let (mut stream, peer) = listener.accept().await.unwrap();
            assert!(peer.is_unnamed());
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            stream
                .write_all(text.to_uppercase().as_bytes())
                .await
                .unwrap();
        });
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let cred = stream.peer_cred().unwrap();
        assert_eq!(cred.pid(), i32::try_from(std::process::id()).ok());
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "HELLO");
        server.await.unwrap();
    });
}

#[test]
fn a_pair_is_split_and_reunited() {
    on_each(|| async {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut read, mut write) = one.into_split();
        let (mut other_read, other_write) = other.into_split();
        let error = read.reunite(other_write).unwrap_err();
        read = error.0;
        let other = other_read.reunite(error.1).unwrap();
        (other_read, _) = other.into_split();
        write.write_all(b"hi").await.unwrap();
        let mut buf = [0; 2];
        other_read.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"hi");
        read.reunite(write).unwrap();
    });
}

#[test]
fn nobody_listens() {
    on_each(|| async {
        let path = FreePath::new();
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        drop(UnixListener::bind(&path).unwrap());
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let error = UnixListener::bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn names_can_be_abstract() {
    on_each(|| async {
        let name = format!("\0{}", FreePath::new().0.display());
        let listener = UnixListener::bind(&name).unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(address.as_abstract_name(), Some(&name.as_bytes()[1..]));
        let (connected, accepted) = futures::join!(UnixStream::connect(&name), listener.accept());
        connected.unwrap();
        accepted.unwrap();
    });
}

#[test]
fn a_socket_is_set_up_step_by_step() {
    on_each(|| async {
        let path = FreePath::new();
        let socket = UnixSocket::new_stream().unwrap();
        socket.bind(&path).unwrap();
        let listener = socket.listen(4).unwrap();
        let socket = UnixSocket::new_stream().unwrap();
        let (connected, accepted) = futures::join!(socket.connect(&path), listener.accept());
        connected.unwrap();
        accepted.unwrap();
        let error = UnixSocket::new_datagram().unwrap().listen(4).unwrap_err();
        assert!(error.to_string().contains("new_stream"), "{error}");
        UnixSocket::new_datagram().unwrap().datagram().unwrap();
    });
}

#[test]
fn datagrams_wait_for_room() {
    on_each(|| async {
        let (here, there) = UnixDatagram::pair().unwrap();
        let mut sent = 0_u32;
        while poll_once(&mut pin!(here.send(&sent.to_le_bytes())))
            .await
            .is_ready()
        {
            sent += 1;
            runnext::task::yield_now().await;
        }
        let error = here.try_send(b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let sender = runnext::spawn(async move {
            here.send(&u32::MAX.to_le_bytes()).await.unwrap();
        });
        let mut buf = [0; 8];
        for expected in (0..sent).chain([u32::MAX]) {
            assert_eq!(there.recv(&mut buf).await.unwrap(), 4);
            assert_eq!(buf[..4], expected.to_le_bytes());
        }
        sender.await.unwrap();
    });
}

#[test]
fn datagrams_find_their_way_by_path() {
    on_each(|| async {
        let (here_path, there_path) = (FreePath::new(), FreePath::new());
        let here = UnixDatagram::bind(&here_path).unwrap();
        let there = UnixDatagram::bind(&there_path).unwrap();
        here.send_to(b"x", &there_path).await.unwrap();
        let mut buf = [0; 8];
        let (len, from) = there.recv_from(&mut buf).await.unwrap();
        assert_eq!((len, from.as_pathname()), (1, Some(here_path.as_ref())));
    });
}

#[test]
fn a_pipe_fills_up_and_comes_to_its_end() {
    on_each(|| async {
        let (mut sender, mut receiver) = pipe::pipe().unwrap();
        let data = vec![3; 1 << 20];
        let writer = runnext::spawn(async move {
            sender.write_all(&data).await.unwrap();
        });
        let mut got = Vec::new();
        receiver.read_to_end(&mut got).await.unwrap();
        assert_eq!(got.len(), 1 << 20);
        writer.await.unwrap();
    });
}

#[test]
fn nobody_reads_from_a_pipe() {
    on_each(|| async {
        let (mut sender, receiver) = pipe::pipe().unwrap();
        drop(receiver);
        let error = sender.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn descriptors_of_pipes_are_checked() {
    current_thread().block_on(async {
        let (sender, receiver) = pipe::pipe().unwrap();
        let fd = sender.into_blocking_fd().unwrap();
        let error = pipe::Receiver::from_owned_fd(fd).unwrap_err();
        assert!(
            error.to_string().contains("not open for reading"),
            "{error}"
        );
        let fd = receiver.into_nonblocking_fd().unwrap();
        pipe::Receiver::from_owned_fd(fd).unwrap();
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let error = pipe::Sender::from_owned_fd(socket.into()).unwrap_err();
        assert!(error.to_string().contains("not a pipe"), "{error}");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_named_pipe_is_opened_before_anybody_writes() {
    on_each(|| async {
        let path = FreePath::new();
        let made = std::process::Command::new("mkfifo").arg(&path.0).status();
        assert!(made.unwrap().success());
        let error = pipe::OpenOptions::new().open_sender(&path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(6), "nobody reads: {error}");
        let mut receiver = pipe::OpenOptions::new().open_receiver(&path).unwrap();
        let mut buf = [0; 8];
        // There was no writer yet, so this is not the end.
        assert!(
            poll_once(&mut pin!(receiver.read(&mut buf)))
                .await
                .is_pending()
        );
        let mut sender = pipe::OpenOptions::new().open_sender(&path).unwrap();
        sender.write_all(b"x").await.unwrap();
        assert_eq!(receiver.read(&mut buf).await.unwrap(), 1);
        drop(sender);
        assert_eq!(receiver.read(&mut buf).await.unwrap(), 0);
    });
}

#[test]
fn a_blocking_socket_is_refused() {
    use std::os::unix::net as std_net;
    on_each(|| async {
        let path = FreePath::new();
        let (stream, _other) = std_net::UnixStream::pair().unwrap();
        let (datagram, _other) = std_net::UnixDatagram::pair().unwrap();
        for error in [
            UnixStream::from_std(stream).unwrap_err(),
            UnixDatagram::from_std(datagram).unwrap_err(),
            UnixListener::from_std(std_net::UnixListener::bind(&path.0).unwrap()).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("set_nonblocking"), "{error}");
        }
    });
}
