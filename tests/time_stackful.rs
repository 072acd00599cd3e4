//! Stackful tasks and threads that wait for timers.

#![cfg(all(stackful, feature = "time"))]

mod common;

use common::{Drops, current_thread, multi_thread, panic_of};
use runnext::time::{Duration, Instant, sleep, timeout};
use runnext::{go, stackful, wait};
use std::sync::mpsc;

const SHORT: Duration = Duration::from_millis(5);
const FAR: Duration = Duration::from_secs(3600);

fn nap(duration: Duration) {
    let start = Instant::now();
    stackful::sleep(duration);
    assert!(start.elapsed() >= duration, "it woke up early");
}

#[test]
fn stackful_tasks_sleep_beside_each_other() {
    for rt in [current_thread(), multi_thread(1), multi_thread(2)] {
        rt.block_on(async {
            let tasks: Vec<_> = (0..200)
                .map(|n| go(move || nap(Duration::from_micros(n * 37 % 5_000))))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            go(|| nap(Duration::ZERO)).await.unwrap();
        });
    }
}

#[test]
fn a_stackful_task_gives_up_waiting() {
    multi_thread(2).block_on(async {
        let given_up = go(|| wait(timeout(SHORT, std::future::pending::<()>())));
        assert!(given_up.await.unwrap().is_err());
        let in_time = go(|| wait(timeout(FAR, sleep(SHORT))));
        assert!(in_time.await.unwrap().is_ok());
    });
}

#[test]
fn a_plain_thread_waits_for_a_timer_whoever_else_there_is() {
    for rt in [current_thread(), multi_thread(2)] {
        let _guard = rt.enter();
        let start = Instant::now();
        // Nobody runs the runtime: the thread that waits sees to its timer itself.
        wait(sleep(SHORT));
        assert!(wait(timeout(SHORT, std::future::pending::<()>())).is_err());
        assert!(start.elapsed() >= 2 * SHORT);
    }
    // And needs no runtime for this.
    nap(SHORT);
}

#[test]
fn a_future_cannot_sleep_as_stackful_code_does() {
    let text = current_thread().block_on(async { panic_of(|| stackful::sleep(SHORT)) });
    assert!(text.contains("`time::sleep(…).await`"), "{text}");
}

#[test]
fn a_sleeping_stackful_task_is_unwound_by_abort_and_shutdown() {
    let drops = Drops::new();
    let rt = multi_thread(2);
    let (tell, asleep) = mpsc::channel();
    let sleeper = |name: &'static str| {
        let (guard, tell) = (drops.guard(), tell.clone());
        move || {
            let _guard = guard;
            tell.send(name).unwrap();
            stackful::sleep(FAR);
        }
    };
    let aborted = rt.handle().go(sleeper("aborted"));
    rt.handle().go(sleeper("left"));
    for _ in 0..2 {
        asleep.recv().unwrap();
    }
    aborted.abort();
    assert!(rt.block_on(aborted).unwrap_err().is_cancelled());
    assert_eq!(drops.dropped(), 1);
    drop(rt);
    assert_eq!(drops.dropped(), 2);
}

#[test]
fn a_destructor_that_waits_for_a_timer_does_not_hold_up_the_shutdown_for_ever() {
    struct Waits(mpsc::Sender<bool>);
    impl Drop for Waits {
        fn drop(&mut self) {
            stackful::sleep(SHORT);
            let elapsed = wait(timeout(SHORT, std::future::pending::<()>())).is_err();
            self.0.send(elapsed).unwrap();
        }
    }
    let rt = multi_thread(2);
    let (tell, told) = mpsc::channel();
    let (began, begun) = mpsc::channel();
    rt.handle().go(move || {
        let _waits = Waits(tell);
        began.send(()).unwrap();
        stackful::sleep(FAR);
    });
    begun.recv().unwrap();
    drop(rt);
    assert_eq!(told.recv(), Ok(true));
}

#[test]
fn what_a_stackful_task_leaves_behind_on_a_current_thread_runtime_goes_on() {
    let rt = current_thread();
    rt.block_on(async {
        // From now on a thread sees to unused stacks, and is not started once more.
        go(|| ()).await.unwrap();
        let (tell, told) = runnext::sync::oneshot::channel();
        go(move || {
            // The thread that runs this has no stackful task when the timer is set, and goes to
            // sleep while the one in `block_on` is asleep.
            runnext::spawn(async move {
                sleep(SHORT).await;
                tell.send(()).unwrap();
            });
        });
        told.await.unwrap();
    });
}
