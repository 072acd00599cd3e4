//! The attribute macros of `runnext`: [`main`](macro@main) and [`test`](macro@test).
//!
//! Both turn an `async fn` into an ordinary one that builds a runtime and blocks on the body. They
//! are re-exported as `runnext::main` and `runnext::test`, and that is how to name them: what they
//! write refers to `::runnext` unless the `crate` argument says otherwise.
//!
//! ```no_run
//! #[runnext::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let words = runnext::spawn(async { "to be or not to be".split(' ').count() });
//!     println!("{} words", words.await?);
//!     Ok(())
//! }
//! ```
//!
//! # Arguments
//!
//! | argument | value | default in `main` | default in `test` |
//! |---|---|---|---|
//! | `flavor` | `"multi_thread"` or `"current_thread"` | `"multi_thread"` | `"current_thread"` |
//! | `worker_threads` | an expression of type `usize`, above 0; only for `multi_thread` | one for each CPU | – |
//! | `start_paused` | `true` or `false`; only for `current_thread` | `false` | `false` |
//! | `stack_size` | bytes, an expression of type `usize`, above 0; only with `stackful` | 128 KiB | 128 KiB |
//! | `stackful` | none: the word alone, on a plain `fn` | – | – |
//! | `crate` | the path by which the runtime crate is reached, as a string or bare | `"::runnext"` | `"::runnext"` |
//!
//! Whatever else a runtime can be told is said to `runtime::Builder` in an ordinary `fn main`, as
//! in the written-out forms on the macros' own pages.
//!
//! # What a user sees of the expansion
//!
//! As little as can be. The body type-checks as it would in an async function: `?` and `return`
//! know the declared return type, the last expression is coerced to it, and a mismatch is reported
//! on the user's own line. Names that the macros introduce are hygienic, so a body or a
//! `worker_threads` expression cannot collide with them. After a wrong argument the function is
//! still expanded with the remaining ones, so that one mistake gives one error.

#![deny(missing_docs, unsafe_code)]
// The expansion is shown beside its source, and both are whole programs.
#![allow(clippy::needless_doctest_main)]

mod args;
mod expand;

use proc_macro::TokenStream;

/// Runs an `async fn` on a runtime of its own: the entry point of a program.
///
/// ```no_run
/// #[runnext::main]
/// async fn main() {
///     println!("hello from {:?}", std::thread::current().id());
/// }
/// ```
///
/// is, written out,
///
/// ```no_run
/// fn main() {
///     let runtime = runnext::runtime::Builder::new_multi_thread()
///         .enable_all()
///         .build()
///         .expect("failed to build the runtime");
///     let body = async {
///         println!("hello from {:?}", std::thread::current().id());
///     };
///     runtime.block_on(body)
/// }
/// ```
///
/// When the body ends the runtime is dropped: tasks that are still running are dropped at their
/// next suspension. Await their `JoinHandle`s to have them finish.
///
/// Attributes, visibility, parameters, generics and return type stay as written. The function need
/// not be called `main`: on any other it makes a blocking function that builds a runtime each time
/// it is called. Only one that *is* `main` cannot have parameters, like any `main` in Rust.
///
/// # Arguments
///
/// - `flavor = "multi_thread"` (the default) or `flavor = "current_thread"`, which runs everything
///   on the thread that called.
/// - `worker_threads = 4`: how many threads run tasks at a time, where `multi_thread` is the
///   flavor; one for each CPU unless given. Any expression of type `usize` will do. It is evaluated
///   when the function is called and can name its parameters. 0 is an error, at compile time if it
///   is written as a literal.
/// - `start_paused = true`: the clock of the runtime begins stopped, as after `time::pause`. Only for
///   `current_thread`, and with the feature `test-util` of the runtime.
/// - `stackful`, without a value, on a plain `fn`: the body is blocking-style code, and runs as a
///   stackful task that waits with `runnext::wait`. The task has the name of the function. Parameters
///   and output are `Send` and `'static`, since the task runs on a thread of the runtime, also where
///   `flavor` is `current_thread`. What `main` returns need not be: it is reported in the task, an
///   error printed and made an exit code, before the runtime is dropped; so for any caller inside the
///   program `main` returns an [`ExitCode`](std::process::ExitCode). A panic of the body is one of the
///   function. It needs the feature `stackful`, and a system that has stackful tasks: Linux on x86-64
///   or aarch64.
/// - `stack_size = 1 << 20`: the size in bytes of the stacks of the runtime, that of the body included,
///   where the body is `stackful`; 128 KiB unless given. Any expression of type `usize` will do, as for
///   `worker_threads`. It is what `runtime::Builder::stack_size` is called with.
/// - `crate = "path"`: the path by which the runtime crate is reached, `"::runnext"` unless given.
///   It is for programs that rename the dependency and for crates that re-export it.
///
/// # Examples
///
/// One thread, and a result for the shell:
///
/// ```no_run
/// #[runnext::main(flavor = "current_thread")]
/// async fn main() -> std::io::Result<()> {
///     let config = std::fs::read_to_string("app.conf")?;
///     println!("{} bytes of configuration", config.len());
///     Ok(())
/// }
/// ```
///
/// A number of workers that is computed, in a function that is not `main`:
///
/// ```no_run
/// #[runnext::main(worker_threads = numbers.len().clamp(1, 8))]
/// async fn squares(numbers: Vec<u64>) -> Vec<u64> {
///     let tasks: Vec<_> = numbers
///         .into_iter()
///         .map(|n| runnext::spawn(async move { n * n }))
///         .collect();
///     let mut squares = Vec::new();
///     for task in tasks {
///         squares.push(task.await.unwrap());
///     }
///     squares
/// }
///
/// fn main() {
///     println!("{:?}", squares(vec![1, 2, 3]));
/// }
/// ```
///
/// Blocking-style code:
///
/// ```no_run
/// use runnext::wait;
///
/// #[runnext::main(stackful)]
/// fn main() {
///     let words = runnext::go(|| "to be or not to be".split(' ').count());
///     println!("{} words", wait(words).unwrap());
/// }
/// ```
///
/// which is, written out,
///
/// ```no_run
/// use runnext::wait;
///
/// fn main() {
///     let runtime = runnext::runtime::Builder::new_multi_thread()
///         .enable_all()
///         .build()
///         .expect("failed to build the runtime");
///     let body = move || {
///         let words = runnext::go(|| "to be or not to be".split(' ').count());
///         println!("{} words", wait(words).unwrap());
///     };
///     let task = runnext::stackful::Builder::new()
///         .name("main")
///         .go_on(body, runtime.handle())
///         .unwrap_or_else(|error| panic!("cannot start a stackful task: {error}"));
///     match runtime.block_on(task) {
///         Ok(output) => output,
///         Err(error) => std::panic::resume_unwind(error.into_panic()),
///     }
/// }
/// ```
///
/// One that may fail, and recurses deeper than the usual stack has room for:
///
/// ```no_run
/// use runnext::wait;
/// use std::error::Error;
///
/// /// How deep the parentheses nest.
/// fn depth(text: &mut std::str::Chars<'_>) -> usize {
///     let mut deepest = 0;
///     while let Some('(') = text.next() {
///         deepest = deepest.max(1 + depth(text));
///     }
///     deepest
/// }
///
/// #[runnext::main(stackful, stack_size = 64 << 20)]
/// fn main() -> Result<(), Box<dyn Error>> {
///     let text = wait(runnext::fs::read_to_string("nested.txt"))?;
///     println!("{} levels", depth(&mut text.chars()));
///     Ok(())
/// }
/// ```
///
/// The runtime under another name:
///
/// ```no_run
/// mod vendored {
///     pub use runnext as rt;
/// }
///
/// #[vendored::rt::main(crate = "crate::vendored::rt")]
/// async fn main() {}
/// ```
///
/// # Panics
///
/// The function panics where the runtime cannot be built, when the operating system refuses a
/// thread or a file descriptor for example; and, with `stackful`, where there is no memory for a stack.
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(args::Attr::Main, args.into(), item.into()).into()
}

/// Runs an `async fn` as a test, on a runtime of its own.
///
/// ```no_run
/// #[runnext::test]
/// async fn a_task_returns_its_value() {
///     let task = runnext::spawn(async { 6 * 7 });
///     assert_eq!(task.await.unwrap(), 42);
/// }
/// # fn main() {}
/// ```
///
/// is, written out,
///
/// ```no_run
/// #[test]
/// fn a_task_returns_its_value() {
///     let runtime = runnext::runtime::Builder::new_current_thread()
///         .enable_all()
///         .build()
///         .expect("failed to build the runtime");
///     let body = async {
///         let task = runnext::spawn(async { 6 * 7 });
///         assert_eq!(task.await.unwrap(), 42);
///     };
///     let body: std::pin::Pin<&mut dyn Future<Output = ()>> = std::pin::pin!(body);
///     runtime.block_on(body)
/// }
/// # fn main() {}
/// ```
///
/// The body is blocked on as a `dyn Future` so that a crate with a thousand tests compiles one copy
/// of `block_on` for each output type rather than a thousand.
///
/// What holds for `#[test]` holds here: the function may return a `Result`, and `#[should_panic]`
/// and `#[ignore]` work. `#[test]` itself is added by the macro, and writing it too is an error.
///
/// # Arguments
///
/// Those of [`main`](macro@main), with another default: the flavor is `"current_thread"`, on which a
/// test meets the same order of events each time. `worker_threads` therefore needs
/// `flavor = "multi_thread"` beside it. A `stackful` test is a plain `fn`, whose output need not be
/// `Send`: like that of `main`, it is reported in the task.
///
/// # Examples
///
/// ```no_run
/// #[runnext::test(flavor = "multi_thread", worker_threads = 2)]
/// async fn a_busy_task_does_not_stop_the_others() {
///     let busy = runnext::spawn(async { (0..1_000_000_u64).sum::<u64>() });
///     let other = runnext::spawn(async { 1 });
///     assert_eq!(other.await.unwrap(), 1);
///     assert!(busy.await.unwrap() > 0);
/// }
///
/// #[runnext::test]
/// async fn the_answer_is_a_number() -> Result<(), std::num::ParseIntError> {
///     assert_eq!("42".parse::<u8>()?, 42);
///     Ok(())
/// }
///
/// #[runnext::test]
/// #[should_panic(expected = "out of tea")]
/// async fn tea_runs_out() {
///     panic!("out of tea");
/// }
///
/// #[runnext::test(stackful)]
/// fn blocking_style_waits() {
///     let task = runnext::spawn(async { 6 * 7 });
///     assert_eq!(runnext::wait(task).unwrap(), 42);
/// }
/// # fn main() {}
/// ```
///
/// # Panics
///
/// The test panics, and so fails, where the runtime cannot be built, or a stack for it be had.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(args::Attr::Test, args.into(), item.into()).into()
}
