//! Descriptors of any kind: those who poll, those who have the value `mut`, and what their guards say.
#![cfg(all(feature = "net", feature = "tokio-io", unix))]

mod common;
#[path = "common/sockets.rs"]
mod sockets;

use common::poll_once;
use runnext::io::unix::AsyncFd;
use runnext::io::{Interest, Ready};
use sockets::{assert_would_block, on_each, settle, until_woken};
use std::error::Error;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_ok};

/// A descriptor of which it is known that it has room, and the other end.
async fn pair() -> (AsyncFd<UnixStream>, UnixStream) {
    let (one, other) = UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    let one = AsyncFd::new(one).unwrap();
    one.writable().await.unwrap().retain_ready();
    settle().await;
    (one, other)
}

fn would_block<T>() -> io::Result<T> {
    Err(ErrorKind::WouldBlock.into())
}

fn not_called<T>() -> io::Result<T> {
    panic!("it is not ready, and there is no call")
}

#[test]
fn a_poll_waits_for_something_to_read() {
    on_each(|| async {
        let (mut one, mut other) = pair().await;
        let mut buf = [0; 8];
        {
            let mut wait = spawn(poll_fn(|cx| one.poll_read_ready(cx)));
            assert_pending!(wait.poll());
            other.write_all(b"ab").unwrap();
            until_woken(&wait).await;
            let mut guard = assert_ready_ok!(wait.poll());
            assert!(guard.ready().is_readable() && !guard.ready().is_writable());
            let read = guard.try_io(|one| one.get_ref().read(&mut buf));
            assert_eq!(read.unwrap().unwrap(), 2);
            assert_eq!(
                guard.get_inner().read(&mut buf).unwrap_err().kind(),
                ErrorKind::WouldBlock
            );
            guard.clear_ready();
        }
        assert!(
            poll_fn(|cx| std::task::Poll::Ready(one.poll_read_ready_mut(cx).is_pending())).await
        );
        other.write_all(b"c").unwrap();
        one.readable().await.unwrap().retain_ready();
        poll_fn(|cx| {
            let mut guard = assert_ready_ok!(one.poll_read_ready_mut(cx));
            assert!(guard.ready().is_readable());
            assert_eq!(guard.get_inner_mut().read(&mut buf).unwrap(), 1);
            guard.clear_ready();
            std::task::Poll::Ready(())
        })
        .await;
        assert!(poll_once(&mut pin!(one.readable())).await.is_pending());
    });
}

#[test]
fn a_poll_waits_for_room() {
    on_each(|| async {
        let (mut one, mut other) = pair().await;
        let mut sent = 0;
        while let Ok(len) = one.get_ref().write(&[7; 1 << 12]) {
            sent += len;
        }
        poll_fn(|cx| {
            let mut guard = assert_ready_ok!(one.poll_write_ready(cx));
            assert!(guard.ready().is_writable());
            guard.clear_ready();
            std::task::Poll::Ready(())
        })
        .await;
        {
            let mut wait = spawn(poll_fn(|cx| one.poll_write_ready(cx)));
            assert_pending!(wait.poll());
            other.read_exact(&mut vec![0; sent]).unwrap();
            until_woken(&wait).await;
            assert_ready_ok!(wait.poll()).retain_ready();
        }
        // Each piece that was read made room.
        settle().await;
        poll_fn(|cx| {
            let mut guard = assert_ready_ok!(one.poll_write_ready_mut(cx));
            assert_eq!(guard.get_inner_mut().write(b"x").unwrap(), 1);
            guard.clear_ready();
            std::task::Poll::Ready(())
        })
        .await;
        assert!(
            poll_fn(|cx| std::task::Poll::Ready(one.poll_write_ready_mut(cx).is_pending())).await
        );
    });
}

#[test]
fn a_guard_with_the_value_mut_notes_what_would_block() {
    on_each(|| async {
        let (mut one, mut other) = pair().await;
        let fd = one.as_raw_fd();
        assert_eq!(one.as_fd().as_raw_fd(), fd);
        let mut guard = one.writable_mut().await.unwrap();
        assert!(guard.ready().is_writable());
        let wrote = guard.try_io(|one| one.get_mut().write(b"x"));
        assert_eq!(wrote.unwrap().unwrap(), 1);
        assert_eq!(other.read(&mut [0; 8]).unwrap(), 1);
        drop(guard);
        settle().await;
        other.write_all(b"y").unwrap();
        let mut guard = one.readable_mut().await.unwrap();
        assert_eq!(guard.get_ref().as_raw_fd(), fd);
        assert_eq!(guard.get_mut().as_raw_fd(), fd);
        assert_eq!(guard.get_inner().as_raw_fd(), fd);
        let mut buf = [0; 8];
        let read = guard.try_io(|one| one.get_mut().read(&mut buf));
        assert_eq!(read.unwrap().unwrap(), 1);
        // Another error is none of a guard.
        let failed = guard.try_io(|_| -> io::Result<()> { Err(ErrorKind::InvalidData.into()) });
        assert_eq!(failed.unwrap().unwrap_err().kind(), ErrorKind::InvalidData);
        assert!(guard.ready().is_readable());
        let error = guard
            .try_io(|one| one.get_mut().read(&mut buf))
            .unwrap_err();
        assert!(error.to_string().contains("would block"), "{error}");
        assert!(guard.ready().is_empty());
        drop(guard);
        assert!(poll_once(&mut pin!(one.readable_mut())).await.is_pending());
        let both = Interest::READABLE | Interest::WRITABLE;
        let guard = one.ready_mut(both).await.unwrap();
        assert!(guard.ready().is_writable() && !guard.ready().is_readable());
    });
}

#[test]
fn a_part_of_what_was_found_is_cleared() {
    on_each(|| async {
        let (mut one, mut other) = pair().await;
        let both = Interest::READABLE | Interest::WRITABLE;
        other.write_all(b"x").unwrap();
        one.readable().await.unwrap().retain_ready();
        let mut guard = one.ready(both).await.unwrap();
        assert!(guard.ready().is_readable() && guard.ready().is_writable());
        assert!(std::ptr::eq(guard.get_ref(), &one));
        guard.clear_ready_matching(Ready::READABLE);
        assert!(!guard.ready().is_readable() && guard.ready().is_writable());
        drop(guard);
        assert!(poll_once(&mut pin!(one.readable())).await.is_pending());
        assert!(poll_once(&mut pin!(one.writable())).await.is_ready());
        let mut guard = one.ready_mut(both).await.unwrap();
        guard.clear_ready_matching(Ready::WRITABLE);
        assert!(guard.ready().is_empty());
        drop(guard);
        assert!(poll_once(&mut pin!(one.ready_mut(both))).await.is_pending());
    });
}

#[test]
fn an_operation_is_tried_on_what_is_ready() {
    on_each(|| async {
        let (mut one, mut other) = pair().await;
        assert_would_block(one.try_io(Interest::READABLE, |_| not_called::<()>()));
        assert_would_block(one.try_io_mut(Interest::READABLE, |_| not_called::<()>()));
        let wrote = one.try_io(Interest::WRITABLE, |mut one| one.write(b"a"));
        assert_eq!(wrote.unwrap(), 1);
        let wrote = one.try_io_mut(Interest::WRITABLE, |one| one.write(b"b"));
        assert_eq!(wrote.unwrap(), 1);
        let mut buf = [0; 8];
        assert_eq!(other.read(&mut buf).unwrap(), 2);
        assert_eq!(&buf[..2], b"ab");
        settle().await;
        for mutable in [false, true] {
            other.write_all(b"x").unwrap();
            one.readable().await.unwrap().retain_ready();
            let read = one.try_io_mut(Interest::READABLE, |one| one.read(&mut buf));
            assert_eq!(read.unwrap(), 1);
            // There is nothing more, which nobody has found out yet.
            assert!(poll_once(&mut pin!(one.readable())).await.is_ready());
            if mutable {
                assert_would_block(one.try_io_mut(Interest::READABLE, |_| would_block::<()>()));
            } else {
                assert_would_block(one.try_io(Interest::READABLE, |_| would_block::<()>()));
            }
            assert!(poll_once(&mut pin!(one.readable())).await.is_pending());
            assert!(poll_once(&mut pin!(one.writable())).await.is_ready());
        }
    });
}

#[test]
fn an_operation_is_called_again_after_each_wait() {
    on_each(|| async {
        let (mut one, mut other) = pair().await;
        let (mut calls, mut buf) = (0, [0; 8]);
        {
            let mut read = spawn(one.async_io(Interest::READABLE, |mut one| {
                calls += 1;
                one.read(&mut buf)
            }));
            assert_pending!(read.poll());
            other.write_all(b"abc").unwrap();
            until_woken(&read).await;
            assert_eq!(assert_ready_ok!(read.poll()), 3);
        }
        assert_eq!((calls, &buf[..3]), (1, &b"abc"[..]));
        {
            let mut read = spawn(one.async_io_mut(Interest::READABLE, |one| {
                calls += 1;
                one.read(&mut buf)
            }));
            // It was ready, and is not: there is a call that finds that out.
            assert_pending!(read.poll());
            assert_pending!(read.poll());
            other.write_all(b"de").unwrap();
            until_woken(&read).await;
            assert_eq!(assert_ready_ok!(read.poll()), 2);
        }
        assert_eq!((calls, &buf[..2]), (3, &b"de"[..]));
        let failed = one.async_io(Interest::WRITABLE, |_| -> io::Result<()> {
            Err(ErrorKind::InvalidData.into())
        });
        assert_eq!(failed.await.unwrap_err().kind(), ErrorKind::InvalidData);
    });
}

#[test]
fn only_what_was_asked_for_is_waited_for() {
    on_each(|| async {
        let (one, mut other) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        let one = AsyncFd::try_with_interest(one, Interest::READABLE).unwrap();
        other.write_all(b"x").unwrap();
        let guard = one.readable().await.unwrap();
        assert!(guard.ready().is_readable());
        assert!(poll_once(&mut pin!(one.writable())).await.is_pending());

        let file = std::fs::File::open("Cargo.toml").unwrap();
        let error = AsyncFd::try_with_interest(file, Interest::READABLE).unwrap_err();
        let source = error.source().unwrap().to_string();
        assert_eq!(error.to_string(), source);
        assert!(format!("{error:?}").contains("AsyncFdRegisterError"));
        let (mut file, cause) = error.into_parts();
        assert_eq!(cause.kind(), ErrorKind::PermissionDenied);
        file.read_exact(&mut [0; 4]).unwrap();
        let error = io::Error::from(AsyncFd::try_new(file).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    });
}

/// Urgent data, which is a priority beside what is read.
#[cfg(target_os = "linux")]
#[test]
fn urgent_data_is_waited_for() {
    on_each(|| async {
        let (client, server) = sockets::tcp_pair().await;
        let (client, server) = (client.into_std().unwrap(), server.into_std().unwrap());
        let server = AsyncFd::with_interest(server, Interest::PRIORITY).unwrap();
        let mut urgent = pin!(server.ready(Interest::PRIORITY));
        assert!(poll_once(&mut urgent).await.is_pending());
        (&client).write_all(b"plain").unwrap();
        socket2::SockRef::from(&client)
            .send_out_of_band(b"!")
            .unwrap();
        let guard = urgent.await.unwrap();
        assert!(guard.ready().is_priority() && !guard.ready().is_writable());
        assert!(guard.ready().contains(Ready::PRIORITY));
    });
}

#[test]
fn interest_and_readiness_are_sets() {
    let both = Interest::READABLE | Interest::WRITABLE;
    assert_eq!(Interest::READABLE.add(Interest::WRITABLE), both);
    assert!(both.is_readable() && both.is_writable() && !both.is_error());
    assert!(Interest::ERROR.is_error() && !Interest::ERROR.is_readable());
    assert_eq!(both.remove(both), None);
    assert_eq!(both.remove(Interest::READABLE), Some(Interest::WRITABLE));
    let ready = Ready::from_interest(Interest::READABLE);
    assert_eq!(ready, Ready::READABLE | Ready::READ_CLOSED);
    assert_eq!(
        Ready::from(Interest::WRITABLE),
        Ready::WRITABLE | Ready::WRITE_CLOSED
    );
    assert!(Ready::from_interest(Interest::ERROR).is_error());
    assert!(!ready.is_error() && !ready.is_write_closed() && ready.is_read_closed());
    assert!(Ready::WRITE_CLOSED.is_writable() && Ready::WRITE_CLOSED.is_write_closed());
    assert!(Ready::ALL.contains(ready) && !ready.contains(Ready::ALL));
    assert_eq!(ready - Ready::READ_CLOSED, Ready::READABLE);
    assert_eq!(ready & Ready::READABLE, Ready::READABLE);
    assert!(Ready::EMPTY.is_empty() && !ready.is_empty());
    #[cfg(target_os = "linux")]
    {
        assert!(Interest::PRIORITY.is_priority() && !both.is_priority());
        assert!(Ready::PRIORITY.is_priority() && !ready.is_priority());
    }
}
