//! Sets `cfg(stackful)` as for runnext, parts of whose engine are compiled into the benches.

#[path = "../build.rs"]
mod of_runnext;

fn main() {
    of_runnext::main();
}
