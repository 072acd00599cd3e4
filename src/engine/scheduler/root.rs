//! `block_on`: a thread from outside that polls its future and, while that waits, is an M.

use super::Shared;
use super::find::Left;
use super::park::Woken;
use crate::engine::current::{self, Context, Entered, Role};
use crate::engine::machine::{Machine, Order};
use crate::engine::primitive::Arc;
use std::future::Future;
use std::pin::pin;
use std::task::{Poll, Waker};

impl Shared {
    /// Polls `future` to its end on this thread, which runs other Gs meanwhile.
    ///
    /// The caller has checked that this thread may be blocked.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        let m = Machine::root(self.netpoll.clone());
        let context = Context::new(self.home());
        let _entered = Entered::new(&context, Role::Running);
        let waker = Waker::from(m.clone());
        let mut cx = std::task::Context::from_waker(&waker);
        // Declared before the future, so that the P is given back after the future was dropped,
        // and also if it panics.
        let _leave = Leave {
            shared: self,
            context: &context,
        };
        let mut future = pin!(future);
        self.take_p(&context);
        loop {
            if m.take_root_woken() {
                current::refill_budget();
                if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                    return output;
                }
            }
            self.wait_for_root(&m, &context);
        }
    }

    /// Runs Gs, or sleeps, until the root is woken.
    fn wait_for_root(&self, m: &Arc<Machine>, context: &Context) {
        let mut spinning = false;
        loop {
            if context.pp().is_some() || self.regain(context) {
                match self.run(m, context, spinning) {
                    Left::Root => return,
                    Left::Idle { spinning: still } => spinning = still,
                    Left::NoP => {
                        spinning = false;
                        continue;
                    }
                    Left::HandsOver => {
                        spinning = false;
                        self.hand_over(context);
                    }
                    Left::Stop => {
                        spinning = false;
                        self.surrender(context);
                    }
                }
            }
            match self.park(m, context, spinning) {
                Woken::Root => {
                    self.take_p(context);
                    return;
                }
                Woken::Ordered(Order::Run {
                    pp,
                    spinning: still,
                }) => {
                    context.set_pp(Some(&self.procs[pp]));
                    spinning = still;
                }
                // The runtime is shutting down: from now on only the root counts.
                Woken::Ordered(Order::Exit | Order::Block | Order::Bound | Order::Decay) => {
                    spinning = false
                }
            }
        }
    }

    fn take_p(&self, context: &Context) {
        if !self.stopping()
            && let Some(pp) = self.idle.claim()
        {
            context.set_pp(Some(&self.procs[pp]));
        }
    }
}

/// Gives the P back when `block_on` ends.
struct Leave<'a> {
    shared: &'a Shared,
    context: &'a Context,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        match self.context.pp() {
            None => self.shared.end_stray(self.context),
            Some(_) if self.shared.stopping() => self.shared.surrender(self.context),
            Some(pp) => {
                self.context.set_pp(None);
                self.shared.handoff(pp);
            }
        }
    }
}
