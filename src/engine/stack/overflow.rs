//! The report of a stack overflow.
//!
//! A stack that overflows runs into its guard, and the kernel sends `SIGSEGV` to the thread. The
//! handler here runs on the [alternate stack](alternate_stack) of the thread, for the other one is
//! full; finds out whose stack it was, says so on standard error, and aborts. It never unwinds and
//! never switches to another stack: the frames on the stack that overflowed may be in the middle
//! of anything.
//!
//! Faults elsewhere go on to whoever handled the signal before. Among these is the handler of the
//! standard library, which reports the overflow of a plain thread.
//!
//! Everything in the handler is async-signal-safe: it takes no lock and allocates nothing.

use super::Footer;
use super::regions::{self, Found};
use super::size::page_size;
use crate::engine::primitive::{AtomicPtr, Mutex, Ordering, lock};
use std::ffi::{c_int, c_void};
use std::fmt::{self, Write};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::{io, ptr};

/// Writes what is known of the owner of a stack, in whole lines.
///
/// It runs in a signal handler: it takes no locks, allocates nothing and does not panic.
pub(crate) type Describe = fn(owner: *const (), out: &mut dyn Write);

/// The [`Describe`] in use, as a pointer to it.
static DESCRIBE: AtomicPtr<Describe> = AtomicPtr::new(ptr::null_mut());

/// A signal that a fault may come as, and what handled it before.
struct Fault {
    signal: c_int,
    /// Null until [`install`] has got as far; never changes then.
    previous: AtomicPtr<libc::sigaction>,
}

static FAULTS: [Fault; 2] = [
    Fault {
        signal: libc::SIGSEGV,
        previous: AtomicPtr::new(ptr::null_mut()),
    },
    Fault {
        signal: libc::SIGBUS,
        previous: AtomicPtr::new(ptr::null_mut()),
    },
];

/// Makes this process report overflows of the stacks of pools: once and for all, however often it
/// is called. `describe` says whose stack it was, and the first one stays.
///
/// # Errors
/// When the kernel refuses the handler.
pub(crate) fn install(describe: Describe) -> io::Result<()> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _installing = lock(&INSTALLING);
    // Ordering: here and below, Release for the Acquire of the handler.
    if DESCRIBE.load(Ordering::Relaxed).is_null() {
        DESCRIBE.store(Box::into_raw(Box::new(describe)), Ordering::Release);
    }
    for fault in &FAULTS {
        if fault.previous.load(Ordering::Relaxed).is_null() {
            fault.install()?;
        }
    }
    Ok(())
}

impl Fault {
    fn install(&self) -> io::Result<()> {
        let previous = action_of(self.signal)?;
        // SAFETY: all bytes zero is a value of this plain struct: no handler, no flags, no mask.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = on_fault as *const () as libc::sighandler_t;
        // Who comes after us in the handler expects his own flags, as far as they are about him.
        action.sa_flags = libc::SA_SIGINFO
            | libc::SA_ONSTACK
            | (previous.sa_flags & (libc::SA_NODEFER | libc::SA_RESTART));
        action.sa_mask = previous.sa_mask;
        // The handler may be called from when it is there, so it finds the previous one before.
        self.previous
            .store(Box::into_raw(Box::new(previous)), Ordering::Release);
        // SAFETY: the handler is a function of the type that `SA_SIGINFO` asks for, and keeps to
        // what a handler may do.
        if unsafe { libc::sigaction(self.signal, &raw const action, ptr::null_mut()) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        // Nothing was installed, so nothing reads it, and the next attempt begins anew.
        self.previous.store(ptr::null_mut(), Ordering::Relaxed);
        Err(error)
    }
}

/// What handles `signal` at the moment.
fn action_of(signal: c_int) -> io::Result<libc::sigaction> {
    let mut action = MaybeUninit::zeroed();
    // SAFETY: with no new action the call only writes the old one.
    if unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } == 0 {
        // SAFETY: the call has written it.
        Ok(unsafe { action.assume_init() })
    } else {
        Err(io::Error::last_os_error())
    }
}

// ---- The handler ----------------------------------------------------------------------------

/// What the kernel calls.
extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives a handler with `SA_SIGINFO` a valid info, and for these signals, if
    // they come from itself, the code is positive and the address of the fault is there.
    let (sent, address) = unsafe { ((*info).si_code <= 0, (*info).si_addr().addr()) };
    if !sent
        && let Some(found) = regions::find(address)
        && found.guards(address)
    {
        // SAFETY: the kernel gives a handler with `SA_SIGINFO` the context that it interrupted.
        report(found, unsafe { stack_pointer(context) });
        abort();
    }
    // SAFETY: the arguments are the kernel's.
    unsafe { pass_on(signal, sent, info, context) }
}

impl Found {
    /// Whether `address`, which led here, is in the guard.
    fn guards(self, address: usize) -> bool {
        address < self.end - self.shape.size
    }
}

/// The stack pointer of what a signal interrupted.
///
/// # Safety
/// `context` is what the kernel gave to the handler.
unsafe fn stack_pointer(context: *const c_void) -> usize {
    let context: *const libc::ucontext_t = context.cast();
    #[cfg(target_arch = "x86_64")]
    // SAFETY: by this function's contract.
    let pointer = unsafe { (*context).uc_mcontext.gregs[libc::REG_RSP as usize] as usize };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: by this function's contract.
    let pointer = unsafe { (*context).uc_mcontext.sp as usize };
    pointer
}

/// Says what happened to the stack that was found.
fn report(found: Found, stack_pointer: usize) {
    let mut out = Out::new();
    let base = found.end - found.shape.stride();
    let overflow = (base..=found.end).contains(&stack_pointer);
    // A failed write cannot be helped, here and below.
    let _ = out.write_str(if overflow {
        "\nrunnext: stack overflow in a stackful G\n"
    } else {
        "\nrunnext: access to the guard below the stack of a stackful G, from outside that stack: \
         by a frame that is larger than the guard and does not probe its pages, or through a \
         stray pointer\n"
    });
    // What is known by now is written before the owner is looked at, in case that goes wrong.
    out.flush();
    let footer = ptr::with_exposed_provenance::<Footer>(found.end - size_of::<Footer>());
    // SAFETY: the table has this stack, so it is mapped: either the thread runs on it, or whoever
    // unmaps it at this moment has a stray pointer into it, which is the end either way. Nothing
    // but atomic operations touches the footer, and never touched memory is zeros: no owner.
    let owner = unsafe { (*footer).owner.load(Ordering::Relaxed) };
    // Ordering: Acquire, for the Release in `install`.
    let describe = DESCRIBE.load(Ordering::Acquire);
    // SAFETY: it was stored before the handler was installed, and is never freed.
    if let Some(describe) = unsafe { describe.as_ref() }
        && !owner.is_null()
    {
        describe(owner, &mut out);
    }
    let _ = writeln!(
        out,
        "its stack has {} bytes; give it a larger one with stackful::Builder::stack_size, or all \
         of them with runtime::Builder::stack_size or #[runnext::main(stackful, stack_size = N)]",
        found.shape.size
    );
    out.flush();
}

/// Ends the process by `SIGABRT`, whoever else handles that.
fn abort() -> ! {
    // SAFETY: the default action is set, and this thread lets the signal in: plain system calls
    // that any handler may make.
    unsafe {
        libc::signal(libc::SIGABRT, libc::SIG_DFL);
        libc::abort()
    }
}

/// Does what would have happened without this handler.
///
/// # Safety
/// The arguments are those of a handler with `SA_SIGINFO`.
unsafe fn pass_on(signal: c_int, sent: bool, info: *mut libc::siginfo_t, context: *mut c_void) {
    let fault = FAULTS.iter().find(|fault| fault.signal == signal);
    // Ordering: Acquire, for the Release in `install`.
    let previous = fault.map_or(ptr::null_mut(), |fault| {
        fault.previous.load(Ordering::Acquire)
    });
    // SAFETY: it was stored before the handler was installed, and is never freed.
    let (handler, flags) = unsafe { previous.as_ref() }.map_or((libc::SIG_DFL, 0), |previous| {
        (previous.sa_sigaction, previous.sa_flags)
    });
    match handler {
        libc::SIG_IGN if sent => {}
        // The kernel does not let a fault be ignored.
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: plain system calls that any handler may make. When this handler returns, the
            // fault happens again, and is fatal now; a signal that was sent is sent again.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                if sent {
                    libc::raise(signal);
                }
            }
        }
        _ if flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: with this flag the kernel would call the handler by this type.
            let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        _ => {
            // SAFETY: without the flag the kernel would call the handler by this type.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}

/// Standard error, for a signal handler.
struct Out {
    buffer: [u8; 512],
    len: usize,
}

impl Out {
    fn new() -> Out {
        Out {
            buffer: [0; 512],
            len: 0,
        }
    }

    /// Writes what was gathered.
    fn flush(&mut self) {
        let mut rest = &self.buffer[..self.len];
        while !rest.is_empty() {
            // SAFETY: the bytes are ours.
            let code =
                unsafe { libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(code) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                // SAFETY: errno is the calling thread's own.
                Err(_) if unsafe { *libc::__errno_location() } == libc::EINTR => {}
                Err(_) => break,
            }
        }
        self.len = 0;
    }
}

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for chunk in text.as_bytes().chunks(self.buffer.len()) {
            if self.len + chunk.len() > self.buffer.len() {
                self.flush();
            }
            self.buffer[self.len..self.len + chunk.len()].copy_from_slice(chunk);
            self.len += chunk.len();
        }
        Ok(())
    }
}

// ---- The alternate stack --------------------------------------------------------------------

/// What the handler needs, beyond what the kernel needs for the registers of the thread.
const ALTERNATE: usize = 16 << 10;
/// `AT_MINSIGSTKSZ`: how much the kernel puts onto a stack for a signal, on this processor.
const AT_MINSIGSTKSZ: libc::c_ulong = 51;

/// An alternate signal stack of the thread that asked for it, until it is dropped.
#[derive(Debug)]
pub(crate) struct AltStack {
    /// Held to be dropped; `None` if the thread had one that is large enough.
    _own: Option<Own>,

    /// It belongs to a thread: neither `Send` nor `Sync`.
    thread: PhantomData<*const ()>,
}

/// A mapping with the alternate stack in it.
#[derive(Debug)]
struct Own {
    base: *mut c_void,
    len: usize,
    previous: libc::stack_t,
}

/// Gives the calling thread an alternate signal stack of at least 16 KiB, unless it has one.
///
/// Without it an overflow cannot be reported: the kernel has nowhere to call the handler, and ends
/// the process.
///
/// # Errors
/// When no memory is left.
pub(crate) fn alternate_stack() -> io::Result<AltStack> {
    // SAFETY: getauxval takes an integer and gives one back; 0 for what it does not know.
    let frame = unsafe { libc::getauxval(AT_MINSIGSTKSZ) } as usize;
    let size = (ALTERNATE + frame).next_multiple_of(page_size());
    let previous = current_alternate()?;
    let own = if previous.ss_flags & libc::SS_DISABLE == 0 && previous.ss_size >= size {
        None
    } else {
        Some(Own::new(size, previous)?)
    };
    Ok(AltStack {
        _own: own,
        thread: PhantomData,
    })
}

/// The alternate stack of the calling thread.
fn current_alternate() -> io::Result<libc::stack_t> {
    let mut current = MaybeUninit::zeroed();
    // SAFETY: with no new stack the call only writes the old one.
    if unsafe { libc::sigaltstack(ptr::null(), current.as_mut_ptr()) } == 0 {
        // SAFETY: the call has written it.
        Ok(unsafe { current.assume_init() })
    } else {
        Err(io::Error::last_os_error())
    }
}

impl Own {
    /// Maps `size` bytes with a guard below, and makes them the alternate stack of the thread.
    fn new(size: usize, previous: libc::stack_t) -> io::Result<Own> {
        let guard = page_size();
        let len = guard + size;
        // SAFETY: a new private mapping where the kernel finds room for it touches nothing else.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let own = Own {
            base,
            len,
            previous,
        };
        let stack = libc::stack_t {
            ss_sp: own.stack(),
            ss_flags: 0,
            ss_size: size,
        };
        // SAFETY: the first page of our new mapping is made inaccessible, and the rest, which
        // stays mapped until `drop` has taken it down, becomes the stack of this thread's
        // handlers.
        let code = unsafe {
            libc::mprotect(base, guard, libc::PROT_NONE)
                | libc::sigaltstack(&raw const stack, ptr::null_mut())
        };
        if code == 0 {
            Ok(own)
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// Where the stack begins, above its guard.
    fn stack(&self) -> *mut c_void {
        self.base.wrapping_byte_add(page_size())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let ours = |current: libc::stack_t| current.ss_sp == self.stack();
        if current_alternate().is_ok_and(ours) {
            // SAFETY: this is what the thread had before. Its owner cannot have freed it, for he
            // would have had to take it down first, and then would not find it in use.
            unsafe { libc::sigaltstack(&raw const self.previous, ptr::null_mut()) };
        }
        // SAFETY: the mapping is ours, and no longer anybody's stack: this thread is not in a
        // handler that runs on it, or `sigaltstack` would have refused; and no other thread had it.
        unsafe { libc::munmap(self.base, self.len) };
    }
}
