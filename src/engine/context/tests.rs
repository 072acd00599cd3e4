//! The contract of a switch, point by point; see the module.

use super::{ALIGN, Link, Suspended, finish, link_of, prepare, release, resume, suspend, valgrind};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::rc::Rc;

mod registers;

/// What stacks are made of: aligned as their tops have to be.
#[derive(Clone, Copy)]
#[repr(align(16))]
struct Chunk(#[expect(dead_code)] [u8; ALIGN]); // Memory, which the tests use by its address.

/// Enough for all that is not deep on purpose, backtraces and panics included.
const SIZE: usize = 256 * 1024;

/// The lowest byte of a stack, and one past its highest.
fn ends(stack: &mut [Chunk]) -> (NonNull<u8>, NonNull<u8>) {
    let Range { start, end } = stack.as_mut_ptr_range();
    let pointer = |to: *mut Chunk| NonNull::new(to.cast()).unwrap();
    (pointer(start), pointer(end))
}

/// A stack that valgrind knows.
struct Memory {
    chunks: Vec<Chunk>,
    valgrind: Option<usize>,
}

impl Memory {
    fn new(size: usize) -> Memory {
        let mut chunks = vec![Chunk([0xA5; ALIGN]); size / ALIGN];
        let (limit, top) = ends(&mut chunks);
        let valgrind = valgrind::register(limit, top);
        Memory { chunks, valgrind }
    }

    fn ends(&mut self) -> (NonNull<u8>, NonNull<u8>) {
        ends(&mut self.chunks)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.valgrind.into_iter().for_each(valgrind::deregister);
    }
}

/// A context with its stack, which runs a closure that gets and gives words.
struct Context {
    stack: Memory,
    at: Option<Suspended>,
}

/// The inside of a context.
#[derive(Clone, Copy)]
struct Inside(Link);

impl Inside {
    fn suspend(self, value: usize) -> usize {
        // SAFETY: closures of a `Context` get the link of their own, and pass it to nobody.
        unsafe { suspend(self.0, value) }
    }
}

/// Moves the closure, which the first value points at, to this stack, and waits for its argument.
unsafe extern "C" fn entry<F: FnOnce(Inside, usize) -> usize>(value: usize, link: Link) -> ! {
    let last = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `Context::new` passes the address of a closure of this type in a `Some`.
        let body = unsafe { (*(value as *mut Option<F>)).take().unwrap() };
        let inside = Inside(link);
        body(inside, inside.suspend(0))
    }));
    let last = last.expect("tests catch the panics that they make");
    // SAFETY: this is the context of the link, and the closure is gone.
    unsafe { finish(link, last) }
}

impl Context {
    fn new<F: FnOnce(Inside, usize) -> usize + 'static>(size: usize, body: F) -> Self {
        let stack = Memory::new(size);
        let mut context = Self { stack, at: None };
        let (limit, top) = context.stack.ends();
        // SAFETY: the stack is fresh, and lives as long as the context, if that is not resumed
        // after the drop of this: nobody else can.
        context.at = Some(unsafe { prepare(limit, top, entry::<F>) });
        let mut body = Some(body);
        assert_eq!(context.resume(&raw mut body as usize), 0);
        assert!(body.is_none());
        context
    }

    fn top(&mut self) -> NonNull<u8> {
        self.stack.ends().1
    }

    fn resume(&mut self, value: usize) -> usize {
        let at = self.at.take().expect("has not finished");
        // SAFETY: the context was suspended last at `at`, and it stays on this thread, since `Self`
        // is not `Send`.
        let (passed, at) = unsafe { resume(at, self.top(), value) };
        self.at = at;
        if at.is_none() {
            // SAFETY: it has finished.
            unsafe { release(self.top()) };
        }
        passed
    }

    fn finished(&self) -> bool {
        self.at.is_none()
    }
}

#[test]
fn values_pass_both_ways() {
    let mut context = Context::new(SIZE, |inside, mut value| {
        while value != usize::MAX {
            value = inside.suspend(value.wrapping_mul(3) ^ 0x5555);
        }
        77
    });
    for n in (0..10_000).chain([usize::MAX - 1, usize::MAX / 2 + 1]) {
        assert_eq!(context.resume(n), n.wrapping_mul(3) ^ 0x5555);
        assert!(!context.finished());
    }
    assert_eq!(context.resume(usize::MAX), 77);
    assert!(context.finished());
}

#[test]
fn the_first_value_and_the_link_reach_the_entry() {
    unsafe extern "C" fn entry(value: usize, link: Link) -> ! {
        let at_link = value as *mut Option<Link>;
        // SAFETY: the value is the address of a local of the resumer; then as in any entry.
        unsafe {
            *at_link = Some(link);
            finish(link, value + 1)
        }
    }
    let mut stack = Memory::new(SIZE);
    let (limit, top) = stack.ends();
    for _ in 0..3 {
        let mut link = None;
        let value = &raw mut link as usize;
        // SAFETY: the stack is this context's alone, which finishes at once; so it is free again.
        let back = unsafe { resume(prepare(limit, top, entry), top, value) };
        // SAFETY: it has finished.
        unsafe { release(top) };
        assert_eq!(back, (value + 1, None));
        assert_eq!(link, Some(link_of(top)));
    }
}

/// Switches while more words and floats are live than there are registers, and looks at them
/// afterwards.
#[inline(always)]
fn check_locals(seed: usize, switch: impl FnOnce()) {
    let words: [usize; 16] = black_box(std::array::from_fn(|i| seed.wrapping_mul(i + 1)));
    let floats: [f64; 20] = black_box(std::array::from_fn(|i| (seed + i) as f64 / 3.0));
    // Computed, so that they are not merely where the arrays are.
    let words = words.map(|word| word.rotate_left(7));
    let [a, b, c, d, e, f, ..] = floats.map(|float| float * 1.5);
    let sum = floats.iter().sum::<f64>();
    switch();
    let again: [usize; 16] = black_box(std::array::from_fn(|i| seed.wrapping_mul(i + 1)));
    assert_eq!(words, again.map(|word| word.rotate_left(7)));
    let again: [f64; 20] = black_box(std::array::from_fn(|i| (seed + i) as f64 / 3.0));
    assert_eq!(sum, again.iter().sum::<f64>());
    assert_eq!([a, b, c, d, e, f][..], again.map(|float| float * 1.5)[..6]);
}

#[test]
fn locals_survive_on_both_sides() {
    let mut context = Context::new(SIZE, |inside, mut value| {
        for _ in 0..1000 {
            let seed = value;
            check_locals(seed, || value = inside.suspend(seed));
        }
        0
    });
    for seed in 0..1000 {
        check_locals(seed, || {
            assert_eq!(context.resume(seed + 7), seed + 7);
        });
    }
    context.resume(0);
    assert!(context.finished());
}

#[test]
fn contexts_nest() {
    fn nest(depth: usize) -> Context {
        Context::new(SIZE, move |inside, mut value| {
            let mut inner = (depth > 0).then(|| nest(depth - 1));
            for _ in 0..100 {
                let sum = inner
                    .as_mut()
                    .map_or(value, |inner| inner.resume(value) + 1);
                value = inside.suspend(sum);
            }
            // To the end, as what is on its stack would leak otherwise.
            if let Some(mut inner) = inner {
                inner.resume(0);
                assert!(inner.finished());
            }
            0
        })
    }
    let mut outer = nest(20);
    for value in 0..100 {
        assert_eq!(outer.resume(value), value + 20);
    }
    outer.resume(0);
    assert!(outer.finished());
}

#[test]
fn a_context_may_be_resumed_from_anywhere() {
    let shared = Rc::new(RefCell::new(Context::new(SIZE, |inside, mut value| {
        let mut sum = 0;
        loop {
            sum += value;
            value = inside.suspend(sum);
        }
    })));

    #[inline(never)]
    fn shallow(context: &RefCell<Context>, value: usize) -> usize {
        black_box(context.borrow_mut().resume(value))
    }

    #[inline(never)]
    fn deep(context: &RefCell<Context>, value: usize) -> usize {
        let room = black_box([value; 4096]);
        black_box(context.borrow_mut().resume(room[4095]))
    }

    let mut other = Context::new(SIZE, {
        let shared = shared.clone();
        move |inside, mut value| {
            // To the end, as what it shares would leak otherwise.
            while value != usize::MAX {
                value = inside.suspend(shallow(&shared, value));
            }
            0
        }
    });

    let mut sum = 0;
    for n in 0..300 {
        sum += n;
        let got = match n % 3 {
            0 => shallow(&shared, n),
            1 => deep(&shared, n),
            _ => other.resume(n),
        };
        assert_eq!(got, sum);
    }
    other.resume(usize::MAX);
    assert!(other.finished());
}

#[test]
fn the_stack_is_aligned_at_the_entry() {
    #[repr(align(16))]
    struct Aligned(usize);
    unsafe extern "C" fn entry(_: usize, link: Link) -> ! {
        let local = black_box(Aligned(0));
        // Through a black box, as the compiler takes for granted what is to be found out.
        let address = black_box(&raw const local as usize);
        // SAFETY: as in any entry.
        unsafe { finish(link, address + local.0) }
    }
    let mut stack = Memory::new(SIZE);
    for unused in 0..4 {
        let end = stack.chunks.len() - unused;
        let (limit, top) = ends(&mut stack.chunks[..end]);
        // SAFETY: the stack is this context's alone, which finishes at once.
        let (address, _) = unsafe { resume(prepare(limit, top, entry), top, 0) };
        // SAFETY: it has finished.
        unsafe { release(top) };
        assert_eq!(address % 16, 0);
    }
}

#[test]
fn a_panic_is_caught_inside() {
    struct Count(Rc<Cell<usize>>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[inline(never)]
    fn fall(inside: Inside, count: Count, depth: usize) -> usize {
        if depth == 0 {
            inside.suspend(1);
            // Without a message on the terminal.
            std::panic::resume_unwind(Box::new("fallen"));
        }
        fall(inside, Count(count.0.clone()), depth - 1)
    }

    let dropped = Rc::new(Cell::new(0));
    let mut context = Context::new(SIZE, {
        let dropped = dropped.clone();
        move |inside, _| {
            let result = catch_unwind(AssertUnwindSafe(|| fall(inside, Count(dropped), 10)));
            assert_eq!(inside.suspend(2), 5);
            let payload = result.expect_err("it panicked");
            payload.downcast_ref::<&str>().unwrap().len()
        }
    });
    assert_eq!(context.resume(0), 1);
    assert_eq!(dropped.get(), 0);
    assert_eq!(context.resume(0), 2);
    assert_eq!(dropped.get(), 11);
    assert_eq!(context.resume(5), "fallen".len());
    assert!(context.finished());
}

#[test]
fn a_panic_of_the_resumer_leaves_its_context_alone() {
    let mut context = Context::new(SIZE, |inside, value| inside.suspend(value + 1) + 1);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let value = context.resume(1);
        std::panic::resume_unwind(Box::new(value));
    }));
    assert_eq!(result.unwrap_err().downcast_ref(), Some(&2_usize));
    assert_eq!(context.resume(10), 11);
    assert!(context.finished());
}

#[test]
fn a_stack_is_used_to_its_depth() {
    #[inline(never)]
    fn descend(inside: Inside, left: usize) -> usize {
        let room = black_box([left as u8; 1000]);
        let below = if left == 0 {
            inside.suspend(0)
        } else {
            descend(inside, left - 1)
        };
        below + usize::from(black_box(&room)[500] == left as u8)
    }
    // Frames of a debug build are several times as large as what is in them.
    let mut context = Context::new(8 << 20, |inside, _| descend(inside, 1000));
    assert_eq!(context.resume(0), 0);
    check_locals(3, || assert_eq!(context.resume(5), 1006));
}

#[test]
fn ten_thousand_contexts_on_small_stacks() {
    // Without a way to panic, which would need more room.
    unsafe extern "C" fn entry(mut value: usize, link: Link) -> ! {
        let mut sum = 0_usize;
        while value != 0 {
            sum = sum.wrapping_add(value);
            // SAFETY: as in any entry.
            value = unsafe { suspend(link, sum) };
        }
        // SAFETY: likewise.
        unsafe { finish(link, sum) }
    }
    const STACK: usize = 1024 / ALIGN;
    let mut memory = vec![Chunk([0; ALIGN]); 10_000 * STACK];
    let mut contexts: Vec<_> = memory
        .chunks_exact_mut(STACK)
        .map(|stack| {
            let (limit, top) = ends(stack);
            // SAFETY: each has a part of the memory of its own, which outlives it.
            (top, Some(unsafe { prepare(limit, top, entry) }))
        })
        .collect();
    for round in 1..=10 {
        for (n, (top, at)) in contexts.iter_mut().enumerate() {
            // SAFETY: suspended last at this place, on this thread.
            let (passed, next) = unsafe { resume(at.unwrap(), *top, n + 1) };
            assert_eq!(passed, round * (n + 1));
            *at = next;
        }
    }
    for (n, (top, at)) in contexts.iter_mut().enumerate() {
        // SAFETY: likewise.
        let back = unsafe { resume(at.unwrap(), *top, 0) };
        // SAFETY: it has finished.
        unsafe { release(*top) };
        assert_eq!(back, (10 * (n + 1), None));
    }
}

#[test]
fn a_suspended_context_may_be_given_up() {
    for _ in 0..100 {
        let mut context = Context::new(SIZE, |inside, value| inside.suspend(value));
        assert_eq!(context.resume(3), 3);
    }
}

thread_local! {
    static BACKTRACE: Cell<Option<Backtrace>> = const { Cell::new(None) };
}

/// A backtrace of two functions in a context, which two others have resumed.
fn backtrace_across(context: &mut Context) -> String {
    #[inline(never)]
    fn outside_outer(context: &mut Context) -> usize {
        black_box(outside_inner(context) + 1)
    }
    #[inline(never)]
    fn outside_inner(context: &mut Context) -> usize {
        black_box(context.resume(0) + 1)
    }
    outside_outer(context);
    BACKTRACE.take().expect("was captured").to_string()
}

#[inline(never)]
fn inside_outer(inside: Inside) -> usize {
    black_box(inside_inner(inside) + 1)
}

#[inline(never)]
fn inside_inner(inside: Inside) -> usize {
    BACKTRACE.set(Some(Backtrace::force_capture()));
    black_box(inside.suspend(0) + 1)
}

fn assert_in_order(backtrace: &str, names: &[&str]) {
    let mut rest = backtrace;
    for name in names {
        let Some(at) = rest.find(name) else {
            panic!("{name} is missing, or not where it should be, in\n{backtrace}");
        };
        rest = &rest[at + name.len()..];
    }
}

#[test]
fn a_backtrace_goes_on_into_the_resumer() {
    let mut context = Context::new(SIZE, |inside, _| {
        loop {
            black_box(inside_outer(inside));
        }
    });
    // The first time the link is from `begin`, later from `suspend`; and from other places.
    for _ in 0..3 {
        let backtrace = backtrace_across(&mut context);
        assert_in_order(
            &backtrace,
            &[
                "inside_inner",
                "inside_outer",
                "begin",
                "outside_inner",
                "outside_outer",
                "a_backtrace_goes_on_into_the_resumer",
            ],
        );
    }
}

#[test]
fn a_backtrace_goes_through_nested_contexts() {
    let mut inner = Context::new(SIZE, |inside, _| {
        loop {
            black_box(inside_outer(inside));
        }
    });
    let mut outer = Context::new(SIZE, move |inside, _| {
        for _ in 0..3 {
            let backtrace = backtrace_across(&mut inner);
            inside.suspend(&raw const backtrace as usize);
        }
        0
    });
    for _ in 0..3 {
        // SAFETY: the address of a local, which is there until the next resume.
        let backtrace = unsafe { &*(outer.resume(0) as *const String) };
        assert_in_order(
            backtrace,
            &[
                "inside_inner",
                "begin",
                "outside_inner",
                "outside_outer",
                "begin",
                "a_backtrace_goes_through_nested_contexts",
            ],
        );
    }
    outer.resume(0);
    assert!(outer.finished());
}
