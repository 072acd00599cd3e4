//! Taking work from other Ps.

use super::Shared;
use crate::engine::primitive::spin_loop;
use crate::engine::processor::Processor;
use crate::engine::queue::RawG;

/// How long a thief watches a P before it takes its runnext, in spins: a few microseconds. If the
/// P begins another poll meanwhile, its runnext is about to run anyway.
const WATCH: u32 = 128;

impl Shared {
    /// Half the ring of a P that has one, for the holder of `pp`; the G to run first.
    pub(super) fn steal(&self, pp: &Processor) -> Option<RawG> {
        self.victims(pp).find_map(|victim| {
            if victim.ring.is_empty() {
                return None;
            }
            pp.stats.steal_operations.add(1);
            let before = pp.ring.len();
            // SAFETY: we hold `pp`; a victim is another P.
            let gp = unsafe { victim.ring.steal_into(&pp.ring) }?;
            pp.stats.steals.add((pp.ring.len() - before) as u64 + 1);
            Some(gp)
        })
    }

    /// The runnext of a P that has been busy with one G for a while, or that nobody holds.
    pub(super) fn steal_runnext(&self, pp: &Processor) -> Option<RawG> {
        self.victims(pp).find_map(|victim| {
            if victim.runnext.is_empty() {
                return None;
            }
            if !self.idle.is_idle(victim.id()) {
                let polls = victim.stats.polls.get();
                for _ in 0..WATCH {
                    spin_loop();
                }
                if victim.stats.polls.get() != polls {
                    return None;
                }
            }
            let gp = victim.runnext.take()?;
            pp.stats.steal_operations.add(1);
            pp.stats.steals.add(1);
            Some(gp)
        })
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
