//! The switch on aarch64, for the procedure call standard of Arm (AAPCS64).
//!
//! What differs from x86-64: a call leaves its return address in `x30` instead of on the stack, a
//! stack pointer has to be a multiple of 16 whenever it is used, and LLVM keeps `x19` and `x29` for
//! itself, which is why these two are saved by hand.
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
//!  top-24 | begin       |  <- Suspended     ~  frames     ~
//!         +-------------+                   +-------------+
//!                                           | (unused)    |
//!                                           +-------------+
//!                                           | x29         |
//!                                           +-------------+
//!                                           | x19         |
//!                                           +-------------+
//!                                           | where to go |  in `suspend`
//!                                           +-------------+  <- Suspended
//! ```
//!
//! A `Suspended` points at the address of the code that goes on with it, so the first resume and
//! all later ones are one load and one indirect call.
//!
//! # The stack of who resumed it, while the context runs
//!
//! ```text
//!         ~  frames     ~
//!         +-------------+  <- stack pointer around the `asm!` of `resume`
//!         | (unused)    |
//!         +-------------+
//!         | x19         |
//!         +-------------+
//!         | x30         |  the return address, in `resume`
//!         +-------------+
//!         | x29         |
//!         +-------------+  <- the link of the context points here
//! ```
//!
//! The two lower words are a frame record as the standard wants it, the saved `x29` below a return
//! address. The link with the word above it is one as well, and it points at the other. So the
//! chain of frame pointers goes on into whoever resumed: profilers follow it.
//!
//! # Registers across the switch
//!
//! | register | on the way in | on the way out |
//! |---|---|---|
//! | `x0` | the value | the value |
//! | `x1` | the place of the link | the new `Suspended`, or 0 from `finish` |
//! | `x2` | the `Suspended` | |
//! | `x30` | the return address in `resume` | the same |
//! | `sp`, `x29`, `x19` | saved here, by hand | restored here |
//! | `x20` to `x28`, `d8` to `d15` | said to be clobbered | likewise |
//!
//! `x0` and `x1` are where a function finds its first two arguments, so `begin` need not move
//! anything to call the entry.
//!
//! The control and status words of floating point (`fpcr`, `fpsr`) are not switched: who changes
//! them has to change them back before it suspends, as before it returns. Branch targets and return
//! addresses are neither marked (BTI) nor signed (PAC), nor is a guarded control stack switched; the
//! first and the last are on only in programs whose every object asks for them, and Rust's do not.

use super::{Link, Suspended};
use std::arch::{asm, naked_asm};
use std::ptr::NonNull;

/// The outermost frame of every context: calls the entry, and describes to unwinders how to go on
/// from there into whoever resumed the context.
///
/// It is not for calling. `resume` gets here by its `blr` the first time; the registers are those of
/// the table above, and `sp` is that of the resumer.
///
/// # What unwinders are told
///
/// For them this function is one frame, whose caller is the `resume` that runs the context at the
/// moment. A frame is described relative to its CFA, which is what `sp` was in the caller at the
/// call. The resumer's registers lie 32 bytes below it.
///
/// Once on the context's stack, the CFA is found through the link: the word that `x29` points at,
/// plus 32. Since each `resume` writes the link anew, the walk always leads to the one who resumed
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
        // not one byte earlier. So the `blr` in `resume` must not be the last of its `asm!`, or the
        // address would belong to whatever the compiler puts after it.
        ".cfi_signal_frame",
        // Make the resumer's frame record, and link it. `suspend` repeats these four for every
        // later resume.
        "stp x29, x30, [sp, #-32]!",
        ".cfi_def_cfa_offset 32",
        ".cfi_offset x29, -32",
        ".cfi_offset x30, -24",
        "str x19, [sp, #16]",
        ".cfi_offset x19, -16",
        "mov x3, sp",
        "str x3, [x1]",
        // The link is our frame record. From here on the CFA is `*x29 + 32`, which the directives
        // of the assembler cannot say:
        //   0x0f      DW_CFA_def_cfa_expression, of 5 bytes
        //   0x8d 0    DW_OP_breg29, x29 + 0
        //   0x06      DW_OP_deref
        //   0x23 32   DW_OP_plus_uconst, 32
        "mov x29, x1",
        ".cfi_escape 0x0f, 5, 0x8d, 0, 0x06, 0x23, 32",
        // Onto the context's stack; the link is at a multiple of 16, as `sp` has to be.
        "mov sp, x1",
        // Call the entry with `x0` and `x1`, but by hand. A `blr` would make the processor expect a
        // return to here; what comes is the `ret` of `suspend` or `finish`, which goes with the
        // `blr` of `resume`. The word that held the entry takes the return address too, which makes
        // the frame record at the link a whole one.
        "ldr x16, [x1, #8]",
        "adr x30, 2f",
        "str x30, [x1, #8]",
        "br x16",
        // The entry never returns. The instruction is here so that the return address lies inside
        // this function: some unwinders look for it, and some for the byte before.
        "2:",
        "brk #0",
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
    // SAFETY: by the contract the context is suspended and this is its link. So `x2` points at the
    // address of code that expects exactly these registers: `begin`, or the second half of
    // `suspend`. That code, sooner or later, comes back behind the `blr` with `sp`, `x19` and `x29`
    // as they were: a context leaves only by `suspend` or `finish`. Every other register is declared
    // as clobbered. As `nostack` is not claimed, the compiler keeps nothing below `sp`.
    unsafe {
        asm!(
            // The processor notes the return address, and finds it right when the context comes back
            // with `ret`.
            "ldr x3, [x2]",
            "blr x3",
            // Back, with everything in its place; `begin` says why something has to be here.
            "nop",
            inlateout("x0") value => passed,
            inlateout("x1") link.0.as_ptr() => left,
            in("x2") context.0.as_ptr(),
            // All that the compiler may use itself. To let it save what is live at this place costs
            // less than to store everything here. `d8` to `d15` are among the last line's.
            lateout("x20") _, lateout("x21") _, lateout("x22") _, lateout("x23") _,
            lateout("x24") _, lateout("x25") _, lateout("x26") _, lateout("x27") _,
            lateout("x28") _,
            clobber_abi("C"),
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
    // is as the table says, and it finds on this stack what was stored. All other registers are
    // declared as clobbered.
    unsafe {
        asm!(
            // Leave: save what cannot be a clobber, and below it where to go on. `x1` is the new
            // `Suspended`.
            "adr x3, 2f",
            "stp x3, x19, [sp, #-32]!",
            "str x29, [sp, #16]",
            "mov x1, sp",
            // To the resumer's stack, and behind its `blr`.
            "ldr x3, [x2]",
            "mov sp, x3",
            "ldr x19, [sp, #16]",
            "ldp x29, x30, [sp], #32",
            "ret",
            // Resumed: `sp`, `x19` and `x29` are those of the resumer. Link its stack as `begin`
            // does.
            "2:",
            "stp x29, x30, [sp, #-32]!",
            "str x19, [sp, #16]",
            "mov x3, sp",
            "str x3, [x1]",
            // Back to this stack.
            "ldp x19, x29, [x2, #8]",
            "add sp, x2, #32",
            inlateout("x0") value => passed,
            in("x2") link.0.as_ptr(),
            // As in `resume`.
            lateout("x20") _, lateout("x21") _, lateout("x22") _, lateout("x23") _,
            lateout("x24") _, lateout("x25") _, lateout("x26") _, lateout("x27") _,
            lateout("x28") _,
            clobber_abi("C"),
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
            "ldr x2, [x2]",
            "mov sp, x2",
            "ldr x19, [sp, #16]",
            "ldp x29, x30, [sp], #32",
            "ret",
            in("x0") value,
            in("x1") 0,
            in("x2") link.0.as_ptr(),
            options(noreturn),
        );
    }
}
