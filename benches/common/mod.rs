//! What the benches share that put a rival and runnext beside each other.
//!
//! - [`options`]: the command line;
//! - [`harness`]: alternation, warm-up, medians, counting switches;
//! - [`machine`]: what it ran on, and how quiet that was;
//! - [`table`]: what is printed.

pub(crate) mod harness;
pub(crate) mod machine;
pub(crate) mod options;
pub(crate) mod table;
