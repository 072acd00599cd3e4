//! Tells valgrind where stacks lie, so that it does not take a switch of stacks for a huge frame.
//!
//! A client request is a series of instructions that do nothing on a processor. Only valgrind for
//! x86-64 is told.

use std::ptr::NonNull;

/// Registers a stack; `None` where there is no valgrind.
pub(crate) fn register(limit: NonNull<u8>, end: NonNull<u8>) -> Option<usize> {
    const RUNNING_ON_VALGRIND: usize = 0x1001;
    const STACK_REGISTER: usize = 0x1501;
    if request(RUNNING_ON_VALGRIND, 0, 0) == 0 {
        return None;
    }
    // The last byte is a part of it.
    let last = end.addr().get() - 1;
    Some(request(STACK_REGISTER, limit.addr().get(), last))
}

/// Takes back a [`register`].
pub(crate) fn deregister(id: usize) {
    const STACK_DEREGISTER: usize = 0x1502;
    request(STACK_DEREGISTER, id, 0);
}

#[cfg(target_arch = "x86_64")]
fn request(request: usize, first: usize, second: usize) -> usize {
    let arguments = [request, first, second, 0, 0, 0];
    let mut result = 0_usize;
    // SAFETY: the four rotations turn `rdi` by 128 bits in all, which leaves it as it was, and the
    // exchange does nothing. Under valgrind, which reads the arguments, `rdx` becomes its answer.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") result,
            options(nostack, readonly),
        );
    }
    result
}

#[cfg(not(target_arch = "x86_64"))]
fn request(_request: usize, _first: usize, _second: usize) -> usize {
    0
}
