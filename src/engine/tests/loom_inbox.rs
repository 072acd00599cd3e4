//! The inbox of an M that keeps Gs of its own: what other threads put arrives, and wakes the M.

use super::model::{Gs, Role, Seen, check, check_within};
use crate::engine::bound::{Bound, Pushed};
use crate::engine::idle::Idle;
use crate::engine::util::inbox::Node;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering, fence};
use std::cell::RefCell;
use std::ptr::NonNull;

/// What M 0 fences with, between its announcement and its look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fence {
    /// It gives a P up, as `park.rs` does.
    Release,
    /// It has none, as in `park.rs` and `shutdown.rs`.
    SeqCst,
    /// Nothing, which is a mistake.
    Left,
}

/// How an M sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sleep {
    /// On the list of parked Ms: who wakes it takes it off and gives it an order.
    Listed,
    /// As an M that ends its Gs in a shutdown: who wakes it gives it a token.
    Unlisted,
}

/// In which interleavings did the handshake get where?
struct Paths {
    /// The M saw a G when it looked.
    looked: Seen,
    /// It was on the list, and got an order.
    ordered: Seen,
    /// It was not, and got a token.
    token: Seen,
    /// The pusher saw that it was awake.
    seen: Seen,
}

impl Paths {
    const fn new() -> Paths {
        Paths {
            looked: Seen::new(),
            ordered: Seen::new(),
            token: Seen::new(),
            seen: Seen::new(),
        }
    }
}

/// One M with its real [`Bound`], and around it what `scheduler/{stackful,park,shutdown}.rs` do to
/// wake it and to let it sleep. It does not sleep here; it ends, and what became of it is seen in the
/// end.
struct World {
    bound: Bound,
    gs: Gs,
    nodes: Box<[Node]>,
    /// In which order the M took the Gs. Its own, until all threads have ended.
    taken: RefCell<Vec<usize>>,
    idle: Idle,
    /// Whether the M is on the list of parked Ms.
    listed: Mutex<bool>,
    ordered: AtomicBool,
    token: AtomicBool,
    fence: Fence,
    sleep: Sleep,
    paths: &'static Paths,
}

static UNUSED: Paths = Paths::new();

impl World {
    fn new(gs: usize) -> World {
        World {
            bound: Bound::new(),
            gs: Gs::new(gs),
            nodes: (0..gs).map(|_| Node::new(NonNull::dangling())).collect(),
            taken: RefCell::default(),
            idle: Idle::new(1),
            listed: Mutex::new(false),
            ordered: AtomicBool::new(false),
            token: AtomicBool::new(false),
            fence: Fence::SeqCst,
            sleep: Sleep::Listed,
            paths: &UNUSED,
        }
    }

    /// Of an M that falls asleep so. It holds a P if that is what it fences with.
    fn sleeping(gs: usize, fence: Fence, sleep: Sleep, paths: &'static Paths) -> World {
        let world = World {
            fence,
            sleep,
            paths,
            ..World::new(gs)
        };
        if fence == Fence::Release {
            assert_eq!(world.idle.claim(), Some(0));
        }
        world
    }

    // ---- Other threads ----

    /// Makes the `n`th G ready: `Hosted::schedule`.
    fn wake(&self, n: usize) {
        let gp = self.gs.make(n);
        self.nodes[n].set_gp(gp);
        // SAFETY: we made the G, and its node lives as long as the model.
        match unsafe { self.bound.push_remote(NonNull::from(&self.nodes[n]), false) } {
            Pushed::Seen => self.paths.seen.note(),
            Pushed::Asleep => self.rouse(),
        }
    }

    /// `Shared::rouse`.
    fn rouse(&self) {
        if !self.unlist() {
            self.paths.token.note();
            self.token.store(true, Ordering::Release);
            return;
        }
        self.paths.ordered.note();
        let twice = self.ordered.swap(true, Ordering::Release);
        assert!(!twice, "it was given two orders");
    }

    fn unlist(&self) -> bool {
        std::mem::replace(&mut *self.listed.lock().unwrap(), false)
    }

    // ---- The M ----

    /// Runs what is ready.
    fn run(&self) {
        // SAFETY: one thread is the M.
        while let Some(gp) = unsafe { self.bound.next() } {
            self.taken.borrow_mut().push(self.gs.take(gp));
        }
    }

    /// Runs what there is and falls asleep, until it would stay so.
    fn machine(&self) {
        loop {
            self.run();
            // SAFETY: one thread is the M.
            unsafe { self.bound.fall_asleep() };
            if self.sleep == Sleep::Listed {
                *self.listed.lock().unwrap() = true;
            }
            match self.fence {
                Fence::Release if !self.idle.is_idle(0) => self.idle.release(0, false),
                Fence::Release | Fence::SeqCst => fence(Ordering::SeqCst),
                Fence::Left => {}
            }
            // SAFETY: as above.
            if !unsafe { self.bound.is_ready() } {
                return;
            }
            self.paths.looked.note();
            if self.sleep == Sleep::Listed && !self.unlist() && !self.is_woken() {
                // The order is coming.
                return;
            }
            self.bound.wake_up();
        }
    }

    /// Whether there is an order or a token; not any more.
    fn is_woken(&self) -> bool {
        let ordered = self.ordered.swap(false, Ordering::Acquire);
        self.token.swap(false, Ordering::Acquire) || ordered
    }

    // ---- The end of a model, when all threads have ended ----

    /// Lets the M run on if it was woken, and fails if a G is left.
    fn settle(&self) {
        // SAFETY: nobody else is there.
        let ready = unsafe { self.bound.is_ready() };
        assert!(
            self.is_woken() || !ready,
            "a G is left, and its M was not woken for it"
        );
        self.run();
        self.gs.expect_all_taken();
    }
}

#[test]
fn what_two_threads_put_arrives_once_and_in_the_order_of_each() {
    static BETWEEN: Seen = Seen::new();
    static MIXED: Seen = Seen::new();
    check(
        || World::new(4),
        &[
            |world: &World| {
                world.wake(0);
                world.wake(1);
            },
            |world: &World| {
                world.wake(2);
                world.wake(3);
            },
            |world: &World| {
                world.run();
                BETWEEN.note_if(!world.taken.borrow().is_empty());
            },
        ],
        |world| {
            world.run();
            world.gs.expect_all_taken();
            let taken = world.taken.borrow();
            let place = |n: usize| taken.iter().position(|&other| other == n);
            assert!(place(0) < place(1) && place(2) < place(3), "{taken:?}");
            MIXED.note_if(place(0) < place(2) && place(2) < place(1));
        },
    );
    BETWEEN.expect("the M takes some before all are there");
    MIXED.expect("a push comes between two of the other thread");
}

#[test]
fn a_g_comes_back_to_the_list_while_others_put() {
    // A pusher that has seen a G at the head finds it there again, with another list below it.
    check(
        || World::new(3),
        &[
            |world: &World| {
                world.wake(0);
                world.wake(1);
            },
            |world: &World| world.wake(2),
            |world: &World| {
                // SAFETY: this thread is the M.
                if let Some(gp) = unsafe { world.bound.next() } {
                    let again = world.gs.take(gp);
                    world.gs.make_again(again);
                    let node = NonNull::from(&world.nodes[again]);
                    // SAFETY: we have just taken the G.
                    let _awake = unsafe { world.bound.push_remote(node, false) };
                }
            },
        ],
        |world| {
            world.run();
            world.gs.expect_all_taken();
        },
    );
}

const M: Role<World> = World::machine;
const WAKER: Role<World> = |world| world.wake(0);
const OTHER: Role<World> = |world| world.wake(1);

#[test]
fn a_waker_and_an_m_that_gives_its_p_up_do_not_miss_each_other() {
    static PATHS: Paths = Paths::new();
    let world = || World::sleeping(1, Fence::Release, Sleep::Listed, &PATHS);
    check(world, &[M, WAKER], World::settle);
    PATHS.looked.expect("the M sees the G");
    PATHS.ordered.expect("the M is woken with an order");
    PATHS.token.expect("the M is not on the list yet");
    PATHS.seen.expect("the M is seen awake");
}

#[test]
fn a_waker_and_an_m_without_a_p_do_not_miss_each_other() {
    static PATHS: Paths = Paths::new();
    let world = || World::sleeping(1, Fence::SeqCst, Sleep::Listed, &PATHS);
    check(world, &[M, WAKER], World::settle);
    PATHS.looked.expect("the M sees the G");
    PATHS.ordered.expect("the M is woken with an order");
}

#[test]
fn two_wakers_and_an_m_do_not_miss_each_other() {
    static PATHS: Paths = Paths::new();
    let world = || World::sleeping(2, Fence::SeqCst, Sleep::Listed, &PATHS);
    // With a third preemption it takes many times as long; the models of one waker have it.
    check_within(2, world, &[M, WAKER, OTHER], World::settle);
    PATHS.looked.expect("the M sees a G");
    PATHS.ordered.expect("the M is woken with an order");
    PATHS.token.expect("the second waker finds it woken");
}

#[test]
fn a_waker_and_an_m_that_ends_its_gs_do_not_miss_each_other() {
    static PATHS: Paths = Paths::new();
    let world = || World::sleeping(2, Fence::SeqCst, Sleep::Unlisted, &PATHS);
    check(world, &[M, WAKER, OTHER], World::settle);
    PATHS.looked.expect("the M sees a G");
    PATHS.token.expect("the M is woken");
    PATHS.seen.expect("the M is seen awake");
}

/// The proof that these can fail: if the M does not fence, a wake-up is lost, and it is found.
#[test]
#[should_panic(expected = "a G is left, and its M was not woken for it")]
fn canary_without_its_fence_an_m_misses_a_waker() {
    let world = || World::sleeping(1, Fence::Left, Sleep::Unlisted, &UNUSED);
    check(world, &[M, WAKER], World::settle);
}

/// As above, on the list: taking its lock is not enough.
#[test]
#[should_panic(expected = "a G is left, and its M was not woken for it")]
fn canary_a_lock_is_no_fence() {
    let world = || World::sleeping(1, Fence::Left, Sleep::Listed, &UNUSED);
    check(world, &[M, WAKER], World::settle);
}
