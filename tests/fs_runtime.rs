//! Files and their runtime: where there is none, where it ends in the middle, and where it has no
//! thread to give.

#![cfg(all(feature = "fs", feature = "tokio-io"))]

mod common;
#[path = "common/pool.rs"]
mod pool;
#[path = "common/scratch.rs"]
mod scratch;

use common::{current_thread, multi_thread, panic_of, poll_once};
use pool::{narrow, occupy};
use runnext::fs::{self, File};
use runnext::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use runnext::runtime::{Builder, Runtime};
use scratch::Scratch;
use std::future::Future;
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Polls once, on a thread without a runtime.
fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Says so when it is dropped.
struct SaysDropped(mpsc::Sender<()>);

impl Drop for SaysDropped {
    fn drop(&mut self) {
        let _nobody_listens = self.0.send(());
    }
}

/// Begins the end of `rt` on another thread, and returns when what was in the queue is cancelled.
fn begin_to_drop(rt: Runtime) -> std::thread::JoinHandle<()> {
    let (dropped, cancelled) = mpsc::channel();
    let says = SaysDropped(dropped);
    rt.spawn_blocking(move || drop(says));
    let ending = std::thread::spawn(move || drop(rt));
    cancelled.recv().unwrap();
    ending
}

mod without_one {
    use super::*;

    #[track_caller]
    fn refused<F: Future>(future: F) {
        let message = panic_of(|| drop(poll(future)));
        for part in ["there is no runtime on this thread", "`#[runnext::main]`"] {
            assert!(message.contains(part), "{part:?} is missing in: {message}");
        }
    }

    #[test]
    fn everything_says_what_is_missing() {
        let dir = Scratch::new();
        std::fs::write(dir.join("a"), "hello").unwrap();
        refused(fs::read(dir.join("a")));
        refused(fs::write(dir.join("b"), "hello"));
        refused(fs::read_dir(&*dir));
        refused(File::open(dir.join("a")));
        let std = std::fs::File::open(dir.join("a")).unwrap();
        let mut file = File::from_std(std);
        refused(file.read(&mut [0; 4]));
        refused(file.write(b"x"));
        refused(file.seek(SeekFrom::Start(1)));
        refused(file.metadata());
        refused(file.sync_all());
        refused(file.set_len(1));
        refused(file.try_clone());
        // What needs no operation needs no runtime; and the file is none the worse.
        assert!(matches!(poll(file.flush()), Poll::Ready(Ok(()))));
        assert!(matches!(poll(file.read(&mut [])), Poll::Ready(Ok(0))));
        current_thread().block_on(async {
            let mut text = String::new();
            file.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "hello");
        });
    }

    #[test]
    fn an_operation_that_has_begun_can_be_awaited_anywhere() {
        let dir = Scratch::new();
        let rt = multi_thread(1);
        let mut file = rt.block_on(File::create(dir.join("a"))).unwrap();
        rt.block_on(file.write_all(b"hello")).unwrap();
        futures::executor::block_on(file.flush()).unwrap();
        assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"hello");
    }
}

mod ended {
    use super::*;

    #[test]
    fn a_write_that_was_taken_over_is_written() {
        for rt in narrow() {
            let dir = Scratch::new();
            let file = std::fs::File::create(dir.join("a")).unwrap();
            let mut file = File::from_std(file);
            let busy = occupy(&rt);
            rt.block_on(file.write_all(b"hello")).unwrap();
            let ending = begin_to_drop(rt);
            assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"");
            drop(busy);
            ending.join().unwrap();
            assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"hello");
            futures::executor::block_on(file.flush()).unwrap();
        }
    }

    #[test]
    fn the_end_does_not_wait_for_the_thread_that_would_write() {
        for rt in narrow() {
            let dir = Scratch::new();
            let file = std::fs::File::create(dir.join("a")).unwrap();
            let mut file = File::from_std(file);
            let busy = occupy(&rt);
            rt.block_on(file.write_all(b"hello")).unwrap();
            rt.shutdown_timeout(Duration::ZERO);
            assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"");
            drop(busy);
            futures::executor::block_on(file.flush()).unwrap();
            assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"hello");
        }
    }

    #[test]
    fn what_has_not_begun_otherwise_fails() {
        for rt in narrow() {
            let dir = Scratch::new();
            std::fs::write(dir.join("a"), "hello").unwrap();
            let file = std::fs::File::open(dir.join("a")).unwrap();
            let mut file = File::from_std(file);
            let busy = occupy(&rt);
            let mut bytes = [0; 4];
            let mut write = Box::pin(fs::write(dir.join("b"), "hello"));
            let mut read = Box::pin(file.read(&mut bytes));
            rt.block_on(async {
                assert!(poll_once(&mut write).await.is_pending());
                assert!(poll_once(&mut read).await.is_pending());
            });
            let ending = begin_to_drop(rt);
            let said = "shut down before the operation began";
            let error = futures::executor::block_on(write).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            let error = futures::executor::block_on(read).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert!(!dir.join("b").exists());
            drop(busy);
            ending.join().unwrap();
            // The file lives on.
            current_thread().block_on(async {
                let mut text = String::new();
                file.read_to_string(&mut text).await.unwrap();
                assert_eq!(text, "hello");
            });
        }
    }

    #[test]
    fn what_comes_after_the_end_fails() {
        let dir = Scratch::new();
        let rt = multi_thread(1);
        let handle = rt.handle().clone();
        let mut file = rt.block_on(File::create(dir.join("a"))).unwrap();
        drop(rt);
        let _entered = handle.enter();
        let Poll::Ready(Err(error)) = poll(file.write(b"x")) else {
            panic!("a write was taken over by a runtime that has ended");
        };
        assert!(error.to_string().contains("shut down"), "{error}");
        assert!(matches!(poll(fs::read(dir.join("a"))), Poll::Ready(Err(_))));
        assert!(matches!(poll(file.metadata()), Poll::Ready(Err(_))));
        assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"");
    }

    #[test]
    fn a_task_that_writes_when_its_runtime_ends_has_written_or_knows_better() {
        for _ in 0..50 {
            let dir = Scratch::new();
            let path = dir.join("a");
            let rt = multi_thread(2);
            let (say, said) = mpsc::channel();
            let (begin, began) = mpsc::channel();
            let file = File::from_std(std::fs::File::create(&path).unwrap());
            rt.spawn(async move {
                let mut file = file;
                begin.send(()).unwrap();
                while file.write_all(b"x").await.is_ok() {
                    say.send(()).unwrap();
                }
            });
            began.recv().unwrap();
            drop(rt);
            // What was reported as written is.
            let written = std::fs::read(&path).unwrap().len();
            let reported = said.iter().count();
            assert_eq!(written, reported);
        }
    }
}

mod without_a_thread {
    use super::*;

    /// Runtimes that can start no thread.
    fn threadless() -> [Runtime; 2] {
        [Builder::new_current_thread(), Builder::new_multi_thread()].map(|mut builder| {
            builder.worker_threads(1).thread_stack_size(1 << 56);
            builder.build().unwrap()
        })
    }

    #[test]
    fn operations_fail() {
        for rt in threadless() {
            let dir = Scratch::new();
            let std = std::fs::File::create_new(dir.join("a")).unwrap();
            let mut file = File::from_std(std);
            rt.block_on(async {
                fs::read(dir.join("a")).await.unwrap_err();
                File::open(dir.join("a")).await.unwrap_err();
                fs::read_dir(&*dir).await.unwrap_err();
                file.read(&mut [0; 4]).await.unwrap_err();
                file.seek(SeekFrom::Start(0)).await.unwrap_err();
                file.metadata().await.unwrap_err();
            });
        }
    }

    #[test]
    fn writes_are_done_on_the_spot() {
        for rt in threadless() {
            let dir = Scratch::new();
            let std = std::fs::File::create_new(dir.join("a")).unwrap();
            let mut file = File::from_std(std);
            rt.block_on(async {
                file.write_all(b"hello").await.unwrap();
                assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"hello");
                file.write_all(b"!").await.unwrap();
                file.flush().await.unwrap();
                assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"hello!");
            });
        }
    }
}
