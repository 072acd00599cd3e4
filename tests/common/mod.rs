//! What the tests share: runtimes, counted drops, caught panics, gates, counting wakers.

#![allow(dead_code)] // Each test uses the part that it needs.

use runnext::runtime::{Builder, Runtime};
use std::any::Any;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, Once, PoisonError};
use std::task::{Context, Poll, Wake};

/// A runtime without threads that run tasks.
pub(crate) fn current_thread() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// A runtime with `workers` processors.
pub(crate) fn multi_thread(workers: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).build().unwrap()
}

/// Calls `test` with a fresh runtime of each kind.
pub(crate) fn on_each_flavor(test: impl Fn(Runtime)) {
    test(current_thread());
    test(multi_thread(1));
    test(multi_thread(2));
}

/// Runs tasks of `rt` on this thread, and lets its other threads run some, until `done`.
pub(crate) fn run_until(rt: &Runtime, done: impl Fn() -> bool) {
    while !done() {
        rt.block_on(rt.spawn(async {})).unwrap();
    }
}

/// Makes guards, and counts how many were dropped.
#[derive(Clone, Default)]
pub(crate) struct Drops(Arc<Counts>);

#[derive(Default)]
struct Counts {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

/// Counts its drop.
pub(crate) struct Guard(Arc<Counts>);

impl Drops {
    pub(crate) fn new() -> Drops {
        Drops::default()
    }

    pub(crate) fn guard(&self) -> Guard {
        self.0.made.fetch_add(1, Ordering::Relaxed);
        Guard(self.0.clone())
    }

    pub(crate) fn made(&self) -> usize {
        self.0.made.load(Ordering::Relaxed)
    }

    pub(crate) fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::Acquire)
    }

    /// How many guards exist.
    pub(crate) fn alive(&self) -> usize {
        self.made() - self.dropped()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Release);
    }
}

/// Panics when it is dropped, and counts that.
pub(crate) struct PanicsOnDrop(pub(crate) Guard, pub(crate) &'static str);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("{}", self.1);
    }
}

/// The text of a panic's payload.
pub(crate) fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".to_owned())
}

/// The text with which `f` panics, which it must.
#[track_caller]
pub(crate) fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("it should have panicked"),
        Err(payload) => text(&*payload),
    }
}

/// The text with which `f` panics, and the file that it is said to have happened in.
#[track_caller]
pub(crate) fn panic_and_file_of<R>(f: impl FnOnce() -> R) -> (String, String) {
    thread_local! {
        static FILE: Cell<Option<String>> = const { Cell::new(None) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            FILE.set(info.location().map(|l| l.file().to_owned()));
            before(info);
        }));
    });
    FILE.set(None);
    let text = panic_of(f);
    (text, FILE.take().unwrap_or_default())
}

/// Holds threads back until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate::default()
    }

    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    pub(crate) fn wait(&self) {
        let mut open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !*open {
            open = self.0.1.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Opens the gate when it is dropped, also by a test that fails.
pub(crate) struct OpensOnDrop(pub(crate) Gate);

impl Drop for OpensOnDrop {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// A waker that counts its wake-ups.
#[derive(Default)]
pub(crate) struct CountingWaker(AtomicUsize);

impl CountingWaker {
    pub(crate) fn new() -> Arc<CountingWaker> {
        Arc::default()
    }

    pub(crate) fn wakes(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// Polls `future` once.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// A future made of a function, that owns what `owned` is until it is dropped.
pub(crate) fn holding<T>(
    owned: T,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> impl Future<Output = ()> {
    // A closure captures whole what it moves.
    poll_fn(move |cx| {
        let _owned = &owned;
        poll(cx)
    })
}

/// Numbers that follow from a seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// A number from the environment.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        let number = text.replace('_', "").parse();
        number.unwrap_or_else(|_| panic!("{name} should be a number, and is {text:?}"))
    })
}

/// How much a stress test is to do: about so many tasks, or wake-ups.
pub(crate) fn stress() -> usize {
    usize::try_from(setting("RUNNEXT_STRESS", 200_000)).unwrap()
}

/// Runs the test of that name, which calls this, in a process of its own, and says how that ended;
/// `None` in that process.
pub(crate) fn in_child(test: &str) -> Option<Output> {
    const CHILD: &str = "RUNNEXT_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        // As in a program without the sanitizer: the standard library handles faults.
        .env(
            "ASAN_OPTIONS",
            "handle_segv=0:handle_abort=0:use_sigaltstack=0",
        )
        .env("RUST_BACKTRACE", "0")
        .output();
    Some(output.unwrap())
}
