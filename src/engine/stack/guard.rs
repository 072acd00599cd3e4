//! The guards below stacks: memory that faults when it is touched.
//!
//! | how | costs | from |
//! |---|---|---|
//! | `MADV_GUARD_INSTALL` | marks in the page tables, nothing else | Linux 6.13 |
//! | `mprotect(PROT_NONE)` | splits the mapping: `vm.max_map_count`, 65,530 by default, stops at 32,700 stacks | ever |
//!
//! The second is used where the kernel does not know the first, or refuses it because the memory
//! is locked; and everywhere with `--cfg runnext_mprotect_guards`.

use super::advise::{Adviser, Range};
use super::size::Shape;
use super::slab::Slot;
use crate::engine::primitive::{AtomicBool, Ordering};
use std::io;

/// `MADV_GUARD_INSTALL`, which the libc crate does not have for every C library.
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// How a pool makes its guards.
#[derive(Debug)]
pub(super) struct Guards {
    mprotect: AtomicBool,
}

impl Guards {
    /// Guards by `mprotect` alone if `mprotect` or the `cfg` says so.
    pub(super) fn new(mprotect: bool) -> Guards {
        Guards {
            mprotect: AtomicBool::new(mprotect || cfg!(runnext_mprotect_guards)),
        }
    }

    /// Whether `mprotect` makes the guards.
    pub(super) fn by_mprotect(&self) -> bool {
        // Ordering: Relaxed here and below, as either way of making a guard is right at any time.
        self.mprotect.load(Ordering::Relaxed)
    }

    /// Makes the guards of `slots`, one after the other, until the kernel refuses: how many were
    /// made, and why the next was not.
    pub(super) fn install(
        &self,
        adviser: &Adviser,
        slots: &[Slot],
        shape: Shape,
    ) -> (usize, io::Result<()>) {
        let mut done = 0;
        if !self.by_mprotect() {
            let guards: Vec<Range> = slots
                .iter()
                .map(|slot| Range::new(slot.base(shape), shape.guard))
                .collect();
            // SAFETY: whoever holds a `Slot` has its memory to itself, so nobody loses what is in
            // the guards, and nobody but who overflows his stack will touch them.
            let (made, result) = unsafe { adviser.advise(&guards, MADV_GUARD_INSTALL) };
            match result.map_err(|error| (error.raw_os_error(), error)) {
                Ok(()) => return (made, Ok(())),
                Err((Some(libc::EINVAL | libc::ENOSYS | libc::EPERM), _)) => {
                    // The kernel does not know it, or a filter of system calls does not.
                    self.mprotect.store(true, Ordering::Relaxed);
                    done = made;
                }
                Err((_, error)) => return (made, Err(explained(&error, shape))),
            }
        }
        for slot in &slots[done..] {
            if let Err(error) = protect(slot, shape) {
                return (done, Err(explained(&error, shape)));
            }
            done += 1;
        }
        (done, Ok(()))
    }
}

/// Makes one guard by `mprotect`.
fn protect(slot: &Slot, shape: Shape) -> io::Result<()> {
    // SAFETY: as in `install`.
    let code = unsafe {
        libc::mprotect(
            slot.base(shape).as_ptr().cast(),
            shape.guard,
            libc::PROT_NONE,
        )
    };
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// What the kernel's refusal means, and what can be done about it.
#[cold]
fn explained(error: &io::Error, shape: Shape) -> io::Error {
    io::Error::new(
        error.kind(),
        format!(
            "cannot guard a new stack of {} bytes: {error}. Either the memory of the system or \
             of the control group is used up, or, on kernels before 6.13, the process has as many \
             mappings as `sysctl vm.max_map_count` allows: raise it, or have fewer stackful tasks \
             at a time",
            shape.size
        ),
    )
}
