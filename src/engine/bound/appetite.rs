//! How many stackful Gs an M takes from the rings of others.
//!
//! Where such a G begins it stays. If it is one of many that share a lock or a channel, and they are
//! on two Ms, each message between them wakes another thread, and what they share travels between two
//! processors: a hundred Gs on one Mutex take 230 ns for each lock instead of 30
//! (`cargo bench --bench stackful`). If they have nothing to do with each other, sharing them
//! doubles what they get done. Nobody can tell before they have begun. So an M begins with one, and
//! takes twice as many each time; unless Gs of other Ms wake its own: then it takes none for a
//! while, in which the others begin beside each other, and longer each time. After that it takes one all
//! the same, since the P it takes it from may be stuck.

use crate::engine::sys::{Instant, now};
use std::cell::Cell;
use std::time::Duration;

/// How long an M leaves other rings alone after it took something from one: what it takes to begin
/// some dozens of Gs that wait at once. A guess.
const PAUSE: Duration = Duration::from_micros(20);
/// How long it does so the first time that Gs of other Ms have woken its own: what it takes to begin a hundred Gs on
/// stacks that were never touched.
const WARY: Duration = Duration::from_micros(320);
/// The longest such time. A guess.
const LONGEST: Duration = Duration::from_millis(1);

/// What an M has learnt about the Gs that it took. Used by its thread alone.
#[derive(Debug)]
pub(crate) struct Appetite {
    most: Cell<usize>,
    pause: Cell<Duration>,
    until: Cell<Option<Instant>>,
    /// It has taken none for a while, because of what its own Gs do, and takes one next.
    abstained: Cell<bool>,
}

impl Appetite {
    /// That of an M that has no stackful Gs.
    pub(crate) fn new() -> Appetite {
        Appetite {
            most: Cell::new(1),
            pause: Cell::new(WARY),
            until: Cell::new(None),
            abstained: Cell::new(false),
        }
    }

    /// How many to take now from a ring with young stackful Gs. `free`: the M has none at the moment.
    /// `chatted`: one that it has was woken by one of another M since this was last asked.
    pub(crate) fn most(&self, free: bool, chatted: bool) -> usize {
        if free {
            self.most.set(1);
            self.pause.set(WARY);
            if self.abstained.replace(false) {
                self.until.set(None);
            }
        } else if chatted {
            self.most.set(1);
            if !self.abstained.replace(true) {
                self.until.set(Some(now() + self.pause.get()));
                self.pause.set((self.pause.get() * 2).min(LONGEST));
                return 0;
            }
        }
        if self.until.get().is_some_and(|until| now() < until) {
            return 0;
        }
        self.most.get()
    }

    /// Notes that it took something.
    pub(crate) fn took(&self) {
        self.most.set(self.most.get().saturating_mul(2));
        self.abstained.set(false);
        self.until.set(Some(now() + PAUSE));
    }
}

#[cfg(test)]
mod tests {
    use super::Appetite;

    #[test]
    fn an_m_takes_one_then_more_and_nothing_from_those_who_wake_each_other() {
        let appetite = Appetite::new();
        assert_eq!(appetite.most(true, false), 1);
        appetite.took();
        assert_eq!(appetite.most(false, false), 0, "it pauses");
        appetite.until.set(None);
        assert_eq!(appetite.most(false, false), 2);
        appetite.took();
        appetite.until.set(None);
        assert_eq!(appetite.most(false, false), 4);

        assert_eq!(appetite.most(false, true), 0);
        assert!(appetite.until.get().is_some());
        appetite.until.set(None);
        assert_eq!(appetite.most(false, false), 1);
        appetite.took();
        appetite.until.set(None);
        let longer = appetite.pause.get();
        assert_eq!(appetite.most(false, true), 0);
        assert!(appetite.pause.get() > longer);

        assert!(appetite.until.get().is_some());
        assert_eq!(appetite.most(true, false), 1, "it has none any more");
        assert!(appetite.pause.get() < longer);
    }
    #[test]
    fn an_m_whose_gs_are_woken_all_the_time_takes_one_after_each_pause() {
        let appetite = Appetite::new();
        appetite.took();
        for _ in 0..3 {
            appetite.until.set(None);
            assert_eq!(appetite.most(false, true), 0);
            let until = appetite.until.get();
            assert!(until.is_some());
            appetite.most(false, true);
            assert_eq!(
                appetite.until.get(),
                until,
                "it does not begin to pause again"
            );
            appetite.until.set(None);
            assert_eq!(appetite.most(false, true), 1);
            appetite.took();
        }
    }
}
