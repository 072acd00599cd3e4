//! Who is told of a signal: every listener, once, in every runtime.
//!
//! Each test has a signal of its own, so that they do not disturb each other in one process.
#![cfg(all(feature = "signal", unix))]

mod common;

use common::{current_thread, multi_thread, on_each_flavor, panic_of, poll_once};
use runnext::runtime::Runtime;
use runnext::signal::unix::{Signal, SignalKind, signal};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::Poll;

/// Sends a signal to this thread, which has handled it when this returns.
fn raise(kind: SignalKind) {
    // SAFETY: the tests raise what they listen for.
    assert_eq!(unsafe { libc::raise(kind.as_raw_value()) }, 0);
}

async fn is_pending(listener: &mut Signal) -> bool {
    poll_once(&mut pin!(listener.recv())).await.is_pending()
}

#[test]
fn a_listener_is_told_of_what_comes_after_it_was_made() {
    let kind = SignalKind::user_defined1();
    on_each_flavor(|rt| {
        rt.block_on(async {
            let mut first = signal(kind).unwrap();
            assert!(is_pending(&mut first).await);
            raise(kind);
            let mut second = signal(kind).unwrap();
            assert_eq!(first.recv().await, Some(()));
            assert!(is_pending(&mut first).await);
            assert!(is_pending(&mut second).await);
            raise(kind);
            assert_eq!(second.recv().await, Some(()));
            assert_eq!(first.recv().await, Some(()));
        });
    });
}

#[test]
fn several_signals_before_a_look_are_one() {
    let kind = SignalKind::user_defined2();
    on_each_flavor(|rt| {
        rt.block_on(async {
            let mut listener = signal(kind).unwrap();
            for _ in 0..3 {
                raise(kind);
            }
            assert_eq!(listener.recv().await, Some(()));
            assert!(is_pending(&mut listener).await);
            raise(kind);
            assert_eq!(listener.recv().await, Some(()));
        });
    });
}

#[test]
fn a_signal_is_told_when_the_pipe_has_no_room_left() {
    let (kind, another) = (SignalKind::hangup(), SignalKind::from_raw(libc::SIGVTALRM));
    let rt = current_thread();
    rt.block_on(async {
        let mut listener = signal(kind).unwrap();
        let wakes = common::CountingWaker::new();
        let waker = wakes.clone().into();
        let mut cx = std::task::Context::from_waker(&waker);
        assert_eq!(listener.poll_recv(&mut cx), Poll::Pending);
        // The handler of the other one writes just as well.
        drop(signal(another).unwrap());
        for _ in 0..10_000 {
            raise(another);
        }
        while wakes.wakes() == 0 {
            runnext::task::yield_now().await;
        }
        // It has nothing to do with that, and waits again.
        assert_eq!(listener.poll_recv(&mut cx), Poll::Pending);
        let before = wakes.wakes();
        raise(kind);
        while wakes.wakes() == before {
            runnext::task::yield_now().await;
        }
        assert_eq!(listener.poll_recv(&mut cx), Poll::Ready(Some(())));
    });
}

#[test]
fn a_listener_is_told_of_its_own_kind_alone() {
    let rt = current_thread();
    rt.block_on(async {
        let mut window = signal(SignalKind::window_change()).unwrap();
        let mut alarm = signal(SignalKind::alarm()).unwrap();
        assert!(is_pending(&mut alarm).await);
        raise(SignalKind::window_change());
        assert_eq!(window.recv().await, Some(()));
        assert!(is_pending(&mut alarm).await);
        raise(SignalKind::alarm());
        assert_eq!(alarm.recv().await, Some(()));
        assert!(is_pending(&mut window).await);
    });
}

/// Two runtimes, with two tasks each that listen, and a root that does: a lost wake-up hangs here.
#[test]
fn all_listeners_of_all_runtimes_are_told_each_time() {
    const TIMES: usize = 2_000;
    let kind = SignalKind::io();
    let runtimes = [current_thread(), multi_thread(2), multi_thread(2)].map(Arc::new);
    let (tell, told) = mpsc::channel();
    let listen = |tell: mpsc::Sender<()>| {
        let mut listener = signal(kind).unwrap();
        async move {
            for _ in 0..TIMES {
                listener.recv().await.unwrap();
                tell.send(()).unwrap();
            }
        }
    };
    let mut listeners = 0;
    let roots: Vec<_> = runtimes
        .into_iter()
        .map(|rt: Arc<Runtime>| {
            let _entered = rt.enter();
            let tasks = [listen(tell.clone()), listen(tell.clone())].map(|task| rt.spawn(task));
            let root = listen(tell.clone());
            listeners += 3;
            let rt = rt.clone();
            std::thread::spawn(move || {
                rt.block_on(async {
                    root.await;
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            })
        })
        .collect();
    for _ in 0..TIMES {
        raise(kind);
        for _ in 0..listeners {
            told.recv().unwrap();
        }
    }
    for root in roots {
        root.join().unwrap();
    }
    assert!(told.try_recv().is_err(), "somebody was told twice");
}

#[test]
fn a_wait_that_was_given_up_loses_nothing() {
    let kind = SignalKind::quit();
    on_each_flavor(|rt| {
        rt.block_on(async {
            let mut listener = signal(kind).unwrap();
            assert!(is_pending(&mut listener).await);
            raise(kind);
            assert_eq!(listener.recv().await, Some(()));
            // The next wait is another task's, which is the one that is woken.
            assert!(is_pending(&mut listener).await);
            let task = runnext::spawn(async move { listener.recv().await });
            runnext::task::yield_now().await;
            raise(kind);
            assert_eq!(task.await.unwrap(), Some(()));
        });
    });
}

#[test]
fn without_listeners_the_signal_still_does_nothing_and_new_ones_are_told() {
    let kind = SignalKind::terminate();
    on_each_flavor(|rt| {
        rt.block_on(async {
            for _ in 0..3 {
                drop(signal(kind).unwrap());
                // By itself it would end this process.
                raise(kind);
                let mut listener = signal(kind).unwrap();
                assert!(is_pending(&mut listener).await, "it came too early");
                raise(kind);
                assert_eq!(listener.recv().await, Some(()));
            }
        });
    });
}

#[test]
fn the_end_of_a_runtime_is_the_end_of_its_listeners_alone() {
    let kind = SignalKind::pipe();
    let (one, other) = (multi_thread(1), current_thread());
    let mut last = {
        let _entered = one.enter();
        signal(kind).unwrap()
    };
    let mut told_before = {
        let _entered = one.enter();
        signal(kind).unwrap()
    };
    let mut remains = {
        let _entered = other.enter();
        signal(kind).unwrap()
    };
    let waits = one.spawn(async move {
        let told = last.recv().await;
        (told, last)
    });
    raise(kind);
    let (told, last) = one.block_on(waits).unwrap();
    assert_eq!(told, Some(()));
    let handle = one.handle().clone();
    drop(one);
    other.block_on(async {
        let mut last = last;
        assert_eq!(last.recv().await, None);
        assert_eq!(last.recv().await, None);
        // What came before the end is told after it.
        assert_eq!(told_before.recv().await, Some(()));
        assert_eq!(told_before.recv().await, None);
        assert_eq!(remains.recv().await, Some(()));
        assert!(is_pending(&mut remains).await);
        raise(kind);
        assert_eq!(remains.recv().await, Some(()));
    });
    let _entered = handle.enter();
    let error = signal(kind).unwrap_err().to_string();
    assert!(error.contains("the runtime"), "{error}");
    assert!(error.contains("shut down"), "{error}");
}

#[test]
fn a_listener_that_waits_ends_with_its_runtime() {
    let (one, other) = (multi_thread(1), multi_thread(1));
    let mut listener = {
        let _entered = one.enter();
        signal(SignalKind::child()).unwrap()
    };
    let (tell, told) = mpsc::channel();
    let waits = other.spawn(async move {
        assert!(is_pending(&mut listener).await);
        tell.send(()).unwrap();
        listener.recv().await
    });
    told.recv().unwrap();
    drop(one);
    assert_eq!(other.block_on(waits).unwrap(), None);
}

#[test]
fn a_listener_needs_a_runtime() {
    let message = panic_of(|| signal(SignalKind::user_defined1()));
    assert!(message.contains("there is no runtime on this thread"));
}

#[test]
fn what_no_program_can_listen_for_is_refused() {
    let rt = current_thread();
    let _entered = rt.enter();
    for (number, says) in [
        (libc::SIGKILL, "the system lets no program handle"),
        (libc::SIGSTOP, "the system lets no program handle"),
        (libc::SIGILL, "faults"),
        (libc::SIGFPE, "faults"),
        (libc::SIGSEGV, "faults"),
        (0, "no such signal"),
        (-7, "no such signal"),
        (100_000, "no such signal"),
    ] {
        let error = signal(SignalKind::from_raw(number)).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&format!("signal {number}:")), "{message}");
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn kinds_are_numbers() {
    for (kind, number) in [
        (SignalKind::alarm(), libc::SIGALRM),
        (SignalKind::child(), libc::SIGCHLD),
        (SignalKind::hangup(), libc::SIGHUP),
        (SignalKind::interrupt(), libc::SIGINT),
        (SignalKind::io(), libc::SIGIO),
        (SignalKind::pipe(), libc::SIGPIPE),
        (SignalKind::quit(), libc::SIGQUIT),
        (SignalKind::terminate(), libc::SIGTERM),
        (SignalKind::user_defined1(), libc::SIGUSR1),
        (SignalKind::user_defined2(), libc::SIGUSR2),
        (SignalKind::window_change(), libc::SIGWINCH),
    ] {
        assert_eq!(kind, SignalKind::from_raw(number));
        assert_eq!(kind, SignalKind::from(number));
        assert_eq!(i32::from(kind), number);
        assert_eq!(kind.as_raw_value(), number);
    }
}

/// A listener can be polled without `recv`, and by whoever.
#[test]
fn polls_wake_the_last_task_that_polled() {
    let kind = SignalKind::from_raw(libc::SIGPROF);
    let rt = current_thread();
    rt.block_on(async {
        let mut listener = signal(kind).unwrap();
        let (counts, last) = (common::CountingWaker::new(), common::CountingWaker::new());
        for waker in [&counts, &last] {
            let waker = waker.clone().into();
            let mut cx = std::task::Context::from_waker(&waker);
            assert_eq!(listener.poll_recv(&mut cx), Poll::Pending);
        }
        raise(kind);
        while last.wakes() == 0 {
            runnext::task::yield_now().await;
        }
        assert_eq!((counts.wakes(), last.wakes()), (0, 1));
        assert_eq!(listener.recv().await, Some(()));
    });
}
