//! Stackful tasks and the contexts below them, beside those who do the same elsewhere.
//!
//! ```text
//! cargo bench --bench stackful
//! cargo bench --bench stackful -- --only resume
//! ```
//!
//! Each row of the table is one work: the rival's median time for one operation, runnext's, and the median of the
//! ratios of neighbouring runs (above 1 runnext is the faster) with the quartiles it lies between. Where the last rows
//! have no ratio they hold runnext against a figure.
//!
//! - [`switch`]: the bare switch, on one thread, beside corosensei's;
//! - [`sides`]: the seam with may and runnext behind it, and how they are set up;
//! - [`works`]: what both schedulers do, each work one function for both;
//! - [`echo`]: a server of TCP connections, beside may's and beside our own without stacks;
//! - [`child`]: a million tasks at once, in processes of their own;
//! - [`common`]: how runs alternate, the command line, what is printed.
//!
//! There are stackful tasks on Linux, on x86-64 and aarch64; elsewhere this bench says so and ends.

/// Without the parts that need stackful tasks, which are not everywhere.
macro_rules! where_there_are_stacks {
    ($($item:item)*) => {
        $(
            #[cfg(stackful)]
            $item
        )*
    };
}

where_there_are_stacks! {
    mod child;
    #[allow(dead_code)] // Each bench uses a part of it.
    #[path = "../common/mod.rs"]
    mod common;
    #[path = "../../src/engine"]
    #[allow(dead_code, unused_imports, unreachable_pub)] // The bench uses a part of it.
    mod engine {
        // The engine is private, so the part of it that is measured by itself is compiled into this bench.
        pub(crate) mod context;
    }
    mod echo;
    mod rows;
    mod sides;
    mod switch;
    mod works;

    fn main() -> std::process::ExitCode {
        rows::main()
    }
}

#[cfg(not(stackful))]
fn main() {
    println!("there are no stackful tasks on this system");
}
