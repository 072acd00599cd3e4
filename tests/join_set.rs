//! What happens to tasks in a `JoinSet`, and to whoever awaits it.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::pending;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};

use futures::FutureExt;
use runnext::runtime::{Builder, Runtime};
use runnext::sync::{Barrier, oneshot, watch};
use runnext::task::coop::has_budget_remaining;
use runnext::task::{AbortHandle, JoinSet, LocalSet, yield_now};

fn current_thread() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn two_workers() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap()
}

/// Lets other tasks run until this one is done.
async fn finished(task: &AbortHandle) {
    while !task.is_finished() {
        yield_now().await;
    }
}

/// Counts how many of its kind were dropped.
#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

struct Counted(Drops);

impl Drops {
    fn counted(&self) -> Counted {
        Counted(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl CountWakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

// ===== Joining =====

#[runnext::test]
async fn an_empty_set_joins_nothing() {
    let mut set = JoinSet::<()>::new();
    assert!(set.is_empty());
    assert!(set.join_next().await.is_none());
    assert!(set.join_next_with_id().await.is_none());
    assert!(set.try_join_next().is_none());
    assert!(set.try_join_next_with_id().is_none());
    assert!(JoinSet::<()>::default().join_all().await.is_empty());
}

#[test]
fn tasks_are_joined_in_the_order_in_which_they_complete() {
    current_thread().block_on(async {
        const ORDER: [usize; 5] = [3, 0, 4, 2, 1];
        let mut set = JoinSet::new();
        let mut gates = HashMap::new();
        for index in 0..ORDER.len() {
            let (open, gate) = oneshot::channel::<()>();
            let task = set.spawn(async move {
                gate.await.unwrap();
                index
            });
            gates.insert(index, (open, task));
        }
        for index in ORDER {
            let (open, task) = gates.remove(&index).unwrap();
            open.send(()).unwrap();
            finished(&task).await;
        }
        assert_eq!(set.join_all().await, ORDER);
    });
}

#[test]
fn tasks_that_completed_before_the_first_join_keep_their_order() {
    current_thread().block_on(async {
        // In which order they run is up to the scheduler, so they write it down.
        let ran = Arc::new(Mutex::new(Vec::new()));
        let mut set = JoinSet::new();
        let tasks: Vec<_> = (0..100)
            .map(|index| {
                let ran = ran.clone();
                set.spawn(async move {
                    ran.lock().unwrap().push(index);
                    index
                })
            })
            .collect();
        for task in &tasks {
            finished(task).await;
        }
        let joined = set.join_all().await;
        assert_eq!(joined, *ran.lock().unwrap());
    });
}

#[runnext::test]
async fn the_length_counts_tasks_until_they_are_joined() {
    let mut set = JoinSet::new();
    for n in 1..=10 {
        let task = set.spawn(async {});
        assert_eq!(set.len(), n);
        finished(&task).await;
        assert_eq!(set.len(), n);
    }
    for n in (0..10).rev() {
        set.join_next().await.unwrap().unwrap();
        assert_eq!(set.len(), n);
        assert_eq!(set.is_empty(), n == 0);
    }
}

#[runnext::test]
async fn a_set_can_be_filled_and_emptied_again_and_again() {
    let mut set = JoinSet::new();
    for round in 0..200_usize {
        // More and fewer than before, so that slots are made, left and reused.
        let tasks = round * 37 % 101;
        set.extend((0..tasks).map(|index| async move { index }));
        let mut sum = 0;
        while let Some(joined) = set.join_next().await {
            sum += joined.unwrap();
        }
        assert_eq!(sum, (0..tasks).sum());
        assert!(set.is_empty());
    }
}

#[runnext::test]
async fn a_task_is_joined_while_others_are_spawned() {
    let mut set = JoinSet::new();
    set.spawn(async { 0 });
    set.spawn(async { 0 });
    for n in 1..=1_000 {
        set.join_next().await.unwrap().unwrap();
        assert_eq!(set.len(), 1);
        set.spawn(async move { n });
        assert_eq!(set.len(), 2);
    }
    let rest = set.join_all().await;
    assert!(rest.contains(&1_000));
}

#[runnext::test]
async fn ids_are_those_told_when_the_tasks_were_spawned() {
    let mut set = JoinSet::new();
    let mut expected = HashMap::new();
    for index in 0..50 {
        let task = set.spawn(async move {
            assert_ne!(index, 7, "this one panics");
            index
        });
        expected.insert(task.id(), index);
    }
    let never = set.spawn(pending());
    expected.insert(never.id(), 50);
    never.abort();

    let mut by_try = false;
    while !expected.is_empty() {
        let joined = if by_try {
            set.try_join_next_with_id()
        } else {
            set.join_next_with_id().await
        };
        by_try = !by_try;
        match joined {
            Some(Ok((id, index))) => assert_eq!(expected.remove(&id), Some(index)),
            Some(Err(error)) => {
                let index = expected.remove(&error.id()).unwrap();
                assert_eq!(error.is_panic(), index == 7);
                assert_eq!(error.is_cancelled(), index == 50);
            }
            None => assert!(!by_try, "an await returns `None` only for an empty set"),
        }
    }
    assert!(set.is_empty());
}

#[runnext::test]
async fn a_join_that_is_dropped_takes_no_task_with_it() {
    let (open, gate) = oneshot::channel::<()>();
    let mut set = JoinSet::new();
    let task = set.spawn(async move {
        gate.await.unwrap();
        5
    });
    for _ in 0..3 {
        assert!(set.join_next().now_or_never().is_none());
        assert_eq!(set.len(), 1);
    }
    open.send(()).unwrap();
    finished(&task).await;
    assert_eq!(set.join_next().await.unwrap().unwrap(), 5);
}

#[runnext::test]
async fn try_join_finds_what_completed_and_does_not_wait_for_the_rest() {
    let (open, gate) = oneshot::channel::<()>();
    let mut set = JoinSet::new();
    let quick = set.spawn(async { 1 });
    let slow = set.spawn(async move {
        gate.await.unwrap();
        2
    });
    assert!(set.try_join_next().is_none());
    finished(&quick).await;
    assert_eq!(set.try_join_next().unwrap().unwrap(), 1);
    assert!(set.try_join_next().is_none());
    assert_eq!(set.len(), 1);
    open.send(()).unwrap();
    finished(&slow).await;
    assert_eq!(set.try_join_next().unwrap().unwrap(), 2);
    assert!(set.try_join_next().is_none());
}

#[test]
fn try_join_is_not_limited_by_the_budget() {
    current_thread().block_on(async {
        const TASKS: usize = 1_000;
        let (open, gate) = watch::channel(());
        let mut set = JoinSet::new();
        for _ in 0..TASKS {
            let mut gate = gate.clone();
            set.spawn(async move { gate.changed().await.unwrap() });
        }
        drop(gate);
        assert!(set.try_join_next().is_none());
        open.send_replace(());
        // All receivers are gone, and with them all tasks.
        open.closed().await;
        for _ in 0..TASKS {
            set.try_join_next().unwrap().unwrap();
        }
        assert!(set.is_empty());
        assert!(has_budget_remaining());
    });
}

#[test]
fn spawning_takes_no_budget_even_when_the_task_has_ended_at_once() {
    let gone = current_thread().handle().clone();
    current_thread().block_on(async {
        let mut set = JoinSet::new();
        for _ in 0..1_000 {
            set.spawn_on(async {}, &gone);
        }
        assert!(has_budget_remaining());
        let joined = set.join_next().now_or_never().flatten();
        assert!(joined.unwrap().unwrap_err().is_cancelled());
    });
}

#[test]
fn a_poll_of_the_task_that_awaits_joins_as_many_as_its_budget_allows() {
    current_thread().block_on(async {
        const TASKS: usize = 1_000;
        let drops = Drops::default();
        let mut set = JoinSet::new();
        for _ in 0..TASKS {
            let counted = drops.counted();
            set.spawn(async move { drop(counted) });
        }
        while drops.count() < TASKS {
            yield_now().await;
        }
        // In a task of its own, which has joined nothing yet.
        let joiner = runnext::spawn(async move {
            let mut turns = Vec::new();
            loop {
                let mut joined = 0;
                while let Some(Some(result)) = set.join_next().now_or_never() {
                    result.unwrap();
                    joined += 1;
                }
                turns.push(joined);
                if set.is_empty() {
                    return turns;
                }
                yield_now().await;
            }
        });
        let turns = joiner.await.unwrap();
        assert_eq!(turns[..7], [128; 7]);
        assert_eq!(turns[7..], [TASKS - 7 * 128]);
    });
}

#[test]
fn whoever_awaits_is_woken_once_for_many_completions() {
    let runtime = current_thread();
    let wakes = Arc::<CountWakes>::default();
    let waker = Waker::from(wakes.clone());
    let mut cx = Context::from_waker(&waker);
    runtime.block_on(async {
        let mut set = JoinSet::new();
        let tasks: Vec<_> = (0..10).map(|_| set.spawn(async {})).collect();
        assert!(set.poll_join_next(&mut cx).is_pending());
        for task in &tasks {
            finished(task).await;
        }
        assert_eq!(wakes.count(), 1);
        for _ in 0..10 {
            assert!(matches!(
                set.poll_join_next(&mut cx),
                Poll::Ready(Some(Ok(())))
            ));
        }
        assert!(matches!(set.poll_join_next(&mut cx), Poll::Ready(None)));
        assert_eq!(wakes.count(), 1);
    });
}

#[test]
fn only_the_latest_waker_is_woken() {
    let wakes: [Arc<CountWakes>; 2] = Default::default();
    current_thread().block_on(async {
        let mut set = JoinSet::new();
        let task = set.spawn(async { 1 });
        for wakes in &wakes {
            let waker = Waker::from(wakes.clone());
            let mut cx = Context::from_waker(&waker);
            assert!(set.poll_join_next_with_id(&mut cx).is_pending());
        }
        finished(&task).await;
        assert_eq!(wakes.each_ref().map(|wakes| wakes.count()), [0, 1]);
        let mut cx = Context::from_waker(Waker::noop());
        let joined = set.poll_join_next_with_id(&mut cx);
        assert!(matches!(joined, Poll::Ready(Some(Ok((id, 1)))) if id == task.id()));
    });
}

#[test]
fn a_dropped_set_lets_go_of_the_waker_of_whoever_awaited_it() {
    let wakes = Arc::<CountWakes>::default();
    current_thread().block_on(async {
        let mut set = JoinSet::new();
        let task = set.spawn(pending::<()>());
        let waker = Waker::from(wakes.clone());
        let polled = set.poll_join_next(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(waker);
        drop(set);
        // Before the aborted task has even been polled.
        assert_eq!(Arc::strong_count(&wakes), 1);
        finished(&task).await;
    });
    assert_eq!(wakes.count(), 0);
}

#[test]
fn many_tasks_on_many_threads_are_each_joined_once() {
    const TASKS: u64 = 20_000;
    let runtime = two_workers();
    let joined = runtime.block_on(async {
        let task = runnext::spawn(async {
            let mut set = JoinSet::new();
            let mut sum = 0;
            for number in 0..TASKS {
                set.spawn(async move {
                    if number % 3 == 0 {
                        yield_now().await;
                    }
                    number
                });
                // Never more than 200 at a time.
                while set.len() >= 200 {
                    sum += set.join_next().await.unwrap().unwrap();
                }
            }
            while let Some(joined) = set.join_next().await {
                sum += joined.unwrap();
            }
            sum
        });
        task.await.unwrap()
    });
    assert_eq!(joined, TASKS * (TASKS - 1) / 2);
}

#[test]
fn a_set_can_be_joined_on_another_runtime_than_its_tasks() {
    let (one, other) = (two_workers(), current_thread());
    let mut set = JoinSet::new();
    for number in 0..100 {
        set.spawn_on(async move { number }, one.handle());
        set.spawn_on(async move { number }, other.handle());
    }
    let numbers = other.block_on(set.join_all());
    assert_eq!(numbers.iter().sum::<i32>(), 2 * 4_950);
}

// ===== Failures =====

#[runnext::test]
async fn a_panic_is_joined_as_an_error_and_the_others_go_on() {
    let mut set = JoinSet::new();
    set.spawn(async { panic!("this one panics") });
    set.spawn(async { 1 });
    let mut outputs = Vec::new();
    let mut panics = 0;
    while let Some(joined) = set.join_next().await {
        match joined {
            Ok(output) => outputs.push(output),
            Err(error) => {
                let payload = error.into_panic();
                assert_eq!(payload.downcast_ref(), Some(&"this one panics"));
                panics += 1;
            }
        }
    }
    assert_eq!((outputs.as_slice(), panics), ([1].as_slice(), 1));
}

#[runnext::test]
async fn a_task_aborted_by_its_handle_is_joined_as_cancelled() {
    let drops = Drops::default();
    let mut set = JoinSet::new();
    let counted = drops.counted();
    let task = set.spawn(async move {
        let _counted = counted;
        pending::<()>().await
    });
    yield_now().await;
    task.abort();
    let error = set.join_next().await.unwrap().unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(drops.count(), 1);
}

#[runnext::test]
async fn abort_all_leaves_every_task_to_be_joined() {
    let drops = Drops::default();
    let mut set = JoinSet::new();
    let done = set.spawn(async {});
    finished(&done).await;
    for _ in 0..10 {
        let counted = drops.counted();
        set.spawn(async move {
            let _counted = counted;
            pending::<()>().await
        });
    }
    set.abort_all();
    assert_eq!(set.len(), 11);

    // What had completed before keeps its output.
    assert!(set.join_next().await.unwrap().is_ok());
    for gone in 1..=10 {
        let error = set.join_next().await.unwrap().unwrap_err();
        assert!(error.is_cancelled());
        assert!(drops.count() >= gone);
    }
    assert!(set.is_empty());
    assert_eq!(drops.count(), 10);
}

#[runnext::test]
async fn shutdown_returns_when_every_future_is_gone() {
    let drops = Drops::default();
    let mut set = JoinSet::new();
    for index in 0..20 {
        let counted = drops.counted();
        set.spawn(async move {
            let _counted = counted;
            if index == 3 {
                panic!("a panic does not disturb the shutdown");
            }
            pending::<()>().await
        });
    }
    yield_now().await;
    set.shutdown().await;
    assert_eq!(drops.count(), 20);
    assert!(set.is_empty());

    // The set is as good as new.
    set.spawn(async {});
    set.join_next().await.unwrap().unwrap();
}

#[runnext::test]
async fn a_panic_goes_on_in_join_all_and_aborts_the_rest() {
    let drops = Drops::default();
    let mut set = JoinSet::<()>::new();
    let counted = drops.counted();
    let other = set.spawn(async move {
        let _counted = counted;
        pending().await
    });
    set.spawn(async { panic!("this one panics") });
    let error = runnext::spawn(set.join_all()).await.unwrap_err();
    let payload = error.into_panic();
    assert_eq!(payload.downcast_ref(), Some(&"this one panics"));
    finished(&other).await;
    assert_eq!(drops.count(), 1);
}

#[runnext::test]
async fn join_all_panics_when_a_task_was_aborted() {
    let mut set = JoinSet::<()>::new();
    set.spawn(pending()).abort();
    let error = runnext::spawn(set.join_all()).await.unwrap_err();
    let text = error.into_panic().downcast::<String>().unwrap();
    assert!(text.contains("cancelled"), "{text}");
}

#[test]
fn tasks_of_a_runtime_that_was_dropped_are_joined_as_cancelled() {
    let runtime = current_thread();
    let handle = runtime.handle().clone();
    let drops = Drops::default();
    let mut set = JoinSet::new();
    let counted = drops.counted();
    set.spawn_on(async move { drop(counted) }, &handle);
    drop(runtime);
    // This one never gets to a run queue, and has ended before it is in the set.
    let counted = drops.counted();
    set.spawn_on(async move { drop(counted) }, &handle);
    assert_eq!(set.len(), 2);
    assert_eq!(drops.count(), 2);
    current_thread().block_on(async {
        for _ in 0..2 {
            let error = set.join_next().await.unwrap().unwrap_err();
            assert!(error.is_cancelled());
        }
        assert!(set.join_next().await.is_none());
    });
}

#[test]
#[should_panic(expected = "runtime")]
fn spawn_panics_outside_of_a_runtime() {
    JoinSet::new().spawn(async {});
}

// ===== Leaving the set =====

#[runnext::test]
async fn dropping_the_set_aborts_its_tasks() {
    let drops = Drops::default();
    let mut set = JoinSet::<()>::new();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let counted = drops.counted();
            set.spawn(async move {
                let _counted = counted;
                pending().await
            })
        })
        .collect();
    yield_now().await;
    drop(set);
    for task in &tasks {
        finished(task).await;
    }
    assert_eq!(drops.count(), 16);
}

#[runnext::test]
async fn a_set_inside_a_task_is_aborted_with_it() {
    let drops = Drops::default();
    let (inner_id, inner) = oneshot::channel();
    let counted = drops.counted();
    let outer = runnext::spawn(async move {
        let mut set = JoinSet::<()>::new();
        let task = set.spawn(async move {
            let _counted = counted;
            pending().await
        });
        assert!(inner_id.send(task).is_ok());
        set.join_next().await
    });
    let inner = inner.await.unwrap();
    outer.abort();
    assert!(outer.await.unwrap_err().is_cancelled());
    finished(&inner).await;
    assert_eq!(drops.count(), 1);
}

#[runnext::test]
async fn detached_tasks_run_on() {
    let (open, gate) = watch::channel(());
    let drops = Drops::default();
    let mut set = JoinSet::new();
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (mut gate, counted) = (gate.clone(), drops.counted());
            set.spawn(async move {
                gate.changed().await.unwrap();
                counted
            })
        })
        .collect();
    yield_now().await;
    set.detach_all();
    assert!(set.is_empty());
    assert!(set.join_next().await.is_none());

    // The set's next tasks are not mistaken for those that left.
    set.spawn(pending());
    assert!(set.join_next().now_or_never().is_none());
    open.send_replace(());
    for task in &tasks {
        finished(task).await;
    }
    assert!(set.join_next().now_or_never().is_none());
    assert_eq!(set.len(), 1);
    drop(set);
    // Nobody wanted the outputs of the ten.
    while drops.count() < 10 {
        yield_now().await;
    }
    assert_eq!(drops.count(), 10);
}

#[runnext::test]
async fn every_output_is_dropped_once() {
    let drops = Drops::default();
    let mut set = JoinSet::new();
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let counted = drops.counted();
            set.spawn(async move { counted })
        })
        .collect();
    for task in &tasks {
        finished(task).await;
    }
    let joined: Vec<_> = (0..4).map(|_| set.try_join_next().unwrap()).collect();
    assert_eq!(drops.count(), 0);
    drop(set);
    assert_eq!(drops.count(), 6);
    drop(joined);
    assert_eq!(drops.count(), 10);
}

// ===== Kinds of tasks =====

#[runnext::test]
async fn blocking_closures_run_side_by_side_and_are_joined() {
    let barrier = Arc::new(std::sync::Barrier::new(3));
    let handle = runnext::runtime::Handle::current();
    let mut set = JoinSet::new();
    for number in 0..3 {
        let barrier = barrier.clone();
        let blocking = move || {
            barrier.wait();
            number
        };
        if number == 0 {
            set.spawn_blocking_on(blocking, &handle);
        } else {
            set.spawn_blocking(blocking);
        }
    }
    let mut numbers = set.join_all().await;
    numbers.sort();
    assert_eq!(numbers, [0, 1, 2]);
}

#[runnext::test]
async fn a_blocking_closure_that_began_survives_the_set() {
    let (started, start) = oneshot::channel();
    let (release, wait) = mpsc::channel();
    let (ended, end) = oneshot::channel();
    let mut set = JoinSet::new();
    set.spawn_blocking(move || {
        started.send(()).unwrap();
        wait.recv().unwrap();
        ended.send("ran to its end").unwrap();
    });
    start.await.unwrap();
    drop(set);
    release.send(()).unwrap();
    assert_eq!(end.await, Ok("ran to its end"));
}

#[test]
fn local_tasks_may_hold_what_is_not_send() {
    current_thread().block_on(async {
        let local = LocalSet::new();
        let mut set = JoinSet::new();
        let count = Rc::new(Cell::new(0));
        for _ in 0..5 {
            let count = count.clone();
            set.spawn_local_on(async move { count.set(count.get() + 1) }, &local);
        }
        assert!(set.try_join_next().is_none());
        local
            .run_until(async {
                let count = count.clone();
                set.spawn_local(async move { count.set(count.get() + 1) });
                set.join_all().await
            })
            .await;
        assert_eq!(count.get(), 6);
    });
}

#[test]
fn local_tasks_are_gone_after_a_shutdown() {
    current_thread().block_on(async {
        let count = Rc::new(());
        let mut set = JoinSet::<()>::new();
        LocalSet::new()
            .run_until(async {
                for _ in 0..5 {
                    let count = count.clone();
                    set.spawn_local(async move {
                        let _count = count;
                        pending().await
                    });
                }
                set.shutdown().await;
            })
            .await;
        assert!(set.is_empty());
        assert_eq!(Rc::strong_count(&count), 1);
    });
}

#[test]
fn the_builder_spawns_every_kind_of_task() {
    let runtime = current_thread();
    runtime.block_on(async {
        let local = LocalSet::new();
        let mut set = JoinSet::new();
        let name = String::from("borrowed");
        let task = set.build_task().name(&name).spawn(async { 1 }).unwrap();
        set.build_task()
            .name("on")
            .spawn_on(async { 2 }, runtime.handle())
            .unwrap();
        set.build_task().spawn_blocking(|| 3).unwrap();
        set.build_task()
            .spawn_blocking_on(|| 4, runtime.handle())
            .unwrap();
        set.build_task()
            .spawn_local_on(async { 5 }, &local)
            .unwrap();
        local
            .run_until(async {
                set.build_task()
                    .name("local")
                    .spawn_local(async { 6 })
                    .unwrap();
                let mut outputs = HashMap::new();
                while let Some(joined) = set.join_next_with_id().await {
                    let (id, output) = joined.unwrap();
                    assert!(outputs.insert(id, output).is_none());
                }
                assert_eq!(outputs[&task.id()], 1);
                assert_eq!(outputs.values().sum::<i32>(), 21);
            })
            .await;
    });
}

#[runnext::test]
async fn futures_can_be_collected_into_a_set_and_added_to_it() {
    let barrier = Arc::new(Barrier::new(10));
    let wait = |number| {
        let barrier = barrier.clone();
        async move {
            // Returns only when all ten run.
            barrier.wait().await;
            number
        }
    };
    let mut set: JoinSet<_> = (0..5).map(wait).collect();
    set.extend((5..10).map(wait));
    assert_eq!(set.len(), 10);
    let mut numbers = set.join_all().await;
    numbers.sort();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
}

#[runnext::test]
async fn debug_tells_the_length() {
    let mut set = JoinSet::new();
    set.spawn(async {});
    assert_eq!(format!("{set:?}"), "JoinSet { len: 1 }");
}

#[test]
fn a_set_may_be_sent_and_shared_when_its_outputs_may_be_sent() {
    fn sent_and_shared<T: Send + Sync + Unpin>() {}
    // `Cell` may be sent and not shared.
    sent_and_shared::<JoinSet<Cell<u8>>>();
}
