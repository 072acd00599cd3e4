//! Signals that are counted, and told of through a pipe.
//!
//! A handler may do next to nothing. This one adds one to the count of its signal and writes a byte to
//! a pipe; whoever watches the pipe looks at the counts afterwards. There is one pipe for the process,
//! and it is never closed: a handler may always be about to write to it.
//!
//! Nobody reads from the pipe to learn of a signal. Several netpollers watch it, edge-triggered, and
//! the kernel looks again when it delivers an event: had somebody emptied the pipe by then, the others
//! would not be told. That something was written is all that counts, and it remains there. A handler
//! that finds no room makes some.

use crate::engine::primitive::{AtomicU64, Mutex, Ordering, lock};
use std::ffi::c_int;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

/// One more than the highest number of a signal that any system has.
const NUMBERS: usize = 128;

/// How often each signal came.
static COUNTS: [AtomicU64; NUMBERS] = [const { AtomicU64::new(0) }; NUMBERS];

#[derive(Debug)]
struct Pipe {
    reader: UnixStream,
    writer: UnixStream,
}

static PIPE: OnceLock<Pipe> = OnceLock::new();

/// Signals that have the handler, a bit each. The lock is held while one is added.
static HANDLED: Mutex<u128> = Mutex::new(0);

/// Has `signal` counted from now on: whatever it did to the process before, it does not do again.
///
/// # Errors
/// If no program may handle this signal, or it is none; or those of the operating system.
pub(crate) fn count_from_now_on(signal: c_int) -> io::Result<()> {
    if let Some(why) = refusal(signal) {
        return Err(io::Error::other(format!(
            "cannot listen for signal {signal}: {why}"
        )));
    }
    let mut handled = lock(&HANDLED);
    let bit = 1_u128 << signal;
    if *handled & bit != 0 {
        return Ok(());
    }
    if PIPE.get().is_none() {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        let _first = PIPE.set(Pipe { reader, writer });
    }
    // Handlers of others are called along with ours, and may need more room than there is on an
    // alternate stack.
    #[cfg(stackful)]
    let alone = is_the_systems(&action_of(signal)?);
    // SAFETY: what is called in the handler is async-signal-safe: an atomic addition, a load of the
    // `OnceLock` that was set above, and system calls to read and write. Nothing of it can panic, and the registry
    // puts `errno` back.
    unsafe { signal_hook_registry::register(signal, move || handle(signal)) }?;
    *handled |= bit;
    // It works without as well, unless a signal comes to a stackful G deep down.
    #[cfg(stackful)]
    if alone {
        let _moved = move_to_alternate_stack(signal);
    }
    Ok(())
}

/// What a handler does.
///
/// After the count went up, something is written: by this call, or, if there is no room once more, by
/// another one that took the room which was made here. So each watcher gets an event that comes after
/// the count. One for an earlier signal may be lost while the pipe happens to be empty in between; the
/// one that follows stands for both.
fn handle(signal: c_int) {
    // Ordering: Release, partner of the Acquire in `count`. That who gets the event sees the count
    // rests on the locks in the kernel that lead from the write to the event.
    COUNTS[signal as usize].fetch_add(1, Ordering::Release);
    if let Some(Pipe { reader, writer }) = PIPE.get()
        && (&mut &*writer).write(&[0]).is_err()
    {
        let _made_room = (&mut &*reader).read(&mut [0; 64]);
        let _written = (&mut &*writer).write(&[0]);
    }
}

/// How often `signal` came since it is counted.
pub(crate) fn count(signal: c_int) -> u64 {
    // Ordering: see `handle`.
    COUNTS[signal as usize].load(Ordering::Acquire)
}

/// The pipe to which something is written after a signal was counted, and from which nobody is to read.
/// It is there once a signal is counted.
pub(crate) fn pipe() -> Option<&'static UnixStream> {
    PIPE.get().map(|pipe| &pipe.reader)
}

/// Why nobody can listen for `signal`.
fn refusal(signal: c_int) -> Option<&'static str> {
    match signal {
        libc::SIGKILL | libc::SIGSTOP => {
            Some("the system lets no program handle `SIGKILL` and `SIGSTOP`")
        }
        libc::SIGILL | libc::SIGFPE | libc::SIGSEGV => Some(
            "`SIGILL`, `SIGFPE` and `SIGSEGV` are faults of the thread that they come to, which \
             would meet them again after a handler that does no more than take note",
        ),
        _ if signal <= 0 || highest() < signal => Some("there is no such signal"),
        _ => None,
    }
}

#[cfg(target_os = "linux")]
fn highest() -> c_int {
    libc::SIGRTMAX().min(NUMBERS as c_int - 1)
}

/// What all have; the system refuses the rest.
#[cfg(not(target_os = "linux"))]
fn highest() -> c_int {
    NUMBERS as c_int - 1
}

/// What handles `signal` at the moment.
#[cfg(stackful)]
fn action_of(signal: c_int) -> io::Result<libc::sigaction> {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with no new action the call only writes the old one.
    if unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has written it.
    Ok(unsafe { action.assume_init() })
}

/// Whether `action` runs no code of the program.
#[cfg(stackful)]
fn is_the_systems(action: &libc::sigaction) -> bool {
    action.sa_flags & libc::SA_SIGINFO == 0
        && matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN)
}

/// Has the handler of `signal` run on the alternate stack of its thread, which each thread that runs
/// stackful Gs has: what such a G has left of its own may be too little even for the registers that
/// the kernel saves there.
#[cfg(stackful)]
fn move_to_alternate_stack(signal: c_int) -> io::Result<()> {
    let mut action = action_of(signal)?;
    action.sa_flags |= libc::SA_ONSTACK;
    // SAFETY: the action is the one that is installed; where it runs is all that changes, and
    // `count_from_now_on` has seen that it needs little room. Should others change the action at this
    // very moment, the last one wins, as always.
    if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{count, count_from_now_on, pipe};
    use std::io::Read;

    #[test]
    fn what_came_is_counted_and_told() {
        count_from_now_on(libc::SIGURG).unwrap();
        count_from_now_on(libc::SIGURG).unwrap();
        // More than there is room for.
        for count_before in 0..10_000 {
            assert_eq!(count(libc::SIGURG), count_before);
            // SAFETY: the signal is handled.
            assert_eq!(unsafe { libc::raise(libc::SIGURG) }, 0);
        }
        pipe().unwrap().read_exact(&mut [0]).unwrap();
    }

    #[test]
    fn what_cannot_be_handled_is_refused() {
        let refused = [
            (libc::SIGKILL, "SIGKILL"),
            (libc::SIGSTOP, "SIGSTOP"),
            (libc::SIGILL, "SIGILL"),
            (libc::SIGFPE, "SIGFPE"),
            (libc::SIGSEGV, "SIGSEGV"),
            (0, "no such signal"),
            (-1, "no such signal"),
            (i32::MIN, "no such signal"),
            (i32::MAX, "no such signal"),
        ];
        for (signal, why) in refused {
            let error = count_from_now_on(signal).unwrap_err().to_string();
            assert!(error.contains(&format!("signal {signal}:")), "{error}");
            assert!(error.contains(why), "{error}");
        }
    }

    /// The C library keeps the first ones above 31 for itself.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_systems_own_refusal_is_passed_on() {
        let error = count_from_now_on(32).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        count_from_now_on(libc::SIGRTMAX()).unwrap();
    }
}
