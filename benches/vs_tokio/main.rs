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
//! - [`common::options`]: the command line, with what is this bench's own in this file;
//! - [`common::harness`]: alternation, warm-up, medians, counting switches;
//! - [`works`]: the works, each one function for both;
//! - [`child`]: memory and idleness, each in a process of its own;
//! - [`common::machine`]: what it ran on, and how quiet that was;
//! - [`common::table`]: what is printed.
//!
//! Absolute times depend on the machine and on its neighbours; ratios much less. Where others used
//! more than a few percent of the CPUs, which the last line tells, two workers did not have two cores: run it again.

mod child;
#[allow(dead_code)] // Each bench uses a part of it.
#[path = "../common/mod.rs"]
mod common;
mod rivals;
mod works;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use child::Measure;
use common::harness::{Contestant, Quartiles, Series, alternate, geometric_mean};
use common::options::at_least_one;
use common::table::{Heading, Row, Table, Target};
use rivals::{Rival, Runnext, Setup, Tokio};
use works::{Aim, Work, scaling};

/// The options of this bench alone.
const USAGE: &str = "\
options of vs_tokio:
  --workers N        workers of each runtime (default 2, which the targets are set for)
  --drivers          call enable_all on both builders (default: no drivers)";

const PARKED: &str = "bytes of a parked task (runnext/tokio)";
const IDLE: &str = "wake-ups when idle, in 2 s";

/// What the command line asks for.
#[derive(Debug)]
struct Options {
    setup: Setup,
    common: common::options::Options,
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if let Some((child::FLAG, args)) = args.split_first().map(|(flag, rest)| (flag.as_str(), rest))
    {
        child::main(args);
    }
    if args.iter().any(|arg| arg == "--help") {
        println!("{USAGE}{}", common::options::USAGE);
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
        let mut setup = Setup {
            workers: 2,
            drivers: false,
            timers: false,
        };
        let common = common::options::Options::parse(args, |option, value| {
            match option {
                "--workers" => setup.workers = at_least_one(option, &value()?)?,
                "--drivers" => setup.drivers = true,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self { setup, common })
    }

    fn wants(&self, name: &str) -> bool {
        self.common.wants(name)
    }

    fn smoke(&self) -> bool {
        self.common.smoke()
    }
}

fn run(options: &Options) -> Result<(), String> {
    let names: Vec<_> = works::ALL
        .iter()
        .map(|work| work.name)
        .chain([scaling::NAME, PARKED, IDLE])
        .collect();
    options.common.check(&names)?;

    // A target means nothing at a tiny size or with another number of workers.
    let judged = options.setup.workers == 2 && !options.smoke();
    let mut table = Table::start(options.common.markdown, judged, heading(options.setup));
    let mut ratios = Vec::new();
    for work in works::ALL.iter().filter(|work| options.wants(work.name)) {
        table.begin(work.name);
        let series = versus(work, options);
        ratios.push(series.ratios().median);
        table.finish(judged_by(work.aim, &series));
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

fn heading(setup: Setup) -> Heading {
    let drivers = if setup.drivers { "with" } else { "without" };
    Heading {
        setup: format!("{} worker(s) each, {drivers} drivers", setup.workers),
        rival: "tokio",
    }
}

/// The row of a work, with what is expected of it.
fn judged_by(aim: Aim, series: &Series) -> Row {
    match aim {
        Aim::Ratio(least) => Row::timed(series, least),
        Aim::Micros(most) => Row {
            target: Some(Target::Limit {
                most,
                unit: "us",
                seen: series.time_b().as_secs_f64() * 1e6,
            }),
            ..Row::timed(series, 0.0)
        },
    }
}

/// One work on both.
fn versus(work: &Work, options: &Options) -> Series {
    let size = if options.smoke() {
        work.smoke_size
    } else {
        work.size
    };
    let setup = Setup {
        timers: work.timers,
        drivers: work.drivers || options.setup.drivers,
        ..options.setup
    };
    alternate(
        options.common.effort,
        contestant::<Tokio>(setup, move |runtime| (work.on_tokio)(runtime, size)),
        contestant::<Runnext>(setup, move |runtime| (work.on_runnext)(runtime, size)),
    )
}

/// One worker against all workers, each runtime beside itself; then, for the switches alone, all workers of both in
/// turn.
fn scaling_row(options: &Options) -> Row {
    let workers = options.setup.workers;
    let tokio = one_against_all::<Tokio>(options);
    let runnext = one_against_all::<Runnext>(options);
    let all = alternate(
        options.common.effort,
        all_spawn::<Tokio>(options, workers),
        all_spawn::<Runnext>(options, workers),
    );
    Row {
        rival: format!("x {:.2}", tokio.median),
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
        options.common.effort,
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
        rival: format!("{:.0} B", Quartiles::of(tokio).median),
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
        rival: tokio.to_string(),
        runnext: runnext.to_string(),
        ratio: None,
        target: Some(Target::Zero { seen: runnext }),
        switches: None,
    })
}
