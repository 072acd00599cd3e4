//! Going to sleep beside a submission: no wake-up is lost.
//!
//! Each model ends when its threads sleep or are busy. Whoever was given an order by then wakes up
//! and runs on; after that no G may be left.

mod shutdown;
mod world;

use super::model::{Role, Seen, check};
use world::{End, Fence, Paths, Poll, World};

/// `procs` Ps, of which M 0 spins with P 0, M 1 with P 1, and so on for `spinning` Ms.
fn spinning(procs: usize, spinning: usize, paths: &'static Paths) -> World {
    let world = World::new(procs, procs, paths);
    for pp in 0..spinning {
        assert_eq!(world.idle.claim_spinning(), Some(pp));
    }
    world
}

/// M 0, which spins with P 0.
fn spinner(world: &World) {
    assert_eq!(world.machine(0, Some((0, true)), Poll::Short), End::Asleep);
}

#[test]
fn a_submitter_and_the_last_spinner_do_not_miss_each_other() {
    static PATHS: Paths = Paths::new();
    let roles = [spinner, World::inject];
    check(|| spinning(1, 1, &PATHS), &roles, |world| world.settle(1));
    PATHS.looked_again.expect("P3 sees the G");
    PATHS.ordered.expect("S3 sees the idle P");
    PATHS.obeyed.expect("both do, and the M finds its order");
}

/// The proof that the models can fail: without the fence of S2 a wake-up is lost, and it is found.
#[test]
#[should_panic(expected = "a G is left, and nobody was woken for it")]
fn canary_without_its_fence_a_submitter_misses_the_last_spinner() {
    static PATHS: Paths = Paths::new();
    let unfenced = || {
        let mut world = spinning(1, 1, &PATHS);
        world.fence = Fence::Left;
        world
    };
    check(unfenced, &[spinner, World::inject], |world| world.settle(1));
}

#[test]
fn a_submitter_and_an_m_that_does_not_spin_do_not_miss_each_other() {
    static PATHS: Paths = Paths::new();
    let one_busy = || {
        let world = spinning(1, 0, &PATHS);
        assert_eq!(world.idle.claim(), Some(0));
        world
    };
    let holder: Role<World> = |world| {
        // It stops without having spun, as it does when half of the others spin.
        world.end_without_spinning(0, 0);
    };
    check(one_busy, &[holder, World::inject], |world| world.settle(1));
    PATHS.looked_again.expect("P3 sees the G");
    PATHS.ordered.expect("S3 sees the idle P");
}

#[test]
fn two_submitters_and_the_last_spinner_do_not_miss_each_other() {
    static PATHS: Paths = Paths::new();
    let roles = [spinner, World::inject, World::inject];
    check(|| spinning(1, 1, &PATHS), &roles, |world| world.settle(2));
    PATHS.looked_again.expect("P3 sees a G");
    PATHS.ordered.expect("S3 sees the idle P");
    PATHS
        .undone
        .expect("S3 claims the P of an M that took itself off the list");
}

#[test]
fn two_spinners_do_not_leave_a_g_to_each_other() {
    static PATHS: Paths = Paths::new();
    // The first to come is M 0 with P 0, the other M 1 with P 1.
    let one_of_two: Role<World> = |world| {
        let m = world.started.count();
        world.started.note();
        let _ = world.machine(m, Some((m, true)), Poll::Endless);
    };
    let roles = [one_of_two, one_of_two, World::inject];
    check(|| spinning(2, 2, &PATHS), &roles, |world| world.settle(1));
    PATHS.looked_again.expect("P3 sees the G");
    PATHS.ordered.expect("S3 sees the idle Ps");
}

#[test]
fn the_last_spinner_that_finds_work_looks_for_those_who_relied_on_it() {
    static PATHS: Paths = Paths::new();
    static RELIED: Seen = Seen::new();
    // Somebody has submitted a G, and M 0 finds it; M 1 sleeps.
    let one_submitted = || {
        let world = spinning(2, 1, &PATHS);
        world.list(1);
        world.inject();
        world
    };
    let finder: Role<World> = |world| {
        let end = world.machine(0, Some((0, true)), Poll::Endless);
        assert_eq!(end, End::Busy);
        RELIED.note_if(world.is_ordered(1));
    };
    check(one_submitted, &[finder, World::inject], |world| {
        world.settle(2);
    });
    RELIED.expect("M 0 wakes M 1 for the second G");
}

#[test]
fn a_push_to_the_own_ring_without_fence_loses_no_g() {
    static PATHS: Paths = Paths::new();
    static STOLEN: Seen = Seen::new();
    let one_busy = || {
        let world = World::new(2, 2, &PATHS).with_rings();
        assert_eq!(world.idle.claim(), Some(0));
        assert_eq!(world.idle.claim_spinning(), Some(1));
        world
    };
    let spawner: Role<World> = |world| {
        world.push_local(0);
        world.push_local(0);
        let end = world.machine(0, Some((0, false)), Poll::Short);
        assert_eq!(end, End::Asleep);
    };
    let thief: Role<World> = |world| {
        let end = world.machine(1, Some((1, true)), Poll::Endless);
        STOLEN.note_if(end == End::Busy);
    };
    check(one_busy, &[spawner, thief], |world| world.settle(2));
    PATHS.ordered.expect("M 1 is woken");
    STOLEN.expect("M 1 gets a G");
}

#[test]
fn the_owner_of_a_ring_makes_up_for_the_missing_fence_before_its_next_turn() {
    static PATHS: Paths = Paths::new();
    static MISSED: Seen = Seen::new();
    let one_busy = || {
        let world = World::new(2, 2, &PATHS).with_rings();
        assert_eq!(world.idle.claim(), Some(0));
        assert_eq!(world.idle.claim_spinning(), Some(1));
        world
    };
    let other_spinner: Role<World> = |world| {
        let _ = world.machine(1, Some((1, true)), Poll::Endless);
    };
    let spawner: Role<World> = |world| (0..3).for_each(|_| world.push_local(0));
    check(one_busy, &[spawner, other_spinner], |world| {
        // The poll that made the Gs has gone on for so long that M 1 is asleep or busy.
        let asleep = world.busy.count() == 0 && !world.is_ordered(1);
        MISSED.note_if(asleep);
        if world.next(0) {
            world.begin_turn(0, &mut false);
        }
        let to_share = world.has_local(0);
        assert!(
            !(asleep && to_share) || world.is_ordered(1),
            "M 1 sleeps on beside a ring with something to steal"
        );
    });
    MISSED.expect("M 1 parks and is not woken by the pushes");
}

#[test]
fn a_p_that_was_claimed_for_nobody_is_found_again() {
    static PATHS: Paths = Paths::new();
    // Nobody is on the list. M 0 comes to it without a P, like a `block_on` whose root waits.
    let comer: Role<World> = |world| {
        assert_eq!(world.machine(0, None, Poll::Short), End::Asleep);
    };
    let roles = [comer, World::inject, World::inject];
    check(|| spinning(1, 0, &PATHS), &roles, |world| world.settle(2));
    PATHS
        .undone
        .expect("a P is given back, as there is no M for it");
    PATHS
        .tried_again
        .expect("an M came meanwhile, and the P is claimed once more");
    PATHS.looked_again.expect("P3 sees a G");
}

#[test]
fn a_p_that_is_handed_over_leaves_no_submission_behind() {
    static PATHS: Paths = Paths::new();
    let one_busy = || {
        let world = spinning(1, 0, &PATHS);
        assert_eq!(world.idle.claim(), Some(0));
        world.list(0);
        world
    };
    let leaver: Role<World> = |world| world.handoff(0);
    check(one_busy, &[leaver, World::inject], |world| world.settle(1));
    PATHS.ordered.expect("the M is woken");
}

#[test]
fn a_p_that_is_handed_over_with_its_runnext_is_found() {
    static PATHS: Paths = Paths::new();
    let one_busy = || {
        let world = spinning(1, 0, &PATHS).with_runnexts();
        assert_eq!(world.idle.claim(), Some(0));
        world.push_runnext(0);
        world
    };
    let leaver: Role<World> = |world| world.handoff(0);
    // Without a P; nobody else is on the list.
    let comer: Role<World> = |world| {
        assert_eq!(world.machine(0, None, Poll::Short), End::Asleep);
    };
    check(one_busy, &[leaver, comer], |world| world.settle(1));
    PATHS.ordered.expect("the leaver finds the M on the list");
    PATHS
        .looked_again
        .expect("P3 sees the idle P and its runnext");
}
