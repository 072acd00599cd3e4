//! Files: what reads, writes and seeks do, in any order, and when one fails or is given up.

#![cfg(all(feature = "fs", feature = "tokio-io"))]

mod common;
#[path = "common/pool.rs"]
mod pool;
#[path = "common/scratch.rs"]
mod scratch;

use common::{current_thread, multi_thread, on_each_flavor, poll_once};
use pool::{narrow, occupy};
use runnext::fs::{File, FileTimes};
use runnext::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader, SeekFrom};
use scratch::Scratch;
use std::io::{ErrorKind, Read, Seek, Write};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

fn read_and_write(path: &std::path::Path) -> File {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    File::from_std(options.open(path).unwrap())
}

mod in_order {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_without_a_flush() {
        on_each_flavor(|rt| {
            let dir = Scratch::new();
            rt.block_on(async {
                let mut file = File::create_new(dir.join("a")).await.unwrap();
                file.write_all(b"hello, ").await.unwrap();
                file.write_all(b"world").await.unwrap();
                assert_eq!(file.seek(SeekFrom::Start(3)).await.unwrap(), 3);
                let mut text = String::new();
                file.read_to_string(&mut text).await.unwrap();
                assert_eq!(text, "lo, world");
                assert_eq!(file.stream_position().await.unwrap(), 12);
                assert_eq!(file.read(&mut [0; 4]).await.unwrap(), 0);
            });
        });
    }

    #[test]
    fn reads_writes_and_seeks_follow_one_another_as_in_std() {
        let dir = Scratch::new();
        let (ours, theirs) = (dir.join("ours"), dir.join("theirs"));
        std::fs::write(&ours, vec![b'.'; 300]).unwrap();
        std::fs::write(&theirs, vec![b'.'; 300]).unwrap();
        let mut options = std::fs::OpenOptions::new();
        let mut std = options.read(true).write(true).open(&theirs).unwrap();
        current_thread().block_on(async {
            let mut file = read_and_write(&ours);
            file.set_max_buf_size(64);
            let mut random = common::Random::new(7);
            for n in 0..500_u64 {
                let size = usize::try_from(random.below(40)).unwrap();
                match random.below(4) {
                    0 => {
                        let bytes = vec![b'a' + u8::try_from(n % 26).unwrap(); size];
                        file.write_all(&bytes).await.unwrap();
                        std.write_all(&bytes).unwrap();
                    }
                    1 => {
                        let (mut a, mut b) = (vec![0; size], vec![0; size]);
                        assert_eq!(file.read(&mut a).await.unwrap(), std.read(&mut b).unwrap());
                        assert_eq!(a, b);
                    }
                    2 => {
                        let to = SeekFrom::Start(random.below(400));
                        assert_eq!(file.seek(to).await.unwrap(), std.seek(to).unwrap());
                    }
                    _ => {
                        let to = SeekFrom::Current(i64::try_from(size).unwrap() - 20);
                        let (a, b) = (file.seek(to).await, std.seek(to));
                        assert_eq!(a.is_ok(), b.is_ok(), "{a:?} and {b:?}");
                        assert_eq!(a.ok(), b.ok());
                    }
                }
            }
            file.flush().await.unwrap();
        });
        assert_eq!(std::fs::read(ours).unwrap(), std::fs::read(theirs).unwrap());
    }

    #[test]
    fn one_operation_moves_no_more_than_the_maximum() {
        let dir = Scratch::new();
        current_thread().block_on(async {
            let mut file = read_and_write(&dir.join("a"));
            assert_eq!(file.max_buf_size(), 2 * 1024 * 1024);
            file.set_max_buf_size(4);
            assert_eq!(file.write(b"0123456789").await.unwrap(), 4);
            let parts = ["ab", "cd", "ef"].map(|part| std::io::IoSlice::new(part.as_bytes()));
            assert_eq!(file.write_vectored(&parts).await.unwrap(), 4);
            file.rewind().await.unwrap();
            let mut bytes = [0; 16];
            assert_eq!(file.read(&mut bytes).await.unwrap(), 4);
            assert_eq!(file.read(&mut bytes[4..]).await.unwrap(), 4);
            assert_eq!(&bytes[..8], b"0123abcd");
            assert_eq!(file.try_clone().await.unwrap().max_buf_size(), 4);
            let message = common::panic_of(|| file.set_max_buf_size(0));
            assert!(message.contains("`max_buf_size` cannot be 0"), "{message}");
        });
    }

    #[test]
    fn a_large_file_goes_through_whole() {
        let dir = Scratch::new();
        let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n / 7) as u8).collect();
        multi_thread(2).block_on(async {
            let mut file = File::create(dir.join("a")).await.unwrap();
            file.write_all(&bytes).await.unwrap();
            file.shutdown().await.unwrap();
            let file = File::open(dir.join("a")).await.unwrap();
            let mut read = Vec::new();
            BufReader::new(file).read_to_end(&mut read).await.unwrap();
            assert!(read == bytes);
        });
    }

    #[test]
    fn the_traits_of_futures_do_the_same() {
        use futures::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
        let dir = Scratch::new();
        current_thread().block_on(async {
            let mut file = read_and_write(&dir.join("a"));
            AsyncWriteExt::write_all(&mut file, b"hello").await.unwrap();
            assert_eq!(
                AsyncSeekExt::seek(&mut file, SeekFrom::Current(-4))
                    .await
                    .unwrap(),
                1
            );
            let mut text = String::new();
            AsyncReadExt::read_to_string(&mut file, &mut text)
                .await
                .unwrap();
            assert_eq!(text, "ello");
            let end = AsyncSeekExt::seek(&mut file, SeekFrom::End(-1)).await;
            assert_eq!(end.unwrap(), 4);
            AsyncWriteExt::write_all(&mut file, b"!").await.unwrap();
            AsyncWriteExt::close(&mut file).await.unwrap();
            assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"hell!");
        });
    }

    #[test]
    fn clones_share_their_position() {
        let dir = Scratch::new();
        current_thread().block_on(async {
            let mut first = read_and_write(&dir.join("a"));
            first.write_all(b"one").await.unwrap();
            let mut second = first.try_clone().await.unwrap();
            second.write_all(b"two").await.unwrap();
            second.flush().await.unwrap();
            first.write_all(b"three").await.unwrap();
            first.flush().await.unwrap();
            assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"onetwothree");
        });
    }

    #[test]
    fn clones_that_append_at_once_keep_each_line_whole() {
        let dir = Scratch::new();
        let path = dir.join("a");
        multi_thread(2).block_on(async {
            let file = File::options()
                .append(true)
                .create(true)
                .open(&path)
                .await
                .unwrap();
            let mut tasks = runnext::task::JoinSet::new();
            for n in 0..8 {
                let mut file = file.try_clone().await.unwrap();
                tasks.spawn(async move {
                    let line = format!("{}\n", n.to_string().repeat(100));
                    for _ in 0..50 {
                        file.write_all(line.as_bytes()).await.unwrap();
                    }
                    file.flush().await.unwrap();
                });
            }
            tasks.join_all().await;
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 400);
        for line in text.lines() {
            assert_eq!(line, line[..1].repeat(100));
        }
    }

    #[test]
    fn the_length_changes_after_what_was_written_and_the_position_stays() {
        let dir = Scratch::new();
        current_thread().block_on(async {
            let mut file = read_and_write(&dir.join("a"));
            file.write_all(b"hello").await.unwrap();
            file.set_len(3).await.unwrap();
            assert_eq!(file.metadata().await.unwrap().len(), 3);
            file.write_all(b"!").await.unwrap();
            file.set_len(7).await.unwrap();
            assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"hel\0\0!\0");
        });
    }

    #[test]
    fn times_are_set_after_what_was_written() {
        let dir = Scratch::new();
        current_thread().block_on(async {
            let mut file = read_and_write(&dir.join("a"));
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
            file.write_all(b"hello").await.unwrap();
            file.set_times(FileTimes::new().set_accessed(then))
                .await
                .unwrap();
            file.write_all(b"hello").await.unwrap();
            file.set_modified(then).await.unwrap();
            let metadata = file.metadata().await.unwrap();
            assert_eq!(metadata.len(), 10);
            assert_eq!(metadata.modified().unwrap(), then);
            assert_eq!(metadata.accessed().unwrap(), then);
        });
    }

    #[test]
    fn it_serves_on_another_runtime() {
        let dir = Scratch::new();
        let (first, second) = (current_thread(), multi_thread(1));
        let mut file = first.block_on(File::create_new(dir.join("a"))).unwrap();
        first.block_on(file.write_all(b"first, ")).unwrap();
        second.block_on(file.write_all(b"second")).unwrap();
        drop(first);
        second.block_on(async {
            file.rewind().await.unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "first, second");
        });
    }
}

mod buffered {
    use super::*;

    #[test]
    fn a_write_is_over_before_it_is_done_and_a_flush_waits() {
        for rt in narrow() {
            let dir = Scratch::new();
            let mut file = read_and_write(&dir.join("a"));
            let busy = occupy(&rt);
            rt.block_on(async {
                file.write_all(b"hello").await.unwrap();
                assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"");
                assert!(poll_once(&mut pin!(file.flush())).await.is_pending());
                // The next write waits for the first.
                assert!(poll_once(&mut pin!(file.write(b"!"))).await.is_pending());
                drop(busy);
                file.write_all(b"!").await.unwrap();
                file.flush().await.unwrap();
                assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"hello!");
            });
        }
    }

    #[test]
    fn a_file_that_is_dropped_is_written_all_the_same() {
        for rt in narrow() {
            let dir = Scratch::new();
            let mut file = read_and_write(&dir.join("a"));
            let busy = occupy(&rt);
            rt.block_on(file.write_all(b"hello")).unwrap();
            drop(file);
            drop(busy);
            drop(rt);
            assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"hello");
        }
    }

    #[test]
    fn a_read_that_was_dropped_brings_its_bytes_to_the_next() {
        for rt in narrow() {
            let dir = Scratch::new();
            std::fs::write(dir.join("a"), "0123456789").unwrap();
            let mut file = read_and_write(&dir.join("a"));
            let busy = occupy(&rt);
            rt.block_on(async {
                let mut bytes = [0; 10];
                let read = poll_once(&mut pin!(file.read(&mut bytes[..6]))).await;
                assert!(read.is_pending());
                drop(busy);
                assert_eq!(file.read(&mut bytes[..2]).await.unwrap(), 2);
                assert_eq!(file.read(&mut bytes[2..]).await.unwrap(), 4);
                assert_eq!(file.read(&mut bytes[6..]).await.unwrap(), 4);
                assert_eq!(&bytes, b"0123456789");
            });
        }
    }

    /// A file of ten digits, of which two were taken, and four read by a read that was dropped.
    async fn with_four_unread(rt: &runnext::runtime::Runtime, path: &std::path::Path) -> File {
        std::fs::write(path, "0123456789").unwrap();
        let mut file = read_and_write(path);
        let busy = occupy(rt);
        let mut bytes = [0; 6];
        assert!(
            poll_once(&mut pin!(file.read(&mut bytes)))
                .await
                .is_pending()
        );
        drop(busy);
        assert_eq!(file.read(&mut bytes[..2]).await.unwrap(), 2);
        file
    }

    #[test]
    fn what_nobody_took_was_not_read_for_all_that_follows() {
        for rt in narrow() {
            let dir = Scratch::new();
            let path = dir.join("a");
            rt.block_on(async {
                let mut file = with_four_unread(&rt, &path).await;
                assert_eq!(file.stream_position().await.unwrap(), 2);

                let mut file = with_four_unread(&rt, &path).await;
                assert_eq!(file.seek(SeekFrom::Current(1)).await.unwrap(), 3);

                let mut file = with_four_unread(&rt, &path).await;
                file.seek(SeekFrom::Current(-3)).await.unwrap_err();
                assert_eq!(file.read_u8().await.unwrap(), b'2');

                let mut file = with_four_unread(&rt, &path).await;
                file.write_all(b"x").await.unwrap();
                file.flush().await.unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), b"01x3456789");

                let mut file = with_four_unread(&rt, &path).await;
                file.set_len(5).await.unwrap();
                assert_eq!(file.read_u8().await.unwrap(), b'2');

                let file = with_four_unread(&rt, &path).await;
                let mut clone = file.try_clone().await.unwrap();
                assert_eq!(clone.read_u8().await.unwrap(), b'2');

                let file = with_four_unread(&rt, &path).await;
                assert_eq!(file.into_std().await.stream_position().unwrap(), 2);
            });
        }
    }

    #[test]
    fn a_seek_that_was_dropped_is_done_before_the_next_operation() {
        for rt in narrow() {
            let dir = Scratch::new();
            std::fs::write(dir.join("a"), "0123456789").unwrap();
            let mut file = read_and_write(&dir.join("a"));
            let busy = occupy(&rt);
            rt.block_on(async {
                let seek = poll_once(&mut pin!(file.seek(SeekFrom::Start(5)))).await;
                assert!(seek.is_pending());
                drop(busy);
                assert_eq!(file.read_u8().await.unwrap(), b'5');
            });
            let busy = occupy(&rt);
            rt.block_on(async {
                use futures::io::AsyncSeekExt;
                let to = SeekFrom::Start(7);
                let seek = poll_once(&mut AsyncSeekExt::seek(&mut file, to)).await;
                assert!(seek.is_pending());
                drop(busy);
                let to = SeekFrom::Current(1);
                assert_eq!(AsyncSeekExt::seek(&mut file, to).await.unwrap(), 8);
                assert_eq!(file.read_u8().await.unwrap(), b'8');
            });
        }
    }

    #[test]
    fn a_change_of_length_that_was_dropped_is_done_before_the_next_operation() {
        for rt in narrow() {
            let dir = Scratch::new();
            std::fs::write(dir.join("a"), "0123456789").unwrap();
            let mut file = read_and_write(&dir.join("a"));
            let busy = occupy(&rt);
            rt.block_on(async {
                assert!(poll_once(&mut pin!(file.set_len(0))).await.is_pending());
                drop(busy);
                file.write_all(b"new").await.unwrap();
                file.flush().await.unwrap();
            });
            assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"new");
        }
    }

    #[test]
    fn seeking_over_an_operation_by_hand_is_refused() {
        use runnext::io::AsyncSeek;
        use std::pin::Pin;
        for rt in narrow() {
            let dir = Scratch::new();
            let mut file = read_and_write(&dir.join("a"));
            let busy = occupy(&rt);
            rt.block_on(async {
                file.write_all(b"hello").await.unwrap();
                let error = Pin::new(&mut file)
                    .start_seek(SeekFrom::Start(0))
                    .unwrap_err();
                assert!(error.to_string().contains("`poll_complete`"), "{error}");
                drop(busy);
                file.rewind().await.unwrap();
            });
        }
    }

    #[test]
    fn completing_a_seek_that_is_complete_says_where_it_went() {
        use runnext::io::AsyncSeek;
        use std::pin::Pin;
        let dir = Scratch::new();
        current_thread().block_on(async {
            let mut file = read_and_write(&dir.join("a"));
            file.seek(SeekFrom::Start(3)).await.unwrap();
            let complete = std::future::poll_fn(|cx| Pin::new(&mut file).poll_complete(cx));
            assert_eq!(complete.await.unwrap(), 3);
        });
    }

    #[test]
    fn it_goes_back_to_std_when_nothing_is_under_way() {
        for rt in narrow() {
            let dir = Scratch::new();
            let mut file = read_and_write(&dir.join("a"));
            let busy = occupy(&rt);
            rt.block_on(async {
                file.write_all(b"hello").await.unwrap();
                let file = file.try_into_std().unwrap_err();
                let mut back = pin!(file.into_std());
                assert!(poll_once(&mut back).await.is_pending());
                drop(busy);
                let std = back.await;
                assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"hello");
                File::from_std(std).try_into_std().unwrap();
            });
        }
    }

    #[test]
    fn it_goes_back_to_std_while_a_question_that_was_dropped_is_under_way() {
        for rt in narrow() {
            let dir = Scratch::new();
            std::fs::write(dir.join("a"), "hello").unwrap();
            let file = read_and_write(&dir.join("a"));
            let _busy = occupy(&rt);
            rt.block_on(async {
                assert!(poll_once(&mut pin!(file.metadata())).await.is_pending());
                let mut text = String::new();
                file.into_std().await.read_to_string(&mut text).unwrap();
                assert_eq!(text, "hello");
            });
        }
    }
}

mod failing {
    use super::*;

    /// A file that can only be read, and has been written to.
    async fn failed_write(path: &std::path::Path) -> File {
        std::fs::write(path, "hello").unwrap();
        let mut file = File::open(path).await.unwrap();
        file.write_all(b"x").await.unwrap();
        file
    }

    #[test]
    fn an_error_of_a_write_is_reported_once_by_what_comes_next() {
        on_each_flavor(|rt| {
            let dir = Scratch::new();
            let path = dir.join("a");
            // EBADF, which has no kind of its own.
            let said = |result: std::io::Result<()>| {
                assert_eq!(result.unwrap_err().raw_os_error(), Some(9));
            };
            rt.block_on(async {
                let mut file = failed_write(&path).await;
                said(file.flush().await);
                file.flush().await.unwrap();
                let mut file = failed_write(&path).await;
                said(file.write_all(b"y").await);
                let mut file = failed_write(&path).await;
                said(file.shutdown().await);
                let file = failed_write(&path).await;
                said(file.sync_all().await);
                file.sync_all().await.unwrap();
                let file = failed_write(&path).await;
                said(file.sync_data().await);

                // Others leave it for those.
                let mut file = failed_write(&path).await;
                assert_eq!(file.read_u8().await.unwrap(), b'h');
                assert_eq!(file.seek(SeekFrom::Start(1)).await.unwrap(), 1);
                file.set_modified(SystemTime::now()).await.unwrap();
                said(file.flush().await);
                file.flush().await.unwrap();
            });
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_reported() {
        current_thread().block_on(async {
            let mut options = File::options();
            let mut file = options.write(true).open("/dev/full").await.unwrap();
            file.write_all(b"hello").await.unwrap();
            assert_eq!(
                file.flush().await.unwrap_err().kind(),
                ErrorKind::StorageFull
            );
        });
    }

    #[test]
    fn opening_fails_as_in_std() {
        let dir = Scratch::new();
        std::fs::write(dir.join("a"), "hello").unwrap();
        current_thread().block_on(async {
            let missing = File::open(dir.join("b")).await.unwrap_err();
            assert_eq!(missing.kind(), ErrorKind::NotFound);
            let there = File::create_new(dir.join("a")).await.unwrap_err();
            assert_eq!(there.kind(), ErrorKind::AlreadyExists);
            let directory = File::create(&*dir).await.unwrap_err();
            assert_eq!(directory.kind(), ErrorKind::IsADirectory);
            let nothing = File::options().open(dir.join("a")).await.unwrap_err();
            assert_eq!(nothing.kind(), ErrorKind::InvalidInput);
        });
    }

    #[test]
    fn reading_a_directory_or_a_file_open_for_writing_fails_and_goes_on_failing() {
        let dir = Scratch::new();
        current_thread().block_on(async {
            let mut directory = File::open(&*dir).await.unwrap();
            for _ in 0..2 {
                let error = directory.read(&mut [0; 4]).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::IsADirectory);
            }
            let mut file = File::create(dir.join("a")).await.unwrap();
            for _ in 0..2 {
                assert!(file.read(&mut [0; 4]).await.is_err());
            }
            file.write_all(b"hello").await.unwrap();
            file.flush().await.unwrap();
        });
    }

    #[test]
    fn a_poll_after_the_end_of_a_read_is_a_new_read() {
        let dir = Scratch::new();
        std::fs::write(dir.join("a"), "").unwrap();
        current_thread().block_on(async {
            let mut file = File::open(dir.join("a")).await.unwrap();
            assert_eq!(file.read(&mut [0; 4]).await.unwrap(), 0);
            std::fs::write(dir.join("a"), "more").unwrap();
            assert_eq!(file.read(&mut [0; 4]).await.unwrap(), 4);
            assert!(matches!(
                poll_once(&mut pin!(file.read(&mut []))).await,
                Poll::Ready(Ok(0))
            ));
        });
    }
}

#[cfg(unix)]
#[test]
fn a_file_is_made_of_a_raw_descriptor_and_closes_it() {
    use std::io::Read;
    use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};

    on_each_flavor(|rt| {
        rt.block_on(async {
            let (mut end, write) = std::io::pipe().unwrap();
            // SAFETY: the descriptor is open, and was given up.
            let mut file = unsafe { File::from_raw_fd(write.into_raw_fd()) };
            assert!(file.as_raw_fd() >= 0);
            file.write_all(b"text").await.unwrap();
            file.flush().await.unwrap();
            drop(file);
            // It ends, so it was closed.
            let mut text = String::new();
            end.read_to_string(&mut text).unwrap();
            assert_eq!(text, "text");
        });
    });
}
