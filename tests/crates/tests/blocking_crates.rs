//! Crates of others, blocking-style, in stackful tasks.
fn main() {}
