//! What takes a path, and directories: the same as in the standard library, errors included.

#![cfg(all(feature = "fs", unix))]

mod common;
#[path = "common/pool.rs"]
mod pool;
#[path = "common/scratch.rs"]
mod scratch;

use common::{current_thread, multi_thread, on_each_flavor, poll_once};
use pool::{narrow, occupy};
use runnext::fs;
use scratch::Scratch;
use std::collections::HashSet;
use std::fmt::Debug;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::pin::pin;

/// Both fail, with the same error.
#[track_caller]
fn same_error<A: Debug, B: Debug>(ours: io::Result<A>, std: io::Result<B>) {
    let (ours, std) = (ours.unwrap_err(), std.unwrap_err());
    assert_eq!(ours.kind(), std.kind());
    assert_eq!(ours.raw_os_error(), std.raw_os_error());
}

#[test]
fn files_are_written_read_copied_renamed_linked_and_removed() {
    on_each_flavor(|rt| {
        let dir = Scratch::new();
        let path = |name: &str| dir.join(name);
        rt.block_on(async {
            fs::write(path("a"), "hello").await.unwrap();
            fs::write(path("a"), "bye").await.unwrap();
            assert_eq!(fs::read(path("a")).await.unwrap(), b"bye");
            assert_eq!(fs::read_to_string(path("a")).await.unwrap(), "bye");
            assert_eq!(fs::copy(path("a"), path("b")).await.unwrap(), 3);
            fs::rename(path("b"), path("c")).await.unwrap();
            assert!(!fs::try_exists(path("b")).await.unwrap());
            assert!(fs::try_exists(path("c")).await.unwrap());
            fs::hard_link(path("a"), path("d")).await.unwrap();
            let (a, d) = (fs::metadata(path("a")).await, fs::metadata(path("d")).await);
            assert_eq!(a.unwrap().ino(), d.unwrap().ino());
            fs::symlink("a", path("e")).await.unwrap();
            assert_eq!(fs::read_link(path("e")).await.unwrap(), Path::new("a"));
            assert!(fs::symlink_metadata(path("e")).await.unwrap().is_symlink());
            assert!(fs::metadata(path("e")).await.unwrap().is_file());
            assert_eq!(
                fs::canonicalize(path("e")).await.unwrap(),
                std::fs::canonicalize(path("a")).unwrap()
            );
            let permissions = PermissionsExt::from_mode(0o640);
            fs::set_permissions(path("a"), permissions).await.unwrap();
            assert_eq!(fs::metadata(path("a")).await.unwrap().mode() & 0o777, 0o640);
            for name in ["a", "c", "d", "e"] {
                fs::remove_file(path(name)).await.unwrap();
            }
            assert_eq!(std::fs::read_dir(&*dir).unwrap().count(), 0);
        });
    });
}

#[test]
fn directories_are_made_and_removed() {
    let dir = Scratch::new();
    current_thread().block_on(async {
        fs::create_dir(dir.join("a")).await.unwrap();
        fs::create_dir_all(dir.join("a/b/c")).await.unwrap();
        fs::create_dir_all(dir.join("a/b/c")).await.unwrap();
        fs::remove_dir(dir.join("a/b/c")).await.unwrap();
        fs::remove_dir_all(dir.join("a")).await.unwrap();
        assert!(!dir.join("a").exists());
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700).create(dir.join("d")).await.unwrap();
        assert_eq!(
            std::fs::metadata(dir.join("d")).unwrap().mode() & 0o777,
            0o700
        );
        builder.create(dir.join("d")).await.unwrap_err();
        builder.create(dir.join("e/f")).await.unwrap_err();
        builder
            .recursive(true)
            .create(dir.join("e/f"))
            .await
            .unwrap();
        builder.create(dir.join("e/f")).await.unwrap();
    });
}

#[test]
fn they_fail_as_the_standard_library_does() {
    let dir = Scratch::new();
    let missing = &dir.join("missing");
    let file = &dir.join("file");
    let full = &dir.join("full");
    std::fs::write(file, [0xff]).unwrap();
    std::fs::create_dir_all(full.join("of")).unwrap();
    let below = &file.join("below");
    let nul = Path::new("a\0b");
    multi_thread(1).block_on(async {
        for path in [missing, below, nul, Path::new("")] {
            same_error(fs::canonicalize(path).await, std::fs::canonicalize(path));
            same_error(fs::copy(path, missing).await, std::fs::copy(path, missing));
            same_error(
                fs::hard_link(path, missing).await,
                std::fs::hard_link(path, missing),
            );
            same_error(fs::metadata(path).await, std::fs::metadata(path));
            same_error(fs::read(path).await, std::fs::read(path));
            same_error(fs::read_dir(path).await, std::fs::read_dir(path));
            same_error(fs::read_link(path).await, std::fs::read_link(path));
            same_error(
                fs::read_to_string(path).await,
                std::fs::read_to_string(path),
            );
            same_error(fs::remove_dir(path).await, std::fs::remove_dir(path));
            same_error(
                fs::remove_dir_all(path).await,
                std::fs::remove_dir_all(path),
            );
            same_error(fs::remove_file(path).await, std::fs::remove_file(path));
            same_error(
                fs::rename(path, missing).await,
                std::fs::rename(path, missing),
            );
            same_error(
                fs::symlink_metadata(path).await,
                std::fs::symlink_metadata(path),
            );
            let permissions = std::fs::Permissions::from_mode(0o600);
            same_error(
                fs::set_permissions(path, permissions.clone()).await,
                std::fs::set_permissions(path, permissions),
            );
        }
        same_error(fs::create_dir(file).await, std::fs::create_dir(file));
        same_error(
            fs::create_dir_all(below).await,
            std::fs::create_dir_all(below),
        );
        same_error(fs::read(full).await, std::fs::read(full));
        same_error(
            fs::read_to_string(file).await,
            std::fs::read_to_string(file),
        );
        same_error(fs::remove_dir(full).await, std::fs::remove_dir(full));
        same_error(fs::remove_file(full).await, std::fs::remove_file(full));
        same_error(fs::rename(file, full).await, std::fs::rename(file, full));
        same_error(
            fs::symlink("a", file).await,
            std::os::unix::fs::symlink("a", file),
        );
        same_error(fs::try_exists(below).await, std::fs::exists(below));
        same_error(fs::write(full, "a").await, std::fs::write(full, "a"));
        same_error(fs::read_dir(file).await, std::fs::read_dir(file));
    });
}

#[test]
fn a_file_that_may_not_be_read_is_not_read() {
    let dir = Scratch::new();
    let path = &dir.join("a");
    std::fs::write(path, "secret").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o000)).unwrap();
    current_thread().block_on(async {
        // The superuser may read it.
        let (ours, std) = (fs::read(path).await, std::fs::read(path));
        assert_eq!(
            ours.map_err(|error| error.kind()),
            std.map_err(|error| error.kind())
        );
    });
}

mod entries {
    use super::*;

    fn filled(count: usize) -> Scratch {
        let dir = Scratch::new();
        for n in 0..count {
            std::fs::write(dir.join(n.to_string()), "").unwrap();
        }
        dir
    }

    async fn names(entries: &mut fs::ReadDir) -> HashSet<String> {
        let mut names = HashSet::new();
        while let Some(entry) = entries.next_entry().await.unwrap() {
            assert!(names.insert(entry.file_name().into_string().unwrap()));
        }
        names
    }

    #[test]
    fn come_each_once_however_many_there_are() {
        on_each_flavor(|rt| {
            for count in [0, 1, 31, 32, 33, 64, 200] {
                let dir = filled(count);
                let names = rt.block_on(async {
                    let mut entries = fs::read_dir(&*dir).await.unwrap();
                    let names = names(&mut entries).await;
                    // It stays at the end.
                    assert!(entries.next_entry().await.unwrap().is_none());
                    names
                });
                assert_eq!(names, (0..count).map(|n| n.to_string()).collect());
            }
        });
    }

    #[test]
    fn are_not_lost_with_a_future_that_is_dropped() {
        for rt in narrow() {
            let dir = filled(100);
            let mut entries = rt.block_on(fs::read_dir(&*dir)).unwrap();
            let busy = occupy(&rt);
            rt.block_on(async {
                let mut seen = HashSet::new();
                // The first chunk is there, the second cannot be read.
                loop {
                    let mut next = pin!(entries.next_entry());
                    match poll_once(&mut next).await {
                        std::task::Poll::Ready(entry) => {
                            seen.insert(entry.unwrap().unwrap().file_name().into_string().unwrap())
                        }
                        std::task::Poll::Pending => break,
                    };
                }
                assert!(seen.len() < 100);
                drop(busy);
                seen.extend(names(&mut entries).await);
                assert_eq!(seen.len(), 100);
            });
        }
    }

    #[test]
    fn say_what_they_are() {
        let dir = Scratch::new();
        std::fs::write(dir.join("file"), "hello").unwrap();
        std::fs::create_dir(dir.join("directory")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.join("link")).unwrap();
        current_thread().block_on(async {
            let mut entries = fs::read_dir(&*dir).await.unwrap();
            let mut count = 0;
            while let Some(entry) = entries.next_entry().await.unwrap() {
                let name = entry.file_name();
                assert_eq!(entry.path(), dir.join(&name));
                let file_type = entry.file_type().await.unwrap();
                let metadata = entry.metadata().await.unwrap();
                assert_eq!(metadata.file_type(), file_type);
                assert_eq!(metadata.ino(), entry.ino());
                match name.to_str().unwrap() {
                    "file" => assert!(file_type.is_file() && metadata.len() == 5),
                    "directory" => assert!(file_type.is_dir()),
                    "link" => assert!(file_type.is_symlink()),
                    other => panic!("{other} came from nowhere"),
                }
                count += 1;
            }
            assert_eq!(count, 3);
        });
    }

    #[test]
    fn may_be_gone_by_then() {
        let dir = filled(1);
        current_thread().block_on(async {
            let mut entries = fs::read_dir(&*dir).await.unwrap();
            let entry = entries.next_entry().await.unwrap().unwrap();
            std::fs::remove_dir_all(&*dir).unwrap();
            let error = entry.metadata().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            // The type came with the name.
            assert!(entry.file_type().await.unwrap().is_file());
        });
    }
}
