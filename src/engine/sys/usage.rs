//! What the system has counted of a thread.

/// How often the system took the processor from the calling thread while it would have gone on. Zero
/// where it does not tell.
#[cfg(all(target_os = "linux", not(loom)))]
pub(crate) fn involuntary_switches() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel writes at most an `rusage` there.
    let result = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
    if result != 0 {
        return 0;
    }
    // SAFETY: it consists of numbers, of which all are initialised.
    let usage = unsafe { usage.assume_init() };
    usage.ru_nivcsw.try_into().unwrap_or(0)
}

/// As above.
#[cfg(not(all(target_os = "linux", not(loom))))]
pub(crate) fn involuntary_switches() -> u64 {
    0
}
