//! What the models share.

use crate::engine::queue::RawG;
use loom::cell::UnsafeCell;
use loom::thread;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one thread of a model does.
pub(super) type Role<W> = fn(&W);

/// Runs a model: threads with one of `roles` each, on a world that `make` makes, and when they have
/// ended, `end`. In every interleaving with at most three preemptions, or as many as
/// `LOOM_MAX_PREEMPTIONS` says.
///
/// The world need not be `Sync`: the threads of a model are coroutines of one thread of the system.
///
/// Once for each order in which the threads can be started. Loom starts from that order and
/// reverses pairs of accesses that depend on each other, but remembers only the last access of each
/// atomic: between a load by one thread and a load and an exchange by another it does not see
/// the dependency if the first thread comes first, and does if it comes second.
pub(super) fn check<W: 'static>(
    make: impl Fn() -> W + Send + Sync + 'static,
    roles: &[Role<W>],
    end: impl Fn(&W) + Send + Sync + 'static,
) {
    check_within(usize::MAX, make, roles, end);
}

/// As `check`, with at most `preemptions`.
pub(super) fn check_within<W: 'static>(
    preemptions: usize,
    make: impl Fn() -> W + Send + Sync + 'static,
    roles: &[Role<W>],
    end: impl Fn(&W) + Send + Sync + 'static,
) {
    let parts = Arc::new((make, end));
    for order in orders(roles) {
        let mut builder = loom::model::Builder::new();
        let bound = builder.preemption_bound.unwrap_or(3).min(preemptions);
        builder.preemption_bound = Some(bound);
        let parts = parts.clone();
        builder.check(move || {
            let world = Arc::new(parts.0());
            let threads: Vec<_> = order
                .iter()
                .map(|&role| {
                    let world = world.clone();
                    thread::spawn(move || role(&world))
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            parts.1(&world);
        });
    }
}

/// All orders of `roles`, of which some may be the same.
fn orders<W>(roles: &[Role<W>]) -> Vec<Vec<Role<W>>> {
    if roles.is_empty() {
        return vec![vec![]];
    }
    let with_first = |first: usize| {
        let mut others = roles.to_vec();
        let first = others.remove(first);
        orders(&others).into_iter().map(move |mut order| {
            order.insert(0, first);
            order
        })
    };
    let is_new = |&first: &usize| {
        let same = |other: &Role<W>| ptr::fn_addr_eq(*other, roles[first]);
        !roles[..first].iter().any(same)
    };
    let firsts = (0..roles.len()).filter(is_new);
    firsts.flat_map(with_first).collect()
}

/// How often something happened. As a `static` of a model: in how many interleavings; one that never
/// gets to the case that it is about shows nothing, and fails by this. Orders nothing in the model.
#[derive(Debug)]
pub(super) struct Seen(AtomicUsize);

impl Seen {
    /// Not yet.
    pub(super) const fn new() -> Seen {
        Seen(AtomicUsize::new(0))
    }

    /// It happened.
    pub(super) fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// It happened if `condition`.
    pub(super) fn note_if(&self, condition: bool) {
        if condition {
            self.note();
        }
    }

    /// How often it happened.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails if it never happened.
    #[track_caller]
    pub(super) fn expect(&self, what: &str) {
        assert!(self.count() > 0, "no interleaving in which {what}");
    }
}

/// Gs made of a plain cell each: loom fails when a taker has not synchronized with the maker, and
/// a G that is taken twice fails by itself.
pub(super) struct Gs(Vec<UnsafeCell<State>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unmade,
    Ready,
    Taken,
}

impl Gs {
    /// Room for `count` Gs.
    pub(super) fn new(count: usize) -> Gs {
        Gs((0..count).map(|_| UnsafeCell::new(State::Unmade)).collect())
    }

    /// Makes the `n`th.
    pub(super) fn make(&self, n: usize) -> RawG {
        self.change(n, State::Unmade, State::Ready);
        RawG::new(std::ptr::without_provenance_mut(n + 1)).expect("not null")
    }

    /// Takes `gp`, which must not have been taken before; its number.
    pub(super) fn take(&self, gp: RawG) -> usize {
        let n = gp.addr().get() - 1;
        self.change(n, State::Ready, State::Taken);
        n
    }

    /// Makes the `n`th ready again, by who took it.
    pub(super) fn make_again(&self, n: usize) {
        self.change(n, State::Taken, State::Ready);
    }

    /// At the end of a model: fails if one was lost.
    pub(super) fn expect_all_taken(&self) {
        for n in 0..self.0.len() {
            self.change(n, State::Taken, State::Taken);
        }
    }

    fn change(&self, n: usize, from: State, to: State) {
        self.0[n].with_mut(|state| {
            // SAFETY: the pointer is valid, and loom fails the model unless the access is ours
            // alone.
            let before = unsafe { std::mem::replace(&mut *state, to) };
            assert_eq!(before, from, "G {n}");
        });
    }
}
