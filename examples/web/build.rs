//! Sets `cfg(stackful)` as for runnext.

#[path = "../../build.rs"]
mod of_runnext;

fn main() {
    of_runnext::main();
}
