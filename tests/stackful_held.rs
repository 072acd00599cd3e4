//! Stackful tasks that block their threads where they wait, since they must not leave their stacks there:
//! an abort, or the end of the runtime, ends such a wait like any other.
#![cfg(stackful)]

mod common;

use common::{Drops, current_thread, multi_thread};
use runnext::runtime::Runtime;
use runnext::stackful::{self, scope};
use runnext::sync::oneshot;
use runnext::task::{AbortHandle, JoinHandle};
use runnext::{go, wait};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::Poll;

runnext::task_local! {
    static NUMBER: usize;
}

/// Why a task must not leave its stack.
#[derive(Clone, Copy, Debug)]
enum State {
    /// It may move, and is inside of a guard that it must not move with.
    Entered,
    /// It has a reference into what a thread-local holds for it.
    Refers,
}

const STATES: [State; 2] = [State::Entered, State::Refers];

/// Runs `f` as a task of `rt` that is in `state`.
fn held<T: Send + 'static>(
    rt: &Runtime,
    state: State,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    match state {
        State::Refers => rt
            .handle()
            .go(|| NUMBER.sync_scope(7, || NUMBER.with(|_number| f()))),
        State::Entered => {
            let handle = rt.handle().clone();
            // SAFETY: inside of the guard the task does not move, and outside it does not wait.
            let builder = unsafe { stackful::Builder::new().migratable() };
            let task = builder.go_on(
                move || {
                    let _entered = handle.enter();
                    f()
                },
                rt.handle(),
            );
            task.unwrap()
        }
    }
}

/// Calls `test` for each state, on runtimes whose threads run tasks while this one does not.
fn in_each_state(test: impl Fn(Runtime, State)) {
    for state in STATES {
        for workers in [1, 2] {
            test(multi_thread(workers), state);
        }
    }
}

/// A future that is never ready, and tells when it has been polled.
fn polled(tell: mpsc::Sender<()>) -> impl Future<Output = ()> {
    let mut tell = Some(tell);
    poll_fn(move |_| {
        if let Some(tell) = tell.take() {
            tell.send(()).unwrap();
        }
        Poll::Pending
    })
}

/// Blocks the task until it may go on, while others run.
fn block_for(go_on: mpsc::Receiver<()>) {
    stackful::blocking(move || go_on.recv()).unwrap();
}

#[test]
fn that_are_aborted_unwind_where_they_wait() {
    in_each_state(|rt, state| {
        let drops = Drops::new();
        let guard = drops.guard();
        let (tell, told) = mpsc::channel();
        let task = held(&rt, state, move || {
            let _guard = guard;
            wait(polled(tell));
        });
        told.recv().unwrap();
        task.abort();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn of_a_runtime_with_one_thread_are_aborted_too() {
    let rt = current_thread();
    rt.block_on(async {
        let (tell, told) = oneshot::channel();
        let task = held(&rt, State::Refers, move || {
            tell.send(()).unwrap();
            wait(pending::<()>());
        });
        told.await.unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn that_were_aborted_before_unwind_instead_of_waiting() {
    in_each_state(|rt, state| {
        let (tell, told) = mpsc::channel();
        let (aborted, go_on) = mpsc::channel();
        let task = held(&rt, state, move || {
            tell.send(()).unwrap();
            block_for(go_on);
            wait(pending::<()>());
        });
        told.recv().unwrap();
        task.abort();
        aborted.send(()).unwrap();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
    });
}

#[test]
fn that_are_aborted_get_what_is_ready_all_the_same() {
    in_each_state(|rt, state| {
        let (tell, told) = mpsc::channel();
        let (aborted, go_on) = mpsc::channel();
        let got = Arc::new(AtomicUsize::new(0));
        let task = held(&rt, state, {
            let got = got.clone();
            move || {
                tell.send(()).unwrap();
                block_for(go_on);
                got.store(wait(async { 42 }), Ordering::Relaxed);
                wait(pending::<()>());
            }
        });
        told.recv().unwrap();
        task.abort();
        aborted.send(()).unwrap();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
        assert_eq!(got.load(Ordering::Relaxed), 42);
    });
}

#[test]
fn that_are_aborted_get_what_came_just_before() {
    in_each_state(|rt, state| {
        let (send, receive) = mpsc::channel::<AbortHandle>();
        let task = held(&rt, state, move || {
            let own = stackful::blocking(move || receive.recv()).unwrap();
            let mut came = false;
            // It is ready when it has just said that it is not, and then comes the abort.
            wait(poll_fn(move |_| {
                if std::mem::replace(&mut came, true) {
                    return Poll::Ready(42);
                }
                own.abort();
                Poll::Pending
            }))
        });
        send.send(task.abort_handle()).unwrap();
        assert_eq!(rt.block_on(task).unwrap(), 42);
    });
}

#[test]
fn that_catch_their_abort_meet_it_again() {
    in_each_state(|rt, state| {
        let caught = Arc::new(AtomicUsize::new(0));
        let (tell, told) = mpsc::channel();
        let task = held(&rt, state, {
            let caught = caught.clone();
            move || {
                for _ in 0..3 {
                    let tell = tell.clone();
                    let result = catch_unwind(AssertUnwindSafe(|| wait(polled(tell))));
                    assert!(result.is_err());
                    caught.fetch_add(1, Ordering::Relaxed);
                }
                7
            }
        });
        told.recv().unwrap();
        task.abort();
        assert_eq!(rt.block_on(task).unwrap(), 7);
        assert_eq!(caught.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn end_with_their_runtime() {
    in_each_state(|rt, state| {
        let drops = Drops::new();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let guard = drops.guard();
                let (tell, told) = mpsc::channel();
                let task = held(&rt, state, move || {
                    let _guard = guard;
                    wait(polled(tell));
                });
                told.recv().unwrap();
                task
            })
            .collect();
        drop(rt);
        assert_eq!(drops.alive(), 0);
        assert!(tasks.iter().all(JoinHandle::is_finished));
    });
}

#[test]
fn that_begin_to_wait_when_their_runtime_has_ended_unwind() {
    struct OnDrop<F: FnMut()>(F);
    impl<F: FnMut()> Drop for OnDrop<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }

    in_each_state(|rt, state| {
        let (tell, told) = mpsc::channel();
        let (ended, go_on) = mpsc::channel();
        let drops = Drops::new();
        let guard = drops.guard();
        // It is dropped before stacks are unwound.
        rt.spawn({
            let on_drop = OnDrop(move || ended.send(()).unwrap());
            async move {
                let _on_drop = on_drop;
                pending::<()>().await;
            }
        });
        let task = held(&rt, state, move || {
            let _guard = guard;
            tell.send(()).unwrap();
            block_for(go_on);
            wait(pending::<()>());
        });
        told.recv().unwrap();
        drop(rt);
        assert!(task.is_finished());
        assert_eq!(drops.alive(), 0);
    });
}

#[test]
fn that_are_aborted_end_their_sleep() {
    in_each_state(|rt, state| {
        let (tell, told) = mpsc::channel();
        let task = held(&rt, state, move || {
            tell.send(()).unwrap();
            stackful::sleep(runnext::time::Duration::MAX);
        });
        told.recv().unwrap();
        task.abort();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
    });
}

#[test]
fn that_are_aborted_end_their_loop_of_yields() {
    for state in STATES {
        // Nobody else runs on its thread meanwhile.
        let rt = multi_thread(2);
        let (tell, told) = mpsc::channel();
        let task = held(&rt, state, move || {
            tell.send(()).unwrap();
            loop {
                stackful::yield_now();
            }
        });
        told.recv().unwrap();
        task.abort();
        let joined: Result<(), _> = rt.block_on(task);
        assert!(joined.unwrap_err().is_cancelled());
    }
}

#[test]
fn that_are_aborted_end_a_wait_that_a_poll_is_in() {
    in_each_state(|rt, state| {
        let (tell, told) = mpsc::channel();
        let task = held(&rt, state, move || {
            wait(async move { wait(async move { wait(polled(tell)) }) });
        });
        told.recv().unwrap();
        task.abort();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
    });
}

#[test]
fn that_are_aborted_end_a_join() {
    in_each_state(|rt, state| {
        let (tell, told) = mpsc::channel();
        let task = held(&rt, state, move || {
            let other = go(move || wait(polled(tell)));
            wait(other).unwrap();
        });
        told.recv().unwrap();
        task.abort();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
    });
}

#[test]
fn that_are_aborted_end_the_children_of_their_scope() {
    in_each_state(|rt, state| {
        let (tell, told) = mpsc::channel();
        let drops = Drops::new();
        let guards = [drops.guard(), drops.guard()];
        let after = Arc::new(AtomicBool::new(false));
        let task = held(&rt, state, {
            let after = after.clone();
            move || {
                let guards = guards;
                scope(|s| {
                    for guard in &guards {
                        let tell = tell.clone();
                        s.go(move || {
                            let _guard = guard;
                            wait(polled(tell));
                        });
                    }
                });
                after.store(true, Ordering::Relaxed);
            }
        });
        told.recv().unwrap();
        told.recv().unwrap();
        task.abort();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
        assert_eq!(drops.alive(), 0);
        assert!(!after.load(Ordering::Relaxed));
    });
}

#[test]
#[cfg(feature = "net")]
fn that_are_aborted_end_a_blocking_read() {
    use runnext::net::{TcpListener, TcpStream};
    use std::io::Read;

    in_each_state(|rt, state| {
        let (stream, _peer) = rt.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap());
            let (stream, accepted) = runnext::join!(stream, listener.accept());
            (stream.unwrap(), accepted.unwrap().0)
        });
        let (tell, told) = mpsc::channel();
        let task = held(&rt, state, move || {
            tell.send(()).unwrap();
            (&stream).read(&mut [0; 8]).unwrap()
        });
        told.recv().unwrap();
        task.abort();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
    });
}

/// A second unwinding would end the process: the wait is seen through.
#[test]
fn that_unwind_already_wait_for_as_long_as_it_takes() {
    struct Waits(
        Option<(mpsc::Sender<()>, oneshot::Receiver<usize>)>,
        Arc<AtomicUsize>,
    );
    impl Drop for Waits {
        fn drop(&mut self) {
            let (tell, number) = self.0.take().unwrap();
            tell.send(()).unwrap();
            self.1.store(wait(number).unwrap(), Ordering::Relaxed);
            stackful::yield_now();
        }
    }

    let rt = multi_thread(2);
    let (tell, told) = mpsc::channel();
    let (number, receiver) = oneshot::channel();
    let got = Arc::new(AtomicUsize::new(0));
    let waits = Waits(Some((tell, receiver)), got.clone());
    let task = rt.handle().go(move || {
        let _waits = waits;
        resume_unwind(Box::new("on purpose"));
    });
    told.recv().unwrap();
    task.abort();
    number.send(42).unwrap();
    assert!(rt.block_on(task).unwrap_err().is_panic());
    assert_eq!(got.load(Ordering::Relaxed), 42);
}
