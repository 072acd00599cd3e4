//! The end beside a thread that goes to sleep and another that wakes it: every P is surrendered,
//! once, and every M learns of it. The steps are those of `scheduler/{shutdown,park,wake}.rs`.

use super::super::model::{Role, Seen, check};
use crate::engine::idle::Idle;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

/// What M 0, the only one, was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Run(usize),
    Exit,
}

#[derive(Default)]
struct Parked {
    listed: bool,
    closed: bool,
    order: Option<Order>,
}

struct World {
    idle: Idle,
    stopping: AtomicBool,
    parked: Mutex<Parked>,
    /// Ps that are not surrendered.
    outstanding: AtomicUsize,
    ended: AtomicBool,
    /// Whether the thread that gives up its P looks at the flag afterwards, as it should.
    looks: bool,
}

static BY_OWNER: Seen = Seen::new();
static BY_STOPPER: Seen = Seen::new();

impl World {
    fn new(looks: bool) -> World {
        let world = World {
            idle: Idle::new(1),
            stopping: AtomicBool::new(false),
            parked: Mutex::default(),
            outstanding: AtomicUsize::new(1),
            ended: AtomicBool::new(false),
            looks,
        };
        assert_eq!(world.idle.claim(), Some(0));
        world
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn surrender(&self) {
        let before = self.outstanding.fetch_sub(1, Ordering::AcqRel);
        assert_eq!(before, 1, "a P is surrendered twice");
    }

    fn surrender_idle(&self) -> bool {
        let mut any = false;
        while self.idle.claim().is_some() {
            self.surrender();
            any = true;
        }
        any
    }

    fn release(&self, pp: usize) {
        self.idle.release(pp, false);
        if self.looks && self.stopping() {
            BY_OWNER.note_if(self.surrender_idle());
        }
    }

    /// `begin_shutdown`.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        {
            let mut parked = self.parked.lock().unwrap();
            parked.closed = true;
            if std::mem::take(&mut parked.listed) {
                parked.order = Some(Order::Exit);
            }
        }
        BY_STOPPER.note_if(self.surrender_idle());
    }

    /// `wakep` and `startm`, by a thread that saw work.
    fn wake(&self) {
        let Some(pp) = self.idle.claim() else {
            return;
        };
        let mut parked = self.parked.lock().unwrap();
        if std::mem::take(&mut parked.listed) {
            parked.order = Some(Order::Run(pp));
        } else {
            drop(parked);
            self.release(pp);
        }
    }

    /// `park`, by the M that holds P 0.
    fn park(&self) {
        let listed = {
            let mut parked = self.parked.lock().unwrap();
            parked.listed = !parked.closed;
            parked.listed
        };
        self.release(0);
        if !listed {
            self.surrender_idle();
            self.ended.store(true, Ordering::Relaxed);
        }
    }

    /// What the M does when it wakes up, and what has to be true then.
    fn settle(&self) {
        let order = self.parked.lock().unwrap().order.take();
        match order {
            Some(Order::Run(_)) => {
                // It sees the flag before its first turn.
                assert!(self.stopping());
                self.surrender();
            }
            Some(Order::Exit) => {}
            None => assert!(self.ended.load(Ordering::Relaxed), "the M sleeps for ever"),
        }
        assert_eq!(
            self.outstanding.load(Ordering::Relaxed),
            0,
            "a P is not surrendered"
        );
    }
}

const ROLES: [Role<World>; 3] = [World::park, World::stop, World::wake];

#[test]
fn a_p_that_is_given_up_during_the_shutdown_is_surrendered() {
    check(|| World::new(true), &ROLES, World::settle);
    BY_OWNER.expect("whoever gives it up sees the flag");
    BY_STOPPER.expect("whoever stops sees it idle");
}

#[test]
#[should_panic(expected = "a P is not surrendered")]
fn canary_without_a_second_look_a_p_is_left() {
    check(|| World::new(false), &ROLES, World::settle);
}
