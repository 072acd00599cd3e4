//! What needs a process of its own: resident memory, the wake-ups of an idle runtime, and system calls.
//!
//! Both are properties of a whole process, in which only one runtime may live. The benchmark starts itself again with
//! [`FLAG`] and what to measure; the child prints one number and ends.
//!
//! **Bytes for a parked task.** A task spawns as many tasks as asked for. Each is a small future (one captured word)
//! that waits for ever. They are spawned a hundred at a time and the next hundred only when those have been polled, so
//! that it is parked tasks that fill the memory and not queues. Resident memory is read before and after and the
//! difference divided by their number. The list of join handles is written to before the first reading, so it is in
//! both. At the second reading every task has been polled once and none has been dropped: the child checks that.
//!
//! **Wake-ups when idle.** The runtime works for a moment, then its root future waits, which is how a server spends the
//! night. An observing thread lets it settle, then adds up the context switches, voluntary and not, that all threads
//! but itself make within the window. A thread that sleeps makes none.
//!
//! **Echo** is the work of that name in [`networking`](crate::works::networking), for `benches/syscalls.sh`, which counts
//! the system calls of the whole process.

use std::hint::black_box;
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use std::{env, future};

use tokio::sync::oneshot;

use crate::rivals::{Rival, Runnext, Setup, Tokio};
use crate::works::networking;

/// The first argument of a child. Not for the command line.
pub(crate) const FLAG: &str = "--child";

/// What a child measures.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Measure {
    /// Resident bytes for each of so many parked tasks.
    ParkedBytes { tasks: usize },
    /// Wake-ups of an idle runtime within so many milliseconds, after a quarter of that to settle.
    IdleWakeUps { millis: u64 },
    /// Nanoseconds for so many round trips on each of 64 connections.
    Echo { rounds: usize },
}

impl Measure {
    /// Has a child measure this on `R` and returns its figure.
    ///
    /// # Errors
    /// When the child does not start or fails; the text says which and why.
    pub(crate) fn in_child<R: Rival>(self, setup: Setup) -> Result<f64, String> {
        let (what, amount) = match self {
            Self::ParkedBytes { tasks } => ("parked", tasks as u64),
            Self::IdleWakeUps { millis } => ("idle", millis),
            Self::Echo { rounds } => ("echo", rounds as u64),
        };
        let program = env::current_exe().map_err(|e| format!("own path unknown: {e}"))?;
        let output = Command::new(program)
            .args([FLAG, what, R::NAME])
            .args([
                amount.to_string(),
                setup.workers.to_string(),
                setup.drivers.to_string(),
            ])
            .output()
            .map_err(|e| format!("child not started: {e}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.trim().parse() {
            Ok(figure) if output.status.success() => Ok(figure),
            _ => Err(format!(
                "child `{what} {}` failed ({}): {text}{}",
                R::NAME,
                output.status,
                String::from_utf8_lossy(&output.stderr),
            )),
        }
    }
}

/// The child's side: measures what the arguments after [`FLAG`] say, prints the figure and ends the process.
pub(crate) fn main(args: &[String]) -> ! {
    let figure = match parse(args) {
        Some((measure, name, setup)) if name == Tokio::NAME => {
            measure_here::<Tokio>(measure, setup)
        }
        Some((measure, name, setup)) if name == Runnext::NAME => {
            measure_here::<Runnext>(measure, setup)
        }
        _ => Err(format!("not for the command line: {FLAG} {args:?}")),
    };
    match figure {
        Ok(figure) => {
            println!("{figure}");
            process::exit(0)
        }
        Err(error) => {
            eprintln!("{error}");
            process::exit(1)
        }
    }
}

fn parse(args: &[String]) -> Option<(Measure, &str, Setup)> {
    let [what, name, amount, workers, drivers] = args else {
        return None;
    };
    let measure = match what.as_str() {
        "parked" => Measure::ParkedBytes {
            tasks: amount.parse().ok()?,
        },
        "idle" => Measure::IdleWakeUps {
            millis: amount.parse().ok()?,
        },
        "echo" => Measure::Echo {
            rounds: amount.parse().ok()?,
        },
        _ => return None,
    };
    let setup = Setup {
        workers: workers.parse().ok()?,
        drivers: drivers.parse().ok()?,
        timers: false,
    };
    Some((measure, name, setup))
}

fn measure_here<R: Rival>(measure: Measure, setup: Setup) -> Result<f64, String> {
    let runtime = R::start(setup);
    match measure {
        Measure::ParkedBytes { tasks } => parked_bytes::<R>(&runtime, tasks),
        Measure::IdleWakeUps { millis } => {
            idle_wake_ups::<R>(&runtime, Duration::from_millis(millis))
        }
        Measure::Echo { rounds } => {
            Ok(networking::tcp_echo::<R>(&runtime, rounds).as_nanos() as f64)
        }
    }
}

/// How many of the tasks to be parked have been polled.
static POLLED: AtomicUsize = AtomicUsize::new(0);
/// How many of them have been dropped: none, while it counts.
static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// Lives in each task that parks, and tells when it goes.
struct Tenant {
    /// The captured word: what makes the future one that holds something.
    _word: usize,
}

impl Drop for Tenant {
    fn drop(&mut self) {
        // Ordering: relaxed, here and for `POLLED`: counts that guard no data.
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

fn parked_bytes<R: Rival>(runtime: &R::Runtime, tasks: usize) -> Result<f64, String> {
    const AT_ONCE: usize = 100;
    let bytes = R::block_on(runtime, async move {
        // Held to the end of the reading: a task that nobody waits for and nobody can wake might be dropped.
        let mut handles: Vec<Option<R::Join<()>>> = Vec::with_capacity(tasks);
        // Without this the compiler may ask for zeroed pages instead of writing the `None`s.
        black_box(&mut handles);
        handles.resize_with(tasks, || None);
        black_box(&mut handles);

        R::spawn(async move {
            // A few first, so that worker threads and queues exist.
            for _ in 0..AT_ONCE {
                R::spawn(async {}).await.map_err(|e| format!("{e:?}"))?;
            }
            let before = resident_bytes()?;
            for (number, handle) in handles.iter_mut().enumerate() {
                let tenant = Tenant { _word: number };
                *handle = Some(R::spawn(async move {
                    POLLED.fetch_add(1, Ordering::Relaxed);
                    future::pending::<()>().await;
                    // Used whole, so that it lives in the future, and after the wait, so that it stays.
                    black_box(&tenant);
                }));
                if (number + 1).is_multiple_of(AT_ONCE) {
                    while POLLED.load(Ordering::Relaxed) <= number {
                        R::yield_now().await;
                    }
                }
            }
            while POLLED.load(Ordering::Relaxed) < tasks {
                R::yield_now().await;
            }
            let after = resident_bytes()?;
            let dropped = DROPPED.load(Ordering::Relaxed);
            if dropped != 0 {
                return Err(format!("{dropped} of {tasks} parked tasks were dropped"));
            }
            black_box(&handles);
            Ok(after - before)
        })
        .await
        .map_err(|e| format!("{e:?}"))?
    });
    bytes.map(|bytes| bytes / tasks as f64)
}

fn idle_wake_ups<R: Rival>(runtime: &R::Runtime, window: Duration) -> Result<f64, String> {
    R::block_on(runtime, async {
        let mut handles = Vec::with_capacity(10_000);
        handles.extend((0..10_000).map(|_| R::spawn(R::yield_now())));
        for handle in handles {
            handle.await.map_err(|e| format!("{e:?}"))?;
        }

        // Only now, so that a slow machine does not work on into the window.
        let (report, reported) = oneshot::channel();
        thread::spawn(move || {
            thread::sleep(window / 4);
            let before = switches_of_others();
            thread::sleep(window);
            let after = switches_of_others();
            // Cannot fail: the other end waits for it.
            let _ = report.send(before.and_then(|before| Ok(after? - before)));
        });
        reported.await.map_err(|e| format!("no report: {e}"))?
    })
}

/// Resident set of this process.
#[cfg(target_os = "linux")]
fn resident_bytes() -> Result<f64, String> {
    let statm = read("/proc/self/statm")?;
    let pages: Option<f64> = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    // SAFETY: `sysconf` takes any number and touches no memory of ours.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Ok(pages.ok_or("/proc/self/statm has no second field")? * page as f64)
}

/// Context switches so far, voluntary and not, of all threads of this process but the calling one.
#[cfg(target_os = "linux")]
fn switches_of_others() -> Result<f64, String> {
    // SAFETY: `gettid` takes nothing and cannot fail.
    let own = unsafe { libc::gettid() }.to_string();
    let threads =
        std::fs::read_dir("/proc/self/task").map_err(|e| format!("/proc/self/task: {e}"))?;
    let mut switches = 0.0;
    for thread in threads {
        let thread = thread.map_err(|e| format!("/proc/self/task: {e}"))?;
        if thread.file_name() == own.as_str() {
            continue;
        }
        let status = read(&format!("{}/status", thread.path().display()))?;
        for line in status.lines() {
            // Two lines: `voluntary_ctxt_switches:` and `nonvoluntary_ctxt_switches:`.
            if let Some((name, count)) = line.split_once(':')
                && name.ends_with("voluntary_ctxt_switches")
            {
                let count: f64 = count.trim().parse().map_err(|e| format!("{line}: {e}"))?;
                switches += count;
            }
        }
    }
    Ok(switches)
}

#[cfg(target_os = "linux")]
fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))
}

#[cfg(not(target_os = "linux"))]
fn resident_bytes() -> Result<f64, String> {
    Err("resident memory is only read on Linux".to_owned())
}

#[cfg(not(target_os = "linux"))]
fn switches_of_others() -> Result<f64, String> {
    Err("wake-ups are only counted on Linux".to_owned())
}
