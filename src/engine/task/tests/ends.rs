//! Panics, joiners, and the memory of a G.

use super::super::RawJoin;
use super::{Drops, Guard, Home, expect_freed, joiner, poll, take};
use std::cell::RefCell;
use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

#[test]
fn panics_become_the_outcome() {
    let (home, drops) = (Home::default(), Drops::default());
    // Of the poll, with a future whose destructor panics as well.
    let bomb = drops.bomb();
    let (mut join, _) = home.spawn(poll_fn(move |_| -> Poll<()> {
        let _bomb = &bomb;
        std::panic::panic_any(1)
    }));
    home.run(1);
    let payload = take(&mut join).unwrap_err().into_panic().expect("a panic");
    assert_eq!(payload.downcast_ref(), Some(&1));
    // Of the destructor: the output stands, and an abort ends in the panic.
    let bomb = drops.bomb();
    let (mut join, _) = home.spawn(poll_fn(move |_| {
        let _bomb = &bomb;
        Poll::Ready(2)
    }));
    home.run(1);
    assert_eq!(take(&mut join).unwrap(), 2);
    let bomb = drops.bomb();
    let (mut join, _) = home.spawn(poll_fn(move |_| -> Poll<()> {
        let _bomb = &bomb;
        Poll::Pending
    }));
    home.run(1);
    join.abort();
    home.run(1);
    assert!(take(&mut join).unwrap_err().into_panic().is_some());
    assert_eq!((drops.count(), home.retired()), (3, 3));
}

#[test]
fn a_payload_whose_destructor_panics_ends_in_the_runner_or_the_handle() {
    let (home, drops) = (Home::default(), Drops::default());
    for detached in [true, false] {
        let bomb = drops.bomb();
        let (join, cell) = home.spawn(async move { std::panic::panic_any(bomb) });
        if detached {
            drop(join);
            home.run(1);
        } else {
            home.run(1);
            drop(join);
        }
        expect_freed(&cell);
    }
    assert_eq!(drops.count(), 2);
}

#[test]
fn a_joiner_is_woken_once_and_its_waker_dropped() {
    let home = Home::default();
    let (mut join, cell) = home.spawn(ready(()));
    let (waker, joiner) = joiner();
    for _ in 0..3 {
        assert!(poll(&mut join, &waker).is_pending());
        assert_eq!(
            Arc::strong_count(&joiner),
            3,
            "one clone, for the same waker"
        );
    }
    home.run(1);
    assert_eq!((joiner.count(), Arc::strong_count(&joiner)), (1, 2));
    take(&mut join).unwrap();
    drop(join);
    expect_freed(&cell);
    assert_eq!((joiner.count(), Arc::strong_count(&joiner)), (1, 2));
}

#[test]
fn the_last_of_several_joiners_is_woken() {
    let home = Home::default();
    let (mut join, cell) = home.spawn(ready(()));
    let joiners: Vec<_> = (0..4).map(|_| joiner()).collect();
    for (waker, _) in &joiners {
        assert!(poll(&mut join, waker).is_pending());
    }
    home.run(1);
    let woken: Vec<usize> = joiners.iter().map(|(_, joiner)| joiner.count()).collect();
    assert_eq!(woken, [0, 0, 0, 1]);
    assert!(
        joiners
            .iter()
            .all(|(_, joiner)| Arc::strong_count(joiner) == 2)
    );
    drop(join);
    expect_freed(&cell);
}

#[test]
fn a_joiner_that_leaves_is_not_woken() {
    let home = Home::default();
    for replaced in [false, true] {
        let (mut join, cell) = home.spawn(ready(()));
        let (waker, joiner) = joiner();
        if replaced {
            assert!(poll(&mut join, Waker::noop()).is_pending());
        }
        assert!(poll(&mut join, &waker).is_pending());
        drop(join);
        assert_eq!(Arc::strong_count(&joiner), 2);
        home.run(1);
        assert_eq!(joiner.count(), 0);
        expect_freed(&cell);
    }
}

#[test]
fn a_joiner_may_take_the_output_while_it_is_woken() {
    struct TakesAtOnce(RefCell<Option<RawJoin<Guard>>>);
    // SAFETY: the test has one thread.
    unsafe impl Send for TakesAtOnce {}
    // SAFETY: as above.
    unsafe impl Sync for TakesAtOnce {}
    impl Wake for TakesAtOnce {
        fn wake(self: Arc<Self>) {
            let mut join = self.0.take().unwrap();
            assert!(take(&mut join).is_ok());
        }
    }
    let (home, drops) = (Home::default(), Drops::default());
    for replaced in [false, true] {
        let (mut join, cell) = home.spawn(ready(drops.guard()));
        let joiner = Arc::new(TakesAtOnce(RefCell::new(None)));
        if replaced {
            assert!(poll(&mut join, Waker::noop()).is_pending());
        }
        assert!(poll(&mut join, &Waker::from(joiner.clone())).is_pending());
        *joiner.0.borrow_mut() = Some(join);
        home.run(1);
        expect_freed(&cell);
    }
    assert_eq!(drops.count(), 2);
}

#[test]
fn large_and_aligned_futures_and_outputs_are_where_they_should_be() {
    #[repr(align(128))]
    struct Aligned(u8, Guard);
    struct Checks(Aligned, [u8; 20]);
    impl Future for Checks {
        type Output = Aligned;
        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Aligned> {
            assert_eq!(std::ptr::from_ref(&self.0).addr() % 128, 0);
            let guard = self.0.1.0.clone();
            self.1[19] += self.0.0;
            Poll::Ready(Aligned(self.1[19], Guard(guard, false)))
        }
    }
    let (home, drops) = (Home::default(), Drops::default());
    let (mut join, cell) = home.spawn(Checks(Aligned(3, drops.guard()), [4; 20]));
    home.run(1);
    assert_eq!(drops.count(), 1);
    let output = take(&mut join).unwrap();
    assert_eq!(output.0, 7);
    drop((output, join));
    expect_freed(&cell);
    assert_eq!(drops.count(), 2);

    let (large, guard) = ([5u8; 100_000], drops.guard());
    let (mut join, cell) = home.spawn(async move {
        let _guard = guard;
        std::future::ready(()).await;
        large.iter().map(|&n| u64::from(n)).sum::<u64>()
    });
    home.run(1);
    assert_eq!(take(&mut join).unwrap(), 500_000);
    drop(join);
    expect_freed(&cell);
    assert_eq!(drops.count(), 3);
}

#[test]
fn a_joiner_whose_waker_panics_at_every_turn_harms_nobody() {
    struct Twice(Arc<AtomicUsize>);
    impl Wake for Twice {
        fn wake(self: Arc<Self>) {
            self.wake_by_ref();
        }
        fn wake_by_ref(self: &Arc<Self>) {
            panic!("a waker's wake");
        }
    }
    impl Drop for Twice {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("a waker's drop");
        }
    }
    let (home, drops) = (Home::default(), Drops::default());
    // It is woken; it is woken, having replaced another; it leaves; it is replaced.
    for case in 0..4 {
        let (mut join, cell) = home.spawn(ready(()));
        if case == 1 {
            assert!(poll(&mut join, Waker::noop()).is_pending());
        }
        let waker = Waker::from(Arc::new(Twice(drops.0.clone())));
        assert!(poll(&mut join, &waker).is_pending());
        drop(waker);
        if case == 3 {
            assert!(poll(&mut join, Waker::noop()).is_pending());
        }
        if case >= 2 {
            drop(join);
            home.run(1);
        } else {
            home.run(1);
            take(&mut join).unwrap();
            drop(join);
        }
        expect_freed(&cell);
        assert_eq!(drops.count(), case + 1);
    }
}
