//! How two contestants are timed against each other.
//!
//! **Order.** They run in turn within one process, as A B B A A B B A …, so that a slow drift of the machine (heat, a
//! neighbour) falls on both alike, and each pair of neighbours gives one ratio. What counts is the median of those
//! ratios: it does not ask the machine to be equally fast for minutes, only for the length of one pair.
//!
//! **Generations.** A runtime's speed depends on luck at its birth: which malloc arena its threads share with whom,
//! which core they start on. That luck holds as long as the runtime does; two instances of the *same* runtime were seen
//! to differ by a factor of two for seconds. So both are dropped and built anew [`GENERATIONS`] times within one work,
//! warmed up unrecorded each time. In every other generation B is built first and begins: B A A B B A A B …. Building
//! and dropping are never timed.
//!
//! **Time** is taken by the work itself, around the part that is to be timed, and handed back.
//!
//! **Settling.** After each run this thread sleeps for [`SETTLE`], so that the workers of the runtime that just ran are
//! asleep before the other one starts: a worker that still looks for work would take a core from the rival.
//!
//! **Context switches** are the voluntary ones (`ru_nvcsw`: a thread gave up its core because it had to wait) of the
//! whole process, from before the run until after the settling, so that a runtime is charged for putting its workers to
//! sleep as well. The settling sleep of this thread is one such switch and is taken off again.

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for every worker to stop looking for work and park.
const SETTLE: Duration = Duration::from_millis(1);

/// How often both runtimes are built anew.
const GENERATIONS: usize = 32;

/// A generation has at least this many pairs; an even number, so that each contestant is first equally often.
const MIN_PAIRS: usize = 2;

/// And at most this many: past that the median no longer moves.
const MAX_PAIRS: usize = 16;

/// A new generation runs unrecorded for at least this long, and a pair.
const WARM_UP: Duration = Duration::from_millis(20);

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effort {
    /// [`GENERATIONS`], each of as many pairs as fit into its share of this time.
    Budget(Duration),
    /// Exactly this many pairs, spread over up to [`GENERATIONS`].
    Pairs(usize),
    /// One pair and no warm-up: shows that the work runs, measures nothing.
    Smoke,
}

/// One side: how its runtime is built, and one run on it, which returns the time that the timed part took.
#[derive(Debug)]
pub(crate) struct Contestant<Start, Run> {
    pub(crate) start: Start,
    pub(crate) run: Run,
}

/// What one run gave.
#[derive(Clone, Copy, Debug)]
struct Sample {
    time: Duration,
    /// Where the system counts them.
    switches: Option<u64>,
}

/// Two runs next to each other in time.
#[derive(Clone, Copy, Debug)]
struct Pair {
    a: Sample,
    b: Sample,
}

/// All runs of a work by two contestants, by generation. There is at least one, and each has at least one pair.
#[derive(Debug, Default)]
pub(crate) struct Series {
    generations: Vec<Vec<Pair>>,
}

/// Voluntary context switches of one run: medians of both contestants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Switches {
    pub(crate) a: f64,
    pub(crate) b: f64,
    /// Whether `b` made more in more generations than chance explains. This is a sign test on the generations' medians
    /// (runs of one generation share its luck, so they are not counted one by one): of two equal contestants either
    /// makes more in about half of them, and leads by more than twice the root of their number in one comparison of
    /// some forty.
    pub(crate) b_outnumbers: bool,
}

/// The middle half of some values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quartiles {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

/// Runs `a` and `b` in turn.
pub(crate) fn alternate<A, B>(
    effort: Effort,
    a: Contestant<impl Fn() -> A, impl Fn(&A) -> Duration>,
    b: Contestant<impl Fn() -> B, impl Fn(&B) -> Duration>,
) -> Series {
    let mut series = Series::default();
    loop {
        let generation = series.generations.len();
        // Whoever comes first gets other memory and other cores than the second, and finds other caches: in turn, too.
        let a_first = generation.is_multiple_of(2);
        let (on_a, on_b);
        if a_first {
            on_a = (a.start)();
            on_b = (b.start)();
        } else {
            on_b = (b.start)();
            on_a = (a.start)();
        }
        let run_a = || sample(|| (a.run)(&on_a));
        let run_b = || sample(|| (b.run)(&on_b));

        let (pairs, last) = match effort {
            Effort::Budget(budget) => {
                let pair = warm_up(a_first, run_a, run_b);
                let share = (budget / GENERATIONS as u32).saturating_sub(WARM_UP);
                let fitting = (share.as_secs_f64() / pair.as_secs_f64()) as usize;
                (
                    fitting.clamp(MIN_PAIRS, MAX_PAIRS) & !1,
                    generation + 1 == GENERATIONS,
                )
            }
            Effort::Pairs(total) => {
                warm_up(a_first, run_a, run_b);
                let share = total.div_ceil(GENERATIONS).next_multiple_of(2);
                let left = total - generation * share;
                (share.min(left), left <= share)
            }
            Effort::Smoke => (1, true),
        };
        let in_turn = (0..pairs).map(|pair| {
            if (pair % 2 == 0) == a_first {
                let a = run_a();
                Pair { a, b: run_b() }
            } else {
                let b = run_b();
                Pair { a: run_a(), b }
            }
        });
        series.generations.push(in_turn.collect());
        if last {
            return series;
        }
    }
}

/// Runs both in turn, unrecorded, and returns how long a pair takes.
fn warm_up(a_first: bool, run_a: impl Fn() -> Sample, run_b: impl Fn() -> Sample) -> Duration {
    let start = Instant::now();
    let mut pairs = 0;
    while pairs < 1 || start.elapsed() < WARM_UP {
        if a_first {
            run_a();
            run_b();
        } else {
            run_b();
            run_a();
        }
        pairs += 1;
    }
    start.elapsed() / pairs
}

fn sample(run: impl Fn() -> Duration) -> Sample {
    let before = voluntary_switches();
    let time = run();
    thread::sleep(SETTLE);
    let after = voluntary_switches();
    let switches = before
        .zip(after)
        .map(|(before, after)| (after - before).saturating_sub(1));
    Sample { time, switches }
}

impl Series {
    /// Median time of the first contestant.
    pub(crate) fn time_a(&self) -> Duration {
        let times = self.pairs().map(|pair| pair.a.time.as_secs_f64());
        Duration::from_secs_f64(median(times))
    }

    /// Median time of the second contestant.
    pub(crate) fn time_b(&self) -> Duration {
        let times = self.pairs().map(|pair| pair.b.time.as_secs_f64());
        Duration::from_secs_f64(median(times))
    }

    /// The ratios of the times, `a`/`b`, one for each pair.
    pub(crate) fn ratios(&self) -> Quartiles {
        let ratio = |pair: &Pair| pair.a.time.as_secs_f64() / pair.b.time.as_secs_f64();
        Quartiles::of(self.pairs().map(ratio))
    }

    /// Voluntary context switches of both, where the system counts them.
    pub(crate) fn switches(&self) -> Option<Switches> {
        if self
            .pairs()
            .any(|pair| pair.a.switches.is_none() || pair.b.switches.is_none())
        {
            return None;
        }
        let a = |pair: &Pair| pair.a.switches.map(|n| n as f64);
        let b = |pair: &Pair| pair.b.switches.map(|n| n as f64);
        let (mut more, mut fewer) = (0.0, 0.0);
        for generation in &self.generations {
            let of_a = median(generation.iter().filter_map(a));
            let of_b = median(generation.iter().filter_map(b));
            more += f64::from(of_b > of_a);
            fewer += f64::from(of_b < of_a);
        }
        Some(Switches {
            a: median(self.pairs().filter_map(a)),
            b: median(self.pairs().filter_map(b)),
            b_outnumbers: more - fewer > 2.0 * f64::sqrt(more + fewer),
        })
    }

    fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.generations.iter().flatten()
    }
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    Quartiles::of(values).median
}

impl Quartiles {
    /// # Panics
    /// When there are no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        assert!(!sorted.is_empty(), "no values, no median");
        sorted.sort_by(f64::total_cmp);
        // Between two neighbours the value is interpolated.
        let at = |share: f64| {
            let place = share * (sorted.len() - 1) as f64;
            let (below, above) = (place.floor() as usize, place.ceil() as usize);
            sorted[below] + (sorted[above] - sorted[below]) * place.fract()
        };
        Self {
            low: at(0.25),
            median: at(0.5),
            high: at(0.75),
        }
    }

    pub(crate) fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            low: f(self.low),
            median: f(self.median),
            high: f(self.high),
        }
    }
}

/// The mean that fits ratios: 2 and 1/2 make 1. `None` of nothing.
pub(crate) fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logs: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (logs / values.len() as f64).exp())
}

/// Voluntary context switches so far of every thread of this process, ended ones included.
#[cfg(target_os = "linux")]
fn voluntary_switches() -> Option<u64> {
    resource_usage(libc::RUSAGE_SELF).map(|usage| usage.ru_nvcsw as u64)
}

/// What this process (`RUSAGE_SELF`) or its ended children (`RUSAGE_CHILDREN`) have used.
#[cfg(target_os = "linux")]
pub(crate) fn resource_usage(whose: libc::c_int) -> Option<libc::rusage> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `getrusage` writes one `rusage` to the address it gets, which is that of a local `rusage` here.
    let result = unsafe { libc::getrusage(whose, usage.as_mut_ptr()) };
    // SAFETY: a zeroed `rusage` is a valid one already, since it holds nothing but integers.
    let usage = unsafe { usage.assume_init() };
    (result == 0).then_some(usage)
}

/// Not counted here.
#[cfg(not(target_os = "linux"))]
fn voluntary_switches() -> Option<u64> {
    None
}
