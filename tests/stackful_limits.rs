//! Stacks that cannot be had: too many, too large, no memory; and what there is of them otherwise.
#![cfg(stackful)]

mod common;

use common::{in_child, multi_thread, panic_of};
use runnext::runtime::Builder;
use runnext::stackful::{self, remaining_stack};
use runnext::sync::{oneshot, watch};
use runnext::task::JoinSet;
use runnext::{go, wait};
use std::fs;
use std::io::ErrorKind;

#[test]
fn stacks_are_unmapped_with_their_runtime() {
    fn mapped() -> usize {
        let maps = std::fs::read_to_string("/proc/self/statm").unwrap();
        maps.split(' ').next().unwrap().parse::<usize>().unwrap() * 4096
    }
    let round = || {
        let rt = multi_thread(2);
        rt.block_on(async {
            let tasks: Vec<_> = (0..1000).map(|_| go(stackful::yield_now)).collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    };
    round();
    let before = mapped();
    for _ in 0..20 {
        round();
    }
    // A slab is 64 MiB.
    assert!(mapped() < before + (256 << 20));
}

#[test]
fn that_are_too_many_are_refused() {
    let mut builder = runnext::runtime::Builder::new_multi_thread();
    let rt = builder.worker_threads(2).max_stacks(10).build().unwrap();
    rt.block_on(async {
        let (release, held) = runnext::sync::watch::channel(false);
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let mut held = held.clone();
                go(move || drop(wait(held.wait_for(|go| *go))))
            })
            .collect();
        let error = stackful::Builder::new().go(|| ()).unwrap_err();
        assert!(error.to_string().contains("max_stacks"), "{error}");
        let message = panic_of(|| go(|| ()));
        assert!(message.contains(&error.to_string()), "{message}");
        release.send(true).unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        // The places are free again.
        for _ in 0..100 {
            go(|| ()).await.unwrap();
        }
    });
}

#[test]
fn stacks_have_the_size_that_was_asked_for() {
    let mut builder = runnext::runtime::Builder::new_multi_thread();
    let rt = builder
        .worker_threads(1)
        .stack_size(1 << 20)
        .build()
        .unwrap();
    rt.block_on(async {
        let usual = go(|| remaining_stack().unwrap()).await.unwrap();
        assert!((1_000_000..=1 << 20).contains(&usual), "{usual}");
        for (asked, least) in [
            (0, 8_000),
            (1, 8_000),
            (100_001, 100_001),
            (8 << 20, 8_000_000),
        ] {
            let task = stackful::Builder::new()
                .stack_size(asked)
                .go(|| remaining_stack().unwrap());
            let left = task.unwrap().await.unwrap();
            assert!(left + 4096 >= least, "{asked}: {left}");
        }
        let error = stackful::Builder::new().stack_size(usize::MAX).go(|| ());
        assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    });
    let error = builder.stack_size(usize::MAX).build().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_size_that_no_stack_can_have_is_the_same_mistake_everywhere() {
    const MOST: usize = 1 << 30;
    let rt = multi_thread(1);
    let _guard = rt.enter();
    for size in [MOST + 1, usize::MAX] {
        let refused = stackful::Builder::new().stack_size(size).go(|| ());
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        let text = refused.to_string();
        assert!(text.contains(&size.to_string()), "{text}");
        assert!(text.contains("1 GiB"), "{text}");
        let built = Builder::new_multi_thread().stack_size(size).build();
        assert_eq!(built.unwrap_err().to_string(), text);
    }
    // The largest can be had: memory is only what is touched.
    let task = stackful::Builder::new()
        .stack_size(MOST)
        .go(|| remaining_stack().unwrap());
    let left = rt.block_on(task.unwrap()).unwrap();
    assert!((MOST - 16_384..=MOST).contains(&left), "{left}");
}

#[test]
fn a_size_below_the_least_is_rounded_up() {
    // A panic has room, but not if a backtrace is printed as well.
    if let Some(child) = in_child("a_size_below_the_least_is_rounded_up") {
        let said = String::from_utf8_lossy(&child.stderr);
        return assert!(child.status.success(), "{said}");
    }
    for size in [0, 1, 4095, 16_383] {
        let mut builder = Builder::new_current_thread();
        let rt = builder.stack_size(size).build().unwrap();
        let task = rt.handle().go(|| remaining_stack().unwrap());
        let left = rt.block_on(task).unwrap();
        assert!((8_192..=16_384).contains(&left), "{size}: {left}");
        let task = rt.handle().go(|| panic!("in a small stack"));
        let error: runnext::task::JoinError = rt.block_on(task).unwrap_err();
        assert!(error.is_panic());
    }
}

#[test]
fn the_cap_counts_stacks_of_all_kinds_and_gives_their_places_back() {
    let mut builder = Builder::new_multi_thread();
    let rt = builder.worker_threads(1).max_stacks(4).build().unwrap();
    rt.block_on(async {
        for round in 0..20 {
            let (release, held) = watch::channel(false);
            let waits = || {
                let mut held = held.clone();
                move || drop(wait(held.wait_for(|go| *go)))
            };
            let mut set = JoinSet::new();
            set.go(waits());
            let (tell, told) = oneshot::channel();
            let mut other = waits();
            let large = stackful::Builder::new().stack_size(1 << 20).go(move || {
                tell.send(()).unwrap();
                other();
            });
            set.go(waits());
            // SAFETY: a watch receiver is Send, and nothing else is alive at the wait.
            let migratable = unsafe { stackful::Builder::new().migratable() }.go(waits());
            told.await.unwrap();
            for _ in 0..3 {
                let error = stackful::Builder::new().go(|| ()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
                let error = stackful::Builder::new().stack_size(1 << 20).go(|| ());
                assert_eq!(error.unwrap_err().kind(), ErrorKind::QuotaExceeded);
                let message = panic_of(|| JoinSet::new().go(|| ()));
                assert!(
                    message.contains("cannot start a stackful task"),
                    "{message}"
                );
                let handle = runnext::runtime::Handle::current();
                assert_eq!(panic_of(move || handle.go(|| ())), message);
            }
            // One ends, in one of several ways, and there is room for one.
            let large = large.unwrap();
            if round % 2 == 0 {
                large.abort();
                assert!(large.await.unwrap_err().is_cancelled());
                go(|| ()).await.unwrap();
                release.send(true).unwrap();
            } else {
                release.send(true).unwrap();
                large.await.unwrap();
            }
            migratable.unwrap().await.unwrap();
            while let Some(ended) = set.join_next().await {
                ended.unwrap();
            }
        }
    });
}

/// The address space that this process has, in bytes.
fn mapped() -> u64 {
    let status = fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

/// Limits the address space of this process to `more` bytes than it has, or lifts the limit.
fn limit_address_space(more: Option<u64>) {
    let limit = libc::rlimit {
        rlim_cur: more.map_or(libc::RLIM_INFINITY, |more| mapped() + more),
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the call reads a struct that is there.
    let code = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    assert_eq!(code, 0, "{}", std::io::Error::last_os_error());
}

#[test]
#[cfg_attr(runnext_asan, ignore = "the sanitizer needs address space of its own")]
fn address_space_that_cannot_be_had_is_an_error_until_it_can() {
    if let Some(child) = in_child("address_space_that_cannot_be_had_is_an_error_until_it_can") {
        let said = String::from_utf8_lossy(&child.stderr);
        return assert!(child.status.success(), "{said}");
    }
    let rt = multi_thread(1);
    rt.block_on(async {
        // Threads and heap are there by now.
        go(|| ()).await.unwrap();
        limit_address_space(Some(32 << 20));
        let (release, held) = watch::channel(false);
        let mut tasks = Vec::new();
        let error = loop {
            let mut held = held.clone();
            let f = move || drop(wait(held.wait_for(|go| *go)));
            match stackful::Builder::new().go(f) {
                Ok(task) => tasks.push(task),
                Err(error) => break error,
            }
            // A slab holds more than eight hundred.
            assert!(tasks.len() < 100_000, "the limit has no effect");
        };
        assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
        let text = error.to_string();
        assert!(
            text.contains("ulimit -v") && text.contains("max_stacks"),
            "{text}"
        );
        assert_eq!(
            panic_of(|| go(|| ())),
            format!("cannot start a stackful task: {text}")
        );
        let large = stackful::Builder::new().stack_size(256 << 20).go(|| ());
        assert_eq!(large.unwrap_err().kind(), ErrorKind::OutOfMemory);
        // Those that have a stack go on, and when one ends there is room for one.
        tasks.pop().unwrap().abort();
        while stackful::Builder::new().go(|| ()).is_err() {
            runnext::task::yield_now().await;
        }
        limit_address_space(None);
        let more = stackful::Builder::new().stack_size(256 << 20).go(|| 7);
        assert_eq!(more.unwrap().await.unwrap(), 7);
        for _ in 0..2_000 {
            tasks.push(go(|| ()));
        }
        release.send(true).unwrap();
        for task in tasks {
            task.await.unwrap();
        }
    });
}
