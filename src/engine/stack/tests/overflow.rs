//! What happens to a process whose stack overflows, and to one that faults elsewhere.

use super::child::{Ended, run_in_child};
use super::{SIZE, touch};
use crate::engine::primitive::thread;
use crate::engine::stack::overflow::{self, alternate_stack};
use crate::engine::stack::{Pool, Stack};
use std::fmt::Write;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr;

/// What the tests have as the owner of a stack.
struct Owner {
    name: &'static str,
}

static OWNER: Owner = Owner { name: "G 17" };

fn describe(owner: *const (), out: &mut dyn Write) {
    // SAFETY: the tests set no owner but `OWNER`.
    let owner = unsafe { &*owner.cast::<Owner>() };
    writeln!(out, "it is {}, spawned at here.rs:{}", owner.name, 7).unwrap();
}

/// Uses up the stack that it runs on.
extern "C" fn recurse() {
    #[allow(unconditional_recursion)] // Which is the purpose.
    fn deeper(depth: usize) -> usize {
        let frame = black_box([depth; 64]);
        deeper(depth + 1) + frame[depth % 64]
    }
    black_box(deeper(black_box(0)));
}

/// Calls `recurse` on `stack`.
fn recurse_on(stack: &Stack) {
    let top = stack.top().as_ptr();
    // SAFETY: the stack is ours and unused, its top is aligned as the ABI wants it at a call; the
    // stack pointer is put back from a register that the callee saves. Nothing unwinds out of it.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!(
            "mov r12, rsp",
            "mov rsp, {top}",
            "call {recurse}",
            "mov rsp, r12",
            top = in(reg) top,
            recurse = sym recurse,
            out("r12") _,
            clobber_abi("C"),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            "mov x20, sp",
            "mov sp, {top}",
            "bl {recurse}",
            "mov sp, x20",
            top = in(reg) top,
            recurse = sym recurse,
            out("x20") _,
            clobber_abi("C"),
        );
    }
}

/// Takes the second stack of `pool`, which has neighbours on both sides, with `OWNER`.
fn owned(pool: &Pool) -> Stack {
    pool.promise(3).unwrap();
    let _first = pool.take(None).unwrap();
    let stack = pool.take(None).unwrap();
    let _third = pool.take(None).unwrap();
    stack.set_owner((&raw const OWNER).cast());
    stack
}

#[track_caller]
fn assert_reported(ended: &Ended, size: usize) {
    assert_eq!(ended.signal, Some(libc::SIGABRT), "{ended:?}");
    let report = format!(
        "\nrunnext: stack overflow in a stackful G\n\
         it is G 17, spawned at here.rs:7\n\
         its stack has {size} bytes; give it a larger one with stackful::Builder::stack_size, or all \
         of them with runtime::Builder::stack_size or #[runnext::main(stackful, stack_size = N)]\n"
    );
    assert!(ended.errors.ends_with(&report), "{ended:?}");
}

#[test]
fn an_overflow_is_reported_and_ends_the_process() {
    let ended = run_in_child(
        "overflow::an_overflow_is_reported_and_ends_the_process",
        || {
            overflow::install(describe).unwrap();
            let _alternate = alternate_stack().unwrap();
            let pool = Pool::new(SIZE, 10);
            recurse_on(&owned(&pool));
        },
    );
    assert_reported(&ended, SIZE);
}

#[test]
fn an_overflow_is_reported_with_guards_by_mprotect() {
    let ended = run_in_child(
        "overflow::an_overflow_is_reported_with_guards_by_mprotect",
        || {
            overflow::install(describe).unwrap();
            let _alternate = alternate_stack().unwrap();
            let pool = Pool::with_guards(SIZE, 10, true);
            recurse_on(&owned(&pool));
        },
    );
    assert_reported(&ended, SIZE);
}

#[test]
fn an_overflow_of_a_stack_of_another_size_is_reported() {
    let ended = run_in_child(
        "overflow::an_overflow_of_a_stack_of_another_size_is_reported",
        || {
            overflow::install(describe).unwrap();
            let _alternate = alternate_stack().unwrap();
            let pool = Pool::new(SIZE, 10);
            let others: Vec<Stack> = [3, 5, 7].map(|n| pool.take_sized(n * SIZE).unwrap()).into();
            let stack = pool.take_sized(4 * SIZE).unwrap();
            stack.set_owner((&raw const OWNER).cast());
            others.into_iter().for_each(|other| pool.give(None, other));
            recurse_on(&stack);
        },
    );
    assert_reported(&ended, 4 * SIZE);
}

#[test]
fn an_overflow_is_reported_on_a_thread_of_another_library() {
    let ended = run_in_child(
        "overflow::an_overflow_is_reported_on_a_thread_of_another_library",
        || {
            overflow::install(describe).unwrap();
            // As a thread that the standard library knows nothing of.
            swap_alternate(&NO_ALTERNATE);
            let _alternate = alternate_stack().unwrap();
            let pool = Pool::new(SIZE, 10);
            recurse_on(&owned(&pool));
        },
    );
    assert_reported(&ended, SIZE);
}

#[test]
fn an_access_to_a_guard_from_elsewhere_is_told_from_an_overflow() {
    let ended = run_in_child(
        "overflow::an_access_to_a_guard_from_elsewhere_is_told_from_an_overflow",
        || {
            overflow::install(describe).unwrap();
            let pool = Pool::new(SIZE, 10);
            let stack = owned(&pool);
            // SAFETY: this is not sound, and is stopped.
            unsafe { stack.limit().sub(1).write_volatile(1) };
        },
    );
    assert_eq!(ended.signal, Some(libc::SIGABRT), "{ended:?}");
    assert!(ended.errors.contains("access to the guard"), "{ended:?}");
    assert!(ended.errors.contains("it is G 17"), "{ended:?}");
}

#[test]
fn a_stack_without_an_owner_is_reported_without_one() {
    let ended = run_in_child(
        "overflow::a_stack_without_an_owner_is_reported_without_one",
        || {
            overflow::install(describe).unwrap();
            let pool = Pool::new(SIZE, 10);
            let stack = owned(&pool);
            touch(&stack);
            let below = stack.limit().as_ptr().wrapping_sub(1);
            pool.give(None, stack);
            // SAFETY: this is not sound, and is stopped.
            unsafe { below.write_volatile(1) };
        },
    );
    assert_eq!(ended.signal, Some(libc::SIGABRT), "{ended:?}");
    assert!(ended.errors.contains("access to the guard"), "{ended:?}");
    assert!(!ended.errors.contains("G 17"), "{ended:?}");
    assert!(ended.errors.contains("65536 bytes"), "{ended:?}");
}

#[test]
fn the_overflow_of_a_plain_thread_is_reported_by_the_standard_library() {
    let ended = run_in_child(
        "overflow::the_overflow_of_a_plain_thread_is_reported_by_the_standard_library",
        || {
            overflow::install(describe).unwrap();
            let _pool = Pool::new(SIZE, 10);
            let overflowing = thread::Builder::new()
                .name("plain".into())
                .spawn(|| {
                    let _alternate = alternate_stack().unwrap();
                    recurse();
                })
                .unwrap();
            overflowing.join().unwrap();
        },
    );
    assert_eq!(ended.signal, Some(libc::SIGABRT), "{ended:?}");
    assert!(
        ended.errors.contains("thread 'plain'")
            && ended.errors.contains("has overflowed its stack"),
        "{ended:?}"
    );
    assert!(!ended.errors.contains("runnext:"), "{ended:?}");
}

/// Writes where nothing is mapped.
fn fault() {
    // SAFETY: this is not sound, and is stopped.
    unsafe { ptr::without_provenance_mut::<u8>(64).write_volatile(1) };
}

/// Makes `handler` handle SIGSEGV.
fn handle(handler: libc::sighandler_t, flags: i32) {
    // SAFETY: all bytes zero is a value of this plain struct.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: the handlers of these tests only leave the process.
    let code = unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut()) };
    assert_eq!(code, 0);
}

#[test]
fn a_fault_elsewhere_kills_as_ever() {
    let ended = run_in_child("overflow::a_fault_elsewhere_kills_as_ever", || {
        overflow::install(describe).unwrap();
        overflow::install(describe).unwrap();
        let pool = Pool::new(SIZE, 10);
        touch(&owned(&pool));
        fault();
    });
    assert_eq!(ended.signal, Some(libc::SIGSEGV), "{ended:?}");
    assert!(!ended.errors.contains("runnext:"), "{ended:?}");
}

#[test]
fn a_fault_elsewhere_goes_to_the_handler_that_was_there() {
    extern "C" fn plain(signal: i32) {
        // SAFETY: leaves the process at once.
        unsafe { libc::_exit(40 + i32::from(signal == libc::SIGSEGV)) };
    }
    let ended = run_in_child(
        "overflow::a_fault_elsewhere_goes_to_the_handler_that_was_there",
        || {
            handle(plain as extern "C" fn(i32) as libc::sighandler_t, 0);
            overflow::install(describe).unwrap();
            fault();
        },
    );
    assert_eq!(ended.code, Some(41), "{ended:?}");
}

#[test]
fn a_fault_elsewhere_goes_on_with_all_that_is_known_of_it() {
    extern "C" fn knowing(signal: i32, info: *mut libc::siginfo_t, context: *mut std::ffi::c_void) {
        // SAFETY: the kernel made them; then it leaves the process at once.
        unsafe {
            let right = signal == libc::SIGSEGV && (*info).si_addr().addr() == 64;
            libc::_exit(50 + i32::from(right && !context.is_null()));
        }
    }
    let ended = run_in_child(
        "overflow::a_fault_elsewhere_goes_on_with_all_that_is_known_of_it",
        || {
            let handler = knowing as extern "C" fn(_, _, _) as *const () as libc::sighandler_t;
            handle(handler, libc::SA_SIGINFO);
            overflow::install(describe).unwrap();
            fault();
        },
    );
    assert_eq!(ended.code, Some(51), "{ended:?}");
}

#[test]
fn a_signal_that_was_sent_is_fatal_where_nobody_handles_it() {
    let ended = run_in_child(
        "overflow::a_signal_that_was_sent_is_fatal_where_nobody_handles_it",
        || {
            handle(libc::SIG_DFL, 0);
            overflow::install(describe).unwrap();
            // SAFETY: ends the process.
            unsafe { libc::raise(libc::SIGSEGV) };
        },
    );
    assert_eq!(ended.signal, Some(libc::SIGSEGV), "{ended:?}");
}

#[test]
fn a_signal_that_was_sent_is_ignored_where_that_was_asked_for() {
    run_in_child(
        "overflow::a_signal_that_was_sent_is_ignored_where_that_was_asked_for",
        || {
            handle(libc::SIG_IGN, 0);
            overflow::install(describe).unwrap();
            // SAFETY: is ignored.
            unsafe { libc::raise(libc::SIGSEGV) };
        },
    )
    .passed();
}

const NO_ALTERNATE: libc::stack_t = libc::stack_t {
    ss_sp: ptr::null_mut(),
    ss_flags: libc::SS_DISABLE,
    ss_size: 0,
};

/// Sets the alternate stack of this thread, unless `new` is null: what it was before.
fn swap_alternate(new: *const libc::stack_t) -> libc::stack_t {
    let mut before = NO_ALTERNATE;
    // SAFETY: no handler runs at the moment, on the one or the other; the call writes the struct.
    let code = unsafe { libc::sigaltstack(new, &raw mut before) };
    assert_eq!(code, 0);
    before
}

/// Place, size and flags of the alternate stack of this thread.
fn alternate() -> (usize, usize, i32) {
    let current = swap_alternate(ptr::null());
    (current.ss_sp.addr(), current.ss_size, current.ss_flags)
}

#[test]
fn an_alternate_stack_is_there_until_it_is_dropped() {
    thread::spawn(|| {
        // A sanitizer gives its threads one that is large enough.
        let given = swap_alternate(&NO_ALTERNATE);
        let before = alternate();
        let guard = alternate_stack().unwrap();
        let first = alternate();
        assert_ne!(before, first);
        assert!(first.1 >= 16 << 10, "{first:?}");
        assert_eq!(first.2, 0);
        // One that is large enough stays.
        let second = alternate_stack().unwrap();
        assert_eq!(alternate(), first);
        drop(second);
        assert_eq!(alternate(), first);
        drop(guard);
        assert_eq!(alternate(), before);
        swap_alternate(&given);
    })
    .join()
    .unwrap();
}
