//! Taking work from other Ps.

use super::Shared;
use crate::engine::machine::Machine;
use crate::engine::primitive::spin_loop;
use crate::engine::processor::Processor;
use crate::engine::queue::RawG;

/// How long a thief watches a P before it takes what the P may be about to run itself, in spins:
/// some microseconds. Each look takes the line with the tail away from the owner for a moment, so
/// looking more often slows every push down.
const WATCH: u32 = 100;

/// From how many Gs on a ring is worth stealing from while its owner works on it.
///
/// A thief that takes one G from under the hands of an owner which is just spawning costs both of
/// them several cache misses for each G, and the spawn takes ten times as long.
///
/// A thief that made Gs ready itself since it last stole looks twice, since many may just have been
/// spawned by an owner who is about to run them: two workers that each spawn a hundred tasks and
/// join them would otherwise trade them to and fro, and wait for each other.
const MANY: usize = 64;

impl Shared {
    /// Half the ring of a P that has more than it can see to, for the holder of `pp`; the G to run
    /// first.
    pub(super) fn steal(&self, pp: &Processor, m: &Machine) -> Option<RawG> {
        let mut watched = false;
        // SAFETY: our caller holds it.
        let eager = unsafe { pp.own() }.stole_at.get() == pp.stats.local_schedules.get();
        self.victims(pp).find_map(|victim| {
            let seen = victim.ring.snapshot();
            if seen.is_empty() {
                return None;
            }
            let many = seen.len() >= MANY;
            let at_once = (many && eager) || self.idle.is_idle(victim.id());
            if !at_once {
                // One watch a round is enough; the next round begins with another P.
                if watched {
                    return None;
                }
                watched = true;
                self.watch();
                let now = victim.ring.snapshot();
                let stays = now == seen || (many && now.len() >= MANY);
                if !stays {
                    return None;
                }
            }
            self.steal_from(pp, m, victim)
        })
    }

    /// As `steal`, from any P that has something: the last resort before parking.
    pub(super) fn steal_any(&self, pp: &Processor, m: &Machine) -> Option<RawG> {
        self.victims(pp)
            .find_map(|victim| self.steal_from(pp, m, victim))
            .or_else(|| self.steal_runnext(pp))
    }

    /// Half the ring, or else the runnext, of a P whose holder has been with one G since the holder of
    /// `pp` last ran dry: that takes long, or the thread has lost its processor. For those who may never
    /// come to look at everything, as there are always events.
    pub(super) fn steal_from_stuck(&self, pp: &Processor, m: &Machine) -> Option<RawG> {
        // SAFETY: our caller holds it.
        let watched = unsafe { &pp.own().watched };
        let before = watched.take();
        let victim = match before {
            Some(before) => &*self.procs[before.id],
            None => self.victims(pp).next()?,
        };
        if victim.is_empty() {
            // Perhaps another one the next time.
            return None;
        }
        let now = victim.watch();
        if before != Some(now) {
            watched.set(Some(now));
            return None;
        }
        self.steal_from(pp, m, victim)
            .or_else(|| self.take_runnext(pp, victim))
    }

    fn steal_from(&self, pp: &Processor, m: &Machine, victim: &Processor) -> Option<RawG> {
        if victim.ring.is_empty() {
            return None;
        }
        let hatching = victim.is_hatching();
        let most = if hatching {
            // SAFETY: a thief is the M of this thread.
            unsafe { m.bound.appetite() }
        } else {
            usize::MAX
        };
        if most == 0 {
            return None;
        }
        pp.stats.steal_operations.add(1);
        let before = pp.ring.len();
        // SAFETY: our callers hold `pp`; a victim is another P.
        let gp = unsafe { victim.ring.steal_into(&pp.ring, most) }?;
        pp.stats.steals.add((pp.ring.len() - before) as u64 + 1);
        if hatching {
            // SAFETY: as above.
            unsafe { m.bound.took() }
        }
        // SAFETY: our callers hold it.
        let own = unsafe { pp.own() };
        own.stole_at.set(pp.stats.local_schedules.get());
        Some(gp)
    }

    /// The runnext of a P that has been busy with one G for a while, or that nobody holds.
    fn steal_runnext(&self, pp: &Processor) -> Option<RawG> {
        self.victims(pp).find_map(|victim| {
            if victim.runnext.is_empty() {
                return None;
            }
            if !self.idle.is_idle(victim.id()) {
                let polls = victim.stats.polls.get();
                self.watch();
                if victim.stats.polls.get() != polls {
                    return None;
                }
            }
            self.take_runnext(pp, victim)
        })
    }

    fn take_runnext(&self, pp: &Processor, victim: &Processor) -> Option<RawG> {
        let gp = victim.runnext.take()?;
        pp.stats.steal_operations.add(1);
        pp.stats.steals.add(1);
        Some(gp)
    }

    fn watch(&self) {
        for _ in 0..WATCH {
            spin_loop();
        }
    }

    /// The other Ps, each once, from a random one on.
    fn victims<'a>(&'a self, pp: &'a Processor) -> impl Iterator<Item = &'a Processor> {
        let count = self.procs.len();
        // SAFETY: our callers hold `pp`.
        let start = unsafe { pp.own() }.random.below(count as u32) as usize;
        let order = self.procs[start..].iter().chain(&self.procs[..start]);
        order.map(|p| &**p).filter(move |p| p.id() != pp.id())
    }
}
