//! Gs that other threads made ready for one M: any thread puts, the M takes all at once.
//!
//! A list through the Gs themselves, newest first. Since everything is taken together, no entry
//! is ever taken off while somebody looks at it, so a G may come back to the list at any time.

use super::RawG;
use crate::engine::primitive::{AtomicPtr, Cell, Ordering};
use std::collections::VecDeque;
use std::ptr::{self, NonNull};

/// What a G needs to be kept by an M. Whoever owns the G alone touches it.
#[derive(Debug)]
pub(crate) struct Node {
    gp: Cell<RawG>,
    next: Cell<*mut Node>,
    /// Its number in the list of what lives on the M.
    pub(crate) place: Cell<usize>,
}

impl Node {
    /// Of a G that is on no list.
    pub(crate) fn new(gp: RawG) -> Node {
        Node {
            gp: Cell::new(gp),
            next: Cell::new(ptr::null_mut()),
            place: Cell::new(usize::MAX),
        }
    }

    /// The G.
    pub(crate) fn gp(&self) -> RawG {
        self.gp.get()
    }

    /// Notes which G it belongs to, once that has its memory.
    pub(crate) fn set_gp(&self, gp: RawG) {
        self.gp.set(gp);
    }
}

/// The list.
#[derive(Debug)]
pub(crate) struct Inbox {
    newest: AtomicPtr<Node>,
}

impl Inbox {
    /// Empty.
    pub(crate) fn new() -> Inbox {
        Inbox {
            newest: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Puts the G of `node`. The caller then sees to it that the M looks: `Bound::push_remote`.
    ///
    /// # Safety
    /// The caller owns the G, which is alive, and gives the ownership up.
    pub(crate) unsafe fn push(&self, node: NonNull<Node>) {
        let mut newest = self.newest.load(Ordering::Relaxed);
        loop {
            // SAFETY: the G is the caller's, and with it the node.
            unsafe { node.as_ref() }.next.set(newest);
            // Ordering: Release, partner of the Acquire in `take_into`: the M sees the node, and
            // what was done for the turn that is asked for.
            match self.newest.compare_exchange_weak(
                newest,
                node.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => newest = now,
            }
        }
    }

    /// Whether nothing is there, as far as one can tell.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // Ordering: Relaxed. Where a decision to sleep hangs on it a SeqCst fence comes before.
        self.newest.load(Ordering::Relaxed).is_null()
    }

    /// Takes everything, oldest first, to the end of `ready`.
    pub(crate) fn take_into(&self, ready: &mut VecDeque<RawG>) {
        // Ordering: Acquire, partner of the Release in `push`. Each push is a read-modify-write, so
        // all of them are seen, not only the last.
        let mut next = self.newest.swap(ptr::null_mut(), Ordering::Acquire);
        let before = ready.len();
        // SAFETY: the list's Gs are alive, as somebody owns them: from now on we.
        while let Some(node) = unsafe { next.as_ref() } {
            next = node.next.get();
            ready.push_back(node.gp());
        }
        if ready.len() > before + 1 {
            ready.make_contiguous()[before..].reverse();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Inbox, Node};
    use crate::engine::util::RawG;
    use std::collections::VecDeque;
    use std::ptr::NonNull;

    #[test]
    fn what_was_put_first_comes_first() {
        let inbox = Inbox::new();
        let gs: Vec<_> = (1..=4usize)
            .map(|n| RawG::new(std::ptr::without_provenance_mut(n * 8)).unwrap())
            .collect();
        let nodes: Vec<_> = gs.iter().map(|&gp| Node::new(gp)).collect();
        let mut ready = VecDeque::new();
        for part in [&nodes[..1], &nodes[1..4]] {
            for node in part {
                // SAFETY: the nodes are ours, and outlive the list.
                unsafe { inbox.push(NonNull::from(node)) };
            }
            assert!(!inbox.is_empty());
            inbox.take_into(&mut ready);
            assert!(inbox.is_empty());
        }
        assert_eq!(ready, gs);
    }
}
