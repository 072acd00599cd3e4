//! Stacks that are not of the usual size: each larger one has a slab of its own.

use super::{Pool, Tally};
use crate::engine::primitive::lock;
use crate::engine::stack::size::{Shape, normalise, page_size};
use crate::engine::stack::slab::{Slab, Slot};
use crate::engine::stack::{Kind, Stack};
use std::collections::HashMap;
use std::io;

/// How many free stacks are kept for the next who wants one.
const KEPT: usize = 16;

/// The stacks of a pool that have slabs of their own.
#[derive(Debug, Default)]
pub(super) struct SizedStacks {
    /// Free ones, the one given back last at the end.
    kept: Vec<Free>,
    /// The fewest that were kept since the period of `decay` began.
    low: usize,
    /// The slabs of those taken, by where they end.
    taken: HashMap<usize, Slab>,
}

/// A free stack with the slab that it is in. Dropping it unmaps the slab.
#[derive(Debug)]
pub(super) struct Free {
    /// Always there, except in `drop` and `take`.
    parts: Option<(Slab, Slot)>,
}

impl Free {
    fn take(mut self) -> (Slab, Slot) {
        let Some(parts) = self.parts.take() else {
            unreachable!("this function takes the whole of it");
        };
        parts
    }

    fn size(&self) -> Option<usize> {
        self.parts.as_ref().map(|(slab, _)| slab.shape().size)
    }
}

impl Drop for Free {
    fn drop(&mut self) {
        if let Some((slab, _slot)) = self.parts.take() {
            // SAFETY: the only slot of the slab is here, and goes away.
            unsafe { slab.unmap() };
        }
    }
}

impl SizedStacks {
    /// How many are kept.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Bytes of address space.
    #[cfg(test)]
    pub(super) fn mapped(&self) -> usize {
        let kept = self.kept.iter().filter_map(|free| free.parts.as_ref());
        kept.map(|(slab, _)| slab)
            .chain(self.taken.values())
            .map(Slab::len)
            .sum()
    }

    /// Begins a period of `decay`.
    pub(super) fn new_period(&mut self) {
        self.low = self.kept.len();
    }

    /// Half of those that were not used in the period, the oldest.
    pub(super) fn ebb(&mut self) -> Vec<Free> {
        self.kept.drain(..self.low.div_ceil(2)).collect()
    }

    /// Unmaps the free ones.
    pub(super) fn unmap_kept(&mut self) {
        self.kept.clear();
    }

    fn take_kept(&mut self, size: usize) -> Option<Free> {
        let index = self
            .kept
            .iter()
            .rposition(|free| free.size() == Some(size))?;
        let free = self.kept.remove(index);
        self.low = self.low.min(self.kept.len());
        Some(free)
    }
}

/// Rounds a size so that there are four from each power of two to the next: stacks of almost the
/// same size then share, which costs nothing but address space.
fn class(size: usize) -> usize {
    let step = (1 << size.ilog2()) / 4;
    size.next_multiple_of(step.max(page_size()))
}

impl Pool {
    /// A stack of at least `size` bytes, which counts against the cap until it is given back.
    ///
    /// # Errors
    /// When the cap would be passed, the size is too large, or no address space is left.
    pub(crate) fn take_sized(&self, size: usize) -> io::Result<Stack> {
        let size = normalise(size)?;
        if size <= self.shape.size {
            // Memory is taken up as it is touched, so that the usual ones cost no more.
            self.promise(1)?;
            let taken = self.take(None).inspect_err(|_| self.unpromise(1));
            return taken.map(|stack| Stack::new(stack.slot, self.shape.size, Kind::Counted));
        }
        let size = class(size);
        self.count(Tally::SIZED, 1)?;
        let kept = lock(&self.shared).sized.take_kept(size);
        let free = match kept {
            Some(free) => free,
            None => self
                .map_sized(Shape::new(size))
                .inspect_err(|_| self.uncount(Tally::SIZED, 1))?,
        };
        let (slab, slot) = free.take();
        let end = slot.end().addr().get();
        lock(&self.shared).sized.taken.insert(end, slab);
        Ok(Stack::new(slot, size, Kind::Sized))
    }

    /// A slab of its own for one stack, with the guard.
    fn map_sized(&self, shape: Shape) -> io::Result<Free> {
        let mut slab = Slab::map(shape, 1).map_err(|error| refused(shape.size, &error))?;
        let Some(slot) = slab.carve() else {
            unreachable!("a new slab has one slot");
        };
        let slots = [slot];
        let (_, result) = self.guards.install(&self.adviser, &slots, shape);
        let [slot] = slots;
        let free = Free {
            parts: Some((slab, slot)),
        };
        result.map(|()| free)
    }

    /// Takes back what `take_sized` gave.
    #[cold]
    pub(super) fn give_sized(&self, stack: Stack) {
        if stack.kind() == Kind::Counted {
            self.give_global(stack.slot);
            return self.unpromise(1);
        }
        let end = stack.slot.end().addr().get();
        let mut shared = lock(&self.shared);
        let Some(slab) = shared.sized.taken.remove(&end) else {
            panic!("the stack belongs to another pool");
        };
        let free = Free {
            parts: Some((slab, stack.slot)),
        };
        let surplus = if shared.sized.kept.len() < KEPT {
            shared.sized.kept.push(free);
            self.call_for_decay(&shared);
            None
        } else {
            Some(free)
        };
        drop(shared);
        drop(surplus);
        self.uncount(Tally::SIZED, 1);
    }
}

#[cold]
fn refused(size: usize, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!(
            "cannot reserve address space for a stack of {size} bytes: {error}. Either the \
             process may not have more (`ulimit -v`), or the system does not overcommit memory \
             (`sysctl vm.overcommit_memory` is 2); ask for less with \
             `stackful::Builder::stack_size`"
        ),
    )
}
