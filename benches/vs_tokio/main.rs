//! tokio and runnext on the same works, in the same process, in turn.
//!
//! ```text
//! cargo bench --bench vs_tokio
//! cargo bench --bench vs_tokio -- --workers 4 --only spawn
//! ```
//!
//! Each row of the table is one work: tokio's median time, runnext's, the median of the ratios of neighbouring runs
//! (tokio's time over runnext's, so that above 1 runnext is the faster) with the quartiles it lies between, the target,
//! and the voluntary context switches of one run. The rows below measure something else and say what: how throughput
//! grows with workers, the memory of a parked task, the wake-ups of an idle runtime.
//!
//! What makes the comparison fair is written where it is done:
//! - [`rivals`]: the seam with both runtimes behind it, and how they are built;
//! - [`harness`]: alternation, warm-up, medians, counting switches;
//! - [`works`]: the works, each one function for both;
//! - [`child`]: memory and idleness, each in a process of its own;
//! - [`machine`]: what it ran on, and how quiet that was;
//! - [`table`]: what is printed.
//!
//! Absolute times depend on the machine and on its neighbours; ratios much less. Where others used
//! more than a few percent of the CPUs, which the last line tells, two workers did not have two cores: run it again.

mod child;
mod harness;
mod machine;
mod rivals;
mod table;
mod works;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use child::Measure;
use harness::{Contestant, Effort, Quartiles, Series, alternate, geometric_mean};
use rivals::{Rival, Runnext, Setup, Tokio};
use table::{Row, Table, Target};
use works::{Work, scaling};

const USAGE: &str = "\
options of vs_tokio:
  --workers N        workers of each runtime (default 2, which the targets are set for)
  --only SUBSTRING   only the rows whose name contains it
  --rounds N         exactly N pairs of runs a row (default: as many as fit into about 5 s, 64 to 512)
  --drivers          call enable_all on both builders (default: no drivers)
  --smoke            tiny sizes and one round: does it run at all? Takes seconds, measures nothing
  --markdown         print the table as Markdown
  --help             print this";

const PARKED: &str = "bytes of a parked task (runnext/tokio)";
const IDLE: &str = "wake-ups when idle, in 2 s";

/// What the command line asks for.
#[derive(Debug)]
struct Options {
    setup: Setup,
    only: String,
    effort: Effort,
    markdown: bool,
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if let Some((child::FLAG, args)) = args.split_first().map(|(flag, rest)| (flag.as_str(), rest))
    {
        child::main(args);
    }
    if args.iter().any(|arg| arg == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match Options::parse(&args).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, String> {
        let mut options = Self {
            setup: Setup {
                workers: 2,
                drivers: false,
            },
            only: String::new(),
            effort: Effort::Budget(Duration::from_secs(5)),
            markdown: false,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value\n\n{USAGE}"));
            match arg.as_str() {
                "--workers" => options.setup.workers = at_least_one(arg, value()?)?,
                "--rounds" => options.effort = Effort::Pairs(at_least_one(arg, value()?)?),
                "--only" => options.only = value()?.to_lowercase(),
                "--drivers" => options.setup.drivers = true,
                "--smoke" => options.effort = Effort::Smoke,
                "--markdown" => options.markdown = true,
                // Cargo's own, for harnesses that are told apart by it.
                "--bench" => {}
                unknown => return Err(format!("unknown option `{unknown}`\n\n{USAGE}")),
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        name.to_lowercase().contains(&self.only)
    }

    fn smoke(&self) -> bool {
        matches!(self.effort, Effort::Smoke)
    }
}

fn at_least_one(option: &str, value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!(
            "{option} takes a whole number above 0, not `{value}`"
        )),
    }
}

fn run(options: &Options) -> Result<(), String> {
    let names = || {
        works::ALL
            .iter()
            .map(|work| work.name)
            .chain([scaling::NAME, PARKED, IDLE])
    };
    if !names().any(|name| options.wants(name)) {
        let names: Vec<_> = names().collect();
        return Err(format!(
            "no row's name contains `{}`; the rows are\n  {}",
            options.only,
            names.join("\n  ")
        ));
    }

    // A target means nothing at a tiny size or with another number of workers.
    let judged = options.setup.workers == 2 && !options.smoke();
    let mut table = Table::start(options.markdown, judged, options.setup);
    let mut ratios = Vec::new();
    for work in works::ALL.iter().filter(|work| options.wants(work.name)) {
        table.begin(work.name);
        let series = versus(work, options);
        ratios.push(series.ratios().median);
        table.finish(Row::timed(&series, work.target));
    }
    if options.wants(scaling::NAME) {
        table.begin(scaling::NAME);
        table.finish(scaling_row(options));
    }
    let mut failed = Vec::new();
    for (name, measure) in [(PARKED, parked as fn(&Options) -> _), (IDLE, idle)] {
        if options.wants(name) {
            table.begin(name);
            table.finish(measure(options).unwrap_or_else(|error| {
                failed.push(error);
                Row::failed()
            }));
        }
    }
    table.end(geometric_mean(&ratios), ratios.len());
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("\n"))
    }
}

/// One work on both.
fn versus(work: &Work, options: &Options) -> Series {
    let size = if options.smoke() {
        work.smoke_size
    } else {
        work.size
    };
    alternate(
        options.effort,
        contestant::<Tokio>(options.setup, move |runtime| (work.on_tokio)(runtime, size)),
        contestant::<Runnext>(options.setup, move |runtime| {
            (work.on_runnext)(runtime, size)
        }),
    )
}

/// One worker against all workers, each runtime beside itself; then, for the switches alone, all workers of both in
/// turn.
fn scaling_row(options: &Options) -> Row {
    let workers = options.setup.workers;
    let tokio = one_against_all::<Tokio>(options);
    let runnext = one_against_all::<Runnext>(options);
    let all = alternate(
        options.effort,
        all_spawn::<Tokio>(options, workers),
        all_spawn::<Runnext>(options, workers),
    );
    Row {
        tokio: format!("x {:.2}", tokio.median),
        runnext: format!("x {:.2}", runnext.median),
        ratio: Some(runnext),
        target: Some(Target::AtLeast(scaling::TARGET_FOR_TWO)),
        switches: all.switches(),
    }
}

/// How often the throughput of one worker all workers have.
fn one_against_all<R: Rival>(options: &Options) -> Quartiles {
    let workers = options.setup.workers;
    let series = alternate(
        options.effort,
        all_spawn::<R>(options, 1),
        all_spawn::<R>(options, workers),
    );
    series.ratios().map(|ratio| scaling::gain(workers, ratio))
}

fn all_spawn<R: Rival>(
    options: &Options,
    workers: usize,
) -> Contestant<impl Fn() -> R::Runtime, impl Fn(&R::Runtime) -> Duration> {
    let batches = if options.smoke() { 1 } else { scaling::BATCHES };
    let setup = Setup {
        workers,
        ..options.setup
    };
    contestant::<R>(setup, move |runtime| {
        scaling::run::<R>(runtime, workers, batches)
    })
}

fn contestant<R: Rival>(
    setup: Setup,
    run: impl Fn(&R::Runtime) -> Duration,
) -> Contestant<impl Fn() -> R::Runtime, impl Fn(&R::Runtime) -> Duration> {
    Contestant {
        start: move || R::start(setup),
        run,
    }
}

/// Resident bytes, medians of a few children each.
fn parked(options: &Options) -> Result<Row, String> {
    let (children, tasks) = if options.smoke() {
        (1, 10_000)
    } else {
        (3, 1_000_000)
    };
    let measure = Measure::ParkedBytes { tasks };
    let (mut tokio, mut runnext) = (Vec::new(), Vec::new());
    for _ in 0..children {
        tokio.push(measure.in_child::<Tokio>(options.setup)?);
        runnext.push(measure.in_child::<Runnext>(options.setup)?);
    }
    let ratios = runnext
        .iter()
        .zip(&tokio)
        .map(|(runnext, tokio)| runnext / tokio);
    Ok(Row {
        ratio: Some(Quartiles::of(ratios)),
        tokio: format!("{:.0} B", Quartiles::of(tokio).median),
        runnext: format!("{:.0} B", Quartiles::of(runnext).median),
        target: Some(Target::AtMost(0.55)),
        switches: None,
    })
}

/// Wake-ups; there is no ratio, since both may well be none.
fn idle(options: &Options) -> Result<Row, String> {
    let millis = if options.smoke() { 200 } else { 2_000 };
    let measure = Measure::IdleWakeUps { millis };
    let tokio = measure.in_child::<Tokio>(options.setup)?;
    let runnext = measure.in_child::<Runnext>(options.setup)?;
    Ok(Row {
        tokio: tokio.to_string(),
        runnext: runnext.to_string(),
        ratio: None,
        target: Some(Target::Zero { seen: runnext }),
        switches: None,
    })
}
