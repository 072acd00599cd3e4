//! What comes after the end of a runtime, through handles, wakers and join handles that are left:
//! it is refused or does nothing, and leaks nothing.

mod common;

use common::{Drops, current_thread, on_each_flavor, run_until};
use runnext::sync::oneshot;
use runnext::task::{self, AbortHandle, JoinHandle};
use std::future::Future;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;

/// Awaits `task` on a runtime of its own.
fn join<T>(task: JoinHandle<T>) -> Result<T, task::JoinError> {
    current_thread().block_on(task)
}

#[track_caller]
fn assert_cancelled<T>(task: JoinHandle<T>) {
    let id = task.id();
    match join(task) {
        Ok(_) => panic!("the task has an output"),
        Err(error) => assert!(error.is_cancelled() && error.id() == id, "{error}"),
    }
}

fn waiting(drops: &Drops) -> impl Future<Output = ()> + use<> {
    common::holding(drops.guard(), |_| Poll::Pending)
}

#[test]
fn outputs_are_there_for_those_who_join_later() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let guard = drops.guard();
        let ended = rt.spawn(async { guard });
        run_until(&rt, || ended.is_finished());
        drop(rt);
        assert_eq!(drops.alive(), 1);
        drop(join(ended).unwrap());
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn tasks_and_closures_are_born_cancelled() {
    on_each_flavor(|rt| {
        let handle = rt.handle().clone();
        drop(rt);
        let drops = Drops::new();
        for _ in 0..100 {
            let task = handle.spawn(waiting(&drops));
            assert!(task.is_finished());
            assert_cancelled(task);
            let guard = drops.guard();
            let closure = handle.spawn_blocking(move || -> () {
                let _guard = guard;
                panic!("it should not run");
            });
            assert!(closure.is_finished());
            assert_cancelled(closure);
            let named = task::Builder::new()
                .name("late")
                .spawn_on(waiting(&drops), &handle);
            drop(named);
        }
        assert_eq!((drops.made(), drops.alive()), (300, 0));
        let _guard = handle.enter();
        assert_cancelled(runnext::spawn(waiting(&drops)));
        assert_eq!(drops.alive(), 0);
        // A root future needs no runtime but itself.
        let (tell, told) = oneshot::channel();
        let teller = thread::spawn(move || tell.send(7));
        assert_eq!(handle.block_on(told).unwrap(), 7);
        teller.join().unwrap().unwrap();
        assert_eq!(handle.metrics().num_alive_tasks(), 0);
    });
}

#[test]
fn wake_ups_and_aborts_do_nothing() {
    on_each_flavor(|rt| {
        let drops = Drops::new();
        let (wakers, woken) = mpsc::channel();
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let wakers = wakers.clone();
                rt.spawn(common::holding(drops.guard(), move |cx| {
                    wakers.send(cx.waker().clone()).unwrap();
                    Poll::Pending
                }))
            })
            .collect();
        drop(wakers);
        let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        // All were polled by then on one processor, and all but a few on two.
        rt.block_on(rt.spawn(async {})).unwrap();
        drop(rt);
        let wakers: Vec<_> = woken.iter().collect();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| wakers.iter().for_each(Waker::wake_by_ref));
                scope.spawn(|| wakers.clone().into_iter().for_each(Waker::wake));
                scope.spawn(|| aborts.iter().for_each(AbortHandle::abort));
            }
        });
        assert_eq!(drops.alive(), 0);
        tasks.into_iter().for_each(assert_cancelled);
        wakers.into_iter().for_each(Waker::wake);
    });
}
