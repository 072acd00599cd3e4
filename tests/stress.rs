//! A long time of everything at once, with every drop counted.
//!
//! `RUNNEXT_STRESS` sets how many tasks are moved; the default takes some seconds. The full run:
//!
//! ```text
//! RUNNEXT_STRESS=20000000 cargo nextest run --release --test stress --test stress_idle
//! ```
//!
//! Each round is named with its seed before it begins; `RUNNEXT_STRESS_SEED` begins with that one.

mod common;

use common::{Drops, Guard, Random, setting, stress};
use runnext::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use runnext::sync::{Notify, mpsc};
use runnext::task::{JoinHandle, block_in_place, spawn_blocking, yield_now};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

/// The seeds of the rounds, each announced.
fn seeds() -> impl Iterator<Item = u64> {
    (setting("RUNNEXT_STRESS_SEED", 1)..).inspect(|seed| eprintln!("seed {seed}"))
}

/// A runtime of some kind, by chance.
fn some_runtime(random: &mut Random) -> Runtime {
    let mut builder = match random.below(4) {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(1 + random.below(4) as usize);
    builder.max_blocking_threads(1 + random.below(8) as usize);
    builder.thread_keep_alive(Duration::from_micros(random.below(2_000)));
    builder.global_queue_interval([1, 7, 61, 1_000][random.below(4) as usize]);
    builder.seed(random.below(u64::MAX)).build().unwrap()
}

/// What the tasks of a round share.
struct World {
    drops: Drops,
    /// How many more tasks may be spawned.
    left: AtomicIsize,
    in_place: bool,
    /// Threads that wake what is sent to them.
    wakers: Mutex<std_mpsc::Sender<Waker>>,
    notify: Notify,
    sender: mpsc::Sender<Guard>,
    receiver: runnext::sync::Mutex<mpsc::Receiver<Guard>>,
}

type Work = Pin<Box<dyn Future<Output = Guard> + Send>>;

/// A task that does things by chance, and returns a guard.
fn work(world: Arc<World>, seed: u64, depth: u64) -> Work {
    let guard = world.drops.guard();
    Box::pin(async move {
        let _guard = guard;
        let mut random = Random::new(seed);
        for _ in 0..random.below(6) {
            act(&world, &mut random, depth).await;
        }
        world.drops.guard()
    })
}

async fn act(world: &Arc<World>, random: &mut Random, depth: u64) {
    match random.below(20) {
        0..=3 => yield_now().await,
        4..=10 if depth > 0 => spawn(world, random, depth).await,
        11 => {
            let guard = world.drops.guard();
            let closure = spawn_blocking(move || {
                let _guard = guard;
                thread::yield_now();
            });
            if random.below(2) == 0 {
                closure.await.unwrap();
            }
        }
        12 if world.in_place => {
            let next = random.below(u64::MAX);
            block_in_place(|| {
                if world.left.fetch_sub(1, Ordering::Relaxed) > 0 {
                    runnext::spawn(work(world.clone(), next, 0));
                }
            });
        }
        13 => {
            // It is woken by another thread, perhaps before this poll ends.
            let mut sent = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut sent, true) {
                    return Poll::Ready(());
                }
                world
                    .wakers
                    .lock()
                    .unwrap()
                    .send(cx.waker().clone())
                    .unwrap();
                Poll::Pending
            })
            .await;
        }
        14 => world.notify.notify_waiters(),
        15 => {
            let mut notified = Box::pin(world.notify.notified());
            // Not waited for to the end, since nobody may come.
            for _ in 0..3 {
                if common::poll_once(&mut notified).await.is_ready() {
                    break;
                }
                yield_now().await;
            }
        }
        16 => drop(world.sender.try_send(world.drops.guard())),
        17 => {
            if let Ok(mut receiver) = world.receiver.try_lock() {
                drop(receiver.try_recv());
            }
        }
        18 if random.below(4) == 0 => {
            std::panic::resume_unwind(Box::new(world.drops.guard()));
        }
        19 if random.below(8) == 0 => pending().await,
        _ => {}
    }
}

/// Spawns a task, and does with it one of the things that one can do.
async fn spawn(world: &Arc<World>, random: &mut Random, depth: u64) {
    for _ in 0..=random.below(3) {
        if world.left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return;
        }
        let child = work(world.clone(), random.below(u64::MAX), depth - 1);
        let task: JoinHandle<Guard> = runnext::spawn(child);
        match random.below(8) {
            0 => drop(task),
            1 => task.abort(),
            2 => {
                task.abort();
                drop(task.await);
            }
            3 => {
                yield_now().await;
                let handle = task.abort_handle();
                drop(task);
                handle.abort();
            }
            4 => {
                // Who is awaited may wait for ever; who awaits is aborted then.
                let aborts = task.abort_handle();
                let joiner = runnext::spawn(async move { drop(task.await) });
                yield_now().await;
                aborts.abort();
                joiner.await.unwrap();
            }
            _ => {
                let handle = task.abort_handle();
                let mut task = task;
                for _ in 0..20 {
                    if common::poll_once(&mut task).await.is_ready() {
                        return;
                    }
                    yield_now().await;
                }
                handle.abort();
                drop(task.await);
            }
        }
    }
}

/// One round: a runtime, work from inside and from outside, and its end in the middle or not.
fn round(seed: u64, tasks: usize) {
    let random = &mut Random::new(seed);
    let rt = some_runtime(random);
    let drops = Drops::new();
    let (wakers, woken) = std_mpsc::channel::<Waker>();
    let waker = thread::spawn(move || {
        for (n, waker) in woken.into_iter().enumerate() {
            if n % 2 == 0 {
                waker.wake()
            } else {
                waker.wake_by_ref()
            }
        }
    });
    let (sender, receiver) = mpsc::channel(16);
    let world = Arc::new(World {
        drops: drops.clone(),
        left: AtomicIsize::new(tasks as isize),
        in_place: rt.handle().runtime_flavor() == RuntimeFlavor::MultiThread,
        wakers: Mutex::new(wakers),
        notify: Notify::new(),
        sender,
        receiver: runnext::sync::Mutex::new(receiver),
    });
    let over = Arc::new(AtomicBool::new(false));
    let feed = |handle: Handle, mut random: Random| {
        let (world, over) = (world.clone(), over.clone());
        move || {
            while world.left.fetch_sub(1, Ordering::Relaxed) > 0 && !over.load(Ordering::Relaxed) {
                let task = handle.spawn(work(world.clone(), random.below(u64::MAX), 5));
                match random.below(4) {
                    0 => task.abort(),
                    1 => thread::yield_now(),
                    _ => {}
                }
            }
        }
    };
    let feeders: Vec<_> = (0..2)
        .map(|k| thread::spawn(feed(rt.handle().clone(), Random::new(seed + k + 1_000))))
        .collect();
    let share = random.below(4);
    let root = async {
        // To the end, or up to a part.
        while world.left.load(Ordering::Relaxed) > (tasks as u64 * share / 4) as isize {
            let task = runnext::spawn(work(world.clone(), random.below(u64::MAX), 8));
            yield_now().await;
            task.abort();
            drop(task.await);
        }
    };
    rt.block_on(root);
    over.store(true, Ordering::Relaxed);
    match random.below(3) {
        0 => rt.shutdown_timeout(Duration::from_secs(600)),
        _ => drop(rt),
    }
    feeders
        .into_iter()
        .for_each(|feeder| feeder.join().unwrap());
    // The channel between the tasks holds guards, and the last sender of wakers.
    drop(Arc::into_inner(world).expect("no task is left that holds the world"));
    waker.join().unwrap();
    assert_eq!(
        drops.alive(),
        0,
        "{} of {} leaked",
        drops.alive(),
        drops.made()
    );
}

#[test]
fn everything_at_once_leaks_nothing() {
    let (mut left, mut seeds) = (stress(), seeds());
    while left > 0 {
        let tasks = left.min(20_000);
        round(seeds.next().unwrap(), tasks);
        left -= tasks;
    }
}

#[test]
fn runtimes_come_and_go_with_work_in_every_state() {
    for seed in seeds().take((stress() / 400).max(1)) {
        let random = &mut Random::new(seed);
        let rt = some_runtime(random);
        let drops = Drops::new();
        let multi = rt.handle().runtime_flavor() != RuntimeFlavor::CurrentThread;
        let mut handles = Vec::new();
        for _ in 0..random.below(20) {
            let (guard, kind) = (drops.guard(), random.below(6));
            let task = async move {
                let _guard = guard;
                match kind {
                    0 => {}
                    1 => yield_now().await,
                    2 => loop {
                        yield_now().await;
                    },
                    3 if multi => block_in_place(thread::yield_now),
                    4 => drop(spawn_blocking(|| ()).await),
                    _ => pending().await,
                }
            };
            let task = rt.spawn(task);
            match random.below(4) {
                0 => handles.push(task),
                1 => task.abort(),
                2 => drop(rt.spawn(async { drop(task.await) })),
                _ => {}
            }
            let guard = drops.guard();
            match random.below(4) {
                0 => drop(rt.spawn_blocking(move || drop(guard))),
                1 => rt.block_on(yield_now()),
                _ => {}
            }
        }
        match random.below(4) {
            0 => rt.shutdown_background(),
            1 => rt.shutdown_timeout(Duration::from_micros(random.below(100))),
            _ => {
                drop(rt);
                assert_eq!(drops.alive(), 0);
            }
        }
        for task in handles {
            drop(futures::executor::block_on(task));
        }
        // In the background it may take a while, but it comes.
        while drops.alive() > 0 {
            thread::yield_now();
        }
    }
}

#[test]
fn each_task_runs_once_wherever_it_is_taken() {
    let rt = common::multi_thread(4);
    let bursts = (stress() / 1_000).max(1);
    let task = rt.spawn(async move {
        for burst in 0..bursts {
            let ran: Arc<Vec<AtomicUsize>> =
                Arc::new((0..1_000).map(|_| AtomicUsize::new(0)).collect());
            let tasks: Vec<_> = (0..1_000)
                .map(|n| {
                    let ran = ran.clone();
                    runnext::spawn(async move {
                        if (n + burst) % 3 == 0 {
                            yield_now().await;
                        }
                        ran[n].fetch_add(1, Ordering::Relaxed);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert!(ran.iter().all(|ran| ran.load(Ordering::Relaxed) == 1));
        }
    });
    rt.block_on(task).unwrap();
}
