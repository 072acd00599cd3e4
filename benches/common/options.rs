//! The options that every bench takes.

use std::time::Duration;

use super::harness::Effort;

/// The lines of the usage about these options.
pub(crate) const USAGE: &str = "
  --only PART[|PART] only the rows whose name contains one of these
  --rounds N         exactly N pairs of runs a row (default: as many as fit into about 5 s, 64 to 512)
  --smoke            tiny sizes and one round: does it run at all? Takes seconds, measures nothing
  --markdown         print the table as Markdown
  --help             print this";

/// Which rows, how long, in which form.
#[derive(Debug)]
pub(crate) struct Options {
    only: String,
    pub(crate) effort: Effort,
    pub(crate) markdown: bool,
}

/// Gives the value of the option that is being read.
pub(crate) type Value<'a> = &'a mut dyn FnMut() -> Result<String, String>;

impl Options {
    /// Reads the command line. `own` is asked about every other option, and says whether it is one.
    ///
    /// # Errors
    /// The text says what is wrong with the command line.
    pub(crate) fn parse(
        args: &[String],
        mut own: impl FnMut(&str, Value<'_>) -> Result<bool, String>,
    ) -> Result<Self, String> {
        let mut options = Self {
            only: String::new(),
            effort: Effort::Budget(Duration::from_secs(5)),
            markdown: false,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || {
                let value = args.next().cloned();
                value.ok_or(format!("{arg} needs a value; see --help"))
            };
            match arg.as_str() {
                "--rounds" => options.effort = Effort::Pairs(at_least_one(arg, &value()?)?),
                "--only" => options.only = value()?.to_lowercase(),
                "--smoke" => options.effort = Effort::Smoke,
                "--markdown" => options.markdown = true,
                // Cargo's own, for harnesses that are told apart by it.
                "--bench" => {}
                other => {
                    if !own(other, &mut value)? {
                        return Err(format!("unknown option `{other}`; see --help"));
                    }
                }
            }
        }
        Ok(options)
    }

    /// Whether the row is among those to run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.only.split("|").any(|part| name.contains(part))
    }

    /// # Errors
    /// When none of these rows is to run.
    pub(crate) fn check(&self, names: &[&str]) -> Result<(), String> {
        if names.iter().any(|name| self.wants(name)) {
            return Ok(());
        }
        Err(format!(
            "no row's name contains `{}`; the rows are\n  {}",
            self.only,
            names.join("\n  ")
        ))
    }

    pub(crate) fn smoke(&self) -> bool {
        matches!(self.effort, Effort::Smoke)
    }
}

/// # Errors
/// When it is no such number.
pub(crate) fn at_least_one(option: &str, value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!(
            "{option} takes a whole number above 0, not `{value}`"
        )),
    }
}
