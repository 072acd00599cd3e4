//! Slabs: reserved address space that is divided into slots, one for each stack.
//!
//! A page of a slab takes up memory from when it is first touched. Slots are never unmapped one
//! by one: holes would split the mapping, and the number of mappings is limited.

use super::regions::{self, Region};
use super::size::Shape;
use crate::engine::context::valgrind;
use std::io;
use std::ptr::{self, NonNull};

/// The exclusive right to one slot of a slab, as the address where it ends.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(NonNull<u8>);

// SAFETY: a slot is memory that its holder has to itself; no thread is special to it.
unsafe impl Send for Slot {}

impl Slot {
    /// Where it ends, which is where its stack begins.
    #[inline]
    pub(super) fn end(&self) -> NonNull<u8> {
        self.0
    }

    /// Where it begins: the guard.
    pub(super) fn base(&self, shape: Shape) -> NonNull<u8> {
        // SAFETY: a slot is `stride` bytes of a mapping.
        unsafe { self.0.sub(shape.stride()) }
    }

    /// The lowest byte of the stack, just above the guard.
    #[inline]
    pub(super) fn limit(&self, size: usize) -> NonNull<u8> {
        // SAFETY: the stack is `size` bytes of a mapping.
        unsafe { self.0.sub(size) }
    }
}

/// A mapping. Dropping it leaves it mapped for ever, see [`unmap`](Slab::unmap).
#[derive(Debug)]
pub(super) struct Slab {
    base: NonNull<u8>,
    shape: Shape,
    slots: usize,
    carved: usize,
    region: &'static Region,
    /// What valgrind calls the stacks; empty where there is no valgrind.
    valgrind: Vec<usize>,
}

// SAFETY: `base` is only an address as far as the slab is concerned; the memory belongs to the
// holders of the slots.
unsafe impl Send for Slab {}

impl Slab {
    /// Reserves address space for `slots` slots.
    ///
    /// # Errors
    /// As the kernel says.
    pub(super) fn map(shape: Shape, slots: usize) -> io::Result<Slab> {
        let len = shape
            .stride()
            .checked_mul(slots)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        // SAFETY: a new private mapping where the kernel finds room for it touches nothing else.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // A huge page would make 2 MiB resident for the first byte of a stack. Kernels built
        // without huge pages refuse the advice, and need none.
        // SAFETY: the mapping is ours and new, and the advice leaves its contents alone.
        unsafe { libc::madvise(base, len, libc::MADV_NOHUGEPAGE) };
        let Some(base) = NonNull::new(base.cast()) else {
            unreachable!("mmap puts nothing at address 0 unless told to");
        };
        Ok(Slab {
            base,
            shape,
            slots,
            carved: 0,
            // The report of an overflow makes a pointer from what it finds in the table.
            region: regions::add(base.as_ptr().expose_provenance(), len, shape),
            valgrind: Vec::new(),
        })
    }

    /// How many slots it has.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// How many of them were carved.
    pub(super) fn carved(&self) -> usize {
        self.carved
    }

    /// How stacks lie in it.
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// How many bytes it reserves.
    pub(super) fn len(&self) -> usize {
        self.slots * self.shape.stride()
    }

    /// The address where it begins.
    pub(super) fn start(&self) -> usize {
        self.base.addr().get()
    }

    /// Whether `slot` is one of its slots.
    pub(super) fn has(&self, slot: &Slot) -> bool {
        // A slot is named by its end.
        (self.start() + 1..=self.start() + self.len()).contains(&slot.end().addr().get())
    }

    /// A slot that nobody has had yet. It has no guard.
    pub(super) fn carve(&mut self) -> Option<Slot> {
        if self.carved == self.slots {
            return None;
        }
        self.carved += 1;
        // SAFETY: `carved` is at most `slots`, so this is within the mapping or at its end.
        let slot = Slot(unsafe { self.base.add(self.carved * self.shape.stride()) });
        self.valgrind
            .extend(valgrind::register(slot.limit(self.shape.size), slot.end()));
        Some(slot)
    }

    /// Gives the address space back.
    ///
    /// # Safety
    /// Every slot that was carved came back, and is not used again.
    pub(super) unsafe fn unmap(self) {
        regions::remove(self.region);
        self.valgrind.iter().copied().for_each(valgrind::deregister);
        // SAFETY: this is the whole of our mapping; nobody uses it by this function's contract.
        let code = unsafe { libc::munmap(self.base.as_ptr().cast(), self.len()) };
        // The only way to fail is that the unmapping would split a mapping and there may be no
        // more of them; then the address space stays reserved.
        debug_assert_eq!(code, 0, "{}", io::Error::last_os_error());
    }
}
