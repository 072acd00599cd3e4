//! The table, printed row by row as the figures come in: for eyes, or as Markdown.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use crate::harness::{Quartiles, Series, Switches};
use crate::machine::{self, Others};
use crate::rivals::Setup;

/// What a row's figure is to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The ratio is to be this or more.
    AtLeast(f64),
    /// The ratio is to be this or less.
    AtMost(f64),
    /// Nothing is to be seen, and this much was.
    Zero { seen: f64 },
}

/// All of a row but its name.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) tokio: String,
    pub(crate) runnext: String,
    pub(crate) ratio: Option<Quartiles>,
    pub(crate) target: Option<Target>,
    /// Voluntary context switches of a run; `a` is tokio.
    pub(crate) switches: Option<Switches>,
}

/// Prints rows and keeps the score.
#[derive(Debug)]
pub(crate) struct Table {
    markdown: bool,
    judged: bool,
    others: Others,
    score: Score,
    fewer_switches: Score,
}

/// How many of how many.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    met: usize,
    of: usize,
}

const HEAD: [&str; 6] = [
    "work",
    "tokio",
    "runnext",
    "ratio (quartiles)",
    "target",
    "switches",
];
const WIDTHS: [usize; 6] = [40, 10, 10, 20, 14, 20];

impl Row {
    /// The row of a work that was timed on both; tokio is the series' first contestant.
    pub(crate) fn timed(series: &Series, target: f64) -> Self {
        Self {
            tokio: milliseconds(series.time_a()),
            runnext: milliseconds(series.time_b()),
            ratio: Some(series.ratios()),
            target: Some(Target::AtLeast(target)),
            switches: series.switches(),
        }
    }

    /// The row of a figure that could not be had.
    pub(crate) fn failed() -> Self {
        Self {
            tokio: "failed".to_owned(),
            runnext: "failed".to_owned(),
            ratio: None,
            target: None,
            switches: None,
        }
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}

impl Table {
    /// Prints what was measured on what, and the head. Without `judged`, targets are shown but not held against anyone.
    pub(crate) fn start(markdown: bool, judged: bool, setup: Setup) -> Self {
        let drivers = if setup.drivers { "with" } else { "without" };
        println!(
            "{} worker(s) each, {drivers} drivers, on {}",
            setup.workers,
            machine::description()
        );
        println!("ratio: tokio's time / runnext's, unless the row says otherwise");
        println!(
            "switches: voluntary context switches of one run, tokio's : runnext's; missed if runnext's are more,"
        );
        println!("  and in more generations of runtimes than chance explains\n");
        if markdown {
            println!("| {} |", HEAD.join(" | "));
            println!("|---|--:|--:|--:|--:|--:|");
        } else {
            let head: String = HEAD
                .iter()
                .zip(WIDTHS)
                .enumerate()
                .map(|(i, (head, width))| pad(i, head, width))
                .collect();
            println!("{head}");
        }
        Self {
            markdown,
            judged,
            others: Others::watch(),
            score: Score::default(),
            fewer_switches: Score::default(),
        }
    }

    /// Prints the name of the row whose figures come next, so that it is seen what is running.
    pub(crate) fn begin(&self, name: &str) {
        if self.markdown {
            print!("| {name}");
        } else {
            print!("{}", pad(0, name, WIDTHS[0]));
        }
        // A terminal that went away is no reason to stop measuring.
        let _ = io::stdout().flush();
    }

    /// Prints the figures of the row that was begun.
    pub(crate) fn finish(&mut self, row: Row) {
        let ratio = row.ratio.map_or("-".to_owned(), |q| {
            format!("{:.2} ({:.2}..{:.2})", q.median, q.low, q.high)
        });
        let target = row.target.map_or("-".to_owned(), |target| {
            let (text, met) = target.against(row.ratio.map(|ratio| ratio.median));
            text + self.judge(met, |table| &mut table.score)
        });
        let switches = row.switches.map_or("-".to_owned(), |switches| {
            let Switches {
                a: tokio,
                b: runnext,
                b_outnumbers,
            } = switches;
            let met = runnext <= tokio || !b_outnumbers;
            format!("{tokio:.0} : {runnext:.0}")
                + self.judge(met, |table| &mut table.fewer_switches)
        });
        let cells = [row.tokio, row.runnext, ratio, target, switches];
        let mut line = String::new();
        for (i, cell) in cells.iter().enumerate() {
            // Writing to a `String` does not fail.
            let _ = if self.markdown {
                write!(line, " | {cell}")
            } else {
                write!(line, "{}", pad(i + 1, cell, WIDTHS[i + 1]))
            };
        }
        println!("{line}{}", if self.markdown { " |" } else { "" });
    }

    /// Prints the mean of the `rows` timed ratios, the score, and how quiet the machine was.
    pub(crate) fn end(self, mean: Option<f64>, rows: usize) {
        println!();
        if let Some(mean) = mean {
            println!("geometric mean of the {rows} ratios of times: {mean:.2}");
        }
        if self.judged {
            let Score { met, of } = self.score;
            println!("targets met: {met} of {of}");
            let Score { met, of } = self.fewer_switches;
            println!("no more context switches than tokio: {met} of {of}");
        }
        if let Some(share) = self.others.share() {
            let percent = share * 100.0;
            println!("used by other processes meanwhile: {percent:.0} % of all CPUs");
        }
    }

    fn judge(&mut self, met: bool, score: impl Fn(&mut Self) -> &mut Score) -> &'static str {
        if !self.judged {
            return "";
        }
        let score = score(self);
        score.of += 1;
        score.met += usize::from(met);
        if met { " met" } else { " MISSED" }
    }
}

impl Target {
    fn against(self, ratio: Option<f64>) -> (String, bool) {
        match self {
            Self::AtLeast(least) => (
                format!(">= {least}"),
                ratio.is_some_and(|ratio| ratio >= least),
            ),
            Self::AtMost(most) => (
                format!("<= {most}"),
                ratio.is_some_and(|ratio| ratio <= most),
            ),
            Self::Zero { seen } => ("0".to_owned(), seen == 0.0),
        }
    }
}

/// The name to the left, figures to the right.
fn pad(column: usize, cell: &str, width: usize) -> String {
    if column == 0 {
        format!("{cell:<width$}")
    } else {
        format!("  {cell:>width$}")
    }
}
