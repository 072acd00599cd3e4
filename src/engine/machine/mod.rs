//! M: a thread that can run Gs, how it is told what to do, and where it keeps what it is doing.

mod contention;
pub(crate) mod current;
mod patience;

use self::patience::Patience;
use crate::engine::bound::Bound;
use crate::engine::netpoll::{Netpoll, Seat};
use crate::engine::primitive::{Arc, AtomicBool, AtomicU32, Ordering};
use crate::engine::sys::{Parker, Unparked};
use crate::engine::util::panics;
use std::task::{Wake, Waker};
use std::time::Duration;

/// What an M that was taken off the list of parked Ms is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Run Gs with the P of this number. The M counts as spinning from the start if `spinning`.
    Run {
        /// The P, which is the M's from now on.
        pp: usize,
        /// Whether the M was counted as spinning on its behalf.
        spinning: bool,
    },
    /// Run the Gs that only this M may run, without a P.
    Bound,
    /// Give memory of unused stacks back, now and then, until there is none.
    Decay,
    /// Run blocking closures; a searcher was counted on its behalf.
    Block,
    /// End.
    Exit,
}

const NONE: u32 = 0;
const EXIT: u32 = 1;
const BLOCK: u32 = 2;
const BOUND: u32 = 3;
const DECAY: u32 = 4;
const RUN: u32 = 5;

impl Order {
    fn encode(self) -> u32 {
        match self {
            Order::Exit => EXIT,
            Order::Block => BLOCK,
            Order::Bound => BOUND,
            Order::Decay => DECAY,
            Order::Run { pp, spinning } => RUN + ((pp as u32) << 1) + u32::from(spinning),
        }
    }

    fn decode(code: u32) -> Option<Order> {
        match code {
            NONE => None,
            EXIT => Some(Order::Exit),
            BLOCK => Some(Order::Block),
            BOUND => Some(Order::Bound),
            DECAY => Some(Order::Decay),
            run => Some(Order::Run {
                pp: ((run - RUN) >> 1) as usize,
                spinning: (run - RUN) & 1 == 1,
            }),
        }
    }
}

/// One M.
///
/// A pool thread is an M for its whole life; a thread in `block_on` is one until it returns, and
/// its machine doubles as the waker of the root future, which may outlive that.
#[derive(Debug)]
pub(crate) struct Machine {
    parker: Parker,
    /// Where it sleeps instead, if it watches.
    netpoll: Arc<Netpoll>,
    order: AtomicU32,
    /// The root future of a `block_on` wants to be polled.
    root_woken: AtomicBool,
    is_root: bool,
    /// The Gs that only this M may run.
    pub(crate) bound: Bound,
    /// How long it looks for work before it parks.
    pub(crate) patience: Patience,
}

impl Machine {
    /// The M of a pool thread.
    pub(crate) fn pool(netpoll: Arc<Netpoll>) -> Arc<Machine> {
        Arc::new(Machine::new(false, netpoll))
    }

    /// The M of a thread in `block_on`. Its root future is due for its first poll.
    pub(crate) fn root(netpoll: Arc<Netpoll>) -> Arc<Machine> {
        Arc::new(Machine::new(true, netpoll))
    }

    fn new(is_root: bool, netpoll: Arc<Netpoll>) -> Machine {
        Machine {
            parker: Parker::new(),
            netpoll,
            order: AtomicU32::new(NONE),
            root_woken: AtomicBool::new(is_root),
            is_root,
            bound: Bound::new(),
            patience: Patience::new(),
        }
    }

    /// Whether this is a thread in `block_on`, which may leave at any time.
    pub(crate) fn is_root(&self) -> bool {
        self.is_root
    }

    /// Whether it has Gs that only it may run. Told to others by the M itself, while it parks.
    pub(crate) fn is_host(&self) -> bool {
        self.bound.is_host()
    }

    /// Tells the M, which the caller took off the list of parked Ms, what to do.
    pub(crate) fn give(&self, order: Order) {
        debug_assert_eq!(self.order.load(Ordering::Relaxed), NONE);
        // Ordering: Release, partner of the Acquire in `take_order`: a P changes hands here.
        self.order.store(order.encode(), Ordering::Release);
        self.unpark();
    }

    /// The order, if there is one.
    pub(crate) fn take_order(&self) -> Option<Order> {
        let code = self.order.load(Ordering::Acquire);
        if code != NONE {
            self.order.store(NONE, Ordering::Relaxed);
        }
        Order::decode(code)
    }

    /// Whether the root future was woken.
    #[inline]
    pub(crate) fn root_is_woken(&self) -> bool {
        // Ordering: Relaxed, a look; `take_root_woken` follows.
        self.root_woken.load(Ordering::Relaxed)
    }

    /// Whether the root future was woken since this was last asked.
    pub(crate) fn take_root_woken(&self) -> bool {
        // Ordering: Acquire, partner of the Release in `wake_by_ref`. An exchange, so that the
        // polls that follow come after it in every thread's eyes.
        self.root_woken.swap(false, Ordering::AcqRel)
    }

    /// Has the M look around if it sleeps.
    pub(crate) fn unpark(&self) {
        if self.parker.unpark() == Unparked::Elsewhere {
            self.netpoll.wake();
        }
    }

    /// Sleeps until there may be an order or the root is woken; it may also be for nothing.
    pub(crate) fn park(&self) {
        self.parker.park();
    }

    /// As `park`, at most `timeout`. `false` if the time ran out.
    pub(crate) fn park_timeout(&self, timeout: Duration) -> bool {
        self.parker.park_timeout(timeout)
    }

    /// As `park`, at most `timeout`, in the netpoller: events of sockets end it as well, and those
    /// who waited for them are added to `wakers`. `false` if there is no token.
    pub(crate) fn park_watching(
        &self,
        seat: &mut Seat<'_>,
        timeout: Option<Duration>,
        wakers: &mut Vec<Waker>,
    ) -> bool {
        if !self.parker.go_elsewhere() {
            return true;
        }
        seat.poll(timeout, wakers);
        self.parker.return_here()
    }
}

impl Wake for Machine {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Ordering: Release, partner of the Acquire in `take_root_woken`: the poll sees what the
        // waker did before.
        if !self.root_woken.swap(true, Ordering::AcqRel) {
            // The parker makes a system call only if the thread sleeps.
            self.unpark();
        }
    }
}

/// Calls a user's `on_thread_*` function. A panic in it was reported by the hook; the thread goes
/// on, since its queues hold work that is not its own.
///
/// A hook may be called while an order, and with it a P, waits for this thread. So it must not
/// block, like a poll, though no budget limits it.
pub(crate) fn call_hook(name: &str, hook: Option<&Arc<dyn Fn() + Send + Sync>>) {
    let Some(hook) = hook else {
        return;
    };
    let role = current::set_role(current::Role::Running);
    current::set_budget(None);
    let called = panics::caught(|| hook());
    current::set_role(role);
    if let Err(payload) = called {
        eprintln!(
            "runnext: `{name}` panicked{}{}; the thread goes on without it",
            if panics::message(&*payload).is_some() {
                ": "
            } else {
                ""
            },
            panics::message(&*payload).unwrap_or_default(),
        );
        panics::discard(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::Order;

    #[test]
    fn orders_survive_their_encoding() {
        for order in [
            Order::Exit,
            Order::Block,
            Order::Bound,
            Order::Decay,
            Order::Run {
                pp: 0,
                spinning: false,
            },
            Order::Run {
                pp: 0,
                spinning: true,
            },
            Order::Run {
                pp: 65_535,
                spinning: true,
            },
        ] {
            assert_eq!(Order::decode(order.encode()), Some(order));
        }
        assert_eq!(Order::decode(0), None);
    }
}
