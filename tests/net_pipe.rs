//! Pipes: how they are opened, and made of descriptors that are there already.
#![cfg(all(feature = "net", feature = "tokio-io", unix))]

mod common;
#[path = "common/free_path.rs"]
mod free_path;
#[path = "common/sockets.rs"]
mod sockets;

use common::poll_once;
use free_path::FreePath;
use runnext::io::{AsyncReadExt, AsyncWriteExt, Interest};
use runnext::net::unix::pipe::{self, OpenOptions, Receiver, Sender};
use sockets::{assert_would_block, at_once, on_each};
use std::ffi::CString;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::pin::pin;

/// A pipe in the file system.
fn fifo() -> FreePath {
    let path = FreePath::new();
    let name = CString::new(path.0.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name ends with a NUL and is only read.
    let made = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
    assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
    path
}

fn blocks(fd: &impl AsRawFd) -> bool {
    // SAFETY: the descriptor is open, and there is no pointer.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    assert!(flags >= 0, "{}", std::io::Error::last_os_error());
    flags & libc::O_NONBLOCK == 0
}

/// The two ends as std's, both of which block: to read from, and to write to.
fn std_pipe() -> (OwnedFd, OwnedFd) {
    let (read, write) = std::io::pipe().unwrap();
    (read.into(), write.into())
}

async fn assert_connected(sender: &mut Sender, receiver: &mut Receiver) {
    sender.write_all(b"pipe").await.unwrap();
    let mut buf = [0; 4];
    receiver.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"pipe");
}

#[cfg(target_os = "linux")]
#[test]
fn one_end_needs_no_other_when_it_is_opened_for_both() {
    on_each(|| async {
        let path = fifo();
        let mut options = OpenOptions::new();
        assert!(options.open_sender(&path).is_err(), "nobody reads");
        let mut sender = options.read_write(true).open_sender(&path).unwrap();
        sender.write_all(b"early").await.unwrap();
        let mut receiver = options.open_receiver(&path).unwrap();
        let mut buf = [0; 8];
        assert_eq!(receiver.read(&mut buf).await.unwrap(), 5);
        drop(sender);
        // It could write itself, so this is not the end.
        assert!(
            poll_once(&mut pin!(receiver.read(&mut buf)))
                .await
                .is_pending()
        );
        drop(receiver);
        let refused = options.read_write(false).open_sender(&path);
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::ENXIO));
    });
}

#[test]
fn a_receiver_sees_the_end_unless_it_is_opened_for_both() {
    on_each(|| async {
        let path = fifo();
        let mut receiver = OpenOptions::new().open_receiver(&path).unwrap();
        let mut sender = OpenOptions::new().open_sender(&path).unwrap();
        assert!(!blocks(&receiver) && !blocks(&sender));
        assert_connected(&mut sender, &mut receiver).await;
        drop(sender);
        assert_eq!(receiver.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

/// A terminal's kin: something that is no pipe, and can be waited for.
#[cfg(target_os = "linux")]
#[test]
fn what_is_no_pipe_is_opened_if_nobody_is_to_look() {
    const PTMX: &str = "/dev/ptmx";
    if !std::path::Path::new(PTMX).exists() {
        return;
    }
    on_each(|| async {
        for error in [
            OpenOptions::new().open_receiver(PTMX).unwrap_err(),
            OpenOptions::new().open_sender(PTMX).unwrap_err(),
            OpenOptions::new()
                .unchecked(false)
                .open_sender(PTMX)
                .unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().contains("not a pipe"), "{error}");
        }
        OpenOptions::new()
            .unchecked(true)
            .open_receiver(PTMX)
            .unwrap();
        OpenOptions::new()
            .unchecked(true)
            .open_sender(PTMX)
            .unwrap();
    });
}

#[test]
fn a_file_that_is_a_pipe_is_put_into_non_blocking_mode() {
    on_each(|| async {
        let (read, write) = std_pipe();
        assert!(blocks(&read) && blocks(&write));
        let (read_fd, write_fd) = (read.as_raw_fd(), write.as_raw_fd());
        let mut receiver = Receiver::from_file(File::from(read)).unwrap();
        let mut sender = Sender::from_file(File::from(write)).unwrap();
        assert!(!blocks(&receiver) && !blocks(&sender));
        assert_eq!(receiver.as_raw_fd(), read_fd);
        assert_eq!(receiver.as_fd().as_raw_fd(), read_fd);
        assert_eq!(sender.as_raw_fd(), write_fd);
        assert_eq!(sender.as_fd().as_raw_fd(), write_fd);
        assert_connected(&mut sender, &mut receiver).await;
    });
}

#[test]
fn a_file_for_the_other_end_is_refused() {
    on_each(|| async {
        let (read, write) = std_pipe();
        let error = Sender::from_file(File::from(read)).unwrap_err();
        assert!(error.to_string().contains("for writing"), "{error}");
        let error = Receiver::from_file(File::from(write)).unwrap_err();
        assert!(error.to_string().contains("for reading"), "{error}");
        let file = File::open("Cargo.toml").unwrap();
        let error = Receiver::from_file(file).unwrap_err();
        assert!(error.to_string().contains("not a pipe"), "{error}");
    });
}

#[test]
fn what_is_not_looked_at_need_not_be_a_pipe() {
    on_each(|| async {
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        other.set_nonblocking(true).unwrap();
        let (one, other) = (OwnedFd::from(one), OwnedFd::from(other));
        let copies = (one.try_clone().unwrap(), other.try_clone().unwrap());
        assert!(Sender::from_owned_fd(one.try_clone().unwrap()).is_err());
        assert!(Receiver::from_file(other.try_clone().unwrap().into()).is_err());

        let mut sender = Sender::from_owned_fd_unchecked(one).unwrap();
        let mut receiver = Receiver::from_owned_fd_unchecked(other).unwrap();
        assert_connected(&mut sender, &mut receiver).await;
        drop((sender, receiver));

        let mut sender = Sender::from_file_unchecked(copies.1.into()).unwrap();
        let mut receiver = Receiver::from_file_unchecked(copies.0.into()).unwrap();
        assert_connected(&mut sender, &mut receiver).await;
    });
}

/// The mode is what the caller has said it is.
#[test]
fn what_is_not_looked_at_remains_as_it_is() {
    on_each(|| async {
        let (read, write) = std_pipe();
        let receiver = Receiver::from_file_unchecked(File::from(read)).unwrap();
        let sender = Sender::from_owned_fd_unchecked(write).unwrap();
        assert!(blocks(&receiver) && blocks(&sender));
    });
}

#[test]
fn a_pipe_is_taken_out_in_either_mode() {
    on_each(|| async {
        let (mut sender, receiver) = pipe::pipe().unwrap();
        sender.write_all(b"kept").await.unwrap();
        let (read, write) = (receiver.as_raw_fd(), sender.as_raw_fd());
        let receiver = receiver.into_blocking_fd().unwrap();
        let sender = sender.into_blocking_fd().unwrap();
        assert_eq!((receiver.as_raw_fd(), sender.as_raw_fd()), (read, write));
        assert!(blocks(&receiver) && blocks(&sender));

        // They are not registered any more, and can be again.
        let mut receiver = Receiver::from_owned_fd(receiver).unwrap();
        let sender = Sender::from_owned_fd(sender).unwrap();
        let mut buf = [0; 8];
        assert_eq!(receiver.read(&mut buf).await.unwrap(), 4);
        assert_eq!(&buf[..4], b"kept");
        let receiver = receiver.into_nonblocking_fd().unwrap();
        let sender = sender.into_nonblocking_fd().unwrap();
        assert!(!blocks(&receiver) && !blocks(&sender));
        let mut receiver = Receiver::from_owned_fd_unchecked(receiver).unwrap();
        let mut sender = Sender::from_owned_fd_unchecked(sender).unwrap();
        assert_connected(&mut sender, &mut receiver).await;
    });
}

#[test]
fn each_end_is_ready_for_its_own() {
    on_each(|| async {
        let (sender, receiver) = pipe::pipe().unwrap();
        let both = Interest::READABLE | Interest::WRITABLE;
        let ready = sender.ready(both).await.unwrap();
        assert!(ready.is_writable() && !ready.is_readable());
        assert!(!at_once(receiver.readable()).await);
        let mut buf = [0; 8];
        assert_would_block(receiver.try_read(&mut buf));
        assert_eq!(sender.try_write(b"abc").unwrap(), 3);
        let ready = receiver.ready(both).await.unwrap();
        assert!(ready.is_readable() && !ready.is_writable());
        assert_eq!(receiver.try_read(&mut buf).unwrap(), 3);
        assert_eq!(&buf[..3], b"abc");
        assert_would_block(receiver.try_read(&mut buf));
        assert!(!at_once(receiver.readable()).await);
        drop(receiver);
        while !sender.ready(both).await.unwrap().is_write_closed() {
            runnext::task::yield_now().await;
        }
        let error = sender.try_write(b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}
