//! What a runtime counts.

use crate::engine::scheduler::Shared;
use crate::engine::scheduler::Stats;
use crate::engine::util::histogram;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The counters of a runtime, read as they are at the time of each call.
///
/// They are updated without synchronisation by the threads that do the work, so that counting
/// costs nothing; two of them read one after the other need not fit together.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// runtime.block_on(async {
///     runnext::spawn(async {}).await.unwrap();
/// });
/// assert_eq!(runtime.metrics().spawned_tasks_count(), 1);
/// ```
#[derive(Clone)]
pub struct RuntimeMetrics {
    shared: Arc<Shared>,
}

impl RuntimeMetrics {
    pub(super) fn new(shared: Arc<Shared>) -> RuntimeMetrics {
        RuntimeMetrics { shared }
    }

    /// How many processors there are: `worker_threads`.
    pub fn num_workers(&self) -> usize {
        self.shared.procs().len()
    }

    /// How many tasks are alive: spawned, and neither finished nor cancelled.
    pub fn num_alive_tasks(&self) -> usize {
        usize::try_from(self.shared.alive()).unwrap_or(usize::MAX)
    }

    /// How many tasks were ever spawned.
    pub fn spawned_tasks_count(&self) -> u64 {
        self.shared.spawned()
    }

    /// How many ready tasks wait in the global queue.
    pub fn global_queue_depth(&self) -> usize {
        self.shared.global_len()
    }

    /// How many times a thread that holds no processor made a task ready.
    pub fn remote_schedule_count(&self) -> u64 {
        self.shared.remote_schedules()
    }

    /// How many threads of the pool run blocking closures or wait for something to do.
    pub fn num_blocking_threads(&self) -> usize {
        self.shared.blocking_stats().0
    }

    /// How many threads of the pool wait for something to do.
    pub fn num_idle_blocking_threads(&self) -> usize {
        self.shared.blocking_stats().1
    }

    /// How many closures of `spawn_blocking` wait for a thread.
    pub fn blocking_queue_depth(&self) -> usize {
        self.shared.blocking_stats().2
    }

    /// How many ready tasks are in the local ring of `worker`, runnext not counted.
    ///
    /// # Panics
    /// In this and the following functions, if `worker` is not below
    /// [`num_workers`](Self::num_workers).
    #[track_caller]
    pub fn worker_local_queue_depth(&self, worker: usize) -> usize {
        self.check(worker);
        self.shared.procs()[worker].ring.len()
    }

    /// How many polls `worker` made.
    #[track_caller]
    pub fn worker_poll_count(&self, worker: usize) -> u64 {
        self.stats(worker).polls.get()
    }

    /// How many tasks the holder of `worker` made ready.
    #[track_caller]
    pub fn worker_local_schedule_count(&self, worker: usize) -> u64 {
        self.stats(worker).local_schedules.get()
    }

    /// How many times the ring of `worker` was full and half of it moved to the global queue.
    #[track_caller]
    pub fn worker_overflow_count(&self, worker: usize) -> u64 {
        self.stats(worker).overflows.get()
    }

    /// How many tasks `worker` took from others.
    #[track_caller]
    pub fn worker_steal_count(&self, worker: usize) -> u64 {
        self.stats(worker).steals.get()
    }

    /// How many times `worker` tried to take tasks from another that had some.
    #[track_caller]
    pub fn worker_steal_operations(&self, worker: usize) -> u64 {
        self.stats(worker).steal_operations.get()
    }

    /// How many times a thread gave `worker` up because there was nothing to run.
    #[track_caller]
    pub fn worker_park_count(&self, worker: usize) -> u64 {
        self.stats(worker).parks.get()
    }

    /// How many times a thread that held `worker` looked for work and found none.
    #[track_caller]
    pub fn worker_noop_count(&self, worker: usize) -> u64 {
        self.stats(worker).noops.get()
    }

    /// How long threads held `worker`, until the last time that it was given up.
    #[track_caller]
    pub fn worker_total_busy_duration(&self, worker: usize) -> Duration {
        Duration::from_nanos(self.stats(worker).busy_nanos.get())
    }

    /// How many buckets the histogram of scheduling latencies has.
    pub fn schedule_latency_histogram_num_buckets(&self) -> usize {
        histogram::BUCKETS
    }

    /// Which latencies are counted in `bucket`: from the start of the range, and below its end.
    ///
    /// # Panics
    /// If `bucket` is not below
    /// [`schedule_latency_histogram_num_buckets`](Self::schedule_latency_histogram_num_buckets).
    pub fn schedule_latency_histogram_bucket_range(&self, bucket: usize) -> Range<Duration> {
        histogram::range(bucket)
    }

    /// How many of the tasks that were measured waited for a time within the range of `bucket`,
    /// from being made ready on `worker` to running there. One task in 64 is measured.
    ///
    /// # Panics
    /// If there is no such worker or bucket.
    #[track_caller]
    pub fn schedule_latency_histogram_bucket_count(&self, worker: usize, bucket: usize) -> u64 {
        self.stats(worker).latency.count(bucket)
    }

    #[track_caller]
    fn stats(&self, worker: usize) -> &Stats {
        self.check(worker);
        &self.shared.procs()[worker].stats
    }

    #[track_caller]
    fn check(&self, worker: usize) {
        let workers = self.num_workers();
        assert!(
            worker < workers,
            "there is no worker {worker}: the runtime has {workers}"
        );
    }
}

impl fmt::Debug for RuntimeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeMetrics")
            .field("num_workers", &self.num_workers())
            .field("num_alive_tasks", &self.num_alive_tasks())
            .field("spawned_tasks_count", &self.spawned_tasks_count())
            .field("global_queue_depth", &self.global_queue_depth())
            .field("num_blocking_threads", &self.num_blocking_threads())
            .field("blocking_queue_depth", &self.blocking_queue_depth())
            .finish_non_exhaustive()
    }
}
