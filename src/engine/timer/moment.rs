//! How the clock counts: nanoseconds since a moment at the beginning of the process.

use std::sync::OnceLock;
use std::time::Instant;

/// When the clock began. No deadline of a timer lies before this, other than one that has passed.
pub(super) fn base() -> Instant {
    static BASE: OnceLock<Instant> = OnceLock::new();
    *BASE.get_or_init(Instant::now)
}

/// A moment as the clock counts; what is too early or too late to be counted is as early or late as
/// can be.
#[inline]
pub(crate) fn nanos(instant: Instant) -> u64 {
    let since = instant.saturating_duration_since(base());
    // A second short of `NEVER`, which is not the time of anything.
    const LAST: u64 = u64::MAX / 1_000_000_000 - 1;
    if since.as_secs() >= LAST {
        return LAST * 1_000_000_000;
    }
    since.as_secs() * 1_000_000_000 + u64::from(since.subsec_nanos())
}

/// The moment at which the clock shows that.
#[cfg(test)]
pub(crate) fn moment(nanos: u64) -> Instant {
    base() + std::time::Duration::from_nanos(nanos)
}
