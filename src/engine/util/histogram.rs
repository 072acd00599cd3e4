//! How often something took how long.

use super::counter::Counter;
use std::ops::Range;
use std::time::Duration;

/// How many buckets there are.
pub(crate) const BUCKETS: usize = 25;
/// log2 of the upper end of the first bucket in nanoseconds; each next one is twice as wide.
const FIRST: u32 = 7;

/// Counts of durations, in buckets that double in width, from below 128 ns to above a second. One
/// thread at a time writes.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [Counter; BUCKETS],
}

impl Histogram {
    /// Counts `duration`.
    pub(crate) fn record(&self, duration: Duration) {
        self.buckets[bucket(duration)].add(1);
    }

    /// How many durations lay in the bucket.
    pub(crate) fn count(&self, bucket: usize) -> u64 {
        self.buckets[bucket].get()
    }
}

fn bucket(duration: Duration) -> usize {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let doublings = (nanos >> FIRST).checked_ilog2().map_or(0, |log| log + 1);
    (doublings as usize).min(BUCKETS - 1)
}

/// What durations are counted in the bucket: from the start, and below the end.
pub(crate) fn range(bucket: usize) -> Range<Duration> {
    assert!(
        bucket < BUCKETS,
        "there is no bucket {bucket}: there are {BUCKETS}"
    );
    let end_of = |bucket: usize| Duration::from_nanos(1 << (FIRST as usize + bucket));
    let start = bucket.checked_sub(1).map_or(Duration::ZERO, end_of);
    let end = if bucket == BUCKETS - 1 {
        Duration::MAX
    } else {
        end_of(bucket)
    };
    start..end
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, bucket, range};
    use std::time::Duration;

    #[test]
    fn each_duration_is_in_the_one_bucket_whose_range_holds_it() {
        let mut end = Duration::ZERO;
        for b in 0..BUCKETS {
            assert_eq!(range(b).start, end, "no gap before bucket {b}");
            end = range(b).end;
            assert_eq!(bucket(range(b).start), b);
            assert_eq!(bucket(end - Duration::from_nanos(1)), b);
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }
}
