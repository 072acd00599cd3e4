//! Programs that must not compile, with the errors that their authors read.
//!
//! Each `tests/ui/*.rs` makes one mistake, and the `.stderr` beside it holds what the compiler says,
//! word for word. Most of those words are rustc's own and change with its version; after a change
//! of toolchain, or of an error, run
//!
//! ```text
//! TRYBUILD=overwrite cargo test --test compile_fail
//! ```
//!
//! and read the difference as a user would who has just made the mistake: does it point to the
//! line, does it say what to write instead, is it the only error?
//!
//! No program here makes the compiler quote the standard library: it shows those lines only where
//! the `rust-src` component is installed, and the words would depend on the machine.

#[test]
fn every_mistake_gets_the_error_that_is_written_beside_it() {
    trybuild::TestCases::new().compile_fail("*.rs");
}
