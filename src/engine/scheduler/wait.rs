//! Waiting for a future in code that is not async.

use super::Shared;
use super::blocking::give_way;
use crate::engine::primitive::Arc;
use crate::engine::sys::Parker;
use std::future::Future;
use std::pin::Pin;
use std::task::{Poll, Wake, Waker};

/// Waiting here would block all tasks on this thread.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "net"), allow(dead_code))]
pub(crate) struct Refused;

/// Waits for `future`: a stackful G leaves its stack meanwhile, a thread without tasks is blocked.
///
/// # Errors
/// Where futures are polled.
#[cfg_attr(not(feature = "net"), allow(dead_code))]
pub(crate) fn wait<F: Future>(future: Pin<&mut F>) -> Result<F::Output, Refused> {
    #[cfg(stackful)]
    {
        use super::stackful::{Here, here};
        match here() {
            Here::Stackful(stacked) => Ok(stacked.wait(future)),
            Here::Blocking => Ok(block_thread(future)),
            Here::Stackless => Err(Refused),
        }
    }
    #[cfg(not(stackful))]
    match super::refuse_blocking() {
        None => Ok(block_thread(future)),
        Some(_) => Err(Refused),
    }
}

/// Waits for `future` by blocking the thread. If it holds a P, others get that.
pub(crate) fn block_thread<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    struct Unparks(Parker);
    impl Wake for Unparks {
        fn wake(self: Arc<Self>) {
            let _woken = self.0.unpark();
        }
    }
    let parker = Arc::new(Unparks(Parker::new()));
    let waker = Waker::from(parker.clone());
    let mut cx = std::task::Context::from_waker(&waker);
    if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
        return output;
    }
    let runtime = Shared::current();
    give_way(|| {
        loop {
            // All Ms may be asleep, or wait for this very thread.
            match runtime.as_ref().and_then(|r| r.run_timers_elsewhere()) {
                Some(timeout) => drop(parker.0.park_timeout(timeout)),
                None => parker.0.park(),
            }
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
        }
    })
}
