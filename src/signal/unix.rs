//! Signals of Unix.

use super::driver::Driver;
use crate::engine::netpoll::Key;
use crate::engine::sys::signals;
use crate::runtime::Handle;
use crate::task::coop;
use std::ffi::c_int;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Which signal.
///
/// # Examples
/// ```
/// use runnext::signal::unix::SignalKind;
///
/// assert_eq!(SignalKind::interrupt(), SignalKind::from_raw(2));
/// assert_eq!(SignalKind::terminate().as_raw_value(), 15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignalKind(c_int);

impl SignalKind {
    /// The signal with this number, if there is one: [`signal`] looks whether there is.
    pub const fn from_raw(signum: c_int) -> SignalKind {
        SignalKind(signum)
    }

    /// Its number.
    pub const fn as_raw_value(&self) -> c_int {
        self.0
    }

    /// `SIGALRM`: a timer of the process has run out. By itself it ends the process.
    pub const fn alarm() -> SignalKind {
        SignalKind(libc::SIGALRM)
    }

    /// `SIGCHLD`: a child process has ended or was stopped. By itself it does nothing.
    pub const fn child() -> SignalKind {
        SignalKind(libc::SIGCHLD)
    }

    /// `SIGHUP`: the terminal is gone; to a daemon, that it is to read its configuration anew. By
    /// itself it ends the process.
    pub const fn hangup() -> SignalKind {
        SignalKind(libc::SIGHUP)
    }

    /// `SIGINFO`: Ctrl-T in the terminal. By itself it does nothing.
    #[cfg(any(
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "illumos"
    ))]
    pub const fn info() -> SignalKind {
        SignalKind(libc::SIGINFO)
    }

    /// `SIGINT`: Ctrl-C in the terminal. By itself it ends the process.
    pub const fn interrupt() -> SignalKind {
        SignalKind(libc::SIGINT)
    }

    /// `SIGIO`: a descriptor is ready. By itself it ends the process on Linux.
    pub const fn io() -> SignalKind {
        SignalKind(libc::SIGIO)
    }

    /// `SIGPIPE`: the process wrote to a pipe or socket that nobody reads. By itself it ends the process;
    /// but the standard library has it ignored, so that such a write fails.
    pub const fn pipe() -> SignalKind {
        SignalKind(libc::SIGPIPE)
    }

    /// `SIGQUIT`: Ctrl-\ in the terminal. By itself it ends the process with a core dump.
    pub const fn quit() -> SignalKind {
        SignalKind(libc::SIGQUIT)
    }

    /// `SIGTERM`: the process is to end. By itself it ends it.
    pub const fn terminate() -> SignalKind {
        SignalKind(libc::SIGTERM)
    }

    /// `SIGUSR1`: what the program takes it for. By itself it ends the process.
    pub const fn user_defined1() -> SignalKind {
        SignalKind(libc::SIGUSR1)
    }

    /// `SIGUSR2`: what the program takes it for. By itself it ends the process.
    pub const fn user_defined2() -> SignalKind {
        SignalKind(libc::SIGUSR2)
    }

    /// `SIGWINCH`: the terminal has another size. By itself it does nothing.
    pub const fn window_change() -> SignalKind {
        SignalKind(libc::SIGWINCH)
    }
}

impl From<c_int> for SignalKind {
    fn from(signum: c_int) -> SignalKind {
        SignalKind::from_raw(signum)
    }
}

impl From<SignalKind> for c_int {
    fn from(kind: SignalKind) -> c_int {
        kind.as_raw_value()
    }
}

/// Listens for signals of one kind, from when it is made. Made by [`signal`].
///
/// Several that come before it looks are one to it. Dropping it ends the listening, but does not bring
/// back what the signal did by itself; see the [module](super).
#[must_use = "a listener does nothing unless polled"]
pub struct Signal {
    driver: Arc<Driver>,
    kind: SignalKind,
    /// The count at the last signal that was told.
    seen: u64,
    /// While it waits.
    key: Option<Key>,
}

/// Listens for signals of `kind`, in the current runtime.
///
/// From the first listener in the process on, the signal does not do what it does by itself: most of
/// them end the process, see [`SignalKind`]. That lasts to the end of the process.
///
/// # Errors
/// If no program may listen for this signal, which is so for `SIGKILL`, `SIGSTOP`, `SIGILL`, `SIGFPE` and
/// `SIGSEGV`; if there is no such signal, or the C library keeps it for itself; if there are no
/// descriptors left; or the runtime is gone.
///
/// # Panics
/// If there is no current runtime.
///
/// # Examples
/// ```no_run
/// use runnext::signal::unix::{SignalKind, signal};
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let mut hangup = signal(SignalKind::hangup())?;
/// while let Some(()) = hangup.recv().await {
///     println!("reading the configuration anew");
/// }
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[track_caller]
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    Signal::on(&Handle::current(), kind)
}

impl Signal {
    pub(crate) fn on(handle: &Handle, kind: SignalKind) -> io::Result<Signal> {
        signals::count_from_now_on(kind.0)?;
        Ok(Signal {
            driver: Driver::of(handle)?,
            kind,
            seen: signals::count(kind.0),
            key: None,
        })
    }

    /// Waits for the next signal; one that came since the last is told at once.
    ///
    /// `None` if the runtime was shut down, and no more can be told.
    ///
    /// # Cancel safety
    /// Cancel safe: a signal that came is told by the next call.
    ///
    /// # Examples
    /// ```no_run
    /// use runnext::signal::unix::{SignalKind, signal};
    ///
    /// # let runtime = runnext::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// let mut terminate = signal(SignalKind::terminate())?;
    /// terminate.recv().await;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn recv(&mut self) -> Option<()> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`recv`](Signal::recv), in the style of `poll` functions. Only the last task that polled is
    /// woken.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let step = ready!(coop::poll_proceed(cx));
        let told = ready!(self.poll_told(cx));
        step.made_progress();
        Poll::Ready(told.ok())
    }

    /// As `poll_recv`, without being a step of the budget. The steps are those of `driver.rs`.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub(crate) fn poll_told(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let Signal {
            driver,
            kind,
            seen,
            key,
        } = self;
        let count = || signals::count(kind.0);
        ready!(driver.poll_until(key, cx, || count() != *seen))?;
        *seen = count();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.driver.forget(key);
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
