//! How a runtime is put together.

use super::{Handle, Runtime};
use crate::engine::netpoll::Batches;
#[cfg(stackful)]
use crate::engine::scheduler::stackful::Stacks;
use crate::engine::scheduler::{Config, DEFAULT_NAME, Hooks, Shared, default_procs, entropy};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The most processors of one runtime: the width of a G's shard number, less some.
const MOST_WORKERS: usize = 32_768;

/// The most events of sockets that are seen to at once.
const MOST_EVENTS: usize = 65_536;

/// What kind of runtime a handle belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeFlavor {
    /// One processor, and no threads of its own that run futures.
    CurrentThread,
    /// Several processors, and a thread for each that has work.
    MultiThread,
}

/// Builds a [`Runtime`] with settings of one's own.
///
/// # Examples
/// ```
/// use runnext::runtime::Builder;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = Builder::new_multi_thread()
///     .worker_threads(4)
///     .thread_name("server")
///     .build()?;
/// # drop(runtime);
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    flavor: RuntimeFlavor,
    worker_threads: Option<usize>,
    max_blocking_threads: usize,
    thread_name: Arc<dyn Fn() -> String + Send + Sync>,
    thread_stack_size: Option<usize>,
    #[cfg(stackful)]
    stacks: Stacks,
    keep_alive: Duration,
    start: Option<Arc<dyn Fn() + Send + Sync>>,
    stop: Option<Arc<dyn Fn() + Send + Sync>>,
    park: Option<Arc<dyn Fn() + Send + Sync>>,
    unpark: Option<Arc<dyn Fn() + Send + Sync>>,
    global_queue_interval: u32,
    event_interval: u32,
    idle_events: usize,
    busy_events: Option<usize>,
    #[cfg(feature = "test-util")]
    start_paused: bool,
    seed: Option<u64>,
}

impl Builder {
    /// For a runtime that runs its tasks on the thread that is in `block_on`, and on no other. Stackful
    /// tasks, which that thread might leave behind, run on one that is started for them.
    pub fn new_current_thread() -> Builder {
        Builder::new(RuntimeFlavor::CurrentThread)
    }

    /// For a runtime that runs its tasks on several threads.
    pub fn new_multi_thread() -> Builder {
        Builder::new(RuntimeFlavor::MultiThread)
    }

    fn new(flavor: RuntimeFlavor) -> Builder {
        Builder {
            flavor,
            worker_threads: None,
            max_blocking_threads: 512,
            thread_name: Arc::new(|| DEFAULT_NAME.to_owned()),
            thread_stack_size: None,
            #[cfg(stackful)]
            stacks: Stacks::default(),
            keep_alive: Duration::from_secs(10),
            start: None,
            stop: None,
            park: None,
            unpark: None,
            global_queue_interval: 61,
            event_interval: 61,
            idle_events: 512,
            busy_events: None,
            #[cfg(feature = "test-util")]
            start_paused: false,
            seed: None,
        }
    }

    /// How many processors a multi-thread runtime has: how many threads run tasks at once.
    ///
    /// The default is the number of CPUs that the process may use, cgroup quotas included. A
    /// current-thread runtime always has one.
    ///
    /// # Panics
    /// If `workers` is 0 or above 32,768.
    #[track_caller]
    pub fn worker_threads(&mut self, workers: usize) -> &mut Builder {
        assert!(
            workers > 0,
            "`worker_threads` cannot be 0: a runtime without processors runs nothing; use 1, or \
             leave it out for one for each CPU"
        );
        assert!(
            workers <= MOST_WORKERS,
            "`worker_threads` cannot be {workers}: at most {MOST_WORKERS} are supported"
        );
        self.worker_threads = Some(workers);
        self
    }

    /// The most threads that run closures of `spawn_blocking` at once; further closures wait.
    /// The default is 512.
    ///
    /// # Panics
    /// If `threads` is 0.
    #[track_caller]
    pub fn max_blocking_threads(&mut self, threads: usize) -> &mut Builder {
        assert!(
            threads > 0,
            "`max_blocking_threads` cannot be 0: closures of `spawn_blocking` would never run"
        );
        self.max_blocking_threads = threads;
        self
    }

    /// The name of the runtime's threads, `runnext-worker` by default.
    ///
    /// # Panics
    /// If it has a NUL character, which the name of a thread cannot have.
    #[track_caller]
    pub fn thread_name(&mut self, name: impl Into<String>) -> &mut Builder {
        let name = name.into();
        assert!(
            !name.contains('\0'),
            "`thread_name` cannot be {name:?}: the name of a thread has no NUL characters"
        );
        self.thread_name_fn(move || name.clone())
    }

    /// A function that names each thread of the runtime when it is started.
    ///
    /// If it panics, or returns a name with a NUL character, the thread is called
    /// `runnext-worker`.
    pub fn thread_name_fn<F>(&mut self, f: F) -> &mut Builder
    where
        F: Fn() -> String + Send + Sync + 'static,
    {
        self.thread_name = Arc::new(f);
        self
    }

    /// The size in bytes of the stacks of the runtime's threads; by default that of
    /// [`std::thread`].
    pub fn thread_stack_size(&mut self, bytes: usize) -> &mut Builder {
        self.thread_stack_size = Some(bytes);
        self
    }

    /// The size in bytes of the stacks of stackful tasks, those of [`go`](crate::go()), rounded up to
    /// whole pages and to 16 KiB, the least that there is: enough for a panic, but not for one with a
    /// backtrace. The default is 128 KiB; the most is 1 GiB, beyond which [`build`](Builder::build)
    /// returns an error.
    ///
    /// Memory is taken up as it is used, page by page, so a larger size costs address space and little
    /// else. A task that needs more than it has ends the process with a message that says so;
    /// [`stackful::Builder::stack_size`](crate::stackful::Builder::stack_size) is for a single one.
    /// The guide says [how to choose](crate::guide::two_kinds_of_task#the-size-of-a-stack).
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let mut builder = runnext::runtime::Builder::new_multi_thread();
    /// let runtime = builder.stack_size(256 * 1024).build()?;
    /// let task = runtime.handle().go(|| runnext::stackful::remaining_stack());
    /// assert!(runtime.block_on(task).unwrap() > Some(200 * 1024));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(stackful)]
    pub fn stack_size(&mut self, bytes: usize) -> &mut Builder {
        self.stacks.size = bytes;
        self
    }

    /// The most stackful tasks that may be alive at once, begun or not. The default is 16 × 1,048,576,
    /// for which there is hardly memory; a lower one turns a leak of tasks into an error of
    /// [`stackful::Builder::go`](crate::stackful::Builder::go), and a panic of
    /// [`go`](crate::go()), that say so.
    #[cfg(stackful)]
    pub fn max_stacks(&mut self, count: usize) -> &mut Builder {
        self.stacks.max = count;
        self
    }

    /// How long a thread beyond the number of processors waits for work before it ends. The
    /// default is 10 seconds.
    pub fn thread_keep_alive(&mut self, duration: Duration) -> &mut Builder {
        self.keep_alive = duration;
        self
    }

    /// Calls `f` on each thread of the runtime when it starts. A thread in `block_on` runs tasks too,
    /// but is not the runtime's: `f` is not called there.
    ///
    /// A panic in this or one of the other functions of the kind is printed, and the thread goes
    /// on.
    pub fn on_thread_start<F>(&mut self, f: F) -> &mut Builder
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.start = Some(Arc::new(f));
        self
    }

    /// Calls `f` on each thread of the runtime before it ends; not on those in `block_on`.
    pub fn on_thread_stop<F>(&mut self, f: F) -> &mut Builder
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.stop = Some(Arc::new(f));
        self
    }

    /// Calls `f` on a thread that runs tasks, be it one of the runtime or one in `block_on`, when
    /// it has nothing to do and is about to sleep. If `f` makes a task ready, the thread does not
    /// sleep.
    pub fn on_thread_park<F>(&mut self, f: F) -> &mut Builder
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.park = Some(Arc::new(f));
        self
    }

    /// Calls `f` on a thread that runs tasks when it has woken up.
    pub fn on_thread_unpark<F>(&mut self, f: F) -> &mut Builder
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.unpark = Some(Arc::new(f));
        self
    }

    /// Every how many turns a worker looks at the global queue before its own. The default is 61,
    /// as in Go.
    ///
    /// # Panics
    /// If `turns` is 0.
    #[track_caller]
    pub fn global_queue_interval(&mut self, turns: u32) -> &mut Builder {
        assert!(
            turns > 0,
            "`global_queue_interval` cannot be 0; use 1 for every turn"
        );
        self.global_queue_interval = turns;
        self
    }

    /// Every how many turns a busy worker looks for I/O events and due timers. The default is 61.
    ///
    /// Workers with nothing to run look for them at once.
    ///
    /// # Panics
    /// If `turns` is 0.
    #[track_caller]
    pub fn event_interval(&mut self, turns: u32) -> &mut Builder {
        assert!(
            turns > 0,
            "`event_interval` cannot be 0; use 1 for every turn"
        );
        self.event_interval = turns;
        self
    }

    /// How many I/O events are taken from the system at once, at most; the others stay there until the next
    /// time. The default is 512; more than 65,536 count as that many.
    ///
    /// # Panics
    /// If `events` is 0.
    #[track_caller]
    pub fn max_io_events_per_tick(&mut self, events: usize) -> &mut Builder {
        assert!(
            events > 0,
            "`max_io_events_per_tick` cannot be 0: no socket would ever be ready"
        );
        self.idle_events = events.min(MOST_EVENTS);
        self
    }

    /// The same where a worker looks for them without waiting, as it does every
    /// [`event_interval`](Builder::event_interval) turns. By default it is
    /// [`max_io_events_per_tick`](Builder::max_io_events_per_tick).
    ///
    /// The tasks that are woken go to the queue of that worker, which has room for 256. Where a server
    /// has more to do than it can, a smaller number leaves the rest of the events with the system, for a
    /// worker that has less.
    ///
    /// # Panics
    /// If `events` is 0.
    #[track_caller]
    pub fn max_io_events_per_busy_tick(&mut self, events: usize) -> &mut Builder {
        assert!(
            events > 0,
            "`max_io_events_per_busy_tick` cannot be 0: where all workers are busy no socket would \
             ever be ready"
        );
        self.busy_events = Some(events.min(MOST_EVENTS));
        self
    }

    /// Enables everything that the crate's features offer.
    pub fn enable_all(&mut self) -> &mut Builder {
        self.enable_io().enable_time()
    }

    /// Enables I/O, which always is: the first socket opens what it needs, and a program without
    /// sockets pays nothing.
    pub fn enable_io(&mut self) -> &mut Builder {
        self
    }

    /// Enables timers. They are always there, and cost nothing until one is set; so this has no
    /// effect.
    pub fn enable_time(&mut self) -> &mut Builder {
        self
    }

    /// The seed of all random decisions of the scheduler, which are those of whom to steal from.
    /// By default it differs from run to run.
    pub fn seed(&mut self, seed: u64) -> &mut Builder {
        self.seed = Some(seed);
        self
    }

    /// Whether time stands still from the beginning, as after [`time::pause`](crate::time::pause).
    ///
    /// # Panics
    /// [`build`](Builder::build) does, if the runtime is not a current-thread one.
    #[cfg(feature = "test-util")]
    pub fn start_paused(&mut self, start_paused: bool) -> &mut Builder {
        self.start_paused = start_paused;
        self
    }

    /// Builds the runtime. No thread is started before there is work for it.
    ///
    /// # Errors
    /// If the stacks of stackful tasks would have more than 1 GiB. Building the parts to come may fail
    /// for lack of file descriptors.
    #[track_caller]
    pub fn build(&mut self) -> io::Result<Runtime> {
        let multi = self.flavor == RuntimeFlavor::MultiThread;
        #[cfg(feature = "test-util")]
        assert!(
            !(multi && self.start_paused),
            "`start_paused` needs the current-thread runtime, and this is a multi-thread one: use \
             `Builder::new_current_thread`"
        );
        let procs = if multi {
            let procs = self.worker_threads.unwrap_or_else(default_procs);
            procs.min(MOST_WORKERS)
        } else {
            1
        };
        #[cfg(stackful)]
        let stacks = self.stacks.normalised()?;
        let shared = Shared::new(Config {
            procs,
            multi,
            global_queue_interval: self.global_queue_interval,
            event_interval: self.event_interval,
            batches: Batches {
                idle: self.idle_events,
                busy: self.busy_events.unwrap_or(self.idle_events),
            },
            #[cfg(feature = "test-util")]
            start_paused: self.start_paused,
            max_blocking_threads: self.max_blocking_threads,
            keep_alive: self.keep_alive,
            thread_stack_size: self.thread_stack_size,
            #[cfg(stackful)]
            stacks,
            seed: self.seed.unwrap_or_else(entropy),
            hooks: Hooks {
                name: self.thread_name.clone(),
                start: self.start.clone(),
                stop: self.stop.clone(),
                park: self.park.clone(),
                unpark: self.unpark.clone(),
            },
        });
        Ok(Runtime::from_handle(Handle::from_shared(shared)))
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("flavor", &self.flavor)
            .field("worker_threads", &self.worker_threads)
            .field("max_blocking_threads", &self.max_blocking_threads)
            .field("thread_stack_size", &self.thread_stack_size)
            .field("thread_keep_alive", &self.keep_alive)
            .field("global_queue_interval", &self.global_queue_interval)
            .field("event_interval", &self.event_interval)
            .field("max_io_events_per_tick", &self.idle_events)
            .field("max_io_events_per_busy_tick", &self.busy_events)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
