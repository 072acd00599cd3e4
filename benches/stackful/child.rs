//! What needs a process of its own: tasks by the million.
//!
//! So many stacks change a process for good, in its maps and its page tables, and resident memory is a property of a
//! whole process. The benchmark starts itself again with [`FLAG`] and what to measure; the child prints its figures and
//! ends. It does the work once: nothing is warm but what a hundred tasks warm up.
//!
//! **Parked.** A task spawns as many as asked for. Each holds a word and waits at a gate. They are spawned a hundred at a
//! time and the next hundred only when those have come to the gate, so that it is waiting tasks that fill the memory and
//! not queues; the time of that is what creating takes. Resident memory is read before and after; the list of join
//! handles was written to before. Then the gate is opened, once, and the time until each task has gone on is what waking
//! takes, with the end of the task in it.
//!
//! **Skynet** is the work of that name in [`works`](crate::works), at a size that may is not up to.
//!
//! A rival that cannot make as many stacks panics. How many maps its process had by then, of which the system allows
//! each process so many (`vm.max_map_count`), is its figure.

use std::hint::black_box;
use std::io::Read;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use std::{env, fs, panic};

use crate::sides::{May, Runnext, Side};
use crate::works;

/// The first argument of a child. Not for the command line.
pub(crate) const FLAG: &str = "--child";

/// What a child measures.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Measure {
    /// Bytes, nanoseconds to create and nanoseconds to wake, for each of so many tasks that wait at once.
    Parked { tasks: usize },
    /// Nanoseconds for a leaf.
    Skynet { leaves: usize },
}

/// What a child found.
#[derive(Debug)]
pub(crate) enum Outcome {
    Figures(Vec<f64>),
    /// There was no stack to be had, at so many maps.
    Ended { maps: usize },
}

impl Measure {
    /// Has a child measure this on `S`.
    ///
    /// # Errors
    /// When the child does not start or says neither figures nor where it ended; the text has what it said.
    pub(crate) fn in_child<S: Side>(self) -> Result<Outcome, String> {
        let (what, amount) = match self {
            Self::Parked { tasks } => ("parked", tasks),
            Self::Skynet { leaves } => ("skynet", leaves),
        };
        let program = env::current_exe().map_err(|e| format!("own path unknown: {e}"))?;
        let output = Command::new(program)
            .args([FLAG, what, S::NAME, &amount.to_string()])
            .output()
            .map_err(|e| format!("child not started: {e}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut words = text.split_whitespace();
        let outcome = match words.next() {
            Some("figures") => words
                .map(|word| word.parse().ok())
                .collect::<Option<_>>()
                .map(Outcome::Figures),
            Some("ended") => words
                .next()
                .and_then(|word| word.parse().ok())
                .map(|maps| Outcome::Ended { maps }),
            _ => None,
        };
        outcome.ok_or_else(|| {
            format!(
                "child `{what} {}` failed ({}): {text}{}",
                S::NAME,
                output.status,
                String::from_utf8_lossy(&output.stderr),
            )
        })
    }
}

/// The child's side: measures what the arguments after [`FLAG`] say and prints it.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let [what, name, amount] = args else {
        return not_for_the_command_line(args);
    };
    let Ok(amount) = amount.parse() else {
        return not_for_the_command_line(args);
    };
    let measure = match what.as_str() {
        "parked" => Measure::Parked { tasks: amount },
        "skynet" => Measure::Skynet { leaves: amount },
        _ => return not_for_the_command_line(args),
    };
    match name.as_str() {
        May::NAME => measure_here::<May>(measure),
        Runnext::NAME => measure_here::<Runnext>(measure),
        _ => return not_for_the_command_line(args),
    }
    ExitCode::SUCCESS
}

fn not_for_the_command_line(args: &[String]) -> ExitCode {
    eprintln!("not for the command line: {FLAG} {args:?}");
    ExitCode::FAILURE
}

fn measure_here<S: Side>(measure: Measure) {
    // The first panic ends it: who waits for the task in which it was might wait for ever.
    panic::set_hook(Box::new(|info| {
        eprintln!("{info}");
        println!("ended {}", maps());
        std::process::exit(1);
    }));
    let runtime = S::start();
    let figures = S::run(&runtime, move || match measure {
        Measure::Parked { tasks } => parked::<S>(tasks),
        Measure::Skynet { leaves } => {
            let time = works::skynet::<S>(leaves);
            vec![time.as_nanos() as f64 / leaves as f64]
        }
    });
    let figures: Vec<_> = figures.iter().map(f64::to_string).collect();
    println!("figures {}", figures.join(" "));
}

/// How many tasks have begun.
static BEGUN: AtomicUsize = AtomicUsize::new(0);
/// How many have gone through the gate.
static WOKEN: AtomicUsize = AtomicUsize::new(0);

fn parked<S: Side>(tasks: usize) -> Vec<f64> {
    const AT_ONCE: usize = 100;
    let mut joins: Vec<Option<S::Join<()>>> = Vec::with_capacity(tasks);
    // Without this the compiler may ask for zeroed pages instead of writing the `None`s.
    black_box(&mut joins);
    joins.resize_with(tasks, || None);
    black_box(&mut joins);
    // A few first, so that threads and queues exist.
    for _ in 0..AT_ONCE {
        S::join(S::go(|| ()));
    }

    let gate = Arc::new(S::gate());
    let before = resident_bytes();
    let start = Instant::now();
    for (number, join) in joins.iter_mut().enumerate() {
        let gate = Arc::clone(&gate);
        *join = Some(S::go(move || {
            // Ordering: relaxed, here and below: counts that guard no data.
            BEGUN.fetch_add(1, Ordering::Relaxed);
            S::pass(&gate);
            black_box(number);
            WOKEN.fetch_add(1, Ordering::Relaxed);
        }));
        if (number + 1).is_multiple_of(AT_ONCE) || number + 1 == tasks {
            yield_until::<S>(&BEGUN, number + 1);
        }
    }
    let creating = start.elapsed();
    let bytes = resident_bytes() - before;

    let start = Instant::now();
    S::open(&gate);
    yield_until::<S>(&WOKEN, tasks);
    let waking = start.elapsed();

    let each = |figure: f64| figure / tasks as f64;
    vec![
        each(bytes),
        each(creating.as_nanos() as f64),
        each(waking.as_nanos() as f64),
    ]
}

fn yield_until<S: Side>(count: &AtomicUsize, enough: usize) {
    while count.load(Ordering::Relaxed) < enough {
        S::yield_now();
    }
}

/// How many maps this process has, counted without making more.
fn maps() -> usize {
    let mut file = fs::File::open("/proc/self/maps").expect("Linux has it");
    let mut part = [0; 1024];
    let mut lines = 0;
    while let Ok(length @ 1..) = file.read(&mut part) {
        lines += part[..length].iter().filter(|&&byte| byte == b'\n').count();
    }
    lines
}

/// Resident set of this process.
fn resident_bytes() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: Option<f64> = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    // SAFETY: `sysconf` takes any number and touches no memory of ours.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.expect("its second field is a number") * page as f64
}
