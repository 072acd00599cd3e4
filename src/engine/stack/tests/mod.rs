//! Stacks from the pool: who gets which, how many there may be, and what becomes of the memory.

mod child;
mod memory;
mod overflow;

use super::{COLOR, COLORS, Cache, Counts, Pool, Stack, normalise};
use crate::engine::primitive::thread;
use std::collections::HashSet;
use std::io::ErrorKind;

const SIZE: usize = 64 << 10;

fn pool(max: usize) -> Pool {
    Pool::new(SIZE, max)
}

/// Where a stack ends, which tells stacks apart.
fn place(stack: &Stack) -> usize {
    stack.top().addr().get()
}

/// Takes `count` stacks, and touches them.
fn take(pool: &Pool, cache: &mut Cache, count: usize) -> Vec<Stack> {
    let stacks: Vec<Stack> = (0..count)
        .map(|_| pool.take(Some(cache)).unwrap())
        .collect();
    stacks.iter().for_each(touch);
    stacks
}

/// Writes to the first and the last byte of a stack.
fn touch(stack: &Stack) {
    // SAFETY: both bytes are in the stack, which is ours.
    unsafe {
        stack.top().sub(1).write_volatile(1);
        stack.limit().write_volatile(1);
    }
}

fn give(pool: &Pool, cache: &mut Cache, stacks: impl IntoIterator<Item = Stack>) {
    for stack in stacks {
        pool.give(Some(cache), stack);
    }
}

#[test]
fn a_stack_is_as_large_as_it_says_and_aligned() {
    let pool = pool(4);
    pool.promise(1).unwrap();
    let stack = pool.take(None).unwrap();
    assert_eq!(stack.size(), SIZE);
    assert_eq!(stack.top().addr().get() % 16, 0);
    assert_eq!(stack.limit().addr().get() % 4096, 0);
    touch(&stack);
    pool.give(None, stack);
}

#[test]
fn stacks_begin_at_different_places_of_their_highest_pages() {
    let pool = pool(64);
    pool.promise(64).unwrap();
    let stacks: Vec<Stack> = (0..64).map(|_| pool.take(None).unwrap()).collect();
    let places: HashSet<usize> = stacks.iter().map(|stack| place(stack) % 4096).collect();
    assert_eq!(places.len(), COLORS);
    for stack in stacks {
        assert_eq!(stack.top().addr().get() % 16, 0);
        // The footer and the color are all that the holder cannot use.
        let usable = stack.top().addr().get() - stack.limit().addr().get();
        let lost = stack.size() - usable;
        assert!((16..=16 + (COLORS - 1) * COLOR).contains(&lost), "{lost}");
        pool.give(None, stack);
    }
}

#[test]
fn the_stack_given_back_last_is_taken_first() {
    let pool = pool(100);
    let mut cache = Cache::default();
    pool.promise(3).unwrap();
    let stacks = take(&pool, &mut cache, 3);
    let places: Vec<usize> = stacks.iter().map(place).collect();
    give(&pool, &mut cache, stacks);
    let again = take(&pool, &mut cache, 3);
    assert!(again.iter().map(place).eq(places.into_iter().rev()));
}

#[test]
fn a_full_cache_passes_its_older_half_on_and_an_empty_one_gets_32_back() {
    let pool = pool(1000);
    let mut cache = Cache::default();
    pool.promise(128).unwrap();
    let mut stacks = take(&pool, &mut cache, 128);
    assert_eq!(cache.len(), 0);
    let rest = stacks.split_off(64);
    let oldest: Vec<usize> = stacks[..32].iter().map(place).collect();

    give(&pool, &mut cache, stacks);
    assert_eq!(cache.len(), 64);
    assert_eq!(pool.counts().free_touched, 0);
    give(&pool, &mut cache, rest);
    assert_eq!(cache.len(), 64);
    assert_eq!(pool.counts().free_touched, 64);

    // Another cache gets the younger half of those, the youngest first.
    let mut other = Cache::default();
    let first = pool.take(Some(&mut other)).unwrap();
    assert_eq!(other.len(), 31);
    assert_eq!(pool.counts().free_touched, 32);
    assert!(!oldest.contains(&place(&first)));
    pool.give(Some(&mut other), first);

    pool.drain(&mut cache);
    pool.drain(&mut other);
    assert_eq!(pool.counts().free_touched, 128);
    assert_eq!(pool.counts().carved, 128);
    pool.unpromise(128);
}

#[test]
fn the_cap_is_exact() {
    let pool = pool(10);
    pool.promise(7).unwrap();
    let error = pool.promise(4).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    let text = error.to_string();
    assert!(text.contains("more than 10 stacks"), "{text}");
    assert!(text.contains("runtime::Builder::max_stacks"), "{text}");
    pool.promise(2).unwrap();
    let sized = pool.take_sized(4 * SIZE).unwrap();
    assert!(pool.promise(1).is_err());
    assert!(pool.take_sized(4 * SIZE).is_err());
    assert!(pool.take_sized(1).is_err());
    pool.give(None, sized);
    let small = pool.take_sized(1).unwrap();
    assert!(pool.promise(1).is_err());
    pool.give(None, small);
    pool.promise(1).unwrap();
    assert!(pool.promise(1).is_err());
    assert!(pool.promise(usize::MAX).is_err());
    pool.unpromise(10);
    pool.promise(10).unwrap();
    pool.unpromise(10);
    assert_eq!(pool.counts().promised, 0);
}

#[test]
fn odd_sizes_become_pages() {
    for (wished, got) in [
        (0_usize, 16_usize << 10),
        (1, 16 << 10),
        (16 << 10, 16 << 10),
        ((16 << 10) + 1, 20 << 10),
        (65535, 64 << 10),
        (1 << 30, 1 << 30),
    ] {
        let expected = got.next_multiple_of(super::size::page_size());
        assert_eq!(normalise(wished).unwrap(), expected);
    }
    for huge in [(1 << 30) + 1, usize::MAX] {
        let error = normalise(huge).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("1073741824"), "{error}");
        assert!(pool(1).take_sized(huge).is_err());
    }
}

#[test]
fn stacks_of_other_sizes_are_large_enough_and_used_again() {
    let pool = pool(100);
    for size in [0, 1, SIZE - 1, SIZE, SIZE + 1, 10 * SIZE + 77, 64 << 20] {
        let stack = pool.take_sized(size).unwrap();
        assert!(stack.size() >= size);
        touch(&stack);
        let first = place(&stack);
        pool.give(None, stack);
        let stack = pool.take_sized(size).unwrap();
        assert_eq!(place(&stack), first);
        pool.give(None, stack);
    }
    let counts = pool.counts();
    assert_eq!((counts.sized, counts.promised), (0, 0));
    assert_eq!(counts.free_sized, 3);
}

#[test]
fn every_promise_is_kept_while_others_hold_free_stacks() {
    // More than a slab, and caches full of what was carved first.
    const MANY: usize = 3000;
    let pool = pool(2 * MANY);
    let mut full = Cache::default();
    pool.promise(MANY).unwrap();
    let stacks = take(&pool, &mut full, MANY);
    let (kept, given): (Vec<_>, Vec<_>) = stacks
        .into_iter()
        .enumerate()
        .partition(|(i, _)| i % 2 == 0);
    give(&pool, &mut full, given.into_iter().map(|(_, stack)| stack));
    pool.unpromise(MANY / 2);
    pool.promise(MANY).unwrap();
    let mut other = Cache::default();
    let more = take(&pool, &mut other, MANY);
    give(&pool, &mut other, more);
    give(&pool, &mut other, kept.into_iter().map(|(_, stack)| stack));
    pool.unpromise(MANY + MANY / 2);
    pool.drain(&mut full);
    pool.drain(&mut other);
    let counts = pool.counts();
    assert_eq!(counts.promised, 0);
    assert_eq!(counts.free_touched, counts.carved);
}

#[test]
fn threads_take_and_give_at_once() {
    let pool = pool(4000);
    thread::scope(|scope| {
        for number in 1..=4_usize {
            let pool = &pool;
            scope.spawn(move || {
                let mut cache = Cache::default();
                for round in 1..200 {
                    let count = (round * 37 * number) % 300 + 1;
                    pool.promise(count).unwrap();
                    let stacks: Vec<Stack> = (0..count)
                        .map(|_| pool.take(Some(&mut cache)).unwrap())
                        .collect();
                    // Whoever else had one of these would write another number.
                    for stack in &stacks {
                        // SAFETY: the word is in the stack, which is ours.
                        unsafe { stack.top().cast::<usize>().sub(1).write(number) };
                    }
                    for stack in stacks {
                        // SAFETY: as above.
                        let found = unsafe { stack.top().cast::<usize>().sub(1).read() };
                        assert_eq!(found, number);
                        pool.give(Some(&mut cache), stack);
                    }
                    pool.unpromise(count);
                }
                pool.drain(&mut cache);
            });
        }
    });
    let counts = pool.counts();
    assert_eq!(counts.free_touched, counts.carved);
    assert_eq!(counts.promised, 0);
    assert!(counts.mapped > 0);
    assert_eq!(Counts::default().mapped, 0);
}
