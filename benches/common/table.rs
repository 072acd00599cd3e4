//! The table, printed row by row as the figures come in: for eyes, or as Markdown.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use super::harness::{Quartiles, Series, Switches};
use super::machine::{self, Others};

/// What a row's figure is to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The ratio is to be this or more.
    AtLeast(f64),
    /// The ratio is to be this or less.
    AtMost(f64),
    /// This much was seen, and it is to be no more than `most`.
    Limit {
        most: f64,
        unit: &'static str,
        seen: f64,
    },
    /// Nothing is to be seen, and this much was.
    Zero { seen: f64 },
}

/// All of a row but its name.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) rival: String,
    pub(crate) runnext: String,
    pub(crate) ratio: Option<Quartiles>,
    pub(crate) target: Option<Target>,
    /// Voluntary context switches of a run; `a` is the rival.
    pub(crate) switches: Option<Switches>,
}

/// What stands above the table.
#[derive(Debug)]
pub(crate) struct Heading {
    /// How both sides are set up; the machine follows.
    pub(crate) setup: String,
    /// Whom runnext is measured against.
    pub(crate) rival: &'static str,
}

/// Prints rows and keeps the score.
#[derive(Debug)]
pub(crate) struct Table {
    rival: &'static str,
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

const WIDTHS: [usize; 6] = [42, 13, 10, 20, 14, 20];

impl Row {
    /// The row of a work that was timed on both; the rival is the series' first contestant.
    pub(crate) fn timed(series: &Series, target: f64) -> Self {
        Self {
            rival: milliseconds(series.time_a()),
            runnext: milliseconds(series.time_b()),
            ratio: Some(series.ratios()),
            target: Some(Target::AtLeast(target)),
            switches: series.switches(),
        }
    }

    /// As `timed`, for runs of so many operations that take nanoseconds, of which the time is what counts.
    pub(crate) fn timed_each(series: &Series, operations: usize, target: f64) -> Self {
        let each = |time: Duration| {
            let nanoseconds = time.as_secs_f64() * 1e9 / operations as f64;
            // As many digits as there is sense in.
            let decimals = if nanoseconds < 100.0 { 2 } else { 0 };
            format!("{nanoseconds:.decimals$} ns")
        };
        Self {
            rival: each(series.time_a()),
            runnext: each(series.time_b()),
            switches: None,
            ..Self::timed(series, target)
        }
    }

    /// The row of a figure that could not be had.
    pub(crate) fn failed() -> Self {
        Self {
            rival: "failed".to_owned(),
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
    pub(crate) fn start(markdown: bool, judged: bool, heading: Heading) -> Self {
        let Heading { setup, rival } = heading;
        println!("{setup}, on {}", machine::description());
        println!("ratio: {rival}'s time / runnext's, unless the row says otherwise");
        println!(
            "switches: voluntary context switches of one run, {rival}'s : runnext's; missed if runnext's are more,"
        );
        println!("  and in more generations of runtimes than chance explains\n");
        let head = [
            "work",
            rival,
            "runnext",
            "ratio (quartiles)",
            "target",
            "switches",
        ];
        if markdown {
            println!("| {} |", head.join(" | "));
            println!("|---|--:|--:|--:|--:|--:|");
        } else {
            let head: String = head
                .iter()
                .zip(WIDTHS)
                .enumerate()
                .map(|(i, (head, width))| pad(i, head, width))
                .collect();
            println!("{head}");
        }
        Self {
            rival,
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
                a: rival,
                b: runnext,
                b_outnumbers,
            } = switches;
            let met = runnext <= rival || !b_outnumbers;
            format!("{rival:.0} : {runnext:.0}")
                + self.judge(met, |table| &mut table.fewer_switches)
        });
        let cells = [row.rival, row.runnext, ratio, target, switches];
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
            if of > 0 {
                println!(
                    "no more context switches than {}: {met} of {of}",
                    self.rival
                );
            }
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
            Self::Limit { most, unit, seen } => (format!("<= {most} {unit}"), seen <= most),
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
