//! The bare switch, beside that of corosensei, which shows what the hardware allows.
//!
//! Both sides run on stacks of the same kind, made by corosensei, which are used again and again. Both move a closure
//! onto the stack to begin, and catch its panics.
//!
//! In the second work most of corosensei's time goes into moving its `Coroutine`, which owns the stack; a switch has
//! nothing to do with that, but its users cannot leave it out.

// Unsafe: the engine's contexts have nothing safe around them yet; each block says what it relies on.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::time::Instant;

use corosensei::stack::{DefaultStack, Stack};
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::engine::context::{Link, Suspended, finish, prepare, resume, suspend};
use crate::rows::{Run, Work};

/// The same as corosensei, but for noise and where the linker happens to put a loop.
const AS_FAST: f64 = 0.87;

pub(crate) const WORKS: &[Work] = &[
    Work {
        name: "raw resume + yield (corosensei)",
        target: AS_FAST,
        size: 1_000_000,
        operations: |size| size,
        on_rival: switches_of_corosensei,
        on_runnext: switches,
    },
    Work {
        name: "create + run + finish (corosensei)",
        target: AS_FAST,
        size: 200_000,
        operations: |size| size,
        on_rival: lives_of_corosensei,
        on_runnext: lives,
    },
];

fn switches_of_corosensei(size: usize) -> Run {
    let body = |yielder: &Yielder<usize, usize>, mut value| {
        loop {
            value = yielder.suspend(value + 1);
        }
    };
    let coroutine: Coroutine<usize, usize, ()> = Coroutine::new(body);
    let coroutine = RefCell::new(coroutine);
    Box::new(move || {
        let mut coroutine = coroutine.borrow_mut();
        let start = Instant::now();
        let mut value = 0;
        for _ in 0..size {
            match coroutine.resume(value) {
                CoroutineResult::Yield(next) => value = next,
                CoroutineResult::Return(()) => unreachable!("it goes on for ever"),
            }
        }
        let time = start.elapsed();
        assert_eq!(value, size);
        time
    })
}

fn switches(size: usize) -> Run {
    let stack = DefaultStack::default();
    let (limit, top) = ends(&stack);
    // SAFETY: the stack is fresh, and lives as long as the closure below, which alone resumes.
    let context = Cell::new(Some(unsafe { prepare(limit, top, count) }));
    Box::new(move || {
        let _stack = &stack;
        // In memory, not in a register: this is where corosensei and a G have it as well.
        let context = black_box(&context);
        let start = Instant::now();
        let mut value = 0;
        for _ in 0..size {
            let at = context.take().expect("it goes on for ever");
            // SAFETY: it is where the context suspended last.
            let (next, at) = unsafe { resume(at, top, value) };
            context.set(at);
            value = next;
        }
        let time = start.elapsed();
        assert_eq!(value, size);
        time
    })
}

/// Gives back each value plus one.
unsafe extern "C" fn count(mut value: usize, link: Link) -> ! {
    loop {
        // SAFETY: this is the context of the link; nothing here has a destructor.
        value = unsafe { suspend(link, value + 1) };
    }
}

fn lives_of_corosensei(size: usize) -> Run {
    let pool = Cell::new(Some(DefaultStack::default()));
    Box::new(move || {
        let mut stack = pool.take().expect("every run gives it back");
        let start = Instant::now();
        for n in 0..size {
            let body = move |_: &Yielder<usize, ()>, value: usize| black_box(value + n);
            let mut coroutine = Coroutine::with_stack(stack, body);
            match coroutine.resume(n) {
                CoroutineResult::Return(value) => assert_eq!(value, 2 * n),
                CoroutineResult::Yield(()) => unreachable!("it ends at once"),
            }
            stack = coroutine.into_stack();
        }
        let time = start.elapsed();
        pool.set(Some(stack));
        time
    })
}

fn lives(size: usize) -> Run {
    let stack = DefaultStack::default();
    Box::new(move || {
        let start = Instant::now();
        for n in 0..size {
            let value = run_on(&stack, move || black_box(n + n));
            assert_eq!(value, 2 * n);
        }
        start.elapsed()
    })
}

/// Runs a closure from its beginning to its end on this stack.
fn run_on<F: FnOnce() -> usize>(stack: &DefaultStack, body: F) -> usize {
    unsafe extern "C" fn entry<F: FnOnce() -> usize>(value: usize, link: Link) -> ! {
        // SAFETY: `run_on` passes the address of a closure of this type, and leaves it to this.
        let body = unsafe { (value as *const F).read() };
        let result = catch_unwind(AssertUnwindSafe(body));
        // SAFETY: this is the context of the link, and the closure is gone.
        unsafe { finish(link, result.unwrap_or(usize::MAX)) }
    }
    let body = std::mem::ManuallyDrop::new(body);
    let (limit, top) = ends(stack);
    // SAFETY: nothing else is on the stack, and once the context has finished nothing is.
    let (value, at): (usize, Option<Suspended>) =
        unsafe { resume(prepare(limit, top, entry::<F>), top, &raw const body as usize) };
    assert!(at.is_none());
    value
}

/// The lowest byte of a stack above its guard, and one past its highest.
fn ends(stack: &DefaultStack) -> (NonNull<u8>, NonNull<u8>) {
    let pointer =
        |address: usize| NonNull::new(address as *mut u8).expect("a stack is not at address zero");
    (pointer(stack.limit().get()), pointer(stack.base().get()))
}
