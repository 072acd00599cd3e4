//! A long time of stackful tasks and futures together, with every drop counted.
//!
//! `RUNNEXT_STRESS` sets how many tasks are moved; the default takes some seconds. The full run:
//!
//! ```text
//! RUNNEXT_STRESS=5000000 cargo nextest run --release --test stress_stackful
//! ```
//!
//! Each round is named with its seed before it begins; `RUNNEXT_STRESS_SEED` begins with that one.
#![cfg(stackful)]

mod common;

use common::{Drops, Guard, Random, setting, stress};
use runnext::runtime::{Builder, Handle, Runtime};
use runnext::stackful::{self, blocking};
use runnext::sync::mpsc;
use runnext::task::{JoinHandle, yield_now};
use runnext::{go, spawn, wait};
use std::cell::Cell;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the tasks of a round share.
struct World {
    drops: Drops,
    /// How many more tasks may be spawned.
    left: AtomicIsize,
    sender: mpsc::Sender<Guard>,
    receiver: runnext::sync::Mutex<mpsc::Receiver<Guard>>,
    lock: runnext::sync::Mutex<Option<Guard>>,
}

impl World {
    fn takes_another(&self) -> bool {
        self.left.fetch_sub(1, Ordering::Relaxed) > 0
    }
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

/// Spawns a task of one kind or the other, that does things by chance and returns a guard.
fn spawn_some(
    handle: &Handle,
    world: &Arc<World>,
    random: &mut Random,
    depth: u64,
) -> JoinHandle<Guard> {
    let (world, seed) = (world.clone(), random.below(u64::MAX));
    match random.below(8) {
        0..=2 => handle.spawn(stackless(world, seed, depth)),
        3 => {
            let guard = world.drops.guard();
            let f = move || {
                let _guard = guard;
                for _ in 0..Random::new(seed).below(6) {
                    stackful::yield_now();
                    drop(wait(spawn(yield_now())));
                }
                world.drops.guard()
            };
            // SAFETY: a guard and a world are Send, and nothing else is alive at the waits.
            let builder = unsafe { stackful::Builder::new().migratable() };
            builder.go_on(f, handle).unwrap()
        }
        4 if seed.is_multiple_of(64) => stackful::Builder::new()
            .stack_size(256 * 1024)
            .go_on(move || stackful(&world, seed, depth), handle)
            .unwrap(),
        _ => handle.go(move || stackful(&world, seed, depth)),
    }
}

fn stackless(
    world: Arc<World>,
    seed: u64,
    depth: u64,
) -> Pin<Box<dyn Future<Output = Guard> + Send>> {
    let guard = world.drops.guard();
    Box::pin(async move {
        let _guard = guard;
        let mut random = Random::new(seed);
        for _ in 0..random.below(6) {
            match random.below(6) {
                0..=1 => yield_now().await,
                2 => drop(world.sender.try_send(world.drops.guard())),
                3 => drop(world.lock.lock().await.replace(world.drops.guard())),
                4 if random.below(16) == 0 => pending().await,
                _ if depth > 0 && world.takes_another() => {
                    let task = spawn_some(&Handle::current(), &world, &mut random, depth - 1);
                    let aborts = task.abort_handle();
                    match random.below(3) {
                        0 => drop(task),
                        1 => aborts.abort(),
                        _ => {
                            yield_now().await;
                            aborts.abort();
                            drop(task.await);
                        }
                    }
                }
                _ => {}
            }
        }
        world.drops.guard()
    })
}

/// Has a guard and things that must not leave the thread, and looks after each step whether they did.
struct Stays {
    _guard: Guard,
    steps: Rc<Cell<usize>>,
    thread: thread::ThreadId,
}

impl Stays {
    fn check(&self) {
        self.steps.set(self.steps.get() + 1);
        assert_eq!(thread::current().id(), self.thread);
    }
}

impl Drop for Stays {
    fn drop(&mut self) {
        // Also when it unwinds.
        self.check();
    }
}

fn stackful(world: &Arc<World>, seed: u64, depth: u64) -> Guard {
    let stays = Stays {
        _guard: world.drops.guard(),
        steps: Rc::default(),
        thread: thread::current().id(),
    };
    let mut random = Random::new(seed);
    for _ in 0..random.below(8) {
        act(world, &mut random, depth);
        stays.check();
    }
    world.drops.guard()
}

fn act(world: &Arc<World>, random: &mut Random, depth: u64) {
    match random.below(20) {
        0..=2 => stackful::yield_now(),
        3 => {
            let mut lent = world.drops.guard();
            blocking(|| {
                thread::yield_now();
                lent = world.drops.guard();
            });
        }
        4 => wait(async {
            let _guard = world.drops.guard();
            yield_now().await;
            wait(yield_now());
        }),
        5 => drop(world.sender.try_send(world.drops.guard())),
        6 => {
            if let Ok(mut receiver) = world.receiver.try_lock() {
                drop(receiver.try_recv());
            }
        }
        7 => {
            let mut held = wait(world.lock.lock());
            stackful::yield_now();
            *held = Some(world.drops.guard());
        }
        8 if random.below(4) == 0 => resume_unwind(Box::new(world.drops.guard())),
        9 if random.below(8) == 0 => wait(pending()),
        10 => {
            // An abort or not, it goes on; until it swallows no more.
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let _guard = world.drops.guard();
                stackful::yield_now();
            }));
            drop(caught);
        }
        11 if depth > 0 => scoped(world, random, depth),
        12..=17 if depth > 0 => spawned(world, random, depth),
        _ => {}
    }
}

/// Children that borrow, some of which panic or are aborted.
fn scoped(world: &Arc<World>, random: &mut Random, depth: u64) {
    let lent = Mutex::new(vec![world.drops.guard()]);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        stackful::scope(|s| {
            for _ in 0..random.below(4) {
                if !world.takes_another() {
                    break;
                }
                let (lent, seed) = (&lent, random.below(u64::MAX));
                let child = s.go(move || {
                    let guard = stackful(world, seed, depth - 1);
                    lent.lock().unwrap().push(guard);
                    world.drops.guard()
                });
                match random.below(5) {
                    0 => child.abort(),
                    1 => drop(child.join()),
                    2 => stackful::yield_now(),
                    // Some would wait for ever.
                    _ => {
                        stackful::yield_now();
                        child.abort();
                        drop(child.join());
                    }
                }
            }
            if random.below(8) == 0 {
                resume_unwind(Box::new(world.drops.guard()));
            }
        });
    }));
    if let Err(payload) = ended {
        drop(lent);
        // It may be the order to unwind, which must go on, or a child's panic.
        if random.below(2) == 0 {
            resume_unwind(payload);
        }
    }
}

/// A task of one's own, and one of the things that one can do with it.
fn spawned(world: &Arc<World>, random: &mut Random, depth: u64) {
    for _ in 0..=random.below(3) {
        if !world.takes_another() {
            return;
        }
        let task = spawn_some(&Handle::current(), world, random, depth - 1);
        let aborts = task.abort_handle();
        match random.below(6) {
            0 => drop(task),
            1 => aborts.abort(),
            2 => {
                aborts.abort();
                drop(wait(task));
            }
            3 => {
                // Who is awaited may wait for ever; who waits is woken by its abort.
                let joiner = go(move || drop(wait(task)));
                stackful::yield_now();
                aborts.abort();
                drop(wait(joiner));
            }
            _ => {
                for _ in 0..random.below(10) {
                    stackful::yield_now();
                }
                aborts.abort();
                drop(wait(task));
            }
        }
    }
}

/// One round: a runtime, work from inside and from outside, and its end in the middle or not.
fn round(seed: u64, tasks: usize) {
    let random = &mut Random::new(seed);
    let rt = some_runtime(random);
    let drops = Drops::new();
    let (sender, receiver) = mpsc::channel(16);
    let world = Arc::new(World {
        drops: drops.clone(),
        left: AtomicIsize::new(tasks as isize),
        sender,
        receiver: runnext::sync::Mutex::new(receiver),
        lock: runnext::sync::Mutex::new(None),
    });
    let over = Arc::new(AtomicBool::new(false));
    let feeders: Vec<_> = (0..2)
        .map(|k| {
            let (world, over, handle) = (world.clone(), over.clone(), rt.handle().clone());
            let mut random = Random::new(seed + k + 1_000);
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) && world.takes_another() {
                    let task = spawn_some(&handle, &world, &mut random, 4);
                    match random.below(4) {
                        0 => task.abort(),
                        1 => thread::yield_now(),
                        _ => {}
                    }
                }
            })
        })
        .collect();
    let share = random.below(4);
    rt.block_on(async {
        // To the end, or up to a part.
        while world.left.load(Ordering::Relaxed) > (tasks as u64 * share / 4) as isize {
            if !world.takes_another() {
                break;
            }
            let task = spawn_some(rt.handle(), &world, random, 6);
            yield_now().await;
            task.abort();
            drop(task.await);
        }
    });
    over.store(true, Ordering::Relaxed);
    match random.below(3) {
        0 => rt.shutdown_timeout(Duration::from_secs(600)),
        _ => drop(rt),
    }
    for feeder in feeders {
        feeder.join().unwrap();
    }
    // The channel and the lock hold guards.
    drop(Arc::into_inner(world).expect("no task is left that holds the world"));
    assert_eq!(
        (drops.alive(), drops.dropped()),
        (0, drops.made()),
        "some leaked, or were dropped twice"
    );
}

#[test]
fn everything_at_once_leaks_nothing_and_drops_nothing_twice() {
    let mut seeds = (setting("RUNNEXT_STRESS_SEED", 1)..).inspect(|seed| eprintln!("seed {seed}"));
    let mut left = stress() / 2;
    while left > 0 {
        let tasks = left.min(10_000);
        round(seeds.next().unwrap(), tasks);
        left -= tasks;
    }
}
