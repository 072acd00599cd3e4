//! Descriptors of any kind: ready until they are said not to be.
#![cfg(all(feature = "net", feature = "tokio-io", unix))]

mod common;

use common::{current_thread, on_each_flavor, poll_once};
use runnext::io::Interest;
use runnext::io::unix::AsyncFd;
use runnext::net::unix::pipe;
use std::io::{ErrorKind, Read, Write};
use std::pin::pin;
use std::task::Poll;

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

fn std_pair() -> (
    std::os::unix::net::UnixStream,
    std::os::unix::net::UnixStream,
) {
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    (one, other)
}

#[test]
fn a_descriptor_is_ready_until_it_is_said_not_to_be() {
    on_each(|| async {
        let (one, mut other) = std_pair();
        let one = AsyncFd::new(one).unwrap();
        assert!(poll_once(&mut pin!(one.readable())).await.is_pending());
        other.write_all(b"x").unwrap();
        let mut guard = one.readable().await.unwrap();
        assert!(guard.ready().is_readable());
        // It stays ready, and remains so when the guard is dropped.
        guard.retain_ready();
        drop(guard);
        let mut guard = one.readable().await.unwrap();
        let mut buf = [0; 8];
        let read = guard.try_io(|one| one.get_ref().read(&mut buf));
        assert_eq!(read.unwrap().unwrap(), 1);
        assert!(guard.try_io(|one| one.get_ref().read(&mut buf)).is_err());
        assert!(guard.ready().is_empty());
        drop(guard);
        assert!(poll_once(&mut pin!(one.readable())).await.is_pending());
        let ready = one.ready(Interest::READABLE | Interest::WRITABLE).await;
        assert!(ready.unwrap().ready().is_writable());
    });
}

#[test]
fn an_event_that_came_since_is_not_cleared() {
    on_each(|| async {
        let (one, mut other) = std_pair();
        let mut one = AsyncFd::with_interest(one, Interest::READABLE).unwrap();
        other.write_all(b"x").unwrap();
        let mut guard = one.readable_mut().await.unwrap();
        let mut buf = [0; 1];
        guard.get_inner_mut().read_exact(&mut buf).unwrap();
        // This comes before the guard is told that there was nothing more.
        other.write_all(b"y").unwrap();
        runnext::spawn(async {}).await.unwrap();
        wait_for_an_event().await;
        guard.clear_ready();
        let read = one.async_io_mut(Interest::READABLE, |one| one.read(&mut buf));
        assert_eq!(read.await.unwrap(), 1);
        assert_eq!(&buf, b"y");
    });
}

/// Comes back after the netpoller has seen all that happened before.
async fn wait_for_an_event() {
    let (mut sender, mut receiver) = pipe::pipe().unwrap();
    runnext::io::AsyncWriteExt::write_all(&mut sender, b"x")
        .await
        .unwrap();
    runnext::io::AsyncReadExt::read_exact(&mut receiver, &mut [0])
        .await
        .unwrap();
}

#[test]
fn several_tasks_wait_for_a_descriptor_in_either_direction() {
    on_each(|| async {
        let (one, mut other) = std_pair();
        let one = AsyncFd::new(one).unwrap();
        let mut first = pin!(one.readable());
        let mut second = pin!(one.readable());
        let polled = std::future::poll_fn(|cx| {
            assert!(first.as_mut().poll(cx).is_pending());
            assert!(second.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        });
        polled.await;
        other.write_all(b"x").unwrap();
        first.await.unwrap().retain_ready();
        second.await.unwrap().retain_ready();
        one.writable().await.unwrap().retain_ready();
    });
}

#[test]
fn what_cannot_be_waited_for_comes_back() {
    current_thread().block_on(async {
        let file = std::fs::File::open("Cargo.toml").unwrap();
        let (mut file, error) = AsyncFd::try_new(file).unwrap_err().into_parts();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        file.read_exact(&mut [0; 8]).unwrap();
        // One descriptor in two of them.
        let (one, _other) = std_pair();
        let copy = BorrowedStream(&one);
        let first = AsyncFd::new(copy).unwrap();
        let error = AsyncFd::new(BorrowedStream(&one)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        drop(first);
        let again = AsyncFd::new(BorrowedStream(&one)).unwrap();
        assert!(std::ptr::eq(again.into_inner().0, &one));
        AsyncFd::new(one).unwrap();
    });
}

#[test]
fn whoever_vouches_for_a_descriptor_may_register_it_by_that_name() {
    current_thread().block_on(async {
        let (one, mut other) = std_pair();
        // SAFETY: it is open until it is taken out again.
        let one = unsafe { AsyncFd::register(one) }.unwrap();
        other.write_all(b"x").unwrap();
        one.readable().await.unwrap().retain_ready();
        one.writable().await.unwrap().retain_ready();
        let one = one.into_inner();
        // SAFETY: as above.
        let one = unsafe { AsyncFd::register_with_interest(one, Interest::WRITABLE) }.unwrap();
        one.writable().await.unwrap().retain_ready();
        assert!(poll_once(&mut pin!(one.readable())).await.is_pending());
        let file = std::fs::File::open("Cargo.toml").unwrap();
        // SAFETY: as above.
        let refused = unsafe { AsyncFd::register(file) }.unwrap_err();
        let (_file, error) = refused.into_parts();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    });
}

#[derive(Debug)]
struct BorrowedStream<'a>(&'a std::os::unix::net::UnixStream);

impl std::os::fd::AsRawFd for BorrowedStream<'_> {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

/// A descriptor that is closed before it is deregistered, while a copy of it goes on making events.
#[test]
fn a_descriptor_that_was_closed_too_early_does_no_harm() {
    struct Gone(std::os::fd::RawFd);
    impl std::os::fd::AsRawFd for Gone {
        fn as_raw_fd(&self) -> std::os::fd::RawFd {
            self.0
        }
    }
    current_thread().block_on(async {
        use std::os::fd::AsRawFd;
        let (one, mut other) = std_pair();
        let copy = one.try_clone().unwrap();
        let gone = AsyncFd::new(Gone(one.as_raw_fd())).unwrap();
        drop(one);
        drop(gone);
        // The slot goes to another, and events for the one before keep coming.
        let (fresh, mut fresh_other) = std_pair();
        let fresh = AsyncFd::new(fresh).unwrap();
        for _ in 0..10 {
            other.write_all(b"x").unwrap();
            wait_for_an_event().await;
        }
        assert!(poll_once(&mut pin!(fresh.readable())).await.is_pending());
        fresh_other.write_all(b"x").unwrap();
        fresh.readable().await.unwrap().retain_ready();
        drop(copy);
    });
}
