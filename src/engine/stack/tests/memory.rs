//! What the pool takes of the system's memory and address space, and gives back.

use super::child::run_in_child;
use super::{SIZE, give, place, pool, take, touch};
use crate::engine::stack::pool::decay::{PAUSE, PERIOD};
use crate::engine::stack::size::page_size;
use crate::engine::stack::{Cache, Pool, Stack};
use crate::engine::sys::now;
use std::io::ErrorKind;
use std::ptr;

/// How many pages of this stack are in memory; `None` if it is not mapped.
fn resident(limit: usize, size: usize) -> Option<usize> {
    let mut pages = vec![0_u8; size / page_size()];
    let start = ptr::without_provenance_mut(limit);
    // SAFETY: the call writes one byte for each page.
    let code = unsafe { libc::mincore(start, size, pages.as_mut_ptr()) };
    (code == 0).then(|| pages.iter().filter(|&&page| page & 1 == 1).count())
}

/// Where a stack lies.
fn area(stack: &Stack) -> (usize, usize) {
    (stack.limit().addr().get(), stack.size())
}

/// Whether the byte at `address` can be read, found out without reading it.
fn is_readable(address: usize) -> bool {
    let mut byte = 0_u8;
    let local = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let remote = libc::iovec {
        iov_base: ptr::without_provenance_mut(address),
        iov_len: 1,
    };
    // SAFETY: the call writes a byte to the local place, and fails where there is no remote one.
    let read = unsafe {
        libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
    };
    read == 1
}

#[track_caller]
fn assert_guarded(stack: &Stack) {
    let limit = stack.limit().addr().get();
    assert!(is_readable(limit));
    assert!(!is_readable(limit - 1));
    assert!(!is_readable(limit - (16 << 10)));
}

#[test]
fn every_stack_has_a_guard_however_it_is_made() {
    for mprotect in [false, true] {
        let pool = Pool::with_guards(SIZE, 1000, mprotect);
        let mut cache = Cache::default();
        pool.promise(200).unwrap();
        // In batches, one at a time, and alone.
        let mut stacks = take(&pool, &mut cache, 100);
        stacks.extend((0..100).map(|_| pool.take(None).unwrap()));
        stacks.push(pool.take_sized(5 * SIZE).unwrap());
        stacks.iter().for_each(assert_guarded);
        assert_eq!(
            pool.guards.by_mprotect(),
            mprotect || cfg!(runnext_mprotect_guards)
        );
        for stack in stacks {
            pool.give(None, stack);
        }
        pool.drain(&mut cache);
    }
}

#[test]
fn a_stack_is_resident_only_as_far_as_it_was_touched() {
    let pool = pool(100);
    let mut cache = Cache::default();
    pool.promise(64).unwrap();
    for _ in 0..64 {
        let stack = pool.take(Some(&mut cache)).unwrap();
        let (limit, size) = area(&stack);
        assert_eq!(resident(limit, size), Some(0));
        stack.set_owner(ptr::null());
        // SAFETY: the byte is in the stack, which is ours.
        unsafe { stack.top().sub(1).write_volatile(1) };
        assert_eq!(resident(limit, size), Some(1));
    }
}

#[test]
fn no_stack_is_ever_in_a_huge_page() {
    if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        // This kernel was built without.
        return;
    }
    let pool = pool(1);
    pool.promise(1).unwrap();
    let stack = pool.take(None).unwrap();
    let at = area(&stack).0;
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut here = false;
    let flags = maps.lines().find(|line| {
        if let Some((range, _)) = line.split_once(' ')
            && let Some((from, to)) = range.split_once('-')
            && let (Ok(from), Ok(to)) = (
                usize::from_str_radix(from, 16),
                usize::from_str_radix(to, 16),
            )
        {
            here = (from..to).contains(&at);
        }
        here && line.starts_with("VmFlags:")
    });
    let flags = flags.expect("the stack is in a map that has flags");
    assert!(flags.split(' ').any(|flag| flag == "nh"), "{flags}");
}

/// A pool with `count` free stacks on its global list, all touched; and where they lie.
fn with_free(count: usize) -> (Pool, Vec<(usize, usize)>) {
    let pool = pool(count);
    let mut cache = Cache::default();
    pool.promise(count).unwrap();
    let stacks = take(&pool, &mut cache, count);
    let areas: Vec<(usize, usize)> = stacks.iter().map(area).collect();
    assert!(
        areas
            .iter()
            .all(|&(limit, size)| resident(limit, size) == Some(2))
    );
    assert!(!pool.wants_decay());
    give(&pool, &mut cache, stacks);
    pool.drain(&mut cache);
    pool.unpromise(count);
    (pool, areas)
}

#[test]
fn memory_that_is_not_used_is_given_back_by_halves() {
    // 4 batches of 32, so that there are no stacks in the cache that were not touched.
    let (pool, areas) = with_free(128);
    let is_released = |&&(limit, size): &&(usize, usize)| resident(limit, size) == Some(0);
    assert!(pool.wants_decay());
    let mut now = now();
    assert_eq!(pool.decay(now), Some(PERIOD));
    assert!(!pool.wants_decay());
    assert_eq!(pool.decay(now + PERIOD / 4), Some(PERIOD * 3 / 4));
    assert_eq!(pool.counts().free_touched, 128);
    for left in [64, 32, 16, 8, 4, 2, 1] {
        now += PERIOD;
        assert_eq!(pool.decay(now), Some(PERIOD));
        assert_eq!(pool.counts().free_touched, left);
        assert_eq!(pool.counts().free_released, 128 - left);
        assert_eq!(areas.iter().filter(is_released).count(), 128 - left);
    }
    now += PERIOD;
    assert_eq!(pool.decay(now), None);
    assert!(areas.iter().all(|area| is_released(&area)));
    assert!(!pool.wants_decay());

    // They are as good as new, guards and all.
    pool.promise(128).unwrap();
    let mut cache = Cache::default();
    let stacks = take(&pool, &mut cache, 128);
    stacks.iter().for_each(assert_guarded);
    assert_eq!(pool.counts().carved, 128);
    give(&pool, &mut cache, stacks);
    assert!(pool.wants_decay());
}

#[test]
fn memory_that_was_used_meanwhile_is_not_given_back() {
    let (pool, _) = with_free(128);
    let start = now();
    pool.decay(start);
    pool.promise(100).unwrap();
    let stacks: Vec<Stack> = (0..100).map(|_| pool.take(None).unwrap()).collect();
    stacks.into_iter().for_each(|stack| pool.give(None, stack));
    pool.decay(start + PERIOD);
    // Half of the 28 that stayed.
    assert_eq!(pool.counts().free_released, 14);
    // The oldest are released, and the youngest are taken.
    let youngest = pool.take(None).unwrap();
    assert_eq!(resident(area(&youngest).0, SIZE), Some(2));
}

#[test]
fn much_memory_is_given_back_in_small_parts() {
    let (pool, _) = with_free(1024);
    let start = now();
    pool.decay(start);
    let mut calls = 0;
    let mut next = pool.decay(start + PERIOD);
    while next == Some(PAUSE) {
        calls += 1;
        next = pool.decay(start + PERIOD);
    }
    assert_eq!(next, Some(PERIOD));
    assert_eq!(pool.counts().free_released, 512);
    assert_eq!(calls, 512 / pool.chunk());
    assert!(calls > 0);
}

#[test]
fn a_list_that_was_emptied_needs_no_more_calls() {
    let (pool, _) = with_free(64);
    let start = now();
    assert_eq!(pool.decay(start), Some(PERIOD));
    pool.promise(64).unwrap();
    let stacks: Vec<Stack> = (0..64).map(|_| pool.take(None).unwrap()).collect();
    assert_eq!(pool.decay(start + PERIOD), None);
    stacks.into_iter().for_each(|stack| pool.give(None, stack));
    assert!(pool.wants_decay());
    assert_eq!(pool.decay(start + PERIOD), Some(PERIOD));
}

#[test]
fn large_stacks_are_unmapped_when_nobody_wants_them() {
    let pool = pool(100);
    let stacks: Vec<Stack> = (0..40)
        .map(|_| pool.take_sized(10 * SIZE).unwrap())
        .collect();
    stacks.iter().for_each(touch);
    let all = pool.counts().mapped;
    stacks.into_iter().for_each(|stack| pool.give(None, stack));
    assert_eq!(pool.counts().free_sized, 16);
    assert!(pool.counts().mapped < all / 2);
    assert!(pool.wants_decay());
    let mut now = now();
    while let Some(wait) = pool.decay(now) {
        assert_eq!(wait, PERIOD);
        now += wait;
    }
    assert_eq!(pool.counts().free_sized, 0);
    assert_eq!(pool.counts().mapped, 0);
}

/// What is at an address stays the same only while no other thread maps anything.
#[test]
fn dropping_a_pool_unmaps_its_slabs() {
    run_in_child("memory::dropping_a_pool_unmaps_its_slabs", || {
        let pool = pool(3000);
        let mut cache = Cache::default();
        pool.promise(2000).unwrap();
        let stacks = take(&pool, &mut cache, 2000);
        let sized = pool.take_sized(3 * SIZE).unwrap();
        let mut areas: Vec<(usize, usize)> = stacks.iter().map(area).collect();
        areas.push(area(&sized));
        let is_mapped = |&(limit, size): &(usize, usize)| resident(limit, size).is_some();
        assert!(areas.iter().all(is_mapped));
        give(&pool, &mut cache, stacks);
        pool.give(None, sized);
        pool.drain(&mut cache);
        drop(pool);
        let left = areas.iter().filter(|area| is_mapped(area)).count();
        assert_eq!(left, 0);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let covers = |line: &str| {
            let (low, rest) = line.split_once('-').unwrap();
            let (high, _) = rest.split_once(' ').unwrap();
            let [low, high] = [low, high].map(|end| usize::from_str_radix(end, 16).unwrap());
            areas.iter().any(|&(limit, _)| (low..high).contains(&limit))
        };
        assert!(!maps.lines().any(covers), "{maps}");
    })
    .passed();
}

#[test]
fn a_stack_that_was_leaked_stays_when_its_pool_goes() {
    run_in_child(
        "memory::a_stack_that_was_leaked_stays_when_its_pool_goes",
        || {
            let pool = Pool::new(SIZE, 3000);
            pool.promise(2000).unwrap();
            let mut stacks: Vec<Stack> = (0..2000).map(|_| pool.take(None).unwrap()).collect();
            stacks.iter().for_each(touch);
            // In the second slab of three.
            let leaked = stacks.swap_remove(1000);
            let leaked_sized = pool.take_sized(3 * SIZE).unwrap();
            let sized = pool.take_sized(3 * SIZE).unwrap();
            let gone = [&stacks[0], &stacks[1998], &sized].map(area);
            let beside = area(&stacks[999]);
            stacks.into_iter().for_each(|stack| pool.give(None, stack));
            pool.give(None, sized);
            drop(pool);
            touch(&leaked);
            touch(&leaked_sized);
            assert_guarded(&leaked);
            // The leaked stack keeps its neighbours mapped, but not their memory.
            assert_eq!(resident(beside.0, beside.1), Some(0));
            assert_eq!(gone.map(|(limit, size)| resident(limit, size)), [None; 3]);
        },
    )
    .passed();
}

/// Lets the process map `more` bytes than it has now.
fn limit_address_space(more: usize) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').next().unwrap().parse().unwrap();
    let limit = (pages * page_size() + more) as libc::rlim_t;
    let limit = libc::rlimit {
        rlim_cur: limit,
        rlim_max: limit,
    };
    // SAFETY: the call reads the struct.
    let code = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    assert_eq!(code, 0);
}

#[test]
fn too_little_address_space_is_an_error_that_says_so() {
    run_in_child(
        "memory::too_little_address_space_is_an_error_that_says_so",
        || {
            let pool = pool(1_000_000);
            limit_address_space(48 << 20);
            // Not a whole slab, but what is needed.
            pool.promise(100).unwrap();
            assert!(pool.counts().mapped < 48 << 20);
            let mut cache = Cache::default();
            let stacks = take(&pool, &mut cache, 100);
            stacks.iter().for_each(assert_guarded);

            let error = pool.promise(100_000).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutOfMemory);
            let text = error.to_string();
            for part in ["65536 bytes", "ulimit -v", "Builder::max_stacks"] {
                assert!(text.contains(part), "{text}");
            }
            assert_eq!(pool.counts().promised, 100);
            let error = pool.take_sized(1 << 30).unwrap_err();
            assert!(error.to_string().contains("stackful::Builder"), "{error}");
            assert_eq!(pool.counts().sized, 0);

            // Promises are kept where there is no room for caches, too.
            while pool.promise(1).is_ok() {}
            let promised = pool.counts().promised;
            let mut caches: Vec<Cache> = (0..50).map(|_| Cache::default()).collect();
            give(&pool, &mut caches[0], stacks);
            for turn in 0..promised {
                let cache = &mut caches[turn % 50];
                let stack = pool.take(Some(cache)).unwrap();
                std::hint::black_box(place(&stack));
            }
        },
    )
    .passed();
}

#[test]
#[cfg_attr(runnext_asan, ignore = "the sanitizer has mlockall do nothing")]
fn locked_memory_gets_its_guards_by_mprotect() {
    run_in_child("memory::locked_memory_gets_its_guards_by_mprotect", || {
        const MCL_ONFAULT: i32 = 4;
        // SAFETY: locks what is mapped from now on as it is touched.
        let code = unsafe { libc::mlockall(libc::MCL_FUTURE | MCL_ONFAULT) };
        assert_eq!(code, 0);
        let pool = pool(100);
        pool.promise(10).unwrap();
        let stacks: Vec<Stack> = (0..10).map(|_| pool.take(None).unwrap()).collect();
        assert!(pool.guards.by_mprotect());
        stacks.iter().for_each(assert_guarded);
    })
    .passed();
}

#[test]
#[cfg_attr(runnext_asan, ignore = "the sanitizer needs mappings of its own")]
fn too_many_mappings_are_an_error_that_says_so() {
    let maximum = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    if maximum.trim().parse::<usize>().unwrap() > 100_000 {
        return; // It would take long, and tell nothing new.
    }
    run_in_child(
        "memory::too_many_mappings_are_an_error_that_says_so",
        || {
            let pool = Pool::with_guards(SIZE, 100_000, true);
            pool.promise(60_000).unwrap();
            let mut stacks = Vec::new();
            let error = loop {
                match pool.take(None) {
                    Ok(stack) => stacks.push(stack),
                    Err(error) => break error,
                }
            };
            assert!(stacks.len() > 10_000, "{}: {error}", stacks.len());
            assert!(error.to_string().contains("vm.max_map_count"), "{error}");
            // The pool is whole: what comes back can be had again.
            pool.give(None, stacks.pop().unwrap());
            assert_guarded(&pool.take(None).unwrap());
        },
    )
    .passed();
}
