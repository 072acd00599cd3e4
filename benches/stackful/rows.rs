//! The rows of the table: which there are, how each is measured, what it is held against.

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use crate::child::{self, Measure, Outcome};
use crate::common::harness::{Contestant, Quartiles, alternate, geometric_mean};
use crate::common::options::{Options, USAGE};
use crate::common::table::{Heading, Row, Table, Target};
use crate::sides::{May, Runnext, WORKERS};
use crate::{echo, switch, works};

/// All works that are timed in turns, in the order of the table.
const ALL: &[&[Work]] = &[switch::WORKS, works::WORKS, echo::WORKS];

/// A work with what is expected of it.
#[derive(Debug)]
pub(crate) struct Work {
    /// Says what is done, and against whom.
    pub(crate) name: &'static str,
    /// The rival's time over ours is to be at least this.
    pub(crate) target: f64,
    /// Of a run: such that it takes some milliseconds.
    pub(crate) size: usize,
    /// How many operations a run of this size has.
    pub(crate) operations: fn(usize) -> usize,
    pub(crate) on_rival: Start,
    pub(crate) on_runnext: Start,
}

/// Builds what one side needs for runs of this size.
type Start = fn(usize) -> Run;

/// One run: returns the time that its timed part took.
pub(crate) type Run = Box<dyn Fn() -> Duration>;

/// A figure that a child gives, and what it may be at most.
#[derive(Debug)]
struct Limit {
    name: &'static str,
    /// Which of the child's figures.
    figure: usize,
    most: f64,
    unit: &'static str,
    /// What the child's figure is divided by.
    scale: f64,
}

/// What a child measures, and the rows that come of it.
#[derive(Debug)]
struct Big {
    measure: fn(usize) -> Measure,
    size: usize,
    smoke_size: usize,
    limits: &'static [Limit],
}

/// The works that are too big for a rival. There is no ratio; where the rival ends is in its place.
const BIG: &[Big] = &[
    Big {
        measure: |leaves| Measure::Skynet { leaves },
        size: 1_000_000,
        smoke_size: 100,
        limits: &[Limit {
            name: "skynet, 1,000,000 leaves, a leaf (may)",
            figure: 0,
            most: 1.6,
            unit: "us",
            scale: 1e3,
        }],
    },
    Big {
        measure: |tasks| Measure::Parked { tasks },
        size: 1_000_000,
        smoke_size: 1_000,
        limits: &[
            Limit {
                name: "1,000,000 parked Gs, resident, each (may)",
                figure: 0,
                most: 4.6,
                unit: "KB",
                scale: 1e3,
            },
            Limit {
                name: "1,000,000 parked Gs, create, each (may)",
                figure: 1,
                most: 3.0,
                unit: "us",
                scale: 1e3,
            },
            Limit {
                name: "1,000,000 parked Gs, wake, each (may)",
                figure: 2,
                most: 0.7,
                unit: "us",
                scale: 1e3,
            },
        ],
    },
];

pub(crate) fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if let Some((child::FLAG, args)) = args.split_first().map(|(flag, rest)| (flag.as_str(), rest))
    {
        return child::main(args);
    }
    if args.iter().any(|arg| arg == "--help") {
        println!("options of stackful:{USAGE}");
        return ExitCode::SUCCESS;
    }
    match Options::parse(&args, |_, _| Ok(false)).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let works = || ALL.iter().copied().flatten();
    let limits = || BIG.iter().flat_map(|big| big.limits);
    let names: Vec<_> = works()
        .map(|work| work.name)
        .chain(limits().map(|limit| limit.name))
        .collect();
    options.check(&names)?;

    let heading = Heading {
        setup: format!("{WORKERS} workers each, the bare switch on one thread"),
        rival: "the rival",
    };
    let mut table = Table::start(options.markdown, !options.smoke(), heading);
    let mut ratios = Vec::new();
    for work in works().filter(|work| options.wants(work.name)) {
        let size = if options.smoke() { 10 } else { work.size };
        table.begin(work.name);
        let series = alternate(
            options.effort,
            Contestant {
                start: || (work.on_rival)(size),
                run: |run: &Run| run(),
            },
            Contestant {
                start: || (work.on_runnext)(size),
                run: |run: &Run| run(),
            },
        );
        ratios.push(series.ratios().median);
        table.finish(Row::timed_each(
            &series,
            (work.operations)(size),
            work.target,
        ));
    }
    let mut failed = Vec::new();
    for big in BIG {
        big.rows(options, &mut table).unwrap_or_else(|error| {
            table.finish(Row::failed());
            failed.push(error);
        });
    }
    table.end(geometric_mean(&ratios), ratios.len());
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("\n"))
    }
}

impl Big {
    /// Those of its rows that are wanted.
    fn rows(&self, options: &Options, table: &mut Table) -> Result<(), String> {
        /// Of runnext. The rival's children end early, and each time in the same way.
        const CHILDREN: usize = 3;

        let (size, children) = if options.smoke() {
            (self.smoke_size, 1)
        } else {
            (self.size, CHILDREN)
        };
        let measure = (self.measure)(size);
        let mut measured = None;
        for limit in self.limits.iter().filter(|limit| options.wants(limit.name)) {
            table.begin(limit.name);
            if measured.is_none() {
                let rival = measure.in_child::<May>()?;
                let ours: Result<Vec<_>, _> = (0..children)
                    .map(|_| measure.in_child::<Runnext>())
                    .collect();
                measured = Some((rival, ours?));
            }
            let Some((rival, ours)) = &measured else {
                unreachable!("it was just measured")
            };
            table.finish(limit.row(rival, ours)?);
        }
        Ok(())
    }
}

impl Limit {
    fn row(&self, rival: &Outcome, ours: &[Outcome]) -> Result<Row, String> {
        let figure = |outcome: &Outcome| match outcome {
            Outcome::Figures(figures) => Ok(figures[self.figure] / self.scale),
            Outcome::Ended { maps } => Err(format!("no more stacks, with {maps} maps")),
        };
        let text = |figure| format!("{figure:.2} {}", self.unit);
        let ours: Result<Vec<_>, _> = ours.iter().map(figure).collect();
        let seen = Quartiles::of(ours?).median;
        Ok(Row {
            rival: match rival {
                Outcome::Ended { maps } => format!("at {maps} maps"),
                figures => text(figure(figures)?),
            },
            runnext: text(seen),
            ratio: None,
            target: Some(Target::Limit {
                most: self.most,
                unit: self.unit,
                seen,
            }),
            switches: None,
        })
    }
}
