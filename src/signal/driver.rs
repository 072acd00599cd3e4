//! What tells the listeners of one runtime that there was a signal.
//!
//! The handler counts, and writes to the pipe of the process; see `engine/sys/signals.rs`. Each runtime
//! with listeners has that pipe in its netpoller, once, so that a write is an event in each of them.
//! The event wakes all listeners of the runtime, and each compares the count of its signal with the
//! one it saw last:
//!
//! 1. A listener compares the counts. If there was a signal, it is told.
//! 2. Otherwise it leaves its waker; or it finds an event, takes that back, and begins anew at 1.
//! 3. With its waker left, it compares the counts once more.
//!
//! A signal is missed by nobody. An event that comes after the waker was left ends the wait. Of one
//! that came before, and that another listener may have taken back, the signal is seen at 3. And a
//! listener that takes back an event at 2 does so for none that came since: it leaves that as it is.

use crate::engine::netpoll::{Key, Readiness};
use crate::engine::sys::signals;
use crate::io::Interest;
use crate::io::unix::Fd;
use crate::net::evented::{Assume, Evented};
use crate::runtime::{Handle, Id};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

/// The drivers of all runtimes with listeners.
static DRIVERS: Mutex<Option<HashMap<Id, Weak<Driver>>>> = Mutex::new(None);

fn drivers() -> MutexGuard<'static, Option<HashMap<Id, Weak<Driver>>>> {
    DRIVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pipe in the netpoller of one runtime, for as long as there are listeners.
pub(super) struct Driver {
    runtime: Id,
    pipe: Evented<Fd<UnixStream>>,
}

impl Driver {
    /// The one of the runtime of `handle`. Some signal has to be counted already.
    ///
    /// # Errors
    /// Those of the operating system; or the runtime is gone.
    pub(super) fn of(handle: &Handle) -> io::Result<Arc<Driver>> {
        let mut drivers = drivers();
        let drivers = drivers.get_or_insert_default();
        if let Some(driver) = drivers.get(&handle.id()).and_then(Weak::upgrade) {
            // Says so if the runtime is gone.
            driver.pipe.look(Readiness::READ)?;
            return Ok(driver);
        }
        // A descriptor of its own, since the driver before this one may be about to end.
        let pipe = signals::pipe().expect("there is a pipe once a signal is counted");
        let pipe = pipe.try_clone()?;
        let interest = Interest::READABLE;
        let pipe = Evented::on(handle, Fd::new(pipe), interest, Assume::Nothing);
        let driver = Arc::new(Driver {
            runtime: handle.id(),
            pipe: pipe.map_err(|(_, error)| error)?,
        });
        drivers.insert(handle.id(), Arc::downgrade(&driver));
        Ok(driver)
    }

    /// Waits until `happened`, of which a signal tells.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub(super) fn poll_until(
        &self,
        key: &mut Option<Key>,
        cx: &Context<'_>,
        happened: impl Fn() -> bool,
    ) -> Poll<io::Result<()>> {
        self.pipe.poll_until(key, Readiness::READ, cx, happened)
    }

    /// The listener with `key` waits no more.
    pub(super) fn forget(&self, key: Key) {
        self.pipe.forget(key);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let mut drivers = drivers();
        // There may be another one by now.
        if let Some(drivers) = &mut *drivers
            && let Some(driver) = drivers.get(&self.runtime)
            && driver.strong_count() == 0
        {
            drivers.remove(&self.runtime);
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("runtime", &self.runtime)
            .finish_non_exhaustive()
    }
}
