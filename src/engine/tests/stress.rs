//! The queues and the idle Ps between real threads.

use crate::engine::idle::Idle;
use crate::engine::queue::{Global, Overflow, RawG, Ring, Runnext};
use std::iter;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// The `n`th G: a pointer that nobody follows.
fn gp(n: usize) -> RawG {
    RawG::new(std::ptr::without_provenance_mut((n + 1) * 8)).expect("not null")
}

/// The numbers of the Gs that were taken, each of which may come once.
struct Taken(Vec<AtomicBool>);

impl Taken {
    fn of(gs: usize) -> Taken {
        Taken(iter::repeat_with(AtomicBool::default).take(gs).collect())
    }

    fn note(&self, gp: RawG) {
        let n = gp.addr().get() / 8 - 1;
        assert!(!self.0[n].swap(true, Ordering::Relaxed), "G {n} came twice");
    }

    fn expect_all(&self) {
        let lost = self.0.iter().filter(|taken| !taken.load(Ordering::Relaxed));
        assert_eq!(lost.count(), 0, "Gs were lost");
    }
}

impl Overflow for Taken {
    fn overflow(&self, batch: &[RawG]) {
        assert_eq!(batch.len(), 129);
        batch.iter().for_each(|&gp| self.note(gp));
    }
}

/// Sets a flag when it is dropped, also by a panic, so that nobody waits for ever.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_stressed_ring_gives_each_g_to_one_taker() {
    const GS: usize = 300_000;
    let (ring, taken, done) = (Ring::new(), Taken::of(GS), AtomicBool::new(false));
    let stolen = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let own = Ring::new();
                // What it has stolen before the owner is done comes from under its hands.
                while !done.load(Ordering::Acquire) {
                    // SAFETY: this thread owns `own`.
                    let Some(newest) = (unsafe { ring.steal_into(&own, usize::MAX) }) else {
                        thread::yield_now();
                        continue;
                    };
                    // SAFETY: as above.
                    let older = iter::from_fn(|| unsafe { own.pop() });
                    let all = older.chain([newest]).map(|gp| taken.note(gp));
                    stolen.fetch_add(all.count(), Ordering::Relaxed);
                }
            });
        }
        let _done = Done(&done);
        let mut made = 0;
        // Bursts of all lengths, more pushed than popped, so that it overflows too.
        for burst in (1..400).cycle() {
            for _ in 0..burst.min(GS - made) {
                // SAFETY: this thread owns `ring`.
                unsafe { ring.push(gp(made), &taken) };
                made += 1;
            }
            for _ in 0..burst / 2 {
                // SAFETY: as above.
                unsafe { ring.pop() }
                    .into_iter()
                    .for_each(|gp| taken.note(gp));
            }
            if made == GS {
                break;
            }
        }
    });
    // SAFETY: the other threads have ended.
    iter::from_fn(|| unsafe { ring.pop() }).for_each(|gp| taken.note(gp));
    taken.expect_all();
    assert!(stolen.into_inner() > 0, "the thieves got nothing");
}

#[test]
fn a_stressed_runnext_gives_each_g_to_one_taker() {
    const GS: usize = 100_000;
    let (runnext, taken, done) = (Runnext::default(), Taken::of(GS), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                runnext.take().into_iter().for_each(|gp| taken.note(gp));
            }
        });
        let _done = Done(&done);
        for n in 0..GS {
            let kicked_out = runnext.replace(gp(n));
            kicked_out.into_iter().for_each(|gp| taken.note(gp));
            if n % 3 == 0 {
                runnext.take().into_iter().for_each(|gp| taken.note(gp));
            }
        }
    });
    runnext.take().into_iter().for_each(|gp| taken.note(gp));
    taken.expect_all();
}

#[test]
fn a_stressed_global_queue_gives_each_g_to_one_taker() {
    const GS: usize = 200_000;
    const BATCH: usize = 129;
    let (global, taken) = (Global::new(), Taken::of(GS));
    let made = AtomicUsize::new(0);
    let count = AtomicUsize::new(0);
    let maker = |_: usize| {
        loop {
            let first = made.fetch_add(BATCH, Ordering::Relaxed);
            if first >= GS {
                return;
            }
            let gps: Vec<RawG> = (first..GS.min(first + BATCH)).map(gp).collect();
            // Some come in a batch and some one by one.
            if first.is_multiple_of(2) {
                global.overflow(&gps);
            } else {
                gps.into_iter().for_each(|gp| global.push(gp));
            }
        }
    };
    let taker = |room: usize| {
        while count.load(Ordering::Relaxed) < GS {
            let mut more = 0;
            let first = global.take(2, room, |gp| {
                taken.note(gp);
                more += 1;
            });
            assert!(more <= room, "{more} for a room of {room}");
            match first {
                Some(gp) => {
                    taken.note(gp);
                    count.fetch_add(1 + more, Ordering::Relaxed);
                }
                None => thread::yield_now(),
            }
        }
    };
    thread::scope(|scope| {
        let jobs: [(&(dyn Fn(usize) + Sync), usize); 4] =
            [(&maker, 0), (&maker, 0), (&taker, 0), (&taker, 70)];
        for (job, room) in jobs {
            scope.spawn(move || job(room));
        }
    });
    taken.expect_all();
    assert!(global.is_empty());
    assert_eq!(global.take(1, 0, |_| unreachable!("no room")), None);
}

#[test]
fn a_stressed_p_never_has_two_holders() {
    // Four Ps for four threads, two of them in the second word of the mask.
    const PROCS: usize = 66;
    let idle = Idle::new(PROCS);
    let others: Vec<usize> = iter::from_fn(|| idle.claim()).take(62).collect();
    let held: Vec<AtomicBool> = iter::repeat_with(AtomicBool::default).take(PROCS).collect();
    let release = |(pp, spinning): (usize, bool)| {
        held[pp].store(false, Ordering::Relaxed);
        idle.release(pp, spinning);
    };
    thread::scope(|scope| {
        for t in 0..4 {
            let (idle, held, release) = (&idle, &held, &release);
            scope.spawn(move || {
                let mut mine = Vec::new();
                for turn in 0..50_000 {
                    let (claimed, spinning) = match turn % 3 {
                        0 => (idle.claim(), false),
                        1 => (idle.claim_spinning(), true),
                        _ => (idle.claim_to_wake(), true),
                    };
                    if let Some(pp) = claimed {
                        let before = held[pp].swap(true, Ordering::Relaxed);
                        assert!(!before, "P {pp} has two holders");
                        mine.push((pp, spinning));
                    }
                    if mine.len() == 2 || (turn + t) % 5 == 0 {
                        mine.drain(..).for_each(release);
                    }
                }
                mine.into_iter().for_each(release);
            });
        }
    });
    others.into_iter().for_each(|pp| idle.release(pp, false));
    let counts = idle.counts();
    assert_eq!((counts.idle(), counts.spinning()), (PROCS, 0));
    assert!((0..PROCS).all(|pp| idle.is_idle(pp)));
}

#[test]
fn each_idle_p_is_claimed_once_however_many_there_are() {
    for procs in [1, 2, 63, 64, 65, 128, 200] {
        let idle = Idle::new(procs);
        let mut claimed: Vec<usize> = iter::from_fn(|| idle.claim()).collect();
        claimed.sort_unstable();
        assert!(claimed.into_iter().eq(0..procs), "of {procs} Ps");
        idle.release(procs - 1, false);
        assert_eq!(idle.claim_spinning(), Some(procs - 1));
        assert_eq!(idle.counts().spinning(), 1);
    }
}
