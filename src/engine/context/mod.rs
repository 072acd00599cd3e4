//! Contexts: code that runs on a stack of its own and can be left in the middle.
//!
//! # Two stacks and a link
//!
//! ```text
//!      who resumes                      a context
//!   +---------------+               +---------------+ <- top, aligned to 16
//!   | its frames    |               | a word        |
//!   |               |               +---------------+ <- Link
//!   |               |        .------| link          |
//!   +---------------+        |      +---------------+
//!   | return, rbp.. | <------'      | begin         |   the outermost frame
//!   +---------------+               +---------------+
//!                                   | entry         |
//!                                   | its callees   |
//!                                   +---------------+
//!                                   | saved         |
//!                                   +---------------+ <- Suspended, unless it runs
//!                                   |               |
//!                                   ~ free          ~
//!                                   +---------------+
//! ```
//!
//! [`prepare`] makes a context of a stack and a function. [`resume`] calls into it like a function
//! that returns at the next [`suspend`], or at [`finish`], which is the last. Each way takes a value
//! along, a plain word.
//!
//! While a context runs its *link* points at the stack of whoever resumed it, as a return address
//! does; `resume` writes it each time, so a context may be resumed from anywhere. It lies at a fixed
//! distance from the top: [`link_of`] finds it, and the entry gets it as an argument. Contexts nest:
//! inside one another can be resumed, and the links form a chain.
//!
//! # The contract
//!
//! What each architecture has to provide, in a file of its own with the same four functions,
//! `begin`, `resume`, `suspend` and `finish`:
//!
//! 1. The value arrives unchanged on both ways.
//! 2. Everything the ABI preserves across a call is preserved across a switch, on either side, apart
//!    from floating-point control words, which are not touched. Whoever leaves a context finds its
//!    own.
//! 3. The entry begins with the stack aligned as the ABI wants it at a function's beginning.
//! 4. At any moment in which a context runs, unwind tables and frame pointers lead from it through
//!    its outermost frame into whoever resumed it, so backtraces and profilers show one chain of
//!    calls. Exceptions do not: an entry catches them.
//!
//! # Why so
//!
//! What a switch costs tells `cargo bench --bench stackful`: some two nanoseconds for a resume and the
//! suspend that answers it, which is what corosensei takes, from which much of this was learnt.
//!
//! | decision | instead of | because |
//! |---|---|---|
//! | inlined assembly that declares every register as clobbered | a function in assembly that saves all that the ABI preserves | the compiler saves only what is live, and often that is nothing |
//! | `resume` calls and `suspend` returns | a jump both ways | the processor predicts a return from the call before it; a jump to ever new places it can only guess |
//! | the link is on the context's stack | a switch between two stack pointers | unwinders find the way out by it, and a context does not have to be told who resumed it |
//! | values are one word in a register | a generic type | there is one copy of the code, and callers know better what to pass |
//! | floating-point control words are left alone | saving them | loading them costs as much as all the rest, and no code that we call leaves them changed |
//! | an entry never unwinds | unwinding into the resumer | a panic has to be caught at the bottom of the stack anyway, to become the result of the G |

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod arch;
#[cfg(runnext_asan)]
mod sanitizer;
pub(crate) mod valgrind;

#[cfg(test)]
mod tests;

use std::arch::asm;
use std::ptr::NonNull;

/// A context that is not running: its stack pointer.
///
/// It is good for one [`resume`], which gives a new one when the context suspends again. It is
/// `Copy` so that it can be kept in a cell; whoever resumes an old copy breaks the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Suspended(NonNull<u8>);

impl Suspended {
    /// The lowest address of what it needs to go on.
    #[inline]
    pub(crate) fn as_ptr(self) -> *const u8 {
        self.0.as_ptr()
    }
}

/// Where a running context finds its way back: the place of the link word on its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Link(NonNull<usize>);

/// What a context begins with, given the value of the first [`resume`].
///
/// It must never return nor unwind: panics are caught inside, and it ends with [`finish`].
pub(crate) type Entry = unsafe extern "C" fn(value: usize, link: Link) -> !;

/// Alignment of a stack's top.
pub(crate) const ALIGN: usize = 16;

/// What lies above the link besides a word: nothing, but for what a sanitizer is told.
#[cfg(not(runnext_asan))]
const RESERVED: usize = 0;
#[cfg(runnext_asan)]
use sanitizer::RESERVED;

/// The link of the context whose stack ends at `top`.
///
/// # Panics
/// When `top` lies 16 bytes above address zero, where no stack can end.
#[inline(always)]
pub(crate) fn link_of(top: NonNull<u8>) -> Link {
    // Wrapping, so that it is a function of the address alone, of which nothing is asked here.
    let link = top.as_ptr().wrapping_sub(RESERVED + 2 * size_of::<usize>());
    Link(NonNull::new(link.cast()).expect("the top of a stack"))
}

/// The stack pointer of the caller.
///
/// The address of a local would not do: a sanitizer may have put it elsewhere.
#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: a register is copied.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}

/// Writes what the first [`resume`] needs at the top of a stack; `limit` is its lowest byte, `top` is
/// one past its highest.
///
/// # Safety
/// - `top` is a multiple of [`ALIGN`], and the memory from `limit` on belongs to the context until it
///   has finished or is given up: nobody else reads or writes it.
/// - There is enough of it for whatever `entry` does, or something below that ends the process when
///   it is touched; 64 bytes in any case, which are written here and at the beginning.
/// - `entry` keeps to what [`Entry`] says.
#[inline]
pub(crate) unsafe fn prepare(limit: NonNull<u8>, top: NonNull<u8>, entry: Entry) -> Suspended {
    debug_assert_eq!(top.addr().get() % ALIGN, 0);
    debug_assert!(limit < top);
    // SAFETY: the caller keeps the same contract.
    #[cfg(runnext_asan)]
    let entry = unsafe { sanitizer::prepare(limit, top, entry) };
    let link = link_of(top).0;
    // SAFETY: the caller leaves us the memory below `top`, which is aligned to 16. These are the
    // words above and below the link, where `begin` and `arch::resume` look.
    unsafe {
        link.add(1).cast().write(entry);
        let first = link.sub(1);
        first
            .cast()
            .write(arch::begin as unsafe extern "C" fn() -> !);
        Suspended(first.cast())
    }
}

/// Runs the context until it suspends or finishes: the value it passed, and where it is now, or
/// `None` when it has finished.
///
/// # Safety
/// - `context` is what [`prepare`] or the latest `resume` gave for the stack that ends at `top`, and
///   has not been resumed since.
/// - This thread may run what the context has on its stack: whatever it holds from before it
///   suspended, as references to thread-locals or values that are not `Send`, must be fit for it.
#[inline]
pub(crate) unsafe fn resume(
    context: Suspended,
    top: NonNull<u8>,
    value: usize,
) -> (usize, Option<Suspended>) {
    // SAFETY: the context is suspended, and the next lines resume it.
    #[cfg(runnext_asan)]
    let fake = unsafe { sanitizer::entering(top) };
    // SAFETY: the caller keeps the same contract.
    let back = unsafe { arch::resume(context, link_of(top), value) };
    // SAFETY: it came back.
    #[cfg(runnext_asan)]
    unsafe {
        sanitizer::left(fake);
    };
    back
}

/// Goes back to who resumed; returns with the value of the next resume.
///
/// # Safety
/// - It is called in the context of `link`, not in one that this has resumed.
/// - What lies on the stack may be left alone for as long as the resumer likes, or for ever: memory
///   that is given up runs no destructors.
#[inline(always)]
pub(crate) unsafe fn suspend(link: Link, value: usize) -> usize {
    // SAFETY: this is the context of the link, and leaves.
    #[cfg(runnext_asan)]
    unsafe {
        sanitizer::leaving(link);
    };
    // SAFETY: the caller keeps the same contract.
    let value = unsafe { arch::suspend(link, value) };
    // SAFETY: it was resumed.
    #[cfg(runnext_asan)]
    unsafe {
        sanitizer::entered(link);
    };
    value
}

/// Goes back for the last time.
///
/// The value may point at what lies on the stack, which is there until [`release`].
///
/// # Safety
/// - It is called in the context of `link`, not in one that this has resumed.
/// - Nothing with a destructor that has to run is left on the stack, unless whoever resumed knows
///   of it: it is as good as freed.
#[inline(always)]
pub(crate) unsafe fn finish(link: Link, value: usize) -> ! {
    // SAFETY: this is the context of the link, and leaves.
    #[cfg(runnext_asan)]
    unsafe {
        sanitizer::leaving(link);
    };
    // SAFETY: the caller keeps the same contract.
    unsafe { arch::finish(link, value) }
}

/// Says that nobody will look at what a context that has finished left on its stack.
///
/// It is for sanitizers, and does nothing elsewhere. A context that is given up without it, finished
/// or not, costs them memory.
///
/// # Safety
/// The context whose stack ends at `top` has finished, and its stack has not been prepared again.
#[inline(always)]
pub(crate) unsafe fn release(top: NonNull<u8>) {
    #[cfg(not(runnext_asan))]
    let _ = top;
    // SAFETY: the caller keeps the same contract.
    #[cfg(runnext_asan)]
    unsafe {
        sanitizer::release(top);
    }
}
