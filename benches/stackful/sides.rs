//! The seam that may and runnext stand behind.
//!
//! A work is written once, as a function generic over [`Side`], and compiled once for each. Every method is a thin,
//! statically dispatched call of what the side has for the purpose, under its own defaults but for the number of
//! workers, which is [`WORKERS`] on both.
//!
//! What is not alike, and why it is left so:
//! - may has one scheduler for the life of a process, with its threads pinned to processors; it is not built anew as
//!   runnext's runtimes are.
//! - may keeps a thousand stacks at hand from the start, of 32 KiB; runnext's are of 128 KiB and made when needed. Both
//!   only take what is touched, and both are warm before they are timed.
//! - may's `mpsc` has no bound, so its senders neither wait nor count. Where two tasks pass one message to and fro there
//!   is never more than one in it, so what passes through is the same as with runnext's `mpsc` of one place, at less
//!   work for may. Its `spsc`, for a single sender, has no counterpart in runnext.
//! - may's tasks can be cancelled at every wait, as runnext's can.
//! - may's tasks may go on on any thread; those of runnext stay where they began, as safe code demands. For may the
//!   caller has to vouch, which is why its `spawn` is unsafe.

// Unsafe: may's `spawn`; what it asks for is said there.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use may::coroutine;
use runnext::runtime::{Builder, Runtime};
use runnext::{go, stackful, sync, wait};

/// Workers on both sides.
pub(crate) const WORKERS: usize = 2;

/// Why a join or a channel cannot fail here.
pub(crate) const ENDS: &str =
    "no task of a work panics, is aborted or drops its end of a channel early";

/// A scheduler of stackful tasks, as the works need it.
pub(crate) trait Side: 'static {
    /// What a child is told to run on.
    const NAME: &'static str;

    type Runtime;
    type Join<T: Send + 'static>: Send + 'static;
    type Sender: Debug + Send + 'static;
    type Receiver: Send + 'static;
    type Mutex: Send + Sync + 'static;
    type Gate: Send + Sync + 'static;

    fn start() -> Self::Runtime;

    /// Has a task do `work`, and blocks the calling thread until it has.
    fn run<T, F>(runtime: &Self::Runtime, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;

    fn go<T, F>(f: F) -> Self::Join<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;

    fn join<T: Send + 'static>(join: Self::Join<T>) -> T;

    fn yield_now();

    /// A channel that one message at a time goes through.
    fn channel() -> (Self::Sender, Self::Receiver);

    fn send(sender: &Self::Sender, message: usize);

    /// `None`: the sender is gone.
    fn receive(receiver: &mut Self::Receiver) -> Option<usize>;

    /// A lock around a zero.
    fn mutex() -> Self::Mutex;

    fn with_lock<T>(mutex: &Self::Mutex, f: impl FnOnce(&mut usize) -> T) -> T;

    /// A gate, which is shut.
    fn gate() -> Self::Gate;

    /// Waits until it is open.
    fn pass(gate: &Self::Gate);

    fn open(gate: &Self::Gate);
}

#[derive(Debug)]
pub(crate) struct Runnext;

impl Side for Runnext {
    const NAME: &'static str = "runnext";

    type Runtime = Runtime;
    type Join<T: Send + 'static> = runnext::task::JoinHandle<T>;
    type Sender = sync::mpsc::Sender<usize>;
    type Receiver = sync::mpsc::Receiver<usize>;
    type Mutex = sync::Mutex<usize>;
    /// Not a semaphore that is closed: each task that wakes would lock it once more, against the one that wakes them.
    type Gate = (AtomicBool, sync::Notify);

    fn start() -> Runtime {
        Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .build()
            .expect("building a runtime takes a few threads: is the process at its limit?")
    }

    fn run<T, F>(runtime: &Runtime, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        runtime.block_on(async { go(work).await }).expect(ENDS)
    }

    #[inline]
    fn go<T, F>(f: F) -> Self::Join<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        go(f)
    }

    #[inline]
    fn join<T: Send + 'static>(join: Self::Join<T>) -> T {
        wait(join).expect(ENDS)
    }

    #[inline]
    fn yield_now() {
        stackful::yield_now();
    }

    fn channel() -> (Self::Sender, Self::Receiver) {
        sync::mpsc::channel(1)
    }

    #[inline]
    fn send(sender: &Self::Sender, message: usize) {
        wait(sender.send(message)).expect(ENDS);
    }

    #[inline]
    fn receive(receiver: &mut Self::Receiver) -> Option<usize> {
        wait(receiver.recv())
    }

    fn mutex() -> Self::Mutex {
        sync::Mutex::new(0)
    }

    #[inline]
    fn with_lock<T>(mutex: &Self::Mutex, f: impl FnOnce(&mut usize) -> T) -> T {
        f(&mut wait(mutex.lock()))
    }

    fn gate() -> Self::Gate {
        (AtomicBool::new(false), sync::Notify::new())
    }

    fn pass((open, opened): &Self::Gate) {
        // Asked for first, so that who then finds the gate shut is told when it opens.
        let notified = opened.notified();
        // Ordering: relaxed: who asked too late to be told has seen what the `Notify` was told, and the flag with it.
        if !open.load(Ordering::Relaxed) {
            wait(notified);
        }
    }

    fn open((open, opened): &Self::Gate) {
        open.store(true, Ordering::Relaxed);
        opened.notify_waiters();
    }
}

#[derive(Debug)]
pub(crate) struct May;

impl Side for May {
    const NAME: &'static str = "may";

    type Runtime = ();
    type Join<T: Send + 'static> = coroutine::JoinHandle<T>;
    type Sender = may::sync::mpsc::Sender<usize>;
    type Receiver = may::sync::mpsc::Receiver<usize>;
    type Mutex = may::sync::Mutex<usize>;
    type Gate = Arc<may::sync::SyncFlag>;

    fn start() {
        // Of no effect but the first time, before the first task.
        may::config().set_workers(WORKERS);
    }

    fn run<T, F>((): &(), work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Self::join(Self::go(work))
    }

    #[inline]
    fn go<T, F>(f: F) -> Self::Join<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        // SAFETY: no work keeps a reference to a thread-local over a wait, nor much on its stack.
        unsafe { coroutine::spawn(f) }
    }

    #[inline]
    fn join<T: Send + 'static>(join: Self::Join<T>) -> T {
        join.join().expect(ENDS)
    }

    #[inline]
    fn yield_now() {
        coroutine::yield_now();
    }

    fn channel() -> (Self::Sender, Self::Receiver) {
        may::sync::mpsc::channel()
    }

    #[inline]
    fn send(sender: &Self::Sender, message: usize) {
        sender.send(message).expect(ENDS);
    }

    #[inline]
    fn receive(receiver: &mut Self::Receiver) -> Option<usize> {
        receiver.recv().ok()
    }

    fn mutex() -> Self::Mutex {
        may::sync::Mutex::new(0)
    }

    #[inline]
    fn with_lock<T>(mutex: &Self::Mutex, f: impl FnOnce(&mut usize) -> T) -> T {
        f(&mut mutex.lock().expect(ENDS))
    }

    fn gate() -> Self::Gate {
        Arc::default()
    }

    fn pass(gate: &Self::Gate) {
        gate.wait();
    }

    fn open(gate: &Self::Gate) {
        gate.fire();
    }
}
