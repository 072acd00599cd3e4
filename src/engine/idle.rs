//! Which Ps are idle and how many Ms spin: the one place where "is anybody looking for work?" is
//! answered. The steps S and P below are those of the essay in `scheduler/mod.rs`.

use crate::engine::primitive::{AtomicU64, Ordering, fence};
use crate::engine::util::CachePadded;

/// A snapshot of the packed counts.
///
/// | bits | meaning |
/// |---|---|
/// | 0..32 | Ms that spin, each with a P |
/// | 32..64 | idle Ps |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts(u64);

const SPINNING: u64 = 1;
const IDLE: u64 = 1 << 32;

impl Counts {
    /// How many Ms spin.
    #[inline]
    pub(crate) fn spinning(self) -> usize {
        (self.0 & (IDLE - 1)) as usize
    }

    /// How many Ps are idle.
    #[inline]
    pub(crate) fn idle(self) -> usize {
        (self.0 >> 32) as usize
    }

    /// Whether work that was just made visible needs somebody to be woken for it.
    #[inline]
    fn wants_wake(self) -> bool {
        self.idle() > 0 && self.spinning() == 0
    }
}

/// Whether the M that stopped spinning has to look for more work on the others' behalf.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unspun {
    /// Somebody else still spins.
    Others,
    /// It was the last one: submitters that saw it spin relied on it.
    Last,
}

/// The idle Ps and the spinning Ms.
#[derive(Debug)]
pub(crate) struct Idle {
    counts: CachePadded<AtomicU64>,
    /// Bit `i` of word `i / 64`: P `i` is idle. A P's bit is set before it is counted, and it is
    /// counted off before its bit is taken; so whoever counted one off finds a bit.
    mask: Box<[AtomicU64]>,
    procs: usize,
}

impl Idle {
    /// With all of `procs` Ps idle.
    pub(crate) fn new(procs: usize) -> Idle {
        let words = procs.div_ceil(64);
        let mask = (0..words).map(|w| {
            let bits = (procs - w * 64).min(64);
            AtomicU64::new(u64::MAX >> (64 - bits))
        });
        Idle {
            counts: CachePadded::new(AtomicU64::new(procs as u64 * IDLE)),
            mask: mask.collect(),
            procs,
        }
    }

    /// The counts as they are about now.
    #[inline]
    pub(crate) fn counts(&self) -> Counts {
        // Ordering: Relaxed, for decisions that a later step repairs.
        Counts(self.counts.load(Ordering::Relaxed))
    }

    /// S2, unfenced: whether a push to the caller's own ring should wake somebody. It may miss an
    /// M that parks at this very moment; the owner of the ring looks again before each turn.
    #[inline]
    pub(crate) fn wants_wake(&self) -> bool {
        self.counts().wants_wake()
    }

    /// S2 and S3 for a push to a queue that nobody owns: does not miss anybody.
    pub(crate) fn wants_wake_fenced(&self) -> bool {
        // Ordering: SeqCst, partner of the fence in `release`: of the push before this and the
        // count here, and the announcement and the queues there, at least one side sees the other.
        fence(Ordering::SeqCst);
        self.counts().wants_wake()
    }

    /// Takes an idle P to wake an M with, which is counted as spinning from now on. `None` if
    /// nobody is idle, or somebody spins already.
    pub(crate) fn claim_to_wake(&self) -> Option<usize> {
        self.claim_if(SPINNING, |counts| counts.wants_wake())
    }

    /// Takes an idle P to run Gs with.
    pub(crate) fn claim(&self) -> Option<usize> {
        self.claim_if(0, |counts| counts.idle() > 0)
    }

    /// Takes an idle P to look for work with; the caller is counted as spinning.
    pub(crate) fn claim_spinning(&self) -> Option<usize> {
        self.claim_if(SPINNING, |counts| counts.idle() > 0)
    }

    fn claim_if(&self, add: u64, wanted: impl Fn(Counts) -> bool) -> Option<usize> {
        let mut now = self.counts.load(Ordering::Relaxed);
        loop {
            if !wanted(Counts(now)) {
                return None;
            }
            // Ordering: AcqRel; what matters between the holders of a P goes through its bit.
            match self.counts.compare_exchange_weak(
                now,
                now - IDLE + add,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(self.take_bit()),
                Err(other) => now = other,
            }
        }
    }

    /// A P's bit; the caller has counted one off, so there is one for it.
    fn take_bit(&self) -> usize {
        loop {
            for (w, word) in self.mask.iter().enumerate() {
                let mut bits = word.load(Ordering::Relaxed);
                while bits != 0 {
                    let bit = bits.trailing_zeros();
                    // Ordering: Acquire, partner of the Release in `release`: the new holder of the
                    // P sees all that the last one did with it.
                    let before = word.fetch_and(!(1 << bit), Ordering::Acquire);
                    if before & (1 << bit) != 0 {
                        return w * 64 + bit as usize;
                    }
                    bits = before & !(1 << bit);
                }
            }
            // Others took what we saw while bits were being set elsewhere: look again.
            crate::engine::primitive::spin_loop();
        }
    }

    /// P2: makes P `pp` idle; `spinning`: and the caller, which spun, stops. The caller looks for
    /// work once more after this (P3).
    pub(crate) fn release(&self, pp: usize, spinning: bool) {
        // Ordering: Release, partner of the Acquire in `take_bit`.
        self.mask[pp / 64].fetch_or(1 << (pp % 64), Ordering::Release);
        let change = IDLE.wrapping_sub(if spinning { SPINNING } else { 0 });
        self.counts.fetch_add(change, Ordering::AcqRel);
        // Ordering: SeqCst, partner of the fence in `wants_wake_fenced`.
        fence(Ordering::SeqCst);
    }

    /// Counts the caller, which holds a P and found nothing, as spinning, unless half of the busy
    /// Ps spin already.
    pub(crate) fn start_spinning(&self) -> bool {
        let counts = self.counts();
        let busy = self.procs - counts.idle().min(self.procs);
        if 2 * counts.spinning() >= busy {
            return false;
        }
        // Ordering: AcqRel, pairs with the other changes of the counts only. One spinner too many
        // because of a race with another does no harm.
        self.counts.fetch_add(SPINNING, Ordering::AcqRel);
        true
    }

    /// Counts off the caller, which spun and found work.
    pub(crate) fn stop_spinning(&self) -> Unspun {
        let before = Counts(self.counts.fetch_sub(SPINNING, Ordering::AcqRel));
        // Ordering: SeqCst, partner of the fence in `wants_wake_fenced`: a submitter that did not
        // wake anybody because of us pushed before this, and what we look at next shows it.
        fence(Ordering::SeqCst);
        if before.spinning() == 1 {
            Unspun::Last
        } else {
            Unspun::Others
        }
    }

    /// Whether P `pp` is idle.
    pub(crate) fn is_idle(&self, pp: usize) -> bool {
        // Ordering: Relaxed, thieves only save themselves a look at an empty P.
        self.mask[pp / 64].load(Ordering::Relaxed) & (1 << (pp % 64)) != 0
    }
}
