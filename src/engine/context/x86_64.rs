//! The switch on x86-64, for the System V ABI.
//!
//! # The stack of a context
//!
//! Addresses fall from top to bottom; a word has 8 bytes. On the left a context that was prepared
//! and has not begun, on the right one that is suspended:
//!
//! ```text
//!            prepared                          suspended
//!         +-------------+  <- top ->        +-------------+
//!  top-8  | entry       |                   | root        |  a place in `begin`
//!         +-------------+  <- Link ->       +-------------+
//!  top-16 | (the link)  |                   | (the link)  |  stale while nobody runs it
//!         +-------------+                   +-------------+
//!  top-24 | begin       |  <- Suspended     | root        |  where `entry` would return to
//!         +-------------+                   +-------------+
//!                                           ~  frames     ~
//!                                           +-------------+
//!                                           | rbp         |
//!                                           +-------------+
//!                                           | rbx         |
//!                                           +-------------+
//!                                           | where to go |  in `suspend`
//!                                           +-------------+  <- Suspended
//! ```
//!
//! A `Suspended` points at the address of the code that goes on with it, so the first resume and
//! all later ones are one indirect call through that word.
//!
//! # The stack of who resumed it, while the context runs
//!
//! ```text
//!         ~  frames     ~
//!         +-------------+  <- stack pointer around the `asm!` of `resume`
//!         | rbx         |
//!         +-------------+
//!         | return      |  into `resume`, pushed by its `call`
//!         +-------------+
//!         | rbp         |
//!         +-------------+  <- the link of the context points here
//! ```
//!
//! The two lower words are a frame record as the ABI knows it, the saved `rbp` below a return
//! address. The link with the word above it is one as well, and it points at the other. So the
//! chain of frame pointers goes on into whoever resumed: profilers follow it.
//!
//! # Registers across the switch
//!
//! | register | on the way in | on the way out |
//! |---|---|---|
//! | `rdi` | the value | the value |
//! | `rsi` | the place of the link | the new `Suspended`, or 0 from `finish` |
//! | `rdx` | the `Suspended` | |
//! | `rsp`, `rbp`, `rbx` | saved here, by hand | restored here |
//! | `r12` to `r15` | said to be clobbered | likewise |
//!
//! `rdi` and `rsi` are where a function finds its first two arguments, so `begin` need not move
//! anything to call the entry.
//!
//! `rbx` and `rbp` are saved by hand because LLVM keeps them for itself and takes neither as a
//! clobber.
//!
//! Control words (`mxcsr`, that of the x87) are not switched: who changes them has to change them
//! back before it suspends, as before it returns. The shadow stack of CET is not switched either;
//! Linux gives one only to programs whose every object asks for it, and Rust's do not.

use super::{Link, Suspended};
use std::arch::{asm, naked_asm};
use std::ptr::NonNull;

/// The outermost frame of every context: calls the entry, and describes to unwinders how to go on
/// from there into whoever resumed the context.
///
/// It is not for calling. `resume` gets here by its `call` the first time; the registers are those
/// of the table above, and `rsp` is that of the resumer.
///
/// # What unwinders are told
///
/// For them this function is one frame, whose caller is the `resume` that runs the context at the
/// moment. A frame is described relative to its CFA, which is what `rsp` was in the caller before
/// the call. Here it is `rsp` outside of the `asm!` in `resume`, so that the frame of the resumer
/// looks as the compiler described it, and what the `asm!` has pushed belongs to `begin`: `rbx`, the
/// return address and `rbp`, 8, 16 and 24 bytes below the CFA.
///
/// Once on the context's stack, the CFA is found through the link: the word that `rbp` points at,
/// plus 24. Since each `resume` writes the link anew, the walk always leads to the one who resumed
/// last.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn begin() -> ! {
    naked_asm!(
        ".cfi_startproc",
        // GDB takes a caller's frame at a lower address than its callee's for a corrupt stack and
        // ends the walk there, unless the callee is a signal handler's frame, which may well be on
        // a stack of its own. Contexts lie above their resumers as often as below; so say that this
        // is such a frame. GDB then calls it <signal handler called>.
        //
        // The price: unwinders look a return address up as it is when it was left by a signal frame,
        // not one byte earlier. So the `call` in `resume` must not be the last of its `asm!`, or
        // the address would belong to whatever the compiler puts after it.
        ".cfi_signal_frame",
        // The `call` of `resume` has pushed the return address, and `rbx` was pushed before.
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rip, -16",
        ".cfi_offset rbx, -8",
        // Complete the resumer's frame record, and link it. `suspend` repeats these two for every
        // later resume.
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_offset rbp, -24",
        "mov [rsi], rsp",
        // The link is our frame record. From here on the CFA is `*rbp + 24`, which the directives
        // of the assembler cannot say:
        //   0x0f      DW_CFA_def_cfa_expression, of 5 bytes
        //   0x76 0    DW_OP_breg6, rbp + 0
        //   0x06      DW_OP_deref
        //   0x23 24   DW_OP_plus_uconst, 24
        "mov rbp, rsi",
        ".cfi_escape 0x0f, 5, 0x76, 0, 0x06, 0x23, 24",
        // Onto the context's stack. This leaves out the word that led here, and is aligned to 16 as
        // `rsp` has to be before a call.
        "mov rsp, rsi",
        // Call the entry with `rdi` and `rsi`, but by hand. A `call` would make the processor expect
        // a return to here; what comes is the `ret` of `suspend` or `finish`, which goes with the
        // `call` of `resume`. The word that held the entry takes the return address too, which
        // makes the frame record at the link a whole one.
        "mov rax, [rsi + 8]",
        "lea rcx, [rip + 2f]",
        "mov [rsi + 8], rcx",
        "push rcx",
        "jmp rax",
        // The entry never returns. The instruction is here so that the return address lies inside
        // this function: some unwinders look for it, and some for the byte before.
        "2:",
        "ud2",
        ".cfi_endproc",
    )
}

/// Runs the context; see [`super::resume`].
///
/// # Safety
/// As for [`super::resume`], with the link of the context.
#[inline]
pub(super) unsafe fn resume(
    context: Suspended,
    link: Link,
    value: usize,
) -> (usize, Option<Suspended>) {
    let passed: usize;
    let left: *mut u8;
    // SAFETY: by the contract the context is suspended and this is its link. So `rdx` points at the
    // address of code that expects exactly these registers: `begin`, or the second half of
    // `suspend`. That code, sooner or later, comes back behind the `call` with `rsp` and `rbp` as
    // they were: a context leaves only by `suspend` or `finish`. Every other register is declared
    // as clobbered, apart from `rbx`, which is on the stack meanwhile. As `nostack` is not claimed,
    // the compiler keeps nothing below `rsp`.
    unsafe {
        asm!(
            "push rbx",
            // The return address goes onto this stack, and the word at `rdx` says where to go. The
            // processor notes the return address as well, and finds it right when the context comes
            // back with `ret`.
            "call [rdx]",
            // Back, with `rsp` as before the call, `rbp` restored.
            "pop rbx",
            inlateout("rdi") value => passed,
            inlateout("rsi") link.0.as_ptr() => left,
            in("rdx") context.0.as_ptr(),
            // All that the compiler may use itself. To let it save what is live at this place costs
            // less than to push everything here.
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
    (passed, NonNull::new(left).map(Suspended))
}

/// Goes back to who resumed; see [`super::suspend`].
///
/// Always inlined, or the `ret` below would meet the processor's note of the call to this function
/// instead of the one from `resume`.
///
/// # Safety
/// As for [`super::suspend`].
#[inline(always)]
pub(super) unsafe fn suspend(link: Link, value: usize) -> usize {
    let passed: usize;
    // SAFETY: by the contract the code runs in the context of this link, and the link points at the
    // frame record that the latest `resume` and we made on its stack. What the next `resume` brings
    // is as the table says, and it finds on this stack what was pushed. All other registers are
    // declared as clobbered.
    unsafe {
        asm!(
            // Leave: save what cannot be a clobber, and below it where to go on. `rsi` is the new
            // `Suspended`.
            "push rbp",
            "push rbx",
            "lea rax, [rip + 2f]",
            "push rax",
            "mov rsi, rsp",
            // To the resumer's stack, and behind its `call`.
            "mov rsp, [rdx]",
            "pop rbp",
            "ret",
            // Resumed: `rsp` and `rbp` are those of the resumer. Link its stack as `begin` does.
            "2:",
            "push rbp",
            "mov [rsi], rsp",
            // Back to this stack, without the word that led here.
            "lea rsp, [rdx + 8]",
            "pop rbx",
            "pop rbp",
            inlateout("rdi") value => passed,
            in("rdx") link.0.as_ptr(),
            // As in `resume`.
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
    passed
}

/// Goes back for the last time; see [`super::finish`].
///
/// # Safety
/// As for [`super::finish`].
#[inline(always)]
pub(super) unsafe fn finish(link: Link, value: usize) -> ! {
    // SAFETY: as in `suspend`; and since nobody can come back, there is nothing to save.
    unsafe {
        asm!(
            "mov rsp, [{link}]",
            "pop rbp",
            "ret",
            link = in(reg) link.0.as_ptr(),
            in("rdi") value,
            in("rsi") 0,
            options(noreturn),
        );
    }
}
