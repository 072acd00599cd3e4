//! Random programs of tasks that wait.

#![allow(dead_code)] // Each test uses the part that it needs.

use proptest::prelude::*;
use runnext::time::MissedTickBehavior;

/// What a task does. All times are in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Sleep(u64),
    /// Until so long after the beginning, which may have passed.
    Until(u64),
    /// A timer is made first, and polled when another one is over.
    Late {
        set: u64,
        first: u64,
    },
    /// It is set anew where it ends; or before, `after` so long. The new time may have passed.
    Reset {
        set: u64,
        after: u64,
        to: u64,
        back: u64,
    },
    /// So many are polled, and all but one of them dropped, in one turn.
    Brief(u64, usize),
    /// All of them at once, until the last.
    Crowd(Vec<u64>),
    /// All of them at once, until the first. The others are dropped.
    First(Vec<u64>),
    Timeout {
        limit: u64,
        set: u64,
    },
    /// With some work between two ticks.
    Ticks {
        period: u64,
        count: usize,
        missed: MissedTickBehavior,
        work: u64,
    },
    /// A timer is made for the next task, and may have been polled here.
    Give {
        set: u64,
        polled: bool,
    },
    /// Waits for what the task before gives, and then for that.
    Take,
}

pub(crate) fn span() -> impl Strategy<Value = u64> {
    const MS: u64 = 1_000_000;
    prop_oneof![
        1 => Just(0),
        2 => 1..4_u64,
        // The same, or next to it.
        4 => (1..8_u64, 0..3_u64).prop_map(|(n, off)| n * MS + off - 1),
        3 => 0..30 * MS,
    ]
}

/// An operation that leads to no more than one turn at a moment.
fn plain() -> impl Strategy<Value = Op> {
    let missed = prop_oneof![
        Just(MissedTickBehavior::Burst),
        Just(MissedTickBehavior::Delay),
        Just(MissedTickBehavior::Skip),
    ];
    let some = |most| prop::collection::vec(span(), 1..most);
    prop_oneof![
        2 => span().prop_map(Op::Sleep),
        1 => span().prop_map(Op::Until),
        1 => (span(), 1..40_usize).prop_map(|(d, n)| Op::Brief(d, n)),
        2 => some(40).prop_map(Op::Crowd),
        2 => some(24).prop_map(Op::First),
        1 => (span(), span()).prop_map(|(limit, set)| Op::Timeout { limit, set }),
        1 => (span(), 1..6_usize, missed, span()).prop_map(|(period, count, missed, work)| {
            Op::Ticks { period: period.max(1), count, missed, work }
        }),
        1 => (span(), any::<bool>()).prop_map(|(set, polled)| Op::Give { set, polled }),
    ]
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        11 => plain(),
        1 => (span(), span()).prop_map(|(set, first)| Op::Late { set, first }),
        3 => (span(), span(), span(), prop_oneof![Just(0), span()])
            .prop_map(|(set, after, to, back)| Op::Reset { set, after, to, back }),
        2 => Just(Op::Take),
    ]
}

/// What the tasks do, one after the other; and the root: it sleeps, and then sets the clock forward.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) tasks: Vec<Vec<Op>>,
    pub(crate) root: Vec<(u64, u64)>,
}

fn tasks<S: Strategy<Value = Op> + 'static>(op: fn() -> S) -> BoxedStrategy<Vec<Vec<Op>>> {
    let task = || prop::collection::vec(op(), 1..8);
    // In many of them there are more timers than are young at once, or fit into a ring.
    prop_oneof![
        3 => prop::collection::vec(task(), 1..4),
        1 => prop::collection::vec(task(), 10..24),
    ]
    .boxed()
}

pub(crate) fn program() -> impl Strategy<Value = Program> {
    let root = || prop::collection::vec((span(), span()), 0..6);
    prop_oneof![1 => tasks(plain), 3 => tasks(any_op)]
        .prop_flat_map(move |tasks| (Just(tasks), root()))
        .prop_map(|(tasks, root)| Program { tasks, root })
}
