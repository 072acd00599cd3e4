//! Panics in wakers that are not the runtime's: of a joiner, and of whoever polls a `LocalSet`.
//! The task that wakes ends as it would have, the runtime goes on, and no waker is leaked.

mod common;

use common::{Drops, multi_thread, on_each_flavor, panic_of, run_until};
use runnext::runtime::Runtime;
use runnext::sync::oneshot;
use runnext::task::{JoinError, JoinHandle, LocalSet};
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

/// Which functions of a waker panic, and how often it was woken. Each waker is one reference.
#[derive(Default)]
struct Faults {
    clone: bool,
    wake: bool,
    drop: bool,
    wakes: AtomicUsize,
}

const VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: the data of a waker is a reference of the `Arc` that `Faults::waker` took.
        let faults = unsafe { &*data.cast::<Faults>() };
        assert!(!faults.clone, "a waker's clone");
        // SAFETY: as above; the new waker owns the new reference.
        unsafe { Arc::increment_strong_count(data.cast::<Faults>()) };
        RawWaker::new(data, &VTABLE)
    },
    |data| {
        // SAFETY: as above; waking by value ends the waker.
        let faults = unsafe { Arc::from_raw(data.cast::<Faults>()) };
        faults.wakes.fetch_add(1, Ordering::Relaxed);
        assert!(!faults.wake, "a waker's wake");
    },
    |data| {
        // SAFETY: as above.
        let faults = unsafe { &*data.cast::<Faults>() };
        faults.wakes.fetch_add(1, Ordering::Relaxed);
        assert!(!faults.wake, "a waker's wake");
    },
    |data| {
        // SAFETY: as above; dropping ends the waker.
        let faults = unsafe { Arc::from_raw(data.cast::<Faults>()) };
        assert!(!faults.drop, "a waker's drop");
    },
);

impl Faults {
    fn waker(self: &Arc<Self>) -> Waker {
        let data = Arc::into_raw(self.clone()).cast();
        // SAFETY: the functions of the table treat the data as the reference that it is.
        unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) }
    }

    /// Polls `future` with a fresh waker, once.
    fn poll<F: Future>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        let waker = self.waker();
        let polled = future.poll(&mut Context::from_waker(&waker));
        if self.drop {
            assert_eq!(panic_of(|| drop(waker)), "a waker's drop");
        }
        polled
    }

    fn wakes(&self) -> usize {
        self.wakes.load(Ordering::Relaxed)
    }
}

fn all() -> Vec<Arc<Faults>> {
    let faults = |wake, drop| {
        Arc::new(Faults {
            wake,
            drop,
            ..Faults::default()
        })
    };
    vec![
        faults(false, false),
        faults(true, false),
        faults(false, true),
        faults(true, true),
    ]
}

/// A task that ends when told to, joined by a poll with a waker of `faults`.
fn joined(
    rt: &Runtime,
    faults: &Arc<Faults>,
    drops: &Drops,
) -> (JoinHandle<u32>, oneshot::Sender<u32>) {
    let (tell, told) = oneshot::channel();
    let guard = drops.guard();
    let mut task = rt.spawn(async move {
        let _guard = guard;
        told.await.unwrap()
    });
    assert!(faults.poll(Pin::new(&mut task)).is_pending());
    (task, tell)
}

#[test]
fn of_a_joiner_do_not_reach_the_task() {
    on_each_flavor(|rt| {
        for faults in all() {
            let drops = Drops::new();
            let (task, tell) = joined(&rt, &faults, &drops);
            tell.send(7).unwrap();
            run_until(&rt, || task.is_finished() && faults.wakes() > 0);
            assert_eq!(rt.block_on(task).unwrap(), 7);
            // It is woken by the thread that ended the task, which drops it after that.
            run_until(&rt, || Arc::strong_count(&faults) == 1);
            assert_eq!((faults.wakes(), drops.alive()), (1, 0));
        }
    });
}

#[test]
fn of_a_joiner_do_not_reach_an_aborted_task() {
    on_each_flavor(|rt| {
        for faults in all() {
            let drops = Drops::new();
            let (task, _tell) = joined(&rt, &faults, &drops);
            task.abort();
            run_until(&rt, || {
                task.is_finished() && Arc::strong_count(&faults) == 1
            });
            assert!(rt.block_on(task).unwrap_err().is_cancelled());
            assert_eq!((faults.wakes(), drops.alive()), (1, 0));
        }
    });
}

#[test]
fn of_a_joiner_do_not_reach_the_shutdown() {
    for faults in all() {
        let drops = Drops::new();
        let rt = multi_thread(1);
        let joined: Vec<_> = (0..10).map(|_| joined(&rt, &faults, &drops)).collect();
        drop(rt);
        assert_eq!((faults.wakes(), drops.alive()), (10, 0));
        assert_eq!(Arc::strong_count(&faults), 1);
        assert!(joined.iter().all(|(task, _)| task.is_finished()));
    }
}

#[test]
fn of_a_joiner_do_not_reach_a_blocking_closure() {
    on_each_flavor(|rt| {
        for faults in all() {
            let gate = common::Gate::new();
            let mut task = rt.spawn_blocking({
                let gate = gate.clone();
                move || gate.wait()
            });
            assert!(faults.poll(Pin::new(&mut task)).is_pending());
            gate.open();
            run_until(&rt, || {
                task.is_finished() && Arc::strong_count(&faults) == 1
            });
            rt.block_on(task).unwrap();
            assert_eq!(faults.wakes(), 1);
        }
    });
}

#[test]
fn of_a_joiner_that_polls_again_or_gives_up_are_contained() {
    on_each_flavor(|rt| {
        for (first, second) in all().into_iter().zip(all().into_iter().rev()) {
            let drops = Drops::new();
            let (mut task, tell) = joined(&rt, &first, &drops);
            // The second waker takes the place of the first.
            assert!(second.poll(Pin::new(&mut task)).is_pending());
            assert_eq!(Arc::strong_count(&first), 1);
            drop(task);
            tell.send(7).unwrap();
            run_until(&rt, || {
                drops.alive() == 0 && Arc::strong_count(&second) == 1
            });
            assert_eq!(first.wakes(), 0);
        }
    });
}

#[test]
fn of_a_joiner_while_it_is_cloned_reach_the_joiner() {
    on_each_flavor(|rt| {
        let faults = Arc::new(Faults {
            clone: true,
            ..Faults::default()
        });
        let (tell, told) = oneshot::channel::<u32>();
        let mut task = rt.spawn(async move { told.await.unwrap() });
        for _ in 0..3 {
            let said = panic_of(|| faults.poll(Pin::new(&mut task)));
            assert_eq!(said, "a waker's clone");
        }
        assert_eq!(Arc::strong_count(&faults), 1);
        tell.send(7).unwrap();
        assert_eq!(rt.block_on(task).unwrap(), 7);
    });
}

#[test]
fn of_a_waker_without_data_do_not_reach_the_task() {
    // The address of its data is that of no waker of the runtime.
    const NULL: RawWakerVTable = RawWakerVTable::new(
        |_| RawWaker::new(std::ptr::null(), &NULL),
        |_| panic!("a waker's wake"),
        |_| panic!("a waker's wake"),
        |_| {},
    );
    on_each_flavor(|rt| {
        // SAFETY: the functions do nothing with the data.
        let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &NULL)) };
        let (tell, told) = oneshot::channel::<u32>();
        let mut task = rt.spawn(async move { told.await.unwrap() });
        let polled = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        tell.send(7).unwrap();
        run_until(&rt, || task.is_finished());
        assert_eq!(rt.block_on(task).unwrap(), 7);
    });
}

#[test]
fn of_a_waker_that_panics_again_while_it_unwinds_do_not_abort() {
    /// Waking it by value panics, and then drops the last reference, which panics as well.
    struct Twice;
    impl std::task::Wake for Twice {
        fn wake(self: Arc<Self>) {
            self.wake_by_ref();
        }

        fn wake_by_ref(self: &Arc<Self>) {
            panic!("a waker's wake");
        }
    }
    impl Drop for Twice {
        fn drop(&mut self) {
            panic!("a waker's drop");
        }
    }
    on_each_flavor(|rt| {
        let (tell, told) = oneshot::channel::<u32>();
        let mut task = rt.spawn(async move { told.await.unwrap() });
        let waker = Waker::from(Arc::new(Twice));
        assert!(
            Pin::new(&mut task)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        // The task has the only reference now.
        drop(waker);
        tell.send(7).unwrap();
        run_until(&rt, || task.is_finished());
        assert_eq!(rt.block_on(task).unwrap(), 7);
    });
}

#[test]
fn of_the_poller_of_a_local_set_do_not_reach_a_task_that_a_local_task_joins() {
    on_each_flavor(|rt| {
        for faults in all() {
            let (tell, told) = oneshot::channel::<u32>();
            let task = rt.spawn(async move { told.await.unwrap() });
            let finished = task.abort_handle();
            let set = LocalSet::new();
            let drops = Drops::new();
            let guard = drops.guard();
            let local = set.spawn_local(async move {
                let _guard = guard;
                task.await
            });
            {
                let mut until = pin!(set.run_until(pending::<()>()));
                assert!(faults.poll(until.as_mut()).is_pending());
                // The end of the task wakes the local one, and so the poller of the set.
                tell.send(7).unwrap();
                run_until(&rt, || finished.is_finished() && faults.wakes() > 0);
            }
            assert_eq!(set.block_on(&rt, local).unwrap().unwrap(), 7);
            assert_eq!(drops.alive(), 0);
        }
    });
}

#[test]
fn of_the_poller_of_a_local_set_do_not_lose_the_wake_up() {
    for faults in all() {
        let set = LocalSet::new();
        let (tell, told) = oneshot::channel::<u32>();
        let local = set.spawn_local(async move { told.await.unwrap() });
        {
            let mut until = pin!(set.run_until(pending::<()>()));
            assert!(faults.poll(until.as_mut()).is_pending());
        }
        let teller = std::thread::spawn(move || tell.send(7));
        // Who wakes may get to know of the panic.
        let _: Result<_, _> = teller.join();
        let joined: Result<u32, JoinError> = set.block_on(&multi_thread(1), local);
        assert_eq!(joined.unwrap(), 7);
    }
}
