//! Guides: what takes more words than the page of one function.
//!
//! - [Two kinds of task](two_kinds_of_task): futures, and closures with stacks of their own.

#[doc = include_str!("two_kinds_of_task.md")]
pub mod two_kinds_of_task {}
