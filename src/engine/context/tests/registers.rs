//! What only assembly can look at: the registers that a function has to preserve, and the frame
//! pointer at the entry.

use super::{Context, Inside, Memory, SIZE};
use crate::engine::context::{Link, arch, finish, prepare, resume};
use std::arch::{asm, naked_asm};
use std::ptr::NonNull;

/// The registers that functions preserve, as words.
#[cfg(target_arch = "x86_64")]
type Preserved = [usize; 6];
/// As there: `x19` to `x29`, and `d8` to `d15`.
#[cfg(target_arch = "aarch64")]
type Preserved = [usize; 19];

/// Fills the registers from `preserved`, calls `switch(argument)`, and writes to `preserved` what it
/// finds in them then.
///
/// # Safety
/// As for calling `switch`; and `preserved` is there, and is left alone meanwhile.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn call_with(
    preserved: *mut Preserved,
    switch: extern "C" fn(*mut ()),
    argument: *mut (),
) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        // An odd number of words, for the alignment.
        "push rdi",
        "mov rbx, [rdi]",
        "mov rbp, [rdi + 8]",
        "mov r12, [rdi + 16]",
        "mov r13, [rdi + 24]",
        "mov r14, [rdi + 32]",
        "mov r15, [rdi + 40]",
        "mov rdi, rdx",
        "call rsi",
        "pop rdi",
        "mov [rdi], rbx",
        "mov [rdi + 8], rbp",
        "mov [rdi + 16], r12",
        "mov [rdi + 24], r13",
        "mov [rdi + 32], r14",
        "mov [rdi + 40], r15",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}

/// As there.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn call_with(
    preserved: *mut Preserved,
    switch: extern "C" fn(*mut ()),
    argument: *mut (),
) {
    naked_asm!(
        // What has to be put back.
        "stp x29, x30, [sp, #-176]!",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "stp d8, d9, [sp, #96]",
        "stp d10, d11, [sp, #112]",
        "stp d12, d13, [sp, #128]",
        "stp d14, d15, [sp, #144]",
        "str x0, [sp, #160]",
        "ldp x19, x20, [x0]",
        "ldp x21, x22, [x0, #16]",
        "ldp x23, x24, [x0, #32]",
        "ldp x25, x26, [x0, #48]",
        "ldp x27, x28, [x0, #64]",
        "ldp d8, d9, [x0, #80]",
        "ldp d10, d11, [x0, #96]",
        "ldp d12, d13, [x0, #112]",
        "ldp d14, d15, [x0, #128]",
        "ldr x29, [x0, #144]",
        "mov x0, x2",
        "blr x1",
        "ldr x0, [sp, #160]",
        "stp x19, x20, [x0]",
        "stp x21, x22, [x0, #16]",
        "stp x23, x24, [x0, #32]",
        "stp x25, x26, [x0, #48]",
        "stp x27, x28, [x0, #64]",
        "stp d8, d9, [x0, #80]",
        "stp d10, d11, [x0, #96]",
        "stp d12, d13, [x0, #112]",
        "stp d14, d15, [x0, #128]",
        "str x29, [x0, #144]",
        "ldp d14, d15, [sp, #144]",
        "ldp d12, d13, [sp, #128]",
        "ldp d10, d11, [sp, #112]",
        "ldp d8, d9, [sp, #96]",
        "ldp x27, x28, [sp, #80]",
        "ldp x25, x26, [sp, #64]",
        "ldp x23, x24, [sp, #48]",
        "ldp x21, x22, [sp, #32]",
        "ldp x19, x20, [sp, #16]",
        "ldp x29, x30, [sp], #176",
        "ret",
    )
}

/// Calls with every register of another value, and looks whether they are still there.
fn check_registers(seed: usize, switch: extern "C" fn(*mut ()), argument: *mut ()) {
    let before: Preserved = std::array::from_fn(|i| seed.wrapping_mul(i + 1).wrapping_add(i));
    let mut after = before;
    // SAFETY: the two functions below get what they are for.
    unsafe { call_with(&raw mut after, switch, argument) };
    assert_eq!(before, after);
}

extern "C" fn resume_it(context: *mut ()) {
    // SAFETY: called with a context that nobody else uses meanwhile.
    unsafe { (*context.cast::<Context>()).resume(0) };
}

extern "C" fn suspend_it(inside: *mut ()) {
    // SAFETY: called with the inside of the context that calls.
    unsafe { (*inside.cast::<Inside>()).suspend(0) };
}

#[test]
fn registers_survive_on_both_sides() {
    let mut context = Context::new(SIZE, |mut inside, _| {
        for seed in 0..1000 {
            check_registers(seed * 0x1_0001, suspend_it, (&raw mut inside).cast());
        }
        0
    });
    // Once more than it suspends, so that the last finishes it.
    for seed in 0..1001 {
        assert!(!context.finished());
        check_registers(usize::MAX / 3 + seed, resume_it, (&raw mut context).cast());
    }
    assert!(context.finished());
}

/// An entry in assembly, which passes on the frame pointer before a compiler has touched it.
#[unsafe(naked)]
unsafe extern "C" fn entry_with_frame(value: usize, link: Link) -> ! {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("mov rdx, rbp", "jmp {look}", look = sym look_at_frame);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("mov x2, x29", "b {look}", look = sym look_at_frame);
}

/// Follows the frame records out of the context, and gives the address it returns to.
unsafe extern "C" fn look_at_frame(resumer: usize, link: Link, record: *const [usize; 2]) -> ! {
    assert_eq!(record.cast(), link.0.as_ptr().cast_const());
    // SAFETY: records are at the link and where that points, or the test fails one way or another.
    unsafe {
        let [outer, return_address] = *record;
        let begin = arch::begin as *const () as usize;
        assert!((begin..begin + 128).contains(&return_address));
        // `ud2`, `brk #0`: nothing else in the neighbourhood begins so.
        #[cfg(target_arch = "x86_64")]
        assert_eq!(*(return_address as *const [u8; 2]), [0x0F, 0x0B]);
        #[cfg(target_arch = "aarch64")]
        assert_eq!(*(return_address as *const u32), 0xD420_0000);
        let [mut outer, return_address] = *(outer as *const [usize; 2]);
        // A debug build has frames of its own between the test and the switch.
        for _ in 0..8 {
            if outer != resumer {
                outer = *(outer as *const usize);
            }
        }
        assert_eq!(outer, resumer);
        finish(link, return_address)
    }
}

#[test]
fn frame_pointers_lead_to_the_resumer() {
    /// Resumes with its own frame pointer as the value.
    #[inline(always)]
    fn resume_with_frame(limit: NonNull<u8>, top: NonNull<u8>) -> usize {
        let frame: usize;
        // SAFETY: a register is copied.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack));
            #[cfg(target_arch = "aarch64")]
            asm!("mov {}, x29", out(reg) frame, options(nomem, nostack));
        }
        // SAFETY: nothing else is on the stack, and the context finishes at once.
        let (return_address, at) =
            unsafe { resume(prepare(limit, top, entry_with_frame), top, frame) };
        assert_eq!(at, None);
        return_address
    }
    let mut stack = Memory::new(SIZE);
    let (limit, top) = stack.ends();
    let return_address = resume_with_frame(limit, top);
    // SAFETY: it lies behind an instruction of this program, of two bytes or four.
    let call = unsafe { *(return_address as *const [u8; 4]).sub(1) };
    #[cfg(target_arch = "x86_64")]
    assert_eq!(call[2..], [0xFF, 0x12], "call [rdx]");
    #[cfg(target_arch = "aarch64")]
    assert_eq!(u32::from_le_bytes(call), 0xD63F_0060, "blr x3");
}
